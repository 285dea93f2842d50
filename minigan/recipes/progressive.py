"""Faces that grow: progressive growing of GANs, from 4x4 pixels to 16x16 or more.

In the authors' code (Karras et al. 2018; for CIFAR-10 in brackets): WGAN-GP with λ = 10 and a drift
of 0.001, Adam with 1e-3 and (0, 0.99), batches of 16, 600,000 (400,000) images for each phase, up
to 512 (128) channels, an average of 0.999; appendix A.1 has phases of 800,000 images. Here R1 takes
the place of the gradient penalty: it needs no drift, and one forward pass less. The run is so much
shorter (40,000 images in all) that three times the learning rate pays.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

from minigan import backend, nn
from minigan.gan import BaseGame, Latent, ProgressiveGame, objective
from minigan.gan.progressive import GrowingDiscriminator, GrowingGenerator, Growth
from minigan.gan.taming import Taming, tame
from minigan.recipes.dcgan import SIDE, ImageRecipe, ImageSettings, doublings
from minigan.recipes.recipe import Generator, Settings

LATENT, WIDEST = 64, 128
OTHERWISE = ("packing", "minibatch-stddev", "spectral-norm", "virtual-batch-norm")
"""Ways of taming that would build the nets anew; D has minibatch statistics already."""


@dataclass(frozen=True)
class GrowingSettings(ImageSettings):
    """Settings of a recipe whose nets grow.

    Attributes
    ----------
    growing
        The share of the run during which the nets grow; 0 for nets that are grown from the start.
    """

    growing: float = 0.4

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.growing <= 1:
            raise ValueError(f"growing must be a share from 0 to 1, got {self.growing}.")


def channels_of(size: int, width: int) -> list[int]:
    """Channels of the maps of 4x4, 8x8, ... pixels: twice as many in each smaller one."""
    levels = doublings(size) + 1
    return [min(width << level, max(WIDEST, width)) for level in reversed(range(levels))]


def _convolution(rng: Generator, inputs: int, outputs: int, size: int = 3) -> list[nn.Layer]:
    """A convolution with equalised learning rate, and its leaky ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel_size=size, padding=size // 2)
    return [nn.Equalised(layer, rng=rng), nn.LeakyReLU(0.2)]


def _linear(rng: Generator, inputs: int, outputs: int, gain: float) -> nn.Layer:
    return nn.Equalised(nn.Linear(inputs, outputs), gain=gain, rng=rng)


def generator(rng: Generator, *, size: int, width: int, channels: int) -> GrowingGenerator:
    """Latents (N, 64) to images (N, size, size, channels)."""
    widths = channels_of(size, width)
    blocks: list[nn.Layer] = [nn.Sequential(
        nn.PixelNorm(), _linear(rng, LATENT, SIDE * SIDE * widths[0], math.sqrt(2) / 4),
        nn.Reshape(SIDE, SIDE, widths[0]), nn.LeakyReLU(0.2), nn.PixelNorm(),
        *_convolution(rng, widths[0], widths[0]), nn.PixelNorm(),
    )]  # fmt: skip
    for before, after in itertools.pairwise(widths):
        blocks.append(nn.Sequential(
            nn.Upsample(2), *_convolution(rng, before, after), nn.PixelNorm(),
            *_convolution(rng, after, after), nn.PixelNorm(),
        ))  # fmt: skip
    colours = [
        nn.Equalised(nn.Conv2d(w, channels, kernel_size=1), gain=1.0, rng=rng) for w in widths
    ]
    return GrowingGenerator(blocks, colours)


def discriminator(rng: Generator, *, size: int, width: int, channels: int) -> GrowingDiscriminator:
    """Images (N, size, size, channels) to logits (N, 1)."""
    widths = channels_of(size, width)
    blocks: list[nn.Layer] = [nn.Sequential(
        nn.MinibatchStdDev(4), *_convolution(rng, widths[0] + 1, widths[0]), nn.Flatten(),
        _linear(rng, SIDE * SIDE * widths[0], widths[0], math.sqrt(2)), nn.LeakyReLU(0.2),
        _linear(rng, widths[0], 1, 1.0),
    )]  # fmt: skip
    for after, before in itertools.pairwise(widths):
        blocks.append(nn.Sequential(
            *_convolution(rng, before, before), *_convolution(rng, before, after),
            nn.AveragePool(2),
        ))  # fmt: skip
    colours = [nn.Sequential(*_convolution(rng, channels, w, 1)) for w in widths]
    return GrowingDiscriminator(blocks, colours)


def networks(
    rng: Generator, noise: Generator, *, size: int, width: int, channels: int
) -> tuple[nn.Layer, nn.Layer]:
    """Both nets."""
    shape: dict[str, Any] = {"size": size, "width": width, "channels": channels}
    return generator(rng, **shape), discriminator(rng, **shape)


class EqualisedRecipe(ImageRecipe):
    """A recipe with this discriminator."""

    def check(self, settings: Settings) -> None:
        """Check that D is trained in a way that leaves it as it is."""
        super().check(settings)
        self.refuse(settings, OTHERWISE, "whose nets are of their own kind")

    def options(self, settings: Settings, taming: Taming) -> dict[str, Any]:
        """Return what any game between these nets needs, but for what moves them."""
        return {
            "objective": objective(settings.objective, smoothing=settings.smoothing),
            "penalties": taming.penalties,
            "before_step": taming.before_step,
            "after_discriminator_step": taming.after_discriminator_step,
            "feature_matching": taming.feature_matching,
            "latent": self.latent,
            "discriminator_steps": settings.discriminator_steps,
        }


class ProgressiveRecipe(EqualisedRecipe):
    """A recipe whose nets grow."""

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build both nets on their device, and their growth."""
        G, D = self.players(weights, noise)
        growth = self.growth(settings)
        for net in (G, D):
            net.grown[...] = growth.grown  # type: ignore[attr-defined]
        taming = tame(D, settings.penalties, rng=noise)
        G.to(device)
        taming.discriminator.to(device)
        return ProgressiveGame(
            G, taming.discriminator, **settings.movers(G, taming.discriminator),
            **self.options(settings, taming), growth=growth,
            **taming.pulls(generator=G, discriminator=taming.discriminator),
        )  # fmt: skip

    def growth(self, settings: Settings) -> Growth:
        """Return when the nets grow: two phases for each level but the lowest, which has one."""
        levels = doublings(self.sample_shape[0]) + 1
        growing = getattr(settings, "growing", 0.4)
        phase = max(round(growing * settings.steps / (2 * levels - 2)), 1)
        return Growth(levels, phase, rounds=0 if growing else 2 * levels * phase)


RECIPE = ProgressiveRecipe(
    name="progressive",
    title="pixel-art faces that grow from 4x4 pixels to 16x16",
    source="Karras et al. 2018 (progressive growing), with smaller nets, and R1",
    data="avatars",
    sample_shape=(16, 16, 3),
    latent=Latent(LATENT),
    networks=partial(networks, size=16, width=16, channels=3),
    build=networks,
    settings=GrowingSettings(
        steps=2500,
        batch_size=16,
        lr_generator=3e-3,
        lr_discriminator=3e-3,
        beta1=0.0,
        beta2=0.99,
        penalties=("r1:1",),
        average=0.995,
        image_size=16,
        width=16,
    ),
    duration="about 135 s of processor time",
)

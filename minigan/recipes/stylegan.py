"""Faces out of styles: StyleGAN2, at 16x16 pixels or more.

Officially (Karras et al. 2020; in brackets StyleGAN2-ADA's settings for CIFAR-10): z and w of 512
numbers, a mapping net of 8 (2) layers with a hundredth of the learning rate, Adam with 2e-3
(2.5e-3) and (0, 0.99), R1 with γ = 10 (0.01) every 16th round, mixing 0.9 (0), path length
regularisation 2 (0), an average with a half-life of 10,000 (500,000) images. Here the nets are
smaller, pictures are enlarged by repeating pixels, the style of a resolution serves both of its
convolutions, and D is that of the recipe `progressive`, fully grown.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import partial
from typing import Any

from minigan import backend, nn
from minigan.gan import BaseGame, Latent, StyleGame, stronger
from minigan.gan.synthesis import StyleGenerator, Synthesis
from minigan.gan.taming import tame
from minigan.recipes import progressive
from minigan.recipes.dcgan import SIDE, ImageSettings
from minigan.recipes.recipe import Generator, Settings

LATENT, STYLE = 64, 64


@dataclass(frozen=True)
class StyleSettings(ImageSettings):
    """Settings of a recipe whose generator has styles.

    Attributes
    ----------
    mixing
        Share of the samples in training that have two latents.
    lazy
        Rounds from one with the penalties, which are then so many times as strong, to the next.
    path_length
        Weight of path length regularisation; 0 for none.
    half_life
        The half-life of the average of G's weights in images, if `average` is 0; 0 for none.
    """

    mixing: float = 0.5
    lazy: int = 8
    path_length: float = 0.0
    half_life: int = 2_000

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.mixing <= 1:
            raise ValueError(f"mixing must be a share from 0 to 1, got {self.mixing}.")
        if not isinstance(self.lazy, int) or self.lazy < 1:
            raise ValueError(f"lazy must be a positive integer, got {self.lazy}.")
        for name in ("path_length", "half_life"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be at least 0, got {getattr(self, name)}.")

    def shown(self) -> dict[str, Any]:
        """Return the values by name, with the average that they amount to."""
        of_images = {"average": f"that of half_life, {self.averaging:.4g}"}
        return super().shown() | ({} if self.average else of_images)

    @property
    def averaging(self) -> float:
        """The decay of the average: after `half_life` images, half of it is new."""
        if self.average or not self.half_life:
            return self.average
        return float(0.5 ** (self.batch_size / self.half_life))


def _styled(rng: Generator, noise: Generator, inputs: int, outputs: int) -> list[nn.Layer]:
    """A modulated convolution, noise, and a leaky ReLU."""
    convolution = nn.ModulatedConv2d(
        inputs, outputs, style_features=STYLE, kernel_size=3, padding=1, rng=rng
    )
    return [convolution, nn.LearntNoise(rng=noise), nn.LeakyReLU(0.2)]


def generator(
    rng: Generator, noise: Generator, *, size: int, width: int, channels: int
) -> StyleGenerator:
    """Latents (N, 64) to images (N, size, size, channels)."""
    widths = progressive.channels_of(size, width)
    first = nn.Styled(
        nn.Constant(SIDE, SIDE, widths[0], rng=rng), *_styled(rng, noise, widths[0], widths[0])
    )
    blocks = [first] + [
        nn.Styled(
            nn.Upsample(2), *_styled(rng, noise, before, after), *_styled(rng, noise, after, after)
        )
        for before, after in itertools.pairwise(widths)
    ]
    colours = [
        nn.ModulatedConv2d(
            w, channels, style_features=STYLE, kernel_size=1, demodulate=False, rng=rng
        )
        for w in widths
    ]
    return StyleGenerator(_mapping(rng), Synthesis(blocks, colours), width=STYLE)


def _mapping(rng: Generator) -> nn.Sequential:
    layers: list[nn.Layer] = [nn.PixelNorm()]
    for inputs in (LATENT, STYLE):
        slow = nn.Equalised(nn.Linear(inputs, STYLE), lr_multiplier=0.01, rng=rng)
        layers += [slow, nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


def networks(
    rng: Generator, noise: Generator, *, size: int, width: int, channels: int
) -> tuple[nn.Layer, nn.Layer]:
    """Both nets."""
    shape: dict[str, Any] = {"size": size, "width": width, "channels": channels}
    grown = progressive.discriminator(rng, **shape)
    judge = nn.Sequential(grown.colours[-1], *reversed(grown.blocks))
    return generator(rng, noise, **shape), judge


class StyleRecipe(progressive.EqualisedRecipe):
    """A recipe whose generator has styles."""

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build both nets on their device; the penalties are as much stronger as they are rarer."""
        assert isinstance(settings, StyleSettings)
        G, D = self.players(weights, noise)
        taming = tame(D, stronger(settings.penalties, settings.lazy), rng=noise)
        G.to(device)
        taming.discriminator.to(device)
        return StyleGame(
            G, taming.discriminator,
            **settings.changed(average=settings.averaging).movers(G, taming.discriminator),
            **self.options(settings, taming),
            **taming.pulls(generator=G, discriminator=taming.discriminator),
            mixing=settings.mixing, lazy=settings.lazy, path_length=settings.path_length,
            noise=noise,
        )  # fmt: skip


RECIPE = StyleRecipe(
    name="stylegan",
    title="pixel-art faces out of styles, coarse and fine",
    source="Karras et al. 2019 and 2020 (StyleGAN2), with smaller nets",
    data="avatars",
    sample_shape=(16, 16, 3),
    latent=Latent(LATENT),
    networks=partial(networks, size=16, width=16, channels=3),
    build=networks,
    settings=StyleSettings(
        steps=2500,
        batch_size=16,
        lr_generator=3e-3,
        lr_discriminator=2.5e-3,
        beta1=0.0,
        beta2=0.99,
        penalties=("r1:0.1",),
        image_size=16,
        width=16,
    ),
    duration="about 150 s of processor time",
)

"""A small diffusion model, for contrast: no adversary, but fifty passes to make a sample."""

from __future__ import annotations

import numpy

from minigan import backend, nn
from minigan.gan import BaseGame, Diffusion, Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings

DENOISING = "denoising"
LEVELS, WAVES, GROUPS = 1000, 16, 8
SHAPE = (16, 16, 1)


def unet(rng: Generator, width: int = 16) -> nn.Sequential:
    """Pictures (N, 16, 16, 1) and levels (N,) to noise: a U-Net that halves them twice."""
    wide, widest = 2 * width, 4 * width
    inside = nn.Skip(
        nn.Conv2d(wide, widest, **nets.HALVE, rng=rng), block(rng, widest),
        nn.ConvTranspose2d(widest, wide, **nets.HALVE, rng=rng),
    )  # fmt: skip
    outside = nn.Skip(
        nn.Conv2d(width, wide, **nets.HALVE, rng=rng), block(rng, wide), inside,
        conv(rng, 2 * wide, wide), block(rng, wide),
        nn.ConvTranspose2d(wide, width, **nets.HALVE, rng=rng),
    )  # fmt: skip
    return nn.Sequential(
        level(), conv(rng, 1 + WAVES, width), outside, conv(rng, 2 * width, width),
        nn.GroupNorm(GROUPS, width), nn.SiLU(), nothing_at_first(conv(rng, width, 1)),
    )  # fmt: skip


def block(rng: Generator, width: int) -> nn.Residual:
    """Two convolutions beside the identity, which the block is at first."""
    return nn.Residual(
        nn.GroupNorm(GROUPS, width), nn.SiLU(), conv(rng, width, width),
        nn.GroupNorm(GROUPS, width), nn.SiLU(), nothing_at_first(conv(rng, width, width)),
    )  # fmt: skip


def conv(rng: Generator, before: int, after: int) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size."""
    return nn.Conv2d(before, after, kernel_size=3, padding=1, rng=rng)


def nothing_at_first(layer: nn.Conv2d) -> nn.Conv2d:
    """Set the weight of a layer to 0."""
    layer.weight.value[...] = 0
    return layer


def level() -> nn.ConcatenateLabels:
    """Append the level as planes: a vector for each, at first sines and cosines of it."""
    layer = nn.ConcatenateLabels(LEVELS, features=WAVES)
    waves = numpy.arange(LEVELS)[:, None] / LEVELS ** (numpy.arange(WAVES // 2) / (WAVES // 2))
    assert layer.embedding is not None
    layer.embedding.weight.value[...] = numpy.concatenate([numpy.sin(waves), numpy.cos(waves)], 1)
    return layer


class Denoising(Recipe):
    """A recipe with one net and no adversary."""

    def check(self, settings: Settings) -> None:
        """Check that no setting needs a discriminator."""
        adversary = settings.penalties or settings.smoothing or settings.discriminator_steps > 1
        if adversary or settings.objective != DENOISING:
            raise ValueError(
                f"{self.name!r} has no discriminator; leave out objective, penalties, smoothing "
                "and discriminator_steps."
            )

    def check_effect(self, settings: Settings) -> None:
        """Check that there is no learning rate for a discriminator."""
        if settings.lr_discriminator not in (self.settings.lr_discriminator, settings.lr_generator):
            raise ValueError(f"{self.name!r} has no discriminator; leave out lr_discriminator.")

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build the net on its device, and its optimizer."""
        net = unet(weights)
        net.to(device)
        moves = settings.mover(net)
        return Diffusion(net, **moves, shape=self.sample_shape, levels=LEVELS, passes=self.passes)


RECIPE = Denoising(
    name="ddpm-digits",
    title="small digits out of noise, a diffusion model",
    source=(
        "Ho et al. 2020 (DDPM), its noise and its loss, with a small U-Net; samples as in Song et "
        "al. 2021 (DDIM)"
    ),
    data="digits",
    sample_shape=SHAPE,
    latent=Latent(SHAPE[0] * SHAPE[1]),
    passes=50,
    settings=Settings(
        steps=2500, batch_size=64, lr_generator=1e-3, beta1=0.9, objective=DENOISING,
        schedule="cosine", average=0.995,
    ),
    duration="about 4 minutes of processor time",
)  # fmt: skip

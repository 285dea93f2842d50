"""The nets that several recipes share, so that the recipes differ only as their papers do.

They are DCGANs (Radford et al. 2016): G doubles a map of `side` x `side` pixels twice, D halves the
image twice. The weights are those that the layers draw by default; `drawn` redraws them as DCGAN
does.
"""

from typing import Any

import numpy

from minigan import nn

Generator = numpy.random.Generator
HALVE: dict[str, Any] = {"kernel_size": 4, "stride": 2, "padding": 1}
"""A convolution that halves an image; transposed, it doubles one."""


def dcgan_generator(
    rng: Generator, *, inputs: int, side: int, width: int, channels: int = 1
) -> nn.Sequential:
    """Latents (N, inputs) to images (N, 4 side, 4 side, channels)."""
    return nn.Sequential(
        nn.Linear(inputs, side * side * width, bias=False, rng=rng), nn.Reshape(side, side, width),
        nn.BatchNorm(width), nn.ReLU(),
        nn.ConvTranspose2d(width, width // 2, **HALVE, bias=False, rng=rng),
        nn.BatchNorm(width // 2), nn.ReLU(),
        nn.ConvTranspose2d(width // 2, channels, **HALVE, rng=rng), nn.Tanh(),
    )  # fmt: skip


def dcgan_discriminator(
    rng: Generator, *, side: int, width: int, channels: int = 1
) -> nn.Sequential:
    """Images (N, 4 side, 4 side, channels) to logits (N, 1), with batch norm."""
    return nn.Sequential(
        nn.Conv2d(channels, width, **HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 2 * width, **HALVE, bias=False, rng=rng),
        nn.BatchNorm(2 * width), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(side * side * 2 * width, 1, rng=rng),
    )  # fmt: skip


def dropout_discriminator(
    rng: Generator, noise: Generator, *, side: int, width: int, channels: int = 1
) -> nn.Sequential:
    """The same with dropout instead of batch norm, as in TensorFlow's DCGAN tutorial."""
    return nn.Sequential(
        nn.Conv2d(channels, width, **HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=noise),
        nn.Conv2d(width, 2 * width, **HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=noise),
        nn.Flatten(), nn.Linear(side * side * 2 * width, 1, rng=rng),
    )  # fmt: skip


def drawn(
    generator: nn.Layer, discriminator: nn.Layer, rng: Generator
) -> tuple[nn.Layer, nn.Layer]:
    """Redraw the weights of both as DCGAN does."""
    nn.initial.normal(generator, rng=rng)
    nn.initial.normal(discriminator, rng=rng)
    return generator, discriminator


# ---------------------------------------------------------------- for digits of 16x16 pixels


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G as in the recipe digits; D without normalisation, as penalties need independent samples."""
    return generator(rng), critic(rng)


def generator(rng: Generator, inputs: int = 64) -> nn.Sequential:
    """The generator of a small DCGAN: latents (N, inputs) to images (N, 16, 16, 1)."""
    net = dcgan_generator(rng, inputs=inputs, side=4, width=64)
    nn.initial.normal(net, rng=rng)
    return net


def critic(rng: Generator, *, channels: int = 1, outputs: int = 1) -> nn.Sequential:
    """Images (N, 16, 16, channels) to logits (N, outputs)."""
    net = nn.Sequential(
        nn.Conv2d(channels, 32, **HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, **HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, outputs, rng=rng),
    )  # fmt: skip
    nn.initial.kaiming_normal(net, rng=rng)
    return net

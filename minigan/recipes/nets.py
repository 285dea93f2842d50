"""The nets that the recipes on small digits share, so that they differ only in what their papers
differ in.
"""

import numpy

from minigan import nn


def networks(
    rng: numpy.random.Generator, noise: numpy.random.Generator
) -> tuple[nn.Layer, nn.Layer]:
    """G as in the recipe digits: 4 -> 8 -> 16 pixels. D has no normalisation: penalties need each
    sample alone.
    """
    return generator(rng), critic(rng)


def generator(rng: numpy.random.Generator, inputs: int = 64) -> nn.Sequential:
    """A small DCGAN's: latents (N, inputs) to images (N, 16, 16, 1)."""
    net = nn.Sequential(
        nn.Linear(inputs, 4 * 4 * 64, bias=False, rng=rng),
        nn.Reshape(4, 4, 64),
        nn.BatchNorm(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    nn.initial.normal(net, rng=rng)
    return net


def critic(rng: numpy.random.Generator, *, channels: int = 1, outputs: int = 1) -> nn.Sequential:
    """Images (N, 16, 16, channels) to logits (N, outputs)."""
    net = nn.Sequential(
        nn.Conv2d(channels, 32, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(4 * 4 * 64, outputs, rng=rng),
    )  # fmt: skip
    nn.initial.kaiming_normal(net, rng=rng)
    return net

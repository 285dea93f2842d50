"""Grids of Gaussians: does a pair of samples in a pack save modes?

Protocol of brycesandlund/paired-discriminator ("PacGAN2 on fixed-spacing Gaussian grids"): G 16-128-128-2,
D 2m-128-128-1, leaky ReLU 0.2, Adam 2e-4 (0.5, 0.999), batch 256, one D step for each G step, 50,000 updates, spacing
1.5, standard deviation 0.1; 10,000 samples, valid within three standard deviations, a mode is covered by 1 % of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import data, gan, metrics, nn, optim
from minigan.gan.taming import tame

STEPS, SAMPLES, SPACING, STD = 50_000, 10_000, 1.5, 0.1
PUBLISHED = {
    "valid_percent": ("valid samples, %", {"3x3 vanilla": 94.9, "3x3 packing of 2": 93.7, "5x5 vanilla": 73.7,
                                           "5x5 packing of 2": 78.4}),
    "modes": ("modes (1 % of samples)", {"3x3 vanilla": 4.0, "3x3 packing of 2": 9.0, "5x5 vanilla": 7.2,
                                         "5x5 packing of 2": 24.6}),
    "mode_tv": ("total variation of modes", {"3x3 vanilla": 0.542, "3x3 packing of 2": 0.064, "5x5 vanilla": 0.718,
                                             "5x5 packing of 2": 0.216}),
}  # fmt: skip
"""Column -> label, and the means over five seeds of brycesandlund/paired-discriminator."""


def law(side: int) -> data.Distribution:
    """The grid of side x side Gaussians."""
    return data.distribution("grid", side=side, spacing=SPACING, std=STD)


def plain(side: int, ways: Sequence[str], seed: int) -> gan.Trainer:
    """The published protocol."""
    weights, stream, latents, noise = (
        numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(4)
    )
    generator, discriminator = perceptron(16, 128, 2, weights), perceptron(2, 128, 1, weights)
    taming = tame(discriminator, ways, rng=noise)
    game = gan.Game(
        generator, taming.discriminator,
        optim.Adam(generator, lr=2e-4, betas=(0.5, 0.999)),
        optim.Adam(taming.discriminator, lr=2e-4, betas=(0.5, 0.999)),
        penalties=taming.penalties,
    )  # fmt: skip
    source = data.Stream(law(side), 256, stream)
    return gan.Trainer(game, source, latent=gan.Latent(16), rng=latents, noise=noise)


def perceptron(inputs: int, width: int, outputs: int, rng: numpy.random.Generator) -> nn.Sequential:
    """Two hidden layers, with PyTorch's initial weights as the original has them."""
    return nn.Sequential(
        nn.Linear(inputs, width, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(width, width, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(width, outputs, rng=rng),
    )  # fmt: skip


OUR_STEPS, FOG, CLEAR = 12_000, 0.8, 0.4
"""Updates; standard deviation of the noise at first; the part of the updates after which it is gone."""


def fading(side: int, seed: int) -> gan.Trainer:
    """A recipe that aims at 25 of 25: through noise that fades the grid appears slowly, so that no mode is left behind.

    * z ~ U(-1, 1)² and G(z) = W z + F(W z): at first almost W z, a square with the extent of the data, so that every
      mode already has its share of z.
    * What D sees goes through noise of std 0.8 that fades linearly (Sønderby et al. 2017): at first the modes run
      together to about that square, and G follows as they come apart.
    * The relativistic pair of losses; perceptrons of 3x128; the kinks of the first layers spread over the data;
      learning rates 1e-3 (G) and 2e-3 (D), both fading linearly to a hundredth; an average of G's weights (0.999).
    """
    weights, stream, latents, noise = (
        numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(4)
    )
    extent = SPACING * side / 2
    body, discriminator = deep(weights, extent, outputs=2), deep(weights, extent, outputs=1)
    body[-1].weight.value *= 0.1
    first = nn.Linear(2, 2, rng=weights)
    first.weight.value[...], first.bias.value[...] = extent * numpy.eye(2), 0
    generator = nn.Sequential(first, nn.Residual(body))
    foggy = nn.Sequential(nn.InstanceNoise(FOG, rng=noise), *discriminator)
    game = gan.Game(
        generator, foggy,
        optim.Adam(generator, lr=1e-3, betas=(0.5, 0.999)), optim.Adam(foggy, lr=2e-3, betas=(0.5, 0.999)),
        objective=gan.objective("relativistic"),
    )  # fmt: skip
    return gan.Trainer(
        game, data.Stream(law(side), 256, stream), latent=gan.Latent(2, "uniform"), rng=latents, noise=noise,
        average=optim.ExponentialMovingAverage(generator, decay=0.999),
    )  # fmt: skip


def deep(rng: numpy.random.Generator, extent: float, *, outputs: int) -> nn.Sequential:
    """Three hidden layers of 128 on points in a square of this half side, where the first layer's kinks lie."""
    layers: list[nn.Layer] = []
    for inputs in (2, 128, 128):
        layers += [nn.Linear(inputs, 128, rng=rng), nn.LeakyReLU(0.2)]
    net = nn.Sequential(*layers, nn.Linear(128, outputs, rng=rng))
    nn.initial.kaiming_normal(net, rng=rng)
    slopes = numpy.sqrt((net[0].weight.value ** 2).sum(axis=0))
    net[0].bias.value[...] = rng.uniform(-extent, extent, 128) * slopes
    return net


def fade(trainer: gan.Trainer, done: float) -> None:
    """Let the noise fade."""
    trainer.game.discriminator[0].std = FOG * max(0.0, 1 - done / CLEAR)


def measure(side: int, trainer: gan.Trainer, seed: int) -> Row:
    """Valid share, modes and total variation of fresh samples."""
    z = trainer.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    report = metrics.mode_report(trainer.sampler(z), law(side).centres, STD, min_share=0.01)
    return {
        "valid_percent": round(100 * report.high_quality, 2),
        "modes": report.covered,
        "of": report.modes,
        "mode_tv": round(report.total_variation, 4),
    }


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """All of them, seed by seed."""
    cases = [(f"{side}x{side} {name}", side, ways) for side in (3, 5)
             for name, ways in (("vanilla", ()), ("packing of 2", ("packing:2",)))]  # fmt: skip
    return [
        Job(
            case, seed, steps or STEPS,
            lambda s, side=side, ways=ways: plain(side, ways, s),
            lambda trainer, s, side=side: measure(side, trainer, s),
        )
        for seed in seeds
        for case, side, ways in cases
    ] + [
        Job(
            f"{side}x{side} ours", seed, steps or OUR_STEPS,
            lambda s, side=side: fading(side, s),
            lambda trainer, s, side=side: measure(side, trainer, s),
            schedule=lambda done: 1 - 0.99 * done,
            before_step=fade,
        )
        for seed in seeds
        for side in (5, 3)
    ]  # fmt: skip


def draw() -> Any:
    """Valid share, modes and total variation: every seed a dot, beside what was published."""
    return dots(rows("grids"), PUBLISHED, "Grids of Gaussians")

"""Grids of Gaussians: does a pair of samples in a pack save modes?

Protocol of brycesandlund/paired-discriminator ("PacGAN2 on fixed-spacing Gaussian grids"): G
16-128-128-2, D 2m-128-128-1, leaky ReLU 0.2, Adam 2e-4 (0.5, 0.999), batch 256, one D step for each
G step, 50,000 updates, spacing 1.5, standard deviation 0.1; 10,000 samples, valid within three
standard deviations, a mode is covered by 1 % of them. The total variation is that of the report, to
which invalid samples add (they are a mode that shouldn't be), unlike that of `metrics.mode_report`.
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
    "valid_percent": (
        "valid samples, %",
        {
            "3x3 vanilla": 94.9,
            "3x3 packing of 2": 93.7,
            "5x5 vanilla": 73.7,
            "5x5 packing of 2": 78.4,
        },
    ),
    "modes": (
        "modes (1 % of samples)",
        {"3x3 vanilla": 4.0, "3x3 packing of 2": 9.0, "5x5 vanilla": 7.2, "5x5 packing of 2": 24.6},
    ),
    "mode_tv": (
        "total variation of modes",
        {
            "3x3 vanilla": 0.542,
            "3x3 packing of 2": 0.064,
            "5x5 vanilla": 0.718,
            "5x5 packing of 2": 0.216,
        },
    ),
}
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


def measure(side: int, trainer: gan.Trainer, seed: int) -> Row:
    """Valid share, modes and total variation of fresh samples."""
    z = trainer.game.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    report = metrics.mode_report(trainer.game.sample(z), law(side).centres, STD, min_share=0.01)
    return {
        "valid_percent": round(100 * report.high_quality, 2),
        "modes": report.covered,
        "of": report.modes,
        "mode_tv": round(total_variation(report), 4),
    }


def total_variation(report: metrics.ModeReport) -> float:
    """``(Σ |count / N - 1 / K| + invalid / N) / 2``: from uniform over the K modes, N samples."""
    shares = numpy.array(report.counts) / report.samples
    return float(abs(shares - 1 / report.modes).sum() + 1 - report.high_quality) / 2


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """All of them, seed by seed."""
    cases = [(f"{side}x{side} {name}", side, ways) for side in (3, 5)
             for name, ways in (("vanilla", ()), ("packing of 2", ("packing:2",)))]  # fmt: skip
    return [
        Job(
            case,
            seed,
            steps or STEPS,
            lambda s, side=side, ways=ways: plain(side, ways, s),
            lambda trainer, s, side=side: measure(side, trainer, s),
        )
        for seed in seeds
        for case, side, ways in cases
    ]


def draw() -> Any:
    """Valid share, modes and total variation: every seed a dot, beside what was published."""
    return dots(rows("grids"), PUBLISHED, "Grids of Gaussians")

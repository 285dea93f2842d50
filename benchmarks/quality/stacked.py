"""Stacked MNIST: how many of 1,000 combinations of three digits does G make?

Protocol (PacGAN, section 4.2, after VEEGAN): 128,000 random stacks of 28x28x3, z ~ U(-1, 1)^100,
batches of 64, Adam 2e-4 with β1 = 0.5, two steps of G for each of D, 26,000 samples, each channel
read by a classifier of MNIST; modes are the combinations seen, KL is that of their shares from
uniform, in nats. Scaled: nets of the recipe stacked-mnist (a quarter of a DCGAN-64) and its rates
(1e-3 for G, 1e-4 for D), one step of G for each of D, `STEPS` in the place of 100,000, `SAMPLES` in
the place of 26,000, and our classifier in the place of Keras's. Needs the files of MNIST: set
``MINIGAN_DATA`` to their folder, or let them be downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import data, gan, metrics
from minigan.recipes import get
from minigan.runs.assembly import assemble

STEPS, SAMPLES = 1_500, 10_000
PUBLISHED = {
    "modes": ("modes of 1,000", {"DCGAN": 78.9, "packing of 2": 1000.0}),
    "kl": ("KL, nats", {"DCGAN": 4.50, "packing of 2": 0.06}),
}
"""Column -> label, and the means of PacGAN's Table 2."""


def build(ways: tuple[str, ...], seed: int) -> gan.Trainer:
    """The recipe, packed or not."""
    recipe = get("stacked-mnist")
    return assemble(
        recipe, recipe.settings.changed(penalties=ways), data.stacked_mnist(), seed=seed
    ).trainer


@cache
def classifier() -> metrics.Classifier:
    """The classifier of single digits."""
    return metrics.classifier_for(data.mnist(), data.mnist(split="test"))


def measure(trainer: gan.Trainer, seed: int) -> Row:
    """Modes and KL of fresh samples."""
    z = trainer.game.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    images = trainer.game.sample(z)
    digits = [classifier().classify(images[..., c : c + 1]) for c in range(3)]
    counts = numpy.bincount(100 * digits[0] + 10 * digits[1] + digits[2], minlength=1000)
    return {
        "modes": int((counts > 0).sum()),
        "kl": round(metrics.reverse_kl(tuple(int(c) for c in counts)), 3),
        "samples": SAMPLES,
        "classifier_percent": round(100 * classifier().accuracy, 2),
    }


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """With and without packing."""
    cases: dict[str, tuple[str, ...]] = {"DCGAN": (), "packing of 2": ("packing:2",)}
    return [
        Job(case, seed, steps or STEPS, lambda s, ways=ways: build(ways, s), measure)
        for seed in seeds
        for case, ways in cases.items()
    ]


def draw() -> Any:
    """Every seed a dot, beside what was published."""
    return dots(rows("stacked"), PUBLISHED, "Stacked MNIST, scaled down")

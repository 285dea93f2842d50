"""How many digits are sorted rightly with a hundred labels, with and without a game, or with none?

The recipes ssgan-digits (with 100 labels, ten for each digit, drawn anew for each seed) and infogan
as they are, on the digits that come with the package. Scored are the 359 digits that
`minigan.metrics.split` sets aside, which D has never seen. "Labels alone" is the same net, trained
on the labelled digits only. InfoGAN's clusters are matched one-to-one to the digits. Salimans et
al. 2016 (table 1) and Chen et al. 2016 (section 7.2) scored MNIST's: 99.07 % with 100 labels, 95 %
with none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import gan, metrics
from minigan.recipes import get
from minigan.runs.assembly import assemble

PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {"right": ("digits sorted rightly, %", {})}
"""Column -> label, and published means: there are none on this data set."""
ALONE, GAME, NONE = "100 labels alone", "100 labels and a game", "no labels: InfoGAN's clusters"


def build(case: str, seed: int) -> gan.Trainer:
    """One of the recipes; the learning rates follow the job's schedule."""
    recipe = get("infogan" if case == NONE else "ssgan-digits")
    settings, digits = recipe.settings.changed(schedule="constant"), recipe.load(recipe.data, None)
    if case == ALONE:
        settings = settings.changed(unlabelled=0.0)
    elif case == NONE:  # ssgan-digits sets digits aside by itself
        digits, _ = metrics.split(digits)
    return assemble(recipe, settings, digits, seed=seed).trainer


def measure(trainer: gan.Trainer, seed: int) -> Row:
    """The share of the digits set aside that D, or Q, sorts rightly."""
    recipe, game = get("ssgan-digits"), trainer.game
    _, test = metrics.split(recipe.load(recipe.data, None))
    found: Any = game.classify(test.batch(numpy.arange(len(test))))  # type: ignore[attr-defined]
    if isinstance(game, gan.InformationGame):
        right = metrics.matched_accuracy(found, test.labels)
    else:
        right = float((found == test.labels).mean())
    return {"right": round(100 * right, 2), "tested": len(test)}


def falling(done: float) -> float:
    """The schedule of ssgan-digits: constant, then linearly to 0 from half of the run on."""
    return min(1.0, 2 * (1 - done))


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """The three cases."""
    found = []
    for seed in seeds:
        for case in (ALONE, GAME, NONE):
            recipe = get("infogan" if case == NONE else "ssgan-digits")
            schedule = (lambda done: 1.0) if case == NONE else falling
            number = steps or recipe.settings.steps
            job = Job(case, seed, number, lambda s, c=case: build(c, s), measure, schedule)
            found.append(job)
    return found


def draw() -> Any:
    """Every seed a dot."""
    return dots(rows("labels"), PUBLISHED, "Digits sorted rightly")

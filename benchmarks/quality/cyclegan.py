"""Glasses come off and go on without pairs, measured against the truth.

The recipe `cyclegan` learns from faces without glasses and from other people's faces with glasses.
Each of the faces in the data exists with and without them, so for the people who are held out
there is one right answer to both translations: the mean distance from it, |G(x) - y| over pixels
in [-1, 1], is the score. Leaving a picture alone is the score to beat, and stands in the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import gan
from minigan.recipes import get
from minigan.runs.assembly import assemble

ALONE = "the picture left alone"
PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "off": ("taking glasses off, L1", {}),
    "on": ("putting glasses on, L1", {}),
}
"""Column -> label, and published means: there are none on this data set."""


def build(seed: int, steps: int) -> gan.Trainer:
    """The recipe as it is; its learning rates fall over so many steps."""
    recipe = get("cyclegan")
    settings = recipe.settings.changed(steps=steps)
    return assemble(recipe, settings, recipe.load(recipe.data, None), seed=seed).trainer


def held_out() -> tuple[Any, Any]:
    """Faces without glasses and the same people's with them, (N, 16, 16, 3) each."""
    recipe: Any = get("cyclegan")
    kept = recipe.load_split(recipe.data, None, "test")
    everyone = numpy.arange(len(kept))
    return kept.a.batch(everyone), kept.b.batch(everyone)


def measure(trainer: gan.Trainer, seed: int) -> Row:
    """The distances of the translations from the truth, and of the pictures left alone."""
    plain, glasses = held_out()
    game: Any = trainer.game
    rng = numpy.random.default_rng(seed)
    found = {
        "off": game.translate(glasses, rng, back=True) - plain,
        "on": game.translate(plain, rng) - glasses,
        "alone": plain - glasses,
    }
    return {name: round(float(abs(error).mean()), 4) for name, error in found.items()}


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """One training for each seed."""
    number = steps or get("cyclegan").settings.steps
    return [Job("cyclegan", seed, number, lambda s: build(s, number), measure) for seed in seeds]


def draw() -> Any:
    """Every seed a dot, beside the pictures left alone."""
    found = [dict(row) for row in rows("cyclegan")]
    left = [{"case": ALONE, "off": row["alone"], "on": row["alone"]} for row in found[:1]]
    return dots(found + left, PUBLISHED, "Distance from the truth on held-out people")

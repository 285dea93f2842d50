"""Recipes of the same data at equal processor time, beside the plain DCGAN.

Each recipe keeps its settings, except for the number of steps: as many as fit into the same
processor time, so that its schedule and its growing come to their end. A fifth of the data is set
aside: features of a classifier, trained on the other four fifths, are compared with its features of
this fifth.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from benchmarks.machine import processor
from benchmarks.quality import jobs
from benchmarks.quality.pictures import dots
from minigan import data, metrics
from minigan.recipes import get
from minigan.runs.assembly import Assembly, assemble

SECONDS = 120.0
"""Processor time for all."""
SAMPLES = 2_000
TRIAL, WARM = 48, 3
"""Steps of a short run, from its first to its last stage, by which the number that fits is
estimated; the first of them aren't counted.
"""
CASES: dict[str, dict[str, dict[str, Any]]] = {
    "digits": {"digits": {}, "infogan": {}, "r3gan": {}, "sagan": {}, "ssgan-digits": {}},
    "avatars": {"dcgan": {"image_size": 16}, "progressive": {}, "stylegan": {}},
}
"""Data -> recipe -> changed settings, the plain one first."""
PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "lenet_fd": ("Frechet classifier distance (LeNet-FD, not FID)", {}),
    "precision": ("precision (k=5)", {}),
    "recall": ("recall (k=5)", {}),
}
"""Column -> label, and published means: there are none."""


def called(name: str, recipe: str) -> str:
    """Return what a recipe on some data is called in the table."""
    return f"{name}: {recipe}"


def run(seeds: Sequence[int], only: str, budget: float, say: Callable[[str], None] = print) -> None:
    """Do what is missing until the budget (seconds) is spent."""
    deadline = time.monotonic() + budget
    done = {(row["case"], row["seed"]) for row in jobs.rows("minutes")}
    for seed in seeds:
        for name, recipes in CASES.items():
            train, test = metrics.split(data.load(name))
            classifier = metrics.classifier_for(train, test)
            for recipe, changes in recipes.items():
                case = called(name, recipe)
                if only not in case or (case, str(seed)) in done:
                    continue
                if time.monotonic() > deadline:
                    say("minutes: the budget is spent; call again to go on.")
                    return
                row = {"case": case, "seed": seed} | _trained(recipe, changes, seed, train)
                features = classifier.features(row.pop("samples"))
                row |= _scores(features, classifier.features(train), classifier.features(test))
                jobs.append("minutes", row | {"cores": os.cpu_count(), "processor": processor()})
                say(f"minutes: {row}")


def _trained(name: str, changes: dict[str, Any], seed: int, train: data.Dataset) -> jobs.Row:
    """Train for `SECONDS`; return the samples, and what it took."""

    def made(**more: Any) -> Assembly:
        settings = get(name).settings.changed(**changes, **more)
        return assemble(get(name).fitted(settings), settings, train, seed=seed)

    trial = made(steps=TRIAL).trainer
    each = [_seconds(trial.train_step) for _ in range(TRIAL)][WARM:]
    steps = max(round(SECONDS / statistics.mean(each)), 1)
    trainer = made(steps=steps).trainer
    spent = sum(_seconds(trainer.train_step) for _ in range(steps))
    game: Any = trainer.game
    z = game.inputs(SAMPLES, numpy.random.default_rng([seed, 1]))
    classes = get(name).classes
    samples = numpy.clip(
        game.sample(z, numpy.arange(SAMPLES) % classes if classes else None), -1, 1
    )
    return {"steps": steps, "cpu_seconds": round(spent, 1), "samples": samples}


def _seconds(step: Callable[[], Any]) -> float:
    start = time.process_time()
    step()
    return time.process_time() - start


def _scores(features: Any, train: Any, test: Any) -> jobs.Row:
    quality = metrics.prdc(features, test, k=5)
    return {
        "lenet_fd": round(metrics.frechet_distance(features, test), 2),
        "floor": round(metrics.frechet_distance(train, test), 2),
        "precision": round(quality.precision, 3),
        "recall": round(quality.recall, 3),
    }


def draw() -> Any:
    """Every seed a dot."""
    return dots(jobs.rows("minutes"), PUBLISHED, f"{SECONDS:.0f} s of processor time each")

"""Growing against not growing: how soon do both come to the same distance?

The recipe `progressive` as it is, and with ``growing=0``, so that all levels take part from the
first step: the same nets, data, settings and number of steps. A fifth of the faces is set aside:
features of a classifier of hair colours, trained on the other four fifths, are compared with its
features of this fifth.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from benchmarks.quality import jobs
from minigan import data, metrics
from minigan.recipes import get
from minigan.runs.assembly import assemble

SAMPLES, EVERY = 2_000, 250
"""Samples that are compared, and the steps between two measurements."""
CASES = {"growing": {}, "grown from the start": {"growing": 0.0}}


def run(
    seeds: Sequence[int], only: str, budget: float, say: Callable[[str], None] = print,
    steps: int | None = None,
) -> None:  # fmt: skip
    """Do what is missing until the budget (seconds) is spent."""
    deadline = time.monotonic() + budget
    done = {(row["case"], row["seed"]) for row in jobs.rows("growing")}
    train, test = metrics.split(data.avatars())
    classifier = metrics.classifier_for(train, test)
    reference = classifier.features(test)
    floor = metrics.frechet_distance(classifier.features(train), reference)
    say(f"{classifier}; the training images themselves have the distance {floor:.2f}")
    for seed in seeds:
        for case, changes in CASES.items():
            if only not in case or (case, str(seed)) in done:
                continue
            if time.monotonic() > deadline:
                say("growing: the budget is spent; call again to go on.")
                return
            changed = changes | ({"steps": steps} if steps else {})
            for row in _curve(changed, seed, train, classifier, reference):
                row = {"case": case, "seed": seed} | row | {"floor": round(floor, 2)}
                jobs.append("growing", row | {"cores": os.cpu_count()})
            say(f"growing: {row}")


def _curve(
    changes: dict[str, Any], seed: int, train: data.Dataset, classifier: Any, reference: Any
) -> list[jobs.Row]:
    recipe = get("progressive")
    settings = recipe.settings.changed(**changes)
    recipe = recipe.fitted(settings)
    trainer = assemble(recipe, settings, train, seed=seed).trainer
    z = recipe.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    rows: list[jobs.Row] = []
    spent, start = 0.0, time.process_time()
    while trainer.step < settings.steps:
        trainer.train_step()
        if trainer.step % EVERY and trainer.step < settings.steps:
            continue
        spent += time.process_time() - start
        features = classifier.features(numpy.clip(trainer.game.sample(z), -1, 1))
        distance = metrics.frechet_distance(features, reference)
        rows.append(
            {"steps": trainer.step, "cpu_seconds": round(spent, 1), "lenet_fd": round(distance, 2)}
        )
        start = time.process_time()
    return rows


def table() -> str:
    """Return the processor seconds until each distance is reached for good; Markdown."""
    found = jobs.rows("growing")
    marks = (3000, 1500, 1000, 750)
    heads = " | ".join(f"{mark}" for mark in marks)
    lines = [
        f"| seconds to LeNet-FD | seed | {heads} | at the end |",
        "|-" * (len(marks) + 3) + "|",
    ]
    for case, seed in dict.fromkeys((row["case"], row["seed"]) for row in found):
        own = [row for row in found if (row["case"], row["seed"]) == (case, seed)]
        cells = [_reached(own, mark) for mark in marks]
        lines.append(f"| {case} | {seed} | {' | '.join(cells)} | {own[-1]['lenet_fd']} |")
    return "\n".join(lines)


def _reached(rows: list[dict[str, str]], mark: float) -> str:
    below = [float(row["lenet_fd"]) <= mark for row in rows]
    stays = next((i for i in range(len(rows)) if all(below[i:])), None)
    return "-" if stays is None else rows[stays]["cpu_seconds"]


def draw() -> Any:
    """Return the distance against processor time, a curve for each seed."""
    from minigan.plots.style import COLOURS, new_figure, styled

    found = jobs.rows("growing")
    with styled():
        figure = new_figure(width=8.0, height=5.0, layout="constrained")
        axes = figure.subplots()
        for case, colour in zip(CASES, COLOURS.values(), strict=False):
            for seed in sorted({row["seed"] for row in found if row["case"] == case}):
                own = [row for row in found if (row["case"], row["seed"]) == (case, seed)]
                axes.plot(
                    [float(row["cpu_seconds"]) for row in own],
                    [float(row["lenet_fd"]) for row in own],
                    color=colour, label=f"{case}, seed {seed}", linewidth=1.4,
                )  # fmt: skip
        if found:
            axes.axhline(float(found[0]["floor"]), color="#666666", linestyle=":")
        axes.set(
            yscale="log", xlabel="processor seconds",
            ylabel="Fréchet classifier distance (LeNet-FD, not FID)",
            title="Faces (dotted: the training images themselves)",
        )  # fmt: skip
        axes.legend(frameon=False)
    return figure

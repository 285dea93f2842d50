"""All objectives at equal compute on the embedded digits: distance, density and coverage against
processor seconds.

The same two small nets for everybody (`minigan.recipes.nets`), Adam (0.5, 0.999) with 1e-3 for G
and 5e-4 for D unless `CASES` says otherwise, an average of G's weights, and the same processor time
for all. A fifth of the digits is set aside: features of a classifier of the other four fifths are
compared with its features of this fifth.
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

MARKS = (2.0, 5.0, 10.0, 15.0, 20.0, 30.0)
"""Processor seconds at which all are measured."""
SAMPLES = 2_000
CASES: dict[str, dict[str, Any]] = {
    "saturating": {"objective": "saturating"},
    "non-saturating": {"objective": "non-saturating"},
    "least squares": {"objective": "least-squares"},
    "hinge": {"objective": "hinge"},
    "relativistic": {"objective": "relativistic"},
    "Wasserstein, clipped weights": {
        "objective": "wasserstein",
        "penalties": ("clip-weights:0.01",),
        "optimizer": "rmsprop",
        "lr_generator": 5e-4,
        "lr_discriminator": 5e-4,
        "discriminator_steps": 5,
    },
    "Wasserstein, gradient penalty": {
        "objective": "wasserstein",
        "penalties": ("gradient-penalty:10",),
        "beta2": 0.9,
        "lr_generator": 5e-4,
        "lr_discriminator": 5e-4,
        "discriminator_steps": 5,
    },
    "hinge, spectral norm": {
        "objective": "hinge",
        "penalties": ("spectral-norm",),
        "lr_discriminator": 1e-3,
    },
    "non-saturating, R1": {"penalties": ("r1:1",), "lr_discriminator": 1e-3},
    "non-saturating, DRAGAN": {"penalties": ("dragan:10",)},
    "non-saturating, VAT": {"penalties": ("vat:1",)},
    "relativistic, R1 and R2": {
        "objective": "relativistic",
        "penalties": ("r1:1", "r2:1"),
        "lr_discriminator": 1e-3,
    },
}


def run(seeds: Sequence[int], only: str, budget: float, say: Callable[[str], None] = print) -> None:
    """Do what is missing until the budget (seconds) is spent."""
    deadline = time.monotonic() + budget
    done = {(row["case"], row["seed"]) for row in jobs.rows("objectives")}
    train, test = metrics.split(data.digits())
    classifier = metrics.classifier_for(train, test)
    reference = classifier.features(test)
    floor = metrics.frechet_distance(classifier.features(train), reference)
    say(f"{classifier}; the training images themselves have the distance {floor:.2f}")
    for seed in seeds:
        for case, changes in CASES.items():
            if only not in case or (case, str(seed)) in done:
                continue
            if time.monotonic() > deadline:
                say("objectives: the budget is spent; call again to go on.")
                return
            for row in _curve(case, changes, seed, train, classifier, reference):
                jobs.append("objectives", row | {"floor": round(floor, 2)})
            say(f"objectives: {row}")


def _curve(
    case: str,
    changes: dict[str, Any],
    seed: int,
    train: data.Dataset,
    classifier: Any,
    reference: Any,
) -> list[jobs.Row]:
    recipe = get("lsgan")
    settings = recipe.settings.changed(**({"objective": "non-saturating"} | changes))
    trainer = assemble(recipe, settings, train, seed=seed).trainer
    z = recipe.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    rows: list[jobs.Row] = []
    spent, start = 0.0, time.process_time()
    for mark in MARKS:
        while spent + time.process_time() - start < mark:
            trainer.train_step()
        spent += time.process_time() - start
        features = classifier.features(trainer.game.sample(z))
        quality = metrics.prdc(features, reference, k=5)
        rows.append(
            {
                "case": case,
                "seed": seed,
                "cpu_seconds": round(spent, 1),
                "rounds": trainer.step,
                "lenet_fd": round(metrics.frechet_distance(features, reference), 2),
                "density": round(quality.density, 3),
                "coverage": round(quality.coverage, 3),
                "cores": os.cpu_count(),
            }
        )
        start = time.process_time()
    return rows


def draw() -> Any:
    """Quality against processor time, a curve for each case: the mean over seeds."""
    from minigan.plots.style import new_figure, styled

    table = jobs.rows("objectives")
    with styled():
        figure = new_figure(width=10.0, height=6.0, layout="constrained")
        axes = figure.subplots()
        for index, case in enumerate(CASES):
            own = [row for row in table if row["case"] == case]
            if not own:
                continue
            seeds = sorted({row["seed"] for row in own})
            curves = [
                [(float(r["cpu_seconds"]), float(r["lenet_fd"])) for r in own if r["seed"] == s]
                for s in seeds
            ]
            seconds, distance = numpy.mean(curves, axis=0).T
            axes.plot(
                seconds,
                distance,
                label=case,
                marker="osD^v<>ph*Xd"[index],
                markersize=5,
                linewidth=1.3,
                color=f"C{index % 10}",
                linestyle="-" if index < 6 else "--",
            )
        if table:
            axes.axhline(float(table[0]["floor"]), color="#666666", linestyle=":", linewidth=1.2)
            axes.annotate(
                "training images themselves",
                (0.01, float(table[0]["floor"])),
                fontsize=10,
                va="bottom",
                xycoords=("axes fraction", "data"),
                color="#666666",
            )
        axes.set(
            yscale="log",
            xlabel="processor seconds",
            ylabel="Fréchet classifier distance (LeNet-FD, not FID)",
            title=f"Digits, equal nets, {len({r['seed'] for r in table})} seed(s)",
        )
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure

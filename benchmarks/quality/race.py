"""The race of objectives on MNIST: is there a difference beyond seeds and budget?

Lucic et al. ("Are GANs created equal?", NeurIPS 2018) found none, once every loss has its own
hyper-parameters and enough computation. Here each case of `benchmarks.quality.objectives` first
has its rates chosen by the same small search (`FACTORS`, on `SEARCH_SEED`, which is never
reported), and then trains from each seed for the same processor time. Nets: those of the recipe
`mnist-dcgan` at half its width, D without normalisation. Needs the files of MNIST: set
``MINIGAN_DATA`` to their folder, or let them be downloaded. A training that is cut goes on where it
stopped.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy

from benchmarks.machine import processor
from benchmarks.quality import jobs
from benchmarks.quality.objectives import CASES
from minigan import data, gan, metrics, nn
from minigan.recipes import nets
from minigan.recipes.recipe import Recipe, Settings
from minigan.runs.assembly import assemble

SECONDS, SEARCH_SECONDS = 300.0, 60.0
"""Processor seconds of a race, and of each try of the search."""
FACTORS = (0.25, 1.0, 4.0, 16.0)
"""By which both learning rates of a case are multiplied in the search."""
SEARCH_SEED, SAMPLES = 1_000, 5_000
BASE = Settings(steps=1, lr_generator=1e-3, lr_discriminator=5e-4, average=0.995)
FAR = 5.0
"""Median distances from the median, on a logarithmic scale, beyond which it doesn't matter how far."""
SEARCH, RACE = "race-search", "race"
"""The tables."""


def networks(rng: numpy.random.Generator, noise: Any) -> tuple[nn.Layer, nn.Layer]:
    """A DCGAN of 64-32 channels, and D of 32-64 channels without normalisation."""
    generator = nets.dcgan_generator(rng, inputs=64, side=7, width=64)
    discriminator = nn.Sequential(
        nn.Conv2d(1, 32, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(7 * 7 * 64, 1, rng=rng),
    )  # fmt: skip
    return nets.drawn(generator, discriminator, rng)


def run(seeds: Sequence[int], only: str, budget: float, say: Callable[[str], None] = print) -> None:
    """Search, then race; what is missing until the budget (seconds) is spent.

    `only` is the name of one case, or a part of several names.
    """
    if SEARCH_SEED in seeds:
        raise SystemExit(f"The seed {SEARCH_SEED} chooses the rates; give others.")
    deadline = time.monotonic() + budget
    cases = [only] if only in CASES else [case for case in CASES if only in case]
    tries = [(SEARCH, case, SEARCH_SEED, f, SEARCH_SECONDS) for case in cases for f in FACTORS]
    if not all(_do(*one, deadline, say) for one in tries):
        return
    races = [(RACE, case, seed, best(case), SECONDS) for seed in seeds for case in cases]
    all(_do(*one, deadline, say) for one in races)


def best(case: str) -> float:
    """Return the factor of the smallest distance in the search."""
    found = [row for row in jobs.rows(SEARCH) if row["case"] == case]
    return float(min(found, key=lambda row: float(row["lenet_fd"]))["factor"])


def _do(
    table: str, case: str, seed: int, factor: float, seconds: float, deadline: float,
    say: Callable[[str], None],
) -> bool:  # fmt: skip
    """Train once, unless there is a row of it; return whether there is one then."""
    known = [(row["case"], row["seed"], float(row["factor"])) for row in jobs.rows(table)]
    if (case, str(seed), factor) in known:
        return True
    trainer = build(CASES[case], seed, factor)
    waiting = jobs.Unfinished(f"{table}-{case}-{seed}-{factor}")
    spent = _train(trainer, waiting, seconds, deadline)
    if spent is None:
        say(f"{table}: the budget is spent within {case}, seed {seed}; call again to go on.")
        return False
    row = {"case": case, "seed": seed, "factor": factor, "rounds": trainer.step} | spent
    jobs.append(table, row | measure(trainer, seed) | {"cores": os.cpu_count()})
    waiting.forget()
    say(f"{table}: {jobs.rows(table)[-1]}")
    return True


def build(changes: dict[str, Any], seed: int, factor: float) -> gan.Trainer:
    """Return a trainer of one case, its rates multiplied."""
    settings = BASE.changed(**changes)
    settings = replace(
        settings,
        lr_generator=factor * settings.lr_generator,
        lr_discriminator=factor * settings.lr_discriminator,
    )
    recipe = Recipe(
        name="race", title="the race", source="", data="mnist", sample_shape=(28, 28, 1),
        latent=gan.Latent(64), networks=networks, settings=settings, duration="",
    )  # fmt: skip
    return assemble(recipe, settings, _split()[0], seed=seed).trainer


def _train(
    trainer: gan.Trainer, waiting: jobs.Unfinished, seconds: float, deadline: float
) -> jobs.Row | None:
    """Train for so many processor seconds; None, and a file to go on from, if that isn't done."""
    passed = waiting.resume(trainer)
    while (spent := passed.so_far())["seconds"] < seconds:
        if waiting.save_if_due(trainer, passed, deadline):
            return None
        trainer.train_step()
    return {"cpu_seconds": round(spent["seconds"], 1), "wall_seconds": round(spent["wall"], 1),
            "processor": processor()}  # fmt: skip


def measure(trainer: gan.Trainer, seed: int) -> jobs.Row:
    """Distance, density and coverage of fresh samples against the test images."""
    judge, reference, floor = _judge()
    z = trainer.game.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    features = judge.features(numpy.clip(trainer.game.sample(z), -1, 1))
    quality = metrics.prdc(features, reference[:SAMPLES], k=5)
    return {
        "lenet_fd": round(metrics.frechet_distance(features, reference), 2),
        "floor": round(floor, 2),
        "density": round(quality.density, 3),
        "coverage": round(quality.coverage, 3),
    }


@cache
def _split() -> tuple[data.Dataset, data.Dataset]:
    return data.mnist(), data.mnist(split="test")


@cache
def _judge() -> tuple[metrics.Classifier, Any, float]:
    """Return the classifier, its features of the test images, and the training images' distance."""
    train, test = _split()
    judge = metrics.classifier_for(train, test)
    reference = judge.features(test)
    some = judge.features(train, numpy.random.default_rng(0).permutation(len(train))[:SAMPLES])
    return judge, reference, metrics.frechet_distance(some, reference)


# ---------------------------------------------------------------- is there any difference?


def distances() -> dict[str, list[float]]:
    """Return the distances of every case, a number for each seed."""
    found = jobs.rows(RACE)
    cases = dict.fromkeys(row["case"] for row in found)
    return {c: [float(row["lenet_fd"]) for row in found if row["case"] == c] for c in cases}


def spread_between(groups: Sequence[Any]) -> float:
    """Return how much the cases' means vary, beyond their seeds: F.

    The one-way analysis of variance's statistic; infinite if seeds make no difference at all.
    """
    means = numpy.array([numpy.mean(group) for group in groups])
    sizes = numpy.array([len(group) for group in groups])
    middle = (sizes * means).sum() / sizes.sum()
    between = (sizes * (means - middle) ** 2).sum() / max(len(groups) - 1, 1)
    within = sum(((group - numpy.mean(group)) ** 2).sum() for group in groups)
    within /= max(sum(sizes - 1), 1)
    return float("inf") if within == 0 else float(between / within)


def chance(groups: Sequence[Sequence[float]], *, draws: int = 10_000, seed: int = 0) -> float:
    """Return the share of random reassignments of the runs to cases with at least that spread.

    A permutation test of the hypothesis that the objective makes no difference, on logarithms. A
    run that diverged counts as far off and no farther (`FAR`): else it would outweigh all others.
    """
    rng = numpy.random.default_rng(seed)
    logs = numpy.log(numpy.concatenate(groups))
    middle = numpy.median(logs)
    reach = FAR * numpy.median(abs(logs - middle))
    logs = logs.clip(middle - reach, middle + reach)
    cuts = numpy.cumsum([len(group) for group in groups])[:-1]
    seen = spread_between(numpy.split(logs, cuts))
    drawn = [spread_between(numpy.split(rng.permutation(logs), cuts)) for _ in range(draws)]
    # Of equal spreads some are a little smaller for rounding.
    return (1 + sum(one >= seen * (1 - 1e-9) for one in drawn)) / (1 + draws)


def table() -> str:
    """Return medians with the range over seeds, the best first, and the test; Markdown."""
    found = distances()
    lines = ["| | seeds | rates x | LeNet-FD, median | from - to |", "|-" * 5 + "|"]
    for case, own in sorted(found.items(), key=lambda item: statistics.median(item[1])):
        lines.append(
            f"| {case} | {len(own)} | {best(case):g} | {statistics.median(own):.1f} | "
            f"{min(own):.1f} - {max(own):.1f} |"
        )
    if min(map(len, found.values()), default=0) > 1:
        share = chance([*found.values()])
        likely = f"{share:.1%}" if share >= 0.001 else "less than 0.1%"
        lines.append(f"\nWithout any difference, a spread like this is seen in {likely} of cases.")
    return "\n".join(lines)


def draw() -> Any:
    """Return a figure: every seed a dot, every median a bar, the best case on top."""
    from minigan.plots.style import new_figure, styled

    found = sorted(distances().items(), key=lambda item: -statistics.median(item[1]))
    with styled():
        figure = new_figure(width=8.0, height=5.0, layout="constrained")
        axes = figure.subplots()
        for place, (_, own) in enumerate(found):
            axes.plot(own, [place] * len(own), "o", color="C0", markersize=5)
            axes.plot([statistics.median(own)], [place], "|", color="C1", markersize=16)
        axes.set(
            xscale="log", xlabel="Fréchet classifier distance (LeNet-FD, not FID)",
            title=f"MNIST, {SECONDS:.0f} s of processor time each (bar: median)",
        )  # fmt: skip
        axes.set_yticks(range(len(found)), [case for case, _ in found])
    return figure

"""What ``minigan bench`` measures: how many images a second each recipe trains on, on this machine.

What is timed is a whole round of the game as `minigan train` plays it: drawing a batch, D's steps,
G's step, the optimizers and the average. Images are random numbers of the recipe's shape, since
what they show doesn't change how long they take; so nothing is downloaded. The first line says what
computes on the CPU: NumPy alone, or compiled loops.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy

from minigan import backend, data, recipes
from minigan.runs.assembly import assemble

WARM_UP = 2
"""Rounds before the clock starts: they make the threads, fill the caches and compile kernels."""
IMAGES = 1024
"""Size of the random data set."""


class Speed(NamedTuple):
    """How fast a recipe trains.

    Attributes
    ----------
    recipe, device
        What, and where: ``"cpu"`` or ``"cuda"``.
    ms
        Milliseconds of a round (D k times, G once): the median.
    images
        Real samples that D sees per second: batch size times k over the time of a round.
    """

    recipe: str
    device: str
    ms: float
    images: float


def run(
    names: Sequence[str] | None = None,
    *,
    seconds: float = 2.0,
    device: str = "auto",
    cuda_graph: bool = False,
) -> None:
    """Time recipes; print a table, each line as soon as it is known.

    Parameters
    ----------
    names
        Of the recipes; all of them if None.
    seconds, cuda_graph
        As for `measure`; there is a graph only on a GPU.
    device
        As for `devices`.

    Raises
    ------
    ValueError
        If there is no such recipe or device, or `seconds` is no positive number.
    """
    chosen = [recipes.get(name) for name in names or recipes.names()]
    places = devices(device)
    if "cpu" in places:
        print(f"CPU: {engine(backend.get('cpu'))}", flush=True)
    print(heading(places), flush=True)
    for recipe in chosen:
        speeds = [
            measure(recipe, place, seconds=seconds, cuda_graph=cuda_graph and place == "cuda")
            for place in places
        ]
        print(line(speeds), flush=True)
    print("images/s: real samples that D is shown per second, over whole rounds of the game")


def devices(name: str) -> tuple[str, ...]:
    """Return where to measure: ``"auto"`` is the CPU, and a GPU too if one answers.

    Raises
    ------
    ValueError
        If there is no such device here.
    """
    found = backend.resolve(name)
    return ("cpu", "cuda") if name == "auto" and found == "cuda" else (found,)


def measure(
    recipe: recipes.Recipe,
    device: str | backend.Reference,
    *,
    seconds: float,
    cuda_graph: bool = False,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time rounds of a recipe's game.

    Parameters
    ----------
    recipe
        What to train.
    device
        Where.
    seconds
        How long, about; at least one round.
    cuda_graph
        Whether to record a round into a CUDA graph and replay it.
    clock
        Tells the time in seconds.

    Raises
    ------
    ValueError
        If `seconds` is no positive number.
    """
    if not (seconds > 0 and math.isfinite(seconds)):
        raise ValueError(
            f"The time for a recipe must be a positive number of seconds, got {seconds}."
        )
    settings = recipe.settings
    trainer = assemble(
        recipe, settings, stand_in(recipe), seed=0, device=device, cuda_graph=cuda_graph
    ).trainer

    def play() -> float:
        begin = clock()
        # A device computes behind the host's back; it is done when its numbers have arrived.
        for value in trainer.train_step().values():
            backend.to_numpy(value)
        return clock() - begin

    for _ in range(WARM_UP):
        play()
    times = [play()]
    while sum(times) < seconds:
        times.append(play())
    took = float(numpy.median(times))
    where = device if isinstance(device, str) else device.device
    return Speed(
        recipe.name, where, 1e3 * took, settings.batch_size * settings.discriminator_steps / took
    )


def stand_in(recipe: recipes.Recipe) -> data.Dataset | data.Distribution:
    """Return what a recipe is timed on: its own law in the plane, or random images with random
    labels.
    """
    if not recipe.makes_images:
        return data.distribution(recipe.data)
    rng = numpy.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *recipe.sample_shape), dtype="uint8")
    return data.Dataset("random images", images, rng.integers(0, max(recipe.classes, 1), IMAGES))


# ---------------------------------------------------------------- what computes


def engine(ops: backend.Reference) -> str:
    """Return what computes on the CPU, in words, and what could be installed."""
    missing = importlib.util.find_spec("numba") is None
    return ops.describe() + "; for compiled loops install minigan[fast]" * missing


# ---------------------------------------------------------------- what is printed


def heading(places: Sequence[str]) -> str:
    """Return the first line of the table."""
    columns = "".join(f"{'ms on ' + name:>14}{'images/s':>12}" for name in places)
    return f"{'recipe':<16}{columns}" + (f"{'cuda : cpu':>12}" if len(places) > 1 else "")


def line(speeds: Sequence[Speed]) -> str:
    """Return a recipe's line; of two devices, how many times as fast the second is."""
    columns = "".join(f"{speed.ms:>14.2f}{speed.images:>12,.0f}" for speed in speeds)
    ratio = f"{speeds[1].images / speeds[0].images:>11.1f}x" if len(speeds) > 1 else ""
    return f"{speeds[0].recipe:<16}{columns}{ratio}"

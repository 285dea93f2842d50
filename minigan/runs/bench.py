"""What ``minigan bench`` measures: training speed of each recipe on this machine, in images/s.

A whole round of the game is timed, as `minigan train` plays it: drawing a batch, D's steps, G's
step, the optimizers and the average. The images are random numbers of the recipe's shape, since
their content doesn't affect the time, so nothing is downloaded. The first line of the output says
what computes on the CPU: NumPy alone, or compiled loops.
"""

from __future__ import annotations

import importlib.util
import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy

from minigan import backend, data, recipes
from minigan.recipes.translation import Translation
from minigan.runs.assembly import assemble

WARM_UP, WARM_UP_GPU = 2, 5
"""Untimed rounds at the start, which create threads, fill caches, compile kernels and record."""
IMAGES = 1024
"""Size of the random data set."""


class Speed(NamedTuple):
    """How fast a recipe trains.

    Attributes
    ----------
    recipe, device
        Name of the recipe; ``"cpu"`` or ``"cuda"``.
    ms
        Median time of a round (k steps of D, one of G) in milliseconds.
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
    cuda_graph: bool | None = None,
) -> None:
    """Time recipes and print a table, each line as soon as it is measured.

    Parameters
    ----------
    names
        Names of the recipes; None for all.
    seconds, cuda_graph
        As for `measure`; a CPU has no graph.
    device
        As for `devices`.

    Raises
    ------
    ValueError
        If there is no such recipe or device, or `seconds` isn't a positive number.
    """
    chosen = [recipes.get(name) for name in names or recipes.names()]
    places = devices(device)
    if "cpu" in places:
        print(f"CPU: {engine(backend.get('cpu'))}", flush=True)
    print(heading(places), flush=True)
    for recipe in chosen:
        speeds = [
            measure(
                recipe, place, seconds=seconds, cuda_graph=cuda_graph if place == "cuda" else False
            )
            for place in places
        ]
        print(line(speeds), flush=True)
    print("images/s: real samples that D is shown per second, over whole rounds of the game")


def devices(name: str) -> tuple[str, ...]:
    """Return the devices to measure: for ``"auto"``, the CPU and, if available, a GPU.

    Raises
    ------
    ValueError
        If the device isn't available.
    """
    found = backend.resolve(name)
    return ("cpu", "cuda") if name == "auto" and found == "cuda" else (found,)


def measure(
    recipe: recipes.Recipe,
    device: str | backend.Reference,
    *,
    seconds: float,
    cuda_graph: bool | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Time rounds of a recipe's game.

    Parameters
    ----------
    recipe
        What to train.
    device
        Where to train.
    seconds
        Approximate time to measure for; at least one round is timed.
    cuda_graph
        Whether to record a round into a CUDA graph and replay it; by default where possible.
    clock
        Returns the time in seconds.

    Raises
    ------
    ValueError
        If `seconds` isn't a positive number.
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
        # A GPU computes asynchronously; it is done when its numbers have arrived on the host.
        for value in trainer.train_step().values():
            backend.to_numpy(value)
        return clock() - begin

    for _ in range(WARM_UP_GPU if trainer.game.device.queues else WARM_UP):
        play()
    times = [play()]
    while sum(times) < seconds:
        times.append(play())
    took = float(numpy.median(times))
    where = device if isinstance(device, str) else device.device
    return Speed(
        recipe.name, where, 1e3 * took, settings.batch_size * settings.discriminator_steps / took
    )


def stand_in(recipe: recipes.Recipe) -> data.Dataset | data.Distribution | data.Pairs | data.Text:
    """Return the data for timing a recipe: its own points or text, or random images, sounds or
    films with labels.
    """
    if recipe.makes_text:
        return data.text(recipe.data)
    if not recipe.makes_images:
        return data.distribution(recipe.data)
    rng = numpy.random.default_rng(0)
    images = rng.integers(0, 256, (IMAGES, *recipe.sample_shape), dtype="uint8")
    labels = rng.integers(0, max(recipe.classes, 1), IMAGES)
    kind = {2: data.Sounds, 4: data.Films}.get(len(recipe.sample_shape))
    if kind is not None:
        return kind("random numbers", (images / 127.5 - 1).astype("float32"), labels)
    found = data.Dataset("random images", images, labels)
    if not isinstance(recipe, Translation):
        return found
    inputs = rng.integers(0, 256, (IMAGES, *recipe.input_shape), dtype="uint8")
    return data.Pairs(data.Dataset("random inputs", inputs), found, aligned=recipe.aligned)


# ---------------------------------------------------------------- what computes


def engine(ops: backend.Reference) -> str:
    """Describe what computes on the CPU, and say what could be installed."""
    missing = importlib.util.find_spec("numba") is None
    return ops.describe() + "; for compiled loops install minigan[fast]" * missing


# ---------------------------------------------------------------- what is printed


def heading(places: Sequence[str]) -> str:
    """Return the first line of the table."""
    columns = "".join(f"{'ms on ' + name:>14}{'images/s':>12}" for name in places)
    return f"{'recipe':<16}{columns}" + (f"{'cuda : cpu':>12}" if len(places) > 1 else "")


def line(speeds: Sequence[Speed]) -> str:
    """Return the line of a recipe; for two devices, with the speed ratio."""
    columns = "".join(f"{speed.ms:>14.2f}{speed.images:>12,.0f}" for speed in speeds)
    ratio = f"{speeds[1].images / speeds[0].images:>11.1f}x" if len(speeds) > 1 else ""
    return f"{speeds[0].recipe:<16}{columns}{ratio}"

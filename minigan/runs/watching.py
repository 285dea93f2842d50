"""The callbacks of a run: what is written and how often, and which checkpoint is the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from minigan import gan
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.gan.callbacks import TensorBoard
from minigan.recipes import Recipe
from minigan.recipes.recipe import kind_of
from minigan.runs import drawing
from minigan.runs.assembly import Assembly
from minigan.runs.folder import CHECKPOINTS, METRICS, Config
from minigan.runs.live import Live, in_notebook

NO_BEST = "none"
"""What `choose_watching` takes for no measure, where there was one before."""
FRAMES = 50
"""Approximate number of frames in the animation."""


def choose_watching(before: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """Choose what to write and how often: as given, else as before, else the default; see `Config`.

    Raises
    ------
    ValueError
        If a number is too small.
    """
    default = {
        "checkpoint_every": None,
        "keep": 3,
        "frames": FRAMES,
        "best": None,
        "tensorboard": False,
    }
    chosen = (
        default | dict(before) | {name: value for name, value in given.items() if value is not None}
    )
    chosen["best"] = None if chosen["best"] == NO_BEST else chosen["best"]
    for name, least in (("checkpoint_every", 1), ("keep", 1), ("frames", 0)):
        value = chosen[name]
        if value is None:
            continue
        if not is_whole(value) or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")
        chosen[name] = int(value)
    return chosen


def require_watchable(assembly: Assembly, watched: Mapping[str, Any]) -> None:
    """Check that a run can be watched as chosen, before it begins rather than after.

    Raises
    ------
    ValueError
        If there is no such measure, or tensorboardX is missing.
    """
    if watched["tensorboard"]:
        TensorBoard("")
    measure(assembly, watched["best"])


def as_callbacks(found: Any, what: str) -> list[gan.Callback]:
    """Return callbacks as a list.

    Parameters
    ----------
    found
        What is given as such.
    what
        What it is given for, in words.

    Raises
    ------
    TypeError
        If one of them doesn't have the methods of `minigan.gan.Callback`, or there is no list.
    """
    methods = [name for name in vars(gan.Callback) if not name.startswith("_")]
    listed: list[Any] = list(found) if isinstance(found, Iterable) else [None]
    for each in listed:
        has_all = all(callable(getattr(each, name, None)) for name in methods)
        if isinstance(each, type) or not has_all:
            raise TypeError(
                f"The {what} must be a list of objects of classes derived from gan.Callback, got "
                f"{kind_of(found)}."
            )
    return listed


def watchers(
    folder: Path, assembly: Assembly, config: Config, *, film: gan.Callback | None, progress: bool,
    say: Callable[[str], None], more: Sequence[gan.Callback],
) -> list[gan.Callback]:  # fmt: skip
    """Return the callbacks of a run in the order in which they are called.

    Those that may stop the run come first. Checkpoints are saved after everything else is written,
    so that the files that belong to a checkpoint exist.
    """
    steps = assembly.settings.steps
    saver, row = _saver(folder, assembly, config), max(steps // 1000, 1)
    bar: gan.Callback | None = None
    if progress:
        bar = Live(folder, assembly) if in_notebook() else gan.Progress(steps)
    gauge_every = 5 * row * assembly.recipe.passes
    table = gan.MetricsFile(
        folder / METRICS, every=row, gauges=assembly.gauges, gauge_every=gauge_every, say=say
    )
    board = _board(folder, assembly, row) if config.watching["tensorboard"] else None
    guard = gan.Guard(lambda: next(reversed(gan.list_checkpoints(saver.folder)), None))
    doctor = _doctor(folder, config, steps, bar.say if isinstance(bar, gan.Progress) else say)
    if board is not None:
        saver.before_saving = board.flush
    everybody = [guard, table, film, board, *more, saver, bar, doctor]
    return [watcher for watcher in everybody if watcher is not None]


def _saver(folder: Path, assembly: Assembly, config: Config) -> gan.Checkpoints:
    return gan.Checkpoints(
        folder / CHECKPOINTS,
        every=config.watching["checkpoint_every"] or max(assembly.settings.steps // 10, 1),
        keep=config.watching["keep"],
        about=asdict(config),
        best=measure(assembly, config.watching["best"]),
        relies_on=[folder / METRICS],
        last=assembly.settings.steps,
    )


def _board(folder: Path, assembly: Assembly, every: int) -> TensorBoard:
    draw_every = max(assembly.settings.steps // 20, 1)
    return TensorBoard(
        folder / "tensorboard", every=every, draw=assembly.draw_frame, draw_every=draw_every
    )


def _doctor(folder: Path, config: Config, steps: int, say: Callable[[str], None]) -> gan.Watcher:
    from minigan.plots import read_metrics

    return gan.Watcher(
        lambda: read_metrics(folder / METRICS),
        every=max(steps // 20, 1),
        start=max(steps // 5, gan.EARLIEST),
        objective=config.settings["objective"],
        smoothing=config.settings["smoothing"],
        say=say,
    )


# ---------------------------------------------------------------- which checkpoint is the best


def measure(assembly: Assembly, name: str | None) -> gan.Measure | None:
    """Return the measure of this name for ``--best``, on samples from the fixed latents.

    ``sliced-wasserstein`` is the distance to real samples (for images, of their patches);
    ``high-quality`` is the share of samples near a mode, for distributions with known modes;
    ``divergence``, for text, is that of the 3-grams. None is returned for None.

    Raises
    ------
    ValueError
        If there is no such measure for the data.
    """
    if name is None:
        return None
    known = {measure.name: measure for measure in _measures(assembly)}
    if name not in known:
        raise ValueError(
            f"There is no measure {name!r} for the recipe {assembly.recipe.name!r}; use "
            f"{' or '.join(known) or _why_none(assembly.recipe)}."
        )
    return known[name]


def _why_none(recipe: Recipe) -> str:
    if recipe.makes != "images":
        return f"none: {recipe.makes} have no measure"
    return "none: its images are smaller than 16 pixels"


def _measures(assembly: Assembly) -> list[gan.Measure]:
    law, z = assembly.samples, assembly.fixed
    if assembly.recipe.makes_text:
        return _measures_of_text(law, z)
    if not assembly.recipe.makes_images:
        return _measures_of_points(law, z)
    if assembly.recipe.makes == "images" and min(assembly.recipe.sample_shape[:2]) >= 16:
        return [_measure_of_patches(law, z, drawing.balanced(len(z), assembly.classes))]
    return []


def _measures_of_text(text: Any, z: Any) -> list[gan.Measure]:
    from minigan import metrics

    real = metrics.ngrams(text.codes, 3)

    def distance(trainer: gan.Trainer) -> float:
        codes = trainer.game.sample(z).argmax(axis=-1)
        found = metrics.ngrams(codes, 3)
        return metrics.js_divergence(found, real) if found else 1.0

    return [gan.Measure("divergence", distance, larger_is_better=False)]


def _measures_of_points(law: Any, z: Any) -> list[gan.Measure]:
    from minigan import metrics

    real = law.sample(2000, numpy.random.default_rng(0))

    def distance(trainer: gan.Trainer) -> float:
        fake = trainer.game.sample(z)
        return metrics.sliced_wasserstein(
            fake, real, rng=numpy.random.default_rng(0), directions=128
        )

    found = [gan.Measure("sliced-wasserstein", distance, larger_is_better=False)]
    centres, std = getattr(law, "centres", None), getattr(law, "std", None)
    if centres is not None and std:

        def share(trainer: gan.Trainer) -> float:
            return metrics.mode_report(trainer.game.sample(z), centres, std).high_quality

        found.append(gan.Measure("high-quality", share, larger_is_better=True))
    return found


def _measure_of_patches(images: Any, z: Any, labels: Array | None) -> gan.Measure:
    from minigan import metrics

    real = images.sample(min(512, len(images)), numpy.random.default_rng(0))

    def distance(trainer: gan.Trainer) -> float:
        fake = trainer.game.sample(z, labels)
        return metrics.patch_distance(
            fake, real, rng=numpy.random.default_rng(0), directions=128
        ).average

    return gan.Measure("sliced-wasserstein", distance, larger_is_better=False)

"""Checkpoints: the states that a run can be resumed from, and the best one so far."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigan import checkpoint
from minigan.backend import Array
from minigan.files import insist, reach_disk, remove_leftovers
from minigan.gan.callbacks import intervals
from minigan.gan.trainer import Callback, Report, Trainer


class Checkpoints(Callback):
    """Saves the whole state after the first step, every `every` steps, and at the end.

    Parameters
    ----------
    folder
        Where to save; created if it doesn't exist.
    every
        Steps between checkpoints.
    keep
        How many of the newest checkpoints to keep.
    about
        What else to write into each (recipe, settings, versions), JSON-serialisable.
    best
        The measure by which to keep the best checkpoint so far, as ``best.safetensors``; None
        keeps none.
    relies_on
        Files that a resumed run continues, such as ``metrics.csv``: they reach the disk before a
        checkpoint does, so that a power failure can't leave it without them.
    last
        The run's last step, at which it is measured, too.

    Attributes
    ----------
    before_saving
        Called before each checkpoint, if it isn't None.
    """

    before_saving: Callable[[], None] | None = None

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every: int,
        keep: int = 3,
        about: dict[str, Any] | None = None,
        best: Measure | None = None,
        relies_on: Sequence[Path] = (),
        last: int | None = None,
    ) -> None:
        self.folder, self.about = Path(folder), about or {}
        self.every = intervals.checked("steps between checkpoints", every)
        self.keep = intervals.checked("checkpoints to keep", keep)
        self.best, self.relies_on, self.last = best, relies_on, last
        self._saved = -1

    def on_start(self, trainer: Trainer) -> None:
        """Remove files that a killed process left half written, and checkpoints beyond `keep`."""
        self.folder.mkdir(exist_ok=True)
        remove_leftovers(self.folder)
        self._drop_old(trainer)

    def due(self, step: int) -> bool:
        """Return whether to save at this step; other callbacks then see its losses first."""
        return step == 1 or step % self.every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Save if it is due."""
        if self.due(trainer.step):
            self.save(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Save the last state."""
        if self._saved != trainer.step:
            self.save(trainer)

    def save(self, trainer: Trainer) -> Path:
        """Save now, then delete all but the newest `keep`."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step-{trainer.step:08d}.safetensors"
        if self.before_saving is not None:
            self.before_saving()
        arrays, meta = trainer.state()
        for file in self.relies_on:
            reach_disk(file)
        whole = self.about | {"trainer": meta}
        if self.best is not None and (self.due(trainer.step) or trainer.step == self.last):
            # Saved before the ordinary checkpoint: if the process is killed between the two, the
            # resumed run compares this step again.
            self._save_best(trainer, self.best, arrays, whole)
        checkpoint.save(path, arrays, whole)
        self._saved = trainer.step
        self._drop_old(trainer)
        return path

    def _drop_old(self, trainer: Trainer) -> None:
        # Checkpoints of later steps exist only if they couldn't be read; they don't count.
        past = [
            path
            for path in list_checkpoints(self.folder)
            if intervals.step_of(path) <= trainer.step
        ]
        for old in past[: -self.keep]:
            with suppress(PermissionError):  # somebody reads it: it goes the next time
                insist(functools.partial(old.unlink, missing_ok=True))

    def _save_best(
        self, trainer: Trainer, measure: Measure, arrays: dict[str, Array], whole: dict[str, Any]
    ) -> None:
        value = float(measure.of(trainer))
        path = self.folder / "best.safetensors"
        so_far = _best_so_far(path, measure.name)
        better = so_far is None or (value > so_far if measure.larger_is_better else value < so_far)
        if better and math.isfinite(value):
            checkpoint.save(
                path, arrays, whole | {"best": {"metric": measure.name, "value": value}}
            )


@dataclass(frozen=True)
class Measure:
    """A single number that says how good a run is at the moment.

    Attributes
    ----------
    name
        Its name on the command line.
    of
        ``trainer -> number``. It must not draw from the run's random generators.
    larger_is_better
        Whether larger values are better.
    """

    name: str
    of: Callable[[Trainer], float]
    larger_is_better: bool


def _best_so_far(path: Path, metric: str) -> float | None:
    """Return the value of the best checkpoint so far; None if there is none by this metric."""
    try:
        best = dict(checkpoint.load(path)[1]["best"])
        return float(best["value"]) if best["metric"] == metric else None
    except (ValueError, KeyError, TypeError):  # none, damaged, or not one that minigan kept
        return None


def list_checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(
        (path for path in Path(folder).glob("step-*.safetensors") if intervals.step_of(path) >= 0),
        key=intervals.step_of,
    )

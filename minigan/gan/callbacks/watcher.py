"""The diagnosis of a run in progress."""

from __future__ import annotations

from collections.abc import Callable

from minigan.gan.callbacks import intervals
from minigan.gan.diagnosis import EARLIEST, Table, diagnose
from minigan.gan.trainer import Callback, Report, Trainer


class Watcher(Callback):
    """Diagnoses ``metrics.csv`` at intervals during a run, and reports each finding once.

    Parameters
    ----------
    read
        Returns the table so far, see `minigan.plots.read_metrics`.
    every
        Steps between diagnoses.
    say
        Called with each finding, in words.
    objective, smoothing
        As for `diagnose`.
    start
        The first step to diagnose: before, a run that has only just begun may look unhealthy.
    """

    def __init__(
        self,
        read: Callable[[], Table],
        *,
        every: int,
        say: Callable[[str], None],
        objective: str,
        smoothing: float = 0.0,
        start: int = EARLIEST,
    ) -> None:
        self.read, self.say, self.start = read, say, start
        self.every = intervals.checked("steps between diagnoses", every)
        self.objective, self.smoothing = objective, smoothing
        self._said: set[str] = set()

    def due(self, step: int) -> bool:
        """Return whether a diagnosis is due."""
        return step % self.every == 0 and step >= self.start

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Diagnose the run if it is due."""
        if not self.due(trainer.step):
            return
        try:
            found = diagnose(
                self.read(), objective=self.objective, smoothing=self.smoothing, finished=False
            )
        except (ValueError, OSError) as error:  # not a reason to end a run
            self._say_once("unreadable", f"The run can't be diagnosed: {error}")
            return
        for finding in found:
            self._say_once(finding.name, f"Step {trainer.step:,}: {finding}")

    def _say_once(self, name: str, words: str) -> None:
        if name not in self._said:
            self._said.add(name)
            self.say(words)

"""The table of a run's metrics: ``metrics.csv``."""

from __future__ import annotations

import csv
import functools
import io
import itertools
import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from minigan.files import insist, written_whole
from minigan.gan.callbacks import intervals
from minigan.gan.trainer import Callback, Report, Trainer


class MetricsFile(Callback):
    """Writes ``metrics.csv`` during the run: a row every `every` steps.

    It contains no times, so that two runs with the same seed write the same file. When a run is
    resumed, rows after the checkpoint are removed first, as they will be written again.

    Parameters
    ----------
    path
        The file.
    every
        Steps between rows; the first and the last step always have one.
    gauges
        ``trainer -> {column: number}``: additional columns, measured when a row is written. It must
        not draw from the run's random generators.
    gauge_every
        Steps between these measurements, a multiple of `every`; in the rows between, their cells
        are empty.
    say
        Called with a sentence if rows of a resumed run are lost: those of a disk that lost its
        power, or that can't be read.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, every: int = 1,
        gauges: Callable[[Trainer], dict[str, float]] | None = None, gauge_every: int = 1,
        say: Callable[[str], None] = lambda words: None,
    ) -> None:  # fmt: skip
        self.path, self.say, self.gauges = Path(path), say, gauges
        self.every = intervals.checked("steps between rows", every)
        self.gauge_every = intervals.checked("steps between measurements", gauge_every)
        self._forget()

    def _forget(self) -> None:
        self._last: Callable[[], list[str]] | None = None
        self._last_step = self._written = 0
        self._columns: list[str] = []

    def on_start(self, trainer: Trainer) -> None:
        """Remove the rows of steps that will be repeated."""
        self._forget()
        self._columns, rows = self._rows() if trainer.step else ([], [])
        if not self._columns:
            self.path.unlink(missing_ok=True)
            self._say_lost([], trainer.step)
            return
        past = [row for row in rows if int(row[0]) <= trainer.step]
        # An interruption added a row that an uninterrupted run doesn't have, unless it ends here.
        kept = [row for row in past if self._due(int(row[0]))]
        if past and past[-1] is not (kept[-1] if kept else None):
            self._last, self._last_step = past[-1].copy, int(past[-1][0])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self._columns, *kept])
        with written_whole(self.path) as temporary:
            temporary.write_text(text.getvalue(), encoding="utf-8")
        self._written = int(kept[-1][0]) if kept else 0
        self._say_lost([int(row[0]) for row in past], trainer.step)

    def due(self, step: int) -> bool:
        """Return whether gauges are measured at this step; rows without them can wait."""
        # The columns are those of the first row, which has to have all of them.
        wanted = self._is_gauged(step) or not self._columns
        return self.gauges is not None and self._due(step) and wanted

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Write the rows that are due."""
        self._write_earlier(trainer.reports[:-1])
        self._last_step = trainer.step
        self._last = lambda: self._row(trainer.step, report, self._measured(trainer))
        if self._due(trainer.step):
            self._write()

    def on_end(self, trainer: Trainer) -> None:
        """Write the last step's row."""
        self._write()

    def on_failure(self, trainer: Trainer) -> None:
        """Write the rows of earlier steps not yet written, up to the first that isn't finite."""
        good = itertools.takewhile(
            lambda r: all(map(math.isfinite, r[1].values())), trainer.reports[:-1]
        )
        self._write_earlier(good)

    def _due(self, step: int) -> bool:
        return step == 1 or step % self.every == 0

    def _rows(self) -> tuple[list[str], list[list[str]]]:
        """Return the names of the columns and the rows that are whole; none without a table."""
        if not self.path.is_file():
            return [], []
        with self.path.open(newline="", encoding="utf-8", errors="replace") as file:
            columns, *rows = [_cells(line) for line in file] or [[]]
        if columns[:1] != ["step"]:
            return [], []
        return columns, [row for row in rows if len(row) == len(columns) and _are_numbers(row)]

    def _say_lost(self, steps: list[int], now: int) -> None:
        """Say which rows a resumed run should have, but hasn't."""
        gaps = sorted(after - before for before, after in itertools.pairwise(steps))
        # Rows that were written before `every` changed may lie further apart.
        usual = max(self.every, gaps[(len(gaps) - 1) // 2] if gaps else 0)
        places = itertools.pairwise([0, *steps, (now // usual + 1) * usual])
        lost = [f"{a + 1:,} to {min(b - 1, now):,}" for a, b in places if b - a > usual]
        if lost:
            more = ", ..." if len(lost) > 3 else ""
            self.say(
                f"{self.path} has lost the rows of steps {', '.join(lost[:3])}{more}; training "
                "isn't affected, but curves have a gap there."
            )

    def _is_gauged(self, step: int) -> bool:
        return step == 1 or step % self.gauge_every == 0

    def _measured(self, trainer: Trainer) -> dict[str, float]:
        wanted = self.due(trainer.step) or not self._due(trainer.step)
        return self.gauges(trainer) if self.gauges is not None and wanted else {}

    def _row(self, step: int, report: Report, measured: dict[str, float]) -> list[str]:
        # Set before the first row is written: the first step has every column.
        self._columns = self._columns or ["step", *report, *measured]
        numbers = {name: f"{value:.9g}" for name, value in (report | measured).items()}
        return [str(step), *(numbers.get(name, "") for name in self._columns[1:])]

    def _write_earlier(self, reports: Iterable[tuple[int, Report]]) -> None:
        """Write rows of earlier steps, none of which needs gauges: it would have been `due`."""
        for step, report in reports:
            if self._due(step):
                self._last_step = step
                self._last = functools.partial(self._row, step, report, {})
                self._write()

    def _write(self) -> None:
        if self._last is None or self._last_step <= self._written:
            return
        row = self._last()
        new = not self.path.exists()
        with insist(lambda: self.path.open("a", newline="", encoding="utf-8")) as file:
            csv.writer(file, lineterminator="\n").writerows([self._columns, row] if new else [row])
        self._written = self._last_step


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:
        return []


def _are_numbers(row: list[str]) -> bool:
    """Return whether a row holds a step, then numbers, or nothing where nothing was measured."""
    try:
        for cell in filter(None, row[1:]):
            float(cell)
    except ValueError:
        return False
    return row[0].isdecimal()

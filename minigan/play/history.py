"""What a game has been through, as the doctor and the curves need it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import gan

COLUMNS = ("step", "loss_d", "loss_g", "d_real", "d_fake", "penalty")
MOST = 1000
"""Rows that are kept; when there are more, every second one is forgotten."""
GAUGE = 5
"""Every GAUGE-th row is measured, as in a run on disk."""


class History:
    """A table of the game, whose rows become sparser as it goes on.

    Attributes
    ----------
    every
        Steps between two rows.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self._rows: list[dict[str, float]] = []

    @classmethod
    def of(cls, table: Mapping[str, NDArray[Any]]) -> History:
        """Return the history of a run, from the columns of its metrics."""
        history, steps = cls(), table.get("step", numpy.empty(0))
        history._rows = [{name: float(values[i]) for name, values in table.items()
                          if not math.isnan(values[i])}
                         for i in range(len(steps)) if math.isfinite(steps[i])]  # fmt: skip
        return history

    def at(self, step: int) -> dict[str, float]:
        """Return what the last row up to a step says, without the step itself."""
        before = [row for row in self._rows if row["step"] <= step]
        return {k: v for k, v in before[-1].items() if k != "step"} if before else {}

    def due(self, step: int) -> bool:
        """Return whether a row is to be added after this step."""
        return step % self.every == 0

    def gauged(self, step: int) -> bool:
        """Return whether that row is to hold what the gauges measure, too."""
        return step % (self.every * GAUGE) == 0

    def add(self, step: int, report: Mapping[str, float], measured: Mapping[str, float]) -> None:
        """Add a row; forget every second one if there are too many."""
        self._rows.append({"step": float(step), **report, **measured})
        if len(self._rows) > MOST:
            self.every *= 2
            self._rows = [row for row in self._rows if row["step"] % self.every == 0]

    def table(self) -> dict[str, NDArray[Any]]:
        """Return the columns, NaN where nothing was measured."""
        names = list(dict.fromkeys(name for row in self._rows for name in row))
        return {n: numpy.array([row.get(n, math.nan) for row in self._rows]) for n in names}

    def curves(self) -> NDArray[Any]:
        """Return the columns of `COLUMNS` as one array, shape (rows, 6) float32."""
        rows = [[row.get(name, math.nan) for name in COLUMNS] for row in self._rows]
        return numpy.array(rows, "float32").reshape(-1, len(COLUMNS))

    def findings(self, objective: str, smoothing: float) -> list[gan.Finding]:
        """Return the doctor's findings so far."""
        if not self._rows:
            return []
        return gan.diagnose(self.table(), objective=objective, smoothing=smoothing, finished=False)

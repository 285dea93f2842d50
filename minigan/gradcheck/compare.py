"""Compare a gradient with measured slopes, entry by entry or along random directions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.gradcheck.report import ArrayReport
from minigan.gradcheck.slopes import Line, Slope, direction_mover, entry_mover, unit_direction

REDRAWS = 5
ROUGH = 2


@dataclass(frozen=True)
class Settings:
    """How a check is done; see `minigan.gradcheck.check`."""

    tolerance: float
    h: float
    samples: int | None
    directions: int | None
    rng: numpy.random.Generator

    def __post_init__(self) -> None:
        if not 0 < self.h < math.inf:
            raise ValueError(f"The step h must be > 0 and finite, got {self.h}.")
        if not 0 < self.tolerance < 1:
            raise ValueError(f"The tolerance must be > 0 and < 1, got {self.tolerance}.")
        for name in ("samples", "directions"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name} must be None or >= 1, got {count}.")

    def rough(self) -> Settings:
        """Return settings for a check that comes after a thorough one."""
        return replace(self, directions=min(self.directions or ROUGH, ROUGH))


class Comparison:
    """One array, its gradient, and the slopes measured so far.

    Parameters
    ----------
    name
        Name of the array.
    array
        Moved in place, and put back.
    gradient
        What `backward` gives, of the same shape.
    line
        Measures slopes.
    global_scale
        The largest entry of all gradients that are checked together.
    settings
        How to compare.
    """

    def __init__(
        self,
        name: str,
        array: Array,
        gradient: Array,
        line: Line,
        global_scale: float,
        settings: Settings,
    ) -> None:
        self.array, self.line, self.settings = array, line, settings
        self.gradient = numpy.asarray(backend.to_numpy(gradient), dtype="float64")
        self.largest = float(abs(self.gradient).max()) if self.gradient.size else 0.0
        self.floor = max(0.01 * self.largest, 1e-5 * global_scale)
        self.report = ArrayReport(name, tuple(array.shape))
        self.numeric: dict[tuple[int, ...], float] = {}

    def run(self) -> ArrayReport:
        """Compare; return the row for the report."""
        s = self.settings
        if s.directions is not None:
            self.compare_directions(s.directions)
            if self.report.error > s.tolerance:
                self.locate()
        else:
            self.compare_entries(self._chosen(s.samples))
            if s.samples is not None and self.gradient.size > s.samples:
                self.compare_directions(1)
        return self.report

    def compare_entries(self, indices: list[tuple[int, ...]]) -> None:
        """Move one entry at a time."""
        for index in indices:
            analytic = float(self.gradient[index])
            if not self._compare(entry_mover(self.array, index), analytic, self.floor, index):
                self.report.skipped += 1
            # Slopes seen so far may show that this array's gradient ought to be larger than it is.
            self.floor = max(self.floor, 0.01 * abs(self.numeric.get(index, 0.0)))

    def compare_directions(self, count: int) -> None:
        """Move the whole array along random unit directions, redrawn where they cross a kink."""
        n = max(self.gradient.size, 1)
        typical = math.sqrt(float((self.gradient**2).sum()) / n)
        for _ in range(count):
            for _ in range(1 + REDRAWS):
                v = unit_direction(self.gradient.shape, self.settings.rng)
                move = direction_mover(self.array, backend.of(self.array).asarray(v))
                slope = float((self.gradient * v).sum())
                if self._compare(move, slope, max(typical, self.floor / math.sqrt(n)), None):
                    break
            else:
                self.report.skipped += 1

    def locate(self) -> None:
        """After a direction has failed, find an entry that is wrong and can be named."""
        before = self.report
        self.report = ArrayReport(before.name, before.shape)
        largest = numpy.argsort(-abs(self.gradient), axis=None)[:20]
        self.compare_entries(list(dict.fromkeys([*self._unravel(largest), *self._chosen(60)])))
        found = self.report.error > self.settings.tolerance
        self.report, located = before, self.report
        if found:
            self.report.index = located.index
            self.report.analytic, self.report.numeric = located.analytic, located.numeric
            self.report.error = located.error

    def measure(self, flat: Sequence[int]) -> numpy.ndarray[Any, Any]:
        """Return the numeric gradient at some entries, by flat index; NaN where there is a kink."""
        indices = self._unravel(numpy.asarray(flat, int))
        slopes = (
            next(self.line.slopes(entry_mover(self.array, index), self.floor), None)
            for index in indices
        )
        return numpy.array([math.nan if slope is None else slope.value for slope in slopes])

    def measure_all(self, line: Line | None = None) -> numpy.ndarray[Any, Any]:
        """Return the numeric gradient, every entry; NaN where there is a kink.

        With another `line`, stop as soon as it disagrees with the gradient that is checked.
        """
        only_while_alike, line = line is not None, line or self.line
        result = numpy.full(self.gradient.shape, math.nan)
        for index in numpy.ndindex(*self.gradient.shape):
            slope = next(line.slopes(entry_mover(self.array, index), self.floor), None)
            result[index] = math.nan if slope is None else slope.value
            if only_while_alike and abs(result[index] - self.gradient[index]) > 1e-3 * self.largest:
                break
        return result

    def _compare(
        self,
        move: Callable[[float], None],
        analytic: float,
        floor: float,
        index: tuple[int, ...] | None,
    ) -> bool:
        best: tuple[float, Slope] | None = None
        for slope in self.line.slopes(move, floor):
            size = max(
                abs(analytic), abs(slope.value), floor, slope.noise / self.settings.tolerance
            )
            error = abs(analytic - slope.value) / size if size else 0.0
            if math.isnan(error):
                error = math.inf
            if best is None or error < best[0]:
                best = error, slope
            if error <= self.settings.tolerance:
                break
        if best is None:
            return False
        error, slope = best
        self.report.checked += 1
        if index is not None:
            self.numeric[index] = slope.value
        if math.isnan(self.report.error) or error > self.report.error:
            self.report.error, self.report.index = error, index
            self.report.analytic, self.report.numeric = analytic, slope.value
        return True

    def _chosen(self, samples: int | None) -> list[tuple[int, ...]]:
        size = self.gradient.size
        if samples is None or size <= samples:
            return list(numpy.ndindex(*self.gradient.shape))
        return self._unravel(self.settings.rng.choice(size, samples, replace=False))

    def _unravel(self, flat: numpy.ndarray[Any, Any]) -> list[tuple[int, ...]]:
        return [tuple(int(i) for i in numpy.unravel_index(k, self.gradient.shape)) for k in flat]


def too_many_skipped(row: ArrayReport) -> str | None:
    """Complain if most of an array couldn't be checked: it must not pass by being skipped."""
    if row.skipped <= row.checked:
        return None
    return (
        f"{row.skipped} of {row.skipped + row.checked} slopes along {row.name} could not be "
        "measured, because the function jumps or has a kink there at every step size: use an input "
        "that isn't at a kink, and look for a rounding to float32 inside forward"
    )

"""A table of metrics, each value beside its floor: as text, as CSV, as a dictionary for JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy

_BETTER = ("lower", "higher", "as the floor")


@dataclass(frozen=True)
class Row:
    """One metric.

    Attributes
    ----------
    metric
        Name of the metric.
    value
        Its value for the samples.
    floor
        Its value for equally many real data in place of the samples: what a perfect generator would
        reach.
    better
        ``"lower"``, ``"higher"`` or ``"as the floor"``.
    """

    metric: str
    value: float
    floor: float
    better: str

    def __post_init__(self) -> None:
        if self.better not in _BETTER:
            raise ValueError(f"better must be one of {_BETTER}, got {self.better!r}.")


@dataclass(frozen=True, repr=False)
class Table:
    """Metrics, and what they were measured on.

    Attributes
    ----------
    facts
        Name to value: numbers of samples, the classifier and its accuracy, ...
    rows
        The metrics, in the order in which they are shown.
    """

    facts: Mapping[str, Any]
    rows: tuple[Row, ...]

    def __getitem__(self, metric: str) -> Row:
        """Return the row of a metric; raise KeyError if there is none."""
        for row in self.rows:
            if row.metric == metric:
                return row
        raise KeyError(metric)

    def text(self) -> str:
        """Return the table as text, with the facts above it."""
        facts = [
            f"{name}: {value:,}" if isinstance(value, int) else f"{name}: {value}"
            for name, value in self.facts.items()
        ]
        cells = [("metric", "samples", "floor", "better")]
        cells += [
            (row.metric, _number(row.value), _number(row.floor), row.better) for row in self.rows
        ]
        widths = [max(len(line[i]) for line in cells) for i in range(4)]
        lines = [
            f"{metric:<{widths[0]}}  {value:>{widths[1]}}  {floor:>{widths[2]}}  {better}"
            for metric, value, floor, better in cells
        ]
        rule = "-" * max(map(len, lines))
        return "\n".join([*facts, "", lines[0], rule, *lines[1:]])

    __str__ = text

    def __repr__(self) -> str:
        return f"Table({', '.join(f'{row.metric}={_number(row.value)}' for row in self.rows)})"

    def _repr_html_(self) -> str:
        """Show the metrics as a table, in a notebook."""
        facts = "; ".join(f"{name}: {value}" for name, value in self.facts.items())
        rows = "".join(
            f"<tr><td style='text-align: left'>{escape(row.metric)}</td><td>{_number(row.value)}"
            f"</td><td>{_number(row.floor)}</td><td>{row.better}</td></tr>"
            for row in self.rows
        )
        head = "<tr><th>metric</th><th>samples</th><th>floor</th><th>better</th></tr>"
        return f"<table><caption>{escape(facts)}</caption>{head}{rows}</table>"

    def csv(self, **more: Any) -> str:
        """Return the rows as CSV with a header, numbers in full precision.

        `more` are further columns, each with one value in all rows.
        """
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["metric", "value", "floor", "better", *more])
        for row in self.rows:
            value, floor = repr(_plain(row.value)), repr(_plain(row.floor))
            writer.writerow([row.metric, value, floor, row.better, *more.values()])
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Return everything in a form that JSON can hold: non-finite numbers become None."""
        return {
            "facts": {name: _plain(fact) for name, fact in self.facts.items()},
            "rows": [
                {
                    "metric": r.metric,
                    "value": _finite(r.value),
                    "floor": _finite(r.floor),
                    "better": r.better,
                }
                for r in self.rows
            ],
        }


def _number(x: float) -> str:
    """Four significant digits, or a whole number: 7, 0.01234, 98.89, 1,234."""
    if not math.isfinite(x):
        return "infinite" if x > 0 else str(x)
    if isinstance(x, int) or abs(x) >= 1000:
        return f"{x:,.0f}"
    return f"{x:.4g}"


def _finite(x: float) -> float | None:
    return _plain(x) if math.isfinite(x) else None


def _plain(x: Any) -> Any:
    """A number of NumPy's as Python's own."""
    return x.item() if isinstance(x, numpy.generic) else x

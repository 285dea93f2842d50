"""The outcome of a gradient check, and the error that carries it."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any


@dataclass
class ArrayReport:
    """What was found for one array.

    Attributes
    ----------
    name
        ``"x"`` for the input, else the dotted name of the parameter (``"2.weight"``).
    shape
        Its shape.
    checked, skipped
        How many slopes (entries, or random directions) were compared, and how many had to be left
        out because the function has a kink there.
    error
        The worst relative error (see `minigan.gradcheck.check`); NaN if nothing could be compared.
    index
        Where the worst error is; None for a random direction.
    analytic, numeric
        The slope that `backward` gives there, and the one that finite differences give.
    cause
        The likely cause of a failure, a sentence, or None.
    where
        At which point the worst error was found, if not at the one that was given:
        ``"for inputs ten times as large"``.
    """

    name: str
    shape: tuple[int, ...]
    checked: int = 0
    skipped: int = 0
    error: float = math.nan
    index: tuple[int, ...] | None = None
    analytic: float = math.nan
    numeric: float = math.nan
    cause: str | None = None
    where: str = ""

    def sentence(self) -> str:
        """Say what is wrong: the array, the index, both numbers, the relative error."""
        where = "along a random direction" if self.index is None else f"at {list(self.index)}"
        where += f", {self.where}" if self.where else ""
        return (
            f"the gradient of {self.name} {self.shape} is wrong {where}: backward gives "
            f"{self.analytic:.9g}, finite differences give {self.numeric:.9g} "
            f"(relative error {self.error:.1e})"
        )


@dataclass(repr=False)
class Report:
    """The outcome of a gradient check; ``str(report)`` is a table.

    Attributes
    ----------
    subject
        What was checked, and how.
    tolerance
        The largest relative error that passes.
    arrays
        A row per array.
    problems
        Sentences about everything else that is wrong: `x` written to, gradients overwritten,
        shapes, NaN.
    second
        A row per array for the derivatives that `double_backward` gives, if there is one.
    notes
        Sentences about what isn't wrong but should be known, such as what couldn't be checked.
    """

    subject: str
    tolerance: float
    arrays: list[ArrayReport] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    second: list[ArrayReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[ArrayReport]:
        """All rows: first derivatives, then second ones."""
        return [*self.arrays, *self.second]

    @property
    def worst(self) -> float:
        """The worst relative error of all arrays; 0 if there are none."""
        return max((math.inf if math.isnan(a.error) else a.error for a in self.rows), default=0.0)

    @property
    def failures(self) -> list[ArrayReport]:
        """The arrays whose gradient is wrong."""
        return [a for a in self.rows if a.error > self.tolerance]

    @property
    def ok(self) -> bool:
        """Whether all gradients are right and nothing else is wrong."""
        return not (self.failures or self.problems)

    def __iter__(self) -> Iterator[ArrayReport]:
        return iter(self.arrays)

    def __getitem__(self, name: str) -> ArrayReport:
        for array in self.arrays:
            if array.name == name:
                return array
        names = ", ".join(a.name for a in self.arrays)
        raise KeyError(f"No array {name!r} was checked, but {names}.")

    def __str__(self) -> str:
        head = ("array", "shape", "checked", "skipped", "worst relative error", "")
        rows = [
            (
                a.name,
                str(a.shape),
                str(a.checked),
                str(a.skipped),
                f"{a.error:.1e}",
                self._verdict(a),
            )
            for a in self.rows
        ]
        return "\n".join(
            [
                f"Gradient check of {self.subject}",
                *(table(head, rows) if rows else []),
                *self.problems,
                *(f"Note: {note.removesuffix('.')}." for note in self.notes),
            ]
        )

    def __repr__(self) -> str:
        worst = max((a.error for a in self.arrays if not math.isnan(a.error)), default=math.nan)
        verdict = "ok" if self.ok else "WRONG"
        return f"Report({self.subject}: {verdict}, worst relative error {worst:.1e})"

    def _repr_html_(self) -> str:
        """Show the table in a notebook."""
        return f"<pre>{escape(str(self))}</pre>"

    def _verdict(self, a: ArrayReport) -> str:
        if math.isnan(a.error):
            return "not checked"
        return "WRONG" if a.error > self.tolerance else "ok"


class GradientError(AssertionError):
    """A gradient is wrong, or `forward` and `backward` break their contract.

    Attributes
    ----------
    report
        Everything that was found.
    hint
        Where to look, if that is clear.
    """

    def __init__(self, report: Report, hint: str | None = None) -> None:
        self.report, self.hint = report, hint
        lines = [f"{problem}." for problem in report.problems]
        for a in sorted(report.failures, key=lambda a: -a.error):
            lines.append(f"{a.sentence()}.")
            if a.cause:
                known = [line for line in lines if a.cause in line]
                lines.append(
                    "  likely cause: as above." if known else f"  likely cause: {a.cause}."
                )
        if hint:
            lines.append(hint)
        super().__init__("\n".join([f"{report.subject}: {lines[0]}", *lines[1:], "", str(report)]))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.report, self.hint), vars(self)


class Misconduct(Exception):
    """The file did what no layer may do: it ended its process, ran too long, or talked nonsense."""


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table: a heading, a rule, and rows, with numbers aligned right."""
    widths = [max(_columns(row[i]) for row in [head, *rows]) for i in range(len(head))]
    right = [all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    lines = [
        "  ".join(
            " " * (w - _columns(cell)) * r + cell + " " * (w - _columns(cell)) * (not r)
            for cell, w, r in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in [head, *rows]
    ]
    return [lines[0], "-" * max(map(_columns, lines)), *lines[1:]]


def _columns(text: str) -> int:
    """Return how many columns a text takes on a terminal: Chinese characters take two."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    narrow = sum(not unicodedata.combining(letter) for letter in text)
    return narrow + wide


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

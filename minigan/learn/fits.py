"""Unknown numbers: which number, put at one place of the solution, gives the same as the answer.

The usual changes of one place try the usual numbers. A label of 0.9, an eps of 0.01 inside σ or a
logarithm to another base is none of them; it is fitted here, and counts only if it explains every
case.
"""

from __future__ import annotations

import ast
import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy

from minigan.learn import slips, starter
from minigan.learn.language import Text
from minigan.learn.parts import Exercise, Given, Numbers

HOLE = f"{slips.UNKNOWN}[0]"
"""The unknown number in the changed solution."""
PLACES = ((ast.Add, 0.0), (ast.Mult, 1.0), (ast.Pow, 1.0))
"""How it may come in, and where it changes nothing."""
STEPS, MOVED = 12, 1e-4
FILLING = threading.Lock()


@dataclass(frozen=True)
class Hole:
    """A solution with an unknown number at one place.

    Attributes
    ----------
    right, wrong
        The place as it must be, and as it is with the number.
    neutral
        The number with which both are the same.
    code
        The functions.
    """

    right: str
    wrong: str
    neutral: float
    code: Any

    def outcome(self, chosen: Exercise, number: float, given: Given) -> dict[str, Numbers] | str:
        """Return what comes out with a number in it, or the exception that it ends in."""
        with FILLING:  # the hole is shared by the threads that grade a class
            getattr(self.code, slips.UNKNOWN)[0] = number
            return slips.outcome(chosen, self.code, given)

    def told(self, number: float, given: Given) -> Text:
        """Say what was found, by the name of an input that is that number."""
        same = (n for n, v in given.items() if type(v) is float and math.isclose(v, number))
        wrong = self.wrong.replace(HOLE, next(same, f"{number:.4g}"))
        return slips.told(self.right, wrong)


@cache
def holes(name: str) -> list[Hole]:
    """Return the solution of an exercise with an unknown number at each place."""
    from minigan.learn.course import exercise

    return [] if name in slips.LOOPS else list(_holes(exercise(name)))


def _holes(chosen: Exercise) -> Iterator[Hole]:
    for top, node, parents in slips.places(ast.parse(starter.solution(chosen)).body):
        if not isinstance(node, (ast.BinOp, ast.Call, ast.Constant, ast.Name)):
            continue
        for operator, neutral in PLACES:
            new = ast.BinOp(node, operator(), ast.parse(HOLE, mode="eval").body)
            for slip in slips.changed(chosen, top, node, new, parents):
                right, wrong = (str(slip.text.values[k]) for k in ("right", "wrong"))
                yield Hole(right, wrong, neutral, slip.code)


def fitted(chosen: Exercise, hole: Hole, given: Given, name: str, out: Numbers) -> float | None:
    """Return the number that gives an output in a case, None if no number does."""

    def rest(number: float) -> Any:
        found = hole.outcome(chosen, number, given)
        wrong = found.get(name) if isinstance(found, dict) else None
        fits = wrong is not None and wrong.shape == out.shape and numpy.isfinite(wrong).all()
        return wrong - out if fits and wrong is not None else None

    number, size = hole.neutral, float(abs(out).max())
    for _ in range(STEPS):
        here, there = rest(number), rest(number + MOVED)
        if here is None or there is None:
            return None
        if abs(here).max() <= 1e-9 * size:
            return None if number == hole.neutral else number
        slope = (there - here) / MOVED
        steep = float((slope * slope).sum())
        if steep == 0 or not math.isfinite(steep):
            return None
        number -= float((slope * here).sum()) / steep
        if not abs(number) < 1e6:
            return None
    return None

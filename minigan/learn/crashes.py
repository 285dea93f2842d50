"""What an exception tells about the mistake."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from minigan.learn import compare, slips
from minigan.learn.language import Text
from minigan.learn.parts import Case, Exercise
from minigan.learn.usual import Mistakes

CRASHES = (
    (
        r"matmul.*mismatch|not aligned",
        "two shapes don't fit in a product: write both down; one is often to be transposed",
    ),
    (
        r"could not be broadcast|broadcast together",
        "two shapes don't fit together: write both down, and see which axes must agree",
    ),
    (r"read-only", "an array that mustn't be written to was written to: make a new one"),
    (
        r"NameError",
        "a name that isn't known there: it is misspelt, not imported, or was known in another "
        "function alone, and must be handed on, as in a cache",
    ),
    (
        r"not enough values to unpack|too many values to unpack",
        "a shape, a cache or what a function returns has another number of parts than are taken "
        "out of it",
    ),
    (
        r"unexpected keyword|positional argument",
        "a function gets arguments that it doesn't take: compare their names and their number",
    ),
    (r"NoneType", "something is None: does each function return what the docstring asks for?"),
    (r"RecursionError", "a function calls itself without end"),
    (
        r"inhomogeneous",
        "a list of arrays of different shapes is taken for one array: go through it, one array "
        "at a time",
    ),
    (
        r"truth value of an array",
        "an `if`, `and`, `or`, `max` or `min` gets a whole array: np.where and np.maximum decide "
        "entry by entry",
    ),
    (
        r"IndexError|out of bounds",
        "an index or an axis doesn't fit the array: compare it with the shape; an index is a "
        "whole number",
    ),
    (
        r"cannot reshape|total size of new array",
        "the numbers don't fill the new shape: compare how many there are",
    ),
    (
        r"'(tuple|list)' object|(tuple|list) indices|'(tuple|list)' and",
        "a tuple or a list is used as if it were something else: x.shape is a tuple, and so is "
        "what many functions return, to be taken apart as in y, cache = forward(x)",
    ),
    (
        r"not callable",
        "what isn't a function is called like one: an entry is taken by [i], a net is asked by "
        "net.forward(x), and np.random is a module",
    ),
    (
        r"has no attribute",
        "this object has nothing of that name: compare with what the docstring gives you",
    ),
    (
        r"UFuncTypeError|same_kind",
        "numbers with fractions are written into an array of whole numbers: make a new array",
    ),
)


def of_a_crash(
    known: Mistakes, outcomes: list[dict[str, Any]], error: str, slip: Callable[[], Text | None]
) -> Text | None:
    """Say what usually causes an exception.

    Parameters
    ----------
    known
        The usual mistakes: one that ends each case in the same way is the cause.
    outcomes
        How each case ended.
    error
        The first exception.
    slip
        Finds a slip of the pen that ends in the same way.
    """
    for words, wrongs in known:
        if ends_alike(wrongs, outcomes):
            return Text(words)
    familiar = next((Text(words) for pattern, words in CRASHES if re.search(pattern, error)), None)
    return slip() or familiar


def crashed(
    exercise: Exercise, seed: int, i: int, cases: list[tuple[int, Case]], outcomes: Any
) -> Text | None:
    """Say which change of one place of the solution ends in the same exception, if one does.

    The line that fails must have it: many changes end alike.
    """
    error, line = (outcomes[i]["values"].get(name, "") for name in ("error", "code"))
    if exercise.name in slips.LOOPS:
        return None
    for slip, last in slips.played(exercise.name, seed, cases[i][0]):
        wrong = _without_spaces(str(slip.text.values.get("wrong", "")))
        if wrong.startswith("("):  # a tuple that is returned is written without
            wrong = wrong.removeprefix("(").removesuffix(")")
        if not wrong or wrong not in _without_spaces(line):
            continue
        if last == error and ends_alike(
            (slips.outcome(exercise, slip.code, case.given) for _, case in cases), outcomes
        ):
            return slip.text
    return None


def _without_spaces(code: str) -> str:
    return "".join(code.split())


def ends_alike(wrongs: Iterable[Any], outcomes: list[dict[str, Any]]) -> bool:
    """Tell whether a mistake gives the same outputs or the same exception in each case."""
    return all(
        wrong == outcome["values"].get("error", "")
        and compare.all_equal(getattr(wrong, "done", {}), outcome.get("done", {}))
        if "fault" in outcome
        else isinstance(wrong, dict) and compare.all_equal(wrong, outcome["out"])
        for wrong, outcome in zip(wrongs, outcomes, strict=True)
    )

"""What an exercise consists of; each is a module of `minigan.learn.exercises`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy

from minigan.learn.language import Text

Numbers = numpy.ndarray[Any, Any]
Given = dict[str, Any]
"""Arrays and numbers by name; what a case hands to the exercise."""


@dataclass(frozen=True)
class Case:
    """One call, or one sequence of calls.

    Attributes
    ----------
    label
        What is special about it, in words.
    given
        Arrays and numbers, by name.
    """

    label: str
    given: Given


@dataclass(frozen=True)
class Slope:
    """Says that an output is a derivative, so that finite differences can judge it.

    It is the derivative of ``Σ by · of`` with respect to the given array `wrt`, where `of` is
    another output, and `by` a given array (None for a loss, which is a number).
    """

    of: str
    by: str | None
    wrt: str


@dataclass(frozen=True)
class Output:
    """One array that the reader's code hands back.

    Attributes
    ----------
    what
        What it is, in words: ``"dw, the gradient of the weights"``.
    slope
        If it is a derivative, of what.
    part
        What is marked with points: outputs of one part are right together. The name if None.
    follows
        Another output that it is made of: what is wrong with that one is told there alone.
    wide
        Whether float64 may come out for float32 input.
    """

    what: str
    slope: Slope | None = None
    part: str | None = None
    follows: str | None = None
    wide: bool = False


@dataclass(frozen=True)
class Variant:
    """A usual mistake: functions in the place of the right ones, and the words for it.

    Attributes
    ----------
    words
        What is wrong, and what to do.
    code
        Source of functions, written like the solution, that replace those of the same names.
    """

    words: str
    code: str


Named = dict[str, Numbers]
Terms = Callable[[Any], dict[str, tuple[Named, Named]]]
"""``terms(given)``: for an output, the named terms whose sum is right, and intruders."""


@dataclass(frozen=True)
class Exercise:
    """An exercise: a file to fill in, and all that is needed to judge and explain it.

    Attributes
    ----------
    number, name
        Its place in the course, and the word it is known by; the file is ``exNN_name.py``.
    title
        A few words.
    asks
        The functions to be written, ``"Chain.forward"`` for a method.
    outputs
        What `play` returns, in the order of the report.
    cases
        Draws the calls from a generator, the smallest first; the last one is generic, with distinct
        sizes.
    play
        Calls the functions and returns the outputs; runs with the reader's code in a process of its
        own, and with the solution here. What is known early goes into ``given.done``, too.
    variants
        The usual mistakes.
    terms
        Names the terms of the right answers.
    looks
        ``looks(name, given, out)`` recognises a mistake by how an output looks, and says so.
    hints
        From a nudge to nearly the answer.
    explanation
        What to notice afterwards, in one paragraph.
    library, paper, tutorial
        Where the library does it, who published it, which tutorial derives it.
    solution
        The module that holds the answer; the file to fill in is made from it.
    """

    number: int
    name: str
    title: str
    asks: tuple[str, ...]
    outputs: Mapping[str, Output]
    cases: Callable[[numpy.random.Generator], list[Case]]
    play: Callable[[Any, Any], dict[str, Any]]
    hints: tuple[str, ...]
    explanation: str
    library: str
    paper: str
    tutorial: str
    solution: ModuleType
    variants: tuple[Variant, ...] = ()
    terms: Terms | None = None
    looks: Callable[[str, Any, Numbers], str | None] | None = None

    @property
    def stem(self) -> str:
        """The name of the file, without ``.py``."""
        return f"ex{self.number:02d}_{self.name}"

    def drawn(self, seed: int) -> list[Case]:
        """Return the cases of a seed; other seeds give other numbers."""
        return self.cases(numpy.random.default_rng([seed, self.number]))


def run(
    exercise: Exercise, code: Any, given: Given, done: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Play a case with the arrays that are given, not with copies.

    Outputs that come before an exception are left in `done`.
    """
    more = {"interlude": True, "done": {} if done is None else done}
    with numpy.errstate(all="ignore"):
        return exercise.play(code, SimpleNamespace(**(more | given)))


def answer(
    exercise: Exercise, code: Any, given: Given, done: dict[str, Any] | None = None
) -> dict[str, Numbers]:
    """Play a case with code that is trusted, on copies, and return arrays."""
    copies = {n: v.copy() if isinstance(v, numpy.ndarray) else v for n, v in given.items()}
    return {n: numpy.asarray(v) for n, v in run(exercise, code, copies, done).items()}


class Broken(Exception):
    """The code hands back what can't be taken apart; the text says what it must be.

    Attributes
    ----------
    text
        A sentence.
    """

    def __init__(self, msgid: str, **values: Any) -> None:
        self.text = Text(msgid, values)
        super().__init__(str(self.text))


def several(result: Any, names: str, who: str) -> tuple[Any, ...]:
    """Take apart what a function returned.

    Parameters
    ----------
    result
        What it returned.
    names
        What it must return: ``"y, cache"``.
    who
        The function.

    Raises
    ------
    Broken
        If there aren't as many.
    """
    count = len(names.split(","))
    if count == 1 and result is not None:
        return (result,)
    if isinstance(result, (tuple, list)) and len(result) == count:
        return tuple(result)
    if result is None:
        raise Broken("{who} returns nothing; it must return {names}", who=who, names=names)
    if isinstance(result, (tuple, list)):
        raise Broken(
            "{who} returns {count} values; it must return {names}",
            who=who,
            names=names,
            count=len(result),
        )
    raise Broken(
        "{who} returns one value, of type {kind}; it must return {names}",
        who=who,
        names=names,
        kind=type(result).__name__,
    )

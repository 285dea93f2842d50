"""Other inputs: what the solution gives if one of them is negated, flipped, or another one.

A kernel that is read backwards, a gradient that is forgotten, a stride that is one too large: such
mistakes leave the numbers that the right function has for other inputs, however the reader's code
is written.
"""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy

from minigan.learn import starter
from minigan.learn.language import Text
from minigan.learn.parts import Case, Exercise, Given, Numbers, answer

Change = Callable[[Any], Any]
WHOLE: tuple[tuple[str, Change], ...] = (
    ("-{name}", lambda a: -a),
    ("abs({name})", abs),
    ("{name} ** 2", lambda a: a * a),
    ("2 * {name}", lambda a: 2 * a),
    ("{name} / 2", lambda a: a / 2),
    ("np.ones_like({name})", numpy.ones_like),
    ("np.zeros_like({name})", numpy.zeros_like),
    ("{name}.mean(axis=0)", lambda a: 0 * a + a.mean(axis=0)),
    ("{name} - {name}.mean(axis=0)", lambda a: a - a.mean(axis=0)),
    ("np.round({name})", numpy.round),
    ("{name}.sum()", lambda a: 0 * a + a.sum()),
    ("{name}.mean()", lambda a: 0 * a + a.mean()),
    ("{name}.sum(axis=0)", lambda a: 0 * a + a.sum(axis=0)),
)
"""What may stand in the place of an array of floating-point numbers."""
COUNTS: tuple[tuple[str, Change], ...] = (
    ("{name} + 1", lambda n: n + 1),
    ("{name} - 1", lambda n: max(n - 1, 0)),
    ("1", lambda n: 1),
    ("2 * {name}", lambda n: 2 * n),
)
RATES: tuple[tuple[str, Change], ...] = (
    ("1 - {name}", lambda c: 1 - c),
    ("{name} ** 2", lambda c: c * c),
    ("np.sqrt({name})", lambda c: c**0.5),
    ("1 / {name}", lambda c: 1 / c),
    ("{name} / 2", lambda c: c / 2),
    ("2 * {name}", lambda c: 2 * c),
    ("0", lambda c: 0.0),
    ("1", lambda c: 1.0),
)


@dataclass(frozen=True)
class Replay:
    """A changed input.

    Attributes
    ----------
    wrong, right
        What stands in its place, and the input, as Python has them.
    change
        Returns a case's inputs with the change, or None where it can't be made.
    """

    wrong: str
    right: str
    change: Callable[[Given], Given | None]

    @property
    def text(self) -> Text:
        """What is said of it."""
        return Text(
            "this is what comes out with `{wrong}` in the place of `{right}`",
            {"wrong": self.wrong, "right": self.right},
        )


@cache
def played(name: str, seed: int, case: int) -> list[tuple[Replay, dict[str, Numbers]]]:
    """Play an exercise's case, from 1, with each of its inputs changed."""
    from minigan.learn.course import exercise

    chosen = exercise(name)
    cases = chosen.drawn(seed)
    outcomes = ((r, outcome(chosen, r, cases[case - 1].given)) for r in replays(chosen, cases))
    return [(replay, out) for replay, out in outcomes if out is not None]


def outcome(chosen: Exercise, replay: Replay, given: Given) -> dict[str, Numbers] | None:
    """Return what comes out with a changed input, None where nothing does."""
    try:
        changed = replay.change(given)
        return None if changed is None else answer(chosen, chosen.solution, changed)
    except Exception:  # the change makes no sense here
        return None


def replays(chosen: Exercise, cases: list[Case]) -> Iterator[Replay]:
    """Yield all changes of one input that the reader's code knows by name."""
    first, known = cases[-1].given, _names(chosen)
    for name, value in first.items():
        if name not in known:
            continue
        if isinstance(value, numpy.ndarray) and value.dtype.kind == "f":
            yield from _of_an_array(name, value)
            yield from _confused(name, value, {n: v for n, v in first.items() if n in known})
        elif isinstance(value, bool):
            yield Replay(f"not {name}", name, _changed(name, lambda v: not v))
        elif isinstance(value, (int, float)):
            changes = COUNTS if isinstance(value, int) else RATES
            yield from (Replay(w.format(name=name), name, _changed(name, f)) for w, f in changes)
            for fixed in dict.fromkeys(case.given[name] for case in cases):
                yield Replay(f"{fixed:.4g}", name, _changed(name, partial(_fixed, fixed)))


def _of_an_array(name: str, value: Numbers) -> Iterator[Replay]:
    for words, change in itertools.chain(WHOLE, _turned(value)):
        if value.ndim > 1 or "(axis=0)" not in words:
            yield Replay(words.format(name=name), name, _changed(name, change))


def _turned(value: Numbers) -> Iterator[tuple[str, Change]]:
    """Yield an array flipped, shifted, or with two of its axes exchanged."""
    for axis in range(value.ndim):
        yield f"np.flip({{name}}, axis={axis})", partial(numpy.flip, axis=axis)
        for by in (1, -1):
            yield f"np.roll({{name}}, {by}, axis={axis})", partial(numpy.roll, shift=by, axis=axis)
    for i, j in itertools.combinations(range(value.ndim), 2):
        if value.shape[i] == value.shape[j]:
            turned = partial(numpy.swapaxes, axis1=i, axis2=j)
            yield f"{{name}}.swapaxes({i}, {j})", turned


def _confused(name: str, value: Numbers, others: Given) -> Iterator[Replay]:
    """Yield other inputs of the same shape in the place of one."""
    for other, array in others.items():
        if other != name and getattr(array, "shape", None) == value.shape:
            yield Replay(other, name, _instead(name, other))
            if name < other:
                pair = f"{other}, {name}", f"{name}, {other}"
                yield Replay(*pair, _exchanged(name, other))


def _instead(name: str, other: str) -> Callable[[Given], Given | None]:
    return lambda given: _with(given, name, given[other])


def _exchanged(name: str, other: str) -> Callable[[Given], Given | None]:
    def exchanged(given: Given) -> Given | None:
        same = numpy.shape(given[name]) == numpy.shape(given[other])
        return given | {name: given[other], other: given[name]} if same else None

    return exchanged


def _with(given: Given, name: str, value: Any) -> Given | None:
    same = numpy.shape(value) == numpy.shape(given[name])
    return given | {name: value} if same else None


def _changed(name: str, change: Change) -> Callable[[Given], Given | None]:
    return lambda given: _with(given, name, change(given[name]))


def _fixed(number: float, value: float) -> float:
    return number


def _names(chosen: Exercise) -> set[str]:
    """Return the names that the exercise has for its inputs."""
    tree = ast.parse(starter.solution(chosen))
    found = {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return found | {o.slope.by for o in chosen.outputs.values() if o.slope and o.slope.by}

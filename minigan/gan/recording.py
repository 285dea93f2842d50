"""What a round depends on besides arrays, for trainers that record it as a CUDA graph.

A recorded round repeats the launches of one round. A Python number, such as the standard deviation
of `minigan.nn.InstanceNoise`, was written into them, and code that looks at something else (a
clock, a list) isn't run again. So a trainer compares the numbers before each replay, and sees what
else has been replaced; by default, it records only games whose code it knows.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator
from itertools import chain
from types import MethodType
from typing import Any

import numpy

from minigan import backend, nn
from minigan.gan.base import BaseGame
from minigan.latent import Latent
from minigan.ranks import Ranks

Numbers = tuple[Any, ...]

_NUMBERS = (bool, int, float, str)
_KNOWN = ("minigan", "numpy", "cupy", "builtins", "functools")
"""Where code comes from that repeats itself."""
_OUTSIDE = (Latent, Ranks, backend.Reference, nn.Parameter)
"""Kinds of objects in which no number matters to a recorded round: they act before it or after it,
or hold arrays.
"""


class Dependences:
    """The Python numbers and objects, and the code, that a game's rounds depend on.

    Parameters
    ----------
    game
        The game.

    Attributes
    ----------
    foreign
        The name of a class or function that isn't minigan's; None if all are.
    """

    def __init__(self, game: BaseGame) -> None:
        self._game, self._version = game, 0
        self._look()

    def numbers(self) -> Numbers:
        """Return the numbers as they are now, and how often anything else has been replaced."""
        now = self._objects()
        if len(now) != len(self._seen) or not all(map(operator.is_, now, self._seen)):
            self._look()
            self._version += 1
        precision = getattr(self._game.device, "precision", None)
        return self._version, precision, *[table.get(name) for table, name in self._numbers]

    def _look(self) -> None:
        arrays = (self._game.device.xp.ndarray, numpy.ndarray)  # they are written to in place
        reached = list(_reached(self._game, arrays, set()))
        self.foreign = next((_named(one) for one in reached if not _is_ours(one)), None)
        self._lists = [one for one in reached if isinstance(one, list)]
        tables = [table for one in reached if (table := _table(one)) is not None]
        held = [(table, name) for table in tables for name in table]
        self._numbers = [(t, name) for t, name in held if isinstance(t[name], _NUMBERS)]
        self._others = [
            (t, name) for t, name in held if not isinstance(t[name], (*_NUMBERS, *arrays))
        ]
        self._seen = self._objects()

    def _objects(self) -> list[Any]:
        return [*[table.get(name) for table, name in self._others], *chain(*self._lists)]


def _reached(value: Any, arrays: tuple[type, ...], seen: set[int]) -> Iterator[Any]:
    """Yield a value and all that it holds, as far as minigan's own objects lead."""
    if id(value) in seen or isinstance(value, (*arrays, *_NUMBERS, *_OUTSIDE)):
        return
    seen.add(id(value))
    yield value
    if isinstance(value, (list, tuple, set, frozenset)):
        inside = list(value)
    elif isinstance(value, functools.partial):
        inside = [value.func, value.args, value.keywords]
    elif isinstance(value, MethodType):
        inside = [value.__func__, value.__self__]
    else:
        inside = list((_table(value) or {}).values())
    for one in inside:
        yield from _reached(one, arrays, seen)


def _table(one: Any) -> Any:
    """Return the names and values of a dictionary, or of an object of minigan's; else None."""
    if isinstance(one, dict):
        return one
    return getattr(one, "__dict__", None) if _is_ours(one) and not _counts(one) else None


def _counts(value: Any) -> bool:
    """Tell whether something has a state that moves from round to round.

    Optimizers, whose numbers the graph looks after, and what acts between rounds: averages,
    schedules, pools of images.
    """
    return hasattr(value, "load_state_dict") and not isinstance(value, nn.Layer)


def _is_ours(value: Any) -> bool:
    # Of a function, where its code is: a decorator takes the module of what it wraps.
    own = getattr(value, "__globals__", {}).get("__name__")
    module = own or getattr(_code(value), "__module__", None) or ""
    return module.partition(".")[0] in _KNOWN


def _named(value: Any) -> str:
    return str(_code(value).__qualname__)


def _code(value: Any) -> Any:
    """Return the function or class that says where a value's code is."""
    return value if hasattr(value, "__qualname__") else type(value)

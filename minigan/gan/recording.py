"""What a round depends on besides arrays, for trainers that record it as a CUDA graph.

A recorded round repeats the launches of one round. A Python number, such as the standard deviation
of `minigan.nn.InstanceNoise`, was written into them, and code that looks at something else (a
clock, a list) isn't run again. So a trainer compares the numbers before each replay, and by default
records only games whose code it knows.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterator, Mapping
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
_OUTSIDE = (Latent, Ranks, backend.Reference)
"""Kinds of objects that have no part in what is recorded: they act before a round or after it."""


class Dependences:
    """The Python numbers and the code that a game's rounds depend on.

    Parameters
    ----------
    game
        The game; objects that it gets later aren't looked at.

    Attributes
    ----------
    foreign
        The name of a class or function that isn't minigan's; None if all are.
    """

    def __init__(self, game: BaseGame) -> None:
        reached = list(_reached(game, game.device.xp.ndarray, set()))
        tables = [vars(one) for one in reached if hasattr(one, "__dict__") and _moves_not(one)]
        tables += [one.keywords for one in reached if isinstance(one, functools.partial)]
        held = [(table, name) for table in tables for name in table]
        arrays = (game.device.xp.ndarray, numpy.ndarray)  # they are written to in place
        self._numbers = [(t, name) for t, name in held if isinstance(t[name], _NUMBERS)]
        self._others = [
            (t, name) for t, name in held if not isinstance(t[name], (*_NUMBERS, *arrays))
        ]
        self._game, self._version = game, 0
        self._seen = self._objects()
        self.foreign = next((_named(one) for one in reached if not _is_ours(one)), None)

    def numbers(self) -> Numbers:
        """Return the numbers as they are now, and how often something else has been replaced."""
        now = self._objects()
        if len(now) != len(self._seen) or not all(map(operator.is_, now, self._seen)):
            self._seen, self._version = now, self._version + 1
        precision = getattr(self._game.device, "precision", None)
        return self._version, precision, *[table.get(name) for table, name in self._numbers]

    def _objects(self) -> list[Any]:
        return [
            *[table.get(name) for table, name in self._others],
            *getattr(self._game, "penalties", ()),
        ]


def _reached(value: Any, array: type, seen: set[int]) -> Iterator[Any]:
    """Yield the objects and functions that a value holds, itself included."""
    if id(value) in seen or isinstance(value, (array, numpy.ndarray, *_NUMBERS, *_OUTSIDE)):
        return
    seen.add(id(value))
    if isinstance(value, functools.partial):
        yield value
        inside = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = list(value)
    else:
        yield value
        closed = not _is_ours(value) or _counts(value)
        inside = [] if closed else list(getattr(value, "__dict__", {}).values())
        inside += [value.__self__] if isinstance(value, MethodType) else []
    for one in inside:
        yield from _reached(one, array, seen)


def _counts(value: Any) -> bool:
    """Tell whether something has a state that moves from round to round.

    Optimizers, whose numbers the graph looks after, and what acts between rounds: averages,
    schedules, pools of images.
    """
    return hasattr(value, "load_state_dict") and not isinstance(value, nn.Layer)


def _moves_not(one: Any) -> bool:
    return _is_ours(one) and not _counts(one)


def _is_ours(value: Any) -> bool:
    module = getattr(_code(value), "__module__", None) or ""
    return module.partition(".")[0] in _KNOWN


def _named(value: Any) -> str:
    return str(_code(value).__qualname__)


def _code(value: Any) -> Any:
    """Return the function or class that says where a value's code is."""
    return value if hasattr(value, "__qualname__") else type(value)

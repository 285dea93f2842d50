"""What a round depends on besides arrays, for trainers that record it as a CUDA graph.

A recorded round repeats the launches of one round. A Python number, such as the standard deviation
of `minigan.nn.InstanceNoise`, was written into them, and code that looks at something else (a
clock, a list) isn't run again. So a trainer compares the numbers before each replay, and by default
records only games whose code it knows.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
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
_REPLACEABLE = ("objective", "before_step", "after_discriminator_step")


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
        self._held = [
            (vars(one), name)
            for one in reached
            if _is_ours(one) and hasattr(one, "__dict__") and not _counts(one)
            for name, value in vars(one).items()
            if isinstance(value, _NUMBERS)
        ]
        self._game = vars(game)
        self.foreign = next((_named(one) for one in reached if not _is_ours(one)), None)

    def numbers(self) -> Numbers:
        """Return the numbers as they are now, and what else may be replaced."""
        parts = [_Itself(self._game.get(name)) for name in _REPLACEABLE]
        penalties = map(_Itself, self._game.get("penalties", ()))
        return *[held.get(name) for held, name in self._held], *parts, *penalties


class _Itself:
    """Equal to the same object only; holds it, so that no other takes its place in memory."""

    def __init__(self, one: Any) -> None:
        self._one = one

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Itself) and self._one is other._one

    def __hash__(self) -> int:
        return id(self._one)


def _reached(value: Any, array: type, seen: set[int]) -> Iterator[Any]:
    """Yield the objects and functions that a value holds, itself included."""
    if id(value) in seen or isinstance(value, (array, numpy.ndarray, *_NUMBERS, *_OUTSIDE)):
        return
    seen.add(id(value))
    if isinstance(value, functools.partial):
        inside = [value.func, *value.args, *value.keywords.values()]
    elif isinstance(value, Mapping):
        inside = list(value.values())
    elif isinstance(value, (list, tuple, set, frozenset)):
        inside = list(value)
    else:
        yield value
        closed = not _is_ours(value) or _counts(value)
        inside = [] if closed else list(getattr(value, "__dict__", {}).values())
    for one in inside:
        yield from _reached(one, array, seen)


def _counts(value: Any) -> bool:
    """Tell whether something has a state that moves from round to round.

    Optimizers, whose numbers the graph looks after, and what acts between rounds: averages,
    schedules, pools of images.
    """
    return hasattr(value, "load_state_dict") and not isinstance(value, nn.Layer)


def _is_ours(value: Any) -> bool:
    module = getattr(_code(value), "__module__", None) or "builtins"
    return module.partition(".")[0] in _KNOWN


def _named(value: Any) -> str:
    return str(_code(value).__qualname__)


def _code(value: Any) -> Any:
    """Return the function or class that says where a value's code is."""
    return value if hasattr(value, "__qualname__") else type(value)

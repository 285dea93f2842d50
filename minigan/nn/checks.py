"""The sizes and numbers that the library's layers are built with, checked by their names."""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable
from numbers import Real
from typing import Any

from minigan.backend.window import is_whole

COUNTS = frozenset(
    {"in_features", "out_features", "in_channels", "out_channels", "features", "classes"}
    | {"channels", "style_features", "condition_features", "rows", "length", "pieces"}
)
"""Numbers of something, of which there is at least one; None where the layer allows it."""

NUMBERS = {"eps": (0.0, math.inf), "momentum": (0.0, 1.0), "slope": (-math.inf, math.inf)}
"""Finite numbers, and the range of each."""


def sizes_checked(made: type[Any]) -> None:
    """Let the constructor that a class defines refuse sizes and numbers out of range, in words."""
    init: Callable[..., None] | None = vars(made).get("__init__")
    if not inspect.isfunction(init):
        return
    parameters = list(inspect.signature(init).parameters.values())[1:]
    several = parameters and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL
    names = [parameter.name for parameter in parameters]

    @functools.wraps(init)
    def checked(self: Any, *given: Any, **options: Any) -> None:
        if several and names[0] == "shape":
            for size in given:
                _whole(made.__name__, "shape", size)
        named = {} if several else dict(zip(names, given, strict=False))
        for name, value in (named | options).items():
            _check(made.__name__, name, value)
        init(self, *given, **options)

    made.__init__ = checked


def _check(layer: str, name: str, value: Any) -> None:
    if name in COUNTS and value is not None:
        _whole(layer, name, value)
        if value < 1:
            raise ValueError(f"The {name} of {layer} must be at least 1, got {value}.")
    if name in NUMBERS:
        low, high = NUMBERS[name]
        if not (isinstance(value, Real) and math.isfinite(value) and low <= float(value) <= high):
            raise ValueError(f"The {name} of {layer} must be {_range(low, high)}, got {value!r}.")


def _whole(layer: str, name: str, value: Any) -> None:
    if not is_whole(value):
        raise TypeError(f"The {name} of {layer} must be a whole number, got {value!r}.")


def _range(low: float, high: float) -> str:
    if high < math.inf:
        return f"a number from {low:g} to {high:g}"
    return "a finite number" + (f" >= {low:g}" if low > -math.inf else "")

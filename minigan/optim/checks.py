"""Checks of the values of hyper-parameters.

Each returns a plain Python number, or raises a ValueError that says what was needed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real
from typing import Any

ROUNDING = 1e-12
"""How far below 0 a number may be that is 0 but for rounding, such as the end of a schedule."""


def _real(name: str, value: Any, needed: str, fits: Callable[[float], bool]) -> float:
    real = isinstance(value, Real) and not isinstance(value, bool)
    try:
        number = float(value) if real else math.nan
    except OverflowError:  # of an integer beyond the largest float
        number = math.inf
    if not (math.isfinite(number) and fits(number)):
        raise ValueError(f"{name} must be {needed}, got {value!r}.")
    return number


def positive(name: str, value: Any) -> float:
    """Return `value` if it is a finite number > 0."""
    return _real(name, value, "a positive number", lambda x: x > 0)


def not_negative(name: str, value: Any) -> float:
    """Return `value` if it is a finite number >= 0, and 0 if rounding left it just below."""
    return max(_real(name, value, "a number >= 0", lambda x: x >= -ROUNDING), 0.0)


def fraction(name: str, value: Any) -> float:
    """Return `value` if it is a number in [0, 1)."""
    return _real(name, value, "a number in [0, 1)", lambda x: 0 <= x < 1)


def count(name: str, value: Any) -> int:
    """Return `value` if it is a whole number >= 0."""
    return int(_real(name, value, "a whole number >= 0", lambda x: x >= 0 and x == int(x)))

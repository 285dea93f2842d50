"""The checks of what functions are given for a run, where Python's own words would help little."""

from __future__ import annotations

import os
from numbers import Real
from typing import Any

import numpy

from minigan.backend.window import is_whole
from minigan.recipes.recipe import kind_of


def require(name: str, value: Any, right: bool, wanted: str) -> None:
    """Refuse a value that isn't right.

    Raises
    ------
    TypeError
        If it isn't; the message says what is wanted.
    """
    if not right:
        given = repr(value) if isinstance(value, (str, int, float)) else kind_of(value)
        raise TypeError(f"{name} must be {wanted}, got {given}.")


def whole(name: str, value: Any) -> int:
    """Return a whole number as an int.

    Raises
    ------
    TypeError
        If it isn't one.
    """
    require(name, value, is_whole(value), "a whole number")
    return int(value)


def number(name: str, value: Any) -> float:
    """Return a number as a float.

    Raises
    ------
    TypeError
        If it isn't one.
    """
    require(name, value, isinstance(value, Real) and not isinstance(value, bool), "a number")
    return float(value)


def path(name: str, value: Any, wanted: str = "a path") -> str | None:
    """Return the path of a file or folder as text; None for none.

    Raises
    ------
    TypeError
        If it isn't one.
    """
    require(name, value, value is None or isinstance(value, (str, os.PathLike)), wanted)
    return None if value is None else str(os.fspath(value))


def data(value: Any) -> str | None:
    """Return the name or the path of data; None for none.

    Arrays are refused, since the run couldn't find them again.

    Raises
    ------
    TypeError
        If it is neither.
    """
    return path(
        "The data", value,
        "the name of a data set, a file or a folder (save arrays with numpy.savez('mine.npz', "
        "images=..., labels=...), for example, and give 'mine.npz')",
    )  # fmt: skip


def seeded(seed: Any) -> numpy.random.Generator:
    """Return the generator of a seed.

    Raises
    ------
    ValueError
        If it can't be one.
    """
    try:
        return numpy.random.default_rng(seed)
    except (TypeError, ValueError):
        raise ValueError(f"A seed must be an integer of at least 0, got {seed!r}.") from None

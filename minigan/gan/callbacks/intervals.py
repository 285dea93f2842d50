"""Steps from one time to the next, as callbacks are given them, and in the names of files."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any


def checked(what: str, count: Any) -> int:
    """Return a number of steps or other things as an int.

    Raises
    ------
    TypeError
        If it isn't an integer.
    ValueError
        If it isn't positive.
    """
    try:
        number = operator.index(count)
    except TypeError:
        raise TypeError(f"The number of {what} must be an integer, got {count!r}.") from None
    if number < 1:
        raise ValueError(f"The number of {what} must be positive, got {number}.")
    return number


def step_of(path: Path) -> int:
    """Return the step of a file such as ``step-00000500.png``; -1 if its name is another."""
    number = path.stem.removeprefix("step-")
    return int(number) if number.isdecimal() else -1

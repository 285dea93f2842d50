"""What a command prints when it fails: one sentence, or a report of a mistake in minigan."""

from __future__ import annotations

import errno
import platform
import traceback
from pathlib import Path

import minigan

EXPECTED = (ValueError, TypeError, OSError, MemoryError, ArithmeticError)
"""What files, numbers and machines cause; anything else is a mistake in minigan."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def is_expected(error: Exception) -> bool:
    """Return whether an error is explained by what the command was given."""
    return isinstance(error, EXPECTED) and not isinstance(error, ZeroDivisionError)


def sentence(error: Exception) -> str:
    """Return an error's message as one sentence, with its notes (PEP 678) in brackets.

    If the message has a second line, it is a line of the user's code and is left unchanged.
    """
    first, newline, code = _message(error).partition("\n")
    notes = "".join(f" {_bracketed(note)}" for note in getattr(error, "__notes__", ()))
    if code:
        return f"{first}{notes}{newline}{code}"
    return f"{first.rstrip('.')}{notes}."


def report(error: Exception) -> str:
    """Return what to print about an error that nobody foresaw: what to report, and how."""
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"this is a mistake in minigan, not in what you typed: {what} ({place}). Please report "
        f"it, with the command and what it prints with --traceback. [minigan "
        f"{minigan.__version__}, Python {platform.python_version()}, {platform.system()}]"
    )


def _message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return _of_the_system(error)
    if isinstance(error, MemoryError):
        return f"There isn't enough memory{_reason(error)}; use smaller numbers, or less data"
    if isinstance(error, OverflowError):
        return f"A number is too large{_reason(error)}; use a smaller one"
    return str(error) or type(error).__name__


def _reason(error: Exception) -> str:
    return f" ({str(error).rstrip('.')})" if str(error) else ""


def _of_the_system(error: OSError) -> str:
    what = error.filename or "A file"
    why = str(error.strerror).lower()
    if error.errno in DISK_FULL:
        return (
            f"{what} can't be written: {why}; earlier files are intact, so free some space and "
            "continue with --resume."
        )
    return f"{what} can't be used: {why}."


def _bracketed(note: str) -> str:
    line = " ".join(note.split())
    return line if line.startswith("[") else f"[{line}]"

"""The error message of a command: one sentence."""

from __future__ import annotations

import errno

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def sentence(error: Exception) -> str:
    """Return an error's message as one sentence, with its notes (PEP 678) in brackets.

    If the message has a second line, it is a line of the user's code and is left unchanged.
    """
    first, newline, code = _message(error).partition("\n")
    notes = "".join(f" {_bracketed(note)}" for note in getattr(error, "__notes__", ()))
    if code:
        return f"{first}{notes}{newline}{code}"
    return f"{first.rstrip('.')}{notes}."


def _message(error: Exception) -> str:
    if not (isinstance(error, OSError) and error.strerror):
        return str(error)
    what = error.filename or "A file"
    why = error.strerror.lower()
    if error.errno in DISK_FULL:
        return (
            f"{what} can't be written: {why}; earlier files are intact, so free some space and "
            "continue with --resume."
        )
    return f"{what} can't be used: {why}."


def _bracketed(note: str) -> str:
    line = " ".join(note.split())
    return line if line.startswith("[") else f"[{line}]"

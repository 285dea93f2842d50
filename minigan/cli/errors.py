"""What a command prints when it fails: one sentence, or a report of a mistake in minigan."""

from __future__ import annotations

import errno
import io
import platform
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import minigan

if TYPE_CHECKING:
    from minigan.ranks import Ranks

EXPECTED = (ValueError, TypeError, OSError, MemoryError, ArithmeticError)
"""What files, numbers and machines cause; anything else is a mistake in minigan."""
MISTAKE = 70
"""Exit status if minigan itself is at fault: EX_SOFTWARE of sysexits.h."""
PATIENCE = 1.5
"""Seconds that the other ranks leave to rank 0 to say what went wrong on all of them."""
PASSED_ON = 0.3
"""Seconds that a launcher gets to pass on what was said: once it aborts, it drops the rest."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def ending(error: Exception) -> tuple[int, str]:
    """Return the exit status that an error leads to, and what is said about it."""
    words = _in_a_recipe_file(error)
    if words is None and not _is_expected(error):
        return MISTAKE, report(error)
    return 2, words or sentence(error)


def _is_expected(error: Exception) -> bool:
    """Return whether an error is explained by what the command was given."""
    return isinstance(error, EXPECTED) and not isinstance(error, ZeroDivisionError)


def _in_a_recipe_file(error: Exception) -> str | None:
    """Say in which line of the user's recipe file an error arose; None if it went through none.

    If minigan raised what nobody foresaw, that line may have handed it what it doesn't take, or
    uncovered a mistake in minigan. The first is by far the more frequent, and only the user can
    tell, so the line is named, and what to do if nothing is wrong with it.
    """
    files = sys.modules.get("minigan.recipes.files")  # without it no recipe file has run
    if files is None or (place := files.line_of(error)) is None:
        return None
    if _is_expected(error):
        return f"{place}: {sentence(error)}"
    inside = [frame for frame in files.frames_since(error) if _is_ours(frame)]
    asks = f" ({_place(inside[-1])}; if your line is right, please report it)" if inside else ""
    return f"{place}: {_ended(files.in_words(error) + asks, error)}"


def _is_ours(frame: traceback.FrameSummary) -> bool:
    return Path(frame.filename).is_relative_to(Path(minigan.__file__).parent)


def sentence(error: Exception) -> str:
    """Return an error's message as one sentence, with its notes (PEP 678) in brackets.

    If the message has a second line, it is a line of the user's code and is left unchanged.
    """
    return _ended(_message(error), error)


def _ended(message: str, error: Exception) -> str:
    first, newline, code = message.partition("\n")
    notes = "".join(f" {_bracketed(note)}" for note in getattr(error, "__notes__", ()))
    if code:
        return f"{first}{notes}{newline}{code}"
    words = first.rstrip(".")
    ended = words.endswith(("?", "!", "。", "？", "！"))
    return f"{words}{notes}{'' if ended and not notes else '.'}"


@contextmanager
def ending_together(ranks: Ranks, in_full: bool) -> Iterator[None]:
    """Let an error on one of several ranks end all of them, and say which rank and why.

    Otherwise the others would wait for it for ever. What all ranks find out at the same time, such
    as a mistake in the command, is said by rank 0 alone.

    Parameters
    ----------
    ranks
        All of them. A single one is left to whoever called.
    in_full
        Whether to print a traceback too.
    """
    if ranks.size == 1:
        yield
        return
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)  # a launcher's pipe isn't a terminal
    try:
        yield
    except BaseException as error:
        status, words = _ending_of_a_rank(error)
        if ranks.rank:
            time.sleep(PATIENCE)
        if in_full:
            traceback.print_exc()
        print(f"minigan: rank {ranks.rank} of {ranks.size}: {words}", file=sys.stderr, flush=True)
        time.sleep(PASSED_ON)
        ranks.abort(status)


def _ending_of_a_rank(error: BaseException) -> tuple[int, str]:
    if isinstance(error, SystemExit):
        status = error.code if isinstance(error.code, int) else 1
        return status or 1, f"it left with status {error.code or 0} before the others were done."
    if not isinstance(error, Exception):
        return 130, "interrupted; everything up to the newest checkpoint is saved."
    return ending(error)


def report(error: Exception) -> str:
    """Return what to print about an error that nobody foresaw: what to report, and how."""
    place = _place(traceback.extract_tb(error.__traceback__)[-1])
    what = " ".join(f"{type(error).__name__}: {error}".split())
    return (
        f"this is a mistake in minigan, not in what you typed: {what} ({place}). Please report "
        f"it, with the command and what it prints with --traceback. [minigan "
        f"{minigan.__version__}, Python {platform.python_version()}, {platform.system()}]"
    )


def _place(frame: traceback.FrameSummary) -> str:
    return f"{Path(frame.filename).name}, line {frame.lineno}"


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
            "try again (a training goes on with --resume)."
        )
    return f"{what} can't be used: {why}."


def _bracketed(note: str) -> str:
    line = " ".join(note.split())
    return line if line.startswith("[") else f"[{line}]"

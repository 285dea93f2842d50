"""One writer at a time in a run's folder: a lock of the operating system, which ends with it."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from minigan.files import locked, written_whole

LOCK, WRITER = ".lock", ".writer"
"""Names of the file that is locked, and of the one that says by whom."""


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a run's folder during the block.

    The system releases it when the process ends, however it ends. On a file system without locks
    there is none.

    Raises
    ------
    ValueError
        If another process, or another call in this one, holds it; the message names it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK))
        except TimeoutError:
            raise ValueError(
                f"{folder} is being written by {_writer(folder)}; wait until it has ended, or stop "
                "it first."
            ) from None
        with written_whole(folder / WRITER) as temporary:
            temporary.write_text(_myself())
        held.callback((folder / WRITER).unlink, missing_ok=True)
        yield


def is_of_a_writer(path: Path) -> bool:
    """Return whether a file in a run's folder only says who writes there."""
    return path.name in (LOCK, WRITER)


def _myself() -> str:
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    return f"process {os.getpid()} on {platform.node() or 'this machine'} since {since}"


def _writer(folder: Path) -> str:
    try:
        return (folder / WRITER).read_text(errors="replace")[:200].strip() or "another process"
    except OSError:
        return "another process"

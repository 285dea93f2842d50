"""Check an exercise again whenever its file is saved."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

PAUSE = 0.3


def watch(
    paths: Callable[[], list[Path]],
    changed: Callable[[Path], None],
    *,
    pause: Callable[[float], None] = time.sleep,
    rounds: int | None = None,
) -> None:
    """Call `changed` for each file that was saved since the last look.

    Parameters
    ----------
    paths
        Returns the files to look at.
    changed
        Called with a file.
    pause
        Waits between two looks.
    rounds
        How many looks; without end if None.
    """
    seen = {path: _stamp(path) for path in paths()}
    count = 0
    while rounds is None or count < rounds:
        count += 1
        pause(PAUSE)
        for path in paths():
            now = _stamp(path)
            if now is not None and now != seen.get(path):
                changed(path)
            seen[path] = now


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:  # an editor may be writing it anew
        return None
    return found.st_mtime_ns, found.st_size

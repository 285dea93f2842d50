"""How much memory there is, asked before a size that somebody typed is allocated.

Linux hands out more memory than it has and kills a process that uses it, so that waiting for a
`MemoryError` isn't enough.
"""

from __future__ import annotations

import math
import os
from pathlib import Path


def total(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Return the bytes of memory that this process may use at most, or infinity if unknown.

    Parameters
    ----------
    root
        Where the control groups (version 2) are mounted.
    own
        The file that names the process's group.
    """
    return min(_machine(), _ulimit(), _granted(root, own))


def require(needed: float, what: str, advice: str) -> None:
    """Refuse what needs more memory than there is.

    Parameters
    ----------
    needed
        Bytes.
    what, advice
        What needs them, and what to do instead: the beginning and the end of the message.

    Raises
    ------
    ValueError
        If there is less.
    """
    there = total()
    if needed > there:
        raise ValueError(
            f"{what} would take {_size(needed)} of memory, but there are {_size(there)}; {advice}."
        )


def _machine() -> float:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not a POSIX system
        return math.inf


def _ulimit() -> float:
    try:
        import resource
    except ImportError:  # Windows
        return math.inf
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return math.inf if soft == resource.RLIM_INFINITY else soft


def _granted(root: Path, own: Path) -> float:
    """The least limit over the process's control group and its ancestors."""
    path = next((x[3:] for x in _text(own).splitlines() if x.startswith("0::")), "/")
    group = root / path.lstrip("/")
    inside = [folder for folder in (group, *group.parents) if folder.is_relative_to(root)]
    limits = (_text(folder / "memory.max") for folder in inside)
    return min((float(limit) for limit in limits if limit.isdecimal()), default=math.inf)


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""


def _size(count: float) -> str:
    return f"{count / 2**30:,.1f} GiB" if count < 2**50 else f"{count / 2**40:,.0f} TiB"

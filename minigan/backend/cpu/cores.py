"""How many cores this process may use, and how many threads it was asked to use."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any


def wanted() -> int:
    """Return the number of threads asked for in ``MINIGAN_THREADS``, at most `cores`; without it,
    `cores`.

    Raises
    ------
    ValueError
        If the variable is no positive integer.
    """
    text = os.environ.get("MINIGAN_THREADS", "").strip()
    return cores() if not text else min(checked(text), cores())


def checked(count: Any) -> int:
    """Turn a number of threads, or its text, into an integer >= 1, or refuse it.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        number = int(count)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or isinstance(count, (bool, float)):
        raise ValueError(
            f"The number of threads must be an integer >= 1, got {count!r}; "
            f"leave it out for all cores."
        )
    return number


def cores() -> int:
    """Return how many cores this process may use: those of its affinity mask, within the quota of
    its group.
    """
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, quota())))


def quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Return the cores that the process's control group grants: the least over it and its
    ancestors, or infinity.

    Parameters
    ----------
    root
        Where the control groups are mounted.
    own
        The file that says which groups the process is in, a line ``number:controllers:path`` each.
    """
    least = math.inf
    for line in read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, granted = root, _quota_v2
        elif "cpu" in controllers.split(","):
            base, granted = root / "cpu", _quota_v1
        else:
            continue
        # Inside a container the group's own path may not be mounted; the root then holds its
        # limits.
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base):
                least = min(least, granted(folder))
    return least


def _quota_v2(folder: Path) -> float:
    limit, _, period = read(folder / "cpu.max").partition(" ")
    return _ratio(limit, period)


def _quota_v1(folder: Path) -> float:
    return _ratio(read(folder / "cpu.cfs_quota_us"), read(folder / "cpu.cfs_period_us"))


def _ratio(limit: str, period: str) -> float:
    try:
        granted, per = float(limit), float(period)
    except ValueError:  # "max", or no such file
        return math.inf
    return granted / per if granted > 0 and per > 0 else math.inf


def read(path: Path) -> str:
    """Return the text of a small file of the system's, or nothing if it can't be read."""
    try:
        return path.read_text("utf-8", errors="surrogateescape").strip()
    except OSError:
        return ""

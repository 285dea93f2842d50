"""On which processors a process's threads ran, and how long they waited for one: from Linux's
/proc.

Two threads that share the work of a step are no faster than one while the system keeps both on one
core, and it may leave them there for as long as a block lasts.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

BUSY = 0.2
"""A thread counts if it ran for this share of the time of the busiest one, at least."""
WAITED = 0.15
"""A block in which the threads waited for a core for this share of its time is spoilt."""


class Thread(NamedTuple):
    """A thread's last processor, and its seconds on one and waiting for one since it began."""

    cpu: int
    ran: float
    waited: float


class Placement(NamedTuple):
    """Where the threads of a block were.

    Attributes
    ----------
    cpus
        The processors of the busy threads, at each look; empty where the system doesn't say.
    wait
        Seconds that threads waited for a core, per second of the block.
    shared
        Whether two busy threads were on one core at every look, though another was free for them.
    """

    cpus: tuple[tuple[int, ...], ...]
    wait: float
    shared: bool

    @property
    def spoilt(self) -> bool:
        return self.shared or self.wait > WAITED


def threads(folder: Path = Path("/proc/self/task")) -> dict[str, Thread]:
    """Return the threads of this process, by number; none where there is no /proc."""
    try:
        found = {entry.name: _thread(entry) for entry in folder.iterdir()}
    except OSError:
        return {}
    return {name: thread for name, thread in found.items() if thread is not None}


def _thread(folder: Path) -> Thread | None:
    try:
        # The name, field 2, may hold blanks; behind it come fields 3 and on. 14 and 15 are times in
        # ticks, 39 is the processor (proc(5)).
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has ended meanwhile
        return None
    cpu, ticks = int(fields[36]), int(fields[11]) + int(fields[12])
    try:
        ran, waited, _ = (
            int(number) / 1e9 for number in (folder / "schedstat").read_text().split()
        )
    except (OSError, ValueError):  # a kernel without these statistics
        return Thread(cpu, ticks / os.sysconf("SC_CLK_TCK"), 0.0)
    return Thread(cpu, ran, waited)


def between(looks: Sequence[dict[str, Thread]], seconds: float) -> Placement:
    """Return what several looks at `threads`, the first before the block, say of it."""
    pairs = list(itertools.pairwise(looks))
    cpus = tuple(_busy(before, after) for before, after in pairs)
    first, last = looks[0], looks[-1]
    waited = sum(t.waited - first[name].waited for name, t in last.items() if name in first)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    shared = bool(cpus) and all(len(set(c)) < min(len(c), cores) for c in cpus)
    return Placement(cpus, waited / max(seconds, 1e-9), shared)


def _busy(before: dict[str, Thread], after: dict[str, Thread]) -> tuple[int, ...]:
    ran = {name: t.ran - before[name].ran for name, t in after.items() if name in before}
    most = max(ran.values(), default=0.0)
    return tuple(sorted(after[name].cpu for name, s in ran.items() if most and s > BUSY * most))

"""How many threads, and how work is shared among them.

A `Team` splits a piece of work into as many parts as it has members; the caller does the first part itself and
waits for the others. While parts run, the linear-algebra library is held to one thread per part, since two layers
of threads would fight over the same cores. Between the parts its setting is left as the user has it.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy

Task = Callable[[], None]


class Blas:
    """The number of threads of the linear-algebra library that NumPy calls.

    As a context it holds the library to one thread. It may be entered by several threads and at several depths: the
    first one in sets the number, the last one out gives it back as it was.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = 1

    @functools.cached_property
    def _library(self) -> tuple[Callable[[], int], Callable[[int], None]] | None:
        """How to ask for the number of threads, and how to set it."""
        return next(filter(None, map(_control, _candidates())), None)

    @property
    def known(self) -> bool:
        """Whether the library was found, and its threads can be set for the whole process."""
        return self._library is not None

    def get(self) -> int:
        """Return the number of threads; 1 for an unknown library."""
        return self._library[0]() if self._library is not None else 1

    def set(self, count: int) -> None:
        """Set the number of threads; without effect on an unknown library."""
        if self._library is not None:
            self._library[1](count)

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._before = self.get()
                self.set(1)
            self._inside += 1

    def __exit__(self, *exception: Any) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self.set(self._before)


def _candidates() -> list[Path]:
    """The files that may be the OpenBLAS that this NumPy calls, the likeliest first."""
    package = Path(numpy.__file__).parent
    bundled = [*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]
    mapped = (line.rpartition(" ")[2] for line in _read(Path("/proc/self/maps")).splitlines())
    return bundled or [Path(name) for name in dict.fromkeys(mapped) if "openblas" in name or "libblas" in name]


def _control(path: Path) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The pair of functions of an OpenBLAS with threads of its own; with OpenMP's, the number isn't process-wide.

    Called through ctypes, since the package threadpoolctl lets only one thread of a process decide.
    """
    try:
        library = ctypes.PyDLL(str(path))
    except OSError:
        return None
    for prefix, suffix in itertools.product(("scipy_", ""), ("64_", "", "_64")):
        names = [
            f"{prefix}openblas_{what}{suffix}" for what in ("get_parallel", "get_num_threads", "set_num_threads")
        ]
        if all(hasattr(library, name) for name in names):
            kind, ask, give = (getattr(library, name) for name in names)
            return (ask, give) if kind() == 1 else None
    return None


class Member:
    """A thread that does one task at a time.

    Two bare locks make the cheapest hand-over that Python has: `go` is released to start, `done` when finished.
    """

    def __init__(self) -> None:
        self.go, self.done = threading.Lock(), threading.Lock()
        self.go.acquire()
        self.done.acquire()
        self.task: Task | None = None
        self.error: BaseException | None = None
        threading.Thread(target=self._serve, name="minigan", daemon=True).start()

    def start(self, task: Task) -> None:
        """Hand over a task."""
        self.task, self.error = task, None
        self.go.release()

    def wait(self) -> None:
        """Return when the task is done."""
        self.done.acquire()
        self.task = None

    def dismiss(self) -> None:
        """End the thread."""
        self.task = None
        self.go.release()

    def _serve(self) -> None:
        while True:
            self.go.acquire()
            if self.task is None:
                return
            try:
                self.task()
            except BaseException as error:  # whatever it is, the caller is to see it
                self.error = error
            self.done.release()


class Team:
    """A fixed number of parts, done at the same time if nobody else uses the team.

    The parts are the same whether they run side by side or, because another thread of the user's holds the team, one
    after the other: so are the results, to the bit, and no more threads run than the team has members.

    Parameters
    ----------
    size
        Number of parts, the caller's included.
    blas
        Held to one thread while parts run.
    member
        Makes the threads, as `Member` or what does the same.
    """

    def __init__(self, size: int, blas: Blas, member: Callable[[], Any] = Member) -> None:
        self.size, self.blas = size, blas
        self._new_member = member
        self._members: list[Any] = []
        self._process = os.getpid()
        self._busy = threading.Lock()

    def run(self, tasks: Sequence[Task]) -> None:
        """Do at most `size` tasks; return when all are done, and raise what one of them raised."""
        with self.blas:
            if len(tasks) > 1 and self._claim():
                try:
                    self._fork_and_join(tasks)
                finally:
                    self._busy.release()
            else:
                for task in tasks:
                    task()

    def close(self) -> None:
        """Let the threads end, once the work in progress is done."""
        with self._busy:
            for member in self._members:
                member.dismiss()
            self._members = []

    def _claim(self) -> bool:
        if self._process != os.getpid():  # a fork copies this object, but not the threads nor who holds the lock
            self._process, self._members, self._busy = os.getpid(), [], threading.Lock()
        return self._busy.acquire(blocking=False)

    def _fork_and_join(self, tasks: Sequence[Task]) -> None:
        while len(self._members) < len(tasks) - 1:
            self._members.append(self._new_member())
        active = list(zip(self._members, tasks[1:], strict=False))
        for member, task in active:
            member.start(task)
        try:
            tasks[0]()
        finally:
            for member, _ in active:
                member.wait()
        for member, _ in active:
            error, member.error = member.error, None
            if error is not None:
                raise error


# ---------------------------------------------------------------- how many


def wanted() -> int:
    """Return the number of threads asked for in ``MINIGAN_THREADS``, at most `cores`; without it, `cores`.

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
            f"The number of threads must be an integer >= 1, got {count!r}; leave it out for all cores."
        )
    return number


def cores() -> int:
    """Return how many cores this process may use: those of its affinity mask, within the quota of its group."""
    if hasattr(os, "sched_getaffinity"):
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    return max(1, int(min(allowed, quota())))


def quota(root: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Return the cores that the process's control group grants: the least over it and its ancestors, or infinity.

    Parameters
    ----------
    root
        Where the control groups are mounted.
    own
        The file that says which groups the process is in, a line ``number:controllers:path`` each.
    """
    least = math.inf
    for line in _read(own).splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            base, granted = root, _quota_v2
        elif "cpu" in controllers.split(","):
            base, granted = root / "cpu", _quota_v1
        else:
            continue
        # Inside a container the group's own path may not be mounted; the root then holds its limits.
        group = base / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(base):
                least = min(least, granted(folder))
    return least


def _quota_v2(folder: Path) -> float:
    limit, _, period = _read(folder / "cpu.max").partition(" ")
    return _ratio(limit, period)


def _quota_v1(folder: Path) -> float:
    return _ratio(_read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us"))


def _ratio(limit: str, period: str) -> float:
    try:
        granted, per = float(limit), float(period)
    except ValueError:  # "max", or no such file
        return math.inf
    return granted / per if granted > 0 and per > 0 else math.inf


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""

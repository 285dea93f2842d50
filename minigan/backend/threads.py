"""How many threads, and how work is shared among them.

A `Team` splits a piece of work into as many parts as it has members. While parts run, the linear-algebra library is
held to one thread per part, since two layers of threads would fight over the same cores. Afterwards its setting is as
the user left it. All of it holds after an interrupt at any moment, too.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import math
import os
import queue
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy

Task = Callable[[], None]
T = TypeVar("T")


class Blas:
    """The number of threads of the linear-algebra library that NumPy calls.

    `alone` holds it to one thread. Several threads may do so at the same time and at several depths: the first one in
    sets the number, the last one out restores it.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._inside: set[object] = set()
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

    def alone(self, work: Callable[[], T]) -> T:
        """Return ``work()``, computed while the library is held to one thread.

        Not a context manager: Python looks for signals at the start of ``__exit__``, so that Ctrl-C during a product
        would leave the library at one thread. Here an interrupt can hit one call of `_leave`, but not both.
        """
        me = object()
        try:
            self._enter(me)
            return work()
        finally:
            try:
                self._leave(me)
            finally:
                self._leave(me)

    def _enter(self, who: object) -> None:
        if self._process != os.getpid():  # a fork copies who is inside, but not their threads
            before = self._before if self._inside else self.get()
            self._reset()
            self.set(before)
        with self._lock:
            if not self._inside:
                self._before = self.get()
            self._inside.add(who)
            self.set(1)

    def _leave(self, who: object) -> None:
        if who not in self._inside:
            return
        with self._lock:
            if len(self._inside) == 1:
                self.set(self._before)
            self._inside.discard(who)


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


class Job:
    """A task that is done once, by whoever claims it first."""

    def __init__(self, task: Task) -> None:
        self.task: Task | None = task
        self.error: BaseException | None = None
        self._claims: list[object] = []
        self._finished = False
        self._done = threading.Lock()
        self._done.acquire()

    def claim(self, who: object) -> bool:
        """Tell whether the task is `who`'s to do; asked again after an interrupt, the answer is the same."""
        self._claims.append(who)
        return self._claims[0] is who

    def run(self) -> None:
        """Do the task; called by another thread than the one that waits for it."""
        try:
            self.task()  # type: ignore[misc]
        except BaseException as error:  # whatever it is, the caller is to see it
            self.error = error
        finally:
            self._finished = True
            self._done.release()

    def wait(self) -> None:
        """Return when the thread that claimed the task is done with it."""
        while not self._finished:
            self._done.acquire(timeout=1.0)  # an interrupted wait may have taken the lock already


class Member:
    """A thread that does the jobs it is handed, in their order."""

    def __init__(self) -> None:
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.hand = self._inbox.put
        threading.Thread(target=self._serve, name="minigan", daemon=True).start()

    def dismiss(self) -> None:
        """End the thread."""
        self.hand(None)

    def _serve(self) -> None:
        while (job := self._inbox.get()) is not None:
            if job.claim(self):
                job.run()
            del job  # what it computed with isn't kept until the next one comes


class Team:
    """A fixed number of parts, done at the same time by as many threads as are free.

    The caller does the first part, then each that no thread has begun by then: so it never waits for a thread that the
    system doesn't let run, and threads that another caller keeps busy, or that a fork left behind, cost nothing but
    time. The parts are the same whoever does them: so are the results, to the bit.

    Parameters
    ----------
    size
        Number of parts, the caller's included.
    blas
        Held to one thread while parts run.
    """

    def __init__(self, size: int, blas: Blas) -> None:
        self.size, self.blas = size, blas
        self._members: list[Member] = []
        self._process = os.getpid()

    def run(self, tasks: Sequence[Task]) -> None:
        """Do at most `size` tasks; return when all are done, and raise what one of them raised."""
        self.blas.alone(tasks[0] if len(tasks) == 1 else functools.partial(self._share, tasks))

    def close(self) -> None:
        """Let the threads end, once the work in progress is done."""
        members, self._members = self._members, []
        for member in members:
            member.dismiss()

    def _share(self, tasks: Sequence[Task]) -> None:
        me, jobs = object(), [Job(task) for task in tasks[1:]]
        interrupt: BaseException | None = None
        try:
            for member, job in zip(self._members_for(len(jobs)), jobs, strict=True):
                member.hand(job)
            tasks[0]()
            for job, task in zip(jobs, tasks[1:], strict=True):
                if job.claim(me):
                    task()
        finally:
            # Whatever happens, nobody may write to the caller's arrays behind its back: what no thread has begun is
            # claimed, so that none will, and what one has begun is waited for, even if Ctrl-C comes meanwhile.
            settled = False
            while not settled:
                try:
                    for job in jobs:
                        if not job.claim(me):
                            job.wait()
                        job.task = None
                    settled = True
                except BaseException as error:
                    interrupt = error
        for raised in (interrupt, *(job.error for job in jobs)):
            if raised is not None:
                raise raised

    def _members_for(self, count: int) -> list[Member]:
        if self._process != os.getpid():  # a fork copies this object, but not the threads
            self._process, self._members = os.getpid(), []
        while len(self._members) < count:
            self._members.append(Member())
        return self._members[:count]


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

"""The linear-algebra library that NumPy calls, held to one thread where minigan's own threads share
the work.

Two layers of threads would fight over the same cores. Afterwards the library's setting is as the
user left it, after an interrupt at any moment, too.
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy

from minigan.backend.cpu.cores import read

T = TypeVar("T")


class Blas:
    """The number of threads of the linear-algebra library that NumPy calls.

    `alone` holds it to one thread. Several threads may do so at the same time and at several
    depths: the first one in sets the number, the last one out restores it.
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

        Not a context manager: Python looks for signals at the start of ``__exit__``, so that Ctrl-C
        during a product would leave the library at one thread. Here an interrupt can hit one call
        of `_leave`, but not both.
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
    mapped = (line.rpartition(" ")[2] for line in read(Path("/proc/self/maps")).splitlines())
    return bundled or [
        Path(name) for name in dict.fromkeys(mapped) if "openblas" in name or "libblas" in name
    ]


def _control(path: Path) -> tuple[Callable[[], int], Callable[[int], None]] | None:
    """The pair of functions of an OpenBLAS with threads of its own; with OpenMP's, the number isn't
    process-wide.

    Called through ctypes, since the package threadpoolctl lets only one thread of a process decide.
    """
    try:
        library = ctypes.PyDLL(str(path))
    except OSError:
        return None
    for prefix, suffix in itertools.product(("scipy_", ""), ("64_", "", "_64")):
        names = [
            f"{prefix}openblas_{what}{suffix}"
            for what in ("get_parallel", "get_num_threads", "set_num_threads")
        ]
        if all(hasattr(library, name) for name in names):
            kind, ask, give = (getattr(library, name) for name in names)
            return (ask, give) if kind() == 1 else None
    return None


def numpy_with_blas() -> str:
    """Return NumPy's version and the linear-algebra library that it was built with."""
    about: Any = numpy.show_config(mode="dicts")
    blas = about.get("Build Dependencies", {}).get("blas", {})
    name = f"{blas.get('name', 'unknown BLAS')} {blas.get('version', '')}".rstrip()
    return f"NumPy {numpy.__version__} with {name}"

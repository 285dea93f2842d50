"""Memory that is used again instead of being given back and asked for anew.

A training step allocates the same large arrays over and over. By default glibc's ``malloc`` takes
each from the system and returns it, and the system hands out zeroed pages one page fault at a time,
which takes longer than the arithmetic on them. Told to keep what it has, it hands the same memory
out again. This is a setting of the whole process, so it is made once, by the first net that
computes, and `restore` undoes it. Without glibc nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading

from minigan import forks

# The numbers of malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_KEEP = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 64 * 2**20}
_DEFAULT = {
    _MMAP_MAX: 65536,
    _TRIM_THRESHOLD: 128 * 2**10,
    _TOP_PAD: 128 * 2**10,
    _MMAP_THRESHOLD: 128 * 2**10,
}
_VARIABLES = (
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_MMAP_MAX_",
    "GLIBC_TUNABLES",
)


class Malloc:
    """The settings of ``malloc``: as they are, or such that freed memory stays with the process."""

    def __init__(self) -> None:
        self.keeps = False
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def keep(self) -> bool:
        """Keep freed memory from now on; return whether it does.

        A user who has set one of glibc's own variables knows better, and ``MINIGAN_MALLOC=default``
        says so.
        """
        with self._lock:
            if not self.keeps and _is_glibc() and not _user_decides():
                self.keeps = _set(_KEEP)
            return self.keeps

    def restore(self) -> None:
        """Go back to glibc's documented defaults, and return what is free to the system."""
        with self._lock:
            if self.keeps:
                _set(_DEFAULT)
                ctypes.CDLL(None).malloc_trim(0)
                self.keeps = False


def _is_glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


def _user_decides() -> bool:
    return os.environ.get("MINIGAN_MALLOC") == "default" or any(
        name in os.environ for name in _VARIABLES
    )


def _set(values: dict[int, int]) -> bool:
    mallopt = ctypes.CDLL(None).mallopt
    done = [mallopt(parameter, value) == 1 for parameter, value in values.items()]
    return all(done)

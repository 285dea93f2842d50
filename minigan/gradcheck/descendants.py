"""The processes that a user's file has started, found even if they left their group."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

MARK = "MINIGAN_CHECK"
"""The environment variable by which they are known: a process inherits it."""
PROCESSES = Path("/proc")


class Family:
    """A process and all that descend from it; nothing is found where there is no ``/proc``.

    Parameters
    ----------
    leader
        The process that leads the group.
    token
        The value of `MARK` in its environment.
    """

    def __init__(self, leader: int, token: str) -> None:
        self._leader, self._mark = leader, f"{MARK}={token}".encode()

    def count(self) -> int:
        """Return how many there are, as far as that is known."""
        return sum(1 for _ in self._members())

    def end(self) -> None:
        """End all of them, also those that are started meanwhile."""
        for _ in range(20):
            members = list(self._members())
            for member in members:
                with suppress(OSError):
                    os.kill(member, signal.SIGKILL)
            if not members:
                return

    def _members(self) -> Iterator[int]:
        if not PROCESSES.is_dir():
            return
        for folder in PROCESSES.iterdir():
            if folder.name.isdecimal() and self._belongs(folder):
                yield int(folder.name)

    def _belongs(self, folder: Path) -> bool:
        # One that has ended and waits for its parent has neither a group's work nor a mark.
        with suppress(OSError):
            fields = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
            if fields[0] in "ZX":
                return False
            return int(fields[2]) == self._leader or self._mark in (folder / "environ").read_bytes()
        return False

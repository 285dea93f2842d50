"""Locks of a process that forks: the child has one thread, but inherits the locks of all.

What another thread holds at that moment, nobody in the child would ever release.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any


def in_child(renew: Callable[[], None]) -> None:
    """Call a bound method in every forked child, as long as its object lives.

    For a lock that is held for a moment, and data that can be made anew.
    """
    method = weakref.WeakMethod(renew)

    def call() -> None:
        alive = method()
        if alive is not None:
            alive()

    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=call)


def held(lock: Any) -> None:
    """Take a lock before every fork, and release it afterwards in parent and child.

    For what must be finished first. The lock must be reentrant, and whoever holds it may not wait
    for another lock that is treated in this way.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )

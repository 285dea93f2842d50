"""Starts a process in which a user's file runs, with one between it and the process that judges.

What the file knows as its parent then judges nothing: ending it changes no verdict, and loses none.
This runs before anything is imported that might start threads, which a fork wouldn't copy. On
Windows there are no forks, and the file's parent is the process that judges.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys


def _stand_between() -> None:
    """Return in a process of its own; here, end as that one ends."""
    child = os.fork()
    if child == 0:
        return
    for descriptor in range(3):  # they have an end only when the file's process has none of them
        os.close(descriptor)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        _end_by(-code)
    os._exit(code)


def _end_by(number: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


if __name__ == "__main__":
    if hasattr(os, "fork"):
        _stand_between()
    sys.path.append(sys.argv.pop(1))
    runpy.run_module(sys.argv[1], None, "__main__")

"""Starting the ranks of a run: what ``minigan train --ranks N`` does."""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from minigan.ranks import Ranks, cores_of_each, mpi

ROLL = "MINIGAN_ROLL"
"""Environment variable with the folder in which ranks sign in."""
_CHATTER = (
    "====", "=   ", "YOUR APPLICATION TERMINATED", "This typically refers", "Please see the FAQ",
    "Abort(", "application called MPI_Abort", "[proxy:", "[mpiexec@", "Ctrl-C caught",
    "Press Ctrl-C again",
)  # fmt: skip
"""How lines begin in which MPICH's launcher says that a rank has ended; retold in a sentence."""
_FRAME = "-" * 70
"""How the lines begin between which Open MPI's launcher says something, in so many at most."""
_MOST = 30
_FRAMED = (
    "MPI_ABORT was invoked", "noticed that process rank", "has exited due to process rank",
    "detected that one or more processes exited", "terminated normally, but",
)  # fmt: skip
"""Words by which one knows that it says that a rank has ended."""
_SIGNAL = re.compile(r"\bsignal (\d+)")
_EXIT = re.compile(r"\bexit code: +(\d+)", re.IGNORECASE)
UNBEGUN = "nothing was written, so mend that and start it again."
"""What to do if the launcher ends before any rank has signed in."""


def launch(count: int, arguments: Sequence[str], *, resume: str) -> int:
    """Run ``minigan`` with these arguments on several ranks of this machine, and wait for them.

    Parameters
    ----------
    count
        How many ranks, at least 2.
    arguments
        Those of the command.
    resume
        How to go on with the run if a rank dies, as a command.

    Returns
    -------
    int
        The exit status of the ranks.

    Raises
    ------
    ValueError
        If there is no mpi4py or no ``mpiexec``.
    """
    command = [_launcher(), "-n", str(count), sys.executable, "-m", "mpi4py", "-m", "minigan"]
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [*command, *arguments],
            env=_environment(count) | {ROLL: folder},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # so that Ctrl-C reaches the ranks once
        ) as running,
    ):
        roll = Roll(Path(folder), running)
        with _passing_signals_on(running, roll):
            said, chatter = _relay_both(running)
            status = running.wait()
        first, begun = roll.first(), roll.begun()
    if status and not begun:
        print(f"minigan: No rank began to train, see above; {UNBEGUN}", file=sys.stderr)
    elif (status and not said and status != 130) or (first and not status):
        print(f"minigan: {epitaph(chatter, status, first)}; {resume}", file=sys.stderr)
        status = status or 1
    return status if 0 <= status < 256 else 128 - status


@contextmanager
def on_the_roll(ranks: Ranks) -> Iterator[None]:
    """Sign in, for whoever has started the ranks, and off again if all goes well."""
    folder = os.environ.get(ROLL)
    if folder is None or ranks.size == 1:
        yield
        return
    own = Path(folder) / str(ranks.rank)
    own.with_suffix(".new").write_text(str(os.getpid()))
    own.with_suffix(".new").rename(own)
    yield
    own.rename(own.with_suffix(".done"))


class Roll:
    """Who has signed in, and who was the first to end without signing off.

    Parameters
    ----------
    folder
        Where ranks sign in.
    running
        The launcher.
    """

    def __init__(self, folder: Path, running: subprocess.Popen[str]) -> None:
        self.folder, self.running = folder, running
        self._first: tuple[int, int] | None = None
        self._watch = threading.Thread(target=self._look, daemon=True)
        if hasattr(os, "pidfd_open"):
            self._watch.start()

    def first(self) -> tuple[int, int] | None:
        """Return the rank and the process that ended first, once the launcher has ended."""
        if self._watch.is_alive():
            self._watch.join()
        return self._first

    def processes(self) -> list[int]:
        """Return the processes that have signed in, and not off."""
        found = []
        for path in self._signatures():
            with suppress(OSError, ValueError):
                found.append(int(path.read_text()))
        return found

    def begun(self) -> bool:
        """Return whether any rank has ever signed in."""
        return any(self.folder.iterdir())

    def _signatures(self) -> list[Path]:
        return [path for path in self.folder.glob("[0-9]*") if not path.suffix]

    def _look(self) -> None:
        # The kernel lists what has ended in the order in which it ended. That matters here: the
        # launcher kills the other ranks at once, on a busy machine before this thread looks.
        ends = select.epoll()
        watched: dict[int, Path] = {}
        while self._first is None and self.running.poll() is None:
            for path in self._signatures():
                if path in watched.values():
                    continue
                with suppress(OSError, ValueError):
                    descriptor = os.pidfd_open(int(path.read_text()))
                    watched[descriptor] = path
                    ends.register(descriptor, select.EPOLLIN)
            for descriptor, _ in ends.poll(0.05):
                self._ended(watched[descriptor])
                ends.unregister(descriptor)
        ends.close()
        for descriptor in watched:
            os.close(descriptor)

    def _ended(self, path: Path) -> None:
        with suppress(OSError):  # it has signed off
            self._first = self._first or (int(path.name), int(path.read_text()))


def _launcher() -> str:
    mpi_of_its_own = Path(sys.executable).with_name("mpiexec")
    found = str(mpi_of_its_own) if mpi_of_its_own.exists() else shutil.which("mpiexec")
    if found is None:
        mpi()  # says what is missing, if it is all
        raise ValueError(
            "--ranks needs the launcher mpiexec, which isn't on the path; install an MPI, for "
            "example with: pip install mpich"
        )
    return found


def _environment(count: int) -> dict[str, str]:
    """Return the environment of the ranks, with each one's share of the cores."""
    threads = os.environ.get("MINIGAN_THREADS") or str(cores_of_each(count))
    return dict(os.environ) | {"PYTHONUNBUFFERED": "1", "MINIGAN_THREADS": threads}


@contextmanager
def _passing_signals_on(running: subprocess.Popen[str], roll: Roll) -> Iterator[None]:
    """Let the ranks have the signals that ask this process to end.

    They don't go by way of the launcher, since Open MPI's ends the ranks half a second later.
    """
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[Any, Any] = {}
    asked: list[int] = []

    def pass_on(number: int, _: Any) -> None:
        # The second time it goes to the launcher: ranks that wait for a message don't listen.
        processes = [] if asked else roll.processes()
        asked.append(number)
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        if not processes:
            running.send_signal(number)

    try:
        for number in numbers:
            before[number] = signal.signal(number, pass_on)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if running.poll() is None:
            running.terminate()


def _relay_both(running: subprocess.Popen[str]) -> tuple[bool, list[str]]:
    """Pass on what the ranks print on both streams; return as `_relay`."""
    found: list[tuple[bool, list[str]]] = []

    def relay(lines: IO[str] | None, stream: IO[str]) -> None:
        assert lines is not None
        found.append(_relay(lines, stream))

    beside = threading.Thread(target=relay, args=(running.stdout, sys.stdout), daemon=True)
    beside.start()
    relay(running.stderr, sys.stderr)
    beside.join()
    return any(said for said, _ in found), [line for _, chatter in found for line in chatter]


def _relay(lines: Iterable[str], stream: IO[str]) -> tuple[bool, list[str]]:
    """Pass lines on; return whether a rank has said why it ended, and what the launcher said."""
    said, chatter = False, []
    for words in _in_frames(lines):
        if words.startswith(_CHATTER) or any(known in words for known in _FRAMED):
            chatter += words.splitlines()
        elif words.strip() or not chatter:
            said = said or words.startswith("minigan: rank")
            stream.write(words)
            stream.flush()
    return said, chatter


def _in_frames(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, but what Open MPI's launcher puts between two lines of dashes as a whole."""
    framed = ""
    for line in (line.replace("\0", "") for line in lines):  # it ends some of its words like C
        if line.startswith("minigan: ") or not (framed or line.startswith(_FRAME)):
            yield line
        elif framed and (line.startswith(_FRAME) or framed.count("\n") >= _MOST):
            yield framed + line
            framed = ""
        else:
            framed += line
    yield from [framed] if framed else []


def epitaph(chatter: Sequence[str], status: int, first: tuple[int, int] | None = None) -> str:
    """Say which rank has ended, and why.

    Parameters
    ----------
    chatter
        What the launcher of MPICH or Open MPI has printed.
    status
        Its exit status.
    first
        The rank and the process that ended first, if known.
    """
    text = "\n".join(chatter)
    killed, left = _SIGNAL.search(text), _EXIT.search(text)
    rank = f"rank {first[0]} (process {first[1]})" if first else "a rank"
    code = int(left[1]) if left else status
    if killed:
        return f"{rank} was killed by signal {int(killed[1])}, so all ranks were ended"
    return f"{rank} ended with status {code} before the others, so all ranks were ended"

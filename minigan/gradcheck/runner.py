"""Run a layer from a user's file in a process of its own, with limits; the verdict stays here.

The other process only maps arrays to arrays. What it answers is data, never code, so nothing in
the file can end this process, change a comparison, or print a verdict: ``sys.exit``, a crash, an
endless loop and a flood of output each end in a sentence.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import secrets
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from minigan.gradcheck import descendants, wire
from minigan.gradcheck.load import UsageError
from minigan.gradcheck.report import Misconduct
from minigan.gradcheck.subject import Backward, Forward, Found, Traits

GARBLED = "answered what isn't an answer: it writes where only the check may"
KEPT_OUTPUT = 4000
START_UP = 120.0
"""Seconds that Python may take to start, which doesn't count for the file."""
GLANCE = 0.2
"""Seconds between two looks at the processes that the file has started."""
PLACE = str(Path(__file__).resolve().parents[2])
START = str(Path(__file__).with_name("start.py"))
"""Starts the other process with -P, so that no random.py beside the file stands for Python's."""
PARTING = 1.0
"""Seconds to wait for pipes that a process of the file's, in another session, may keep open."""


@dataclass(frozen=True)
class Limits:
    """What a user's file may use.

    Attributes
    ----------
    seconds
        For each call of forward or backward, and for loading the file.
    memory
        Bytes of address space (where the system can bound it: not on Windows).
    file_size
        Bytes of any file that it writes.
    processes
        Processes that it may have at a time, its own included (where they can be counted: on
        Linux).

    Raises
    ------
    ValueError
        If a limit isn't a positive, finite number.
    """

    seconds: float = 20.0
    memory: int = 4 << 30
    file_size: int = 64 << 20
    processes: int = 1000

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 < value < math.inf:
                raise ValueError(f"The limit of {name} must be a positive number, got {value}.")


class Runner:
    """A process that has loaded a layer; close it, or use it in a ``with`` statement.

    Parameters
    ----------
    place, arguments, arrays
        As for `minigan.gradcheck.load.load_layer`.
    train, constants
        As for `minigan.gradcheck.check`.
    limits
        What it may use.
    child
        The module that runs in the process; see `minigan.gradcheck.child.serve`.
    cwd
        The folder that it runs in; by default this process's.
    told
        Further things that this module is told at the start, by name.

    Raises
    ------
    UsageError
        If the file can't be loaded, or raises.
    Misconduct
        If it ends the process, or takes too long.
    """

    def __init__(
        self,
        place: str,
        *,
        arguments: str = "",
        arrays: Any = (),
        train: bool = True,
        constants: Any = (),
        limits: Limits = Limits(),
        child: str = "minigan.gradcheck.child",
        cwd: Path | None = None,
        **told: Any,
    ) -> None:
        self._place, self._limits = place.rpartition(":")[0], limits
        token = secrets.token_hex(8)
        self._process = subprocess.Popen(
            [sys.executable, "-P", START, PLACE, child],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env=_environment() | {descendants.MARK: token}, cwd=cwd,
        )  # fmt: skip
        self._family = descendants.Family(self._process.pid, token)
        self.printed = b""
        self._answers: queue.Queue[Any] = queue.Queue()
        self._lost: Misconduct | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=t, daemon=True) for t in (self._listen, self._drain)
        ]
        for thread in self._threads:
            thread.start()
        try:
            self._answer(START_UP)
            self.ask(
                **told, place=place, arguments=arguments, arrays=list(arrays), train=train,
                constants=list(constants), memory=limits.memory, file_size=limits.file_size,
            )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Runner:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, and all that it has started."""
        if self._closed:  # its number may be another process's by now
            return
        self._closed = True
        with contextlib.suppress(OSError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()
        self._family.end()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]
        for thread in self._threads:  # each closes the pipe that it reads
            thread.join(PARTING)

    def subject(self, dtype: str) -> RemoteSubject:
        """Return what stands for the layer, in a precision."""
        return RemoteSubject(self, dtype)

    def call(self, dtype: str, method: str, positional: Any, named: Any) -> Any:
        """Call a method of the `minigan.gradcheck.subject.Subject` there."""
        return self.ask(dtype=dtype, method=method, positional=positional, named=named)

    def ask(self, **message: Any) -> Any:
        """Send a message and return what the process answers; none, once one didn't come."""
        if self._lost is not None:
            raise self._lost
        with contextlib.suppress(OSError):  # a process that has ended doesn't read
            wire.send(self._process.stdin, message)  # type: ignore[arg-type]
        return self._answer(self._limits.seconds)

    def _answer(self, seconds: float) -> Any:
        answer = self._awaited(seconds)
        if answer is None:
            raise Misconduct(f"{self._place} {self._ending()}")
        if "usage" in answer:
            error = UsageError(str(answer["usage"]))
            for note in answer.get("notes", ()):
                error.add_note(str(note))
            raise error
        if "conduct" in answer:
            raise Misconduct(f"{self._place} {answer['conduct']}")
        return answer.get("result")

    def _awaited(self, seconds: float) -> Any:
        """Wait for an answer; a late one would be taken for that to the next question."""
        try:
            return self._awaited_in_time(seconds)
        except Misconduct as error:
            self._lost = error
            self.close()
            raise

    def _awaited_in_time(self, seconds: float) -> Any:
        """Wait for an answer, and count the processes meanwhile."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                return self._answers.get(timeout=min(left, GLANCE))
            except queue.Empty:
                if self._family.count() > self._limits.processes + 1:  # and `start`'s
                    raise Misconduct(
                        f"{self._place} started more than {self._limits.processes} processes: a "
                        "layer needs none"
                    ) from None
        raise Misconduct(
            f"{self._place} ran for more than {seconds:g} s in one call: look for an endless "
            "loop, or allow more with --time-limit"
        )

    def _ending(self) -> str:
        try:
            status = self._process.wait(self._limits.seconds)
        except subprocess.TimeoutExpired:
            return GARBLED
        if status < 0:
            return f"ended its process by {signal.Signals(-status).name}"
        return f"ended its process with exit status {status} before the check was done"

    def _listen(self) -> None:
        stream: BinaryIO = self._process.stdout  # type: ignore[assignment]
        try:
            while True:
                self._answers.put(wire.receive(stream))
        except wire.Garbled:
            self._answers.put({"conduct": GARBLED})
        except (EOFError, OSError, ValueError):
            self._answers.put(None)
        with contextlib.suppress(OSError):
            stream.close()  # a pipe that outlives the check, if a process of the file's holds it

    def _drain(self) -> None:
        """Read what the file prints, so that it can't block, and keep the beginning."""
        stream: BinaryIO = self._process.stderr  # type: ignore[assignment]
        with contextlib.suppress(OSError, ValueError):
            while piece := os.read(stream.fileno(), 1 << 16):
                self.printed = (self.printed + piece)[:KEPT_OUTPUT]
        with contextlib.suppress(OSError):
            stream.close()


def _environment() -> dict[str, str]:
    # One thread: more cost address space, and a small layer needs no more.
    return os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


class RemoteSubject:
    """Stands for a `minigan.gradcheck.subject.Subject` in another process.

    Parameters
    ----------
    runner
        The process.
    dtype
        ``"float64"`` or ``"float32"``.
    """

    def __init__(self, runner: Runner, dtype: str) -> None:
        self._runner, self._dtype = runner, dtype
        self._traits = Traits(*self._call("traits"))

    def _call(self, method: str, *positional: Any, **named: Any) -> Any:
        return self._runner.call(self._dtype, method, positional, named)

    def __getattr__(self, method: str) -> Any:
        kinds = {"forward": Forward, "backward": Backward, "second": Backward, "find": Found}

        def call(*positional: Any, **named: Any) -> Any:
            result = self._call(method, *positional, **named)
            try:
                return kinds[method](*result) if method in kinds else result
            except TypeError:
                raise Misconduct("The file's process answered what isn't an answer") from None

        return call

    def traits(self) -> Traits:
        """Say what the layer's methods take."""
        return self._traits

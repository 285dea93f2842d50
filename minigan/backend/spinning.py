"""A thread that is handed its work within microseconds: waiting in a compiled loop, without the interpreter's lock.

A thread that sleeps takes some 50 microseconds to wake, on some machines more, at the beginning of each piece of
shared work and again at its end. So whoever waits here looks at a number in memory over and over for a while, and
sleeps only if nothing comes. The numbers are but hints: what has been started and finished is counted apart, under a
mutex, so nobody sleeps through his call.

The interpreter's lock is the other thing that both want. The caller announces work from inside a compiled loop, where
he doesn't hold it, and stays there for the microseconds that the other one needs to take it, to find his task and
to enter a loop of his own.
"""

from __future__ import annotations

import functools
import platform
import threading
import time

import numpy
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from minigan.backend.loops import _compiled
from minigan.backend.threads import Task

PATIENCE, GRACE = 300.0, 20.0
"""Microseconds: to look for something before sleeping, and to leave the interpreter to the other thread."""

_STARTED, _FINISHED = 0, 8  # on different lines of the cache

_HINT = "llvm.x86.sse2.pause" if platform.machine().lower() in ("x86_64", "amd64") else ""


@intrinsic
def _pause(typing_context):
    """Tell the processor that somebody waits, and the compiler that memory may have changed."""

    def generate(context, builder, signature, arguments):
        kind = ir.FunctionType(ir.VoidType(), [])
        if _HINT:
            builder.call(cgutils.get_or_insert_function(builder.module, kind, _HINT), [])
        else:
            builder.call(ir.InlineAsm(kind, "", "~{memory}", side_effect=True), [])
        return context.get_dummy_value()

    return types.none(), generate


@_compiled
def _post(board, place, number, pauses):
    """Write a number on the board, and stay for a while."""
    board[place] = number
    for _ in range(pauses):
        _pause()


@_compiled
def _post_and_look(board, place, number, other, wanted, pauses):
    """Write a number on the board, and look for one in another place; return whether it came."""
    board[place] = number
    for _ in range(pauses):
        if board[other] == wanted:
            return True
        _pause()
    return False


@functools.cache
def _pauses(microseconds: float) -> int:
    """How many pauses take so long on this processor."""
    board, count, fastest = numpy.zeros(16, "int64"), 20_000, float("inf")
    for _ in range(4):
        begin = time.perf_counter()
        _post(board, 0, 0, count)
        fastest = min(fastest, time.perf_counter() - begin)
    return max(1, int(count * microseconds * 1e-6 / fastest))


class Spinner:
    """A thread that does one task at a time; the same to its team as `minigan.backend.threads.Member`."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.error: BaseException | None = None
        self._board = numpy.zeros(16, "int64")
        self._mutex = threading.Lock()
        self._started = self._finished = 0
        self._sleeps = self._caller_sleeps = False
        self._wake, self._wake_caller = threading.Lock(), threading.Lock()
        self._wake.acquire()
        self._wake_caller.acquire()
        self._patience, self._grace = _pauses(PATIENCE), _pauses(GRACE)
        threading.Thread(target=self._serve, name="minigan", daemon=True).start()

    def start(self, task: Task | None) -> None:
        """Hand over a task."""
        self.task, self.error = task, None
        with self._mutex:
            self._started += 1
            sleeps, self._sleeps = self._sleeps, False
        if sleeps:
            self._board[_STARTED] = self._started
            self._wake.release()
        else:
            _post(self._board, _STARTED, self._started, self._grace)

    def wait(self) -> None:
        """Return when the task is done."""
        count = self._started
        if not _post_and_look(self._board, _STARTED, count, _FINISHED, count, self._patience):
            while self._caller_must_sleep():
                self._wake_caller.acquire()
        self.task = None

    def dismiss(self) -> None:
        """End the thread."""
        self.start(None)

    def _serve(self) -> None:
        count = 0
        while True:
            if not _post_and_look(self._board, _FINISHED, count, _STARTED, count + 1, self._patience):
                while self._must_sleep(count):
                    self._wake.acquire()
            count += 1
            if self.task is None:
                return
            try:
                self.task()
            except BaseException as error:  # whatever it is, the caller is to see it
                self.error = error
            with self._mutex:
                self._finished = count
                sleeps, self._caller_sleeps = self._caller_sleeps, False
            if sleeps:
                self._wake_caller.release()

    def _must_sleep(self, count: int) -> bool:
        with self._mutex:
            self._sleeps = self._started == count
            return self._sleeps

    def _caller_must_sleep(self) -> bool:
        with self._mutex:
            self._caller_sleeps = self._finished != self._started
            return self._caller_sleeps

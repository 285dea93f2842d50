"""How work is shared among threads.

A `Team` splits a piece of work into as many parts as it has members. After an interrupt at any
moment, a fork or an error in a part, it works on as before.
"""

from __future__ import annotations

import functools
import os
import queue
import threading
from collections.abc import Callable, Sequence

from minigan.backend.cpu.blas import Blas

Task = Callable[[], None]


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
        """Tell whether the task is `who`'s to do; asked again after an interrupt, the answer is the
        same.
        """
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

    The caller does the first part, then each that no thread has begun by then: so it never waits
    for a thread that the system doesn't let run, and threads that another caller keeps busy, or
    that a fork left behind, cost nothing but time. The parts are the same whoever does them: so are
    the results, to the bit.

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
            # Whatever happens, nobody may write to the caller's arrays behind its back: what no
            # thread has begun is claimed, so that none will, and what one has begun is waited for,
            # even if Ctrl-C comes meanwhile.
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

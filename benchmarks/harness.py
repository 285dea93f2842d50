"""The race: contestants in processes of their own, timed in turn.

What a comparison of two programs on a busy machine has to guard against, and how:

* Libraries disturb each other within a process, so each contestant has its own. It is kept alive,
  and idle contestants sleep; a pause before each block lets the last one's threads fall asleep.
* A machine drifts by more than the differences of interest. So blocks are short and interleaved, in
  an order shuffled anew in each round, and ratios are taken between medians over the same rounds.
* The first step after a pause is slow: a block begins with a step that isn't counted, and building
  with several.
* Two threads may be left on one core for a whole block. So each block tells where its threads ran
  and how long they waited for a core, and a round in which they did is marked and repeated.
* What is said of libraries in the caller's environment (threads, allocator, kernels of OpenBLAS)
  is nobody's default: it is taken out of the contestants' environment.
* How much of a ratio is noise? The same program takes part twice; its ratio to itself should be 1.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from benchmarks.placement import Placement

ROOT = Path(__file__).parents[1]
PAUSE = 0.06
"""Seconds of rest before a block: threads of OpenBLAS and OpenMP may wait awake for some
milliseconds before they sleep.
"""
NOT_INHERITED = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "MINIGAN_THREADS",
    "OPENBLAS_CORETYPE",
    "OPENBLAS_L2_SIZE",
    "MINIGAN_FAST",
    "MINIGAN_MALLOC",
    "MALLOC_MMAP_MAX_",
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "GLIBC_TUNABLES",
)
"""Environment variables that change how fast a library computes."""
ENDED = "not counted: {} alone, which failed during the race"
"""What is noted of the blocks of who failed later: its rounds can't be compared with the others'."""


def environment(changes: Mapping[str, str]) -> dict[str, str]:
    """Return the caller's environment without what isn't inherited, and with `changes`."""
    kept = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED} | dict(changes)
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), kept.get("PYTHONPATH"))))
    return kept


@dataclass(frozen=True)
class Entry:
    """Who takes part.

    Attributes
    ----------
    name
        Unique in a race.
    module
        Has ``make(workload, options)``, which returns the training step.
    options
        What `make` gets.
    env
        Environment variables on top of the caller's, of which some are not inherited.
    python
        The interpreter that runs it.
    imports
        Modules that are imported when the program starts, before its memory is read for the first
        time: those that the contestant's own would only import when it first computes.
    """

    name: str
    module: str
    options: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    python: str = sys.executable
    imports: Sequence[str] = ()
    length: float = 1.0


class Block(NamedTuple):
    """Some steps of a contestant, one after the other.

    Attributes
    ----------
    name, round
        Whose, and in which round.
    ms
        The mean step.
    cpus, wait
        Where its threads ran and how long they waited, see `benchmarks.placement`.
    note
        Why it isn't counted; empty if it is.
    """

    name: str
    round: int
    ms: float
    cpus: str = ""
    wait: float = 0.0
    note: str = ""


class Failed(Exception):
    """A contestant can't take part; the message says why."""


class Contestant:
    """A process that times its training step when told to."""

    def __init__(self, entry: Entry, workload: str, *, warm: int = 3) -> None:
        self.entry = entry
        spec = {
            "module": entry.module,
            "workload": workload,
            "options": dict(entry.options),
            "warm": warm,
            "imports": list(entry.imports),
        }
        try:
            self._process = subprocess.Popen(
                [entry.python, "-m", "benchmarks.contestant", json.dumps(spec)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                env=environment(entry.env),
            )
        except OSError as error:
            # Not where it is: the reason goes into the results, which name no user's folders.
            raise Failed(f"its interpreter can't be started ({error.strerror})") from None
        self.versions: dict[str, str] = {}

    def wait_until_ready(self) -> float:
        """Return the seconds that warming up took.

        Raises
        ------
        Failed
            If it can't be built or run.
        """
        about = self._answer()
        if "failed" in about:
            raise Failed(about["failed"])
        self.versions = about["versions"]
        return float(about["warm_up"])

    def run(self, steps: int) -> tuple[list[float], Placement]:
        """Do some steps; return the seconds of each, and where the threads were."""
        self._say(f"run {steps}")
        about = self._answer()
        cpus = tuple(map(tuple, about["cpus"]))
        return about["seconds"], Placement(cpus, about["wait"], about["shared"])

    def kernel(self) -> str:
        """Return which kernel NumPy's OpenBLAS has chosen there."""
        self._say("kernel")
        return str(self._answer()["kernel"])

    def memory(self) -> tuple[float, float]:
        """Return the peak of resident memory so far, and that of the imports alone, in MiB."""
        self._say("memory")
        about = self._answer()
        return about["peak"], about["imports"]

    def close(self) -> None:
        """End the process."""
        try:
            self._process.communicate(timeout=10)
        except (subprocess.TimeoutExpired, OSError, ValueError):
            self._process.kill()
            self._process.wait()

    def __enter__(self) -> Contestant:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.close()

    def _say(self, words: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(words + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Failed(self._last_words()) from None

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith("\n"):  # who is killed may be in the middle of an answer
            raise Failed(self._last_words())
        about: dict[str, Any] = json.loads(line)
        return about

    def _last_words(self) -> str:
        _, said = self._process.communicate()
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        return lines[-1] if lines else f"it ended with status {self._process.returncode}"


class Race:
    """Contestants of one workload, alive at the same time; as a context it ends them.

    Attributes
    ----------
    failed
        Name to reason, of those that can't take part.
    """

    def __init__(
        self, workload: str, entries: Sequence[Entry], *, warm: int = 3, at_once: int = 4
    ) -> None:
        self.workload, self.warm = workload, warm
        self.running: dict[str, Contestant] = {}
        self.failed: dict[str, str] = {}
        self.versions: dict[str, str] = {}
        self.add(entries, at_once=at_once)

    def add(self, entries: Sequence[Entry], *, at_once: int = 4) -> None:
        """Let others take part as well. A few start at the same time: most of a start is one thread
        reading files.
        """
        for first in range(0, len(entries), at_once):
            starting = [e.name for e in entries[first : first + at_once] if self._has_started(e)]
            for name in starting:
                with self._ending(name):
                    self.running[name].wait_until_ready()
                    self.versions |= self.running[name].versions

    def _has_started(self, entry: Entry) -> bool:
        try:
            self.running[entry.name] = Contestant(entry, self.workload, warm=self.warm)
        except Failed as reason:
            self.failed[entry.name] = str(reason)
        return entry.name in self.running

    @contextmanager
    def _ending(self, name: str) -> Iterator[None]:
        """Whoever fails in this block leaves the race, which goes on without it."""
        try:
            yield
        except Failed as reason:
            self.failed[name] = str(reason)
            self.running.pop(name).close()

    def times(
        self, rounds: int, *, names: Sequence[str] | None = None, block: float = 0.35, seed: int = 0
    ) -> dict[str, list[float]]:
        """Return the mean step of a block, in milliseconds, for each contestant and round that
        counts; see `blocks`. Who failed meanwhile isn't among them.
        """
        found = self.blocks(rounds, names=names, block=block, seed=seed, repeats=0)
        order = self._here(self.running if names is None else names)
        return {name: [b.ms for b in found if b.name == name] for name in order}

    def blocks(
        self,
        rounds: int,
        *,
        names: Sequence[str] | None = None,
        block: float = 0.35,
        seed: int = 0,
        repeats: int | None = None,
    ) -> list[Block]:
        """Time all in turn, round after round.

        Parameters
        ----------
        rounds
            How often each is timed.
        names
            Who; all by default.
        block
            Seconds that a block lasts, about; at least one step.
        seed
            Of the order.
        repeats
            How many rounds may be repeated because threads shared a core or waited for one; as many
            as there are rounds, by default. What is spoilt beyond that counts.

        Returns
        -------
        list of Block
            With notes in those of rounds that were repeated, and of who failed before the end.
        """
        steps: dict[str, int] = {}
        for name in self._here(self.running if names is None else names):
            with self._ending(name):
                steps[name] = self._steps(name, block)
        left, order = rounds if repeats is None else repeats, list(steps)
        shuffler, found, done = random.Random(seed), [], 0
        while done < rounds:
            order = self._here(order)
            shuffler.shuffle(order)
            now, spoilt = [], []
            for name in order:
                with self._ending(name):
                    one, where = self._block(name, steps[name], done)
                    now.append(one)
                    spoilt += [name] if where.spoilt else []
            if spoilt and left > 0:
                left -= 1
                now = [one._replace(note=f"repeated: {spoilt[0]}") for one in now]
            else:
                done += 1
            found += now
        here = self._here(steps)
        return [b if b.name in here else b._replace(note=ENDED.format(b.name)) for b in found]

    def _here(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if name in self.running]

    def _block(self, name: str, steps: int, number: int) -> tuple[Block, Placement]:
        time.sleep(PAUSE)
        seconds, where = self.running[name].run(steps + 1)
        # The first step wakes threads and caches, and isn't counted.
        ms = 1e3 * sum(seconds[1:]) / steps
        cpus = " ".join("+".join(map(str, look)) for look in where.cpus)
        return Block(name, number, ms, cpus, where.wait), where

    def _steps(self, name: str, block: float) -> int:
        one = self.running[name]
        once = min(one.run(2)[0])
        return max(1, min(500, round(block * one.entry.length / once)))

    def memory(self) -> dict[str, tuple[float, float]]:
        """Return what `Contestant.memory` says, for each."""
        found = {}
        for name in list(self.running):
            with self._ending(name):
                found[name] = self.running[name].memory()
        return found

    def kernel(self, name: str) -> str:
        """Return what `Contestant.kernel` says; "" if it isn't there."""
        found = ""
        for one in self._here([name]):
            with self._ending(one):
                found = self.running[one].kernel()
        return found

    def keep(self, names: Sequence[str]) -> None:
        """End all but these."""
        for name in [name for name in self.running if name not in names]:
            self.running.pop(name).close()

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.keep(())


class Load:
    """Processes that compute meanwhile, one thread each; as a context it ends them."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._running: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Load:
        command = [sys.executable, "-m", "benchmarks.load"]
        env = environment({"OPENBLAS_NUM_THREADS": "1"})
        self._running = [subprocess.Popen(command, cwd=ROOT, env=env) for _ in range(self.count)]
        return self

    def __exit__(self, *exception: Any) -> None:
        for one in self._running:
            one.kill()
            one.wait()


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """Return how many times as fast: the ratio of medians."""
    return float(numpy.median(slow) / numpy.median(fast))


def interval(
    slow: Sequence[float], fast: Sequence[float], *, draws: int = 4000, seed: int = 0
) -> tuple[float, float]:
    """Return where 95 % of `ratio` lie if rounds are drawn anew with replacement (percentile
    bootstrap).

    Both get the same rounds, so that what disturbs a round disturbs both (Efron & Tibshirani 1993,
    chapter 13).
    """
    rounds = numpy.array([slow, fast])
    picks = numpy.random.default_rng(seed).integers(0, rounds.shape[1], (draws, rounds.shape[1]))
    over, under = numpy.median(rounds[:, picks], axis=2)
    low, high = numpy.quantile(over / under, [0.025, 0.975])
    return float(low), float(high)

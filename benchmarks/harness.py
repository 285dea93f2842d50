"""The race: contestants in processes of their own, timed in turn.

What a comparison of two programs on a busy machine has to guard against, and how:

* Libraries disturb each other within a process (their threads wait by spinning), so each contestant
  has its own. It is kept alive, and idle contestants sleep; a pause before each block lets the last
  one's threads fall asleep.
* A machine drifts by more than the differences of interest. So blocks are short and interleaved, in
  an order shuffled anew in each round, and ratios are taken between medians over the same rounds.
* The first step after a pause is slow: a block begins with a step that isn't counted, and building
  with several.
* How much of a ratio is noise? The same program takes part twice; its ratio to itself should be 1.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy

ROOT = Path(__file__).parents[1]
PAUSE = 0.06
"""Seconds of rest before a block: threads of OpenBLAS and OpenMP spin for some milliseconds before
they sleep.
"""
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "MINIGAN_THREADS")


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
        Environment variables on top of the caller's; the number of threads is never inherited.
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


class Failed(Exception):
    """A contestant can't take part; the message says why."""


class Contestant:
    """A process that times its training step when told to."""

    def __init__(self, entry: Entry, workload: str, *, warm: int = 3) -> None:
        self.entry = entry
        environment = {k: v for k, v in os.environ.items() if k not in THREAD_VARIABLES} | dict(
            entry.env
        )
        environment["PYTHONPATH"] = os.pathsep.join(
            filter(None, (str(ROOT), environment.get("PYTHONPATH")))
        )
        spec = {
            "module": entry.module,
            "workload": workload,
            "options": dict(entry.options),
            "warm": warm,
            "imports": list(entry.imports),
        }
        self._process = subprocess.Popen(
            [entry.python, "-m", "benchmarks.contestant", json.dumps(spec)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=environment,
        )
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

    def run(self, steps: int) -> list[float]:
        """Do some steps; return the seconds of each."""
        self._say(f"run {steps}")
        return [float(value) for value in self._answer()["seconds"]]

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
        if not line:
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
        # A few start at the same time: most of a start is one thread reading files.
        for first in range(0, len(entries), at_once):
            starting = {
                e.name: Contestant(e, workload, warm=warm) for e in entries[first : first + at_once]
            }
            for name, contestant in starting.items():
                try:
                    contestant.wait_until_ready()
                    self.running[name] = contestant
                    self.versions |= contestant.versions
                except Failed as reason:
                    self.failed[name] = str(reason)
                    contestant.close()

    def times(
        self, rounds: int, *, names: Sequence[str] | None = None, block: float = 0.35, seed: int = 0
    ) -> dict[str, list[float]]:
        """Return the mean step of a block, in milliseconds, for each contestant and round.

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
        """
        order = [name for name in names or self.running if name in self.running]
        steps = {name: self._steps(name, block) for name in order}
        blocks: dict[str, list[float]] = {name: [] for name in order}
        shuffler = random.Random(seed)
        for _ in range(rounds):
            shuffler.shuffle(order)
            for name in order:
                time.sleep(PAUSE)
                # The first step wakes threads and caches, and isn't counted.
                seconds = self.running[name].run(steps[name] + 1)[1:]
                blocks[name].append(1e3 * sum(seconds) / len(seconds))
        return blocks

    def _steps(self, name: str, block: float) -> int:
        once = min(self.running[name].run(2))
        return max(1, min(500, round(block / once)))

    def memory(self) -> dict[str, tuple[float, float]]:
        """Return what `Contestant.memory` says, for each."""
        return {name: contestant.memory() for name, contestant in self.running.items()}

    def keep(self, names: Sequence[str]) -> None:
        """End all but these."""
        for name in [name for name in self.running if name not in names]:
            self.running.pop(name).close()

    def __enter__(self) -> Race:
        return self

    def __exit__(self, *exception: Any) -> None:
        self.keep(())


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

"""Jobs that may be cut: each trains one player pair from one seed, and leaves a row in a table when
it's done.
"""

from __future__ import annotations

import csv
import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from minigan import checkpoint, gan, optim

RESULTS = Path(__file__).parents[1] / "results" / "quality"
UNFINISHED = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "minigan" / "quality"
"""Where jobs that were cut wait for the next call."""
SAVE_SECONDS = 300
"""How often a training is saved, in case it is interrupted."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes
    ----------
    case, seed
        What it is called in the table.
    steps
        Rounds of the game.
    build
        ``seed -> trainer``.
    measure
        ``(trainer, seed) -> columns``, at the end.
    schedule
        Share of the learning rates that is left when this share of the steps is done; None leaves
        them to the game.
    long
        Whether it takes hours, and is done only when ``--only`` asks for it.
    marks
        Steps after which it is measured, too, and leaves a row.
    """

    case: str
    seed: int
    steps: int
    build: Callable[[int], gan.Trainer]
    measure: Callable[[gan.Trainer, int], Row]
    schedule: Callable[[float], float] | None = None
    long: bool = False
    marks: tuple[int, ...] = ()


def run(
    experiment: str, jobs: Sequence[Job], *, budget: float, say: Callable[[str], None] = print
) -> bool:
    """Do the jobs that have no row yet, until the budget (seconds) is spent; return whether all are
    done.
    """
    deadline = time.monotonic() + budget
    for job in jobs:
        if _done(experiment, job, job.steps):
            continue
        row: Row | None = None
        for row in _train(experiment, job, deadline):
            append(experiment, row)
            say(f"{experiment}: " + ", ".join(f"{k} {v}" for k, v in row.items()))
        if row is None or row["steps"] != job.steps:
            say(
                f"{experiment}: the budget is spent within {job.case}, seed {job.seed}; call "
                "again to go on."
            )
            return False
    return True


def rows(experiment: str) -> list[dict[str, str]]:
    """Return the table so far."""
    path = RESULTS / f"{experiment}.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _done(experiment: str, job: Job, steps: int) -> bool:
    name = (job.case, str(job.seed), str(steps))
    return any((row["case"], row["seed"], row["steps"]) == name for row in rows(experiment))


def _train(experiment: str, job: Job, deadline: float) -> Iterator[Row]:
    """Yield a row at each mark and one at the end, or stop early when time is up, with what's
    unfinished saved.
    """
    trainer = job.build(job.seed)
    parts = trainer.game.parts().values()
    optimizers = [part for part in parts if isinstance(part, optim.Optimizer)]
    rates = [optimizer.lr for optimizer in optimizers]
    waiting = Unfinished(f"{experiment}-{job.case}-{job.seed}-{job.steps}")
    passed = waiting.resume(trainer)
    while trainer.step < job.steps:
        if trainer.step % 50 == 0 and waiting.save_if_due(trainer, passed, deadline):
            return
        if job.schedule is not None:
            for optimizer, rate in zip(optimizers, rates, strict=True):
                optimizer.lr = rate * job.schedule(trainer.step / job.steps)
        trainer.train_step()
        if trainer.step in job.marks and not _done(experiment, job, trainer.step):
            yield _row(job, trainer, passed)
            waiting.save(trainer, passed)
    yield _row(job, trainer, passed)
    waiting.forget()


class Unfinished:
    """Where a training that was cut waits for the next call.

    Parameters
    ----------
    name
        What it is called, one for each training.
    """

    def __init__(self, name: str) -> None:
        plain = re.sub("[^0-9A-Za-z.-]+", "-", name)  # what no file system dislikes
        self.path = UNFINISHED / f"{plain}.safetensors"
        self._saved = time.monotonic()

    def resume(self, trainer: gan.Trainer) -> Passed:
        """Go on where a call before stopped, if there was one; return what it has taken so far."""
        if not self.path.is_file():
            return Passed()
        arrays, meta = checkpoint.load(self.path)
        trainer.load_state(arrays, meta["trainer"])
        return Passed(float(meta["seconds"]), float(meta.get("wall", 0.0)))

    def save_if_due(self, trainer: gan.Trainer, passed: Passed, deadline: float) -> bool:
        """Save every few minutes, and when the time is up; tell whether it is."""
        over = time.monotonic() > deadline
        if over or time.monotonic() - self._saved > SAVE_SECONDS:
            self.save(trainer, passed)
        return over

    def save(self, trainer: gan.Trainer, passed: Passed) -> None:
        """Write the state of a training."""
        arrays, meta = trainer.state()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.save(self.path, arrays, {"trainer": meta} | passed.so_far())
        self._saved = time.monotonic()

    def forget(self) -> None:
        """Remove what isn't needed any more."""
        self.path.unlink(missing_ok=True)


class Passed:
    """Seconds of training, of the processor and by the clock, over all calls."""

    def __init__(self, seconds: float = 0.0, wall: float = 0.0) -> None:
        self._seconds, self._wall = seconds, wall
        self._start, self._clock = time.process_time(), time.monotonic()

    def so_far(self) -> dict[str, float]:
        """Return both."""
        return {
            "seconds": self._seconds + time.process_time() - self._start,
            "wall": self._wall + time.monotonic() - self._clock,
        }

    def without(self, work: Callable[[], Row]) -> Row:
        """Return the result of some work that doesn't count."""
        start, clock = time.process_time(), time.monotonic()
        result = work()
        self._start += time.process_time() - start
        self._clock += time.monotonic() - clock
        return result


def _row(job: Job, trainer: gan.Trainer, passed: Passed) -> Row:
    measured = passed.without(lambda: job.measure(trainer, job.seed))
    spent = passed.so_far()
    name = {"case": job.case, "seed": job.seed, "steps": trainer.step}
    return (
        name
        | measured
        | {
            "cpu_seconds": round(spent["seconds"], 1),
            "wall_seconds": round(spent["wall"], 1),
            "cores": os.cpu_count(),
            "processor": _processor(trainer.game.device),
        }
    )


def _processor(ops: Any) -> str:
    """Name what computed; for a GPU, with the precision of its products."""
    if not ops.queues:
        return processor()
    name = ops.xp.cuda.runtime.getDeviceProperties(ops.xp.cuda.Device().id)["name"].decode()
    return f"{name}, {ops.precision}"


def append(experiment: str, row: Row) -> None:
    """Add a row to the table of an experiment; earlier rows get its new columns, empty."""
    path = RESULTS / f"{experiment}.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # several processes may share the jobs
        file.seek(0)
        reader = csv.DictReader(file)
        earlier, header = list(reader), list(reader.fieldnames or ())
        columns = list(dict.fromkeys([*header, *row]))
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        if columns != header:
            file.truncate(0)
            writer.writeheader()
            writer.writerows(earlier)
        writer.writerow(row)

"""Jobs that may be cut: each trains one player pair from one seed, and leaves a row in a table when
it's done.
"""

from __future__ import annotations

import csv
import fcntl
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import processor
from minigan import checkpoint, gan, optim

RESULTS = Path(__file__).parents[1] / "results" / "quality"
UNFINISHED = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "minigan" / "quality"
"""Where jobs that were cut wait for the next call."""

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
    """

    case: str
    seed: int
    steps: int
    build: Callable[[int], gan.Trainer]
    measure: Callable[[gan.Trainer, int], Row]
    schedule: Callable[[float], float] | None = None
    long: bool = False


def run(
    experiment: str, jobs: Sequence[Job], *, budget: float, say: Callable[[str], None] = print
) -> bool:
    """Do the jobs that have no row yet, until the budget (seconds) is spent; return whether all are
    done.
    """
    deadline = time.monotonic() + budget
    for job in jobs:
        if _done(experiment, job):
            continue
        row = _train(experiment, job, deadline)
        if row is None:
            say(
                f"{experiment}: the budget is spent within {job.case}, seed {job.seed}; call "
                "again to go on."
            )
            return False
        append(experiment, row)
        say(f"{experiment}: " + ", ".join(f"{k} {v}" for k, v in row.items()))
    return True


def rows(experiment: str) -> list[dict[str, str]]:
    """Return the table so far."""
    path = RESULTS / f"{experiment}.csv"
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def _done(experiment: str, job: Job) -> bool:
    name = (job.case, str(job.seed), str(job.steps))
    return any((row["case"], row["seed"], row["steps"]) == name for row in rows(experiment))


def _train(experiment: str, job: Job, deadline: float) -> Row | None:
    trainer = job.build(job.seed)
    parts = trainer.game.parts().values()
    optimizers = [part for part in parts if isinstance(part, optim.Optimizer)]
    rates = [optimizer.lr for optimizer in optimizers]
    path = unfinished(f"{experiment}-{job.case}-{job.seed}-{job.steps}")
    spent = wall = 0.0
    if path.is_file():
        arrays, meta = checkpoint.load(path)
        trainer.load_state(arrays, meta["trainer"])
        spent, wall = float(meta["seconds"]), float(meta.get("wall", 0.0))
    start, clock = time.process_time(), time.monotonic()
    while trainer.step < job.steps:
        if trainer.step % 50 == 0 and time.monotonic() > deadline:
            arrays, meta = trainer.state()
            path.parent.mkdir(parents=True, exist_ok=True)
            passed = {
                "seconds": spent + time.process_time() - start,
                "wall": wall + time.monotonic() - clock,
            }
            checkpoint.save(path, arrays, {"trainer": meta} | passed)
            return None
        if job.schedule is not None:
            for optimizer, rate in zip(optimizers, rates, strict=True):
                optimizer.lr = rate * job.schedule(trainer.step / job.steps)
        trainer.train_step()
    seconds, passed = spent + time.process_time() - start, wall + time.monotonic() - clock
    row = {"case": job.case, "seed": job.seed, "steps": job.steps} | job.measure(trainer, job.seed)
    path.unlink(missing_ok=True)
    return row | {
        "cpu_seconds": round(seconds, 1),
        "wall_seconds": round(passed, 1),
        "cores": os.cpu_count(),
        "processor": processor(),
    }


def unfinished(name: str) -> Path:
    """Return the file in which a training that was cut waits."""
    plain = re.sub("[^0-9A-Za-z.-]+", "-", name)  # what no file system dislikes
    return UNFINISHED / f"{plain}.safetensors"


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

"""``python -m benchmarks memory``: the largest resident memory of each contestant, without its
imports.

Each is a process of its own that does a few steps. What it holds when its libraries are imported
and nothing is built is subtracted, which says nothing about training. Of what minigan[fast] loads,
Numba is subtracted, with the modules that it imports when it is first used
(`benchmarks.numba_loaded`); compiled code and Numba's compiler at work count as memory of its own.
minigan[fast] takes part twice: when its loops are compiled, which is once, and when they are read from
the disk, which is every time after that. PyTorch's allocator is as it is by default: keeping memory,
as minigan does, takes more of it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, saving, set_ups
from benchmarks.harness import Entry, Race
from benchmarks.set_ups import BACKENDS, FAST, MINIGAN, READABLE
from benchmarks.workloads import FIRST, WORKLOADS

FIELDS = ("workload", "contestant", "peak_mib", "imports_mib", "net_mib")
STEPS = 5
COMPILING = f"{FAST}, compiling"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write ``memory.csv`` and ``memory.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    parser.add_argument("--workload", nargs="+", choices=list(WORKLOADS), default=list(FIRST))
    parser.add_argument(
        "--peers", metavar="PYTHON", help="interpreter that has DeZero, MyGrad, numpy-ml"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results (default: this processor's)"
    )
    options = parser.parse_args(arguments)
    folder = saving.folder(options.out)
    saved, done = saving.Rows(folder, "memory", FIELDS), 0
    command = machine.command("memory", arguments, options.peers)
    head = saving.Head("Memory", command, machine.facts())
    for workload in options.workload:
        found = measure(workload, options.peers)
        if found:
            put(saved, found)
            saved.save(head, table)
        done += len(found)
    if not done:
        return 2
    print(table([row for row in saved.rows if row["workload"] in options.workload]))
    saving.say_where(folder, "memory.csv")
    return 0


def put(saved: saving.Rows, found: Sequence[tuple[str, str, float, float, float]]) -> None:
    """Put what was measured of a workload in the place of earlier rows of the same contestants."""
    names, workload = [name for _, name, *_ in found], found[0][0]
    rows = [(w, name, *(f"{v:.1f}" for v in values)) for w, name, *values in found]
    saved.put(
        rows,
        lambda old: old["workload"] == workload and set_ups.gives_way(old["contestant"], names),
    )


def table(rows: Sequence[saving.Row]) -> str:
    """Return the rows in Markdown."""
    lines = [
        "| workload | contestant | peak, MiB | imports, MiB | net, MiB | measured |",
        "|---|---|---|---|---|---|",
    ]
    for workload, name, *values, date in (row.values() for row in rows):
        whole = (f"{float(value):.0f}" for value in values)
        lines.append(f"| {' | '.join((workload, name, *whole, date))} |")
    return "\n".join(lines)


def measure(workload: str, peers: str | None = None) -> list[tuple[str, str, float, float, float]]:
    """Return workload, contestant, peak, imports and their difference, in MiB; one process after
    the other.
    """
    others = [*torch_entries(workload), *set_ups.peer_entries(workload, peers)]
    with tempfile.TemporaryDirectory() as folder:
        return _measured(workload, [*minigan_entries(folder), *others])


def torch_entries(workload: str) -> list[Entry]:
    """Return PyTorch's usual set-up and those that differ from it in one thing."""
    choices = [choice | {"memory": "default"} for choice in set_ups.star(workload)]
    entries = {e.name: e for e in map(set_ups.entry, choices)}
    most = choices[0]["threads"]
    return [e for e in entries.values() if e.options["threads"] == most]


def minigan_entries(folder: str) -> list[Entry]:
    """Return minigan's: the one that compiles leaves its loops in an empty folder, where the next
    finds them.
    """
    alone, fast = BACKENDS[MINIGAN], BACKENDS[FAST] | {"NUMBA_CACHE_DIR": folder}
    return [
        Entry(MINIGAN, "benchmarks.workloads", env=alone),
        *(
            Entry(name, "benchmarks.workloads", env=fast, imports=["benchmarks.numba_loaded"])
            for name in (COMPILING, FAST)
        ),
        Entry("minigan, reference backend", "benchmarks.workloads", env=READABLE),
    ]


def _measured(
    workload: str, entries: Sequence[Entry]
) -> list[tuple[str, str, float, float, float]]:
    rows = []
    for entry in entries:
        with Race(workload, [entry], warm=STEPS) as race:
            for name, (peak, imports) in race.memory().items():
                rows.append((workload, name, peak, imports, peak - imports))
            for name, reason in race.failed.items():
                print(f"{name} on {workload}: {reason}", file=sys.stderr)
    return rows

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
import csv
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine, set_ups
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
    rows = [row for workload in options.workload for row in measure(workload, options.peers)]
    lines = [
        "| workload | contestant | peak, MiB | imports, MiB | net, MiB |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {w} | {name} | {peak:.0f} | {imports:.0f} | {net:.0f} |"
        for w, name, peak, imports, net in rows
    ]
    folder = options.out or machine.folder()
    folder.mkdir(parents=True, exist_ok=True)
    command = machine.command("memory", arguments, options.peers)
    heading = machine.heading("Memory", command, machine.facts() | machine.today())
    (folder / "memory.md").write_text("\n".join([heading, "", *lines]) + "\n")
    with (folder / "memory.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        writer.writerows([(w, name, *(f"{v:.1f}" for v in values)) for w, name, *values in rows])
    print("\n".join(lines))
    return 0


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
                print(f"{name} on {workload}: {reason}")
    return rows

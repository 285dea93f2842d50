"""``python -m benchmarks cpu``: whole training steps on the CPU, against PyTorch and other NumPy
engines.

Every set-up of PyTorch is tried; the fastest two go into the race with minigan, and the one with
the lower median there is the rival. minigan takes part on NumPy alone, and as ``minigan[fast]``,
with compiled loops; each of them twice: the ratio of the two, which should be 1, is the noise
floor.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy

from benchmarks import machine
from benchmarks.harness import ROOT, Entry, Race, interval, ratio
from benchmarks.workloads import WORKLOADS
from minigan.backend.cpu import cores as threads

RESULTS = ROOT / "benchmarks" / "results"
FIELDS = ("run", "workload", "contestant", "round", "ms")
MINIGAN, AGAIN = "minigan", "minigan, again"
FAST, FAST_AGAIN = "minigan[fast]", "minigan[fast], again"
TWINS = {MINIGAN: AGAIN, FAST: FAST_AGAIN}
"""The same program once more, of NumPy alone and of compiled loops."""
BACKENDS = {MINIGAN: {"MINIGAN_FAST": "0"}, FAST: {"MINIGAN_FAST": "1"}}
"""What tells minigan which of the two to be; demanded, so that none takes part under the other's
name.
"""
TORCH = "PyTorch"
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**31 - 1),
    "MALLOC_TOP_PAD_": str(64 * 2**20),
}
"""What minigan sets for itself, see `minigan.backend.cpu.malloc`: no default of PyTorch's, but who
asks may know of it.
"""
KEPT = "allocator set as minigan's"
TARGETS = {
    "toy": (1.5, 2.0),
    "mnist-mlp": (1.0, 1.2),
    "mnist-dcgan": (1.05, 1.3),
    "dc64": (1.3, 1.6),
}
"""What was wanted of each workload, at least and at best, before anything was measured."""
PEERS = {
    "DeZero": ("benchmarks.rivals.dezero_step", ("toy", "mnist-mlp", "mnist-dcgan", "dc64")),
    "MyGrad": ("benchmarks.rivals.mygrad_step", ("toy",)),
    "numpy-ml": ("benchmarks.rivals.numpy_ml_step", ("toy",)),
}
NOT_RUN = {
    "Chainer": "its last release (7.8, 2022) doesn't install beside a current Python and NumPy",
    "tinygrad": "on a CPU it needs the compiler clang, which isn't here, and a machine-code step is no NumPy engine",
}


def torch_entries(workload: str, *, compiled: bool = True, containing: str = "") -> list[Entry]:
    """Return every set-up of PyTorch worth trying on a workload, or those whose name contains some
    words.
    """
    layouts = ("nchw", "channels_last") if len(WORKLOADS[workload].sample_shape) == 3 else ("",)
    counts = sorted({1, threads.cores()})
    entries = []
    passes = (
        ("",) if workload == "dc64" else ("", "D's batches together")
    )  # batch norm in D keeps them apart
    for layout, count, adam, form, batches in itertools.product(
        layouts, counts, ("default", "fused"), ("", "compiled"), passes
    ):
        if batches and adam != "fused":
            continue
        # Compiling takes a minute: only what may win. One thread wins nowhere but on the smallest
        # net.
        if form and not (
            compiled and adam == "fused" and (count > 1 or workload == "toy" or counts == [1])
        ):
            continue
        options = {"threads": str(count), "adam": adam, **({"layout": layout} if layout else {})}
        words = [
            layout,
            f"{count} thread{'s' * (count > 1)}",
            "fused Adam" if adam == "fused" else "",
            form,
            batches,
        ]
        options |= {"compile": "yes"} if form else {}
        options |= {"batches": "together"} if batches else {}
        name = f"{TORCH} ({', '.join(filter(None, words))})"
        entries.append(Entry(name, "benchmarks.rivals.torch_step", options))
    return [entry for entry in entries if containing in entry.name]


def minigan_entries() -> list[Entry]:
    """Return minigan on NumPy alone and with compiled loops, each twice."""
    return [
        Entry(name, "benchmarks.workloads", env=BACKENDS[one])
        for one, twin in TWINS.items()
        for name in (one, twin)
    ]


def compare(
    workload: str,
    *,
    rounds: int,
    block: float,
    compiled: bool,
    containing: str,
    peers: str | None,
    seed: int,
) -> tuple[dict[str, list[float]], dict[str, str], dict[str, str]]:
    """Race one workload; return the times of each contestant, why others are missing, and
    versions.
    """
    entries = torch_entries(workload, compiled=compiled, containing=containing)
    with Race(workload, entries, warm=2) as heats:
        times = heats.times(2, block=block / 2, seed=seed)
        ranked = sorted(times, key=lambda name: min(times[name]))
        for name in ranked:
            print(f"    {min(times[name]):9.2f} ms  {name}", flush=True)
        chosen, failed = ranked[:2], dict(heats.failed)
    finalists = [e for e in entries if e.name in chosen]
    if chosen:
        best = next(e for e in entries if e.name == chosen[0])
        finalists.append(Entry(f"{TORCH} ({KEPT})", best.module, best.options, KEEP_MEMORY))
    with Race(workload, [*minigan_entries(), *finalists], warm=3) as race:
        final = race.times(rounds, block=block, seed=seed)
        versions = race.versions
        failed |= race.failed
    if peers:
        others = [
            Entry(name, module, python=peers)
            for name, (module, able) in PEERS.items()
            if workload in able
        ]
        with Race(workload, others, warm=1) as race:
            final |= race.times(3, block=block, seed=seed)
            failed |= race.failed
            versions |= race.versions
    return final, failed, versions


def disturbed(times: dict[str, list[float]], *, limit: float = 1.5) -> str | None:
    """Return who of a race was slowed by something else: its median is far above its own fastest
    block; or None.
    """
    slowed = [name for name, ms in times.items() if numpy.median(ms) > limit * min(ms)]
    return slowed[0] if slowed else None


# ---------------------------------------------------------------- what is written


class Results:
    """All blocks of all runs, in ``cpu.csv``; and what they mean, in ``cpu.md`` and ``cpu.png``."""

    def __init__(self, folder: Path, *, append: bool) -> None:
        self.folder = folder
        self.rows: list[dict[str, str]] = []
        self.failed: dict[str, str] = {}
        if append and (folder / "cpu.csv").exists():
            with (folder / "cpu.csv").open(newline="") as file:
                self.rows = list(csv.DictReader(file))

    def add(self, workload: str, times: dict[str, list[float]], failed: dict[str, str]) -> None:
        run = max(self.runs(workload), default=0) + 1
        for name, values in times.items():
            self.rows += [
                dict(zip(FIELDS, (str(run), workload, name, str(i), f"{ms:.4f}"), strict=True))
                for i, ms in enumerate(values)
            ]
        self.failed |= {f"{name} on {workload}": reason for name, reason in failed.items()}

    def runs(self, workload: str) -> list[int]:
        return sorted({int(row["run"]) for row in self.rows if row["workload"] == workload})

    def workloads(self) -> list[str]:
        return [name for name in WORKLOADS if self.runs(name)]

    def names(self, workload: str) -> list[str]:
        return list(
            dict.fromkeys(row["contestant"] for row in self.rows if row["workload"] == workload)
        )

    def ms(self, workload: str, name: str, run: int | None = None) -> list[float]:
        """Return the times of a contestant, in one run or in all."""
        return [
            float(row["ms"])
            for row in self.rows
            if row["workload"] == workload
            and row["contestant"] == name
            and run in (None, int(row["run"]))
        ]

    def rival(self, workload: str, run: int) -> str | None:
        """Return the best set-up of PyTorch in a run, by its median; that with minigan's allocator
        is no rival.
        """
        there = [n for n in self.names(workload) if n.startswith(TORCH) and KEPT not in n]
        medians = {
            n: float(numpy.median(self.ms(workload, n, run)))
            for n in there
            if self.ms(workload, n, run)
        }
        return min(medians, key=medians.__getitem__, default=None)

    def against_rival(self, workload: str, name: str) -> list[float]:
        """Return, for each run, how many times as fast as the rival."""
        pairs = [(self.rival(workload, run), run) for run in self.runs(workload)]
        return [
            ratio(self.ms(workload, rival, run), self.ms(workload, name, run))
            for rival, run in pairs
            if rival is not None and self.ms(workload, name, run)
        ]

    def pooled(self, workload: str, name: str) -> tuple[float, float] | None:
        """Return the interval of 95 % of a contestant's ratio to the rival, over the rounds of all
        its runs.
        """
        slow: list[float] = []
        fast: list[float] = []
        for run in self.runs(workload):
            rival = self.rival(workload, run)
            if rival is not None and self.ms(workload, name, run):
                slow += self.ms(workload, rival, run)
                fast += self.ms(workload, name, run)
        return interval(slow, fast) if slow else None

    def floor(self, workload: str, name: str) -> list[float]:
        """Return, for each run, the ratio of minigan, or of minigan[fast], to itself."""
        twin = TWINS[name]
        return [
            ratio(self.ms(workload, twin, run), self.ms(workload, name, run))
            for run in self.runs(workload)
            if self.ms(workload, twin, run) and self.ms(workload, name, run)
        ]

    def save(self, facts: dict[str, str], command: str) -> str:
        """Write everything; return the text."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "cpu.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        text = self.text(facts, command)
        (self.folder / "cpu.md").write_text(text)
        self.draw(self.folder / "cpu.png")
        return text

    def text(self, facts: dict[str, str], command: str) -> str:
        """Return the tables in Markdown."""
        lines = ["# Training steps on the CPU", "", f"`{command}`", ""]
        lines += [f"- {name}: {value}" for name, value in facts.items()]
        lines += [
            "",
            f"{MINIGAN} computes with NumPy alone, {FAST} with loops that Numba compiles, "
            "if that is installed. Milliseconds are medians over all rounds. A ratio above 1 "
            "means that minigan is "
            "faster. Ratio: the median over the runs, and their range; 95 %: bootstrap over the "
            "rounds of all runs; "
            "same twice: the ratio of the same program to itself, in each run, which is the noise "
            "floor.",
            "",
            "| workload | batch | contestant | ms | best PyTorch, ms | ratio | over runs | 95 % | "
            "same twice "
            "| wanted |",
            "|---|---|---|---|---|---|---|---|---|---|",
            *[
                self._row(workload, name)
                for workload in self.workloads()
                for name in TWINS
                if self.ms(workload, name)
            ],
            "",
            f"| workload | contestant | ms per step | images/s | {MINIGAN} is faster by | {FAST} "
            "is faster by |",
            "|---|---|---|---|---|---|",
            *[line for workload in self.workloads() for line in self._all(workload)],
            "",
        ]
        lines += ["Not taking part:", ""] if self.failed else []
        lines += [f"- {name}: {reason}" for name, reason in self.failed.items()]
        return "\n".join(lines).rstrip() + "\n"

    def _row(self, workload: str, name: str) -> str:
        runs = [run for run in self.runs(workload) if self.ms(workload, name, run)]
        rivals = {run: rival for run in runs if (rival := self.rival(workload, run))}
        ratios, pooled = self.against_rival(workload, name), self.pooled(workload, name)
        floors = self.floor(workload, name)
        slow = [float(numpy.median(self.ms(workload, rival, run))) for run, rival in rivals.items()]
        cells = [
            f"{workload}: {WORKLOADS[workload].about}",
            str(WORKLOADS[workload].batch),
            name,
            _number(numpy.median(self.ms(workload, name))),
            _number(numpy.median(slow)) if slow else "-",
            f"**{numpy.median(ratios):.2f}**" if ratios else "-",
            f"{min(ratios):.2f} .. {max(ratios):.2f} ({len(ratios)})" if ratios else "-",
            f"{pooled[0]:.2f} .. {pooled[1]:.2f}" if pooled else "-",
            f"{min(floors):.2f} .. {max(floors):.2f}" if floors else "-",
            "{}, aim {}".format(*TARGETS[workload]),
        ]
        return f"| {' | '.join(cells)} |"

    def _all(self, workload: str) -> list[str]:
        medians = {
            name: float(numpy.median(self.ms(workload, name))) for name in self.names(workload)
        }
        count = WORKLOADS[workload].batch
        lines = []
        for name, ms in sorted(medians.items(), key=lambda item: item[1]):
            faster = (f"{ms / medians[ours]:.2f}" if ours in medians else "-" for ours in TWINS)
            cells = (workload, name, _number(ms), f"{1e3 * count / ms:,.0f}", *faster)
            lines.append(f"| {' | '.join(cells)} |")
        return lines

    def draw(self, path: Path) -> None:
        """Draw the speeds relative to the best PyTorch, with the range over the runs."""
        from minigan.plots import ratio_chart, save_figure

        groups = [w for w in self.workloads() if any(self.against_rival(w, name) for name in TWINS)]
        if not groups:
            return
        series, errors = {}, {}
        for name in (*TWINS, *PEERS):
            table = [self.against_rival(workload, name) for workload in groups]
            if any(table):
                middle = [float(numpy.median(r)) if r else numpy.nan for r in table]
                series[name] = middle
                errors[name] = [
                    [m - min(r) if r else 0.0 for m, r in zip(middle, table, strict=True)],
                    [max(r) - m if r else 0.0 for m, r in zip(middle, table, strict=True)],
                ]
        labels = [f"{name}, batch {WORKLOADS[name].batch}" for name in groups]
        figure = ratio_chart(
            series, groups=labels, errors=errors, baseline="the best set-up of PyTorch, CPU"
        )
        save_figure(figure, path)


def _number(ms: float) -> str:
    return f"{ms:.2f}" if ms < 20 else f"{ms:.1f}" if ms < 200 else f"{ms:.0f}"


# ---------------------------------------------------------------- the command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return 0, or 1 if nothing could be timed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cpu", description=__doc__)
    parser.add_argument("--workload", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--rounds", type=int, help="blocks of each contestant (default: 9)")
    parser.add_argument(
        "--runs", type=int, default=1, help="separate runs, all processes anew (default: 1)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="under two minutes: few rounds, nothing compiled"
    )
    parser.add_argument("--append", action="store_true", help="add to the runs in the results")
    parser.add_argument("--no-compile", action="store_true", help="without torch.compile")
    parser.add_argument(
        "--set-ups",
        default="",
        metavar="WORDS",
        help="only PyTorch set-ups whose name contains this",
    )
    parser.add_argument(
        "--peers", metavar="PYTHON", help="interpreter that has DeZero, MyGrad, numpy-ml"
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    results = Results(options.out, append=options.append)
    rounds, block = options.rounds or (3 if options.quick else 9), 0.15 if options.quick else 0.5
    facts = machine.facts()
    words = sys.argv[2:] if arguments is None else arguments
    # Where the peers are installed is nobody's business.
    command = "python -m benchmarks cpu " + shlex.join(
        "peers/bin/python" if w == options.peers else w for w in words
    )
    for run, workload in itertools.product(range(options.runs), options.workload):
        print(f"{workload}, run {run + 1} of {options.runs}", flush=True)
        times, failed, versions = compare(
            workload,
            rounds=rounds,
            block=block,
            compiled=not (options.quick or options.no_compile),
            containing=options.set_ups,
            peers=options.peers,
            seed=run,
        )
        for name, values in sorted(times.items(), key=lambda item: numpy.median(item[1])):
            print(
                f"  {numpy.median(values):9.2f} ms  {min(values):9.2f} .. {max(values):.2f}  "
                f"{name}",
                flush=True,
            )
        for name, reason in failed.items():
            print(f"  Not taking part: {name}: {reason}", flush=True)
        if name := disturbed(times):
            print(
                f"  Not counted: {name} was slowed by something else on this machine; run it "
                "again with --append."
            )
            continue
        results.add(workload, times, failed)
        results.failed |= NOT_RUN if options.peers else {}
        facts |= {name: version for name, version in versions.items() if name != "numpy"}
        results.save(
            facts, command.strip()
        )  # after each workload: nothing is lost if it ends early
    if results.rows:
        print(results.text(facts, command.strip()))
    return 0 if results.rows else 1

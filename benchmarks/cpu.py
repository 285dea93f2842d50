"""``python -m benchmarks cpu``: whole training steps on the CPU, and sampling, against PyTorch and
other NumPy engines.

Several set-ups of PyTorch are tried; the fastest two go into the race with minigan, the faster one
twice, and the one with the lower median there is the rival. minigan takes part on NumPy alone, and
as ``minigan[fast]``, with compiled loops; each of them twice: the ratio of the two, which should be
1, is the noise floor. A race in which something slowed somebody is run once more; it isn't counted,
and the table says so.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy

from benchmarks import checks, machine, saving, set_ups
from benchmarks.harness import Block, Entry, Load, Race
from benchmarks.workloads import WORKLOADS

YARDSTICK = Entry(checks.YARDSTICK, "benchmarks.yardstick", length=0.3)


class Plan(NamedTuple):
    """How a workload is raced.

    Attributes
    ----------
    rounds
        Blocks of each contestant.
    block
        Seconds that a block lasts, about.
    set_ups, compiled
        Which of PyTorch's are tried, see `benchmarks.set_ups.chosen`.
    peers
        The interpreter that has other NumPy engines, or None.
    watch
        Whether rounds in which threads were in each other's way are repeated: not on a machine that
        is busy on purpose.
    """

    rounds: int
    block: float
    set_ups: str = "usual"
    compiled: bool = False
    peers: str | None = None
    watch: bool = True


class Outcome(NamedTuple):
    """What a race brought: blocks, who failed and why, versions, OpenBLAS's kernel."""

    blocks: list[Block]
    failed: dict[str, str]
    versions: dict[str, str]
    kernel: str = ""

    def times(self) -> dict[str, list[float]]:
        """Return the milliseconds of each contestant's blocks that count."""
        found: dict[str, list[float]] = {}
        for block in self.blocks:
            if not block.note:
                found.setdefault(block.name, []).append(block.ms)
        return found


def compare(workload: str, plan: Plan, *, seed: int) -> Outcome:
    """Race one workload."""
    busy = not plan.watch
    entries = set_ups.chosen(workload, plan.set_ups, compiled=plan.compiled, alone=busy)
    with Race(workload, [], warm=2) as race:
        best = heats(race, entries, plan, seed)
        race.add([*set_ups.minigan_entries(), *map(set_ups.again, best[:1]), YARDSTICK])
        repeats = 0 if busy else None
        blocks = race.blocks(plan.rounds, block=plan.block, seed=seed, repeats=repeats)
        kernel = race.kernel(set_ups.MINIGAN)
        failed, versions = dict(race.failed), dict(race.versions)
    with Race(workload, set_ups.peer_entries(workload, plan.peers), warm=1) as race:
        blocks += race.blocks(3, block=plan.block, seed=seed, repeats=0)
        return Outcome(blocks, failed | race.failed, versions | race.versions, kernel)


def heats(race: Race, entries: Sequence[Entry], plan: Plan, seed: int) -> list[Entry]:
    """Try set-ups, a few at a time, and at last the best of all dials; keep the fastest two alive,
    and return them.
    """
    ms: dict[str, float] = {}
    tried = list(entries)

    def heat(some: Sequence[Entry]) -> None:
        race.add(some)
        names = [e.name for e in some if e.name in race.running]
        times = race.times(2, names=names, block=plan.block / 2, seed=seed)
        ms.update({name: min(values) for name, values in times.items()})
        race.keep(sorted(ms, key=ms.__getitem__)[:2])

    for first in range(0, len(entries), 4):
        heat(entries[first : first + 4])
    last = set_ups.combined(entries, ms) if plan.set_ups == "usual" else None
    if last is not None:
        heat([last])
        tried.append(last)
    for name, least in sorted(ms.items(), key=lambda item: item[1]):
        print(f"    {least:9.2f} ms  {name}", flush=True)
    ranked = sorted((e for e in tried if e.name in ms), key=lambda e: ms[e.name])
    return ranked[:2]


def twins(names: Sequence[str]) -> dict[str, str]:
    """Return contestants and the same program once more."""
    there = {name: name + set_ups.SECOND for name in names}
    return {name: twin for name, twin in there.items() if twin in names}


# ---------------------------------------------------------------- the command


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks cpu", description=__doc__)
    add = parser.add_argument
    add("--workload", nargs="+", choices=list(WORKLOADS), default=list(WORKLOADS))
    add("--rounds", type=int, help="blocks of each contestant (default: 7)")
    add("--runs", type=int, default=1, help="separate runs, all processes anew (default: 1)")
    add(
        "--quick",
        action="store_true",
        help="few and short rounds, to see that it works; nothing is written without --out",
    )
    add(
        "--append",
        action="store_true",
        help="add to the runs in the results (default: replace those of who takes part)",
    )
    add("--compile", action="store_true", help="torch.compile too, which takes minutes")
    add(
        "--set-ups",
        default="usual",
        metavar="WORDS",
        help="'all', or those of PyTorch's set-ups whose names contain each of these words, with "
        "commas between (default: the usual one, and those that differ from it in one thing)",
    )
    add(
        "--busy",
        nargs="?",
        type=int,
        const=1,
        default=0,
        metavar="N",
        help="let N other processes compute meanwhile (default: 1 if N is left out)",
    )
    add("--peers", metavar="PYTHON", help="interpreter that has DeZero, MyGrad, numpy-ml")
    add("--out", type=Path, help="folder of the results (default: this processor's)")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the comparison; return 0, or 1 if nothing could be timed."""
    options = parser().parse_args(arguments)
    some = options.set_ups not in ("usual", "all")
    if some:
        _refuse_unless_chosen(options)
    plan = Plan(
        options.rounds or (3 if options.quick else 7),
        0.1 if options.quick else 0.25,
        options.set_ups,
        options.compile,
        options.peers,
        watch=not options.busy,
    )
    name = f"cpu-busy-{options.busy}" if options.busy else "cpu"
    place = saving.folder(options.out, trial=options.quick)
    results = saving.Races(place, name, append=options.append, some=some)
    command = machine.command("cpu", arguments, options.peers)
    facts = machine.facts() | (
        {"other processes computing": str(options.busy)} if options.busy else {}
    )
    counts = False
    with Load(options.busy) if options.busy else contextlib.nullcontext():
        for run, workload in itertools.product(range(options.runs), options.workload):
            print(f"{workload}, run {run + 1} of {options.runs}", flush=True)
            counts |= _until_it_counts(workload, plan, results, facts, command, seed=run)
    if counts:
        print(results.joined().text(_heading(command, facts, results)))
        saving.say_where(place, f"{name}.csv")
    else:
        print(
            "No race counts, for the reasons above; try again when nothing else runs.",
            file=sys.stderr,
        )
    return 0 if counts else 1


def _refuse_unless_chosen(options: argparse.Namespace) -> None:
    """End with a sentence where no workload has such a set-up; some may have none."""
    if any(
        set_ups.chosen(workload, options.set_ups, compiled=options.compile)
        for workload in options.workload
    ):
        return
    choices = [c for w in options.workload for c in set_ups.every(w, compiled=options.compile)]
    there = dict.fromkeys(word for choice in choices for word in set_ups.words(choice))
    parser().error(
        f"argument --set-ups: no set-up of PyTorch for {', '.join(options.workload)} has "
        f"{options.set_ups!r} in its name; give 'usual', 'all' or words of these: "
        f"{', '.join(there)}"
    )


def _heading(command: str, facts: dict[str, str], results: saving.Races) -> str:
    busy = "other processes computing" in facts
    title = "Training steps and sampling on " + ("a busy CPU" if busy else "the CPU")
    dates = [row["date"] for row in results.joined().rows]
    return machine.heading(title, command, facts | saving.of_the_last(dates))


def _until_it_counts(
    workload: str,
    plan: Plan,
    results: saving.Races,
    facts: dict[str, str],
    command: str,
    *,
    seed: int,
) -> bool:
    """Race a workload, and once more if something disturbed it; save after each race, and return
    whether one of them counts.
    """
    for attempt in range(2):
        outcome = compare(workload, plan, seed=seed + 1000 * attempt)
        times = outcome.times()
        _print(times, outcome.failed)
        earlier = results.now.fastest(workload)
        reason = checks.reason(times, twins(list(times)), earlier) if plan.watch else ""
        results.add(workload, outcome.blocks, outcome.failed, reason=reason)
        results.now.failed |= set_ups.NOT_RUN if plan.peers else {}
        facts |= {name: number for name, number in outcome.versions.items() if name != "numpy"}
        facts |= {"OpenBLAS kernel": outcome.kernel} if outcome.kernel else {}
        results.save(_heading(command, facts, results))
        if not reason:
            return bool(times)
        print(f"  Not counted: {reason}.", flush=True)
    return False


def _print(times: dict[str, list[float]], failed: dict[str, str]) -> None:
    for name, ms in sorted(times.items(), key=lambda item: numpy.median(item[1])):
        print(f"  {numpy.median(ms):9.2f} ms  {min(ms):9.2f} .. {max(ms):.2f}  {name}", flush=True)
    for name, reason in failed.items():
        print(f"  Not taking part: {name}: {reason}", flush=True)

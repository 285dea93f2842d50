"""``python -m benchmarks scaling``: how a step's time grows with batch, image and channels, beside
PyTorch's.

A DCGAN of 32x32 images with 64 channels in D's first layer, batch 64, is varied in one of the three
at a time. PyTorch runs in the set-ups that are its fastest on the workloads with images: all
threads, both layouts, fused Adam, its allocator set as minigan sets its own. minigan runs on NumPy alone and, where Numba is installed, with
compiled loops.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy

from benchmarks import machine, saving
from benchmarks.harness import Entry, Race, interval, ratio
from benchmarks.set_ups import BACKENDS, FAST, KEEP_MEMORY, MINIGAN
from minigan.backend.cpu import cores as threads

CASES = (
    ("batch", 16, 32, 64),
    ("batch", 64, 32, 64),
    ("batch", 256, 32, 64),
    ("image", 64, 16, 64),
    ("image", 64, 32, 64),
    ("image", 64, 64, 64),
    ("channels", 64, 32, 16),
    ("channels", 64, 32, 32),
    ("channels", 64, 32, 64),
    ("channels", 64, 32, 128),
)
"""What varies, batch, image's side, channels."""
FIELDS = (
    "varied",
    "batch",
    "image",
    "channels",
    "torch_ms",
    "layout",
    "minigan_ms",
    "ratio",
    "95",
    "fast_ms",
    "fast_ratio",
    "fast_95",
)
HEAD = (
    "| varied | batch | image | channels | PyTorch, ms | layout | minigan, ms | ratio | 95 % "
    "| minigan[fast], ms | ratio | 95 % | measured |",
    "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
)
WITHOUT_TORCH = (
    "scaling compares with PyTorch, which isn't installed here; install it (pip install torch), "
    "or run `minigan bench`, which does without."
)


def race(batch: int, size: int, width: int, *, rounds: int, block: float) -> dict[str, list[float]]:
    """Return the times of both minigans and of PyTorch in both layouts."""
    common = {"batch": str(batch)}
    torch = common | {"threads": str(threads.cores()), "adam": "fused"}
    entries = [Entry(name, "benchmarks.workloads", common, env) for name, env in BACKENDS.items()]
    entries += [
        Entry(
            f"PyTorch ({layout})",
            "benchmarks.rivals.torch_step",
            torch | {"layout": layout},
            KEEP_MEMORY,
        )
        for layout in ("nchw", "channels_last")
    ]
    with Race(f"dcgan-{size}-{width}", entries, warm=2) as contest:
        for name, reason in contest.failed.items():
            print(f"{name}: {reason}", file=sys.stderr)
        return contest.times(rounds, block=block)


def cells(times: dict[str, list[float]]) -> tuple[str, ...]:
    """Return a row's: the better PyTorch, then each minigan's time, ratio and the ratio's interval
    of 95 %.
    """
    rival = min(
        (name for name in times if name not in BACKENDS),
        key=lambda name: float(numpy.median(times[name])),
    )
    found = [f"{numpy.median(times[rival]):.1f}", rival[len("PyTorch (") : -1]]
    for name in (MINIGAN, FAST):
        if name not in times:
            found += ["-", "-", "-"]
            continue
        low, high = interval(times[rival], times[name])
        found += [
            f"{numpy.median(times[name]):.1f}",
            f"{ratio(times[rival], times[name]):.2f}",
            f"{low:.2f} .. {high:.2f}",
        ]
    return tuple(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write ``scaling.csv`` and ``scaling.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument(
        "--rounds", type=int, default=5, help="blocks of each contestant (default: 5)"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="two short rounds, to see that it works; nothing is written without --out",
    )
    parser.add_argument(
        "--vary", nargs="+", choices=("batch", "image", "channels"), help="default: all three"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results (default: this processor's)"
    )
    options = parser.parse_args(arguments)
    if importlib.util.find_spec("torch") is None:
        parser.exit(2, f"{WITHOUT_TORCH}\n")
    rounds, block = (2, 0.1) if options.quick else (options.rounds, 0.3)
    folder = saving.folder(options.out, trial=options.quick)
    saved = saving.Rows(folder, "scaling", FIELDS)
    head = saving.Head("Scaling", machine.command("scaling", arguments), machine.facts())
    timed: dict[tuple[int, ...], dict[str, list[float]]] = {}
    measured = 0
    print("\n".join(HEAD), flush=True)
    for varied, *case in CASES:
        if options.vary and varied not in options.vary:
            continue
        key = tuple(case)
        if key not in timed:  # the case that all three have in common
            timed[key] = race(*key, rounds=rounds, block=block)
        if not compared(timed[key]):
            print(f"{varied} {key}: left out, it can't be compared.", file=sys.stderr)
            continue
        row = (varied, *map(str, key), *cells(timed[key]))
        saved.put([row], lambda old, new=row: tuple(old.values())[:4] == new[:4])  # type: ignore[misc]
        saved.save(head, table)
        print(line((*row, saving.today())), flush=True)
        measured += 1
    if measured:
        saving.say_where(folder, "scaling.csv")
    return 0 if measured else 2


def compared(times: dict[str, list[float]]) -> bool:
    """Return whether there is somebody on both sides."""
    ours = [name in BACKENDS for name in times]
    return any(ours) and not all(ours)


def table(rows: Sequence[saving.Row]) -> str:
    """Return the rows in Markdown."""
    return "\n".join([*HEAD, *(line(tuple(row.values())) for row in rows)])


def line(row: Sequence[str]) -> str:
    """Return a row in Markdown."""
    return f"| {' | '.join(row)} |"

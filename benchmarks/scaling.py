"""``python -m benchmarks scaling``: how a step's time grows with batch, image and channels, beside PyTorch's.

A DCGAN of 32x32 images with 64 channels in D's first layer, batch 64, is varied in one of the three at a time. PyTorch
runs in the set-ups that are its fastest on the workloads with images: all threads, both layouts, fused Adam.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy

from benchmarks.cpu import RESULTS
from benchmarks.harness import Entry, Race, interval, ratio
from minigan.backend import threads

CASES = (
    ("batch", 16, 32, 64), ("batch", 64, 32, 64), ("batch", 256, 32, 64),
    ("image", 64, 16, 64), ("image", 64, 32, 64), ("image", 64, 64, 64),
    ("channels", 64, 32, 16), ("channels", 64, 32, 32), ("channels", 64, 32, 64), ("channels", 64, 32, 128),
)  # fmt: skip
"""What varies, batch, image's side, channels."""


def race(batch: int, size: int, width: int, *, rounds: int, block: float) -> dict[str, list[float]]:
    """Return the times of minigan and of PyTorch in both layouts."""
    common = {"batch": str(batch)}
    torch = common | {"threads": str(threads.cores()), "adam": "fused"}
    entries = [Entry("minigan", "benchmarks.workloads", common)]
    entries += [
        Entry(f"PyTorch ({layout})", "benchmarks.rivals.torch_step", torch | {"layout": layout})
        for layout in ("nchw", "channels_last")
    ]
    with Race(f"dcgan-{size}-{width}", entries, warm=2) as contest:
        return contest.times(rounds, block=block)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write ``scaling.csv`` and ``scaling.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="blocks of each contestant (default: 5)")
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--vary", nargs="+", choices=("batch", "image", "channels"), help="default: all three")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    options = parser.parse_args(arguments)
    rounds, block = (2, 0.1) if options.quick else (options.rounds, 0.3)
    done: dict[tuple[int, ...], dict[str, list[float]]] = {}
    rows: list[tuple[str, ...]] = []
    lines = [
        "| varied | batch | image | channels | minigan, ms | PyTorch, ms | layout | ratio | 95 % |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for varied, *case in CASES:
        if options.vary and varied not in options.vary:
            continue
        key = tuple(case)
        if key not in done:  # the case that all three have in common
            done[key] = race(*key, rounds=rounds, block=block)
        times = done[key]
        rival = min(
            (name for name in times if name != "minigan"), key=lambda name: float(numpy.median(times[name]))
        )
        low, high = interval(times[rival], times["minigan"])
        ours, theirs = (float(numpy.median(times[name])) for name in ("minigan", rival))
        row = (varied, *map(str, key), f"{ours:.1f}", f"{theirs:.1f}", rival[9:-1],
               f"{ratio(times[rival], times['minigan']):.2f}", f"{low:.2f} .. {high:.2f}")  # fmt: skip
        rows.append(row)
        lines.append(f"| {' | '.join(row)} |")
        print(lines[-1], flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "scaling.md").write_text("\n".join(lines) + "\n")
    with (options.out / "scaling.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(
            ("varied", "batch", "image", "channels", "minigan_ms", "torch_ms", "layout", "ratio", "95")
        )
        writer.writerows(rows)
    return 0

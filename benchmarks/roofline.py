"""``python -m benchmarks roofline``: each layer of a workload beside what this machine can do.

Two peaks are measured: multiply-adds of a large float32 matrix product, and bytes of a copy that
fits no cache, both with all threads. A layer's floor is the longer of its operations over the one
and its bytes over the other (Williams, Waterman & Patterson 2009). Operations are those of the
definition, bytes are each input, weight and output once: what takes fewer operations than the
definition, as Winograd's form does, may pass the peak. The product is NumPy's or the backend's own,
whichever is faster. The backend is the one that is installed; or, with ``--numpy``, NumPy alone.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from benchmarks import machine, saving
from benchmarks.workloads import WORKLOADS, find, nets
from minigan import backend, nn
from minigan.backend.cpu import cores as threads
from minigan.runs import bench

SECONDS = 0.4
MEASURED = "Measured on "


class Row(NamedTuple):
    """A layer in one direction."""

    layer: str
    direction: str
    gflop: float
    mbytes: float
    ms: float
    floor_ms: float
    bound: str


def best(work: Callable[[], object], *, seconds: float) -> float:
    """Return the median time of `work`, in seconds, over about so many seconds."""
    work()
    times: list[float] = []
    begin = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return float(numpy.median(times))


def peaks(*, size: int = 2048, mbytes: int = 128, seconds: float = 1.0) -> tuple[float, float]:
    """Return GFLOP/s of a product of two size x size matrices, and GB/s (read and written) of a
    copy.
    """
    a, b = numpy.random.default_rng(0).random((2, size, size), dtype="float32")
    c, ops = numpy.empty_like(a), backend.of(a)
    product = min(
        best(work, seconds=seconds)
        for work in (lambda: numpy.matmul(a, b, out=c), lambda: ops.matmul(a, b))
    )
    source = numpy.ones(mbytes * 2**18, "float32")
    target = numpy.zeros_like(source)
    count = threads.cores()
    edges = [len(source) * k // count for k in range(count + 1)]
    with ThreadPoolExecutor(count) as pool:

        def copy() -> None:
            # The threads copy at the same time: NumPy lets go of the interpreter meanwhile.
            parts = [slice(*edge) for edge in itertools.pairwise(edges)]
            list(pool.map(lambda part: numpy.copyto(target[part], source[part]), parts))

        copied = best(copy, seconds=seconds)
    return 2 * size**3 / product / 1e9, 2 * source.nbytes / copied / 1e9


def operations(layer: nn.Layer, x: Any, y: Any) -> float:
    """Return the floating-point operations of a forward pass by definition; elementwise layers: one
    an entry.
    """
    if isinstance(layer, nn.Linear):
        return 2.0 * len(x) * layer.weight.value.size
    if isinstance(layer, nn.Conv2d):
        return 2.0 * math.prod(y.shape[:3]) * layer.weight.value.size
    if isinstance(layer, nn.ConvTranspose2d):
        return 2.0 * math.prod(x.shape[:3]) * layer.weight.value.size
    return float(y.size) * (4 if isinstance(layer, nn.BatchNorm) else 1)


def measure(
    workload: str, gflops: float, gbytes: float, *, batch: int | None = None, seconds: float
) -> list[Row]:
    """Return two rows for each layer of G and D that computes."""
    what, rng, rows = find(workload), numpy.random.default_rng(0), []
    count = batch or what.batch
    inputs = {"G": (count, what.z_size), "D": (count, *what.sample_shape)}
    for player, net in zip("GD", nets(workload, rng), strict=True):
        x = rng.standard_normal(inputs[player], dtype="float32")
        for index, layer in enumerate(net):
            y, cache = layer.forward(x)
            if not isinstance(layer, (nn.Flatten, nn.Reshape)):
                rows += _both(
                    f"{player}{index} {_name(layer, x, y)}",
                    layer,
                    x,
                    y,
                    cache,
                    gflops,
                    gbytes,
                    seconds,
                )
            x = y
    return rows


def _both(
    name: str,
    layer: nn.Layer,
    x: Any,
    y: Any,
    cache: Any,
    gflops: float,
    gbytes: float,
    seconds: float,
) -> list[Row]:
    dy = numpy.random.default_rng(1).standard_normal(y.shape, dtype="float32")
    weights = sum(p.value.nbytes for p in layer.parameters().values())
    flop = operations(layer, x, y)
    products = isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))
    # Backward: both gradients for what multiplies, each as much as forward; reads dy, x (or y) and
    # weights.
    amounts = {
        "forward": (flop, x.nbytes + y.nbytes + weights, lambda: layer.forward(x)),
        "backward": ((2 if products else 1) * flop, 2 * x.nbytes + y.nbytes + 2 * weights,
                     lambda: layer.backward(dy, cache)),
    }  # fmt: skip
    rows = []
    for direction, (operations_, nbytes, work) in amounts.items():
        took = best(work, seconds=seconds)
        compute, traffic = operations_ / gflops / 1e9, nbytes / gbytes / 1e9
        bound = "GEMM" if compute > traffic else "copy"
        rows.append(
            Row(
                name,
                direction,
                operations_ / 1e9,
                nbytes / 1e6,
                1e3 * took,
                1e3 * max(compute, traffic),
                bound,
            )
        )
    return rows


def _name(layer: nn.Layer, x: Any, y: Any) -> str:
    if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
        return f"{type(layer).__name__} {'x'.join(map(str, x.shape[1:]))} -> {'x'.join(map(str, y.shape[1:]))}"
    return f"{type(layer).__name__} {'x'.join(map(str, y.shape[1:]))}"


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown."""
    lines = [
        "| layer | direction | GFLOP | MB | ms | GFLOP/s | floor, ms | share |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.layer} | {r.direction} | {r.gflop:.3g} | {r.mbytes:.3g} | {r.ms:.3g} | "
            f"{1e3 * r.gflop / r.ms:.0f} "
            f"| {r.floor_ms:.3g} | {100 * r.floor_ms / r.ms:.0f} % of {r.bound} |"
        )
    gflop, mbytes, ms, floor = (sum(column) for column in list(zip(*rows, strict=True))[2:6])
    share = f"{100 * floor / ms:.0f} %"
    lines.append(
        f"| all | both | {gflop:.3g} | {mbytes:.3g} | {ms:.3g} | {1e3 * gflop / ms:.0f} | "
        f"{floor:.3g} | {share} |"
    )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a table, write ``roofline.md``, or ``roofline-numpy.md`` of NumPy alone."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks roofline", description=__doc__)
    parser.add_argument(
        "--workload", nargs="+", choices=list(WORKLOADS), default=["mnist-dcgan", "dc64"]
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help=f"for each layer and direction (default: {SECONDS:g}); with fewer, nothing is written "
        "without --out",
    )
    parser.add_argument("--batch", type=int, help="another batch size than the workload's")
    parser.add_argument(
        "--numpy", action="store_true", help="NumPy alone, even if minigan[fast] is installed"
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results (default: this processor's)"
    )
    options = parser.parse_args(arguments)
    if options.numpy:
        os.environ["MINIGAN_FAST"] = "0"  # asked for when the first array is computed with
    place = saving.folder(options.out, trial=options.seconds < SECONDS)
    name = f"roofline{'-numpy' * options.numpy}.md"
    path = place / name if place else None
    saved = sections(saving.read(path))
    head = saving.Head("Rooflines", machine.command("roofline", arguments), machine.facts())
    gflops, gbytes = peaks(seconds=min(1.0, 4 * options.seconds))
    about = (
        f"Computed by: {bench.engine(backend.get('cpu'))}.\n\n"
        f"Peaks of this machine, {threads.cores()} threads: GEMM {gflops:.0f} GFLOP/s, copy "
        f"{gbytes:.1f} GB/s."
    )
    print(about, flush=True)
    for workload in options.workload:
        rows = measure(workload, gflops, gbytes, batch=options.batch, seconds=options.seconds)
        title = f"## {workload}, batch {options.batch or find(workload).batch}"
        saved[title] = f"{about}\n\n{MEASURED}{saving.today()}.\n\n{table(rows)}"
        print(f"\n{title}\n\n{table(rows)}", flush=True)
        if path:
            saving.write(path, page(head, saved))
    saving.say_where(place, name)
    return 0


def page(head: saving.Head, saved: dict[str, str]) -> str:
    """Return all sections under a heading."""
    dates = [text.partition(MEASURED)[2].partition(".")[0] for text in saved.values()]
    return "\n\n".join([head.over(dates), *map("\n\n".join, saved.items())]) + "\n"


def sections(page: str) -> dict[str, str]:
    """Return title and text of each section of a page that `main` has written.

    In older pages peaks and date stand over all sections.
    """
    above, *parts = re.split(r"^(?=## )", page, flags=re.MULTILINE)
    facts = [part for part in above.strip().split("\n\n") if part.startswith(("Computed", "Peaks"))]
    older = [*facts, f"{MEASURED}{saving.date_of(above)}."]
    found = {}
    for part in parts:
        title, _, text = part.partition("\n\n")
        dated = [text.strip()] if MEASURED in text else [*older, text.strip()]
        found[title] = "\n\n".join(dated)
    return found

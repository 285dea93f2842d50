"""``python -m benchmarks profile``: where the time of a training step goes, with each of the
backends for the CPU.

*Before* is the readable one, *after* the fast one on NumPy alone, *compiled* that of minigan[fast],
if it is installed. The primitives of the backend, and NumPy's ``matmul``, are wrapped with a clock.
A stack says who is at work: time belongs to the innermost wrapped call, so nothing counts twice and
the shares add up to one. One thread, for parts that run side by side would count twice as well;
each backend has a process of its own, and its memory as it sets it.

"System" is not a share beside the others but lies within them: time in the kernel, which is nearly
all for handing out fresh pages of memory. "Faults" are such pages per step.
"""

from __future__ import annotations

import argparse
import functools
import importlib.util
import itertools
import json
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy

from benchmarks import machine, saving
from benchmarks.harness import ROOT, environment
from benchmarks.set_ups import BACKENDS, FAST, MINIGAN, READABLE
from benchmarks.workloads import FIRST, WORKLOADS, make

SECONDS = 4.0
Column = dict[str, str]
"""What stands in each row of the table."""
PARTS = {
    "GEMM": "matrix products",
    "unfold": "patches gathered (im2col)",
    "fold": "patches added back (col2im)",
    "Winograd": "transforms of Winograd's form",
    "norm": "normalisation, and sums over a batch",
    "elementwise": "activations, dropout, losses",
    "optimizer": "Adam, and zeroing gradients",
    "convolution, rest": "padding, copies, loops over images",
    "rest": "Python, random numbers, everything else",
}
METHODS = {
    "matmul": "GEMM",
    "matmul_each": "GEMM",
    "_multiply": "GEMM",
    "unfold": "unfold",
    "_unfold": "unfold",
    "fold": "fold",
    "_fold_product": "fold",
    "moments": "norm",
    "inverse_root": "norm",
    "follow": "norm",
    "standardise": "norm",
    "standardise_grad": "norm",
    "standardise_leaky_relu": "norm",
    "standardise_leaky_relu_grad": "norm",
    "standardise_samples": "norm",
    "standardise_samples_grad": "norm",
    "standardise_samples_grad_twice": "norm",
    "sum_rows": "norm",
    "sum_products": "norm",
    "sums": "norm",
    "sum_labelled": "norm",
    "leaky_relu": "elementwise",
    "leaky_relu_grad": "elementwise",
    "bias_leaky_relu": "elementwise",
    "bias_tanh": "elementwise",
    "bias_sigmoid": "elementwise",
    "multiply": "elementwise",
    "masked": "elementwise",
    "elementwise": "elementwise",
    "sigmoid": "elementwise",
    "dropout_mask": "elementwise",
    "bce_with_logits": "elementwise",
    "mean_probability": "elementwise",
    "adam": "optimizer",
    "conv": "convolution, rest",
    "conv_keep": "convolution, rest",
    "conv_weight_grad": "convolution, rest",
    "conv_input_grad": "convolution, rest",
    "conv_taps": "convolution, rest",
    "conv_taps_weight_grad": "convolution, rest",
    "conv_taps_input_grad": "convolution, rest",
    "max_pool": "convolution, rest",
    "max_pool_grad": "convolution, rest",
    "average_pool": "convolution, rest",
    "average_pool_grad": "convolution, rest",
    "upsample": "convolution, rest",
    "upsample_grad": "convolution, rest",
    "pad": "convolution, rest",
    "pad_grad": "convolution, rest",
}
"""Primitives of a backend, and what `CpuBackend` and its heir make of them; those that one hasn't
are left out.
"""
TRAINED = [name for name, workload in WORKLOADS.items() if workload.trains]
TRANSFORMS = ("image_map", "result_map", "kernel_map")
COLUMNS = {"reference": "before", "numpy": "after", "compiled": "compiled"}
"""A backend to its name in the table."""
VARIANTS = {"reference": READABLE, "numpy": BACKENDS[MINIGAN], "compiled": BACKENDS[FAST]}
"""A backend to what tells minigan to be it."""


class Clock:
    """Seconds for each part, of whoever is innermost."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._stack = ["rest"]
        self._since = time.perf_counter()

    def start(self) -> None:
        """Forget everything measured so far."""
        self.seconds.clear()
        self._since = time.perf_counter()

    def lap(self) -> None:
        """Give the time since the last change to who is at work."""
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def wrap(self, function: Callable[..., Any], part: str) -> Callable[..., Any]:
        """Return `function` with its time given to `part`."""

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            self.lap()
            self._stack.append(self._part(part, args))
            try:
                return function(*args, **kwargs)
            finally:
                self.lap()
                self._stack.pop()

        return wrapped

    def _part(self, part: str, args: tuple[Any, ...]) -> str:
        # A product with a vector of ones is a sum, and the products within a transform are the
        # transform.
        inside = self._stack[-1]
        if part == "GEMM" and (inside in ("Winograd", "norm") or getattr(args[0], "ndim", 2) == 1):
            return inside
        return part


def forms() -> list[type]:
    """Return the classes of Winograd's form that may be at work in this process."""
    from minigan.backend.cpu import winograd

    compiled = sys.modules.get("minigan.backend.compiled.primitives")
    return [winograd.Winograd, *([compiled.CompiledWinograd] if compiled else [])]


def instrument(clock: Clock, ops: Any) -> None:
    """Wrap a backend's primitives, `numpy.matmul`, and the layers that compute by themselves."""
    from minigan import nn, optim

    for name, part in METHODS.items():
        if hasattr(ops, name):
            setattr(ops, name, clock.wrap(getattr(ops, name), part))
    for owner, name, part in (
        (numpy, "matmul", "GEMM"),
        (nn.Tanh, "forward", "elementwise"),
        (nn.Tanh, "backward", "elementwise"),
        (nn.Dropout, "forward", "elementwise"),
        (nn.Dropout, "backward", "elementwise"),
        (optim.Adam, "step", "optimizer"),
        (optim.Adam, "zero_grad", "optimizer"),
        *(
            (form, f"{name}{end}", "Winograd")
            for form in forms()
            for name in TRANSFORMS
            for end in ("", "_transposed")
        ),
    ):
        setattr(owner, name, clock.wrap(getattr(owner, name), part))


def profile(workload: str, name: str, *, seconds: float) -> dict[str, float]:
    """Return milliseconds per step of each part, of the whole, in the kernel, and page faults, in
    this process.
    """
    from minigan import backend

    step = make(workload, {} if name == "reference" else {"threads": "1"})
    clock = Clock()
    step()
    instrument(clock, backend.of(numpy.zeros(1)))
    for _ in range(2):
        step()
    before, begin, count = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter(), 0
    clock.start()
    while count < 3 or time.perf_counter() - begin < seconds:
        step()
        count += 1
    clock.lap()
    after = resource.getrusage(resource.RUSAGE_SELF)
    result = {part: 1e3 * clock.seconds[part] / count for part in PARTS}
    result["step"] = sum(result.values())
    result["system"] = 1e3 * (after.ru_stime - before.ru_stime) / count
    result["faults"] = (after.ru_minflt - before.ru_minflt) / count
    return result


def apart(workload: str, name: str, *, seconds: float) -> dict[str, float]:
    """Return what `profile` returns, from a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks",
        "profile",
        "--seconds",
        str(seconds),
        "--part",
        workload,
        name,
    ]
    env = environment({"OPENBLAS_NUM_THREADS": "1", **VARIANTS[name]})
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT, env=env)
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def column(measured: dict[str, float]) -> Column:
    """Return the shares as a column of the table, with today's date."""
    step = measured["step"]
    cells = {
        f"{part}: {words}": f"{100 * measured[part] / step:.1f} %" if measured[part] else "-"
        for part, words in PARTS.items()
    }
    return cells | {
        "**step, ms**": f"{step:.1f}",
        "within these: system": f"{100 * measured['system'] / step:.1f} %",
        "faults per step": f"{measured['faults']:,.0f}",
        saving.DATE: saving.today(),
    }


def table(columns: Mapping[str, Column]) -> str:
    """Return the columns in Markdown."""
    lines = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for label in dict.fromkeys(label for cells in columns.values() for label in cells):
        cells = (cells.get(label, "-") for cells in columns.values())
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return "\n".join(lines)


def columns_of(page: str) -> dict[str, Column]:
    """Return the columns of a page that `main` has written."""
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in page.splitlines()
        if line.startswith("|") and not line.startswith("|---")
    ]
    if not rows:
        return {}
    date = {saving.DATE: saving.date_of(page)}
    return {
        name: {row[0]: row[at] for row in rows[1:]} | (date if rows[-1][0] != saving.DATE else {})
        for at, name in enumerate(rows[0])
        if at
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Profile each workload with each backend, print the table, write ``profile.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks profile", description=__doc__)
    parser.add_argument("--workload", nargs="+", choices=TRAINED, default=list(FIRST))
    parser.add_argument(
        "--seconds",
        type=float,
        default=SECONDS,
        help=f"of each profile (default: {SECONDS:g}); with fewer, nothing is written without --out",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of the results (default: this processor's)"
    )
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.part:
        print(json.dumps(profile(*options.part, seconds=options.seconds)))
        return 0
    names = list(COLUMNS)
    if importlib.util.find_spec("numba") is None:
        names.remove("compiled")
        print("minigan[fast] isn't installed: no column for it.", file=sys.stderr)
    place = saving.folder(options.out, trial=options.seconds < SECONDS)
    path = place / "profile.md" if place else None
    saved, measured = columns_of(saving.read(path)), {}
    command = machine.command("profile", arguments)
    head = saving.Head("Where a step goes", command, machine.facts())
    for workload, name in itertools.product(options.workload, names):
        try:
            found = apart(workload, name, seconds=options.seconds)
        except subprocess.CalledProcessError:  # it has said why
            print(f"{workload}, {COLUMNS[name]}: left out, it can't be profiled.", file=sys.stderr)
            continue
        measured[f"{workload}, {COLUMNS[name]}"] = column(found)
        saved |= measured
        if path:
            over = head.over(cells[saving.DATE] for cells in saved.values())
            saving.write(path, f"{over}\n\n{table(saved)}\n")
    if not measured:
        return 2
    print(table(measured))
    saving.say_where(place, "profile.md")
    return 0

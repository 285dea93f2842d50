"""``python -m benchmarks layers``: each kind of layer, in all versions, beside PyTorch's.

Forward, and both gradients in one backward call, of a batch of 64 in float32. Each version of the
library (the readable one, NumPy alone, compiled) runs in a process of its own, in which it and
PyTorch take turns; the fastest of their turns counts, so that other work on the machine hits both.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy

from benchmarks import harness, machine, saving
from minigan import nn

VARIANTS = {"readable": "reference", "NumPy": "0", "compiled": "1"}
"""Version of the library -> value of ``MINIGAN_FAST``."""
LONGEST = 4.0
"""Seconds after which a layer gets no further turn."""
IMAGE, SEQUENCE, FLAT = (64, 16, 16, 64), (64, 1024, 32), (64, 1024)


class Case(NamedTuple):
    """A layer here, how PyTorch calls it, and the shape of its input, channels last."""

    name: str
    ours: Callable[[], nn.Layer]
    theirs: Callable[[Any], Any]
    shape: tuple[int, ...]


def _conv(name: str, shape: tuple[int, ...] = IMAGE, **more: Any) -> Case:
    options = {"kernel_size": 3, "padding": 1} | more
    words = ", ".join(f"{key} {value}" for key, value in options.items() if key != "padding")
    c = shape[-1]
    return Case(
        f"{name}, {words}",
        lambda: getattr(nn, name)(c, c, **options),
        lambda torch: getattr(torch.nn, name)(c, c, **options),
        shape,
    )


CASES = [
    Case("Linear", lambda: nn.Linear(1024, 1024), lambda t: t.nn.Linear(1024, 1024), FLAT),
    _conv("Conv2d"),
    _conv("Conv2d", kernel_size=4, stride=2),
    _conv("Conv2d", dilation=2, padding=2),
    _conv("Conv2d", groups=4),
    _conv("Conv2d", groups=64),
    _conv("Conv2d", padding_mode="reflect"),
    _conv("ConvTranspose2d", kernel_size=4, stride=2),
    _conv("Conv1d", SEQUENCE, kernel_size=25, stride=4, padding=11),
    _conv("ConvTranspose1d", SEQUENCE, kernel_size=25, stride=4, padding=11),
    Case("BatchNorm", lambda: nn.BatchNorm(64), lambda t: t.nn.BatchNorm2d(64), IMAGE),
    Case("LayerNorm", lambda: nn.LayerNorm(1024), lambda t: t.nn.LayerNorm(1024), FLAT),
    Case("InstanceNorm", lambda: nn.InstanceNorm(64), lambda t: t.nn.InstanceNorm2d(64), IMAGE),
    Case("GroupNorm", lambda: nn.GroupNorm(8, 64), lambda t: t.nn.GroupNorm(8, 64), IMAGE),
    Case("RMSNorm", lambda: nn.RMSNorm(1024), lambda t: t.nn.RMSNorm(1024), FLAT),
    Case("ReLU", nn.ReLU, lambda t: t.nn.ReLU(), IMAGE),
    Case("Sigmoid", nn.Sigmoid, lambda t: t.nn.Sigmoid(), IMAGE),
    Case("Dropout", lambda: nn.Dropout(0.5), lambda t: t.nn.Dropout(0.5), IMAGE),
    Case("LeakyReLU", nn.LeakyReLU, lambda t: t.nn.LeakyReLU(0.2), IMAGE),
    Case("Tanh", nn.Tanh, lambda t: t.nn.Tanh(), IMAGE),
    Case("ELU", nn.ELU, lambda t: t.nn.ELU(), IMAGE),
    Case("GELU", nn.GELU, lambda t: t.nn.GELU(approximate="tanh"), IMAGE),
    Case("SiLU", nn.SiLU, lambda t: t.nn.SiLU(), IMAGE),
    Case("Softplus", nn.Softplus, lambda t: t.nn.Softplus(), IMAGE),
    Case("PReLU", lambda: nn.PReLU(64), lambda t: t.nn.PReLU(64), IMAGE),
    Case("Softmax", nn.Softmax, lambda t: t.nn.Softmax(1), IMAGE),
    Case("AveragePool", lambda: nn.AveragePool(2), lambda t: t.nn.AvgPool2d(2), IMAGE),
    Case("MaxPool", lambda: nn.MaxPool(2), lambda t: t.nn.MaxPool2d(2), IMAGE),
    Case("GlobalPool", nn.GlobalPool, lambda t: t.nn.AdaptiveAvgPool2d(1), IMAGE),
    Case("Upsample", lambda: nn.Upsample(2), lambda t: t.nn.Upsample(scale_factor=2), IMAGE),
    Case(
        "Resize, bilinear",
        lambda: nn.Resize(32),
        lambda t: t.nn.Upsample(size=(32, 32), mode="bilinear"),
        IMAGE,
    ),
    Case("PixelUnshuffle", lambda: nn.PixelUnshuffle(2), lambda t: t.nn.PixelUnshuffle(2), IMAGE),
    Case("PixelShuffle", lambda: nn.PixelShuffle(2), lambda t: t.nn.PixelShuffle(2), IMAGE),
    Case(
        "Pad, reflect", lambda: nn.Pad(1, mode="reflect"), lambda t: t.nn.ReflectionPad2d(1), IMAGE
    ),
]


NO_RIVAL = "The layers are compared with PyTorch's; install it: pip install torch."


class Row(NamedTuple):
    """Milliseconds of one layer in one direction: PyTorch's, and those of each version here."""

    name: str
    direction: str
    theirs: float
    ours: dict[str, float]


def measure(*, turns: int, cases: Sequence[Case] = CASES) -> list[list[float]]:
    """Time every case in this process: forward, PyTorch's forward, backward, PyTorch's backward.

    Parameters
    ----------
    turns
        How often each is timed at most.
    cases
        Which layers.

    Raises
    ------
    ValueError
        If PyTorch isn't installed.
    """
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise ValueError(NO_RIVAL) from None
    return [_times(case, torch, turns) for case in cases]


def _times(case: Case, torch: Any, turns: int) -> list[float]:
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal(case.shape, "float32")
    ours, theirs = case.ours(), case.theirs(torch)
    there = (
        torch.tensor(numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1)))
        if x.ndim > 2
        else (torch.tensor(x))
    )
    if x.ndim == 4:
        there = there.to(memory_format=torch.channels_last)
        theirs = theirs.to(memory_format=torch.channels_last)
    there.requires_grad_()
    y, cache = ours.forward(x)
    dy = rng.standard_normal(y.shape, "float32")
    out = theirs(there)
    their_dy = torch.randn_like(out)
    wanted = [there, *theirs.parameters()]
    works = (
        lambda: ours.forward(x),
        lambda: theirs(there),
        lambda: ours.backward(dy, cache),
        # Not `backward`, which adds to the gradient of x that is there from the turn before.
        lambda: torch.autograd.grad(out, wanted, their_dy, retain_graph=True),
    )
    begin, taken = time.perf_counter(), [_turn(works)]
    while len(taken) < turns and time.perf_counter() - begin < LONGEST:
        taken.append(_turn(works))
    return [1e3 * min(times) for times in zip(*taken, strict=True)]


def _turn(works: Sequence[Callable[[], Any]]) -> list[float]:
    times = []
    for work in works:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def apart(variant: str, turns: int, names: Sequence[str]) -> list[list[float]]:
    """Return what `measure` does, from a process in which a version of the library computes.

    Raises
    ------
    ValueError
        If PyTorch isn't installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise ValueError(NO_RIVAL)
    command = [sys.executable, "-m", "benchmarks.layers", str(turns), *names]
    environment = harness.environment({"MINIGAN_FAST": VARIANTS[variant]})
    done = subprocess.run(
        command, env=environment, cwd=harness.ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    times: list[list[float]] = json.loads(done.stdout)
    return times


def joined(names: Sequence[str], found: dict[str, list[list[float]]]) -> list[Row]:
    """Return two rows for each layer; PyTorch's time is the best of all processes."""
    rows = []
    for i, name in enumerate(names):
        for at, direction in ((0, "forward"), (2, "backward")):
            ours = {variant: times[i][at] for variant, times in found.items()}
            theirs = min(times[i][at + 1] for times in found.values())
            rows.append(Row(name, direction, theirs, ours))
    return rows


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown; the ratio is PyTorch's time over ours: below 1, we are slower."""
    variants = list(rows[0].ours)
    heads = [f"{variant}, ms | ratio" for variant in variants]
    lines = [
        f"| layer | direction | PyTorch, ms | {' | '.join(heads)} |",
        "|---|---|---|" + "---|---|" * len(variants),
    ]
    for row in rows:
        cells = [f"{ms:.2f} | {row.theirs / ms:.2f}" for ms in row.ours.values()]
        lines.append(f"| {row.name} | {row.direction} | {row.theirs:.2f} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the table, and write ``layers.md``."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks layers", description=__doc__)
    parser.add_argument(
        "--turns", type=int, default=20, help="how often each layer is timed (default: 20)"
    )
    parser.add_argument(
        "--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS),
        help="versions of the library (default: all)",
    )  # fmt: skip
    parser.add_argument("--only", nargs="+", metavar="LAYER", help="layers whose names begin so")
    parser.add_argument(
        "--out", type=Path, help="folder of the results (default: this processor's; of a part none)"
    )
    options = parser.parse_args(arguments)
    for word in options.only or ():
        if not selected([word]):
            there = "; ".join(dict.fromkeys(case.name for case in CASES))
            parser.error(f"no layer's name begins with {word!r}; there are {there}")
    names = [case.name for case in selected(options.only)]
    if "compiled" in options.variants and importlib.util.find_spec("numba") is None:
        parser.error(
            "the compiled version needs Numba; install minigan[fast], or choose --variants"
        )
    try:
        found = {variant: apart(variant, options.turns, names) for variant in options.variants}
    except ValueError as error:
        parser.error(str(error))
    text = table(joined(names, found))
    part = bool(options.only) or set(options.variants) != set(VARIANTS)
    place = saving.folder(options.out, trial=part)
    versions = {"PyTorch": machine.version("torch")}
    about = machine.facts(versions) | machine.today()
    heading = machine.heading("Layers", machine.command("layers", arguments), about)
    print(text)
    if place:
        saving.write(place / "layers.md", f"{heading}\n\n{text}\n")
    saving.say_where(place, "layers.md")
    return 0


def selected(names: Sequence[str] | None) -> list[Case]:
    """Return the cases whose names begin with one of `names`; all for None."""
    return [case for case in CASES if names is None or case.name.startswith(tuple(names))]


if __name__ == "__main__":
    named = [case for case in CASES if case.name in sys.argv[2:]]
    print(json.dumps(measure(turns=int(sys.argv[1]), cases=named)))

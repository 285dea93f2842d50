"""``python -m benchmarks roofline --layers``: each kind of layer beside PyTorch's, in milliseconds.

Forward, and both gradients in one backward call, of a batch of 64 in float32. The two libraries
take turns, and the fastest of their turns counts, so that other work on the machine hits both.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from minigan import nn

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
    Case("Upsample", lambda: nn.Upsample(2), lambda t: t.nn.Upsample(scale_factor=2), IMAGE),
    Case(
        "Resize, bilinear",
        lambda: nn.Resize(32),
        lambda t: t.nn.Upsample(size=(32, 32), mode="bilinear"),
        IMAGE,
    ),
    Case("PixelShuffle", lambda: nn.PixelShuffle(2), lambda t: t.nn.PixelShuffle(2), IMAGE),
    Case(
        "Pad, reflect", lambda: nn.Pad(1, mode="reflect"), lambda t: t.nn.ReflectionPad2d(1), IMAGE
    ),
]


class Row(NamedTuple):
    """Milliseconds of one layer, forward and backward, here and there."""

    name: str
    forward: float
    their_forward: float
    backward: float
    their_backward: float


def measure(*, turns: int, cases: Sequence[Case] = CASES) -> list[Row]:
    """Time every case; `turns` for each library and direction.

    Raises
    ------
    ValueError
        If PyTorch isn't installed.
    """
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError:
        raise ValueError("--layers compares with PyTorch; install it: pip install torch.") from None
    return [_row(case, torch, turns) for case in cases]


def _row(case: Case, torch: Any, turns: int) -> Row:
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
    works = (
        lambda: ours.forward(x),
        lambda: theirs(there),
        lambda: ours.backward(dy, cache),
        lambda: out.backward(their_dy, retain_graph=True),
    )
    fastest = [min(times) for times in zip(*(_turn(works) for _ in range(turns)), strict=True)]
    return Row(case.name, *(1e3 * seconds for seconds in fastest))


def _turn(works: Sequence[Callable[[], Any]]) -> list[float]:
    times = []
    for work in works:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return times


def table(rows: Sequence[Row]) -> str:
    """Return the rows in Markdown; the ratio is their time over ours, so more is better for us."""
    lines = [
        "| layer | forward, ms | PyTorch | ratio | backward, ms | PyTorch | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        lines.append(
            f"| {r.name} | {r.forward:.2f} | {r.their_forward:.2f} | "
            f"{r.their_forward / r.forward:.2f} | {r.backward:.2f} | {r.their_backward:.2f} | "
            f"{r.their_backward / r.backward:.2f} |"
        )
    return "\n".join(lines)

"""Exercise 17: the transposed convolution."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import conv_transpose as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """A kernel of one pixel, side by side, overlapping, padding, DCGAN's."""

    def given(
        n: int, height: int, width: int, a: int, b: int, k: int, stride: int, padding: int
    ) -> dict[str, Any]:
        rows, columns = ((m - 1) * stride - 2 * padding + k for m in (height, width))
        shapes = {
            "x": (n, height, width, a),
            "w": (k, k, b, a),
            "b": (b,),
            "dy": (n, rows, columns, b),
        }
        arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        return arrays | {"stride": stride, "padding": padding}

    return [
        Case("a kernel of one pixel", given(1, 2, 2, 1, 1, 1, 1, 0)),
        Case("one pixel becomes 2 × 2", given(1, 1, 1, 1, 1, 2, 1, 0)),
        Case("side by side: kernel 2, stride 2", given(1, 2, 2, 1, 1, 2, 2, 0)),
        Case("overlapping: kernel 3, stride 2", given(1, 2, 2, 1, 1, 3, 2, 0)),
        Case("padding", given(1, 3, 3, 1, 2, 3, 1, 1)),
        Case("as DCGAN has it: kernel 4, stride 2, padding 1", given(1, 2, 2, 2, 1, 4, 2, 1)),
        Case(
            "5 images of 3 × 4, kernel 4, stride 2, padding 1, 2 channels in, 3 out",
            given(5, 3, 4, 2, 3, 4, 2, 1),
        ),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward and backward."""
    return play_pair(code, given, "x w b stride padding", "dx dw db")


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Y is a transposed convolution and a bias."""
    forward: Any = solution.forward
    y, _ = forward(given.x, given.w, 0 * given.b, given.stride, given.padding)
    return {"y": ({"the transposed convolution": y, "the bias b": 0 * y + given.b}, {})}


def _code(
    put: str = "+=",
    w: str = "w[i, j].T",
    place: str = "whole[:, i:i+s*h:s, j:j+s*v:s]",
    y: str = "whole[:, g:whole.shape[1]-g, g:whole.shape[2]-g] + b",
    dx: str = "part @ w[i, j]",
    dx_op: str = "+=",
    dw_at: str = "dw[i, j]",
    dw: str = "part.reshape(-1, w.shape[2]).T @ flat",
    db: str = "dy.sum((0, 1, 2))",
    part: str = "p[:, i:i+s*r:s, j:j+s*q:s]",
    tail: str = "",
) -> str:
    return (
        "def forward(x, w, b, s, g):\n    n, h, v, _ = x.shape; k = len(w)\n"
        "    whole = np.zeros((n, (h-1)*s+k, (v-1)*s+k, w.shape[2]), x.dtype)\n"
        "    for i in range(k):\n        for j in range(k):\n"
        f"            {place} {put} x @ {w}\n    return {y}, (x, w, s, g)\n"
        "def backward(dy, cache):\n    x, w, s, g = cache; r, q = x.shape[1:3]; n = len(x)\n"
        "    p = np.pad(dy, ((0, 0), (g, g), (g, g), (0, 0)))\n"
        "    dx, dw, flat = np.zeros_like(x), np.zeros_like(w), x.reshape(-1, x.shape[3])\n"
        "    for i in range(len(w)):\n        for j in range(len(w)):\n"
        f"            part = {part}\n            dx {dx_op} {dx}\n            {dw_at} = {dw}\n"
        f"{tail}    return dx, dw, {db}\n"
    )


EXERCISE = Exercise(
    number=17,
    name="conv_transpose",
    title="The transposed convolution",
    asks=("forward", "backward"),
    outputs={
        "y": Output("the output"),
        "dx": Output("the gradient of x", Slope("y", "dy", "x")),
        "dw": Output("the gradient of the kernel", Slope("y", "dy", "w")),
        "db": Output("the gradient of the bias", Slope("y", "dy", "b")),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "overlapping contributions overwrite each other (=): they add up (+=)", _code(put="=")
        ),
        Variant(
            "the kernel is flipped: w[u, v] lands u rows below and v columns to the right",
            _code(w="w[k-1-i, k-1-j].T"),
        ),
        Variant("the kernel is flipped in dx", _code(dx="part @ w[len(w)-1-i, len(w)-1-j]")),
        Variant("dw is flipped", _code(dw_at="dw[len(w)-1-i, len(w)-1-j]")),
        Variant("rows and columns of the kernel are exchanged", _code(w="w[j, i].T")),
        Variant("rows and columns of the kernel are exchanged in dx", _code(dx="part @ w[j, i]")),
        Variant("rows and columns of the kernel are exchanged in dw", _code(dw_at="dw[j, i]")),
        Variant(
            "dx keeps the last position of the kernel alone (=): all positions add up (+=)",
            _code(dx_op="=").replace("dx = part", "dx = part"),
        ),
        Variant(
            "the bias is forgotten", _code(y="whole[:, g:whole.shape[1]-g, g:whole.shape[2]-g]")
        ),
        Variant(
            "the bias is there once for each position of the kernel: add it at the end",
            _code(y="whole[:, g:whole.shape[1]-g, g:whole.shape[2]-g] + b * len(w)**2"),
        ),
        Variant(
            "the bias is added inside the loop, once for each position of the kernel that lands "
            "on a pixel: add it at the end",
            _code(y="whole[:, g:whole.shape[1]-g, g:whole.shape[2]-g]").replace(
                "@ w[i, j].T", "@ w[i, j].T + b"
            ),
        ),
        Variant(
            "the padding isn't cut off: here it makes the output smaller", _code(y="whole + b")
        ),
        Variant(
            "the padding is cut off at one end only: at all four sides",
            _code(y="whole[:, :whole.shape[1]-2*g, :whole.shape[2]-2*g] + b"),
        ),
        Variant(
            "the padding is cut off at one end only: at all four sides",
            _code(y="whole[:, 2*g:, 2*g:] + b"),
        ),
        Variant(
            "db isn't summed over the pixels: the bias acts on each of them",
            _code(db="dy[:, 0, 0].sum(0)"),
        ),
        Variant(
            "db isn't summed over the pixels: the bias acts on each of them", _code(db="dy.sum(0)")
        ),
        Variant("db is a mean: sum over samples and pixels", _code(db="dy.mean((0, 1, 2))")),
        Variant("db is a mean over the pixels: sum over them", _code(db="dy.mean((1, 2)).sum(0)")),
        Variant(
            "db is summed over the pixels of x, not of y",
            _code(db="dy[:, :x.shape[1], :x.shape[2]].sum((0, 1, 2))"),
        ),
        Variant("dw is divided by N: a layer sums over the samples", _code(tail="    dw /= n\n")),
        Variant("dx is divided by N: a layer sums over the samples", _code(tail="    dx /= n\n")),
        Variant(
            "dw uses the first sample alone: sum over all of them",
            _code(dw="part[:1].reshape(-1, w.shape[2]).T @ x[:1].reshape(-1, x.shape[3])"),
        ),
        Variant(
            "the padding is forgotten in backward: pad dy first",
            _code(part="np.pad(dy, ((0, 0), (0, 2*g), (0, 2*g), (0, 0)))[:, i:i+s*r:s, j:j+s*q:s]"),
        ),
        Variant(
            "the stride is forgotten in forward: pixel (i, j) lands at (i·stride, j·stride)",
            _code(place="whole[:, i:i+h, j:j+v]"),
        ),
        Variant(
            "the stride is forgotten in backward: take every stride-th pixel of dy",
            _code(part="p[:, i:i+r, j:j+q]"),
        ),
        Variant(
            "the last row of the kernel is left out",
            _code().replace("for i in range(k)", "for i in range(max(k - 1, 1))"),
        ),
    ),
    hints=(
        "Take exercise 16's backward: the loop that adds to dp is forward here, with x in the "
        "place of dy.",
        "whole has (H - 1)·stride + k rows. whole[:, u : u + stride · H : stride, …] += x @ "
        "w[u, v].T; then cut the "
        "padding off and add b.",
        "backward: pad dy, and at each (u, v) take part = p[:, u : u + stride · H : stride, …]; "
        "dx += part @ w[u, v], "
        "dw[u, v] = partᵀ x over all samples and pixels.",
    ),
    explanation=(
        "⟨Ca, x⟩ = ⟨a, Tx⟩: forward of the one is backward of the other. That is why the weight "
        "keeps the layout of "
        "the convolution it belongs to. Where the kernel isn't a multiple of the stride, "
        "neighbouring "
        "pixels get different numbers of contributions: the checkerboard of many GANs. And now the "
        "digits: `minigan learn train digits` runs on your convolutions."
    ),
    library="minigan/nn/convolution.py, ConvTranspose2d",
    paper="Dumoulin and Visin 2016; Radford et al. 2016",
    tutorial="07-convolution",
)

"""Exercise 16: the convolution."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import conv as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """A kernel of one pixel, no padding, padding, stride, both, a row in no patch."""

    def given(
        n: int, height: int, width: int, a: int, b: int, k: int, stride: int, padding: int
    ) -> dict[str, Any]:
        rows = (height + 2 * padding - k) // stride + 1
        columns = (width + 2 * padding - k) // stride + 1
        shapes = {
            "x": (n, height, width, a),
            "w": (k, k, a, b),
            "b": (b,),
            "dy": (n, rows, columns, b),
        }
        arrays = {name: rng.standard_normal(shape) for name, shape in shapes.items()}
        return arrays | {"stride": stride, "padding": padding}

    return [
        Case("a kernel of one pixel", given(1, 2, 2, 1, 1, 1, 1, 0)),
        Case("a kernel of 2 × 2 on 3 × 3 pixels", given(1, 3, 3, 1, 1, 2, 1, 0)),
        Case("padding", given(1, 3, 3, 1, 1, 3, 1, 1)),
        Case("stride 2", given(1, 4, 4, 1, 1, 2, 2, 0)),
        Case("a row and a column in no patch", given(1, 4, 4, 1, 2, 3, 2, 0)),
        Case("as DCGAN has it: kernel 4, stride 2, padding 1", given(1, 4, 4, 2, 1, 4, 2, 1)),
        Case(
            "5 images of 7 × 6, kernel 3, stride 2, padding 1, 2 channels in, 4 out",
            given(5, 7, 6, 2, 4, 3, 2, 1),
        ),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward and backward."""
    return play_pair(code, given, "x w b stride padding", "dx dw db")


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Y is a convolution and a bias."""
    forward: Any = solution.forward
    y, _ = forward(given.x, given.w, 0 * given.b, given.stride, given.padding)
    return {"y": ({"the convolution": y, "the bias b": 0 * y + given.b}, {})}


def code(
    w: str = "w[i, j]",
    y_part: str = "p[:, i:i+s*r:s, j:j+s*q:s]",
    bias: str = "b",
    cache: str = "p, w, s, g",
    back_w: str = "w[i, j].T",
    dw_at: str = "dw[i, j]",
    dw: str = "p[:, R, C].reshape(-1, w.shape[2]).T @ flat",
    dx_op: str = "+=",
    db: str = "dy.sum((0, 1, 2))",
    dx: str = "dp[:, g:p.shape[1]-g, g:p.shape[2]-g]",
    tail: str = "",
) -> str:
    """Return a convolution with some pieces exchanged."""
    return (
        "def forward(x, w, b, s, g):\n    k = len(w)\n"
        "    p = np.pad(x, ((0, 0), (g, g), (g, g), (0, 0)))\n"
        "    r, q = (p.shape[1] - k) // s + 1, (p.shape[2] - k) // s + 1\n"
        f"    y = np.zeros((len(x), r, q, w.shape[3]), x.dtype) + {bias}\n"
        "    for i in range(k):\n        for j in range(k):\n"
        f"            y += {y_part} @ {w}\n"
        f"    return y, ({cache})\n"
        "def backward(dy, cache):\n    p, w, s, g = cache; r, q = dy.shape[1:3]; n = len(dy)\n"
        "    dp, dw, flat = np.zeros_like(p), np.zeros_like(w), dy.reshape(-1, dy.shape[3])\n"
        "    for i in range(len(w)):\n        for j in range(len(w)):\n"
        "            R, C = slice(i, i + s * r, s), slice(j, j + s * q, s)\n"
        f"            {dw_at} = {dw}\n            dp[:, R, C] {dx_op} dy @ {back_w}\n"
        f"{tail}    return {dx}, dw, {db}\n"
    )


EXERCISE = Exercise(
    number=16,
    name="conv",
    title="The convolution",
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
            "the kernel is flipped in forward: this is the convolution of signal processing; "
            "nets have the correlation",
            code(w="w[k-1-i, k-1-j]"),
        ),
        Variant(
            "the kernel is flipped in dx: dp at a position gets dy times the w[u, v] that "
            "forward used there",
            code(back_w="w[len(w)-1-i, len(w)-1-j].T"),
        ),
        Variant(
            "dw is flipped: dw[u, v] belongs to the pixels that w[u, v] saw",
            code(dw_at="dw[len(w)-1-i, len(w)-1-j]"),
        ),
        Variant("rows and columns of the kernel are exchanged", code(w="w[j, i]")),
        Variant("rows and columns of the kernel are exchanged in dx", code(back_w="w[j, i].T")),
        Variant("rows and columns of the kernel are exchanged in dw", code(dw_at="dw[j, i]")),
        Variant(
            "db isn't summed over the pixels: the bias acts on each of them",
            code(db="dy[:, 0, 0].sum(0)"),
        ),
        Variant(
            "db isn't summed over the pixels: the bias acts on each of them", code(db="dy.sum(0)")
        ),
        Variant("db isn't summed over the samples", code(db="dy[0].sum((0, 1))")),
        Variant("db is a mean over the pixels: sum over them", code(db="dy.mean((1, 2)).sum(0)")),
        Variant("db is a mean: sum over samples and pixels", code(db="dy.mean((0, 1, 2))")),
        Variant(
            "the contributions to dx overwrite each other (=): a pixel under several patches "
            "gets the sum (+=)",
            code(dx_op="="),
        ),
        Variant(
            "dx is shifted: cut off the padding, the first and last rows and columns of the "
            "padded image",
            code(dx="dp[:, :p.shape[1]-2*g, :p.shape[2]-2*g]"),
        ),
        Variant("dx still has the padding: cut it off", code(dx="dp")),
        Variant("dw is divided by N: a layer sums over the samples", code(tail="    dw /= n\n")),
        Variant("dw is a mean over pixels: sum over them", code(tail="    dw /= r * q\n")),
        Variant(
            "dw uses the first sample alone: sum over all of them",
            code(dw="p[:1, R, C].reshape(-1, w.shape[2]).T @ dy[:1].reshape(-1, dy.shape[3])"),
        ),
        Variant("the bias is forgotten", code(bias="0")),
        Variant(
            "the bias is added at every position of the kernel: once is right",
            code(bias="b * w.shape[0]**2"),
        ),
        Variant("dx is divided by N: a layer sums over the samples", code(tail="    dp /= n\n")),
        Variant("the bias gets no gradient", code(db="0 * dy[0, 0, 0]")),
        Variant(
            "w isn't transposed in dx, only for as many channels in as out would that fit",
            code(back_w="(w[i, j] if w.shape[2] == w.shape[3] else w[i, j].T)[...]").replace(
                "w[i, j] if w", "-w[i, j] if w"
            ),
        ),
        Variant(
            "the stride is forgotten in forward: the patches begin at i·stride",
            code(y_part="p[:, i:i+r, j:j+q]"),
        ),
        Variant(
            "the stride is forgotten in backward: dp gets dy at every stride-th pixel",
            code().replace(
                "R, C = slice(i, i + s * r, s), slice(j, j + s * q, s)",
                "R, C = slice(i, i + r), slice(j, j + q)",
            ),
        ),
        Variant(
            "the padding is forgotten in forward",
            "def forward(x, w, b, s, g, right=forward):\n    return right(x, w, b, s, 0)\n",
        ),
        Variant(
            "the padding repeats the border: outside the image there is 0",
            code().replace("(g, g), (0, 0)))", "(g, g), (0, 0)), mode='edge')"),
        ),
        Variant(
            "the padding is filled with other numbers: outside the image there is 0",
            code().replace("(g, g), (0, 0)))", "(g, g), (0, 0)), constant_values=1)"),
        ),
        Variant(
            "only the middle of the kernel is used in dx: all positions contribute",
            code(back_w="(w[i, j] * (i == len(w) // 2) * (j == len(w) // 2)).T"),
        ),
        Variant(
            "the last row of the kernel is left out",
            code().replace("for i in range(k)", "for i in range(max(k - 1, 1))"),
        ),
        Variant(
            "dy stands where x belongs in dw, or x where dy: dw = patchesᵀ dy",
            code(dw="(p[:, R, C].reshape(-1, w.shape[2]).T @ flat)**2"),
        ),
    ),
    hints=(
        "Pad x, then for each position (u, v) of the kernel: the pixels that it sees are p[:, u "
        ": u + stride · H' "
        ": stride, v : …], and y += those @ w[u, v], a linear layer.",
        "backward is the linear layer's, position by position: dw[u, v] = pixelsᵀ dy, and dp at "
        "those pixels "
        "+= dy @ w[u, v].T.",
        "Reshape pixels and dy to (N·H'·W', channels) for dw. At the end cut the padding off "
        "dp; db = "
        "dy.sum(axis=(0, 1, 2)).",
    ),
    explanation=(
        "A convolution is k² linear layers whose outputs are added, one for each position of "
        "the kernel, with "
        "weights shared by all pixels: so dw and db sum over the pixels as well. Nothing has to "
        "be flipped: "
        "the flip in textbooks comes from writing dx as a convolution of dy, instead "
        "of going back the way one came."
    ),
    library="minigan/nn/convolution.py",
    paper="LeCun et al. 1989",
    tutorial="07-convolution",
)

"""Exercise 15: unfold and fold."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Output, Slope, Variant, several
from minigan.learn.solutions import unfold as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One patch, patches side by side, overlapping ones, rows that no patch reaches."""

    def given(n: int, height: int, width: int, c: int, k: int, stride: int) -> dict[str, Any]:
        rows, columns = (height - k) // stride + 1, (width - k) // stride + 1
        shape = (n, rows, columns, k, k, c)
        return {
            "x": rng.standard_normal((n, height, width, c)),
            "k": k,
            "stride": stride,
            "p": rng.standard_normal(shape),
            "ones": numpy.ones(shape),
        }

    return [
        Case("one patch, which is the image", given(1, 2, 2, 1, 2, 1)),
        Case("patches side by side", given(1, 4, 4, 1, 2, 2)),
        Case("overlapping patches", given(1, 3, 3, 1, 2, 1)),
        Case("a row and a column in no patch", given(1, 4, 4, 1, 3, 2)),
        Case("an image that isn't square", given(1, 4, 6, 2, 3, 1)),
        Case("2 images of 7 × 6, kernel 3, stride 2, 4 channels", given(2, 7, 6, 4, 3, 2)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Unfold; fold patches, and fold ones."""
    (patches,) = several(code.unfold(given.x, given.k, given.stride), "patches", "unfold")
    given.done["patches"] = patches
    (folded,) = several(code.fold(given.p, given.x.shape, given.stride), "x", "fold")
    (counts,) = several(code.fold(given.ones, given.x.shape, given.stride), "x", "fold")
    return {"patches": patches, "folded": folded, "counts": counts}


UNFOLD = (
    "def unfold(x, k, s):\n    n, h, w, c = x.shape; r, q = (h - k) // s + 1, (w - k) // s + 1\n"
    "    p = np.zeros((n, r, q, k, k, c), x.dtype)\n"
    "    for i in range(r):\n        for j in range(q):\n"
    "            for a in range(k):\n                for b in range(k):\n"
    "                    {}\n    return p\n"
)
FOLD = (
    "def fold(p, shape, s):\n    x = np.zeros(shape, p.dtype); n, r, q, k = p.shape[:4]\n"
    "    for i in range({}):\n        for j in range({}):\n"
    "            {}\n    return {}\n"
)


def _unfold(line: str) -> str:
    return UNFOLD.format(line)


def _fold(line: str, rows: str = "r", columns: str = "q", end: str = "x") -> str:
    return FOLD.format(rows, columns, line, end)


ADD = "x[:, i*s:i*s+k, j*s:j*s+k] += p[:, i, j]"
EXERCISE = Exercise(
    number=15,
    name="unfold",
    title="Unfold and fold",
    asks=("unfold", "fold"),
    outputs={
        "patches": Output("the patches"),
        "folded": Output("fold, the adjoint of unfold", Slope("patches", "p", "x")),
        "counts": Output(
            "fold of ones: in how many patches each pixel lies",
            Slope("patches", "ones", "x"),
            "folded",
        ),
    },
    cases=cases,
    play=play,
    solution=solution,
    variants=(
        Variant(
            "patches overwrite each other (=): pixels that lie in several get the sum (+=)",
            _fold(ADD.replace("+=", "=")),
        ),
        Variant(
            "each pixel gets the mean of its patches: the adjoint is the sum",
            _fold(ADD, end="x / np.maximum(fold0(np.ones_like(p), shape, s), 1)")
            + "def fold0(p, shape, s):\n    x = np.zeros(shape); n, r, q, k = p.shape[:4]\n    "
            "for i in range(r):\n        for j in range(q): x[:, i*s:i*s+k, j*s:j*s+k] += "
            "p[:, i, j]\n    return x\n",
        ),
        Variant(
            "the patches are flipped: fold puts patch[a, b] where unfold took it",
            _fold(ADD.replace("p[:, i, j]", "p[:, i, j, ::-1, ::-1]")),
        ),
        Variant(
            "the stride is forgotten in fold: patch (i, j) begins at pixel (i·stride, j·stride)",
            _fold("x[:, i:i+k, j:j+k] += p[:, i, j]"),
        ),
        Variant(
            "i and j are exchanged in fold: patch (i, j) begins at row i·stride, column j·stride",
            _fold("x[:, j*s:j*s+k, i*s:i*s+k] += p[:, i, j]"),
        ),
        Variant(
            "rows and columns are exchanged in fold: patch[a, b] has a along the rows",
            _fold(ADD.replace("p[:, i, j]", "p[:, i, j].swapaxes(1, 2)")),
        ),
        Variant(
            "the last row of patches is left out in fold: there are H' × W' of them",
            _fold(ADD, "r - 1"),
        ),
        Variant(
            "the last row and column of patches are left out in fold: there are H' × W' of them",
            _fold(ADD, "r - 1", "q - 1"),
        ),
        Variant(
            "the last column of patches is left out in fold: there are H' × W' of them",
            _fold(ADD, "r", "q - 1"),
        ),
        Variant(
            "only the first pixel of each patch is put back",
            _fold("x[:, i*s, j*s] += p[:, i, j, 0, 0]"),
        ),
        Variant("fold returns zeros: the result of the sums must be kept", _fold("pass")),
        Variant(
            "the stride is forgotten in unfold: patch (i, j) begins at pixel (i·stride, j·stride)",
            _unfold("p[:, i, j, a, b] = x[:, i + a, j + b]"),
        ),
        Variant(
            "the stride is forgotten along the columns in unfold: j·stride + b",
            _unfold("p[:, i, j, a, b] = x[:, i*s + a, j + b]"),
        ),
        Variant(
            "the stride is forgotten along the rows in unfold: i·stride + a",
            _unfold("p[:, i, j, a, b] = x[:, i + a, j*s + b]"),
        ),
        Variant(
            "the stride is forgotten along the columns in fold: j·stride + b",
            _fold("x[:, i*s:i*s+k, j:j+k] += p[:, i, j]"),
        ),
        Variant(
            "the stride is forgotten along the rows in fold: i·stride + a",
            _fold("x[:, i:i+k, j*s:j*s+k] += p[:, i, j]"),
        ),
        Variant(
            "the stride multiplies the place in the kernel, too: i·stride + a, not (i + a)·stride",
            _unfold("p[:, i, j, a, b] = x[:, min((i + a) * s, h - 1), min((j + b) * s, w - 1)]"),
        ),
        Variant(
            "the patches are flipped in unfold: patch[a, b] is the pixel a below and b to the "
            "right",
            _unfold("p[:, i, j, a, b] = x[:, i*s + k - 1 - a, j*s + k - 1 - b]"),
        ),
        Variant(
            "rows and columns are exchanged inside the patches: patch[a, b] has a along the rows",
            _unfold("p[:, i, j, a, b] = x[:, i*s + b, j*s + a]"),
        ),
        Variant(
            "the patches are shifted by a pixel",
            _unfold("p[:, i, j, a, b] = x[:, min(i*s + a + 1, h - 1), min(j*s + b + 1, w - 1)]"),
        ),
        Variant(
            "patches are added up in unfold (+=): each is a copy",
            _unfold("p[:, i, j, a, b] += x[:, i*s + a, j*s + b] * (1 + (a > 0))"),
        ),
        Variant(
            "the shape of the patches is (N, H', W', k·k·C): keep the axes k, k, C apart",
            _unfold("p[:, i, j, a, b] = x[:, i*s + a, j*s + b]").replace(
                "return p", "return p.reshape(n, r, q, -1)"
            ),
        ),
        Variant(
            "the axes of the patches are in another order: (N, H', W', k, k, C)",
            _unfold("p[:, i, j, a, b] = x[:, i*s + a, j*s + b]").replace(
                "return p", "return p.transpose(0, 3, 4, 1, 2, 5)"
            ),
        ),
        Variant(
            "the number of patches is H - k, one too few: (H - k) // stride + 1",
            _unfold("p[:, i, j, a, b] = x[:, i*s + a, j*s + b]").replace(
                "// s + 1, (w - k) // s + 1", "// s + (h == k), (w - k) // s + (w == k)"
            ),
        ),
        Variant(
            "the number of patches ignores the stride: (H - k) // stride + 1",
            "def unfold(x, k, s, right=unfold):\n    return right(x, k, 1)\n",
        ),
    ),
    hints=(
        "Loop over a and b, the places in the kernel, and take all patches at once: x[:, a : a "
        "+ stride * H' : "
        "stride, …] holds the pixels at place a of every patch.",
        "fold is the same loop with both sides exchanged, and with += in the place of =.",
        "x[:, a : a + stride * rows : stride, b : b + stride * columns : stride] += patches[:, "
        ":, :, a, b].",
    ),
    explanation=(
        "An adjoint needs no derivation: copying has adding as its adjoint, because a pixel "
        "that was copied "
        "four times reaches the loss in four ways. ⟨Ux, p⟩ = ⟨x, U'p⟩ with random x and p is a "
        "test that hardly any mistake "
        "survives, and it needs no small h. fold(ones) counts the patches of each pixel, "
        "which is where the checkerboard of transposed convolutions comes from."
    ),
    library="minigan/backend/reference.py, minigan/backend/window.py",
    paper="Chellapilla, Puri and Simard 2006",
    tutorial="07-convolution",
)

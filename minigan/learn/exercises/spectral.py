"""Exercise 20: spectral normalisation."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import spectral as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One number, a row, a square, a matrix."""

    def given(m: int, n: int) -> dict[str, Any]:
        w, dy = rng.standard_normal((2, m, n))
        u, _, v = numpy.linalg.svd(w)
        return {"w": w, "u": u[:, 0], "v": v[0], "dy": dy}

    return [
        Case("one number", given(1, 1)),
        Case("a row", given(1, 3)),
        Case("a square matrix", given(3, 3)),
        Case("a 4 × 3 matrix", given(4, 3)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward and backward."""
    found = play_pair(code, given, "w u v", "dw")
    along = numpy.array(0.0)
    if isinstance(found["dw"], numpy.ndarray) and found["dw"].shape == given.w.shape:
        along = numpy.asarray((found["dw"] * given.w).sum())
    return found | {"along": along}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The two terms of dw."""
    w, u, v, dy = given.w, given.u, given.v, given.dy
    sigma, outer = u @ w @ v, numpy.outer(u, v)
    parts = {
        "the term of W itself, dy / σ": dy / sigma,
        "the term through σ, -⟨dy, y⟩ u vᵀ / σ": -(dy * w).sum() / sigma**2 * outer,
    }
    return {"dw": (parts, {"W": w, "u vᵀ": outer})}


def _code(dw: str, y: str = "w / s", s: str = "u @ w @ v") -> str:
    return (
        f"def forward(w, u, v):\n    s = {s}\n    return {y}, (w / (u @ w @ v), u @ w @ v, u, v)\n"
        f"def backward(dy, cache):\n    y, s, u, v = cache\n    return {dw}\n"
    )


RIGHT = "(dy - (dy * y).sum() * np.outer(u, v)) / s"
EXERCISE = Exercise(
    number=20,
    name="spectral",
    title="Spectral normalisation",
    asks=("forward", "backward"),
    outputs={
        "y": Output("W / σ"),
        "dw": Output("the gradient of W", Slope("y", "dy", "w")),
        "along": Output("⟨dw, W⟩, which is 0: scaling W doesn't change y", part="dw", follows="dw"),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant("the term through σ is missing: σ depends on W, too", _code("dy / s")),
        Variant(
            "the term through σ has the wrong sign: 1/σ falls as σ grows",
            _code("(dy + (dy * y).sum() * np.outer(u, v)) / s"),
        ),
        Variant("the division by σ is missing", _code("dy - (dy * y).sum() * np.outer(u, v)")),
        Variant(
            "it is divided by σ twice: y holds the other 1/σ",
            _code("(dy - (dy * y).sum() * np.outer(u, v)) / s**2"),
        ),
        Variant(
            "the term through σ takes W where y = W / σ belongs",
            _code("(dy - (dy * y * s).sum() * np.outer(u, v)) / s"),
        ),
        Variant(
            "the term through σ is divided by σ once too often",
            _code("dy / s - (dy * y).sum() * np.outer(u, v) / s**2"),
        ),
        Variant(
            "dσ/dW is u vᵀ, the outer product; y stands in its place",
            _code("(dy - (dy * y).sum() * y) / s"),
        ),
        Variant("dσ/dW is u vᵀ; W stands in its place", _code("(dy - (dy * y).sum() * y * s) / s")),
        Variant(
            "the product with dy isn't summed: σ is one number",
            _code("(dy - dy * y * np.outer(u, v)) / s"),
        ),
        Variant(
            "the sum of dy stands where that of dy y belongs",
            _code("(dy - dy.sum() * np.outer(u, v)) / s"),
        ),
        Variant(
            "it takes the mean of dy y, not the sum",
            _code("(dy - (dy * y).mean() * np.outer(u, v)) / s"),
        ),
        Variant("only the term through σ is there", _code("-(dy * y).sum() * np.outer(u, v) / s")),
        Variant("dy is passed on as it is", _code("1.0 * dy")),
        Variant("W isn't divided by σ in forward", _code(RIGHT, "1.0 * w")),
        Variant("W is multiplied by σ: divide by it", _code(RIGHT, "w * s")),
        Variant("W is divided by σ²", _code(RIGHT, "w / s**2")),
        Variant("W is divided by the root of σ", _code(RIGHT, "w / np.sqrt(s)")),
        Variant(
            "W is divided by its Frobenius norm: σ = uᵀ W v is the largest singular value",
            _code(RIGHT, s="np.sqrt((w * w).sum())"),
        ),
        Variant("W is divided by its largest entry: σ = uᵀ W v", _code(RIGHT, s="abs(w).max()")),
        Variant("the sign is wrong", _code("-" + RIGHT)),
    ),
    hints=(
        "The quotient rule: d(W/σ) = dW/σ - W dσ/σ². And σ = uᵀ W v = Σ u_i W_ij v_j, so dσ/dW "
        "= u vᵀ.",
        "⟨dy, -W dσ/σ²⟩ = -⟨dy, y⟩ dσ/σ: a number times u vᵀ / σ.",
        "(dy - (dy * y).sum() * np.outer(u, v)) / sigma, with y = w / sigma from the cache.",
    ),
    explanation=(
        "Scaling W leaves y as it is, so dW must be orthogonal to W: ⟨dW, W⟩ = 0 checks both "
        "terms at once, and "
        "fails when the second one is forgotten. Many implementations get that term from "
        "autograd; whoever "
        "detaches σ trains another net. u and v may count as constants because their own "
        "derivatives cancel "
        "at a singular value."
    ),
    library="minigan/nn/spectral.py",
    paper="Miyato et al. 2018",
    tutorial="12-smooth-discriminators",
)

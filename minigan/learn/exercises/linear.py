"""Exercise 2: the linear layer."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import linear as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """From one number to a batch of distinct sizes."""

    def given(n: int, a: int, b: int) -> dict[str, Any]:
        shapes = {"x": (n, a), "w": (a, b), "b": (b,), "dy": (n, b)}
        return {name: rng.standard_normal(shape) for name, shape in shapes.items()}

    return [
        Case("one sample, one number in and out", given(1, 1, 1)),
        Case("one sample", given(1, 2, 3)),
        Case("two samples, one number in and out", given(2, 1, 1)),
        Case("as many numbers in as out", given(2, 3, 3)),
        Case("5 samples, 3 numbers in, 4 out", given(5, 3, 4)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward and backward."""
    return play_pair(code, given, "x w b", "dx dw db")


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Y = x w + b."""
    rows = numpy.ones((len(given.x), 1))
    return {"y": ({"x w": given.x @ given.w, "the bias b": rows * given.b}, {})}


BACKWARD = "def backward(dy, cache):\n    x, w = cache\n    return {}, {}, {}\n"


def _variant(
    words: str, dx: str = "dy @ w.T", dw: str = "x.T @ dy", db: str = "dy.sum(0)"
) -> Variant:
    return Variant(words, BACKWARD.format(dx, dw, db))


EXERCISE = Exercise(
    number=2,
    name="linear",
    title="The linear layer",
    asks=("forward", "backward"),
    outputs={
        "y": Output("the output"),
        "dx": Output("the gradient of x", Slope("y", "dy", "x")),
        "dw": Output("the gradient of the weights", Slope("y", "dy", "w")),
        "db": Output("the gradient of the bias", Slope("y", "dy", "b")),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        _variant(
            "it is divided by the batch size N: a layer sums over the samples, a mean is up to "
            "the loss",
            "dy @ w.T / len(x)",
            "x.T @ dy / len(x)",
            "dy.mean(0)",
        ),
        _variant(
            "only the first sample is used: sum over all of them",
            dw="np.outer(x[0], dy[0])",
            db="dy[0]",
        ),
        _variant(
            "only the last sample is used: sum over all of them",
            dw="np.outer(x[-1], dy[-1])",
            db="dy[-1]",
        ),
        _variant(
            "this is the outer product of the sums of x and of dy; it must be the sum of the outer "
            "products, xᵀ dy",
            dw="np.outer(x.sum(0), dy.sum(0))",
        ),
        _variant(
            "a reshape stands where a transpose belongs: both give the right shape, but reshape "
            "reads the same numbers in the same order",
            "dy @ w.reshape(w.shape[::-1])",
            "(dy.T @ x).reshape(w.shape)",
        ),
        _variant(
            "a reshape stands where a transpose belongs: both give the right shape, but reshape "
            "reads the same numbers in the same order",
            dw="x.reshape(x.shape[::-1]) @ dy",
        ),
        Variant(
            "y stands where dy belongs: the gradient comes from dy, which forward doesn't know",
            "def forward(x, w, b):\n    return x @ w + b, (x, w, x @ w + b)\n"
            "def backward(dy, cache):\n    x, w, y = cache\n    return y @ w.T, x.T @ y, "
            "y.sum(0)\n",
        ),
        _variant(
            "dy is forgotten: this is what ones in its place would give",
            "np.ones_like(dy) @ w.T",
            "x.T @ np.ones_like(dy)",
            "0 * dy[0] + len(dy)",
        ),
        _variant("the sign is wrong", "-dy @ w.T", "-x.T @ dy", "-dy.sum(0)"),
        _variant(
            "it is the sum over everything, also over the outputs: sum over the samples only",
            db="dy.sum() + 0 * dy[0]",
        ),
        _variant(
            "w isn't transposed: dx = dy wᵀ, and only for as many inputs as outputs would w "
            "itself fit",
            "dy @ (w if w.shape[0] == w.shape[1] else w.T)",
        ),
        _variant(
            "x has come in a second time: dx = dy wᵀ contains no x, for y is linear in x",
            "x * (dy @ w.T)",
        ),
        _variant("this is w once too often: dw = xᵀ dy contains no w", dw="(x.T @ dy) * w"),
    ),
    hints=(
        "Write one entry: y_np = Σ_i x_ni w_ip + b_p. Which entries of y does w_ip appear in?",
        "w_ip appears in y_np for every n, with the factor x_ni: dL/dw_ip = Σ_n x_ni dy_np. Now "
        "find "
        "the matrix product that this is, and do the same for x and b.",
        "dx = dy @ w.T, dw = x.T @ dy, and db = dy.sum(axis=0). The shapes leave no other "
        "choice, which is a good way to remember it.",
    ),
    explanation=(
        "Each gradient has the shape of its array, and nearly follows from the shapes alone: "
        "(N, in) "
        "from (N, out) and (in, out) is dy wᵀ. The sum over samples comes from the chain rule: one "
        "weight acts on every sample. All other layers of the course, convolutions included, are "
        "this one with other indices."
    ),
    library="minigan/nn/linear.py",
    paper="Rumelhart, Hinton and Williams 1986",
    tutorial="02-backpropagation",
)

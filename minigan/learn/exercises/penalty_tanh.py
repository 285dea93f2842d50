"""Exercise 22: the gradient penalty of a curved net."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import penalty_tanh as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One sample, a flat net, a batch."""

    def given(n: int, a: int, hidden: int) -> dict[str, Any]:
        x, w1 = rng.standard_normal((n, a)), 0.7 * rng.standard_normal((a, hidden))
        return {"x": x, "w1": w1, "w2": rng.standard_normal((hidden, 1)), "lam": 10.0}

    flat = given(2, 2, 2)
    return [
        Case("one sample, one number everywhere", given(1, 1, 1)),
        Case("one sample", given(1, 2, 3)),
        Case("a flat net, whose gradient is 0", flat | {"w2": 0 * flat["w2"]}),
        Case("5 samples, 3 numbers, 4 hidden", given(5, 3, 4) | {"lam": 3.5}),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """The penalty and its gradients."""
    result = code.gp(given.x, given.w1, given.w2, given.lam)
    return dict(zip(("loss", "dw1", "dw2"), several(result, "loss, dw1, dw2", "gp"), strict=True))


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Dw1 has two ways: as a factor of g, and through h."""
    x, w1, w2 = given.x, given.w1, given.w2
    a = numpy.tanh(x @ w1)
    s = 1 - a * a
    g = (s * w2.T) @ w1.T
    norm = numpy.sqrt((g**2).sum(axis=1, keepdims=True))
    dg = 2 * given.lam * (norm - 1) * g / numpy.where(norm > 0, norm, 1) / len(x)
    dh = dg @ w1 * w2.T * -2 * a * s
    parts = {
        "the way through w1 as a factor of g": dg.T @ (s * w2.T),
        "the way through the mask, down through h (the fourth walk)": x.T @ dh,
    }
    return {"dw1": (parts, {})}


def _code(
    s: str = "1 - a * a",
    norm: str = "np.sqrt((g**2).sum(1, keepdims=True))",
    loss: str = "lam * ((m - 1)**2).mean()",
    dg: str = "2 * lam * (m - 1) * g / np.where(m > 0, m, 1) / n",
    dh: str = "dq * w2.T * -2 * a * s",
    dw1: str = "dg.T @ q + x.T @ dh",
    dw2: str = "(dq * s).sum(0).reshape(-1, 1)",
) -> str:
    return (
        "def gp(x, w1, w2, lam):\n    n = len(x); h = x @ w1; a = np.tanh(h)\n"
        f"    s = {s}\n    q = s * w2.T\n    g = q @ w1.T\n    m = {norm}\n    loss = {loss}\n"
        f"    dg = {dg}\n    dq = dg @ w1\n    dh = {dh}\n    return loss, {dw1}, {dw2}\n"
    )


EXERCISE = Exercise(
    number=22,
    name="penalty_tanh",
    title="The gradient penalty of a curved net",
    asks=("gp",),
    outputs={
        "loss": Output("the penalty"),
        "dw1": Output("its gradient for w1", Slope("loss", None, "w1")),
        "dw2": Output("its gradient for w2", Slope("loss", None, "w2")),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the fourth walk is missing: w1 also moves h, and with it the mask; for a leaky net "
            "this would be right",
            _code(dw1="dg.T @ q"),
        ),
        Variant("only the fourth walk is there: w1 is a factor of g, too", _code(dw1="x.T @ dh")),
        Variant(
            "the fourth walk has the wrong sign: ds/dh = -2 a s", _code(dh="dq * w2.T * 2 * a * s")
        ),
        Variant("the 2 is missing in ds/dh = -2 a s", _code(dh="dq * w2.T * -a * s")),
        Variant(
            "the s is missing in ds/dh = -2 a s: a moves with h by s",
            _code(dh="dq * w2.T * -2 * a"),
        ),
        Variant("w2 is missing in the fourth walk: q = s ∘ w2ᵀ", _code(dh="dq * -2 * a * s")),
        Variant("h stands where a belongs: ds/dh = -2 a s", _code(dh="dq * w2.T * -2 * h * s")),
        Variant("ds/dh contains s twice", _code(dh="dq * w2.T * -2 * a * s * s")),
        Variant("the fourth walk ends at a instead of x", _code(dw1="dg.T @ q + dg.T @ dh")),
        Variant("the mask is 1 - h², with h where a belongs", _code(s="1 - h * h")),
        Variant("the mask is 1 - a: tanh' = 1 - a²", _code(s="1 - a")),
        Variant("the mask is that of a sigmoid, a (1 - a)", _code(s="a * (1 - a)")),
        Variant(
            "the norm is taken over the whole batch: each sample has its own",
            _code(norm="np.sqrt((g**2).sum()) + 0 * g[:, :1]"),
        ),
        Variant(
            "the root at 0 has no derivative: this is 0/0; where |g| is 0, the gradient counts "
            "as 0",
            _code(dg="2 * lam * (m - 1) * g / m / n"),
        ),
        Variant(
            "the 2 of the square is missing",
            _code(dg="lam * (m - 1) * g / np.where(m > 0, m, 1) / n"),
        ),
        Variant(
            "the derivative of the norm, g / |g|, is missing: this has g in its place",
            _code(dg="2 * lam * (m - 1) * g / n"),
        ),
        Variant(
            "the gradient isn't divided by N: the penalty is a mean",
            _code(dg="2 * lam * (m - 1) * g / np.where(m > 0, m, 1)"),
        ),
        Variant(
            "λ is forgotten in the gradient",
            _code(dg="2 * (m - 1) * g / np.where(m > 0, m, 1) / n"),
        ),
        Variant(
            "λ is 10 in the paper: use the lam that is given",
            _code(
                loss="10.0 * ((m - 1)**2).mean()",
                dg="2 * 10.0 * (m - 1) * g / np.where(m > 0, m, 1) / n",
            ),
        ),
        Variant("the mask is forgotten in dw2", _code(dw2="dq.sum(0).reshape(-1, 1)")),
        Variant(
            "dw2 takes a where the mask belongs: g = (s ∘ w2ᵀ) w1ᵀ",
            _code(dw2="(dq * a).sum(0).reshape(-1, 1)"),
        ),
        Variant(
            "the penalty is (|g|² - 1)²: the norm itself is meant, with its root",
            _code(norm="(g**2).sum(1, keepdims=True)"),
        ),
        Variant(
            "the penalty is |g|², not (|g| - 1)²",
            _code(loss="lam * (m**2).mean()", dg="2 * lam * g / n"),
        ),
        Variant(
            "the penalty is summed over the samples: take the mean",
            _code(
                loss="lam * ((m - 1)**2).sum()", dg="2 * lam * (m - 1) * g / np.where(m > 0, m, 1)"
            ),
        ),
        Variant(
            "the mask is forgotten in the first way to w1",
            _code(dw1="dg.T @ (0 * s + w2.T) + x.T @ dh"),
        ),
    ),
    hints=(
        "Begin as in exercise 21: dg, then dq = dg w1, dw2 = Σ dq ∘ s, and dgᵀ q for w1.",
        "q = s ∘ w2ᵀ also depends on s: ds = dq ∘ w2ᵀ. And s = 1 - a² with da/dh = s gives dh = "
        "ds · (-2 a) · s.",
        "h = x w1 is a linear layer: dw1 gets x.T @ dh on top of dg.T @ q.",
    ),
    explanation=(
        "Up, down, up, down: forward, backward, the tangent of the penalty up, and one more "
        "pass down "
        "where the net is curved. For piecewise linear nets the last one is 0, which is why "
        "code without it passes "
        "with leaky ReLU and fails silently with tanh or softplus. Frameworks call it "
        "create_graph=True; here "
        "you see what that computes."
    ),
    library="minigan/nn/curves.py, minigan/gan/penalties.py",
    paper="Gulrajani et al. 2017; Pearlmutter 1994",
    tutorial="12-smooth-discriminators",
)

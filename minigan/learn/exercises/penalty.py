"""Exercise 21: gradient penalties of a leaky net."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Output, Slope, Variant, several
from minigan.learn.solutions import penalty as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One sample, a flat net whose gradient is 0, a batch."""

    def given(n: int, a: int, hidden: int) -> dict[str, Any]:
        while True:
            x, w1 = rng.standard_normal((n, a)), rng.standard_normal((a, hidden))
            if abs(x @ w1).min() > 0.05:
                break
        w2 = rng.standard_normal((hidden, 1))
        return {"x": x, "w1": w1, "w2": w2, "slope": 0.2, "gamma": 3.0, "lam": 10.0}

    def other(given: dict[str, Any]) -> dict[str, Any]:
        return given | {"slope": 0.3, "gamma": 0.7, "lam": 3.5}

    flat = given(2, 2, 2)
    return [
        Case("one sample, one number everywhere", given(1, 1, 1)),
        Case("one sample", given(1, 2, 3)),
        Case("a flat net, whose gradient is 0", flat | {"w2": 0 * flat["w2"]}),
        Case("5 samples, 3 numbers, 4 hidden", other(given(5, 3, 4))),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Gradient, R1, gradient penalty."""
    net = (given.x, given.w1, given.w2, given.slope)
    g, s = several(code.input_gradient(*net), "g, s", "input_gradient")
    given.done |= {"g": g, "s": s}
    r1 = several(code.r1(*net, given.gamma), "loss, dw1, dw2", "r1")
    names = ("", "_dw1", "_dw2")
    given.done |= {f"r1{n}": v for n, v in zip(names, r1, strict=True)}
    gp = several(code.gp(*net, given.lam), "loss, dw1, dw2", "gp")
    return given.done | {f"gp{n}": v for n, v in zip(names, gp, strict=True)}


PULL = (
    "def _pulled(dg, s, w1, w2):\n    dq = dg @ w1\n"
    "    return {}, {}\n"
    "def _net(x, w1, w2, slope):\n    s = np.where(x @ w1 > 0, 1.0, slope)\n    return (s * "
    "w2.T) @ w1.T, s\n"
)
DW1, DW2 = "dg.T @ (s * w2.T)", "(dq * s).sum(0).reshape(-1, 1)"


def _r1(
    loss: str = "gamma / 2 * (g**2).sum(1).mean()",
    dg: str = "gamma * g / n",
    dw1: str = DW1,
    dw2: str = DW2,
) -> str:
    return PULL.format(dw1, dw2) + (
        "def r1(x, w1, w2, slope, gamma):\n    g, s = _net(x, w1, w2, slope); n = len(x)\n"
        f"    return ({loss}, *_pulled({dg}, s, w1, w2))\n"
    )


def _gp(
    loss: str = "lam * ((m - 1)**2).mean()",
    dg: str = "2 * lam * (m - 1) * g / np.where(m > 0, m, 1) / n",
    norm: str = "np.sqrt((g**2).sum(1, keepdims=True))",
) -> str:
    return PULL.format(DW1, DW2) + (
        "def gp(x, w1, w2, slope, lam):\n    g, s = _net(x, w1, w2, slope); n = len(x)\n"
        f"    m = {norm}\n    return ({loss}, *_pulled({dg}, s, w1, w2))\n"
    )


def _g(g: str, s: str = "np.where(x @ w1 > 0, 1.0, slope)") -> str:
    return f"def input_gradient(x, w1, w2, slope):\n    s = {s}\n    return {g}, s\n"


EXERCISE = Exercise(
    number=21,
    name="penalty",
    title="Gradient penalties of a leaky net",
    asks=("input_gradient", "r1", "gp"),
    outputs={
        "g": Output("the gradient of D for each sample"),
        "s": Output("the mask"),
        "r1": Output("the R1 penalty"),
        "r1_dw1": Output("its gradient for w1", Slope("r1", None, "w1"), "r1 gradients"),
        "r1_dw2": Output("its gradient for w2", Slope("r1", None, "w2"), "r1 gradients"),
        "gp": Output("the gradient penalty"),
        "gp_dw1": Output("its gradient for w1", Slope("gp", None, "w1"), "gp gradients"),
        "gp_dw2": Output("its gradient for w2", Slope("gp", None, "w2"), "gp gradients"),
    },
    cases=cases,
    play=play,
    solution=solution,
    variants=(
        Variant(
            "the 2 of the square is left in R1's gradient: the half before it cancels it",
            _r1(dg="2 * gamma * g / n"),
        ),
        Variant(
            "the half of R1 is missing", _r1("gamma * (g**2).sum(1).mean()", "2 * gamma * g / n")
        ),
        Variant(
            "the half of R1 is missing in the loss, though the gradient has it",
            _r1("gamma * (g**2).sum(1).mean()"),
        ),
        Variant(
            "R1's gradient has the half, which the 2 of the square cancels",
            _r1(dg="gamma * g / n / 2"),
        ),
        Variant(
            "R1's gradient isn't divided by N: the penalty is a mean over the samples",
            _r1(dg="gamma * g"),
        ),
        Variant(
            "R1 takes the mean over the entries, too: sum each sample's, then take the mean "
            "over the samples",
            _r1("gamma / 2 * (g**2).mean()", "gamma * g / g.size"),
        ),
        Variant(
            "R1 sums over the samples: take the mean", _r1("gamma / 2 * (g**2).sum()", "gamma * g")
        ),
        Variant("γ is forgotten in the gradient", _r1(dg="g / n")),
        Variant("the mask is forgotten on the way to w2", _r1(dw2="dq.sum(0).reshape(-1, 1)")),
        Variant("the mask is forgotten on the way to w1", _r1(dw1="dg.T @ (0 * s + w2.T)")),
        Variant("w2 is forgotten on the way to w1", _r1(dw1="dg.T @ s")),
        Variant("dw2 isn't summed over the samples", _r1(dw2="(dq * s)[0].reshape(-1, 1)")),
        Variant(
            "g stands for dg: pull the penalty's gradient back, with its factor γ/N", _r1(dg="g")
        ),
        Variant(
            "the norm is taken over the whole batch: each sample has its own",
            _gp(norm="np.sqrt((g**2).sum()) + 0 * g[:, :1]"),
        ),
        Variant(
            "the root at 0 has no derivative: this is 0/0; where |g| is 0, the gradient counts "
            "as 0",
            _gp(dg="2 * lam * (m - 1) * g / m / n"),
        ),
        Variant(
            "a small number inside the root keeps NaN away, but changes the loss",
            _gp(
                dg="2 * lam * (m - 1) * g / m / n",
                norm="np.sqrt((g**2).sum(1, keepdims=True) + 1e-12)",
            ),
        ),
        Variant(
            "the 2 of the square is missing in the gradient penalty's gradient",
            _gp(dg="lam * (m - 1) * g / np.where(m > 0, m, 1) / n"),
        ),
        Variant(
            "the derivative of the norm, g / |g|, is missing: this has g in its place",
            _gp(dg="2 * lam * (m - 1) * g / n"),
        ),
        Variant(
            "the penalty is (|g|² - 1)²: the norm itself is meant, with its root",
            _gp(norm="(g**2).sum(1, keepdims=True)"),
        ),
        Variant(
            "the penalty is |g|², not (|g| - 1)²", _gp("lam * (m**2).mean()", "2 * lam * g / n")
        ),
        Variant(
            "λ is forgotten in the gradient", _gp(dg="2 * (m - 1) * g / np.where(m > 0, m, 1) / n")
        ),
        Variant(
            "the gradient penalty's gradient isn't divided by N",
            _gp(dg="2 * lam * (m - 1) * g / np.where(m > 0, m, 1)"),
        ),
        Variant(
            "λ is 10 in the paper: use the lam that is given",
            _gp("10.0 * ((m - 1)**2).mean()", "2 * 10.0 * (m - 1) * g / np.where(m > 0, m, 1) / n"),
        ),
        Variant(
            "a half has come in: it is λ (|g| - 1)², where R1 has γ/2",
            _gp("lam / 2 * ((m - 1)**2).mean()", "lam * (m - 1) * g / np.where(m > 0, m, 1) / n"),
        ),
        Variant(
            "the slope is 0.2 in most papers: use the slope that is given",
            _g("(s * w2.T) @ w1.T", "np.where(x @ w1 > 0, 1.0, 0.2)"),
        ),
        Variant(
            "only slopes above 1 are punished: (|g| - 1)² punishes both sides",
            _gp(
                "lam * (np.maximum(m - 1, 0)**2).mean()",
                "2 * lam * np.maximum(m - 1, 0) * g / np.where(m > 0, m, 1) / n",
            ),
        ),
        Variant(
            "the norm is the sum of |g|: it is the root of the sum of squares",
            _gp(norm="abs(g).sum(1, keepdims=True)"),
        ),
        Variant("the mask is forgotten in g", _g("(0 * s + w2.T) @ w1.T")),
        Variant(
            "the slope is forgotten: 0 where x w1 < 0",
            _g("(s * w2.T) @ w1.T", "1.0 * (x @ w1 > 0)"),
        ),
        Variant(
            "g is divided by N: it is each sample's own gradient", _g("(s * w2.T) @ w1.T / len(x)")
        ),
        Variant(
            "g isn't kept apart for each sample: no mean or sum over the batch",
            _g("((s * w2.T) @ w1.T).mean(0) + 0 * x"),
        ),
        Variant(
            "the mask is that of the output, not of h: leaky's derivative, 1 or slope",
            _g("(s * w2.T) @ w1.T", "np.where(x @ w1 > 0, x @ w1, slope * (x @ w1))"),
        ),
    ),
    hints=(
        "g is D's backward with dy = 1 for each sample: da = w2ᵀ, dh = s ∘ da, g = dh w1ᵀ.",
        "The loss is a function of g, so begin with dg, (N, in). g = q w1ᵀ with q = s ∘ w2ᵀ is "
        "a linear layer: dw1 = dgᵀ q "
        "and dq = dg w1. Then dw2 = Σ_n dq ∘ s.",
        "R1: dg = gamma * g / N. GP: dg = 2 lam (|g| - 1) g / |g| / N, with 1 in the place of "
        "|g| where it is 0.",
    ),
    explanation=(
        "A penalty on a gradient is a loss on a backward pass, and the backward pass of a leaky "
        "net is made of "
        "products, so its derivative is easy: the mask is constant almost everywhere. |g| is "
        "each sample's own; "
        "the norm of the whole batch would make samples share their slope. And √0 has no "
        "derivative: a fresh D "
        "with w2 = 0 would be NaN after one step."
    ),
    library="minigan/gan/penalties.py",
    paper="Mescheder et al. 2018; Gulrajani et al. 2017",
    tutorial="12-smooth-discriminators",
)

"""Exercise 13: batch norm, backward along the graph."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import batchnorm_graph as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One channel, several, a large eps."""

    def given(n: int, c: int, eps: float) -> dict[str, Any]:
        return {
            "x": 2 * rng.standard_normal((n, c)) + 1,
            "gamma": rng.uniform(0.5, 2, c),
            "beta": rng.standard_normal(c),
            "eps": eps,
            "dy": rng.standard_normal((n, c)),
        }

    return [
        Case("two samples, one channel", given(2, 1, 0.1)),
        Case("one channel", given(4, 1, 1e-5)),
        Case("a large eps", given(6, 2, 0.5)),
        Case("5 samples, 3 channels", given(5, 3, 0.1)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward, which is given, and backward."""
    return play_pair(code, given, "x gamma beta eps", "dx dgamma dbeta")


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The three ways in which x reaches y."""
    x, dy, rows = given.x, given.dy, numpy.ones((len(given.x), 1))
    centred = x - x.mean(axis=0)
    s = numpy.sqrt((centred**2).mean(axis=0) + given.eps)
    x_hat, q = centred / s, given.gamma * dy
    parts = {
        "the term of x itself, γ dy / s": q / s,
        "the term through the mean": -rows * q.mean(axis=0) / s,
        "the term through the variance": -x_hat * (q * x_hat).mean(axis=0) / s,
    }
    return {"dx": (parts, {"x̂": x_hat, "dy alone": dy})}


def outputs() -> dict[str, Output]:
    """The outputs of both exercises about batch norm's backward."""
    return {
        "y": Output("the output"),
        "dx": Output("the gradient of x", Slope("y", "dy", "x")),
        "dgamma": Output("the gradient of γ", Slope("y", "dy", "gamma")),
        "dbeta": Output("the gradient of β", Slope("y", "dy", "beta")),
    }


def _code(
    dbeta: str = "dy.sum(0)",
    dgamma: str = "(dy * x_hat).sum(0)",
    dx_hat: str = "dy * gamma",
    dinverse: str = "(dx_hat * centred).sum(0)",
    dvar: str = "dinverse * -0.5 * inverse**3",
    dcentred: str = "dx_hat * inverse + dvar * 2 * centred / n",
    dmean: str = "-dcentred.sum(0)",
    dx: str = "dcentred + dmean / n",
) -> str:
    return (
        "def backward(dy, cache):\n    centred, inverse, x_hat, gamma = cache\n    n = len(dy)\n"
        f"    dx_hat = {dx_hat}\n    dinverse = {dinverse}\n    dvar = {dvar}\n"
        f"    dcentred = {dcentred}\n    dmean = {dmean}\n    return {dx}, {dgamma}, {dbeta}\n"
    )


VARIANTS = (
    Variant(
        "the way through the mean is missing: each sample moves the mean by 1/N", _code(dmean="0")
    ),
    Variant("the way through the variance is missing", _code(dvar="0 * dinverse")),
    Variant(
        "only x's own way is there: those through the mean and the variance are missing",
        _code(dvar="0 * dinverse", dmean="0"),
    ),
    Variant(
        "the mean's gradient isn't divided by N: each sample is 1/N of the mean",
        _code(dx="dcentred + dmean"),
    ),
    Variant(
        "the variance's gradient isn't divided by N: it is a mean of squares",
        _code(dcentred="dx_hat * inverse + dvar * 2 * centred"),
    ),
    Variant(
        "the variance's gradient is divided by N - 1: forward takes the biased variance, over N",
        _code(dcentred="dx_hat * inverse + dvar * 2 * centred / max(n - 1, 1)"),
    ),
    Variant(
        "the 2 of the square's derivative is missing in the way through the variance",
        _code(dcentred="dx_hat * inverse + dvar * centred / n"),
    ),
    Variant(
        "the ½ of the root's derivative is missing in the way through the variance",
        _code(dvar="-dinverse * inverse**3"),
    ),
    Variant(
        "the way through the variance has the wrong sign: (v + eps)^(-1/2) has the derivative "
        "-½ (v + eps)^(-3/2)",
        _code(dvar="dinverse * 0.5 * inverse**3"),
    ),
    Variant(
        "the way through the mean has the wrong sign: x - mean has the derivative -1",
        _code(dmean="dcentred.sum(0)"),
    ),
    Variant(
        "the power is wrong in the way through the variance: (v + eps)^(-3/2) is inverse³",
        _code(dvar="dinverse * -0.5 * inverse**2"),
    ),
    Variant(
        "the power is wrong in the way through the variance: (v + eps)^(-3/2) is inverse³",
        _code(dvar="dinverse * -0.5 * inverse"),
    ),
    Variant("γ is forgotten in dx: x̂ reaches y through γ x̂", _code(dx_hat="dy")),
    Variant("γ is there twice in dx", _code(dx_hat="dy * gamma * gamma")),
    Variant("dγ takes centred (or x) where x̂ belongs", _code(dgamma="(dy * centred).sum(0)")),
    Variant("dγ is the sum of dy: it must be that of dy x̂", _code(dgamma="dy.sum(0)")),
    Variant(
        "dγ and dβ are means: they must be sums over the batch",
        _code(dgamma="(dy * x_hat).mean(0)", dbeta="dy.mean(0)"),
    ),
    Variant("dβ is the sum of dy x̂: it must be that of dy", _code(dbeta="(dy * x_hat).sum(0)")),
    Variant(
        "dγ and dβ are returned in the wrong order: return dx, dgamma, dbeta",
        _code(dgamma="dy.sum(0)", dbeta="(dy * x_hat).sum(0)"),
    ),
    Variant(
        "dγ contains γ: y = γ x̂ + β has the derivative x̂",
        _code(dgamma="(dy * x_hat * gamma).sum(0)"),
    ),
    Variant(
        "the division by s is forgotten in x's own way",
        _code(dcentred="dx_hat + dvar * 2 * centred / n"),
    ),
    Variant(
        "the way through the variance isn't summed over the batch: the variance is one number "
        "for each channel",
        _code(dinverse="dx_hat * centred"),
    ),
    Variant(
        "x̂ stands where centred belongs in the way through the variance",
        _code(dinverse="(dx_hat * x_hat).sum(0)"),
    ),
)
EXERCISE = Exercise(
    number=13,
    name="batchnorm_graph",
    title="Batch norm, backward along the graph",
    asks=("backward",),
    outputs=outputs(),
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=VARIANTS,
    hints=(
        "Go from the bottom up: y = γ x̂ + β gives dx̂, dγ, dβ. Then x̂ = centred · inverse has "
        "two factors, "
        "so two gradients.",
        "inverse = (var + eps)^(-½) gives dvar = dinverse · (-½) inverse³; var = mean(centred²) "
        "gives "
        "dcentred += dvar · 2 centred / N. centred is used twice: add both.",
        "mean = Σx / N gives each sample dmean / N, where dmean = -dcentred.sum(axis=0). So dx "
        "= dcentred "
        "+ dmean / N.",
    ),
    explanation=(
        "Every sample's gradient depends on the whole batch, for it moves the mean and the "
        "variance of "
        "all. With dy all ones dx is 0: shifting every output by the same amount can't be done "
        "through x. "
        "So a gradient check with dy = 1 would let nearly any mistake pass."
    ),
    library="minigan/nn/batchnorm.py, minigan/nn/layernorm.py",
    paper="Ioffe and Szegedy 2015, section 3",
    tutorial="06-batch-norm",
)

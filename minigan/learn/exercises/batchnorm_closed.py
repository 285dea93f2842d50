"""Exercise 14: batch norm, backward in closed form."""

from __future__ import annotations

from minigan.learn.exercises.batchnorm_graph import cases, outputs, play, terms
from minigan.learn.parts import Exercise, Variant
from minigan.learn.solutions import batchnorm_closed as solution


def _code(
    dx: str = "(q - q.mean(0) - x_hat * (q * x_hat).mean(0)) / s",
    dgamma: str = "(dy * x_hat).sum(0)",
    dbeta: str = "dy.sum(0)",
    q: str = "gamma * dy",
) -> str:
    return (
        "def backward(dy, cache):\n    x_hat, s, gamma = cache\n    n = len(dy)\n"
        f"    q = {q}\n    return {dx}, {dgamma}, {dbeta}\n"
    )


EXERCISE = Exercise(
    number=14,
    name="batchnorm_closed",
    title="Batch norm, backward in closed form",
    asks=("backward",),
    outputs=outputs(),
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant("the term -mean(q) is missing", _code("(q - x_hat * (q * x_hat).mean(0)) / s")),
        Variant("the term -x̂ mean(q x̂) is missing", _code("(q - q.mean(0)) / s")),
        Variant(
            "both corrections are missing: q / s alone treats mean and variance as constants",
            _code("q / s"),
        ),
        Variant(
            "the term mean(q) has the wrong sign",
            _code("(q + q.mean(0) - x_hat * (q * x_hat).mean(0)) / s"),
        ),
        Variant(
            "the term x̂ mean(q x̂) has the wrong sign",
            _code("(q - q.mean(0) + x_hat * (q * x_hat).mean(0)) / s"),
        ),
        Variant(
            "the means are sums: both are means over the batch",
            _code("(q - q.sum(0) - x_hat * (q * x_hat).sum(0)) / s"),
        ),
        Variant("mean(q) is a sum", _code("(q - q.sum(0) - x_hat * (q * x_hat).mean(0)) / s")),
        Variant("mean(q x̂) is a sum", _code("(q - q.mean(0) - x_hat * (q * x_hat).sum(0)) / s")),
        Variant(
            "mean(q x̂) is divided by N - 1, Bessel's correction: forward takes the biased "
            "variance, over N",
            _code("(q - q.mean(0) - x_hat * (q * x_hat).sum(0) / max(n - 1, 1)) / s"),
        ),
        Variant(
            "the division by s is missing", _code("q - q.mean(0) - x_hat * (q * x_hat).mean(0)")
        ),
        Variant(
            "it is divided by s²: once is right, for x̂ holds the other one",
            _code("(q - q.mean(0) - x_hat * (q * x_hat).mean(0)) / s**2"),
        ),
        Variant("γ is forgotten: q = γ dy", _code(q="dy")),
        Variant("γ is there twice", _code(q="gamma**2 * dy")),
        Variant(
            "x̂ is there only once: the term is x̂ · mean(q x̂)",
            _code("(q - q.mean(0) - (q * x_hat).mean(0)) / s"),
        ),
        Variant(
            "the mean is taken over the channels: it goes over the batch, axis 0",
            _code(
                "(q - q.mean(1, keepdims=True) - x_hat * (q * x_hat).mean(1, keepdims=True)) / s"
            ),
        ),
        Variant(
            "the means are taken over everything: each channel has its own",
            _code("(q - q.mean() - x_hat * (q * x_hat).mean()) / s"),
        ),
        Variant(
            "x̂² isn't averaged with q: x̂ · mean(q x̂), not q x̂²",
            _code("(q - q.mean(0) - q * x_hat**2) / s"),
        ),
        Variant("dγ is the sum of dy: it must be that of dy x̂", _code(dgamma="dy.sum(0)")),
        Variant(
            "dγ contains γ: y = γ x̂ + β has the derivative x̂", _code(dgamma="(q * x_hat).sum(0)")
        ),
        Variant(
            "dγ and dβ are means: they must be sums over the batch",
            _code(dgamma="(dy * x_hat).mean(0)", dbeta="dy.mean(0)"),
        ),
        Variant(
            "dγ and dβ are returned in the wrong order: return dx, dgamma, dbeta",
            _code(dgamma="dy.sum(0)", dbeta="(dy * x_hat).sum(0)"),
        ),
        Variant("dβ contains γ: y = γ x̂ + β has the derivative 1", _code(dbeta="q.sum(0)")),
        Variant(
            "it is divided by N as a whole: only the means have the 1/N",
            _code("(q - q.mean(0) - x_hat * (q * x_hat).mean(0)) / s / n"),
        ),
    ),
    hints=(
        "Three terms, all over s. Which of them says that shifting x changes nothing, which "
        "that scaling x "
        "changes nothing?",
        "dx must be orthogonal to 1 and (for eps = 0) to x̂ in each channel: subtract from q "
        "its components "
        "along both.",
        "(q - q.mean(axis=0) - x_hat * (q * x_hat).mean(axis=0)) / s.",
    ),
    explanation=(
        "y doesn't change when x is shifted or scaled, so dx has no component along 1 or x̂: "
        "the closed form is a "
        "projection. It equals the walk along the graph number for number, and needs two sums "
        "instead of "
        "seven steps. So the weights before a batch norm gain nothing by growing: "
        "their gradient only turns them."
    ),
    library="minigan/nn/batchnorm.py",
    paper="Ioffe and Szegedy 2015; simplified as in Kratzert 2016",
    tutorial="06-batch-norm",
)

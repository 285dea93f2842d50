"""Exercise 12: batch norm, forward."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Named, Output, Variant, several
from minigan.learn.solutions import batchnorm_forward as solution

NAMES = ("x", "gamma", "beta", "running_mean", "running_var")


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Plain γ and β, training, evaluation, a large eps."""

    def given(
        n: int, c: int, eps: float, momentum: float, train: bool = True, plain: bool = False
    ) -> dict[str, Any]:
        return {
            "x": 2 * rng.standard_normal((n, c)) + 1,
            "gamma": rng.uniform(0.5, 2, c) ** (not plain),
            "beta": rng.standard_normal(c) * (not plain),
            "running_mean": rng.standard_normal(c),
            "running_var": rng.uniform(0.5, 2, c),
            "momentum": momentum,
            "eps": eps,
            "train": train,
        }

    return [
        Case("γ = 1 and β = 0", given(4, 1, 1e-5, 0.1, plain=True)),
        Case("evaluation", given(2, 2, 0.3, 0.1, train=False)),
        Case("one channel", given(3, 1, 1e-5, 0.1)),
        Case("a large eps", given(4, 2, 0.5, 0.1)),
        Case("another momentum", given(6, 2, 1e-5, 0.3)),
        Case("5 samples, 3 channels", given(5, 3, 0.1, 0.2)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """One call."""
    arrays = [getattr(given, name) for name in NAMES]
    options = {n: getattr(given, n) for n in ("momentum", "eps", "train")}
    result = code.forward(*arrays, **options)
    y, mean, var = several(result, "y, running_mean, running_var", "forward")
    return {"y": y, "running_mean": mean, "running_var": var}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Y = γ x̂ + β, and the running averages."""
    x, m = given.x, given.momentum
    mean, var = x.mean(axis=0), x.var(axis=0)
    rows = numpy.ones((len(x), 1))
    y = {
        "γ x / s": given.gamma * x / numpy.sqrt(var + given.eps),
        "the mean that is subtracted": -rows * given.gamma * mean / numpy.sqrt(var + given.eps),
        "β": rows * given.beta,
    }
    old, new = "the old average's part", "the batch's part"
    return {
        "y": (y, {}),
        "running_mean": ({old: (1 - m) * given.running_mean, new: m * mean}, {}),
        "running_var": ({old: (1 - m) * given.running_var, new: m * x.var(axis=0, ddof=1)}, {}),
    }


def _code(
    y: str = "gamma * (x - mean) / np.sqrt(var + eps) + beta",
    mean: str = "x.mean(0)",
    var: str = "x.var(0)",
    running_mean: str = "(1 - momentum) * running_mean + momentum * mean",
    running_var: str = "(1 - momentum) * running_var + momentum * x.var(0, ddof=1)",
    calm: str = "gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta, running_mean, "
    "running_var",
) -> str:
    return (
        "def forward(x, gamma, beta, running_mean, running_var, *, momentum, eps, train):\n"
        f"    if not train: return {calm}\n    mean, var = {mean}, {var}\n"
        f"    return {y}, {running_mean}, {running_var}\n"
    )


EXERCISE = Exercise(
    number=12,
    name="batchnorm_forward",
    title="Batch norm, forward",
    asks=("forward",),
    outputs={
        "y": Output("the output"),
        "running_mean": Output("the new running mean"),
        "running_var": Output("the new running variance"),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the batch's own variance must be the biased one, over N: ddof = 0 for y",
            _code(var="x.var(0, ddof=1)"),
        ),
        Variant(
            "the running variance must take the unbiased one: N / (N - 1) times the biased",
            _code(running_var="(1 - momentum) * running_var + momentum * var"),
        ),
        Variant(
            "momentum and 1 - momentum are exchanged: momentum is the weight of the new batch",
            _code(
                running_mean="momentum * running_mean + (1 - momentum) * mean",
                running_var="momentum * running_var + (1 - momentum) * x.var(0, ddof=1)",
            ),
        ),
        Variant(
            "momentum and 1 - momentum are exchanged, and the running variance must take the "
            "unbiased one",
            _code(
                running_mean="momentum * running_mean + (1 - momentum) * mean",
                running_var="momentum * running_var + (1 - momentum) * var",
            ),
        ),
        Variant(
            "eps stands outside the root: √(var + eps)",
            _code("gamma * (x - mean) / (np.sqrt(var) + eps) + beta"),
        ),
        Variant(
            "eps stands outside the root: √(var + eps)",
            _code(
                "gamma * (x - mean) / (np.sqrt(var) + eps) + beta",
                calm="gamma * (x - running_mean) / (np.sqrt(running_var) + eps) + beta, "
                "running_mean, running_var",
            ),
        ),
        Variant(
            "eps is forgotten: √(var + eps)", _code("gamma * (x - mean) / np.sqrt(var) + beta")
        ),
        Variant(
            "the root is forgotten: divide by √(var + eps), not by the variance",
            _code("gamma * (x - mean) / (var + eps) + beta"),
        ),
        Variant(
            "the mean is taken over the channels of each sample, as in layer norm: take it over "
            "the batch",
            _code(
                "gamma * (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + "
                "eps) + beta"
            ),
        ),
        Variant(
            "the mean is taken over everything: each channel has its own",
            _code(mean="x.mean() + 0 * gamma", var="x.var() + 0 * gamma"),
        ),
        Variant(
            "evaluation uses the batch's own mean: the running one stands in for it",
            _code(
                calm="gamma * (x - x.mean(0)) / np.sqrt(running_var + eps) + beta, running_mean, "
                "running_var"
            ),
        ),
        Variant(
            "the running averages are used in training: the batch's own belong there",
            _code("gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta"),
        ),
        Variant(
            "y is measured by the running averages, after they have moved: the batch's own belong "
            "there",
            "def forward(x, gamma, beta, running_mean, running_var, *, momentum, eps, train):\n"
            "    M, V = running_mean, running_var\n"
            "    if train:\n"
            "        M = (1 - momentum) * M + momentum * x.mean(0)\n"
            "        V = (1 - momentum) * V + momentum * x.var(0, ddof=1)\n"
            "    return gamma * (x - M) / np.sqrt(V + eps) + beta, M, V\n",
        ),
        Variant(
            "the batch's own averages are used in evaluation: the running ones belong there",
            _code(
                calm="gamma * (x - x.mean(0)) / np.sqrt(x.var(0) + eps) + beta, running_mean, "
                "running_var"
            ),
        ),
        Variant(
            "evaluation moves the running averages: it must leave them alone",
            _code(
                calm="gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta, (1 - "
                "momentum) * running_mean + momentum * x.mean(0), (1 - momentum) * "
                "running_var + momentum * x.var(0, ddof=1)"
            ),
        ),
        Variant(
            "the running averages don't change in training",
            _code(running_mean="running_mean", running_var="running_var"),
        ),
        Variant(
            "the running averages are those of this batch alone",
            _code(running_mean="mean", running_var="x.var(0, ddof=1)"),
        ),
        Variant("the mean isn't subtracted", _code("gamma * x / np.sqrt(var + eps) + beta")),
        Variant("γ is forgotten", _code("(x - mean) / np.sqrt(var + eps) + beta")),
        Variant("β is forgotten", _code("gamma * (x - mean) / np.sqrt(var + eps)")),
        Variant("γ and β are exchanged", _code("beta * (x - mean) / np.sqrt(var + eps) + gamma")),
        Variant(
            "β is inside the product: γ x̂ + β, not γ (x̂ + β)",
            _code("gamma * ((x - mean) / np.sqrt(var + eps) + beta)"),
        ),
        Variant(
            "the running variance averages the standard deviation",
            _code(running_var="(1 - momentum) * running_var + momentum * x.std(0, ddof=1)"),
        ),
        Variant(
            "the correction is (N - 1) / N: the unbiased variance is the larger one, N / (N - 1)",
            _code(
                running_var="(1 - momentum) * running_var + momentum * var * (len(x) - 1) / len(x)"
            ),
        ),
        Variant(
            "the variance is measured from the running mean: take the batch's own",
            _code(var="((x - running_mean)**2).mean(0)"),
        ),
        Variant(
            "this is the mean of the squares, not the variance: subtract the mean first",
            _code(var="(x**2).mean(0)"),
        ),
        Variant("the sum of the squares isn't divided by N", _code(var="((x - mean)**2).sum(0)")),
        Variant(
            "eps is missing in evaluation",
            _code(
                calm="gamma * (x - running_mean) / np.sqrt(running_var) + beta, running_mean, "
                "running_var"
            ),
        ),
        Variant(
            "γ and β are missing in evaluation",
            _code(
                calm="(x - running_mean) / np.sqrt(running_var + eps), running_mean, running_var"
            ),
        ),
        Variant(
            "the running averages add up without fading: the old one has the weight 1 - momentum",
            _code(
                running_mean="running_mean + momentum * mean",
                running_var="running_var + momentum * x.var(0, ddof=1)",
            ),
        ),
    ),
    hints=(
        "x.mean(axis=0) and x.var(axis=0) go over the batch; x.var is the biased variance.",
        "The weight of the new batch is momentum, that of the past 1 - momentum. (In other "
        "libraries it is "
        "the other way round.)",
        "unbiased = var * N / (N - 1); running_var = (1 - momentum) * running_var + momentum * "
        "unbiased. "
        "In evaluation return the running averages as they came.",
    ),
    explanation=(
        "Two variances in one layer: the biased one for y, so that x̂ has variance 1 in the "
        "batch, the "
        "unbiased one for the running average, because it estimates that of all data. A momentum "
        "of 0.1 is 0.9 elsewhere; and `BatchNorm2d(n, 0.8)`, found in many GANs, sets eps to "
        "0.8. In D "
        "real and fake batches have different averages, which is why they go through D separately."
    ),
    library="minigan/nn/batchnorm.py",
    paper="Ioffe and Szegedy 2015, algorithm 1",
    tutorial="06-batch-norm",
)

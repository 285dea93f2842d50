"""Exercise 4: binary cross entropy on logits."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import bce as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Reals, fakes, soft targets, and logits that overflow."""

    def given(logits: Any, target: Any) -> dict[str, Any]:
        return {
            "logits": numpy.array(logits, float).reshape(-1, 1),
            "target": numpy.array(target, float).reshape(-1),
        }

    return [
        Case("one real sample", given([0.5], [1])),
        Case("one fake sample", given([0.5], [0])),
        Case("a target of 0.9", given([0.5], [0.9])),
        Case("two samples", given([0.3, -1.2], [1, 0])),
        Case("logits of ±100", given([100, -100, 100, -100], [0, 1, 1, 0])),
        Case("logits of ±1000", given([1000, -1000, 1000, -1000], [0, 1, 1, 0])),
        Case("5 samples", given(rng.standard_normal(5), rng.uniform(0, 1, 5))),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """The loss and its gradient."""
    result = code.bce_with_logits(given.logits, given.target)
    loss, dlogits = several(result, "loss, dlogits", "bce_with_logits")
    return {"loss": loss, "dlogits": dlogits}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """(p - t) / n, and the loss."""
    n, logits = len(given.logits), given.logits
    softplus = numpy.maximum(logits, 0) + numpy.log1p(numpy.exp(-abs(logits)))
    p, t = 1 / (1 + numpy.exp(-given.logits)), given.target.reshape(-1, 1)
    intruders = {
        "the logits": given.logits / n,
        "p (1 - p)": p * (1 - p) / n,
        "a constant": 0 * p + 1,
    }
    loss = {"log(1 + exp(l))": softplus.mean(), "-t l": -(t * logits).mean()}
    return {"dlogits": ({"p": p / n, "-t": -t / n}, intruders), "loss": (loss, {})}


def looks(name: str, given: Any, out: Any) -> str | None:
    """Recognise a loss that stops growing."""
    large = abs(given.logits).max() >= 100
    if name == "loss" and large and 0 < out.sum() < abs(given.logits).max() / 2 * (1 - 1e-9):
        return (
            "the loss stops growing, as if a logit or a probability were clipped, or a number "
            "added to it: write max(l, 0) + log1p(exp(-|l|)) - t l, which needs neither"
        )
    return None


def _code(loss: str = "softplus - t * l", dl: str = "(p - t) / n", mean: str = "L.mean()") -> str:
    return (
        "def bce_with_logits(logits, target):\n"
        "    l, t, n = logits, target.reshape(-1, 1), len(logits)\n"
        "    softplus = np.maximum(l, 0) + np.log1p(np.exp(-abs(l)))\n"
        "    p = np.exp(np.minimum(l, 0)) / (1 + np.exp(-abs(l)))\n"
        "    y, q = p, 1 - p\n"
        f"    L = {loss}\n"
        f"    return {mean}, {dl}\n"
    )


OVERFLOW = (
    "log or exp overflows for large logits: write max(l, 0) + log1p(exp(-|l|)) - t l, where no "
    "exponent is positive"
)
EXERCISE = Exercise(
    number=4,
    name="bce",
    title="Binary cross entropy on logits",
    asks=("bce_with_logits",),
    outputs={
        "loss": Output("the loss, a number"),
        "dlogits": Output("the gradient of the logits", Slope("loss", None, "logits")),
    },
    cases=cases,
    play=play,
    terms=terms,
    looks=looks,
    solution=solution,
    variants=(
        Variant(
            OVERFLOW,
            _code("-t * np.log(1 / (1 + np.exp(-l))) - (1 - t) * np.log(1 - 1 / (1 + np.exp(-l)))"),
        ),
        Variant(OVERFLOW, _code("np.log(1 + np.exp(l)) - t * l")),
        Variant(OVERFLOW, _code("-t * np.log(p) - (1 - t) * np.log(1 - p)")),
        Variant(
            "exp(l) / (1 + exp(l)) is ∞ / ∞ for large logits: write p so that no exponent is "
            "positive",
            _code(dl="(np.exp(l) / (1 + np.exp(l)) - t) / n"),
        ),
        Variant(
            "the small number inside the logarithm keeps NaN away, but makes the loss wrong for "
            "large "
            "logits: write max(l, 0) + log1p(exp(-|l|)) - t l",
            _code("-t * np.log(p + 1e-12) - (1 - t) * np.log(1 - p + 1e-12)"),
        ),
        Variant(
            "the small number inside the logarithm keeps NaN away, but makes the loss wrong for "
            "large "
            "logits: write max(l, 0) + log1p(exp(-|l|)) - t l",
            _code("-t * np.log(p + 1e-8) - (1 - t) * np.log(1 - p + 1e-8)"),
        ),
        Variant(
            "(N, 1) and (N,) together make (N, N): give the target the shape (N, 1) first",
            "def bce_with_logits(logits, target):\n"
            "    l, t = logits, target\n"
            "    L = np.maximum(l, 0) + np.log1p(np.exp(-abs(l))) - t * l\n"
            "    p = np.exp(np.minimum(l, 0)) / (1 + np.exp(-abs(l)))\n"
            "    return L.mean(), (p - t) / len(l)\n",
        ),
        Variant(
            "the gradient isn't divided by N: the loss is a mean over the batch, so its "
            "gradient has "
            "the factor 1/N",
            _code(dl="p - t"),
        ),
        Variant("the loss is the sum over the batch: it must be the mean", _code(mean="L.sum()")),
        Variant(
            "the targets are exchanged: 1 means real, 0 means fake",
            _code("softplus - (1 - t) * l", "(p - 1 + t) / n"),
        ),
        Variant(
            "the sign is wrong: the loss is positive, and its gradient is (p - t) / N",
            _code("t * l - softplus", "(t - p) / n"),
        ),
        Variant(
            "p is σ(-l): the exponent in p = 1 / (1 + exp(-l)) has the wrong sign",
            _code(dl="(1 - p - t) / n"),
        ),
        Variant(
            "the term of the fakes, -(1 - t) log(1 - p), has the wrong sign",
            _code(loss="softplus - t * l - 2 * (1 - t) * softplus"),
        ),
        Variant(
            "the term of the reals, -t log p, has the wrong sign",
            _code(loss="(1 - 2 * t) * softplus + t * l"),
        ),
        Variant("the target is forgotten: this is p / N", _code(dl="p / n")),
        Variant(
            "this is (l - t) / N: with the logit where the probability p belongs",
            _code(dl="(l - t) / n"),
        ),
        Variant(
            "the derivative p (1 - p) of the sigmoid has come in as well: for the cross entropy of "
            "logits it cancels, and p - t is left",
            _code(dl="(p - t) * p * (1 - p) / n"),
        ),
        Variant(
            "this is the gradient with respect to the probability p: multiply it by dp/dl = p "
            "(1 - p), "
            "which leaves p - t",
            _code(dl="(p - t) / (p * (1 - p)) / n"),
        ),
        Variant("the term -t l is missing", _code("softplus")),
        Variant(
            "the term of the reals alone: (1 - t) log(1 - p) is missing",
            _code("-t * (l - softplus)"),
        ),
        Variant("this is the mean squared error, not the cross entropy", _code("(p - t)**2")),
        Variant(
            "the loss isn't reduced: return the mean over the batch, one number", _code(mean="L")
        ),
    ),
    hints=(
        "log(1 + exp(l)) = max(l, 0) + log(1 + exp(-|l|)): check both signs of l. np.log1p(z) "
        "is log(1 + z).",
        "The derivative of log(1 + exp(l)) is exp(l) / (1 + exp(l)) = p, that of t l is t. What "
        "does the "
        "mean add?",
        "dlogits = (p - t) / N, with p = exp(min(l, 0)) / (1 + exp(-|l|)); and t = "
        "target.reshape(-1, 1), "
        "or NumPy makes an (N, N) array of (N, 1) and (N,).",
    ),
    explanation=(
        "The gradient (p - t) / N is never larger than 1/N and never vanishes where D is "
        "confident and "
        "wrong. That is why logits and cross entropy belong together: with p computed first, both "
        "log(0) and the factor p (1 - p), which is 0 there, come in. A broadcast from (N, 1) "
        "and (N,) to (N, N) is "
        "the most common silent mistake in GAN code: the loss looks plausible, and nothing learns."
    ),
    library="minigan/losses.py, bce_with_logits",
    paper="Goodfellow et al. 2014",
    tutorial="03-probabilities-and-logits",
)

"""Exercise 18: two other pairs of losses."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant, several
from minigan.learn.solutions import pairs as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """One answer each, answers inside and outside the margin, batches of two sizes."""

    def given(real: Any, fake: Any) -> dict[str, Any]:
        return {
            "real": numpy.array(real, float).reshape(-1, 1),
            "fake": numpy.array(fake, float).reshape(-1, 1),
        }

    return [
        Case("one answer each, inside the margin", given([0.5], [0.3])),
        Case("one answer each, outside the margin", given([1.5], [-1.5])),
        Case("two real answers, one fake", given([0.2, 2.0], [-0.4])),
        Case("5 real answers, 7 fakes", given(rng.uniform(-2, 2.5, 5), rng.uniform(-2.5, 2, 7))),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """All four losses."""
    found: dict[str, Any] = given.done
    for name in ("hinge", "least_squares"):
        short = "h" if name == "hinge" else "ls"
        d, g = getattr(code, f"{name}_d"), getattr(code, f"{name}_g")
        loss, dreal, dfake = several(d(given.real, given.fake), "loss, dreal, dfake", f"{name}_d")
        found |= {f"{short}_d": loss, f"{short}_dreal": dreal, f"{short}_dfake": dfake}
        loss, dfake = several(g(given.fake), "loss, dfake", f"{name}_g")
        found |= {f"{short}_g": loss, f"{short}_gfake": dfake}
    return found


def outputs() -> dict[str, Output]:
    """The outputs: for each pair, D's loss with two gradients, G's with one."""
    found: dict[str, Output] = {}
    for short, name in (("h", "hinge"), ("ls", "least squares")):
        found |= {
            f"{short}_d": Output(f"D's loss, {name}"),
            f"{short}_dreal": Output(
                f"its gradient for the reals, {name}", Slope(f"{short}_d", None, "real")
            ),
            f"{short}_dfake": Output(
                f"its gradient for the fakes, {name}", Slope(f"{short}_d", None, "fake")
            ),
            f"{short}_g": Output(f"G's loss, {name}"),
            f"{short}_gfake": Output(f"its gradient, {name}", Slope(f"{short}_g", None, "fake")),
        }
    return found


def _hinge(
    loss: str = "np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()",
    dreal: str = "-1.0 * (real < 1) / n",
    dfake: str = "1.0 * (fake > -1) / m",
) -> str:
    return (
        f"def hinge_d(real, fake):\n"
        f"    n, m = len(real), len(fake)\n    return {loss}, {dreal}, {dfake}\n"
    )


def _hinge_g(loss: str = "-fake.mean()", dfake: str = "0 * fake - 1 / len(fake)") -> str:
    return f"def hinge_g(fake):\n    return {loss}, {dfake}\n"


def _squares(
    loss: str = "((real - 1)**2).mean() / 2 + (fake**2).mean() / 2",
    dreal: str = "(real - 1) / n",
    dfake: str = "fake / m",
) -> str:
    return (
        f"def least_squares_d(real, fake):\n"
        f"    n, m = len(real), len(fake)\n    return {loss}, {dreal}, {dfake}\n"
    )


def _squares_g(
    loss: str = "((fake - 1)**2).mean() / 2", dfake: str = "(fake - 1) / len(fake)"
) -> str:
    return f"def least_squares_g(fake):\n    return {loss}, {dfake}\n"


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """The part of the reals and that of the fakes in each of D's losses."""
    zero = numpy.zeros(1)
    right: Any = solution
    reals, fakes = "the part of the reals", "the part of the fakes"
    hinge = {
        reals: numpy.maximum(0, 1 - given.real).mean(),
        fakes: numpy.maximum(0, 1 + given.fake).mean(),
    }
    squares = {
        reals: right.least_squares_d(given.real, zero)[0],
        fakes: right.least_squares_d(zero + 1, given.fake)[0],
    }
    return {"h_d": (hinge, {}), "ls_d": (squares, {})}


EXERCISE = Exercise(
    number=18,
    name="pairs",
    title="Two other pairs of losses",
    asks=("hinge_d", "hinge_g", "least_squares_d", "least_squares_g"),
    outputs=outputs(),
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the signs in the hinge are exchanged: 1 - r for reals, 1 + f for fakes",
            _hinge(
                "np.maximum(0, 1 + real).mean() + np.maximum(0, 1 - fake).mean()",
                "1.0 * (real > -1) / n",
                "-1.0 * (fake < 1) / m",
            ),
        ),
        Variant(
            "the sign of the hinge's gradient for the reals is wrong: 1 - r falls as r grows",
            _hinge(dreal="1.0 * (real < 1) / n"),
        ),
        Variant(
            "the sign of the hinge's gradient for the fakes is wrong: 1 + f grows with f",
            _hinge(dfake="-1.0 * (fake > -1) / m"),
        ),
        Variant(
            "the mask of the hinge is forgotten: outside the margin the gradient is 0",
            _hinge(dreal="0 * real - 1 / n", dfake="0 * fake + 1 / m"),
        ),
        Variant(
            "the mask of the hinge is the wrong way round: inside the margin there is a gradient",
            _hinge(dreal="-1.0 * (real > 1) / n", dfake="1.0 * (fake < -1) / m"),
        ),
        Variant(
            "the maximum with 0 is forgotten in the hinge",
            _hinge("(1 - real).mean() + (1 + fake).mean()"),
        ),
        Variant(
            "the hinge is squared: max(0, 1 - r) is meant as it is",
            _hinge(
                "(np.maximum(0, 1 - real)**2).mean() + (np.maximum(0, 1 + fake)**2).mean()",
                "-2 * np.maximum(0, 1 - real) / n",
                "2 * np.maximum(0, 1 + fake) / m",
            ),
        ),
        Variant(
            "the hinge has no half: it is the sum of both means",
            _hinge(
                "(np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()) / 2",
                "-0.5 * (real < 1) / n",
                "0.5 * (fake > -1) / m",
            ),
        ),
        Variant(
            "reals and fakes are averaged as one batch: each has a mean of its own",
            _hinge(
                "(np.maximum(0, 1 - real).sum() + np.maximum(0, 1 + fake).sum()) / (n + m)",
                "-1.0 * (real < 1) / (n + m)",
                "1.0 * (fake > -1) / (n + m)",
            ),
        ),
        Variant(
            "reals and fakes are averaged as one batch: each has a mean of its own",
            _squares(
                "(((real - 1)**2).sum() + (fake**2).sum()) / 2 / (n + m)",
                "(real - 1) / (n + m)",
                "fake / (n + m)",
            ),
        ),
        Variant(
            "the hinge's gradients aren't divided by the batch size: the loss takes means",
            _hinge(dreal="-1.0 * (real < 1)", dfake="1.0 * (fake > -1)"),
        ),
        Variant(
            "both gradients are divided by the number of reals: the fakes have a batch size of "
            "their own",
            _hinge(dfake="1.0 * (fake > -1) / n"),
        ),
        Variant(
            "the margin is 0: it is 1 on both sides",
            _hinge(
                "np.maximum(0, -real).mean() + np.maximum(0, fake).mean()",
                "-1.0 * (real < 0) / n",
                "1.0 * (fake > 0) / m",
            ),
        ),
        Variant(
            "G's hinge loss has the wrong sign: G wants D's answers to be large",
            _hinge_g("fake.mean()", "0 * fake + 1 / len(fake)"),
        ),
        Variant(
            "G has no margin: its loss is -mean f",
            _hinge_g("np.maximum(0, 1 - fake).mean()", "-1.0 * (fake < 1) / len(fake)"),
        ),
        Variant("G's gradient isn't divided by the batch size", _hinge_g(dfake="0 * fake - 1")),
        Variant(
            "the half is missing in D's least squares",
            _squares(
                "((real - 1)**2).mean() + (fake**2).mean()", "2 * (real - 1) / n", "2 * fake / m"
            ),
        ),
        Variant(
            "the half is missing in D's loss, though its gradient has it",
            _squares("((real - 1)**2).mean() + (fake**2).mean()"),
        ),
        Variant(
            "the half of the loss has cancelled the 2 of the square already: the gradient has "
            "no half",
            _squares(dreal="(real - 1) / n / 2", dfake="fake / m / 2"),
        ),
        Variant(
            "the 2 of the square is left in the gradient: the half cancels it",
            _squares(dreal="2 * (real - 1) / n", dfake="2 * fake / m"),
        ),
        Variant(
            "the labels are exchanged in the least squares: 1 for reals, 0 for fakes",
            _squares(
                "(real**2).mean() / 2 + ((fake - 1)**2).mean() / 2", "real / n", "(fake - 1) / m"
            ),
        ),
        Variant(
            "the least squares have -1 for the fakes' label: it is 0",
            _squares(
                "((real - 1)**2).mean() / 2 + ((fake + 1)**2).mean() / 2", dfake="(fake + 1) / m"
            ),
        ),
        Variant(
            "the sign of the gradient for the reals is wrong: r - 1, not 1 - r",
            _squares(dreal="(1 - real) / n"),
        ),
        Variant(
            "the gradients of the least squares aren't divided by the batch size",
            _squares(dreal="real - 1", dfake="fake"),
        ),
        Variant(
            "G's label is 0: it is 1, for G wants to be taken for real",
            _squares_g("(fake**2).mean() / 2", "fake / len(fake)"),
        ),
        Variant(
            "the half is missing in G's least squares",
            _squares_g("((fake - 1)**2).mean()", "2 * (fake - 1) / len(fake)"),
        ),
        Variant(
            "the half is missing in G's loss, though its gradient has it",
            _squares_g("((fake - 1)**2).mean()"),
        ),
        Variant(
            "G's least squares have the wrong sign",
            _squares_g("-((fake - 1)**2).mean() / 2", "(1 - fake) / len(fake)"),
        ),
    ),
    hints=(
        "max(0, 1 - r) has the derivative -1 where r < 1, and 0 elsewhere.",
        "The half before the square cancels the 2 of its derivative: (r - 1) / N is left.",
        "np.where(real < 1, -1 / len(real), 0).astype(real.dtype), np.where(fake > -1, 1 / "
        "len(fake), 0).astype(fake.dtype); (real - 1) / len(real), fake / len(fake). G: "
        "np.full_like(fake, -1 / len(fake)) and (fake - 1) / len(fake).",
    ),
    explanation=(
        "The hinge stops learning from samples that D is sure about; least squares pull even "
        "them to the labels, "
        "so D's answers stay near 0 and 1. G's hinge loss is just -mean D: the score is to "
        "grow, without end. The "
        "gradient is what matters to a GAN; the objectives of this course differ in nothing else."
    ),
    library="minigan/losses.py, minigan/gan/objectives.py",
    paper="Lim and Ye 2017; Mao et al. 2017",
    tutorial="19-objectives",
)

"""Exercise 3: the leaky ReLU."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import away_from_zero, play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import leaky_relu as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Both signs of x and of dy; zero; images."""

    def given(x: Any, slope: float = 0.2) -> dict[str, Any]:
        return {"x": x, "slope": slope, "dy": away_from_zero(rng, *x.shape)}

    one = numpy.array([0.7])
    return [
        Case("one positive number", given(one)),
        Case("one negative number", given(-one)),
        Case("another slope", given(numpy.array([-1.5, 2.0]), 0.5)),
        Case("a slope of 0, which is the plain ReLU", given(numpy.array([-1.5, 2.0]), 0.0)),
        Case("images", given(away_from_zero(rng, 2, 3, 3, 2))),
        Case("5 samples, 8 numbers", given(away_from_zero(rng, 5, 8), 0.3)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward and backward."""
    return play_pair(code, given, "x slope", "dx")


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Both sides of x."""

    def sides(what: str, a: Any) -> tuple[Named, Named]:
        right = numpy.where(given.x > 0, a, 0.0)
        left = numpy.where(given.x > 0, 0.0, given.slope * a)
        return {f"{what} where x > 0": right, f"slope · {what} where x < 0": left}, {}

    return {"y": sides("x", given.x), "dx": sides("dy", given.dy)}


def _back(body: str) -> str:
    return f"def backward(dy, cache):\n    x, slope = cache\n    return {body}\n"


def _forth(y: str) -> str:
    return f"def forward(x, slope):\n    return {y}, (x, slope)\n"


EXERCISE = Exercise(
    number=3,
    name="leaky_relu",
    title="The leaky ReLU",
    asks=("forward", "backward"),
    outputs={"y": Output("the output"), "dx": Output("the gradient of x", Slope("y", "dy", "x"))},
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "the slope is forgotten where x < 0: dx = slope · dy there, not 0",
            _back("dy * (x > 0)"),
        ),
        Variant(
            "the slope is forgotten where x < 0: y = slope · x there, not 0",
            _forth("np.maximum(x, 0)"),
        ),
        Variant(
            "the sign of dy decides where the slope comes in; the sign of x must",
            _back("np.where(dy > 0, dy, slope * dy)"),
        ),
        Variant(
            "the two sides are exchanged: the slope belongs where x < 0",
            _forth("np.where(x < 0, x, slope * x)"),
        ),
        Variant(
            "the two sides are exchanged: the slope belongs where x < 0",
            _back("np.where(x < 0, dy, slope * dy)"),
        ),
        Variant(
            "dy is passed on as it is: multiply it by the slope where x < 0", _back("1.0 * dy")
        ),
        Variant("the slope is there for every x: only where x < 0", _back("slope * dy")),
        Variant(
            "dy is forgotten: this is the derivative of y alone",
            _back("np.where(x > 0, 1.0, slope)"),
        ),
        Variant(
            "where x < 0, this is slope · x, the output, not slope · dy",
            _back("np.where(x > 0, dy, slope * x)"),
        ),
        Variant(
            "this is leaky(x) · dy: multiply dy by the derivative, which is 1 or slope, not by y",
            _back("np.where(x > 0, x, slope * x) * dy"),
        ),
        Variant("where x < 0, the sign is wrong", _back("np.where(x > 0, dy, -slope * dy)")),
        Variant("where x < 0, the sign is wrong", _forth("np.where(x > 0, x, -slope * x)")),
        Variant(
            "the slope is fixed at 0.2: use the one that is given",
            _forth("np.where(x > 0, x, 0.2 * x)"),
        ),
        Variant(
            "the slope is fixed at 0.2: use the one that is given",
            _back("np.where(x > 0, dy, 0.2 * dy)"),
        ),
        Variant(
            "the slope is fixed at 0.01: use the one that is given",
            _back("np.where(x > 0, dy, 0.01 * dy)"),
        ),
        Variant("the slope is there twice", _back("np.where(x > 0, dy, slope**2 * dy)")),
        Variant(
            "where x < 0, this is the constant slope: it must be slope times x",
            _forth("np.where(x > 0, x, slope)"),
        ),
        Variant(
            "where x < 0, this is the constant slope: it must be slope times dy",
            _back("np.where(x > 0, dy, slope)"),
        ),
        Variant(
            "max(x, slope) isn't it: max(x, slope · x) would be, for slopes below 1",
            _forth("np.maximum(x, slope)"),
        ),
    ),
    hints=(
        "np.where(condition, a, b) takes a where the condition holds, b elsewhere, entry by entry.",
        "What does backward have to know of forward? Where x was positive: keep x, or the mask "
        "x > 0.",
        "dx = np.where(x > 0, dy, slope * dy). The condition looks at x, never at dy.",
    ),
    explanation=(
        "The mask belongs to forward; dy only passes through it. A mask of dy's signs would be "
        "right wherever x and dy happen to agree, which is why such mistakes survive a glance at "
        "the numbers. With a slope above 0 no unit is ever dead: some gradient always comes "
        "through, and G lives on what comes through D."
    ),
    library="minigan/nn/activations.py",
    paper="Maas, Hannun and Ng 2013; Radford et al. 2016 (for D)",
    tutorial="04-activations-and-initialisation",
)

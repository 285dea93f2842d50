"""Exercise 10: tanh and the sigmoid."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.exercises.common import play_pair
from minigan.learn.parts import Case, Exercise, Named, Output, Slope, Variant
from minigan.learn.solutions import tanh as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """A number, dy = 0, large numbers, a matrix."""

    def given(x: Any, dy: Any) -> dict[str, Any]:
        return {"x": numpy.asarray(x, float), "dy": numpy.asarray(dy, float)}

    return [
        Case("one number", given([0.5], [2.0])),
        Case("dy = 0", given([0.5, -1.0], [0.0, 0.0])),
        Case("images", given(rng.standard_normal((2, 3, 3, 1)), rng.standard_normal((2, 3, 3, 1)))),
        # No slope at +30: there y (1 - y) itself has lost its digits, and better answers have not.
        Case("numbers of ±30", given([30.0, -30.0], [0.0, 1.0])),
        Case("one number of -30", given([-30.0], [1.0])),
        Case("numbers of ±1000", given([1000.0, -1000.0], [1.0, 1.0])),
        Case(
            "5 samples, 3 numbers", given(rng.standard_normal((5, 3)), rng.standard_normal((5, 3)))
        ),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Both functions, forward and backward."""
    found: dict[str, Any] = {}
    for name in ("tanh", "sigmoid"):
        y = f"y_{name}"
        names = {"forward": f"{name}_forward", "backward": f"{name}_backward", "y": y}
        own = play_pair(code, given, "x", "dx", **names)
        found |= {y: own[y], f"dx_{name}": own["dx"]}
        given.done |= found
    return found


TANH = "def tanh_backward(dy, cache):\n    y = cache\n    return {}\n"
KEPT = (
    "def tanh_forward(x):\n    return np.tanh(x), x\n"
    "def tanh_backward(dy, cache):\n    x = cache\n    return {}\n"
)
SIGMOID = "def sigmoid_backward(dy, cache):\n    y = cache\n    return {}\n"
SIGMOID_KEPT = (
    "def sigmoid_forward(x, right=sigmoid_forward):\n    return right(x)[0], x\n"
    "def sigmoid_backward(dy, cache):\n    x = cache\n    return {}\n"
)
FORTH = "def sigmoid_forward(x):\n    y = {}\n    return y, y\n"


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """Give dx of both, multiplied out."""
    y, s, dy = numpy.tanh(given.x), 1 / (1 + numpy.exp(-given.x)), given.dy
    of_tanh = {"dy": dy, "-dy y²": -dy * y * y}
    of_sigmoid = {"dy y": dy * s, "-dy y²": -dy * s * s}
    return {
        "dx_tanh": (of_tanh, {"y": y, "y²": y * y, "dy y": dy * y}),
        "dx_sigmoid": (of_sigmoid, {"y": s, "y²": s * s, "dy": dy}),
    }


EXERCISE = Exercise(
    number=10,
    name="tanh",
    title="Tanh and the sigmoid",
    asks=("tanh_forward", "tanh_backward", "sigmoid_forward", "sigmoid_backward"),
    outputs={
        "y_tanh": Output("the output of tanh", part="tanh"),
        "dx_tanh": Output("the gradient of x through tanh", Slope("y_tanh", "dy", "x")),
        "y_sigmoid": Output("the output of the sigmoid", part="sigmoid"),
        "dx_sigmoid": Output(
            "the gradient of x through the sigmoid", Slope("y_sigmoid", "dy", "x")
        ),
    },
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant(
            "x stands where y belongs: tanh' = 1 - y², with the output",
            KEPT.format("dy * (1 - x**2)"),
        ),
        Variant(
            "dy is forgotten: the derivative alone isn't the gradient", TANH.format("1 - y**2")
        ),
        Variant("this is 1 - y, not 1 - y²", TANH.format("dy * (1 - y)")),
        Variant("the derivative is forgotten: dy is passed on as it is", TANH.format("1.0 * dy")),
        Variant("the sign is wrong: 1 - y², not y² - 1", TANH.format("dy * (y**2 - 1)")),
        Variant(
            "tanh is taken twice: the cache holds y = tanh x already",
            TANH.format("dy * (1 - np.tanh(y)**2)"),
        ),
        Variant(
            "this is the sigmoid's derivative, y (1 - y): tanh has 1 - y²",
            TANH.format("dy * y * (1 - y)"),
        ),
        Variant(
            "dy is inside the square: dy (1 - y²), not 1 - (dy y)²", TANH.format("1 - (dy * y)**2")
        ),
        Variant(
            "this is 1 + y²: tanh grows ever more slowly, so its derivative is below 1",
            TANH.format("dy * (1 + y**2)"),
        ),
        Variant(
            "this is 1 / (1 - y²), the derivative of the inverse function",
            TANH.format("dy / (1 - y**2)"),
        ),
        Variant("this is dy - y²: the factor dy belongs to both terms", TANH.format("dy - y**2")),
        Variant(
            "x stands where y belongs: σ' = y (1 - y), with the output",
            SIGMOID_KEPT.format("dy * x * (1 - x)"),
        ),
        Variant(
            "dy is forgotten: the derivative alone isn't the gradient",
            SIGMOID.format("y * (1 - y)"),
        ),
        Variant("this is y alone: σ' = y (1 - y)", SIGMOID.format("dy * y")),
        Variant("this is 1 - y alone: σ' = y (1 - y)", SIGMOID.format("dy * (1 - y)")),
        Variant(
            "this is tanh's derivative, 1 - y²: the sigmoid has y (1 - y)",
            SIGMOID.format("dy * (1 - y**2)"),
        ),
        Variant(
            "the derivative is forgotten: dy is passed on as it is", SIGMOID.format("1.0 * dy")
        ),
        Variant(
            "the sigmoid is taken twice: the cache holds y = σ(x) already",
            SIGMOID.format("dy / (1 + np.exp(-y)) * (1 - 1 / (1 + np.exp(-y)))"),
        ),
        Variant(
            "the sign is wrong: y (1 - y), which is positive", SIGMOID.format("dy * y * (y - 1)")
        ),
        Variant("this is y (1 + y): σ' = y (1 - y)", SIGMOID.format("dy * y * (1 + y)")),
        Variant(
            "exp(x) / (1 + exp(x)) is ∞ / ∞ for large x: let no exponent be positive",
            FORTH.format("np.exp(x) / (1 + np.exp(x))"),
        ),
        Variant(
            "the sign in the exponent is wrong: 1 / (1 + exp(-x))",
            FORTH.format("1 / (1 + np.exp(np.clip(x, -700, 700)))"),
        ),
        Variant(
            "this is tanh, not the sigmoid: σ(x) = (1 + tanh(x / 2)) / 2",
            FORTH.format("np.tanh(x)"),
        ),
        Variant(
            "x is clipped, so that far out y is wrong: let no exponent be positive instead",
            FORTH.format("1 / (1 + np.exp(-np.clip(x, -20, 20)))"),
        ),
        Variant(
            "1 - … loses all digits where y is tiny: exp(x) / (1 + exp(x)) for x < 0 keeps them",
            FORTH.format("(1 + np.tanh(x / 2)) / 2"),
        ),
    ),
    hints=(
        "Keep y in the cache: both derivatives need nothing else.",
        "For σ: multiply numerator and denominator of 1 / (1 + exp(-x)) by exp(x) where x < 0.",
        "dy * (1 - y**2) and dy * y * (1 - y); y = np.exp(np.minimum(x, 0)) / (1 + "
        "np.exp(-abs(x))).",
    ),
    explanation=(
        "Both are flat far from 0: at y = ±1 the derivative is 0, and nothing comes through. "
        "That is "
        "why D has no sigmoid at its end but hands its logits to the loss (exercise 4), and why "
        "G may "
        "end in tanh: pixels are rarely pure black and white for all samples at once. A derivative "
        "written with y needs no second exponential."
    ),
    library="minigan/nn/activations.py",
    paper="LeCun et al. 1998, Efficient BackProp",
    tutorial="04-activations-and-initialisation",
)

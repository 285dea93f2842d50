"""Exercise 6: gradient descent with momentum."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Named, Output, Variant, several
from minigan.learn.solutions import sgd as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Without and with momentum, one step and three."""

    def given(
        shape: tuple[int, ...], steps: int, momentum: float, moving: bool, lr: float = 0.1
    ) -> dict[str, Any]:
        v = rng.standard_normal(shape) * moving
        grads = rng.standard_normal((steps, *shape))
        w = rng.standard_normal(shape)
        return {"w": w, "g": grads, "v": v, "lr": lr, "momentum": momentum}

    return [
        Case("the first step, without momentum", given((1,), 1, 0.0, False)),
        Case("the first step, with momentum", given((1,), 1, 0.9, False)),
        Case("a step while the ball is rolling", given((1,), 1, 0.9, True)),
        Case("three steps", given((2, 3), 3, 0.5, False, 0.03)),
        Case("one step of a matrix that is rolling", given((3, 4), 1, 0.7, True, 0.2)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Take steps, each with the next gradient."""
    w, v = given.w, given.v
    for g in given.g:
        result = code.sgd_step(w, g, v, lr=given.lr, momentum=given.momentum)
        w, v = several(result, "w, v", "sgd_step")
    return {"w": w, "v": v}


def terms(given: Any) -> dict[str, tuple[Named, Named]]:
    """W - lr momentum v - lr g."""
    if len(given.g) != 1:
        return {}
    w, g, v, lr, mu = given.w, given.g[0], given.v, given.lr, given.momentum
    return {
        "w": (
            {"w": w, "the step -lr g": -lr * g, "the momentum, -lr momentum v": -lr * mu * v},
            {},
        ),
        "v": ({"g": g, "momentum v": mu * v}, {"w": w}),
    }


def _code(w: str = "w - lr * v", v: str = "momentum * v + g") -> str:
    return f"def sgd_step(w, g, v, *, lr, momentum):\n    old = v; v = {v}\n    return {w}, v\n"


EXERCISE = Exercise(
    number=6,
    name="sgd",
    title="Gradient descent with momentum",
    asks=("sgd_step",),
    outputs={"w": Output("the new weights"), "v": Output("the new velocity")},
    cases=cases,
    play=play,
    terms=terms,
    solution=solution,
    variants=(
        Variant("the sign is wrong: w - lr v goes downhill, w + lr v uphill", _code("w + lr * v")),
        Variant(
            "the weights follow the old velocity: update v first, then w", _code("w - lr * old")
        ),
        Variant(
            "the weights follow the gradient alone: w - lr v, with the new velocity",
            _code("w - lr * g"),
        ),
        Variant(
            "this is Nesterov's step, lr (g + momentum v): a good one, but the plain one is "
            "asked for",
            _code("w - lr * (g + momentum * v)"),
        ),
        Variant(
            "g has the factor 1 - momentum: here the velocity is a sum, not an average",
            _code(v="momentum * v + (1 - momentum) * g"),
        ),
        Variant(
            "the weights follow the average of the old and the new velocity: the new one alone",
            _code("w - lr * (old + v) / 2"),
        ),
        Variant("the momentum is forgotten", _code(v="g")),
        Variant(
            "the velocity contains the learning rate twice: v ← momentum v + g, and w ← w - lr v",
            _code(v="momentum * v + lr * g"),
        ),
        Variant(
            "the velocity contains the learning rate: keep it out of v, so that it may "
            "change later",
            _code("w - v", "momentum * v + lr * g"),
        ),
        Variant(
            "the velocity has the sign of the step: here v ← momentum v + g, and w ← w - lr v",
            _code("w + v", "momentum * v - lr * g"),
        ),
        Variant("the velocity subtracts g, so the ball rolls uphill", _code(v="momentum * v - g")),
        Variant("the momentum stands at g: v ← momentum v + g", _code(v="v + momentum * g")),
        Variant("the velocity doesn't fade: multiply the old one by momentum", _code(v="v + g")),
        Variant("the learning rate is forgotten", _code("w - v")),
        Variant("the gradient is forgotten", _code(v="momentum * v")),
        Variant(
            "w and v are returned in the wrong order: return w, v",
            "def sgd_step(w, g, v, *, lr, momentum):\n    v = momentum * v + g\n    return v, w "
            "- lr * v\n",
        ),
        Variant("the step is returned, not the new weights: w - lr v", _code("-lr * v")),
    ),
    hints=(
        "Two lines: first the new velocity, then the new weights.",
        "w -= lr * v would change the array that you were given; w = w - lr * v makes a new one.",
        "v = momentum * v + g, then return w - lr * v, v.",
    ),
    explanation=(
        "Under a constant gradient v grows to g / (1 - momentum): 0.9 makes steps ten times as "
        "long. In "
        "a game momentum is double-edged: on f = x y it makes the spiral wider, which is why "
        "GANs use "
        "Adam with β1 = 0.5 or 0. This form is PyTorch's; with the learning rate inside v, a "
        "schedule "
        "would act late."
    ),
    library="minigan/optim/sgd.py",
    paper="Polyak 1964; Sutskever et al. 2013",
    tutorial="05-adam",
)

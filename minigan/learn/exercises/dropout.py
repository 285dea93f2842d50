"""Exercise 11: dropout."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Output, Slope, Variant, several
from minigan.learn.solutions import dropout as solution


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Evaluation, keeping everything, half, most."""

    def given(shape: tuple[int, ...], keep: float, seed: int, train: bool = True) -> dict[str, Any]:
        x, dy = rng.standard_normal((2, *shape))
        return {"x": x, "dy": dy, "keep": keep, "seed": seed, "train": train}

    return [
        Case("evaluation", given((3,), 0.5, 0, False)),
        Case("everything is kept", given((3,), 1.0, 0)),
        Case("half of 6 numbers", given((6,), 0.5, 1)),
        Case("images", given((2, 3, 3, 2), 0.7, 2)),
        Case("evaluation of a matrix", given((5, 8), 0.8, 3, False)),
        Case("5 samples, 8 numbers, 0.8 kept", given((5, 8), 0.8, 3)),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Forward twice, backward for the first call; how many numbers were drawn."""
    rng = numpy.random.default_rng(given.seed)
    y, cache = several(code.forward(given.x, given.keep, rng, given.train), "y, cache", "forward")
    given.done["y"] = y
    drawn = float(rng.random())
    if given.interlude:
        several(code.forward(given.x, given.keep, rng, given.train), "y, cache", "forward")
    (dx,) = several(code.backward(given.dy, cache), "dx", "backward")
    return {"y": y, "dx": dx, "drawn": numpy.array(drawn)}


def _code(
    y: str = "x * m / keep",
    dx: str = "dy * m / keep",
    mask: str = "rng.random(x.shape) < keep",
    calm: str = "x.copy(), (1.0 + 0 * x, 1.0, rng, x)",
) -> str:
    return (
        "def forward(x, keep, rng, train):\n"
        f"    if not train: return {calm}\n    m = {mask}\n"
        f"    return {y}, (m, keep, rng, x)\n"
        f"def backward(dy, cache):\n    m, keep, rng, x = cache\n    return {dx}\n"
    )


def looks(name: str, given: Any, out: Any) -> str | None:
    """Recognise a mask that was drawn in another way."""
    kept = numpy.isclose(out, given.x / given.keep)
    if name == "y" and given.train and out.shape == given.x.shape and (kept | (out == 0)).all():
        return "the mask is drawn in another way: an entry is kept where rng.random(x.shape) < keep"
    return None


EXERCISE = Exercise(
    number=11,
    name="dropout",
    title="Dropout",
    asks=("forward", "backward"),
    outputs={
        "y": Output("the output"),
        "dx": Output("the gradient of x", Slope("y", "dy", "x")),
        "drawn": Output("the next random number, which tells how many were drawn"),
    },
    cases=cases,
    play=play,
    looks=looks,
    solution=solution,
    variants=(
        Variant(
            "backward draws a mask of its own: dx must go through the mask of forward",
            _code(dx="dy * (rng.random(dy.shape) < keep) / keep"),
        ),
        Variant(
            "the division by keep is missing: y would be keep · x on average",
            _code("x * m", "dy * m"),
        ),
        Variant("the division by keep is missing in backward", _code(dx="dy * m")),
        Variant("the division by keep is missing in forward", _code("x * m")),
        Variant(
            "this keeps entries with the probability 1 - keep: keep is the share that stays",
            _code(mask="rng.random(x.shape) > keep"),
        ),
        Variant(
            "this keeps entries with the probability 1 - keep: keep is the share that stays",
            _code(mask="rng.random(x.shape) >= keep"),
        ),
        Variant(
            "this keeps entries with the probability 1 - keep: keep is the share that stays",
            _code(mask="rng.random(x.shape) < 1 - keep"),
        ),
        Variant(
            "it is divided by 1 - keep: divide by the share that stays, keep",
            _code("x * m / max(1 - keep, 1e-9)", "dy * m / max(1 - keep, 1e-9)"),
        ),
        Variant("it is multiplied by keep: divide by it", _code("x * m * keep", "dy * m * keep")),
        Variant("it is divided by keep twice", _code("x * m / keep**2", "dy * m / keep**2")),
        Variant("the mask is forgotten in backward: dx = 0 where y = 0", _code(dx="dy / keep")),
        Variant("the mask is forgotten in backward: dx = 0 where y = 0", _code(dx="1.0 * dy")),
        Variant("x comes into backward: dx = dy · mask / keep", _code(dx="dy * x * m / keep")),
        Variant("the mask itself is returned: dx = dy · mask / keep", _code(dx="m / keep")),
        Variant(
            "entries are dropped in evaluation too: there, y = x",
            _code().replace("if not train", "if False"),
        ),
        Variant(
            "evaluation multiplies by keep: with the division in training, y = x",
            _code(calm="x * keep, (1.0 + 0 * x, 1 / keep, rng, x)"),
        ),
        Variant(
            "evaluation draws random numbers: it needs none",
            _code().replace("    if not", "    rng.random(x.shape)\n    if not"),
        ),
        Variant(
            "one number is drawn for each feature, not for each entry: rng.random(x.shape)",
            _code(mask="(rng.random(x.shape[-1:]) < keep) & (x == x)"),
        ),
        Variant(
            "one number is drawn for each sample, not for each entry: rng.random(x.shape)",
            _code(mask="(rng.random((len(x),) + (1,) * (x.ndim - 1)) < keep) & (x == x)"),
        ),
        Variant(
            "normal numbers are drawn, not uniform ones: rng.random(x.shape)",
            _code(mask="rng.standard_normal(x.shape) < keep"),
        ),
        Variant(
            "NumPy's global generator is used: draw from the rng that is given",
            _code(mask="np.random.RandomState(0).random_sample(x.shape) < keep"),
        ),
        Variant(
            "a new generator is made: draw from the rng that is given",
            _code(mask="np.random.default_rng(0).random(x.shape) < keep"),
        ),
        Variant("nothing is dropped in training", _code("1.0 * x", "1.0 * dy")),
        Variant(
            "numbers are drawn in evaluation, too: draw in training alone",
            _code(calm="(rng.random(x.shape), x.copy())[1], (1.0 + 0 * x, 1.0, rng, x)"),
        ),
    ),
    hints=(
        "The cache is the mask, already divided by keep; in evaluation it is all ones.",
        "If forward gives y = x · m, then dy/dx = m: the same m, kept from that call.",
        "mask = (rng.random(x.shape) < keep).astype(x.dtype) / keep, y = x * mask, dx = dy * mask.",
    ),
    explanation=(
        "Dividing by keep in training lets evaluation do nothing: E y = x either way. Random "
        "layers show "
        "why a cache belongs to a call: a mask drawn again in backward is right on average and "
        "wrong in "
        "every single step. In pix2pix dropout is the only noise in G, and stays on when "
        "samples are made."
    ),
    library="minigan/nn/dropout.py",
    paper="Srivastava et al. 2014",
    tutorial="08-dcgan",
)

"""Exercise 1: the central difference."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Case, Exercise, Output, Variant, several
from minigan.learn.solutions import difference as solution

FUNCTIONS = {
    "cubes": lambda x: (x**3).sum(),
    "product": lambda x: (x * numpy.arange(1.0, x.size + 1).reshape(x.shape)).sum() ** 2,
}


def cases(rng: numpy.random.Generator) -> list[Case]:
    """Cubes, whose error tells how the difference is taken; integers; a matrix."""
    return [
        Case("one number", {"x": rng.uniform(0.5, 2, 1), "h": 0.1, "f": "cubes"}),
        Case("whole numbers", {"x": rng.integers(1, 5, 4), "h": 0.1, "f": "cubes"}),
        Case(
            "a function of all entries",
            {"x": -rng.uniform(0.5, 2, (2, 3)), "h": 1e-3, "f": "product"},
        ),
        Case("a matrix", {"x": rng.uniform(0.5, 2, (3, 4)), "h": 0.1, "f": "cubes"}),
    ]


def play(code: Any, given: Any) -> dict[str, Any]:
    """Measure one gradient."""
    before = given.x.copy()
    (result,) = several(code.slope(FUNCTIONS[given.f], given.x, given.h), "gradient", "slope")
    return {"gradient": result, "x": given.x - before}


EXERCISE = Exercise(
    number=1,
    name="difference",
    title="The central difference",
    asks=("slope",),
    outputs={
        "gradient": Output("the gradient of f, measured", wide=True),
        "x": Output("by how much x has changed"),
    },
    cases=cases,
    play=play,
    solution=solution,
    variants=(
        Variant(
            "this is the forward difference (f(x+h) - f(x)) / h, whose error falls with h, not "
            "with "
            "h²: also take f(x-h)",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float); r = np.zeros_like(x)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        m = x[i]; b = f(x); x[i] = m + h; a = f(x); x[i] = m; r[i] = (a - b) / h\n"
            "    return r\n",
        ),
        Variant(
            "this is the backward difference (f(x) - f(x-h)) / h, whose error falls with h, not "
            "with "
            "h²: also take f(x+h)",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float); r = np.zeros_like(x)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        m = x[i]; b = f(x); x[i] = m - h; a = f(x); x[i] = m; r[i] = (b - a) / h\n"
            "    return r\n",
        ),
        Variant(
            "it is divided by h, but the two points are 2 h apart",
            "def slope(f, x, h=1e-5, right=slope):\n    return 2 * right(f, x, h)\n",
        ),
        Variant(
            "the sign is wrong: f(x+h) - f(x-h), in this order",
            "def slope(f, x, h=1e-5, right=slope):\n    return -right(f, x, h)\n",
        ),
        Variant(
            "the two values are added: it is f(x+h) - f(x-h)",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float); r = np.zeros_like(x)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        m = x[i]; x[i] = m + h; a = f(x); x[i] = m - h; b = f(x); x[i] = m\n"
            "        r[i] = (a + b) / (2 * h)\n"
            "    return r\n",
        ),
        Variant(
            "the division by 2 h is missing",
            "def slope(f, x, h=1e-5, right=slope):\n    return 2 * h * right(f, x, h)\n",
        ),
        Variant(
            "x isn't put back: after an entry has been moved, it must hold its old number "
            "before the "
            "next one is moved",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float); r = np.zeros_like(x)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        x[i] += h; a = f(x); x[i] -= 2 * h; b = f(x); r[i] = (a - b) / (2 * h)\n"
            "    return r\n",
        ),
        Variant(
            "x isn't put back: after an entry has been moved, it must hold its old number "
            "before the "
            "next one is moved",
            "def slope(f, x, h=1e-5):\n"
            "    r = np.zeros(x.shape)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        x[i] += h; a = f(x); x[i] -= 2 * h; b = f(x); r[i] = (a - b) / (2 * h)\n"
            "    return r\n",
        ),
        Variant(
            "all entries are moved at once: move one at a time, so that each slope is its own",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float)\n"
            "    return 0 * x + (f(x + h) - f(x - h)) / (2 * h)\n",
        ),
        Variant(
            "all entries are moved at once: move one at a time, so that each slope is its own",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float)\n"
            "    return (f(x + h) - f(x - h)) / (2 * h)\n",
        ),
        Variant(
            "a whole row is moved at once: np.ndindex(*x.shape) goes through single entries",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float); r = np.zeros_like(x)\n"
            "    for i in range(len(x)):\n"
            "        m = x[i].copy(); x[i] = m + h; a = f(x); x[i] = m - h; b = f(x); x[i] = m\n"
            "        r[i] = (a - b) / (2 * h)\n"
            "    return r\n",
        ),
        Variant(
            "an array of whole numbers can't hold x + h: 3 + 0.001 becomes 3 again; convert x to "
            "float64 first",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x); r = np.zeros(x.shape)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        m = x[i]; x[i] = m + h; a = f(x); x[i] = m - h; b = f(x); x[i] = m\n"
            "        r[i] = (a - b) / (2 * h)\n"
            "    return r\n",
        ),
        Variant(
            "the result is an array of whole numbers (zeros_like of an integer array): make it "
            "float64",
            "def slope(f, x, h=1e-5, right=slope):\n"
            "    return right(f, x, h).astype(np.asarray(x).dtype)\n",
        ),
        Variant(
            "only one entry is measured: go through all of them, for arrays of any shape",
            "def slope(f, x, h=1e-5, right=slope):\n"
            "    r = right(f, x, h); s = np.zeros_like(r); s.flat[0] = r.flat[0]\n"
            "    return s\n",
        ),
        Variant(
            "this is the one-sided difference with a step of 2 h: take the points x+h and x-h",
            "def slope(f, x, h=1e-5):\n"
            "    x = np.array(x, float); r = np.zeros_like(x)\n"
            "    for i in np.ndindex(*x.shape):\n"
            "        m = x[i]; b = f(x); x[i] = m + 2 * h; a = f(x); x[i] = m\n"
            "        r[i] = (a - b) / (2 * h)\n"
            "    return r\n",
        ),
        Variant(
            "the points are h / 2 away on both sides, which is as good; here x + h and x - h are "
            "asked for",
            "def slope(f, x, h=1e-5, right=slope):\n    return right(f, x, h / 2)\n",
        ),
        Variant(
            "h is replaced by another step, or more than two points are taken: f(x+h) and "
            "f(x-h) are asked for, with the h that is given",
            "def slope(f, x, h=1e-5, right=slope):\n    return right(f, x, 1e-5)\n",
        ),
    ),
    hints=(
        "Go through the entries with np.ndindex(*x.shape): it gives an index for each, whatever "
        "the "
        "shape. Two calls of f per entry are enough.",
        "Keep the old number in a variable, so that you can put it back; x + h - h isn't "
        "exactly x.",
        "middle = x[index]; x[index] = middle + h; above = f(x); then the same below, x[index] = "
        "middle, and result[index] = (above - below) / (2 * h).",
    ),
    explanation=(
        "On x³ the central difference gives 3x² + h², the forward one 3x² + 3xh + h²: with h = "
        "0.1 you "
        "see which one you have. In float64 the best h is near 1e-5, where the error h² meets the "
        "rounding 1e-16 / h. The library takes four points, x ± h and x ± 2h, whose error is of "
        "the "
        "order h⁴."
    ),
    library="minigan/gradcheck/slopes.py",
    paper="Press et al., Numerical Recipes, section 5.7",
    tutorial="02-backpropagation",
)

r"""The slope of a function along a line, from its values alone, where there is one.

Let :math:`f(t)` be the loss when an array is moved by t along a direction. Central differences
:math:`D(h) = (f(h) - f(-h)) / 2h` differ from the slope by :math:`h^2 f'''/6`; the combination
:math:`(4 D(h) - D(2h)) / 3` (Richardson) differs from it only by a term in :math:`h^4`, so h can be
large enough for rounding not to matter.

A kink (ReLU at 0) between the points makes any such number meaningless. Two quantities vanish with
h where f is smooth, and at least one of them doesn't where the slope jumps by J at a c with
|c| < 2h:

.. math::
    D(2h) - D(h), \qquad 2\,\frac{S(h)}{h} - \frac{S(2h)}{2h}, \qquad S(h) = f(h) - 2 f(0) + f(-h).

(For 0 <= c < h they are J c/4h and J (1 - 3c/2h).) Where they don't vanish, a smaller h is tried,
which no longer reaches the kink; only a kink that is very close leaves no slope at all. This is
decided from f alone, so it can't excuse a wrong gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

from minigan.backend import Array

EPS = float(numpy.finfo("float64").eps)
SHRINK = (1.0, 0.1, 0.01, 0.001)
SMOOTH = 1e-5


class Slope(NamedTuple):
    """A slope, and how large its rounding error may be."""

    value: float
    noise: float


class Line:
    """The weighted output ``f(t) = Σ weights · evaluate()`` while arrays are moved.

    Parameters
    ----------
    evaluate
        Computes the output, an array, from the arrays as they are.
    weights
        The upstream gradient, of the output's shape.
    h
        The largest step.
    """

    def __init__(self, evaluate: Callable[[], Array], weights: Array, *, h: float) -> None:
        self.evaluate, self.weights = evaluate, weights
        self.steps = [h * s for s in SHRINK]
        self.start = evaluate()

    def slopes(self, move: Callable[[float], None], scale: float) -> Iterator[Slope]:
        """Yield estimates at ever smaller steps, only those at which f is smooth.

        Parameters
        ----------
        move
            Moves the array by t; called with 0 at the end.
        scale
            Size of a slope that matters: kinks are judged against it where the slope is smaller.
        """
        for h in self.steps:
            try:
                d1, s1, noise = self._differences(move, h)
                d2, s2, _ = self._differences(move, 2 * h)
            finally:
                move(0.0)
            rough = max(abs(d2 - d1), abs(2 * s1 - s2))
            if math.isfinite(rough) and rough <= SMOOTH * max(abs(d1), scale) + 8 * noise:
                yield Slope((4 * d1 - d2) / 3, noise)

    def _differences(self, move: Callable[[float], None], h: float) -> tuple[float, float, float]:
        """Return D(h), S(h) / h, and the rounding noise in them."""
        move(h)
        up = self.evaluate()
        move(-h)
        down = self.evaluate()
        with numpy.errstate(invalid="ignore", over="ignore"):
            # Subtract before summing: outputs that didn't move then leave no rounding error.
            d = self._sum(up - down) / (2 * h)
            s = self._sum((up - self.start) - (self.start - down)) / h
            size = abs(self.weights) * (abs(up) + abs(down)) * (up != down)
        return d, s, 2 * EPS * float(size.sum()) / h

    def _sum(self, y: Array) -> float:
        return float((self.weights * y).sum())


def entry_mover(array: Array, index: tuple[int, ...]) -> Callable[[float], None]:
    """Return a function that moves one entry."""
    start = array[index].copy()

    def move(t: float) -> None:
        array[index] = start + t if t else start

    return move


def direction_mover(array: Array, direction: Array) -> Callable[[float], None]:
    """Return a function that moves a whole array along a direction."""
    start = array.copy()

    def move(t: float) -> None:
        array[...] = start + t * direction if t else start

    return move


def unit_direction(shape: tuple[int, ...], rng: numpy.random.Generator) -> numpy.ndarray[Any, Any]:
    """Draw a direction of length 1 in which every entry is at least about 0.1 / √n in size.

    Without that floor an unlucky direction would all but ignore an entry, and a check would
    occasionally miss an error (or see nothing but rounding).
    """
    v = rng.standard_normal(shape)
    n = max(v.size, 1)
    v /= max(float(numpy.sqrt((v * v).sum())), EPS)
    v = numpy.where(v < 0, -1.0, 1.0) * numpy.maximum(abs(v), 0.1 / math.sqrt(n))
    return numpy.asarray(v / numpy.sqrt((v * v).sum()))

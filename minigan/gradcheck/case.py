"""A wrong gradient, the right one, and what may be looked at to tell why they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

Numbers = numpy.ndarray[Any, Any]
Measure = Callable[[Numbers, Numbers, dict[str, Numbers], Numbers], Numbers]
CLOSE = 1e-5


class Case(NamedTuple):
    """Everything that a test may look at.

    Attributes
    ----------
    name
        Name of the array: ``"x"`` for the input.
    a, n
        The given gradient and the numeric one, of the same shape.
    x
        The input.
    batch
        Number of samples N, or None if there is no batch.
    sizes
        What the sizes are called, to name a factor: ``{4: "the batch size", ...}``.
    masked
        Yields pairs of a description and a function that measures the numeric gradient with dy kept
        at one place only.
    y, dy
        Output and cotangent, or None if there are none.
    values
        What the layer learns, by name.
    numeric
        Measures entries of the numeric gradient (their flat indices come last) for another x,
        another dy and other weights.
    kept
        Returns the arrays that forward leaves in its cache or in the layer, as the code calls them.
    contributions
        Returns, for entries of x (flat indices), what each entry of dy contributes to the gradient.
    given
        Returns the gradient that backward gives for another dy.
    """

    name: str
    a: Numbers
    n: Numbers
    x: Numbers | None
    batch: int | None
    sizes: dict[int, str]
    masked: Callable[[], Iterator[tuple[str, Callable[[], Numbers]]]]
    y: Numbers | None = None
    dy: Numbers | None = None
    values: dict[str, Numbers] | None = None
    numeric: Measure | None = None
    kept: Callable[[], dict[str, Numbers]] = dict
    contributions: Callable[[Numbers], Numbers] | None = None
    given: Callable[[Numbers], Numbers] | None = None


def alike(a: Numbers, n: Numbers) -> bool:
    """Tell whether two arrays agree wherever n is known, and n isn't all zero there."""
    known = numpy.isfinite(n)
    if not known.any() or a.shape != n.shape:
        return False
    size = float(abs(n[known]).max())
    return size > 0 and bool((abs(a[known] - n[known]) <= CLOSE * size).all())


def scale(case: Case) -> float:
    """Return the largest known entry of the right gradient, without its sign."""
    return float(abs(case.n[numpy.isfinite(case.n)]).max(initial=0.0))


def wrong(case: Case) -> Numbers:
    """Return where the given gradient is known to be wrong."""
    known = numpy.isfinite(case.n)
    return known & (abs(case.a - numpy.where(known, case.n, 0)) > CLOSE * scale(case))


def how(case: Case, bad: Numbers) -> str:
    """Say what stands at the wrong entries, if it is always the same."""
    a, n = case.a[bad], case.n[bad]
    if (a == 0).all():
        return ", where it is 0"
    if (n == 0).all():
        return ", where it must be 0"
    ratio = a / numpy.where(n == 0, numpy.nan, n)
    same = numpy.isfinite(ratio).all() and numpy.ptp(ratio) <= CLOSE * abs(ratio).max()
    return f", by the factor {ratio[0]:.4g}" if same else ""

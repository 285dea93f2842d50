"""A weight's gradient from one sample at a time: there a wrong factor isn't hidden by the sum.

The gradient of a bias or a weight matrix is a sum over samples. With dy kept at one sample only,
each column of it is a product, and what it is off by is the wrong factor divided by the right one.
This is compared with functions of what forward kept: a whole array, or those columns that one of
several gates has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy

from minigan.gradcheck.case import CLOSE, Case, Numbers
from minigan.gradcheck.combinations import function_pairs

LEAST, MOST_SAMPLES, MOST_ENTRIES = 3, 8, 200


def explain(case: Case, arrays: dict[str, Numbers]) -> str | None:
    """Say which factor stands in the place of which other.

    Parameters
    ----------
    case
        What may be looked at.
    arrays
        What forward kept, x and y, by what the code calls them.
    """
    ratios = _ratios(case)
    if ratios is None:
        return None
    wrong = numpy.flatnonzero((abs(ratios - 1) > CLOSE).any(axis=0))  # infinite ones, too
    if not wrong.size:
        return None
    for name, array in arrays.items():
        if array.shape[:1] != ratios.shape[:1] or array.size == 0 or array.dtype.kind != "f":
            continue
        flat = array.reshape(len(array), -1)
        width = flat.shape[1]
        if width == 1:
            said = _named(ratios, name, flat)
            if said:
                return said
            continue
        for start in range(0, ratios.shape[1] - width + 1, width):
            block = ratios[:, start : start + width]
            if start <= wrong[0] < start + width and (said := _named(block, name, flat)):
                where = f" in columns {start} to {start + width - 1}"
                return said + (where if width < ratios.shape[1] else "")
    return None


def _named(ratios: Numbers, name: str, array: Numbers) -> str | None:
    for given, right, f, g in function_pairs(name, array):
        if not numpy.isfinite(f).all() or not numpy.isfinite(g).all():
            continue
        if _agree(ratios, f, g):
            if not given:
                return f"the factor {right} is missing"
            if not right:
                if given.endswith((" > 0)", " < 0)")):
                    return f"it is 0 except where {given[1:-1]}, and mustn't be"
                return f"the factor {given} is there, but mustn't be"
            return f"{given} stands where {right} is meant"
    return None


def _agree(ratios: Numbers, f: Numbers, g: Numbers) -> bool:
    """Tell whether f stands where g is meant; a ratio is infinite where only g is 0."""
    f, g = numpy.broadcast_to(f, ratios.shape), numpy.broadcast_to(g, ratios.shape)
    known, infinite = numpy.isfinite(ratios), numpy.isinf(ratios)
    if known.sum() < LEAST or not f.any() or (g[infinite] != 0).any() or (f[infinite] == 0).any():
        return False
    error = abs(ratios[known] * g[known] - f[known]).max()
    return bool(error <= CLOSE * max(float(abs(f).max()), 1e-3))


def _ratios(case: Case) -> Numbers | None:
    """Return by which factor each column is off, for each sample alone; None if by no factor.

    It is infinite where only the right column is 0, and NaN where both are.
    """
    dy, given, measure = case.dy, case.given, case.numeric
    if case.name == "x" or dy is None or given is None or measure is None or case.x is None:
        return None
    if not dy.ndim or not LEAST <= len(dy) <= MOST_SAMPLES or case.n.ndim > 2:
        return None
    if case.n.size > MOST_ENTRIES or case.batch != len(dy) or math.prod(case.n.shape[-1:]) < 1:
        return None
    rows = []
    for one in _samples(dy):
        a = given(one).reshape(-1, case.n.shape[-1])
        n = measure(case.x, one, {}, numpy.arange(case.n.size)).reshape(a.shape)
        sizes = (n * n).sum(axis=0)
        if not numpy.isfinite(n).all():
            return None
        zero = sizes <= (CLOSE * CLOSE) ** 2 * sizes.max()
        factor = (a * n).sum(axis=0) / numpy.where(zero, 1.0, sizes)
        factor = numpy.where(zero, numpy.where((a == 0).all(axis=0), numpy.nan, numpy.inf), factor)
        if (
            abs((a - numpy.where(zero, 0.0, factor) * n)[:, ~zero]).max(initial=0.0)
            > CLOSE * abs(n).max()
        ):
            return None
        rows.append(factor)
    return numpy.stack(rows)


def _samples(dy: Numbers) -> Iterator[Numbers]:
    for i in range(len(dy)):
        one = numpy.zeros_like(dy)
        one[i] = dy[i]
        yield one

"""The likely cause of a wrong gradient: patterns that common mistakes leave behind.

Each test gets the gradient `a` that backward gives and the numeric one `n` (NaN where a kink
prevented it), and returns a sentence or None. They are tried from the most specific to the most
general.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

from minigan.gradcheck import terms

Numbers = numpy.ndarray[Any, Any]
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
    numeric: Callable[[Numbers, Numbers, dict[str, Numbers], Numbers], Numbers] | None = None


def likely_cause(case: Case) -> str:
    """Return the likely cause, or advice on how to find it."""
    if not numpy.isfinite(case.a).all():
        return (
            "the gradient holds NaN or infinity: look for a division by zero, log(0) or sqrt(0) "
            "in backward"
        )
    tests = (
        _zero,
        _factor,
        _transposed,
        _flipped,
        _shifted,
        _signs,
        _partly_written,
        _border,
        _confined,
        _one_place,
        _terms,
        _offset,
        _affine,
    )
    for test in tests:
        sentence = test(case)
        if sentence:
            return sentence
    return (
        "none of the usual ones fits; work out the derivative with respect to this one entry by "
        "hand"
    )


def _alike(a: Numbers, n: Numbers) -> bool:
    """Tell whether two arrays agree wherever n is known, and n isn't all zero there."""
    known = numpy.isfinite(n)
    if not known.any() or a.shape != n.shape:
        return False
    scale = float(abs(n[known]).max())
    return scale > 0 and bool((abs(a[known] - n[known]) <= CLOSE * scale).all())


def _zero(case: Case) -> str | None:
    if abs(case.a).max() > 0:
        return None
    if case.name == "x":
        return "the gradient is zero everywhere: backward returns an array that it never fills"
    return "the gradient is zero everywhere: backward never writes it, or writes it to a copy"


def _factor(case: Case) -> str | None:
    known = numpy.isfinite(case.n)
    a, n = case.a[known], case.n[known]
    if not (n * n).sum() > 0:
        return None
    factor = float((a * n).sum() / (n * n).sum())
    if factor == 0 or not _alike(a / factor, n):
        return None
    sign = "the sign is wrong" if factor < 0 else ""
    size = abs(factor)
    if math.isclose(size, 1, rel_tol=CLOSE):
        return sign
    named = _name_factor(case, size)
    return f"{sign}, and {named}" if sign and named else named or None


def _name_factor(case: Case, factor: float) -> str:
    for size, what in case.sizes.items():
        if size == 2:
            what = f"{what} (if it isn't the constant 2: check with other sizes)"
        if size > 1 and math.isclose(factor, size, rel_tol=CLOSE):
            return (
                f"it is too large by the factor {size}, {what}: a mean is taken as a sum, or a "
                "term is added repeatedly"
            )
        if size > 1 and math.isclose(factor, 1 / size, rel_tol=CLOSE):
            return (
                f"it is too small by the factor {size}, {what}: a sum is taken as a mean (a "
                "layer's backward sums over samples; taking the mean is up to the loss)"
            )
    named = _size_named(case, factor)
    if case.a.size == 1 and not (named or terms.is_simple(factor)):
        return ""  # any number is some multiple of any other
    if named:
        return f"it is off by the factor {factor:.6g}, {named}"
    return (
        f"every entry is off by the same factor, {factor:.6g}: a constant is missing or is there "
        "twice"
    )


def _transposed(case: Case) -> str | None:
    for axes in itertools.permutations(range(case.n.ndim)):
        if axes == tuple(range(case.n.ndim)):
            continue
        turned = case.n.transpose(axes)
        if turned.shape == case.n.shape and _alike(case.a, turned):
            return f"it is the right one transposed (its axes are in the order {axes})"
        if _alike(case.a, turned.reshape(case.n.shape)):
            return (
                f"it is the right one with its axes in the order {axes}, reshaped: a reshape where "
                "a transpose is meant"
            )
    return None


def _flipped(case: Case) -> str | None:
    for count in range(1, case.n.ndim + 1):
        for axes in itertools.combinations(range(case.n.ndim), count):
            if _alike(case.a, numpy.flip(case.n, axes)):
                return (
                    f"it is the right one flipped along the axes {axes}: reversed order, or a "
                    "flipped kernel"
                )
    return None


def _shifted(case: Case) -> str | None:
    """The gradient at (i, j) is the right one's at (i + di, j + dj)."""
    if case.n.ndim != 4:
        return None
    axes = (1, 2) if case.name == "x" else (0, 1)
    reach = [range(-min(3, case.n.shape[k] - 2), min(3, case.n.shape[k] - 2) + 1) for k in axes]
    for di, dj in sorted(itertools.product(*reach), key=lambda d: abs(d[0]) + abs(d[1])):
        if (di, dj) == (0, 0):
            continue
        here: list[slice] = [slice(None)] * 4
        there: list[slice] = [slice(None)] * 4
        for axis, d in zip(axes, (di, dj), strict=True):
            here[axis] = slice(max(0, -d), min(case.n.shape[axis], case.n.shape[axis] - d))
            there[axis] = slice(max(0, d), min(case.n.shape[axis], case.n.shape[axis] + d))
        if _alike(case.a[tuple(here)], case.n[tuple(there)]):
            return (
                f"it is the right one shifted by ({di}, {dj}) pixels: wrong padding, or an index "
                "off by one"
            )
    return None


def _partly_written(case: Case) -> str | None:
    known = numpy.isfinite(case.n)
    scale = float(abs(case.n[known]).max()) if known.any() else 0.0
    unwritten = known & (case.a == 0) & (abs(case.n) > CLOSE * scale)
    right = abs(case.a - case.n) <= CLOSE * scale
    if not (unwritten.any() and (unwritten | right | ~known).all()):
        return None
    return (
        f"{int(unwritten.sum())} of {case.n.size} entries are zero and the others are right: a "
        "part is never written (or is assigned where it must be added)"
    )


def _signs(case: Case) -> str | None:
    """The wrong entries are told by the signs of x and dy at their places."""
    x, dy = case.x, case.dy
    if case.name != "x" or x is None or dy is None or not x.shape == dy.shape == case.a.shape:
        return None
    wrong = _wrong(case)
    for where, mask in (
        ("x and dy have different signs: the case is decided by dy, but must be by x", x * dy < 0),
        ("x < 0", x < 0),
        ("x > 0", x > 0),
    ):
        how = _how(case, wrong) if wrong.any() else ""
        told = how or "signs" in where
        if told and 3 < mask.sum() < mask.size - 3 and (wrong == mask).all():
            return f"it is wrong just where {where}{how}"
    return _threshold(wrong, abs(x), "|x|") or _threshold(wrong, x, "x")


def _threshold(wrong: Numbers, size: Numbers, what: str) -> str | None:
    """The wrong entries are those above or below some number."""
    if not 1 < wrong.sum() < wrong.size - 1:
        return None
    (low, high), (least, most) = ((size[part].min(), size[part].max()) for part in (wrong, ~wrong))
    if low > most:
        return (
            f"it is wrong just where {what} > {most:.3g} or so: a case that is missing or differs"
        )
    if high < least:
        return (
            f"it is wrong just where {what} < {least:.3g} or so: a case that is missing or differs"
        )
    return None


def _how(case: Case, wrong: Numbers) -> str:
    """Say what stands at the wrong entries, if it is always the same."""
    a, n = case.a[wrong], case.n[wrong]
    if (a == 0).all():
        return ", where it is 0"
    if (n == 0).all():
        return ", where it must be 0"
    ratio = a / numpy.where(n == 0, numpy.nan, n)
    same = numpy.isfinite(ratio).all() and numpy.ptp(ratio) <= CLOSE * abs(ratio).max()
    return f", by the factor {ratio[0]:.4g}" if same else ""


def _wrong(case: Case) -> Numbers:
    known = numpy.isfinite(case.n)
    scale = float(abs(case.n[known]).max()) if known.any() else 0.0
    return known & (abs(case.a - numpy.where(known, case.n, 0)) > CLOSE * scale)


def _confined(case: Case) -> str | None:
    """All wrong entries share an index along an axis."""
    wrong = _wrong(case)
    for axis, size in enumerate(case.n.shape):
        others = tuple(k for k in range(case.n.ndim) if k != axis)
        (hit,) = numpy.nonzero(wrong.any(axis=others))
        ends = {0: "the first", size - 1: "the last"}
        if len(hit) == 1 and size > 2 and int(hit[0]) in ends and wrong.take(hit, axis).all():
            return (
                f"only {ends[int(hit[0])]} along axis {axis} is wrong: a loop or a slice ends too "
                "early"
            )
    return None


def _terms(case: Case) -> str | None:
    if case.x is None or case.y is None or case.dy is None or case.numeric is None:
        return None
    if not numpy.isfinite(case.n).all() or case.a.size < 2 or case.dy.ndim == 0:
        return None
    return terms.explain(
        terms.View(
            case.name, case.a, case.n, case.x, case.y, case.dy, case.values or {}, case.numeric,
            lambda factor: _size_named(case, factor),
        )
    )  # fmt: skip


def _size_named(case: Case, factor: float) -> str:
    """Name a factor that comes from a size, or nothing."""
    for size, what in case.sizes.items():
        for value, words in (
            (size, what),
            (1 / size, f"1 / {what}"),
            (math.sqrt(size), f"the root of {what}"),
            (1 / math.sqrt(size), f"1 / the root of {what}"),
            (size / (size - 1) if size > 1 else 0, f"m / (m - 1) with m, {what}: Bessel's"),
            ((size - 1) / size, f"(m - 1) / m with m, {what}: Bessel's"),
        ):
            whole = words.startswith(("the root", "1 / the root")) and math.isqrt(size) ** 2 == size
            if size > 1 and value and not whole and math.isclose(factor, value, rel_tol=1e-4):
                return words
    return ""


def _border(case: Case) -> str | None:
    if case.n.ndim != 4 or case.name != "x" or min(case.n.shape[1:3]) < 3:
        return None
    inside = (slice(None), slice(1, -1), slice(1, -1))
    deeper = (slice(None), slice(2, -2), slice(2, -2))
    for depth, place in ((1, inside), (2, deeper)):
        if min(case.n[place].shape) > 0 and _alike(case.a[place], case.n[place]):
            return (
                f"only the outermost {depth} rows and columns of pixels are wrong: the padding is "
                "handled wrongly"
            )
    return None


def _one_place(case: Case) -> str | None:
    for where, measure in case.masked():
        if _alike(case.a, measure()):
            return (
                f"it is the gradient that {where} alone would give: a sum over all of them is "
                "missing"
            )
    return None


def _offset(case: Case) -> str | None:
    """``a - n`` is constant along some axes."""
    difference = case.a - case.n
    if not numpy.isfinite(difference).all():
        return None
    for axes, where in _axes_by_name(case):
        spread = difference - difference.mean(axis=axes, keepdims=True)
        if abs(spread).max() <= CLOSE * abs(difference).max():
            return (
                f"a term that is the same for all {where} is missing or superfluous: usually what "
                "reaches the loss through a mean or a sum over them"
            )
    return None


def _axes_by_name(case: Case) -> Iterator[tuple[tuple[int, ...], str]]:
    if case.n.size > 1:
        yield tuple(range(case.n.ndim)), "entries"
    if case.name != "x" or case.n.ndim < 2:
        return
    last = case.n.ndim - 1
    if math.prod(case.n.shape[:-1]) > 2:
        yield tuple(range(last)), "samples and pixels" if last > 1 else "samples"
    if math.prod(case.n.shape[1:]) > 2:
        yield tuple(range(1, last + 1)), "entries of a sample"
    if last == 3 and math.prod(case.n.shape[1:3]) > 2:
        yield (1, 2), "pixels of an image"


def _affine(case: Case) -> str | None:
    """``a - n`` is linear in x along some axes: what a variance or a norm contributes."""
    difference = case.a - case.n
    if case.x is None or case.x.shape != case.n.shape or not numpy.isfinite(difference).all():
        return None
    for axes, where in _axes_by_name(case):
        if math.prod(case.n.shape[k] for k in axes) < 4:
            continue
        x = case.x - case.x.mean(axis=axes, keepdims=True)
        d = difference - difference.mean(axis=axes, keepdims=True)
        slope = (x * d).sum(axis=axes, keepdims=True) / (x * x).sum(axis=axes, keepdims=True)
        if abs(d - slope * x).max() <= CLOSE * abs(difference).max():
            return (
                "a term that is proportional to x, measured from its mean over the "
                f"{where}, is missing or superfluous: usually what reaches the loss through a "
                "variance, standard deviation or norm"
            )
    return None

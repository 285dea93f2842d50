"""The likely cause of a wrong gradient: patterns that common mistakes leave behind.

Each test gets the gradient `a` that backward gives and the numeric one `n` (NaN where a kink
prevented it), and returns a sentence or None. They are tried from the most specific to the most
general.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from minigan.gradcheck import alone, combinations, convolutions, misplaced, terms
from minigan.gradcheck.case import CLOSE, Case, Measure, Numbers, alike, scale
from minigan.gradcheck.report import Misconduct

__all__ = ["Case", "likely_cause"]

UNKNOWN = (
    "none of the usual ones fits; work out the derivative with respect to this one entry by hand"
)
SMALL = 4
"""Up to here, a factor that is a size may as well be a constant."""

NEARLY, MOST_ENTRIES = 1e-3, 200
ASKS = ("numeric", "kept", "contributions", "given")
"""What a layer is asked while the cause is looked for."""


def likely_cause(case: Case) -> str:
    """Return the likely cause, or advice on how to find it."""
    if not numpy.isfinite(case.a).all():
        return (
            "the gradient holds NaN or infinity: look for a division by zero, log(0) or sqrt(0) "
            "in backward"
        )
    asks: Any = {name: _guarded(ask) for name in ASKS if (ask := getattr(case, name))}
    case = case._replace(**asks)
    case = case._replace(
        numeric=case.numeric and _remembered(case.numeric), kept=functools.cache(case.kept)
    )
    if alike(case.a, case.n):
        return _nearly(case) or UNKNOWN
    tests = (
        _zero,
        _forgotten,
        _factor,
        misplaced.transposed,
        misplaced.flipped,
        misplaced.shifted,
        misplaced.exchanged,
        misplaced.signs,
        misplaced.partly_written,
        misplaced.unmasked,
        misplaced.border,
        misplaced.through_steps,
        misplaced.backwards,
        _one_place,
        convolutions.explain,
        _alone,
        misplaced.confined,
        lambda case: _terms(case, terms.explain),
        _combinations,
        lambda case: _terms(case, terms.sums),
        misplaced.incomplete,
        misplaced.regrouped,
        _nearly,
        _offset,
        _proportional,
        _combination,
    )
    for test in tests:
        try:
            with numpy.errstate(all="ignore"):
                sentence = test(case)
        except Misconduct:
            raise
        except Refused:
            continue
        except Exception as error:  # a slip in a guess is no reason to lose the verdict
            warnings.warn(f"a search for the cause failed: {error!r}", RuntimeWarning, stacklevel=2)
            continue
        if sentence:
            return sentence
    return UNKNOWN


class Refused(Exception):
    """The layer takes no such input, dy or weights."""


def _guarded(ask: Callable[..., Any]) -> Callable[..., Any]:
    """Tell a layer that refuses a question, in whatever way, from a mistake in the diagnosis."""

    def asked(*args: Any) -> Any:
        try:
            return ask(*args)
        except Misconduct:
            raise
        except Exception as error:  # the user's code may raise anything
            raise Refused from error

    return asked


def _remembered(measure: Measure) -> Measure:
    """Return a function that measures the same thing only once."""
    known: dict[tuple[object, ...], Numbers] = {}

    def measured(x: Numbers, dy: Numbers, values: dict[str, Numbers], flat: Numbers) -> Numbers:
        weights = tuple((name, value.tobytes()) for name, value in values.items())
        key = (x.tobytes(), dy.tobytes(), weights, flat.tobytes())
        if key not in known:
            known[key] = measure(x, dy, values, flat)
        return known[key]

    return measured


def _zero(case: Case) -> str | None:
    if abs(case.a).max() > 0:
        return None
    if case.name == "x":
        return (
            "the gradient is zero everywhere: backward returns an array that it never fills, or "
            "masks all of it"
        )
    return "the gradient is zero everywhere: backward never writes it, or writes it to a copy"


def _forgotten(case: Case) -> str | None:
    """It is the gradient for a dy of ones."""
    if case.dy is None or case.x is None or case.numeric is None:
        return None
    if case.dy.ndim == 0:
        alone = alike(case.a * case.dy, case.n)
        return "dy is forgotten: it must be a factor of the gradient" if alone else None
    ones = numpy.ones_like(case.dy)
    for entries in (numpy.arange(min(4, case.a.size)), numpy.arange(case.a.size)):
        if not alike(case.a.ravel()[entries], case.numeric(case.x, ones, {}, entries)):
            return None
    return "it is what ones would give in the place of dy: dy is forgotten"


def _factor(case: Case) -> str | None:
    known = numpy.isfinite(case.n)
    a, n = case.a[known], case.n[known]
    if not (n * n).sum() > 0:
        return None
    factor = float((a * n).sum() / (n * n).sum())
    if factor == 0 or not alike(a / factor, n):
        return None
    sign = "the sign is wrong" if factor < 0 else ""
    size = abs(factor)
    if math.isclose(size, 1, rel_tol=CLOSE):
        return sign
    named = _name_factor(case, size)
    return f"{sign}, and {named}" if sign and named else named or None


def _name_factor(case: Case, factor: float) -> str:
    for size, what in case.sizes.items():
        if size <= SMALL:
            what = f"{what} (if it isn't the constant {size}: check with other sizes)"
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
    named = _size_named(case, factor) or _learnt_named(case, factor)
    if case.a.size == 1 and not (named or terms.is_simple(factor)):
        return ""  # any number is some multiple of any other
    if named:
        return f"it is off by the factor {factor:.6g}, {named}"
    return (
        f"every entry is off by the same factor, {factor:.6g}: a constant is missing or is there "
        "twice"
    )


def _nearly(case: Case) -> str | None:
    """The error is small everywhere."""
    error = float(numpy.nanmax(abs(case.a - case.n)))
    if not 0 < error <= NEARLY * scale(case):
        return None
    return (
        f"it is right but for an error of {error / scale(case):.0e} of its size: look for an eps "
        "that is left out or added elsewhere than in forward, or for rounding to float32"
    )


def _terms(case: Case, explain: Callable[[terms.View], str | None]) -> str | None:
    if case.x is None or case.y is None or case.dy is None or case.numeric is None:
        return None
    if not numpy.isfinite(case.n).all() or case.a.size < 2 or case.dy.ndim == 0:
        return None
    return explain(
        terms.View(
            case.name, case.a, case.n, case.x, case.y, case.dy, case.values or {}, case.numeric,
            lambda factor: _size_named(case, factor), case.kept(),
        )
    )  # fmt: skip


def _combinations(case: Case) -> str | None:
    if case.n.size == 1:
        return _combinations_of_one_number(case)
    return _by_combinations(case, combinations.explain, case.a, case.n)


def _alone(case: Case) -> str | None:
    if case.x is None or case.y is None or case.n.size < 2:
        return None
    return alone.explain(case, _arrays(case, case.values or {}))


def _combinations_of_one_number(case: Case) -> str | None:
    """Look at what each entry of dy contributes to a gradient that is one number."""
    dy, given, contributions = case.dy, case.given, case.contributions
    if dy is None or given is None or contributions is None or not 1 < dy.size <= MOST_ENTRIES:
        return None
    a, n = numpy.zeros(dy.shape), contributions(numpy.arange(1))[0]
    for index in numpy.ndindex(dy.shape):
        one = numpy.zeros_like(dy)
        one[index] = dy[index]
        a[index] = given(one).sum()
    said = _by_combinations(case, combinations.explain, a, n)
    return f"in the sum over all entries, {said}" if said else None


def _combination(case: Case) -> str | None:
    return _by_combinations(case, combinations.given_alone, case.a)


def _by_combinations(
    case: Case, explain: Callable[..., str | None], *gradients: Numbers
) -> str | None:
    if case.x is None or case.y is None or case.dy is None or not numpy.isfinite(case.n).all():
        return None
    values = case.values or {}
    return explain(
        *gradients, _arrays(case, values), case.dy, values, lambda factor: _number(case, factor)
    )


def _arrays(case: Case, values: dict[str, Numbers]) -> dict[str, Numbers]:
    """Return x, y and what forward keeps beside these and the weights."""
    assert case.x is not None
    assert case.y is not None
    arrays = {"x": case.x, "y": case.y} if case.y.ndim else {"x": case.x}
    known = [*arrays.values(), *values.values(), case.a]
    for name, array in case.kept().items():
        if not any(array.shape == k.shape and numpy.allclose(array, k, 1e-9, 1e-12) for k in known):
            arrays[name] = array
            known.append(array)
    return arrays


def _number(case: Case, factor: float) -> str:
    """Write a factor that a slip leaves, or nothing."""
    if terms.is_simple(factor):
        return f"{factor:.4g}"
    found = []
    for size, what in case.sizes.items():
        for share, words in ((factor / size, "{} times " + what), (factor * size, "{} / " + what)):
            if size > 1 and terms.is_simple(share):
                found.append(words.format(f"{share:.4g}"))
    if found:
        words = min(found, key=lambda words: len(words.split()[0]))
        short = math.isclose(factor, round(factor, 2), rel_tol=CLOSE)
        return f"{factor:.4g} (maybe {words})" if short else f"({words})"
    named = _size_named(case, factor)
    return f"{factor:.4g} ({named})" if named else ""


def _size_named(case: Case, factor: float) -> str:
    """Name a factor that comes from a size, or nothing; where several do, all of them."""
    found: list[str] = []
    for size, what in case.sizes.items():
        for value, words in (
            (size, what),
            (size / 2 if size > SMALL else 0, f"half of {what}"),
            (1 / size, f"1 / {what}"),
            (math.sqrt(size), f"the root of {what}"),
            (1 / math.sqrt(size), f"1 / the root of {what}"),
            (size / (size - 1) if size > 1 else 0, f"m / (m - 1) with m, {what}: Bessel's"),
            ((size - 1) / size, f"(m - 1) / m with m, {what}: Bessel's"),
        ):
            whole = words.startswith(("the root", "1 / the root")) and math.isqrt(size) ** 2 == size
            if size > 1 and value and not whole and math.isclose(factor, value, rel_tol=1e-4):
                found.append(words)
    return ", or ".join(found)


def _learnt_named(case: Case, factor: float) -> str:
    """Name a factor that comes from a number that the layer learns, or nothing."""
    for name, value in (case.values or {}).items():
        if value.size == 1:
            for words, known in terms.of_a_weight(name, value.reshape(())):
                if math.isclose(factor, abs(float(known)), rel_tol=1e-4):
                    return words
    return ""


def _one_place(case: Case) -> str | None:
    for where, measure in case.masked():
        if alike(case.a, measure()):
            if where[:3] == "all":
                return (
                    f"it is the gradient that {where} would give: a loop or a slice leaves that "
                    "one out"
                )
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


def _proportional(case: Case) -> str | None:
    """``a - n`` is linear in the array itself along some axes: a norm's or a variance's share."""
    difference = case.a - case.n
    array = case.x if case.name == "x" else (case.values or {}).get(case.name)
    if array is None or array.shape != case.n.shape or not numpy.isfinite(difference).all():
        return None
    bound = CLOSE * float(abs(difference).max())
    for axes, where in (*_axes_by_name(case), *_axes_of_weights(case)):
        if math.prod(case.n.shape[k] for k in axes) < 3:
            continue
        for centred in (False, True):
            x, d = (_from_mean(t, axes) if centred else t for t in (array, difference))
            slope = (x * d).sum(axis=axes, keepdims=True) / (x * x).sum(axis=axes, keepdims=True)
            if abs(d - slope * x).max() <= bound:
                return _share_of(case.name, where, centred)
    return None


def _from_mean(a: Numbers, axes: tuple[int, ...]) -> Numbers:
    return numpy.asarray(a - a.mean(axis=axes, keepdims=True))


def _axes_of_weights(case: Case) -> Iterator[tuple[tuple[int, ...], str]]:
    """Yield sets of axes, for the weights of each output or of each input."""
    axes = tuple(range(case.n.ndim))
    if case.name != "x" and case.n.ndim > 1:
        yield axes[:-1], f"entries that share an index of axis {axes[-1]}"
        yield axes[1:], "entries that share an index of axis 0"


def _share_of(name: str, where: str, centred: bool) -> str:
    if centred:
        return (
            f"a term that is proportional to {name}, measured from its mean over the "
            f"{where}, is missing or superfluous: usually what reaches the loss through a "
            "variance, standard deviation or norm"
        )
    return (
        f"a term that is proportional to {name}, with one factor for the {where}, is missing or "
        "superfluous: usually what reaches the loss through a norm, or a weight decay"
    )

"""An answer as a sum of named terms: which one is missing, too large, or has come in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import SimpleNamespace

import numpy

from minigan.learn import factors
from minigan.learn.compare import CLOSE, Outs, Rights
from minigan.learn.language import Text
from minigan.learn.parts import Case, Exercise, Named, Numbers


def terms_of(exercise: Exercise, case: Case) -> dict[str, tuple[Named, Named]]:
    """Return the named terms of a case: for an output, those that are right and the intruders."""
    if exercise.terms is None:
        return {}
    with numpy.errstate(all="ignore"):
        return exercise.terms(SimpleNamespace(**{"interlude": True, **case.given}))


def of_terms(exercise: Exercise, case: Case, a: Numbers, name: str) -> list[Text]:
    """Write an answer by the named terms of its case, and one thing more, if that has them."""
    known = terms_of(exercise, case)
    if name not in known:
        return []
    parts, intruders = known[name]
    others = {n: v for n, v in case.given.items() if getattr(v, "shape", None) == a.shape}
    named = {n: v for n, v in others.items() if n not in parts and v.dtype.kind == "f"}
    found = _by_terms(a, parts, intruders, case)
    return found or _by_terms(a, parts, named, case, strictly=True)


def earlier(
    exercise: Exercise, cases: list[Case], outs: Outs, name: str, wrong: list[int]
) -> Text | None:
    """Look at the cases that have named terms: the last may have none, such as several steps.

    They must all tell the same, but for the number of one term, and few entries tell nothing.
    """
    told: list[tuple[int, list[Text]]] = []
    for k in wrong:
        a, count = outs[k][name], len(terms_of(exercise, cases[k]).get(name, ({}, {}))[0])
        if count and isinstance(a, numpy.ndarray) and a.size > count and numpy.isfinite(a).all():
            told.append((k, of_terms(exercise, cases[k], a, name)))
    if not told or not all(texts for _, texts in told):
        return None
    k, first = told[0]
    if len({str(joined(texts)) for _, texts in told}) == 1:
        return joined(first)
    if len({_unnumbered(texts) for _, texts in told}) > 1 or len(first) > 1:
        return None
    label = Text(cases[k].label)
    return Text("in the case “{label}”, {found}", {"label": label, "found": first[0]})


def _unnumbered(texts: list[Text]) -> str:
    return re.sub(r"-?\d[\d.e+-]*", "#", str(joined(texts)))


def over_cases(
    exercise: Exercise, cases: list[Case], rights: Rights, outs: Outs, name: str
) -> Text | None:
    """Write a single number by its named terms, with the same factors in all cases."""
    if rights[0][name].ndim or len(cases) < 3:
        return None
    known = [terms_of(exercise, case).get(name, ({}, {}))[0] for case in cases]
    a = numpy.array([float(numpy.asarray(out[name])) for out in outs])
    if not known[0] or any(terms.keys() != known[0].keys() for terms in known):
        return _evenly(a, numpy.array([float(right[name]) for right in rights]))
    rows = numpy.array([[float(t) for t in terms.values()] for terms in known])
    sizes = abs(rows).max(axis=1)
    kept = numpy.isfinite(a) & (sizes > 0)
    if kept.sum() <= rows.shape[1]:
        return None
    a, rows = a[kept] / sizes[kept], rows[kept] / sizes[kept, None]
    return joined(_by_terms(a, dict(zip(known[0], rows.T, strict=True)), {}, Case("", {})))


def _evenly(a: Numbers, r: Numbers) -> Text | None:
    """Say so if a number is off by the same factor, or by the same number, in all cases."""
    finite = numpy.isfinite(a)
    if finite.sum() < 3 or not abs(r[finite]).max() > 0:
        return None
    nothing = Case("", {})
    return factors.told(a[finite], r[finite], nothing, []) or constant(a[finite], r[finite])


def _by_terms(
    a: Numbers,
    parts: Mapping[str, Numbers],
    intruders: Mapping[str, Numbers],
    case: Case,
    strictly: bool = False,
) -> list[Text]:
    """Write the answer as a sum of the right terms, each with a factor, and one intruder.

    With `strictly` the factors are simple numbers: with any, too much can be written so.
    """
    a = numpy.asarray(a, float)
    for extra in ([], *([label] for label in intruders)):
        terms = [*parts.values(), *(intruders[label] for label in extra)]
        shares = solve(a, terms)
        if shares is None or (
            strictly and not factors.is_simple(numpy.array(shares[: len(parts)]))
        ):
            continue
        if len(parts) > 1 and not extra and numpy.ptp(shares) < 1e-4:
            return [
                t for t in [factors.told(a, numpy.asarray(sum(terms)), case, [])] if t is not None
            ]
        said = [share(label, c, case) for label, c in zip(parts, shares, strict=False)]
        said += [intruder(label, c) for label, c in zip(extra, shares[len(parts) :], strict=True)]
        told = [text for text in said if text is not None]
        if told:
            return told
    return []


def joined(texts: list[Text]) -> Text | None:
    """Make one sentence of several, with semicolons."""
    if not texts:
        return None
    result = texts[0]
    for text in texts[1:]:
        result = Text("{first}; {second}", {"first": result, "second": text})
    return result


def solve(a: Numbers, terms: list[Numbers]) -> list[float] | None:
    """Return the factors of the terms whose sum is the answer; None if it is no such sum."""
    columns = numpy.stack([numpy.broadcast_to(t, a.shape).ravel() for t in terms], axis=1)
    sizes = numpy.sqrt((columns * columns).sum(axis=0))
    if (sizes == 0).any() or a.size < len(terms):
        return None
    found, _, rank, _ = numpy.linalg.lstsq(columns / sizes, a.ravel(), rcond=1e-9)
    rest = a.ravel() - columns / sizes @ found
    small = abs(rest).max() <= 1e-6 * max(float(abs(a).max()), 1e-12)
    if (
        rank < len(terms)
        or not small
        or (a.size == len(terms) and not factors.is_simple(found / sizes))
    ):
        return None
    return [float(c) for c in found / sizes]


def share(label: str, c: float, case: Case) -> Text | None:
    """Say what is wrong with the factor of a term; None where it is 1."""
    if abs(c - 1) < 1e-4:
        return None
    what = Text(label)
    if abs(c) < 1e-4:
        return Text("{what} is missing", {"what": what})
    if abs(c + 1) < 1e-4:
        return Text("{what} has the wrong sign", {"what": what})
    size = factors.named(abs(c), case, [])
    sign = Text(", and has the wrong sign") if c < 0 else Text("")
    values = {"what": what, "factor": f"{abs(c):.4g}", "size": size, "sign": sign}
    return Text("{what} is off by the factor {factor}{size}{sign}", values)


def intruder(label: str, c: float) -> Text | None:
    """Say that a term has come in, and how often; None where its factor is 0."""
    if abs(c) < 1e-4:
        return None
    times = "" if abs(c - 1) < 1e-4 else f"{c:.4g} × "
    return Text("{times}{what} has come in", {"times": times, "what": Text(label)})


def constant(a: Numbers, r: Numbers) -> Text | None:
    """Say by which number all entries, or all along one axis, are off."""
    if a.size == 1:
        return None  # any number is off by some number
    d = a - r
    if numpy.ptp(d) <= CLOSE * abs(d).max():
        return Text(
            "every entry is off by the same number, {number}", {"number": f"{d.flat[0]:.5g}"}
        )
    for axis in range(d.ndim):
        if d.shape[axis] > 2 and numpy.ptp(d, axis=axis).max() <= CLOSE * abs(d).max():
            return Text(
                "it is off by what is the same along axis {axis}: a term is missing or has come in",
                {"axis": axis},
            )
    return None

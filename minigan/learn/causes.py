"""Why an answer is wrong: the usual mistakes played, then a regression on named terms."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy

from minigan.gradcheck import diagnose
from minigan.learn import slips
from minigan.learn.language import Text
from minigan.learn.parts import Broken, Case, Exercise, Named, Numbers, Variant, answer

Outs = list[dict[str, Any]]
Rights = list[dict[str, Numbers]]
CLOSE = 1e-6


def of_values(
    exercise: Exercise,
    cases: list[Case],
    rights: Rights,
    outs: Outs,
    name: str,
    slip: Callable[[], Text | None] = lambda: None,
) -> Text | None:
    """Say why an output has the wrong numbers.

    Parameters
    ----------
    exercise, cases
        What was asked, and in which cases; the last one is generic.
    rights, outs
        For each case, the right outputs and the given ones.
    name
        The output.
    slip
        Finds a slip of the pen that gives the same; asked where no sum of named terms does.
    """
    i = len(cases) - 1
    if not _wrong(outs[i].get(name), rights[i][name]):
        i = next(k for k in range(len(cases)) if _wrong(outs[k].get(name), rights[k][name]))
        found = _in_general(exercise, cases[i], rights[i], outs[i], name, slip)
        label = Text(cases[i].label)
        if found is None:
            return Text(
                "it is wrong only in special cases, the first of which is: {label}",
                {"label": label},
            )
        return Text("in the case “{label}”, {found}", {"label": label, "found": found})
    return _in_general(exercise, cases[i], rights[i], outs[i], name, slip)


Mistakes = list[tuple[str, list[Any]]]
"""The usual mistakes: the words, and for each case what they give, or the error they end in."""


@cache
def mistakes(name: str, seed: int) -> Mistakes:
    """Play the usual mistakes of an exercise in all its cases."""
    from minigan.learn.course import exercise

    chosen = exercise(name)
    cases = chosen.drawn(seed)
    return [(v.words, [played(chosen, v, c.given) for c in cases]) for v in chosen.variants]


def usual(known: Mistakes, rights: Rights, outs: Outs, name: str) -> Text | None:
    """Say which of the usual mistakes gives these very numbers, if one does.

    Parameters
    ----------
    known
        The usual mistakes, in the same cases as the outputs.
    rights, outs
        For each case, the right outputs and the given ones.
    name
        The output.
    """
    best: tuple[int, str] | None = None
    for words, wrongs in known:
        if not _explains(wrongs, rights, outs, name):
            continue
        alike = sum(_alike(wrongs, outs, other) for other in rights[0])
        if best is None or alike > best[0]:
            best = alike, words
    return None if best is None else Text(best[1])


def slipped(
    exercise: Exercise, cases: list[tuple[int, Case]], seed: int, outs: Outs, name: str
) -> Text | None:
    """Say which change of one place of the solution gives the same in all cases, if one does."""
    best: tuple[int, Text] | None = None
    for slip, last in slips.played(exercise.name, seed, cases[-1][0]):
        if not _equal(outs[-1].get(name), last[name]):
            continue
        wrongs = [slips.outcome(exercise, slip, case.given) for _, case in cases]
        if _alike(wrongs, outs, name):
            alike = sum(_alike(wrongs, outs, other) for other in last)
            best = (alike, slip.text) if best is None or alike > best[0] else best
    return None if best is None else best[1]


def of_a_shape(given: Any, right: Numbers) -> Text | None:
    """Say why an output has the wrong shape."""
    if not isinstance(given, numpy.ndarray):
        return None
    if given.shape == right.shape[::-1] and right.ndim == 2:
        return Text("it is transposed")
    if given.shape == ():
        return Text("it is summed over everything: sum over the samples only")
    if given.ndim == right.ndim + 1:
        return Text("a sum over one axis is missing")
    return None


CRASHES = (
    (
        r"matmul.*mismatch|not aligned",
        "two shapes don't fit in a product: write both down; one is often to be transposed",
    ),
    (
        r"could not be broadcast|broadcast together",
        "two shapes don't fit together: write both down, and see which axes must agree",
    ),
    (r"read-only", "an array that mustn't be written to was written to: make a new one"),
    (
        r"NameError",
        "a name that this function doesn't know: what backward needs must come in the cache",
    ),
    (
        r"not enough values to unpack|too many values to unpack",
        "the cache, or what a function "
        "returns, has another number of "
        "parts than are taken out of it",
    ),
    (
        r"unexpected keyword|positional argument",
        "the arguments have other names or another number than the docstring says",
    ),
    (r"NoneType", "something is None: does each function return what the docstring asks for?"),
    (r"RecursionError", "a function calls itself without end"),
    (
        r"UFuncTypeError|same_kind",
        "numbers with fractions are written into an array of whole "
        "numbers, or float64 into float32: make a new array",
    ),
)


def of_a_crash(known: Mistakes, i: int, error: str) -> Text | None:
    """Say what usually causes an exception, which came in the case of index `i`."""
    for words, wrongs in known:
        if wrongs[i] == error:
            return Text(words)
    return next((Text(words) for pattern, words in CRASHES if re.search(pattern, error)), None)


# ---------------------------------------------------------------- the usual mistakes


@cache
def _namespace(exercise_name: str, code: str) -> Any:
    from minigan.learn.course import exercise

    names = dict(vars(exercise(exercise_name).solution))
    names.setdefault("np", numpy)
    exec(code, names)
    return SimpleNamespace(**{n: v for n, v in names.items() if not n.startswith("__")})


def played(exercise: Exercise, variant: Variant, given: Any) -> dict[str, Numbers] | str | None:
    """Return what a usual mistake gives, or the exception that it ends in, as it is printed."""
    try:
        return answer(exercise, _namespace(exercise.name, variant.code), given)
    except Broken:
        return None
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def _explains(wrongs: list[Any], rights: Rights, outs: Outs, name: str) -> bool:
    """Tell whether a mistake gives the same wrong output in all cases."""
    return _alike(wrongs, outs, name) and any(
        _wrong(wrong[name], right[name]) for wrong, right in zip(wrongs, rights, strict=True)
    )


def _alike(wrongs: list[Any], outs: Outs, name: str) -> bool:
    return all(
        isinstance(wrong, dict) and _equal(out.get(name), wrong[name])
        for wrong, out in zip(wrongs, outs, strict=True)
    )


def _equal(a: Any, b: Any, tolerance: float = CLOSE) -> bool:
    if not isinstance(a, numpy.ndarray) or a.shape != b.shape:
        return False
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return False
    if not a.size:
        return True
    finite = numpy.isfinite(b)
    if not (numpy.isfinite(a) == finite).all():
        return False
    scale = float(abs(b[finite]).max()) if finite.any() else 1.0
    return bool((abs(a[finite] - b[finite]) <= tolerance * max(scale, 1e-14)).all())


def _wrong(given: Any, right: Numbers) -> bool:
    return not _equal(given, right)


# ---------------------------------------------------------------- regression


def _in_general(
    exercise: Exercise,
    case: Case,
    right: dict[str, Numbers],
    out: dict[str, Any],
    name: str,
    slip: Callable[[], Text | None],
) -> Text | None:
    a, r = numpy.asarray(out[name], float), right[name]
    if not isinstance(out[name], numpy.ndarray) or a.shape != r.shape:
        return None
    if not numpy.isfinite(a).all():
        return Text(
            "there is NaN or infinity: look for a division by zero, log(0), √0 or an exp that "
            "overflows"
        )
    known = terms_of(exercise, case)
    if name in known:
        found = _by_terms(a, *known[name], case)
        if found:
            return found
    if _equal(a, -r):
        return Text("the sign is wrong")
    return slip() or _generic(exercise, case, right, a, name)


def terms_of(exercise: Exercise, case: Case) -> dict[str, tuple[Named, Named]]:
    """Return the named terms of a case: for an output, those that are right and the intruders."""
    if exercise.terms is None:
        return {}
    with numpy.errstate(all="ignore"):
        return exercise.terms(SimpleNamespace(**{"interlude": True, **case.given}))


def _by_terms(
    a: Numbers, parts: Mapping[str, Numbers], intruders: Mapping[str, Numbers], case: Case
) -> Text | None:
    """Write the answer as a sum of the right terms, each with a factor, and one intruder."""
    for extra in ([], *([label] for label in intruders)):
        terms = [*parts.values(), *(intruders[label] for label in extra)]
        shares = _solve(a, terms)
        if shares is None:
            continue
        said = [_share(label, c, case) for label, c in zip(parts, shares, strict=False)]
        said += [_intruder(label, c) for label, c in zip(extra, shares[len(parts) :], strict=True)]
        told = [text for text in said if text is not None]
        if told:
            return _joined(told)
    return None


def _joined(texts: list[Text]) -> Text:
    result = texts[0]
    for text in texts[1:]:
        result = Text("{first}; {second}", {"first": result, "second": text})
    return result


def _solve(a: Numbers, terms: list[Numbers]) -> list[float] | None:
    columns = numpy.stack([numpy.broadcast_to(t, a.shape).ravel() for t in terms], axis=1)
    sizes = numpy.sqrt((columns * columns).sum(axis=0))
    if (sizes == 0).any() or a.size < len(terms):
        return None
    found, _, rank, _ = numpy.linalg.lstsq(columns / sizes, a.ravel(), rcond=1e-9)
    rest = a.ravel() - columns / sizes @ found
    small = abs(rest).max() <= 1e-6 * max(float(abs(a).max()), 1e-12)
    if rank < len(terms) or not small or (a.size == len(terms) and not _simple(found / sizes)):
        return None
    return [float(c) for c in found / sizes]


def _simple(shares: Numbers) -> bool:
    return all(abs(c * 4 - round(c * 4)) < 1e-4 and abs(c) < 9 for c in shares)


def _share(label: str, c: float, case: Case) -> Text | None:
    if abs(c - 1) < 1e-4:
        return None
    what = Text(label)
    if abs(c) < 1e-4:
        return Text("{what} is missing", {"what": what})
    if abs(c + 1) < 1e-4:
        return Text("{what} has the wrong sign", {"what": what})
    size = _size(abs(c), case)
    sign = Text(", and has the wrong sign") if c < 0 else Text("")
    values = {"what": what, "factor": f"{abs(c):.4g}", "size": size, "sign": sign}
    return Text("{what} is off by the factor {factor}{size}{sign}", values)


def _intruder(label: str, c: float) -> Text | None:
    if abs(c) < 1e-4:
        return None
    times = "" if abs(c - 1) < 1e-4 else f"{c:.4g} × "
    return Text("{times}{what} has come in", {"times": times, "what": Text(label)})


def _size(factor: float, case: Case) -> Text:
    """Name a factor that is one of the sizes of the case."""
    for name, value in case.given.items():
        if not isinstance(value, numpy.ndarray):
            if isinstance(value, float) and value > 0:
                for v, word in (
                    (value, name),
                    (1 / value, f"1 / {name}"),
                    (1 - value, f"1 - {name}"),
                ):
                    if math.isclose(factor, v, rel_tol=1e-4):
                        return Text(f" ({word})")
            continue
        for axis, n in enumerate(value.shape):
            for v, word in (
                (n, "{n}"),
                (1 / n, "1 / {n}"),
                (n / (n - 1) if n > 1 else 0, "{n} / ({n} - 1)"),
            ):
                if n > 2 and v != 1 and math.isclose(factor, v, rel_tol=1e-4):
                    shown = word.replace("{n}", f"{name}.shape[{axis}]")
                    return Text(f" ({shown})")
    return Text("")


# ---------------------------------------------------------------- any output


def _generic(
    exercise: Exercise, case: Case, right: dict[str, Numbers], a: Numbers, name: str
) -> Text | None:
    r = right[name]
    slope = exercise.outputs[name].slope
    if abs(a).max() == 0:
        return Text("it is zero everywhere: it is never written, or written to a copy")
    if not abs(r).max() > 0:
        return Text("it must be zero everywhere")
    if a.size == 1:
        return _factor(a, r, case)
    found = _factor(a, r, case)
    if found:
        return found
    if slope is not None:
        words = diagnose.likely_cause(_case(exercise, case, right, a, name))
        if "none of the usual ones" not in words:
            return Text(words)
    return _of_inputs(a, r, case) or _constant(a, r) or _partly(a, r)


def _factor(a: Numbers, r: Numbers, case: Case) -> Text | None:
    c = float((a * r).sum() / (r * r).sum())
    if c == 0 or not _equal(a / c, r):
        return None
    if abs(c + 1) < 1e-5:
        return Text("the sign is wrong")
    size = _size(abs(c), case)
    if a.size == 1 and not str(size) and not _simple(numpy.array([c])):
        return None
    sign = Text(", and the sign is wrong") if c < 0 else Text("")
    values = {"factor": f"{abs(c):.5g}", "size": size, "sign": sign}
    return Text("every entry is off by the same factor, {factor}{size}{sign}", values)


def _of_inputs(a: Numbers, r: Numbers, case: Case) -> Text | None:
    """The answer is one of the inputs, or the right one plus some multiple of an input."""
    arrays = {
        n: v for n, v in case.given.items() if isinstance(v, numpy.ndarray) and v.shape == a.shape
    }
    for name, value in arrays.items():
        if _equal(a, value):
            return Text("it is {name} itself", {"name": name})
    for name, value in arrays.items():
        shares = _solve(a, [r, value])
        if shares is not None and _simple(numpy.array(shares)):
            return _joined(
                [
                    t
                    for t in (_share("the right one", shares[0], case), _intruder(name, shares[1]))
                    if t
                ]
            )
    for one, other in itertools.combinations_with_replacement(arrays, 2):
        if _equal(a, arrays[one] * arrays[other]):
            return Text("it is {name}", {"name": f"{one} · {other}"})
    return None


def _constant(a: Numbers, r: Numbers) -> Text | None:
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


def _partly(a: Numbers, r: Numbers) -> Text | None:
    wrong = abs(a - r) > CLOSE * abs(r).max()
    if wrong.all():
        return None
    values = {"wrong": int(wrong.sum()), "all": int(wrong.size)}
    if (a[wrong] == 0).all():
        return Text(
            "{wrong} of {all} entries are zero and the others are right: a part is never written",
            values,
        )
    return Text(
        "{wrong} of {all} entries are wrong and the others are right: look at what is special "
        "about them",
        values,
    )


def _case(
    exercise: Exercise, case: Case, right: dict[str, Numbers], a: Numbers, name: str
) -> diagnose.Case:
    """Hand everything to the diagnosis of `minigan.gradcheck`, with the reference to measure by."""
    slope = exercise.outputs[name].slope
    assert slope is not None
    x = case.given.get("x")
    x = x if isinstance(x, numpy.ndarray) and x.dtype.kind == "f" else None
    dy = case.given.get(slope.by) if slope.by else None
    values = {
        n: v
        for n, v in case.given.items()
        if isinstance(v, numpy.ndarray) and v.dtype.kind == "f" and n not in ("x", slope.by)
    }

    def numeric(x: Numbers, dy: Numbers, changed: Any, flat: Any) -> Numbers:
        there = case.given | {"x": x, slope.by or "": dy} | changed
        return answer(exercise, exercise.solution, there)[name].ravel()[flat]

    def masked() -> Iterator[Any]:
        if dy is None:
            return
        axes = ["sample", "row of y", "column of y"] if dy.ndim == 4 else ["sample"]
        for axis, what in enumerate(axes[: dy.ndim]):
            for index, which in ((0, "first"), (-1, "last")):
                kept = numpy.zeros_like(dy)
                place = (*[slice(None)] * axis, index)
                kept[place] = dy[place]
                there = case.given | {slope.by or "": kept}
                yield (
                    f"the {which} {what}",
                    lambda there=there: answer(exercise, exercise.solution, there)[name],
                )

    y = right.get(slope.of)
    batch = x.shape[0] if x is not None and x.ndim else None
    usable = x is not None and dy is not None
    return diagnose.Case(
        "x" if slope.wrt == "x" else name,
        a,
        right[name],
        x,
        batch,
        _sizes(x, dy),
        masked,
        y if usable else None,
        dy if usable else None,
        values,
        numeric if usable else None,
    )


def _sizes(x: Numbers | None, dy: Numbers | None) -> dict[int, str]:
    named: list[tuple[int, str]] = []
    if x is not None and x.ndim:
        named.append((x.shape[0], "the batch size"))
    if dy is not None and dy.ndim == 4:
        named += [
            (math.prod(dy.shape[1:3]), "the number of pixels of y"),
            (math.prod(dy.shape[:3]), "the number of samples times the pixels of y"),
        ]
    if x is not None and x.ndim == 4:
        named.append((math.prod(x.shape[1:3]), "the number of pixels of x"))
    if x is not None and x.ndim > 1:
        named.append((x.shape[-1], "the last axis of x"))
    if dy is not None and dy.ndim > 1:
        named.append((dy.shape[-1], "the last axis of y"))
    return dict(reversed(named))

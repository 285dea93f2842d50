"""Why an answer is wrong: the usual mistakes played, then a regression on named terms."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy

from minigan.gradcheck import diagnose
from minigan.learn import both, fits, replays, slips, starter
from minigan.learn.language import Text
from minigan.learn.parts import Broken, Case, Exercise, Named, Numbers, Variant, answer

Outs = list[dict[str, Any]]
Rights = list[dict[str, Numbers]]
CLOSE = 1e-6
EVIDENCE = 3
"""This many wrong entries can't all be met by one number that is fitted to them."""


def of_values(
    exercise: Exercise,
    cases: list[Case],
    rights: Rights,
    outs: Outs,
    name: str,
    slip: Callable[[], Text | None] = lambda: None,
    fit: Callable[[], Text | None] = lambda: None,
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
    fit
        Finds a number at one place of the solution that gives the same; asked last.
    """
    wrong = [k for k in range(len(cases)) if _wrong(outs[k].get(name), rights[k][name])]
    if not wrong:
        return _near(exercise, rights[-1], outs[-1], name)
    early = _over_cases(exercise, cases, rights, outs, name)
    if early is None and (looks := _by_looks(exercise, cases, outs, name, wrong)) is not None:
        early = slip() or looks
    if early is not None:
        return early
    i = len(cases) - 1 if len(cases) - 1 in wrong else wrong[0]
    others = _others(cases, rights, outs, name, [k for k in wrong if k != i])
    if i < len(cases) - 1:
        found = _in_general(exercise, cases[i], rights[i], outs[i], name, slip, fit, others)
        label = Text(cases[i].label)
        if found is None:
            return Text(
                "it is wrong only in special cases, the first of which is: {label}",
                {"label": label},
            )
        return Text("in the case “{label}”, {found}", {"label": label, "found": found})

    def elsewhere() -> Text | None:
        return slip() or _earlier(exercise, cases, outs, name, wrong[::-1])

    found = _in_general(exercise, cases[i], rights[i], outs[i], name, elsewhere, fit, others)
    return found or _since(cases, wrong[0])


Others = list[tuple[Numbers, Numbers, Case]]
"""The other cases that are wrong: the given numbers, the right ones, and the case."""


def _others(cases: list[Case], rights: Rights, outs: Outs, name: str, wrong: list[int]) -> Others:
    return [
        (a, rights[k][name], cases[k])
        for k in wrong
        if isinstance(a := outs[k].get(name), numpy.ndarray) and a.shape == rights[k][name].shape
    ]


def _near(exercise: Exercise, right: dict[str, Numbers], out: dict[str, Any], name: str) -> Text:
    """Say why a gradient that is right isn't the slope of a forward that is right as well."""
    slope = exercise.outputs[name].slope
    of = out.get(slope.of) if slope is not None else None
    if slope is not None and isinstance(of, numpy.ndarray) and of.dtype != right[slope.of].dtype:
        return Text(
            "{of} comes out as {dtype}, too coarse to measure slopes: keep the dtype of the input",
            {"of": slope.of, "dtype": str(of.dtype)},
        )
    return Text("close to these inputs forward gives other numbers than the right ones")


def _since(cases: list[Case], first: int) -> Text | None:
    """Say from which case on it is wrong."""
    if first == 0:
        return None
    label = Text(cases[first].label)
    return Text("it is right up to the case “{label}”: look at what is new there", {"label": label})


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
    found = [(w, wrongs) for w, wrongs in known if _explains(wrongs, rights, outs, name)]
    if not found:
        return _by_two(known, rights, outs, name)
    words, wrongs = max(found, key=lambda one: _agreement(one[1], rights, outs))
    alike = all(_alike(wrongs, outs, other) for other in rights[0])
    flipped = all(_equal(out[name], -right[name]) for out, right in zip(outs, rights, strict=True))
    if flipped and not alike:  # it would change other outputs, too
        return Text("the sign is wrong")
    return Text(words)


def _agreement(wrongs: list[Any], rights: Rights, outs: Outs) -> tuple[int, int]:
    """Tell how well a mistake fits all outputs: those that speak against it, those that agree."""
    alike = {name for name in rights[0] if _alike(wrongs, outs, name)}
    judged = [n for n in rights[0] if n not in alike and n[0] != "_"]
    against = [n for n in judged if _explains(wrongs, rights, wrongs, n)]
    return -len(against), len(alike)


def _by_two(known: Mistakes, rights: Rights, outs: Outs, name: str) -> Text | None:
    """Say which two of the usual mistakes, each in its own cases, give these numbers."""
    last = len(outs) - 1
    agreeing = [(w, _cases_alike(wrongs, outs, name)) for w, wrongs in known]
    plain = {k for k in range(len(outs)) if not _wrong(outs[k].get(name), rights[k][name])}
    for words, first in agreeing:
        if last not in first or last in plain:
            continue
        for more, second in agreeing:
            left = sorted(set(range(len(outs))) - first)
            entries = sum(_count_wrong(outs[k].get(name), rights[k][name]) for k in left)
            evident = entries >= EVIDENCE and not plain & set(left)
            if evident and first | second >= set(range(len(outs))):
                return Text(
                    "{first}; in other cases, {second}",
                    {"first": Text(words), "second": Text(more)},
                )
    return None


def _cases_alike(wrongs: list[Any], outs: Outs, name: str) -> set[int]:
    """Return the cases in which a mistake gives the same."""
    return {
        k
        for k, (wrong, out) in enumerate(zip(wrongs, outs, strict=True))
        if isinstance(wrong, dict) and _equal(out.get(name), wrong[name])
    }


def multiplied(
    known: Mistakes, cases: list[Case], rights: Rights, outs: Outs, name: str
) -> Text | None:
    """Say which of the usual mistakes gives these numbers but for a factor, if one does."""
    for words, wrongs in known:
        if not all(isinstance(wrong, dict) for wrong in wrongs):
            continue
        raw = [wrong[name] for wrong in wrongs]
        starts = [_start(case, name, a) for case, a in zip(cases, raw, strict=True)]
        theirs = [numpy.asarray(a - start) for a, start in zip(raw, starts, strict=True)]
        if _multiple(theirs[-1], numpy.asarray(rights[-1][name] - starts[-1])) is not None:
            continue  # the factor alone would explain it
        yours = [_less(out.get(name), start) for out, start in zip(outs, starts, strict=True)]
        sizes = _common_factor(yours, theirs, cases)
        if sizes is not None:
            return Text("{first}; besides, {second}", {"first": Text(words), "second": sizes})
    return None


def _start(case: Case, name: str, wrong: Numbers) -> Any:
    """Return what an output starts from: the input of the same name, as of weights, or 0."""
    start = case.given.get(name)
    return start if getattr(start, "shape", None) == wrong.shape else 0.0


def _less(out: Any, start: Any) -> Any:
    comparable = isinstance(out, numpy.ndarray) and numpy.shape(start) in ((), out.shape)
    return numpy.asarray(out - start) if comparable and out.dtype.kind == "f" else out


def _common_factor(outs: list[Any], theirs: list[Numbers], cases: list[Case]) -> Text | None:
    """Name what all of one list are multiplied by to give the other: one number, or one size."""
    if not theirs[-1].any() or not all(isinstance(a, numpy.ndarray) for a in outs):
        return None
    pairs = [(a, b) for a, b in zip(outs, theirs, strict=True) if a.any() or b.any()]
    factors = [_multiple(a, b) for a, b in pairs]
    if None in factors or (theirs[-1].size == 1 and len(factors) < 3):
        return None
    others = list(zip(outs[:-1], theirs[:-1], cases[:-1], strict=True))
    told = _factor(outs[-1], theirs[-1], cases[-1], others)
    same = numpy.ptp([f for f in factors if f is not None]) < 1e-6
    return told if same or _is_usual(outs[-1], theirs[-1], cases[-1], others) else None


def _multiple(a: Numbers, b: Numbers) -> float | None:
    """Return by what number one array is a multiple of another, None if it isn't."""
    below = float((b * b).sum())
    if (
        a.shape != b.shape
        or a.dtype.kind != "f"
        or not numpy.isfinite(a).all()
        or not 0 < below < math.inf
    ):
        return None
    factor = float((a * b).sum() / below)
    return factor if factor and _equal(a, factor * b) else None


def at_once(exercise: Exercise, cases: list[Case], outs: Outs, name: str) -> Text | None:
    """Say which two of the usual mistakes, made at once, give these numbers in all cases."""
    last = outs[-1].get(name)
    if not isinstance(last, numpy.ndarray) or not last.any():
        return None
    for pair in both.known(exercise.name):
        wrong = played(exercise, pair.variant, cases[-1].given)
        if not isinstance(wrong, dict) or not _equal(last, wrong[name]):
            continue
        wrongs = [played(exercise, pair.variant, case.given) for case in cases]
        if _alike(wrongs, outs, name):
            found = {"first": Text(pair.first), "second": Text(pair.second)}
            return Text("two mistakes at once: {first}; and {second}", found)
    return None


def slipped(
    exercise: Exercise, cases: list[tuple[int, Case]], seed: int, outs: Outs, name: str
) -> Text | None:
    """Say which change of one place of the solution gives the same in all cases, if one does."""
    best: tuple[int, Text] | None = None
    for slip, last in slips.played(exercise.name, seed, cases[-1][0]):
        if isinstance(last, str) or not _equal(outs[-1].get(name), last[name]):
            continue
        wrongs = [slips.outcome(exercise, slip.code, case.given) for _, case in cases]
        if _alike(wrongs, outs, name):
            alike = sum(_alike(wrongs, outs, other) for other in last)
            best = (alike, slip.text) if best is None or alike > best[0] else best
    return None if best is None else best[1]


def replayed(
    exercise: Exercise, cases: list[tuple[int, Case]], seed: int, outs: Outs, name: str
) -> Text | None:
    """Say which other input the solution gives the same for in all cases, if there is one."""
    out = outs[-1].get(name)
    if not isinstance(out, numpy.ndarray) or not out.any():
        return None  # nothing is what many changes leave
    for replay, last in replays.played(exercise.name, seed, cases[-1][0]):
        if not _equal(out, last[name]):
            continue
        wrongs = [replays.outcome(exercise, replay, case.given) for _, case in cases]
        if _alike(wrongs, outs, name):
            return replay.text
    return None


def fitted(
    exercise: Exercise, cases: list[Case], rights: Rights, outs: Outs, name: str
) -> Text | None:
    """Say which number at one place of the solution gives the same in all cases, if one does."""
    out = outs[-1].get(name)
    if not isinstance(out, numpy.ndarray) or not numpy.isfinite(out).all():
        return None
    wrong = sum(_count_wrong(o.get(name), r[name]) for o, r in zip(outs, rights, strict=True))
    if wrong < EVIDENCE:
        return None
    for hole in fits.holes(exercise.name):
        number = fits.fitted(exercise, hole, cases[-1].given, name, out)
        if number is None:
            continue
        wrongs = [hole.outcome(exercise, number, case.given) for case in cases]
        if _alike(wrongs, outs, name):
            return hole.told(number, cases[-1].given)
    return None


def of_a_shape(given: Any, right: Numbers) -> Text | None:
    """Say why an output has the wrong shape."""
    if getattr(given, "kind", "") in ("tuple", "list"):
        return Text("several things stand where one array is asked for: return it alone")
    if not isinstance(given, numpy.ndarray) or given.shape == right.shape:
        return None
    if given.shape == () and right.size > 1 and _equal(given, numpy.asarray(right.sum())):
        return Text("it is summed over everything: sum over the samples only")
    if right.ndim == 0:
        return Text("it isn't one number yet: take the sum or the mean over all axes")
    return _of_axes(given.shape, right.shape)


def of_an_input(cases: list[Case], outs: list[Any]) -> Text | None:
    """Say so if an output is one of the inputs, in all cases."""
    for name, value in cases[-1].given.items():
        if isinstance(value, numpy.ndarray) and all(
            isinstance(out, numpy.ndarray) and numpy.array_equal(out, case.given[name])
            for out, case in zip(outs, cases, strict=True)
        ):
            return Text("it is {name} itself", {"name": name})
    return None


def of_an_empty_slice(outs: list[Any], rights: list[Numbers]) -> Text | None:
    """Say so if all outputs whose shape is wrong are empty, and there are right ones as well."""
    shapes = [getattr(out, "shape", None) for out in outs]
    wrong = [k for k, right in enumerate(rights) if shapes[k] != right.shape]
    if len(wrong) in (0, len(outs)) or any(0 not in (shapes[k] or ()) for k in wrong):
        return None
    return Text("a slice is empty: a[g:-g] is for g = 0, where a[g : len(a) - g] isn't")


def only_where(cases: list[Case], wrong: list[int]) -> Text | None:
    """Say so if a shape is right just in the cases where one of the inputs is some number."""
    for name, value in cases[-1].given.items():
        if type(value) is not int:
            continue
        right = {c.given[name] for k, c in enumerate(cases) if k not in wrong}
        others = {c.given[name] for k, c in enumerate(cases) if k in wrong}
        if len(right) == 1 and others and not right & others:
            return Text(
                "it is right only where {name} is {number}: look at what depends on {name}",
                {"name": name, "number": right.pop()},
            )
    return None


def _of_axes(given: tuple[int, ...], right: tuple[int, ...]) -> Text | None:
    """Say how the axes differ."""
    if given == right[::-1] and len(right) == 2:
        return Text("it is transposed")
    if sorted(given) == sorted(right):
        return Text("the axes are in another order")
    if len(right) == 2 and right[1] == 1 and given == (right[0], right[0]):
        return Text("(N, 1) and (N,) together make (N, N): give both the same shape first")
    if [n for n in given if n != 1] == [n for n in right if n != 1]:
        return Text(
            "an axis of length 1 has been lost: keep it with keepdims=True or a reshape"
            if len(given) < len(right)
            else "there is an axis of length 1 too many: take it away with a reshape"
        )
    if len(given) == len(right) + 1:
        return Text("a sum over one axis is missing")
    if any(given == right[:k] + right[k + 1 :] for k in range(len(right))):
        return Text("it is summed over one axis too many")
    return None


def of_lengths(outs: list[Any], rights: list[Numbers]) -> Text | None:
    """Say which axes of a wrong shape are too short or too long; asked where nothing else fits.

    The last of the cases tells; by how much is said if it is the same in all that are wrong.
    """
    pairs = zip(outs, rights, strict=True)
    shapes = [(a.shape, r.shape) for a, r in pairs if isinstance(a, numpy.ndarray)]
    wrong = [pair for pair in shapes if pair[0] != pair[1]]
    if not wrong:
        return None
    given, right = wrong[-1]
    if math.prod(given) == math.prod(right):
        return Text("the numbers are as many as they must be, but in another shape: reshape them")
    if len(given) != len(right):
        return None
    by = {k: a - b for k, (a, b) in enumerate(zip(given, right, strict=True)) if a != b}
    values = {"axes": ", ".join(map(str, by)), "number": abs(max(by.values()))}
    if len({a - b for pair in wrong for a, b in zip(*pair, strict=False) if a != b}) > 1:
        return Text(
            "along axis {axes} it has another length: compare how that is counted",
            {"axes": values["axes"]},
        )
    if max(by.values()) < 0:
        return Text(
            "along axis {axes} it is too short by {number}: compare how that is counted", values
        )
    return Text("along axis {axes} it is too long by {number}: compare how that is counted", values)


def _all_equal(wrong: dict[str, Any], out: dict[str, Any]) -> bool:
    return all(_equal(out.get(name), numpy.asarray(wrong[name])) for name in wrong)


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
        "a name that isn't known there: it is misspelt, not imported, or was known in another "
        "function alone, and must be handed on, as in a cache",
    ),
    (
        r"not enough values to unpack|too many values to unpack",
        "a shape, a cache or what a function returns has another number of parts than are taken "
        "out of it",
    ),
    (
        r"unexpected keyword|positional argument",
        "a function gets arguments that it doesn't take: compare their names and their number",
    ),
    (r"NoneType", "something is None: does each function return what the docstring asks for?"),
    (r"RecursionError", "a function calls itself without end"),
    (
        r"inhomogeneous",
        "a list of arrays of different shapes is taken for one array: go through it, one array "
        "at a time",
    ),
    (
        r"truth value of an array",
        "an `if`, `and`, `or`, `max` or `min` gets a whole array: np.where and np.maximum decide "
        "entry by entry",
    ),
    (
        r"IndexError|out of bounds",
        "an index or an axis doesn't fit the array: compare it with the shape; an index is a "
        "whole number",
    ),
    (
        r"cannot reshape|total size of new array",
        "the numbers don't fill the new shape: compare how many there are",
    ),
    (
        r"'(tuple|list)' object|(tuple|list) indices|'(tuple|list)' and",
        "a tuple or a list is used as if it were something else: x.shape is a tuple, and so is "
        "what many functions return, to be taken apart as in y, cache = forward(x)",
    ),
    (
        r"not callable",
        "what isn't a function is called like one: an entry is taken by [i], a net is asked by "
        "net.forward(x), and np.random is a module",
    ),
    (
        r"has no attribute",
        "this object has nothing of that name: compare with what the docstring gives you",
    ),
    (
        r"UFuncTypeError|same_kind",
        "numbers with fractions are written into an array of whole numbers: make a new array",
    ),
)


def of_a_crash(
    known: Mistakes, outcomes: list[dict[str, Any]], error: str, slip: Callable[[], Text | None]
) -> Text | None:
    """Say what usually causes an exception.

    Parameters
    ----------
    known
        The usual mistakes: one that ends each case in the same way is the cause.
    outcomes
        How each case ended.
    error
        The first exception.
    slip
        Finds a slip of the pen that ends in the same way.
    """
    for words, wrongs in known:
        if ends_alike(wrongs, outcomes):
            return Text(words)
    usual_ = next((Text(words) for pattern, words in CRASHES if re.search(pattern, error)), None)
    return slip() or usual_


def crashed(
    exercise: Exercise, seed: int, i: int, cases: list[tuple[int, Case]], outcomes: Any
) -> Text | None:
    """Say which change of one place of the solution ends in the same exception, if one does.

    The line that fails must have it: many changes end alike.
    """
    error, line = (outcomes[i]["values"].get(name, "") for name in ("error", "code"))
    if exercise.name in slips.LOOPS:
        return None
    for slip, last in slips.played(exercise.name, seed, cases[i][0]):
        wrong = _without_spaces(str(slip.text.values.get("wrong", "")))
        if wrong.startswith("("):  # a tuple that is returned is written without
            wrong = wrong.removeprefix("(").removesuffix(")")
        if not wrong or wrong not in _without_spaces(line):
            continue
        if last == error and ends_alike(
            (slips.outcome(exercise, slip.code, case.given) for _, case in cases), outcomes
        ):
            return slip.text
    return None


def _without_spaces(code: str) -> str:
    return "".join(code.split())


def ends_alike(wrongs: Iterable[Any], outcomes: list[dict[str, Any]]) -> bool:
    """Tell whether a mistake gives the same outputs or the same exception in each case."""
    return all(
        wrong == outcome["values"].get("error", "")
        and _all_equal(getattr(wrong, "done", {}), outcome.get("done", {}))
        if "fault" in outcome
        else isinstance(wrong, dict) and _all_equal(wrong, outcome["out"])
        for wrong, outcome in zip(wrongs, outcomes, strict=True)
    )


# ---------------------------------------------------------------- the usual mistakes


@cache
def _namespace(exercise_name: str, code: str) -> Any:
    from minigan.learn.course import exercise

    names = starter.namespace(exercise(exercise_name))
    exec(code, names)
    return SimpleNamespace(**{n: v for n, v in names.items() if not n.startswith("__")})


class Ended(str):
    """The exception that a mistake ends in, as it is printed; `done` came before."""

    done: dict[str, Any]


def played(exercise: Exercise, variant: Variant, given: Any) -> dict[str, Numbers] | Ended | None:
    """Return what a usual mistake gives, or the exception that it ends in."""
    done: dict[str, Any] = {}
    try:
        return answer(exercise, _namespace(exercise.name, variant.code), given, done)
    except Broken:
        return None
    except Exception as error:
        ended = Ended(f"{type(error).__name__}: {error}")
        ended.done = done
        return ended


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


def _equal(a: Any, b: Any) -> bool:
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
    return bool((abs(a[finite] - b[finite]) <= CLOSE * max(scale, 1e-14)).all())


def _count_wrong(given: Any, right: Numbers) -> int:
    if not isinstance(given, numpy.ndarray) or given.shape != right.shape:
        return 0
    scale = max(float(abs(right).max()), 1e-14) if right.size else 1.0
    return int((abs(given - right) > CLOSE * scale).sum())


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
    fit: Callable[[], Text | None],
    others: Others,
) -> Text | None:
    """Explain one case by what the others don't contradict."""
    a, r = numpy.asarray(out[name], float), right[name]
    if not isinstance(out[name], numpy.ndarray) or a.shape != r.shape:
        return None
    if not numpy.isfinite(a).all():
        return slip() or Text(
            "there is NaN or infinity: look for a division by zero, log(0), √0 or an exp that "
            "overflows"
        )
    told = _of_terms(exercise, case, a, name)
    if len(told) == 1:
        return told[0]
    if _equal(a, -r):
        return Text("the sign is wrong")
    found = slip() or _joined(told) or _generic(exercise, case, right, a, name, fit, others)
    if not found:
        found = fit() or (_constant(a, r) if all(_constant(b, q) for b, q, _ in others) else None)
    return found or _partly(a, r)


def _of_terms(exercise: Exercise, case: Case, a: Numbers, name: str) -> list[Text]:
    """Write an answer by the named terms of its case, and one thing more, if that has them."""
    known = terms_of(exercise, case)
    if name not in known:
        return []
    parts, intruders = known[name]
    others = {n: v for n, v in case.given.items() if getattr(v, "shape", None) == a.shape}
    named = {n: v for n, v in others.items() if n not in parts and v.dtype.kind == "f"}
    found = _by_terms(a, parts, intruders, case)
    return found or _by_terms(a, parts, named, case, strictly=True)


def _earlier(
    exercise: Exercise, cases: list[Case], outs: Outs, name: str, wrong: list[int]
) -> Text | None:
    """Look at the cases that have named terms: the last may have none, such as several steps.

    They must all tell the same, but for the number of one term, and few entries tell nothing.
    """
    told: list[tuple[int, list[Text]]] = []
    for k in wrong:
        a, count = outs[k][name], len(terms_of(exercise, cases[k]).get(name, ({}, {}))[0])
        if count and isinstance(a, numpy.ndarray) and a.size > count and numpy.isfinite(a).all():
            told.append((k, _of_terms(exercise, cases[k], a, name)))
    if not told or not all(texts for _, texts in told):
        return None
    k, first = told[0]
    if len({str(_joined(texts)) for _, texts in told}) == 1:
        return _joined(first)
    if len({_unnumbered(texts) for _, texts in told}) > 1 or len(first) > 1:
        return None
    label = Text(cases[k].label)
    return Text("in the case “{label}”, {found}", {"label": label, "found": first[0]})


def _unnumbered(texts: list[Text]) -> str:
    return re.sub(r"-?\d[\d.e+-]*", "#", str(_joined(texts)))


def _by_looks(
    exercise: Exercise, cases: list[Case], outs: Outs, name: str, wrong: list[int]
) -> Text | None:
    """Say what the exercise itself recognises, in the first case that is wrong."""
    case, a = cases[wrong[0]], outs[wrong[0]].get(name)
    if exercise.looks is None or not isinstance(a, numpy.ndarray):
        return None
    with numpy.errstate(all="ignore"):
        words = exercise.looks(name, SimpleNamespace(**case.given), a)
    return None if words is None else Text(words)


def _over_cases(
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
    return _joined(_by_terms(a, dict(zip(known[0], rows.T, strict=True)), {}, Case("", {})))


def terms_of(exercise: Exercise, case: Case) -> dict[str, tuple[Named, Named]]:
    """Return the named terms of a case: for an output, those that are right and the intruders."""
    if exercise.terms is None:
        return {}
    with numpy.errstate(all="ignore"):
        return exercise.terms(SimpleNamespace(**{"interlude": True, **case.given}))


def _evenly(a: Numbers, r: Numbers) -> Text | None:
    """Say so if a number is off by the same factor, or by the same number, in all cases."""
    finite = numpy.isfinite(a)
    if finite.sum() < 3 or not abs(r[finite]).max() > 0:
        return None
    nothing = Case("", {})
    return _factor(a[finite], r[finite], nothing, []) or _constant(a[finite], r[finite])


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
        shares = _solve(a, terms)
        if shares is None or (strictly and not _simple(numpy.array(shares[: len(parts)]))):
            continue
        if len(parts) > 1 and not extra and numpy.ptp(shares) < 1e-4:
            return [t for t in [_factor(a, numpy.asarray(sum(terms)), case, [])] if t is not None]
        said = [_share(label, c, case) for label, c in zip(parts, shares, strict=False)]
        said += [_intruder(label, c) for label, c in zip(extra, shares[len(parts) :], strict=True)]
        told = [text for text in said if text is not None]
        if told:
            return told
    return []


def _joined(texts: list[Text]) -> Text | None:
    if not texts:
        return None
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
    size = _size(abs(c), case, [])
    sign = Text(", and has the wrong sign") if c < 0 else Text("")
    values = {"what": what, "factor": f"{abs(c):.4g}", "size": size, "sign": sign}
    return Text("{what} is off by the factor {factor}{size}{sign}", values)


def _intruder(label: str, c: float) -> Text | None:
    if abs(c) < 1e-4:
        return None
    times = "" if abs(c - 1) < 1e-4 else f"{c:.4g} × "
    return Text("{times}{what} has come in", {"times": times, "what": Text(label)})


def _size(factor: float, case: Case, others: Others) -> Text:
    """Name a factor that is one of the numbers or sizes of the case, or made of two of them."""
    made = () if _simple(numpy.array([factor])) else _made_numbers(case)
    for value, word in itertools.chain(_plain_numbers(case), made):
        if math.isclose(factor, value, rel_tol=1e-4) and all(_agrees(word, *o) for o in others):
            return Text(f" ({word})")
    return Text("")


def _agrees(word: str, a: Numbers, r: Numbers, case: Case) -> bool:
    """Tell whether another case speaks for the name of a factor, or says nothing."""
    factor = _multiple(a, r)
    named = (*_plain_numbers(case, least=1), *_made_numbers(case))
    values = [value for value, other in named if other == word]
    return not (factor and values) or any(
        math.isclose(abs(factor), v, rel_tol=1e-4) for v in values
    )


def _plain_numbers(case: Case, least: int = 3) -> Iterator[tuple[float, str]]:
    """Yield the numbers and the lengths of a case, one over them, and Bessel's correction."""
    for name, value in case.given.items():
        if isinstance(value, float) and value > 0:
            yield from ((value, name), (1 / value, f"1 / {name}"), (1 - value, f"1 - {name}"))
        if isinstance(value, float) and 0 < value < 1:
            yield 1 / (1 - value), f"1 / (1 - {name})"
        for word, n in _lengths(name, value):
            if n >= least:  # no usual factor is mistaken for it
                bessel = n / max(n - 1, 1)
                yield from ((n, word), (1 / n, f"1 / {word}"), (bessel, f"{word} / ({word} - 1)"))


def _made_numbers(case: Case) -> Iterator[tuple[float, str]]:
    """Yield squares of numbers, numbers of pixels and of entries, and those of logarithms."""
    for name, value in case.given.items():
        if (isinstance(value, float) and value > 0) or (type(value) is int and value > 2):
            yield from ((value**2, f"{name}²"), (1 / value**2, f"1 / {name}²"))
        if isinstance(value, numpy.ndarray) and value.ndim == 4 and value.size:
            pixels, word = value.shape[1] * value.shape[2], f"{name}.shape[1] · {name}.shape[2]"
            yield from ((pixels, word), (1 / pixels, f"1 / ({word})"))
            kernel, word = value.shape[0] * value.shape[1], f"{name}.shape[0] · {name}.shape[1]"
            yield from ((kernel, word), (1 / kernel, f"1 / ({word})"))
        if isinstance(value, numpy.ndarray) and value.size > 2:
            if (
                value.dtype.kind == "f"
                and name.isalpha()
                and (norm := float(numpy.sqrt((value**2).sum()))) > 0
            ):
                yield from ((norm, f"|{name}|"), (1 / norm, f"1 / |{name}|"))
            yield from ((value.size, f"{name}.size"), (1 / value.size, f"1 / {name}.size"))
    yield from ((math.log(2), "log 2"), (1 / math.log(2), "1 / log 2"))
    yield from ((math.log(10), "log 10"), (1 / math.log(10), "1 / log 10"))


def _lengths(name: str, value: Any) -> Iterator[tuple[str, int]]:
    """Yield the lengths of an array's axes."""
    if isinstance(value, numpy.ndarray):
        yield from ((f"{name}.shape[{k}]", n) for k, n in enumerate(value.shape) if n)


# ---------------------------------------------------------------- any output


def _generic(
    exercise: Exercise,
    case: Case,
    right: dict[str, Numbers],
    a: Numbers,
    name: str,
    fit: Callable[[], Text | None],
    others: Others,
) -> Text | None:
    r = right[name]
    slope = exercise.outputs[name].slope
    if abs(a).max() == 0:
        return Text(
            "it is zero everywhere: it is never written, written to a copy, or multiplied by 0"
        )
    if not abs(r).max() > 0:
        return Text("it must be zero everywhere")
    if a.size == 1:
        return _factor(a, r, case, others)
    found = _factor(a, r, case, others)
    if found:
        return found if _is_usual(a, r, case, others) else fit() or found
    if slope is not None:
        words = diagnose.likely_cause(_case(exercise, case, right, a, name))
        if "none of the usual ones" not in words:
            return Text(words)
    return _of_inputs(a, r, case)


def _is_usual(a: Numbers, r: Numbers, case: Case, others: Others) -> bool:
    """Tell whether the factor between two arrays is a simple number or one that has a name."""
    factor = float((a * r).sum() / (r * r).sum())
    return _simple(numpy.array([factor])) or str(_size(abs(factor), case, others)) != ""


def _factor(a: Numbers, r: Numbers, case: Case, others: Others) -> Text | None:
    c = float((a * r).sum() / (r * r).sum())
    if c == 0 or abs(c - 1) < 1e-4 or not _equal(numpy.asarray(a / c), r):
        return None
    if abs(c + 1) < 1e-5:
        return Text("the sign is wrong")
    size = _size(abs(c), case, others)
    if a.size == 1 and not str(size) and not _simple(numpy.array([c])):
        return None
    sign = Text(", and the sign is wrong") if c < 0 else Text("")
    values = {"factor": f"{abs(c):.5g}", "size": size, "sign": sign}
    if a.ndim == 0:
        return Text("it is off by the factor {factor}{size}{sign}", values)
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


def _partly(a: Numbers, r: Numbers) -> Text | None:
    wrong = abs(a - r) > CLOSE * abs(r).max()
    if wrong.all():
        return None
    values = {"wrong": int(wrong.sum()), "all": int(wrong.size)}
    if (a[wrong] == 0).all():
        return Text(
            "{wrong} of {all} entries are zero and the others are right: a part is never written, "
            "or something is cut off at 0",
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

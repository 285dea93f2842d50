"""Why an answer has the wrong numbers: what one case tells that the others don't contradict."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy

from minigan.gradcheck import diagnose
from minigan.learn import compare, factors, regression
from minigan.learn.compare import CLOSE, Outs, Rights
from minigan.learn.factors import Others
from minigan.learn.language import Text
from minigan.learn.parts import Case, Exercise, Numbers, answer


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
    wrong = [k for k in range(len(cases)) if compare.is_wrong(outs[k].get(name), rights[k][name])]
    if not wrong:
        return _near(exercise, rights[-1], outs[-1], name)
    early = regression.over_cases(exercise, cases, rights, outs, name)
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
        return slip() or regression.earlier(exercise, cases, outs, name, wrong[::-1])

    found = _in_general(exercise, cases[i], rights[i], outs[i], name, elsewhere, fit, others)
    return found or _since(cases, wrong[0])


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
    told = regression.of_terms(exercise, case, a, name)
    if len(told) == 1:
        return told[0]
    if compare.equal(a, -r):
        return Text("the sign is wrong")
    found = (
        slip() or regression.joined(told) or _generic(exercise, case, right, a, name, fit, others)
    )
    if not found:
        found = fit() or (
            regression.constant(a, r)
            if all(regression.constant(b, q) for b, q, _ in others)
            else None
        )
    return found or _partly(a, r)


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
        return factors.told(a, r, case, others)
    found = factors.told(a, r, case, others)
    if found:
        return found if factors.is_usual(a, r, case, others) else fit() or found
    if slope is not None:
        words = diagnose.likely_cause(_case(exercise, case, right, a, name))
        if "none of the usual ones" not in words:
            return Text(words)
    return _of_inputs(a, r, case)


def _of_inputs(a: Numbers, r: Numbers, case: Case) -> Text | None:
    """The answer is one of the inputs, or the right one plus some multiple of an input."""
    arrays = {
        n: v for n, v in case.given.items() if isinstance(v, numpy.ndarray) and v.shape == a.shape
    }
    for name, value in arrays.items():
        if compare.equal(a, value):
            return Text("it is {name} itself", {"name": name})
    for name, value in arrays.items():
        shares = regression.solve(a, [r, value])
        if shares is not None and factors.is_simple(numpy.array(shares)):
            own = regression.share("the right one", shares[0], case)
            return regression.joined([t for t in (own, regression.intruder(name, shares[1])) if t])
    for one, other in itertools.combinations_with_replacement(arrays, 2):
        if compare.equal(a, arrays[one] * arrays[other]):
            return Text("it is {name}", {"name": f"{one} · {other}"})
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

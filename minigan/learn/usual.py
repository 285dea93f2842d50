"""The usual mistakes, and slips of the pen: each is played, and its numbers are compared."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy

from minigan.learn import both, compare, factors, fits, replays, slips, starter
from minigan.learn.compare import Outs, Rights
from minigan.learn.language import Text
from minigan.learn.parts import Broken, Case, Exercise, Numbers, Variant, answer

EVIDENCE = 3
"""This many wrong entries can't all be met by one number that is fitted to them."""
Mistakes = list[tuple[str, list[Any]]]
"""The usual mistakes: the words, and for each case what they give, or the error they end in."""


@cache
def mistakes(name: str, seed: int) -> Mistakes:
    """Play the usual mistakes of an exercise in all its cases."""
    from minigan.learn.course import exercise

    chosen = exercise(name)
    cases = chosen.drawn(seed)
    return [(v.words, [played(chosen, v, c.given) for c in cases]) for v in chosen.variants]


def made(known: Mistakes, rights: Rights, outs: Outs, name: str) -> Text | None:
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
    found = [(w, wrongs) for w, wrongs in known if compare.explains(wrongs, rights, outs, name)]
    if not found:
        return _by_two(known, rights, outs, name)
    words, wrongs = max(found, key=lambda one: _agreement(one[1], rights, outs))
    same = all(compare.agrees(wrongs, outs, other) for other in rights[0])
    flipped = all(
        compare.equal(out[name], -right[name]) for out, right in zip(outs, rights, strict=True)
    )
    if flipped and not same:  # it would change other outputs, too
        return Text("the sign is wrong")
    return Text(words)


def _agreement(wrongs: list[Any], rights: Rights, outs: Outs) -> tuple[int, int]:
    """Tell how well a mistake fits all outputs: those that speak against it, those that agree."""
    alike = {name for name in rights[0] if compare.agrees(wrongs, outs, name)}
    judged = [n for n in rights[0] if n not in alike and n[0] != "_"]
    against = [n for n in judged if compare.explains(wrongs, rights, wrongs, n)]
    return -len(against), len(alike)


def _by_two(known: Mistakes, rights: Rights, outs: Outs, name: str) -> Text | None:
    """Say which two of the usual mistakes, each in its own cases, give these numbers."""
    last = len(outs) - 1
    agreeing = [(w, _cases_alike(wrongs, outs, name)) for w, wrongs in known]
    plain = {
        k for k in range(len(outs)) if not compare.is_wrong(outs[k].get(name), rights[k][name])
    }
    for words, first in agreeing:
        if last not in first or last in plain:
            continue
        for more, second in agreeing:
            left = sorted(set(range(len(outs))) - first)
            entries = sum(compare.count_wrong(outs[k].get(name), rights[k][name]) for k in left)
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
        if isinstance(wrong, dict) and compare.equal(out.get(name), wrong[name])
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
        if factors.multiple(theirs[-1], numpy.asarray(rights[-1][name] - starts[-1])) is not None:
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
    sizes = [factors.multiple(a, b) for a, b in pairs]
    if None in sizes or (theirs[-1].size == 1 and len(sizes) < 3):
        return None
    others = list(zip(outs[:-1], theirs[:-1], cases[:-1], strict=True))
    told = factors.told(outs[-1], theirs[-1], cases[-1], others)
    same = numpy.ptp([f for f in sizes if f is not None]) < 1e-6
    return told if same or factors.is_usual(outs[-1], theirs[-1], cases[-1], others) else None


def at_once(exercise: Exercise, cases: list[Case], outs: Outs, name: str) -> Text | None:
    """Say which two of the usual mistakes, made at once, give these numbers in all cases."""
    last = outs[-1].get(name)
    if not isinstance(last, numpy.ndarray) or not last.any():
        return None
    for pair in both.known(exercise.name):
        wrong = played(exercise, pair.variant, cases[-1].given)
        if not isinstance(wrong, dict) or not compare.equal(last, wrong[name]):
            continue
        wrongs = [played(exercise, pair.variant, case.given) for case in cases]
        if compare.agrees(wrongs, outs, name):
            found = {"first": Text(pair.first), "second": Text(pair.second)}
            return Text("two mistakes at once: {first}; and {second}", found)
    return None


def slipped(
    exercise: Exercise, cases: list[tuple[int, Case]], seed: int, outs: Outs, name: str
) -> Text | None:
    """Say which change of one place of the solution gives the same in all cases, if one does."""
    best: tuple[int, Text] | None = None
    for slip, last in slips.played(exercise.name, seed, cases[-1][0]):
        if isinstance(last, str) or not compare.equal(outs[-1].get(name), last[name]):
            continue
        wrongs = [slips.outcome(exercise, slip.code, case.given) for _, case in cases]
        if compare.agrees(wrongs, outs, name):
            alike = sum(compare.agrees(wrongs, outs, other) for other in last)
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
        if not compare.equal(out, last[name]):
            continue
        wrongs = [replays.outcome(exercise, replay, case.given) for _, case in cases]
        if compare.agrees(wrongs, outs, name):
            return replay.text
    return None


def fitted(
    exercise: Exercise, cases: list[Case], rights: Rights, outs: Outs, name: str
) -> Text | None:
    """Say which number at one place of the solution gives the same in all cases, if one does."""
    out = outs[-1].get(name)
    if not isinstance(out, numpy.ndarray) or not numpy.isfinite(out).all():
        return None
    wrong = sum(
        compare.count_wrong(o.get(name), r[name]) for o, r in zip(outs, rights, strict=True)
    )
    if wrong < EVIDENCE:
        return None
    for hole in fits.holes(exercise.name):
        number = fits.fitted(exercise, hole, cases[-1].given, name, out)
        if number is None:
            continue
        wrongs = [hole.outcome(exercise, number, case.given) for case in cases]
        if compare.agrees(wrongs, outs, name):
            return hole.told(number, cases[-1].given)
    return None


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

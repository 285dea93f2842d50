"""The verdict: what the reader's code gives, against a reference and against finite differences.

The code itself runs elsewhere, as a rule in a process of its own; here are only numbers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy

from minigan.gradcheck.subject import Odd
from minigan.learn import causes, crashes, shapes, slips, starter, usual
from minigan.learn.language import Text
from minigan.learn.parts import Case, Exercise, Given, Numbers, Slope, answer
from minigan.learn.verdict import NOT_BEGUN, RIGHT, WRONG, Finding, Row, Verdict

Play = Callable[[list[Given]], list[dict[str, Any]]]
"""Plays cases; returns what `minigan.learn.pupil.attempt` does."""
TOLERANCE, SINGLE, H = 1e-6, 1e-3, 1e-3
WHOLE_NUMBERS = Text(
    "it is an array of whole numbers, which cuts fractions off: look for astype(int) or dtype=int, "
    "and for arrays that are made from whole numbers"
)
BETWEEN = Text(
    "another forward call between forward and backward changes it: keep what backward needs "
    "in the cache that forward returns, not in an object or a global name"
)
ENTRIES = 24
"""This many slopes are measured of each array."""


def judged(exercise: Exercise, play: Play, *, seed: int = 0, case: int | None = None) -> Verdict:
    """Judge code.

    Parameters
    ----------
    exercise
        What it was to do.
    play
        Plays cases with it.
    seed
        Draws the cases.
    case
        If given, only this one counts, from 1; the others help to find out what is wrong.

    Raises
    ------
    ValueError
        If there is no such case.
    """
    cases = exercise.drawn(seed)
    if case is not None and not 1 <= case <= len(cases):
        raise ValueError(f"{exercise.stem} has the cases 1 to {len(cases)}, got {case}.")
    asked = list(range(len(cases))) if case is None else [case - 1]
    verdict = Verdict(exercise, seed=seed)
    _Judge(exercise, play, list(enumerate(cases, 1)), asked, verdict).run()
    verdict.state = WRONG if verdict.findings else RIGHT
    return verdict


def unwritten(exercise: Exercise, text: str, path: Path | str) -> Verdict | None:
    """Return a verdict where the file itself already tells: not begun, no Python, parts missing."""
    verdict = Verdict(exercise, WRONG)
    try:
        blank = starter.missing(text, exercise)
        gone = starter.absent(text, exercise)
    except SyntaxError as error:
        what = Text("line {line}: {error}", {"line": error.lineno, "error": error.msg})
        verdict.findings.append(Finding("crash", what))
        return verdict
    except (ValueError, RecursionError, MemoryError) as error:
        verdict.findings.append(Finding("crash", Text("{error}", {"error": str(error)})))
        return verdict
    if gone:
        names = ", ".join(gone)
        text_ = Text("{path} doesn't define {names}", {"path": Path(path).name, "names": names})
        verdict.findings.append(Finding("missing", text_))
        return verdict
    if set(blank) == set(exercise.asks):
        verdict.state = NOT_BEGUN
        return verdict
    if ready := starter.ready_made(text):
        text_ = Text(
            "it imports {names}, which has the answer ready-made: write it with NumPy alone",
            {"names": ", ".join(ready)},
        )
        verdict.findings.append(Finding("imports", text_))
        return verdict
    return None


class _Judge:
    """One judgement under way; of all cases, it is about those that are asked for."""

    def __init__(
        self,
        exercise: Exercise,
        play: Play,
        cases: list[tuple[int, Case]],
        asked: list[int],
        verdict: Verdict,
    ) -> None:
        self.exercise, self.play, self.cases, self.verdict = exercise, play, cases, verdict
        self.asked = asked
        self.rights: list[dict[str, Numbers]] = []

    @property
    def telling(self) -> Case:
        """The last case, which tells most."""
        return self.cases[self.asked[-1]][1]

    @cached_property
    def mistakes(self) -> usual.Mistakes:
        """The usual mistakes, in the cases that are judged."""
        known = usual.mistakes(self.exercise.name, self.verdict.seed)
        return [(words, [found[k - 1] for k, _ in self.cases]) for words, found in known]

    def run(self) -> None:
        """Fill in the verdict."""
        outcomes = self.play([case.given for _, case in self.cases])
        if self._broken(outcomes):
            return
        if any("fault" in outcome for outcome in outcomes):  # elsewhere: there is no more to see
            self.cases = [self.cases[k] for k in self.asked]
            outcomes = [outcomes[k] for k in self.asked]
            self.asked = list(range(len(self.cases)))
        self._answer()
        self._look_at_writes(outcomes)
        outs = [outcome["out"] for outcome in outcomes]
        wrong = {
            name: hit for name in self.exercise.outputs if (hit := self._first_wrong(name, outs))
        }
        for name in self.exercise.outputs:
            self._row(name, wrong.get(name), outs)
        self._show(wrong, outs)
        self._conduct(wrong, outs)

    # ---------------------------------------------------------------- what can't be compared

    def _broken(self, outcomes: list[dict[str, Any]]) -> bool:
        """Report the first case that ended in an error, if there is one."""
        for i in self.asked:
            (number, case), outcome = self.cases[i], outcomes[i]
            if "fault" not in outcome:
                continue
            values = {k: v for k, v in outcome["values"].items() if k != "code"}
            cause = crashes.of_a_crash(
                self.mistakes,
                outcomes,
                str(values.get("error", "")),
                lambda i=i: self._crashed(i, outcomes),  # type: ignore[misc]
            )
            self.verdict.findings.append(
                Finding(outcome["fault"], Text(outcome["msgid"], values), cause)
            )
            if outcome["fault"] != "missing":
                self.verdict.case = number, case.label
                self.verdict.shown = shown(case.given)
            self._judge_what_was_done([o.get("out") or o.get("done", {}) for o in outcomes])
            return True
        return False

    def _crashed(self, i: int, outcomes: list[dict[str, Any]]) -> Text | None:
        if self._is_right_if_calm():
            return BETWEEN
        return crashes.crashed(self.exercise, self.verdict.seed, i, self.cases, outcomes)

    def _judge_what_was_done(self, dones: list[dict[str, Any]]) -> None:
        """Judge the outputs that were there before the error, such as forward's."""
        known = [n for n in self.exercise.outputs if all(n in dones[k] for k in self.asked)]
        if not known:
            return
        self._answer()
        for name, output in self.exercise.outputs.items():
            if name in known:
                self._row(name, self._first_wrong(name, dones), dones)
            else:
                against = "calculus" if output.slope else "reference"
                part = output.part or name
                self.verdict.rows.append(Row(name, output.what, math.nan, against, "missing", part))

    def _answer(self) -> None:
        self.rights = [
            answer(self.exercise, self.exercise.solution, c.given) for _, c in self.cases
        ]

    def _first_wrong(self, name: str, outs: list[dict[str, Any]]) -> tuple[int, str, float] | None:
        """Return the index of the first case where an output is wrong, how, and its error.

        A wrong shape comes before wrong numbers: in small cases it may look like them.
        """
        found = [
            (i, *compared(outs[i].get(name), self.rights[i][name], self._scale(i, name)))
            for i in self.asked
        ]
        wrong = [hit for hit in found if hit[1] != RIGHT]
        return next((hit for hit in wrong if hit[1] == "shape"), wrong[0] if wrong else None)

    def _scale(self, i: int, name: str) -> float:
        """Return how large an output's errors are measured against: its largest entry."""
        right = self.rights[i][name]
        own = float(abs(right).max()) if right.size else 0.0
        return own if own > 1e-14 else 1.0  # below, it is 0 up to rounding

    # ---------------------------------------------------------------- one output

    def _row(
        self, name: str, hit: tuple[int, str, float] | None, outs: list[dict[str, Any]]
    ) -> None:
        output, slope = self.exercise.outputs[name], self.exercise.outputs[name].slope
        i = self.asked[-1] if hit is None else hit[0]
        state = RIGHT if hit is None else hit[1]
        error = compared(outs[i][name], self.rights[i][name], self._scale(i, name))[1]
        forward = slope is not None and not self._has_wrong_forward(name, outs)
        against = "calculus" if forward else "reference"
        if slope is not None and state == "value" and not forward:
            own = self._against_own_forward(slope, outs[self.asked[-1]][name])
            if math.isfinite(own):
                against, error = "calculus", own
            if own <= TOLERANCE:
                state, hit = RIGHT, None
                self.verdict.notes.append(
                    Text(
                        "{name} is the right derivative of your own {of}, which isn't right yet",
                        {"name": name, "of": slope.of},
                    )
                )
        elif slope is not None and state == RIGHT and forward:
            error = max(error, self._against_own_forward(slope, outs[i][name]))
            if error > TOLERANCE:
                state, hit = "value", (i, "value", error)
        self.verdict.rows.append(Row(name, output.what, error, against, state, output.part or name))
        told = output.follows and self._first_wrong(output.follows, outs) is not None
        if hit is not None and not told:
            self._explain(name, (hit[0], hit[1], error), outs, against)

    def _has_wrong_forward(self, name: str, outs: list[dict[str, Any]]) -> bool:
        """Tell whether an output is a derivative of another one that is wrong."""
        slope = self.exercise.outputs[name].slope
        return slope is not None and self._first_wrong(slope.of, outs) is not None

    def _against_own_forward(self, slope: Slope, given: Any) -> float:
        """Measure some slopes of the reader's own forward; return the worst error."""
        right = self.telling.given[slope.wrt]
        if not isinstance(given, numpy.ndarray) or given.shape != right.shape:
            return math.inf
        flat = _some_places(right.size)
        measured = self.slopes(slope, self.telling.given, flat)
        scale = max(float(abs(measured).max()), float(abs(given).max()), 1e-6)
        error = abs(given.ravel()[flat] - measured).max() / scale
        return math.inf if math.isnan(error) else float(error)

    def slopes(self, slope: Slope, given: Given, flat: Any) -> Numbers:
        """Measure slopes of the reader's own forward, by four points each."""
        moved: list[Given] = []
        for k in flat:
            for h in (H, -H, 2 * H, -2 * H):
                array = given[slope.wrt].copy()
                array.flat[k] += h
                moved.append(given | {slope.wrt: array, "interlude": False})
        values = [self._loss(slope, given, o) for o in self.play(moved)]
        up, down, up2, down2 = numpy.array(values).reshape(-1, 4).T
        return numpy.asarray((8 * (up - down) - (up2 - down2)) / (12 * H))

    def _loss(self, slope: Slope, given: Given, outcome: dict[str, Any]) -> float:
        y = (outcome.get("out") or outcome.get("done", {})).get(slope.of)
        if not isinstance(y, numpy.ndarray) or y.dtype.kind not in "fiu":
            return math.nan
        weights = 1.0 if slope.by is None else given[slope.by]
        try:
            return float((weights * y).sum())
        except ValueError:
            return math.nan

    # ---------------------------------------------------------------- sentences

    def _explain(
        self, name: str, hit: tuple[int, str, float], outs: list[dict[str, Any]], against: str
    ) -> None:
        i, kind, error = hit
        right, given = self.rights[i][name], outs[i].get(name)
        known = usual.made(self.mistakes, self.rights, outs, name)
        if kind == "shape":
            cause = known or self._of_a_shape(name, outs) or shapes.of_a_shape(given, right)
            cause = cause or self._slip(name, outs)
            cause = cause or shapes.of_lengths(
                [out.get(name) for out in outs], [r[name] for r in self.rights]
            )
            self.verdict.findings.append(Finding("shape", _shape(name, given, right), cause, name))
            return
        if against == "calculus" and self._has_wrong_forward(name, outs):
            i, text = self.asked[-1], self._beside_own_forward(name, outs, error)
            self.verdict.findings.append(Finding("value", text, known, name))
            return
        between = self._between(name) if self._first_wrong(name, outs) else None
        whole = WHOLE_NUMBERS if self._is_cut(name, outs) else None
        cause = known or between or whole
        if cause is None and any(f.kind == "conduct" for f in self.verdict.findings):
            self.verdict.findings.append(
                Finding("value", self._sentence(name, i, given, error), None, name)
            )
            return
        cause = cause or causes.of_values(
            self.exercise,
            self._cases(),
            self.rights,
            outs,
            name,
            lambda: self._slip(name, outs),
            lambda: self._last_resort(name, outs),
        )
        self.verdict.findings.append(
            Finding("value", self._sentence(name, i, given, error), cause, name)
        )

    def _beside_own_forward(self, name: str, outs: list[dict[str, Any]], error: float) -> Text:
        """Say what is wrong where forward is wrong as well: its own slopes are what counts."""
        i, slope = self.asked[-1], self.exercise.outputs[name].slope
        assert slope is not None
        given = numpy.asarray(outs[i][name], float)
        flat = _some_places(given.size)
        measured = self.slopes(slope, self.telling.given, flat)
        k = _worst(abs(given.ravel()[flat] - measured))[0]
        index = tuple(int(n) for n in numpy.unravel_index(flat[k], given.shape))
        numbers = float(given[index]), float(measured[k]), error
        return self._beside(name, (i, index), numbers, _measured(slope))

    def _is_cut(self, name: str, outs: list[dict[str, Any]]) -> bool:
        """Tell whether whole numbers stand where the right ones have fractions."""
        pairs = [(out.get(name), r[name]) for out, r in zip(outs, self.rights, strict=True)]
        return all(
            isinstance(a, numpy.ndarray)
            and a.dtype.kind in "iu"
            and any(numpy.array_equal(a, cut(r)) for cut in (numpy.trunc, numpy.floor, numpy.rint))
            for a, r in pairs
        )

    def _slip(self, name: str, outs: list[dict[str, Any]]) -> Text | None:
        where = self.exercise, self.cases, self.verdict.seed, outs, name
        besides = self.mistakes, self._cases(), self.rights, outs, name
        slow = self.exercise.name in slips.LOOPS
        slip = None if slow else usual.slipped(*where)
        found = slip or usual.replayed(*where) or usual.multiplied(*besides)
        return found or usual.at_once(self.exercise, self._cases(), outs, name)

    def _last_resort(self, name: str, outs: list[dict[str, Any]]) -> Text | None:
        if self.exercise.name in slips.LOOPS:
            return usual.slipped(self.exercise, self.cases, self.verdict.seed, outs, name)
        return usual.fitted(self.exercise, self._cases(), self.rights, outs, name)

    def _of_a_shape(self, name: str, outs: list[dict[str, Any]]) -> Text | None:
        """Say what all cases together tell of a wrong shape; the last has distinct sizes."""
        given, rights = [out.get(name) for out in outs], [right[name] for right in self.rights]
        itself = shapes.of_an_input(self._cases(), given)
        if itself is not None:
            return itself
        pairs = enumerate(zip(given, rights, strict=True))
        wrong = [k for k, (a, r) in pairs if getattr(a, "shape", None) != r.shape]
        return (
            shapes.of_a_shape(given[-1], rights[-1])
            or shapes.of_an_empty_slice(given, rights)
            or shapes.only_where(self._cases(), wrong)
        )

    def _is_right_if_calm(self) -> bool:
        """Tell whether all ends well without another forward call in between."""
        self._answer()
        calm = self.play([case.given | {"interlude": False} for _, case in self.cases])
        outs = [outcome.get("out", {}) for outcome in calm]
        return all(self._first_wrong(name, outs) is None for name in self.exercise.outputs)

    def _between(self, name: str) -> Text | None:
        """Say so if it is right without another forward call in between."""
        calm = self.play([case.given | {"interlude": False} for _, case in self.cases])
        for i, (right, outcome) in enumerate(zip(self.rights, calm, strict=True)):
            value = (outcome.get("out") or outcome.get("done", {})).get(name)
            if compared(value, right[name], self._scale(i, name))[0] != RIGHT:
                return None
        return BETWEEN

    def _cases(self) -> list[Case]:
        return [case for _, case in self.cases]

    def _sentence(self, name: str, i: int, given: Any, error: float) -> Text:
        """Say what is wrong, with both numbers at one index."""
        slope = self.exercise.outputs[name].slope
        right = self.rights[i][name]
        if not numpy.isfinite(given).all():
            index = _worst(numpy.where(numpy.isfinite(given), 0.0, 1.0))
        else:
            index = _worst(abs(given - right))
        wanted, what = float(right[index]), Text("the right number is")
        if slope is not None and self.exercise.outputs[slope.of].slope is None:
            k = int(numpy.ravel_multi_index(index, right.shape)) if right.ndim else 0
            measured = float(self.slopes(slope, self.cases[i][1].given, [k])[0])
            if math.isfinite(measured):
                wanted, what = measured, _measured(slope)
        return self._beside(name, (i, index), (float(given[index]), wanted, error), what)

    def _beside(
        self,
        name: str,
        place: tuple[int, tuple[int, ...]],
        numbers: tuple[float, float, float],
        what: Text,
    ) -> Text:
        """Say what an entry is and what it must be, and the worst error."""
        (i, index), (number, wanted, error) = place, numbers
        return Text(
            "{name} is wrong: your {where} is {number}, {what} {wanted} (case {case}, worst "
            "relative error {error})",
            {
                "name": name,
                "where": f"{name}{list(index)}" if index else name,
                "number": f"{number:.7g}",
                "what": what,
                "wanted": f"{wanted:.7g}",
                "case": self.cases[i][0],
                "error": f"{error:.1e}",
            },
        )

    def _show(self, wrong: dict[str, tuple[int, str, float]], outs: list[dict[str, Any]]) -> None:
        named = {f.output for f in self.verdict.findings}
        hits = [(hit[0], name) for name, hit in wrong.items() if name in named]
        if not hits:
            return
        i, _ = min(hits)
        number, case = self.cases[i]
        self.verdict.case = number, case.label
        lines = shown(case.given)
        for j, name in hits:
            if j == i:
                right = "" if self._has_wrong_forward(name, outs) else self.rights[i][name]
                told = f"  # {_written(right)}" if isinstance(right, numpy.ndarray) else ""
                lines.append(f"{name} = {_written(outs[i].get(name))}{told}")
        self.verdict.shown = lines

    # ---------------------------------------------------------------- conduct

    def _look_at_writes(self, outcomes: list[dict[str, Any]]) -> None:
        """Report inputs that were written to: what came out after that has this cause, maybe."""
        for name in dict.fromkeys(name for k in self.asked for name in outcomes[k]["wrote"]):
            self._complain(
                "{name} has been written to: the caller's array must stay as it is ({name} = "
                "{name} * 2 makes a new one, {name} *= 2 does not)",
                name=name,
            )

    def _conduct(self, wrong: dict[str, Any], outs: list[dict[str, Any]]) -> None:
        again = self.play([self.telling.given])[0].get("out", {})
        for name in self.exercise.outputs:
            if not wrong and not _same(again.get(name), outs[self.asked[-1]].get(name)):
                self._complain(
                    "a second call with the same input gives another {name}: something is kept "
                    "from "
                    "call to call",
                    name=name,
                )
                break
        if not self.verdict.findings:
            self._single()

    def _complain(self, msgid: str, **values: Any) -> None:
        self.verdict.findings.append(Finding("conduct", Text(msgid, values)))

    def _single(self) -> None:
        """In float32, everything must come out in float32, and right."""
        narrow = {
            n: v.astype("float32") if isinstance(v, numpy.ndarray) and v.dtype == "float64" else v
            for n, v in self.telling.given.items()
        }
        (outcome,) = self.play([narrow])
        if "fault" in outcome:
            self._complain(
                "for float32 input: {what}", what=Text(outcome["msgid"], outcome["values"])
            )
            return
        expected = answer(self.exercise, self.exercise.solution, narrow)
        wide: dict[str, str] = {}
        for name, output in self.exercise.outputs.items():
            value, right = outcome["out"].get(name), expected[name]
            if right.dtype != "float32" or not isinstance(value, numpy.ndarray):
                continue
            if value.dtype != "float32" and right.ndim and not output.wide:
                wide[name] = str(value.dtype)
            elif compared(value, right, max(float(abs(right).max()), 1e-3), SINGLE)[0] != RIGHT:
                self._complain(
                    "for float32 input, {name} is wrong by more than rounding", name=name
                )
        if wide:
            self._complain(
                "for float32 input, {names} must come out as float32, not as {dtype}: take the "
                "dtype from the input, as np.zeros_like(x) and y.astype(x.dtype) do",
                names=", ".join(wide),
                dtype=" or ".join(dict.fromkeys(wide.values())),
            )


def compared(
    given: Any, right: Numbers, scale: float, tolerance: float = TOLERANCE
) -> tuple[str, float]:
    """Compare an output; return how it is wrong, or ``"right"``, and its worst relative error."""
    if isinstance(given, Odd) or given is None:
        return "shape", math.nan
    if given.shape != right.shape or given.dtype.kind not in "fiu" or given.size == 0 != right.size:
        return "shape", math.nan
    if given.size == 0:
        return RIGHT, 0.0
    difference = abs(given.astype(float) - right)
    error = float(difference.max() / scale)
    same = bool(numpy.isfinite(given).all()) and error <= tolerance
    return (RIGHT if same else "value"), (math.inf if math.isnan(error) else error)


def shown(given: Given) -> list[str]:
    """Return a case's numbers as lines of Python."""
    return [f"{name} = {_written(value)}" for name, value in given.items()]


def _written(value: Any) -> str:
    if isinstance(value, Odd):
        return value.kind
    if not isinstance(value, numpy.ndarray):
        return repr(value)
    if value.size > 48:
        return f"array of shape {value.shape}"
    text = numpy.array2string(value, separator=", ", precision=6, max_line_width=10**6)
    return f"np.array({' '.join(text.split())})" if value.ndim else f"{value.item():.7g}"


def _shape(name: str, given: Any, right: Numbers) -> Text:
    if given is None or isinstance(given, Odd):
        kind = "nothing" if given is None or given.kind == "NoneType" else given.kind
        return Text(
            "{name} is {kind}, but must be an array of shape {shape}",
            {"name": name, "kind": kind, "shape": str(right.shape)},
        )
    if given.shape != right.shape:
        values = {"name": name, "given": str(given.shape), "shape": str(right.shape)}
        if right.ndim == 0:
            return Text("{name} has the shape {given}, but must be a single number", values)
        return Text("{name} has the shape {given}, but must have {shape}", values)
    values = {"name": name, "dtype": str(given.dtype)}
    return Text("{name} has the dtype {dtype}, but must hold floating-point numbers", values)


def _measured(slope: Slope) -> Text:
    return Text("finite differences of your own {of} give", {"of": slope.of})


def _some_places(size: int) -> Numbers:
    """Return the places whose slopes are measured."""
    if size <= ENTRIES:
        return numpy.arange(size)
    return numpy.random.default_rng(size).choice(size, ENTRIES, replace=False)


def _worst(a: Numbers) -> tuple[int, ...]:
    if a.ndim == 0:
        return ()
    flat = int(numpy.nan_to_num(a, nan=numpy.inf).argmax())
    return tuple(int(k) for k in numpy.unravel_index(flat, a.shape))


def _same(a: Any, b: Any) -> bool:
    if not isinstance(a, numpy.ndarray) or not isinstance(b, numpy.ndarray):
        return a == b
    return a.shape == b.shape and bool(numpy.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True))

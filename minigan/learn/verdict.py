"""What is said of an exercise: a verdict, its parts, its sentences."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from minigan.gradcheck.report import table
from minigan.learn.language import Speaker, Text
from minigan.learn.parts import Exercise

RIGHT, WRONG, NOT_BEGUN = "right", "wrong", "not begun"
STATUS = {RIGHT: 0, WRONG: 1, NOT_BEGUN: 3}
"""Exit status of each state."""
HEAD = ("output", "what it is", "worst relative error", "judged by", "")
TOLD = {"value": "wrong value", "shape": "wrong shape"}
WORDS = (*HEAD, RIGHT, WRONG, NOT_BEGUN, "missing", *TOLD.values())
"""The words of the table that may stand in it; each is translated."""


@dataclass(frozen=True)
class Row:
    """One output: its worst relative error and how it was judged.

    Attributes
    ----------
    name, what
        Its name, and what it is.
    error
        NaN if it couldn't be compared.
    against
        ``"calculus"`` or ``"reference"``.
    state
        ``"right"``, or what kind of mistake there is: ``"shape"``, ``"value"``, ``"missing"``.
    part
        What it is marked with.
    """

    name: str
    what: str
    error: float
    against: str
    state: str
    part: str


@dataclass(frozen=True)
class Finding:
    """Something that is wrong.

    Attributes
    ----------
    kind
        ``"missing"``, ``"shape"``, ``"value"``, ``"conduct"``, ``"crash"`` or ``"imports"``.
    text
        A sentence without its full stop.
    cause
        The diagnosis, or None.
    output
        The output that it is about, or None.
    """

    kind: str
    text: Text
    cause: Text | None = None
    output: str | None = None


@dataclass
class Verdict:
    """What a check has found.

    Attributes
    ----------
    exercise
        Which one.
    state
        ``"right"``, ``"wrong"`` or ``"not begun"``.
    rows, findings
        One row per output; what is wrong.
    notes
        What should be known and isn't wrong.
    case, shown
        The smallest failing case: its number (from 1) and label; and its numbers, as lines.
    seed
        Draws the cases.
    """

    exercise: Exercise
    state: str = RIGHT
    rows: list[Row] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    notes: list[Text] = field(default_factory=list)
    case: tuple[int, str] | None = None
    shown: list[str] = field(default_factory=list)
    seed: int = 0

    @property
    def ok(self) -> bool:
        """Whether it is right."""
        return self.state == RIGHT

    @property
    def status(self) -> int:
        """The exit status."""
        return STATUS[self.state]

    def parts(self) -> dict[str, bool]:
        """Return what is marked, and whether each part is right."""
        marked = [output.part or name for name, output in self.exercise.outputs.items()]
        wrong = {row.part for row in self.rows if row.state != RIGHT}
        whole = bool(self.rows) and self.state != NOT_BEGUN
        found = {part: whole and part not in wrong for part in dict.fromkeys(marked)}
        conduct = whole and not any(
            f.kind in ("conduct", "crash", "missing") for f in self.findings
        )
        return found | {"conduct": conduct}

    def points(self) -> float:
        """Return the share of the parts that are right; 1 only if everything is."""
        parts = self.parts()
        return 1.0 if self.ok else min(sum(parts.values()) / len(parts), 0.99)

    def as_json(self, say: Speaker) -> dict[str, Any]:
        """Return everything as JSON has it."""
        return {
            "exercise": self.exercise.stem,
            "state": self.state,
            "points": round(self.points(), 4),
            "parts": self.parts(),
            "outputs": [
                {
                    "name": r.name,
                    "what": say(r.what),
                    "state": r.state,
                    "against": r.against,
                    "error": None if math.isnan(r.error) or math.isinf(r.error) else r.error,
                }
                for r in self.rows
            ],
            "findings": [
                {
                    "kind": f.kind,
                    "output": f.output,
                    "text": say(f.text),
                    "cause": None if f.cause is None else say(f.cause),
                }
                for f in self.findings
            ],
            "notes": [say(note) for note in self.notes],
            "case": self.case and {"number": self.case[0], "label": say(self.case[1])},
            "seed": self.seed,
        }

    def table(self, say: Speaker) -> list[str]:
        """Return the table of the outputs."""
        head = tuple(say(word) for word in HEAD)
        rows = [
            (
                row.name,
                say(row.what),
                "-" if math.isnan(row.error) else f"{row.error:.1e}",
                say("finite differences" if row.against == "calculus" else "a reference"),
                say(TOLD.get(row.state, row.state)),
            )
            for row in self.rows
        ]
        return table(head, rows) if rows else []

    def lines(self, say: Speaker, *, replayed: bool = True) -> list[str]:
        """Return the whole answer; `replayed` adds the command that plays the failing case."""
        title = f"{self.exercise.stem}: {say(self.exercise.title)}"
        if self.state == NOT_BEGUN:
            begin = say("Not begun: write what the docstrings ask for, then check again.")
            return [title, *(self._noted(say) or [begin])]
        found = _told(self._ordered(), say)
        case = self._case(say)
        replay = [*case, *self._replay(say)] if case and replayed else case
        return [title, *self.table(say), "", *found, *replay, *self._end(say)]

    def _ordered(self) -> list[Finding]:
        """Return a sentence for each cause, once; values after what explains them."""
        seen: set[str] = set()
        kept = []
        for finding in self.findings:
            key = f"{finding.text}{finding.cause}"
            if key not in seen:
                seen.add(key)
                kept.append(finding)
        return kept

    def _replay(self, say: Speaker) -> list[str]:
        number = 0 if self.case is None else self.case[0]
        seed = f" --seed {self.seed}" if self.seed else ""
        command = f"minigan learn check {self.exercise.stem} --case {number}{seed}"
        return [say("Replay it with `{command}`.", command=command)]

    def _case(self, say: Speaker) -> list[str]:
        if self.case is None:
            return []
        number, label = self.case
        head = say(
            "The smallest failing case is number {number} ({label}); the right numbers stand "
            "after #:"
            if any("  # " in line for line in self.shown)
            else "The smallest failing case is number {number} ({label}):",
            number=number,
            label=label,
        )
        return [head, *(f"    {line}" for line in self.shown)]

    def _noted(self, say: Speaker) -> list[str]:
        return [say.ended(say("Note: {note}", note=say(note))) for note in self.notes]

    def _end(self, say: Speaker) -> list[str]:
        notes = self._noted(say)
        return [*notes, say("Right.")] if self.ok else [*notes, say("Not right yet.")]


def _told(findings: list[Finding], say: Speaker) -> list[str]:
    lines, earlier = [], None
    for finding in findings:
        lines.append(say.ended(finding.text))
        if finding.cause is not None:
            cause = say(finding.cause)
            words = say("the same as above") if cause == earlier else cause
            lines.append("  " + say.ended(say("likely cause: {cause}", cause=words)))
            earlier = cause
    return lines

"""Marks for a class: every folder is checked, and nothing in one of them stops the others."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minigan.files import written_whole
from minigan.gradcheck.runner import Limits
from minigan.learn.checking import LIMITS, check_file, read
from minigan.learn.course import course, find
from minigan.learn.language import Speaker, Text, printable
from minigan.learn.parts import Exercise
from minigan.learn.starter import GIVEN, imported
from minigan.learn.verdict import NOT_BEGUN, WRONG, Finding, Verdict

POINTS = 10
"""What an exercise is worth."""
SET = "minigan-set.json"


@dataclass(frozen=True)
class Task:
    """What a class was given.

    Attributes
    ----------
    exercises
        Which ones.
    seed
        The teacher's: draws other numbers than the students have seen.
    imports
        Modules that may be imported; None for any.
    """

    exercises: tuple[Exercise, ...]
    seed: int = 0
    imports: tuple[str, ...] | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what `read_task` reads."""
        allowed = None if self.imports is None else list(self.imports)
        return {
            "exercises": [e.stem for e in self.exercises],
            "seed": self.seed,
            "imports": allowed,
        }


def read_task(path: Path) -> Task:
    """Read what `export` has written for the teacher.

    Raises
    ------
    ValueError
        If it isn't that.
    """
    try:
        what = json.loads(path.read_text("utf-8"))
        allowed = what.get("imports")
        imports = None if allowed is None else tuple(str(name) for name in allowed)
        return Task(chosen(what["exercises"]), int(what["seed"]), imports)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} can't be understood ({error}); give the {SET} that `minigan learn export` "
            f"wrote."
        ) from None


def chosen(names: Iterable[str] | None) -> tuple[Exercise, ...]:
    """Return exercises by name, in the order of the course; all for None."""
    if names is None:
        return tuple(course())
    wanted = {find(name).name for name in names}
    return tuple(e for e in course() if e.name in wanted)


def grade(
    folder: Path,
    task: Task,
    *,
    limits: Limits = LIMITS,
    jobs: int = 1,
    tell: Callable[[str], None] = lambda words: None,
    alone: bool = False,
) -> list[tuple[str, list[Verdict]]]:
    """Check the folder of each student.

    Parameters
    ----------
    folder
        Holds a folder for each student; one that holds exercises itself is one student's.
    task
        What they were given.
    limits
        What each file may use.
    jobs
        How many students at a time.
    tell
        Gets each student's name when done.
    alone
        Whether the folder is one submission, whatever lies in it.

    Returns
    -------
    list
        Name and verdicts, sorted by name.

    Raises
    ------
    ValueError
        If there are no students.
    """
    students = [folder] if alone and folder.is_dir() else _students(folder, task)
    if not students:
        raise ValueError(
            f"{folder} holds no folders of students; give the folder that theirs are in."
        )

    def work(student: Path) -> tuple[str, list[Verdict]]:
        found = [_checked(student, exercise, task, limits) for exercise in task.exercises]
        name = printable(student.resolve().name)
        tell(name)
        return name, found

    with ThreadPoolExecutor(max_workers=max(jobs, 1)) as pool:
        return list(pool.map(work, students))


def _students(folder: Path, task: Task) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}; give the folder that holds the students'.")
    if any((folder / f"{e.stem}.py").exists() for e in task.exercises):
        return [folder]
    return sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))


def _checked(student: Path, exercise: Exercise, task: Task, limits: Limits) -> Verdict:
    """Check one file; whatever happens, a verdict comes of it."""
    try:
        path = handed_in(student, exercise)
        if path is None:
            missing = Text("{path} wasn't handed in", {"path": f"{exercise.stem}.py"})
            return Verdict(exercise, NOT_BEGUN, notes=[missing], seed=task.seed)
        verdict = check_file(exercise, path, seed=task.seed, limits=limits)
        _look_at_imports(verdict, path, task)
    except Exception as error:  # one student's file never stops the class
        what = Text(
            "it couldn't be checked: {error}",
            {"error": printable(f"{type(error).__name__}: {error}")},
        )
        return Verdict(exercise, WRONG, findings=[Finding("crash", what)], seed=task.seed)
    return verdict


def handed_in(student: Path, exercise: Exercise) -> Path | None:
    """Return a student's file: in the folder itself, or in the nearest one below, as zips make."""
    path = student / f"{exercise.stem}.py"
    if path.exists():
        return path
    below = [p.relative_to(student) for p in student.rglob(path.name)]
    seen = [p for p in below if not any(part[0] in "._" for part in p.parts)]
    return student / min(seen, key=lambda p: (len(p.parts), p)) if seen else None


def _look_at_imports(verdict: Verdict, path: Path, task: Task) -> None:
    foreign = [] if task.imports is None else sorted(imports(read(path) or "") - set(task.imports))
    if foreign and verdict.state != NOT_BEGUN:
        verdict.state = WRONG
        verdict.rows.clear()
        verdict.findings.append(
            Finding(
                "imports",
                Text("it imports {names}, which isn't allowed here", {"names": ", ".join(foreign)}),
            )
        )


def imports(text: str) -> set[str]:
    """Return what a file imports, by whole name; what the exercises bring along doesn't count.

    This keeps honest people honest: code can import in ways that no list shows.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return set()
    built_in = ("__import__", "eval", "exec")
    called = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id in built_in}
    found = {n for n in imported(tree) if n.partition(".")[0] != "numpy"}
    return (found | called) - {GIVEN, "__future__"}


def points(verdict: Verdict) -> float:
    """Return the points of one exercise: by its parts, all of them only if all is right."""
    return round(POINTS * verdict.points(), 2)


def as_json(graded: list[tuple[str, list[Verdict]]], task: Task, say: Speaker) -> dict[str, Any]:
    """Return the results of a class as one document; a page for teachers describes it."""
    return {
        "version": 1,
        **task.as_json(),
        "points_per_exercise": POINTS,
        "meaning": say("The points show that the code is right, not who wrote it."),
        "students": [
            {
                "name": name,
                "points": round(sum(points(v) for v in verdicts), 2),
                "of": POINTS * len(verdicts),
                "exercises": [
                    v.as_json(say) | {"points": points(v), "of": POINTS} for v in verdicts
                ],
            }
            for name, verdicts in graded
        ],
    }


def lines(graded: list[tuple[str, list[Verdict]]], say: Speaker) -> list[str]:
    """Return a table of a class."""
    from minigan.gradcheck.report import table

    numbers = [f"{v.exercise.number:02d}" for v in graded[0][1]]
    rows = [
        (name, *(f"{points(v):g}" for v in found), f"{sum(points(v) for v in found):g}")
        for name, found in graded
    ]
    return table((say("student"), *numbers, say("sum")), rows)


def write_json(path: Path, what: Any) -> None:
    """Write a document, whole or not at all."""
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(what, indent=1, ensure_ascii=False) + "\n", "utf-8")

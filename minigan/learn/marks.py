"""Marks for a class: every folder is checked, and nothing in one of them stops the others."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from minigan.files import written_whole
from minigan.gradcheck.runner import Limits
from minigan.learn.checking import LARGEST_FILE, LIMITS, check_file, decoded
from minigan.learn.course import course, find
from minigan.learn.language import Speaker, Text, printable
from minigan.learn.parts import Exercise
from minigan.learn.starter import GIVEN, imported
from minigan.learn.verdict import NOT_BEGUN, WRONG, Finding, Verdict

POINTS = 10
"""What an exercise is worth."""
SET = "minigan-set.json"
ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")
BESIDE = 1 << 24
"""Bytes of Python files beside a student's that are copied with it."""


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
        what = json.loads(path.read_bytes())  # it finds out the encoding
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
    warn: Callable[[Text], None] = lambda words: None,
    alone: bool = False,
) -> list[tuple[str, list[Verdict]]]:
    """Check the folder of each student.

    All that is handed in is read before any of it runs, and runs from a folder of its own: no file
    finds another student's beside it.

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
    warn
        Gets what is passed over.
    alone
        Whether the folder is one submission, whatever lies in it.

    Returns
    -------
    list
        Name and verdicts, sorted by name.

    Raises
    ------
    ValueError
        If there are no students, or they aren't the only ones who hand in.
    """
    students = [folder] if alone and folder.is_dir() else _students(folder, task, warn)
    if not students:
        raise ValueError(
            f"{folder} holds no folders of students; give the folder that theirs are in."
        )

    def work(student: Path, files: list[Handed]) -> tuple[str, list[Verdict]]:
        both = zip(task.exercises, files, strict=True)
        found = [_checked(exercise, handed, task, limits) for exercise, handed in both]
        tell(_name(student))
        return _name(student), found

    taken = [_all_taken(student, task) for student in students]
    for student, files in zip(students, taken, strict=True):
        for note in (handed.note for handed in files if handed.note is not None):
            path = printable(str(Path(_name(student), note.values["path"])))
            warn(Text(note.msgid, {**note.values, "path": path}))
    with ThreadPoolExecutor(max_workers=max(jobs, 1)) as pool:
        return list(pool.map(work, students, taken))


def _name(student: Path) -> str:
    return printable(student.name if student.name.strip(".") else student.resolve().name)


def _students(folder: Path, task: Task, warn: Callable[[Text], None]) -> list[Path]:
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}; give the folder that holds the students'.")
    inside = sorted(folder.iterdir())
    found = [p for p in inside if p.is_dir() and p.name[0] != "." and p.name != "__MACOSX"]
    if any((folder / f"{e.stem}.py").exists() for e in task.exercises):
        too = [p for p in found if any(handed_in(p, e) for e in task.exercises)]
        if len(too) > 1:
            raise ValueError(
                f"{folder} holds exercises and folders that hold some, too; take the files out, or "
                "give the folder of one student."
            )
        for path in too:
            warn(Text("{path} is passed over: {folder} holds exercises itself",
                      {"path": path.name, "folder": folder.name}))  # fmt: skip
        return [folder]
    for path in inside:
        if path.suffix.lower() in ARCHIVES:
            warn(Text("{path} is passed over: unpack it first", {"path": path.name}))
    return found


@dataclass(frozen=True)
class Handed:
    """A student's file for an exercise.

    Attributes
    ----------
    path
        Where it lies; None if there is none.
    files
        Path from its folder -> content, of it and of the Python files beside and below it.
    note
        What should be known of it.
    error
        Why it couldn't be read.
    """

    path: Path | None = None
    files: Mapping[str, bytes] = field(default_factory=dict)
    note: Text | None = None
    error: Exception | None = None


def _all_taken(student: Path, task: Task) -> list[Handed]:
    """Read all that a student has handed in; each folder once."""
    folders: dict[Path, Mapping[str, bytes]] = {}
    return [_taken(student, exercise, folders) for exercise in task.exercises]


def _taken(student: Path, exercise: Exercise, folders: dict[Path, Mapping[str, bytes]]) -> Handed:
    """Read a student's file, and the Python files beside and below it."""
    try:
        path = handed_in(student, exercise)
        if path is None:
            return Handed()
        if path.parent not in folders:
            folders[path.parent] = _python_in(path.parent)
        own = {path.name: _head(path)} if path.is_file() else {}
        return Handed(path, {**folders[path.parent], **own}, _chosen_among(student, exercise, path))
    except Exception as error:  # one student's file never stops the class
        return Handed(error=error)


def _python_in(folder: Path) -> Mapping[str, bytes]:
    """Read the Python files of a folder, as far as there is room for them."""
    found, room = {}, BESIDE
    for path in sorted(folder.rglob("*.py")):
        place = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in place.parts):
            found[place.as_posix()] = _head(path)
            room -= len(found[place.as_posix()])
        if room < 0:
            break
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(LARGEST_FILE + 1)


def _chosen_among(student: Path, exercise: Exercise, path: Path) -> Text | None:
    others = [p for p in _below(student, exercise) if p != path]
    if path.parent == student or not others:
        return None
    known = {"path": str(path.relative_to(student)), "count": 1 + len(others)}
    return Text("of {count} files of that name, {path} was marked", known)


def _checked(exercise: Exercise, handed: Handed, task: Task, limits: Limits) -> Verdict:
    """Check one file, in a folder of its own; whatever happens, a verdict comes of it."""
    try:
        if handed.error is not None:
            raise handed.error
        if handed.path is None:
            missing = Text("{path} wasn't handed in", {"path": f"{exercise.stem}.py"})
            return Verdict(exercise, NOT_BEGUN, notes=[missing], seed=task.seed)
        # What a student's own process still holds open on Windows is the system's to remove.
        with TemporaryDirectory(ignore_cleanup_errors=True) as outer:
            box = Path(outer) / "handed-in"  # beside which nobody else's is
            box.mkdir()
            for name, content in handed.files.items():
                (box / name).parent.mkdir(parents=True, exist_ok=True)
                (box / name).write_bytes(content)
            path = box / handed.path.name
            path = path if path.exists() else handed.path  # a device, say, which is refused
            verdict = check_file(exercise, path, seed=task.seed, limits=limits, cwd=box)
        _look_at_imports(verdict, decoded(handed.files.get(handed.path.name, b"")) or "", task)
        verdict.notes += [] if handed.note is None else [handed.note]
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
    return min(_below(student, exercise), key=lambda p: (len(p.parts), p), default=None)


def _below(student: Path, exercise: Exercise) -> list[Path]:
    """Return a student's files of an exercise's name below the folder itself."""
    found = [p.relative_to(student) for p in student.rglob(f"{exercise.stem}.py")]
    hidden = ("__MACOSX", "__pycache__")
    return [student / p for p in found if not any(n[0] == "." or n in hidden for n in p.parts)]


def _look_at_imports(verdict: Verdict, text: str, task: Task) -> None:
    foreign = [] if task.imports is None else sorted(imports(text) - set(task.imports))
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

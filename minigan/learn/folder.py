"""The reader's folder: the files to fill in, and what has been solved."""

from __future__ import annotations

import hashlib
import itertools
import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minigan.files import written_whole
from minigan.learn import starter
from minigan.learn.course import course
from minigan.learn.language import LANGUAGES, Speaker, speaker
from minigan.learn.parts import Exercise
from minigan.learn.verdict import Verdict

PROGRESS = ".minigan-learn.json"
SOLVED, CHANGED, BEGUN, UNTOUCHED, LOST = "solved", "changed", "begun", "untouched", "missing"
"""What can be said of a file without running it."""


@dataclass
class Folder:
    """A folder with exercises.

    Attributes
    ----------
    path
        Where it is.
    language
        ``"en"`` or ``"zh"``.
    names
        The exercises in it, in order.
    progress
        For each: the digest of the file that was found right, how many hints were given, whether
        the solution was shown.
    seed
        Draws the cases.
    whole
        Whether it is to hold the whole course, rather than a class set.
    trouble
        Why the progress couldn't be written, if it couldn't.
    """

    path: Path
    language: str = "en"
    names: list[str] = field(default_factory=list)
    progress: dict[str, dict[str, Any]] = field(default_factory=dict)
    seed: int = 0
    whole: bool = True
    trouble: OSError | None = None

    def exercises(self) -> list[Exercise]:
        """Return the exercises that are in it."""
        return [e for e in course() if e.name in self.names]

    def file(self, exercise: Exercise) -> Path:
        """Return the path of an exercise's file."""
        return self.path / f"{exercise.stem}.py"

    def state(self, exercise: Exercise) -> str:
        """Say how far an exercise is, without running it."""
        path = self.file(exercise)
        if not path.is_file():
            return LOST
        try:
            solved = self.of(exercise).get("digest")
            if solved is not None:
                return SOLVED if solved == digest(path) else CHANGED
            blank = starter.missing(path.read_text("utf-8"), exercise)
        except (SyntaxError, ValueError, OSError):
            return BEGUN
        return UNTOUCHED if set(blank) == set(exercise.asks) else BEGUN

    def of(self, exercise: Exercise) -> dict[str, Any]:
        """Return what is remembered of an exercise; may be changed."""
        return self.progress.setdefault(exercise.name, {})

    def first_unsolved(self) -> Exercise | None:
        """Return the exercise to go on with, or None at the end."""
        return next((e for e in self.exercises() if self.state(e) != SOLVED), None)

    def record(self, verdict: Verdict, checked: str | None = None) -> None:
        """Remember a verdict: the very file that was right is what counts as solved.

        The progress is read anew first, for other commands may have written it meanwhile.

        Parameters
        ----------
        verdict
            What was found.
        checked
            The `digest` of the file before the check; by default, what it is now.
        """
        with suppress(ValueError):
            now = opened(self.path)
            self.progress, self.names = now.progress, now.names
        memory = self.of(verdict.exercise)
        if verdict.ok:
            memory["digest"] = checked or digest(self.file(verdict.exercise))
        else:
            memory.pop("digest", None)
        self.save()

    def save(self) -> None:
        """Write the progress; `trouble` says why, if that isn't possible."""
        what = {
            "version": 1,
            "language": self.language,
            "seed": self.seed,
            "exercises": self.names,
            "whole": self.whole,
            "progress": self.progress,
        }
        text = json.dumps(what, indent=1, ensure_ascii=False) + "\n"
        try:
            with written_whole(self.path / PROGRESS) as temporary:
                temporary.write_text(text, "utf-8")
        except OSError as error:
            self.trouble = error


def digest(path: Path) -> str:
    """Return what a file is known by, its name included."""
    return hashlib.sha256(path.name.encode() + b"\n" + path.read_bytes()).hexdigest()


def start(path: Path, say: Speaker, exercises: list[Exercise], seed: int = 0) -> tuple[Folder, int]:
    """Lay out the files; what is there already stays as it is.

    Returns
    -------
    Folder, int
        The folder, and how many files were written.

    Raises
    ------
    ValueError
        If there is another folder of that name.
    """
    if path.exists() and not path.is_dir():
        raise ValueError(f"{path} is a file; give the name of a new folder.")
    known = (path / PROGRESS).is_file()
    if path.is_dir() and not known and not _is_ours(path):
        raise ValueError(
            f"{path} exists and holds something else; give the name of a new folder, or of one "
            f"that "
            "`minigan learn start` has made."
        )
    whole = len(exercises) == len(course())
    folder = opened(path) if known else Folder(path, say.language, [], seed=seed, whole=whole)
    wanted = exercises if folder.whole or not whole else []  # a class set stays one
    folder.names = [e.name for e in course() if e in wanted or e.name in folder.names]
    path.mkdir(parents=True, exist_ok=True)
    written = 0
    for exercise in folder.exercises():
        if not folder.file(exercise).exists():
            write_starter(folder, exercise, say)
            written += 1
    folder.save()
    return folder, written


def _is_ours(path: Path) -> bool:
    """Whether a folder is empty, or holds exercises and what belongs to them."""
    stems = {e.stem for e in course()}
    names = {p.name for p in path.iterdir()}
    exercises = {n for n in names if n.partition(".")[0] in stems}
    more = {n for n in names if n in ("ring", "digits", "__pycache__") or n.startswith(".")}
    return not names or (bool(exercises) and exercises | more == names)


def write_starter(folder: Folder, exercise: Exercise, say: Speaker) -> None:
    """Write the file to fill in."""
    with written_whole(folder.file(exercise)) as temporary:
        temporary.write_text(starter.starter(exercise, say), "utf-8")


def reset(folder: Folder, exercise: Exercise, say: Speaker) -> Path | None:
    """Begin again; return where the earlier file is kept, if something was written in it."""
    path = folder.file(exercise)
    kept = None
    if path.exists() and not _is_untouched(path, exercise):
        kept = _free(path.with_suffix(".py.before-reset"))
        path.replace(kept)
    write_starter(folder, exercise, say)
    folder.progress.pop(exercise.name, None)
    folder.save()
    return kept


def _is_untouched(path: Path, exercise: Exercise) -> bool:
    here = path.read_bytes()
    texts = (starter.starter(exercise, speaker(language)) for language in LANGUAGES)
    return any(text.encode() == here for text in texts)


def _free(path: Path) -> Path:
    """Return a path where nothing lies yet, so that nothing kept before is lost."""
    numbered = (path.with_name(f"{path.name}-{n}") for n in itertools.count(2))
    return next(p for p in itertools.chain([path], numbered) if not p.exists())


def opened(path: Path) -> Folder:
    """Open a folder that `start` has made.

    Raises
    ------
    ValueError
        If it isn't one, or its progress can't be read.
    """
    file = path / PROGRESS
    try:
        what = json.loads(file.read_bytes())  # it finds out the encoding
        names, progress = list(what["exercises"]), dict(what["progress"])
        language, seed = str(what["language"]), int(what["seed"])
        whole = bool(what.get("whole", len(names) == len(course())))
    except FileNotFoundError:
        raise ValueError(
            f"{path} holds no exercises; make them with `minigan learn start {path}`."
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ValueError(
            f"{file} can't be understood; delete it and run `minigan learn start {path}` again: "
            f"your "
            "exercises stay, and are checked anew."
        ) from None
    known = [e.name for e in course() if e.name in names]
    kept = {n: dict(p) for n, p in progress.items() if n in known and isinstance(p, dict)}
    return Folder(path, language if language in LANGUAGES else "en", known, kept, seed, whole)


def found(here: Path) -> Folder:
    """Find the folder that is meant: this one, one above, or the only one just below.

    Raises
    ------
    ValueError
        If there is none, or more than one.
    """
    for path in (here, *here.resolve().parents):
        if (path / PROGRESS).is_file():
            return opened(path)
    below = sorted(p.parent for p in here.glob(f"*/{PROGRESS}"))
    if len(below) == 1:
        return opened(below[0])
    if below:
        names = ", ".join(p.name for p in below)
        raise ValueError(f"There are several folders with exercises ({names}); choose with --dir.")
    raise ValueError(
        "There are no exercises here; go to their folder, or make one with `minigan learn start "
        "exercises`."
    )

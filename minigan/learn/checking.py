"""Check a file: it runs in a process of its own, with limits, and the verdict is reached here."""

from __future__ import annotations

import io
import os
import sys
import tokenize
from pathlib import Path
from typing import Any

from minigan.gradcheck.load import UsageError
from minigan.gradcheck.report import Misconduct
from minigan.gradcheck.runner import Limits, Runner
from minigan.gradcheck.subject import Odd
from minigan.learn import judge
from minigan.learn.language import PLACE, Text, printable
from minigan.learn.parts import Exercise, Given
from minigan.learn.verdict import WRONG, Finding, Verdict

LIMITS = Limits(seconds=5.0, memory=2 << 30, file_size=16 << 20, processes=8)
LARGEST_FILE = 1 << 20


def check_file(
    exercise: Exercise,
    path: Path,
    *,
    seed: int = 0,
    case: int | None = None,
    limits: Limits = LIMITS,
    cwd: Path | None = None,
) -> Verdict:
    """Check the file of an exercise.

    Parameters
    ----------
    exercise
        What it is to do.
    path
        The file.
    seed
        Draws the numbers that it is tried on.
    case
        If given, only this case, from 1.
    limits
        What the file may use.
    cwd
        The folder that it runs in; by default this process's.

    Raises
    ------
    OSError
        If the file can't be read.
    ValueError
        If there is no such case.
    """
    verdict = _unread(exercise, path)
    if verdict is None:
        verdict = judge.unwritten(exercise, read(path) or "", path)
    if verdict is None:
        verdict = _run(exercise, path, seed, case, limits, cwd)
    verdict.seed = seed
    return verdict


def read(path: Path) -> str | None:
    """Return a file's text, or None if it isn't text that Python reads."""
    with path.open("rb") as stream:
        return decoded(stream.read(LARGEST_FILE + 1))


def decoded(raw: bytes) -> str | None:
    """Return the content of a file as text, or None if it isn't text that Python reads."""
    try:
        text = raw.decode(tokenize.detect_encoding(io.BytesIO(raw).readline)[0])
    except (UnicodeDecodeError, SyntaxError, LookupError):
        return None
    return None if len(raw) > LARGEST_FILE or "\0" in text else text


def _unread(exercise: Exercise, path: Path) -> Verdict | None:
    """Refuse what can't be read, and say why."""
    what = {"path": path.name}
    if not path.is_file():
        return _refused(exercise, Text("{path} isn't a file", what))
    if read(path) is not None:
        return None
    if path.stat().st_size > LARGEST_FILE:
        return _refused(exercise, Text("{path} is larger than 1 MiB: hand in the code alone", what))
    return _refused(
        exercise, Text("{path} isn't Python code in UTF-8: save it as text in UTF-8", what)
    )


def _run(
    exercise: Exercise, path: Path, seed: int, case: int | None, limits: Limits, cwd: Path | None
) -> Verdict:
    path = path if cwd is None else path.resolve()
    place = f"{path}:{exercise.asks[0].partition('.')[0]}"
    printed = b""
    try:
        with Runner(
            place, limits=limits, child="minigan.learn.pupil", cwd=cwd, exercise=exercise.name
        ) as runner:
            try:
                verdict = judge.judged(exercise, _through(runner), seed=seed, case=case)
            finally:
                printed = runner.printed
    except Misconduct as error:
        verdict = _refused(
            exercise,
            Text("{what}", {"what": printable(str(error).removeprefix(f"{path} "))}),
            "conduct",
        )
    except UsageError as error:
        what = str(error).replace(f"{path}, ", "").partition("\n")[0]
        verdict = _refused(
            exercise, Text("the file can't be run: {error}", {"error": printable(what.rstrip("."))})
        )
    _note_limits(verdict)
    _note_output(verdict, printed)
    return verdict


def _through(runner: Runner) -> judge.Play:
    def play(givens: list[Given]) -> list[dict[str, Any]]:
        answers = runner.ask(givens=givens)
        if not isinstance(answers, list) or len(answers) != len(givens):
            raise Misconduct("answered what isn't an answer")
        if not all(isinstance(a, dict) and _is_sound(a) for a in answers):
            raise Misconduct("answered what isn't an answer")
        for answer in answers:
            _clean(answer)
        return answers

    return play


def _is_sound(answer: dict[str, Any]) -> bool:
    if "fault" in answer:
        msgid, values = answer.get("msgid"), answer.get("values")
        if not isinstance(msgid, str) or not isinstance(values, dict):
            return False
        named = set(PLACE.findall(msgid)) <= values.keys() and "{" not in PLACE.sub("", msgid)
        return named and isinstance(answer.get("done", {}), dict)
    return isinstance(answer.get("out"), dict) and isinstance(answer.get("wrote"), list)


def _clean(answer: dict[str, Any]) -> None:
    """Leave no line breaks or escapes in what the file has written into its exceptions."""
    values = answer.get("values", {})
    values |= {name: printable(v) for name, v in values.items() if isinstance(v, str)}
    for out in (answer.get("out", {}), answer.get("done", {})):
        out |= {name: Odd(printable(v.kind)) for name, v in out.items() if isinstance(v, Odd)}


def _refused(exercise: Exercise, text: Text, kind: str = "crash") -> Verdict:
    return Verdict(exercise, WRONG, findings=[Finding(kind, text)])


def _note_output(verdict: Verdict, printed: bytes) -> None:
    first, _, more = printed.decode(errors="replace").strip().partition("\n")
    if first:
        cut = first[:80] + ("…" if more or len(first) > 80 else "")
        verdict.notes.append(Text("the file printed {first}", {"first": repr(cut)}))


def _note_limits(verdict: Verdict) -> None:
    if os.name != "posix":  # pragma: no cover - Windows
        verdict.notes.append(
            Text("on this system memory, files and child processes can't be limited; time can")
        )
    elif sys.platform == "darwin":  # pragma: no cover - macOS
        verdict.notes.append(Text("on this system memory can't be limited; time and files can"))

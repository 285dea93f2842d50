"""The process in which the reader's code runs: it plays cases, and judges nothing."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy

from minigan.gradcheck.child import serve
from minigan.gradcheck.load import frames_in, import_file, split
from minigan.gradcheck.subject import Odd
from minigan.learn.course import exercise
from minigan.learn.parts import Broken, Exercise, Given, run


def main() -> None:
    """Answer requests to play cases."""
    serve(_load, _answer)


def _load(setup: dict[str, Any]) -> tuple[Exercise, Any, Path]:
    chosen = exercise(setup["exercise"])
    path = split(setup["place"])[0]
    vars(chosen.solution).clear()
    sys.addaudithook(_refuse)
    folder = str(path.resolve().parent)
    module = import_file(path)
    sys.path.insert(0, folder)  # a function may import what lies beside the file, too
    return chosen, module, path


PROGRAMS = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen")
ANSWERS = str(Path(__file__).parent / "solutions")


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would end the checker, start programs, or look the answers up."""
    if event in PROGRAMS:
        raise PermissionError("a file that is checked starts no programs")
    if event in ("os.kill", "os.killpg") and arguments[0] != os.getpid():
        raise PermissionError("a file that is checked ends no other process")
    if event == "open" and str(arguments[0]).startswith(ANSWERS):
        raise PermissionError("a file that is checked doesn't read the answers")
    if event == "import" and str(arguments[0]).startswith("minigan.learn.solutions"):
        raise PermissionError("a file that is checked doesn't import the answers")


def _answer(loaded: tuple[Exercise, Any, Path], request: dict[str, Any]) -> list[dict[str, Any]]:
    chosen, module, path = loaded
    return [attempt(chosen, module, given, path) for given in request["givens"]]


def attempt(chosen: Exercise, code: Any, given: Given, path: Path | None = None) -> dict[str, Any]:
    """Play a case and say what came of it.

    Returns
    -------
    dict
        ``out``, the outputs by name, and ``wrote``, the arrays that were written to; or ``fault``,
        what went wrong, with a pattern and its values, and ``done``, the outputs before that.
    """
    done: dict[str, Any] = {}
    outcome = _attempted(chosen, code, given, path, done)
    if "fault" in outcome:
        outcome["done"] = {n: _plain(v) for n, v in done.items()}
    return outcome


def _attempted(
    chosen: Exercise, code: Any, given: Given, path: Path | None, done: dict[str, Any]
) -> dict[str, Any]:
    watched = {n: v for n, v in given.items() if isinstance(v, numpy.ndarray)}
    handed = {n: v.copy() for n, v in watched.items()}
    try:
        out = run(chosen, code, given | handed, done)
    except Broken as error:
        return {"fault": "shape", "msgid": error.text.msgid, "values": dict(error.text.values)}
    except NotImplementedError as error:
        return {"fault": "missing"} | _unwritten(_own(error, path))
    except Exception as error:
        return {"fault": "crash", "msgid": _crash(error, path), "values": _where(error, path)}
    wrote = [n for n, v in watched.items() if not numpy.array_equal(handed[n], v, equal_nan=True)]
    return {"out": {n: _plain(v) for n, v in out.items()}, "wrote": wrote}


def _plain(value: Any) -> Any:
    """Copy an array or number to NumPy as it is in memory, whatever its class says of itself."""
    if isinstance(value, numpy.ndarray):
        return numpy.array(numpy.ndarray.view(value, numpy.ndarray))
    if isinstance(value, (bool, int, float, complex, numpy.generic)):
        return numpy.array(value)
    return Odd(type(value).__name__)


def _unwritten(own: Any) -> dict[str, Any]:
    if own is None:
        return {"msgid": "something in it isn't written yet", "values": {}}
    return {"msgid": "{function} isn't written yet", "values": {"function": own.name}}


def _crash(error: BaseException, path: Path | None) -> str:
    return "line {line}, in {function}: {error}" if _own(error, path) else "{error}"


def _where(error: BaseException, path: Path | None) -> dict[str, Any]:
    own = _own(error, path)
    what = f"{type(error).__name__}: {error}"[:500]
    if own is None:
        return {"error": what}
    return {"error": what, "line": own.lineno, "function": own.name, "code": own.line}


def _own(error: BaseException, path: Path | None) -> Any:
    frames = [] if path is None else frames_in(path, error)
    return frames[-1] if frames else None


if __name__ == "__main__":
    main()

"""The process in which a user's file runs: it maps arrays to arrays, and judges nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from minigan.gradcheck import wire
from minigan.gradcheck.load import UsageError, load_layer, located, split
from minigan.gradcheck.subject import Subject

METHODS = (
    "traits", "forward", "evaluate", "backward", "second", "grads", "put", "restore", "output",
    "forget", "find", "kept",
)  # fmt: skip


def main() -> None:
    """Answer requests about a layer."""
    serve(_load, _answer)


def serve(load: Callable[[Any], Any], answer: Callable[[Any, Any], Any]) -> None:
    """Answer requests on standard input until it ends; what the file prints goes to stderr.

    Parameters
    ----------
    load
        Turns the first message, which says what to load, into whatever `answer` needs.
    answer
        ``answer(loaded, request)`` returns what is sent back.
    """
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.stdin = open(os.devnull)  # noqa: SIM115 - open as long as the process lives
    wire.send(answers, {"result": "ready"})
    setup = wire.receive(requests)
    limit(setup["memory"], setup["file_size"])
    path = split(setup["place"])[0]
    loaded: list[Any] = []
    guard = Guard()
    send_answer(answers, path, guard, lambda: loaded.append(load(setup)))
    while True:
        try:
            request = wire.receive(requests)
        except EOFError:
            return
        send_answer(answers, path, guard, lambda request=request: answer(loaded[0], request))


def limit(memory: int, file_size: int) -> None:
    """Bound what this process may use, in bytes, where the system can.

    Windows can't, and macOS refuses to bound memory.
    """
    try:
        import resource
    except ImportError:
        return
    for name, size in (("AS", memory), ("FSIZE", file_size), ("CORE", 0)):
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        bound = size if hard == resource.RLIM_INFINITY else min(size, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(kind, (bound, bound))


class Guard:
    """Notices when NumPy or minigan has been changed, on which the answers rely."""

    def __init__(self) -> None:
        modules = [m for n, m in sys.modules.items() if n.startswith(("numpy", "minigan."))]
        classes = [c for m in modules for c in vars(m).values() if _is_ours(c)]
        self._before = [
            (getattr(owner, "__name__", "?"), vars(owner), dict(vars(owner)))
            for owner in (*modules, *classes)
        ]

    def complaint(self) -> str | None:
        """Say what has been replaced, if anything."""
        for owner, now, before in self._before:
            for name, value in before.items():
                if now.get(name) is not value and name[:2] != "__":
                    return f"replaces {owner}.{name}; a layer must leave other modules as they are"
        return None


def _is_ours(value: Any) -> bool:
    return isinstance(value, type) and value.__module__.startswith("minigan.gradcheck")


def send_answer(stream: BinaryIO, path: Path, guard: Guard, function: Any) -> None:
    """Send what a function returns, or how it ended."""
    try:
        answer = {"result": function()}
        complaint = guard.complaint()
        answer = {"conduct": complaint} if complaint else answer
    except UsageError as error:
        answer = _usage(error)
    except MemoryError:
        answer = {"conduct": "needs more memory than it may use"}
    except Exception as error:  # the user's code may raise anything
        answer = _usage(located(error, path))
    except BaseException as error:
        answer = {"conduct": f"raises {type(error).__name__}, which would end the check"}
    try:
        wire.send(stream, answer)
    except BrokenPipeError:  # whoever asked has heard enough, and a traceback would be no help
        os._exit(1)


def _usage(error: UsageError) -> dict[str, Any]:
    return {"usage": str(error), "notes": list(getattr(error, "__notes__", ()))}


def _load(setup: dict[str, Any]) -> dict[str, Subject]:
    constants = setup["constants"]
    folder = str(split(setup["place"])[0].resolve().parent)
    layer = load_layer(setup["place"], setup["arguments"], setup["arrays"], constants)
    sys.path.insert(0, folder)  # a method may import what lies beside the file, too
    options = {"train": setup["train"], "constants": constants}
    return {d: Subject(layer, dtype=d, **options) for d in ("float64", "float32")}


def _answer(subjects: dict[str, Subject], request: dict[str, Any]) -> Any:
    if request["method"] not in METHODS:
        raise UsageError(f"{request['method']!r} is no request.")
    method = getattr(subjects[request["dtype"]], request["method"])
    return method(*request["positional"], **request["named"])


if __name__ == "__main__":
    main()

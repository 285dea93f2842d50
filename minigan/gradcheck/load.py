"""Load a layer from a file of the user's, named as in ``minigan gradcheck FILE.py:NAME``."""

from __future__ import annotations

import ast
import bdb
import importlib.util
import inspect
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import chdir, suppress
from pathlib import Path
from typing import Any

from minigan.gradcheck.pairs import Functions


class UsageError(ValueError):
    """A mistake in the arguments or in the user's file; the message says what to do."""


def load_layer(
    place: str, arguments: str = "", arrays: Sequence[Any] = (), constants: Sequence[str] = ()
) -> Any:
    """Import ``"path/to/file.py:NAME"`` and return the layer that NAME stands for.

    Parameters
    ----------
    place
        NAME may be a class, a function that returns a layer, or a layer; or the beginning of the
        names of two functions, ``NAME_forward(x, w, b) -> (y, cache)`` and ``NAME_backward(dy,
        cache) -> (dx, dw, db)``.
    arguments
        Arguments of the class or function, as in Python: ``"3, 5, stride=2"``; numbers, strings,
        tuples, dicts, True, None.
    arrays
        For a pair of functions, the arrays that come after x.
    constants
        The names of those among them that have no gradient.

    Raises
    ------
    UsageError
        If there is no such file or name, arguments are missing, or the file itself raises; the
        message says what and where.
    """
    with chdir(os.curdir):  # which the file may change
        return _load(place, arguments, arrays, constants)


def _load(place: str, arguments: str, arrays: Sequence[Any], constants: Sequence[str]) -> Any:
    path, name = split(place)
    module = import_file(path)
    positional, named = _parse_arguments(arguments)
    stem = name.removesuffix("_forward")
    forward, backward = (getattr(module, f"{stem}_{end}", None) for end in ("forward", "backward"))
    if callable(forward) and callable(backward):
        return Functions(forward, backward, arrays, positional, named, constants)
    if not hasattr(module, name):
        there = [
            n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
        known = f"it defines {', '.join(there)}" if there else "it defines no class or function"
        raise UsageError(f"{path} has no {name!r}; {known}.")
    found = getattr(module, name)
    if arrays:
        raise UsageError(
            f"{path} has no functions {stem}_forward and {stem}_backward, which several inputs are "
            "for; give one --input."
        )
    if isinstance(found, type) or inspect.isfunction(found):
        return _make(found, path, name, positional, named)
    if arguments:
        raise UsageError(
            f"{name} in {path} is already a layer; leave out --args, or name its class."
        )
    return found


def split(place: str) -> tuple[Path, str]:
    """Take ``FILE.py:NAME`` apart.

    Raises
    ------
    UsageError
        If it isn't of that form.
    """
    path, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier() or not path.endswith(".py"):
        raise UsageError(
            f"a layer is given as FILE.py:NAME, for example layers.py:MyLayer, got {place!r}."
        )
    return Path(path), name


def import_file(path: Path) -> Any:
    """Import a file by its path, as a script that finds what lies beside it.

    Raises
    ------
    UsageError
        If there is no such file, or it raises; the message names the line.
    """
    if not path.is_file():
        raise UsageError(
            f"there is no file {path}; give the path of the file that defines the layer."
        )
    name = _module_name(path)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} can't be imported; give a file of Python code.")
    module = importlib.util.module_from_spec(spec)
    # As for a script: the file can import what lies beside it.
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise located(error, path) from error
    finally:
        with suppress(ValueError):  # the file may have removed it
            sys.path.remove(folder)
    return module


def _module_name(path: Path) -> str:
    return f"gradchecked_{path.stem}"


def frames_in(path: Path, error: BaseException) -> list[traceback.FrameSummary]:
    """Return the places in an imported file that an error came through, the outermost first."""
    # Not by the path, which stands for another file once the code has changed the folder.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    told = traceback.extract_tb(error.__traceback__)
    name = _module_name(path)
    return [
        said
        for frame, said in zip(frames, told, strict=False)
        if frame.f_globals.get("__name__") == name
    ]


def _parse_arguments(text: str) -> tuple[list[Any], dict[str, Any]]:
    try:
        call = ast.parse(f"f({text})", mode="eval").body
        if not isinstance(call, ast.Call):
            raise ValueError
        return (
            [ast.literal_eval(a) for a in call.args],
            {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg},
        )
    except (SyntaxError, ValueError):
        raise UsageError(
            "--args needs plain values separated by commas, such as '3, 5, stride=2', got "
            f"{text!r}."
        ) from None


def _make(maker: Any, path: Path, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    try:
        inspect.signature(maker).bind(*positional, **named)
    except TypeError as error:
        takes = str(inspect.signature(maker)).partition(" ->")[0]
        raise UsageError(
            f"{name}{takes} in {path} can't be called: {error}; give its arguments, for example "
            "--args '3, 5', or name a function without arguments that returns the layer."
        ) from None
    try:
        return maker(*positional, **named)
    except Exception as error:
        raise located(error, path) from error


def located(error: Exception, path: Path) -> UsageError:
    """Turn whatever the user's code raised into a UsageError that names the line of the file."""
    named = UsageError(_message(error, path))
    for note in getattr(error, "__notes__", ()):
        named.add_note(note)
    return named


def _message(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}."
    if isinstance(error, bdb.BdbQuit):
        return f"{path} calls the debugger, which nobody can answer here; remove breakpoint()."
    own = frames_in(path, error)
    understood = isinstance(error, (ValueError, TypeError))
    what = str(error) if understood else f"{type(error).__name__}: {error}"
    if not own:
        return what
    return f"{path}, line {own[-1].lineno}, in {own[-1].name}: {what}\n    {own[-1].line}"

"""Load and check a layer of the user's own, named as in ``minigan gradcheck FILE.py:NAME``."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import Any

from minigan.gradcheck.layers import check, generator
from minigan.gradcheck.report import GradientError, Report


class UsageError(ValueError):
    """A mistake in the arguments or in the user's file; the message says what to do."""


def check_file(
    place: str,
    shape: str | None,
    *,
    arguments: str = "",
    labels: int | None = None,
    seed: int = 0,
    **options: Any,
) -> Report:
    """Check the gradients of a layer in a file, on random inputs.

    Parameters
    ----------
    place, arguments
        The layer, as for `load_layer`.
    shape
        Shape of the input, as for `parse_shape`.
    labels
        If given, the input holds integers from 0 up to, but not including, this number.
    seed
        Seed of the input and of everything else that is random.
    **options
        As for `check`.

    Raises
    ------
    GradientError
        If a gradient is wrong.
    UsageError
        If the layer can't be checked; the message says what is missing, or what the user's code
        raised and where.
    """
    if shape is None:
        raise UsageError(
            "your layer needs an input to be checked on; give its shape, for example --input "
            "4,8,8,3."
        )
    size = parse_shape(shape)
    rng = generator(seed)
    layer = load_layer(place, arguments)
    x = rng.standard_normal(size) if labels is None else rng.integers(0, max(labels, 1), size)
    try:
        return check(layer, x, rng=rng, **options)
    except GradientError:
        raise
    except Exception as error:  # the user's code may raise anything
        raise _located(error, _split(place)[0]) from error


def parse_shape(text: str) -> tuple[int, ...]:
    """Turn ``"4,8,8,3"`` or ``"4x8x8x3"`` into a shape.

    Raises
    ------
    UsageError
        If it isn't a list of positive integers.
    """
    parts = text.strip("() ").lower().replace("x", ",").split(",")
    parts = [part.strip() for part in parts if part.strip()]
    if not parts or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(
            f"--input needs positive sizes separated by commas, such as 4,8,8,3, got {text!r}."
        )
    return tuple(int(part) for part in parts)


def load_layer(place: str, arguments: str = "") -> Any:
    """Import ``"path/to/file.py:NAME"`` and return the layer that NAME stands for.

    Parameters
    ----------
    place
        NAME may be a class, a function that returns a layer, or a layer.
    arguments
        Arguments of the class or function, as in Python: ``"3, 5, stride=2"``; numbers, strings,
        tuples, True, None.

    Raises
    ------
    UsageError
        If there is no such file or name, arguments are missing, or the file itself raises; the
        message says what and where.
    """
    path, name = _split(place)
    module = _import(path)
    if not hasattr(module, name):
        there = [
            n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
        ]
        known = f"it defines {', '.join(there)}" if there else "it defines no class or function"
        raise UsageError(f"{path} has no {name!r}; {known}.")
    found = getattr(module, name)
    positional, named = _parse_arguments(arguments)
    if isinstance(found, type) or inspect.isfunction(found):
        return _make(found, path, name, positional, named)
    if arguments:
        raise UsageError(
            f"{name} in {path} is already a layer; leave out --args, or name its class."
        )
    return found


def _split(place: str) -> tuple[Path, str]:
    path, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier() or not path.endswith(".py"):
        raise UsageError(
            f"a layer is given as FILE.py:NAME, for example layers.py:MyLayer, got {place!r}."
        )
    return Path(path), name


def _import(path: Path) -> Any:
    if not path.is_file():
        raise UsageError(
            f"there is no file {path}; give the path of the file that defines the layer."
        )
    name = f"gradchecked_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} can't be imported; give a file of Python code.")
    module = importlib.util.module_from_spec(spec)
    # As for a script: the file can import what lies beside it.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _located(error, path) from error
    finally:
        sys.path.remove(str(path.resolve().parent))
    return module


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
        raise _located(error, path) from error


def _located(error: Exception, path: Path) -> UsageError:
    """Turn whatever the user's code raised into a UsageError that names the line of the file."""
    located = UsageError(_message(error, path))
    for note in getattr(error, "__notes__", ()):
        located.add_note(note)
    return located


def _message(error: Exception, path: Path) -> str:
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}."
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve() == path.resolve()]
    understood = isinstance(error, (ValueError, TypeError))
    what = str(error) if understood else f"{type(error).__name__}: {error}"
    if not own:
        return what
    return f"{path}, line {own[-1].lineno}, in {own[-1].name}: {what}\n    {own[-1].line}"

"""The command ``minigan gradcheck``: the library's layers, or one of your own."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from minigan.gradcheck.layers import check, generator
from minigan.gradcheck.library import check_library, library_table
from minigan.gradcheck.report import GradientError


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the library or a user's layer, print a table; return 0 (right), 1 (wrong) or 2 (can't
    be checked).

    Parameters
    ----------
    arguments
        Those after ``minigan gradcheck``; from the command line if None.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.layer is None:
            return _run_library(options)
        return _run_layer(options)
    except (UsageError, ValueError, TypeError) as error:
        print(f"minigan gradcheck: {error}", file=sys.stderr)
        return 2


class UsageError(Exception):
    """Something is wrong with what was asked for, or with the user's file; one sentence says what
    to do.
    """


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"minigan gradcheck: {message.rstrip('.')}; see `{self.prog} --help`.\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="minigan gradcheck",
        description="Compare every gradient with finite differences: of the library's layers "
        "and losses, or of a layer in a file of yours.",
    )
    parser.add_argument(
        "layer", nargs="?", metavar="FILE.py:NAME", help="a class, an instance, or a function"
    )
    parser.add_argument(
        "--input", metavar="4,8,8,3", help="shape of the input, batch first, channels last"
    )
    parser.add_argument(
        "--args", default="", metavar="'3, 5, stride=2'", help="arguments of the constructor"
    )
    parser.add_argument(
        "--labels", type=int, metavar="K", help="the input holds integers from 0 to K - 1"
    )
    parser.add_argument(
        "--eval", action="store_true", help="check the evaluation mode, not the training mode"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (default: 0)")
    parser.add_argument(
        "--tolerance", type=float, default=1e-6, help="largest relative error (default: 1e-6)"
    )
    parser.add_argument(
        "--samples", type=int, default=100, help="entries checked per array (default: 100)"
    )
    parser.add_argument(
        "--directions", type=int, help="check along so many random directions instead: for big nets"
    )
    return parser


def _run_library(options: argparse.Namespace) -> int:
    reports = check_library(
        options.seed,
        tolerance=options.tolerance,
        samples=options.samples,
        directions=options.directions,
    )
    print(library_table(reports))
    return 0 if all(report.ok for report in reports.values()) else 1


def _run_layer(options: argparse.Namespace) -> int:
    if options.input is None:
        raise UsageError(
            "a layer of yours needs an input to be checked on; give its shape, as --input 4,8,8,3."
        )
    shape = parse_shape(options.input)
    rng = generator(options.seed)
    layer = load_layer(options.layer, options.args)
    x = (
        rng.standard_normal(shape)
        if options.labels is None
        else rng.integers(0, max(options.labels, 1), shape)
    )
    try:
        report = check(
            layer,
            x,
            rng=rng,
            train=not options.eval,
            tolerance=options.tolerance,
            samples=options.samples,
            directions=options.directions,
        )
    except GradientError as error:
        print(error)
        return 1
    except (
        Exception
    ) as error:  # whatever the user's code raises is shown as the user's, with its line
        raise UsageError(_located(error, _split(options.layer)[0])) from error
    print(report)
    return 0


def parse_shape(text: str) -> tuple[int, ...]:
    """Turn ``"4,8,8,3"`` (or with x between) into a shape.

    Raises
    ------
    UsageError
        If it isn't a list of positive integers.
    """
    parts = text.strip("() ").lower().replace("x", ",").split(",")
    parts = [part.strip() for part in parts if part.strip()]
    if not parts or not all(part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(
            f"--input needs positive sizes with commas between, as 4,8,8,3, got {text!r}."
        )
    return tuple(int(part) for part in parts)


def load_layer(place: str, arguments: str = "") -> Any:
    """Import ``"path/to/file.py:NAME"`` and make a layer of what is found there.

    Parameters
    ----------
    place
        NAME may be a class, a function that returns a layer, or a layer.
    arguments
        Of the class or function, as in Python: ``"3, 5, stride=2"``; numbers, strings, tuples,
        True, None.

    Raises
    ------
    UsageError
        One sentence: no such file, no such name, arguments are missing, or what the file itself
        raised and where.
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
            f"{name} in {path} is a layer already; leave out --args, or name its class."
        )
    return found


def _split(place: str) -> tuple[Path, str]:
    path, colon, name = place.rpartition(":")
    if not colon or not name.isidentifier() or not path.endswith(".py"):
        raise UsageError(f"a layer is given as FILE.py:NAME, as layers.py:MyLayer, got {place!r}.")
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
    # As for a script: what lies beside the file can be imported from it, now and later.
    sys.path.insert(0, str(path.resolve().parent))
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(_located(error, path)) from error
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
            f"--args needs plain values with commas between, as '3, 5, stride=2', got {text!r}."
        ) from None


def _make(maker: Any, path: Path, name: str, positional: list[Any], named: dict[str, Any]) -> Any:
    try:
        inspect.signature(maker).bind(*positional, **named)
    except TypeError as error:
        takes = str(inspect.signature(maker)).partition(" ->")[0]
        raise UsageError(
            f"{name}{takes} in {path} can't be called: {error}; give its arguments, as --args '3, "
            "5', or name a "
            f"function without arguments that returns the layer."
        ) from None
    try:
        return maker(*positional, **named)
    except Exception as error:
        raise UsageError(_located(error, path)) from error


def _located(error: Exception, path: Path) -> str:
    """Tell what was raised and at which line of the user's file."""
    if isinstance(error, SyntaxError):
        return f"{error.filename}, line {error.lineno}: {error.msg}."
    own = [
        f
        for f in traceback.extract_tb(error.__traceback__)
        if Path(f.filename).resolve() == path.resolve()
    ]
    what = (
        str(error)
        if isinstance(error, (ValueError, TypeError))
        else f"{type(error).__name__}: {error}"
    )
    what = " ".join([what, *getattr(error, "__notes__", [])])  # a chain's: at which layer
    if not own:
        return what
    return f"{path}, line {own[-1].lineno}, in {own[-1].name}: {what}\n    {own[-1].line}"

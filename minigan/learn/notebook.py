"""The same checks in a notebook: a cell, or a class or functions that a cell has defined."""

from __future__ import annotations

import ast
import inspect
import linecache
import math
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from html import escape
from pathlib import Path
from types import CodeType
from typing import Any

import numpy

from minigan.learn import language, talk
from minigan.learn.checking import LIMITS, check_file
from minigan.learn.course import course, find
from minigan.learn.parts import Exercise
from minigan.learn.verdict import TOLD, Verdict

HEADER = "import numpy as np; import numpy; from minigan.learn.given import bce_with_logits\n"
"""One line, as that of ``%%exercise``: so the lines of a cell keep their numbers."""
MAGIC = re.compile(r"^[ \t]*[%!].*$", re.MULTILINE)
"""A line that is IPython's own, in a cell that isn't Python."""
LARGEST = 10_000
"""Most entries of an array that comes along."""


class Shown:
    """A verdict that a notebook shows as a table.

    Parameters
    ----------
    verdict
        What was found.
    language
        ``"en"`` or ``"zh"``.

    Attributes
    ----------
    ok
        Whether it is right.
    """

    def __init__(self, verdict: Verdict, language_: str) -> None:
        self.verdict, self.ok = verdict, verdict.ok
        self._say = language.speaker(language_)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> list[str]:
        more = ["", *talk.explained(self.verdict.exercise, self._say)] if self.ok else []
        return [*self.verdict.lines(self._say, replayed=False), *more]

    __repr__ = __str__

    def _repr_html_(self) -> str:
        say = self._say
        rows = "".join(
            f"<tr><td>{escape(r.name)}</td><td>{escape(say(r.what))}</td>"
            f"<td>{r.error:.1e}</td><td>{escape(say(TOLD.get(r.state, r.state)))}</td></tr>"
            for r in self.verdict.rows
        )
        head = "".join(
            f"<th>{escape(say(w))}</th>"
            for w in ("output", "what it is", "worst relative error", "")
        )
        lines = self._lines()
        rest = lines[1 + len(self.verdict.table(say)) :]
        table = f"<table><tr>{head}</tr>{rows}</table>" if rows else ""
        return f"<p><b>{escape(lines[0])}</b></p>{table}<pre>{escape(chr(10).join(rest))}</pre>"


def check(
    *objects: Any, exercise: str | None = None, seed: int = 0, lang: str | None = None
) -> Shown:
    """Check functions or classes that a notebook has defined.

    Parameters
    ----------
    objects
        The functions or classes of an exercise: ``check(forward, backward, exercise="linear")``,
        ``check(Linear, Chain)``; or one class, or an object of it, with the functions as methods:
        ``check(MyLayer)``. What they use of the notebook (modules, helping functions, numbers)
        comes along.
    exercise
        Its word, stem or number; found by the names of the functions and of their arguments if that
        is enough.
    seed
        Draws the numbers that it is tried on.
    lang
        ``"en"`` or ``"zh"``; that of the locale if None.

    Returns
    -------
    Shown
        A table in a notebook; ``.ok`` says whether it is right.

    Raises
    ------
    ValueError
        If it isn't clear which exercise is meant, or the source can't be had.
    """
    chosen = find(exercise) if exercise is not None else _meant(objects)
    return check_text(source(objects, chosen), chosen, seed=seed, lang=lang)


def check_text(
    text: str, chosen: Exercise, *, seed: int = 0, lang: str | None = None, before: str = ""
) -> Shown:
    """Check the text of a cell, after that of earlier ones, in a process of its own as always."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{chosen.stem}.py"
        path.write_text(_as_file(text, before), "utf-8")
        verdict = check_file(chosen, path, seed=seed, limits=LIMITS)
    return Shown(verdict, lang or language.usual())


def _as_file(text: str, before: str = "") -> str:
    """Make a file of a cell; what it needs of earlier cells is on the first line, too."""
    first, text = _future(text)
    more = f"; exec({before!r})" if before else ""
    return f"{first}{HEADER.rstrip()}{more}\n{text}"


def _future(text: str) -> tuple[str, str]:
    """Take what must stand at the very beginning out of a cell, and leave its lines empty."""
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return "", text
    lines, first = text.split("\n"), ""
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            first += f"{ast.unparse(node)}; "
            for line in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[line] = ""
    return first, "\n".join(lines)


def _python(body: str) -> str:
    """Return a cell without IPython's own lines, if it isn't Python with them."""
    try:
        ast.parse(body)
    except SyntaxError:
        return MAGIC.sub("", body)
    return body


# ---------------------------------------------------------------- which exercise


def _meant(objects: tuple[Any, ...]) -> Exercise:
    fitting = [e for e in course() if _fits(objects, e, _count)]
    most = max((len(e.asks) for e in fitting), default=0)
    fitting = [e for e in fitting if len(e.asks) == most]
    if len(fitting) > 1:
        fitting = [e for e in fitting if _fits(objects, e, _arguments)] or fitting
    if len(fitting) == 1:
        return fitting[0]
    known = " or ".join(f"exercise={e.name!r}" for e in fitting) or "exercise='linear'"
    raise ValueError(f"It isn't clear which exercise is meant; name it, for example {known}.")


def _fits(objects: tuple[Any, ...], chosen: Exercise, by: Callable[[Any], Any]) -> bool:
    """Tell whether objects have what an exercise asks for, by name and by their arguments."""
    names = {getattr(o, "__name__", type(o).__name__): o for o in objects}
    tops = {asked.partition(".")[0] for asked in chosen.asks}
    if names.keys() == tops:
        found = names
    elif len(objects) == 1 and all(hasattr(objects[0], top) for top in tops):
        found = {top: getattr(_instance(objects[0]), top) for top in tops}
    else:
        return False
    return all(by(found[top]) == by(getattr(chosen.solution, top)) for top in tops)


def _arguments(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters) if callable(function) else []


def _count(function: Any) -> int:
    return len(_arguments(function))


def _instance(thing: Any) -> Any:
    """Return an object of a class, so that its methods have no self; others as they are."""
    try:
        return thing() if isinstance(thing, type) else thing
    except Exception:  # its arguments can't be known
        return thing


# ---------------------------------------------------------------- its source


def source(objects: tuple[Any, ...], chosen: Exercise) -> str:
    """Return the source of objects, of what they use, and of what makes a file of it."""
    texts: dict[str, str] = {}
    for thing in objects:
        named = thing if hasattr(thing, "__name__") else type(thing)
        _gather(named, named.__name__, texts)
    only = objects[0]
    plain = [a for a in chosen.asks if "." not in a and a not in texts]
    if plain and all(hasattr(only, a) for a in plain):  # they are methods
        name = only.__name__ if isinstance(only, type) else type(only).__name__
        bound = name if _is_static(only, plain[0]) else f"{name}()"
        texts["methods"] = "\n".join([f"_own = {bound}", *(f"{a} = _own.{a}" for a in plain)])
    return "\n\n".join(texts.values())


def _is_static(thing: Any, name: str) -> bool:
    return isinstance(inspect.getattr_static(thing, name), staticmethod)


def _gather(thing: Any, name: str, texts: dict[str, str]) -> None:
    """Add an object's source, after that of the globals that it uses."""
    texts[name] = ""  # so that what uses each other comes once
    for base in getattr(thing, "__bases__", ()):
        if base.__name__ not in texts:
            _gather_global(base, base.__name__, texts)
    text = _text(thing)
    for function in _functions(thing):
        for used in sorted(_names(function.__code__) | _outer_names(text)):
            if used not in texts and used in function.__globals__:
                _gather_global(function.__globals__[used], used, texts)
    del texts[name]
    texts[name] = text


def _gather_global(value: Any, name: str, texts: dict[str, str]) -> None:
    if inspect.ismodule(value):
        texts[name] = f"import {value.__name__} as {name}"
    elif getattr(value, "__module__", None) == "__main__" and hasattr(value, "__name__"):
        _gather(value, name, texts)
    elif (written := _written(value)) is not None:
        texts[name] = f"{name} = {written}"
    elif (place := _place(value)) is not None:
        texts[name] = f"from {place[0]} import {place[1]} as {name}"


def _written(value: Any) -> str | None:
    """Return a value as Python writes it, if it can be written."""
    if isinstance(value, numpy.generic):
        return f"__import__('numpy').{type(value).__name__}({_written(value.item())})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value}')"
    if type(value) is numpy.ndarray and value.size <= LARGEST and value.dtype.kind in "biuf":
        plain = repr(value.tolist()).replace("nan", "float('nan')").replace("inf", "float('inf')")
        return f"__import__('numpy').array({plain}, {value.dtype.str!r})"
    try:
        ast.literal_eval(repr(value))
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return repr(value)


def _place(value: Any) -> tuple[str, str] | None:
    """Return the module and the name that another library's function or class is imported by."""
    name = getattr(value, "__name__", "")
    module = getattr(value, "__module__", None) or (
        "numpy" if isinstance(value, numpy.ufunc) else None
    )
    found = getattr(sys.modules.get(module or ""), name, None)
    return (str(module), name) if found is value else None


def _outer_names(text: str) -> set[str]:
    """Return the names that a source uses where it is defined: in annotations, defaults,
    decorators and bases, and in the body of a class.
    """
    try:
        tree = ast.parse(text)
    except SyntaxError:
        return set()
    return set().union(*map(_outside, tree.body))


def _outside(node: ast.AST) -> set[str]:
    """The names of a statement that are read when it runs, not when what it defines is called."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        parts: list[ast.AST | None] = [*node.decorator_list, node.args, node.returns]
    elif isinstance(node, ast.ClassDef):
        inside = set().union(*map(_outside, node.body))
        outer: list[ast.AST] = [*node.decorator_list, *node.bases, *node.keywords]
        return inside | set().union(*map(_outside, outer))
    else:
        parts = [node]
    names = (n for part in parts if part is not None for n in ast.walk(part))
    return {n.id for n in names if isinstance(n, ast.Name)}


def _helpers(body: str, known: dict[str, Any]) -> str:
    """Return the source of what a cell uses of earlier cells."""
    try:
        tree = ast.parse(body)
    except SyntaxError:
        return ""
    nodes = list(ast.walk(tree))
    bound = {n.name for n in nodes if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    bound |= {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    bound |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    imported = (a for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)) for a in n.names)
    bound |= {(a.asname or a.name).partition(".")[0] for a in imported}
    used = {n.id for n in nodes if isinstance(n, ast.Name)} - bound
    texts = dict.fromkeys(bound, "")  # those are in the cell
    for name in sorted((used & known.keys()) - {"np", "numpy", "bce_with_logits"}):
        with suppress(ValueError):
            _gather_global(known[name], name, texts)
    return "\n\n".join(filter(None, texts.values()))


def _functions(thing: Any) -> list[Any]:
    """Return a function itself, or the methods of a class."""
    found = vars(thing).values() if isinstance(thing, type) else [thing]
    return [f for one in found if hasattr(f := getattr(one, "__func__", one), "__code__")]


def _names(code: CodeType) -> set[str]:
    inner = [c for c in code.co_consts if isinstance(c, CodeType)]
    return set(code.co_names).union(*map(_names, inner))


def _text(thing: Any) -> str:
    try:
        lines = _class_lines(thing) if isinstance(thing, type) else inspect.getsource(thing)
        return inspect.cleandoc("\n" + lines)
    except (OSError, TypeError, SyntaxError, LookupError):
        raise ValueError(
            f"The source of {thing!r} can't be had; define it in a cell or a file, or use "
            f"%%exercise."
        ) from None


def _class_lines(thing: type) -> str:
    """Find a class by one of its methods: inspect doesn't find those of a notebook's cells."""
    code = _functions(thing)[0].__code__
    text = "".join(linecache.getlines(code.co_filename))
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ClassDef) or node.name != thing.__name__:
            continue
        if node.lineno <= code.co_firstlineno <= (node.end_lineno or 0):
            return ast.get_source_segment(text, node, padded=True) or ""
    raise LookupError


def load_ipython_extension(shell: Any) -> None:
    """Add ``%%exercise NAME`` to IPython: ``%load_ext minigan.learn``."""

    def cell(line: str, body: str) -> Shown:
        """Run a cell, and check what it defines."""
        word, *more = line.split() or [""]
        chosen = find(word)
        shell.run_cell(body)
        options = dict(zip(("lang",), more, strict=False))
        text = _python(body)
        before = _helpers(text, getattr(shell, "user_ns", {}))
        return check_text(text, chosen, before=before, **options)  # type: ignore[arg-type]

    shell.register_magic_function(cell, "cell", "exercise")

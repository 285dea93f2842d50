"""The files to fill in: the solutions with their bodies taken out."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Iterator
from functools import cache
from types import CodeType
from typing import Any

from minigan.learn.language import Speaker
from minigan.learn.parts import Exercise

MISSING = "raise NotImplementedError"
GIVEN = "minigan.learn.given"
READY_MADE = ("autograd", "jax", "minigan", "tensorflow", "torch")
Function = ast.FunctionDef | ast.ClassDef


def starter(exercise: Exercise, say: Speaker) -> str:
    """Return the file of an exercise, with what is asked in the reader's language."""
    source = solution(exercise)
    tree = ast.parse(source)
    lines: list[str | None] = list(source.splitlines())
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _is_private(node, exercise):
            _drop(lines, node)
    for name, function in functions(tree):
        if name in exercise.asks:
            _empty(lines, function, say)
    _translate(lines, tree, say)
    text = "\n".join(line for line in lines if line is not None)
    while "\n\n\n\n" in text:
        text = text.replace("\n\n\n\n", "\n\n\n")
    return text.rstrip() + "\n"


def solution(exercise: Exercise) -> str:
    """Return the source of the solution."""
    return inspect.getsource(exercise.solution)


def namespace(exercise: Exercise) -> dict[str, Any]:
    """Return the names of a new copy of the solution.

    Its functions look each other up there, so that one that is replaced is also called by the
    others, as in the reader's file.
    """
    names: dict[str, Any] = {}
    exec(_compiled(exercise.name, solution(exercise)), names)
    return names


@cache
def _compiled(name: str, source: str) -> CodeType:
    return compile(source, name, "exec")


def shown(exercise: Exercise, say: Speaker) -> str:
    """Return the solution with its docstrings in the reader's language."""
    source = solution(exercise)
    lines: list[str | None] = list(source.splitlines())
    _translate(lines, ast.parse(source), say)
    return "\n".join(line for line in lines if line is not None) + "\n"


def functions(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """Yield the functions of a file and the methods of its classes, with dotted names."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, ast.FunctionDef):
                    yield f"{node.name}.{inner.name}", inner


def missing(text: str, exercise: Exercise) -> list[str]:
    """Return which of the functions that are asked for aren't written, or aren't there.

    Raises
    ------
    SyntaxError
        If the text isn't Python.
    """
    tree = ast.parse(text)
    found, defined, elsewhere = dict(functions(tree)), _names(tree), _takes_all(tree)
    return [
        name
        for name in exercise.asks
        if (name in found and _is_empty(found[name]))
        or (name not in found and not elsewhere and name.partition(".")[0] not in defined)
        or (name not in found and "." in name and name.partition(".")[0] in _classes(text))
    ]


def absent(text: str, exercise: Exercise) -> list[str]:
    """Return the names that the file must define and doesn't."""
    tree = ast.parse(text)
    if _takes_all(tree):
        return []
    defined = _names(tree)
    wanted = dict.fromkeys(name.partition(".")[0] for name in exercise.asks)
    return [name for name in wanted if name not in defined]


def ready_made(text: str) -> list[str]:
    """Return what a file imports that holds the answers, or derives by itself."""
    found = imported(ast.parse(text))
    return sorted(n for n in found if n.partition(".")[0] in READY_MADE and n != GIVEN)


def imported(tree: ast.Module) -> set[str]:
    """Return what a file imports, by whole name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = node.module or "."
            whole = {f"{package}.{alias.name}" for alias in node.names}
            found |= whole if whole == {GIVEN} else {package}
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "exec":
            found |= _imported_within(node)
    return found


def _imported_within(call: ast.Call) -> set[str]:
    """Return what a text imports that is executed, as that of a notebook's earlier cells is."""
    text = call.args[0] if call.args else None
    if not (isinstance(text, ast.Constant) and isinstance(text.value, str)):
        return set()
    try:
        return imported(ast.parse(text.value))
    except SyntaxError:
        return set()


def _classes(text: str) -> set[str]:
    tree = ast.parse(text)
    return {n.name for n in tree.body if isinstance(n, ast.ClassDef) and not n.bases}


def _names(tree: ast.Module) -> set[str]:
    """Return what a file defines, at whatever level."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.ImportFrom):
            names |= {alias.asname or alias.name for alias in node.names}
    return names


def _takes_all(tree: ast.Module) -> bool:
    """Tell whether a file takes all names of another one, which may be what is asked for."""
    known = {"numpy", *sys.stdlib_module_names}
    return any(
        isinstance(node, ast.ImportFrom)
        and node.names[0].name == "*"
        and (node.module or "").partition(".")[0] not in known
        for node in ast.walk(tree)
    )


def _is_empty(function: ast.FunctionDef) -> bool:
    """Tell whether nothing stands below the docstring but what the starter file has there."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return all(_is_blank(statement) for statement in body)


def _is_blank(node: ast.stmt) -> bool:
    if isinstance(node, ast.Pass):
        return True
    if isinstance(node, ast.Expr):
        return isinstance(node.value, ast.Constant)
    return isinstance(node, ast.Raise) and "NotImplementedError" in ast.dump(node)


def _is_private(node: ast.FunctionDef, exercise: Exercise) -> bool:
    return node.name.startswith("_") and node.name not in exercise.asks


def _drop(lines: list[str | None], node: ast.stmt) -> None:
    for number in range(node.lineno - 1, node.end_lineno or node.lineno):
        lines[number] = None


def _empty(lines: list[str | None], function: ast.FunctionDef, say: Speaker) -> None:
    first = function.body[1]
    start = function.body[0].end_lineno or 0
    for number in range(start, function.end_lineno or 0):
        lines[number] = None
    lines[start] = " " * first.col_offset + f"{MISSING}  # {say('write this')}"


def _translate(lines: list[str | None], tree: ast.Module, say: Speaker) -> None:
    """Put docstrings in the reader's language."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)):
            continue
        doc = ast.get_docstring(node)
        if not doc or lines[node.body[0].lineno - 1] is None:
            continue
        place = node.body[0]
        indent = " " * place.col_offset
        written = say(doc).splitlines()
        text = f'{indent}"""' + written[0]
        text += "".join(f"\n{indent}{line}" if line else "\n" for line in written[1:])
        text += f'\n{indent}"""' if len(written) > 1 else '"""'
        _drop(lines, place)
        lines[place.lineno - 1] = text


def docstrings(exercise: Exercise) -> Iterator[str]:
    """Yield the texts of the starter file, for the catalogue."""
    tree = ast.parse(solution(exercise))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and _is_private(node, exercise):
            continue
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.ClassDef)) and (
            doc := ast.get_docstring(node)
        ):
            yield doc

"""Slips of the pen: what comes out if one place of the solution is written otherwise.

Where no usual mistake and no sum of named terms explains an answer, the solution is changed in one
place at a time (a sign, a factor, an axis, a name, a line left out) until it gives the same.
"""

from __future__ import annotations

import ast
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from minigan.learn import starter
from minigan.learn.language import Text
from minigan.learn.parts import Exercise, Given, Numbers, answer

OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add, ast.Mult), ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv), ast.FloorDiv: (ast.Div,), ast.Pow: (ast.Mult,),
}  # fmt: skip
COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Gt: (ast.Lt, ast.GtE), ast.Lt: (ast.Gt, ast.LtE),
}  # fmt: skip
FUNCTIONS = {
    "mean": ("sum", "max"), "sum": ("mean", "max"), "var": ("std",), "maximum": ("minimum",),
    "minimum": ("maximum",), "log1p": ("log",), "exp": ("expm1",), "zeros_like": ("ones_like",),
    "ones_like": ("zeros_like",), "tanh": ("sin", "arctan"),
}  # fmt: skip


@dataclass(frozen=True)
class Slip:
    """A changed solution.

    Attributes
    ----------
    text
        What was changed.
    code
        The functions of the changed solution.
    """

    text: Text
    code: Any


UNKNOWN = "_number"
"""A list that changed solutions may take one number from: `fits` puts it there."""
LOOPS = ("conv", "conv_transpose")
"""Exercises whose slips take seconds: they are played where nothing else explains an answer."""


@cache
def played(name: str, seed: int, case: int) -> list[tuple[Slip, dict[str, Numbers] | str]]:
    """Play all slips of an exercise in a case, from 1."""
    from minigan.learn.course import exercise

    chosen = exercise(name)
    given = chosen.drawn(seed)[case - 1].given
    return [(slip, outcome(chosen, slip.code, given)) for slip in slips(chosen)]


def outcome(chosen: Exercise, code: Any, given: Given) -> dict[str, Numbers] | str:
    """Return what a changed solution gives, or the exception that it ends in, as it is printed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return answer(chosen, code, given)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def slips(chosen: Exercise) -> Iterator[Slip]:
    """Yield the solution with one place changed, in all ways."""
    for top, node, parents in places(ast.parse(starter.solution(chosen)).body):
        if isinstance(node, ast.FunctionDef):
            yield from _lines(chosen, top, node)
        elif isinstance(node, ast.AugAssign):
            yield from _assigned(chosen, top, node, parents)
        else:
            factor = _is_factor(parents[node])
            placed = _placed(node, parents[node], top)
            for new in (*_rewritten(node, top), *placed, *(() if factor else _scaled(node))):
                yield from changed(chosen, top, node, new, parents)


def places(body: list[ast.stmt]) -> Iterator[tuple[Any, Any, dict[ast.AST, ast.AST]]]:
    """Yield each place of a solution: the definition it is in, its node, and all nodes' parents."""
    for top in body:
        if not isinstance(top, (ast.FunctionDef, ast.ClassDef)):
            continue
        parents = {child: node for node in ast.walk(top) for child in ast.iter_child_nodes(node)}
        for node in list(ast.walk(top)):
            code = isinstance(node, ast.expr) and _is_code(node, parents)
            if code or isinstance(node, (ast.FunctionDef, ast.AugAssign)):
                yield top, node, parents


def _is_code(node: ast.expr, parents: dict[ast.AST, ast.AST]) -> bool:
    if isinstance(getattr(node, "ctx", None), ast.Store) or isinstance(node, ast.Slice):
        return False
    parent: Any = parents[node]
    if isinstance(node, ast.Name) and (node.id == "np" or getattr(parent, "func", None) is node):
        return False
    while not isinstance(parent, ast.stmt):
        if isinstance(parent, ast.arguments):
            return False
        parent = parents[parent]
    return not (isinstance(node, ast.Constant) and isinstance(node.value, str))


# ---------------------------------------------------------------- one expression


def _rewritten(node: ast.expr, top: ast.AST) -> Iterator[ast.expr]:
    """Yield what may stand in the place of an expression."""
    kinds = {
        ast.BinOp: _of_an_operation, ast.Constant: _of_a_number, ast.Call: _of_a_call,
        ast.Compare: _of_a_comparison, ast.Tuple: _of_a_tuple,
    }  # fmt: skip
    make: Any = kinds.get(type(node))
    if make is not None:
        yield from make(node)
    if isinstance(node, ast.Name):
        yield from (ast.Name(name, ast.Load()) for name in _names(top) if name != node.id)
    if isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        yield from _of_an_attribute(node, top)
    if isinstance(node, ast.Subscript):
        yield node.value
    if isinstance(node, ast.UnaryOp):
        yield node.operand
    if isinstance(node, (ast.Name, ast.Attribute, ast.BinOp, ast.Call)):
        yield ast.BinOp(node, ast.Pow(), ast.Constant(2))
    if isinstance(node, (ast.Name, ast.Attribute)):
        yield ast.UnaryOp(ast.USub(), node)
        yield ast.Call(ast.Name("abs", ast.Load()), [node], [])
        backwards = ast.Slice(step=ast.UnaryOp(ast.USub(), ast.Constant(1)))
        yield ast.Subscript(node, backwards, ast.Load())


def _placed(node: ast.expr, parent: ast.AST, top: ast.AST) -> Iterator[ast.expr]:
    """Yield a name's sum in a product, its neighbours in an index or an argument, its mean."""
    if not isinstance(node, ast.Name):
        return
    if isinstance(parent, ast.BinOp) and isinstance(parent.op, ast.Mult):
        yield from (ast.Attribute(ast.Name(n, ast.Load()), "T", ast.Load()) for n in _names(top))
        for name in ("mean", "sum"):
            yield ast.Call(ast.Attribute(node, name, ast.Load()), [], [])
    if isinstance(parent, (ast.Subscript, ast.Call)):
        yield from (ast.BinOp(node, sign(), ast.Constant(1)) for sign in (ast.Add, ast.Sub))
    mean = f"np.broadcast_to({node.id}.mean(axis=0), {node.id}.shape)"
    yield ast.parse(mean, mode="eval").body


def _of_an_attribute(node: ast.Attribute, top: ast.AST) -> Iterator[ast.expr]:
    """Yield the other attributes of the same name: self.dw for self.w."""
    found = [n for n in ast.walk(top) if isinstance(n, ast.Attribute)]
    same = [n.attr for n in found if ast.dump(n.value) == ast.dump(node.value)]
    yield from (
        ast.Attribute(node.value, attr, ast.Load())
        for attr in dict.fromkeys(same)
        if attr != node.attr
    )


def _is_factor(parent: ast.AST) -> bool:
    """Tell whether a factor may as well stand before the whole of what is above."""
    product = isinstance(parent, ast.BinOp) and isinstance(parent.op, (ast.Mult, ast.Div))
    return product or isinstance(parent, (ast.Attribute, ast.Subscript, ast.Slice))


def _scaled(node: ast.expr) -> Iterator[ast.expr]:
    if isinstance(node, (ast.BinOp, ast.Name, ast.Call)):
        yield ast.UnaryOp(ast.USub(), node)
        for operator in (ast.Mult(), ast.Div()):
            yield ast.BinOp(node, operator, ast.Constant(2))
    if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.Call)):
        yield ast.BinOp(node, ast.Add(), ast.Constant(1))
        yield ast.Call(ast.Name("abs", ast.Load()), [node], [])


def _of_an_operation(node: ast.BinOp) -> Iterator[ast.expr]:
    yield from (node.left, node.right, *_bracketed(node), *_squared(node))
    for operator in OPERATORS.get(type(node.op), ()):
        yield ast.BinOp(node.left, operator(), node.right)
    if isinstance(node.op, ast.MatMult):
        yield ast.Attribute(node, "T", ast.Load())
        for side in (node.left, node.right):
            if getattr(side, "attr", "") == "T":
                continue
            turned = ast.Attribute(side, "T", ast.Load())
            left = side is node.left
            yield ast.BinOp(turned if left else node.left, node.op, node.right if left else turned)
    if not isinstance(node.op, (ast.Add, ast.Mult)):
        yield ast.BinOp(node.right, node.op, node.left)


def _bracketed(node: ast.BinOp) -> Iterator[ast.expr]:
    """Yield the same names in the same order with the brackets elsewhere."""
    left, right = node.left, node.right
    if isinstance(left, ast.BinOp):
        yield ast.BinOp(left.left, left.op, ast.BinOp(left.right, node.op, right))
    if isinstance(right, ast.BinOp):
        yield ast.BinOp(ast.BinOp(left, node.op, right.left), right.op, right.right)


def _squared(node: ast.BinOp) -> Iterator[ast.expr]:
    """Yield a product with two of its factors squared, and |a| in the place of a²."""
    if isinstance(node.op, ast.Pow):
        yield ast.Call(ast.Name("abs", ast.Load()), [node.left], [])
    if isinstance(node.op, ast.Mult) and isinstance(node.left, ast.BinOp):
        first, middle = node.left.left, node.left.right
        if isinstance(node.left.op, ast.Mult):
            pair = ast.BinOp(middle, ast.Mult(), node.right)
            yield ast.BinOp(first, ast.Mult(), ast.BinOp(pair, ast.Pow(), ast.Constant(2)))


def _of_a_number(node: ast.Constant) -> Iterator[ast.expr]:
    if isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node.value, (int, float)):
        v = node.value
        yield from (ast.Constant(c) for c in (v + 1, v - 1, -v, 2 * v, v / 2, 0, 0.5) if c != v)


def _of_a_call(node: ast.Call) -> Iterator[ast.expr]:
    function = node.func
    if isinstance(function, ast.Attribute):
        yield from _along_an_axis(node, function)
        for name in FUNCTIONS.get(function.attr, ()):
            other = ast.Attribute(function.value, name, ast.Load())
            yield ast.Call(other, node.args, node.keywords)
        yield function.value
    if len(node.args) == 1:
        yield node.args[0]
    for i, j in itertools.combinations(range(len(node.args)), 2):
        args = list(node.args)
        args[i], args[j] = args[j], args[i]
        yield ast.Call(function, args, node.keywords)
    for k in range(len(node.keywords)):
        yield ast.Call(function, node.args, node.keywords[:k] + node.keywords[k + 1 :])


def _along_an_axis(node: ast.Call, function: ast.Attribute) -> Iterator[ast.expr]:
    """Yield a sum or a mean over everything taken along one axis alone."""
    if function.attr in ("sum", "mean", "max") and not node.args and not node.keywords:
        kept = ast.keyword("keepdims", ast.Constant(True))
        for axis in (0, 1):
            yield ast.Call(function, [], [ast.keyword("axis", ast.Constant(axis)), kept])


def _of_a_comparison(node: ast.Compare) -> Iterator[ast.expr]:
    for operator in COMPARISONS.get(type(node.ops[0]), ()):
        yield ast.Compare(node.left, [operator()], node.comparators)


def _of_a_tuple(node: ast.Tuple) -> Iterator[ast.expr]:
    for i, j in itertools.combinations(range(len(node.elts)), 2):
        elements = list(node.elts)
        elements[i], elements[j] = elements[j], elements[i]
        yield ast.Tuple(elements, ast.Load())


def _names(top: ast.AST) -> list[str]:
    """Return the names of arguments and variables, in order."""
    nodes = list(ast.walk(top))
    found = [n.arg for n in nodes if isinstance(n, ast.arg)]
    found += [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    return list(dict.fromkeys(n for n in found if n != "self"))


def changed(
    chosen: Exercise, top: Any, node: ast.expr, new: ast.expr, parents: dict[ast.AST, ast.AST]
) -> Iterator[Slip]:
    """Yield the solution with one expression in the place of another, unless it is the same."""
    host = _host(node, parents)
    right, parent = ast.unparse(host), parents[node]
    with _replaced(parent, node, new):
        wrong = ast.unparse(new if host is node else host)
        code = _run(chosen, top)
    if code is not None and right != wrong:
        yield Slip(told(right, wrong), code)


def _host(node: ast.AST, parents: dict[ast.AST, ast.AST]) -> ast.AST:
    """Return what is to be shown: a bare name or number says too little."""
    shown = node
    while isinstance(parents[shown], (ast.expr, ast.keyword, ast.Slice)) and (
        len(ast.unparse(shown)) < 12 or isinstance(shown, (ast.Slice, ast.keyword))
    ):
        shown = parents[shown]
    return shown


# ---------------------------------------------------------------- lines


def _lines(chosen: Exercise, top: Any, function: ast.FunctionDef) -> Iterator[Slip]:
    """Leave a line out, do it twice, or later."""
    for block in (b for n in ast.walk(function) for b in _blocks(n)):
        for i, line in enumerate(list(block)):
            if isinstance(line, (ast.Return, ast.FunctionDef)) or _is_text(line):
                continue
            right = ast.unparse(line).partition("\n")[0]
            for new, words in _otherwise(block, i):
                kept = list(block)
                block[:] = new
                code = _run(chosen, top)
                block[:] = kept
                if code is not None:
                    yield Slip(Text(words, {"right": right}), code)


def _otherwise(block: list[ast.stmt], i: int) -> Iterator[tuple[list[ast.stmt], str]]:
    line = block[i]
    rest = block[:i] + block[i + 1 :]
    yield rest or [ast.copy_location(ast.Pass(), line)], "this is what comes out without `{right}`"
    yield block[:i] + [line] + block[i:], "this is what comes out if `{right}` is done twice"
    for k in range(len(rest) + 1):
        if k not in (i, i + 1):
            yield (
                rest[:k] + [line] + rest[k:],
                "this is what comes out if `{right}` stands elsewhere",
            )


def _blocks(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse"):
        block = getattr(node, field, None)
        if isinstance(block, list) and block and isinstance(block[0], ast.stmt):
            yield block


def _is_text(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


def _assigned(
    chosen: Exercise, top: Any, node: ast.AugAssign, parents: dict[ast.AST, ast.AST]
) -> Iterator[Slip]:
    right = ast.unparse(node)
    others: list[ast.stmt] = [ast.Assign([node.target], node.value, lineno=node.lineno)]
    others += [
        ast.AugAssign(node.target, operator(), node.value)
        for operator in OPERATORS.get(type(node.op), ())
    ]
    for new in others:
        with _replaced(parents[node], node, new):
            code = _run(chosen, top)
        if code is not None:
            yield Slip(told(right, ast.unparse(new)), code)


# ---------------------------------------------------------------- the change itself


def told(right: str, wrong: str) -> Text:
    """Say that one thing stands where another belongs."""
    return Text(
        "this is what comes out if `{wrong}` stands where `{right}` belongs",
        {"wrong": wrong, "right": right},
    )


class _replaced:
    """Puts a node in the place of another for a while."""

    def __init__(self, parent: ast.AST, old: ast.AST, new: ast.AST) -> None:
        self.parent, self.old, self.new = parent, old, new

    def __enter__(self) -> None:
        # In the whole tree, missing places would take longer to find than all the rest.
        ast.fix_missing_locations(ast.copy_location(self.new, self.old))
        self._put(self.old, self.new)

    def __exit__(self, *error: object) -> None:
        self._put(self.new, self.old)

    def _put(self, old: ast.AST, new: ast.AST) -> None:
        for field, value in ast.iter_fields(self.parent):
            if value is old:
                setattr(self.parent, field, new)
            elif isinstance(value, list):
                value[:] = [new if one is old else one for one in value]


def _run(chosen: Exercise, top: ast.stmt) -> Any:
    """Return the solution's functions with one definition changed, None if it isn't Python."""
    names = starter.namespace(chosen)
    names[UNKNOWN] = [0.0]
    try:
        exec(compile(ast.Module([top], []), "slip", "exec"), names)
    except Exception:
        return None
    return SimpleNamespace(**{n: v for n, v in names.items() if not n.startswith("__")})

"""Show the library's own source in a notebook.

The tutorials never copy the code that they explain: they show the source of the objects that run.

>>> from minigan import nn
>>> from minigan.tutorial import show
>>> print(show(nn.LeakyReLU.backward, docstrings=False))
# minigan/nn/activations.py, method LeakyReLU.backward
def backward(
    self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
) -> Array | None:
    (y,) = cache.recall(self, dy)
    return backend.of(dy).leaky_relu_grad(dy, y, self.slope) if input_grad else None
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import PurePath
from typing import Any

__all__ = ["Source", "show"]


class Source:
    """Python code, which notebooks show with syntax highlighting; ``str(source)`` is the text.

    Parameters
    ----------
    text
        The code.
    """

    def __init__(self, text: str) -> None:
        self.text = text

    def _repr_markdown_(self) -> str:
        return f"```python\n{self.text}\n```"

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def show(*objects: Any, docstrings: bool = True) -> Source:
    """Show the live source of functions, methods, classes or modules.

    Parameters
    ----------
    objects
        What to show, in this order.
    docstrings
        Whether to show their docstrings too, which hold the derivations.

    Returns
    -------
    Source
        The source of each object, under a line that says where in the library it is defined.

    Raises
    ------
    TypeError
        If there is nothing to show, or one of the objects has no Python source.
    """
    if not objects:
        raise TypeError("show needs at least one function, method, class or module; give it one.")
    return Source("\n\n".join(_text(o, docstrings) for o in objects))


def _text(thing: Any, docstrings: bool) -> str:
    thing = inspect.unwrap(thing)  # layers' methods are wrapped in a check of their cache
    try:
        source = textwrap.dedent(inspect.getsource(thing)).strip()
    except (TypeError, OSError):
        raise TypeError(
            f"{thing!r} has no Python source; show the class or the function that made it."
        ) from None
    return f"# {_place(thing)}\n{source if docstrings else _without_docstrings(source)}"


def _place(thing: Any) -> str:
    module = inspect.getmodule(thing)
    package = "" if module is None else module.__name__.partition(".")[0]
    parts = PurePath(inspect.getfile(thing)).parts
    # Start at the package: the folders above it differ from machine to machine.
    file = (
        "/".join(parts[len(parts) - 1 - parts[::-1].index(package) :])
        if package in parts
        else parts[-1]
    )
    if inspect.ismodule(thing):
        return file
    name = thing.__qualname__
    kind = "class" if inspect.isclass(thing) else "method" if "." in name else "function"
    return f"{file}, {kind} {name}"


def _without_docstrings(source: str) -> str:
    lines: list[str | None] = list(source.split("\n"))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
            and ast.get_docstring(node) is not None
        ):
            text = node.body[0]
            # A body that is nothing but a docstring can't be left empty.
            if len(node.body) > 1 and text.end_lineno is not None:
                lines[text.lineno - 1 : text.end_lineno] = [None] * (
                    text.end_lineno - text.lineno + 1
                )
    kept = [line for line in lines if line is not None]
    return "\n".join(kept).strip("\n")

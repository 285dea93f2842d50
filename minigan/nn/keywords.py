"""One sentence for hyper-parameters that were given by position, as other libraries take them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar

Made = TypeVar("Made")
SIMPLE = (int, float, str, tuple, type(None))


def named_in_words(made: type[Made]) -> type[Made]:
    """Let the constructor that a class defines say how to name what it was given by position.

    Parameters
    ----------
    made
        The class, whose ``__init__`` then raises a TypeError that writes the call as it should be.

    Returns
    -------
    type
        The class itself, so that this can be a decorator.
    """
    init: Callable[..., None] = vars(made).get("__init__")  # type: ignore[assignment]
    if not inspect.isfunction(init) or init.__code__.co_flags & inspect.CO_VARARGS:
        return made
    names = list(inspect.signature(init).parameters)[1:]
    sizes = init.__code__.co_argcount - 1

    @functools.wraps(init)
    def checked(self: Any, *given: Any, **options: Any) -> None:
        if sizes < len(given) <= len(names):
            raise TypeError(_sentence(made.__name__, names, given, sizes))
        init(self, *given, **options)

    made.__init__ = checked  # type: ignore[method-assign]
    return made


def _sentence(name: str, names: list[str], given: tuple[Any, ...], sizes: int) -> str:
    pairs = list(zip(names, given, strict=False))
    words = [_written(*pair) for pair in pairs[:sizes]]
    words += [f"{pair[0]}={_written(*pair)}" for pair in pairs[sizes:]]
    return (
        f"{name} takes {' and '.join(names[:sizes]) or 'nothing'} by position, and the rest by "
        f"name; write {name}({', '.join(words)})."
    )


def _written(name: str, value: Any) -> str:
    return repr(value) if isinstance(value, SIMPLE) else name

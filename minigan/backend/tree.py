"""Arrays in tuples, named tuples, lists and dictionaries, treated as one thing: a tree."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def leaves(tree: Any) -> list[Any]:
    """Return the arrays of a tree in order; None stands for "no array" and isn't one of them."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        return [leaf for branch in tree.values() for leaf in leaves(branch)]
    if isinstance(tree, (tuple, list)):
        return [leaf for branch in tree for leaf in leaves(branch)]
    return [tree]


def mapped(change: Callable[[Any], Any], tree: Any) -> Any:
    """Return a tree of the same structure that holds ``change(array)`` for each array."""
    if tree is None:
        return None
    if isinstance(tree, dict):
        return {name: mapped(change, branch) for name, branch in tree.items()}
    if isinstance(tree, (tuple, list)):
        branches = [mapped(change, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return change(tree)


def replaced(tree: Any, arrays: list[Any]) -> Any:
    """Return a tree of the same structure that holds `arrays`, in the order of `leaves`."""
    rest = iter(arrays)
    return mapped(lambda _: next(rest), tree)

"""A net is a tree: layers hold parameters, buffers, random generators and other layers.

What a layer holds is found in its attributes, and in lists, tuples and dicts there. Everything has
a dotted name, the path to it: ``body.0.weight`` is the parameter `weight` of the first layer of
`body`.
"""

from __future__ import annotations

import copy
from collections import UserList, deque
from collections.abc import Callable, Iterator, Mapping, Set, ValuesView
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy

from minigan.backend import Array
from minigan.nn.parameter import Flat, Parameter, flatten


class Tree:
    """The part of `minigan.nn.Layer` that finds what a layer holds."""

    buffer_names: ClassVar[tuple[str, ...]] = ()
    """Attributes that are state but aren't learnt, such as running statistics."""

    def children(self) -> Iterator[tuple[str, Any]]:
        """Yield the names and layers directly inside this one.

        A layer has the name of its attribute; in a list, tuple or dict, however nested, its index
        or key there is appended: ``parts.0``, ``parts.key``.

        Raises
        ------
        ValueError
            If two of them would get the same name.
        """
        yield from held(vars(self), Tree)

    def layers(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """Yield dotted names and layers: this one, named `prefix`, then all inside it.

        Raises
        ------
        ValueError
            If a layer holds itself, directly or through others.
        """
        yield from _walk(self, prefix, ())

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters by dotted name, in order.

        Raises
        ------
        ValueError
            If two of them would get the same name.
        """
        return self._held(Parameter)

    def buffers(self) -> dict[str, Array]:
        """Return all arrays that are state but aren't learnt, by dotted name, in order."""
        return {
            _dotted(prefix, name): getattr(layer, name)
            for prefix, layer in self.layers()
            for name in layer.buffer_names
        }

    def generators(self) -> dict[str, numpy.random.Generator]:
        """Return the random generators inside (dropout's), by dotted name."""
        return self._held(numpy.random.Generator)

    def flat(self) -> Flat:
        """Return all parameters as one flat vector, laying them out on the first call."""
        return flatten(self.parameters().values())

    def zero_grad(self) -> None:
        """Set every gradient to zero."""
        for p in self.parameters().values():
            p.grad[...] = 0

    def require_found(self) -> None:
        """Refuse layers and parameters in places where they aren't found, such as a set.

        They would be neither trained nor saved. A layer that is only referred to, by a function or
        a weak reference, isn't one of the net's, and is left alone.

        Raises
        ------
        TypeError
            If there are any.
        """
        found = {id(p) for p in self.parameters().values()} | {id(x) for _, x in self.layers()}
        for _, layer in self.layers():
            for name, value in (_class_attributes(layer) | _attributes(layer)).items():
                if kind := _out_of_reach([value], found, _NOT_OWN):
                    where = kind if name in vars(layer) else _NOT_OWN
                    raise TypeError(
                        f"The attribute {name} of {layer!r} has layers or parameters in a {where}, "
                        "where they are neither trained nor saved; keep them in attributes that "
                        "__init__ sets, or in a list, tuple or dict there."
                    )

    def replace_children(self, change: Callable[[Any], Any]) -> None:
        """Replace each layer directly inside this one by ``change(child)``.

        Lists, tuples and dicts with layers in them are replaced by new ones, so that a copy of this
        layer keeps its own. A layer that is held twice is changed once.

        Parameters
        ----------
        change
            Returns the new layer, or the old one to keep it.
        """
        changed: dict[int, Any] = {}
        for name, value in list(vars(self).items()):
            new = _replaced(value, change, changed)
            if new is not value:
                setattr(self, name, new)

    def _held(self, kind: type) -> dict[str, Any]:
        """Collect the objects of a kind in this layer and all inside it."""
        return _unique(
            [
                (_dotted(prefix, name), value)
                for prefix, layer in self.layers()
                for name, value in held(vars(layer), kind)
            ]
        )


def held(places: dict[Any, Any], kind: type) -> list[tuple[str, Any]]:
    """Return the names and objects of a kind in `places`, and in lists, tuples and dicts there.

    Parameters
    ----------
    places
        Objects by name, as ``vars(layer)`` gives them.
    kind
        A class.

    Raises
    ------
    ValueError
        If two of them would get the same name, as in ``{1: a, "1": b}``.
    """
    found: list[tuple[str, Any]] = []
    nested = False
    for key, value in places.items():
        if isinstance(value, kind):
            found.append((str(key), value))
        elif isinstance(value, _CONTAINERS) and not _only_numbers(value):
            _search(value, kind, f"{key}.", found, ())
            nested = True
    return list(_unique(found).items()) if nested else found


_CONTAINERS = (list, tuple, dict)
_NUMBERS = frozenset((int, float, bool, type(None)))


def _only_numbers(container: Any) -> bool:
    """Tell quickly that there is nothing to find in sizes, strides or a history."""
    items = container.values() if isinstance(container, dict) else container
    return _NUMBERS.issuperset(map(type, items))


_NOT_OWN = "class attribute or slot"


def _out_of_reach(items: list[Any], found: set[int], kind: str) -> str | None:
    """Return the kind of the place, `kind` or one in it, with layers that weren't found."""
    for item in items:
        if id(item) in found:
            continue
        if isinstance(item, (Tree, Parameter)):
            return kind
        inside = _inside(item)
        # For a container that holds itself, this one counts as found in what is inside.
        if inside and (what := _out_of_reach(inside, found | {id(item)}, type(item).__name__)):
            return what
    return None


def _inside(value: Any) -> list[Any]:
    """Return what a container of any kind holds, or an object of a class from elsewhere."""
    if isinstance(value, numpy.ndarray):
        return value.ravel().tolist() if value.dtype == object else []
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, (list, tuple, deque, UserList, Set, ValuesView)):
        return [] if _only_numbers(value) else list(value)
    if isinstance(value, SimpleNamespace) or _is_foreign(type(value)):
        # Its own attributes, but not what further objects there hold, which may be anything.
        return [x for x in _attributes(value).values() if isinstance(x, (Tree, Parameter))]
    return []


def _attributes(thing: Any) -> dict[str, Any]:
    """Return what an object holds, in slots too."""
    declared = [vars(kind).get("__slots__", ()) for kind in type(thing).__mro__]
    slots = [name for some in declared for name in ([some] if isinstance(some, str) else some)]
    kept = {name: getattr(thing, name) for name in slots if hasattr(thing, name)}
    return kept | getattr(thing, "__dict__", {})


def _class_attributes(layer: Any) -> dict[str, Any]:
    foreign = filter(_is_foreign, reversed(type(layer).__mro__))
    own = {name: value for kind in foreign for name, value in vars(kind).items()}
    return {name: value for name, value in own.items() if not name.startswith("__")}


def _is_foreign(kind: type) -> bool:
    """Whether a class is neither minigan's nor built in."""
    return kind.__module__.partition(".")[0] not in ("minigan", "builtins")


def _search(
    container: Any, kind: type, prefix: str, found: list[tuple[str, Any]], around: tuple[int, ...]
) -> None:
    """Add the objects of a kind in a container to `found`; `around` are the ones it is in."""
    if id(container) in around:  # a list that holds itself; what is in it already has a name
        return
    for key, value in container.items() if isinstance(container, dict) else enumerate(container):
        if isinstance(value, kind):
            found.append((f"{prefix}{key}", value))
        elif isinstance(value, _CONTAINERS) and not _only_numbers(value):
            _search(value, kind, f"{prefix}{key}.", found, (*around, id(container)))


def _unique(found: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the found objects by name, and refuse a name that occurs twice."""
    by_name = dict(found)
    if len(by_name) < len(found):
        names = [name for name, _ in found]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(
            f"Two members of a layer would both be called {double!r}; give one of them another key."
        )
    return by_name


def _walk(layer: Any, name: str, around: tuple[int, ...]) -> Iterator[tuple[str, Any]]:
    """Yield a layer and all inside it; `around` are the layers it is in."""
    if id(layer) in around:
        raise ValueError(
            f"{type(layer).__name__} holds itself, as {name!r}, so its parameters would have no "
            "end; hold a copy, or keep the layer out of its own attributes."
        )
    yield name, layer
    for child_name, child in layer.children():
        yield from _walk(child, _dotted(name, child_name), (*around, id(layer)))


def _dotted(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _replaced(value: Any, change: Callable[[Any], Any], changed: dict[int, Any]) -> Any:
    """Return `value` with its layers changed: itself, if nothing in it has changed."""
    if isinstance(value, Tree):
        if id(value) not in changed:
            changed[id(value)] = change(value)
        return changed[id(value)]
    if not isinstance(value, _CONTAINERS):
        return value
    keys = list(value) if isinstance(value, dict) else range(len(value))
    new = {key: _replaced(value[key], change, changed) for key in keys}
    if all(new[key] is value[key] for key in keys):
        return value
    if isinstance(value, dict):
        twin = copy.copy(value)
        twin.update(new)
        return twin
    if hasattr(value, "_fields"):  # a named tuple
        return type(value)(*new.values())
    return type(value)(new.values())

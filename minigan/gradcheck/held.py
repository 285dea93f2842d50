"""Every place in an object where something is kept: attributes, slots, items of containers."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy

from minigan.nn.layer import Layer
from minigan.nn.parameter import Flat, Parameter

GENERATORS = (numpy.random.Generator, numpy.random.RandomState, random.Random)
CLOSED = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, Flat, str, bytes)


@dataclass(frozen=True)
class Place:
    """One place: ``owner.key`` or ``owner[key]``, by whatever names lead there.

    Attributes
    ----------
    name
        The dotted path from the layer: ``body.0.W``.
    owner, key
        Where the value is kept.
    value
        What was found there.
    root, trail
        Where the search began, and the keys that lead from there to the owner.
    """

    name: str
    owner: Any
    key: Any
    value: Any
    root: Any
    trail: tuple[Any, ...] = ()

    def read(self) -> Any:
        """Return what is kept here now, even if the containers on the way are new; or None."""
        found = self.root
        for key in (*self.trail, self.key):
            try:
                found = (
                    found[key] if isinstance(found, (list, dict, tuple)) else getattr(found, key)
                )
            except (LookupError, AttributeError):
                return None
        return found

    def put(self, value: Any) -> None:
        """Keep another value here; a tuple, which can't change, keeps what it has."""
        if isinstance(self.owner, (list, dict)):
            self.owner[self.key] = value
        elif not isinstance(self.owner, tuple):
            setattr(self.owner, self.key, value)


def places(root: Any) -> Iterator[Place]:
    """Yield every place inside `root`, each once, in order; a `Parameter` isn't opened."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[Any, ...], Any]] = [((), root)]
    while waiting:
        trail, owner = waiting.pop(0)
        if id(owner) in seen or isinstance(owner, (*CLOSED, *GENERATORS)):
            continue
        seen.add(id(owner))
        for key, value in _items(owner):
            name = ".".join(str(part) for part in (*trail, key))
            yield Place(name, owner, key, value, root, trail)
            if not (is_number(value) or isinstance(value, Parameter)):
                waiting.append(((*trail, key), value))


def _items(owner: Any) -> list[tuple[Any, Any]]:
    if isinstance(owner, dict):
        return list(owner.items())
    if isinstance(owner, (list, tuple)):
        return list(enumerate(owner))
    if hasattr(owner, "dtype"):
        return []
    own = list(getattr(owner, "__dict__", {}).items())
    for base in type(owner).__mro__:
        slots = vars(base).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        own += [(n, getattr(owner, n)) for n in names if n[:2] != "__" and hasattr(owner, n)]
    return own


def is_number(value: Any) -> bool:
    """Tell whether a value is an array, or a plain floating-point number."""
    return hasattr(value, "dtype") or isinstance(value, float)


def is_floating(value: Any) -> bool:
    """Tell whether a value is an array of floating-point numbers, or one such number."""
    return isinstance(value, float) or getattr(getattr(value, "dtype", None), "kind", "") == "f"


def set_precision(root: Any, dtype: str) -> None:
    """Change the precision of every array of floating-point numbers inside `root`."""
    made: dict[int, Any] = {}

    def cast(a: Any) -> Any:
        if not hasattr(a, "dtype") or not is_floating(a) or a.dtype == dtype:
            return a
        return made.setdefault(id(a), (a, a.astype(dtype)))[1]

    def cast_parameter(p: Parameter) -> None:
        p.replace(cast(p.value), cast(p.grad), None)

    # A net's own list comes first: parameters may lie where a walk over attributes can't reach.
    if isinstance(root, Layer):
        for p in root.parameters().values():
            cast_parameter(p)
    for place in list(places(root)):
        if isinstance(place.value, Parameter):
            cast_parameter(place.value)
        elif isinstance(place.value, tuple):
            _cast_tuple(place, cast)
        elif cast(place.value) is not place.value:
            place.put(cast(place.value))


def _cast_tuple(place: Place, cast: Callable[[Any], Any]) -> None:
    items = [cast(item) for item in place.value]
    if any(new is not old for new, old in zip(items, place.value, strict=True)):
        kind: Any = type(place.value)
        place.put(kind(*items) if hasattr(kind, "_fields") else kind(items))


class Memory:
    """All that an object holds at one moment, to be put back: arrays, numbers, generators.

    Parameters
    ----------
    root
        The object. Arrays keep their identity: their contents are put back.
    """

    def __init__(self, root: Any) -> None:
        self._undo: list[Callable[[], None]] = []
        for place in places(root):
            value = place.value
            if isinstance(value, GENERATORS):
                self._undo.append(_reseed(value))
            elif hasattr(value, "dtype"):
                self._undo.append(_refill(place))
            elif value is None or isinstance(value, (bool, int, float, str)):
                self._undo.append(lambda place=place: place.put(place.value))  # type: ignore[misc]

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undo:
            undo()


def _refill(place: Place) -> Callable[[], None]:
    array, saved = place.value, place.value.copy()
    fixed = isinstance(array, numpy.generic) or (
        isinstance(array, numpy.ndarray) and not array.flags.writeable
    )

    def undo() -> None:
        if not fixed:
            array[...] = saved
        place.put(array)

    return undo


def _reseed(generator: Any) -> Callable[[], None]:
    if isinstance(generator, numpy.random.Generator):
        state = copy.deepcopy(generator.bit_generator.state)
        return lambda: setattr(generator.bit_generator, "state", state)
    if isinstance(generator, random.Random):
        plain = generator.getstate()
        return lambda: generator.setstate(plain)
    legacy = generator.get_state()
    return lambda: generator.set_state(legacy)

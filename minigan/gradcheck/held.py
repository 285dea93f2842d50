"""Every place in an object where something is kept: attributes, slots, items of containers."""

from __future__ import annotations

import copy
import functools
import inspect
import random
import sys
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy

from minigan.nn.layer import Layer
from minigan.nn.parameter import Flat, Parameter

GENERATORS = (
    numpy.random.Generator, numpy.random.RandomState, numpy.random.BitGenerator, random.Random,
)  # fmt: skip
CLOSED = (type, ModuleType, Flat, str, bytes)
BOUND = (MethodType, BuiltinFunctionType)
FOREIGN = {"minigan", "numpy", "cupy", "scipy"} | sys.stdlib_module_names


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
    outside
        Whether it belongs to a module or an enclosing function, which a copy of the layer shares.
    """

    name: str
    owner: Any
    key: Any
    value: Any
    root: Any
    trail: tuple[Any, ...] = ()
    outside: bool = False

    def read(self) -> Any:
        """Return what is kept here now, even if the containers on the way are new; or None."""
        found = self.root
        for key in (*self.trail, self.key):
            try:
                found = _step(found, key)
            except (LookupError, AttributeError):
                return None
        return found

    def put(self, value: Any) -> None:
        """Keep another value here; a tuple, which can't change, keeps what it has."""
        if isinstance(self.owner, FunctionType):
            if self.key in (cells := _cells(self.owner)):
                cells[self.key].cell_contents = value
        elif isinstance(self.owner, (list, dict, deque)) or hasattr(self.owner, "dtype"):
            self.owner[self.key] = value
        elif not isinstance(self.owner, (tuple, set, frozenset, functools.partial, *BOUND)):
            _set(self.owner, self.key, value)


def places(root: Any) -> Iterator[Place]:
    """Yield every place inside `root`, each once, in order; a `Parameter` isn't opened."""
    seen: set[int] = set()
    waiting: list[tuple[tuple[Any, ...], Any, bool]] = [((), root, False)]
    while waiting:
        trail, owner, outside = waiting.pop(0)
        if id(owner) in seen or isinstance(owner, (*CLOSED, *GENERATORS)):
            continue
        seen.add(id(owner))
        for key, value in _items(owner):
            shared = outside or _is_shared(owner, key)
            name = ".".join(str(part) for part in (*trail, key))
            yield Place(name, owner, key, value, root, trail, shared)
            if not (is_number(value) or isinstance(value, Parameter)):
                waiting.append(((*trail, key), value, shared))


def _step(owner: Any, key: Any) -> Any:
    """Return what an owner keeps under a key."""
    if isinstance(owner, (list, dict, tuple, deque)) or hasattr(owner, "dtype"):
        return owner[key]
    if isinstance(owner, MethodType) and key != "__self__":
        owner = owner.__func__
    if isinstance(owner, (set, frozenset, FunctionType, functools.partial)):
        return dict(_items(owner))[key]
    return getattr(owner, key)


def _set(owner: Any, key: str, value: Any) -> None:
    try:
        setattr(owner, key, value)
    except AttributeError:  # a frozen dataclass, or a property without a setter
        with suppress(AttributeError, TypeError):
            object.__setattr__(owner, key, value)


def _items(owner: Any) -> list[tuple[Any, Any]]:
    if isinstance(owner, dict):
        return list(owner.items())
    if isinstance(owner, (list, tuple, deque, set, frozenset)):
        return list(enumerate(owner))
    if hasattr(owner, "dtype"):
        return _inside_array(owner)
    if isinstance(owner, BOUND):
        return [("__self__", owner.__self__)]
    if isinstance(owner, functools.partial):
        return [("func", owner.func), ("args", owner.args), ("keywords", owner.keywords)]
    if isinstance(owner, FunctionType):
        return _inside_function(owner)
    own = list(getattr(owner, "__dict__", {}).items())
    for base in type(owner).__mro__:
        slots = vars(base).get("__slots__", ())
        names = (slots,) if isinstance(slots, str) else slots
        own += [(n, getattr(owner, n)) for n in names if n[:2] != "__" and hasattr(owner, n)]
    return own + _of_the_class(owner, {name for name, _ in own})


def _inside_array(array: Any) -> list[tuple[Any, Any]]:
    """Return the objects in an array of objects, or the fields of a structured one."""
    if array.dtype.names:
        return [(name, array[name]) for name in array.dtype.names]
    if array.dtype != object:
        return []
    return [(i[0] if len(i) == 1 else i, array[i]) for i in numpy.ndindex(array.shape)]


def _of_the_class(owner: Any, known: set[str]) -> list[tuple[str, Any]]:
    """Return the attributes of an object's class, among them the methods."""
    found: dict[str, Any] = {}
    for base in type(owner).__mro__:
        if not _is_foreign(base):
            for name, value in vars(base).items():
                if not (name[:2] == name[-2:] == "__" and not isinstance(value, FunctionType)):
                    found.setdefault(name, value)
    closed = (property, classmethod, staticmethod, *CLOSED)
    return [
        (n, v)
        for n, v in found.items()
        if n not in known and not isinstance(v, closed) and not hasattr(v, "__set__")
    ]


def _inside_function(function: FunctionType) -> list[tuple[str, Any]]:
    """Return what a function takes from outside: variables, and default values."""
    if _is_foreign(function):
        return []
    with suppress(TypeError, ValueError):
        outside = inspect.getclosurevars(function)
        defaults = inspect.signature(function).parameters.values()
        taken = (
            dict(outside.nonlocals) | dict(outside.globals) | {p.name: p.default for p in defaults}
        )
        return [(n, v) for n, v in taken.items() if not isinstance(v, CLOSED)]
    return []


def _is_shared(owner: Any, key: Any) -> bool:
    """Tell whether copies of the owner share what it keeps there."""
    if isinstance(owner, FunctionType):
        return not getattr(owner, "copied", False) or key not in _cells(owner)
    return isinstance(owner, BuiltinFunctionType)


def _cells(function: FunctionType) -> dict[str, CellType]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _is_foreign(thing: Any) -> bool:
    return (getattr(thing, "__module__", None) or "builtins").partition(".")[0] in FOREIGN


def duplicate(root: Any) -> Any:
    """Copy an object, with what its functions close over and what it takes from its class."""
    memo: dict[int, Any] = {id(m): m for m in sys.modules.values()}
    twins: dict[int, FunctionType] = {}
    cells: dict[int, tuple[CellType, CellType]] = {}
    for place in list(places(root)):
        own = place.owner if isinstance(place.owner, dict) else getattr(place.owner, "__dict__", {})
        if isinstance(place.value, FunctionType) and place.value.__closure__ and place.key in own:
            twins[id(place.value)] = _twin(place.value, cells)
    memo |= twins
    copied = copy.deepcopy(root, memo)
    for cell, new in cells.values():
        with suppress(ValueError):  # an empty one
            content = cell.cell_contents
            new.cell_contents = twins.get(id(content)) or copy.deepcopy(content, memo)
    for place in list(places(copied)):
        if id(place.value) in twins:
            place.put(twins[id(place.value)])
        elif _is_of_the_class(place):
            place.put(copy.deepcopy(place.value, memo))
    return copied


def _twin(function: FunctionType, cells: dict[int, tuple[CellType, CellType]]) -> FunctionType:
    own = [cells.setdefault(id(c), (c, CellType()))[1] for c in function.__closure__ or ()]
    twin = FunctionType(
        function.__code__, function.__globals__, function.__name__, function.__defaults__,
        tuple(own),
    )  # fmt: skip
    twin.__kwdefaults__, twin.copied = function.__kwdefaults__, True  # type: ignore[attr-defined]
    return twin


def _is_of_the_class(place: Place) -> bool:
    own = getattr(place.owner, "__dict__", None)
    plain = not isinstance(place.value, FunctionType) and not place.outside
    return plain and own is not None and isinstance(place.key, str) and (
        place.key not in own and place.key in dir(type(place.owner))
    )  # fmt: skip


def is_number(value: Any) -> bool:
    """Tell whether a value is an array of numbers, or a plain floating-point number."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    return isinstance(value, float) or kind not in (None, "O", "V")


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
        if place.outside:
            continue
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
            elif place.outside:
                continue
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
    if isinstance(generator, numpy.random.BitGenerator):
        bits = copy.deepcopy(generator.state)
        return lambda: setattr(generator, "state", bits)
    if isinstance(generator, random.Random):
        plain = generator.getstate()
        return lambda: generator.setstate(plain)
    legacy = generator.get_state()
    return lambda: generator.set_state(legacy)

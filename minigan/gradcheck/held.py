"""Every place in an object where something is kept: attributes, slots, items of containers."""

from __future__ import annotations

import copy
import functools
import inspect
import random
import sys
from array import array as PackedArray
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import IOBase
from types import (
    BuiltinFunctionType,
    CellType,
    CodeType,
    FunctionType,
    MappingProxyType,
    MethodType,
    ModuleType,
)  # fmt: skip
from typing import Any

import numpy

from minigan.nn.layer import Layer
from minigan.nn.parameter import Flat, Parameter

GENERATORS = (
    numpy.random.Generator, numpy.random.RandomState, numpy.random.BitGenerator, random.Random,
)  # fmt: skip
CLOSED = (ModuleType, Flat, str, bytes)
PLAIN = {type(None), bool, int, float, complex, str, bytes}
"""Types whose values keep nothing; a class derived from one of them may."""
BOUND = (MethodType, BuiltinFunctionType)
UNCHANGING = (tuple, set, frozenset, *BOUND)
"""Types whose items stay where they are."""
ORDERED = (list, tuple, deque, PackedArray)
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
                found = step(found, key)
            except (LookupError, AttributeError, TypeError):
                return None
        return found

    def put(self, value: Any) -> None:
        """Keep another value here; a tuple, which can't change, keeps what it has."""
        if isinstance(self.owner, FunctionType):
            if self.key in (cells := _cells(self.owner)):
                cells[self.key].cell_contents = value
        elif isinstance(self.owner, functools.partial):
            _refit(self.owner, self.key, value)
        elif isinstance(self.owner, (list, dict, deque, PackedArray)) or is_array(self.owner):
            self.owner[self.key] = value
        elif not isinstance(self.owner, UNCHANGING):
            _set(self.owner, self.key, value)


def places(root: Any) -> Iterator[Place]:
    """Yield every place inside `root`, each once, in order; a `Parameter` isn't opened."""
    seen: set[int] = set()
    waiting: deque[tuple[tuple[Any, ...], Any, bool]] = deque([((), root, False)])
    while waiting:
        trail, owner, outside = waiting.popleft()
        if id(owner) in seen or isinstance(owner, (*CLOSED, *GENERATORS)):
            continue
        seen.add(id(owner))
        for key, value in _items(owner):
            shared = outside or _is_shared(owner, key)
            name = ".".join(str(part) for part in (*trail, key))
            yield Place(name, owner, key, value, root, trail, shared)
            if not (type(value) in PLAIN or is_number(value) or isinstance(value, Parameter)):
                waiting.append(((*trail, key), value, shared))


def step(owner: Any, key: Any) -> Any:
    """Return what an owner keeps under a key."""
    if isinstance(owner, (dict, *ORDERED)) or is_array(owner):
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


def _refit(function: functools.partial[Any], key: str, value: Any) -> None:
    """Change what a partial function is made of."""
    kept = {name: getattr(function, name) for name in ("func", "args", "keywords")} | {key: value}
    function.__setstate__((*kept.values(), vars(function)))  # type: ignore[attr-defined]


def _items(owner: Any) -> list[tuple[Any, Any]]:
    if isinstance(owner, (dict, MappingProxyType)):
        return list(owner.items())
    if isinstance(owner, (*ORDERED, set, frozenset)):
        return list(enumerate(owner))
    if isinstance(owner, type):
        return list(_attributes(owner).items())
    if is_array(owner):
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
        names = [_mangled(n, base) for n in ((slots,) if isinstance(slots, str) else slots)]
        own += [(n, getattr(owner, n)) for n in names if n[:2] != "__" and hasattr(owner, n)]
    return own + _of_the_class(owner, {name for name, _ in own})


def _mangled(name: str, owner: type) -> str:
    """Return the name under which Python keeps a private slot."""
    private = name[:2] == "__" and name[-2:] != "__"
    return f"_{owner.__name__.lstrip('_')}{name}" if private else name


def _inside_array(array: Any) -> list[tuple[Any, Any]]:
    """Return the objects in an array of objects, or the fields of a structured one."""
    if array.dtype.names:
        return [(name, array[name]) for name in array.dtype.names]
    if array.dtype != object:
        return []
    return [(i[0] if len(i) == 1 else i, array[i]) for i in numpy.ndindex(array.shape)]


def _of_the_class(owner: Any, known: set[str]) -> list[tuple[str, Any]]:
    """Return the attributes of an object's class, among them the methods, and the class itself."""
    if _is_foreign(type(owner)):
        return []
    found = _attributes(type(owner), methods=True)
    return [(n, v) for n, v in found.items() if n not in known] + [("__class__", type(owner))]


def _attributes(kind: type, *, methods: bool = False) -> dict[str, Any]:
    """Return what a class, or one that it is derived from, keeps for all its objects."""
    found: dict[str, Any] = {}
    for base in kind.__mro__:
        if not _is_foreign(base):
            for name, value in vars(base).items():
                method = isinstance(value, FunctionType)
                plain = not hasattr(value, "__get__") and not name[:2] == name[-2:] == "__"
                if (method and methods) or (plain and not isinstance(value, CLOSED)):
                    found.setdefault(name, value)
    return found


def _inside_function(function: FunctionType) -> list[tuple[str, Any]]:
    """Return what a function takes from outside: variables, and default values."""
    if _is_foreign(function):
        return []
    taken = _globals(function)
    with suppress(TypeError, ValueError):
        taken |= {p.name: p.default for p in inspect.signature(function).parameters.values()}
    for name, cell in _cells(function).items():
        with suppress(ValueError):  # an empty one
            taken[name] = cell.cell_contents
    return [(n, v) for n, v in taken.items() if not isinstance(v, CLOSED)]


def _globals(function: FunctionType) -> dict[str, Any]:
    """Return what a function takes from its module, and from others that the user wrote."""
    names, there = _names(function.__code__), function.__globals__
    found = {name: there[name] for name in names if name in there}
    modules = {n: m for n, m in found.items() if isinstance(m, ModuleType)}
    for name, module in modules.items():
        installed = "site-packages" in (getattr(module, "__file__", None) or "")
        if not installed and module.__name__.partition(".")[0] not in FOREIGN:
            inside = [n for n in names if hasattr(module, n)]
            found |= {f"{name}.{n}": getattr(module, n) for n in inside}
    return found


def _names(code: CodeType) -> list[str]:
    """Return all names in a function, and in those that are made inside it."""
    inside = [c for c in code.co_consts if isinstance(c, CodeType)]
    return [*code.co_names, *(name for c in inside for name in _names(c))]


def _is_shared(owner: Any, key: Any) -> bool:
    """Tell whether copies of the owner share what it keeps there."""
    if isinstance(owner, FunctionType):
        return not getattr(owner, "copied", False) or key not in _cells(owner)
    return isinstance(owner, (BuiltinFunctionType, type))


def _cells(function: FunctionType) -> dict[str, CellType]:
    return dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))


def _is_foreign(thing: Any) -> bool:
    return _package(thing) in FOREIGN


def _package(thing: Any) -> str:
    """Return the package that a class or a function is from; one of C may not know."""
    module = getattr(thing, "__module__", None)
    return module.partition(".")[0] if isinstance(module, str) else "builtins"


def duplicate(root: Any) -> Any:
    """Copy an object, with what its functions close over and what it takes from its class."""
    memo: dict[int, Any] = {id(m): m for m in sys.modules.values()}
    found = list(places(root))
    memo |= {id(old): new for old, new in shared_memory(found, lambda owner: owner.copy("K"))}
    memo |= {id(p.value): p.value for p in found if _cannot_be_copied(p.value)}
    for place in reversed(found):  # those inside others first
        if isinstance(place.value, MappingProxyType):
            memo[id(place.value)] = copy.deepcopy(dict(place.value), memo)
    twins: dict[int, FunctionType] = {}
    cells: dict[int, tuple[CellType, CellType]] = {}
    for place in found:
        own = place.owner if isinstance(place.owner, dict) else getattr(place.owner, "__dict__", {})
        if isinstance(place.value, FunctionType) and place.value.__closure__ and place.key in own:
            twins[id(place.value)] = _twin(place.value, cells)
    memo |= twins
    copied = _copied(root, memo)
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


def _copied(root: Any, memo: dict[int, Any]) -> Any:
    try:
        return copy.deepcopy(root, memo)
    except Exception as error:  # a class may answer anything
        raise TypeError(
            f"{type(root).__name__} can't be copied, so that a check could leave it as it is: "
            f"{error}."
        ) from error


def _cannot_be_copied(value: Any) -> bool:
    """Tell whether a value of Python's own, such as a lock or an open file, refuses a copy."""
    if not _is_foreign(type(value)) or (_items(value) and not isinstance(value, IOBase)):
        return False
    try:
        copy.deepcopy(value)
    except Exception:  # whatever it says
        return True
    return False


def shared_memory(
    found: list[Place], make: Callable[[Any], Any]
) -> Iterator[tuple[Any, numpy.ndarray[Any, Any]]]:
    """Yield, for each array that is part of another's memory, its like in another memory.

    Parameters
    ----------
    found
        Places, among them those of the arrays.
    make
        Makes the other memory out of an array that owns some: a copy of the same layout.
    """
    kept = [p.value for p in found if type(p.value) is numpy.ndarray and not p.outside]
    owners = {id(a.base): a.base for a in kept if type(a.base) is numpy.ndarray}
    for owner in owners.values():
        parts = [a for a in kept if (a is owner or a.base is owner) and a.dtype == owner.dtype]
        if len({id(a) for a in parts}) > 1:
            memory = make(owner)
            yield from ((a, _part(a, owner, memory)) for a in parts)


def _part(a: Any, owner: Any, memory: Any) -> Any:
    """Return of another memory what a is of its owner's."""
    if a is owner:
        return memory
    begin, first = (x.__array_interface__["data"][0] // a.itemsize for x in (a, owner))
    strides = [stride // a.itemsize * memory.itemsize for stride in a.strides]
    offset = (begin - first) * memory.itemsize
    return numpy.ndarray(a.shape, memory.dtype, memory.ravel("K"), offset, strides)


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
    plain = not isinstance(place.value, (FunctionType, type)) and not place.outside
    return plain and own is not None and isinstance(place.key, str) and (
        place.key not in own and place.key in dir(type(place.owner))
    )  # fmt: skip


def is_array(value: Any) -> bool:
    """Tell whether a value is an array or a number of one; what just has a dtype may be a layer."""
    return isinstance(value, (numpy.ndarray, numpy.generic)) or (
        hasattr(type(value), "__minigan_backend__") or _package(type(value)) == "cupy"
    )


def is_number(value: Any) -> bool:
    """Tell whether a value is an array of numbers, or a plain floating-point number."""
    return isinstance(value, float) or (is_array(value) and value.dtype.kind not in "OV")


def is_floating(value: Any) -> bool:
    """Tell whether a value is an array of floating-point numbers, or one such number."""
    return isinstance(value, float) or (is_array(value) and value.dtype.kind == "f")


def set_precision(root: Any, dtype: str) -> None:
    """Change the precision of every array of floating-point numbers inside `root`."""
    found = list(places(root))
    shared = [
        p for p in found if is_floating(p.value) and getattr(p.value, "dtype", dtype) != dtype
    ]
    made = {
        id(old): (old, new)
        for old, new in shared_memory(shared, lambda owner: owner.astype(dtype, order="K"))
    }

    def cast(a: Any) -> Any:
        if type(a) is tuple or (isinstance(a, tuple) and hasattr(a, "_fields")):
            return _cast_tuple(a, cast)
        if not is_array(a) or not is_floating(a) or a.dtype == dtype:
            return a
        return made.setdefault(id(a), (a, a.astype(dtype)))[1]

    def cast_parameter(p: Parameter) -> None:
        p.replace(cast(p.value), cast(p.grad), None)

    # A net's own list comes first: parameters may lie where a walk over attributes can't reach.
    if isinstance(root, Layer):
        for p in root.parameters().values():
            cast_parameter(p)
    for place in found:
        if place.outside:
            continue
        if isinstance(place.value, Parameter):
            cast_parameter(place.value)
        elif cast(place.value) is not place.value:
            place.put(cast(place.value))


def _cast_tuple(values: Any, cast: Callable[[Any], Any]) -> Any:
    """Return a tuple with other items; the same one, if they are the same."""
    items = [cast(item) for item in values]
    if all(new is old for new, old in zip(items, values, strict=True)):
        return values
    kind: Any = type(values)
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


class Memory:
    """All that an object holds at one moment, to be put back: arrays, numbers, generators.

    Parameters
    ----------
    root
        The object. Arrays keep their identity: their contents are put back.
    outside
        Whether only to hold what lies outside, in a module or an enclosing function.
    """

    def __init__(self, root: Any, *, outside: bool = False) -> None:
        self._undo: list[Callable[[], None]] = []
        tables: dict[int, tuple[dict[Any, Any], dict[Any, Any]]] = {}
        for place in places(root):
            value = place.value
            if outside and not place.outside:
                continue
            if isinstance(value, GENERATORS):
                self._undo.append(_reseed(value))
            elif is_array(value):
                self._undo.append(_refill(place))
            elif place.outside:
                continue
            elif type(value) in PLAIN and (table := _table(place)) is not None:
                tables.setdefault(id(table), (table, {}))[1][place.key] = value
            elif isinstance(place.owner, UNCHANGING):
                continue
            elif value is None or isinstance(value, (bool, int, float, str)):
                self._undo.append(lambda place=place: place.put(place.value))  # type: ignore[misc]
        # A vocabulary may have thousands of them, an object a dozen: all at once.
        self._undo += [functools.partial(owner.update, items) for owner, items in tables.values()]

    def restore(self) -> None:
        """Put everything back."""
        for undo in self._undo:
            undo()


def _table(place: Place) -> dict[Any, Any] | None:
    """Return the dict in which a value lies: the owner, or the owner's attributes."""
    if type(place.owner) is dict:
        return place.owner
    own = getattr(place.owner, "__dict__", None)
    of_the_class = inspect.getattr_static(type(place.owner), str(place.key), None)
    hidden = hasattr(of_the_class, "__set__")  # behind a property
    return own if type(own) is dict and place.key in own and not hidden else None


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

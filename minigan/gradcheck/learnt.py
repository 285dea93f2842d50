"""Find what a layer learns: each number that it holds, and the gradient that belongs to it.

Any style is understood: `minigan.nn.Parameter`; other objects with a value and a gradient; plain
arrays and numbers in attributes, slots, lists and dicts, in pairs such as ``W`` and ``dW``, or
``params["W"]`` and ``grads["W"]``; gradients that `backward` returns.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend
from minigan.gradcheck.held import Place, is_array, is_floating, places, step
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter

BOX = (("value", "grad"), ("data", "grad"), ("value", "gradient"), ("data", "gradient"))
WEIGHTS = re.compile(
    r"_?(?:w|b|weights?|bias(?:es)?|gamma|beta|scale|shift|kernels?|filters?|theta)\d*", re.I
)
LEARNT = re.compile(r"_?(?:params?|parameters?|weights?|learnt|learned|trainables?)", re.I)
SETTINGS = re.compile(
    r"_?(?:eps(?:ilon)?|momentum|(?:negative_?)?slope|leak|(?:drop(?:out)?|keep)?_?(?:p|prob|rate)"
    r"|temperature|tau)",
    re.I,
)
SCALE = re.compile(r"_?scal(?:e|ing)", re.I)
MANGLED = re.compile(r"(?:(?<=\.)|^)_[A-Za-z0-9]+__")
DIGITS = re.compile(r"(?:(?:^|\.)\d+)+$")
STATE = re.compile(
    r"(?:running|moving)_?(?:mean|mu|avg|average|var|variance|std|sigma|stats?)\d*", re.I
)
GRADIENT = re.compile(
    r"^_?(?:d(?:l|loss)_?d_?|grad(?:ient)?s?_?|delta_?|d_?|g_?)"
    r"|(?:_?(?:grad(?:ient)?s?|delta|bar|d|g))$",
    re.I,
)


@dataclass
class Learnt:
    """A number or an array that a layer learns.

    Attributes
    ----------
    get, put
        Read the value; copy numbers into it.
    grad
        Reads the gradient, or None.
    accumulates
        Whether `backward` must add to the gradient, as `minigan.nn.Parameter` asks.
    put_grad
        Keeps another gradient, where it is a plain number.
    """

    get: Callable[[], Any]
    put: Callable[[Any], None]
    grad: Callable[[], Any]
    accumulates: bool = False
    put_grad: Callable[[Any], None] = lambda _: None

    def zero(self) -> None:
        """Set the gradient to zero."""
        grad = self.grad()
        if isinstance(grad, (float, numpy.generic)):
            self.put_grad(type(grad)(0))
        elif is_array(grad):
            with suppress(ValueError):  # a read-only one is made anew by backward
                grad[...] = 0


# ---------------------------------------------------------------- what a layer declares


def declared(layer: Any) -> dict[str, Learnt]:
    """Return what a layer says itself that it learns: objects that hold a value and a gradient."""
    own: Any = {}
    if callable(getattr(layer, "parameters", None)):
        with suppress(TypeError):  # one that takes arguments
            own = layer.parameters()
    boxes = dict(own) if isinstance(own, dict) else {}
    known = {id(box) for box in boxes.values()}
    for place in places(layer):
        if isinstance(place.value, Parameter) and id(place.value) not in known:
            boxes[place.name] = place.value
    unique = {id(box): name for name, box in reversed(boxes.items())}
    opened = {name: _open(box) for name, box in boxes.items() if unique[id(box)] == name}
    return {name: learnt for name, learnt in opened.items() if learnt is not None}


def _open(box: Any) -> Learnt | None:
    for value, grad in BOX:
        if is_floating(getattr(box, value, None)) and hasattr(box, grad):
            return Learnt(
                lambda value=value: getattr(box, value),  # type: ignore[misc]
                lambda new, value=value: getattr(box, value).__setitem__(..., new),  # type: ignore[misc]
                lambda grad=grad: getattr(box, grad),  # type: ignore[misc]
                accumulates=isinstance(box, Parameter),
                put_grad=lambda new, grad=grad: setattr(box, grad, new),  # type: ignore[misc]
            )
    return None


def at(place: Place, gradient: Place | None = None) -> Learnt:
    """Return the number at a place as one that is learnt, wherever its gradient is."""

    def put(new: Any) -> None:
        value = place.read()
        if isinstance(value, numpy.ndarray) and not value.flags.writeable:
            place.put(numpy.array(new))
        elif is_array(value) and not isinstance(value, numpy.generic):
            value[...] = new
        else:
            place.put(type(value)(_host(new)[()]))

    gradient = gradient or place
    return Learnt(place.read, put, gradient.read, put_grad=gradient.put)


# ---------------------------------------------------------------- what it holds beside that


class Snapshot:
    """The floating-point numbers that a layer holds at one moment, beside the `known` ones."""

    def __init__(self, layer: Any, known: set[int]) -> None:
        self.places: dict[str, Place] = {}
        seen: set[int] = set()
        for place in places(layer):
            value = place.value
            if place.outside and not is_array(value):
                continue
            if is_floating(value) and id(value) not in known | seen:
                if is_array(value) and not isinstance(value, numpy.generic):
                    seen.add(id(value))
                self.places[place.name] = place
        self._numbers = {n: numpy.copy(_host(p.value)) for n, p in self.places.items()}

    def unchanged(self, later: Snapshot) -> dict[str, Place]:
        """Return the places with the same numbers in both."""
        return {
            name: place
            for name, place in later.places.items()
            if name in self._numbers
            and numpy.array_equal(self._numbers[name], later._numbers[name], equal_nan=True)
        }


def declared_arrays(layer: Any, learnt: dict[str, Learnt]) -> set[int]:
    """Return the ``id`` of all arrays of which a layer says what they are."""
    buffers = layer.buffers().values() if isinstance(layer, Layer) else ()
    known = {id(b) for b in buffers}
    return known | {id(a) for x in learnt.values() for a in (x.get(), x.grad())}


def is_setting(place: Place) -> bool:
    """Tell whether a plain number is a setting such as a slope, rather than a weight.

    One in a list is a weight, as an array is, unless the list was given when its owner was made;
    one that stands alone is none, unless its name says so.
    """
    if is_array(place.value) and not isinstance(place.value, numpy.generic):
        return False
    weight = is_named_as_weight(place) and not SCALE.fullmatch(str(place.key))
    if not isinstance(place.key, str):
        return is_asked(place) and not weight
    learnt = bool(place.trail) and LEARNT.fullmatch(str(place.trail[-1])) is not None
    return is_usual_setting(place) or not (weight or learnt)


def is_usual_setting(place: Place) -> bool:
    """Tell whether a number was given when its owner was made, or is called as settings are."""
    return is_asked(place) or SETTINGS.fullmatch(str(place.key)) is not None


def is_asked(place: Place) -> bool:
    """Tell whether a number, or its list, is called as an argument with which its owner is made."""
    owner, name, inside = place.owner, place.key, place.root
    try:
        for key in (*place.trail, place.key):
            owner, name = (inside, key) if isinstance(key, str) else (owner, name)
            inside = step(inside, key)
        return name in inspect.signature(type(owner).__init__).parameters
    except (AttributeError, LookupError, TypeError, ValueError):
        return False


def is_named_as_weight(place: Place) -> bool:
    """Tell whether a place has a name that weights usually have, such as ``W1`` or ``gamma``."""
    key = next((k for k in (place.key, *place.trail[::-1]) if isinstance(k, str)), "")
    return bool(WEIGHTS.fullmatch(key))


def pair(
    values: dict[str, Any],
    gradients: dict[str, Any],
    written: set[str],
    agrees: Callable[[str, str], bool],
) -> dict[str, str]:
    """Find the gradient of each value, by names first, then by shapes.

    Parameters
    ----------
    values, gradients
        Arrays or numbers by dotted name.
    written
        Those gradients that `backward` has written: only these can be found by shape alone.
    agrees
        Whether a gradient has the slope that is measured, to choose among equals.

    Returns
    -------
    pairs
        Names of gradients, by name of the value.
    """
    pairs: dict[str, str] = {}
    ranked = [
        (*rank, i, j, name, other)
        for i, (name, value) in enumerate(values.items())
        for j, (other, grad) in enumerate(gradients.items())
        if (rank := _rank(name, other, numpy.shape(value) == numpy.shape(grad)))
    ]
    for *_, name, other in sorted(ranked):
        if name not in pairs and other not in pairs.values():
            pairs[name] = other

    def free(name: str) -> list[str]:
        left = written - set(pairs.values())
        return [
            n
            for n, g in gradients.items()
            if n in left and numpy.shape(g) == numpy.shape(values[name])
        ]

    unnamed = [name for name in values if name not in pairs]
    for choose in (lambda name: [other for other in free(name) if agrees(name, other)], free):
        for name in unnamed:
            if name not in pairs and (found := choose(name)):
                pairs[name] = found[0]
    return pairs


def moved_with_others(values: dict[str, Any], pairs: dict[str, str]) -> set[str]:
    """Return the names of arrays that others move as well, since they share the memory.

    Such as a flat vector, or the parts of one: of the two, those that have gradients are kept.

    Parameters
    ----------
    values
        Arrays or numbers by dotted name.
    pairs
        Names of gradients, by name of the value.
    """
    arrays = {n: v for n, v in values.items() if isinstance(v, numpy.ndarray) and v.ndim}
    found: set[str] = set()
    for name, array in sorted(arrays.items(), key=lambda item: -item[1].size):
        others = [
            n for n in arrays.keys() & pairs.keys() - found - {name}
            if numpy.shares_memory(array, arrays[n])
        ]  # fmt: skip
        if others and sum(arrays[n].size for n in others) >= array.size:
            found.add(name)
    return found


def whole(layer: Any, gradients: Iterable[Place]) -> list[str]:
    """Return the names of integers and complex numbers that have a gradient, by its name."""
    found = []
    for place in places(layer):
        value, kind = place.value, getattr(getattr(place.value, "dtype", None), "kind", "")
        if not place.outside and (kind in ("i", "u", "c") or type(value) in (int, complex)):
            named = (_rank(place.name, g.name, True) for g in gradients if _fits(g, value))
            if any(rank and rank[0] < 2 for rank in named):
                found.append(place.name)
    return found


def _fits(gradient: Place, value: Any) -> bool:
    return numpy.shape(gradient.value) == numpy.shape(value)


def _rank(name: str, other: str, fits: bool) -> tuple[int, bool] | None:
    """Say how well a gradient's name goes with a value's: the lower the better, None: not."""
    box, own = _split(name)
    other_box, rest = _split(other)
    stem, other_stem = GRADIENT.sub("", rest, count=1), GRADIENT.sub("", other_box, count=1)
    if own == rest:  # params["W"] and grads["W"]
        if other_stem == other_box:
            return None
        return (0 if box in (other_stem, "") else 1, not fits) if box or not other_stem else None
    if stem == rest:
        return None
    if stem == own:
        return (0 if box == other_box else 1, not fits)
    if stem == "" and len(rest) == 1:  # d may be anything
        return None
    if fits and box == other_box and (not stem or own.startswith(stem) or stem.startswith(own)):
        return (2, False)
    if fits and stem and own[0] == stem[0]:
        return (3, False)
    return None


def unboxed(name: str) -> str:
    """Return the name of an array without that of its place in a box: ``w`` for ``w.data``."""
    return re.sub(r"\.(value|data)$", "", name)


def _split(name: str) -> tuple[str, str]:
    """Return the last but one and the last part of a dotted name; ``0.1`` is one part."""
    head = MANGLED.sub("", name).lower()
    *_, box, own = f".{DIGITS.sub('', head)}".split(".")
    digits = DIGITS.search(head)
    if digits:
        return own, digits[0].strip(".")
    return box, own.strip("_") or own


def _host(value: Any) -> Any:
    return backend.to_numpy(value) if is_array(value) else value

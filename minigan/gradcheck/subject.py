"""What a check needs of any layer, the library's or not: to run it and to reach its numbers."""

from __future__ import annotations

import inspect
import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy

from minigan import backend
from minigan.gradcheck.held import (
    GENERATORS,
    Memory,
    Place,
    duplicate,
    is_array,
    places,
    set_precision,
)
from minigan.gradcheck.learnt import (
    GRADIENT,
    STATE,
    Snapshot,
    at,
    declared,
    declared_arrays,
    is_named_as_weight,
    is_setting,
    is_usual_setting,
    moved_with_others,
    pair,
    unboxed,
    whole,
)
from minigan.nn.layer import Layer

Numbers = numpy.ndarray[Any, Any]


class Odd(NamedTuple):
    """Stands for a result that isn't an array: the name of its type."""

    kind: str


class Traits(NamedTuple):
    """What a layer's methods take and do."""

    name: str
    param_grads: bool
    input_grad: bool
    second: bool
    caches: bool
    """Whether backward takes a cache, rather than relying on the last forward call."""
    random: bool
    inherited: str
    """Which classes inherit a double_backward that may not fit what they define; or nothing."""


class Forward(NamedTuple):
    """A forward call: y, the number of its cache, whether x was written to."""

    y: Any
    handle: int
    wrote: bool


class Backward(NamedTuple):
    """A backward call: dx for each floating-point input, gradients by name, dy written to."""

    dx: list[Any]
    grads: dict[str, Any]
    wrote: bool


class Found(NamedTuple):
    """What a layer holds: learnt values by name, and what else moves y.

    Attributes
    ----------
    values, accumulates
        The learnt ones, and whether their gradients must be added to.
    missing
        Names and shapes of arrays that move y without having a gradient.
    constants
        Plain numbers that move y and have no gradient: ``"slope = 0.2"``.
    outside
        Names of arrays that move y and belong to a module, a class or an enclosing function.
    whole
        Names of integers and complex numbers that have a gradient.
    """

    values: dict[str, Any]
    accumulates: dict[str, bool]
    missing: dict[str, tuple[int, ...]]
    constants: list[str]
    outside: list[str]
    whole: list[str]


@contextmanager
def given_back(layer: Any) -> Iterator[None]:
    """Leave NumPy's old generator and Python's, which all code shares, as they were; and the
    generators and arrays of modules that a layer uses.

    A `Subject` seeds both before each call. To read and set their state takes a fifth of a
    millisecond, longer than most calls, so it is done once around all of them.
    """
    legacy, plain = numpy.random.get_state(), random.getstate()  # noqa: NPY002
    outside = Memory(layer, outside=True)
    try:
        yield
    finally:
        outside.restore()
        numpy.random.set_state(legacy)  # noqa: NPY002
        random.setstate(plain)


class Subject:
    """A copy of a layer in one precision, whose state is put back before each forward call.

    All arrays that go in and come out are NumPy's, wherever the layer lives. The generators that
    all code shares are seeded before each call; see `given_back`.

    Parameters
    ----------
    layer
        See `minigan.gradcheck.check`.
    train
        Passed to forward, if it takes it.
    device
        The backend of the layer's arrays.
    dtype
        ``"float64"`` or ``"float32"``.
    constants
        Names of arrays that aren't learnt.

    Raises
    ------
    TypeError
        If `layer` isn't a layer: a class, or without forward or backward.
    """

    def __init__(
        self,
        layer: Any,
        *,
        train: bool = True,
        device: Any = None,
        dtype: str = "float64",
        constants: Iterable[str] = (),
    ) -> None:
        if _needs_an_object(layer):
            raise TypeError(
                f"{layer.__name__} is a class; give a layer made from it, such as "
                f"{layer.__name__}(...)."
            )
        for method in ("forward", "backward"):
            if method == "forward" and callable(layer):
                continue
            if not callable(getattr(layer, method, None)):
                raise TypeError(
                    f"{type(layer).__name__} has no method {method}; a layer defines forward(x) -> "
                    "(y, cache) and backward(dy, cache) -> dx."
                )
        self.name = _name(layer)
        self.layer = duplicate(layer)
        self.dtype, self._settled = dtype, False
        self.device = device or backend.get("cpu")
        self.constants = tuple(constants)
        self._forward = getattr(self.layer, "forward", None) or self.layer.__call__
        self.switch, self.train = _mode_switch(self._forward), train
        self._takes_cache = _takes_cache(self.layer.backward)
        self._switches = [s for s in SWITCHES if _takes(self.layer.backward, s)]
        self._several = _takes_several(self._forward)
        self._caches: list[Any] = []
        self._outputs: list[Any] = []
        self._inputs = 1
        self._labels: list[int] = []
        self._returned: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        self._learn()

    def _learn(self) -> None:
        """Take what the layer holds now as where each call begins."""
        set_precision(self.layer, self.dtype)
        boxes = declared(self.layer)
        self.learnt = {
            f"parameter {n}" if n in ("x", "dy") else n: box  # as the input and the cotangent are
            for n, box in boxes.items()
            if n not in self.constants
        }
        self._known = declared_arrays(self.layer, boxes)
        self._memory = Memory(self.layer)

    def traits(self) -> Traits:
        """Say what the layer's methods take."""
        own = getattr(type(self.layer), "double_backward", Layer.double_backward)
        return Traits(
            self.name,
            "param_grads" in self._switches,
            "input_grad" in self._switches,
            own is not Layer.double_backward,
            self._takes_cache,
            any(isinstance(place.value, GENERATORS) for place in places(self.layer)),
            _inherited(self.layer),
        )

    # ---------------------------------------------------------------- the two maps

    def forward(
        self, xs: Any, *, values: Any = None, restore: bool = True, strided: bool = False
    ) -> Forward:
        """Call forward, with learnt values if they are given, and with all state put back."""
        if not self._settled:
            self._settle(xs)
        if restore:
            self.restore()
        self.put(values or {})
        given = [self._enter(x, strided) for x in xs]
        y, cache = self._run(given)
        self._caches.append(cache)
        self._outputs.append(y)
        wrote = not all(_equal(a, x) for a, x in zip(given, xs, strict=True))
        return Forward(_array(y), len(self._caches) - 1, wrote)

    def _settle(self, xs: Any) -> None:
        """Let a layer make its weights, if it does so in its first forward call."""
        self._settled = True
        snapshots = [Snapshot(self.layer, self._known)]
        for turn in (numpy.array, numpy.flip):
            self._run([self._enter(turn(x)) for x in xs])
            snapshots.append(Snapshot(self.layer, self._known))
        before, made, kept = snapshots
        if made.unchanged(kept).keys() - before.places.keys():
            self._learn()
        else:
            self.restore()

    def evaluate(self, xs: Any, values: Any = None) -> Any:
        """Return y alone, and keep no cache."""
        self.restore()
        self.put(values or {})
        return _array(self._run([self._enter(x) for x in xs])[0])

    def backward(
        self, dy: Any, handle: int, *, zero: bool = True, strided: bool = False, **switches: bool
    ) -> Backward:
        """Call backward for an earlier forward call, from gradients of zero or on top of them."""
        if zero:
            for learnt in self.learnt.values():
                learnt.zero()
        given = self._enter(dy, strided)
        result = self._pull(given, handle, switches)
        dx = self._sort(result)
        return Backward([_array(d) for d in dx], self.grads(), not _equal(given, dy))

    def second(self, vs: Any, dy: Any, handle: int) -> Backward:
        """Call double_backward from gradients of zero; ``dx`` holds its two results."""
        for learnt in self.learnt.values():
            learnt.zero()
        cache, signals = self._caches[handle], self._enter(dy)
        if isinstance(self.layer, Layer):
            _, signals = self.layer.backward_signals(signals, cache)
            for learnt in self.learnt.values():
                learnt.zero()
        with self._quietly():
            dx, tangent = self.layer.double_backward(self._enter(vs), signals, cache)
        return Backward([None if dx is None else _out(dx), _out(tangent)], self.grads(), False)

    def grads(self) -> dict[str, Any]:
        """Return copies of all current gradients."""
        return {n: None if (g := x.grad()) is None else _out(g) for n, x in self.learnt.items()}

    def put(self, values: dict[str, Any]) -> None:
        """Give learnt values other numbers, which stay."""
        self._values |= values
        for name, value in values.items():
            self.learnt[name].put(self._enter(value))

    def restore(self) -> None:
        """Put generators, buffers and counters back."""
        self._memory.restore()
        for name, value in self._values.items():
            self.learnt[name].put(self._enter(value))

    def output(self, handle: int) -> Any:
        """Return the y of an earlier forward call, as it is now."""
        return _out(self._outputs[handle])

    def kept(self, xs: Any, values: Any = None) -> dict[str, Any]:
        """Return the arrays that a forward call leaves behind, named as they are in the code."""
        self.forget()
        handle = self.forward(xs, values=values).handle
        found: dict[str, Any] = {}
        for root, called in ((self._caches[handle], "cache"), (self.layer, "self")):
            if is_array(root):
                found[called] = root
            for place in places(root):
                if not (root is self.layer and _is_gradient(place)):
                    found[called_in_code(called, place)] = place.value
        self.forget()
        return {n: a for n, v in found.items() if (a := _readable(v)) is not None}

    def forget(self) -> None:
        """Drop what forward calls have left."""
        self._caches.clear()
        self._outputs.clear()

    # ---------------------------------------------------------------- what it holds

    def find(self, xs: Any, dy: Any, seed: int) -> Found:
        """Find all that the layer learns; call this before anything is moved."""
        dy, rng = dy.astype(self.dtype), numpy.random.default_rng(seed)
        steady, written = self._around_one_pass(xs, dy)
        candidates = {n: p for n, p in steady.items() if n not in written}
        moving, outside = self._inside(self._moving(candidates, xs, rng))
        unmoved = {n: p for n, p in candidates.items() if n not in moving}
        given = written | self._returned_places()
        moving, pairs = self._pair(
            moving, written | unmoved | given, set(given),
            lambda place, gradient: self._agrees(place, gradient, xs, dy, rng),
        )  # fmt: skip
        self._keep(moving, pairs)
        missing, constants = _left_over(moving, pairs)
        accumulates = {n: x.accumulates for n, x in self.learnt.items()}
        used = {gradient.name for gradient in pairs.values()}
        integers = whole(self.layer, [g for n, g in given.items() if n not in used])
        return Found(dict(self._values), accumulates, missing, constants, outside, integers)

    def _keep(self, moving: dict[str, Place], pairs: dict[str, Place]) -> None:
        """Count what has a gradient among what is learnt from now on, with the layer as it was."""
        for name, gradient in pairs.items():
            self.learnt[_named(name)] = at(moving[name], gradient)
        self._values = {n: _out(x.get()) for n, x in self.learnt.items()}
        self.restore()

    def _around_one_pass(self, xs: Any, dy: Any) -> tuple[dict[str, Place], dict[str, Place]]:
        """Return what forward leaves alone, and what backward then writes."""
        self.restore()
        start = Snapshot(self.layer, self._known)
        handle = self.forward(xs).handle
        between = Snapshot(self.layer, self._known)
        self._sort(self._pull(self._enter(dy), handle, {}))
        after = Snapshot(self.layer, self._known)
        kept = between.unchanged(after)
        written = {n: p for n, p in after.places.items() if n not in kept}
        steady = start.unchanged(between)
        self.restore()
        with suppress(Exception), self._training():  # what training changes is state, too
            self._run([self._enter(x) for x in xs])
        trained = start.unchanged(Snapshot(self.layer, self._known))
        weights = {  # even one that forward changes is no state
            n: p for n, p in between.places.items() if n in start.places and is_named_as_weight(p)
        }
        return {n: p for n, p in steady.items() if n in trained} | weights, written

    def _moving(self, candidates: dict[str, Place], xs: Any, rng: Any) -> dict[str, Place]:
        """Return the places whose numbers change y, seen from moved numbers, where none is 0."""
        self._before_moves = {n: numpy.copy(_out(p.read())) for n, p in candidates.items()}
        numbers = {n: moved(v, rng) for n, v in self._before_moves.items()}
        start = self._tried(candidates, numbers, xs)
        if start is None:
            numbers = self._before_moves
            start = self._tried(candidates, numbers, xs)
        found = {}
        for name, place in candidates.items():
            # The last to be put: it may share its memory with others.
            rest = {n: v for n, v in numbers.items() if n != name}
            y = self._tried(candidates, rest | {name: moved(numbers[name], rng)}, xs)
            if y is not None and not (y.shape == start.shape and _equal(y, start)):
                found[name] = place
        self._tried(candidates, self._before_moves, xs)
        return found

    def _inside(self, moving: dict[str, Place]) -> tuple[dict[str, Place], list[str]]:
        """Drop what the caller calls constant; name apart what lies outside the layer."""
        kept = {n: p for n, p in moving.items() if not self._is_named_constant(p)}
        inside = {n: p for n, p in kept.items() if not p.outside}
        return inside, [n for n, p in kept.items() if p.outside]

    def _returned_places(self) -> dict[str, Place]:
        """Return the gradients that backward has returned beside dx."""
        kept = self._returned
        return {name: Place(name, kept, name, value, kept) for name, value in kept.items()}

    def _pair(
        self,
        moving: dict[str, Place],
        gradients: dict[str, Place],
        given: set[str],
        agrees: Callable[[Place, Place], bool],
    ) -> tuple[dict[str, Place], dict[str, Place]]:
        """Find the gradient of what moves y; drop what moves only since others share its memory."""
        gradients = gradients | _entries(gradients, moving)
        values = {n: p.read() for n, p in moving.items()}
        pairs = pair(
            values,
            {n: p.value for n, p in gradients.items()},
            given,
            lambda name, other: agrees(moving[name], gradients[other]),
        )
        alone = moving.keys() - moved_with_others(values, pairs)
        return (
            {n: p for n, p in moving.items() if n in alone},
            {n: gradients[other] for n, other in pairs.items() if n in alone},
        )

    def _tried(self, candidates: dict[str, Place], numbers: dict[str, Any], xs: Any) -> Any:
        """Return y for other numbers, or None if the layer refuses them."""
        self.restore()
        for name, number in numbers.items():
            at(candidates[name]).put(self._enter(number))
        try:
            y = _out(self._run([self._enter(x) for x in xs])[0])
        except Exception:  # anything at all may come of numbers that a layer isn't made for
            return None
        return y if not isinstance(y, Odd) and numpy.isfinite(y).all() else None

    def _agrees(self, place: Place, gradient: Place, xs: Any, dy: Any, rng: Any) -> bool:
        """Tell whether a gradient has the slope along one random direction."""
        value, slope = numpy.array(_out(place.read())), numpy.array(_out(gradient.value))
        v = rng.standard_normal(value.shape)
        ends, (step, bound) = [], STEPS[self.dtype]
        for t in (step, -step):
            self.restore()
            at(place).put(self._enter(value + t * v))
            ends.append(_out(self._run([self._enter(x) for x in xs])[0]))
        at(place).put(self._enter(value))
        numeric = (dy * (ends[0] - ends[1])).sum() / (2 * step)
        return bool(abs((slope * v).sum() - numeric) <= bound * abs(numeric))

    def _is_named_constant(self, place: Place) -> bool:
        path = place.name.split(".")
        names = {".".join(path[:n]) for n in range(1, len(path) + 1)}  # and what it is in
        names |= {unboxed(place.name), str(place.key) if place.outside else ""}
        return bool(names & set(self.constants))

    # ---------------------------------------------------------------- calls

    def _run(self, given: list[Any]) -> tuple[Any, Any]:
        self._inputs = sum(x.dtype.kind == "f" for x in given)
        self._labels = [i for i, x in enumerate(given) if x.dtype.kind != "f"]
        mode = {} if self.switch is None else {self.switch: self.train}
        one_by_one = given if len(given) <= self._several else [tuple(given)]
        with self._quietly():
            result = self._forward(*one_by_one, **mode)
        if not self._takes_cache:
            return (result[0] if isinstance(result, tuple) else result), None
        if not (isinstance(result, tuple) and len(result) == 2):
            second = list(inspect.signature(self.layer.backward).parameters)[1:2]
            raise TypeError(
                f"{self.name}.forward returned {type(result).__name__}, but must return a pair "
                f"(y, cache), since backward takes {' and '.join(['dy', *second])}; one that keeps "
                "what it needs in the layer is defined as backward(dy)."
            )
        return result

    def _pull(self, given: Any, handle: int, switches: dict[str, bool]) -> Any:
        known = {k: v for k, v in switches.items() if k in self._switches}
        cache = (self._caches[handle],) if self._takes_cache else ()
        with self._quietly():
            return self.layer.backward(given, *cache, **known)

    def _sort(self, result: Any) -> list[Any]:
        """Split what backward returned into dx, a list, and gradients of parameters."""
        self._returned.clear()
        if isinstance(result, dict):
            result = _in_order(result)
        elif hasattr(result, "_fields"):
            result = _in_order(result._asdict())
        parts = list(result) if isinstance(result, (tuple, list)) else [result]
        whole = self._inputs > 0 and len(parts) >= self._inputs + len(self._labels)
        if whole and all(parts[i] is None for i in self._labels):  # labels have no gradients
            parts = [part for i, part in enumerate(parts) if i not in self._labels]
        for index, extra in enumerate(parts[self._inputs :], self._inputs):
            named = extra if isinstance(extra, dict) else {str(index): extra}
            self._returned |= {f"returned.{k}": v for k, v in named.items() if v is not None}
        return parts[: self._inputs]

    @contextmanager
    def _quietly(self) -> Iterator[None]:
        """Silence floating-point warnings, and give the shared generators the same start."""
        numpy.random.seed(0)  # noqa: NPY002 - a layer may draw from it
        random.seed(0)
        with numpy.errstate(all="ignore"):
            yield

    @contextmanager
    def _training(self) -> Iterator[None]:
        before, self.train = self.train, True
        try:
            yield
        finally:
            self.train = before

    def _enter(self, a: Any, strided: bool = False) -> Any:
        """Return a copy on the layer's device; if `strided`, one with gaps, running backwards."""
        array = self.device.asarray(numpy.array(a))
        if not strided or array.ndim == 0:
            return array
        wide = self.device.xp.zeros((*array.shape[::-1][:-1], 2 * array.shape[0]), array.dtype)
        view = wide[..., ::-2].transpose()
        view[...] = array
        return view


STEPS = {"float64": (1e-5, 1e-4), "float32": (1e-2, 2e-2)}
"""How far to move a number, and the relative error of the slope that may come of it."""
MOST_KEPT = 5000
"""Numbers in an array that is worth looking at to explain a gradient."""
SWITCHES = ("param_grads", "input_grad")
MODES = ("train", "training", "is_training", "is_train", "train_flg")
INPUTS = ("x", "input", "inputs", "inp", "in")


def _name(layer: Any) -> str:
    described = vars(type(layer)).get("__repr__") or not repr(layer).startswith("<")
    text = repr(layer) if described else type(layer).__name__
    return text if len(text) <= 120 else f"{text[:117]}..."


def _inherited(layer: Any) -> str:
    """Say which classes of layers inside inherit double_backward beside other maps of their own."""
    layers = [inside for _, inside in layer.layers()] if isinstance(layer, Layer) else [layer]
    said = [_inherits_second(kind) for kind in dict.fromkeys(map(type, layers))]
    return ", and ".join(sentence for sentence in said if sentence)


def _inherits_second(kind: type) -> str:
    below = list(
        itertools.takewhile(lambda c: "double_backward" not in vars(c), inspect.getmro(kind))
    )
    source = (*inspect.getmro(kind), Layer)[len(below)]
    theirs = [c for c in below if not c.__module__.startswith("minigan.")]
    own = [m for m in ("forward", "backward") if any(m in vars(c) for c in theirs)]
    if source is Layer or not own:
        return ""
    return (
        f"{kind.__name__} defines {' and '.join(own)}, but inherits double_backward from "
        f"{source.__name__}: define one that fits, too"
    )


def _needs_an_object(layer: Any) -> bool:
    """Tell whether this is a class whose methods take self; static ones need no object."""
    methods = ("forward", "__call__", "backward")
    return isinstance(layer, type) and any(
        inspect.isfunction(inspect.getattr_static(layer, method, None)) for method in methods
    )


def _takes_cache(backward: Callable[..., Any]) -> bool:
    """Tell whether backward takes more than dy."""
    taken = inspect.signature(backward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in taken):
        return True
    own = [p for p in taken if p.kind is not p.KEYWORD_ONLY and p.name not in SWITCHES][1:]
    return any(p.default is p.empty or p.name in ("cache", "ctx") for p in own)


def _takes_several(forward: Callable[..., Any]) -> float:
    """Return how many inputs forward takes one by one; more come as a tuple."""
    taken = inspect.signature(forward).parameters.values()
    if any(p.kind is p.VAR_POSITIONAL for p in taken):
        return math.inf
    places = [p for p in taken if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = sum(p.default is p.empty and p.name not in MODES for p in places)
    return max(needed, 1)


def _mode_switch(forward: Callable[..., Any]) -> str | None:
    return next((name for name in MODES if _takes(forward, name)), None)


def _left_over(
    moving: dict[str, Place], pairs: dict[str, Place]
) -> tuple[dict[str, tuple[int, ...]], list[str]]:
    """Divide what moves y without a gradient into what lacks one and what needs none."""
    unpaired = {n: p for n, p in moving.items() if n not in pairs}
    settings = {n: p for n, p in unpaired.items() if _is_setting_beside(p, moving, pairs)}
    state = {n for n, p in unpaired.items() if STATE.fullmatch(str(p.key))}
    missing = {n: p for n, p in unpaired.items() if n not in settings.keys() | state}
    return (
        {_named(n): numpy.shape(p.read()) for n, p in missing.items()},
        [*(f"{n} = {p.read():.6g}" for n, p in settings.items()), *sorted(state)],
    )


def _is_setting_beside(place: Place, moving: dict[str, Place], pairs: dict[str, Place]) -> bool:
    """Tell whether a number is a setting; beside one that is learnt, c beside m, few are."""
    beside = any(
        moving[name].owner is place.owner and not is_array(moving[name].value) for name in pairs
    )
    return is_setting(place) and (not beside or is_usual_setting(place))


def _in_order(named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return dx and the other gradients of a dict such as ``{"dx": ..., "dW": ...}``."""
    rest = dict(named)
    key = next((k for k in named if GRADIENT.sub("", k, count=1).lower() in INPUTS), None)
    return rest.pop(str(key), None), rest


def _takes(method: Callable[..., Any], keyword: str) -> bool:
    """Tell whether a method declares a keyword; of minigan's own layers, ``**options`` do, too."""
    taken = inspect.signature(method).parameters
    passed_on = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    return keyword in taken or (passed_on and isinstance(getattr(method, "__self__", None), Layer))


def _is_gradient(place: Place) -> bool:
    key = str(place.key)
    return bool(GRADIENT.sub("", key, count=1)) and GRADIENT.search(key) is not None


def called_in_code(root: str, place: Place) -> str:
    """Return what the code calls a place: ``cache[1]``, ``self.h``, or ``t`` outside a layer."""
    if place.outside:
        return str(place.key)
    said = root
    for key in (*place.trail, place.key):
        own = isinstance(key, str) and key.isidentifier()
        said += f".{key}" if own and root == "self" else f"[{key!r}]"
    return said


def _readable(value: Any) -> Numbers | None:
    """Return real numbers in an array that isn't large, or nothing."""
    if not is_array(value):
        return None
    a = _out(value)
    if isinstance(a, Odd) or a.dtype.kind not in "fiub" or not 0 < a.size <= MOST_KEPT:
        return None
    return numpy.asarray(a) if a.ndim and numpy.isfinite(a).all() else None


def moved(value: Numbers, rng: numpy.random.Generator) -> Any:
    """Move every number; what is positive stays so, and what is 0 doesn't stay so."""
    factor = 1 + 0.2 * rng.uniform(0.5, 1, value.shape)
    one_sign = (value > 0).all() or (value < 0).all()
    return value * factor + (0.0 if one_sign else 0.3 * rng.standard_normal(value.shape))


def _equal(a: Any, b: Any) -> bool:
    host = _out(a)
    return bool(numpy.array_equal(host, b, equal_nan=getattr(b, "dtype", "i") != "O"))


def _named(name: str) -> str:
    """Return the name of a learnt array; one called x isn't to be taken for the input."""
    own = unboxed(name)
    return f"self.{own}" if own in INPUTS else own


def _entries(gradients: dict[str, Place], moving: dict[str, Place]) -> dict[str, Place]:
    """Return the entries of gradients, for weights that are numbers in lists."""
    if not any(isinstance(p.key, int) and not is_array(p.value) for p in moving.values()):
        return {}
    arrays = [p for p in gradients.values() if numpy.ndim(p.value) and p.value.dtype != object]
    return {
        ".".join(map(str, (p.name, *index))): Place(
            ".".join(map(str, (p.name, *index))), p.value, index, p.value[index], p.root,
            (*p.trail, p.key),
        )
        for p in arrays
        for index in numpy.ndindex(p.value.shape)
    }  # fmt: skip


def _array(value: Any) -> Any:
    number = value is None or isinstance(value, float) or is_array(value)
    return _out(value) if number else Odd(type(value).__name__)


def _out(value: Any) -> Any:
    """Copy an array or a number to NumPy as it is in memory, whatever its class says of itself."""
    if value is None:
        return None
    if isinstance(value, numpy.ndarray):
        return numpy.array(numpy.ndarray.view(value, numpy.ndarray))
    if isinstance(value, (float, numpy.generic)):
        return numpy.array(value)
    if is_array(value):
        return numpy.array(backend.to_numpy(value))
    return Odd(type(value).__name__)

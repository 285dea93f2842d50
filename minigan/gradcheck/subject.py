"""What a check needs of any layer, the library's or not: to run it and to reach its arrays."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy

from minigan.backend import Array
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter

GRADIENT_NAMES = ("d{}", "d_{}", "grad_{}", "{}_grad")
OPAQUE = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType, numpy.random.Generator)


class Learnt:
    """A learnt array, and where to find its gradient."""

    def __init__(
        self, value: Callable[[], Array], grad: Callable[[], Any], *, accumulates: bool
    ) -> None:
        self._value, self._grad, self.accumulates = value, grad, accumulates

    @property
    def value(self) -> Array:
        """The array itself, to be moved in place."""
        return self._value()

    @property
    def grad(self) -> Any:
        """The current gradient, or None."""
        return self._grad()


class Subject:
    """A copy of a layer in float64, whose state is put back before each forward call.

    Parameters
    ----------
    layer
        See `minigan.gradcheck.check`.
    train
        Passed to forward, if it takes it.
    """

    def __init__(self, layer: Any, *, train: bool) -> None:
        for method in ("forward", "backward"):
            if not callable(getattr(layer, method, None)):
                raise TypeError(
                    f"{type(layer).__name__} has no method {method}; a layer defines forward(x) -> "
                    "(y, cache) and backward(dy, cache) -> dx."
                )
        described = vars(type(layer)).get("__repr__") or not repr(layer).startswith("<")
        self.name = _short(repr(layer)) if described else type(layer).__name__
        self.layer = copy.deepcopy(layer)
        _to_float64(self.layer)
        self._train = {"train": train} if _takes(self.layer.forward, "train") else {}
        self.has_param_grads = _takes(self.layer.backward, "param_grads")
        self.has_input_grad = _takes(self.layer.backward, "input_grad")
        self.learnt = dict(_parameters(self.layer))
        self._state: list[Callable[[], None]] = []
        self._remember()

    def forward(self, x: Array) -> tuple[Array, Any]:
        """Put all state (random generators, running statistics) back, and call forward."""
        self.restore()
        return self.call(x)

    def call(self, x: Array) -> tuple[Array, Any]:
        """Call forward with the state as it is now."""
        result = self.layer.forward(x, **self._train)
        if not (isinstance(result, tuple) and len(result) == 2):
            raise TypeError(
                f"{self.name}.forward returned {type(result).__name__}, but must return a pair "
                "(y, cache)."
            )
        y, cache = result
        if not hasattr(y, "dtype"):
            raise TypeError(
                f"{self.name}.forward returned {type(y).__name__} as y, but must return an array."
            )
        return y, cache

    def backward(
        self, dy: Array, cache: Any, *, param_grads: bool = True, input_grad: bool = True
    ) -> Any:
        """Call backward with the switches that it knows."""
        switches = {}
        if self.has_param_grads:
            switches["param_grads"] = param_grads
        if self.has_input_grad:
            switches["input_grad"] = input_grad
        return self.layer.backward(dy, cache, **switches)

    def find_plain_arrays(self) -> None:
        """If there are no parameters, use attributes that come with a gradient, such as W with dW.

        Call this after a first backward, which may be what creates the gradients.
        """
        if self.learnt:
            return
        own = vars(self.layer) if hasattr(self.layer, "__dict__") else {}
        for name, value in own.items():
            partner = next(
                (
                    g.format(name)
                    for g in GRADIENT_NAMES
                    if _same_shape(own.get(g.format(name)), value)
                ),
                "",
            )
            if partner:
                self.learnt[name] = Learnt(
                    lambda name=name: getattr(self.layer, name),  # type: ignore[misc]
                    lambda partner=partner: getattr(self.layer, partner),  # type: ignore[misc]
                    accumulates=False,
                )
        found = self.gradients()
        self.restore()  # gradients made in __init__ are put back with the rest
        for name, gradient in found.items():
            self.learnt[name].grad[...] = gradient
        self._remember()

    def zero(self) -> None:
        """Set all gradients to zero."""
        for array in self.learnt.values():
            if array.grad is not None:
                array.grad[...] = 0

    def gradients(self) -> dict[str, Any]:
        """Return copies of all current gradients."""
        return {name: None if a.grad is None else a.grad.copy() for name, a in self.learnt.items()}

    def restore(self) -> None:
        """Put generators, buffers and counters back."""
        for put_back in self._state:
            put_back()

    def _remember(self) -> None:
        learnt = {id(a.value) for a in self.learnt.values()} | {
            id(a.grad) for a in self.learnt.values()
        }
        self._state = []
        for owner in _parts(self.layer):
            for name, value in vars(owner).items():
                if isinstance(value, numpy.random.Generator):
                    self._state.append(_reseed(value))
                elif isinstance(value, (bool, int, float)) or (
                    hasattr(value, "dtype") and id(value) not in learnt
                ):
                    self._state.append(_assign(owner, name, value))


def _parameters(layer: Any) -> Iterator[tuple[str, Learnt]]:
    found = layer.parameters() if callable(getattr(layer, "parameters", None)) else None
    if not isinstance(found, dict):
        own = vars(layer) if hasattr(layer, "__dict__") else {}
        found = {name: p for name, p in own.items() if isinstance(p, Parameter)}
    for name, p in found.items():
        if not (hasattr(p, "value") and hasattr(p, "grad")):
            raise TypeError(
                f"{type(layer).__name__}.parameters()[{name!r}] is {type(p).__name__}, but needs "
                "attributes value and grad; use minigan.nn.Parameter."
            )
        yield name, Learnt(lambda p=p: p.value, lambda p=p: p.grad, accumulates=True)  # type: ignore[misc]


def _parts(root: Any) -> Iterator[Any]:
    """Yield every object inside a layer that may hold state, each once."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, OPAQUE):
            continue
        seen.add(id(item))
        if isinstance(item, (list, tuple)):
            waiting.extend(item)
        elif isinstance(item, dict):
            waiting.extend(item.values())
        elif (
            hasattr(item, "__dict__")
            and not hasattr(item, "dtype")
            and not isinstance(item, Parameter)
        ):
            yield item
            waiting.extend(vars(item).values())


def _to_float64(layer: Any) -> None:
    memo: dict[int, Any] = {}

    def wide(a: Any) -> Any:
        if getattr(getattr(a, "dtype", None), "kind", "") != "f" or a.dtype == "float64":
            return a
        return memo.setdefault(id(a), a.astype("float64"))

    # What a net itself returns as its parameters comes first: they may be in tuples and nested
    # lists, where the walk below doesn't convert them.
    own = layer.parameters() if isinstance(layer, Layer) else {}
    for p in own.values():
        p.replace(wide(p.value), wide(p.grad), None)
    for owner in _parts(layer):
        for name, value in list(vars(owner).items()):
            if isinstance(value, Parameter):
                value.replace(wide(value.value), wide(value.grad), None)
            elif (
                hasattr(value, "value") and hasattr(value, "grad") and hasattr(value.value, "dtype")
            ):
                value.value, value.grad = wide(value.value), wide(value.grad)
            elif wide(value) is not value:
                setattr(owner, name, wide(value))
            elif isinstance(value, (list, dict)):
                _widen_items(value, wide)


def _widen_items(items: Any, wide: Callable[[Any], Any]) -> None:
    for key, item in list(items.items() if isinstance(items, dict) else enumerate(items)):
        if isinstance(item, Parameter):
            item.replace(wide(item.value), wide(item.grad), None)
        else:
            items[key] = wide(item)


def _takes(method: Callable[..., Any], keyword: str) -> bool:
    parameters = inspect.signature(method).parameters
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _reseed(rng: numpy.random.Generator) -> Callable[[], None]:
    state = copy.deepcopy(rng.bit_generator.state)

    def put_back() -> None:
        rng.bit_generator.state = state

    return put_back


def _assign(owner: Any, name: str, value: Any) -> Callable[[], None]:
    saved = value.copy() if hasattr(value, "copy") else value

    def put_back() -> None:
        setattr(owner, name, saved.copy() if hasattr(saved, "copy") else saved)

    return put_back


def _same_shape(a: Any, b: Any) -> bool:
    kinds = [getattr(getattr(v, "dtype", None), "kind", "") for v in (a, b)]
    return kinds == ["f", "f"] and a.shape == b.shape


def _short(text: str, width: int = 120) -> str:
    return text if len(text) <= width else f"{text[: width - 3]}..."

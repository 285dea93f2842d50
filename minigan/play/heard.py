"""Layers that are listened to: what goes up and down a net while the library itself plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from minigan import nn
from minigan.backend import Array
from minigan.nn import Cache


@dataclass(frozen=True)
class Call:
    """One call of a layer's map.

    Attributes
    ----------
    layer
        Its index in the chain.
    way
        ``"forward"``, ``"backward"`` or ``"double_backward"``.
    arrived, left
        The arrays that came in and went out: x and y, dy and dx, v and its tangent; None where the
        layer wasn't asked for one.
    param_grads
        Whether gradients were added to the layer's parameters.
    """

    layer: int
    way: str
    arrived: Any
    left: Any
    param_grads: bool = False


class Heard(nn.Layer, samplewise=True):
    """A layer that tells what its maps receive and return.

    Parameters
    ----------
    layer
        The layer.
    tell
        Called with the name of the map, what arrived and what left, and whether gradients of
        parameters were added.
    """

    def __init__(self, layer: nn.Layer, tell: Callable[..., None]) -> None:
        self.layer, self.tell = layer, tell

    def forward(self, x: Any, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y, and tell."""
        y, cache = self.layer.forward(x, train=train)
        self.tell("forward", x, y)
        return y, cache

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx, and tell."""
        dx = self.layer.backward(dy, cache, param_grads=param_grads, input_grad=input_grad)
        self.tell("backward", dy, dx, param_grads)
        return dx

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Any]:
        """Map dy to dx, and tell."""
        dx, signal = self.layer.backward_signals(dy, cache)
        self.tell("backward", dy, dx)
        return dx, signal

    def double_backward(
        self, v: Array, dy: Any, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> tuple[Array | None, Array]:
        """Push v up, and tell."""
        dx, tangent = self.layer.double_backward(
            v, dy, cache, param_grads=param_grads, input_grad=input_grad
        )
        self.tell("double_backward", v, tangent, param_grads)
        return dx, tangent

    def output_shape(self, shape: Any) -> Any:
        """Return the shape of y."""
        return self.layer.output_shape(shape)

    def __repr__(self) -> str:
        return repr(self.layer)


@contextmanager
def listening(net: nn.Sequential) -> Iterator[list[Call]]:
    """Collect the calls of all layers of a chain; within the context, the list grows.

    The chain computes with the same layers as before, and has them back afterwards.
    """
    calls: list[Call] = []
    layers = net.sequence
    net.sequence = tuple(Heard(layer, _teller(calls, i)) for i, layer in enumerate(layers))
    try:
        yield calls
    finally:
        net.sequence = layers


def _teller(calls: list[Call], index: int) -> Callable[..., None]:
    def tell(way: str, arrived: Any, left: Any, param_grads: bool = False) -> None:
        calls.append(Call(index, way, arrived, left, param_grads))

    return tell

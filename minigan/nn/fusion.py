"""Fusion of a bias and the activation after it into one pass over memory, where that is faster.

``y = φ(x W + b)`` is three steps: a product, a sum, a function of each entry. The last two do very
little work for each number that they read and write, so GPUs and compiled loops do them together.
What each layer keeps for its backward map stays the same: the linear one keeps x and the activation
y; nothing ever needs ``x W + b``.
"""

from __future__ import annotations

from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from minigan.nn.cache import Cache
from minigan.nn.convolution import Conv2d, ConvTranspose2d
from minigan.nn.layer import Layer
from minigan.nn.linear import Linear

PRODUCTS = (Linear, Conv2d, ConvTranspose2d)
ACTIVATIONS = (LeakyReLU, ReLU, Tanh, Sigmoid)


class Joined:
    """A layer with a bias, joined with the activation after it.

    Parameters
    ----------
    layer
        One of `PRODUCTS`.
    activation
        One of `ACTIVATIONS`.
    """

    def __init__(self, layer: Any, activation: Layer) -> None:
        self.layer, self.activation = layer, activation

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, tuple[Cache, Cache]]:
        """Map x to y; return the caches of both layers, for their own backward maps."""
        product, cache = self.layer.forward(x, train=train, bias=False)
        y = self._activate(product, self.layer.bias.value)
        return y, (cache, Cache(self.activation, y, y))

    def __repr__(self) -> str:
        return f"{self.layer!r}, {self.activation!r}"

    def _activate(self, product: Array, bias: Array) -> Array:
        ops = backend.of(product)
        if isinstance(self.activation, LeakyReLU):
            return ops.bias_leaky_relu(product, bias, self.activation.slope)
        if isinstance(self.activation, Tanh):
            return ops.bias_tanh(product, bias)
        return ops.bias_sigmoid(product, bias)


def stages(layers: tuple[Layer, ...], x: Any) -> tuple[Layer | Joined, ...]:
    """Return the layers, with `Joined` in place of pairs that the device of `x` joins.

    Subclasses are left alone: their forward maps are their own.

    Parameters
    ----------
    layers
        The layers of a chain, in order.
    x
        Its input, which determines the device.
    """
    x = x[0] if isinstance(x, tuple) else x
    if not hasattr(x, "dtype") or not backend.of(x).joins_bias:
        return layers
    found: list[Any] = []
    for layer in layers:
        before: Any = found[-1] if found else None
        if type(layer) in ACTIVATIONS and type(before) in PRODUCTS and before.bias is not None:
            found[-1] = Joined(before, layer)
        else:
            found.append(layer)
    return tuple(found)

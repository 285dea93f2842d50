"""Fusion of a layer's last step and the activation after it into one pass over memory, where that
is faster.

``y = φ(x W + b)`` is three steps: a product, a sum, a function of each entry. The last two do very
little work for each number that they read and write, so GPUs and compiled loops do them together;
likewise ``y = φ(γ x̂ + β)`` after batch normalisation. What each layer keeps for its backward map
stays the same: the linear one keeps x, batch normalisation x̂, the activation y; nothing ever needs
``x W + b`` or ``γ x̂ + β``.
"""

from __future__ import annotations

from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from minigan.nn.batchnorm import BatchNorm
from minigan.nn.cache import Cache
from minigan.nn.convolution import Conv2d, ConvTranspose2d
from minigan.nn.layer import Layer
from minigan.nn.linear import Linear

PRODUCTS = (Linear, Conv2d, ConvTranspose2d)
ACTIVATIONS = (LeakyReLU, ReLU, Tanh, Sigmoid)
RECTIFIERS = (LeakyReLU, ReLU)


class Joined:
    """A layer joined with the activation after it.

    Parameters
    ----------
    layer
        One of `PRODUCTS` with a bias, or `BatchNorm`.
    activation
        One of `ACTIVATIONS`; after `BatchNorm` one of `RECTIFIERS`.
    """

    def __init__(self, layer: Any, activation: Any) -> None:
        self.layer, self.activation = layer, activation

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, tuple[Cache, Cache]]:
        """Map x to y; return the caches of both layers, for their own backward maps."""
        joined = self._normalised if isinstance(self.layer, BatchNorm) else self._with_bias
        y, cache = joined(x, train)
        return y, (cache, Cache(self.activation, y, y))

    def backward(
        self, dy: Array, caches: Any, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx with what `forward` kept, as the two layers one after the other do."""
        cache, activated = caches
        if input_grad and self._is_one_pass(cache):
            return self._normalised_backward(dy, cache, param_grads)
        d = self.activation.backward(dy, activated, param_grads=param_grads)
        return self.layer.backward(d, cache, param_grads=param_grads, input_grad=input_grad)

    def __repr__(self) -> str:
        return f"{self.layer!r}, {self.activation!r}"

    def _with_bias(self, x: Array, train: bool) -> tuple[Array, Cache]:
        product, cache = self.layer.forward(x, train=train, bias=False)
        return self._activate(product, self.layer.bias.value), cache

    def _normalised(self, x: Array, train: bool) -> tuple[Array, Cache]:
        layer, x = self.layer, self.layer.check(x)
        mean, inverse_s = layer.statistics(x, train=train)
        x_hat, y = backend.of(x).standardise_leaky_relu(
            x, mean, inverse_s, layer.gamma.value, layer.beta.value, self.activation.slope
        )
        return y, Cache(layer, y, x_hat, inverse_s, train)

    def _is_one_pass(self, cache: Cache) -> bool:
        """Tell whether there is a joined backward map: not if μ and σ are constants, or those of
        several ranks.
        """
        if not isinstance(self.layer, BatchNorm) or self.layer.ranks.size > 1:
            return False
        *_, train = cache.saved
        return bool(train)

    def _normalised_backward(self, dy: Array, cache: Cache, param_grads: bool) -> Array:
        layer = self.layer
        x_hat, inverse_s, _ = cache.recall(layer, dy)
        dx, dbeta, dgamma = backend.of(dy).standardise_leaky_relu_grad(
            dy, x_hat, inverse_s, layer.gamma.value, layer.beta.value, self.activation.slope
        )
        if param_grads:
            layer.beta.grad += dbeta
            layer.gamma.grad += dgamma
        return dx

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
        Its input, or the cotangent of its output; it determines the device.
    """
    x = x[0] if isinstance(x, tuple) else x
    if not hasattr(x, "dtype") or not backend.of(x).joins_bias:
        return layers
    norms = backend.of(x).joins_norm
    found: list[Any] = []
    for layer in layers:
        if found and _fit(found[-1], layer, norms=norms):
            found[-1] = Joined(found[-1], layer)
        else:
            found.append(layer)
    return tuple(found)


def stages_with_caches(
    layers: tuple[Layer, ...], caches: Any, dy: Any
) -> list[tuple[int, Layer | Joined, Any]]:
    """Return each stage with the index of its first layer and what its forward call kept."""
    found: list[tuple[int, Layer | Joined, Any]] = []
    index = 0
    for stage in stages(layers, dy):
        if isinstance(stage, Joined):
            found.append((index, stage, (caches[index], caches[index + 1])))
            index += 2
        else:
            found.append((index, stage, caches[index]))
            index += 1
    return found


def _fit(layer: Any, activation: Layer, *, norms: bool) -> bool:
    """Tell whether there is one pass for both."""
    if type(layer) is BatchNorm:
        return norms and type(activation) in RECTIFIERS
    return type(layer) in PRODUCTS and type(activation) in ACTIVATIONS and layer.bias is not None

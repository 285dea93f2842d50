r"""Layers that compute with a function of what they learn: equalised learning rate, weight norm.

The layer inside computes with :math:`\bar W = f(W)` and gives the gradient
:math:`G = \partial L / \partial \bar W`, as if that were its parameter; the chain rule turns it
into the gradient of W. Double backward is the same chain: ⟨v, dx⟩ depends on W through W̄ only.
`minigan.nn.spectral` is of the same kind.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class Reparametrised(Layer):
    """The base class: a subclass defines `effective` and `pull`."""

    layer: Any

    def effective(self) -> dict[str, Array]:
        """Return what the layer inside computes with, by the name of its parameters."""
        raise NotImplementedError

    def pull(self, gradients: dict[str, Array]) -> None:
        """Add to the gradients of what is learnt, given those of `effective`."""
        raise NotImplementedError

    @property
    def takes_condition(self) -> bool:
        """Whether the layer inside takes a pair of samples and a condition."""
        return bool(getattr(self.layer, "takes_condition", False))

    def forward(self, x: Any, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x as the layer inside would with other weights."""
        inside = copy.copy(self.layer)  # shares everything but the weights of this call
        for name, value in self.effective().items():
            setattr(inside, name, Parameter(value))
        y, cache = inside.forward(x, train=train)
        return y, Cache(self, y, inside, cache)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Any:
        """Map dy to dx as the layer inside does."""
        inside, inner = cache.recall(self, dy)
        with self._pulled(inside, param_grads):
            return inside.backward(dy, inner, param_grads=param_grads, input_grad=input_grad)

    def double_backward(
        self, v: Any, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> tuple[Any, Array]:
        """Map v as the layer inside does."""
        inside, inner = cache.recall(self, dy)
        with self._pulled(inside, param_grads):
            dx, tangent = inside.double_backward(
                v, dy, inner, param_grads=param_grads, input_grad=input_grad
            )
        return dx, tangent

    @contextmanager
    def _pulled(self, inside: Any, param_grads: bool) -> Iterator[None]:
        """Turn the gradients that accumulate in this context into those of what is learnt."""
        gradients = {name: getattr(inside, name).grad for name in self.effective()}
        for gradient in gradients.values():
            gradient[...] = 0
        yield
        if param_grads:
            self.pull(gradients)

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that the layer inside gives."""
        return self.layer.output_shape(shape)

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the layer inside."""
        return self.layer.multiply_adds(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.layer!r})"


class Equalised(Reparametrised, samplewise=True):
    r"""The layer inside with weights scaled at run time (Karras et al. 2018, section 4.1).

    :math:`\bar W = c W`, c = gain m / √fan_in, and :math:`\bar b = m b`, with W ~ N(0, 1 / m²) and
    b = 0 at first. Adam's steps don't depend on the scale of gradients, so with weights of one
    scale all layers learn at one rate; m lowers that of a part, such as the mapping net's.

    Backward: ``dW = c G`` and ``db = m`` times the bias's own gradient.

    Parameters
    ----------
    layer
        A layer with a `weight` that knows its fan-in: Linear, a convolution, ModulatedConv2d. Its
        weights are drawn anew.
    gain
        √2 in front of a (leaky) ReLU, 1 elsewhere.
    lr_multiplier
        m.
    rng
        Draws W.
    """

    def __init__(
        self, layer: Layer, *, gain: float = math.sqrt(2), lr_multiplier: float = 1.0,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        weight = _weight(layer, "Equalised")
        if not (math.isfinite(gain) and 0 < lr_multiplier < math.inf):
            raise ValueError(
                f"Equalised needs a finite gain and a positive lr_multiplier, got {gain!r} and "
                f"{lr_multiplier!r}."
            )
        if weight.fan_in is None:
            raise TypeError(f"Equalised needs a weight that knows its fan_in, got {layer!r}.")
        self.layer, self.gain, self.lr_multiplier = layer, gain, lr_multiplier
        drawn = initial.generator(rng).standard_normal(weight.shape) / lr_multiplier
        weight.value = backend.of(weight.value).asarray(drawn, dtype=weight.value.dtype)
        if getattr(layer, "bias", None) is not None:
            self.layer.bias.value[...] = 0

    def effective(self) -> dict[str, Array]:
        """Return ``c W`` and ``m b``."""
        scales = self._scales()
        return {name: scale * getattr(self.layer, name).value for name, scale in scales.items()}

    def pull(self, gradients: dict[str, Array]) -> None:
        """Add ``c G`` and ``m db``."""
        for name, scale in self._scales().items():
            getattr(self.layer, name).grad += scale * gradients[name]

    def _scales(self) -> dict[str, float]:
        c = self.gain * self.lr_multiplier / math.sqrt(self.layer.weight.fan_in)
        bias = getattr(self.layer, "bias", None) is not None
        return {"weight": c} | ({"bias": self.lr_multiplier} if bias else {})


class WeightNorm(Reparametrised, samplewise=True):
    r"""The layer inside with each unit's weights as length times direction.

    :math:`\bar W_o = g_o W_o / |W_o|` for each output o (Salimans & Kingma 2016, eq. 2). W remains
    the parameter (``layer.weight``), and the lengths g are a second one, :math:`|W_o|` at first.

    Backward, with n = W / |W| (eq. 3): ``dg = Σ G n`` and ``dW = g (G - dg n) / |W|``, which has no
    component along W.

    Parameters
    ----------
    layer
        A layer with a `weight`: Linear, a convolution.

    Raises
    ------
    ValueError
        If all weights of an output are 0.
    """

    def __init__(self, layer: Layer) -> None:
        _weight(layer, "WeightNorm")
        self.layer = layer
        norm = backend.to_numpy(self._norm()).astype("float32").ravel()
        if not norm.all():
            raise ValueError(
                f"The weights of output {int(norm.argmin())} of {layer!r} are all 0, which has no "
                "direction; draw them before WeightNorm is put around it."
            )
        self.scale = Parameter(norm, role="scale")

    def effective(self) -> dict[str, Array]:
        """Return ``g W / |W|``."""
        return {"weight": self._g() * self._direction()}

    def pull(self, gradients: dict[str, Array]) -> None:
        """Add ``dg`` and ``dW``."""
        n, g = self._direction(), gradients["weight"]
        along = (g * n).sum(axis=self._others, keepdims=True)
        self.scale.grad += along.ravel()
        self.layer.weight.grad += self._g() * (g - along * n) / self._length()

    def _norm(self) -> Array:
        w = self.layer.weight.value
        return backend.of(w).xp.sqrt((w * w).sum(axis=self._others, keepdims=True))

    def _direction(self) -> Array:
        return self.layer.weight.value / self._length()

    def _length(self) -> Array:
        """|W|, or 1 where a loaded W is 0."""
        norm = self._norm()
        return norm + (norm == 0)

    def _g(self) -> Array:
        shape = [1] * len(self.layer.weight.shape)
        shape[self._axis] = -1
        return self.scale.value.reshape(shape)

    @property
    def _axis(self) -> int:
        """The axis of W that counts outputs; the last one if the layer doesn't say."""
        axis = self.layer.weight.output_axis
        rank = len(self.layer.weight.shape)
        return rank - 1 if axis is None else axis % rank

    @property
    def _others(self) -> tuple[int, ...]:
        return tuple(i for i in range(len(self.layer.weight.shape)) if i != self._axis)


def _weight(layer: Layer, name: str) -> Parameter:
    weight = getattr(layer, "weight", None)
    if not isinstance(weight, Parameter):
        raise TypeError(
            f"{name} needs a layer with a weight, got {layer!r}; wrap each Linear or Conv2d "
            "separately."
        )
    return weight

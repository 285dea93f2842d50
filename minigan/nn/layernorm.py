"""Layer normalisation: each sample by its own mean and variance.

For the derivation see `minigan.nn.standardise`.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter
from minigan.nn.standardise import means, standardise, standardise_grad, standardise_grad_twice


class LayerNorm(Layer, samplewise=True):
    """Normalise each sample by its own mean and variance (Ba et al. 2016).

    ``x̂ = (x - μ) / s`` and ``y = γ x̂ + β``, with μ and s = √(σ² + ε) of a sample (or of one of its
    pixels). Training and evaluation are the same.

    Shapes: x and y (N, ..., *shape); γ and β have `shape`. ``LayerNorm(C)`` normalises over the
    last axis, ``LayerNorm(H, W, C)`` over a whole image.

    Backward, with q = γ dy and means over the axes of `shape`: ``dγ = Σ dy x̂``, ``dβ = Σ dy`` and
    ``dx = (q - mean q - x̂ mean(q x̂)) / s``.

    Parameters
    ----------
    shape
        Sizes of the trailing axes that are normalised over.
    eps
        ε, keeps s away from 0.

    Raises
    ------
    ValueError
        If no size is given.
    """

    def __init__(self, *shape: int, eps: float = 1e-5) -> None:
        if not shape:
            raise ValueError(
                "LayerNorm needs the sizes of the axes that it normalises over; write for example "
                "LayerNorm(64)."
            )
        self.shape, self.eps = shape, eps
        self.gamma = Parameter(numpy.ones(shape, "float32"), role="scale")
        self.beta = Parameter(numpy.zeros(shape, "float32"), role="shift")

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        x_hat, inverse_s = standardise(x, self._axes(x), self.eps)  # x̂ = (x - μ) / s
        y = self.gamma.value * x_hat + self.beta.value
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        if param_grads:  # dγ = Σ dy x̂,  dβ = Σ dy
            ops, rows = backend.of(dy), self._rows(dy)
            self.gamma.grad += ops.sum_products(rows, self._rows(x_hat)).reshape(self.shape)
            self.beta.grad += ops.sum_rows(rows).reshape(self.shape)
        if not input_grad:
            return None
        q = self.gamma.value * dy  # the cotangent of x̂
        # dx = (q - mean q - x̂ mean(q x̂)) / s
        return standardise_grad(q, x_hat, inverse_s, means(q, x_hat, self._axes(dy)))

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        axes, gamma = self._axes(dy), self.gamma.value
        means_of_v = means(v, x_hat, axes)
        tangent = standardise_grad(v, x_hat, inverse_s, means_of_v)  # of x̂: 𝒫 v / s
        if param_grads:
            sums = backend.of(dy).sum_products(self._rows(dy), self._rows(tangent))
            self.gamma.grad += sums.reshape(self.shape)
        if not input_grad:
            return None, gamma * tangent
        dx = standardise_grad_twice(v, gamma * dy, x_hat, inverse_s, means_of_v, axes)
        return dx, gamma * tangent

    def _axes(self, x: Array) -> tuple[int, ...]:
        return tuple(range(x.ndim - len(self.shape), x.ndim))

    def _rows(self, x: Array) -> Array:
        """Reshape x to one row for each set S of numbers that are normalised together."""
        return x.reshape(-1, math.prod(self.shape))

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, ..., *shape) stays as it is."""
        if len(shape) <= len(self.shape) or shape[-len(self.shape) :] != self.shape:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs one that ends in {self.shape} "
                "after the batch axis."
            )
        return shape

    def __repr__(self) -> str:
        return f"LayerNorm({', '.join(map(str, self.shape))})"

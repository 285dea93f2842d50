"""Group normalisation: groups of channels of each sample by their own mean and variance.

For the derivation see `minigan.nn.layernorm`.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class GroupNorm(Layer, samplewise=True):
    """Normalise each group of channels of each sample by its mean and variance (Wu & He 2018).

    ``x̂ = (x - μ) / s`` and ``y = γ x̂ + β``, with μ and s = √(σ² + ε) of C / groups neighbouring
    channels of an image. With one group it is a `LayerNorm` over the image with γ and β for each
    channel; with as many as channels, an `InstanceNorm`.

    Shapes: x and y (N, ..., C); γ and β (C,).

    Backward, with q = γ dy and means over a group: ``dγ = Σ dy x̂``, ``dβ = Σ dy`` and
    ``dx = (q - mean q - x̂ mean(q x̂)) / s``.

    Parameters
    ----------
    groups
        Must divide C.
    features
        C.
    eps
        ε, keeps s away from 0.
    """

    def __init__(self, groups: int, features: int, *, eps: float = 1e-5) -> None:
        if not is_whole(groups) or groups < 1 or features % groups:
            raise ValueError(
                "The groups of GroupNorm must divide its features, and be a whole number, got "
                f"{groups!r} and {features}."
            )
        self.groups, self.features, self.eps = groups, features, eps
        self.gamma = Parameter(numpy.ones(features, "float32"), role="scale")
        self.beta = Parameter(numpy.zeros(features, "float32"), role="shift")

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        x_hat, y, inverse_s = backend.of(x).standardise_samples(
            _pixels(x), self.gamma.value[None], self.beta.value[None], self.eps, each=self.each
        )
        return y.reshape(x.shape), Cache(self, y.reshape(x.shape), x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        ops, d = backend.of(dy), _pixels(dy)
        if param_grads:
            self.gamma.grad += ops.sum_products(d, x_hat)  # dγ = Σ dy x̂
            self.beta.grad += ops.sum_rows(d)  # dβ = Σ dy
        if not input_grad:
            return None
        gamma = self.gamma.value[None]
        dx = ops.standardise_samples_grad(d, x_hat, inverse_s, gamma, each=self.each)
        return dx.reshape(dy.shape)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        ops, gamma, each = backend.of(dy), self.gamma.value[None], self.each
        u, d = _pixels(v), _pixels(dy)
        tangent = ops.standardise_samples_grad(u, x_hat, inverse_s, None, each=each)  # 𝒫 v / s
        if param_grads:
            self.gamma.grad += ops.sum_products(d, tangent)
        dx = None
        if input_grad:
            dx = ops.standardise_samples_grad_twice(u, d, x_hat, inverse_s, gamma, each=each)
            dx = dx.reshape(dy.shape)
        return dx, (self.gamma.value * tangent).reshape(dy.shape)

    @property
    def each(self) -> int:
        """Channels of a group."""
        return self.features // self.groups

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, ..., C) with more than one number in a group stays as it is."""
        if len(shape) < 2 or shape[-1] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., {self.features}); "
                "features come last."
            )
        if math.prod(shape[1:]) // self.groups < 2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: a group of one number has no variance; "
                "use fewer groups or larger images."
            )
        return shape

    def __repr__(self) -> str:
        return f"GroupNorm({self.groups}, {self.features})"


def _pixels(x: Array) -> Array:
    """(N, ..., C) -> (N, pixels, C)."""
    return x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])

"""Group normalisation: groups of channels of each sample by their own mean and variance.

For the derivation see `minigan.nn.layernorm`.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
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
        if groups < 1 or features % groups:
            raise ValueError(
                f"The groups of GroupNorm must divide its features, got {groups} and {features}."
            )
        self.groups, self.features, self.eps = groups, features, eps
        self.gamma = Parameter(numpy.ones(features, "float32"), role="scale")
        self.beta = Parameter(numpy.zeros(features, "float32"), role="shift")

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        x_hat, _, inverse_s = backend.of(x).standardise_samples(self._sets(x), None, None, self.eps)
        x_hat = self._back(x_hat, x.shape)
        y = self.gamma.value * x_hat + self.beta.value
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        ops = backend.of(dy)
        if param_grads:
            self.gamma.grad += ops.sum_products(dy, x_hat)  # dγ = Σ dy x̂
            self.beta.grad += ops.sum_rows(dy)  # dβ = Σ dy
        return self._pulled(self.gamma.value * dy, x_hat, inverse_s) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        ops = backend.of(dy)
        tangent = self._pulled(v, x_hat, inverse_s)  # of x̂: 𝒫 v / s
        if param_grads:
            self.gamma.grad += ops.sum_products(dy, tangent)
        dx = None
        if input_grad:
            u, q, hats = (self._sets(a) for a in (v, self.gamma.value * dy, x_hat))
            dx = ops.standardise_samples_grad_twice(u, q, hats, inverse_s, None)
            dx = self._back(dx, dy.shape)
        return dx, self.gamma.value * tangent

    def _pulled(self, q: Array, x_hat: Array, inverse_s: Array) -> Array:
        """Return ``(q - mean q - x̂ mean(q x̂)) / s``."""
        sets, hats = self._sets(q), self._sets(x_hat)
        dx = backend.of(q).standardise_samples_grad(sets, hats, inverse_s, None)
        return self._back(dx, q.shape)

    def _sets(self, x: Array) -> Array:
        """(N, ..., C) -> (N, m, groups): a column holds the m numbers normalised together."""
        each = self.features // self.groups
        columns = x.reshape(x.shape[0], -1, self.groups, each).transpose(0, 1, 3, 2)
        return columns.reshape(x.shape[0], -1, self.groups)

    def _back(self, sets: Array, shape: Shape) -> Array:
        """Undo `_sets`."""
        each = self.features // self.groups
        columns = sets.reshape(sets.shape[0], -1, each, self.groups).transpose(0, 1, 3, 2)
        return columns.reshape(shape)

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

"""Instance normalisation: each channel of each image by its own mean and variance.

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


class InstanceNorm(Layer, samplewise=True):
    """Normalise each channel of each image by its own mean and variance (Ulyanov et al. 2016).

    ``x̂ = (x - μ) / s`` and ``y = γ x̂ + β``, with μ and s = √(σ² + ε) of a channel of an image.
    Training and evaluation are the same.

    Shapes: x and y (N, H, W, features); γ and β (features,), if `affine`; else ``y = x̂``.

    Backward, with q = γ dy and means over the pixels of an image: ``dγ = Σ dy x̂``, ``dβ = Σ dy``
    and ``dx = (q - mean q - x̂ mean(q x̂)) / s``.

    Parameters
    ----------
    features
        Number of channels.
    eps
        ε, keeps s away from 0.
    affine
        Whether to learn γ and β.
    """

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = False) -> None:
        self.features, self.eps = features, eps
        ones, zeros = numpy.ones(features, "float32"), numpy.zeros(features, "float32")
        self.gamma = Parameter(ones, role="scale") if affine else None
        self.beta = Parameter(zeros, role="shift") if affine else None

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        beta = None if self.beta is None else self.beta.value.reshape(1, -1)
        # x̂ = (x - μ) / s,  y = γ x̂ + β
        x_hat, y, inverse_s = backend.of(x).standardise_samples(
            _pixels(x), self._gamma, beta, self.eps
        )
        y = y.reshape(x.shape)
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        ops, d = backend.of(dy), _pixels(dy)
        if param_grads and self.gamma is not None and self.beta is not None:
            self.gamma.grad += ops.sum_products(d, x_hat)  # dγ = Σ dy x̂
            self.beta.grad += ops.sum_rows(d)  # dβ = Σ dy
        if not input_grad:
            return None
        # dx = (q - mean q - x̂ mean(q x̂)) / s  with q = γ dy
        return ops.standardise_samples_grad(d, x_hat, inverse_s, self._gamma).reshape(dy.shape)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        ops, d, u, gamma = backend.of(dy), _pixels(dy), _pixels(v), self._gamma
        tangent = ops.standardise_samples_grad(u, x_hat, inverse_s, None)  # of x̂: 𝒫 v / s
        if param_grads and self.gamma is not None:
            self.gamma.grad += ops.sum_products(d, tangent)
        dx = None
        if input_grad:
            dx = ops.standardise_samples_grad_twice(u, d, x_hat, inverse_s, gamma)
            dx = dx.reshape(dy.shape)
        return dx, (tangent if gamma is None else gamma * tangent).reshape(dy.shape)

    @property
    def _gamma(self) -> Array | None:
        return None if self.gamma is None else self.gamma.value.reshape(1, -1)

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, H, W, features) of more than one pixel stays as it is."""
        if len(shape) != 4 or shape[3] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, "
                f"{self.features})."
            )
        if math.prod(shape[1:3]) < 2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: one pixel per channel has no variance; "
                "use larger images."
            )
        return shape

    def __repr__(self) -> str:
        return f"InstanceNorm({self.features})"


def _pixels(x: Array) -> Array:
    """Reshape images to (N, H W, features): a column is a set of numbers normalised together."""
    return x.reshape(x.shape[0], x.shape[1] * x.shape[2], x.shape[3])

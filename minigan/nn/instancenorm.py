"""Instance normalisation: each channel of each image by its own mean and variance.

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

PIXELS = (1, 2)
"""The axes along which the pixels of an image lie."""


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
        x_hat, inverse_s = standardise(x, PIXELS, self.eps)  # x̂ = (x - μ) / s
        y = x_hat
        if self.gamma is not None and self.beta is not None:
            y = self.gamma.value * x_hat + self.beta.value
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        q = dy
        if self.gamma is not None and self.beta is not None:
            if param_grads:  # dγ = Σ dy x̂,  dβ = Σ dy
                self.gamma.grad += backend.of(dy).sum_products(dy, x_hat)
                self.beta.grad += backend.of(dy).sum_rows(dy)
            q = self.gamma.value * dy  # the cotangent of x̂
        if not input_grad:
            return None
        # dx = (q - mean q - x̂ mean(q x̂)) / s
        return standardise_grad(q, x_hat, inverse_s, means(q, x_hat, PIXELS))

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        means_of_v = means(v, x_hat, PIXELS)
        tangent = standardise_grad(v, x_hat, inverse_s, means_of_v)  # of x̂: 𝒫 v / s
        scale: Array | float = 1.0
        if self.gamma is not None:
            scale = self.gamma.value
            if param_grads:
                self.gamma.grad += backend.of(dy).sum_products(dy, tangent)
        if not input_grad:
            return None, scale * tangent
        dx = standardise_grad_twice(v, scale * dy, x_hat, inverse_s, means_of_v, PIXELS)
        return dx, scale * tangent

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

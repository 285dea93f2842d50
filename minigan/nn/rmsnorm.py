r"""Normalisation by the root mean square, with a learnt scale or without.

Over the m features of a sample (or of one of its pixels), a bar for their mean,

.. math:: r = (\overline{x^2} + \varepsilon)^{-1/2}, \qquad \hat x = r x, \qquad y = \gamma \hat x.

Backward, with :math:`q = \gamma\, dy`. As :math:`\partial r / \partial x_j = -r^3 x_j / m`,

.. math:: dx = r\, \mathcal P q, \qquad \mathcal P q = q - \hat x\, \overline{q \hat x}, \qquad
          d\gamma = \sum dy\, \hat x .

Double backward. 𝒫 is symmetric, so ⟨v, dx⟩ = ⟨r 𝒫v, q⟩: the tangent of y is γ r 𝒫v, and γ gets
Σ dy r 𝒫v. Through r and x̂, x gets

.. math:: \frac\partial{\partial x} \langle v, dx\rangle = -r^2 \Big( \hat x\,
          \big(\overline{q v} - 3\, \overline{q \hat x}\; \overline{v \hat x}\big)
          + \overline{q \hat x}\, v + \overline{v \hat x}\, q \Big).
"""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class PixelNorm(Layer, samplewise=True):
    """Divide the features of each pixel by their root mean square.

    (Karras et al. 2018, section 4.2.)

    Shapes: x and y (N, ..., C), normalised over the last axis. On latent vectors (N, C) it projects
    onto a sphere, as StyleGAN's mapping net begins.

    Backward: ``dx = r (dy - x̂ mean(dy x̂))``; see the top of this file.

    Parameters
    ----------
    eps
        ε, keeps r finite.
    """

    def __init__(self, *, eps: float = 1e-8) -> None:
        self.eps = eps
        self.gamma: Parameter | None = None

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        r = 1 / backend.of(x).xp.sqrt(_mean(x * x) + self.eps)
        x_hat = r * x
        y = self._scaled(x_hat)
        return y, Cache(self, y, x_hat, r)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, r = cache.recall(self, dy)
        if param_grads and self.gamma is not None:
            self.gamma.grad += backend.of(dy).sum_products(dy, x_hat)
        return r * _p(self._scaled(dy), x_hat) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, r = cache.recall(self, dy, v)
        tangent = r * _p(v, x_hat)
        if param_grads and self.gamma is not None:
            self.gamma.grad += backend.of(dy).sum_products(dy, tangent)
        dx = None
        if input_grad:
            q = self._scaled(dy)
            qx, vx = _mean(q * x_hat), _mean(v * x_hat)
            dx = -r * r * (x_hat * (_mean(q * v) - 3 * qx * vx) + qx * v + vx * q)
        return dx, self._scaled(tangent)

    def _scaled(self, x: Array) -> Array:
        """γ x."""
        return x if self.gamma is None else self.gamma.value * x

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, ..., C) stays as it is."""
        features = None if self.gamma is None else self.gamma.size
        if len(shape) < 2 or features not in (None, shape[-1]):
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., {features or 'C'}): "
                "features come last."
            )
        return shape

    def __repr__(self) -> str:
        return "PixelNorm()"


class RMSNorm(PixelNorm, samplewise=True):
    """`PixelNorm` with a learnt scale, ``y = γ x̂`` (Zhang & Sennrich 2019).

    Backward, with q = γ dy: ``dγ = Σ dy x̂`` and ``dx = r (q - x̂ mean(q x̂))``.

    Parameters
    ----------
    features
        C, the size of the last axis.
    eps
        ε, keeps r finite.
    """

    def __init__(self, features: int, *, eps: float = 1e-6) -> None:
        self.features, self.eps = features, eps
        self.gamma = Parameter(numpy.ones(features, "float32"), role="scale")

    def __repr__(self) -> str:
        return f"RMSNorm({self.features})"


def _mean(x: Array) -> Array:
    return x.mean(axis=-1, keepdims=True)


def _p(q: Array, x_hat: Array) -> Array:
    """𝒫 q."""
    return q - x_hat * _mean(q * x_hat)

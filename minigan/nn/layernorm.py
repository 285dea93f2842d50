r"""Layer normalisation, and the derivation that batch and instance normalisation share with it.

They standardise over different axes by the same formula. Over a set S of m numbers x that share a
mean μ and a variance σ² (without Bessel's correction):

.. math:: \hat x = (x - \mu) / s, \qquad s = \sqrt{\sigma^2 + \varepsilon}, \qquad
          y = \gamma \hat x + \beta.

Backward. With the cotangent :math:`q = \gamma\, dy` of x̂, an entry of x affects L along three
paths: through its own x̂ (factor 1/s), through μ, and through s. Since
:math:`\partial\mu/\partial x_j = 1/m` and
:math:`\partial s/\partial x_j = \hat x_j / m`,

.. math::
    dx_j = \frac1s \Big(q_j - \frac1m\sum_i q_i - \hat x_j\, \frac1m\sum_i q_i \hat x_i\Big).

The bracket removes from q its mean and its component along x̂: a change of x in these directions is
undone by standardising. The scale and the shift get :math:`d\gamma = \sum dy\,\hat x` and
:math:`d\beta = \sum dy` (Ioffe & Szegedy 2015, section 3; Ba et al. 2016; Ulyanov et al. 2016).

Double backward. Write a bar for means over S and :math:`\mathcal P q` for the bracket, so that
:math:`dx = \mathcal P q / s`. As :math:`\mathcal P` is symmetric, ⟨v, dx⟩ = Σ q 𝒫v / s: the tangent
of y is :math:`\gamma\,\mathcal P v / s`, and, as q = γ dy, γ gets
:math:`d\gamma = \sum dy\,\mathcal P v / s`. The derivative with respect to x goes through x̂ and
s in

.. math:: \frac1m \langle v, dx\rangle = \frac As, \qquad
          A = \overline{qv} - \bar q\,\bar v - \overline{q\hat x}\;\overline{v\hat x}.

A cotangent c of x̂ becomes 𝒫c / s, and :math:`\partial s/\partial x_j = \hat x_j / m` as above. So

.. math:: \frac{\partial}{\partial x} \langle v, dx\rangle = -\frac{1}{s^2} \Big(
          A\,\hat x + \overline{v\hat x}\;\mathcal P q + \overline{q\hat x}\;\mathcal P v \Big)
          = -\frac{1}{s^2} \Big( \big(A - 2\,\overline{v\hat x}\;\overline{q\hat x}\big)\, \hat x
          + \overline{v\hat x}\,(q - \bar q) + \overline{q\hat x}\,(v - \bar v) \Big).

The second form is the first with :math:`\mathcal P` written out; it needs only five means.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


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
        gamma, beta = self.gamma.value.reshape(-1, 1), self.beta.value.reshape(-1, 1)
        # x̂ = (x - μ) / s,  y = γ x̂ + β
        x_hat, y, inverse_s = backend.of(x).standardise_samples(
            self._sets(x), gamma, beta, self.eps
        )
        y = y.reshape(x.shape)
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        ops, d, gamma = backend.of(dy), self._sets(dy), self.gamma.value.reshape(-1, 1)
        if param_grads:  # dγ = Σ dy x̂,  dβ = Σ dy
            self.gamma.grad += ops.sum_products(_rows(d), _rows(x_hat)).reshape(self.shape)
            self.beta.grad += ops.sum_rows(_rows(d)).reshape(self.shape)
        if not input_grad:
            return None
        # dx = (q - mean q - x̂ mean(q x̂)) / s  with q = γ dy
        return ops.standardise_samples_grad(d, x_hat, inverse_s, gamma).reshape(dy.shape)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        ops, gamma = backend.of(dy), self.gamma.value.reshape(-1, 1)
        d, u = self._sets(dy), self._sets(v)
        tangent = ops.standardise_samples_grad(u, x_hat, inverse_s, None)  # of x̂: 𝒫 v / s
        if param_grads:
            self.gamma.grad += ops.sum_products(_rows(d), _rows(tangent)).reshape(self.shape)
        dx = None
        if input_grad:
            dx = ops.standardise_samples_grad_twice(u, d, x_hat, inverse_s, gamma)
            dx = dx.reshape(dy.shape)
        return dx, (gamma * tangent).reshape(dy.shape)

    def _sets(self, x: Array) -> Array:
        """Reshape x to (sets, m, 1): the sets S of m numbers that are normalised together."""
        return x.reshape(-1, math.prod(self.shape), 1)

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


def _rows(sets: Array) -> Array:
    return sets.reshape(sets.shape[:2])

r"""Softmax: positive numbers that sum to 1; and one-hot samples that let a gradient through.

.. math:: y_k = e^{x_k} / \sum_j e^{x_j}, \qquad
          dx_k = y_k \Big(dy_k - \sum_j dy_j y_j\Big).

Backward. :math:`\partial y_k / \partial x_j = y_k ([k = j] - y_j)`, a symmetric matrix J.

Double backward. The tangent is J v, of the same form. ⟨v, dx⟩ = Σ y v dy - (Σ y v)(Σ y dy) depends
on x through y, whose cotangent is c = v dy - v Σ y dy - dy Σ y v; so ∂/∂x is J c.
"""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class Softmax(Layer, samplewise=True):
    """Softmax along one axis of each sample; see the top of this file.

    Parameters
    ----------
    axis
        Not 0, the batch.
    """

    def __init__(self, axis: int = -1) -> None:
        if axis == 0:
            raise ValueError("Softmax can't run along axis 0, the batch; choose another axis.")
        self.axis = axis

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        y = _softmax(x, self.axis)
        return y, Cache(self, y, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to J dy."""
        (y,) = cache.recall(self, dy)
        return _jacobian(y, dy, self.axis) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to J c and to the tangent J v."""
        (y,) = cache.recall(self, dy, v)
        tangent = _jacobian(y, v, self.axis)
        if not input_grad:
            return None, tangent
        c = v * dy - v * _total(y * dy, self.axis) - dy * _total(y * v, self.axis)
        return _jacobian(y, c, self.axis), tangent

    def output_shape(self, shape: Shape) -> Shape:
        """Any shape that has the axis, behind that of the batch, stays as it is."""
        require_axis(self, shape, self.axis)
        return shape

    def __repr__(self) -> str:
        return f"Softmax(axis={self.axis})"


class GumbelSoftmax(Layer):
    r"""A one-hot sample from softmax(x), softened so that it has a gradient (Jang et al. 2017).

    With g = -log(-log u), u ~ U(0, 1), the largest of :math:`x_k + g_k` is k with probability
    softmax(x)_k. Its soft form is :math:`y = \mathrm{softmax}((x + g) / \tau)`; the lower the
    temperature τ, the closer to one-hot. In evaluation there is no noise.

    Backward: g is a constant, so ``dx = y (dy - Σ dy y) / τ``. With ``hard=True`` y is exactly
    one-hot, and backward is that of the soft form: a *straight-through* estimate, no derivative.

    Parameters
    ----------
    temperature
        τ > 0.
    hard
        Whether y is one-hot.
    axis
        The axis of the classes; not 0, the batch.
    rng
        Draws g, on the host; if None, a generator seeded by the operating system.
    """

    def __init__(
        self, temperature: float = 1.0, *, hard: bool = False, axis: int = -1,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        if not temperature > 0:
            raise ValueError(f"The temperature of GumbelSoftmax must be > 0, got {temperature}.")
        if axis == 0:
            raise ValueError("GumbelSoftmax can't run along axis 0, the batch; choose another.")
        self.temperature, self.hard, self.axis = temperature, hard, axis
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map logits x to y of the same shape."""
        x = self.check(x)
        ops, noisy = backend.of(x), x
        if train:
            noisy = x + ops.draw(self.rng, lambda rng: rng.gumbel(size=x.shape), x.dtype)
        soft = _softmax(noisy / self.temperature, self.axis)
        # A NaN stays one: 0 times it is added, which is nothing to any other number.
        y = _one_hot(soft, self.axis) + 0 * soft if self.hard else soft
        return y, Cache(self, y, soft)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (soft,) = cache.recall(self, dy)
        return _jacobian(soft, dy, self.axis) / self.temperature if input_grad else None

    def output_shape(self, shape: Shape) -> Shape:
        """Any shape that has the axis, behind that of the batch, stays as it is."""
        require_axis(self, shape, self.axis)
        return shape

    def __repr__(self) -> str:
        return f"GumbelSoftmax({self.temperature}, hard={self.hard})"


def require_axis(layer: Layer, shape: Shape, axis: int) -> None:
    """Refuse a shape that doesn't have the axis, or has the batch there."""
    if not -len(shape) < axis < len(shape):
        raise ValueError(
            f"{layer!r} got an input of shape {shape}, in which axis {axis} isn't an axis of a "
            "sample; choose another axis."
        )


def _softmax(x: Array, axis: int) -> Array:
    """The largest number is subtracted first, so that nothing overflows."""
    e = backend.of(x).xp.exp(x - x.max(axis=axis, keepdims=True))
    return e / _total(e, axis)


def _jacobian(y: Array, d: Array, axis: int) -> Array:
    """J d."""
    return y * (d - _total(y * d, axis))


def _total(x: Array, axis: int) -> Array:
    return x.sum(axis=axis, keepdims=True)


def _one_hot(x: Array, axis: int) -> Array:
    """1 at the largest number, the first of equals."""
    xp = backend.of(x).xp
    turned = xp.moveaxis(x, axis, -1)
    hot = (turned.argmax(axis=-1)[..., None] == xp.arange(turned.shape[-1])).astype(x.dtype)
    return xp.moveaxis(hot, -1, axis)

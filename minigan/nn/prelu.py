"""PReLU: a leaky ReLU that learns its slope."""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class PReLU(Layer, samplewise=True):
    """``y = x`` where x > 0, else ``a x``, with a learnt slope a (He et al. 2015).

    Shapes: x and y (N, ..., C); a (1,), or (C,) for a slope of each channel.

    Backward: ``dx = dy`` where x > 0, else ``a dy``; ``da = Σ dy x`` over the entries with x <= 0.
    Double backward: ⟨v, dx⟩ is linear in a, so ``da = Σ v dy`` over the same entries, and the
    tangent is v where x > 0, else a v. At the kink the derivative from the left is taken.

    Parameters
    ----------
    channels
        1, or C.
    slope
        The initial a.
    """

    def __init__(self, channels: int = 1, *, slope: float = 0.25) -> None:
        self.channels = channels
        self.slope = Parameter(numpy.full(channels, slope, "float32"))

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        xp = backend.of(x).xp
        y = xp.maximum(x, 0) + self.slope.value * xp.minimum(x, 0)
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (x,) = cache.recall(self, dy)
        xp = backend.of(dy).xp
        if param_grads:
            self._add(x, dy * x)
        return xp.where(x > 0, dy, self.slope.value * dy) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v to None and the tangent, of the same shape."""
        (x,) = cache.recall(self, dy, v)
        xp = backend.of(v).xp
        if param_grads:
            self._add(x, v * dy)
        return None, xp.where(x > 0, v, self.slope.value * v)

    def _add(self, x: Array, terms: Array) -> None:
        """Add the terms where x <= 0, all of them or those of each channel."""
        ops = backend.of(x)
        total = ops.sum_rows(ops.xp.where(x > 0, x.dtype.type(0), terms))
        self.slope.grad += total if self.channels > 1 else total.sum()

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, ..., C) stays as it is."""
        if self.channels > 1 and (len(shape) < 2 or shape[-1] != self.channels):
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., {self.channels})."
            )
        return shape

    def __repr__(self) -> str:
        return f"PReLU({self.channels})"

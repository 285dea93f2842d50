"""Maxout, a learnt activation: the largest of several linear maps."""

from __future__ import annotations

import functools

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class Maxout(Layer, samplewise=True):
    """The largest of each group of k neighbouring features: (N, ..., k F) -> (N, ..., F).

    After a Linear layer each output is the maximum of k linear maps, a convex function (Goodfellow
    et al. 2013); with k = 2 and one map zero, that is ReLU.

    Backward: dy goes to the feature that was the largest (the first of equals), zero to the others.
    Double backward: which one was the largest is held constant, so the map is linear, and its
    tangent picks the same features from v.

    Parameters
    ----------
    pieces
        k.
    """

    def __init__(self, pieces: int) -> None:
        if pieces < 1:
            raise ValueError(f"Maxout needs at least one piece, got {pieces}.")
        self.pieces = pieces

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ..., k F) to y (N, ..., F)."""
        x = self.check(x)
        xp = backend.of(x).xp
        pieces = xp.moveaxis(self._groups(x), -1, 0)
        y = functools.reduce(xp.maximum, pieces)
        largest = xp.empty((*y.shape, self.pieces), bool)
        free = xp.ones(y.shape, bool)
        for k, piece in enumerate(pieces):
            largest[..., k] = (piece == y) & free
            free &= ~largest[..., k]
        return y, Cache(self, y, largest)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, ..., F) to dx (N, ..., k F)."""
        (largest,) = cache.recall(self, dy)
        if not input_grad:
            return None
        ops = backend.of(dy)
        copies = ops.xp.broadcast_to(dy[..., None], largest.shape)
        return ops.masked(copies, largest).reshape(*dy.shape[:-1], dy.shape[-1] * self.pieces)

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, ..., k F) to None and the features of v that were the largest of x."""
        (largest,) = cache.recall(self, dy, v)
        return None, backend.of(v).masked(self._groups(v), largest).sum(axis=-1)

    def _groups(self, x: Array) -> Array:
        return x.reshape(*x.shape[:-1], x.shape[-1] // self.pieces, self.pieces)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ..., k F) -> (N, ..., F)."""
        if len(shape) < 2 or shape[-1] % self.pieces:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., features), a multiple "
                f"of {self.pieces} of them."
            )
        return (*shape[:-1], shape[-1] // self.pieces)

    def __repr__(self) -> str:
        return f"Maxout({self.pieces})"

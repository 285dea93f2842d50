"""Phase shuffle: a critic of sounds that can't rely on where in a period it is."""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class PhaseShuffle(Layer):
    """Shift sequences in training by a random k from -n to n, mirrored at their ends.

    Transposed convolutions leave artefacts of a fixed phase, which a critic would learn to see
    (Donahue et al. 2019, section 3.3). As in the authors' code, one k is drawn for a batch.

    Shapes: x and y (N, L, C), ``y[i] = x[i - k]``.

    Backward: k is a constant, and the map linear: dy is shifted back, and the mirrored entries'
    cotangents are added to the entries that they are copies of. Double backward: the tangent is v,
    shifted by the same k.

    Parameters
    ----------
    n
        The largest shift, less than L.
    rng
        Draws k, on the host; if None, a generator seeded by the operating system.
    """

    def __init__(self, n: int = 2, *, rng: numpy.random.Generator | None = None) -> None:
        if not is_whole(n) or n < 0:
            raise ValueError(f"The n of PhaseShuffle must be a whole number >= 0, got {n!r}.")
        self.n = n
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        share = self._draw(x) if train and self.n else None
        y = x if share is None else self._shifted(x, share)
        return y, Cache(self, y, share)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (share,) = cache.recall(self, dy)
        if not input_grad or share is None:
            return dy if input_grad else None
        ops: Any = backend.of(dy)
        n, length, zero = self.n, dy.shape[1], dy.dtype.type(0)
        padded = ops.xp.zeros((dy.shape[0], length + 2 * n, dy.shape[2]), dy.dtype)
        for place in range(2 * n + 1):
            padded[:, place : place + length] += ops.xp.where(share[place] > 0, dy, zero)
        return ops.pad_grad(padded[:, None], ((0, 0), (n, n)), "reflect")[:, 0]

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v to None and itself, shifted."""
        (share,) = cache.recall(self, dy, v)
        return None, v if share is None else self._shifted(v, share)

    def _draw(self, x: Array) -> Array:
        """1 at the place of the k that was drawn, 0 at the others.

        A recorded step draws numbers anew at each replay, but can't choose where to read; so all
        shifts are added up, of which these let one through.
        """
        places = 2 * self.n + 1
        return backend.of(x).draw(
            self.rng, lambda rng: numpy.eye(places)[rng.integers(places)], x.dtype
        )

    def _shifted(self, x: Array, share: Array) -> Array:
        """Return x shifted by k, that is its padded form read from n - k on."""
        n, length, zero = self.n, x.shape[1], x.dtype.type(0)
        ops: Any = backend.of(x)
        padded = ops.pad(x[:, None], ((0, 0), (n, n)), "reflect")[:, 0]
        y: Any = 0
        for place in range(2 * n + 1):
            y = y + ops.xp.where(share[place] > 0, padded[:, place : place + length], zero)
        return y

    def output_shape(self, shape: Shape) -> Shape:
        """(N, L, C) stays as it is."""
        if len(shape) != 3 or shape[1] <= self.n:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, length, channels) with a "
                f"length of more than {self.n}."
            )
        return shape

    def __repr__(self) -> str:
        return f"PhaseShuffle({self.n})"

r"""Minibatch discrimination: a discriminator that learns what it means for samples to be alike.

(Salimans et al. 2016, section 3.2.) A tensor T maps a sample's features to B rows of C numbers,
:math:`M_i = f_i T`. Two samples are close in row b if their rows are close, and each sample is told
how many close ones its batch holds:

.. math:: c_b(i, j) = e^{-\|M_{ib} - M_{jb}\|_1}, \qquad o_{ib} = \sum_{j \ne i} c_b(i, j), \qquad
          y_i = [f_i, o_i].

Backward. :math:`c_b(i, j)` appears in :math:`o_{ib}` and in :math:`o_{jb}`, so its cotangent is
:math:`do_{ib} + do_{jb}`; with :math:`s_{ijbc} = \mathrm{sign}(M_{ibc} - M_{jbc})`,

.. math:: dM_{ibc} = -\sum_j c_b(i, j)\, (do_{ib} + do_{jb})\, s_{ijbc}, \qquad
          df_i = dy_{i,:F} + dM_i T^T, \qquad dT = f^T dM .

Double backward. Write :math:`\dot M = v\, T` for the tangent of M. That of c is
:math:`\dot c = -c\, t` with :math:`t_b(i, j) = \sum_c s_{ijbc} (\dot M_{ibc} - \dot M_{jbc})`,
hence :math:`\dot o_{ib} = \sum_j \dot c_b(i, j)`. F = ⟨ẏ, dy⟩ depends on c through
:math:`-\sum c\, t\, do`, whose derivative along M is that of backward with the cotangent
:math:`-t\, (do_i + do_j)` of c; and on Ṁ as o does on M, so that T gets :math:`v^T dM` as well. The
sign is constant except where two numbers are equal.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class MinibatchDiscrimination(Layer):
    """Append to each sample how close the others of its batch are; see the top of this file.

    Shapes: x (N, F) gives y (N, F + rows); T (F, rows, length).

    It couples the samples of a batch, as intended; see `minigan.nn.MinibatchStdDev` for what that
    means for a gradient penalty.

    Parameters
    ----------
    features
        F.
    rows
        B, the number of features that are appended.
    length
        C, the numbers in a row.
    rng
        Draws T from N(0, 0.05² · 20 / F), 0.05 for the paper's 20 features.
    """

    def __init__(
        self, features: int, *, rows: int = 16, length: int = 8,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.features, self.rows, self.length = features, rows, length
        std = 0.05 * math.sqrt(20 / features)
        drawn = initial.generator(rng).normal(0, std, (features, rows, length))
        self.weight = Parameter(
            drawn.astype("float32"), role="weight", fan_in=features, output_axis=1
        )

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, F) to y (N, F + rows)."""
        x = self.check(x)
        xp = backend.of(x).xp
        m = self._through(x)
        apart = m[:, None] - m[None]  # (N, N, B, C)
        c = xp.exp(-abs(apart).sum(axis=3))
        y = xp.concatenate([x, c.sum(axis=1) - 1], axis=1)  # c(i, i) = 1
        return y, Cache(self, y, x, c, xp.sign(apart))

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, F + rows) to dx (N, F)."""
        x, c, sign = cache.recall(self, dy)
        dm = -self._differences(c * self._both(dy), sign)
        if param_grads:
            self._add(x, dm)
        return dy[:, : self.features] + self._back(dm) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v (N, F) to the second derivative and the tangent (N, F + rows)."""
        x, c, sign = cache.recall(self, dy, v)
        up, both = self._through(v), self._both(dy)
        t = (sign * (up[:, None] - up[None])).sum(axis=3)
        tangent = backend.of(v).xp.concatenate([v, -(c * t).sum(axis=1)], axis=1)
        dm = self._differences(c * t * both, sign)
        if param_grads:
            self._add(x, dm)
            self._add(v, -self._differences(c * both, sign))
        return self._back(dm) if input_grad else None, tangent

    def _through(self, x: Array) -> Array:
        """M = x T, (N, B, C)."""
        w = self.weight.value.reshape(self.features, -1)
        return backend.of(x).matmul(x, w).reshape(-1, self.rows, self.length)

    def _both(self, dy: Array) -> Array:
        """``do_i + do_j``, (N, N, B)."""
        do = dy[:, self.features :]
        return do[:, None] + do[None]

    def _differences(self, weights: Array, sign: Array) -> Array:
        """Sum ``weights(i, j) sign(i, j)`` over j, (N, B C)."""
        return (
            (weights[..., None] * sign).sum(axis=1).reshape(sign.shape[0], self.rows * self.length)
        )

    def _add(self, x: Array, dm: Array) -> None:
        self.weight.grad += backend.of(x).matmul(x.T, dm).reshape(self.weight.shape)

    def _back(self, dm: Array) -> Array:
        return backend.of(dm).matmul(dm, self.weight.value.reshape(self.features, -1).T)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, F) -> (N, F + rows)."""
        if len(shape) != 2 or shape[1] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, {self.features}); put "
                "Flatten() before it if the input is an image."
            )
        return shape[0], self.features + self.rows

    def multiply_adds(self, shape: Shape) -> int:
        """The product with T."""
        return math.prod(shape) * self.rows * self.length

    def __repr__(self) -> str:
        return f"MinibatchDiscrimination({self.features}, rows={self.rows}, length={self.length})"

r"""Self-attention: every pixel looks at all others (Zhang et al. 2019, "SAGAN").

For the P pixels of an image x (P, C), with 1x1 convolutions, that is matrices,

.. math:: f = x W_f, \quad g = \mathrm{pool}(x W_g), \quad h = \mathrm{pool}(x W_h), \qquad
          A = \mathrm{softmax}(f g^T), \qquad O = A h, \qquad y = x + \gamma\, O W_o ,

the softmax over each row. f and g have C / 8 channels, h has C / 2, and the pool, 2x2, leaves a
quarter of the pixels to be looked at: so it is in the authors' code and BigGAN's, though not in the
paper. γ is 0 at first.

Backward. The matrices, the pool and the softmax have been derived elsewhere; between them,

.. math:: q = \gamma\, dy\, W_o^T, \qquad dh = A^T q, \qquad dS = A \odot (q h^T - \rho_0), \qquad
          df = dS\, g, \qquad dg = dS^T f, \qquad d\gamma = \sum dy \odot O W_o ,

where ρ₀ holds the row sums of A ⊙ q hᵀ.

Double backward. Let a dot mark tangents along v; those of f, g and h are v's images. Then, with
S = f gᵀ,

.. math:: \dot S = \dot f g^T + f \dot g^T, \quad \rho = \mathrm{rows}(A \odot \dot S), \quad
          \dot A = A \odot (\dot S - \rho), \quad \dot O = \dot A h + A \dot h, \quad
          \dot y = v + \gamma\, \dot O W_o .

F = ⟨ẏ, dy⟩ = ⟨v, dy⟩ + ⟨Ȯ, q⟩. With B = q hᵀ and its ρ₀ from above, the cotangents of A and S are

.. math:: G_A = B \odot (\dot S - \rho) - \rho_0\, \dot S + q\, \dot h^T, \qquad
          G_S = A \odot (G_A - \mathrm{rows}(A \odot G_A)),

and those of f, g and h are :math:`G_S\, g + dS\, \dot g`, :math:`G_S^T f + dS^T \dot f` and
:math:`\dot A^T q`.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.fixed import require_images
from minigan.nn.layer import Layer
from minigan.nn.linear import Linear
from minigan.nn.parameter import Parameter
from minigan.nn.pooling import MaxPool


class SelfAttention(Layer, samplewise=True):
    """Add to each pixel what it sees elsewhere in the image; see the top of this file.

    Shapes: x and y (N, H, W, channels). `query`, `key`, `value` and `out` are Linear layers without
    bias, which may be wrapped in `spectral_norm`; γ is the parameter `gamma`.

    Parameters
    ----------
    channels
        C, a multiple of 8.
    pool
        Side of the window of the pool; 1 for none.
    rng
        Draws the weights.
    """

    def __init__(
        self, channels: int, *, pool: int = 2, rng: numpy.random.Generator | None = None
    ) -> None:
        if channels < 8 or channels % 8:
            raise ValueError(f"SelfAttention needs a multiple of 8 channels, got {channels}.")
        rng = initial.generator(rng)
        self.channels = channels
        self.pool = MaxPool(pool)
        few, half = channels // 8, channels // 2
        self.query: Layer = Linear(channels, few, bias=False, rng=rng)
        self.key: Layer = Linear(channels, few, bias=False, rng=rng)
        self.value: Layer = Linear(channels, half, bias=False, rng=rng)
        self.out: Layer = Linear(half, channels, bias=False, rng=rng)
        self.gamma = Parameter(numpy.zeros(1, "float32"))

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, C) to y of the same shape."""
        x = self.check(x)
        each = backend.of(x).matmul_each
        rows = x.reshape(-1, self.channels)
        f, of_f = self.query.forward(rows, train=train)
        g, of_g = self._pooled(self.key, rows, x.shape, train)
        h, of_h = self._pooled(self.value, rows, x.shape, train)
        f = f.reshape(x.shape[0], -1, f.shape[1])
        a = _softmax(each(f, g.transpose(0, 2, 1)))
        seen, of_o = self.out.forward(each(a, h).reshape(-1, h.shape[2]), train=train)
        y = x + self.gamma.value * seen.reshape(x.shape)
        return y, Cache(self, y, (f, g, h, a, seen), (of_f, of_g, of_h, of_o))

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx, both (N, H, W, C)."""
        (f, g, h, a, seen), caches = cache.recall(self, dy)
        each, d = backend.of(dy).matmul_each, dy.reshape(-1, self.channels)
        if param_grads:
            self.gamma.grad += (d * seen).sum()
        q = self._q(dy, a, caches[3], param_grads)
        ds = a * _less_rows(each(q, h.transpose(0, 2, 1)), a)
        down = (each(ds, g), each(ds.transpose(0, 2, 1), f), each(a.transpose(0, 2, 1), q))
        dx = self._down(down, caches, dy.shape, param_grads)
        return dy + dx if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to the second derivative and the tangent, both (N, H, W, C)."""
        (f, g, h, a, _), caches = cache.recall(self, dy, v)
        each = backend.of(dy).matmul_each
        q = self._q(dy, a, caches[3], False)
        b = each(q, h.transpose(0, 2, 1))
        ds = a * _less_rows(b, a)
        signals = (each(ds, g), each(ds.transpose(0, 2, 1), f), each(a.transpose(0, 2, 1), q))
        df, dg, dh = self._up(v, signals, caches, param_grads)
        dot_s = each(df, g.transpose(0, 2, 1)) + each(f, dg.transpose(0, 2, 1))
        spread = _less_rows(dot_s, a)  # Ṡ - ρ
        dot_o = each(a * spread, h) + each(a, dh)
        _, moved = self.out.double_backward(
            dot_o.reshape(-1, h.shape[2]), self._scaled(dy), caches[3], param_grads=param_grads
        )
        if param_grads:
            self.gamma.grad += (dy.reshape(-1, self.channels) * moved).sum()
        ga = b * spread - _rows(a * b) * dot_s + each(q, dh.transpose(0, 2, 1))
        gs = a * _less_rows(ga, a)
        down = (
            each(gs, g) + each(ds, dg),
            each(gs.transpose(0, 2, 1), f) + each(ds.transpose(0, 2, 1), df),
            each((a * spread).transpose(0, 2, 1), q),
        )
        dx = self._down(down, caches, dy.shape, param_grads)
        return (dx if input_grad else None), v + self.gamma.value * moved.reshape(v.shape)

    # ---------------------------------------------------------------- the matrices and the pool

    def _scaled(self, dy: Array) -> Array:
        """γ dy, a row for each pixel."""
        return (self.gamma.value * dy).reshape(-1, self.channels)

    def _q(self, dy: Array, a: Array, cache: Cache, param_grads: bool) -> Array:
        """γ dy Wₒᵀ, (N, P, C / 2)."""
        q: Any = self.out.backward(self._scaled(dy), cache, param_grads=param_grads)
        return q.reshape(a.shape[0], a.shape[1], -1)

    def _pooled(self, layer: Layer, rows: Array, shape: Shape, train: bool) -> Any:
        """Through a matrix and the pool: (N, P / 4, channels)."""
        product, below = layer.forward(rows, train=train)
        y, above = self.pool.forward(product.reshape(*shape[:3], -1), train=train)
        return y.reshape(shape[0], -1, y.shape[3]), (below, above)

    def _down(self, d: tuple[Array, ...], caches: Any, shape: Shape, param_grads: bool) -> Array:
        """Bring the cotangents of f, g and h down to x."""
        of_f, of_g, of_h, _ = caches
        rows = d[0].reshape(-1, d[0].shape[2])
        dx: Any = self.query.backward(rows, of_f, param_grads=param_grads)
        for layer, (below, above), part in ((self.key, of_g, d[1]), (self.value, of_h, d[2])):
            dx = dx + layer.backward(self._unpooled(part, above), below, param_grads=param_grads)
        return dx.reshape(shape)

    def _up(self, v: Array, signals: tuple[Array, ...], caches: Any, param_grads: bool) -> Any:
        """Push v up to f, g and h, given the cotangents that came down there."""
        of_f, of_g, of_h, _ = caches
        rows, n = v.reshape(-1, self.channels), v.shape[0]
        _, t = self.query.double_backward(
            rows, signals[0].reshape(-1, signals[0].shape[2]), of_f, param_grads=param_grads
        )
        up = [t.reshape(n, -1, t.shape[1])]
        pooled = ((self.key, of_g, signals[1]), (self.value, of_h, signals[2]))
        for layer, (below, above), signal in pooled:
            _, t = layer.double_backward(
                rows, self._unpooled(signal, above), below, param_grads=param_grads
            )
            image = t.reshape(*v.shape[:3], -1)
            _, t = self.pool.double_backward(image, signal.reshape(above.y_shape), above)
            up.append(t.reshape(n, -1, t.shape[3]))
        return up

    def _unpooled(self, d: Array, cache: Cache) -> Array:
        """Back through the pool, to a row for each pixel."""
        back: Any = self.pool.backward(d.reshape(cache.y_shape), cache)
        return back.reshape(-1, back.shape[3])

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, channels) stays as it is."""
        require_images(self, shape)
        if shape[3] != self.channels:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, "
                f"{self.channels})."
            )
        self.pool.output_shape(shape)
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Those of four matrices, and of the two products with P / 4 pixels for each pixel."""
        n, height, width, c = shape
        p, looked_at = height * width, numpy.prod(self.pool.output_shape(shape)[1:3])
        return int(n * p * (c * c // 8 * 2 + c * c // 2 * 2 + looked_at * (c // 8 + c // 2)))

    def __repr__(self) -> str:
        return f"SelfAttention({self.channels})"


def _softmax(s: Array) -> Array:
    e = backend.of(s).xp.exp(s - s.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _rows(x: Array) -> Array:
    return x.sum(axis=-1, keepdims=True)


def _less_rows(b: Array, a: Array) -> Array:
    """``B - rows(A ⊙ B)``: times A, the softmax's own backward map."""
    return b - _rows(a * b)

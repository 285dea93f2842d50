r"""How loud each frequency of a sound is, and when: what an ear, and a critic of sounds, go by.

A stretch of w samples under a Hann window h is multiplied by waves of F = w / 2 frequencies; the
squares of its cosine part a and its sine part b are its power q, whose logarithm is the grey:

.. math:: [a, b] = U(x)\,M, \qquad q = a^2 + b^2 + \epsilon^2, \qquad
          y = 1 - \frac{\log q}{\log \epsilon},

with :math:`M_{tk} = \tfrac{2}{\sum h} h_t [\cos, \sin](2\pi k t / w)` for k = 1 ... F, and U(x) the
stretches, as in a convolution. So y is 1 for a full sine and -1 for silence: ε is the amplitude
below which nothing is told apart.
"""

from __future__ import annotations

import math
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.nn.cache import Cache, Shape
from minigan.nn.geometry import geometry
from minigan.nn.layer import Layer


class LogSpectrogram(Layer, samplewise=True):
    r"""The log spectrogram of a sound, as an image: (N, L, 1) -> (N, F, L / hop, 1).

    A row for each of F = window / 2 frequencies, the lowest at the bottom, and a column for each
    stretch; the constant part isn't shown. Nothing is learnt.

    Backward, with :math:`c = -2 / \log\epsilon`: ``dq = c dy / (2 q)``, and
    ``dx = Uᵀ([2 a dq, 2 b dq] Mᵀ)``.

    Double backward: the tangents of a and b are ``[ȧ, ḃ] = U(v) M``; with ``m = (a ȧ + b ḃ) / q``
    that of y is ``c m``. Of ⟨v, dx⟩ = Σ c dy m, the derivatives are
    ``∂a = c dy (ȧ - 2 a m) / q`` and ``∂b = c dy (ḃ - 2 b m) / q``, and ``∂x = Uᵀ([∂a, ∂b] Mᵀ)``.

    Parameters
    ----------
    window
        Samples of a stretch, an even number.
    hop
        Samples from one stretch to the next, at most half a window; L must be a multiple of it.
    floor
        ε, between 0 and 1; 0.001 is -60 dB.
    """

    def __init__(self, *, window: int = 128, hop: int = 64, floor: float = 1e-3) -> None:
        if not is_whole(window) or window < 2 or window % 2:
            raise ValueError(f"The window must be an even number of samples, got {window!r}.")
        if not is_whole(hop) or not 1 <= hop <= window // 2:
            raise ValueError(f"The hop must be 1 to {window // 2} samples, got {hop!r}.")
        if not 0 < floor < 1:
            raise ValueError(f"The floor must lie between 0 and 1, got {floor!r}.")
        self.window, self.hop, self.floor = window, hop, floor
        sides = (0, 0), (window // 2, window // 2 - hop)
        self.geometry = geometry((1, window), (1, hop), sides, (1, 1), 1, "zeros", (1, window))

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, L, 1) to y (N, F, L / hop, 1)."""
        x = self.check(x)
        a, b = self._waves(x)
        q = a * a + b * b + self.floor**2
        y = _as_image(1 - backend.of(x).xp.log(q) / math.log(self.floor))
        return y, Cache(self, y, a, b, q)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, F, L / hop, 1) to dx (N, L, 1)."""
        a, b, q = cache.recall(self, dy)
        if not input_grad:
            return None
        slope = self._slope(dy, q)
        return self._sound(a * slope, b * slope)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v (N, L, 1) to ∂x, of the same shape, and the tangent (N, F, L / hop, 1)."""
        a, b, q = cache.recall(self, dy, v)
        da, db = self._waves(v)
        m = (a * da + b * db) / q
        tangent = _as_image(-2 / math.log(self.floor) * m)
        if not input_grad:
            return None, tangent
        slope = self._slope(dy, q)
        return self._sound(slope * (da - 2 * a * m), slope * (db - 2 * b * m)), tangent

    def _waves(self, x: Array) -> tuple[Array, Array]:
        """Return the cosine and the sine parts of each stretch, (N, L / hop, F) each."""
        parts = self.geometry.conv(backend.of(x), x[:, None], self._matrix(x))[0][:, 0]
        return parts[..., : self.window // 2], parts[..., self.window // 2 :]

    def _sound(self, a: Array, b: Array) -> Array:
        """Map cotangents of both parts to those of the sound: the adjoint of `_waves`."""
        ops: Any = backend.of(a)
        parts = ops.xp.concatenate([a, b], axis=2)[:, None]
        shape = (len(a), 1, a.shape[1] * self.hop, 1)
        return self.geometry.input_grad(ops, parts, self._matrix(a), shape)[:, 0]

    def _slope(self, dy: Array, q: Array) -> Array:
        """Return ``c dy / q``, by which a and b are multiplied, (N, L / hop, F)."""
        return -2 / math.log(self.floor) * dy[:, ::-1, :, 0].transpose(0, 2, 1) / q

    def _matrix(self, like: Array) -> Array:
        """Return M, as a kernel (1, window, 1, 2 F)."""
        xp: Any = backend.of(like).xp
        t, once = xp.arange(self.window), 2 * math.pi / self.window
        k = t[1 : self.window // 2 + 1]
        angle = once * (t[:, None] * k % self.window).astype(like.dtype)
        hann = 0.5 - 0.5 * xp.cos(once * t.astype(like.dtype))
        waves = xp.concatenate([xp.cos(angle), xp.sin(angle)], axis=1)
        return (2 / hann.sum() * hann[:, None] * waves)[None, :, None]

    def output_shape(self, shape: Shape) -> Shape:
        """(N, L, 1) -> (N, F, L / hop, 1)."""
        if len(shape) != 3 or shape[2] != 1 or shape[1] < 1 or shape[1] % self.hop:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, length, 1) with a length "
                f"that is a multiple of {self.hop}; cut or pad the sounds."
            )
        return shape[0], self.window // 2, shape[1] // self.hop, 1

    def multiply_adds(self, shape: Shape) -> int:
        """Each of 2 F entries of a stretch costs a window."""
        n, frequencies, columns, _ = self.output_shape(shape)
        return n * columns * 2 * frequencies * self.window

    def __repr__(self) -> str:
        return f"LogSpectrogram(window={self.window}, hop={self.hop}, floor={self.floor:g})"


def _as_image(values: Array) -> Array:
    """Lay (N, T, F) out as (N, F, T, 1), the lowest frequency at the bottom."""
    return values.transpose(0, 2, 1)[:, ::-1, :, None]

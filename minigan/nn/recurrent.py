r"""A gated recurrent unit (Cho et al. 2014, in PyTorch's form): one step for each element.

With :math:`[a^r, a^z, a^n] = x_t W + b` and :math:`[s^r, s^z, s^n] = h_{t-1} U + c`,

.. math:: r = \sigma(a^r + s^r), \quad z = \sigma(a^z + s^z), \quad n = \tanh(a^n + r\, s^n), \quad
          h_t = h_{t-1} + (1 - z)(n - h_{t-1}),

from :math:`h_0 = 0`. The gate z says how much of the state stays, r how much of it n sees. After
the end of a sequence z is 1: the state stays, and in all that follows, no gradient arises.

Backward through time. Let dh be the cotangent of :math:`h_t`: that of the output, and what comes
back from step t + 1. From the last step to the first,

.. math:: da^n = dh\,(1 - z)(1 - n^2), \quad da^z = dh\,(h_{t-1} - n)\, z (1 - z), \quad
          da^r = da^n s^n\, r (1 - r),

.. math:: ds = [da^r, da^z, r\, da^n], \qquad dh_{t-1} = dh\, z + ds\, U^T .

The weights are those of every step: :math:`dW = \sum_t x_t^T da_t`,
:math:`dU = \sum_t h_{t-1}^T ds_t`, and db and dc are the sums of da and ds. And
:math:`dx_t = da_t W^T`.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.conditional import Pair
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class GRU(Layer, samplewise=True):
    """A gated recurrent unit over sequences; see the top of this file.

    Shapes: x (N, L, in), W (in, 3 hidden), U (hidden, 3 hidden), b and c (3 hidden,), with the
    columns of r, z and n side by side; y (N, L, hidden), all states, or (N, hidden), the last one.

    The input may be a pair ``(x, lengths)`` with the length of each sequence, integers (N,) from 0
    to L. After its end a sequence keeps its state, so that the last one is that at the end, and y
    is 0 there: what x holds beyond the end makes no difference.

    Parameters
    ----------
    in_features, hidden
        Sizes of an element of x and of the state.
    last
        Whether y is the last state alone.
    rng
        Draws all weights from U(-1/√hidden, 1/√hidden).
    """

    def __init__(
        self, in_features: int, hidden: int, *, last: bool = False,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.in_features, self.hidden, self.last = in_features, hidden, last
        rng = initial.generator(rng)

        def weight(fan_in: int) -> Parameter:
            drawn = initial.fan_in_uniform((fan_in, 3 * hidden), hidden, rng)
            return Parameter(drawn, role="weight", fan_in=fan_in, output_axis=1)

        self.weight, self.state_weight = weight(in_features), weight(hidden)
        self.bias, self.state_bias = (initial.bias(3 * hidden, hidden, rng) for _ in range(2))

    def step(self, a: Array, h: Array, there: Any = 1) -> tuple[Array, tuple[Array, ...]]:
        """Map x_t W + b (N, 3 hidden) and the state before (N, hidden) to that after, and gates."""
        ops, H = backend.of(a), self.hidden
        s = ops.matmul(h, self.state_weight.value) + self.state_bias.value
        gates = ops.sigmoid(a[:, : 2 * H] + s[:, : 2 * H])
        r, z, s_n = gates[:, :H], 1 - there * (1 - gates[:, H:]), s[:, 2 * H :]
        n = ops.xp.tanh(a[:, 2 * H :] + r * s_n)
        return h + (1 - z) * (n - h), (h, r, z, n, s_n)

    def forward(self, x: Array | Pair, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x, or (x, lengths), to the states."""
        x, there = self._unpacked(x)
        xp, (N, L, _) = backend.of(x).xp, x.shape
        a, h = self.projected(x), xp.zeros((N, self.hidden), x.dtype)
        states, kept = xp.empty((N, L, self.hidden), x.dtype), []
        for t in range(L):
            h, gates = self.step(a[:, t], h, there[:, t])
            states[:, t] = h
            kept.append(gates)
        y = h if self.last else states * there
        return y, Cache(self, y, x, kept, there)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx (N, L, in), from the last step to the first."""
        x, kept, there = cache.recall(self, dy)
        ops = backend.of(dy)
        before, da, ds = (
            ops.xp.empty((*x.shape[:2], size), dy.dtype)
            for size in (self.hidden, 3 * self.hidden, 3 * self.hidden)
        )
        dh: Any = dy if self.last else 0
        for t in reversed(range(len(kept))):
            if not self.last:
                dh = dh + dy[:, t] * there[:, t]
            before[:, t] = kept[t][0]
            da[:, t], ds[:, t], dh = self._step_back(dh, *kept[t])
        if param_grads:
            self._add_grads(x, before, da, ds)
        return _rows(ops.matmul, da, self.weight.value.T) if input_grad else None

    def _step_back(
        self, dh: Array, h: Array, r: Array, z: Array, n: Array, s_n: Array
    ) -> tuple[Array, Array, Array]:
        """Map the cotangent after a step to those of a, of s and of the state before."""
        ops = backend.of(dh)
        d_n = dh * (1 - z) * (1 - n * n)
        d_z = dh * (h - n) * z * (1 - z)
        d_r = d_n * s_n * r * (1 - r)
        ds = ops.xp.concatenate([d_r, d_z, d_n * r], axis=1)
        da = ops.xp.concatenate([d_r, d_z, d_n], axis=1)
        return da, ds, dh * z + ops.matmul(ds, self.state_weight.value.T)

    def _add_grads(self, x: Array, before: Array, da: Array, ds: Array) -> None:
        """Add the sums over all steps."""
        ops = backend.of(da)
        for rows, d, weight, bias in (
            (x, da, self.weight, self.bias), (before, ds, self.state_weight, self.state_bias)
        ):  # fmt: skip
            weight.grad += ops.matmul(rows.reshape(-1, rows.shape[2]).T, d.reshape(-1, d.shape[2]))
            bias.grad += ops.sum_rows(d)

    def projected(self, x: Array) -> Array:
        """Map x (..., L, in) to x W + b for all steps at once."""
        return _rows(backend.of(x).matmul, x, self.weight.value) + self.bias.value

    def _unpacked(self, x: Array | Pair) -> tuple[Array, Array]:
        """Return x, and (N, L, 1): 1 before the end of each sequence, 0 after it."""
        values, lengths = x if isinstance(x, tuple) else (x, None)
        values = self.check(values)
        xp = backend.of(values).xp
        steps = xp.arange(values.shape[1])[None, :, None]
        if lengths is None:
            return values, (steps >= 0).astype(values.dtype)
        self._require_lengths(values, lengths)
        there = steps < lengths[:, None, None]
        # A NaN beyond the end would stay one, though it is multiplied by 0.
        return xp.where(there, values, values.dtype.type(0)), there.astype(values.dtype)

    def _require_lengths(self, values: Array, lengths: Any) -> None:
        kind, shape = (getattr(lengths, name, None) for name in ("dtype", "shape"))
        if getattr(kind, "kind", "") not in ("i", "u") or shape != values.shape[:1]:
            raise ValueError(
                f"{self!r} got lengths of {kind or type(lengths).__name__} and shape {shape}, but "
                f"needs {len(values)} integers, one for each sequence, in an array."
            )
        # Only on the host: reading the numbers of a GPU would stall its queue.
        on_host = backend.device_of(lengths) == "cpu" and lengths.size
        if on_host and (lengths.min() < 0 or lengths.max() > values.shape[1]):
            raise ValueError(
                f"{self!r} got lengths from {lengths.min()} to {lengths.max()}, but needs 0 to "
                f"{values.shape[1]}, the number of steps."
            )

    def double_backward(
        self, v: Array, dy: Any, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> tuple[Array | None, Array]:
        """Refuse: a tangent would have to be pushed through every step, and back again."""
        raise ValueError(
            f"{self!r} has no second derivative; in a critic with a gradient penalty use Conv1d "
            "over the sequence instead, or clip-weights in place of the penalty."
        )

    def output_shape(self, shape: Shape) -> Shape:
        """(N, L, in) -> (N, L, hidden), or (N, hidden)."""
        if len(shape) != 3 or shape[1] < 1 or shape[2] != self.in_features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, length, "
                f"{self.in_features}), of at least one step."
            )
        return (shape[0], self.hidden) if self.last else (*shape[:2], self.hidden)

    def multiply_adds(self, shape: Shape) -> int:
        """Every step costs (in + hidden) 3 hidden."""
        return shape[0] * shape[1] * (self.in_features + self.hidden) * 3 * self.hidden

    def __repr__(self) -> str:
        return f"GRU({self.in_features}, {self.hidden}{', last=True' * self.last})"


def _rows(matmul: Any, x: Array, weight: Array) -> Array:
    """Multiply every row of x (N, L, in) by a weight (in, out)."""
    return matmul(x.reshape(-1, x.shape[-1]), weight).reshape(*x.shape[:-1], weight.shape[-1])

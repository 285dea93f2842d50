r"""Minibatch standard deviation: a discriminator that sees how much its samples differ.

The samples of a collapsed generator may each be plausible; only together do they give it away. So
an extra feature tells D how widely the samples of a group are spread. For each number x_i of a
sample, over the n samples of its group, with mean μ and (biased) variance σ²,

.. math:: r = \sqrt{\sigma^2 + \varepsilon}, \qquad
          s = \text{mean of } r \text{ over the } F \text{ numbers of a sample}, \qquad y = [x, s].

Backward. From `minigan.nn.layernorm`, :math:`\partial r/\partial x_i = \hat x_i / n` with
:math:`\hat x = (x - \mu) / r`. With ds the sum of the cotangents of all copies of s,
:math:`dx_i = dy_i + \frac{ds}{nF} \hat x_i`.

Double backward.
:math:`\langle v, dx\rangle = \langle v, dy\rangle + \frac{ds}{nF} \langle v, \hat x\rangle`. So the
tangent of s is :math:`\frac1{nF}\langle v, \hat x\rangle`, and the derivative with respect to x is
that of x̂: :math:`\frac{ds}{nF}\,\mathcal P v / r` with
:math:`\mathcal P v = v - \bar v - \hat x\,\overline{v \hat x}`, means over the group.
"""

from __future__ import annotations

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class MinibatchStdDev(Layer):
    """Append a feature: the mean standard deviation of a group of samples.

    (Karras et al. 2018, section 3.) Shapes: x (N, F) gives y (N, F + 1); x (N, H, W, C) gives y
    (N, H, W, C + 1), the same number at every pixel. As in the authors' code, N samples form N / n
    groups, and a group takes every (N / n)-th sample.

    The layer couples the samples of a group, as intended. A gradient penalty on a critic with this
    layer therefore constrains, at each sample, the slope of the *sum* of the group's logits, as in
    the authors' own WGAN-GP and R1.

    Parameters
    ----------
    group_size
        n, or the whole batch if that is smaller; it must divide N.
    eps
        ε, keeps r away from 0, where the square root has no derivative.
    """

    def __init__(self, group_size: int = 4, *, eps: float = 1e-8) -> None:
        if group_size < 1:
            raise ValueError(f"The group_size of MinibatchStdDev must be >= 1, got {group_size}.")
        self.group_size, self.eps = group_size, eps

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ..., C) to y (N, ..., C + 1)."""
        x = self.check(x)
        xp = backend.of(x).xp
        groups = self._groups(x)
        centred = groups - groups.mean(axis=0)
        r = xp.sqrt((centred * centred).mean(axis=0) + self.eps)
        y = self._append(x, r.mean(axis=1))
        return y, Cache(self, y, centred / r, r)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, ..., C + 1) to dx (N, ..., C)."""
        x_hat, _ = cache.recall(self, dy)
        if not input_grad:
            return None
        dx = self._spread(dy, x_hat) * x_hat
        return dy[..., :-1] + dx.reshape(*dy.shape[:-1], dy.shape[-1] - 1)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v (N, ..., C) to the second derivative and the tangent (N, ..., C + 1)."""
        x_hat, r = cache.recall(self, dy, v)
        vs = self._groups(v)
        tangent = self._append(v, (vs * x_hat).mean(axis=(0, 2)))
        if not input_grad:
            return None, tangent
        p_v = vs - vs.mean(axis=0) - x_hat * (vs * x_hat).mean(axis=0)
        return (self._spread(dy, x_hat) * p_v / r).reshape(v.shape), tangent

    def _groups(self, x: Array) -> Array:
        """(N, ..., C) -> (n, N / n, F)."""
        n = min(self.group_size, x.shape[0])
        return x.reshape(n, x.shape[0] // n, -1)

    def _append(self, x: Array, s: Array) -> Array:
        """Give every sample (and pixel) the number of its group, s (N / n,), as a last feature."""
        xp = backend.of(x).xp
        samples = xp.tile(s, x.shape[0] // s.shape[0]).reshape(-1, *[1] * (x.ndim - 1))
        return xp.concatenate([x, xp.broadcast_to(samples, (*x.shape[:-1], 1))], axis=-1)

    def _spread(self, dy: Array, x_hat: Array) -> Array:
        """Return ``ds / (n F)`` of each group, (N / n, 1), summed over all copies of s."""
        n, groups, features = x_hat.shape
        ds = dy[..., -1].reshape(n, groups, -1).sum(axis=(0, 2))
        return ds[:, None] / (n * features)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ..., C) -> (N, ..., C + 1)."""
        if len(shape) not in (2, 4):
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, features) or (N, height, "
                "width, channels)."
            )
        if shape[0] < 1:
            raise ValueError(f"{self!r} got a batch of 0, but needs at least one sample.")
        if shape[0] % min(self.group_size, shape[0]):
            raise ValueError(
                f"{self!r} got a batch of {shape[0]}, which doesn't divide into groups of "
                f"{self.group_size}; choose a batch size that is a multiple of the group size."
            )
        return (*shape[:-1], shape[-1] + 1)

    def __repr__(self) -> str:
        return f"MinibatchStdDev({self.group_size})"

r"""Virtual batch normalisation: each sample by the statistics of a fixed batch and of itself.

(Salimans et al. 2016, section 3.4.) A batch of n reference samples is chosen once and goes through
the net with every batch. With a bar for means over the pixels of a sample, or of all reference
samples (index r), and c = 1 / (n + 1), sample i has

.. math:: \mu_i = c\, \bar x_i + (1 - c)\, \bar x_r, \qquad
          \sigma_i^2 = c\, \overline{(x_i - \mu_i)^2} + (1 - c)\, \overline{(x_r - \mu_i)^2}, \qquad
          \hat x = (x - \mu_i) / s_i, \quad s_i = \sqrt{\sigma_i^2 + \varepsilon} .

So what a sample becomes doesn't depend on its batch. The reference samples themselves are
standardised with c = 0. For each mean of squares, the variance around the own mean and the square
of the distance from there to :math:`\mu_i` are added: unlike a difference of two means of squares,
that loses no digits where x is far from 0.

Backward, with q = γ dy and sums over the P pixels of a sample. The derivative of
:math:`\sigma_i^2` by :math:`\mu_i` is 0, since that is the mean of all that is squared. So

.. math:: d\sigma_i^2 = -\frac{1}{2 s_i^2} \sum q\, \hat x, \qquad
          d\mu_i = -\frac1{s_i} \sum q, \qquad
          dx_i = \frac q{s_i} + \frac cP \big(d\mu_i + 2 (x_i - \mu_i)\, d\sigma_i^2\big),

and each reference sample gets
:math:`\frac{1}{n P} \sum_i (1 - c) \big(d\mu_i + 2 (x_r - \mu_i)\, d\sigma_i^2\big)` in addition.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, require_floating
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class VirtualBatchNorm(Layer):
    """Normalise by the first samples of the batch, the reference; see the top of this file.

    Put the net that it is part of into `WithReference`, which sends those along.

    Shapes: x and y (n + N, features) or (n + N, H, W, features); γ, β (features,).

    Parameters
    ----------
    features
        Size of the last axis.
    reference
        n, at least 2.
    eps
        ε, keeps s away from 0.
    """

    def __init__(self, features: int, *, reference: int, eps: float = 1e-5) -> None:
        if reference < 2:
            raise ValueError(f"VirtualBatchNorm needs a reference of 2 or more, got {reference}.")
        self.features, self.reference, self.eps = features, reference, eps
        self.gamma = Parameter(numpy.ones(features, "float32"), role="scale")
        self.beta = Parameter(numpy.zeros(features, "float32"), role="shift")

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        pixels = x.reshape(x.shape[0], -1, self.features)
        n, c = self.reference, self._shares(x)
        own = pixels.mean(axis=1)
        variance = backend.of(x).xp.square(pixels - own[:, None]).mean(axis=1)
        mu_r = own[:n].mean(axis=0)
        variance_r = (variance[:n] + (own[:n] - mu_r) ** 2).mean(axis=0)
        mu = c * own + (1 - c) * mu_r
        around = variance + (own - mu) ** 2, variance_r + (mu_r - mu) ** 2
        variance = c * around[0] + (1 - c) * around[1]
        inverse_s = 1 / backend.of(x).xp.sqrt(variance + self.eps)
        x_hat = (pixels - mu[:, None]) * inverse_s[:, None]
        y = (self.gamma.value * x_hat + self.beta.value).reshape(x.shape)
        return y, Cache(self, y, pixels, x_hat, inverse_s, mu, mu_r)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        pixels, x_hat, inverse_s, mu, mu_r = cache.recall(self, dy)
        ops, d, n = backend.of(dy), dy.reshape(pixels.shape), self.reference
        if param_grads:
            self.gamma.grad += ops.sum_products(d, x_hat)
            self.beta.grad += ops.sum_rows(d)
        if not input_grad:
            return None
        q, c, p = self.gamma.value * d, self._shares(dy), pixels.shape[1]
        d_variance = -0.5 * inverse_s * inverse_s * (q * x_hat).sum(axis=1)
        d_mu = -inverse_s * q.sum(axis=1)
        dx = q * inverse_s[:, None]
        dx += (c / p)[:, None] * (d_mu[:, None] + 2 * (pixels - mu[:, None]) * d_variance[:, None])
        # Over all samples: (x - μ_i) is (x - μ_r) - (μ_i - μ_r), of which only the first part
        # differs from one reference sample to another.
        shift, square = (1 - c) * (d_mu - 2 * (mu - mu_r) * d_variance), (1 - c) * d_variance
        dx[:n] += (shift.sum(axis=0) + 2 * (pixels[:n] - mu_r) * square.sum(axis=0)) / (n * p)
        return dx.reshape(dy.shape)

    def _shares(self, x: Array) -> Array:
        """c, (n + N, 1): how much a sample counts in its own statistics."""
        xp = backend.of(x).xp
        outside = xp.arange(x.shape[0])[:, None] >= self.reference
        return outside.astype(x.dtype) / (self.reference + 1)

    def output_shape(self, shape: Shape) -> Shape:
        """Any (n + N, features) or (n + N, H, W, features) stays as it is."""
        if len(shape) not in (2, 4) or shape[-1] != self.features or shape[0] < self.reference:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs at least {self.reference} "
                f"samples (reference first), {self.features} features last; put the net into "
                "WithReference."
            )
        return shape

    def __repr__(self) -> str:
        return f"VirtualBatchNorm({self.features}, reference={self.reference})"


class WithReference(Layer):
    """A net that a fixed reference batch goes through first: ``y = net([r, x])[n:]``.

    Backward: the outputs of the reference samples get a cotangent of 0; x gets what comes back
    behind them, and weights get what comes back through both.

    Parameters
    ----------
    net
        Holds layers such as `VirtualBatchNorm`.
    reference
        r, floats (n, ...); its copy is a buffer, so that it is saved with the net.

    Raises
    ------
    TypeError
        If the reference isn't an array of floating-point numbers.
    """

    buffer_names = ("samples",)

    def __init__(self, net: Layer, reference: Array) -> None:
        self.net = net
        require_floating(self, reference, "reference")
        self.samples: Array = reference.copy()  # `load_state_dict` writes to it

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ...) to y."""
        x = self.check(x)
        both = backend.of(x).xp.concatenate([self.samples.astype(x.dtype), x])
        y, inner = self.net.forward(both, train=train)
        return y[len(self.samples) :], Cache(self, y[len(self.samples) :], inner)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx (N, ...)."""
        (inner,) = cache.recall(self, dy)
        xp, n = backend.of(dy).xp, len(self.samples)
        zeros = xp.zeros((n, *dy.shape[1:]), dy.dtype)
        dx: Any = self.net.backward(
            xp.concatenate([zeros, dy]), inner, param_grads=param_grads, input_grad=input_grad
        )
        return dx[n:] if input_grad else None

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that the net gives."""
        n = len(self.samples)
        if shape[1:] != self.samples.shape[1:]:
            raise ValueError(
                f"WithReference got an input of shape {shape}, but its reference has samples of "
                f"shape {tuple(self.samples.shape[1:])}; they must be alike."
            )
        total, *rest = self.net.output_shape((n + shape[0], *shape[1:]))
        return total - n, *rest

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the net, for the reference too."""
        n = len(self.samples)
        return self.net.multiply_adds((n + shape[0], *shape[1:]))

    def __repr__(self) -> str:
        return f"WithReference({self.net!r})"

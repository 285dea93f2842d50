r"""Virtual batch normalisation: each sample by the statistics of a fixed batch and of itself.

(Salimans et al. 2016, section 3.4.) A batch of n reference samples is chosen once and goes through
the net with every batch. With a bar for means over the pixels of a sample, c = 1 / (n + 1), and
:math:`\mu_r, E_r` the mean of x and of x² over the reference samples, sample i has

.. math:: \mu_i = c\, \bar x_i + (1 - c)\, \mu_r, \qquad
          \sigma_i^2 = c\, \overline{x_i^2} + (1 - c)\, E_r - \mu_i^2, \qquad
          \hat x = (x - \mu_i) / s_i, \quad s_i = \sqrt{\sigma_i^2 + \varepsilon} .

So what a sample becomes doesn't depend on its batch. The reference samples themselves are
standardised by :math:`\mu_r` and :math:`E_r`.

Backward, with q = γ dy and sums over the P pixels of a sample. The cotangents of σ² and of μ (which
σ² contains) are

.. math:: d\sigma_i^2 = -\frac{1}{2 s_i^2} \sum q\, \hat x, \qquad
          d\mu_i = -\frac1{s_i} \sum q - 2 \mu_i\, d\sigma_i^2,

and those of x, :math:`\mu_r` and :math:`E_r`

.. math:: dx_i = \frac q{s_i} + \frac cP \big(d\mu_i + 2 x\, d\sigma_i^2\big), \qquad
          d\mu_r = (1 - c) \sum_i d\mu_i, \qquad dE_r = (1 - c) \sum_i d\sigma_i^2 .

The reference samples are the case c = 0, and get :math:`(d\mu_r + 2 x\, dE_r) / (n P)` in addition.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
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
        own = pixels.mean(axis=1), (pixels * pixels).mean(axis=1)
        mu_r, e_r = (part[: self.reference].mean(axis=0) for part in own)
        c = self._shares(x)
        mu = c * own[0] + (1 - c) * mu_r
        variance = c * own[1] + (1 - c) * e_r - mu * mu
        inverse_s = 1 / backend.of(x).xp.sqrt(variance + self.eps)
        x_hat = (pixels - mu[:, None]) * inverse_s[:, None]
        y = (self.gamma.value * x_hat + self.beta.value).reshape(x.shape)
        return y, Cache(self, y, pixels, x_hat, inverse_s, mu)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        pixels, x_hat, inverse_s, mu = cache.recall(self, dy)
        ops, d, n = backend.of(dy), dy.reshape(pixels.shape), self.reference
        if param_grads:
            self.gamma.grad += ops.sum_products(d, x_hat)
            self.beta.grad += ops.sum_rows(d)
        if not input_grad:
            return None
        q, c, p = self.gamma.value * d, self._shares(dy), pixels.shape[1]
        d_variance = -0.5 * inverse_s * inverse_s * (q * x_hat).sum(axis=1)
        d_mu = -inverse_s * q.sum(axis=1) - 2 * mu * d_variance
        # What each sample, and the reference as a whole, get through μ and E.
        of_mu, of_e = ((c * part)[:, None] for part in (d_mu, d_variance))
        dx = q * inverse_s[:, None] + (of_mu + 2 * pixels * of_e) / p
        all_mu, all_e = (((1 - c) * part).sum(axis=0) for part in (d_mu, d_variance))
        dx[:n] = dx[:n] + (all_mu + 2 * pixels[:n] * all_e) / (n * p)
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
        r, (n, ...); a buffer, so that it is saved with the net.
    """

    buffer_names = ("samples",)

    def __init__(self, net: Layer, reference: Array) -> None:
        self.net = net
        self.samples: Array = reference

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

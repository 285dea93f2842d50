"""Batch normalisation: each feature by its mean and variance in the batch.

For the derivation see `minigan.nn.layernorm`.
"""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter
from minigan.ranks import ALONE, Ranks, pooled


class BatchNorm(Layer):
    r"""Batch normalisation of each feature by its mean and variance in the batch.

    (Ioffe & Szegedy 2015.) A feature has m values in a batch: one per sample, or one per pixel of
    every sample.

    Shapes: x and y (N, features), (N, L, features) or (N, H, W, features); γ, β (features,). The
    same code serves all, because channels come last.

    .. math:: \mu = \frac1m \sum x, \qquad \sigma^2 = \frac1m \sum (x - \mu)^2, \qquad
              s = \sqrt{\sigma^2 + \varepsilon}, \qquad
              \hat x = (x - \mu) / s, \qquad y = \gamma \hat x + \beta.

    Backward. x reaches L through x̂, through μ and through s, which gives dx three terms:

    .. math:: d\beta = \sum dy, \qquad d\gamma = \sum dy\,\hat x, \qquad
              dx = \frac\gamma s \Big(dy - \frac{d\beta}m - \hat x\,\frac{d\gamma}m\Big).

    Training keeps running averages of μ and σ²: ``running = (1 - momentum) running + momentum
    batch``, the variance with Bessel's correction. Evaluation uses these in place of the batch's
    own. They are constants, so ``dx = γ dy / s`` there.

    If several `minigan.ranks` share a batch, all four sums over it run over all of them.

    Parameters
    ----------
    features
        Size of the last axis.
    eps
        ε, keeps s away from 0.
    momentum
        Weight of the newest batch in the running averages. (It is keyword-only because
        ``BatchNorm2d(n, 0.8)`` in PyTorch, meant as a momentum, has set ε in many published GANs.)

    Attributes
    ----------
    running_mean, running_var
        The running averages, shape (features,).
    track_statistics
        Whether training moves them; see `frozen_statistics`.
    ranks
        The ranks that share a batch.
    """

    buffer_names = ("running_mean", "running_var")
    ranks: Ranks = ALONE

    def __init__(self, features: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.features, self.eps, self.momentum = features, eps, momentum
        self.gamma = Parameter(numpy.ones(features, "float32"), role="scale")
        self.beta = Parameter(numpy.zeros(features, "float32"), role="shift")
        self.running_mean: Array = numpy.zeros(features, "float32")
        self.running_var: Array = numpy.ones(features, "float32")
        self.track_statistics = True

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        mean, inverse_s = self.statistics(x, train=train)
        # x̂ = (x - μ) / s,  y = γ x̂ + β: in one pass over memory
        parts = mean, inverse_s, self.gamma.value, self.beta.value
        x_hat, y = backend.of(x).standardise(x, *parts)
        return y, Cache(self, y, x_hat, inverse_s, train)

    def statistics(self, x: Array, *, train: bool) -> tuple[Array, Array]:
        """Return μ and 1 / s, shape (features,): those of the batch, or the running ones."""
        ops = backend.of(x)
        if not train:
            return self.running_mean, ops.inverse_root(self.running_var, self.eps)
        m = self._count(x)
        mean, variance = pooled(self.ranks, *ops.moments(x))  # μ = Σ x / m,  σ² = Σ (x - μ)² / m
        if self.track_statistics:
            ops.follow(self.running_mean, mean, self.momentum)
            ops.follow(self.running_var, variance, self.momentum, m / (m - 1))
        return mean, ops.inverse_root(variance, self.eps)  # s = √(σ² + ε)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s, train = cache.recall(self, dy)
        ops = backend.of(dy)
        scale = self.gamma.value * inverse_s  # γ / s
        if train or param_grads:
            dbeta, dgamma = ops.sums(dy, x_hat)  # Σ dy,  Σ dy x̂
        if param_grads:
            self.beta.grad += dbeta
            self.gamma.grad += dgamma
        if not input_grad:
            return None
        if not train:  # μ and s are constants
            return scale * dy
        m = dy.size // self.features
        # dx = γ / s (dy - dβ / m - x̂ dγ / m)
        return ops.standardise_grad(dy, x_hat, scale, *self.ranks.mean(dbeta / m, dgamma / m))

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Refuse: a gradient penalty isn't defined with batch normalisation.

        Raises
        ------
        ValueError
            Always: samples of a batch share μ and s, so no sample has a slope of its own to be
            penalised.
        """
        raise ValueError(
            f"{self!r} can't be used in a critic with a gradient penalty: it couples the samples "
            "of a batch, so the slope at a single sample, which the penalty is about, isn't "
            "defined; use LayerNorm or no normalisation."
        )

    def _count(self, x: Array) -> int:
        """Return m, the number of values per feature, on all ranks together."""
        m: int = x.size // self.features * self.ranks.size
        if m < 2:
            raise ValueError(
                f"{self!r} got a training input of shape {tuple(x.shape)}: one value per feature "
                "has no variance; use a batch of at least 2, or evaluation mode."
            )
        return m

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, features), (N, L, features) or (N, H, W, features) stays as it is."""
        if len(shape) not in (2, 3, 4) or shape[-1] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, {self.features}), "
                f"(N, length, {self.features}) or (N, height, width, {self.features}); features "
                "come last."
            )
        return shape

    def __repr__(self) -> str:
        return f"BatchNorm({self.features})"

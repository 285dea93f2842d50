r"""Normalisation whose scale and shift come from a condition: AdaIN and conditional batch norm.

.. math:: y = (1 + a)\, \hat x + b, \qquad (a, b) = \text{an affine map of } w,

where x̂ has been standardised over the pixels of an image (AdaIN: Huang & Belongie 2017, and
StyleGAN, Karras et al. 2019, eq. 1) or over a batch (de Vries et al. 2017; BigGAN). The methods
`combine`, `pull` and `push` are forward, backward and double backward as maps of x and (a, b);
`minigan.nn.styled` has what they share, the affine map of w.

Backward, with q = (1 + a) dy and sums over the pixels of a sample:
:math:`da = \sum dy\,\hat x`, :math:`db = \sum dy`, and :math:`dx = \mathcal P q / s` as derived in
`minigan.nn.layernorm`.

Double backward (AdaIN): the tangent is :math:`(1 + a)\,\mathcal P v_x / s + v_a \hat x + v_b`. Its
product with dy depends on a through the first term, :math:`\sum dy\,\mathcal P v_x / s`; on x
through the first, for which `minigan.nn.layernorm` has the formula, and through the second, whose x̂
has the cotangent :math:`v_a\, dy`; and not on b.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Shape
from minigan.nn.embedding import Embedding
from minigan.nn.linear import Linear
from minigan.nn.styled import Both, Conditioned
from minigan.ranks import ALONE, Ranks, pooled


class AdaIN(Conditioned, samplewise=True):
    """Instance normalisation with a scale and a shift from a style; see the top of this file.

    Shapes: x (N, H, W, features) and w (N, style_features) give y of the shape of x. `backward`
    returns (dx, dw). The Linear from w to (a, b) is called `affine`; its bias starts at 0, so that
    y begins near x̂.

    Parameters
    ----------
    features
        Number of channels.
    style_features
        Length of w.
    eps
        ε, keeps s away from 0.
    rng
        Draws the weights of `affine`.
    """

    def __init__(
        self, features: int, *, style_features: int, eps: float = 1e-5,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.features, self.eps = features, eps
        self.affine = Linear(style_features, 2 * features, rng=rng)
        assert self.affine.bias is not None
        self.affine.bias.value[...] = 0

    def combine(self, x: Array, s: Array, *, train: bool) -> tuple[Array, Any]:
        """Map x and (a, b) to y."""
        a, b = _halves(s)
        x_hat, _, inverse_s = backend.of(x).standardise_samples(_pixels(x), None, None, self.eps)
        y = (1 + a) * x_hat + b
        return y.reshape(x.shape), (x_hat, inverse_s, a)

    def pull(self, dy: Array, kept: Any, *, param_grads: bool) -> Both:
        """Map dy to dx and (da, db)."""
        x_hat, inverse_s, a = kept
        ops, d = backend.of(dy), _pixels(dy)
        dx = ops.standardise_samples_grad((1 + a) * d, x_hat, inverse_s, None)
        ds = ops.xp.concatenate([(d * x_hat).sum(axis=1), d.sum(axis=1)], axis=1)
        return dx.reshape(dy.shape), ds

    def push(self, v: Both, dy: Array, kept: Any, *, param_grads: bool) -> tuple[Both, Array]:
        """Map (v_x, (v_a, v_b)) to the derivatives of F, and the tangent."""
        x_hat, inverse_s, a = kept
        ops, d, u = backend.of(dy), _pixels(dy), _pixels(v[0])
        v_a, v_b = _halves(v[1])
        straight = ops.standardise_samples_grad(u, x_hat, inverse_s, None)  # 𝒫 v / s
        dx = ops.standardise_samples_grad_twice(u, (1 + a) * d, x_hat, inverse_s, None)
        dx = dx + ops.standardise_samples_grad(v_a * d, x_hat, inverse_s, None)
        da = (d * straight).sum(axis=1)
        ds = ops.xp.concatenate([da, ops.xp.zeros_like(da)], axis=1)
        tangent = (1 + a) * straight + v_a * x_hat + v_b
        return (dx.reshape(dy.shape), ds), tangent.reshape(dy.shape)

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, H, W, features) of more than one pixel stays as it is."""
        if len(shape) != 4 or shape[3] != self.features or math.prod(shape[1:3]) < 2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, "
                f"{self.features}) with more than one pixel."
            )
        return shape

    def __repr__(self) -> str:
        return f"AdaIN({self.features})"


class ConditionalBatchNorm(Conditioned):
    """Batch normalisation with a scale and a shift from labels or vectors.

    Shapes: x (N, features) or (N, H, W, features), and labels (N,) or vectors w (N, K), give y of
    the shape of x. `backward` returns dx for labels, (dx, dw) for vectors. The map to (a, b) is
    called `affine`: an Embedding of labels or a Linear of vectors, 0 at first, so that the layer
    begins as a batch norm.

    Running averages, evaluation, sums over several ranks and the refusal of a gradient penalty are
    `minigan.nn.BatchNorm`'s.

    Parameters
    ----------
    features
        Size of the last axis.
    classes
        Number of labels; or
    condition_features
        K, the length of w: BigGAN joins the label's vector with a piece of z.
    eps, momentum
        As in `minigan.nn.BatchNorm`.
    """

    buffer_names = ("running_mean", "running_var")
    ranks: Ranks = ALONE

    def __init__(
        self, features: int, *, classes: int | None = None, condition_features: int | None = None,
        eps: float = 1e-5, momentum: float = 0.1,
    ) -> None:  # fmt: skip
        if (classes is None) == (condition_features is None):
            raise ValueError(
                "ConditionalBatchNorm needs either classes, for labels, or condition_features, for "
                "vectors."
            )
        self.features, self.eps, self.momentum = features, eps, momentum
        rng = initial.generator(None)
        self.affine: Any = (
            Embedding(classes, 2 * features, rng=rng)
            if classes is not None
            else Linear(condition_features or 0, 2 * features, bias=False, rng=rng)
        )
        self.affine.weight.value[...] = 0
        self.running_mean: Array = numpy.zeros(features, "float32")
        self.running_var: Array = numpy.ones(features, "float32")
        self.track_statistics = True

    def combine(self, x: Array, s: Array, *, train: bool) -> tuple[Array, Any]:
        """Map x and (a, b) to y."""
        ops, mean, variance = backend.of(x), self.running_mean, self.running_var
        if train:
            mean, variance = pooled(self.ranks, *ops.moments(x))
            self._follow(mean, variance, x.size // self.features * self.ranks.size)
        inverse_s = ops.inverse_root(variance, self.eps)
        x_hat = (x - mean) * inverse_s
        a, b = (self._for_each_pixel(part, x) for part in _halves(s))
        return (1 + a) * x_hat + b, (x_hat, inverse_s, a, train)

    def pull(self, dy: Array, kept: Any, *, param_grads: bool) -> Both:
        """Map dy to dx and (da, db)."""
        x_hat, inverse_s, a, train = kept
        ops, q = backend.of(dy), (1 + a) * dy
        pixels = tuple(range(1, dy.ndim - 1))
        ds = ops.xp.concatenate([(dy * x_hat).sum(axis=pixels), dy.sum(axis=pixels)], axis=1)
        if not train:  # μ and s are constants
            return inverse_s * q, ds
        m = dy.size // self.features
        means = self.ranks.mean(ops.sum_rows(q) / m, ops.sum_products(q, x_hat) / m)
        return ops.standardise_grad(q, x_hat, inverse_s, *means), ds

    def push(self, v: Both, dy: Array, kept: Any, *, param_grads: bool) -> tuple[Both, Array]:
        """Refuse: a gradient penalty isn't defined with batch normalisation."""
        raise ValueError(
            f"{self!r} can't be used in a critic with a gradient penalty: it couples the samples "
            "of a batch; use AdaIN or no normalisation."
        )

    def _follow(self, mean: Array, variance: Array, m: int) -> None:
        """Move the running averages towards the mean and variance of a batch."""
        if m < 2:
            raise ValueError(
                f"{self!r} got one value per feature in training, which has no variance; use a "
                "batch of at least 2, or evaluation mode."
            )
        if self.track_statistics:
            ops = backend.of(mean)
            ops.follow(self.running_mean, mean, self.momentum)
            ops.follow(self.running_var, variance, self.momentum, m / (m - 1))

    def _for_each_pixel(self, part: Array, x: Array) -> Array:
        return part.reshape(x.shape[0], *[1] * (x.ndim - 2), self.features)

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, features) or (N, H, W, features) stays as it is."""
        if len(shape) not in (2, 4) or shape[-1] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, {self.features}) or "
                f"(N, height, width, {self.features}); features come last."
            )
        return shape

    def __repr__(self) -> str:
        return f"ConditionalBatchNorm({self.features})"


def _halves(s: Array) -> Both:
    """(N, 2 C) -> a and b, (N, 1, C) each."""
    half = s.shape[1] // 2
    return s[:, None, :half], s[:, None, half:]


def _pixels(x: Array) -> Array:
    return x.reshape(x.shape[0], x.shape[1] * x.shape[2], x.shape[3])

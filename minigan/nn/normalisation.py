r"""Batch, layer and instance normalisation: one formula over different axes.

Over a set S of m numbers x that share a mean μ and a variance σ² (without Bessel's correction):

.. math:: \hat x = (x - \mu) / s, \qquad s = \sqrt{\sigma^2 + \varepsilon}, \qquad
          y = \gamma \hat x + \beta.

Backward. With the cotangent :math:`q = \gamma\, dy` of x̂, an entry of x reaches L on three ways:
through its own x̂ (factor 1/s), through μ, and through s. Since
:math:`\partial\mu/\partial x_j = 1/m` and
:math:`\partial s/\partial x_j = \hat x_j / m`,

.. math::
    dx_j = \frac1s \Big(q_j - \frac1m\sum_i q_i - \hat x_j\, \frac1m\sum_i q_i \hat x_i\Big).

The bracket takes from q its mean and its component along x̂: what a change of x can't do, because
normalising undoes it. The scale and the shift get :math:`d\gamma = \sum dy\,\hat x` and
:math:`d\beta = \sum dy` (Ioffe & Szegedy 2015, section 3; Ba et al. 2016; Ulyanov et al. 2016).

Twice backward. Write a bar for means over S and :math:`\mathcal P q` for the bracket, so that
:math:`dx = \mathcal P q / s`. As :math:`\mathcal P` is symmetric, ⟨v, dx⟩ = Σ q 𝒫v / s: the tangent
of y is :math:`\gamma\,\mathcal P v / s`, and, as q = γ dy, γ gets
:math:`d\gamma = \sum dy\,\mathcal P v / s`. The derivative with respect to x goes through x̂ and
s in

.. math:: \frac1m \langle v, dx\rangle = \frac As, \qquad
          A = \overline{qv} - \bar q\,\bar v - \overline{q\hat x}\;\overline{v\hat x}.

A cotangent c of x̂ becomes 𝒫c / s, and :math:`\partial s/\partial x_j = \hat x_j / m` as above. So

.. math:: \frac{\partial}{\partial x} \langle v, dx\rangle = -\frac{1}{s^2} \Big(
          A\,\hat x + \overline{v\hat x}\;\mathcal P q + \overline{q\hat x}\;\mathcal P v \Big)
          = -\frac{1}{s^2} \Big( \big(A - 2\,\overline{v\hat x}\;\overline{q\hat x}\big)\, \hat x
          + \overline{v\hat x}\,(q - \bar q) + \overline{q\hat x}\,(v - \bar v) \Big).

The second form is the first with :math:`\mathcal P` written out: five means are all that it needs.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.layer import Cache, Layer, Shape
from minigan.nn.parameter import Parameter


class BatchNorm(Layer):
    """Batch normalisation: S is one feature (channel) over all samples and pixels.

    Shapes: x and y (N, features) or (N, H, W, features); γ, β (features,). The same code serves
    both, because channels come last.

    Training uses the batch's own μ and σ², and keeps running averages of them:
    ``running = (1 - momentum) running + momentum batch``, the variance with Bessel's correction.
    Evaluation uses the running ones, which are constants: then ``y = a x + c`` with a = γ/s, and
    backward is just ``dx = a dy``.

    Parameters
    ----------
    features
        Size of the last axis.
    eps
        ε, keeps s away from 0.
    momentum
        Weight of the newest batch in the running averages. (It's no second positional argument:
        ``BatchNorm(n, 0.8)``, meant as a momentum, has set ε in many a published GAN.)
    """

    buffer_names = ("running_mean", "running_var")

    def __init__(self, features: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        self.features, self.eps, self.momentum = features, eps, momentum
        self.gamma = Parameter(numpy.ones(features, "float32"))
        self.beta = Parameter(numpy.zeros(features, "float32"))
        self.running_mean: Array = numpy.zeros(features, "float32")
        self.running_var: Array = numpy.ones(features, "float32")
        self.track_statistics = True

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        ops = backend.of(x)
        if train:
            mean, variance = self._batch_statistics(x)
        else:
            mean, variance = self.running_mean, self.running_var
        inverse_s = 1 / ops.xp.sqrt(variance + self.eps)
        x_hat, y = ops.standardise(x, mean, inverse_s, self.gamma.value, self.beta.value)
        return y, Cache(self, y, x_hat, inverse_s, train)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s, train = cache.recall(self, dy)
        ops = backend.of(dy)
        scale = self.gamma.value * inverse_s
        if not (train or param_grads):
            return scale * dy if input_grad else None
        dbeta, dgamma = ops.sum_rows(dy), ops.sum_products(dy, x_hat)
        if param_grads:
            self.beta.grad += dbeta
            self.gamma.grad += dgamma
        if not input_grad:
            return None
        if not train:
            return scale * dy
        m = dy.size // self.features
        return ops.standardise_grad(dy, x_hat, scale, dbeta / m, dgamma / m)

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Refuse.

        Raises
        ------
        ValueError
            Always: samples of a batch share μ and s, so no sample has a slope of its own to be
            penalised.
        """
        raise ValueError(
            f"{self!r} can't stand in a critic with a gradient penalty: it couples the samples of "
            "a batch, so the "
            "slope at one sample, which is what is penalised, isn't defined; use LayerNorm or no "
            "normalisation."
        )

    def _batch_statistics(self, x: Array) -> tuple[Array, Array]:
        m = x.size // self.features
        if m < 2:
            raise ValueError(
                f"{self!r} got a training input of shape {tuple(x.shape)}: one value per feature "
                "has no variance; "
                f"use a batch of at least 2, or evaluation mode."
            )
        mean, variance = backend.of(x).moments(x)
        if self.track_statistics:
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (variance * (m / (m - 1)) - self.running_var)
        return mean, variance

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, features) or (N, H, W, features) stays as it is."""
        if len(shape) not in (2, 4) or shape[-1] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, {self.features}) or "
                f"(N, height, width, {self.features}); features come last."
            )
        return shape

    def __repr__(self) -> str:
        return f"BatchNorm({self.features})"


class frozen_statistics:
    """Leave the running statistics of a net alone while this context lasts.

    The generator's step sends fakes through D in training mode, yet D is not the one that learns
    there.

    Parameters
    ----------
    net
        Any layer or net.
    """

    def __init__(self, net: Layer) -> None:
        self._layers = [
            layer for _, layer in net.layers() if getattr(layer, "track_statistics", False)
        ]

    def __enter__(self) -> None:
        for layer in self._layers:
            layer.track_statistics = False  # type: ignore[attr-defined]

    def __exit__(self, *exception: Any) -> None:
        for layer in self._layers:
            layer.track_statistics = True  # type: ignore[attr-defined]


class LayerNorm(Layer):
    """Layer normalisation: S is one sample (or one pixel of it); train and eval are the same.

    Shapes: x and y (N, ..., *shape); γ and β have `shape`. ``LayerNorm(C)`` normalises over the
    last axis, ``LayerNorm(H, W, C)`` over a whole image.

    Parameters
    ----------
    shape
        The trailing axes that are normalised over.
    eps
        ε, keeps s away from 0.
    """

    alone = True

    def __init__(self, *shape: int, eps: float = 1e-5) -> None:
        if not shape:
            raise ValueError(
                "LayerNorm needs the sizes of the axes that it normalises over, as LayerNorm(64)."
            )
        self.shape, self.eps = shape, eps
        self.gamma = Parameter(numpy.ones(shape, "float32"))
        self.beta = Parameter(numpy.zeros(shape, "float32"))

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        x_hat, inverse_s = _standardise(x, self._axes(x), self.eps)
        y = self.gamma.value * x_hat + self.beta.value
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        if param_grads:
            ops, rows = backend.of(dy), self._rows(dy)
            self.gamma.grad += ops.sum_products(rows, self._rows(x_hat)).reshape(self.shape)
            self.beta.grad += ops.sum_rows(rows).reshape(self.shape)
        if not input_grad:
            return None
        q = self.gamma.value * dy
        return _standardise_grad(q, x_hat, inverse_s, _components(q, x_hat, self._axes(dy)))

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        axes, gamma = self._axes(dy), self.gamma.value
        along_v = _components(v, x_hat, axes)
        tangent = _standardise_grad(v, x_hat, inverse_s, along_v)  # 𝒫 is symmetric
        if param_grads:
            sums = backend.of(dy).sum_products(self._rows(dy), self._rows(tangent))
            self.gamma.grad += sums.reshape(self.shape)
        dx = (
            _standardise_grad_twice(v, gamma * dy, x_hat, inverse_s, along_v, axes)
            if input_grad
            else None
        )
        return dx, gamma * tangent

    def _axes(self, x: Array) -> tuple[int, ...]:
        return tuple(range(x.ndim - len(self.shape), x.ndim))

    def _rows(self, x: Array) -> Array:
        """A row for each set S."""
        return x.reshape(-1, math.prod(self.shape))

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, ..., *shape) stays as it is."""
        if len(shape) <= len(self.shape) or shape[-len(self.shape) :] != self.shape:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs one that ends in {self.shape} "
                "after the batch."
            )
        return shape

    def __repr__(self) -> str:
        return f"LayerNorm({', '.join(map(str, self.shape))})"


class InstanceNorm(Layer):
    """Instance normalisation: S is one channel of one image; train and eval are the same.

    Shapes: x and y (N, H, W, features); γ and β (features,), if `affine`.

    Parameters
    ----------
    features
        Number of channels.
    eps
        ε, keeps s away from 0.
    affine
        Whether γ and β are there.
    """

    alone = True

    def __init__(self, features: int, *, eps: float = 1e-5, affine: bool = False) -> None:
        self.features, self.eps = features, eps
        self.gamma = Parameter(numpy.ones(features, "float32")) if affine else None
        self.beta = Parameter(numpy.zeros(features, "float32")) if affine else None

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        x_hat, inverse_s = _standardise(x, (1, 2), self.eps)
        y = x_hat
        if self.gamma is not None and self.beta is not None:
            y = self.gamma.value * x_hat + self.beta.value
        return y, Cache(self, y, x_hat, inverse_s)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy)
        q = dy
        if self.gamma is not None and self.beta is not None:
            if param_grads:
                self.gamma.grad += backend.of(dy).sum_products(dy, x_hat)
                self.beta.grad += backend.of(dy).sum_rows(dy)
            q = self.gamma.value * dy
        return (
            _standardise_grad(q, x_hat, inverse_s, _components(q, x_hat, (1, 2)))
            if input_grad
            else None
        )

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v to the second derivative and the tangent, both of the same shape."""
        x_hat, inverse_s = cache.recall(self, dy, v)
        along_v = _components(v, x_hat, (1, 2))
        tangent = _standardise_grad(v, x_hat, inverse_s, along_v)  # 𝒫 is symmetric
        scale = 1.0
        if self.gamma is not None:
            scale = self.gamma.value
            if param_grads:
                self.gamma.grad += backend.of(dy).sum_products(dy, tangent)
        dx = (
            _standardise_grad_twice(v, scale * dy, x_hat, inverse_s, along_v, (1, 2))
            if input_grad
            else None
        )
        return dx, scale * tangent

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, H, W, features) of more than one pixel stays as it is."""
        if len(shape) != 4 or shape[3] != self.features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, "
                f"{self.features})."
            )
        if math.prod(shape[1:3]) < 2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: one pixel per channel has no variance; "
                "use larger ones."
            )
        return shape

    def __repr__(self) -> str:
        return f"InstanceNorm({self.features})"


def _standardise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """``x̂ = (x - μ) / s`` over `axes`, and ``1 / s`` with those axes kept as 1."""
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred * centred).mean(axis=axes, keepdims=True)
    inverse_s = 1 / backend.of(x).xp.sqrt(variance + eps)
    return centred * inverse_s, inverse_s


def _components(q: Array, x_hat: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """``mean q`` and ``mean(q x̂)`` over `axes`, kept as 1: what 𝒫 takes from q."""
    return q.mean(axis=axes, keepdims=True), (q * x_hat).mean(axis=axes, keepdims=True)


def _standardise_grad(
    q: Array, x_hat: Array, inverse_s: Array, components: tuple[Array, Array]
) -> Array:
    """``dx = (q - mean q - x̂ mean(q x̂)) / s``, given the `_components` of q."""
    mean_q, mean_qx = components
    return (q - mean_q - x_hat * mean_qx) * inverse_s


def _standardise_grad_twice(
    v: Array,
    q: Array,
    x_hat: Array,
    inverse_s: Array,
    components: tuple[Array, Array],
    axes: tuple[int, ...],
) -> Array:
    """``-((A - 2 mean(v x̂) mean(q x̂)) x̂ + mean(v x̂) (q - mean q) + mean(q x̂) (v - mean v)) / s²``.

    Means are over `axes`; those of v are its `components`.
    """
    (mean_v, mean_vx), (mean_q, mean_qx) = components, _components(q, x_hat, axes)
    a = (q * v).mean(axis=axes, keepdims=True) - mean_q * mean_v - mean_qx * mean_vx
    # The factor and the constant go with the means, which are small, so that few passes go over
    # what is large.
    factor = -inverse_s * inverse_s
    of_x, of_q, of_v = factor * (a - 2 * mean_vx * mean_qx), factor * mean_vx, factor * mean_qx
    return of_x * x_hat + of_q * q + of_v * v - factor * (mean_vx * mean_q + mean_qx * mean_v)

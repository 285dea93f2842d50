r"""Spectral normalisation: a layer whose weight stretches no input by a factor above about 1.

The largest factor by which a matrix stretches a vector is its largest singular value,
:math:`\sigma(W) = \max |Wx| / |x| = u^T W v`, with the singular vectors u and v. The layer computes
with :math:`\bar W = W / \sigma`; a net of such layers and (leaky) ReLUs is Lipschitz with a
constant of about 1 (Miyato et al. 2018).

*Power iteration*: :math:`u \leftarrow Wv / |Wv|, v \leftarrow W^T u / |W^T u|` turns both towards
the singular vectors. A step of the optimizer changes W little, so one iteration per training step
keeps up.

Backward. The layer inside computes :math:`G = \partial L / \partial \bar W`, as if :math:`\bar W`
were its weight. With u and v held constant, σ is linear in W:
:math:`\partial\sigma/\partial W = u v^T`. So

.. math:: d\bar W = \frac{dW}{\sigma} - \bar W \frac{u^T dW v}{\sigma}, \qquad
          \frac{\partial L}{\partial W} = \frac1\sigma \big(G - \langle G, \bar W\rangle\, u
          v^T\big)

("Gradient analysis of the spectrally normalized weights" in that paper): a change of W along u vᵀ
that σ would undo anyway is taken out of G.

Double backward is the same chain: ⟨v, dx⟩ depends on W through :math:`\bar W` only.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter

WARM_UP = 15
"""Power iterations at the start, from random vectors; as many as in PyTorch."""


def spectral_norm(
    layer: Layer, *, rng: numpy.random.Generator | None = None, eps: float = 1e-12
) -> SpectralNorm:
    """Wrap a layer so that it computes with W / σ(W); see `SpectralNorm`.

    >>> hidden, last = nn.spectral_norm(nn.Linear(2, 64)), nn.spectral_norm(nn.Linear(64, 1))
    >>> critic = nn.Sequential(hidden, nn.LeakyReLU(0.1), last)
    """
    return SpectralNorm(layer, rng=rng, eps=eps)


class SpectralNorm(Layer, samplewise=True):
    """The layer inside with W / σ in place of its weight W; see the top of this file.

    W itself, not W / σ, remains the parameter (``layer.weight``); u and v are buffers. Every
    forward call in training makes one power iteration, except while the statistics are frozen (see
    `frozen_statistics`); evaluation makes none. Real and fake samples that go through in one call
    (see `forward_both`) share one iteration, hence one σ. Draw initial weights before wrapping a
    layer, or call ``iterate(15)`` afterwards: u and v fit only one W.

    Parameters
    ----------
    layer
        A layer with a `weight`: Linear, a convolution of one or two dimensions, Embedding.
    rng
        Draws the first u and v; if None, a generator seeded by the operating system.
    eps
        Vectors of numbers below ε or above 1/ε are scaled before their length is taken.
    """

    buffer_names = ("u", "v")

    def __init__(
        self, layer: Layer, *, rng: numpy.random.Generator | None = None, eps: float = 1e-12
    ) -> None:
        if not isinstance(getattr(layer, "weight", None), Parameter):
            raise TypeError(
                f"spectral_norm needs a layer with a weight, got {layer!r}; wrap each Linear or "
                "Conv2d separately."
            )
        self.layer, self.eps, self.track_statistics = layer, eps, True
        rng = initial.generator(rng)
        rows, columns = (self._matrix(self._weight.value)).shape
        asarray = backend.of(self._weight.value).asarray
        dtype = self._weight.value.dtype
        self.u: Array = self._unit(asarray(rng.standard_normal(rows), dtype=dtype))
        self.v: Array = self._unit(asarray(rng.standard_normal(columns), dtype=dtype))
        self.iterate(WARM_UP)

    def iterate(self, count: int = 1) -> None:
        """Turn u and v towards the singular vectors of W by `count` power iterations, in place."""
        w = self._matrix(self._weight.value)
        ops = backend.of(w)
        for _ in range(count):
            self.u[...] = self._turned(self.u, ops.matmul(w, self.v))
            self.v[...] = self._turned(self.v, ops.matmul(w.T, self.u))

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x as the layer inside would with W / σ."""
        if train and self.track_statistics:
            self.iterate()
        w = self._weight.value
        matmul = backend.of(w).matmul
        sigma = matmul(self.u, matmul(self._matrix(w), self.v))
        sigma = sigma + (sigma == 0)  # W = 0 stretches nothing: there is nothing to divide out
        normalised = copy.copy(self.layer)  # shares everything except the weight of this call
        normalised.weight = Parameter(w / sigma)
        y, inner = normalised.forward(x, train=train)
        return y, Cache(self, y, normalised, inner, sigma, self.u.copy(), self.v.copy())

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx; the gradient of W goes through σ."""
        normalised, inner, *_ = cache.recall(self, dy)
        with self._through_sigma(cache, param_grads):
            return normalised.backward(dy, inner, param_grads=param_grads, input_grad=input_grad)

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v as the layer inside does; the gradient of W goes through σ."""
        normalised, inner, *_ = cache.recall(self, dy, v)
        with self._through_sigma(cache, param_grads):
            dx, tangent = normalised.double_backward(
                v, dy, inner, param_grads=param_grads, input_grad=input_grad
            )
        return dx, tangent

    @contextmanager
    def _through_sigma(self, cache: Cache, param_grads: bool) -> Iterator[None]:
        """Turn the gradient G of W / σ, accumulated in this context, into that of W."""
        normalised, _, sigma, u, v = cache.saved
        g, w_bar = normalised.weight.grad, normalised.weight.value
        g[...] = 0
        yield
        if param_grads:
            self._weight.grad += (g - (g * w_bar).sum() * self._outer(u, v)) / sigma

    # ---------------------------------------------------------------- W as a matrix

    @property
    def _weight(self) -> Parameter:
        return self.layer.weight  # type: ignore[attr-defined]

    @property
    def _axis(self) -> int:
        """The axis of W that counts outputs; the last one if the layer doesn't say."""
        axis = self._weight.output_axis
        return -1 if axis is None else axis

    def _matrix(self, w: Array) -> Array:
        """W as (out, everything else)."""
        rows = backend.of(w).xp.moveaxis(w, self._axis, 0)
        return rows.reshape(rows.shape[0], -1)

    def _outer(self, u: Array, v: Array) -> Array:
        """``u vᵀ`` in the shape of W: the inverse of `_matrix`."""
        shape = list(self._weight.shape)
        out = shape.pop(self._axis)
        return backend.of(u).xp.moveaxis((u[:, None] * v).reshape(out, *shape), 0, self._axis)

    def _unit(self, a: Array) -> Array:
        """Return a scaled to length 1; zero stays zero."""
        xp = backend.of(a).xp
        largest = abs(a).max()
        # Numbers whose squares would vanish or overflow are divided by the largest first.
        usual = xp.logical_and(largest > self.eps, largest < 1 / self.eps)
        a = xp.where(usual, a, a / (largest + (largest == 0)))
        return a / xp.maximum(xp.sqrt((a * a).sum()), self.eps)

    def _turned(self, old: Array, a: Array) -> Array:
        """Return a scaled to length 1, or the old vector where W = 0 and a has no direction."""
        unit = self._unit(a)
        return backend.of(a).xp.where((unit == 0).all(), old, unit)

    # ---------------------------------------------------------------- shapes

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that the layer inside gives."""
        return self.layer.output_shape(shape)

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the layer inside."""
        return self.layer.multiply_adds(shape)

    def __repr__(self) -> str:
        return f"SpectralNorm({self.layer!r})"

"""Layers of conditional nets, whose input is a pair ``(x, labels)``.

Labels are integers (N,), so there is no derivative with respect to them, and backward returns the
cotangent of x alone.
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.array import how_to_number
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape, Signals
from minigan.nn.embedding import Embedding, require_labels_below
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter

Pair = tuple[Array, Array]


class ConcatenateLabels(Layer):
    """Append the label to the features (Mirza & Osindero 2014): ``(x, labels) -> [x, e(label)]``.

    Shapes: x (N, F) gives y (N, F + K); x (N, H, W, C) gives y (N, H, W, C + K), the same K numbers
    at every pixel. e is one-hot with K = classes, or a learnt vector of K = features numbers.

    Backward: dx is the first part of dy; the rest, summed over pixels, is the cotangent of
    e(label).

    Parameters
    ----------
    classes
        Number of labels.
    features
        Length of a learnt vector; None for one-hot.
    rng
        Draws the initial vectors.
    """

    def __init__(
        self,
        classes: int,
        *,
        features: int | None = None,
        rng: numpy.random.Generator | None = None,
    ) -> None:
        self.classes = classes
        self.embedding = None if features is None else Embedding(classes, features, rng=rng)
        self.features = classes if features is None else features

    def forward(self, x: Pair, *, train: bool = True) -> tuple[Array, Cache]:
        """Map (x, labels) to y."""
        values, labels = _pair(self, x)
        values = self.check(values)
        xp = backend.of(values).xp
        inner = None
        if self.embedding is None:
            require_labels_below(self, labels, self.classes)
            code = (labels[:, None] == xp.arange(self.classes)).astype(values.dtype)
        else:
            code, inner = self.embedding.forward(labels, train=train)
        pixels = code.reshape(code.shape[0], *(1,) * (values.ndim - 2), self.features)
        plane = xp.broadcast_to(pixels, (*values.shape[:-1], self.features))
        y = xp.concatenate([values, plane.astype(values.dtype)], axis=-1)
        return y, Cache(self, y, values.shape[-1], inner)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to the cotangent of x."""
        size, inner = cache.recall(self, dy)
        if param_grads and self.embedding is not None:
            pixels = tuple(range(1, dy.ndim - 1))
            self.embedding.backward(dy[..., size:].sum(axis=pixels), inner)
        return backend.of(dy).xp.ascontiguousarray(dy[..., :size]) if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v to None and [v, 0]: the label's part doesn't depend on x.

        Nor does dx depend on the learnt vectors, so their gradient isn't added to.
        """
        cache.recall(self, dy, v)
        xp = backend.of(v).xp
        return None, xp.concatenate([v, xp.zeros((*v.shape[:-1], self.features), v.dtype)], axis=-1)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of x (..., C) -> (..., C + K)."""
        if len(shape) < 2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., channels)."
            )
        return (*shape[:-1], shape[-1] + self.features)

    def __repr__(self) -> str:
        kind = "" if self.embedding is None else f", features={self.features}"
        return f"ConcatenateLabels({self.classes}{kind})"


class Projection(Layer):
    r"""A projection discriminator (Miyato & Koyama 2018, eq. 6).

    .. math:: y_n = \langle u_n, \varphi(x_n)\rangle + b, \qquad u_n = w + V_{label_n},

    with φ the body, (N, features). Backward with dy (N, 1): ``dφ = dy u``, ``dw = φᵀ dy``,
    ``dV[k] = Σ dy φ`` over the samples of label k, ``db = Σ dy``. Double backward: the map is
    linear in φ, and the derivative of ⟨v, dφ⟩ = dy ⟨u, v⟩ with respect to u is dy v.

    Parameters
    ----------
    body
        φ, whose output is (N, features).
    features
        Length of φ(x).
    classes
        Number of labels.
    rng
        Draws w; V starts at 0, so that the label has no effect at first.
    """

    def __init__(
        self, body: Layer, *, features: int, classes: int, rng: numpy.random.Generator | None = None
    ) -> None:
        self.body, self.features, self.classes = body, features, classes
        rng = initial.generator(rng)
        drawn = initial.fan_in_uniform((features, 1), features, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=features, output_axis=1)
        self.bias = Parameter(numpy.zeros(1, "float32"), role="bias", output_axis=0)
        self.embedding = Embedding(classes, features, rng=rng)
        self.embedding.weight.value[...] = 0

    def forward(self, x: Pair, *, train: bool = True) -> tuple[Array, Cache]:
        """Map (x, labels) to logits (N, 1)."""
        values, labels = _pair(self, x)
        phi, below = self.body.forward(values, train=train)
        shift, inner = self.embedding.forward(labels, train=train)
        u = self.weight.value.T + shift
        y = (u * phi).sum(axis=1, keepdims=True) + self.bias.value
        return y, Cache(self, y, phi, u, below, inner)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, 1) to the cotangent of x."""
        phi, u, below, inner = cache.recall(self, dy)
        if param_grads:
            self._add(dy * phi, inner)
            self.bias.grad += dy.sum(axis=0)
        return self.body.backward(dy * u, below, param_grads=param_grads, input_grad=input_grad)

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met inside."""
        _, u, below, _ = cache.recall(self, dy)
        dx, inside = self.body.backward_signals(dy * u, below)
        return dx, Signals((dy, inside))

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Push v up through the body; the derivative of u is dy times the tangent there."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        own, inside = signals
        _, u, below, inner = cache.recall(self, own)
        dx, tangent = self.body.double_backward(
            v, inside, below, param_grads=param_grads, input_grad=input_grad
        )
        if param_grads:
            self._add(own * tangent, inner)
        return dx, (u * tangent).sum(axis=1, keepdims=True)

    def _add(self, du: Array, inner: Cache) -> None:
        self.weight.grad += du.sum(axis=0)[:, None]
        self.embedding.backward(du, inner)

    def output_shape(self, shape: Shape) -> Shape:
        """Shape of x -> (N, 1)."""
        inside = self.body.output_shape(shape)
        if len(inside) != 2 or inside[1] != self.features:
            raise ValueError(
                f"{self!r} has a body that gives shape {inside}, but needs (N, {self.features}); "
                "end it with Flatten()."
            )
        return inside[0], 1

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the body, and N times features."""
        return self.body.multiply_adds(shape) + self.output_shape(shape)[0] * self.features

    def __repr__(self) -> str:
        return f"Projection(features={self.features}, classes={self.classes})"


class _Handing(Layer):
    """A layer that prepares the input of another, and whose ways back are the other's own."""

    @property
    def _other(self) -> Layer:
        raise NotImplementedError

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to the cotangent of x."""
        (inner,) = cache.recall(self, dy)
        return self._other.backward(dy, inner, param_grads=param_grads, input_grad=input_grad)

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Array | Signals]:
        """Map dy to dx, and keep the cotangents met inside."""
        (inner,) = cache.recall(self, dy)
        return self._other.backward_signals(dy, inner)

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v as the other does."""
        return self._other.double_backward(
            v, dy, cache.saved[0], param_grads=param_grads, input_grad=input_grad
        )

    def output_shape(self, shape: Shape) -> Shape:
        """As the other's."""
        return self._other.output_shape(shape)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._other!r})"


class Beside(_Handing):
    """Apply a layer to the samples of a pair: ``(x, labels) -> (layer(x), labels)``.

    Backward is the layer's own.

    Parameters
    ----------
    layer
        Takes x alone.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer

    @property
    def _other(self) -> Layer:
        return self.layer

    def forward(self, x: Pair, *, train: bool = True) -> tuple[Any, Cache]:
        """Map (x, labels) to (layer(x), labels)."""
        values, labels = _pair(self, x)
        y, inner = self.layer.forward(values, train=train)
        return (y, labels), Cache(self, y, inner)


class Given(_Handing):
    """A conditional net with its labels held fixed: an ordinary layer of x alone.

    Gradient penalties and gradient checks use it.

    Parameters
    ----------
    net
        Takes pairs.
    labels
        Shape (N,).
    """

    def __init__(self, net: Layer, labels: Array) -> None:
        self.net, self.labels = net, labels

    @property
    def _other(self) -> Layer:
        return self.net

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to net((x, labels))."""
        y, inner = self.net.forward((x, self.labels), train=train)
        return y, Cache(self, y, inner)


def _pair(layer: Layer, x: Pair) -> Pair:
    if not (isinstance(x, tuple) and len(x) == 2):
        raise TypeError(
            f"{layer!r} got {type(x).__name__}, but needs a pair (x, labels); give a conditional "
            "net its labels too."
        )
    values, labels = x
    if getattr(getattr(labels, "dtype", None), "kind", None) not in ("i", "u"):
        raise TypeError(f"{layer!r} needs integer labels of shape (N,); {how_to_number(labels)}.")
    if tuple(labels.shape) != tuple(values.shape[:1]):
        raise ValueError(
            f"{layer!r} got {values.shape[0]} samples and labels of shape {tuple(labels.shape)}; "
            "give one label for each."
        )
    return values, labels

r"""Layers with two differentiable inputs: samples x and a condition w, which both get a cotangent.

The condition comes in as an affine map of w, :math:`s = w A + b`, whose backward map
`minigan.nn.linear` derives. So such a layer only has to say what x and s do to each other, as a map
of the two: forward (x, s) -> y, backward dy -> (dx, ds). Then

.. math:: dw = A^T ds, \qquad dA = w^T ds .

Double backward. With :math:`F = \langle v_x, dx\rangle + \langle v_w, dw\rangle` and
:math:`\langle v_w, A^T ds\rangle = \langle v_s, ds\rangle` for the tangent :math:`v_s = v_w A`,
F is the layer's own ⟨v_x, dx⟩ + ⟨v_s, ds⟩. It depends on A in two ways: through :math:`v_s`, which
gives :math:`v_w^T ds`, and through s, whose derivative goes back down to A, b and w as any
cotangent does.
"""

from __future__ import annotations

from typing import Any, ClassVar

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, Signals, require_floating
from minigan.nn.layer import Layer, require_layers
from minigan.nn.sequential import plus

Both = tuple[Array, Array]


class Conditioned(Layer):
    """The base class of layers of (x, w): a subclass defines `combine`, `pull` and `push`.

    ``self.affine`` maps w to s: a Linear for vectors (N, features), an Embedding for integer labels
    (N,), which have no derivative.
    """

    takes_condition: ClassVar[bool] = True
    affine: Layer

    def combine(self, x: Array, s: Array, *, train: bool) -> tuple[Array, Any]:
        """Map x and s to y; return what `pull` and `push` need as well."""
        raise NotImplementedError

    def pull(self, dy: Array, kept: Any, *, param_grads: bool) -> Both:
        """Map dy to dx and ds."""
        raise NotImplementedError

    def push(self, v: Both, dy: Array, kept: Any, *, param_grads: bool) -> tuple[Both, Array]:
        """Map (v_x, v_s) to the derivatives of F with respect to x and s, and to the tangent."""
        raise ValueError(f"{self!r} has no second derivative; keep it out of a critic.")

    def forward(self, x: Any, *, train: bool = True) -> tuple[Array, Cache]:
        """Map (x, w) to y."""
        values, w = pair_of(self, x)
        values = self.check(values)
        s, below = self.affine.forward(w, train=train)
        values = values if values.dtype == s.dtype else values.astype(s.dtype)
        y, kept = self.combine(values, s, train=train)
        return y, Cache(self, y, kept, below)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Any:
        """Map dy to (dx, dw), or to dx alone if w are labels."""
        kept, below = cache.recall(self, dy)
        dx, ds = self.pull(dy, kept, param_grads=param_grads)
        dw = self.affine.backward(ds, below, param_grads=param_grads, input_grad=input_grad)
        if not input_grad:
            return None
        return dx if dw is None else (dx, dw)

    def double_backward(
        self, v: Any, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> tuple[Any, Array]:
        """Map (v_x, v_w) to the derivatives with respect to x and w, and to the tangent.

        Where w are labels, v and the derivative are those of x alone.
        """
        kept, below = cache.recall(self, dy)
        _, ds = self.pull(dy, kept, param_grads=False)
        if isinstance(v, tuple):
            v_x, v_w = pair_of(self, v)
            _, v_s = self.affine.double_backward(v_w, ds, below, param_grads=param_grads)
        else:
            v_x, v_s = v, backend.of(ds).xp.zeros_like(ds)
        cache.check_tangent(self, v_x)
        (dx, ds), tangent = self.push((v_x, v_s), dy, kept, param_grads=param_grads)
        dw = self.affine.backward(ds, below, param_grads=param_grads, input_grad=input_grad)
        if not input_grad:
            return None, tangent
        return (dx if dw is None else (dx, dw)), tangent


class Styled(Layer):
    """A chain of layers that share one condition: ``(x, w) -> y``.

    Each layer of (x, w), such as `ModulatedConv2d` or `AdaIN`, gets the same w; the others get the
    output of the layer before them alone.

    Backward: as in a chain, the cotangent of x walks back; w reaches L through every layer that
    sees it, so its cotangents are added: ``dw = Σ dw_l``. Double backward likewise.

    Shapes: x as the first layer needs it, w (N, features). An array alone stands for the pair of it
    with itself, so that a net can begin ``Styled(Constant(4, 4, 64), ...)`` and take w only; its
    cotangents are then added.

    Parameters
    ----------
    layers
        In the order in which they are applied.
    """

    takes_condition: ClassVar[bool] = True

    def __init__(self, *layers: Layer) -> None:
        if not layers:
            raise ValueError("Styled needs at least one layer; write Styled(a, b).")
        require_layers("Styled", *layers)
        self.chain = layers

    def forward(self, x: Any, *, train: bool = True) -> tuple[Array, Cache]:
        """Map (x, w) to y."""
        y, w = pair_of(self, _paired(x))
        caches = []
        for layer in self.chain:
            y, cache = layer.forward((y, w) if _takes(layer) else y, train=train)
            caches.append(cache)
        return y, Cache(self, y, caches, isinstance(x, tuple))

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Any:
        """Map dy to (dx, dw)."""
        caches, two = cache.recall(self, dy)
        d = self._down(dy, [None] * len(caches), caches, param_grads)
        return (d if two else plus(*d)) if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Any, Signals]:
        """Map dy to (dx, dw), and keep the cotangents met inside."""
        caches, two = cache.recall(self, dy)
        signals: list[Any] = []
        d, dw = dy, None
        for layer, inner in zip(reversed(self.chain), reversed(caches), strict=True):
            d, signal = layer.backward_signals(d, inner)
            d, dw = _split(layer, d, dw)
            signals.append(signal)
        return (d, dw) if two else plus(d, dw), Signals(reversed(signals))

    def double_backward(
        self, v: Any, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Any, Array]:  # fmt: skip
        """Walk v_x up with v_w beside it, then the cotangents that arise back down."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        caches, two = cache.recall(self, signals)
        tangent, v_w = pair_of(self, _paired(v))
        dropped = []
        for layer, signal, inner in zip(self.chain, signals, caches, strict=True):
            up: Any = (tangent, v_w) if _takes(layer) else tangent
            drop, tangent = layer.double_backward(up, signal, inner, param_grads=param_grads)
            dropped.append(drop)
        d = self._down(None, dropped, caches, param_grads)
        return ((d if two else plus(*d)) if input_grad else None), tangent

    def _down(self, d: Any, dropped: list[Any], caches: list[Cache], param_grads: bool) -> Any:
        """Walk a cotangent down, and add at each layer what was dropped there: (dx, dw)."""
        dw = None
        for layer, drop, inner in zip(
            reversed(self.chain), reversed(dropped), reversed(caches), strict=True
        ):
            below = None if d is None else layer.backward(d, inner, param_grads=param_grads)
            d, dw = _split(layer, plus(below, drop), dw)
        return d, dw

    def output_shape(self, shape: Shape) -> Shape:
        """Pass the shape of x through every layer."""
        for layer in self.chain:
            shape = layer.output_shape(shape)
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Sum over the layers."""
        total = 0
        for layer in self.chain:
            total += layer.multiply_adds(shape)
            shape = layer.output_shape(shape)
        return total

    def __repr__(self) -> str:
        return f"Styled({', '.join(map(repr, self.chain))})"


def pair_of(layer: Layer, x: Any) -> Both:
    """Return x and w, or refuse what isn't a pair of as many samples."""
    if not (isinstance(x, tuple) and len(x) == 2):
        raise TypeError(
            f"{layer!r} got {type(x).__name__}, but needs a pair (x, w) of samples and their "
            "condition; give it both."
        )
    values, w = x
    require_floating(layer, values, "input")
    if not hasattr(w, "shape") or w.shape[:1] != values.shape[:1]:
        raise ValueError(
            f"{layer!r} got {values.shape[0]} samples and a condition of shape "
            f"{tuple(getattr(w, 'shape', ()))}; give one row for each."
        )
    if not backend.same_device(values, w):
        raise TypeError(f"{layer!r} and its condition live on different devices; move one of them.")
    return values, w


def _paired(x: Any) -> Any:
    return x if isinstance(x, tuple) else (x, x)


def _takes(layer: Layer) -> bool:
    return bool(getattr(layer, "takes_condition", False))


def _split(layer: Layer, d: Any, dw: Array | None) -> tuple[Any, Array | None]:
    """Take the cotangent of w out of what a layer returned, and add it to that of the others."""
    if not isinstance(d, tuple):
        return d, dw
    return d[0], plus(dw, d[1])

"""Skip connections: paths around a part of the net, rejoined by addition or concatenation."""

from __future__ import annotations

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, Signals
from minigan.nn.layer import Layer, require_layers
from minigan.nn.sequential import Sequential, plus


class Residual(Layer, samplewise=True):
    """A residual connection, ``y = S(x) + F(x)`` (He et al. 2016).

    Backward: x affects L along two paths, so the chain rule adds what comes back along them,
    ``dx = S'ᵀdy + F'ᵀdy``. Without a shortcut layer S is the identity, and dy itself arrives below:
    a short path for the gradient.

    Double backward: ⟨v, dx⟩ is a sum too, so each path is differentiated separately, and the
    results are added.

    Parameters
    ----------
    body
        F, one layer or several in a row; its output must have the shape of S(x).
    shortcut
        S, for example a 1x1 convolution where F changes the number of channels; None for the
        identity.
    """

    def __init__(self, *body: Layer, shortcut: Layer | None = None) -> None:
        self.body = one(self, body)
        self.shortcut = shortcut

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to S(x) + F(x)."""
        x = self.check(x)
        y, inner = self.body.forward(x, train=train)
        x = x.astype(y.dtype, copy=False)  # that of the body's weights
        way, around = (x, None) if self.shortcut is None else self.shortcut.forward(x, train=train)
        return y + way, Cache(self, y, inner, around)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to the sum of what comes back along both paths."""
        inner, around = cache.recall(self, dy)
        dx: Array | None = dy
        if self.shortcut is not None:
            dx = self.shortcut.backward(dy, around, param_grads=param_grads, input_grad=input_grad)
        d_body = self.body.backward(dy, inner, param_grads=param_grads, input_grad=input_grad)
        return plus(d_body, dx) if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met along both paths."""
        inner, around = cache.recall(self, dy)
        dx = dy
        signal: Array | Signals = dy
        if self.shortcut is not None:
            dx, signal = self.shortcut.backward_signals(dy, around)
        d_body, body_signal = self.body.backward_signals(dy, inner)
        return d_body + dx, Signals((body_signal, signal))

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v along both paths, and add the results."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        inner, around = cache.recall(self, signals)
        dx, way = None, v
        if self.shortcut is not None:
            dx, way = self.shortcut.double_backward(
                v, signals[1], around, param_grads=param_grads, input_grad=input_grad
            )
        d_body, tangent = self.body.double_backward(
            v, signals[0], inner, param_grads=param_grads, input_grad=input_grad
        )
        return plus(d_body, dx), tangent + way

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape of F(x), which must be that of S(x)."""
        inner = self.body.output_shape(shape)
        way = shape if self.shortcut is None else self.shortcut.output_shape(shape)
        if inner != way:
            raise ValueError(
                f"Residual got an input of shape {shape}: its body maps it to {inner}, but the "
                f"path around it gives {way}; make the shapes equal, for example with "
                "Residual(..., shortcut=Conv2d(...))."
            )
        return inner

    def multiply_adds(self, shape: Shape) -> int:
        """Sum over both paths."""
        extra = 0 if self.shortcut is None else self.shortcut.multiply_adds(shape)
        return self.body.multiply_adds(shape) + extra

    def __repr__(self) -> str:
        extra = "" if self.shortcut is None else f", shortcut={self.shortcut!r}"
        return f"Residual({self.body!r}{extra})"


class Skip(Layer, samplewise=True):
    """A skip connection by concatenation, ``y = [x, F(x)]`` (Ronneberger et al. 2015).

    Shapes: x (N, ..., C) and F(x) (N, ..., D) give y (N, ..., C + D), joined along the last axis; F
    keeps the axes between.

    Backward: dy is split where y was joined, ``dx = dy[:C] + F'ᵀ dy[C:]``.

    Double backward: the first term is the identity's, the second F's own.

    Parameters
    ----------
    body
        F, one layer or several in a row.
    """

    def __init__(self, *body: Layer) -> None:
        self.body = one(self, body)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ..., C) to y (N, ..., C + D)."""
        x = self.check(x)
        inside, inner = self.body.forward(x, train=train)
        y = _join(x.astype(inside.dtype, copy=False), inside)
        return y, Cache(self, y, inner, x.shape[-1])

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, ..., C + D) to dx (N, ..., C)."""
        inner, channels = cache.recall(self, dy)
        d_body = self.body.backward(
            _contiguous(dy[..., channels:]), inner, param_grads=param_grads, input_grad=input_grad
        )
        return plus(d_body, dy[..., :channels]) if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met inside."""
        inner, channels = cache.recall(self, dy)
        d_body, signal = self.body.backward_signals(_contiguous(dy[..., channels:]), inner)
        return d_body + dy[..., :channels], Signals((signal,))

    def double_backward(
        self,
        v: Array,
        dy: Array | Signals,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v (N, ..., C) to F's second derivative and the tangent (N, ..., C + D)."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        inner, _ = cache.recall(self, signals)
        dx, tangent = self.body.double_backward(
            v, signals[0], inner, param_grads=param_grads, input_grad=input_grad
        )
        return dx, _join(v, tangent)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ..., C) -> (N, ..., C + D)."""
        inner = self.body.output_shape(shape)
        if inner[:-1] != shape[:-1]:
            raise ValueError(
                f"Skip got an input of shape {shape}: its body maps it to {inner}, but the two can "
                "only be concatenated if all axes but the last agree; bring the body's output back "
                "to the size of the input."
            )
        return (*shape[:-1], shape[-1] + inner[-1])

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the body."""
        return self.body.multiply_adds(shape)

    def __repr__(self) -> str:
        return f"Skip({self.body!r})"


def one(owner: Layer, body: tuple[Layer, ...]) -> Layer:
    """Return the only layer, or several in a row.

    Raises
    ------
    ValueError
        If there is none; `owner` is the layer that is to hold it.
    """
    if not body:
        raise ValueError(
            f"{type(owner).__name__} needs at least one layer inside; write for example "
            f"{type(owner).__name__}(a, b)."
        )
    require_layers(type(owner).__name__, *body)
    return body[0] if len(body) == 1 else Sequential(*body)


def _join(a: Array, b: Array) -> Array:
    return backend.of(a).xp.concatenate([a, b], axis=-1)


def _contiguous(a: Array) -> Array:
    return backend.of(a).xp.ascontiguousarray(a)

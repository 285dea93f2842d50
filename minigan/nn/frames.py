"""A layer for the frames of a film: each is an image by itself."""

from __future__ import annotations

from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, Signals
from minigan.nn.containers import one
from minigan.nn.layer import Layer


class PerFrame(Layer, samplewise=True):
    """Apply a layer to each frame of films: (N, T, ...) -> (N T, ...), the layer, and back.

    With a convolution of the frames inside, and after it one along time, it makes a factorised
    convolution in space and time, (2+1)-D (Tran et al. 2018). No third kernel is needed along time,
    as (N, T, H W, C) is a batch of images whose rows are the frames.

    Backward: the frames are samples, so dy takes the way of y.

    Parameters
    ----------
    body
        One layer or several in a row.
    """

    def __init__(self, *body: Layer) -> None:
        self.body = one(self, body)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, T, ...) to y (N, T, ...)."""
        x = self.check(x)
        y, inner = self.body.forward(_merged(x), train=train)
        y = y.reshape(*x.shape[:2], *y.shape[1:])
        return y, Cache(self, y, inner, x.shape)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, T, ...) to dx (N, T, ...)."""
        inner, shape = cache.recall(self, dy)
        dx = self.body.backward(_merged(dy), inner, param_grads=param_grads, input_grad=input_grad)
        return None if dx is None else dx.reshape(shape)

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met inside."""
        inner, shape = cache.recall(self, dy)
        dx, signal = self.body.backward_signals(_merged(dy), inner)
        return dx.reshape(shape), Signals((signal,))

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v (N, T, ...) to the body's second derivative and tangent."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        inner, shape = cache.recall(self, signals)
        dx, tangent = self.body.double_backward(
            _merged(v), signals[0], inner, param_grads=param_grads, input_grad=input_grad
        )
        return None if dx is None else dx.reshape(shape), tangent.reshape(cache.y_shape)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, T, ...) -> (N, T, ...)."""
        if len(shape) < 3:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, frames, ...): add an axis."
            )
        inner = self.body.output_shape((shape[0] * shape[1], *shape[2:]))
        return (*shape[:2], *inner[1:])

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the body, for all frames."""
        return self.body.multiply_adds((shape[0] * shape[1], *shape[2:]))

    def __repr__(self) -> str:
        return f"PerFrame({self.body!r})"


def _merged(x: Array) -> Array:
    """(N, T, ...) -> (N T, ...)."""
    return x.reshape(x.shape[0] * x.shape[1], *x.shape[2:])

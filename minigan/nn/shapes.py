"""Layers that rearrange numbers and have nothing to learn.

All are linear maps without weights, so double backward only gives a tangent, the forward map of v.
"""

from __future__ import annotations

import math

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import Pair, pair
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class Reshape(Layer, samplewise=True):
    """Give each sample another shape: (N, ...) -> (N, *shape). Backward restores the old one.

    Parameters
    ----------
    shape
        The new shape of a sample, without the batch axis.
    """

    def __init__(self, *shape: int) -> None:
        if not shape or min(shape) < 1:
            raise ValueError(
                "Reshape needs the positive sizes of a sample, such as Reshape(7, 7, 64), got "
                f"{shape}."
            )
        self.shape = shape

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ...) to y (N, *shape)."""
        x = self.check(x)
        y = x.reshape(self.output_shape(tuple(x.shape)))
        return y, Cache(self, y, x.shape)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, *shape) to dx (N, ...)."""
        (shape,) = cache.recall(self, dy)
        return dy.reshape(shape) if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, ...) to None and the tangent (N, *shape)."""
        cache.recall(self, dy, v)
        return None, v.reshape(cache.y_shape)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ...) -> (N, *shape)."""
        if math.prod(shape[1:]) != math.prod(self.shape):
            raise ValueError(
                f"{self!r} got an input of shape {shape}: its samples hold {math.prod(shape[1:])} "
                f"numbers, but {self.shape} needs {math.prod(self.shape)}."
            )
        return (shape[0], *self.shape)

    def __repr__(self) -> str:
        return f"Reshape({', '.join(map(str, self.shape))})"


class Flatten(Layer, samplewise=True):
    """Flatten each sample to a vector: (N, H, W, C) -> (N, H W C), channels varying fastest.

    Backward restores the old shape.
    """

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ...) to y (N, features)."""
        x = self.check(x)
        y = x.reshape(self.output_shape(tuple(x.shape)))
        return y, Cache(self, y, x.shape)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, features) to dx (N, ...)."""
        (shape,) = cache.recall(self, dy)
        return dy.reshape(shape) if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, ...) to None and the tangent (N, features)."""
        cache.recall(self, dy, v)
        return None, v.reshape(cache.y_shape)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ...) -> (N, product)."""
        if len(shape) < 2:
            raise ValueError(f"{self!r} got an input of shape {shape}, but needs (N, ...).")
        return shape[0], math.prod(shape[1:])

    def __repr__(self) -> str:
        return "Flatten()"


class Upsample(Layer, samplewise=True):
    """Enlarge images by repeating pixels (nearest neighbour): ``y[n, i, j] = x[n, i//f, j//f]``.

    Shapes: x (N, H, W, C), y (N, f H, f W, C).

    Backward: each pixel of x affects a block of f x f pixels of y, so dx is the sum of dy over that
    block.

    Parameters
    ----------
    factor
        f, an integer or a pair (height, width).
    """

    def __init__(self, factor: int | Pair = 2) -> None:
        self.factor = pair("factor", factor, minimum=1)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, C) to y (N, f H, f W, C)."""
        x = self.check(x)
        y = backend.of(x).upsample(x, self.factor)
        return y, Cache(self, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, f H, f W, C) to dx (N, H, W, C)."""
        cache.recall(self, dy)
        return backend.of(dy).upsample_grad(dy, self.factor) if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, H, W, C) to None and the tangent (N, f H, f W, C)."""
        cache.recall(self, dy, v)
        return None, backend.of(v).upsample(v, self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, f H, f W, C)."""
        if len(shape) != 4:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, channels)."
            )
        return shape[0], shape[1] * self.factor[0], shape[2] * self.factor[1], shape[3]

    def __repr__(self) -> str:
        return f"Upsample({self.factor})"

"""Pooling: one number for each position of a window, or for a whole image."""

from __future__ import annotations

import math
from typing import Any

from minigan import backend
from minigan.backend import Array, Window
from minigan.backend.window import Pair, pair
from minigan.nn.cache import Cache, Shape
from minigan.nn.fixed import Fixed, require_images
from minigan.nn.layer import Layer

KINDS = ("mean", "sum", "max")


class AveragePool(Fixed, samplewise=True):
    """The mean under each position of a window.

    Shapes: x (N, H, W, C), y (N, Ho, Wo, C) with ``Ho = (H + 2 padding - kh) // stride + 1``. The
    zeros of the padding count, as in PyTorch.

    Backward: each pixel under a position gets dy / (kh kw) of it; pixels in several positions get
    the sum.

    Parameters
    ----------
    kernel_size, padding
        Each an integer or a pair (height, width).
    stride
        Likewise; the size of the kernel if None.
    """

    def __init__(
        self, kernel_size: int | Pair = 2, *, stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> None:  # fmt: skip
        self.window = _window(kernel_size, stride, padding)

    def apply(self, x: Array) -> Array:
        """Take the means."""
        return backend.of(x).average_pool(x, self.window)

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Give each pixel its part."""
        return backend.of(dy).average_pool_grad(dy, shape, self.window)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, Ho, Wo, C)."""
        return _pooled(self, shape, self.window)

    def __repr__(self) -> str:
        return f"AveragePool({_words(self.window)})"


class MaxPool(Layer, samplewise=True):
    """The largest number under each position of a window.

    Shapes: as `AveragePool`; the padding is never the largest.

    Backward: dy goes to the number that was the largest, the first of equals. Double backward:
    which one it was is held constant, so the tangent picks the same entries of v.

    Parameters
    ----------
    kernel_size, stride, padding
        As of `AveragePool`.
    """

    def __init__(
        self, kernel_size: int | Pair = 2, *, stride: int | Pair | None = None,
        padding: int | Pair = 0,
    ) -> None:  # fmt: skip
        self.window = _window(kernel_size, stride, padding)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, C) to y (N, Ho, Wo, C)."""
        x = self.check(x)
        y, largest = backend.of(x).max_pool(x, self.window)
        return y, Cache(self, y, largest, tuple(x.shape))

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Ho, Wo, C) to dx (N, H, W, C)."""
        largest, shape = cache.recall(self, dy)
        if not input_grad:
            return None
        return backend.of(dy).max_pool_grad(dy, largest, shape, self.window)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v (N, H, W, C) to None and the entries of v at the largest of x."""
        largest, _ = cache.recall(self, dy, v)
        return None, backend.of(v).max_pool_take(v, largest, self.window)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, Ho, Wo, C)."""
        return _pooled(self, shape, self.window)

    def __repr__(self) -> str:
        return f"MaxPool({_words(self.window)})"


class GlobalPool(Layer, samplewise=True):
    """One number for each channel of an image or sequence: (N, ..., C) -> (N, C).

    The mean, the sum (discriminators of ResNet blocks, Miyato et al. 2018) or the largest number.

    Backward: ``dx = dy / P`` at each of the P pixels, or dy, or dy at the largest (the first of
    equals) and 0 elsewhere. Double backward: all three are linear once the largest is known.

    Parameters
    ----------
    kind
        ``mean``, ``sum`` or ``max``.
    """

    def __init__(self, kind: str = "mean") -> None:
        if kind not in KINDS:
            raise ValueError(f"The kind of GlobalPool must be mean, sum or max, got {kind!r}.")
        self.kind = kind

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ..., C) to y (N, C)."""
        x = self.check(x)
        pixels = x.reshape(x.shape[0], math.prod(x.shape[1:-1]), x.shape[-1])
        weights = self._weights(pixels)
        y = self._total(pixels, weights)
        return y, Cache(self, y, weights, tuple(x.shape))

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, C) to dx (N, ..., C)."""
        weights, shape = cache.recall(self, dy)
        if not input_grad:
            return None
        n, *pixels, channels = shape
        xp = backend.of(dy).xp
        every = xp.broadcast_to(dy[:, None], (n, math.prod(pixels), channels))
        return self._weighted(every, weights).reshape(shape)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v (N, ..., C) to None and the tangent (N, C)."""
        weights, _ = cache.recall(self, dy, v)
        pixels = v.reshape(v.shape[0], math.prod(v.shape[1:-1]), v.shape[-1])
        return None, self._total(pixels, weights)

    def _weights(self, pixels: Array) -> Any:
        """What a pixel counts: 1 / P or 1; or 1 for the largest alone, (N, P, C)."""
        count = pixels.shape[1]
        if self.kind != "max":
            return 1 / max(count, 1) if self.kind == "mean" else 1.0
        places = backend.of(pixels).xp.arange(count)[:, None]
        return (pixels.argmax(axis=1)[:, None] == places).astype(pixels.dtype)

    def _total(self, pixels: Array, weights: Any) -> Array:
        if self.kind == "max":
            return self._weighted(pixels, weights).sum(axis=1)
        return pixels.sum(axis=1) * weights

    def _weighted(self, pixels: Array, weights: Any) -> Array:
        return (
            backend.of(pixels).masked(pixels, weights) if self.kind == "max" else pixels * weights
        )

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ..., C) -> (N, C)."""
        if len(shape) < 3:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., channels) with at "
                "least one axis between."
            )
        return shape[0], shape[-1]

    def __repr__(self) -> str:
        return f"GlobalPool({self.kind!r})"


def _window(kernel: int | Pair, stride: int | Pair | None, padding: int | Pair) -> Window:
    size = pair("kernel_size", kernel, minimum=1)
    step = size if stride is None else pair("stride", stride, minimum=1)
    border = pair("padding", padding, minimum=0)
    if any(2 * p > k for p, k in zip(border, size, strict=True)):
        raise ValueError(
            f"padding must be at most half the kernel size, got {border} with a kernel of {size}."
        )
    return Window(size, step, border)


def _pooled(layer: Layer, shape: Shape, window: Window) -> Shape:
    require_images(layer, shape)
    size = window.output_size(*shape[1:3])
    if min(size) < 1:
        raise ValueError(
            f"{layer!r} got an input of shape {shape}, which is smaller than its window; use "
            "larger images or a smaller kernel."
        )
    return shape[0], *size, shape[3]


def _words(window: Window) -> str:
    kernel, stride, padding = (a if a == b else (a, b) for a, b in window)
    return f"{kernel}, stride={stride}, padding={padding}"

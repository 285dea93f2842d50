"""Convolution and transposed convolution of sequences.

A sequence (N, L, C) is an image of one row, (N, 1, L, C), and a kernel (k, in, out) one of one row,
(1, k, in, out). So nothing is to be derived that `minigan.nn.convolution` hasn't, and nothing is
copied: the axis of length 1 is a view.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import Pair, is_whole
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.geometry import Geometry, geometry
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class Conv1d(Layer, samplewise=True):
    """A convolution of sequences, ``y = U(x) W + b``.

    Shapes: x (N, L, in), W (k, in / groups, out), b (out,), y (N, Lo, out) with
    ``Lo = (L + 2 padding - dilation (k - 1) - 1) // stride + 1``.

    Backward: ``dW = U(x)ᵀ dy``, ``db = Σ dy``, ``dx = Uᵀ(dy Wᵀ)``.

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    kernel_size, stride, dilation
        Integers.
    padding
        An integer, or a pair (before, after).
    groups, padding_mode, bias, rng
        As in `minigan.nn.Conv2d`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1,
        padding: int | Pair = 0, dilation: int = 1, groups: int = 1, padding_mode: str = "zeros",
        bias: bool = True, rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = channels = in_channels, out_channels
        self.geometry = _in_a_row(
            kernel_size, stride, padding, dilation, groups, padding_mode, channels
        )
        shape = (self.geometry.kernel[1], in_channels // groups, out_channels)
        fan_in = math.prod(shape[:2])
        drawn = initial.fan_in_uniform(shape, fan_in, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=fan_in, output_axis=2)
        self.bias = initial.bias(out_channels, fan_in, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, L, in) to y (N, Lo, out)."""
        x = self.check(x)
        b = None if self.bias is None else self.bias.value
        y, kept = self.geometry.conv(backend.of(x), x[:, None], self.weight.value[None], b)
        return y[:, 0], Cache(self, y[:, 0], kept, x[:, None].shape)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Lo, out) to dx (N, L, in)."""
        kept, shape = cache.recall(self, dy)
        ops = backend.of(dy)
        if param_grads:
            self.weight.grad += self.geometry.weight_grad(ops, kept, dy[:, None])[0]
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        if not input_grad:
            return None
        return self.geometry.input_grad(ops, dy[:, None], self.weight.value[None], shape)[:, 0]

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v (N, L, in) to None and the tangent (N, Lo, out)."""
        cache.recall(self, dy, v)
        ops = backend.of(v)
        tangent, kept = self.geometry.conv(ops, v[:, None], self.weight.value[None])
        if param_grads:
            self.weight.grad += self.geometry.weight_grad(ops, kept, dy[:, None])[0]
        return None, tangent[:, 0]

    def output_shape(self, shape: Shape) -> Shape:
        """(N, L, in) -> (N, Lo, out)."""
        n, length, _ = _checked(self, shape, self.in_channels)
        refusal = self.geometry.refusal((n, 1, length, self.in_channels))
        if refusal:
            raise ValueError(f"{self!r} got an input of shape {shape}: {refusal}.")
        return n, self.geometry.output_size(1, length)[1], self.out_channels

    def multiply_adds(self, shape: Shape) -> int:
        """Every entry of y costs k in / groups."""
        return math.prod(self.output_shape(shape)) * math.prod(self.weight.shape[:2])

    def __repr__(self) -> str:
        return f"Conv1d({self.in_channels}, {self.out_channels}, {_words(self.geometry)})"


class ConvTranspose1d(Layer, samplewise=True):
    """A transposed convolution of sequences, the adjoint of `Conv1d`: ``y = Uᵀ(x Wᵀ) + b``.

    Shapes: x (N, L, in), W (k, out / groups, in), b (out,), y (N, Lo, out) with
    ``Lo = (L - 1) stride - 2 padding + dilation (k - 1) + 1 + output_padding``.

    Backward: ``dW = U(dy)ᵀ x``, ``db = Σ dy``, ``dx = U(dy) W``.

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    kernel_size, stride, padding, dilation, groups
        Those of the convolution, as in `Conv1d`; the padding consists of zeros.
    output_padding
        Entries added at the end of y; less than the stride.
    bias, rng
        As in `minigan.nn.ConvTranspose2d`.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, stride: int = 1,
        padding: int | Pair = 0, output_padding: int = 0, dilation: int = 1, groups: int = 1,
        bias: bool = True, rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = channels = in_channels, out_channels
        self.geometry = _in_a_row(kernel_size, stride, padding, dilation, groups, "zeros", channels)
        if not (is_whole(output_padding) and 0 <= output_padding < stride):
            raise ValueError(
                f"output_padding must be >= 0 and smaller than the stride, got {output_padding!r} "
                f"with a stride of {stride}."
            )
        self.output_padding = int(output_padding)
        fan_in = kernel_size * in_channels / groups / stride
        drawn = initial.fan_in_uniform(
            (kernel_size, out_channels // groups, in_channels), fan_in, rng
        )
        self.weight = Parameter(drawn, role="weight", fan_in=fan_in, output_axis=1)
        self.bias = initial.bias(out_channels, fan_in, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, L, in) to y (N, Lo, out)."""
        x = self.check(x)
        b = None if self.bias is None else self.bias.value
        y = self._spread(x, self.output_shape(x.shape), b)
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Lo, out) to dx (N, L, in)."""
        (x,) = cache.recall(self, dy)
        ops = backend.of(dy)
        if param_grads:
            kept = self.geometry.keep(ops, dy[:, None])
            self.weight.grad += self.geometry.weight_grad(ops, kept, x[:, None])[0]
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        if not input_grad:
            return None
        return self.geometry.conv(ops, dy[:, None], self.weight.value[None])[0][:, 0]

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v (N, L, in) to None and the tangent (N, Lo, out)."""
        cache.recall(self, dy, v)
        ops = backend.of(v)
        if param_grads:
            kept = self.geometry.keep(ops, dy[:, None])
            self.weight.grad += self.geometry.weight_grad(ops, kept, v[:, None])[0]
        return None, self._spread(v, cache.y_shape)

    def _spread(self, x: Array, shape: Shape, b: Array | None = None) -> Array:
        """Return ``Uᵀ(x Wᵀ) + b`` of the given shape."""
        row, ops = (shape[0], 1, *shape[1:]), backend.of(x)
        return self.geometry.input_grad(ops, x[:, None], self.weight.value[None], row, b)[:, 0]

    def output_shape(self, shape: Shape) -> Shape:
        """(N, L, in) -> (N, Lo, out)."""
        n, length, _ = _checked(self, shape, self.in_channels)
        g = self.geometry
        size = (length - 1) * g.stride[1] - sum(g.sides[1]) + g.dilation[1] * (g.kernel[1] - 1) + 1
        size += self.output_padding
        if length < 1 or size < 1:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: its output would have a length of "
                f"{size}; use less padding or a larger input."
            )
        return n, size, self.out_channels

    def multiply_adds(self, shape: Shape) -> int:
        """Every entry of x costs k out / groups."""
        self.output_shape(shape)
        return math.prod(shape) * math.prod(self.weight.shape[:2])

    def __repr__(self) -> str:
        extra = f", output_padding={self.output_padding}" if self.output_padding else ""
        return (
            f"ConvTranspose1d({self.in_channels}, {self.out_channels}, "
            f"{_words(self.geometry)}{extra})"
        )


def _in_a_row(
    kernel_size: int, stride: int, padding: int | Pair, dilation: int, groups: int, mode: str,
    channels: Pair,
) -> Geometry:  # fmt: skip
    """Return the geometry of a window of one row."""
    numbers = {"kernel_size": kernel_size, "stride": stride, "dilation": dilation}
    for name, number in numbers.items():
        if not is_whole(number) or number < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {number!r}.")
    ends = padding if isinstance(padding, (tuple, list)) else (padding, padding)
    return geometry(
        (1, kernel_size), (1, stride), ((0, 0), ends), (1, dilation), groups, mode, channels
    )


def _words(g: Geometry) -> str:
    """Write a geometry of one row as the layer was told of it."""
    before, after = g.sides[1]
    words = [f"kernel_size={g.kernel[1]}", f"stride={g.stride[1]}"]
    words.append(f"padding={before if before == after else (before, after)}")
    words += [f"dilation={g.dilation[1]}"] if g.dilation[1] != 1 else []
    words += [f"groups={g.groups}"] if g.groups != 1 else []
    words += [f"padding_mode={g.mode!r}"] if g.mode != "zeros" else []
    return ", ".join(words)


def _checked(layer: Layer, shape: Shape, channels: int) -> Shape:
    if len(shape) != 3 or shape[2] != channels:
        raise ValueError(
            f"{layer!r} got an input of shape {shape}, but needs (N, length, {channels}): channels "
            "come last; transpose or reshape it."
        )
    return shape

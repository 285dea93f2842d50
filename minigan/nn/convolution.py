"""Convolution and transposed convolution: one linear map and its adjoint.

Gather the patch under each position of the window into a row: ``U(x)``, a linear map from images
(N, H, W, in) to a matrix (N Ho Wo, kh kw in). A convolution is then one matrix product,
``y = U(x) W``. The adjoint ``Uᵀ`` adds each patch back where it came from: ⟨U(x), P⟩ = ⟨x, Uᵀ(P)⟩
for all x and P. The rest is the linear layer's derivation with U(x) in place of x:

======================  =======================  =============================
                        Conv2d                   ConvTranspose2d
======================  =======================  =============================
forward                 ``y = U(x) W + b``       ``y = Uᵀ(x Wᵀ) + b``
gradient of W           ``dW = U(x)ᵀ dy``        ``dW = U(dy)ᵀ x``
gradient of x           ``dx = Uᵀ(dy Wᵀ)``       ``dx = U(dy) W``
double backward         ``dW = U(v)ᵀ dy``        ``dW = U(dy)ᵀ v``
======================  =======================  =============================

The right column is the left one with forward and backward exchanged. "Convolution" means, as
everywhere in deep learning, cross-correlation: the kernel isn't flipped (Dumoulin & Visin 2016,
chapters 2 and 4). The last row is the gradient of ⟨v, dx⟩ = ⟨tangent, dy⟩, where the tangent is the
forward map of v without b. How ``U`` and the products are computed is up to the backend:
`minigan.backend.reference` is the version to read.
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array, Window
from minigan.backend.window import Pair, pair
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class Conv2d(Layer, samplewise=True):
    """A convolution, ``y = U(x) W + b``.

    Shapes: x (N, H, W, in), W (kh, kw, in, out), b (out,), y (N, Ho, Wo, out) with
    ``Ho = (H + 2 padding - kh) // stride + 1``.

    Backward: ``dW = U(x)ᵀ dy``, ``db = Σ dy`` over samples and pixels, ``dx = Uᵀ(dy Wᵀ)``; see the
    top of this file.

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    kernel_size, stride, padding
        Each an integer or a pair (height, width); the image is padded with zeros on both sides.
    bias
        Whether to add a bias b.
    rng
        Draws the initial W and b from U(-1/√(kh kw in), 1/√(kh kw in)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int | Pair,
        stride: int | Pair = 1, padding: int | Pair = 0, bias: bool = True,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.window = _window(kernel_size, stride, padding)
        shape = (*self.window.kernel, in_channels, out_channels)
        fan_in = math.prod(shape[:3])
        drawn = initial.fan_in_uniform(shape, fan_in, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=fan_in, output_axis=3)
        self.bias = initial.bias(out_channels, fan_in, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True, bias: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, in) to y (N, Ho, Wo, out); with ``bias=False`` to U(x) W alone."""
        x = self.check(x)
        b = self.bias.value if bias and self.bias is not None else None
        y, patches = backend.of(x).conv(x, self.weight.value, self.window, b)
        return y, Cache(self, y, patches, x.shape)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Ho, Wo, out) to dx (N, H, W, in)."""
        patches, x_shape = cache.recall(self, dy)
        ops = backend.of(dy)
        if param_grads:
            self.weight.grad += ops.conv_weight_grad(patches, dy, self.window)
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        return (
            ops.conv_input_grad(dy, self.weight.value, x_shape, self.window) if input_grad else None
        )

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, H, W, in) to None and the tangent (N, Ho, Wo, out)."""
        cache.recall(self, dy, v)
        ops = backend.of(v)
        tangent, patches = ops.conv(v, self.weight.value, self.window)
        if param_grads:
            self.weight.grad += ops.conv_weight_grad(patches, dy, self.window)
        return None, tangent

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, in) -> (N, Ho, Wo, out)."""
        _check_image(self, shape, self.in_channels)
        size = self.window.output_size(*shape[1:3])
        if min(size) < 1:
            (kh, kw), _, (ph, pw) = self.window
            raise ValueError(
                f"{self!r} got an input of shape {shape}: its kernel of {kh}x{kw} is larger than "
                f"the padded image of {shape[1] + 2 * ph}x{shape[2] + 2 * pw}; use a smaller "
                "kernel, more padding or fewer strides before it."
            )
        return (shape[0], *size, self.out_channels)

    def multiply_adds(self, shape: Shape) -> int:
        """Every entry of y costs kh kw in."""
        return math.prod(self.output_shape(shape)) * math.prod(self.weight.shape[:3])

    def __repr__(self) -> str:
        return f"Conv2d({self.in_channels}, {self.out_channels}, {_describe(self.window)})"


class ConvTranspose2d(Layer, samplewise=True):
    """A transposed convolution, the adjoint of a convolution: ``y = Uᵀ(x Wᵀ) + b``.

    It enlarges images where a convolution shrinks them.

    Shapes: x (N, H, W, in), W (kh, kw, out, in), b (out,), y (N, Ho, Wo, out) with
    ``Ho = (H - 1) stride - 2 padding + kh + output_padding``. W is the weight of the convolution,
    from y's shape to x's, whose adjoint this layer is: ⟨conv(a), x⟩ = ⟨a, conv_transpose(x)⟩. With
    a stride, several sizes of `a` give the same size of `x`; `output_padding` says which one is
    meant.

    Backward: ``dW = U(dy)ᵀ x``, ``db = Σ dy``, ``dx = U(dy) W``; see the top of this file.

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    kernel_size, stride, padding
        Those of the convolution, each an integer or a pair (height, width).
    output_padding
        Rows and columns added at the end of y; less than the stride.
    bias
        Whether to add a bias b.
    rng
        Draws the initial W and b from U(-1/√f, 1/√f), f = kh kw in / stride², the number of
        products that reach one output pixel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair = 0,
        output_padding: int | Pair = 0,
        bias: bool = True,
        rng: numpy.random.Generator | None = None,
    ) -> None:
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.window = _window(kernel_size, stride, padding)
        self.output_padding = pair("output_padding", output_padding, minimum=0)
        if any(o >= s for o, s in zip(self.output_padding, self.window.stride, strict=True)):
            raise ValueError(
                f"output_padding must be smaller than the stride, got {self.output_padding} with a "
                f"stride of {self.window.stride}."
            )
        shape = (*self.window.kernel, out_channels, in_channels)
        # One patch starts every stride² pixels of y, so a pixel is in kh kw / stride² of them.
        fan_in = math.prod(self.window.kernel) * in_channels / math.prod(self.window.stride)
        drawn = initial.fan_in_uniform(shape, fan_in, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=fan_in, output_axis=2)
        self.bias = initial.bias(out_channels, fan_in, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True, bias: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, in) to y (N, Ho, Wo, out); with ``bias=False`` to Uᵀ(x Wᵀ) alone."""
        x = self.check(x)
        shape = self.output_shape(x.shape)
        b = self.bias.value if bias and self.bias is not None else None
        y = backend.of(x).conv_input_grad(x, self.weight.value, shape, self.window, b)
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Ho, Wo, out) to dx (N, H, W, in)."""
        (x,) = cache.recall(self, dy)
        ops = backend.of(dy)
        dx = None
        if input_grad:
            dx, patches = ops.conv(dy, self.weight.value, self.window)
        elif param_grads:
            patches = ops.conv_keep(dy, self.window)
        if param_grads:
            self.weight.grad += ops.conv_weight_grad(patches, x, self.window)
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        return dx

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, H, W, in) to None and the tangent (N, Ho, Wo, out)."""
        cache.recall(self, dy, v)
        ops = backend.of(v)
        if param_grads:
            self.weight.grad += ops.conv_weight_grad(ops.conv_keep(dy, self.window), v, self.window)
        return None, ops.conv_input_grad(v, self.weight.value, cache.y_shape, self.window)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, in) -> (N, Ho, Wo, out)."""
        _check_image(self, shape, self.in_channels)
        size = [
            (n - 1) * s - 2 * p + k + o
            for n, k, s, p, o in zip(shape[1:3], *self.window, self.output_padding, strict=True)
        ]
        if min(shape[1:3]) < 1 or min(size) < 1:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: its output would be {size[0]}x{size[1]} "
                "pixels; use less padding or a larger input."
            )
        return (shape[0], *size, self.out_channels)

    def multiply_adds(self, shape: Shape) -> int:
        """Every entry of x costs kh kw out."""
        self.output_shape(shape)
        return math.prod(shape) * math.prod(self.weight.shape[:3])

    def __repr__(self) -> str:
        extra = f", output_padding={self.output_padding}" if any(self.output_padding) else ""
        return (
            f"ConvTranspose2d({self.in_channels}, {self.out_channels}, "
            f"{_describe(self.window)}{extra})"
        )


def _window(kernel_size: int | Pair, stride: int | Pair, padding: int | Pair) -> Window:
    return Window(
        pair("kernel_size", kernel_size, minimum=1),
        pair("stride", stride, minimum=1),
        pair("padding", padding, minimum=0),
    )


def _describe(window: Window) -> str:
    kernel, stride, padding = (a if a == b else (a, b) for a, b in window)
    return f"kernel_size={kernel}, stride={stride}, padding={padding}"


def _check_image(layer: Layer, shape: Shape, channels: int) -> None:
    if len(shape) != 4 or shape[3] != channels:
        raise ValueError(
            f"{layer!r} got an input of shape {shape}, but needs (N, height, width, {channels}): "
            "channels come last; transpose or reshape it."
        )

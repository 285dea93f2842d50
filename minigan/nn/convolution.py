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
forward map of v without b. Which windows there are, `minigan.nn.geometry` says; how ``U`` and the
products are computed is up to the backend: `minigan.backend.reference` is the version to read.

With *dilation* d the taps of the window are d pixels apart (Yu & Koltun 2016). With *groups* the
channels of x and y are cut into as many pieces, and each piece of y sees one piece of x; with as
many groups as channels the convolution is *depthwise* (Chollet 2017). W is then a matrix with zeros
outside its blocks, and only the blocks are stored: (kh, kw, in / groups, out).
"""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array, Window
from minigan.backend.window import Pair, pair
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.geometry import Padding, geometry
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class Conv2d(Layer, samplewise=True):
    """A convolution, ``y = U(x) W + b``.

    Shapes: x (N, H, W, in), W (kh, kw, in / groups, out), b (out,), y (N, Ho, Wo, out) with
    ``Ho = (H + 2 padding - dilation (kh - 1) - 1) // stride + 1``.

    Backward: ``dW = U(x)ᵀ dy``, ``db = Σ dy`` over samples and pixels, ``dx = Uᵀ(dy Wᵀ)``; see the
    top of this file.

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    kernel_size, stride, dilation
        Each an integer or a pair (height, width).
    padding
        Likewise, on both sides; or ((above, below), (left, right)).
    groups
        Divides the channels of x and of y.
    padding_mode
        ``zeros``, ``reflect``, ``replicate`` or ``circular``; see `minigan.nn.Pad`.
    bias
        Whether to add a bias b.
    rng
        Draws the initial W and b from U(-1/√f, 1/√f), f = kh kw in / groups.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int | Pair,
        stride: int | Pair = 1, padding: Padding = 0, dilation: int | Pair = 1, groups: int = 1,
        padding_mode: str = "zeros", bias: bool = True, rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = channels = in_channels, out_channels
        self.geometry = geometry(
            kernel_size, stride, padding, dilation, groups, padding_mode, channels
        )
        shape = (*self.geometry.kernel, in_channels // groups, out_channels)
        fan_in = math.prod(shape[:3])
        drawn = initial.fan_in_uniform(shape, fan_in, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=fan_in, output_axis=3)
        self.bias = initial.bias(out_channels, fan_in, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True, bias: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, in) to y (N, Ho, Wo, out); with ``bias=False`` to U(x) W alone."""
        x = self.check(x)
        b = self.bias.value if bias and self.bias is not None else None
        y, patches = self.geometry.conv(backend.of(x), x, self.weight.value, b)
        return y, Cache(self, y, patches, x.shape)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Ho, Wo, out) to dx (N, H, W, in)."""
        patches, x_shape = cache.recall(self, dy)
        ops = backend.of(dy)
        if param_grads:
            self.weight.grad += self.geometry.weight_grad(ops, patches, dy)
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        if not input_grad:
            return None
        return self.geometry.input_grad(ops, dy, self.weight.value, x_shape)

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
        tangent, patches = self.geometry.conv(ops, v, self.weight.value)
        if param_grads:
            self.weight.grad += self.geometry.weight_grad(ops, patches, dy)
        return None, tangent

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, in) -> (N, Ho, Wo, out)."""
        _check_image(self, shape, self.in_channels)
        refusal = self.geometry.refusal(shape)
        if refusal:
            raise ValueError(f"{self!r} got an input of shape {shape}: {refusal}.")
        return (shape[0], *self.geometry.output_size(*shape[1:3]), self.out_channels)

    def multiply_adds(self, shape: Shape) -> int:
        """Every entry of y costs kh kw in / groups."""
        return math.prod(self.output_shape(shape)) * math.prod(self.weight.shape[:3])

    def __repr__(self) -> str:
        return f"Conv2d({self.in_channels}, {self.out_channels}, {self.geometry})"

    @property
    def window(self) -> Window:
        """Kernel, stride and the zero padding that is the same on both sides."""
        return self.geometry.window


class ConvTranspose2d(Layer, samplewise=True):
    """A transposed convolution, the adjoint of a convolution: ``y = Uᵀ(x Wᵀ) + b``.

    It enlarges images where a convolution shrinks them.

    Shapes: x (N, H, W, in), W (kh, kw, out / groups, in), b (out,), y (N, Ho, Wo, out) with
    ``Ho = (H - 1) stride - 2 padding + dilation (kh - 1) + 1 + output_padding``. W is the weight of
    the convolution, from y's shape to x's, whose adjoint this layer is: ⟨conv(a), x⟩ = ⟨a,
    conv_transpose(x)⟩. With a stride, several sizes of `a` give the same size of `x`;
    `output_padding` says which one is meant.

    Backward: ``dW = U(dy)ᵀ x``, ``db = Σ dy``, ``dx = U(dy) W``; see the top of this file.

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    kernel_size, stride, padding, dilation, groups
        Those of the convolution; the padding consists of zeros.
    output_padding
        Rows and columns added at the end of y; less than the stride.
    bias
        Whether to add a bias b.
    rng
        Draws the initial W and b from U(-1/√f, 1/√f), f = kh kw in / (groups stride²), the number
        of products that reach one output pixel.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: Padding = 0,
        output_padding: int | Pair = 0,
        dilation: int | Pair = 1,
        groups: int = 1,
        bias: bool = True,
        rng: numpy.random.Generator | None = None,
    ) -> None:
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.geometry = geometry(
            kernel_size, stride, padding, dilation, groups, "zeros", (in_channels, out_channels)
        )
        kernel, stride = self.geometry.kernel, self.geometry.stride
        self.output_padding = pair("output_padding", output_padding, minimum=0)
        if any(o >= s for o, s in zip(self.output_padding, stride, strict=True)):
            raise ValueError(
                f"output_padding must be smaller than the stride, got {self.output_padding} with a "
                f"stride of {stride}."
            )
        # One patch starts every stride² pixels of y, so a pixel is in kh kw / stride² of them.
        fan_in = math.prod(kernel) * in_channels / groups / math.prod(stride)
        shape = (*kernel, out_channels // groups, in_channels)
        drawn = initial.fan_in_uniform(shape, fan_in, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=fan_in, output_axis=2)
        self.bias = initial.bias(out_channels, fan_in, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True, bias: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, in) to y (N, Ho, Wo, out); with ``bias=False`` to Uᵀ(x Wᵀ) alone."""
        x = self.check(x)
        shape = self.output_shape(x.shape)
        b = self.bias.value if bias and self.bias is not None else None
        y = self.geometry.input_grad(backend.of(x), x, self.weight.value, shape, b)
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, Ho, Wo, out) to dx (N, H, W, in)."""
        (x,) = cache.recall(self, dy)
        ops = backend.of(dy)
        dx = None
        if input_grad:
            dx, patches = self.geometry.conv(ops, dy, self.weight.value)
        elif param_grads:
            patches = self.geometry.keep(ops, dy)
        if param_grads:
            self.weight.grad += self.geometry.weight_grad(ops, patches, x)
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
            self.weight.grad += self.geometry.weight_grad(ops, self.geometry.keep(ops, dy), v)
        return None, self.geometry.input_grad(ops, v, self.weight.value, cache.y_shape)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, in) -> (N, Ho, Wo, out)."""
        _check_image(self, shape, self.in_channels)
        g = self.geometry
        places = zip(
            shape[1:3], g.kernel, g.stride, g.sides, g.dilation, self.output_padding, strict=True
        )
        size = [(n - 1) * s - sum(p) + d * (k - 1) + 1 + o for n, k, s, p, d, o in places]
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
        return f"ConvTranspose2d({self.in_channels}, {self.out_channels}, {self.geometry}{extra})"

    @property
    def window(self) -> Window:
        """Kernel, stride and the zero padding that is the same on both sides."""
        return self.geometry.window


def _check_image(layer: Layer, shape: Shape, channels: int) -> None:
    if len(shape) != 4 or shape[3] != channels:
        raise ValueError(
            f"{layer!r} got an input of shape {shape}, but needs (N, height, width, {channels}): "
            "channels come last; transpose or reshape it."
        )

r"""Modulated convolution: each sample with a kernel of its own, scaled by a style (StyleGAN2).

For the sample n with style s (one number for each input channel) the kernel is
:math:`w_{kio} = s_{ni} W_{kio}`, k running over the taps, and each of its output channels is then
divided by its norm (Karras et al. 2020, section 2.2, eqs. 1 and 3). A kernel per sample would be a
convolution per sample; but the scale may as well be applied to the channels that come in and go
out, and then all samples share one:

.. math:: u = s \odot x, \qquad c = u * W, \qquad
          d_{no} = \Big(\sum_i s_{ni}^2 Q_{io} + \varepsilon\Big)^{-1/2}, \quad
          Q_{io} = \sum_k W_{kio}^2, \qquad y = c \odot d + b .

The methods `combine`, `pull` and `push` are forward, backward and double backward as maps of x and
s; `minigan.nn.styled` has the map from w to s.

Backward, with dc = d ⊙ dy, the convolution's own du and dW, and
:math:`e_{no} = \sum_{hw} dy\, c \cdot (-d^3)`, the cotangent of what is under the root, doubled:

.. math:: dx = s \odot du, \qquad
          ds_{ni} = \sum_{hw} du\, x + s_{ni} \sum_o Q_{io} e_{no}, \qquad
          dW_{kio} \mathrel{+}= W_{kio} \sum_n s_{ni}^2 e_{no} .

Double backward. The tangents of u, c, d and y along (v_x, v_s) are, with
:math:`r_{no} = \sum_i s_{ni} v_{ni} Q_{io}`,

.. math:: \dot u = s \odot v_x + v_s \odot x, \qquad \dot c = \dot u * W, \qquad
          \dot d = -d^3 r, \qquad \dot y = \dot c \odot d + c \odot \dot d .

F = ⟨ẏ, dy⟩ depends on u̇ through Gt = (d dy) * Wᵀ, on u through G = (ḋ dy) * Wᵀ, on r through B and
on the root through A,

.. math:: B = -d^3 \sum_{hw} dy\, c, \qquad
          A = -d^3 \sum_{hw} dy\, \dot c + 3 d^5 r \sum_{hw} dy\, c,

which the code turns into derivatives with respect to x, s and W. Without demodulation, as for the
layers that give colours, d = 1, and all that comes of it is 0.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import Pair
from minigan.nn import initial
from minigan.nn.cache import Shape
from minigan.nn.fixed import require_images
from minigan.nn.geometry import Padding, geometry
from minigan.nn.linear import Linear
from minigan.nn.parameter import Parameter
from minigan.nn.styled import Both, Conditioned


class ModulatedConv2d(Conditioned, samplewise=True):
    """A convolution whose kernel is scaled by the sample's style; see the top of this file.

    Shapes: x (N, H, W, in) and w (N, style_features) give y (N, Ho, Wo, out); the style is
    ``s = w A + b_s``, a Linear called `affine` with b_s = 1 at first. `backward` returns (dx, dw).

    Parameters
    ----------
    in_channels, out_channels
        Channels of x and of y.
    style_features
        Length of w.
    kernel_size, padding
        As in `minigan.nn.Conv2d`.
    demodulate
        Whether to divide each output channel's kernel by its norm.
    bias
        Whether to add a bias b.
    eps
        ε, keeps d finite.
    rng
        Draws W from N(0, 1), whose scale demodulation takes out again; without demodulation from
        N(0, 1 / fan_in).
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, style_features: int, kernel_size: int | Pair,
        padding: Padding = 0, demodulate: bool = True, bias: bool = True, eps: float = 1e-8,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        rng = initial.generator(rng)
        self.in_channels, self.out_channels = channels = in_channels, out_channels
        self.geometry = geometry(kernel_size, 1, padding, 1, 1, "zeros", channels)
        self.demodulate, self.eps = demodulate, eps
        shape = (*self.geometry.kernel, in_channels, out_channels)
        fan_in = math.prod(shape[:3])
        drawn = rng.standard_normal(shape) / (1 if demodulate else math.sqrt(fan_in))
        self.weight = Parameter(
            drawn.astype("float32"), role="weight", fan_in=fan_in, output_axis=3
        )
        zeros = numpy.zeros(out_channels, "float32")
        self.bias = Parameter(zeros, role="bias", output_axis=0) if bias else None
        self.affine = Linear(style_features, in_channels, rng=rng)
        assert self.affine.bias is not None
        self.affine.bias.value[...] = 1

    def combine(self, x: Array, s: Array, *, train: bool) -> tuple[Array, Any]:
        """Map x and s to y."""
        ops, w = backend.of(x), self.weight.value
        s = _each(s)
        c, patches = self.geometry.conv(ops, s * x, w)
        q = (w * w).sum(axis=(0, 1))
        d = _each(1 / ops.xp.sqrt(ops.matmul(_row(s * s), q) + self.eps)) if self.demodulate else 1
        y = c * d
        if self.bias is not None:
            y = y + self.bias.value
        return y, (x, s, c if self.demodulate else None, d, q, patches)

    def pull(self, dy: Array, kept: Any, *, param_grads: bool) -> Both:
        """Map dy to dx and ds."""
        x, s, c, d, q, patches = kept
        ops, w = backend.of(dy), self.weight.value
        dc = d * dy
        du = self.geometry.input_grad(ops, dc, w, x.shape)
        ds = (du * x).sum(axis=(1, 2))
        if self.demodulate:
            e = -_row(d**3) * (dy * c).sum(axis=(1, 2))
            ds = ds + _row(s) * ops.matmul(e, q.T)
        if param_grads:
            self.weight.grad += self.geometry.weight_grad(ops, patches, dc)
            if self.demodulate:
                self.weight.grad += w * ops.matmul(_row(s * s).T, e)
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        return s * du, ds

    def push(self, v: Both, dy: Array, kept: Any, *, param_grads: bool) -> tuple[Both, Array]:
        """Map (v_x, v_s) to the derivatives with respect to x and s, and to the tangent."""
        x, s, c, d, q, patches = kept
        v_x, v_s = v[0], _each(v[1])
        ops, w, g = backend.of(dy), self.weight.value, self.geometry
        dot_c, dot_patches = g.conv(ops, s * v_x + v_s * x, w)
        gt = g.input_grad(ops, d * dy, w, x.shape)
        dx, ds, tangent = gt * v_s, (gt * v_x).sum(axis=(1, 2)), dot_c * d
        if param_grads:
            self.weight.grad += g.weight_grad(ops, dot_patches, d * dy)
        if not self.demodulate:
            return (dx, ds), tangent
        r, row_d = ops.matmul(_row(s * v_s), q), _row(d)
        dot_d = _each(-(row_d**3) * r)
        seen = (dy * c).sum(axis=(1, 2))
        b = -(row_d**3) * seen
        a = -(row_d**3) * (dy * dot_c).sum(axis=(1, 2)) + 3 * row_d**5 * r * seen
        gu = g.input_grad(ops, dot_d * dy, w, x.shape)
        ds = ds + (gu * x).sum(axis=(1, 2))
        ds = ds + _row(s) * ops.matmul(a, q.T) + _row(v_s) * ops.matmul(b, q.T)
        if param_grads:
            self.weight.grad += g.weight_grad(ops, patches, dot_d * dy)
            both = ops.matmul(_row(s * s).T, a) + 2 * ops.matmul(_row(s * v_s).T, b)
            self.weight.grad += w * both
        return (dx + gu * s, ds), tangent + c * dot_d

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, in) -> (N, Ho, Wo, out)."""
        require_images(self, shape)
        refusal = self.geometry.refusal(shape)
        if shape[3] != self.in_channels:
            refusal = f"it needs {self.in_channels} channels, which come last"
        if refusal:
            raise ValueError(f"{self!r} got an input of shape {shape}: {refusal}.")
        return (shape[0], *self.geometry.output_size(*shape[1:3]), self.out_channels)

    def multiply_adds(self, shape: Shape) -> int:
        """Every entry of y costs kh kw in."""
        return math.prod(self.output_shape(shape)) * math.prod(self.weight.shape[:3])

    def __repr__(self) -> str:
        return (
            f"ModulatedConv2d({self.in_channels}, {self.out_channels}, {self.geometry}, "
            f"demodulate={self.demodulate})"
        )


def _each(s: Array) -> Array:
    """A number for each channel of each sample, for all its pixels: (N, C) -> (N, 1, 1, C)."""
    return s[:, None, None]


def _row(s: Array) -> Array:
    """Undo `_each`."""
    return s[:, 0, 0]

"""The linear layer, the model for the derivations of all others."""

from __future__ import annotations

import math

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class Linear(Layer, samplewise=True):
    r"""A linear map of each sample: ``y = x W + b``.

    Shapes: x (N, in), W (in, out), b (out,), y (N, out).

    Forward, entry by entry: :math:`y_{no} = \sum_i x_{ni} W_{io} + b_o`.

    Backward. Changing any entry changes L through y alone, so with the cotangent
    :math:`dy_{no} = \partial L / \partial y_{no}` the chain rule sums over the entries of y that it
    affects:

    .. math::
        dW_{io} = \sum_n x_{ni}\, dy_{no}, \qquad
        db_o = \sum_n dy_{no}, \qquad
        dx_{ni} = \sum_o dy_{no} W_{io},

    or, in matrix form, ``dW = xᵀ dy``, ``db = 1ᵀ dy``, ``dx = dy Wᵀ``.

    Double backward: ⟨v, dx⟩ = ⟨v W, dy⟩, a forward map of v without the bias. So ``dW = vᵀ dy``,
    and the tangent is v W.

    Parameters
    ----------
    in_features, out_features
        Sizes of a sample of x and of y.
    bias
        Whether to add a bias b.
    rng
        Draws the initial W and b from U(-1/√in, 1/√in); if None, a generator seeded by the
        operating system.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = True,
        rng: numpy.random.Generator | None = None,
    ) -> None:
        rng = initial.generator(rng)
        self.in_features, self.out_features = in_features, out_features
        drawn = initial.fan_in_uniform((in_features, out_features), in_features, rng)
        self.weight = Parameter(drawn, role="weight", fan_in=in_features, output_axis=1)
        self.bias = initial.bias(out_features, in_features, rng) if bias else None

    def forward(self, x: Array, *, train: bool = True, bias: bool = True) -> tuple[Array, Cache]:
        """Map x (N, in) to y (N, out); with ``bias=False`` to x W alone."""
        x = self.check(x)
        y = backend.of(x).matmul(x, self.weight.value)
        if bias and self.bias is not None:
            y += self.bias.value
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, out) to dx (N, in)."""
        (x,) = cache.recall(self, dy)
        ops = backend.of(dy)
        if param_grads:
            self.weight.grad += ops.matmul(x.T, dy)
            if self.bias is not None:
                self.bias.grad += ops.sum_rows(dy)
        return ops.matmul(dy, self.weight.value.T) if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, in) to None and the tangent (N, out)."""
        cache.recall(self, dy, v)
        ops = backend.of(v)
        if param_grads:
            self.weight.grad += ops.matmul(v.T, dy)
        return None, ops.matmul(v, self.weight.value)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, in) -> (N, out)."""
        if len(shape) != 2 or shape[1] != self.in_features:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, {self.in_features}); "
                "put Flatten() before it if the input is an image."
            )
        return shape[0], self.out_features

    def multiply_adds(self, shape: Shape) -> int:
        """N times in times out."""
        return math.prod(shape) * self.out_features

    def __repr__(self) -> str:
        return f"Linear({self.in_features}, {self.out_features})"

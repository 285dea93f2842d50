r"""Activations, functions applied to each entry: ``y = φ(x)``, so ``dx = φ'(x) dy``.

Each entry of x affects one entry of y, so the sum in the chain rule has a single term. Each φ' here
can be written in terms of y, which the next layer keeps anyway, so no second array is kept for the
backward map.

Double backward: ⟨v, dx⟩ = Σ v φ'(x) dy. So the tangent is φ'(x) v, and ∂/∂x is ``φ''(x) v dy``:
zero where φ is piecewise linear.
"""

from __future__ import annotations

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache
from minigan.nn.layer import Layer


class LeakyReLU(Layer, samplewise=True):
    """``y = x`` where x > 0, else ``slope x`` (Maas et al. 2013).

    Backward: ``dx = dy`` where x > 0, else ``slope dy``. As slope >= 0, y > 0 exactly where x > 0.
    At the kink x = 0 the derivative from the left is taken, as in PyTorch.

    Parameters
    ----------
    slope
        The derivative where x < 0, at least 0; 0.2 is DCGAN's.
    """

    def __init__(self, slope: float = 0.2) -> None:
        if slope < 0:
            raise ValueError(f"The slope of LeakyReLU must be >= 0, got {slope}.")
        self.slope = slope

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        y = backend.of(x).leaky_relu(x, self.slope)
        return y, Cache(self, y, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (y,) = cache.recall(self, dy)
        return backend.of(dy).leaky_relu_grad(dy, y, self.slope) if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v to None (φ'' = 0 away from the kink) and the tangent, of the same shape."""
        (y,) = cache.recall(self, dy, v)
        return None, backend.of(v).leaky_relu_grad(v, y, self.slope)

    def __repr__(self) -> str:
        return f"LeakyReLU({self.slope})"


class ReLU(LeakyReLU, samplewise=True):
    """``y = max(x, 0)``: a LeakyReLU of slope 0."""

    def __init__(self) -> None:
        super().__init__(0.0)

    def __repr__(self) -> str:
        return "ReLU()"


class Tanh(Layer, samplewise=True):
    """``y = tanh x``, backward ``dx = (1 - y²) dy``; φ'' = -2 y (1 - y²)."""

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        y = backend.of(x).xp.tanh(x)
        return y, Cache(self, y, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (y,) = cache.recall(self, dy)
        return (1 - y * y) * dy if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v to ``φ'' v dy`` with φ'' = -2 y (1 - y²), and to the tangent."""
        (y,) = cache.recall(self, dy, v)
        tangent = (1 - y * y) * v
        return -2 * y * tangent * dy if input_grad else None, tangent

    def __repr__(self) -> str:
        return "Tanh()"


class Sigmoid(Layer, samplewise=True):
    """``y = 1 / (1 + exp(-x))``, backward ``dx = y (1 - y) dy``.

    It is computed as ``exp(min(x, 0)) / (1 + exp(-|x|))``, the same function: nothing can overflow,
    and y keeps its full relative precision where it is close to 0.
    """

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        y = backend.of(x).sigmoid(x)
        return y, Cache(self, y, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (y,) = cache.recall(self, dy)
        return y * (1 - y) * dy if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Map v to ``φ'' v dy`` with φ'' = y (1 - y) (1 - 2 y), and to the tangent."""
        (y,) = cache.recall(self, dy, v)
        tangent = y * (1 - y) * v
        return (1 - 2 * y) * tangent * dy if input_grad else None, tangent

    def __repr__(self) -> str:
        return "Sigmoid()"

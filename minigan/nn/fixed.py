"""Linear maps with nothing to learn, ``y = A x``: two methods say all about such a layer.

Backward is the adjoint, ``dx = Aᵀ dy``, with ⟨A x, dy⟩ = ⟨x, Aᵀ dy⟩ for all x and dy. Double
backward: ⟨v, dx⟩ = ⟨A v, dy⟩ depends on no x, so the tangent is A v and the derivative with respect
to x is zero.
"""

from __future__ import annotations

from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class Fixed(Layer):
    """The base class: a subclass defines `apply`, `adjoint`, and `output_shape` for its checks."""

    def apply(self, x: Array) -> Array:
        """Return A x."""
        raise NotImplementedError

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Return Aᵀ dy, of the shape of x."""
        raise NotImplementedError

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to A x."""
        x = self.check(x)
        y = self.apply(x)
        return y, Cache(self, y, tuple(x.shape))

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to Aᵀ dy."""
        (shape,) = cache.recall(self, dy)
        return self.adjoint(dy, shape) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v to None and the tangent A v."""
        cache.recall(self, dy, v)
        return None, self.apply(v)


def require_images(layer: Layer, shape: Shape) -> None:
    """Refuse a shape that isn't (N, height, width, channels)."""
    if len(shape) != 4:
        raise ValueError(
            f"{layer!r} got an input of shape {shape}, but needs (N, height, width, channels)."
        )

"""What a generator adds on its own: noise with a learnt strength, and a learnt constant."""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class LearntNoise(Layer):
    """Add noise of a learnt strength: ``y = x + a n``, n ~ N(0, 1), one number for each pixel.

    (Karras et al. 2019, section 3.2.) It saves a generator inventing random details, such as hair,
    from z.

    Shapes: x and y (N, H, W, C); n (N, H, W, 1); a (1,), as in StyleGAN2, or (C,), as in StyleGAN.

    Backward: ``dx = dy``, ``da = Σ dy n``. Double backward: ⟨v, dx⟩ = ⟨v, dy⟩ depends on neither x
    nor a.

    Parameters
    ----------
    channels
        1, or C.
    in_evaluation
        Whether evaluation, too, draws noise; otherwise it adds none.
    rng
        Draws n, on the host; if None, a generator seeded by the operating system.
    """

    def __init__(
        self, channels: int = 1, *, in_evaluation: bool = False,
        rng: numpy.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.channels, self.in_evaluation = channels, in_evaluation
        self.strength = Parameter(numpy.zeros(channels, "float32"))
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        if not (train or self.in_evaluation):
            return x, Cache(self, x, None)
        shape = (*x.shape[:-1], 1)
        n = backend.of(x).draw(self.rng, lambda rng: rng.standard_normal(shape), x.dtype)
        y = x + self.strength.value * n
        return y, Cache(self, y, n)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to itself."""
        (n,) = cache.recall(self, dy)
        if param_grads and n is not None:
            total = backend.of(dy).sum_rows(dy * n)
            self.strength.grad += total if self.channels > 1 else total.sum()
        return dy if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v to None and itself."""
        cache.recall(self, dy, v)
        return None, v

    def output_shape(self, shape: Shape) -> Shape:
        """Any (N, ..., C) stays as it is."""
        if len(shape) < 3 or self.channels not in (1, shape[-1]):
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., "
                f"{self.channels if self.channels > 1 else 'C'}) with pixels between."
            )
        return shape

    def __repr__(self) -> str:
        return f"LearntNoise({self.channels})"


class Constant(Layer, samplewise=True):
    """The same learnt image for every sample, with which StyleGAN's generator begins.

    Shapes: x (N, ...), of which only N is used; c and each y (H, W, C).

    Backward: ``dc = Σ dy`` over the samples, and dx = 0.

    Parameters
    ----------
    shape
        Shape of the constant, (H, W, C) for images.
    rng
        Draws it from N(0, 1).
    """

    def __init__(self, *shape: int, rng: numpy.random.Generator | None = None) -> None:
        if not shape or min(shape) < 1:
            raise ValueError(f"Constant needs positive sizes, such as (4, 4, 64), got {shape}.")
        drawn = initial.generator(rng).standard_normal(shape).astype("float32")
        self.value = Parameter(drawn, role="weight", fan_in=1)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ...) to y (N, *shape)."""
        x = self.check(x)
        c = self.value.value
        y = backend.of(c).xp.broadcast_to(c, (x.shape[0], *c.shape)).copy()
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N, *shape) to zeros of the shape of x."""
        (x,) = cache.recall(self, dy)
        if param_grads:
            self.value.grad += dy.sum(axis=0)
        return backend.of(dy).xp.zeros_like(x) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v to None and zeros: y doesn't depend on x."""
        cache.recall(self, dy, v)
        return None, backend.of(dy).xp.zeros_like(dy)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ...) -> (N, *shape)."""
        if not shape:
            raise ValueError(f"{self!r} got an input of shape {shape}, but needs (N, ...).")
        return shape[0], *self.value.shape

    def __repr__(self) -> str:
        return f"Constant({', '.join(map(str, self.value.shape))})"

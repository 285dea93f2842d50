"""Noise on the inputs of the discriminator, so that reals and fakes overlap."""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache
from minigan.nn.layer import Layer


class InstanceNoise(Layer):
    """Add noise in training: ``y = x + std n``, n ~ N(0, 1) (Sønderby et al. 2017, section 3).

    With noise even distributions with disjoint supports overlap, and D can't separate them
    perfectly. Backward: the noise is a constant, so ``dx = dy``.

    Parameters
    ----------
    std
        Standard deviation of the noise; lower it during training to let the noise fade.
    rng
        Draws n, on the host; if None, a generator seeded by the operating system.
    """

    def __init__(self, std: float = 0.1, *, rng: numpy.random.Generator | None = None) -> None:
        if not std >= 0:
            raise ValueError(f"The standard deviation of InstanceNoise must be >= 0, got {std}.")
        self.std = std
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        if not train:
            return x, Cache(self, x)
        n = backend.of(x).draw(
            self.rng, lambda rng: rng.standard_normal(x.shape, dtype="float32"), x.dtype
        )
        y = x + self.std * n
        return y, Cache(self, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to itself."""
        cache.recall(self, dy)
        return dy if input_grad else None

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v to None and itself."""
        cache.recall(self, dy, v)
        return None, v

    def __repr__(self) -> str:
        return f"InstanceNoise({self.std})"

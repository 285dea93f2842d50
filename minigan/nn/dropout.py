"""Dropout: a discriminator that can't rely on any one feature."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.ranks import drawn_for_all


class Dropout(Layer, samplewise=True):
    """Zero each entry with probability p in training, and scale the others up.

    ``y = x m / (1 - p)``, with a mask m of zeros and ones. As E[y] = x, evaluation passes x through
    unchanged (Srivastava et al. 2014, "inverted" form) unless `always` is set.

    Backward: the mask is a constant, so ``dx = dy m / (1 - p)``.

    Parameters
    ----------
    p
        Probability that an entry is zeroed, 0 <= p < 1.
    rng
        Draws the masks, on the host; if None, a generator seeded by the operating system.
    always
        Whether to do so in evaluation too, as a source of noise in a generator (Isola et al. 2017).
    """

    def __init__(
        self, p: float = 0.5, *, rng: numpy.random.Generator | None = None, always: bool = False
    ) -> None:
        given: Any = p
        if not (isinstance(given, Real) and 0 <= p < 1):
            raise ValueError(f"Dropout's probability must satisfy 0 <= p < 1, got {p!r}.")
        self.p, self.always = p, always
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to y of the same shape."""
        x = self.check(x)
        if not (train or self.always) or self.p == 0:
            y = x.copy()
            return y, Cache(self, y, None)
        ops = backend.of(x)
        mask = self._mask(ops, x, shared=train)
        y = ops.masked(x, mask)
        return y, Cache(self, y, mask)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx of the same shape."""
        (mask,) = cache.recall(self, dy)
        if not input_grad:
            return None
        return dy.copy() if mask is None else backend.of(dy).masked(dy, mask)

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:  # fmt: skip
        """Map v to None and itself in evaluation mode; refuse in training.

        Raises
        ------
        ValueError
            In training mode: the slope of one randomly thinned net isn't the slope of the critic.
        """
        (mask,) = cache.recall(self, dy, v)
        if mask is not None:
            raise ValueError(
                f"{self!r} can't be used in a critic with a gradient penalty: the penalty would "
                "constrain the slope of one randomly thinned net, not that of the critic that G "
                "plays against; remove the dropout."
            )
        return None, v.copy()

    def _mask(self, ops: backend.Reference, x: Array, *, shared: bool) -> Array:
        """Draw a mask for x; in training, where ranks share a batch, from that of the whole."""

        def draw(shape: Shape) -> Array:
            return ops.dropout_mask(shape, self.p, x.dtype, self.rng)

        return drawn_for_all(self.rng, x.shape, draw) if shared else draw(x.shape)

    def __repr__(self) -> str:
        return f"Dropout({self.p}{', always=True' * self.always})"

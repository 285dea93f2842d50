"""Packing: a discriminator that judges several samples at once can see that they are alike."""

from __future__ import annotations

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer


class Pack(Layer):
    """Join m samples along the channels: (N, ..., C) -> (N / m, ..., m C).

    (Lin et al. 2018, "PacGAN".) Every entry of y is one of x, so backward puts each cotangent back
    where its entry came from.

    In evaluation each sample is packed with copies of itself, so that D gives a logit per sample;
    backward then sums over the copies.

    Parameters
    ----------
    m
        Samples in a pack; in training the batch must be a multiple of it.
    """

    def __init__(self, m: int = 2) -> None:
        if m < 1:
            raise ValueError(f"Pack needs at least one sample in a pack, got {m}.")
        self.m = m

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, ..., C) to y (N / m, ..., m C), in evaluation to (N, ..., m C)."""
        x = self.check(x)
        if not train:
            y = backend.of(x).xp.concatenate([x] * self.m, axis=-1)
            return y, Cache(self, y, False)
        if x.shape[0] % self.m:
            raise ValueError(
                f"{self!r} got a training batch of {x.shape[0]}, which doesn't divide into packs "
                f"of {self.m}; use a batch size that is a multiple of {self.m}."
            )
        y = self._joined(x)
        return y, Cache(self, y, True)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy (N / m, ..., m C) to dx (N, ..., C)."""
        (train,) = cache.recall(self, dy)
        if not input_grad:
            return None
        parts = dy.reshape(*dy.shape[:-1], self.m, dy.shape[-1] // self.m)
        if not train:
            return parts.sum(axis=-2)
        parts = backend.of(dy).xp.moveaxis(parts, -2, 1)
        return parts.reshape(dy.shape[0] * self.m, *parts.shape[2:])

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v (N, ..., C) to None and itself, packed: the map is linear."""
        (train,) = cache.recall(self, dy)
        return None, self._joined(v) if train else backend.of(v).xp.concatenate(
            [v] * self.m, axis=-1
        )

    def _joined(self, x: Array) -> Array:
        packs = x.reshape(x.shape[0] // self.m, self.m, *x.shape[1:])
        packs = backend.of(x).xp.moveaxis(packs, 1, -2)
        return packs.reshape(*packs.shape[:-2], self.m * x.shape[-1])

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ..., C) -> (N / m, ..., m C), at least one pack."""
        if len(shape) < 2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, ..., channels)."
            )
        return (max(shape[0] // self.m, 1), *shape[1:-1], self.m * shape[-1])

    def __repr__(self) -> str:
        return f"Pack({self.m})"

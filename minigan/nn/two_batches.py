"""Two batches through one net: in one pass if that gives the same result, or else in two.

A net that maps each sample independently may take both batches as one: the same rows enter the same
products. Every gradient is a sum over samples, so one backward pass then adds what two would add.
With layers that couple the samples of a batch, such as batch norm, the batches stay separate.
"""

from __future__ import annotations

from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache
from minigan.nn.layer import Layer


def forward_both(
    net: Layer, a: Any, b: Any, *, apart: bool = False
) -> tuple[Array, Array, tuple[Cache, ...]]:
    """Map two batches in training mode, in one pass if the net is `Layer.samplewise`.

    Parameters
    ----------
    net
        The net.
    a, b
        Inputs of shapes (N, ...) and (M, ...), or pairs of input and condition.
    apart
        Whether to keep them apart in any case, since a cache of each alone is wanted.

    Returns
    -------
    y_a, y_b
        The outputs, shapes (N, ...) and (M, ...).
    caches
        For `backward_both`.
    """
    if apart or not (net.samplewise and _alike(a, b)):
        (y_a, cache_a), (y_b, cache_b) = net.forward(a, train=True), net.forward(b, train=True)
        return y_a, y_b, (cache_a, cache_b)
    y, cache = net.forward(_one_behind_the_other(a, b), train=True)
    return y[: len(a)], y[len(a) :], (cache,)


def backward_both(net: Layer, dy_a: Array, dy_b: Array, caches: tuple[Cache, ...]) -> None:
    """Add to the gradients of `net` those from both cotangents, dy_a and dy_b; compute no dx."""
    cotangents = (dy_a, dy_b) if len(caches) == 2 else (_one_behind_the_other(dy_a, dy_b),)
    for dy, cache in zip(cotangents, caches, strict=True):
        net.backward(dy, cache, input_grad=False)


def _alike(a: Any, b: Any) -> bool:
    return (
        hasattr(a, "shape")
        and hasattr(b, "shape")
        and a.shape[1:] == b.shape[1:]
        and a.dtype == b.dtype
    )


def _one_behind_the_other(a: Array, b: Array) -> Array:
    return backend.of(a).xp.concatenate((a, b))

"""Nearest training neighbours: does the generator copy?

A sample that is much closer to a training image than held-out real images are is a copy. The
Euclidean distance between pixels detects copies, not similarity: an image shifted by a few pixels
is far from the original (Theis, van den Oord and Bethge, "A note on the evaluation of generative
models", ICLR 2016, section 3.4). Small distances are therefore evidence of copying, but large ones
aren't evidence against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.metrics import blocks
from minigan.metrics.blocks import ImageSet


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The nearest training examples of each sample, nearest first.

    Attributes
    ----------
    index
        Indices into the training data, int64, shape (N, k).
    distance
        Euclidean distances, float64, shape (N, k).
    """

    index: Array
    distance: Array


def nearest_neighbours(samples: Array, training: Array | ImageSet, *, k: int = 1) -> Neighbours:
    """Find the `k` nearest training examples of each sample.

    Parameters
    ----------
    samples
        Shape (N, ...), images or features; each sample is flattened.
    training
        An array of shape (M, ...) on the same device, or a data set, whose images are moved there a
        block at a time.
    k
        Number of neighbours, 1 to M.

    Returns
    -------
    Neighbours
        On the device of `samples`.

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or `k` is out of range.
    TypeError
        If the arrays aren't on one device.

    Notes
    -----
    The neighbours are found with `blocks.squared_distances`, in the samples' precision. Their k
    distances are then recomputed from differences, so that an exact copy is at distance 0. If
    distances are equal up to rounding (relative to the squared distances from the samples' mean),
    the (k+1)-th neighbour may be returned in place of the k-th.
    """
    if not 1 <= k <= len(training):
        raise ValueError(f"k must be between 1 and the {len(training)} training examples, got {k}.")
    flat = blocks.points(_rows(samples), "samples")
    xp = backend.of(flat).xp
    n = int(flat.shape[0])
    centre = flat.mean(axis=0, dtype="float64").astype(flat.dtype)
    centred = flat - centre  # rounding grows with the squares of the coordinates
    best = xp.full((n, k), math.inf, dtype=flat.dtype)
    index = xp.full((n, k), -1, dtype="int64")
    for start, block in _training_blocks(training, flat):
        some = block - centre
        for rows in blocks.blocks(n, some.shape[0] + k):
            d2 = xp.concatenate([best[rows], blocks.squared_distances(centred[rows], some)], axis=1)
            known = xp.concatenate(
                [index[rows], _numbered(xp, start, d2.shape[0], some.shape[0])], axis=1
            )
            chosen = xp.argpartition(d2, k - 1, axis=1)[:, :k]
            best[rows] = xp.take_along_axis(d2, chosen, axis=1)
            index[rows] = xp.take_along_axis(known, chosen, axis=1)
    return _exactly(flat, training, index)


def _numbered(xp: Any, start: int, rows: int, columns: int) -> Array:
    return xp.broadcast_to(xp.arange(start, start + columns, dtype="int64"), (rows, columns))


def _training_blocks(training: Any, samples: Array) -> Iterator[tuple[int, Array]]:
    """Yield the start of each block of training examples, and the block, flat, on the device."""
    for block in blocks.blocks(len(training), int(samples.shape[1])):
        some = _examples(training, numpy.arange(block.start, block.stop), samples)
        yield block.start, some.astype(samples.dtype, copy=False)


def _examples(training: Any, indices: Any, samples: Array) -> Array:
    ops = backend.of(samples)
    if hasattr(training, "batch"):
        some = ops.asarray(training.batch(indices))
    else:
        some = training[backend.of(training).asarray(indices)]
    some = blocks.points(_rows(some), "training examples")
    blocks.check_alike(samples, some, "samples", "training examples")
    return some


def _exactly(samples: Array, training: Any, index: Array) -> Neighbours:
    """Recompute the distances of the chosen neighbours from differences, and sort by them."""
    xp = backend.of(samples).xp
    n, k = index.shape
    distance = xp.empty((n, k), dtype="float64")
    for rows in blocks.blocks(n, k * int(samples.shape[1])):
        chosen = _examples(training, backend.to_numpy(index[rows]).ravel(), samples)
        mine = samples[rows].astype("float64")[:, None, :]
        offset = mine - chosen.astype("float64").reshape(-1, k, samples.shape[1])
        distance[rows] = xp.sqrt((offset * offset).sum(axis=2))
    order = xp.argsort(distance, axis=1)
    return Neighbours(
        xp.take_along_axis(index, order, axis=1), xp.take_along_axis(distance, order, axis=1)
    )


def _rows(x: Array) -> Array:
    backend.of(x)
    return x.reshape(x.shape[0], -1) if x.ndim > 1 and x.shape[0] else x

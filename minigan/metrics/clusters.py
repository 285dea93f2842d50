"""How well clusters found without labels agree with the labels."""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import ArrayLike, NDArray

MOST = 16
"""Largest number of clusters: the matching looks at all sets of labels."""


def matched_accuracy(clusters: ArrayLike, labels: ArrayLike) -> float:
    """Return the share of samples in the right cluster, for the best one-to-one matching.

    Every cluster is given a label of its own, in the way that makes most samples right. By chance,
    ten clusters reach about 0.15.

    Parameters
    ----------
    clusters, labels
        Integers from 0, shape (N,).

    Raises
    ------
    ValueError
        If the shapes differ, there are no samples, one isn't an integer from 0, or there are more
        than `MOST` clusters or labels.
    """
    table = _counts(numpy.asarray(clusters), numpy.asarray(labels))
    # best[s]: most samples right, if the clusters so far have been given the labels in the set s.
    best = {0: 0}
    for row in table:
        following: dict[int, int] = {}
        for taken, right in best.items():
            for label, count in enumerate(row.tolist()):
                if not taken >> label & 1:
                    now = taken | 1 << label
                    following[now] = max(following.get(now, 0), right + count)
        best = following
    return max(best.values()) / int(table.sum())


def _counts(clusters: NDArray[Any], labels: NDArray[Any]) -> NDArray[Any]:
    """Count the samples of each cluster (row) with each label (column), in a square table."""
    if clusters.shape != labels.shape or clusters.ndim != 1 or not len(labels):
        raise ValueError(
            f"Clusters and labels must have the same shape (N,), got {clusters.shape} and "
            f"{labels.shape}; give one of each for every sample."
        )
    if not all(x.dtype.kind in "ui" and x.min() >= 0 for x in (clusters, labels)):
        raise ValueError(
            f"Clusters and labels must be integers from 0, got {clusters.dtype} from "
            f"{clusters.min()} and {labels.dtype} from {labels.min()}; leave out what has none."
        )
    size = 1 + int(max(clusters.max(), labels.max()))
    if size > MOST:
        raise ValueError(f"At most {MOST} clusters can be matched, got {size}; merge some.")
    table = numpy.zeros((size, size), int)
    numpy.add.at(table, (clusters, labels), 1)
    return table

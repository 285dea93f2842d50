r"""Kernel distance: the unbiased squared maximum mean discrepancy (MMD) with a cubic kernel.

For samples x₁..x_m and y₁..y_n and the kernel k(x, y) = (x·y / d + 1)³,

.. math::
    \mathrm{MMD}^2 = \frac{1}{m(m-1)} \sum_{i \ne j} k(x_i, x_j)
                     + \frac{1}{n(n-1)} \sum_{i \ne j} k(y_i, y_j)
                     - \frac{2}{mn} \sum_{i, j} k(x_i, y_j)

is an unbiased estimate for all m and n: if both sets come from one distribution, it is 0 on average
and so often negative. It compares means, covariances and third moments at once (Gretton et al.,
JMLR 2012, lemma 6; Bińkowski et al., "Demystifying MMD GANs", ICLR 2018, section 4, as the "kernel
inception distance", KID, on Inception's features; on other features, the number isn't comparable
with published ones).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy

from minigan import backend, randomness
from minigan.backend import Array
from minigan.metrics import blocks


@dataclass(frozen=True)
class KernelDistance:
    """Mean and spread of MMD² over random subsets.

    Attributes
    ----------
    mean
        Mean of the estimates; unbiased like each of them, so possibly negative.
    std
        Their standard deviation. It isn't the error of the mean, since subsets overlap.
    subsets, subset_size
        Number of subsets, and number of samples in each.
    """

    mean: float
    std: float
    subsets: int
    subset_size: int


def kernel_distance(
    features: Array,
    reference: Array,
    *,
    rng: numpy.random.Generator,
    subsets: int = 50,
    subset_size: int = 1000,
) -> KernelDistance:
    """MMD² on random subsets, as Bińkowski et al. report it.

    Parameters
    ----------
    features
        Shape (N, d).
    reference
        Shape (M, d), on the same device.
    rng
        Draws the subsets, without replacement within each.
    subsets
        Number of subsets.
    subset_size
        Samples of each kind in a subset; fewer if N or M is smaller (the result gives the number).

    Returns
    -------
    KernelDistance

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or a number is too small.
    TypeError
        If `rng` isn't a generator, or the arrays aren't on one device.
    """
    features, reference = blocks.pair(
        features, reference, "features", "reference features", at_least=2
    )
    rng = randomness.generator(rng)
    if subsets < 1 or subset_size < 2:
        raise ValueError(
            f"At least 1 subset of 2 samples is needed, got {subsets} of {subset_size}."
        )
    n, m = int(features.shape[0]), int(reference.shape[0])
    size = min(subset_size, n, m)
    xp = backend.of(features).xp
    estimates = numpy.empty(subsets)
    for index in range(subsets):
        x = features[xp.asarray(rng.choice(n, size, replace=False))]
        y = reference[xp.asarray(rng.choice(m, size, replace=False))]
        estimates[index] = mmd2(x, y)
    return KernelDistance(float(estimates.mean()), float(estimates.std()), subsets, size)


def mmd2(x: Array, y: Array) -> float:
    """The unbiased estimate of MMD² with the cubic kernel.

    Parameters
    ----------
    x
        Shape (m, d), m >= 2.
    y
        Shape (n, d), n >= 2, on the same device.

    Returns
    -------
    float
        May be negative. Computed in float64: it is a small difference of large sums.

    Raises
    ------
    ValueError
        If the shapes don't match or values aren't finite.
    """
    x, y = blocks.pair(x, y, "samples", "reference", at_least=2)
    x, y = x.astype("float64"), y.astype("float64")
    m, n = int(x.shape[0]), int(y.shape[0])
    within_x = (_kernel_sum(x, x) - _diagonal_sum(x)) / (m * (m - 1))
    within_y = (_kernel_sum(y, y) - _diagonal_sum(y)) / (n * (n - 1))
    return within_x + within_y - 2 * _kernel_sum(x, y) / (m * n)


def _kernel_sum(x: Array, y: Array) -> float:
    """Sum of k over all pairs, a block of rows at a time."""
    parts = []
    for block in blocks.blocks(x.shape[0], y.shape[0]):
        base = x[block] @ (y.T / x.shape[1]) + 1
        parts.append(float((base * base * base).sum()))
    return math.fsum(parts)


def _diagonal_sum(x: Array) -> float:
    return float((((x * x).sum(axis=1) / x.shape[1] + 1) ** 3).sum())

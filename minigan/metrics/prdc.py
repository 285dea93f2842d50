r"""Precision and density (are the samples realistic?), recall and coverage (are they diverse?).

Around each real point, there is a ball B_r that reaches to its k-th nearest real neighbour, and
around each sample a ball B_s that reaches to its k-th nearest sample. The union of the balls
approximates the support of each distribution.

* precision: share of samples inside at least one real ball;
* recall: share of real points inside at least one sample's ball (Kynkäänniemi et al., "Improved
  precision and recall metric for assessing generative models", NeurIPS 2019, section 2);
* density: mean number of real balls that contain a sample, divided by k, so that the huge ball of a
  single outlier has less influence;
* coverage: share of real balls that contain at least one sample
  (Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020,
  section 3).

If both sets come from one distribution, the expected density is 1, and the expected coverage is
about 1 - 2^-k: a real ball contains no sample if the k nearest of the N + M - 1 other points are
all real, which for N = M happens with probability (1/2)^k (Naeem et al.; see `expected_coverage`
for the exact value). Precision and recall have no such fixed value, which is why the floor (data
against data) is needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minigan import backend
from minigan.backend import Array
from minigan.metrics import blocks

ROUNDING = 1e-14
"""Of a squared distance, relative to |x|² + |y|²: that of several operations in float64."""


@dataclass(frozen=True)
class PRDC:
    """Precision, recall, density and coverage.

    Attributes
    ----------
    precision, recall, coverage
        0 to 1.
    density
        0 or more; 1 on average if samples and data come from one distribution.
    k
        The rank of the neighbour that a ball reaches to.
    """

    precision: float
    recall: float
    density: float
    coverage: float
    k: int


def prdc(samples: Array, reference: Array, *, k: int = 5) -> PRDC:
    """Precision, recall, density and coverage of samples against real data.

    Parameters
    ----------
    samples
        Features of the samples, shape (M, d).
    reference
        Features of the real data, shape (N, d), on the same device.
    k
        The rank of the neighbour (not counting the point itself) that the balls reach to: at least
        1, less than N and M.

    Returns
    -------
    PRDC

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or there are too few points for `k`.
    TypeError
        If the arrays aren't on one device.

    Notes
    -----
    Distances are computed in float64, a block of rows at a time, so that an N x M matrix is never
    held in memory. The balls are closed, as in the papers, so that copies of a point are in its
    ball even if its radius is 0; distances that differ by rounding alone count as equal. The points
    are centred on their median, which a few outliers don't move: rounding grows with the squares of
    their distances from there.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    samples, reference = blocks.pair(samples, reference, "samples", "reference", at_least=k + 1)
    xp = backend.of(samples).xp
    centre = xp.median(reference.astype("float64"), axis=0)
    samples, reference = samples - centre, reference - centre
    sample_slack, real_slack = _slack(samples), _slack(reference)
    sample_radius2 = kth_distances2(samples, k) * (1 + ROUNDING) + sample_slack
    real_radius2 = kth_distances2(reference, k) * (1 + ROUNDING) + real_slack
    n, m = int(reference.shape[0]), int(samples.shape[0])
    hits = xp.zeros(m, dtype="int64")
    recalled = covered = 0
    for block in blocks.blocks(n, m):
        d2 = blocks.squared_distances(reference[block], samples)
        within_samples = d2 - real_slack[block, None] <= sample_radius2
        recalled += int(within_samples.any(axis=1).sum())
        d2 -= sample_slack
        radius2 = real_radius2[block]
        hits += (d2 <= radius2[:, None]).sum(axis=0)
        covered += int((d2.min(axis=1) <= radius2).sum())
    return PRDC(
        precision=int((hits > 0).sum()) / m,
        recall=recalled / n,
        density=int(hits.sum()) / (m * k),
        coverage=covered / n,
        k=k,
    )


def _slack(x: Array) -> Array:
    """Bound what a point contributes to the rounding of its squared distances: (N, d) -> (N,)."""
    return ROUNDING * (x * x).sum(axis=1)


def kth_distances2(x: Array, k: int) -> Array:
    """Squared distance of each point to its k-th nearest other point: (N, d) -> (N,)."""
    xp = backend.of(x).xp
    parts = []
    for block in blocks.blocks(x.shape[0], x.shape[0]):
        d2 = blocks.squared_distances(x[block], x)
        rows = xp.arange(d2.shape[0])
        # Exclude the point itself by position, not by value: a duplicate is a neighbour.
        d2[rows, rows + block.start] = math.inf
        d2.partition(k - 1)
        parts.append(d2[:, k - 1].copy())
    return xp.concatenate(parts)


def expected_coverage(real: int, samples: int, k: int) -> float:
    """Expected coverage of N real points by M samples of a perfect generator.

    It is ``1 - Π_{i<k} (N-1-i) / (N+M-1-i)``: the product is the probability that the k nearest of
    the N + M - 1 other points are all real, whatever the distribution (derived by Naeem et al.
    2020). If N = M is large, the coverage is close to 1 - 2^-k.
    """
    return 1 - math.prod((real - 1 - i) / (real + samples - 1 - i) for i in range(k))

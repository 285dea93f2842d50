r"""Are the samples real (precision, density), and is all of the real there (recall, coverage)?

Around each real point lies a ball B_r that reaches its k-th nearest real neighbour, and around each
sample a ball B_s that reaches its k-th nearest sample. The union of the balls stands for "where the
data are".

* precision: share of samples inside at least one real ball;
* recall: share of real points inside at least one sample's ball (Kynkäänniemi et al., "Improved
  precision and recall metric for assessing generative models", NeurIPS 2019, section 2);
* density: mean number of real balls a sample lies in, divided by k: one outlier's huge ball no
  longer decides;
* coverage: share of real balls that hold at least one sample
  (Naeem et al., "Reliable fidelity and diversity metrics for generative models", ICML 2020,
  section 3).

Where both sets come from one law, the expected density is 1, and the expected coverage about 1 -
2^-k: a real ball holds no sample if its k nearest among the N + M - 1 other points are all real,
which for N = M happens with probability (1/2)^k (Naeem et al., see `expected_coverage` for the
exact value). Precision and recall have no such fixed value; that is what the floor (data against
data) is for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minigan import backend
from minigan.backend import Array
from minigan.metrics import blocks


@dataclass(frozen=True)
class PRDC:
    """Precision, recall, density and coverage.

    Attributes
    ----------
    precision, recall, coverage
        0 to 1.
    density
        0 or more; 1 on average where samples and data come from one law.
    k
        The neighbour that a ball reaches.
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
        The neighbour (the point itself not counted) that the balls reach: at least 1, less than N
        and M.

    Returns
    -------
    PRDC

    Raises
    ------
    ValueError
        If the shapes don't fit, numbers are not finite, or there are too few points for `k`.
    TypeError
        If the arrays don't live on one device.

    Notes
    -----
    Distances are computed in the arrays' precision, a block of rows at a time: 50,000 x 50,000 are
    never held.
    """
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}.")
    samples, reference = blocks.pair(samples, reference, "samples", "reference", at_least=k + 1)
    centre = reference.mean(axis=0)
    samples, reference = samples - centre, reference - centre
    sample_radius2, real_radius2 = kth_distances2(samples, k), kth_distances2(reference, k)
    n, m = int(reference.shape[0]), int(samples.shape[0])
    hits = backend.of(samples).xp.zeros(m, dtype="int64")
    recalled = covered = 0
    for block in blocks.blocks(n, m):
        d2 = blocks.squared_distances(reference[block], samples)
        radius2 = real_radius2[block]
        hits += (d2 < radius2[:, None]).sum(axis=0)
        recalled += int((d2 < sample_radius2[None, :]).any(axis=1).sum())
        covered += int((d2.min(axis=1) < radius2).sum())
    return PRDC(
        precision=int((hits > 0).sum()) / m,
        recall=recalled / n,
        density=int(hits.sum()) / (m * k),
        coverage=covered / n,
        k=k,
    )


def kth_distances2(x: Array, k: int) -> Array:
    """Squared distance of each point to its k-th nearest other point: (N, d) -> (N,), a block at a
    time.
    """
    xp = backend.of(x).xp
    parts = []
    for block in blocks.blocks(x.shape[0], x.shape[0]):
        d2 = blocks.squared_distances(x[block], x)
        rows = xp.arange(d2.shape[0])
        # By position and not by value: a duplicate is a neighbour at distance 0, the point itself
        # is none.
        d2[rows, rows + block.start] = math.inf
        d2.partition(k - 1)
        parts.append(d2[:, k - 1].copy())
    return xp.concatenate(parts)


def expected_coverage(real: int, samples: int, k: int) -> float:
    """Coverage of `samples` perfect samples against `real` points:
    ``1 - Π_{i<k} (N-1-i) / (N+M-1-i)``.

    The k nearest of a real point's N + M - 1 neighbours are all real with that probability,
    whatever the law (Naeem et al. 2020 derive it); near 1 - 2^-k where N = M is large.
    """
    return 1 - math.prod((real - 1 - i) / (real + samples - 1 - i) for i in range(k))

r"""Has the generator found every mode? Metrics for mixtures of Gaussians with known modes.

With K centres and one standard deviation σ, a sample is of **high quality** if its nearest centre
is within three σ. With c_k high-quality samples at centre k and q_k = c_k / Σ c:

* modes covered: the number of k with c_k >= 1 (PacGAN), or c_k >= some share of all samples;
* reverse KL, Σ q_k ln(q_k / (1/K)) = ln K - H(q), in nats: 0 if all modes are equally frequent,
  ln K if there is only one;
* mode total variation, ½ Σ |q_k - 1/K|: the share of samples that would have to move to another
  mode.

Definitions: Lin, Khetan, Fanti and Oh, "PacGAN: the power of two samples in generative adversarial
networks", NeurIPS 2018, section 4.1, and its published code, which uses N = 2,500 samples.

The values for a perfect sampler
--------------------------------
In two dimensions, the distance to the right centre has a Rayleigh distribution, so 1 - exp(-9/2) =
98.89 % of perfect samples are of high quality, not 100 %. And N random samples don't spread evenly
over K modes: the reverse KL of perfect samples is (K - 1) / (2 N) on average (2 N KL is a
likelihood-ratio statistic, chi-squared with K - 1 degrees of freedom), 0.0014 for 8 modes and
0.0048 for 25 at N = 2,500. See `ideal_modes`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from minigan import backend
from minigan.backend import Array
from minigan.metrics import blocks


@dataclass(frozen=True)
class ModeReport:
    """How samples are distributed over the modes of a mixture.

    Attributes
    ----------
    covered
        Number of modes that are reached.
    modes
        K, the number of modes.
    high_quality
        Share of the samples, 0 to 1, within `sigmas` standard deviations of the nearest centre.
    reverse_kl
        In nats, 0 to ln K; infinity if no sample is of high quality.
    total_variation
        Half the sum of |q_k - 1/K|, 0 to 1 - 1/K; 1 if no sample is of high quality.
    counts
        Number of high-quality samples at each centre.
    samples
        N, the number of samples.
    """

    covered: int
    modes: int
    high_quality: float
    reverse_kl: float
    total_variation: float
    counts: tuple[int, ...]
    samples: int

    def __str__(self) -> str:
        return (
            f"{self.covered} of {self.modes} modes, {100 * self.high_quality:.1f} % of "
            f"{self.samples:,} samples of high quality, reverse KL {self.reverse_kl:.4f} nats"
        )


def mode_report(
    samples: Array,
    centres: Array,
    std: float,
    *,
    sigmas: float = 3.0,
    min_share: float | None = None,
) -> ModeReport:
    """Count high-quality samples at each centre of a mixture of equally likely Gaussians.

    Parameters
    ----------
    samples
        Shape (N, d).
    centres
        Shape (K, d), on the same device.
    std
        Standard deviation of each mode along each axis.
    sigmas
        A sample is of high quality within this many standard deviations of its nearest centre.
    min_share
        A mode is covered if its high-quality samples are at least this share (0 to 1) of all N.
        None: one sample is enough, PacGAN's rule.

    Returns
    -------
    ModeReport

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or a parameter is out of range.
    TypeError
        If `samples` and `centres` aren't arrays on one device.
    """
    samples, centres = blocks.pair(samples, centres, "samples", "centres")
    if not (std > 0 and sigmas > 0):
        raise ValueError(f"std and sigmas must be positive, got std={std} and sigmas={sigmas}.")
    if min_share is not None and not 0 <= min_share <= 1:
        raise ValueError(f"min_share must be between 0 and 1, got {min_share}.")
    counts = _high_quality_counts(samples, centres, std * sigmas)
    n, k, total = int(samples.shape[0]), len(counts), sum(counts)
    return ModeReport(
        covered=sum(c > 0 and c / n >= (min_share or 0.0) for c in counts),
        modes=k,
        high_quality=total / n,
        reverse_kl=reverse_kl(counts),
        total_variation=sum(abs(c / total - 1 / k) for c in counts) / 2 if total else 1.0,
        counts=counts,
        samples=n,
    )


def reverse_kl(counts: tuple[int, ...]) -> float:
    """``KL(q || uniform) = ln K - H(q)`` of counts, in nats; infinity if all are 0."""
    total = sum(counts)
    if total == 0:
        return math.inf
    entropy = -sum(c / total * math.log(c / total) for c in counts if c)
    return max(0.0, math.log(len(counts)) - entropy)


def ideal_modes(modes: int, samples: int, *, sigmas: float = 3.0) -> tuple[float, float]:
    """Share of high quality and mean reverse KL for a perfect sampler of a 2-D mixture.

    Parameters
    ----------
    modes
        K.
    samples
        N.
    sigmas
        As in `mode_report`.

    Returns
    -------
    high_quality, reverse_kl
        ``1 - exp(-sigmas²/2)`` and ``(K - 1) / (2 N P)``, P the former; the second to first order
        in 1/N.
    """
    share = -math.expm1(-(sigmas**2) / 2)
    return share, (modes - 1) / (2 * samples * share)


def _high_quality_counts(samples: Array, centres: Array, radius: float) -> tuple[int, ...]:
    xp = backend.of(samples).xp
    k = int(centres.shape[0])
    total = xp.zeros(k, dtype="int64")
    for block in blocks.blocks(samples.shape[0], int(centres.size)):
        # Not `blocks.squared_distances`: modes may be narrow compared with their distance from 0.
        offset = samples[block][:, None, :] - centres[None, :, :]
        distance2 = (offset * offset).sum(axis=2)
        nearest = distance2.argmin(axis=1)
        good = distance2.min(axis=1) <= radius * radius
        total += xp.bincount(nearest[good], minlength=k)
    return tuple(int(c) for c in backend.to_numpy(total))

r"""Fréchet distance between two Gaussians, and between Gaussians fitted to two sets of features.

.. math::
    d^2 = |\mu_1 - \mu_2|^2 + \mathrm{tr}\,\Sigma_1 + \mathrm{tr}\,\Sigma_2
          - 2\,\mathrm{tr}\,(\Sigma_1 \Sigma_2)^{1/2}

(Dowson and Landau, "The Fréchet distance between multivariate normal distributions", Journal of
Multivariate Analysis 12, 1982; Heusel et al., "GANs trained by a two time-scale update rule",
NeurIPS 2017, section 3, for its use on features; both report d², as this module does.)

The trace, using symmetric matrices only
----------------------------------------
Σ₁Σ₂ isn't symmetric, and its general matrix square root is slow to compute and can come out complex
if a covariance is singular, as with fewer samples than features. But with the symmetric roots S₁
and S₂ of the two, Σ₁Σ₂ = S₁ (S₁S₂) S₂ has the same eigenvalues as

    S₂S₁ S₁S₂ = (S₁S₂)ᵀ(S₁S₂),

since AB and BA have the same eigenvalues. Their square roots are the singular values of S₁S₂, whose
sum is tr (Σ₁Σ₂)^½: two symmetric eigenvalue problems and one of singular values, always real.

A zero eigenvalue of Σ is computed as ± ε|Σ|, whose square root would be as large as √(ε|Σ|).
Eigenvalues below d ε times the largest are therefore set to 0.
"""

from __future__ import annotations

import math
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.metrics import blocks


def frechet_distance(features: Array, reference: Array) -> float:
    """d² between the Gaussians fitted to two sets of features.

    The estimate is biased upwards, and more so with fewer samples (Bińkowski et al. 2018): only
    compare numbers for the same sample sizes, and look at the floor, the distance between two sets
    of real data.

    Parameters
    ----------
    features
        Shape (N, d), N >= 2.
    reference
        Shape (M, d), M >= 2, on the same device.

    Returns
    -------
    float
        d² >= 0, in squared units of the features.

    Raises
    ------
    ValueError
        If the shapes don't match or values aren't finite.
    """
    features, reference = blocks.pair(
        features, reference, "features", "reference features", at_least=2
    )
    return frechet_gaussian(*moments(features), *moments(reference))


def moments(features: Array) -> tuple[Array, Array]:
    """Mean and covariance (divided by N - 1), in float64 for any precision of the features.

    Parameters
    ----------
    features
        Shape (N, d), N >= 2.

    Returns
    -------
    mean
        Shape (d,), float64.
    covariance
        Shape (d, d), float64.

    Raises
    ------
    ValueError
        If the shape is wrong or values aren't finite.
    """
    features = blocks.points(features, "features", at_least=2)
    xp = backend.of(features).xp
    n, d = features.shape
    mean = xp.zeros(d, dtype="float64")
    for block in blocks.blocks(n, d):
        mean += features[block].sum(axis=0, dtype="float64")
    mean /= n
    covariance = xp.zeros((d, d), dtype="float64")
    for block in blocks.blocks(n, d):
        centred = features[block].astype("float64") - mean
        covariance += centred.T @ centred
    return mean, covariance / (n - 1)


def frechet_gaussian(mean1: Array, covariance1: Array, mean2: Array, covariance2: Array) -> float:
    """d² between N(mean1, covariance1) and N(mean2, covariance2), in closed form.

    Parameters
    ----------
    mean1, mean2
        Shape (d,).
    covariance1, covariance2
        Shape (d, d), symmetric and positive semi-definite, possibly singular.

    Returns
    -------
    float
        d² >= 0.

    Raises
    ------
    ValueError
        If the shapes don't match, or a value isn't finite.
    TypeError
        If one isn't an array.
    """
    given = (mean1, covariance1, mean2, covariance2)
    for array in given:
        backend.of(array)  # which refuses what isn't an array
    d = mean1.size
    shapes = [tuple(a.shape) for a in given]
    if shapes != [(d,), (d, d), (d,), (d, d)]:
        raise ValueError(
            f"Means of shape (d,) and covariances of shape (d, d) are needed, got shapes {shapes}."
        )
    xp = backend.of(mean1).xp
    a, first, b, second = (x.astype("float64") for x in given)
    for x in (a, first, b, second):
        blocks.require_finite(xp, x, "means and covariances")
    traces = float(xp.trace(first)) + float(xp.trace(second))
    return max(0.0, float((a - b) @ (a - b)) + traces - 2 * trace_of_root(first, second))


def trace_of_root(covariance1: Array, covariance2: Array) -> float:
    """``tr (Σ₁Σ₂)^½`` from the singular values of ``Σ₁^½ Σ₂^½``; both of shape (d, d)."""
    xp = backend.of(covariance1).xp
    first, second = (_root(xp, c.astype("float64")) for c in (covariance1, covariance2))
    # Their squares, as eigenvalues, would drown in rounding where one spread is 10,000 others.
    return float(xp.linalg.svd(first @ second, compute_uv=False).sum())


def _root(xp: Any, covariance: Array) -> Array:
    """Return ``Σ^½``, without the directions of which only rounding is seen."""
    values, vectors = xp.linalg.eigh(covariance)
    noise = float(values.max()) * values.size * math.ulp(1.0)
    return (vectors * xp.sqrt(xp.where(values > noise, values, 0.0))) @ vectors.T

r"""Exploring what a generator has learnt by moving through its latent space.

A walk between two latents shows whether samples change smoothly (if they do, G hasn't merely
memorised its data); arithmetic on averaged latents shows whether directions have a meaning (Radford
et al. 2016, sections 6.1 and 6.3.2); a sweep shows what a single coordinate does.

In many dimensions nearly all of N(0, I) lies close to a sphere of radius :math:`\sqrt d`. The
straight line between two of its points passes through the inside, :math:`\sqrt{d/2}` from the
origin half way along, where G has hardly ever been trained; the arc stays near the sphere (White
2016, "Sampling generative networks", section 2.1). For the uniform distribution on a cube, the
straight line never leaves the cube and is the natural path.

All functions take and return NumPy arrays on the host; integers are taken as float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import randomness
from minigan.backend.window import is_whole

__all__ = [
    "Latent",
    "arithmetic",
    "factorised",
    "influence",
    "linear",
    "separating",
    "spherical",
    "sweep",
    "truncated",
    "walk",
]

_PARALLEL = 1e-6
KINDS = ("normal", "uniform")

Latents = NDArray[Any]
"""Latent vectors on the host: shape (n, size), or (size,) for one."""


@dataclass(frozen=True)
class Latent:
    """The distribution of latent vectors z.

    Parameters
    ----------
    size
        Length of z.
    kind
        ``"normal"``: N(0, I). ``"uniform"``: U(-1, 1) in each coordinate, as in DCGAN (Radford et
        al. 2016).

    Raises
    ------
    ValueError
        If the size isn't positive or the kind is unknown.
    TypeError
        If the size isn't a whole number.
    """

    size: int
    kind: str = "normal"

    def __post_init__(self) -> None:
        _whole("The size of a Latent", self.size)
        if self.size < 1:
            raise ValueError(f"A latent vector needs at least one number, got size {self.size}.")
        if self.kind not in KINDS:
            raise ValueError(
                f"Unknown latent distribution {self.kind!r}; use one of {', '.join(KINDS)}."
            )

    def sample(self, n: int, rng: numpy.random.Generator) -> Latents:
        """Draw n latent vectors on the host: float32, shape (n, size)."""
        randomness.generator(rng)
        _whole("The number of latents", n)
        if n < 0:
            raise ValueError(f"The number of latents must be 0 or more, got {n}.")
        if self.kind == "normal":
            return rng.standard_normal((n, self.size), dtype="float32")
        return 2 * rng.random((n, self.size), dtype="float32") - 1


def linear(z0: Latents, z1: Latents, steps: int) -> Latents:
    """Interpolate from `z0` to `z1` along a straight line: ``(1 - t) z0 + t z1``.

    Parameters
    ----------
    z0, z1
        Latents, shape (d,).
    steps
        Number of points, both ends included, at least 2.

    Returns
    -------
    ndarray, shape (steps, d)

    Raises
    ------
    ValueError
        If the shapes differ or there are fewer than two steps.
    TypeError
        If the number of steps isn't a whole number.
    """
    z0, z1, t = _way(z0, z1, steps)
    return (1 - t) * z0 + t * z1


def spherical(z0: Latents, z1: Latents, steps: int) -> Latents:
    r"""Interpolate from `z0` to `z1` along an arc around the origin.

    .. math::
        \frac{\sin((1 - t)\,\Omega)}{\sin\Omega}\, z_0 + \frac{\sin(t\,\Omega)}{\sin\Omega}\, z_1,

    with Ω the angle between them (Shoemake 1985; White 2016). If they point in the same direction,
    or in opposite ones (so that no arc is the shortest), it is the straight line.

    Parameters
    ----------
    z0, z1, steps
        As in `linear`.

    Returns
    -------
    ndarray, shape (steps, d)

    Raises
    ------
    ValueError, TypeError
        As `linear`.
    """
    z0, z1, t = _way(z0, z1, steps)
    lengths = float(numpy.linalg.norm(z0) * numpy.linalg.norm(z1))
    cosine = float(z0 @ z1) / lengths if lengths > 0 else 1.0
    if abs(cosine) > 1 - _PARALLEL:
        return (1 - t) * z0 + t * z1
    angle = numpy.arccos(cosine)
    way = (numpy.sin((1 - t) * angle) * z0 + numpy.sin(t * angle) * z1) / numpy.sin(angle)
    return numpy.asarray(way, dtype=t.dtype)


def walk(
    stops: Latents, steps: int, *, path: Callable[[Latents, Latents, int], Latents] = spherical
) -> Latents:
    """Walk through all `stops` and back to the first, for an animation that loops.

    Parameters
    ----------
    stops
        Latents, shape (K, d), K >= 2.
    steps
        Number of latents from each stop up to the next, which isn't counted.
    path
        `linear` or `spherical`.

    Returns
    -------
    ndarray, shape (K * steps, d)

    Raises
    ------
    ValueError
        If there are fewer than two stops, or less than one step.
    """
    stops = _floats(stops)
    if len(stops) < 2 or steps < 1:
        raise ValueError(
            "A walk needs at least two stops and one step between them, got "
            f"{len(stops)} stops and {steps} steps."
        )
    ends = numpy.roll(stops, -1, axis=0)
    return numpy.concatenate([path(a, b, steps + 1)[:-1] for a, b in zip(stops, ends, strict=True)])


def arithmetic(z: Latents, a: Sequence[int], b: Sequence[int], c: Sequence[int]) -> Latents:
    """Return mean(z[a]) - mean(z[b]) + mean(z[c]): "smiling woman - neutral woman + neutral man".

    A single latent carries much besides the attribute in question; the mean of a few samples that
    share it is more stable (Radford et al. 2016, section 6.3.2, average three).

    Parameters
    ----------
    z
        Latents, shape (N, d).
    a, b, c
        Indices into `z`, at least one each.

    Returns
    -------
    ndarray, shape (d,)

    Raises
    ------
    ValueError
        If a group is empty or an index out of range.
    """
    z = _floats(z)
    for group in (a, b, c):
        if numpy.ndim(group) != 1:
            raise ValueError(f"A group of samples must be a list of indices, got {group!r}.")
        if not len(group) or not all(_is_index(i, len(z)) for i in group):
            raise ValueError(
                f"A group of samples must name at least one of 0 to {len(z) - 1}, got "
                f"{list(group) or 'none'}."
            )
    first, second, third = (z[list(group)].mean(axis=0) for group in (a, b, c))
    return numpy.asarray(first - second + third)


def _is_index(i: Any, count: int) -> bool:
    return isinstance(i, (int, numpy.integer)) and 0 <= int(i) < count


def sweep(z: Latents, coordinate: int, values: Sequence[float] | NDArray[Any]) -> Latents:
    """Set one coordinate of a latent to each of `values` in turn.

    Parameters
    ----------
    z
        A latent, shape (d,).
    coordinate
        Its index.
    values
        What it is set to, shape (K,).

    Returns
    -------
    ndarray, shape (K, d)

    Raises
    ------
    ValueError
        If `z` isn't one latent, or there is no such coordinate, or no value.
    """
    z, values = _floats(z), numpy.asarray(values)
    if z.ndim != 1:
        raise ValueError(
            f"A sweep starts from one latent of shape (d,), got shape {z.shape}; give z[0]."
        )
    if not 0 <= coordinate < len(z) or not len(values):
        raise ValueError(
            f"A sweep of a latent of length {len(z)} needs one of its coordinates 0 to "
            f"{len(z) - 1}, got {coordinate}, and at least one value, got {len(values)}."
        )
    swept = numpy.repeat(z[None], len(values), axis=0)
    swept[:, coordinate] = values
    return swept


def influence(
    sample: Callable[[Latents], NDArray[Any]], z: Latents, *, step: float = 1.0
) -> NDArray[Any]:
    """Measure how much each coordinate changes the samples.

    Parameters
    ----------
    sample
        ``latents (N, d) -> samples (N, ...)``, on the host.
    z
        Latents to start from, shape (N, d).
    step
        How far each coordinate is moved, up and down.

    Returns
    -------
    ndarray of float64, shape (d,)
        Root mean square difference between the samples `step` above and below.
    """
    z, found = _floats(z), []
    for coordinate in range(z.shape[1]):
        shift = numpy.zeros(z.shape[1], z.dtype)
        shift[coordinate] = step
        difference = numpy.asarray(sample(z + shift), "float64") - sample(z - shift)
        found.append(float(numpy.sqrt((difference**2).mean())))
    return numpy.array(found)


def factorised(weight: NDArray[Any], count: int) -> tuple[Latents, NDArray[Any]]:
    r"""Find the directions that change a generator's first layer most (SeFa, Shen & Zhou 2021).

    The layer maps z to z W + b, so a step n of length 1 changes its output by n W, wherever it is
    taken. The longest change is along the leading eigenvector of :math:`W W^T`, which is the
    leading left singular vector of W (equation 5 of the paper); the next ones follow, each
    orthogonal to those before. No sample is drawn.

    Parameters
    ----------
    weight
        W, shape (d, features).
    count
        Number of directions, 1 to d.

    Returns
    -------
    directions : ndarray, shape (count, d)
        Of length 1, the sign such that the largest entry is positive.
    gains : ndarray, shape (count,)
        |n W|, falling.

    Raises
    ------
    ValueError
        If there aren't as many directions.
    """
    weight = _floats(weight)
    if weight.ndim != 2 or not 1 <= count <= len(weight):
        raise ValueError(
            f"A weight of shape {weight.shape} has 1 to {len(weight)} directions, got {count}."
        )
    # All left vectors are needed where there are more of them than features; never all right ones.
    left, gains, _ = numpy.linalg.svd(weight, full_matrices=weight.shape[0] > weight.shape[1])
    directions = left.T[:count]
    largest = numpy.abs(directions).argmax(axis=1)
    signs = numpy.sign(directions[numpy.arange(count), largest])
    some = numpy.zeros(count, weight.dtype)
    some[: len(gains)] = gains[:count]
    return signs[:, None] * directions, some


def separating(z: Latents, having: NDArray[Any]) -> Latents:
    r"""Find the direction that leads from samples without an attribute to those that have it.

    It is Fisher's linear discriminant, :math:`n \propto \Sigma^{-1} (\mu_1 - \mu_0)` with the means
    of both groups and the covariance Σ within them: the normal of the plane that tells them apart
    (Shen et al. 2020, "InterFaceGAN", section 3.1, where a support vector machine finds it).

    Parameters
    ----------
    z
        Latents or styles of samples, shape (N, d).
    having
        Whether each of them has the attribute, booleans (N,).

    Returns
    -------
    ndarray, shape (d,)
        Of length 1.

    Raises
    ------
    ValueError
        If fewer than two samples have it, or don't, the shapes don't fit, or the samples of each
        group are all the same.
    """
    z, having = _floats(z), numpy.asarray(having, bool)
    if z.ndim != 2 or having.shape != z.shape[:1]:
        raise ValueError(
            f"Latents (N, d) and a boolean for each are needed, got shapes {z.shape} and "
            f"{having.shape}."
        )
    if min(having.sum(), (~having).sum()) < 2:
        raise ValueError(
            f"{int(having.sum())} of {len(z)} samples have the attribute, but at least two must "
            "have it and two not; draw more samples, or choose another attribute."
        )
    groups = z[having], z[~having]
    centred = numpy.concatenate([group - group.mean(axis=0) for group in groups])
    within = centred.T @ centred / len(z)
    if not numpy.trace(within) > 0:
        raise ValueError("The samples with the attribute are all the same, and those without too.")
    within += 1e-3 * numpy.trace(within) / len(within) * numpy.eye(len(within))
    n = numpy.linalg.solve(within, groups[0].mean(axis=0) - groups[1].mean(axis=0))
    return numpy.asarray(n / numpy.linalg.norm(n), dtype=z.dtype)


def truncated(latent: Latent, n: int, rng: numpy.random.Generator, *, bound: float) -> Latents:
    """Draw latents with all coordinates in [-bound, bound]: better samples, but less variety.

    Coordinates beyond the bound are drawn again until there are none (the truncation trick: Brock
    et al. 2019, "BigGAN", section 3.1).

    Parameters
    ----------
    latent
        The distribution.
    n
        How many latents to draw.
    rng
        Draws them.
    bound
        Largest absolute value of a coordinate, at least 0.01.

    Returns
    -------
    ndarray of float32, shape (n, size)

    Raises
    ------
    ValueError
        If the bound is smaller: hardly any draw would fall inside.
    """
    if not bound >= 0.01:
        raise ValueError(f"The truncation bound must be at least 0.01, got {bound}.")
    z = latent.sample(n, rng)
    while missing := int((outside := numpy.abs(z) > bound).sum()):
        z[outside] = latent.sample(-(-missing // latent.size), rng).ravel()[:missing]
    return z


def _way(z0: Latents, z1: Latents, steps: int) -> tuple[Any, Any, Any]:
    z0, z1 = _floats(z0), _floats(z1)
    _whole("The number of steps", steps)
    if z0.ndim != 1 or z0.shape != z1.shape or steps < 2:
        raise ValueError(
            "A path needs two latents of the same shape (d,) and at least two steps, got "
            f"{z0.shape}, {z1.shape} and {steps} steps."
        )
    return z0, z1, numpy.linspace(0, 1, steps, dtype=numpy.result_type(z0, z1))[:, None]


def _whole(what: str, number: Any) -> None:
    if not is_whole(number):
        raise TypeError(f"{what} must be a whole number, got {number!r}.")


def _floats(z: Any) -> NDArray[Any]:
    """Return z as an array of floats: what lies between integers would be rounded to them."""
    z = numpy.asarray(z)
    return z if z.dtype.kind == "f" else z.astype("float64", casting="safe")

r"""2-D distributions, on which a GAN's training can be followed point by point.

Two of them are mixtures of Gaussians, the usual test for mode collapse: the real distribution has K
separate modes, and one counts how many of them the generator reaches.

* `ring`: eight modes on a circle of radius 2, standard deviation 0.02 (Metz, Poole, Pfau and
  Sohl-Dickstein, "Unrolled generative adversarial networks", ICLR 2017; the same in the toy
  experiments of Gulrajani et al., "Improved training of Wasserstein GANs", NeurIPS 2017). PacGAN
  (Lin, Khetan, Fanti and Oh, NeurIPS 2018) uses radius 1 and standard deviation 0.01: the same
  distribution at half the scale.
* `grid`: twenty-five modes at {-4, -2, 0, 2, 4} x {-4, -2, 0, 2, 4}, standard deviation 0.05
  (PacGAN; Srivastava et al., "VEEGAN", NeurIPS 2017).

The others are curves with a little noise around them. Without noise, the distribution has no
density in two dimensions, and a perfect discriminator exists whatever the generator does (Arjovsky
and Bottou, "Towards principled methods for training generative adversarial networks", ICLR 2017);
`std` = 0 gives this case deliberately.

Points are float32 arrays of shape (n, 2); they are NOT rescaled to [-1, 1].
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data.errors import choices

__all__ = [
    "DISTRIBUTIONS",
    "Distribution",
    "distribution",
    "gaussian_curve",
    "grid",
    "grid_centres",
    "moons",
    "parabola",
    "ring",
    "ring_centres",
    "spiral",
]

Points = npt.NDArray[numpy.float32]
Limits = tuple[tuple[float, float], tuple[float, float]]


def ring_centres(*, modes: int = 8, radius: float = 2.0) -> Points:
    r"""Centres of the ring's modes, radius * (cos 2πk/K, sin 2πk/K).

    The angles stop one step short of 2π: an inclusive ``linspace(0, 2π, K)`` would put two modes at
    the same point.

    Parameters
    ----------
    modes : int
        K, at least 1.
    radius : float
        Distance of each centre from the origin, positive.

    Returns
    -------
    ndarray of float32, shape (modes, 2)

    Raises
    ------
    ValueError
        If `modes` or `radius` is not positive.
    """
    _need(modes >= 1, f"ring got modes={modes} and needs at least 1 mode")
    _need(radius > 0, f"ring got radius={radius} and needs a positive radius")
    angles = 2 * numpy.pi * numpy.arange(modes) / modes
    return _points(radius * numpy.cos(angles), radius * numpy.sin(angles))


def grid_centres(*, side: int = 5, spacing: float = 2.0) -> Points:
    """Centres of the grid's modes, row by row, around the origin.

    Parameters
    ----------
    side : int
        Modes along each axis, at least 1.
    spacing : float
        Distance between neighbours, positive.

    Returns
    -------
    ndarray of float32, shape (side * side, 2)

    Raises
    ------
    ValueError
        If `side` or `spacing` is not positive.
    """
    _need(side >= 1, f"grid got side={side} and needs at least 1 mode per side")
    _need(spacing > 0, f"grid got spacing={spacing} and needs a positive spacing")
    ticks = spacing * (numpy.arange(side) - (side - 1) / 2)
    y, x = numpy.meshgrid(ticks, ticks, indexing="ij")
    return _points(x.ravel(), y.ravel())


def ring(
    n: int, *, rng: numpy.random.Generator, modes: int = 8, radius: float = 2.0, std: float = 0.02
) -> Points:
    """Draw points from equally likely Gaussians on a circle.

    Parameters
    ----------
    n : int
        Points to draw.
    rng : numpy.random.Generator
        The only source of randomness.
    modes, radius
        As in `ring_centres`.
    std : float
        Standard deviation of each mode along both axes.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    ValueError
        If `n`, `modes` or `radius` is not positive, or `std` is negative.
    """
    return _mixture(n, ring_centres(modes=modes, radius=radius), std, rng)


def grid(
    n: int, *, rng: numpy.random.Generator, side: int = 5, spacing: float = 2.0, std: float = 0.05
) -> Points:
    """Draw points from equally likely Gaussians on a square grid.

    Parameters
    ----------
    n : int
        Points to draw.
    rng : numpy.random.Generator
        The only source of randomness.
    side, spacing
        As in `grid_centres`.
    std : float
        Standard deviation of each mode along both axes.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    ValueError
        If `n`, `side` or `spacing` is not positive, or `std` is negative.
    """
    return _mixture(n, grid_centres(side=side, spacing=spacing), std, rng)


def parabola(n: int, *, rng: numpy.random.Generator, std: float = 0.02) -> Points:
    """Draw points around y = x², x uniform on [-1, 1].

    Parameters
    ----------
    n : int
        Points to draw.
    rng : numpy.random.Generator
        The only source of randomness.
    std : float
        Standard deviation of the noise added along both axes.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    ValueError
        If `n` is not positive or `std` is negative.
    """
    x = randomness.generator(rng).uniform(-1, 1, _count(n))
    return _around(x, x * x, std, rng)


def gaussian_curve(
    n: int, *, rng: numpy.random.Generator, width: float = 0.3, std: float = 0.02
) -> Points:
    """Draw points around the bell y = exp(-x² / (2 width²)), x uniform on [-1, 1].

    Parameters
    ----------
    n : int
        Points to draw.
    rng : numpy.random.Generator
        The only source of randomness.
    width : float
        Distance from the top to the bell's inflection points, positive.
    std : float
        Standard deviation of the noise added along both axes.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    ValueError
        If `n` or `width` is not positive, or `std` is negative.
    """
    _need(width > 0, f"gaussian-curve got width={width} and needs a positive width")
    x = randomness.generator(rng).uniform(-1, 1, _count(n))
    return _around(x, numpy.exp(-x * x / (2 * width * width)), std, rng)


def spiral(n: int, *, rng: numpy.random.Generator, turns: float = 2.0, std: float = 0.02) -> Points:
    """Draw points around an Archimedean spiral from the origin out to radius 1.

    The radius is the square root of a uniform number: the arc length grows like the square of the
    radius, so the points are spread evenly along the curve instead of crowding at its centre.

    Parameters
    ----------
    n : int
        Points to draw.
    rng : numpy.random.Generator
        The only source of randomness.
    turns : float
        Revolutions from the centre to the end, positive.
    std : float
        Standard deviation of the noise added along both axes.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    ValueError
        If `n` or `turns` is not positive, or `std` is negative.
    """
    _need(turns > 0, f"spiral got turns={turns} and needs a positive number of turns")
    radius = numpy.sqrt(randomness.generator(rng).uniform(0, 1, _count(n)))
    angle = 2 * numpy.pi * turns * radius
    return _around(radius * numpy.cos(angle), radius * numpy.sin(angle), std, rng)


def moons(n: int, *, rng: numpy.random.Generator, std: float = 0.05) -> Points:
    """Draw points around two interleaving half circles, both equally likely.

    The upper moon is (cos t, sin t), the lower one (1 - cos t, 1/2 - sin t), t uniform on [0, π]:
    the coordinates of scikit-learn's ``make_moons``.

    Parameters
    ----------
    n : int
        Points to draw.
    rng : numpy.random.Generator
        The only source of randomness.
    std : float
        Standard deviation of the noise added along both axes.

    Returns
    -------
    ndarray of float32, shape (n, 2)

    Raises
    ------
    ValueError
        If `n` is not positive or `std` is negative.
    """
    angle = randomness.generator(rng).uniform(0, numpy.pi, _count(n))
    lower = rng.integers(0, 2, n)
    x = numpy.where(lower, 1 - numpy.cos(angle), numpy.cos(angle))
    y = numpy.where(lower, 0.5 - numpy.sin(angle), numpy.sin(angle))
    return _around(x, y, std, rng)


@dataclass(frozen=True, eq=False, repr=False)
class Distribution:
    """A 2-D distribution, with what is needed to plot it and to evaluate samples against it.

    Attributes
    ----------
    name : str
        Its name in `distribution`.
    law : callable
        ``law(n, rng=rng)`` draws n points.
    limits : tuple
        Plot limits with some margin, ((xmin, xmax), (ymin, ymax)).
    centres : ndarray of float32, shape (modes, 2), or None
        The modes of a mixture; None for a curve.
    std : float or None
        The standard deviation of each mode; None for a curve.
    """

    name: str
    law: Callable[..., Points]
    limits: Limits
    centres: Points | None = None
    std: float | None = None

    def __repr__(self) -> str:
        return f"Distribution({self.name!r})"

    def sample(self, n: int, rng: numpy.random.Generator) -> Points:
        """Draw `n` points, a float32 array of shape (n, 2); ValueError if `n` is not positive."""
        return self.law(n, rng=rng)


def distribution(name: str, **parameters: Any) -> Distribution:
    """Return a 2-D distribution by its name.

    Parameters
    ----------
    name : str
        One of "ring", "grid", "parabola", "gaussian-curve", "spiral", "moons".
    **parameters
        Parameters of that distribution, for example ``distribution("ring", modes=5)``.

    Returns
    -------
    Distribution

    Raises
    ------
    ValueError
        If there is no such distribution, it has no such parameter, or a value is out of range.
    """
    if name not in DISTRIBUTIONS:
        raise ValueError(f"there is no distribution {name!r}: {choices(name, DISTRIBUTIONS)}")
    law = DISTRIBUTIONS[name]
    settings = {
        key: parameter.default for key, parameter in inspect.signature(law).parameters.items()
    }
    del settings["n"], settings["rng"]
    for key in parameters:
        if key not in settings:
            raise ValueError(
                f"the distribution {name!r} has no parameter {key!r}: {choices(key, settings)}"
            )
    settings.update(parameters)
    bound = partial(law, **settings)
    # Draw once, so that an invalid value fails here and not in the middle of a run.
    bound(1, rng=numpy.random.default_rng(0))
    return _described(name, bound, settings)


def _described(name: str, law: Callable[..., Points], settings: dict[str, Any]) -> Distribution:
    std = float(settings["std"])
    if name == "ring":
        reach = 1.5 * settings["radius"] + 3 * std
        centres = ring_centres(modes=settings["modes"], radius=settings["radius"])
        return Distribution(name, law, _square(reach), centres, std)
    if name == "grid":
        reach = settings["spacing"] * (settings["side"] + 1) / 2 + 3 * std
        centres = grid_centres(side=settings["side"], spacing=settings["spacing"])
        return Distribution(name, law, _square(reach), centres, std)
    room = 0.4 + 4 * std
    (xmin, xmax), (ymin, ymax) = _CURVE_BOXES[name]
    return Distribution(name, law, ((xmin - room, xmax + room), (ymin - room, ymax + room)))


def _square(reach: float) -> Limits:
    return (-reach, reach), (-reach, reach)


def _mixture(n: int, centres: Points, std: float, rng: numpy.random.Generator) -> Points:
    which = randomness.generator(rng).integers(len(centres), size=_count(n))
    return _around(centres[which, 0], centres[which, 1], std, rng)


def _around(
    x: npt.NDArray[numpy.floating],
    y: npt.NDArray[numpy.floating],
    std: float,
    rng: numpy.random.Generator,
) -> Points:
    _need(std >= 0, f"the distribution got std={std} and needs a standard deviation of 0 or more")
    noise = rng.standard_normal((2, len(x)))
    return _points(x + std * noise[0], y + std * noise[1])


def _points(x: npt.NDArray[numpy.floating], y: npt.NDArray[numpy.floating]) -> Points:
    return numpy.stack([x, y], axis=1).astype(numpy.float32)


def _count(n: int) -> int:
    _need(n >= 1, f"cannot draw n={n} points: ask for at least 1")
    return n


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


DISTRIBUTIONS: dict[str, Callable[..., Points]] = {
    "ring": ring,
    "grid": grid,
    "parabola": parabola,
    "gaussian-curve": gaussian_curve,
    "spiral": spiral,
    "moons": moons,
}

_CURVE_BOXES: dict[str, Limits] = {
    "parabola": ((-1, 1), (0, 1)),
    "gaussian-curve": ((-1, 1), (0, 1)),
    "spiral": ((-1, 1), (-1, 1)),
    "moons": ((-1, 2), (-0.5, 1)),
}

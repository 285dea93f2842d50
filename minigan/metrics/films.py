"""Measures of films: does what moves keep to a straight path that bounces, and stay the same?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics.classifier import Classifier
from minigan.metrics.naming import probabilities
from minigan.metrics.table import Row

FAINT = 0.1
"""Brightness, of 1, up to which a pixel counts as background."""
NEAR = 1.0
"""Pixels by which a centre may be beside its path."""
_STARTS, _SPEEDS = 33, 26

Law = Callable[[NDArray[Any]], NDArray[Any]]


def centres(films: NDArray[Any]) -> NDArray[numpy.float64]:
    """Return the centre of mass in each frame of films (N, T, H, W, 1), as (2, N, T): row, column.

    A frame without anything in it has none: NaN.
    """
    ink = (numpy.asarray(films, numpy.float64)[..., 0] + 1) / 2
    ink = numpy.where(ink > FAINT, ink, 0)
    mass = ink.sum(axis=(2, 3))
    height, width = ink.shape[2:]
    weighted = [ink.sum(axis=3) @ numpy.arange(height), ink.sum(axis=2) @ numpy.arange(width)]
    return numpy.stack(weighted) / numpy.where(mass > 0, mass, numpy.nan)


def off_path(
    along: NDArray[Any], law: Law, *, room: float, speeds: tuple[float, float]
) -> NDArray[numpy.float64]:
    """Return by how many pixels positions are beside the best path of a law, at their worst.

    The paths are ``o + law(p + v t)``, with p on a grid over a period, v on one over the speeds,
    and the best o for each.

    Parameters
    ----------
    along
        Positions along one axis, shape (N, T).
    law
        From positions without walls to those between them, such as `minigan.data.bounced`.
    room
        The distance of the walls.
    speeds
        The smallest and the largest speed, in pixels per frame.

    Returns
    -------
    ndarray, shape (N,)
        Infinite where a position is NaN.
    """
    start = numpy.linspace(0, 2 * room, _STARTS)[:, None, None]
    speed = numpy.linspace(*speeds, _SPEEDS)[:, None]
    paths = law(start + speed * numpy.arange(along.shape[1])).reshape(-1, along.shape[1])
    worst = numpy.full(len(along), numpy.inf)
    for path in paths:
        beside = along - path
        worst = numpy.fmin(worst, (beside.max(axis=1) - beside.min(axis=1)) / 2)
    return worst


def straight(films: NDArray[Any], law: Law, **walls: Any) -> NDArray[numpy.bool_]:
    """Return which films (N, T, H, W, 1) keep within a pixel of some path, see `off_path`."""
    rows, columns = (off_path(along, law, **walls) for along in centres(films))
    return (rows <= NEAR) & (columns <= NEAR)


def same_class(films: NDArray[Any], classifier: Classifier) -> NDArray[numpy.float64]:
    """Return the share of the frames of each film that a classifier gives its commonest class."""
    n, frames = films.shape[:2]
    p = probabilities(classifier, films.reshape(n * frames, *films.shape[2:]))
    counts = (p.argmax(axis=1).reshape(n, frames, 1) == numpy.arange(p.shape[1])).sum(axis=1)
    return counts.max(axis=1) / frames


def film_rows(
    films: NDArray[Any], real: NDArray[Any], classifier: Classifier, law: Law, **walls: Any
) -> tuple[Row, ...]:
    """Score films beside real ones.

    Parameters
    ----------
    films, real
        Shape (N, T, H, W, 1).
    classifier
        Of single frames.
    law, walls
        As for `off_path`.

    Returns
    -------
    tuple of Row
        The share of straight paths and of frames of the film's commonest class, in per cent.
    """
    ways = [100 * float(straight(x, law, **walls).mean()) for x in (films, real)]
    kept = [100 * float(same_class(x, classifier).mean()) for x in (films, real)]
    return (
        Row(f"paths straight within {NEAR:g} pixel, %", ways[0], ways[1], "higher"),
        Row("frames that keep the film's class, %", kept[0], kept[1], "higher"),
    )

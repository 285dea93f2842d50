"""Points in the plane from a file of your own, as a distribution to draw from."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data import arrays, tables
from minigan.data.errors import DataError
from minigan.data.toys import Distribution

__all__ = ["PointSet", "point_set", "points"]

_LARGE, _SMALL = 10.0, 0.05
"""Spreads beyond which the nets of the recipes, made for distributions of about 1, hardly learn."""


@dataclass(frozen=True, eq=False)
class PointSet(Distribution):
    """A distribution that draws from given points, each equally likely.

    Attributes
    ----------
    points : ndarray of float32, shape (N, 2)
        The points.
    notes : tuple of str
        What was left out of the file, and what is unusual about the points.
    """

    points: npt.NDArray[numpy.float32] = field(
        default_factory=lambda: numpy.zeros((0, 2), numpy.float32)
    )
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.points)


def points(path: str | os.PathLike[str]) -> PointSet:
    """Load points in the plane.

    Parameters
    ----------
    path : path_like
        A table of two columns (.csv, .tsv, .txt), or an array (N, 2) in a .npy or .npz file.

    Returns
    -------
    PointSet
        Draws from the points without repetition, as far as there are enough.

    Raises
    ------
    DataError
        If the file cannot be read, or holds no points in the plane.
    """
    path = Path(os.path.expanduser(os.fspath(path)))
    if not path.is_file():
        raise DataError(f"{path} is not a file: give a table of points (.csv, .npy or .npz)")
    found, notes = _table(path) if path.suffix.lower() in tables.ENDINGS else _array(path)
    return _point_set(found, str(path), path.stem, notes)


def point_set(points: npt.ArrayLike, *, name: str = "points") -> PointSet:
    """Return points in the plane as a distribution, each equally likely.

    Parameters
    ----------
    points : array_like, shape (N, 2)
        At least two points, finite numbers.
    name : str
        The name of the distribution.

    Raises
    ------
    DataError
        If these aren't points in the plane.
    """
    return _point_set(numpy.asarray(points), name, name, ())


def _point_set(found: npt.NDArray[Any], place: str, name: str, notes: tuple[str, ...]) -> PointSet:
    if found.ndim != 2 or found.shape[1] != 2 or len(found) < 2 or found.dtype.kind not in "uif":
        raise DataError(
            f"{place} contains {found.dtype} of shape {found.shape}: points in the plane need two "
            "numbers in each row, and at least two rows"
        )
    with numpy.errstate(over="ignore"):
        plane = found.astype(numpy.float32)
    if not numpy.isfinite(plane).all():
        raise DataError(
            f"{place} contains numbers that are not finite, or too large for float32: remove their "
            "rows"
        )
    return PointSet(
        name=name,
        law=partial(_draw, points=plane),
        limits=_limits(plane),
        points=plane,
        notes=(*notes, *_spread(plane)),
    )


def _table(path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    table = tables.read_table(path)
    column = table.find(tables.LABELS)
    if column is not None and table.numbers.shape[1] == 3:
        table = table.without(column, "the column of labels was left out")
    return table.numbers, table.notes


def _array(path: Path) -> tuple[npt.NDArray[Any], tuple[str, ...]]:
    with path.open("rb") as file:
        start = file.read(len(arrays.MAGIC))
    if start == arrays.MAGIC:
        return arrays.read_npy(path), ()
    if not start.startswith(b"PK"):
        raise DataError(
            f"{path} is no table or array of points: give two columns in a .csv file, or an array "
            "(N, 2) in a .npy or .npz file"
        )
    name, _ = arrays.choose(
        arrays.shapes(path), path, least=2, named=("points", "samples"), what="points"
    )
    return arrays.read_npz(path, name)[0], ()


def _draw(
    n: int, *, rng: numpy.random.Generator, points: npt.NDArray[numpy.float32]
) -> npt.NDArray[numpy.float32]:
    if n < 1:
        raise ValueError(f"cannot draw n={n} points: ask for at least 1")
    return points[randomness.generator(rng).choice(len(points), n, replace=n > len(points))]


def _limits(plane: npt.NDArray[numpy.float32]) -> tuple[tuple[float, float], tuple[float, float]]:
    """The box of the points, with a tenth of its larger side, or a bit, around it."""
    low, high = plane.min(axis=0).tolist(), plane.max(axis=0).tolist()
    room = max(high[0] - low[0], high[1] - low[1]) / 10 or 0.1
    return (low[0] - room, high[0] + room), (low[1] - room, high[1] + room)


def _spread(plane: npt.NDArray[numpy.float32]) -> tuple[str, ...]:
    largest, spread = float(abs(plane).max()), float(plane.std(axis=0).max())
    if largest <= _LARGE and spread >= _SMALL:
        return ()
    return (
        f"the points reach {largest:.3g} from 0 and spread by {spread:.3g}: nets learn best if "
        "both are about 1, so scale them",
    )

"""What the metrics share: input checks, and distances in blocks that fit in memory.

All pairwise distances of 50,000 and 50,000 points take 10 GB of float32. At most `BLOCK` of them
are held at once: a metric iterates over blocks of rows, keeps what it needs of each, and discards
the block.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from minigan import backend
from minigan.backend import Array

BLOCK = 2**23
"""Size of the largest intermediate array: 32 MiB of float32."""


class ImageSet(Protocol):
    """The interface that the metrics need of a data set, such as `minigan.data.Dataset`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def images(self) -> Any:
        """All images as stored, shape (N, H, W, C)."""

    @property
    def labels(self) -> Any:
        """The class of each image, integers of shape (N,), or None."""

    def __len__(self) -> int:
        """Return the number of images."""

    def batch(self, indices: Any) -> Any:
        """Images at `indices`, float32 in [-1, 1], shape (n, H, W, C)."""


def blocks(rows: int, numbers_per_row: int) -> Iterator[slice]:
    """Split `rows` rows into slices of at most `BLOCK` numbers each, but at least one row."""
    step = max(1, BLOCK // max(1, numbers_per_row))
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))


def points(x: Any, what: str, *, at_least: int = 1) -> Array:
    """Check that `x` is a matrix of finite numbers with one row per sample.

    Parameters
    ----------
    x
        NumPy or CuPy array, shape (N, d).
    what
        Its name in the error message.
    at_least
        The smallest number of rows allowed.

    Returns
    -------
    array, shape (N, d)
        `x` itself if it is float32 or float64; a float32 copy of float16, a float64 copy of
        integers.

    Raises
    ------
    TypeError
        If `x` isn't an array of real numbers.
    ValueError
        If it has another shape, too few rows, or holds NaN or infinity.
    """
    xp = backend.of(x).xp
    if x.dtype.kind not in "buif":
        raise TypeError(f"The {what} are {x.dtype}, but real numbers are needed.")
    if x.ndim != 2 or x.shape[0] < at_least or x.shape[1] < 1:
        raise ValueError(
            f"The {what} have shape {tuple(x.shape)}, but (N, features) with N >= {at_least} is "
            "needed; flatten each sample to one row."
        )
    if x.dtype.kind != "f" or x.dtype.itemsize < 4:
        x = x.astype("float64" if x.dtype.kind != "f" else "float32")
    require_finite(xp, x, what)
    return x


def pair(x: Any, y: Any, what_x: str, what_y: str, *, at_least: int = 1) -> tuple[Array, Array]:
    """Check two matrices with `points`, and that they have equally many features and one device.

    Raises
    ------
    TypeError
        If one isn't an array, or they are on different devices.
    ValueError
        If one isn't a matrix of finite numbers, or the numbers of features differ.
    """
    x, y = points(x, what_x, at_least=at_least), points(y, what_y, at_least=at_least)
    check_alike(x, y, what_x, what_y)
    return x, y


def check_alike(x: Array, y: Array, what_x: str, what_y: str) -> None:
    """Check that two matrices have equally many features and one device; errors as in `pair`."""
    if not backend.same_device(x, y):
        raise TypeError(
            f"The {what_x} are on {backend.device_of(x)!r}, the {what_y} on "
            f"{backend.device_of(y)!r}; move one with backend.get(device).asarray(x)."
        )
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"The {what_x} have {x.shape[1]} features each, the {what_y} {y.shape[1]}; both need "
            "the same number."
        )


def images(x: Any, what: str) -> Array:
    """Check that `x` is a floating-point array of finite images, (N, H, W, C).

    Raises
    ------
    TypeError
        If `x` isn't an array of floating-point numbers.
    ValueError
        If it has another shape, no images, or holds NaN or infinity.
    """
    xp = backend.of(x).xp
    if x.dtype.kind != "f":
        raise TypeError(
            f"The {what} are {x.dtype}, but floating-point images in [-1, 1] are needed."
        )
    if x.ndim != 4 or 0 in x.shape:
        raise ValueError(
            f"The {what} have shape {tuple(x.shape)}, but a non-empty (N, H, W, C) is needed."
        )
    for block in blocks(x.shape[0], int(x[0].size)):
        require_finite(xp, x[block], what)
    return x


def squared_distances(x: Array, y: Array) -> Array:
    """Squared Euclidean distances of all pairs, ``|x|² + |y|² - 2 x yᵀ``: (N, d), (M, d) -> (N, M).

    One matrix product does most of the work. Rounding leaves an error of a few units in the last
    place of |x|² + |y|², so smaller distances can't be distinguished from 0: centre both first.
    """
    xp = backend.of(x).xp
    d2 = x @ (-2 * y).T
    d2 += (x * x).sum(axis=1)[:, None]
    d2 += (y * y).sum(axis=1)[None, :]
    return xp.maximum(d2, 0, out=d2)


def require_finite(xp: Any, x: Array, what: str) -> None:
    """Raise ValueError if `x` holds NaN or infinity."""
    if not bool(xp.isfinite(x).all()):
        raise ValueError(
            f"The {what} hold NaN or infinity, so no metric is defined; check the run that made "
            "them."
        )

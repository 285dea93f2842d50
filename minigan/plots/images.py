"""Batches of images as one picture: a grid of samples, or a strip along a walk."""

from __future__ import annotations

import os
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.files import written_whole

Pixels = NDArray[numpy.uint8]
"""Pixels of a picture, uint8, channels last."""

MINIMUM_WIDTH = 400
"""Width in pixels below which a picture is enlarged if no scale is given."""


def to_uint8(images: NDArray[Any]) -> Pixels:
    """Convert values in [-1, 1] to bytes: -1 becomes 0, 1 becomes 255, values beyond are clipped.

    Parameters
    ----------
    images
        Array of floats, any shape.

    Returns
    -------
    ndarray
        uint8, same shape, rounded to the nearest level.

    Raises
    ------
    TypeError
        If the values aren't floats: bytes mistaken for values in [-1, 1] would come out white.
    ValueError
        If a value is NaN.
    """
    values = numpy.asarray(images)
    if not numpy.issubdtype(values.dtype, numpy.floating):
        raise TypeError(
            f"images have dtype {values.dtype} but floats in [-1, 1] are needed; convert bytes by "
            "x / 127.5 - 1"
        )
    broken = int(numpy.isnan(values).sum())
    if broken:
        raise ValueError(
            f"images hold {broken} NaN of {values.size} values but need numbers in [-1, 1]; "
            "look for the step at which the generator diverged"
        )
    # float64, because float16 is too coarse to round 127.5 times its values correctly.
    return numpy.rint((numpy.clip(values.astype(numpy.float64), -1.0, 1.0) + 1.0) * 127.5).astype(
        numpy.uint8
    )


def image_grid(
    images: NDArray[Any], *, columns: int | None = None, padding: int = 2, scale: int | None = None
) -> Pixels:
    """Arrange a batch of images in rows, left to right, top to bottom.

    Parameters
    ----------
    images
        ``(N, H, W, C)`` floats in [-1, 1], C 1 (grey) or 3 (red, green, blue), N at least 1.
    columns
        Images per row; by default near the square root of N and, if possible, a divisor of N, so
        that the last row is full.
    padding
        Width of the white gaps between and around the images, in pixels of the finished picture.
    scale
        Integer factor by which each pixel is enlarged (nearest neighbour, so that it stays a sharp
        square); by default the smallest that makes the picture at least 400 pixels wide.

    Returns
    -------
    ndarray
        uint8 of shape ``(height, width, C)``.

    Raises
    ------
    TypeError
        If the images aren't floats, or a setting isn't an integer.
    ValueError
        If the shape isn't ``(N, H, W, 1 or 3)``, a value is NaN, or a setting is out of range.
    """
    pixels = to_uint8(_checked(images))
    n, _, width, channels = pixels.shape
    columns = _near_square(n) if columns is None else _at_least(1, columns, "columns")
    padding = _at_least(0, padding, "padding")
    scale = (
        _fitting_scale(columns, width, padding) if scale is None else _at_least(1, scale, "scale")
    )
    pixels = pixels.repeat(scale, axis=1).repeat(scale, axis=2)
    rows = -(-n // columns)
    tall, wide = pixels.shape[1] + padding, pixels.shape[2] + padding
    grid = numpy.full(
        (rows * tall + padding, columns * wide + padding, channels), 255, dtype=numpy.uint8
    )
    for i, image in enumerate(pixels):
        top, left = (i // columns) * tall + padding, (i % columns) * wide + padding
        grid[top : top + image.shape[0], left : left + image.shape[1]] = image
    return grid


def latent_strip(images: NDArray[Any], *, padding: int = 2, scale: int | None = None) -> Pixels:
    """Arrange the images of a walk through latent space in one row, first to last.

    Parameters
    ----------
    images
        ``(N, H, W, C)`` floats in [-1, 1], in the order of the walk.
    padding, scale
        As in :func:`image_grid`.

    Returns
    -------
    ndarray
        uint8 of shape ``(height, width, C)``.

    Raises
    ------
    TypeError, ValueError
        As :func:`image_grid`.
    """
    return image_grid(images, columns=len(_checked(images)), padding=padding, scale=scale)


def save_grid(
    path: str | os.PathLike[str],
    images: NDArray[Any],
    *,
    columns: int | None = None,
    padding: int = 2,
    scale: int | None = None,
) -> None:
    """Write :func:`image_grid` to a file, atomically; the suffix determines the format.

    Parameters
    ----------
    path
        The file, usually ``.png``; its folder must exist.
    images, columns, padding, scale
        As in :func:`image_grid`.

    Raises
    ------
    TypeError
        If the images aren't floats.
    ValueError
        As :func:`image_grid`, and if the folder doesn't exist or the suffix isn't that of an image
        format.
    """
    from PIL import Image

    grid = image_grid(images, columns=columns, padding=padding, scale=scale)
    with written_whole(path) as temporary:
        Image.fromarray(grid[:, :, 0] if grid.shape[2] == 1 else grid).save(temporary)


def _checked(images: NDArray[Any]) -> NDArray[Any]:
    values = numpy.asarray(images)
    if values.ndim != 4 or values.shape[3] not in (1, 3) or 0 in values.shape:
        raise ValueError(
            f"images have shape {values.shape} but (N, H, W, C) without zeros and with C = 1 or 3 "
            "is needed; reshape them, channels last"
        )
    return values


def _at_least(least: int, value: int, name: str) -> int:
    if not isinstance(value, int | numpy.integer):
        raise TypeError(f"{name} is {value!r} but must be an integer; leave it out for the default")
    if value < least:
        raise ValueError(
            f"{name} is {value} but must be {least} or more; leave it out for the default"
        )
    return value


def _near_square(n: int) -> int:
    root = int(numpy.ceil(numpy.sqrt(n)))
    full = (c for c in range(root, 2 * root) if n % c == 0)
    return next(full, root)


def _fitting_scale(columns: int, width: int, padding: int) -> int:
    wanted = MINIMUM_WIDTH - padding * (columns + 1)
    return max(1, -(-wanted // (columns * width)))

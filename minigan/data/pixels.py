"""Arrays of numbers as images: what their shape and their range mean.

Files of arrays and tables don't say how their pixels are laid out and scaled. Where that is plain
from the numbers, they are converted, and a note says so; where it isn't, they are refused.
"""

from __future__ import annotations

import math
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data.errors import DataError

__all__ = ["as_images", "as_indices", "as_labels", "named_labels"]

Images = npt.NDArray[numpy.uint8] | npt.NDArray[numpy.float32]
Notes = tuple[str, ...]

ROUNDING = 1e-5
"""By which numbers may lie beyond a range, relative to its end: resizing and scaling round."""
FAINT = 0.6
"""Images whose largest number isn't above it were perhaps meant to be scaled otherwise."""


def as_images(
    array: npt.NDArray[Any], what: str, image_shape: tuple[int, int, int] | None = None
) -> tuple[Images, Notes]:
    """Return an array as images, channels last, and notes on what was changed.

    Parameters
    ----------
    array : ndarray of numbers, shape (N, H, W), (N, H, W, C), (N, C, H, W) or (N, pixels)
        Rows of pixels are grey images, square unless `image_shape` says otherwise. Integers up to
        255 are bytes, but 0 and 1 alone are black and white; larger ones of 16 bits are divided by
        257. Floats are scaled to [-1, 1] from there, from [0, 1] or from [0, 255].
    what : str
        Where the array is from, for the error message.
    image_shape : (int, int, int), optional
        The shape that a network needs.

    Returns
    -------
    images : ndarray of uint8 (0 to 255) or float32 (-1 to 1), shape (N, H, W, C)
    notes : tuple of str

    Raises
    ------
    DataError
        If the shape or the range has no plain meaning.
    """
    if array.dtype.kind not in "buif" or array.size == 0:
        raise DataError(
            f"{what} contains {array.dtype} of shape {array.shape}: images must be numbers, of "
            "shape (N, H, W) or (N, H, W, C)"
        )
    images, moved = _laid_out(array, what, image_shape)
    scaled, told = _scaled(images, what)
    return scaled, (*moved, *told)


def _laid_out(
    array: npt.NDArray[Any], what: str, image_shape: tuple[int, int, int] | None
) -> tuple[npt.NDArray[Any], Notes]:
    """Bring an array to the shape (N, H, W, C)."""
    if array.ndim == 2:
        height, width = _size(array.shape[1], what, image_shape)
        return array.reshape(len(array), height, width, 1), ()
    if array.ndim == 3 and (array.shape[2] not in (3, 4) or array.shape[1] <= 4):
        return array[..., None], ()
    if array.ndim == 4 and array.shape[3] > 4 and array.shape[1] in (1, 3):
        return numpy.moveaxis(array, 1, 3), ("the channels, which came first, were moved last",)
    if array.ndim == 4:
        return array, ()
    raise DataError(
        f"{what} contains {array.dtype} of shape {array.shape}: images must have the shape "
        "(N, H, W) or (N, H, W, C)"
    )


def _size(pixels: int, what: str, image_shape: tuple[int, int, int] | None) -> tuple[int, int]:
    """Return the height and width of grey images with this number of pixels."""
    if image_shape is not None and image_shape[0] * image_shape[1] == pixels:
        return image_shape[0], image_shape[1]
    side = math.isqrt(pixels)
    if side * side == pixels and side > 1:
        return side, side
    if pixels == 2:
        raise DataError(
            f"{what} has two numbers in each row, which are points and no images: choose a recipe "
            "for points, such as ring"
        )
    raise DataError(
        f"{what} has {pixels} number{'s' * (pixels != 1)} for each image, which is no square of "
        "grey pixels: save the images as an array of shape (N, H, W) or (N, H, W, C)"
    )


def _scaled(images: npt.NDArray[Any], what: str) -> tuple[Images, Notes]:
    """Bring pixels to bytes, or to floats in [-1, 1]."""
    if images.dtype == bool:
        return images * numpy.uint8(255), ("False and True were made 0 and 255",)
    low, high = float(images.min()), float(images.max())
    if images.dtype.kind != "f":
        return _bytes(images, low, high, what)
    if not math.isfinite(low + high):
        raise DataError(
            f"the pixels of {what} are {images.dtype}, and some are NaN or infinite: remove these "
            "images, or repair them"
        )
    if low >= 0 and 1 < high <= 255 and (images == numpy.rint(images)).all():
        return images.astype(numpy.uint8), ()
    if low >= -1 - ROUNDING and high <= 1 + ROUNDING:
        if low >= -ROUNDING:
            bounded = images.clip(0, 1).astype(numpy.float32)
            return 2 * bounded - 1, ("scaled from 0..1 to -1..1",)
        return images.clip(-1, 1).astype(numpy.float32), _faint(low, high)
    slack = 255 * ROUNDING if high > 2 else 0.0  # else what lies below 0 is no rounding
    if low >= -slack and high <= 255 + slack:
        images = images.clip(0, 255)
        return (images / 127.5 - 1).astype(numpy.float32), ("scaled from 0..255 to -1..1",)
    raise _unscaled(images, low, high, what)


def _faint(low: float, high: float) -> Notes:
    """Say of numbers around 0 that they are far from black and white."""
    if max(-low, high) > FAINT:
        return ()
    return (
        f"the pixels, from {low:.2g} to {high:.2g}, were taken as they are; if these two are black "
        "and white, scale them to -1..1",
    )


def _bytes(
    images: npt.NDArray[Any], low: float, high: float, what: str
) -> tuple[npt.NDArray[numpy.uint8], Notes]:
    if (low, high) == (0, 1):
        return images.astype(numpy.uint8) * numpy.uint8(255), ("0 and 1 were made 0 and 255",)
    if low >= 0 and high <= 255:
        return images.astype(numpy.uint8), ()
    if images.dtype == numpy.uint16:
        return numpy.rint(images / 257).astype(numpy.uint8), ("converted from 16 to 8 bits",)
    raise _unscaled(images, low, high, what)


def _unscaled(images: npt.NDArray[Any], low: float, high: float, what: str) -> DataError:
    return DataError(
        f"the pixels of {what} are {images.dtype} from {low:.4g} to {high:.4g}: scale them to "
        "0..255, to 0..1 or to -1..1"
    )


def as_labels(array: npt.NDArray[Any], count: int, what: str) -> npt.NDArray[numpy.int64]:
    """Return an array as labels.

    Parameters
    ----------
    array : ndarray, shape (count,), (count, 1), or (count, K) of ones and zeros
        Whole numbers; or a row for each image that is 1 at its class.
    count : int
        The number of images.
    what : str
        Where the array is from, for the error message.

    Returns
    -------
    ndarray of int64, shape (count,)

    Raises
    ------
    DataError
        If it isn't a whole number of at least 0 for each image.
    """
    labels = _in_a_row(array)
    wrong = _wrong(labels, count)
    if wrong is not None:
        raise DataError(
            f"the labels in {what} are {array.dtype} of shape {array.shape}{wrong}: whole numbers "
            f"of at least 0 are needed, one for each of the {count} images"
        )
    return labels.astype(numpy.int64)


def named_labels(
    array: npt.NDArray[Any], count: int, what: str
) -> tuple[npt.NDArray[numpy.int64], tuple[str, ...] | None]:
    """Do what `as_labels` does; labels that are names are numbered in their order.

    Returns
    -------
    labels : ndarray of int64, shape (count,)
    class_names : tuple of str or None
        The names, sorted; None if the labels are numbers.

    Raises
    ------
    DataError
        As `as_labels`.
    """
    if array.dtype.kind not in "US" or array.size != count:
        return as_labels(array, count, what), None
    names, labels = numpy.unique(array.reshape(-1), return_inverse=True)
    return labels.astype(numpy.int64), tuple(map(_text, names.tolist()))


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name


def _in_a_row(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Bring a column, or rows that are 1 at the class, to the shape (count,)."""
    labels = array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array
    several = labels.ndim == 2 and labels.dtype.kind in "buif" and _one_hot(labels)
    return labels.argmax(axis=1) if several else labels


def _wrong(labels: npt.NDArray[Any], count: int) -> str | None:
    """Say which of the labels can't be one; "" if their type or shape is wrong, None if none is."""
    if labels.shape != (count,) or labels.dtype.kind not in "uif":
        return ""
    fits = (labels == numpy.rint(labels)) & (labels >= 0) & (labels < 2**63)
    return None if fits.all() else f", and one is {labels[~fits][0]}"


def _one_hot(rows: npt.NDArray[Any]) -> bool:
    return bool(numpy.isin(rows, (0, 1)).all() and (rows.sum(axis=1) == 1).all())


def as_indices(indices: npt.ArrayLike, count: int) -> npt.NDArray[numpy.intp]:
    """Return which of `count` are meant, by their numbers or by a mask.

    Raises
    ------
    TypeError
        If it is neither.
    """
    given = numpy.asarray(indices)
    if given.dtype == bool and given.shape == (count,):
        return numpy.flatnonzero(given)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(
            f"indices of dtype {given.dtype} and shape {given.shape}: give integers, or a mask "
            f"of shape ({count},)"
        )
    return given.astype(numpy.intp)

"""NumPy's files: the arrays in .npy and .npz, of sizes that are checked, and without pickles.

A header may claim terabytes, and a compressed member may expand a thousandfold; so memory is
allocated only for what is really there, and within the limits of `minigan.data.limits`. Arrays of
Python objects are pickles, which can run code: they are refused.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy
import numpy.typing as npt
from numpy.lib import format as npy

from minigan.data import limits
from minigan.data.errors import DataError

__all__ = ["choose", "read_npy", "read_npz", "shapes"]

MAGIC = b"\x93NUMPY"
_IMAGES = ("x_train", "train_images", "images", "x", "data", "train_x", "imgs", "pixels", "arr_0")
LABELS = (
    *("y_train", "train_labels", "labels", "y", "targets", "target", "train_y", "label"),
    *("classes", "arr_1"),
)
_BROKEN = (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error, RuntimeError)


def read_npy(path: Path) -> npt.NDArray[Any]:
    """Read the array in a .npy file.

    Raises
    ------
    DataError
        If the file is damaged, too large, or holds Python objects.
    """
    try:
        with path.open("rb") as file:
            return _read(file, str(path), os.fstat(file.fileno()).st_size)
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the arrays in a .npz file by name, without reading them.

    Raises
    ------
    DataError
        If the file is damaged, or holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for info in _members(archive):
                with archive.open(info) as member:
                    found[_name(info)] = _header(member, f"{info.filename} in {path}")[0]
            return found
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def read_npz(path: Path, *names: str) -> list[npt.NDArray[Any]]:
    """Read arrays by name from a .npz file.

    Raises
    ------
    DataError
        If the file is damaged or too large, or an array holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            infos = {_name(info): info for info in _members(archive)}
            return [_member(archive, infos[name], path) for name in names]
    except _BROKEN as error:
        raise _unreadable(path, error) from error


def choose(
    found: dict[str, tuple[int, ...]],
    path: Path,
    *,
    least: int = 3,
    named: tuple[str, ...] = (),
    what: str = "images",
) -> tuple[str, str | None]:
    """Choose the images, or points, among the arrays of a file, and their labels.

    Parameters
    ----------
    found : dict
        Shapes by name.
    path : Path
        The file, for the error message.
    least : int
        The rank that the only one of several arrays must have to be chosen whatever its name.
    named : tuple of str
        Names to look for, before the usual ones of images.
    what : str
        What is looked for, for the error message.

    Returns
    -------
    images : str
        The name of the images.
    labels : str or None
        The name of an array with as many entries, if it is named as labels usually are.

    Raises
    ------
    DataError
        If it can't be told.
    """
    lower = {name.lower(): name for name in found}
    known = next((lower[name] for name in (*named, *_IMAGES) if name in lower), None)
    large = [name for name, shape in found.items() if len(shape) >= least]
    only = large if len(large) == 1 else list(found) if len(found) == 1 else []
    images = known or next(iter(only), None)
    if images is None:
        raise DataError(
            f"{path} contains {', '.join(found) or 'no arrays'}, and it can't be told which are "
            f"the {what}: name them x_train or {what}"
        )
    return images, _partner(found, [lower[n] for n in LABELS if n in lower], images, path)


def _partner(
    found: dict[str, tuple[int, ...]], names: list[str], images: str, path: Path
) -> str | None:
    """The first array of labels that has one for each image, or None if there are no labels."""
    count = found[images][:1]
    others = [name for name in names if name != images]
    fitting = next((name for name in others if found[name][:1] == count), None)
    lines = [name for name in others if len(found[name]) == 1]
    if fitting is None and lines:
        raise DataError(
            f"{path} contains {count[0]} {images}, but {found[lines[0]][0]} labels in {lines[0]}: "
            "save a label for each, or none"
        )
    return fitting


def _members(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    return [info for info in archive.infolist() if info.filename.endswith(".npy")]


def _name(info: zipfile.ZipInfo) -> str:
    return info.filename.removesuffix(".npy")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> npt.NDArray[Any]:
    with archive.open(info) as member:
        return _read(member, f"{info.filename} in {path}", info.file_size)


def _read(file: IO[bytes], what: str, size: int) -> npt.NDArray[Any]:
    """Read an array whose file has a known size."""
    shape, fortran, dtype = _header(file, what)
    # A size of zero doesn't make the others harmless: NumPy refuses (0, 2**40, 2**40) too.
    claimed = math.prod(max(length, 1) for length in shape) * dtype.itemsize
    if claimed > limits.max_bytes():
        raise DataError(
            f"{what} claims shape {shape} of {dtype.name}, more than {limits.max_bytes():,} bytes: "
            "if that is meant, set MINIGAN_MAX_BYTES to a larger number"
        )
    expected = math.prod(shape) * dtype.itemsize
    payload = file.read(expected) if expected <= size else b""
    if len(payload) < expected:
        raise DataError(f"{what} is truncated: its header claims {expected:,} bytes; save it again")
    flat = numpy.frombuffer(payload, dtype)
    array = flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _header(file: IO[bytes], what: str) -> tuple[tuple[int, ...], bool, numpy.dtype[Any]]:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise DataError(f"{what} has NumPy's format {version}: save it with a plain dtype")
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran, dtype = read(file)
    # A header is a Python literal, which can be wrong in all kinds of ways.
    except Exception as error:
        raise DataError(f"{what} has a damaged header ({error}): save it again") from None
    if dtype.hasobject:
        raise DataError(
            f"{what} holds Python objects, which are read by running code: save an array of numbers"
        )
    if dtype.names is not None:
        raise DataError(f"{what} holds records: save an array of numbers")
    return shape, fortran, dtype


def _unreadable(path: Path, error: Exception) -> Exception:
    if isinstance(error, DataError):
        return error
    kind = "zip" if path.suffix.lower() == ".zip" else "NumPy file"
    return DataError(f"{path} cannot be read as a {kind} ({error}): save it again")

"""The labels beside a file of images, and EMNIST as it comes.

EMNIST: G. Cohen, S. Afshar, J. Tapson and A. van Schaik, "EMNIST: an extension of MNIST to
handwritten letters", arXiv:1702.05373, 2017. Its images are stored column by column, and the
labels of its letters begin at 1.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy
import numpy.typing as npt

from minigan.data import arrays
from minigan.data.errors import DataError
from minigan.data.held_out import counterpart
from minigan.data.idx import read_idx
from minigan.data.pixels import as_labels

__all__ = ["array_beside", "labels_beside", "read_array", "upright"]

_EMNIST = re.compile(r"emnist-(\w+)-(train|test)-images", re.IGNORECASE)
_MOST = 255  # labels are bytes
_IMAGES = re.compile(r"images(.*?)idx3|images", re.IGNORECASE)
_PICTURES = re.compile(r"images?|imgs?", re.IGNORECASE)
_X = re.compile(r"(?<![^-_.])x(?![^-_.])", re.IGNORECASE)


def upright(
    path: Path, images: npt.NDArray[numpy.uint8]
) -> tuple[npt.NDArray[numpy.uint8], tuple[str, ...]]:
    """Turn EMNIST's images upright, and say so; leave others as they are."""
    if not _EMNIST.match(path.name) or images.ndim != 3:
        return images, ()
    note = f"{len(images)} images turned upright: EMNIST has rows and columns exchanged"
    return images.transpose(0, 2, 1).copy(), (note,)


def labels_beside(
    path: Path, count: int
) -> tuple[npt.NDArray[numpy.int64] | None, tuple[str, ...] | None, tuple[str, ...]]:
    """Read the labels from the IDX file that is named like a file of images.

    It is called labels instead of images: ``x-labels-idx1-ubyte.gz`` beside
    ``x-images-idx3-ubyte.gz``; or, beside ``x.idx``, ``x-labels.idx``; each gzipped or not.

    Parameters
    ----------
    path : Path
        The file of images.
    count : int
        The number of images.

    Returns
    -------
    labels : ndarray of int64, shape (count,), or None
        None if there is no such file.
    class_names : tuple of str or None
        The characters of EMNIST, if its mapping lies there too.
    notes : tuple of str
        What was changed.

    Raises
    ------
    DataError
        If it doesn't hold a label for each image.
    """
    beside = next((place for place in _places(path) if place.is_file()), None)
    if beside is None:
        return None, None, ()
    labels = as_labels(read_idx(beside), count, str(beside))
    kind = _EMNIST.match(path.name)
    if kind is None:
        return labels, None, ()
    characters = _characters(path.with_name(f"emnist-{kind[1]}-mapping.txt"))
    first = 1 if kind[1].lower() == "letters" and labels.min() >= 1 else 0
    low, high = labels.min(), labels.max()
    note = f"the labels {low} to {high} became {low - 1} to {high - 1}"
    return labels - first, tuple(characters[first:]) or None, (note,) if first else ()


def array_beside(path: Path) -> Path | None:
    """Return the NumPy file of labels that is named like one of images; None if there is none.

    It is called labels instead of images or imgs, or y instead of x: ``x-labels.npz`` beside
    ``x-imgs.npz``, ``y_train.npy`` beside ``x_train.npy``; or ``x-labels.npy`` beside ``x.npy``.
    """
    stem = path.stem
    if _PICTURES.search(stem):
        names = [_PICTURES.sub("labels", stem)]
    else:
        own = [_X.sub(y, stem, count=1) for y in "yY"] if _X.search(stem) else []
        names = [*own, *(f"{stem}{mark}labels" for mark in "-_.")]
    places = [path.with_name(name + end) for name in names for end in (".npy", ".npz")]
    return next((place for place in places if place.is_file()), None)


def read_array(path: Path, *, held_out: bool = False) -> npt.NDArray[numpy.generic] | None:
    """Read the only array in a NumPy file, or the one that is named as labels usually are.

    Of images that are held out, the one that has its name with test for train; None if none has.

    Raises
    ------
    DataError
        If it can't be read, or it can't be told which one.
    """
    if path.suffix.lower() == ".npy":
        return None if held_out else arrays.read_npy(path)
    found = arrays.shapes(path)
    name, _ = arrays.choose(found, path, named=arrays.LABELS, what="labels")
    wanted = counterpart(name, found) if held_out else name
    return None if wanted is None else arrays.read_npz(path, wanted)[0]


def _places(path: Path) -> list[Path]:
    stem = path.name.removesuffix(".gz")
    if "images" in stem.lower():
        names = [_IMAGES.sub(_labels, stem)]
    else:
        base, dot, ending = stem.rpartition(".")
        names = [f"{base or stem}{mark}labels{dot}{ending * bool(dot)}" for mark in "-_."]
    return [path.with_name(name + end) for name in names for end in (".gz", "")]


def _labels(match: re.Match[str]) -> str:
    return "labels" if match[1] is None else f"labels{match[1]}idx1"


def _characters(mapping: Path) -> list[str]:
    """EMNIST's characters by label, from lines such as ``10 65`` or ``1 65 97``."""
    if not mapping.is_file():
        return []
    try:
        lines = mapping.read_text("utf-8").splitlines()
        rows = [[int(word) for word in line.split()] for line in lines]
        found = {row[0]: "".join(map(chr, row[1:])) for row in rows if row}
        if max(found, default=0) > _MOST:
            raise ValueError(f"label {max(found)}")
        return [found.get(label, "") for label in range(max(found, default=-1) + 1)]
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{mapping} cannot be read ({error}): repair or remove it") from error

"""CIFAR-10: small photographs of ten kinds of things, in the binary version of its authors.

A. Krizhevsky, "Learning multiple layers of features from tiny images", technical report, University
of Toronto, 2009: 50,000 training and 10,000 test images of 32x32 pixels in colour. The binary
version is read, not the pickled one, which is read by running code.
"""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import numpy
import numpy.typing as npt

from minigan.data.dataset import Dataset
from minigan.data.errors import DataError, choices
from minigan.data.mnist import fetch, reason

__all__ = ["cifar10"]

_FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
_FOLDERS = ("cifar10", "cifar-10-batches-bin", "cifar-10-binary", "CIFAR10", "cifar")
_ARCHIVE = "cifar-10-binary.tar.gz"
_URL = f"https://www.cs.toronto.edu/~kriz/{_ARCHIVE}"
_SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
_SIDE = 32
_ROW = 1 + 3 * _SIDE * _SIDE
"""Bytes of an image in a file: its label, then its red, green and blue planes."""
CLASSES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)


def cifar10(*, split: str = "train", data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load CIFAR-10.

    Parameters
    ----------
    split : {"train", "test"}
    data_dir : path_like, optional
        Folder with the files of the binary version, ``data_batch_1.bin`` to ``data_batch_5.bin``
        and ``test_batch.bin``, directly or in a subfolder ``cifar10`` or ``cifar-10-batches-bin``,
        or with ``cifar-10-binary.tar.gz``. Local files aren't verified by checksum. The default is
        the environment variable ``MINIGAN_DATA``. If that isn't set either, the archive (170 MB) is
        downloaded to the platform's cache folder and verified against its SHA-256.

    Returns
    -------
    Dataset
        uint8 images (N, 32, 32, 3) with labels 0 to 9.

    Raises
    ------
    DataError
        If a file is missing, cannot be downloaded, or is not what it should be.
    """
    if split not in _FILES:
        raise DataError(f"cifar10 has no split {split!r}: {choices(split, _FILES)}")
    folder = data_dir if data_dir is not None else os.environ.get("MINIGAN_DATA") or None
    place = _download() if folder is None else _find(Path(folder).expanduser(), split)
    rows = numpy.concatenate([_rows(name, data) for name, data in _contents(place, split)])
    planes = rows[:, 1:].reshape(-1, 3, _SIDE, _SIDE)
    return Dataset(
        name="cifar10", images=numpy.ascontiguousarray(planes.transpose(0, 2, 3, 1)),
        labels=rows[:, 0].astype(numpy.int64),
        source=f"CIFAR-10, Krizhevsky (2009); {split} split from {place}", class_names=CLASSES,
    )  # fmt: skip


def _find(folder: Path, split: str) -> Path:
    """Find the folder, or the archive, that holds a split."""
    places = [folder / name for name in _FOLDERS] + [folder]
    for place in places:
        if (place / _FILES[split][0]).is_file():
            return place
        if (place / _ARCHIVE).is_file():
            return place / _ARCHIVE
    raise DataError(
        f"cifar10 is not in {folder}: put the files of {_ARCHIVE} into {folder / _FOLDERS[0]}, or "
        "leave out --data-dir and MINIGAN_DATA to download them"
    )


def _contents(place: Path, split: str) -> list[tuple[str, bytes]]:
    """Return the files of a split, with their names, from a folder or from the archive."""
    try:
        if place.is_dir():
            return [(str(place / name), (place / name).read_bytes()) for name in _FILES[split]]
        with tarfile.open(place) as archive:
            members = {Path(m.name).name: m for m in archive.getmembers() if m.isfile()}
            found = [(name, archive.extractfile(members[name])) for name in _FILES[split]]
            return [(f"{name} in {place}", file.read()) for name, file in found if file]
    except (OSError, EOFError, tarfile.TarError, KeyError) as error:
        raise DataError(
            f"{place} lacks a file of cifar10's {split} split, or is damaged ({error}): unpack "
            f"{_ARCHIVE} there again"
        ) from error


def _rows(name: str, data: bytes) -> npt.NDArray[numpy.uint8]:
    """Return the images in a file's bytes, one in each row."""
    if not data or len(data) % _ROW:
        raise DataError(
            f"{name} has {len(data):,} bytes: a multiple of {_ROW:,} is needed, a label and "
            f"{_SIDE}x{_SIDE} pixels of three colours for each image"
        )
    rows = numpy.frombuffer(data, numpy.uint8).reshape(-1, _ROW)
    if rows[:, 0].max() >= len(CLASSES):
        raise DataError(f"{name} contains the label {rows[:, 0].max()}: 0 to 9 are needed")
    return rows


def _download() -> Path:
    """Return the verified archive in the cache, downloaded if it isn't there yet."""
    import pooch

    cache = Path(pooch.os_cache("minigan")) / "cifar10"
    try:
        # Downloaded under a temporary name, and renamed only if its hash is right.
        return Path(pooch.retrieve(_URL, f"sha256:{_SHA256}", _ARCHIVE, cache, downloader=fetch))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{_ARCHIVE} could not be downloaded ({reason(error)}): put it into {cache}, or into a "
            "folder given by --data-dir or MINIGAN_DATA"
        ) from error

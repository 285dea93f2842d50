"""One function that loads any set of images: by name, from a folder or from a file."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data import arrays, held_out, labelled, tables
from minigan.data.archive import image_zip
from minigan.data.cifar import cifar10
from minigan.data.dataset import Dataset
from minigan.data.digits import digits
from minigan.data.errors import DataError, choices
from minigan.data.films import FILMS, moving_digits
from minigan.data.folder import EXTENSIONS, check_shape, darkness, fit, image_folder, walked
from minigan.data.idx import read_idx
from minigan.data.mnist import fashion_mnist, mnist
from minigan.data.pixels import as_images, named_labels
from minigan.data.sounds import SOUNDS, sound_folder, spoken_digits, tones
from minigan.data.stacked import stacked_mnist
from minigan.data.text import TEXTS
from minigan.data.toys import DISTRIBUTIONS
from minigan.data.waves import is_wav
from minigan.data.zoo import avatars, cartoons, emoji, glyphs, kana

__all__ = ["DATASETS", "has_test_split", "load"]

_OF_FILES = {"cartoons": cartoons, "emoji": emoji, "glyphs": glyphs, "kana": kana}
_SPLIT = {
    "mnist": mnist,
    "fashion-mnist": fashion_mnist,
    "stacked-mnist": stacked_mnist,
    "cifar10": cifar10,
}
DATASETS = ("digits", "avatars", *_SPLIT, *_OF_FILES)

Shape = tuple[int, int, int]

_REMEDIES = {
    **dict.fromkeys(
        (".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz", ".7z", ".rar"),
        "an archive: unpack it, and give the folder",
    ),
    **dict.fromkeys(
        (".csv.gz", ".tsv.gz", ".txt.gz", ".npy.gz", ".npz.gz", ".zip.gz", ".bz2", ".xz", ".zst"),
        "packed: unpack it, and give the file in it",
    ),
    **dict.fromkeys(
        (".pkl", ".pickle", ".pt", ".pth"),
        "a pickle, which is read by running code: save its arrays with numpy.savez",
    ),
    **dict.fromkeys(
        (".h5", ".hdf5", ".mat", ".parquet", ".feather", ".tfrecord", ".json"),
        "of a format that minigan doesn't read: save its arrays with numpy.savez",
    ),
    **dict.fromkeys(
        (".heic", ".heif", ".svg", ".eps", ".psd", ".pdf", ".raw", ".dng", ".exr"),
        "a picture of a format that minigan doesn't read: save it as png",
    ),
}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    image_shape: Shape | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "train",
) -> Dataset:
    """Load images by name or from disk, in the desired shape.

    Parameters
    ----------
    name_or_path : str or path_like
        "digits", "avatars", "mnist", "fashion-mnist", "stacked-mnist", "cifar10", "emoji",
        "cartoons", "glyphs", "kana"; of sounds "tones" or "spoken-digits", of films
        "moving-digits"; or the path of one of these:

        - a folder of images, or a zip of one, which isn't unpacked; or a single picture;
        - a folder of WAV files, if no `image_shape` is given; or a single one;
        - an IDX file of uint8 (N, H, W) or (N, H, W, C), with labels if there is a file named
          alike, such as ``x-images.idx`` and ``x-labels.idx``;
        - a NumPy file: an array in a .npy, or a .npz with images and perhaps labels, named as
          ``x_train`` and ``y_train``, or ``images`` and ``labels``; without labels of its own,
          with those in a file named alike, such as ``x-imgs.npz`` and ``x-labels.npz``;
        - a table (.csv, .tsv, .txt) of a grey image in each row, perhaps with a column of labels.

        A name takes precedence over a folder of that name; write ``./mnist`` for the folder.
    image_shape : (int, int, int), optional
        Height, width and channels (1 or 3). Images of another shape are cropped, resized and
        converted to grey or RGB, and the data set's `notes` say so. Required for pictures.
    data_dir : path_like, optional
        Folder with the files of the data sets that don't come with minigan.
    split : {"train", "test"}
        "test" is only for data that have a test split, see `has_test_split`.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is no such data set, or it is missing, damaged or of the wrong kind.
    ValueError
        If `image_shape` is missing for pictures, or not a shape of images.
    """
    name = os.fspath(name_or_path)
    if image_shape is not None:
        check_shape(image_shape)
    if image_shape is None and (name in (*SOUNDS, *FILMS) or has_sounds(name)):
        return _sounding(name, split, data_dir)
    dataset = _named(name, split, data_dir)
    if dataset is None:
        train = split == "train"
        dataset = _unsplit(name, image_shape) if train else _held_out(name, image_shape, split)
    return dataset if image_shape is None else fit(dataset, image_shape)


def has_test_split(name_or_path: str | os.PathLike[str]) -> bool:
    """Return whether images have a test split to `load`.

    Parameters
    ----------
    name_or_path : str or path_like
        As for `load`. A file or a folder has one if there is another named alike, with "test" or
        "t10k" for "train": ``t10k-images-idx3-ubyte`` for ``train-images-idx3-ubyte``, ``x_test``
        for ``x_train``, within a .npz or as files of their own.

    Returns
    -------
    bool

    Raises
    ------
    DataError
        If it is a damaged .npz.
    """
    name = os.fspath(name_or_path)
    if name in (*DATASETS, *SOUNDS, *FILMS):
        return name in (*_SPLIT, "spoken-digits", *FILMS)
    path = Path(os.path.expanduser(name))
    return path.exists() and (_held_within(path) is not None or held_out.beside(path) is not None)


def _held_out(name: str, image_shape: Shape | None, split: str) -> Dataset:
    """Load the test split of a file or folder."""
    path = Path(os.path.expanduser(name))
    if split != "test" or name in DATASETS or not has_test_split(path):
        raise DataError(f"{name} has no {split!r} split: ask for 'train'")
    within = _held_within(path)
    if within is not None:
        return _of_members(path, image_shape, *within, held_out=True)
    return _unsplit(str(held_out.beside(path)), image_shape)


def _held_within(path: Path) -> tuple[str, str | None] | None:
    """Return the names of a .npz's test images and of their labels, if it has some."""
    if not (path.is_file() and path.suffix.lower() == ".npz"):
        return None
    found = arrays.shapes(path)
    if not found:
        return None
    images, labels = arrays.choose(found, path)
    test = held_out.counterpart(images, found)
    return None if test is None else (test, held_out.counterpart(labels or "", found))


def has_sounds(name: str) -> bool:
    """Return whether a path is that of a WAV file, or of a folder with some."""
    path = Path(os.path.expanduser(name))
    if path.is_dir() and name not in DATASETS:
        return bool(walked(path, is_wav)[0])
    return path.is_file() and is_wav(path)


def _sounding(name: str, split: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    if name == "spoken-digits":
        return spoken_digits(data_dir=data_dir, split=split)
    if name in FILMS:
        return moving_digits(split=split)
    if split == "test" and name not in SOUNDS:
        beside = held_out.beside(Path(os.path.expanduser(name)))
        if beside is not None:
            return sound_folder(beside)
    if split != "train":
        raise DataError(f"{name} has no {split!r} split: ask for 'train'")
    return tones() if name == "tones" else sound_folder(name)


def _named(name: str, split: str, data_dir: str | os.PathLike[str] | None) -> Dataset | None:
    if name in _SPLIT:
        return _SPLIT[name](split=split, data_dir=data_dir)
    if split != "train":
        return None
    if name == "avatars":
        return avatars()
    return _OF_FILES[name](data_dir=data_dir) if name in _OF_FILES else None


def _unsplit(name: str, image_shape: Shape | None) -> Dataset:
    if name == "digits":
        # The native size is loaded directly rather than enlarged and shrunk again.
        return digits(enlarge=image_shape is None or tuple(image_shape) != (8, 8, 1))
    path = Path(os.path.expanduser(name))  # unlike its own, leaves an unknown ~user as it is
    if path.is_dir():
        height, width, channels = _required(path, "a folder of images", image_shape)
        return image_folder(path, size=(height, width), channels=channels)
    if path.is_file():
        return _file(path, image_shape)
    if name in TEXTS:
        raise DataError(f"{name!r} is text and has no images: use text({name!r})")
    if name in (*SOUNDS, *FILMS):
        raise DataError(f"{name!r} has no images, but sounds or films: use another data set")
    if name in DISTRIBUTIONS:
        raise DataError(
            f"{name!r} is a 2-D distribution and has no images: use distribution({name!r})"
        )
    known = choices(name, (*DATASETS, *SOUNDS, *FILMS))
    raise DataError(f"there is no data set, folder or file {name!r}: {known}, or give a path")


def _required(path: Path, what: str, image_shape: Shape | None) -> Shape:
    if image_shape is None:
        raise ValueError(f"{path} is {what}: give the image_shape to convert to")
    return image_shape


# ---------------------------------------------------------------- files


def _file(path: Path, image_shape: Shape | None) -> Dataset:
    """Load the images in a file, by what it begins with, or else by what its name ends in."""
    ending = path.suffix.lower()
    for known, remedy in _REMEDIES.items():
        if path.name.lower().endswith(known):
            raise DataError(f"{path} is {remedy}")
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(arrays.MAGIC) or ending == ".npy":
        return _of_array(path, _plain(path, arrays.read_npy(path)), image_shape)
    if start.startswith((b"PK\3\4", b"PK\5\6")) or ending in (".npz", ".zip"):
        return _of_zip(path, image_shape)
    if ending in EXTENSIONS:
        height, width, channels = _required(path, "a picture", image_shape)
        return image_folder(path, size=(height, width), channels=channels)
    return (_of_table if ending in tables.ENDINGS else _of_idx)(path, image_shape)


def _plain(path: Path, array: npt.NDArray[numpy.generic]) -> npt.NDArray[numpy.generic]:
    if array.ndim == 2 and array.shape[0] == array.shape[1] > 2:
        raise DataError(
            f"{path} contains {array.dtype} of shape {array.shape}, which may be one picture or a "
            "picture in each row: save it with the shape (N, H, W)"
        )
    return array


def _of_zip(path: Path, image_shape: Shape | None) -> Dataset:
    found = arrays.shapes(path)
    if not found:
        height, width, channels = _required(path, "a zip of pictures", image_shape)
        return image_zip(path, size=(height, width), channels=channels)
    name, partner = arrays.choose(found, path)
    others = [other for other in found if other not in (name, partner)]
    notes = (f"not used of {path.name}: {', '.join(others)}",) if others else ()
    return _of_members(path, image_shape, name, partner, notes)


def _of_members(
    path: Path,
    image_shape: Shape | None,
    name: str,
    partner: str | None,
    notes: tuple[str, ...] = (),
    *,
    held_out: bool = False,
) -> Dataset:
    """Load the images of this name in a .npz, and the labels that belong to them."""
    images, *labels = arrays.read_npz(path, name, *([partner] if partner else []))
    what = f"{name!r} in {path}"
    own = labels[0] if labels else None
    return _of_array(path, images, image_shape, own, notes, what, held_out=held_out)


def _of_array(
    path: Path,
    array: npt.NDArray[numpy.generic],
    image_shape: Shape | None,
    labels: npt.NDArray[numpy.generic] | None = None,
    notes: tuple[str, ...] = (),
    what: str = "",
    *,
    held_out: bool = False,
) -> Dataset:
    images, changes = as_images(array, what or str(path), image_shape)
    beside = labelled.array_beside(path) if labels is None else None
    if beside is not None:
        labels = labelled.read_array(beside, held_out=held_out)
        notes = notes if labels is None else (*notes, f"labels from {beside.name}")
    found = None if labels is None else named_labels(labels, len(images), str(beside or path))
    return Dataset(
        name=path.stem,
        images=images,
        labels=found[0] if found else None,
        source=str(path),
        class_names=found[1] if found else None,
        notes=(*notes, *changes, *darkness(images)),
    )


def _of_table(path: Path, image_shape: Shape | None) -> Dataset:
    table = tables.read_table(path)
    column = _label_column(table, image_shape)
    if column is None:
        return _of_array(path, table.numbers, image_shape, None, table.notes)
    name, labels = table.names[column] if table.names else column + 1, table.numbers[:, column]
    table = table.without(column, f"column {name} was taken for the labels")
    return _of_array(path, table.numbers, image_shape, labels, table.notes)


def _label_column(table: tables.NumberTable, image_shape: Shape | None) -> int | None:
    """The column of labels: by its name, or the first or the last if the others make an image.

    Of these, the one that counts classes (0, 1, 2, ...), and in which none of them has nearly all.
    """
    points = table.find({"x"}) is not None  # and y is no label
    named = table.find(tables.LABELS if points else tables.LABELS | {"y"})
    columns = table.numbers.shape[1]
    if named is not None:
        return named
    if _is_image(columns, image_shape) or not _is_image(columns - 1, image_shape):
        return None
    first, last = (_unlike_labels(table.numbers[:, column]) for column in (0, -1))
    return columns - 1 if last < first else 0


def _unlike_labels(numbers: npt.NDArray[Any]) -> tuple[bool, bool, int]:
    """What speaks against a column of labels: gaps between them, one that most have, many."""
    values, counts = numpy.unique(numbers, return_counts=True)
    counted = len(values) > 1 and values[0] in (0, 1) and (numpy.diff(values) == 1).all()
    return not counted, bool(counts.max() > 0.6 * len(numbers)), len(values)


def _is_image(pixels: int, image_shape: Shape | None) -> bool:
    fits = image_shape is not None and image_shape[0] * image_shape[1] == pixels
    return fits or (pixels > 1 and math.isqrt(pixels) ** 2 == pixels)


def _of_idx(path: Path, image_shape: Shape | None) -> Dataset:
    images = read_idx(path)
    if images.dtype != numpy.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(
            f"{path} contains {images.dtype} of shape {images.shape}: images must be uint8, of "
            "shape (N, H, W) or (N, H, W, C)"
        )
    upright, notes = labelled.upright(path, images)
    labels, class_names, renumbered = labelled.labels_beside(path, len(images))
    return Dataset(
        name=path.name.removesuffix(".gz"),
        images=upright if images.ndim == 4 else upright[..., None],
        labels=labels,
        source=str(path),
        class_names=class_names,
        notes=(*notes, *renumbered, *darkness(images)),
    )

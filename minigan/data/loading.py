"""One function that loads any set of images: by name, from a folder or from a file."""

from __future__ import annotations

import os
from pathlib import Path

import numpy

from minigan.data.dataset import Dataset
from minigan.data.digits import digits
from minigan.data.errors import DataError, choices
from minigan.data.folder import EXTENSIONS, darkness, fit, image_folder
from minigan.data.idx import read_idx
from minigan.data.mnist import fashion_mnist, mnist
from minigan.data.stacked import stacked_mnist
from minigan.data.toys import DISTRIBUTIONS

__all__ = ["DATASETS", "load"]

DATASETS = ("digits", "mnist", "fashion-mnist", "stacked-mnist")

_REMEDIES = {
    **dict.fromkeys((".npz", ".npy"), "a NumPy file: save its uint8 array with data.write_idx"),
    **dict.fromkeys((".csv", ".tsv"), "a CSV file: save its pixels, as an array, with write_idx"),
    **dict.fromkeys((".zip", ".tar", ".tgz"), "an archive: unpack it, and give the folder"),
    **dict.fromkeys(EXTENSIONS, "one picture: give a folder of many"),
}


def load(
    name_or_path: str | os.PathLike[str],
    *,
    image_shape: tuple[int, int, int] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "train",
) -> Dataset:
    """Load images by name or from disk, in the desired shape.

    Parameters
    ----------
    name_or_path : str or path_like
        "digits", "mnist", "fashion-mnist", "stacked-mnist", a folder of images, or an IDX file of
        uint8 (N, H, W) or (N, H, W, C). A name takes precedence over a folder of that name; write
        ``./mnist`` for the folder.
    image_shape : (int, int, int), optional
        Height, width and channels (1 or 3). Images of another shape are cropped, resized and
        converted to grey or RGB, and the data set's `notes` say so. Required for a folder.
    data_dir : path_like, optional
        Folder with the files of "mnist", "fashion-mnist" and "stacked-mnist".
    split : {"train", "test"}
        "test" is only for data sets that have a test split.

    Returns
    -------
    Dataset

    Raises
    ------
    DataError
        If there is no such data set, or it is missing, damaged or of the wrong kind.
    ValueError
        If `image_shape` is missing for a folder, or not a shape of images.
    """
    dataset = _named(os.fspath(name_or_path), split, data_dir)
    if dataset is None:
        if split != "train":
            raise DataError(f"{os.fspath(name_or_path)} has no {split!r} split: ask for 'train'")
        dataset = _unsplit(os.fspath(name_or_path), image_shape)
    return dataset if image_shape is None else fit(dataset, image_shape)


def _named(name: str, split: str, data_dir: str | os.PathLike[str] | None) -> Dataset | None:
    if name == "mnist":
        return mnist(split=split, data_dir=data_dir)
    if name == "fashion-mnist":
        return fashion_mnist(split=split, data_dir=data_dir)
    if name == "stacked-mnist":
        return stacked_mnist(split=split, data_dir=data_dir)
    return None


def _unsplit(name: str, image_shape: tuple[int, int, int] | None) -> Dataset:
    if name == "digits":
        # The native size is loaded directly rather than enlarged and shrunk again.
        return digits(enlarge=image_shape is None or tuple(image_shape) != (8, 8, 1))
    path = Path(os.path.expanduser(name))  # unlike its own, leaves an unknown ~user as it is
    if path.is_dir():
        if image_shape is None:
            raise ValueError(
                f"{path} is a folder of images: give the image_shape to convert them to"
            )
        return image_folder(path, size=(image_shape[0], image_shape[1]), channels=image_shape[2])
    if path.is_file():
        return _idx_images(path)
    if name in DISTRIBUTIONS:
        raise DataError(
            f"{name!r} is a 2-D distribution and has no images: use distribution({name!r})"
        )
    raise DataError(
        f"there is no data set, folder or file {name!r}: {choices(name, DATASETS)}, or give a path"
    )


def _idx_images(path: Path) -> Dataset:
    remedy = _REMEDIES.get(path.suffix.lower())
    if remedy is not None:
        raise DataError(f"{path} is {remedy}")
    images = read_idx(path)
    if images.dtype != numpy.uint8 or images.ndim not in (3, 4) or 0 in images.shape:
        raise DataError(
            f"{path} contains {images.dtype} of shape {images.shape}: images must be uint8, of "
            "shape (N, H, W) or (N, H, W, C)"
        )
    return Dataset(
        name=path.name.removesuffix(".gz"),
        images=images if images.ndim == 4 else images[..., None],
        source=str(path),
        notes=darkness(images),
    )

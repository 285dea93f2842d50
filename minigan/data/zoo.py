"""Small sets of pictures: faces, which come with minigan, and emoji, heads, letters and kana.

Apart from the faces, each is one NumPy file in a data folder. ``datasets/make.py`` and
``datasets/letters.py`` in minigan's repository make these files from npm and Debian packages, and
name their licences.
"""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data import arrays
from minigan.data.dataset import Dataset
from minigan.data.errors import DataError

__all__ = ["avatars", "cartoons", "emoji", "glyphs", "kana"]

Folder = str | os.PathLike[str] | None
Arrays = dict[str, npt.NDArray[Any]]

AVATARS = "Pixel Art by Florian Körner, drawn by DiceBear, CC0 1.0"
_HOW = {
    "spoken_digits": "make spoken_digits.npz from the Free Spoken Digit Dataset with "
    "datasets/spoken_digits.py, which is in minigan's repository",
    "glyphs": "make glyphs.npz with datasets/letters.py, which is in minigan's repository",
    "kana": "make kana.npz with datasets/letters.py, which is in minigan's repository",
}
ATTRIBUTES = ("hair", "hairColor", "skinColor", "mouth", "eyes", "clothing")


def avatars(*, glasses: bool = False, attribute: str = "hairColor") -> Dataset:
    """Load the embedded pixel-art faces.

    Parameters
    ----------
    glasses : bool
        Whether the same people wear glasses.
    attribute : {"hair", "hairColor", "skinColor", "mouth", "eyes", "clothing"}
        What the labels say: one of 45 haircuts, 11 hair colours, 8 skin colours, 23 mouths, 12
        pairs of eyes, or 23 kinds of clothing.

    Returns
    -------
    Dataset
        12,000 uint8 images (16, 16, 3) with labels.

    Raises
    ------
    ValueError
        If there is no such attribute.
    """
    if attribute not in ATTRIBUTES:
        raise ValueError(f"faces have no attribute {attribute!r}: use {', '.join(ATTRIBUTES)}")
    view = "glasses" if glasses else "plain"
    names = f"{attribute}_names"
    packed = resources.files("minigan.data") / "avatars.npz"
    with packed.open("rb") as file, numpy.load(file, allow_pickle=False) as found:
        images, labels, class_names = found[view], found[attribute], found[names]
    return Dataset(
        name="avatars", images=images, labels=labels, source=AVATARS,
        class_names=tuple(class_names.tolist()),
    )  # fmt: skip


def emoji(*, data_dir: Folder = None, design: str = "twemoji") -> Dataset:
    """Load emoji from ``emoji.npz``.

    Parameters
    ----------
    data_dir : path_like, optional
        The folder with the file; by default the environment variable ``MINIGAN_DATA``.
    design : {"twemoji", "noto"}
        Twitter's drawings (CC BY 4.0) or Google's (Apache 2.0), in the same order.

    Returns
    -------
    Dataset
        1,906 uint8 images (32, 32, 3) on white, with nine categories for labels.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    ValueError
        If there is no such design.
    """
    if design not in ("twemoji", "noto"):
        raise ValueError(f"there are no emoji of design {design!r}: use twemoji or noto")
    found, source = read("emoji", data_dir, design, "labels", "categories")
    return _dataset("emoji", found[design], found["labels"], found["categories"], source)


def cartoons(*, data_dir: Folder = None) -> Dataset:
    """Load cartoon heads ("Adventurer" by Lisa Wischofsky, CC BY 4.0) from ``cartoons.npz``.

    Parameters
    ----------
    data_dir : path_like, optional
        As for `emoji`.

    Returns
    -------
    Dataset
        3,000 uint8 images (64, 64, 3) on white.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    found, source = read("cartoons", data_dir, "images")
    return _dataset("cartoons", found["images"], None, None, source)


def glyphs(*, data_dir: Folder = None) -> Dataset:
    """Load letters and digits of 437 fonts from ``glyphs.npz``.

    Parameters
    ----------
    data_dir : path_like, optional
        As for `emoji`.

    Returns
    -------
    Dataset
        27,094 uint8 images (28, 28, 1), white on black, labelled with their characters, 0-9A-Za-z.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    found, source = read("glyphs", data_dir, "images", "characters")
    if found["images"].ndim != 4:
        raise DataError(
            f"{source} isn't what it should be (its images have shape {found['images'].shape}, not "
            "(fonts, characters, height, width)): make it again"
        )
    fonts, characters = found["images"].shape[:2]
    images = found["images"].reshape(-1, *found["images"].shape[2:])
    labels = numpy.tile(numpy.arange(characters), fonts)
    return _dataset("glyphs", images, labels, found["characters"], source)


def kana(*, data_dir: Folder = None) -> Dataset:
    """Load hiragana from ``kana.npz``.

    Parameters
    ----------
    data_dir : path_like, optional
        As for `emoji`.

    Returns
    -------
    Dataset
        11,400 uint8 images (28, 28, 1), white on black, labelled with their ten characters.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    found, source = read("kana", data_dir, "images", "labels", "characters")
    return _dataset("kana", found["images"], found["labels"], found["characters"], source)


def _dataset(name: str, images: Any, labels: Any, class_names: Any, source: str) -> Dataset:
    try:
        return Dataset(
            name=name, images=images if images.ndim == 4 else images[..., None], labels=labels,
            source=source, class_names=None if class_names is None else tuple(class_names.tolist()),
        )  # fmt: skip
    except ValueError as error:
        raise DataError(f"{source} isn't what it should be ({error}): make it again") from None


def read(name: str, data_dir: Folder, *wanted: str) -> tuple[Arrays, str]:
    """Return arrays from the set's file in a data folder, and the path of that file.

    Raises
    ------
    DataError
        If the file is missing or damaged, or lacks one of the arrays.
    """
    path = _place(name, data_dir)
    present = arrays.shapes(path)
    missing = [array for array in wanted if array not in present]
    if missing:
        raise DataError(f"{path} has no array {missing[0]!r}: make it again")
    found = dict(zip(wanted, arrays.read_npz(path, *wanted), strict=True))
    for array, values in found.items():
        if not values.ndim:
            raise DataError(
                f"{path} isn't what it should be ({array!r} is a single number): make it again"
            )
    return found, str(path)


def _place(name: str, data_dir: Folder) -> Path:
    how = _HOW.get(name, f"make {name}.npz with datasets/make.py, which is in minigan's repository")
    where = data_dir if data_dir is not None else os.environ.get("MINIGAN_DATA") or None
    if where is None:
        raise DataError(
            f"{name.replace('_', '-')} doesn't come with minigan: {how}, and give its folder with "
            "--data-dir or MINIGAN_DATA"
        )
    folder = Path(os.path.expanduser(where))
    # The heads are 64 pixels high, which their file's name may say.
    found = [path for path in (folder / f"{name}.npz", folder / f"{name}64.npz") if path.is_file()]
    if not found:
        raise DataError(f"{folder} has no file {name}.npz: {how}")
    return found[0]


def weights(*, data_dir: Folder = None) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return the characters of all fonts that have a bold companion, and of that companion.

    Parameters
    ----------
    data_dir : path_like, optional
        As for `emoji`.

    Returns
    -------
    regular, bold : ndarray of uint8, shape (families, 62, 28, 28)
        In the order of the families' names.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    """
    found, _ = read("glyphs", data_dir, "images", "fonts")
    styles: dict[tuple[str, str], int] = {}
    for i, font in enumerate(found["fonts"].tolist()):
        family, style, _ = font.split("|")
        styles.setdefault((family, style), i)
    both = sorted(f for f, style in styles if style == "Regular" and (f, "Bold") in styles)
    images = found["images"]
    regular, bold = (images[[styles[f, style] for f in both]] for style in ("Regular", "Bold"))
    return regular, bold

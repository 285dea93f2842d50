"""Any folder of images as a data set, and any data set at the size that a recipe needs.

Image files have all kinds of sizes, orientations and colour modes; a network needs one shape. The
data set's `notes` say what was changed, because a GAN learns those changes too.
"""

from __future__ import annotations

import functools
import io
import itertools
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import numpy.typing as npt

from minigan.data.dataset import Dataset
from minigan.data.errors import DataError
from minigan.data.limits import max_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["fit", "image_folder"]

SHOWN = 3
"""Unreadable files, and files of arrays, that are named."""
EXTENSIONS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff"),
    *(".apng", ".avif", ".dib", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".mpo", ".pbm", ".pcx"),
    *(".pgm", ".pnm", ".ppm", ".qoi", ".sgi", ".tga"),
)
"""What the names of pictures end in; what reads them is Pillow."""
_MODES = {1: "L", 3: "RGB"}
_GREY = ("1", "L", "LA", "La")
_SPLIT = re.compile(
    r"(train|test|val|valid|dev|eval|holdout)(ing|ation|s)?"
    r"([-_ ]?(set|data|images|pictures|split|[ab]|\d+))?",
    re.IGNORECASE,
)
"""Names of folders with a part of the images: train, test_set, validation, trainA, ..."""
_ARRAYS = re.compile(r"\.(npz|npy|csv|tsv|idx)$|(ubyte|\.idx)(\.gz)?$", re.IGNORECASE)
_NO_CLASSES, _AS_CLASSES = "the subfolders are no classes", "with its subfolders as classes"
_TURNS = {2: "mirrored", 4: "mirrored", 5: "rotated and mirrored", 7: "rotated and mirrored"}
_ANIMATED = "animated (only the first frame is used)"
_PAGED = ("TIFF", "MPO", "ICO")  # formats whose further pictures are pages, sizes, or a preview
_DARK = 31  # of 255: reached by pixels of 0 and 1, by masks, and by 12-bit scans in 16-bit files


def image_folder(path: str | os.PathLike[str], *, size: tuple[int, int], channels: int) -> Dataset:
    """Load all images in a folder and its subfolders, converted to one shape.

    Each image is rotated according to its EXIF data, composited on black if it is transparent,
    converted to grey or RGB, centre-cropped to the aspect ratio of `size`, and resampled (Lanczos,
    which smooths when it shrinks). Files are read in the order of their paths; hidden ones are
    skipped, and links to folders are followed. Files that aren't pictures, or can't be read, are
    passed over, and the notes say so.

    If all images are exactly one subfolder deep, below the folder or below a subfolder that holds
    them all, the subfolders are the classes, sorted by name; the notes say which are none, and why.

    Parameters
    ----------
    path : path_like
        The folder, searched recursively for the files of png, jpg, webp, tiff and many other
        formats, or a single picture.
    size : (int, int)
        Desired height and width.
    channels : {1, 3}
        Grey or RGB.

    Returns
    -------
    Dataset
        uint8 images (N, H, W, channels), with `notes` on what was changed.

    Raises
    ------
    DataError
        If there are no images, or none of them can be read.
    ValueError
        If `size` or `channels` is not as above.
    """
    return named_images(path, size=size, channels=channels)[0]


def named_images(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int],
    channels: int,
    check: Callable[[Path, tuple[int, int]], None] = lambda file, size: None,
) -> tuple[Dataset, list[Path]]:
    """Do what `image_folder` does; also return each image's path in the folder.

    `check` is given the path and the size of each picture, and may refuse it.
    """
    check_shape((*size, channels))
    root = Path(os.path.expanduser(path))
    found, others = ([root], Counter[str]()) if root.is_file() else pictures(root)
    changes: Counter[str] = Counter()
    sizes: list[tuple[int, int]] = []
    images = numpy.empty((len(found), *size, channels), dtype=numpy.uint8)
    files: list[Path] = []
    broken: list[DataError] = []
    for file in _with_progress(found, root):
        try:
            images[len(files)] = _load_picture(file, size, channels, changes, sizes)
            files.append(file)
        except DataError as error:
            broken.append(error)
            continue
        check(file, sizes[-1])
    if not files:
        raise broken[0]
    images = images[: len(files)]
    parts = [file.relative_to(root).parts for file in files]
    labels, class_names = classes(parts)
    dataset = Dataset(
        name=root.resolve().name, images=images, labels=labels, source=str(root),
        class_names=class_names,
        notes=(
            *_passed_over(broken, others), *picture_notes(changes, sizes, size), *darkness(images),
            *splits(parts), *class_notes(parts, subfolders(root.joinpath(*around(parts)))),
        ),
    )  # fmt: skip
    return dataset, [file.relative_to(root) for file in files]


def fit(dataset: Dataset, image_shape: tuple[int, int, int]) -> Dataset:
    """Convert a data set to the image shape that a network needs.

    This is done as in `image_folder`: centre crop to the aspect ratio, Lanczos, grey or RGB. Floats
    are rounded to bytes in the process. A data set that already has the shape is returned as it is.

    Parameters
    ----------
    dataset : Dataset
    image_shape : (int, int, int)
        Desired height, width and number of channels (1 or 3).

    Returns
    -------
    Dataset
        With notes that say what was changed.

    Raises
    ------
    DataError
        If the images have neither one nor three channels.
    ValueError
        If `image_shape` is not as above.
    """
    if dataset.image_shape == tuple(image_shape):
        return dataset
    check_shape(image_shape)
    height, width, channels = image_shape
    if dataset.image_shape[2] not in _MODES:
        raise DataError(
            f"the images of {dataset.name!r} have {dataset.image_shape[2]} channels: only 1 (grey) "
            "or 3 (RGB) can be converted to another shape"
        )
    from PIL import Image

    changes: Counter[str] = Counter()
    images = numpy.empty((len(dataset), *image_shape), dtype=numpy.uint8)
    for image, pixels in zip(images, dataset.images, strict=True):
        pixels = _as_bytes(pixels)
        picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
        image[...] = _fitted(picture, (height, width), channels, changes)
    notes = picture_notes(changes, [dataset.image_shape[:2]] * len(dataset), (height, width))
    return Dataset(
        name=dataset.name,
        images=images,
        labels=dataset.labels,
        source=dataset.source,
        class_names=dataset.class_names,
        notes=(*dataset.notes, *notes),
    )


def darkness(images: npt.NDArray[Any]) -> tuple[str, ...]:
    """Return a note if bytes, or floats from -1 on, stay so low that all images look black."""
    brightest = images.max()
    largest = int(brightest if images.dtype == numpy.uint8 else round(127.5 * (brightest + 1)))
    if largest > _DARK:
        return ()
    return (f"the largest value is {largest} of 255, nearly black: scale the images to 0..255",)


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse what isn't a height, a width and 1 or 3 channels."""
    numbers = shape if isinstance(shape, tuple | list) else ()
    whole = all(isinstance(size, Integral) for size in numbers)
    if len(numbers) != 3 or not whole or min(numbers) < 1 or numbers[2] not in _MODES:
        raise ValueError(
            f"images cannot be converted to shape {shape}: (height, width, channels) with 1 "
            "or 3 channels is needed"
        )


def _as_bytes(images: npt.NDArray[Any]) -> npt.NDArray[numpy.uint8]:
    return (
        images
        if images.dtype == numpy.uint8
        else numpy.rint((images + 1) * 127.5).astype(numpy.uint8)
    )


def pictures(root: Path) -> tuple[list[Path], Counter[str]]:
    """The files to read, in order, and how many others there are of each suffix."""
    if not root.is_dir():
        raise DataError(
            f"{root} is not a folder: give one that contains images ({', '.join(EXTENSIONS)})"
        )
    found, others = walked(root, lambda file: file.name.lower().endswith(EXTENSIONS))
    if not found:
        raise DataError(_nothing(root))
    return found, others


def _nothing(root: Path) -> str:
    """Say that a folder has no pictures, and which of its files may hold images."""
    arrays, _ = walked(root, lambda file: _ARRAYS.search(file.name) is not None)
    names = [file.relative_to(root).as_posix() for file in arrays]
    if not names:
        return f"{root} contains no images: put files there that end in {', '.join(EXTENSIONS)}"
    listed = ", ".join(names[:SHOWN]) + ", ..." * (len(names) > SHOWN)
    return f"{root} contains no pictures, but {listed}: give the path of one file with images"


def walked(root: Path, wanted: Callable[[Path], bool]) -> tuple[list[Path], Counter[str]]:
    """Return the wanted files below a folder, in order, and the number of others by suffix.

    Hidden ones are skipped, and links to folders followed.
    """
    found: list[Path] = []
    others: Counter[str] = Counter()
    above: dict[str, frozenset[str]] = {}  # where each folder, and all that it is in, really are
    for folder, subfolders, names in os.walk(root, followlinks=True, onerror=_refuse):
        place, around = os.path.realpath(folder), above.get(os.path.dirname(folder), frozenset())
        if place in around:  # a link back to a folder that it is in
            subfolders.clear()
            continue
        above[folder] = around | {place}
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        shown = [Path(folder, name) for name in names if not name.startswith(".")]
        found += [file for file in shown if wanted(file)]
        others.update(file.suffix.lower() or "no suffix" for file in shown if not wanted(file))
    return sorted(found, key=lambda file: file.relative_to(root).parts), others


def _passed_over(broken: list[DataError], others: Counter[str]) -> tuple[str, ...]:
    """Say which files were not used, and why."""
    kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
    note = f"{_files(others.total())} passed over: no pictures ({kinds})"
    return (*((note,) if others else ()), *unreadable(broken))


def unreadable(broken: list[DataError]) -> tuple[str, ...]:
    """Say which pictures could not be read, and why."""
    if not broken:
        return ()
    more = f", and {len(broken) - SHOWN} more" if len(broken) > SHOWN else ""
    why = "; ".join(str(error) for error in broken[:SHOWN])
    return (f"{_files(len(broken))} passed over: {why}{more}",)


def _files(count: int) -> str:
    return f"{count} file{'' if count == 1 else 's'}"


def _refuse(error: OSError) -> None:
    why = (error.strerror or "unknown error").lower()
    raise DataError(f"{error.filename} cannot be read ({why}): allow it, or remove the folder")


def _with_progress(files: list[Path], root: Path) -> Any:
    from tqdm.auto import tqdm

    # disable=None: no bar unless the output is a terminal; delay: none for a short job.
    return tqdm(
        files, desc=f"reading {root.name}", unit="image", leave=False, delay=1, disable=None
    )


def _load_picture(
    file: Path,
    size: tuple[int, int],
    channels: int,
    changes: Counter[str],
    sizes: list[tuple[int, int]],
) -> npt.NDArray[numpy.uint8]:
    try:
        if not file.is_file():
            raise ValueError("it is no file, but a pipe, a device or a link to nothing")
        with opened(file, str(file)) as picture:
            return prepared(picture, size, channels, changes, sizes)
    except DataError:
        raise
    # Pillow's decoders raise all kinds of exceptions.
    except Exception as error:
        raise DataError(
            f"{file} cannot be read as an image ({error}): repair or remove it"
        ) from error


def prepared(
    picture: Image,
    size: tuple[int, int],
    channels: int,
    changes: Counter[str],
    sizes: list[tuple[int, int]],
) -> npt.NDArray[numpy.uint8]:
    """Return an opened picture as pixels (height, width, channels); note its size and changes,
    unless it can't be read to the end.
    """
    own: Counter[str] = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what is odd about a file, but harmless
        pixels, before = _prepared(picture, size, channels, own)
    changes.update(own)
    sizes.append(before)
    return pixels


def _prepared(
    picture: Image, size: tuple[int, int], channels: int, changes: Counter[str]
) -> tuple[npt.NDArray[numpy.uint8], tuple[int, int]]:
    if getattr(picture, "n_frames", 1) > 1:
        paged = picture.format in _PAGED
        kind = "of several (only the first is used)" if paged else _ANIMATED
        changes[kind] += 1
    picture.load()
    upright = _turned(picture, changes)
    pixels = _fitted(_opaque(upright, changes), size, channels, changes)
    return pixels, (upright.height, upright.width)


def opened(file: Path | io.BytesIO, what: str) -> Image:
    """Open a picture of a format that the extensions stand for, and of at most `max_pixels`.

    Left to itself, Pillow would run Ghostscript for a file that is EPS inside, and wait for ever
    for one that is a pipe. `what` is the picture's name in the error message.
    """
    from PIL import Image

    most = max_pixels()
    if most > (Image.MAX_IMAGE_PIXELS or most):
        Image.MAX_IMAGE_PIXELS = most  # as the user asked in the environment
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(file, formats=_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(what, most) from None
    if picture.width * picture.height > most:
        picture.close()
        raise _too_large(what, most)
    return picture


@functools.cache
def _formats() -> tuple[str, ...]:
    """Pillow's names for the formats that `EXTENSIONS` stand for."""
    from PIL import Image

    known = Image.registered_extensions()
    return tuple(sorted({known[end] for end in EXTENSIONS if known.get(end) in Image.OPEN}))


def _too_large(what: str, most: int) -> DataError:
    return DataError(
        f"{what} has more than {most:,} pixels: make it smaller, or set MINIGAN_MAX_PIXELS to a "
        "larger number"
    )


def _turned(picture: Image, changes: Counter[str]) -> Image:
    from PIL import ExifTags, Image

    t = Image.Transpose
    turns = {
        2: t.FLIP_LEFT_RIGHT, 3: t.ROTATE_180, 4: t.FLIP_TOP_BOTTOM, 5: t.TRANSPOSE,
        6: t.ROTATE_270, 7: t.TRANSVERSE, 8: t.ROTATE_90,
    }  # fmt: skip
    orientation = picture.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation not in turns:
        return picture
    changes[f"{_TURNS.get(orientation, 'rotated')} according to the EXIF data"] += 1
    # ImageOps.exif_transpose writes all of the EXIF data anew, and fails if another tag is odd.
    return picture.transpose(turns[orientation])


def _opaque(picture: Image, changes: Counter[str]) -> Image:
    """The picture composited on black, with 8 bits per channel."""
    from PIL import Image

    # Pillow's name for the 16 bits of these formats is, or was once, "I" too.
    if picture.mode == "F" or (picture.mode == "I" and picture.format not in ("PNG", "PPM")):
        kind = "floating-point" if picture.mode == "F" else "32-bit integer"
        raise ValueError(f"{kind} pixels have no agreed range; convert it to 8 or 16 bits")
    if picture.mode.startswith("I"):
        # Pillow's own conversion clips at 255, which turns all but the darkest pixels white.
        changes["converted from 16 to 8 bits"] += 1
        deep = numpy.asarray(picture).astype(numpy.float64)
        return Image.fromarray(numpy.rint(deep / 257).clip(0, 255).astype(numpy.uint8))
    if not picture.has_transparency_data:
        return picture
    layer = picture.convert("RGBA")
    grey = picture.mode in _GREY or (picture.mode == "P" and not _coloured(layer))
    if numpy.asarray(layer)[..., 3].min() < 255:
        changes["composited on black"] += 1
        layer = Image.alpha_composite(Image.new("RGBA", layer.size, (0, 0, 0, 255)), layer)
    return layer.convert("L" if grey else "RGB")


def _fitted(
    picture: Image, size: tuple[int, int], channels: int, changes: Counter[str]
) -> npt.NDArray[numpy.uint8]:
    from PIL import Image, ImageOps

    grey = picture.mode in _GREY or (picture.mode == "P" and not _coloured(picture))
    if grey != (channels == 1):
        changes["converted to grey" if channels == 1 else "converted from grey to RGB"] += 1
    if picture.mode == "LAB":  # which Pillow converts to nothing but RGB
        picture = picture.convert("RGB")
    picture = picture.convert(_MODES[channels])
    height, width = size
    if picture.height * width != picture.width * height:
        changes["cropped around the centre"] += 1
    if (picture.height, picture.width) != size:
        picture = ImageOps.fit(picture, (width, height), method=Image.Resampling.LANCZOS)
    return numpy.asarray(picture, dtype=numpy.uint8).reshape(height, width, channels)


def _coloured(picture: Image) -> bool:
    red, green, blue = numpy.moveaxis(numpy.asarray(picture.convert("RGB")), 2, 0)
    return bool((red != green).any() or (green != blue).any())


def picture_notes(
    changes: Counter[str], sizes: list[tuple[int, int]], size: tuple[int, int]
) -> tuple[str, ...]:
    """Say what was changed, and from which sizes images were resized."""
    notes = [f"{_images(count)} {change}" for change, count in changes.items()]
    resized = [before for before in sizes if before != size]
    if resized:
        small, large = min(resized, key=numpy.prod), max(resized, key=numpy.prod)
        span = _by(small) if small == large else f"{_by(small)}..{_by(large)}"
        notes.insert(0, f"{_images(len(resized))} resized from {span} to {_by(size)}")
    return tuple(notes)


def _images(count: int) -> str:
    return f"{count} image{'' if count == 1 else 's'}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def splits(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return a note if images for training and for testing are used together.

    Parameters
    ----------
    paths
        The parts of the images' paths.
    """
    for depth in range(max(map(len, paths), default=1) - 1):
        folders = {path[depth] for path in paths if len(path) > depth + 1}
        kinds = {name: match[1].lower() for name in folders if (match := _SPLIT.fullmatch(name))}
        if len(set(kinds.values())) > 1:
            return (
                f"the images in {', '.join(sorted(kinds))} are all used together: give one of "
                f"these folders to use it alone, {_AS_CLASSES}",
            )
    return ()


def classes(
    paths: Sequence[tuple[str, ...]],
) -> tuple[npt.NDArray[numpy.int64] | None, tuple[str, ...] | None]:
    """Return the labels of images, and the names of the classes; None if there are none.

    Parameters
    ----------
    paths
        The parts of the images' paths.
    """
    outer = len(around(paths))
    parents = [path[outer:-1] for path in paths]
    if any(len(parts) != 1 for parts in parents):
        return None, None
    names = sorted({parts[0] for parts in parents})
    number = {name: label for label, name in enumerate(names)}
    return numpy.array([number[parts[0]] for parts in parents], dtype=numpy.int64), tuple(names)


def around(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the folders around all the classes: those that all images are in, but the last."""
    return _common([path[:-2] for path in paths])


def _common(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """What all paths begin with."""
    alike = itertools.takewhile(lambda names: len({*names}) == 1, zip(*paths, strict=False))
    return tuple(names[0] for names in alike)


def subfolders(root: Path) -> list[str]:
    """Return the names of the folders in a folder, sorted, without hidden ones."""
    inside = next(os.walk(root, onerror=_refuse))[1] if root.is_dir() else []
    return sorted(name for name in inside if not name.startswith("."))


def class_notes(
    paths: Sequence[tuple[str, ...]], folders: Sequence[str], what: str = "picture"
) -> tuple[str, ...]:
    """Return a note if subfolders are no classes, all or some of them.

    Parameters
    ----------
    paths
        The parts of the images' paths.
    folders
        The names of the folders in `around`.
    what
        What the files are.
    """
    _, names = classes(paths)
    if names is None:
        return _unclassed(paths, what)
    empty = sorted({*folders} - {*names})
    if not empty:
        return ()
    listed = ", ".join(empty[:SHOWN]) + ", ..." * (len(empty) > SHOWN)
    are, hold = ("are no classes", "they hold") if len(empty) > 1 else ("is no class", "it holds")
    return (f"{listed} {are}: {hold} no {what} that can be read",)


def _unclassed(paths: Sequence[tuple[str, ...]], what: str) -> tuple[str, ...]:
    """Name a file that isn't one subfolder deep, if there are subfolders at all."""
    if max(map(len, paths), default=0) < 2 or splits(paths):
        return ()
    inside = len(_common([path[:-1] for path in paths])) + 1
    beside = next((path for path in paths if len(path) == inside), None)
    if beside is not None:
        where, remedy = "lies beside them", "move it into one of them, or elsewhere"
    else:
        beside = next(path for path in paths if len(path) > inside + 1)
        where, remedy = "lies in a subfolder of one", f"put each {what} one level deep"
    return (f"{_NO_CLASSES}, since {'/'.join(beside)} {where}: {remedy}",)


def why_unlabelled(notes: Sequence[str]) -> str:
    """Return, in brackets, the note that says why a folder's subfolders are no classes, if any."""
    found = (note for note in notes if note.startswith(_NO_CLASSES) or note.endswith(_AS_CLASSES))
    return next((f" ({note})" for note in found), "")

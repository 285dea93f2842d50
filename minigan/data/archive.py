"""A zip of pictures, read without unpacking it: nothing in it is ever written to a disk."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy
import numpy.typing as npt

from minigan.data import limits
from minigan.data.dataset import Dataset
from minigan.data.errors import DataError
from minigan.data.folder import (
    EXTENSIONS,
    around,
    check_shape,
    class_notes,
    classes,
    darkness,
    opened,
    picture_notes,
    prepared,
    splits,
    unreadable,
)

__all__ = ["image_zip"]

_NOT_PICTURES = "__MACOSX"


def image_zip(path: Path, *, size: tuple[int, int], channels: int) -> Dataset:
    """Load all pictures in a zip, converted to one shape as `image_folder` does.

    Folders in the zip are the classes, as subfolders are. What can't be read is passed over, and
    the notes say so.

    Parameters
    ----------
    path : Path
        The zip.
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
        If there are no pictures, or none of them can be read.
    ValueError
        If `size` or `channels` is not as above.
    """
    check_shape((*size, channels))
    changes: Counter[str] = Counter()
    sizes: list[tuple[int, int]] = []
    paths: list[tuple[str, ...]] = []
    broken: list[DataError] = []
    try:
        with zipfile.ZipFile(path) as archive:
            infos, others = _pictures(archive, path)
            images = numpy.empty((len(infos), *size, channels), numpy.uint8)
            for info in infos:
                try:
                    read = _picture(archive, info, path, size, channels, changes, sizes)
                    images[len(paths)] = read
                    paths.append(_parts(info))
                except DataError as error:
                    broken.append(error)
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} cannot be read as a zip ({error}): make it again") from error
    if not paths:
        raise broken[0]
    images = images[: len(paths)]
    labels, class_names = classes(paths)
    return Dataset(
        name=path.stem, images=images, labels=labels, source=str(path), class_names=class_names,
        notes=(
            *others, *unreadable(broken), *picture_notes(changes, sizes, size), *darkness(images),
            *splits(paths), *class_notes(paths, _folders(archive, around(paths))),
        ),
    )  # fmt: skip


def _pictures(
    archive: zipfile.ZipFile, path: Path
) -> tuple[list[zipfile.ZipInfo], tuple[str, ...]]:
    """The pictures in the order of their paths, and a note if there are other files."""
    shown = [info for info in archive.infolist() if not info.is_dir() and _is_shown(_parts(info))]
    found = [info for info in shown if info.filename.lower().endswith(EXTENSIONS)]
    if not found:
        names = ", ".join(info.filename for info in shown[:3])
        if not names:
            raise DataError(f"{path} contains no pictures: give another zip")
        raise DataError(
            f"{path} contains no pictures, but {names}{', ...' * (len(shown) > 3)}: unpack it, "
            "and give the file or folder that is meant"
        )
    left = len(shown) - len(found)
    note = f"{left} file{'' if left == 1 else 's'} passed over: no pictures"
    return sorted(found, key=_parts), (note,) if left else ()


def _folders(archive: zipfile.ZipFile, outer: tuple[str, ...]) -> list[str]:
    """The names of the folders in a folder of the zip, without hidden ones."""
    inside = [
        (*_parts(info), *[""] * info.is_dir())[len(outer) :]
        for info in archive.infolist()
        if _parts(info)[: len(outer)] == outer
    ]
    return sorted({parts[0] for parts in inside if len(parts) > 1 and _is_shown(parts)})


def _is_shown(parts: tuple[str, ...]) -> bool:
    return not any(part.startswith(".") or part == _NOT_PICTURES for part in parts)


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    parts = info.filename.replace("\\", "/").strip("/").split("/")
    return tuple(part for part in parts if part != ".")  # some programs write ./cat/1.png


def _picture(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    path: Path,
    size: tuple[int, int],
    channels: int,
    changes: Counter[str],
    sizes: list[tuple[int, int]],
) -> npt.NDArray[numpy.uint8]:
    from PIL import UnidentifiedImageError

    what = f"{info.filename} in {path}"
    if info.file_size > limits.max_bytes():
        raise DataError(
            f"{what} unpacks to {info.file_size:,} bytes, more than {limits.max_bytes():,}: if "
            "that is meant, set MINIGAN_MAX_BYTES to a larger number"
        )
    try:
        with archive.open(info) as member, opened(io.BytesIO(member.read()), what) as picture:
            return prepared(picture, size, channels, changes, sizes)
    except DataError:
        raise
    except UnidentifiedImageError as error:  # whose own words show an address in memory
        raise DataError(
            f"{what} cannot be read as an image (its format isn't known): repair or remove it"
        ) from error
    except RuntimeError as error:  # what zipfile says of a password
        raise DataError(f"{what} cannot be read ({error}): unpack it") from error
    # Pillow's decoders raise all kinds of exceptions, beside those of zipfile and zlib.
    except Exception as error:
        raise DataError(
            f"{what} cannot be read as an image ({error}): repair or remove it"
        ) from error

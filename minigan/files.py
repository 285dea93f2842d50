"""Files that are written whole or not at all."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_LEFTOVER = re.compile(r"\..+-[0-9a-f]{12}(\.[^.]+)?")
_CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary path that becomes `path` when the block ends well, and vanishes when it does
    not.

    The bytes reach the disk (fsync) before the name does, so that even a power cut leaves the old
    file or the new one.

    Parameters
    ----------
    path
        The file to write. Its folder must exist; a file already there is replaced in one step.

    Yields
    ------
    Path
        A path in the same folder and with the same ending, for the block to write to.

    Raises
    ------
    ValueError
        If the folder does not exist, or `path` is itself a folder.
    OSError
        If it can't be written (full disk, read-only folder); it names `path`, and an older file is
        as it was.
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ValueError(
            f"cannot write {target}: the folder {target.parent} does not exist; create it first"
        )
    if target.is_dir():
        raise ValueError(
            f"cannot write {target}: it is a folder; give the name of a file inside it"
        )
    # Not tempfile.mkstemp: its files are private to the user and would stay so after the rename.
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        # The name itself; systems that can't open a folder (Windows) keep it in their own way.
        with suppress(OSError):
            _flush(target.parent, os.O_RDONLY)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        # A full disk doesn't say which file it was that didn't fit, and nobody knows the temporary
        # one.
        raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def is_leftover(path: Path) -> bool:
    """Tell whether a process that was killed in the middle of `written_whole` left this file."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete what killed processes left half written in a folder (not in its subfolders)."""
    for path in Path(folder).glob(".*"):
        if is_leftover(path) and path.is_file():
            path.unlink(missing_ok=True)


def _flush(path: Path, flags: int = os.O_RDWR) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    except OSError as error:
        # A file system without fsync is one thing, a disk that has just turned out to be full
        # another.
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(handle)

"""Files that are written atomically, whole or not at all, and locks between processes."""

from __future__ import annotations

import errno
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
_LEFTOVER = re.compile(r"\..+-[0-9a-f]{12}(\.[^.]+)?")
_CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` if the block succeeds, and is deleted otherwise.

    The content reaches the disk (fsync) before the file is renamed, so that even a power failure
    leaves either the old file or the new one.

    Parameters
    ----------
    path
        The file to write, or a link to it. Its folder must exist; an existing file is replaced
        atomically.

    Yields
    ------
    Path
        A path in the same folder and with the same suffix, for the block to write to.

    Raises
    ------
    ValueError
        If the folder does not exist, or `path` is itself a folder, a device or a pipe.
    OSError
        If it can't be written (full disk, read-only folder); the error names `path`, and an older
        file is left unchanged.
    """
    # The rename would put a file in the place of a link, and of a device just as well.
    target = Path(os.path.realpath(path) if os.path.islink(path) else path)
    if not target.parent.is_dir():
        raise ValueError(
            f"cannot write {target}: the folder {target.parent} does not exist; create it first"
        )
    if target.is_dir():
        raise ValueError(
            f"cannot write {target}: it is a folder; give the name of a file inside it"
        )
    if target.exists() and not target.is_file():
        raise ValueError(
            f"cannot write {target}: it is a device or a pipe; give the name of a file"
        )
    # Not tempfile.mkstemp: its files are readable by the user only, also after the rename.
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        yield temporary
        _flush(temporary)
        insist(lambda: os.replace(temporary, target))
        # Flush the folder, which holds the name; Windows can't open folders and doesn't need this.
        with suppress(OSError):
            _flush(target.parent, os.O_RDONLY)
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        # If the disk is full, the error doesn't name a file, and the temporary one would tell the
        # user nothing.
        raise OSError(error.errno, os.strerror(error.errno), str(target)) from error
    finally:
        # A read-only file system refuses even this, which would hide the error that led here.
        with suppress(OSError):
            insist(lambda: temporary.unlink(missing_ok=True))


PAUSES = (0.01, 0.05, 0.1, 0.3, 0.6) if os.name == "nt" else ()
"""Seconds between the tries of `insist`."""


def insist(act: Callable[[], T]) -> T:
    """Do something to a file, on Windows again and again for a second: a scanner of viruses or a
    reader may have it open, and until then it can't be replaced, removed or written.
    """
    for pause in PAUSES:
        try:
            return act()
        except PermissionError:
            time.sleep(pause)
    return act()


@contextmanager
def locked(path: str | os.PathLike[str], *, seconds: float = 0.0) -> Iterator[bool]:
    """Hold a file's lock during the block, so that one process at a time is inside.

    The system releases it when the process ends, however it ends.

    Parameters
    ----------
    path
        The file, made for this purpose; its folder must exist.
    seconds
        How long to wait for the lock.

    Yields
    ------
    bool
        Whether there is a lock: some file systems have none.

    Raises
    ------
    TimeoutError
        If somebody else still holds it.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        lock.acquire(timeout=seconds)
    except NotImplementedError:
        yield False
        return
    except Timeout:
        raise TimeoutError(f"{path} is locked by another process") from None
    try:
        yield True
    finally:
        # While it is held: whoever has opened the file by now sees that it is gone, and tries anew.
        with suppress(OSError):
            Path(path).unlink()
        lock.release()


def is_leftover(path: Path) -> bool:
    """Return whether a process that was killed during `written_whole` left this file behind."""
    return _LEFTOVER.fullmatch(path.name) is not None


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Delete the files that killed processes left half written in a folder, but not below it."""
    for path in Path(folder).glob(".*"):
        if is_leftover(path) and path.is_file():
            path.unlink(missing_ok=True)


def reach_disk(path: str | os.PathLike[str]) -> None:
    """Wait until what was written to a file is on the disk (fsync); nothing if there is no file."""
    with suppress(FileNotFoundError):
        _flush(Path(path))


def _flush(path: Path, flags: int = os.O_RDWR) -> None:
    handle = os.open(path, flags)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems have no fsync, which is harmless; other errors, such as a full disk,
        # are not.
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(handle)

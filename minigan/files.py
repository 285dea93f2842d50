"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    The bytes reach the disk (fsync) before the name does, so that even a power cut leaves the old file or the
    new one.

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
    """
    target = Path(path)
    if not target.parent.is_dir():
        raise ValueError(f"cannot write {target}: the folder {target.parent} does not exist; create it first")
    if target.is_dir():
        raise ValueError(f"cannot write {target}: it is a folder; give the name of a file inside it")
    # Not tempfile.mkstemp: its files are private to the user and would stay so after the rename.
    temporary = target.with_name(f".{target.stem}-{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    # Some file systems (and Windows, for folders) can't: then the rename alone must do.
    with suppress(OSError):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""Downloads: verified, within a deadline and a size, by one process at a time, whole or not at all.

``MINIGAN_MIRRORS`` lists servers of one's own, such as ``https://server/path``, separated by spaces
or commas. They are asked first: for ``https://server/path/mnist/train-images-idx3-ubyte.gz``.
"""

from __future__ import annotations

import os
import queue
import shutil
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from minigan.data.errors import DataError
from minigan.files import locked

__all__ = ["cached", "fetch"]

_TIMEOUT, _DEADLINE = 30.0, 900.0  # seconds without a sign of the server; for a whole file
_LARGEST = 2**28  # bytes of a file; the largest, CIFAR-10, has 170 million
_UNFINISHED = ".download-"

Fetch = Callable[[str, Any, Any], None]


def cached(
    data_set: str, name: str, mirrors: Sequence[str], sha256: str, *, fetch: Fetch, needed: str
) -> Path:
    """Return a verified file in the platform's cache, downloaded if it isn't there yet.

    Parameters
    ----------
    data_set
        Name of the data set, and of the folder in the cache.
    name
        Name of the file.
    mirrors
        The addresses of the folders that have it, each with a ``/`` at its end, in the order in
        which they are asked.
    sha256
        Its hash.
    fetch
        `fetch`, or what stands in for it.
    needed
        What to put into a folder if it can't be downloaded, in words.

    Raises
    ------
    DataError
        If no mirror has it.
    """
    import pooch

    cache = Path(pooch.os_cache("minigan")) / data_set
    path, all_mirrors = cache / name, [*_own_mirrors(data_set), *mirrors]
    if _is_right(path, sha256):
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / ".lock", seconds=_DEADLINE * len(all_mirrors)):
        if _is_right(path, sha256):  # another process was faster
            return path
        for leftover in cache.glob(f"{_UNFINISHED}*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        reasons = _from_first(all_mirrors, path, sha256, fetch)
    if reasons:
        raise DataError(
            f"{name} could not be downloaded ({'; '.join(reasons)}): put {needed} into {cache}, or "
            "into a folder given by --data-dir or MINIGAN_DATA"
        )
    return path


def _own_mirrors(data_set: str) -> list[str]:
    found = os.environ.get("MINIGAN_MIRRORS", "").replace(",", " ").split()
    for mirror in found:
        if urlsplit(mirror).scheme not in ("http", "https"):
            raise DataError(
                "MINIGAN_MIRRORS lists addresses that begin with https:// or http://, got "
                f"{mirror!r}: use MINIGAN_DATA for a folder"
            )
    return [f"{mirror.rstrip('/')}/{data_set}/" for mirror in found]


def _is_right(path: Path, sha256: str) -> bool:
    import pooch

    return path.is_file() and pooch.file_hash(str(path)) == sha256


def _from_first(mirrors: Sequence[str], path: Path, sha256: str, fetch: Fetch) -> list[str]:
    """Download a file from the first mirror that has it; return the reasons if none has."""
    import pooch

    reasons = []
    with tempfile.TemporaryDirectory(
        prefix=_UNFINISHED, dir=path.parent, ignore_cleanup_errors=True
    ) as place:
        for mirror in mirrors:
            url = f"{mirror}{path.name}"
            try:
                whole = pooch.retrieve(url, f"sha256:{sha256}", path.name, place, downloader=fetch)
            except (OSError, ValueError) as error:
                reasons.append(f"{urlsplit(mirror).netloc}: {_reason(error)}")
            else:
                os.replace(whole, path)
                return []
    return reasons


def _reason(error: Exception) -> str:
    """Shorten an error to a few words: that of a failed connection can fill a paragraph."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return "wrong checksum"
    text = str(error).partition(" for url")[0]
    return text if text and len(text) <= 100 else type(error).__name__


def fetch(url: str, output: Any, _: Any) -> None:
    """Write what a server sends to a file, with a progress bar, for `pooch.retrieve`.

    In a thread of its own, since a server that sends a byte now and then, or a name that nobody
    resolves, would keep the caller for hours.

    Raises
    ------
    OSError
        If it can't be had, or not within `_DEADLINE`, or is larger than `_LARGEST`.
    """
    outcome: queue.SimpleQueue[str] = queue.SimpleQueue()
    with open(output, "wb") as file:
        target = _Bounded(file)

        def work() -> None:
            try:
                _stream(url, target)
                outcome.put("")
            except Exception as error:
                # In words: the error itself would keep the connection open.
                outcome.put(_reason(error))

        threading.Thread(target=work, name="minigan download", daemon=True).start()
        try:
            reason = outcome.get(timeout=_DEADLINE)
        except queue.Empty:
            reason = f"not done after {_DEADLINE:,.0f} seconds"
        finally:
            target.left = -1
    if reason:
        raise OSError(reason)


class _Bounded:
    """A file that takes at most `_LARGEST` bytes, and none when nobody waits for it any more."""

    def __init__(self, file: Any) -> None:
        self.file, self.left = file, _LARGEST

    def write(self, chunk: bytes) -> None:
        self.left -= len(chunk)
        if self.left < 0:
            raise OSError(f"more than {_LARGEST:,} bytes")
        self.file.write(chunk)

    def flush(self) -> None:
        """Do nothing: whoever opened the file closes it."""


def _stream(url: str, target: _Bounded) -> None:
    import pooch
    from tqdm.auto import tqdm

    # disable=None: no bar unless the output is a terminal. total=1 until the size is known: pooch
    # needs the bar's truth value, which isn't defined without a total.
    with tqdm(desc=url.rsplit("/", 1)[-1], total=1, unit="B", unit_scale=True, disable=None) as bar:
        pooch.HTTPDownloader(progressbar=bar, timeout=_TIMEOUT)(url, target, None)

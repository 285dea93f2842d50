"""MNIST and Fashion-MNIST, from a local folder or downloaded once and verified.

MNIST: Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86, 1998. Fashion-MNIST: H. Xiao, K. Rasul and R. Vollgraf,
"Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms",
arXiv:1708.07747, 2017 (MIT licence). Both: 60,000 training and 10,000 test images of 28x28 grey
pixels in ten classes.
"""

from __future__ import annotations

import os
import queue
import re
import shutil
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy
import numpy.typing as npt

from minigan.data.dataset import Dataset
from minigan.data.errors import DataError, choices
from minigan.data.idx import read_idx
from minigan.files import locked

__all__ = ["fashion_mnist", "mnist"]

_FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
_TIMEOUT, _DEADLINE = 30.0, 900.0  # seconds without a sign of the server; for a whole file
_LARGEST = 2**28  # bytes of a file; the largest, CIFAR-10's, has 170 million
_UNFINISHED = ".download-"
_LIKELY = re.compile(r"images|idx3|mnist.*\.(npz|npy|csv|zip)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Family:
    """One data set of the family: where its files are, and their hashes."""

    name: str
    source: str
    folders: tuple[str, ...]
    mirrors: tuple[str, ...]
    sha256: dict[str, str]
    class_names: tuple[str, ...]


_MNIST = _Family(
    name="mnist",
    source="MNIST, LeCun, Bottou, Bengio and Haffner (1998)",
    folders=("mnist", "MNIST/raw", "MNIST"),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256={
        "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    class_names=tuple("0123456789"),
)

_FASHION = _Family(
    name="fashion-mnist",
    source="Fashion-MNIST, Xiao, Rasul and Vollgraf (2017), MIT licence",
    folders=("fashion-mnist", "FashionMNIST/raw", "FashionMNIST", "fashion_mnist"),
    mirrors=(
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    ),
    sha256={
        "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    class_names=(
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ),
)


def mnist(*, split: str = "train", data_dir: str | os.PathLike[str] | None = None) -> Dataset:
    """Load MNIST.

    Parameters
    ----------
    split : {"train", "test"}
    data_dir : path_like, optional
        Folder with the two IDX files of the split, gzipped or not, directly or in a subfolder
        ``mnist`` or ``MNIST/raw``. Local files aren't verified by checksum; only their dtype and
        shape are checked. The default is the environment variable ``MINIGAN_DATA``. If that isn't
        set either, the files are downloaded to the platform's cache folder and verified against
        their SHA-256: from the servers that ``MINIGAN_MIRRORS`` lists (``https://server/path``, in
        which ``mnist/train-images-idx3-ubyte.gz`` and so on are looked for), then from the usual
        ones. A file must arrive within five minutes.

    Returns
    -------
    Dataset
        uint8 images (N, 28, 28, 1) with labels 0 to 9.

    Raises
    ------
    DataError
        If a file is missing, cannot be downloaded, or is not what it should be.
    """
    return _load(_MNIST, split, data_dir)


def fashion_mnist(
    *, split: str = "train", data_dir: str | os.PathLike[str] | None = None
) -> Dataset:
    """Load Fashion-MNIST.

    Parameters
    ----------
    split : {"train", "test"}
    data_dir : path_like, optional
        As for `mnist`; its subfolders are ``fashion-mnist`` and ``FashionMNIST/raw``.

    Returns
    -------
    Dataset
        uint8 images (N, 28, 28, 1) with labels 0 to 9.

    Raises
    ------
    DataError
        If a file is missing, cannot be downloaded, or is not what it should be.
    """
    return _load(_FASHION, split, data_dir)


def _load(family: _Family, split: str, data_dir: str | os.PathLike[str] | None) -> Dataset:
    if split not in _FILES:
        raise DataError(f"{family.name} has no split {split!r}: {choices(split, _FILES)}")
    folder = data_dir if data_dir is not None else os.environ.get("MINIGAN_DATA") or None
    if folder is None:
        image_path, label_path = (_download(family, name, split) for name in _FILES[split])
    else:
        image_path, label_path = _find(family, split, Path(folder))
    images, labels = _checked(image_path, label_path)
    return Dataset(
        name=family.name, images=images[..., None], labels=labels.astype(numpy.int64),
        source=f"{family.source}; {split} split from {image_path.parent}",
        class_names=family.class_names,
    )  # fmt: skip


def _find(family: _Family, split: str, folder: Path) -> tuple[Path, Path]:
    """Find both files of a split, in the first of the usual places that has one of them."""
    folder = Path(os.path.expanduser(folder))
    for place in _places(family, folder):
        image_path, label_path = (_existing(place, name) for name in _FILES[split])
        if image_path and label_path:
            return image_path, label_path
        if image_path or label_path:
            missing = _FILES[split][1 if image_path else 0]
            raise DataError(
                f"{place} lacks {missing}.gz: put it there, next to the other file of the split"
            )
    seen = _seen(folder)
    hint = f" (there is {seen}, which may be given as --data)" if seen else ""
    raise DataError(
        f"{family.name} is not in {folder}{hint}: put {_names(split)} into "
        f"{folder / family.folders[0]}, or leave out --data-dir and MINIGAN_DATA to download them"
    )


def _seen(folder: Path) -> str:
    """Name a file of images in a folder, or below it, that has another name or format."""
    found = (path for path in folder.glob("*") if path.is_file()) if folder.is_dir() else ()
    return next((path.name for path in sorted(found) if _LIKELY.search(path.name)), "")


def _places(family: _Family, folder: Path) -> list[Path]:
    places = [folder / subfolder for subfolder in family.folders]
    # Both data sets use the same file names, so don't look for Fashion-MNIST in a folder "mnist".
    other = _FASHION if family is _MNIST else _MNIST
    named = "/".join(folder.absolute().parts[-2:])
    if any(named == name or named.endswith(f"/{name}") for name in other.folders):
        return places
    return [*places, folder]


def _existing(folder: Path, name: str) -> Path | None:
    """Find a file of the family, also under the names that it has elsewhere.

    Tools and copies write a dot or an underscore for a hyphen, leave out the format, call the test
    images so, or put the file into a folder of its own name.
    """
    exact = [folder / f"{name}{end}" for end in (".gz", "")]
    others = sorted(folder.iterdir()) if folder.is_dir() else []
    alike = [path for path in others if _plain(path.name) == _plain(name)]
    inside = [path / path.name for path in alike if path.is_dir()]
    return next((path for path in (*exact, *alike, *inside) if path.is_file()), None)


def _plain(name: str) -> str:
    """What the names of one file have in common."""
    plain = re.sub(r"[-_. ]+", "-", name.lower()).removesuffix("-gz")
    return re.sub(r"^test-", "t10k-", re.sub(r"-(idx|ubyte).*$", "", plain))


def _names(split: str) -> str:
    return " and ".join(f"{name}.gz" for name in _FILES[split])


def _download(family: _Family, name: str, split: str) -> Path:
    """Return a verified file in the cache, downloaded from the first mirror that has it."""
    import pooch

    cache = Path(pooch.os_cache("minigan")) / family.name
    path, mirrors = cache / f"{name}.gz", [*_own_mirrors(family.name), *family.mirrors]
    if _is_right(path, family.sha256[name]):
        return path
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / ".lock", seconds=_DEADLINE * len(mirrors)):
        if _is_right(path, family.sha256[name]):  # another process was faster
            return path
        for leftover in cache.glob(f"{_UNFINISHED}*"):  # of a process that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        reasons = _fetched(path, family.sha256[name], mirrors)
    if reasons:
        raise DataError(
            f"{name}.gz could not be downloaded ({'; '.join(reasons)}): put {_names(split)} into "
            f"{cache}, or into a folder given by --data-dir or MINIGAN_DATA"
        )
    return path


def _own_mirrors(name: str) -> list[str]:
    """The user's own mirrors of a data set, which are asked first."""
    found = os.environ.get("MINIGAN_MIRRORS", "").replace(",", " ").split()
    for mirror in found:
        if urlsplit(mirror).scheme not in ("http", "https"):
            raise DataError(
                "MINIGAN_MIRRORS lists addresses that begin with https:// or http://, got "
                f"{mirror!r}: use MINIGAN_DATA for a folder"
            )
    return [f"{mirror.rstrip('/')}/{name}/" for mirror in found]


def _is_right(path: Path, sha256: str) -> bool:
    import pooch

    return path.is_file() and pooch.file_hash(str(path)) == sha256


def _fetched(path: Path, sha256: str, mirrors: list[str]) -> list[str]:
    """Fetch a file from the first mirror that has it; return the reasons if none has."""
    import pooch

    reasons = []
    with tempfile.TemporaryDirectory(
        prefix=_UNFINISHED, dir=path.parent, ignore_cleanup_errors=True
    ) as place:
        for mirror in mirrors:
            try:
                # Under a temporary name, which becomes the right one only if the hash is right.
                whole = pooch.retrieve(
                    f"{mirror}{path.name}",
                    known_hash=f"sha256:{sha256}",
                    fname=path.name,
                    path=place,
                    downloader=fetch,
                )
            except (OSError, ValueError) as error:
                reasons.append(f"{urlsplit(mirror).netloc}: {reason(error)}")
            else:
                os.replace(whole, path)
                return []
    return reasons


def fetch(url: str, output: Any, _: Any) -> None:
    """Write what a server sends to a file, if it ends within `_DEADLINE` and `_LARGEST`.

    In a thread of its own, since a server that sends a byte now and then, or a name that nobody
    resolves, would keep the caller for hours.
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
                outcome.put(reason(error))

        threading.Thread(target=work, name="minigan download", daemon=True).start()
        try:
            failure = outcome.get(timeout=_DEADLINE)
        except queue.Empty:
            failure = f"not done after {_DEADLINE:,.0f} seconds"
        finally:
            target.left = -1
    if failure:
        raise OSError(failure)


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


def reason(error: Exception) -> str:
    """Shorten an error to a few words: that of a failed connection can fill a paragraph."""
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return "wrong checksum"
    text = str(error).partition(" for url")[0]
    return text if text and len(text) <= 100 else type(error).__name__


def _checked(
    image_path: Path, label_path: Path
) -> tuple[npt.NDArray[numpy.uint8], npt.NDArray[numpy.uint8]]:
    images, labels = read_idx(image_path), read_idx(label_path)
    if images.dtype != numpy.uint8 or images.shape[1:] != (28, 28) or len(images) == 0:
        raise DataError(
            f"{image_path} contains {images.dtype} of shape {images.shape}: uint8 of shape (N, 28, "
            "28) is needed"
        )
    if labels.dtype != numpy.uint8 or labels.shape != (len(images),):
        raise DataError(
            f"{label_path} contains {labels.dtype} of shape {labels.shape}: uint8 of shape "
            f"({len(images)},) is needed, one label for each image of {image_path.name}"
        )
    if labels.max() > 9:
        raise DataError(f"{label_path} contains the label {labels.max()}: 0 to 9 are needed")
    return images, labels

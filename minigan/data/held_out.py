"""The test split of one's own data: what is named like the training data, with test for train."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["beside", "counterpart"]

_TRAIN = re.compile(r"(?<![a-z])train(ing)?(?![a-z])", re.IGNORECASE)
_TEST = ("test", "testing", "t10k")  # the last is MNIST's


def beside(path: Path) -> Path | None:
    """Return the file or folder that is named like `path`, with test for train; None if there is
    none, or an empty folder.

    It is ``t10k-images-idx3-ubyte`` for ``train-images-idx3-ubyte``, ``x_test.npy`` for
    ``x_train.npy``, ``test`` for ``train``.
    """
    places = (path.with_name(name) for name in _names(path.name))
    return next((place for place in places if _holds_something(place)), None)


def counterpart(name: str, among: Iterable[str]) -> str | None:
    """Return the one of several names that is like `name`, with test for train; None if none is."""
    known = set(among)
    return next((other for other in _names(name) if other in known), None)


def _holds_something(place: Path) -> bool:
    if not place.is_dir():
        return place.exists()
    return any(not entry.name.startswith(".") for entry in place.iterdir())


def _names(name: str) -> Iterator[str]:
    found = _TRAIN.search(name)
    if found is None:
        return
    for word in _TEST:
        like = word.upper() if found[0].isupper() else word
        like = word.title() if found[0].istitle() else like
        yield name[: found.start()] + like + name[found.end() :]

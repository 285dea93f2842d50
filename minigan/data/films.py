"""Short films of the embedded digits, which move in a straight line and bounce."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data.dataset import Dataset
from minigan.data.digits import digits

__all__ = ["FILMS", "Films", "bounced", "moving_digits"]

FILMS = ("moving-digits",)
FRAMES, FIELD = 8, 16
ROOM = 8
"""How far a digit's corner can go along each axis: the field, less the digit's own size."""
SPEEDS = (0.75, 2.0)
"""Smallest and largest speed along each axis, in pixels per frame."""


@dataclass(frozen=True, eq=False, repr=False)
class Films(Dataset):
    """A data set of films of one length and size.

    Attributes
    ----------
    images : ndarray of float32 (-1 to 1), shape (N, frames, H, W, 1)
        The films; they are called images as those of any other data set.
    """

    def check(self) -> None:
        """Check that there are films, in [-1, 1]."""
        shape = self.images.shape
        if self.images.dtype != numpy.float32 or len(shape) != 5 or 0 in shape:
            raise ValueError(
                f"the films of {self.name!r} are {self.images.dtype} of shape {shape}: float32 of "
                "shape (N, frames, H, W, C) is needed"
            )
        if not numpy.abs(self.images).max() <= 1:
            raise ValueError(f"the films of {self.name!r} go beyond [-1, 1]: scale them")

    def __repr__(self) -> str:
        frames, height, width, _ = self.images.shape[1:]
        return (
            f"{type(self).__name__}({self.name!r}: {len(self):,} films of {frames} frames of "
            f"{height}x{width})"
        )

    def _repr_png_(self) -> None:
        return None


def moving_digits(*, count: int = 8192, seed: int = 0, split: str = "train") -> Films:
    """Make films of an embedded digit that moves in a straight line, and bounces off the borders.

    Eight frames of 16x16 pixels show a digit of 8x8. Along each axis, its corner is at
    ``bounced(p + v t)`` in frame t, with p uniform in [0, 8] and the size of v in
    [0.75, 2] pixels per frame; between pixels, it is interpolated linearly.

    Parameters
    ----------
    count : int
        Number of films.
    seed : int
        Determines the digits and their paths.
    split : {"train", "test"}
        Films of the first four fifths of the digits, or of the last.

    Returns
    -------
    Films
        With the digits for labels.

    Raises
    ------
    ValueError
        If the count isn't positive, or there is no such split.
    """
    if count < 1 or split not in ("train", "test"):
        raise ValueError(f"there are no {count} films of a split {split!r}: use train or test")
    found = digits(enlarge=False)
    first = len(found) * 4 // 5
    own = numpy.arange(first) if split == "train" else numpy.arange(first, len(found))
    rng = numpy.random.default_rng([seed, split == "test"])
    chosen = rng.choice(own, count)
    start = rng.uniform(0, ROOM, (2, count, 1))
    speed = rng.uniform(*SPEEDS, (2, count, 1)) * rng.choice((-1, 1), (2, count, 1))
    path = bounced(start + speed * numpy.arange(FRAMES))
    assert found.labels is not None
    return Films(
        name="moving-digits", images=_filmed(found.batch(chosen)[..., 0], path),
        labels=found.labels[chosen], source=found.source, class_names=found.class_names,
    )  # fmt: skip


def bounced(p: Any) -> Any:
    """Fold positions on a line back into [0, ROOM], as a ball between two walls moves."""
    return ROOM - abs(p % (2 * ROOM) - ROOM)


def _filmed(pictures: Any, path: Any) -> npt.NDArray[numpy.float32]:
    """Draw pictures (N, 8, 8) at the corners (2, N, frames): rows by a matrix, then columns."""
    rows, columns = (_places(p, pictures.shape[1]) for p in path)
    films = numpy.einsum("ntyi,nij,ntxj->ntyx", rows, (pictures + 1) / 2, columns, optimize=True)
    return (2 * films - 1).clip(-1, 1)[..., None].astype(numpy.float32)


def _places(p: Any, size: int) -> npt.NDArray[numpy.float32]:
    """Return how much pixel i of the picture adds to pixel y of the field, (N, frames, y, i)."""
    distance = numpy.arange(FIELD)[:, None] - numpy.arange(size) - p[..., None, None]
    return numpy.maximum(1 - abs(distance), 0).astype(numpy.float32)

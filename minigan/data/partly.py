"""Batches of which only a part has labels, for semi-supervised learning."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data.dataset import Batches, Dataset
from minigan.data.folder import why_unlabelled

__all__ = ["PartlyLabelled", "balanced"]


def balanced(
    labels: npt.NDArray[Any], count: int, rng: numpy.random.Generator
) -> npt.NDArray[numpy.int64]:
    """Choose `count` examples, equally many of each class as far as there are enough.

    Parameters
    ----------
    labels : ndarray of integers, shape (N,)
    count : int
        At least the number of classes; if it isn't a multiple of that, a few less are chosen.
    rng : numpy.random.Generator
        Draws which ones.

    Returns
    -------
    ndarray of int64
        Sorted indices.

    Raises
    ------
    ValueError
        If `count` is too small.
    """
    classes = numpy.unique(labels)
    if count < len(classes):
        raise ValueError(
            f"{count} labels are not enough for {len(classes)} classes: take one for each at least"
        )
    rng, each = randomness.generator(rng), count // len(classes)
    found = [rng.permutation(numpy.flatnonzero(labels == k))[:each] for k in classes]
    return numpy.sort(numpy.concatenate(found)).astype(numpy.int64)


class PartlyLabelled(Iterator[tuple[Any, Any, Any]]):
    """An endless stream of batches (x, y, u), resumable bit for bit.

    x (M, H, W, C) are pictures with labels y (M,), u (N, H, W, C) are pictures of the whole set
    without theirs. Both are shuffled separately; N is the size of a batch, and M is N too unless
    there are fewer labels.

    Parameters
    ----------
    data : Dataset
        With labels.
    batch_size : int
        N, between 1 and the number of pictures.
    rng : numpy.random.Generator
        Draws which labels are known, see `balanced`, and the permutations.
    labels : int
        How many are known.

    Raises
    ------
    ValueError
        If the data have no labels, or the numbers are out of range.
    """

    def __init__(
        self, data: Dataset, batch_size: int, rng: numpy.random.Generator, *, labels: int
    ) -> None:
        if data.labels is None:
            raise ValueError(
                f"{data.name} has no labels{why_unlabelled(data.notes)}, but some are needed: give "
                "a folder with a subfolder for each class, for example"
            )
        self.data, self.batch_size, self.rng = data, batch_size, rng
        self.chosen = balanced(data.labels, labels, rng)
        # Only the order counts: the pictures are looked up among those chosen.
        places = numpy.zeros((len(self.chosen), 1), "float32")
        self._all = Batches(data, batch_size, rng)
        self._labelled = Batches(places, min(batch_size, len(places)), rng)

    def __next__(self) -> tuple[Any, Any, Any]:
        known = self.chosen[self._labelled.next_indices()]
        assert self.data.labels is not None
        return self.data.batch(known), self.data.labels[known], next(self._all)[0]

    def state_dict(self) -> dict[str, Any]:
        """Return everything that determines the following batches; see `Batches.state_dict`."""
        labelled = self._labelled.state_dict()
        labelled.pop("rng")
        own = {f"labelled_{key}": value for key, value in labelled.items()}
        return self._all.state_dict() | own | {"chosen": self.chosen.copy()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where the stream that returned `state` was.

        Raises
        ------
        ValueError
            As for `Batches.load_state_dict`, or if another number of labels was known, or labels of
            pictures that the data don't have; the stream is then unchanged.
        """
        chosen = numpy.array(state.get("chosen", ()), "int64")
        if chosen.shape != self.chosen.shape:
            raise ValueError(
                f"this state is of a stream with {chosen.size} known labels, not "
                f"{len(self.chosen)}: resume with the settings it was saved with"
            )
        if not ((chosen >= 0) & (chosen < len(self.data))).all():
            raise ValueError(
                "this state is of a stream with known labels of pictures outside 0 to "
                f"{len(self.data) - 1}: it is damaged"
            )
        begin = "labelled_"
        labelled = {k.removeprefix(begin): v for k, v in state.items() if k.startswith(begin)}
        before = self._labelled.state_dict()
        self._labelled.load_state_dict({"rng": state.get("rng", {})} | labelled)
        try:
            self._all.load_state_dict(state)
        except BaseException:
            self._labelled.load_state_dict(before)
            raise
        self.chosen = chosen

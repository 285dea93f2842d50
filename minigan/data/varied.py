"""Random flips and crops of the training images, drawn anew for every batch.

They make more of a small collection. A GAN learns them as if they were part of the data, so flip
only what may be seen in a mirror: faces and landscapes, but no letters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data.dataset import Batch, Batches, Dataset

__all__ = ["Roomy", "VariedBatches", "roomy"]


@dataclass(frozen=True, eq=False, repr=False)
class Roomy(Dataset):
    """Images with a margin around them: ``images`` are the centres of ``whole``.

    Attributes
    ----------
    whole : ndarray of uint8 or float32, shape (N, H + crop, W + crop, C)
        The images with their margin, which random crops are taken from.
    """

    whole: npt.NDArray[Any] = field(default_factory=lambda: numpy.zeros((0, 0, 0, 0), "uint8"))

    @property
    def crop(self) -> int:
        """How many pixels a crop can be moved."""
        return int(self.whole.shape[1] - self.images.shape[1])


def roomy(dataset: Dataset, crop: int) -> Roomy:
    """Return the centres of a data set's images, with all that lies around as margin.

    Parameters
    ----------
    dataset : Dataset
        Images (N, H, W, C).
    crop : int
        How much smaller the centres are, 0 <= crop < min(H, W); they are views, not copies.

    Raises
    ------
    ValueError
        If `crop` is out of range.
    """
    height, width, _ = dataset.image_shape
    if not 0 <= crop < min(height, width):
        raise ValueError(
            f"images of {height}x{width} pixels can't be cropped by {crop}: take a smaller number"
        )
    m = crop // 2
    centres = dataset.images[:, m : m + height - crop, m : m + width - crop]
    kept = {name: getattr(dataset, name) for name in ("name", "labels", "source", "class_names")}
    return Roomy(images=centres, notes=dataset.notes, whole=dataset.images, **kept)


class VariedBatches(Batches):
    """`Batches` of images that are mirrored and cropped at random, resumable bit for bit.

    Parameters
    ----------
    data : Dataset
        The images; crops need a `Roomy` one.
    batch_size, rng
        As for `Batches`; the same generator draws the flips and crops.
    flip : bool
        Whether each image is mirrored left to right with probability one half.

    Raises
    ------
    ValueError, TypeError
        As for `Batches`.
    """

    def __init__(
        self, data: Dataset, batch_size: int, rng: numpy.random.Generator, *, flip: bool = False
    ) -> None:
        super().__init__(data, batch_size, rng)
        self.images, self.flip = data, flip

    def __next__(self) -> Batch:
        indices = self.next_indices()
        batch = self._cropped(indices)
        if self.flip:
            mirrored = self.rng.random(len(batch)) < 0.5
            batch[mirrored] = batch[mirrored, :, ::-1]
        labels = self.images.labels
        return batch, None if labels is None else labels[indices]

    def _cropped(self, indices: npt.NDArray[numpy.int64]) -> npt.NDArray[numpy.float32]:
        data = self.images
        if not isinstance(data, Roomy) or not data.crop:
            return data.batch(indices)
        height, width, _ = data.image_shape
        corners = self.rng.integers(0, data.crop + 1, (len(indices), 2))
        windows = [data.whole[i, y : y + height, x : x + width]
                   for i, (y, x) in zip(indices, corners, strict=True)]  # fmt: skip
        chosen = Dataset(data.name, numpy.stack(windows))
        return chosen.batch(numpy.arange(len(indices)))

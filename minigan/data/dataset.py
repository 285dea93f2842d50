"""A set of images in memory, and the endless stream of shuffled minibatches that training reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data.pixels import as_indices
from minigan.data.text import Text

__all__ = ["Batches", "Dataset"]

Batch = tuple[npt.NDArray[Any], npt.NDArray[numpy.int64] | None]

SHOWN = 12
"""Images that a notebook shows of a data set."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images, channels last, with labels and a description.

    Bytes are converted to floats only when a batch is requested: 60,000 images of 28x28 take 47 MB
    as uint8, but 188 MB as float32.

    Attributes
    ----------
    name : str
        Its name in reports and file names.
    images : ndarray of uint8 (0 to 255) or float32 (-1 to 1), shape (N, H, W, C)
    labels : ndarray of int64, shape (N,), or None
        The class of each image, from 0; other integers, and lists of them, are converted.
    source : str
        Where it comes from: a citation, a folder or a file.
    class_names : tuple of str or None
        The name of each class.
    notes : tuple of str
        What was changed when the images were loaded, one sentence each.

    Raises
    ------
    ValueError
        If the images or labels are not as above.
    """

    name: str
    images: npt.NDArray[numpy.uint8] | npt.NDArray[numpy.float32]
    labels: npt.NDArray[numpy.int64] | None = None
    source: str = ""
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.check()
        if self.labels is not None:
            # What the fields of a frozen dataclass may be replaced by.
            object.__setattr__(self, "labels", _whole(self.name, self.labels, len(self)))

    def check(self) -> None:
        """Check the images; another kind of data set checks what it holds instead."""
        _check_images(self.name, self.images)

    def __len__(self) -> int:
        return len(self.images)

    def __repr__(self) -> str:
        size = "x".join(map(str, self.image_shape))
        classes = "" if self.labels is None else f", {len(numpy.unique(self.labels)):,} classes"
        return f"{type(self).__name__}({self.name!r}: {len(self):,} images of {size}{classes})"

    def _repr_png_(self) -> bytes | None:
        """Show some images side by side, in a notebook; images of two channels have no picture."""
        if self.image_shape[2] not in (1, 3):
            return None
        from io import BytesIO

        from PIL import Image

        shown = self.batch(numpy.linspace(0, len(self) - 1, min(len(self), SHOWN)).astype(int))
        strip = numpy.rint((numpy.concatenate(list(shown), axis=1) + 1) * 127.5).astype("uint8")
        picture, png = Image.fromarray(strip[..., 0] if strip.shape[2] == 1 else strip), BytesIO()
        scale = max(64 // self.image_shape[0], 1)
        picture.resize((picture.width * scale, picture.height * scale), 0).save(png, "PNG")
        return png.getvalue()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    def batch(self, indices: npt.ArrayLike) -> npt.NDArray[numpy.float32]:
        """Images at `indices`, ready for a network.

        Parameters
        ----------
        indices : array_like of int, shape (n,)
            Or a mask, shape (N,), that is true for those wanted.

        Returns
        -------
        ndarray of float32, shape (n, H, W, C)
            A copy, in [-1, 1].

        Raises
        ------
        IndexError
            If an index is out of range.
        TypeError
            If they aren't integers.
        """
        chosen = self.images[as_indices(indices, len(self))]
        if chosen.dtype == numpy.uint8:
            return _unit(chosen)
        return chosen.astype(numpy.float32, copy=False)

    def sample(self, n: int, rng: numpy.random.Generator) -> npt.NDArray[numpy.float32]:
        """Draw `n` different images at random.

        Parameters
        ----------
        n : int
            At most ``len(dataset)``.
        rng : numpy.random.Generator
            The only source of randomness.

        Returns
        -------
        ndarray of float32, shape (n, H, W, C)
            In [-1, 1].

        Raises
        ------
        ValueError
            If `n` is not between 1 and the number of images.
        TypeError
            If `rng` isn't a Generator.
        """
        if not 1 <= n <= len(self):
            raise ValueError(
                f"cannot draw {n} different images from {self.name!r}: choose 1 to {len(self)}"
            )
        chosen = randomness.generator(rng).choice(len(self), size=n, replace=False)
        return self.batch(chosen)


def _unit(pixels: npt.NDArray[Any]) -> npt.NDArray[numpy.float32]:
    """Return bytes in the range of a generator that ends in tanh: 0 as -1, 255 as 1."""
    # The difference is exact, so that the quotient is the nearest float32; p / 127.5 - 1 isn't.
    unit = pixels.astype(numpy.float32)
    unit -= 127.5
    unit /= 127.5
    return unit


def _whole(name: str, labels: Any, count: int) -> npt.NDArray[numpy.int64]:
    """Return labels of any integer type, or in a list, as int64."""
    array = numpy.asarray(labels)
    if array.shape != (count,) or array.dtype.kind not in "ui" or array.min() < 0:
        raise ValueError(
            f"the labels of {name!r} are {array.dtype} of shape {array.shape}: int64 of shape "
            f"({count},) is needed, one of at least 0 for each image"
        )
    return array.astype(numpy.int64, copy=False)


def _check_images(name: str, images: npt.NDArray[Any]) -> None:
    if not hasattr(images, "ndim"):
        raise ValueError(
            f"the images of {name!r} are {type(images).__name__}: an array of uint8 or float32 is "
            "needed"
        )
    if images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"the images of {name!r} have shape {images.shape}: a non-empty (N, H, W, C) is needed"
        )
    if images.dtype not in (numpy.uint8, numpy.float32):
        raise ValueError(f"the images of {name!r} are {images.dtype}: uint8 or float32 is needed")
    # Written so that NaN fails too.
    if images.dtype == numpy.float32 and not (images.min() >= -1 and images.max() <= 1):
        raise ValueError(
            f"the images of {name!r} span {images.min():.4g} to {images.max():.4g}: scale them to "
            "[-1, 1]"
        )


class Batches(Iterator[Batch]):
    """An endless stream of minibatches, resumable bit for bit.

    Every epoch is a new permutation drawn from `rng`. Examples at its end that don't fill a batch
    are dropped, so that all batches have the same size.

    Parameters
    ----------
    data : Dataset, Text or ndarray of floats, shape (N, ...)
        An array (of 2-D points, say) is served unchanged, without labels.
    batch_size : int
        Between 1 and N.
    rng : numpy.random.Generator
        Draws the permutations. Use a separate generator for each stream, since its state is saved
        and restored with the stream.

    Attributes
    ----------
    epoch : int
        Number of permutations drawn so far: 0 before the first batch, 1 during the first epoch.

    Raises
    ------
    ValueError
        If `batch_size` is not between 1 and N.
    TypeError
        If `data` is an array of something other than floats, or `rng` is not a Generator.

    Examples
    --------
    >>> import numpy
    >>> batches = Batches(numpy.zeros((10, 2), numpy.float32), 4, numpy.random.default_rng(0))
    >>> points, labels = next(batches)
    >>> points.shape, labels, batches.per_epoch
    ((4, 2), None, 2)
    """

    def __init__(
        self,
        data: Dataset | Text | npt.NDArray[numpy.floating],
        batch_size: int,
        rng: numpy.random.Generator,
    ) -> None:
        _check_stream(data, batch_size, rng)
        self.data = data
        self.batch_size = batch_size
        self.rng = rng
        self.epoch = 0
        # An exhausted permutation: the first `next` draws the first epoch.
        self._permutation = numpy.arange(len(data), dtype=numpy.int64)
        self._position = len(data)

    @property
    def per_epoch(self) -> int:
        """Batches in one epoch."""
        return len(self.data) // self.batch_size

    def __next__(self) -> Batch:
        return self.batch_of(self.next_indices())

    def batch_of(self, indices: npt.NDArray[numpy.int64]) -> Batch:
        """Return the samples with these indices, and their labels or None."""
        if isinstance(self.data, Text):
            return self.data.batch(indices), None
        if isinstance(self.data, Dataset):
            labels = self.data.labels
            return self.data.batch(indices), None if labels is None else labels[indices]
        return self.data[indices], None

    def next_indices(self) -> npt.NDArray[numpy.int64]:
        """Return the indices of the next batch, shape (batch_size,)."""
        if self._position + self.batch_size > len(self.data):
            self._permutation = self.rng.permutation(len(self.data)).astype(numpy.int64, copy=False)
            self._position = 0
            self.epoch += 1
        indices = self._permutation[self._position : self._position + self.batch_size]
        self._position += self.batch_size
        return indices

    def state_dict(self) -> dict[str, Any]:
        """Return everything that determines the following batches.

        Returns
        -------
        dict
            ``permutation`` (ndarray of int64, shape (N,)), ``position`` and ``epoch`` (int) and
            ``rng`` (the state of the bit generator, a dict). It is a copy, which later batches
            don't change.
        """
        return {
            "permutation": self._permutation.copy(),
            "position": self._position,
            "epoch": self.epoch,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where the stream that returned `state` was.

        Parameters
        ----------
        state : mapping
            From `state_dict`, possibly after a round trip through JSON (lists in place of arrays).

        Raises
        ------
        ValueError
            If `state` is incomplete, or from other data or another kind of generator; the stream is
            then unchanged.
        """
        permutation, position = _checked_state(state, len(self.data), self.rng)
        epoch = int(state["epoch"])
        self.rng.bit_generator.state = state["rng"]  # raises before it changes anything
        self._permutation, self._position, self.epoch = permutation, position, epoch


def _check_stream(data: Any, batch_size: int, rng: numpy.random.Generator) -> None:
    randomness.generator(rng)
    if not isinstance(data, Dataset | Text | numpy.ndarray):
        raise TypeError(
            f"Batches got {type(data).__name__} and needs an array, a Dataset or a Text: for "
            "images with labels, write Dataset(name, images, labels)"
        )
    if not isinstance(data, Dataset | Text) and not numpy.issubdtype(data.dtype, numpy.floating):
        raise TypeError(
            f"Batches got an array of {data.dtype} and needs floats: convert it, or make a Dataset"
        )
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
    if batch_size > len(data):
        raise ValueError(
            f"batch_size is {batch_size} but there are only {len(data)} examples: take a smaller "
            "batch"
        )


def _checked_state(
    state: Mapping[str, Any], size: int, rng: numpy.random.Generator
) -> tuple[npt.NDArray[numpy.int64], int]:
    missing = {"permutation", "position", "epoch", "rng"} - set(state)
    if missing:
        raise ValueError(
            f"this state of the batches lacks {', '.join(sorted(missing))}: pass everything that "
            "state_dict returned"
        )
    permutation = numpy.array(state["permutation"], dtype=numpy.int64)
    if permutation.shape != (size,) or not numpy.array_equal(
        numpy.sort(permutation), numpy.arange(size)
    ):
        raise ValueError(
            f"this state of the batches does not permute {size} examples: resume with the data it "
            "was saved with"
        )
    position = int(state["position"])
    if not 0 <= position <= size:
        raise ValueError(
            f"this state of the batches is at position {position}, outside 0 to {size}: it is "
            "damaged"
        )
    kind, needed = state["rng"].get("bit_generator"), type(rng.bit_generator).__name__
    if kind != needed:
        raise ValueError(
            f"this state of the batches is from a {kind} generator: resume with one, not {needed}"
        )
    return permutation, position

"""Stacked MNIST: three digits as red, green and blue, which gives 1,000 countable modes.

Srivastava et al. 2017 (VEEGAN), after Metz et al. 2017 (Unrolled GAN). The digits of each stack are
drawn once, from a seed, but the stacks are assembled only on demand: 128,000 of them would take
300 MB.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data.dataset import Dataset
from minigan.data.mnist import mnist

__all__ = ["stack", "stacked_mnist"]

CHANNELS, CLASSES = 3, 10


def stacked_mnist(
    *,
    split: str = "train",
    data_dir: str | os.PathLike[str] | None = None,
    n: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Load MNIST and stack it.

    Parameters
    ----------
    split : {"train", "test"}
    data_dir : path_like, optional
        As for `mnist`.
    n : int, optional
        Number of stacks; by default 128,000 for the training split (VEEGAN's number) and 26,000 for
        the test split.
    seed : int
        Determines which digits are stacked.

    Returns
    -------
    Dataset
        Images (n, 28, 28, 3), assembled on demand, with labels 0 to 999: red is the hundreds digit,
        green the tens, blue the ones.

    Raises
    ------
    DataError
        As for `mnist`.
    ValueError
        If `n` is not positive.
    """
    n = n if n is not None else 128_000 if split == "train" else 26_000
    return replace(
        stack(mnist(split=split, data_dir=data_dir), n, rng=numpy.random.default_rng(seed)),
        name="stacked-mnist",
    )


def stack(digits: Dataset, n: int, *, rng: numpy.random.Generator) -> Dataset:
    """Make n stacks of three single-channel images each, drawn at random.

    Parameters
    ----------
    digits : Dataset
        Images (N, H, W, 1) with labels 0 to 9.
    n : int
    rng : numpy.random.Generator

    Returns
    -------
    Dataset
        Images (n, H, W, 3) with labels 0 to 999.

    Raises
    ------
    ValueError
        If `n` is not positive, the images have several channels or no labels, or a label is larger.
    """
    if n < 1:
        raise ValueError(f"stacking images needs n >= 1, got {n}")
    if digits.image_shape[2] != 1 or digits.labels is None:
        raise ValueError(
            f"stacking needs grey images with labels, which {digits.name!r} doesn't have"
        )
    if digits.labels.max() >= CLASSES:
        raise ValueError(
            f"stacking needs labels from 0 to {CLASSES - 1}, but {digits.name!r} has "
            f"{digits.labels.max()}: leave the other classes out"
        )
    chosen = randomness.generator(rng).integers(0, len(digits), (n, CHANNELS))
    place = CLASSES ** numpy.arange(CHANNELS)[::-1]
    return Dataset(
        name=f"stacked {digits.name}",
        images=_Stacks(digits.images[..., 0], chosen),  # type: ignore[arg-type]
        labels=(digits.labels[chosen] * place).sum(axis=1).astype(numpy.int64),
        source=digits.source,
    )


class _Stacks:
    """Behaves like an array (n, H, W, 3), but stores only planes (N, H, W) and indices (n, 3)."""

    def __init__(self, planes: npt.NDArray[Any], chosen: npt.NDArray[numpy.int64]) -> None:
        self.planes, self.chosen = planes, chosen
        self.shape = (len(chosen), *planes.shape[1:], CHANNELS)
        self.ndim, self.dtype = 4, planes.dtype

    def __len__(self) -> int:
        return len(self.chosen)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, tuple):
            rows, *pixels = index or (slice(None),)
            if len(pixels) < 3 and all(isinstance(part, slice) for part in (rows, *pixels)):
                return _Stacks(self.planes[(slice(None), *pixels)], self.chosen[rows])
            if isinstance(rows, (int, numpy.integer)) and not any(p is Ellipsis for p in pixels):
                return self[rows][tuple(pixels)]  # one stack, as crops are taken
            return self[:][index]
        chosen = self.chosen[index]
        # Plane by plane: a moved axis would be a view, which the caller copies slowly.
        return numpy.stack([self.planes[chosen[..., c]] for c in range(CHANNELS)], axis=-1)

    def min(self) -> Any:
        return self.planes.min()

    def max(self) -> Any:
        return self.planes.max()

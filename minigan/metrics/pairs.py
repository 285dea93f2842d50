"""Translations of images, compared with the true results of held-out pairs.

A distance from the truth alone rewards blur: where several results are possible, their median is
nearest to all of them. So the sharpness of the pictures stands beside it.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics import blocks
from minigan.metrics.table import Row, Table

__all__ = ["evaluate_pairs", "sharpness"]


def sharpness(images: NDArray[Any]) -> float:
    """Return the mean absolute difference of neighbouring pixels, across and down.

    Parameters
    ----------
    images
        Floats of shape (N, H, W, C), of at least 2x2 pixels.

    Raises
    ------
    ValueError
        If the shape is another, or a value isn't finite.
    TypeError
        If it isn't an array of floats.
    """
    values: Any = blocks.images(images, "images")
    if min(images.shape[1:3]) < 2:
        raise ValueError(
            f"The images have shape {images.shape[1:]}, but at least 2x2 pixels are needed to "
            "compare neighbours."
        )
    across, down = (numpy.abs(numpy.diff(values, axis=axis)).mean() for axis in (2, 1))
    return float(across + down) / 2


def evaluate_pairs(
    outputs: NDArray[Any],
    inputs: NDArray[Any],
    truth: NDArray[Any],
    *,
    mean: NDArray[Any],
    way: str = "",
) -> Table:
    """Compare translations with the truth.

    Parameters
    ----------
    outputs, inputs, truth
        Images in [-1, 1], floats, (N, H, W, C); the inputs may have another shape (N, ...).
    mean
        The mean of the training images of the results' kind, (H, W, C): the best answer of one who
        doesn't look at the input.
    way
        Appended to the names of the metrics.

    Returns
    -------
    Table
        The mean absolute difference, whose floor is 0, and the sharpness, whose floor is that of
        the truth. The facts give the difference for the mean picture and, if the shapes allow it,
        for the inputs left as they are.

    Raises
    ------
    ValueError
        If outputs and truth differ in shape, or a value isn't finite.
    TypeError
        If one isn't an array of floats.
    """
    blocks.images(outputs, "outputs")
    blocks.images(truth, "true images")
    if outputs.shape != truth.shape:
        raise ValueError(
            f"The outputs have shape {outputs.shape}, but the truth {truth.shape}; pass those of "
            "the same pairs."
        )
    facts: dict[str, Any] = {
        f"held-out pairs{way}": len(truth),
        f"L1 of the mean picture{way}": _rounded(mean - truth),
    }
    if inputs.shape == truth.shape:
        blocks.images(inputs, "inputs")
        facts[f"L1 of the input left alone{way}"] = _rounded(inputs - truth)
    rows = (
        Row(f"L1 distance from the truth{way}", _l1(outputs - truth), 0.0, "lower"),
        Row(f"sharpness{way}", sharpness(outputs), sharpness(truth), "as the floor"),
    )
    return Table(facts, rows)


def _l1(difference: NDArray[Any]) -> float:
    return float(numpy.abs(difference).mean())


def _rounded(difference: NDArray[Any]) -> float:
    return round(_l1(difference), 4)

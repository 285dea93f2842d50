"""Initial weights, always drawn by a NumPy generator on the host, so that every device starts
alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy

from minigan import backend
from minigan.backend import Array

if TYPE_CHECKING:
    from minigan.nn.layer import Layer

Generator = numpy.random.Generator


def generator(rng: Generator | None) -> Generator:
    """Return `rng`, or without one a generator seeded by the operating system."""
    return numpy.random.default_rng() if rng is None else rng


def fan_in_uniform(shape: Sequence[int], fan_in: float, rng: Generator) -> Array:
    """Draw from U(-1/√fan_in, 1/√fan_in), float32 (LeCun et al. 1998; PyTorch's default)."""
    bound = 1 / math.sqrt(max(fan_in, 1))
    return rng.uniform(-bound, bound, tuple(shape)).astype("float32")


def normal(net: Layer, *, rng: Generator, std: float = 0.02, norm_mean: float = 1.0) -> None:
    """Re-draw all weights of a net as DCGAN does (Radford et al. 2016, section 3), in place.

    Weights (arrays of two or more axes) come from N(0, std²), a normalisation's scale from
    N(norm_mean, std²); shifts and biases become 0.

    Parameters
    ----------
    net
        Any layer or net.
    rng
        Where the numbers come from.
    std
        Standard deviation.
    norm_mean
        Mean of the scales ``gamma``.
    """
    for name, p in net.parameters().items():
        if name.rpartition(".")[2] == "gamma":
            drawn = rng.normal(norm_mean, std, p.shape)
        elif len(p.shape) >= 2:
            drawn = rng.normal(0.0, std, p.shape)
        else:
            drawn = numpy.zeros(p.shape)
        p.value = backend.of(p.value).asarray(drawn, dtype=p.value.dtype)


def kaiming_normal(net: Layer, *, rng: Generator, slope: float = 0.2) -> None:
    """Re-draw all weights from N(0, 2 / ((1 + slope²) fan_in)) (He et al. 2015, eq. 15), in place.

    Biases, shifts become 0 and scales 1. fan_in counts the inputs that reach one output of a Linear
    or Conv2d.
    """
    for name, p in net.parameters().items():
        if len(p.shape) >= 2:
            fan_in = math.prod(p.shape[:-1])
            drawn = rng.normal(0.0, math.sqrt(2 / ((1 + slope**2) * fan_in)), p.shape)
        else:
            drawn = numpy.full(p.shape, 1.0 if name.rpartition(".")[2] == "gamma" else 0.0)
        p.value = backend.of(p.value).asarray(drawn, dtype=p.value.dtype)

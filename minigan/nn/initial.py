"""Initial weights, always drawn by NumPy on the host, so that every device starts alike."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy

from minigan import backend, randomness
from minigan.backend import Array
from minigan.nn.parameter import Parameter, Role
from minigan.nn.tree import Tree

Generator = numpy.random.Generator


def generator(rng: Generator | None) -> Generator:
    """Return `rng`, or a generator seeded by the operating system if it is None.

    Raises
    ------
    TypeError
        If it is anything else, such as a seed.
    """
    return numpy.random.default_rng() if rng is None else randomness.generator(rng)


def fan_in_uniform(shape: Sequence[int], fan_in: float, rng: Generator) -> Array:
    """Draw from U(-1/√fan_in, 1/√fan_in), float32 (LeCun et al. 1998; PyTorch's default)."""
    bound = 1 / math.sqrt(max(fan_in, 1))
    return rng.uniform(-bound, bound, tuple(shape)).astype("float32")


def bias(size: int, fan_in: float, rng: Generator) -> Parameter:
    """Draw a bias for `size` outputs as `fan_in_uniform` draws the weights of the layer."""
    return Parameter(fan_in_uniform((size,), fan_in, rng), role="bias", output_axis=0)


def normal(net: Tree, *, rng: Generator, std: float = 0.02, norm_mean: float = 1.0) -> None:
    """Re-draw all weights of a net as DCGAN does (Radford et al. 2016, section 3), in place.

    Weights come from N(0, std²), the scales γ of normalisations from N(norm_mean, std²); shifts β
    and biases become 0. A parameter without a role counts as a weight if it has two or more axes,
    and is left as it is if it has fewer.

    Parameters
    ----------
    net
        Any layer or net.
    rng
        Draws the numbers.
    std
        Standard deviation of weights and scales.
    norm_mean
        Mean of the scales.
    """
    randomness.generator(rng)
    for p in net.parameters().values():
        role = _role(p)
        if role == "weight":
            _assign(p, rng.normal(0.0, std, p.shape))
        elif role == "scale":
            _assign(p, rng.normal(norm_mean, std, p.shape))
        elif role is not None:
            _assign(p, numpy.zeros(p.shape))


def kaiming_normal(net: Tree, *, rng: Generator, slope: float = 0.2) -> None:
    """Re-draw all weights from N(0, 2 / ((1 + slope²) fan_in)) (He et al. 2015, eq. 15), in place.

    An output is y = Σ w x over fan_in inputs. With weights of variance σ² its mean square is
    fan_in σ² times that of x, and a leaky ReLU after it leaves (1 + slope²) / 2 of that. With this
    σ², signals keep their size through any number of layers.

    Biases and shifts β become 0, scales γ become 1. A parameter without a role counts as a weight
    if it has two or more axes, and is left as it is if it has fewer.

    Parameters
    ----------
    net
        Any layer or net.
    rng
        Draws the numbers.
    slope
        Slope of the leaky ReLUs after the weights; 0 for ReLU, 1 where there is no activation.
    """
    randomness.generator(rng)
    for p in net.parameters().values():
        role = _role(p)
        if role == "weight":
            _assign(p, rng.normal(0.0, math.sqrt(2 / ((1 + slope**2) * _fan_in(p))), p.shape))
        elif role is not None:
            _assign(p, numpy.full(p.shape, 1.0 if role == "scale" else 0.0))


def _role(p: Parameter) -> Role | None:
    return "weight" if p.role is None and len(p.shape) >= 2 else p.role


def _fan_in(p: Parameter) -> float:
    """Return what the layer says, or else the product of all sizes but that of the outputs."""
    if p.fan_in is not None:
        return p.fan_in
    sizes = list(p.shape)
    del sizes[-1 if p.output_axis is None else p.output_axis]
    return math.prod(sizes)


def _assign(p: Parameter, drawn: Array) -> None:
    p.value = backend.of(p.value).asarray(drawn, dtype=p.value.dtype)

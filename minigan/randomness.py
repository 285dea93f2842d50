"""The check that random numbers come from a generator, which is passed in."""

from __future__ import annotations

from typing import Any

import numpy


def generator(rng: Any) -> numpy.random.Generator:
    """Return `rng` if it is a NumPy generator.

    A seed isn't taken in its place: two layers that got the same one would start with the same
    weights.

    Raises
    ------
    TypeError
        If it isn't one.
    """
    if not isinstance(rng, numpy.random.Generator):
        seed = rng if isinstance(rng, int) and rng >= 0 else "seed"
        raise TypeError(
            f"rng is {type(rng).__name__}, but needs to be a numpy.random.Generator: make one with "
            f"numpy.random.default_rng({seed}), and pass it to everything that draws from it."
        )
    return rng

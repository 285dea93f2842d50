"""Latent vectors: the noise that the generator turns into samples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy

from minigan.backend import Array

KINDS = ("normal", "uniform")


@dataclass(frozen=True)
class Latent:
    """A law for latent vectors z.

    Parameters
    ----------
    size
        Length of z.
    kind
        ``"normal"``: N(0, I). ``"uniform"``: U(-1, 1) in each coordinate, as in DCGAN (Radford et al. 2016).

    Raises
    ------
    ValueError
        If the size isn't positive or the kind is unknown.
    """

    size: int
    kind: str = "normal"

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"A latent vector needs at least one number, got size {self.size}.")
        if self.kind not in KINDS:
            raise ValueError(f"Unknown latent law {self.kind!r}; use one of {', '.join(KINDS)}.")

    def sample(self, n: int, rng: numpy.random.Generator) -> Array:
        """Draw n latent vectors on the host: float32, shape (n, size)."""
        if self.kind == "normal":
            return rng.standard_normal((n, self.size), dtype="float32")
        return 2 * rng.random((n, self.size), dtype="float32") - 1

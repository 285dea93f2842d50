"""An endless stream of new points from a 2-D distribution."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data.toys import Distribution


class Stream(Iterator[tuple[npt.NDArray[numpy.float32], None]]):
    """Minibatches of points that never repeat, resumable bit for bit; the counterpart of `Batches`.

    Parameters
    ----------
    distribution : Distribution
        The distribution to draw from.
    batch_size : int
        Points in a batch.
    rng : numpy.random.Generator
        Draws the points. Use a separate generator for each stream.

    Raises
    ------
    ValueError
        If `batch_size` is not positive.
    TypeError
        If `rng` isn't a Generator.
    """

    def __init__(
        self, distribution: Distribution, batch_size: int, rng: numpy.random.Generator
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        self.distribution, self.batch_size = distribution, batch_size
        self.rng = randomness.generator(rng)

    def __next__(self) -> tuple[npt.NDArray[numpy.float32], None]:
        return self.distribution.sample(self.batch_size, self.rng), None

    def state_dict(self) -> dict[str, Any]:
        """Return what determines the following batches: ``rng``, the bit generator's state."""
        return {"rng": self.rng.bit_generator.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where the stream that returned `state` was.

        Raises
        ------
        ValueError
            If `state` isn't from this kind of generator.
        """
        kind = state.get("rng", {}).get("bit_generator")
        if kind != type(self.rng.bit_generator).__name__:
            raise ValueError(
                f"this state of the stream is from a generator {kind!r}: resume with the same kind"
            )
        self.rng.bit_generator.state = state["rng"]

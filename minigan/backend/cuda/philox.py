"""The NumPy twin of ``kernels/dropout.cu``: Philox 4x32-10, a random function of a counter.

Source: Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", section
3.3.
"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

_WORD = numpy.uint64(0xFFFFFFFF)
_SHIFT = numpy.uint64(32)


def philox(counters: NDArray[Any], seed: int) -> NDArray[Any]:
    """Turn counters into random words.

    Parameters
    ----------
    counters
        Shape (n, 4), each entry below 2³².
    seed
        The key, below 2⁶⁴.

    Returns
    -------
    array of uint32, shape (n, 4)
    """
    c0, c1, c2, c3 = numpy.asarray(counters, "uint64").T
    key0, key1 = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        left, right = c0 * numpy.uint64(0xD2511F53), c2 * numpy.uint64(0xCD9E8D57)
        c0, c1, c2, c3 = (
            (right >> _SHIFT) ^ c1 ^ numpy.uint64(key0),
            right & _WORD,
            (left >> _SHIFT) ^ c3 ^ numpy.uint64(key1),
            left & _WORD,
        )
        key0, key1 = (key0 + 0x9E3779B9) & 0xFFFFFFFF, (key1 + 0xBB67AE85) & 0xFFFFFFFF
    return numpy.stack([c0, c1, c2, c3], axis=1).astype("uint32")


def dropout_mask(count: int, p: float, seed: int) -> NDArray[Any]:
    """Return `count` entries, each 0 with probability p, else 1 / (1 - p), as the kernel makes
    them.

    Entry 4 i + k comes from word k of counter (i, 0, 0, 0), its upper 24 bits read as a float32 in
    [0, 1).
    """
    counters = numpy.zeros((-(-count // 4), 4), "uint64")
    counters[:, 0] = numpy.arange(len(counters))
    uniform = (philox(counters, seed) >> 8).astype("float32") * numpy.float32(2**-24)
    kept = uniform.ravel()[:count] >= numpy.float32(p)
    return numpy.where(kept, numpy.float32(1 / (1 - p)), numpy.float32(0))


def draw_seed(rng: numpy.random.Generator) -> int:
    """Draw the seed of a dropout mask."""
    return int(rng.integers(2**63))

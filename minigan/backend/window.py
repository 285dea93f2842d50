"""The geometry of a sliding window: kernel, stride and zero padding, and the sizes that follow."""

from __future__ import annotations

from numbers import Integral
from typing import NamedTuple

Pair = tuple[int, int]


def pair(name: str, value: int | Pair, *, minimum: int) -> Pair:
    """Turn an integer or a pair of integers into a pair.

    Raises
    ------
    ValueError
        If it is neither, or an entry is below `minimum`.
    """
    both = value if isinstance(value, (tuple, list)) else (value, value)
    if len(both) != 2 or not all(is_whole(v) and v >= minimum for v in both):
        raise ValueError(
            f"{name} must be an integer >= {minimum} or a pair of them, got {value!r}."
        )
    return int(both[0]), int(both[1])


def is_whole(value: object) -> bool:
    """Return whether a value is an integer, of Python's or NumPy's; True and False aren't."""
    return isinstance(value, Integral) and not isinstance(value, bool)


class Window(NamedTuple):
    """A kernel of (height, width) that moves by `stride` over an image padded with zeros by
    `padding`.
    """

    kernel: Pair
    stride: Pair
    padding: Pair

    @property
    def is_a_pixel(self) -> bool:
        """Whether a patch is a pixel, and each pixel a patch: a convolution is then a product."""
        return self == ((1, 1), (1, 1), (0, 0))

    def output_size(self, height: int, width: int) -> Pair:
        """Number of window positions, ``(size + 2 padding - kernel) // stride + 1`` along each
        axis.
        """
        (kh, kw), (sh, sw), (ph, pw) = self
        return (height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1

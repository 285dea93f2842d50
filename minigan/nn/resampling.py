r"""Images of another size: filters that double and halve, and resizing to any size.

A filter k of a few taps is applied along each axis in turn, which is the two-dimensional filter
:math:`k k^T`. Halving takes each second of the filtered pixels, doubling spreads each pixel over
two with the same filter:

.. math:: \text{down: } y_p = \sum_t k_t\, x_{2p + t - b}, \qquad
          \text{up: } y_i = 2 \sum_p k_{i + b - 2p}\, x_p .

Apart from the factor 2, which keeps a constant image constant, they are each other's adjoint: k
meets the same pairs of entries in both. So each is the backward map of the other (Karras et al.
2020, section 2.3 and their ``upfirdn2d``; Zhang 2019 says why a filter belongs there).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.backend.window import Pair, is_whole, pair
from minigan.nn.cache import Shape
from minigan.nn.fixed import Fixed, require_images

BINOMIAL = (1.0, 3.0, 3.0, 1.0)
"""StyleGAN2's filter; (1, 2, 1) is StyleGAN's."""


class Downsample(Fixed, samplewise=True):
    """Filter images and keep each f-th pixel: (N, f H, f W, C) -> (N, H, W, C).

    Backward spreads each cotangent over the pixels that it came from, as `Interpolate` does.

    Parameters
    ----------
    factor
        f; with 1 the image is only blurred, see `Blur`.
    taps
        The filter, at least f numbers; they are divided by their sum.
    """

    def __init__(self, factor: int = 2, *, taps: Sequence[float] = BINOMIAL) -> None:
        self.factor, self.taps = _checked(factor, taps)

    def apply(self, x: Array) -> Array:
        """Filter and decimate both axes."""
        return _decimated(x, self.taps, self.factor)

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Spread along both axes."""
        return _interpolated(dy, self.taps, self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, f H, f W, C) -> (N, H, W, C)."""
        _require_pixels(self, shape)
        n, height, width, channels = shape
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: its height and width must be multiples "
                f"of {self.factor}; crop or pad the images."
            )
        return n, height // self.factor, width // self.factor, channels

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.factor})"


class Blur(Downsample, samplewise=True):
    """Filter images and keep their size: (N, H, W, C) -> (N, H, W, C).

    Parameters
    ----------
    taps
        The filter, divided by its sum; (1, 2, 1) by default.
    """

    def __init__(self, *, taps: Sequence[float] = (1.0, 2.0, 1.0)) -> None:
        super().__init__(1, taps=taps)

    def __repr__(self) -> str:
        return f"Blur(taps={tuple(round(t / self.taps[0], 3) for t in self.taps)})"


class Interpolate(Fixed, samplewise=True):
    """Spread pixels with a filter: (N, H, W, C) -> (N, f H, f W, C).

    The mean of an image is kept. Backward filters and decimates, as `Downsample` does, times f².

    Parameters
    ----------
    factor
        f.
    taps
        The filter, at least f numbers; they are divided by their sum.
    """

    def __init__(self, factor: int = 2, *, taps: Sequence[float] = BINOMIAL) -> None:
        self.factor, self.taps = _checked(factor, taps)

    def apply(self, x: Array) -> Array:
        """Spread along both axes."""
        return self.factor**2 * _interpolated(x, self.taps, self.factor)

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Filter and decimate both axes."""
        return self.factor**2 * _decimated(dy, self.taps, self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, f H, f W, C)."""
        _require_pixels(self, shape)
        n, height, width, channels = shape
        return n, self.factor * height, self.factor * width, channels

    def __repr__(self) -> str:
        return f"Interpolate({self.factor})"


class Resize(Fixed, samplewise=True):
    r"""Resize images to any size: along each axis a matrix R, ``y = R_h x R_wᵀ``.

    ``nearest`` takes, for pixel i of y, pixel ``i H // Ho`` of x. For ``bilinear`` a pixel's value
    stands at its centre, and that of pixel i of y lies in x at
    :math:`s_i = (i + \tfrac12) H / H_o - \tfrac12`, kept within the image; the two pixels around it
    are weighed by :math:`R_{ij} = \max(0, 1 - |s_i - j|)`. Downwards most pixels are left out, as
    in PyTorch; `Downsample` and `AveragePool` use all.

    Backward: ``dx = R_hᵀ dy R_w``.

    Parameters
    ----------
    size
        (height, width) of y, or one number for both.
    mode
        ``nearest`` or ``bilinear`` (PyTorch's ``align_corners=False``).
    """

    def __init__(self, size: int | Pair, *, mode: str = "bilinear") -> None:
        self.size = pair("size", size, minimum=1)
        if mode not in ("nearest", "bilinear"):
            raise ValueError(f"The mode of Resize must be nearest or bilinear, got {mode!r}.")
        self.mode = mode

    def apply(self, x: Array) -> Array:
        """Return ``R_h x R_wᵀ``."""
        for axis in self._axes(x.shape):
            x = _along(x, self._matrix(x, x.shape[axis], self.size[axis - 1]), axis)
        return x

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Return ``R_hᵀ dy R_w``."""
        for axis in reversed(self._axes(shape)):
            dy = _along(dy, self._matrix(dy, shape[axis], self.size[axis - 1]).T, axis)
        return dy

    def _axes(self, shape: Shape) -> Pair:
        """The axes in turn: 2, which takes a product for each row, while there are fewer rows."""
        return (2, 1) if self.size[1] > shape[2] else (1, 2)

    def _matrix(self, like: Array, before: int, after: int) -> Array:
        """Return R (after, before)."""
        xp = backend.of(like).xp
        i, j = xp.arange(after)[:, None], xp.arange(before)[None, :]
        if self.mode == "nearest":
            return (i * before // after == j).astype(like.dtype)
        s = ((2 * i + 1) * before - after).astype(like.dtype) / (2 * after)
        return xp.maximum(1 - abs(xp.clip(s, 0, before - 1) - j.astype(like.dtype)), 0)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, *size, C)."""
        _require_pixels(self, shape)
        return shape[0], *self.size, shape[3]

    def __repr__(self) -> str:
        return f"Resize({self.size}, mode={self.mode!r})"


class PixelShuffle(Fixed, samplewise=True):
    """Lay r² channels out as blocks of r x r pixels: (N, H, W, r² C) -> (N, r H, r W, C).

    Channel ``c r² + i r + j`` becomes pixel (i, j) of the block in channel c (Shi et al. 2016, eq.
    4). Backward is the inverse, as of any permutation: `PixelUnshuffle`.

    Parameters
    ----------
    factor
        r.
    """

    def __init__(self, factor: int = 2) -> None:
        self.factor = _at_least_one("factor", factor)

    def apply(self, x: Array) -> Array:
        """Blocks out of channels."""
        return _shuffled(x, self.factor)

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Channels out of blocks."""
        return _unshuffled(dy, self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, r² C) -> (N, r H, r W, C)."""
        require_images(self, shape)
        n, height, width, channels = shape
        if channels % self.factor**2:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: the number of channels must be a "
                f"multiple of {self.factor**2}."
            )
        return n, height * self.factor, width * self.factor, channels // self.factor**2

    def __repr__(self) -> str:
        return f"PixelShuffle({self.factor})"


class PixelUnshuffle(Fixed, samplewise=True):
    """Lay blocks of r x r pixels out as r² channels: the inverse of `PixelShuffle`.

    Parameters
    ----------
    factor
        r.
    """

    def __init__(self, factor: int = 2) -> None:
        self.factor = _at_least_one("factor", factor)

    def apply(self, x: Array) -> Array:
        """Channels out of blocks."""
        return _unshuffled(x, self.factor)

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Blocks out of channels."""
        return _shuffled(dy, self.factor)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, r H, r W, C) -> (N, H, W, r² C)."""
        require_images(self, shape)
        n, height, width, channels = shape
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"{self!r} got an input of shape {shape}: its height and width must be multiples "
                f"of {self.factor}."
            )
        return n, height // self.factor, width // self.factor, channels * self.factor**2

    def __repr__(self) -> str:
        return f"PixelUnshuffle({self.factor})"


def _require_pixels(layer: Fixed, shape: Shape) -> None:
    require_images(layer, shape)
    if 0 in shape[1:3]:
        raise ValueError(
            f"{layer!r} got an input of shape {shape}: its images have no pixels; use larger ones."
        )


def _decimated(x: Array, taps: Sequence[float], factor: int) -> Array:
    ops: Any = backend.of(x)
    return ops.decimate(ops.decimate(x, taps, factor, 1), taps, factor, 2)


def _interpolated(x: Array, taps: Sequence[float], factor: int) -> Array:
    ops: Any = backend.of(x)
    return ops.interpolate(ops.interpolate(x, taps, factor, 2), taps, factor, 1)


def _along(x: Array, matrix: Array, axis: int) -> Array:
    """Multiply axis 1 or 2 of images by a matrix (after, before)."""
    ops = backend.of(x)
    columns = x.reshape(math.prod(x.shape[:axis]), x.shape[axis], math.prod(x.shape[axis + 1 :]))
    each = ops.xp.broadcast_to(matrix, (len(columns), *matrix.shape))
    y = ops.matmul_each(each, columns)
    return y.reshape(*x.shape[:axis], matrix.shape[0], *x.shape[axis + 1 :])


def _shuffled(x: Array, r: int) -> Array:
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height, width, channels // r**2, r, r).transpose(0, 1, 4, 2, 5, 3)
    return blocks.reshape(n, height * r, width * r, channels // r**2)


def _unshuffled(x: Array, r: int) -> Array:
    n, height, width, channels = x.shape
    blocks = x.reshape(n, height // r, r, width // r, r, channels).transpose(0, 1, 3, 5, 2, 4)
    return blocks.reshape(n, height // r, width // r, channels * r**2)


def _checked(factor: int, taps: Sequence[float]) -> tuple[int, tuple[float, ...]]:
    factor = _at_least_one("factor", factor)
    total = float(sum(taps))
    if len(taps) < factor or not abs(total) > 0:
        raise ValueError(
            f"A filter for a factor of {factor} needs at least {factor} taps whose sum isn't 0, "
            f"got {tuple(taps)}."
        )
    return factor, tuple(float(tap) / total for tap in taps)


def _at_least_one(name: str, value: int) -> int:
    if not is_whole(value) or value < 1:
        raise ValueError(f"{name} must be a whole number >= 1, got {value!r}.")
    return int(value)

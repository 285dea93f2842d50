"""Grouped and dilated convolutions as ordinary ones side by side, which have fast forms.

With groups, each piece of the channels is a convolution of its own. With dilation d at stride 1,
the taps of a window meet only pixels of one residue modulo d along each axis: so the pixels of each
residue are an image of their own, convolved without gaps, and the results interleave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from minigan.backend.array import Array
from minigan.backend.reference import Reference
from minigan.backend.window import Pair, Window

ONE = (1, 1)


class SideBySide(Reference):
    """`Reference`'s convolutions tap by tap, in terms of its ordinary ones."""

    def conv_taps(self, x: Any, weight: Any, stride: Pair, dilation: Pair) -> Array:
        """See `Reference.conv_taps`."""
        groups = x.shape[3] // weight.shape[2]
        if not _splits(groups, weight.shape[2], stride, dilation):
            return super().conv_taps(x, weight, stride, dilation)
        if groups > 1:
            parts = zip(_cut(x, groups), _cut(weight, groups), strict=True)
            pieces: Any = [self.conv_taps(*p, stride, dilation) for p in parts]
            return numpy.concatenate(pieces, axis=3)
        kernel = weight.shape[0], weight.shape[1]
        size = output_size(x.shape, kernel, stride, dilation)
        y: Any = numpy.empty((x.shape[0], *size, weight.shape[3]), x.dtype)
        for place in _residues(dilation, size):
            part = numpy.ascontiguousarray(x[place])
            y[place] = self.conv(part, weight, Window(kernel, stride, (0, 0)))[0]
        return y

    def conv_taps_weight_grad(
        self, x: Any, dy: Any, kernel: Pair, stride: Pair, dilation: Pair, groups: int
    ) -> Array:
        """See `Reference.conv_taps_weight_grad`."""
        each = x.shape[3] // groups
        if not _splits(groups, each, stride, dilation):
            return super().conv_taps_weight_grad(x, dy, kernel, stride, dilation, groups)
        if groups > 1:
            parts = zip(_cut(x, groups), _cut(dy, groups), strict=True)
            grads: Any = [
                self.conv_taps_weight_grad(*p, kernel, stride, dilation, 1) for p in parts
            ]
            return numpy.concatenate(grads, axis=3)
        window = Window(kernel, stride, (0, 0))
        dw: Any = 0
        for place in _residues(dilation, dy.shape[1:3]):
            kept = self.conv_keep(numpy.ascontiguousarray(x[place]), window)
            dw = dw + self.conv_weight_grad(kept, numpy.ascontiguousarray(dy[place]), window)
        return dw

    def conv_taps_input_grad(
        self, dy: Any, weight: Any, shape: Sequence[int], stride: Pair, dilation: Pair
    ) -> Array:
        """See `Reference.conv_taps_input_grad`."""
        groups = shape[3] // weight.shape[2]
        if not _splits(groups, weight.shape[2], stride, dilation):
            return super().conv_taps_input_grad(dy, weight, shape, stride, dilation)
        if groups > 1:
            piece = (*shape[:3], weight.shape[2])
            parts = zip(_cut(dy, groups), _cut(weight, groups), strict=True)
            grads: Any = [self.conv_taps_input_grad(*p, piece, stride, dilation) for p in parts]
            return numpy.concatenate(grads, axis=3)
        window = Window((weight.shape[0], weight.shape[1]), stride, (0, 0))
        dx: Any = numpy.zeros(tuple(shape), dy.dtype)
        for place in _residues(dilation, dy.shape[1:3]):
            part = numpy.ascontiguousarray(dy[place])
            dx[place] = self.conv_input_grad(part, weight, dx[place].shape, window)
        return dx


def _splits(groups: int, each: int, stride: Pair, dilation: Pair) -> bool:
    """Whether ordinary convolutions remain: of several channels, and no stride over gaps."""
    return each > 1 and (stride == ONE or dilation == ONE)


def _cut(x: Any, groups: int) -> list[Any]:
    """Cut the last axis into pieces."""
    return [numpy.ascontiguousarray(part) for part in numpy.split(x, groups, axis=-1)]


def output_size(shape: Sequence[int], kernel: Sequence[int], stride: Pair, dilation: Pair) -> Pair:
    """Return the number of positions of a window along each axis of padded images."""
    height, width = (
        (n - d * (k - 1) - 1) // s + 1
        for n, k, s, d in zip(shape[1:3], kernel, stride, dilation, strict=True)
    )
    return height, width


def _residues(dilation: Pair, size: Sequence[int]) -> Iterator[tuple[slice, ...]]:
    """Yield where the pixels of each residue lie, of those that a result depends on."""
    for i in range(min(dilation[0], size[0])):
        for j in range(min(dilation[1], size[1])):
            yield slice(None), slice(i, None, dilation[0]), slice(j, None, dilation[1])

"""Grouped and dilated convolutions as ordinary ones side by side, which have fast forms.

A convolution in groups is an ordinary one whose kernel is zero outside the blocks of the groups. So
groups of few channels are joined, up to `TOGETHER` channels, and what is left are convolutions of
their own. Multiplying by zeros costs less than products of narrow matrices and copies of their
channels do. With dilation d at stride 1, the taps of a window meet only pixels of one residue
modulo d along each axis: so the pixels of each residue are an image of their own, convolved without
gaps, and the results interleave.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

from minigan.backend.array import Array
from minigan.backend.reference import Reference
from minigan.backend.window import Pair, Window

ONE = (1, 1)

TOGETHER = 64
"""Channels up to which groups are joined: with more, the zeros cost more than they spare."""

SHORT, FEW = 4, 16
"""Longer kernels have no form that needs fewer products: so only groups of few channels are
joined."""


class SideBySide(Reference):
    """`Reference`'s convolutions tap by tap, in terms of its ordinary ones."""

    def conv_taps(self, x: Any, weight: Any, stride: Pair, dilation: Pair) -> Array:
        """See `Reference.conv_taps`."""
        groups = x.shape[3] // weight.shape[2]
        if not _splits(groups, weight.shape[2], stride, dilation):
            return super().conv_taps(x, weight, stride, dilation)
        if groups > 1:
            parts = _parts(groups, weight.shape[2], weight.shape[:2])
            kernels = _joined(weight, parts, groups // parts)
            pairs = zip(_cut(x, parts), kernels, strict=True)
            return _beside([self.conv_taps(*p, stride, dilation) for p in pairs])
        kernel = weight.shape[0], weight.shape[1]
        if dilation == ONE:
            return self.conv(x, weight, Window(kernel, stride, (0, 0)))[0]
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
            parts = _parts(groups, each, kernel)
            pairs = zip(_cut(x, parts), _cut(dy, parts), strict=True)
            grads = [self.conv_taps_weight_grad(*p, kernel, stride, dilation, 1) for p in pairs]
            return _beside([_blocks(dw, groups // parts) for dw in grads])
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
            parts = _parts(groups, weight.shape[2], weight.shape[:2])
            kernels = _joined(weight, parts, groups // parts)
            piece = (*shape[:3], shape[3] // parts)
            pairs = zip(_cut(dy, parts), kernels, strict=True)
            return _beside([self.conv_taps_input_grad(*p, piece, stride, dilation) for p in pairs])
        window = Window((weight.shape[0], weight.shape[1]), stride, (0, 0))
        if dilation == ONE:
            return self.conv_input_grad(dy, weight, shape, window)
        dx: Any = numpy.zeros(tuple(shape), dy.dtype)
        for place in _residues(dilation, dy.shape[1:3]):
            part = numpy.ascontiguousarray(dy[place])
            dx[place] = self.conv_input_grad(part, weight, dx[place].shape, window)
        return dx


def _splits(groups: int, each: int, stride: Pair, dilation: Pair) -> bool:
    """Whether ordinary convolutions remain: of several channels, and no stride over gaps."""
    return each > 1 and (stride == ONE or dilation == ONE)


def _parts(groups: int, each: int, kernel: Sequence[int]) -> int:
    """How many convolutions remain when groups of `each` channels are joined."""
    limit = (TOGETHER if max(kernel) <= SHORT else FEW) // each
    return next(n for n in range(1, groups + 1) if groups % n == 0 and groups // n <= max(1, limit))


def _cut(x: Any, parts: int) -> list[Any]:
    """Cut the last axis into pieces."""
    return [numpy.ascontiguousarray(part) for part in numpy.split(x, parts, axis=-1)]


def _beside(pieces: list[Any]) -> Any:
    """Join pieces along the last axis."""
    return pieces[0] if len(pieces) == 1 else numpy.concatenate(pieces, axis=-1)


def _joined(weight: Any, parts: int, groups: int) -> list[Any]:
    """One kernel for the groups of each part: zero outside of their blocks."""
    return [_whole(piece, groups) for piece in _cut(weight, parts)]


def _whole(weight: Any, groups: int) -> Any:
    """(kh, kw, in / groups, out) -> (kh, kw, in, out)."""
    if groups == 1:
        return weight
    kh, kw, each, out = weight.shape
    whole = numpy.zeros((kh, kw, groups * each, out), weight.dtype)
    _diagonal(whole, groups)[...] = weight.reshape(kh, kw, each, groups, -1)
    return whole


def _blocks(whole: Any, groups: int) -> Any:
    """The blocks alone: (kh, kw, in, out) -> (kh, kw, in / groups, out)."""
    kh, kw, channels, out = whole.shape
    return _diagonal(whole, groups).reshape(kh, kw, channels // groups, out)


def _diagonal(whole: Any, groups: int) -> Any:
    """The blocks as a view, (kh, kw, in / groups, groups, out / groups)."""
    kh, kw, channels, out = whole.shape
    blocks = whole.reshape(kh, kw, groups, channels // groups, groups, out // groups)
    return numpy.einsum("ijgcgo->ijcgo", blocks)


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

"""The readable primitives, for a few samples at a time and on several threads.

What they pass over then stays in a core's cache. What such a primitive does to a sample doesn't
depend on the others; so its twin is the primitive itself, called for pieces.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from minigan.backend.cpu.side_by_side import output_size
from minigan.backend.reference import Reference, _views
from minigan.backend.window import Pair, Window

Array = Any  # of NumPy, whose functions don't take the protocol minigan.backend.Array


PIECE = 2**15
"""Numbers of an array in a piece of what is computed entry by entry."""


class InPieces(Reference):
    """`Reference`'s windows and chains of operations, a piece of their arrays after the other."""

    def _share(self, length: int, each: int, cost: float, work: Callable[[slice], None]) -> None:
        raise NotImplementedError

    def _share_samples(self, x: Array, passes: int, work: Callable[[slice], None]) -> None:
        raise NotImplementedError

    def _sum(self, rows: Array, passes: int, of_piece: Callable[[slice], Array]) -> Array:
        raise NotImplementedError

    def _filled(
        self, out: Array, passes: int, function: Callable[..., Array], *arrays: Array
    ) -> Array:
        """Set `out` to ``function(*arrays)``, a few samples of each at a time."""

        def work(piece: slice) -> None:
            out[piece] = function(*(x[piece] for x in arrays))

        self._share_samples(arrays[0], passes, work)
        return out

    def matmul_each(self, a: Array, b: Array) -> Array:
        """See `Reference.matmul_each`."""
        out = numpy.zeros((len(a), a.shape[1], b.shape[2]), numpy.result_type(a, b))

        def work(piece: slice) -> None:
            numpy.matmul(a[piece], b[piece], out=out[piece])

        self._share_samples(a, b.shape[2], work)
        return out

    # ---------------------------------------------------------------- entry by entry

    def elementwise(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """See `Reference.elementwise`; what it computes on the way stays in a core's cache."""
        size, shape = arrays[0].size, arrays[0].shape
        if size <= PIECE or not all(x.shape == shape and x.flags.c_contiguous for x in arrays):
            return function(*arrays)
        flat, y = [x.reshape(-1) for x in arrays], numpy.empty(size, numpy.result_type(*arrays))

        def work(piece: slice) -> None:
            y[piece] = function(*(x[piece] for x in flat))

        self._share(size, PIECE, 8 * size, work)
        return y.reshape(shape)

    def sigmoid(self, x: Array) -> Array:
        """See `Reference.sigmoid`."""
        return self.elementwise(_sigmoid, x)

    def sum_labelled(self, rows: Array, labels: Array, count: int) -> Array:
        """See `Reference.sum_labelled`; rows of a label are brought together and added up."""
        order = numpy.argsort(labels, kind="stable")
        present, first = numpy.unique(labels[order], return_index=True)
        total = numpy.zeros((count, rows.shape[1]), rows.dtype)
        if len(present):
            total[present] = numpy.add.reduceat(rows[order], first, axis=0)
        return total

    # ---------------------------------------------------------------- convolution, tap by tap

    def conv_taps(self, x: Array, weight: Array, stride: Pair, dilation: Pair) -> Array:
        """See `Reference.conv_taps`."""
        simple, size = super().conv_taps, output_size(x.shape, weight.shape[:2], stride, dilation)
        y = numpy.empty((len(x), *size, weight.shape[3]), x.dtype)
        return self._filled(y, 20, lambda x: simple(x, weight, stride, dilation), x)

    def conv_taps_weight_grad(
        self, x: Array, dy: Array, kernel: Pair, stride: Pair, dilation: Pair, groups: int
    ) -> Array:
        """See `Reference.conv_taps_weight_grad`."""
        simple, rest = super().conv_taps_weight_grad, (kernel, stride, dilation, groups)
        return self._sum(x, 20, lambda piece: simple(x[piece], dy[piece], *rest))

    def conv_taps_input_grad(
        self, dy: Array, weight: Array, shape: Sequence[int], stride: Pair, dilation: Pair
    ) -> Array:
        """See `Reference.conv_taps_input_grad`."""
        simple, dx = super().conv_taps_input_grad, numpy.zeros(tuple(shape), dy.dtype)

        def of(dy: Array) -> Array:
            return simple(dy, weight, (len(dy), *shape[1:]), stride, dilation)

        return self._filled(dx, 20, of, dy)

    # ---------------------------------------------------------------- other sizes

    def upsample(self, x: Array, factor: Pair) -> Array:
        """See `Reference.upsample`."""
        n, height, width, channels = x.shape
        y = numpy.empty((n, height * factor[0], width * factor[1], channels), x.dtype)

        def work(piece: slice) -> None:
            for view in _copies(y[piece], factor):
                view[...] = x[piece]

        self._share_samples(y, 2, work)
        return y

    def upsample_grad(self, dy: Array, factor: Pair) -> Array:
        """See `Reference.upsample_grad`."""
        n, height, width, channels = dy.shape
        dx = numpy.zeros((n, height // factor[0], width // factor[1], channels), dy.dtype)

        def work(piece: slice) -> None:
            for view in _copies(dy[piece], factor):
                dx[piece] += view

        self._share_samples(dy, 2, work)
        return dx

    # ---------------------------------------------------------------- pooling

    def average_pool(self, x: Array, window: Window) -> Array:
        """See `Reference.average_pool`."""
        simple, size = super().average_pool, window.output_size(*x.shape[1:3])
        y = numpy.empty((len(x), *size, x.shape[3]), x.dtype)
        return self._filled(y, 4, lambda x: simple(x, window), x)

    def average_pool_grad(self, dy: Array, shape: Sequence[int], window: Window) -> Array:
        """See `Reference.average_pool_grad`; where windows only touch, each pixel is in one."""
        kernel, stride, padding = window
        covered = dy.shape[1] * kernel[0], dy.shape[2] * kernel[1]
        if kernel == stride and not any(padding) and covered == tuple(shape[1:3]):
            return self.upsample(dy / (kernel[0] * kernel[1]), kernel)
        simple, dx = super().average_pool_grad, numpy.zeros(tuple(shape), dy.dtype)
        return self._filled(dx, 8, lambda dy: simple(dy, (len(dy), *shape[1:]), window), dy)

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """See `Reference.max_pool`."""
        shape = (len(x), *window.output_size(*x.shape[1:3]), x.shape[3])
        y, largest = numpy.empty(shape, x.dtype), numpy.empty(shape, "int32")

        def work(piece: slice) -> None:
            y[piece], largest[piece] = self._max_pool(x[piece], window)

        self._share_samples(x, 4, work)
        return y, largest

    def _max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """As the readable one, but the tap is counted: those before the first that equals y."""
        kernel, stride, (ph, pw) = window
        sides = ((0, 0), (ph, ph), (pw, pw), (0, 0))
        padded = numpy.pad(x, sides, constant_values=-numpy.inf) if ph or pw else x
        views = [view for *_, view in _views(padded, kernel, stride, (1, 1))]
        y = functools.reduce(numpy.maximum, views)
        if numpy.isnan(y).any():
            return super().max_pool(x, window)
        before, largest = numpy.ones(y.shape, bool), numpy.zeros(y.shape, "int32")
        for view in views[:-1]:
            before &= view != y
            largest += before
        return y, largest

    def max_pool_grad(
        self, dy: Array, largest: Array, shape: Sequence[int], window: Window
    ) -> Array:
        """See `Reference.max_pool_grad`."""
        simple, dx = super().max_pool_grad, numpy.zeros(tuple(shape), dy.dtype)

        def of(dy: Array, largest: Array) -> Array:
            return simple(dy, largest, (len(dy), *shape[1:]), window)

        return self._filled(dx, 8, of, dy, largest)


def _copies(y: Array, factor: Pair) -> Iterator[Array]:
    """Yield each copy of small images in large ones, every f-th pixel: (N, H, W, C)."""
    for i, j in numpy.ndindex(*factor):
        yield y[:, i :: factor[0], j :: factor[1]]


def _sigmoid(x: Array) -> Array:
    """As the readable one, to the bit, but ``exp(min(x, 0))`` is known: 1, or e where x < 0."""
    e = numpy.exp(-abs(x))
    return numpy.maximum(e, x >= 0) / (1 + e)

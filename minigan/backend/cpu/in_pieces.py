"""The readable primitives, for a few samples at a time and on several threads.

What they pass over then stays in a core's cache. What such a primitive does to a sample doesn't
depend on the others; so its twin is the primitive itself, called for pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from minigan.backend.cpu.side_by_side import output_size
from minigan.backend.reference import Reference
from minigan.backend.window import Pair, Window

Array = Any  # of NumPy, whose functions don't take the protocol minigan.backend.Array


class InPieces(Reference):
    """`Reference`'s windows, a piece of their arrays after the other."""

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
        return self._filled(out, b.shape[2], numpy.matmul, a, b)

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

    # ---------------------------------------------------------------- pooling

    def max_pool_grad(
        self, dy: Array, largest: Array, shape: Sequence[int], window: Window
    ) -> Array:
        """See `Reference.max_pool_grad`."""
        simple, dx = super().max_pool_grad, numpy.zeros(tuple(shape), dy.dtype)

        def of(dy: Array, largest: Array) -> Array:
            return simple(dy, largest, (len(dy), *shape[1:]), window)

        return self._filled(dx, 8, of, dy, largest)

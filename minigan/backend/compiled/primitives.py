"""The primitives on a CPU once more: the same numbers as `CpuBackend`, sooner, by compiled loops.

`minigan.backend.compiled.loops` holds the loops, which Numba compiles when they are first called,
and keeps on disk. Numba is optional: ``pip install "minigan[fast]"`` brings it. What doesn't suit
the loops, mixed dtypes for example, is left to `CpuBackend`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numba
import numpy

# Numba would import it at the first call of a loop, and a fork in the middle of an import leaves
# the child waiting for the end of it.
import numpy.ma
from numba.core.compiler_lock import global_compiler_lock

from minigan import forks
from minigan.backend.compiled import loops
from minigan.backend.cpu import winograd
from minigan.backend.cpu.blas import numpy_with_blas
from minigan.backend.cpu.primitives import ROWS, SHARE, CpuBackend, is_small
from minigan.backend.cpu.side_by_side import output_size
from minigan.backend.window import Pair, Window

Array = Any  # of NumPy, whose functions don't take the protocol minigan.backend.Array

NARROW = 16
"""Features below which a row is too short for a vector register, and NumPy adds rows sooner."""

FEW = 2**12
"""Numbers up to which the overhead of NumPy's operations matters more than what they do."""


class CompiledWinograd(winograd.Winograd):
    """The six maps of `Winograd` as two loops, see `minigan.backend.compiled.loops`.

    They need no memory to work in but a tile's, so as many images as there are may be mapped at a
    time.
    """

    of_map: ClassVar[int] = 28
    of_patch: ClassVar[int] = 2

    @property
    def at_a_time(self) -> int:
        """All of them."""
        return 2**30

    def image_map(self, x: Array, out: Array, first: int = 0, *, scratch: winograd.Scratch) -> None:
        """See `Winograd.image_map`."""
        if not _suits(x, out):
            super().image_map(x, out, first, scratch=scratch)
            return
        _, _, b = winograd.factors(self.outputs, self.taps, x.dtype.str)
        loops.to_points(_in_rows(x), out, first, *b, *self._of_image)

    def image_map_transposed(
        self, v: Array, out: Array, bias: Array | None = None, first: int = 0, *,
        scratch: winograd.Scratch,
    ) -> None:  # fmt: skip
        """See `Winograd.image_map_transposed`."""
        _, _, b = winograd.factors(self.outputs, self.taps, v.dtype.str, transposed=True)
        shift = numpy.zeros(out.shape[3], out.dtype) if bias is None else bias
        if not _suits(v, out, shift) or shift.shape != out.shape[3:]:
            super().image_map_transposed(v, out, bias, first, scratch=scratch)
            return
        loops.from_points(v, first, _in_rows(out), shift, *b, *self._of_image)

    def kernel_map(self, weight: Array, out: Array, part: tuple[int, slice]) -> None:
        """See `Winograd.kernel_map`."""
        if not _suits(weight, out):
            super().kernel_map(weight, out, part)
            return
        _, g, _ = winograd.factors(self.outputs, self.taps, weight.dtype.str)
        points = out.reshape(self.points, 1, -1)
        loops.to_points(_in_rows(weight[None]), points, 0, *g, *self._of_kernel(part))

    def kernel_map_transposed(self, u: Array, out: Array, part: tuple[int, slice]) -> None:
        """See `Winograd.kernel_map_transposed`."""
        if not _suits(u, out):
            super().kernel_map_transposed(u, out, part)
            return
        _, g, _ = winograd.factors(self.outputs, self.taps, u.dtype.str, transposed=True)
        for _, numbers in self.kernel_part(out, part):
            numbers[...] = 0
        points = u.reshape(self.points, 1, -1)
        loops.from_points(points, 0, _in_rows(out[None]), _none(u), *g, *self._of_kernel(part))

    def result_map(
        self, m: Array, out: Array, bias: Array | None = None, first: int = 0, *,
        scratch: winograd.Scratch,
    ) -> None:  # fmt: skip
        """See `Winograd.result_map`."""
        a, _, _ = winograd.factors(self.outputs, self.taps, m.dtype.str)
        shift = numpy.zeros(out.shape[3], out.dtype) if bias is None else bias
        if not _suits(m, out, shift) or shift.shape != out.shape[3:]:
            super().result_map(m, out, bias, first, scratch=scratch)
            return
        loops.from_points(m, first, _in_rows(out), shift, *a, *self._of_result)

    def result_map_transposed(
        self, dy: Array, out: Array, first: int = 0, *, scratch: winograd.Scratch
    ) -> None:
        """See `Winograd.result_map_transposed`."""
        if not _suits(dy, out):
            super().result_map_transposed(dy, out, first, scratch=scratch)
            return
        a, _, _ = winograd.factors(self.outputs, self.taps, dy.dtype.str, transposed=True)
        loops.to_points(_in_rows(dy), out, first, *a, *self._of_result)

    # Stride, outputs of a tile, tiles, padding, numbers of a run, and which of them: of the image;
    # of the result; of the kernel, a single tile.

    @functools.cached_property
    def _of_image(self) -> tuple[Any, ...]:
        (sh, sw), (ph, pw), channels = self.window.stride, self.window.padding, self.image[2]
        run = sw * channels
        return (sh, sw), tuple(self.outputs), self.grid, (ph, pw * channels), run, (0, sh, 0, run)

    @functools.cached_property
    def _of_result(self) -> tuple[Any, ...]:
        run = self.result[2]
        return (1, 1), tuple(self.outputs), self.grid, (0, 0), run, (0, 1, 0, run)

    def _of_kernel(self, part: tuple[int, slice]) -> tuple[Any, ...]:
        (row, columns), channels = part, self.result[2]
        stride, run = tuple(self.window.stride), self.window.stride[1] * self.image[2] * channels
        of_part = row, row + 1, columns.start * channels, columns.stop * channels
        return stride, tuple(self.outputs), (1, 1), (0, 0), run, of_part


@functools.cache
def _empty(dtype: str) -> Array:
    return numpy.empty(0, dtype)


def _none(like: Array) -> Array:
    return _empty(like.dtype.str)


class CompiledBackend(CpuBackend):
    """NumPy's arrays and products, Numba's loops."""

    joins_bias: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        forks.held(global_compiler_lock)

    def describe(self) -> str:
        """Say what computes, in words."""
        return f"loops compiled by Numba {numba.__version__}, products by {numpy_with_blas()}"

    def _share_rows(
        self, rows: Array, passes: int, work: Callable[[slice], None], *, products: bool = False
    ) -> None:
        """As `CpuBackend._share_rows`, but in one piece: a loop fetches each number once, however
        many there are.
        """
        if rows.size < SHARE:
            work(slice(0, len(rows)))
        else:
            self._share(len(rows), len(rows), 2 * rows.size, work)

    def _outer(self, a: Array, b: Array) -> Array:
        """See `CpuBackend._outer`."""
        column, row = a.ravel(), b.ravel()
        if not _suits(column, row):
            return super()._outer(a, b)
        out = numpy.empty((column.size, row.size), a.dtype)
        self._share_rows(out, 1, lambda piece: loops.outer(column[piece], row, out[piece]))
        return out

    # ---------------------------------------------------------------- sums over samples and pixels

    def sum_rows(self, x: Array) -> Array:
        """See `Reference.sum_rows`."""
        rows = _rows(x)
        narrow = rows.shape[1] < NARROW and rows.size > FEW
        if narrow or not _suits(rows):
            return self.blas.alone(functools.partial(super().sum_rows, x))

        def of_piece(piece: slice) -> Array:
            total = numpy.zeros(rows.shape[1], rows.dtype)
            loops.add_rows(rows[piece], total)
            return total

        return self._sum(rows, 1, of_piece)

    def sum_products(self, a: Array, b: Array) -> Array:
        """See `Reference.sum_products`."""
        first, second = _rows(a), _rows(b)
        if first.shape[1] < NARROW or not _suits(first, second):
            return self.blas.alone(functools.partial(super().sum_products, a, b))

        def of_piece(piece: slice) -> Array:
            total = numpy.zeros(first.shape[1], first.dtype)
            loops.add_products(first[piece], second[piece], total)
            return total

        return self._sum(first, 1, of_piece)

    def _sums_about(self, rows: Array, near: Array) -> Array:
        """See `CpuBackend._sums_about`."""
        rows = numpy.ascontiguousarray(rows)
        if rows.shape[1] < NARROW or not _suits(rows, near):
            return self.blas.alone(functools.partial(super()._sums_about, rows, near))

        def of_piece(piece: slice) -> Array:
            sums = numpy.zeros((2, rows.shape[1]), rows.dtype)
            loops.add_moments(rows[piece], near, sums[0], sums[1])
            return sums

        return self._sum(rows, 1, of_piece)

    # ---------------------------------------------------------------- normalisation per feature

    def standardise(
        self, x: Array, mean: Array, inverse_s: Array, gamma: Array, beta: Array
    ) -> tuple[Array, Array]:
        """See `Reference.standardise`."""
        rows = _rows(x)
        if not _fits(rows, mean, inverse_s, gamma, beta):
            return super().standardise(x, mean, inverse_s, gamma, beta)
        x_hat, y = numpy.empty_like(rows), numpy.empty_like(rows)

        def work(piece: slice) -> None:
            loops.standardise(rows[piece], mean, inverse_s, gamma, beta, x_hat[piece], y[piece])

        self._share_rows(rows, 1, work)
        return x_hat.reshape(x.shape), y.reshape(x.shape)

    def standardise_grad(
        self, dy: Array, x_hat: Array, scale: Array, mean_dy: Array, mean_dyx: Array
    ) -> Array:
        """See `Reference.standardise_grad`."""
        upstream, centred = _rows(dy), _rows(x_hat)
        if not (_suits(upstream, centred) and _fits(upstream, scale, mean_dy, mean_dyx)):
            return super().standardise_grad(dy, x_hat, scale, mean_dy, mean_dyx)
        dx = numpy.empty_like(upstream)

        def work(piece: slice) -> None:
            loops.standardise_grad(
                upstream[piece], centred[piece], scale, mean_dy, mean_dyx, dx[piece]
            )

        self._share_rows(dx, 1, work)
        return dx.reshape(dy.shape)

    # ---------------------------------------------------------------- normalisation per sample

    def standardise_samples(
        self, x: Array, gamma: Array | None, beta: Array | None, eps: float, *, each: int = 1
    ) -> tuple[Array, Array, Array]:
        """See `Reference.standardise_samples`."""
        scale, shift = _for_each(x, gamma), _for_each(x, beta)
        if x.shape[2] % each or not _suits(x, scale, shift) or scale.size != shift.size:
            return super().standardise_samples(x, gamma, beta, eps, each=each)
        n, _, columns = x.shape
        x_hat, inverse_s = numpy.empty_like(x), numpy.empty((n, 1, columns), x.dtype)
        y = numpy.empty_like(x) if scale.size else x_hat
        source, standard, result = map(_by_sample, (x, x_hat, y))

        def work(piece: slice) -> None:
            loops.standardise_samples(
                source[piece], scale, shift, x.dtype.type(eps), standard[piece], result[piece],
                inverse_s[piece, 0], each,
            )  # fmt: skip

        self._share_samples(x, 2, work)
        return x_hat, y, inverse_s

    def standardise_samples_grad(
        self, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array | None, *, each: int = 1
    ) -> Array:
        """See `Reference.standardise_samples_grad`."""
        scale = _for_each(dy, gamma)
        fits = _suits(dy, x_hat, inverse_s, scale) and _alike(dy, inverse_s, each, dy, x_hat)
        if not fits:
            return super().standardise_samples_grad(dy, x_hat, inverse_s, gamma, each=each)
        dx = numpy.empty_like(dy)
        upstream, standard, out = map(_by_sample, (dy, x_hat, dx))

        def work(piece: slice) -> None:
            loops.standardise_samples_grad(
                upstream[piece], standard[piece], inverse_s[piece, 0], scale, out[piece], each
            )

        self._share_samples(dy, 2, work)
        return dx

    def standardise_samples_grad_twice(
        self, v: Array, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array | None, *,
        each: int = 1,
    ) -> Array:  # fmt: skip
        """See `Reference.standardise_samples_grad_twice`."""
        scale = _for_each(v, gamma)
        fits = _suits(v, dy, x_hat, inverse_s, scale) and _alike(v, inverse_s, each, dy, x_hat)
        if not fits:
            return super().standardise_samples_grad_twice(v, dy, x_hat, inverse_s, gamma, each=each)
        dx = numpy.empty_like(v)
        tangent, upstream, standard, out = map(_by_sample, (v, dy, x_hat, dx))

        def work(piece: slice) -> None:
            loops.standardise_samples_grad_twice(
                tangent[piece], upstream[piece], standard[piece], inverse_s[piece, 0], scale,
                out[piece], each,
            )  # fmt: skip

        self._share_samples(v, 3, work)
        return dx

    # ---------------------------------------------------------------- windows

    def conv_taps(self, x: Array, weight: Array, stride: Pair, dilation: Pair) -> Array:
        """See `Reference.conv_taps`."""
        if not _depthwise(x, weight):
            return super().conv_taps(x, weight, stride, dilation)
        size = output_size(x.shape, weight.shape[:2], stride, dilation)
        y = numpy.empty((len(x), *size, x.shape[3]), x.dtype)

        def work(piece: slice) -> None:
            loops.depthwise(x[piece], weight[:, :, 0], y[piece], tuple(stride), tuple(dilation))

        self._share_samples(y, weight.size // x.shape[3], work)
        return y

    def conv_taps_weight_grad(
        self, x: Array, dy: Array, kernel: Pair, stride: Pair, dilation: Pair, groups: int
    ) -> Array:
        """See `Reference.conv_taps_weight_grad`."""
        if not (groups == x.shape[3] == dy.shape[3] and _suits(x, dy)):
            return super().conv_taps_weight_grad(x, dy, kernel, stride, dilation, groups)

        def of_piece(piece: slice) -> Array:
            dw = numpy.zeros((*kernel, groups), x.dtype)
            loops.depthwise_weight_grad(x[piece], dy[piece], dw, tuple(stride), tuple(dilation))
            return dw

        return self._sum(x, math.prod(kernel), of_piece)[:, :, None]

    def conv_taps_input_grad(
        self, dy: Array, weight: Array, shape: Sequence[int], stride: Pair, dilation: Pair
    ) -> Array:
        """See `Reference.conv_taps_input_grad`."""
        if not (shape[3] == dy.shape[3] and _depthwise(dy, weight)):
            return super().conv_taps_input_grad(dy, weight, shape, stride, dilation)
        dx = numpy.zeros(tuple(shape), dy.dtype)

        def work(piece: slice) -> None:
            loops.depthwise_input_grad(
                dy[piece], weight[:, :, 0], dx[piece], tuple(stride), tuple(dilation)
            )

        self._share_samples(dy, weight.size // shape[3], work)
        return dx

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """See `Reference.max_pool`."""
        if not _suits(x):
            return super().max_pool(x, window)
        shape = (len(x), *window.output_size(*x.shape[1:3]), x.shape[3])
        y, largest = numpy.empty(shape, x.dtype), numpy.empty(shape, "int32")

        def work(piece: slice) -> None:
            loops.max_pool(x[piece], y[piece], largest[piece], *map(tuple, window))

        self._share_samples(x, 2, work)
        return y, largest

    def max_pool_grad(
        self, dy: Array, largest: Array, shape: Sequence[int], window: Window
    ) -> Array:
        """See `Reference.max_pool_grad`."""
        apart = all(k <= s for k, s in zip(window.kernel, window.stride, strict=True))
        if not (apart and _suits(dy) and largest.flags.c_contiguous):
            return super().max_pool_grad(dy, largest, shape, window)
        dx = numpy.zeros(tuple(shape), dy.dtype)

        def work(piece: slice) -> None:
            loops.max_pool_grad(dy[piece], largest[piece], dx[piece], *map(tuple, window))

        self._share_samples(dy, 4, work)
        return dx

    # ---------------------------------------------------------------- elementwise

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """See `Reference.leaky_relu`."""
        source = _flat(x)
        if not (slope and _suits(source)):
            return super().leaky_relu(x, slope)
        factor, y = x.dtype.type(slope), numpy.empty_like(source)
        self._share_rows(source, 1, lambda piece: loops.leaky_relu(source[piece], y[piece], factor))
        return y.reshape(x.shape)

    def leaky_relu_grad(self, dy: Array, y: Array, slope: float) -> Array:
        """See `Reference.leaky_relu_grad`."""
        upstream, output = _flat(dy), _flat(y)
        if not _suits(upstream, output):
            return super().leaky_relu_grad(dy, y, slope)
        factor, dx = dy.dtype.type(slope), numpy.empty_like(upstream)

        def work(piece: slice) -> None:
            if slope:
                loops.leaky_relu_grad(upstream[piece], output[piece], dx[piece], factor)
            else:
                loops.relu_grad(upstream[piece], output[piece], dx[piece])

        self._share_rows(dx, 1, work)
        return dx.reshape(dy.shape)

    def bias_leaky_relu(self, x: Array, bias: Array, slope: float) -> Array:
        """See `Reference.bias_leaky_relu`; in the memory of x."""
        rows, factor = _rows(x), x.dtype.type(slope)
        if not (x.flags.c_contiguous and x.flags.writeable and _fits(rows, bias)):
            return super().bias_leaky_relu(x, bias, slope)

        def work(piece: slice) -> None:
            if slope:
                loops.bias_leaky_relu(rows[piece], bias, factor)
            else:
                loops.bias_relu(rows[piece], bias)

        self._share_rows(rows, 1, work)
        return x

    def masked(self, x: Array, mask: Array) -> Array:
        """See `Reference.masked`."""
        first, second = _flat(x), _flat(mask)
        if not (_suits(first, second) and x.shape == mask.shape):
            return super().masked(x, mask)
        y = numpy.empty_like(first)
        self._share_rows(y, 1, lambda piece: loops.masked(first[piece], second[piece], y[piece]))
        return y.reshape(x.shape)

    def _scale_where(self, bits: Array, threshold: Any, scale: Any, out: Array) -> None:
        """See `CpuBackend._scale_where`."""
        if _suits(out):
            loops.scale_where(bits, threshold, scale, out)
        else:
            super()._scale_where(bits, threshold, scale, out)

    # ---------------------------------------------------------------- the loss on logits

    def bce_with_logits(self, logits: Array, target: Any) -> tuple[Array, Array]:
        """See `Reference.bce_with_logits`; for many logits NumPy's exp, which does several at once,
        is sooner.
        """
        goals = numpy.asarray(target)
        goals = goals if goals.ndim else goals.astype(logits.dtype)
        if (
            logits.size > FEW
            or (goals.ndim and goals.shape != logits.shape)
            or not _suits(logits, goals)
        ):
            return super().bce_with_logits(logits, target)
        dlogits = numpy.empty_like(logits)
        loss = loops.bce_with_logits(logits.reshape(-1), goals.reshape(-1), dlogits.reshape(-1))
        return logits.dtype.type(loss), dlogits

    # ---------------------------------------------------------------- the optimizer's update

    def adam(
        self,
        theta: Array,
        g: Array,
        m: Array,
        v: Array,
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        t: int,
    ) -> None:
        """See `Reference.adam`, and `CpuBackend.adam` for the bias corrections."""
        if not _suits(theta, g, m, v):
            super().adam(theta, g, m, v, lr=lr, betas=betas, eps=eps, t=t)
            return
        beta1, beta2 = betas
        correction = math.sqrt(1 - beta2**t)
        step, floor = lr * correction / (1 - beta1**t), eps * correction
        self._share_rows(
            theta,
            1,
            lambda part: loops.adam(
                theta[part], g[part], m[part], v[part], beta1, beta2, step, floor
            ),
        )

    # ---------------------------------------------------------------- convolution

    def _plan(
        self, window: Window, images: tuple[int, ...], channels: int
    ) -> winograd.Winograd | None:
        """See `CpuBackend._plan`."""
        return winograd.plan(window, images, channels, CompiledWinograd, threads=self.team.size)

    def _rows_at_a_time(self, form: winograd.Winograd) -> int:
        """See `CpuBackend._rows_at_a_time`; half as many where the kernel is so small that all of
        them stay in the cache.
        """
        return ROWS // 2 if is_small(form) else ROWS

    def _kernel(self, form: winograd.Winograd, weight: Array, dtype: Any) -> Array:
        """What the kernel becomes, anew each time: that takes no longer than to see whether it has
        changed.
        """
        if weight.dtype != dtype:
            return super()._kernel(form, weight, dtype)
        weight = numpy.ascontiguousarray(weight)
        u = numpy.empty((form.points, form.block, weight.shape[3]), dtype)
        parts = form.parts(self.team.size)

        def work(pieces: slice) -> None:
            for part in parts[pieces]:
                form.kernel_map(weight, u, part)

        self._share(len(parts), 1, 2 * u.size, work)
        return u

    def _unfold(self, x: Array, window: Window) -> Array:
        """See `CpuBackend._unfold`."""
        if not _suits(x):
            return super()._unfold(x, window)
        (kh, kw), stride, padding = window
        n, height, width, channels = x.shape
        ho, wo = window.output_size(height, width)
        patches = numpy.empty((n, ho, wo, kh, kw * channels), x.dtype)
        loops.unfold(x.reshape(n, height, -1), patches, tuple(stride), tuple(padding), width)
        return patches.reshape(n * ho * wo, -1)

    def _fold_product(self, dy: Array, weight: Array, window: Window, out: Array) -> None:
        """See `CpuBackend._fold_product`."""
        if not _suits(dy, weight, out):
            super()._fold_product(dy, weight, window, out)
            return
        patches = numpy.empty((*dy.shape[:3], *weight.shape[:3]), out.dtype)
        rows, matrix = dy.reshape(-1, dy.shape[3]), weight.reshape(-1, weight.shape[3])
        self._multiply(rows, matrix.T, patches.reshape(len(rows), -1))
        out[...] = 0
        loops.fold(patches, out, tuple(window.stride), tuple(window.padding))


def _depthwise(x: Array, weight: Array) -> bool:
    """Whether each channel of x has one kernel, which sees no other, and both suit."""
    return weight.shape[2] == 1 and weight.shape[3] == x.shape[3] and _suits(x, weight)


def _flat(x: Array) -> Array:
    return numpy.ascontiguousarray(x).reshape(-1)


def _in_rows(images: Array) -> Array:
    """(N, H, ...) -> (N, H, the numbers of a row)."""
    return images.reshape(*images.shape[:2], math.prod(images.shape[2:]))


def _rows(x: Array) -> Array:
    return numpy.ascontiguousarray(x).reshape(-1, x.shape[-1])


def _for_each(x: Array, vector: Array | None) -> Array:
    """A vector, (m, 1) or (1, c), with a number for each of a sample's (m, c); for None an empty
    one.
    """
    if vector is None:
        return _none(x)
    return numpy.ascontiguousarray(numpy.broadcast_to(vector, x.shape[1:])).reshape(-1)


def _by_sample(x: Array) -> Array:
    """(N, m, c) -> (N, m c)."""
    return x.reshape(len(x), x.shape[1] * x.shape[2])


def _alike(x: Array, inverse_s: Array, each: int, *others: Array) -> bool:
    """Whether all have the shape (N, m, c) of x, inverse_s is (N, 1, c), and sets of `each` columns
    leave none over.
    """
    n, _, columns = x.shape
    fits = inverse_s.shape == (n, 1, columns) and columns % each == 0
    return fits and all(a.shape == x.shape for a in others)


def _suits(*arrays: Array) -> bool:
    """Whether all are contiguous and of the same single or double precision."""
    kind = arrays[0].dtype
    if kind.char not in "fd" or not kind.isnative:
        return False
    for x in arrays:  # noqa: SIM110 - as a generator it takes three times as long
        if x.dtype != kind or not x.flags.c_contiguous:
            return False
    return True


def _fits(rows: Array, *vectors: Array) -> bool:
    """Whether all suit, and each vector has a number for each feature; a loop wouldn't notice where
    one ends.
    """
    shape = rows.shape[1:]
    return _suits(rows, *vectors) and all(x.shape == shape for x in vectors)

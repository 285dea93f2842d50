"""The primitives on a CPU: the same numbers as `Reference`, sooner.

Four things make the difference. Work is shared among threads. Elementwise chains run through a
piece that stays in a core's cache before the next piece is fetched. Convolutions with many channels
take Winograd's form (`minigan.backend.cpu.winograd`), the others go through patches, a few images
at a time. And memory that was freed is used again (`minigan.backend.cpu.malloc`).
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from minigan.backend.cpu import winograd
from minigan.backend.cpu.blas import Blas, numpy_with_blas
from minigan.backend.cpu.cores import checked, cores, wanted
from minigan.backend.cpu.in_pieces import InPieces
from minigan.backend.cpu.malloc import Malloc
from minigan.backend.cpu.side_by_side import SideBySide
from minigan.backend.cpu.team import Team
from minigan.backend.window import Window

Array = Any  # of NumPy, whose functions don't take the protocol minigan.backend.Array

CACHE = 2**17
"""Numbers of an array that are worked on at a time: a few such arrays stay in a core's cache, and
with two threads shorter pieces cost more than they spare."""

SHARE = 2**18
"""Passes over one number that are worth a thread: below, handing the work over takes longer than
doing it.
"""

SMALL = 2**18
"""Multiply-adds below which the linear-algebra library uses one thread anyway."""

PRODUCT = 2**25
"""Multiply-adds from which on a matrix product is shared among the team."""

ROWS = 256
"""Rows of a matrix product from which on it becomes no faster."""

SMALL_FACTOR = 2**19
"""Numbers of a matrix that each thread may fetch for itself."""

FEW_ROWS = 32
"""Rows with which a product with a small matrix is fast enough."""


class CpuBackend(SideBySide, InPieces):
    """NumPy, with threads and faster forms of the convolutions."""

    def __init__(self) -> None:
        super().__init__(numpy, "cpu")
        self.malloc = Malloc()
        self.blas = Blas()
        self._count: int | None = None
        self._blas_before: int | None = None
        self._team: Team | None = None
        self._kernels = winograd.KernelMaps()
        self._scratch = winograd.Scratch()

    def describe(self) -> str:
        """Say what computes, in words."""
        return numpy_with_blas()

    # ---------------------------------------------------------------- threads

    @property
    def team(self) -> Team:
        """The threads; they are made, and glibc is tuned, when first needed."""
        team = self._team
        if team is None:
            self.malloc.keep()
            count = self.threads
            if self.blas.get() > count:
                self._blas_before = self.blas.get()
                self.blas.set(count)
            team = self._team = Team(count if self.blas.known else 1, self.blas)
        return team

    @property
    def threads(self) -> int:
        """See `Reference.threads`."""
        return wanted() if self._count is None else self._count

    def set_threads(self, count: int | None) -> None:
        """See `minigan.set_threads`."""
        self._count = None if count is None else min(checked(count), cores())
        team, self._team = self._team, None
        if team is not None:
            team.close()
        if self._blas_before is not None:
            self.blas.set(self._blas_before)
            self._blas_before = None

    def _share(self, length: int, each: int, cost: float, work: Callable[[slice], None]) -> None:
        """Call `work` for slices of ``range(length)`` of at most `each`, in equal parts on all
        threads.

        Parameters
        ----------
        length, each
            How much there is, and how much of it to do at a time.
        cost
            What all of it takes, in passes over one number. Little work is done by the caller
            alone.
        work
            Gets a slice.
        """
        count = max(1, int(min(self.team.size, length, cost / SHARE)))

        def part(start: int, stop: int) -> None:
            for piece in _slices(start, stop, each):
                work(piece)

        edges = [length * k // count for k in range(count + 1)]
        self.team.run([functools.partial(part, *edge) for edge in itertools.pairwise(edges)])

    def _share_rows(
        self, rows: Array, passes: int, work: Callable[[slice], None], *, products: bool = False
    ) -> None:
        """Call `work`, which makes that many passes over its rows, for slices of them that fit into
        the cache; `products`: it calls the linear-algebra library.
        """
        if rows.size <= CACHE and self.team:
            whole = functools.partial(work, slice(0, len(rows)))
            if products:
                self.blas.alone(whole)
            else:
                whole()
        else:
            self._share(len(rows), max(1, CACHE * len(rows) // rows.size), passes * rows.size, work)

    # ---------------------------------------------------------------- products

    def _multiply(self, a: Array, b: Array, out: Array) -> None:
        """``out = a @ b`` for matrices or stacks of them, by the thread that asks."""
        numpy.matmul(a, b, out=out)

    def _outer(self, a: Array, b: Array) -> Array:
        """``a @ b`` of a column and a row."""
        return a * b

    def matmul(self, a: Array, b: Array) -> Array:
        """See `Reference.matmul`; a large product is cut along the longer side of the result.

        None is left to the threads of the library itself: they wait by spinning, which takes the
        cores from the team's, and from whatever else runs.
        """
        if a.ndim != 2 or b.ndim != 2:
            # Beside a vector's end OpenBLAS computes with whatever lies there, and raises flags.
            with numpy.errstate(invalid="ignore"):
                return self.blas.alone(lambda: a @ b)
        (m, inner), n = a.shape, b.shape[1]
        size = m * inner * n
        if inner == 1:  # each entry is a single product, and the library is slow at those
            return self._outer(a, b)
        if min(m, inner, n) > 1 and size < SMALL:
            return a @ b
        if size < PRODUCT:
            return self.blas.alone(lambda: a @ b)
        c = numpy.empty((m, n), numpy.result_type(a, b))
        each = -(-max(m, n) // self.team.size)

        def work(part: slice) -> None:
            if m >= n:
                self._multiply(a[part], b, c[part])
            else:
                self._multiply(a, b[:, part], c[:, part])

        self._share(max(m, n), each, math.inf, work)
        return c

    # ---------------------------------------------------------------- sums over samples and pixels

    def sum_rows(self, x: Array) -> Array:
        """See `Reference.sum_rows`; a product with a row of ones, which adds in vector
        registers.
        """
        rows = _rows(x)
        return self._sum(rows, 1, lambda piece: _column_sums(rows[piece]))

    def sum_products(self, a: Array, b: Array) -> Array:
        """See `Reference.sum_products`."""
        a, b = _rows(a), _rows(b)
        return self._sum(a, 3, lambda piece: _column_sums(a[piece] * b[piece]))

    def moments(self, x: Array) -> tuple[Array, Array]:
        """See `Reference.moments`; in one pass over x.

        With any constant c, ``mean = c + E[x - c]`` and ``var = E[(x - c)²] - E[x - c]²``. Little
        cancels in the difference if c is near the mean: here it is the mean of the first of k
        pieces of equal size, so (c - mean)² can't be more than k var, and usually is a small share
        of it.
        """
        rows = _rows(x)
        if not rows.size:
            return super().moments(x)
        first_rows = rows[: max(1, CACHE // rows.shape[1])]
        near = self.sum_rows(first_rows) / x.dtype.type(len(first_rows))

        first, second = self._sums_about(rows, near) / x.dtype.type(len(rows))
        return near + first, numpy.maximum(second - first * first, 0)

    def _sums_about(self, rows: Array, near: Array) -> Array:
        """The sums over all rows of ``x - near`` and of its square, (2, C)."""

        def of_piece(piece: slice) -> Array:
            centred = rows[piece] - near
            sums = numpy.empty((2, rows.shape[1]), rows.dtype)
            sums[0] = _column_sums(centred)
            numpy.multiply(centred, centred, out=centred)
            sums[1] = _column_sums(centred)
            return sums

        return self._sum(rows, 4, of_piece)

    def _sum(self, rows: Array, passes: int, of_piece: Callable[[slice], Array]) -> Array:
        """Add `of_piece` over slices of `rows` that fit into the cache, always in the same
        order.
        """
        sums: dict[int, Array] = {}

        def work(piece: slice) -> None:
            sums[piece.start] = of_piece(piece)

        self._share_rows(rows, passes, work, products=True)
        return functools.reduce(numpy.add, (sums[start] for start in sorted(sums)))

    # ---------------------------------------------------------------- normalisation per feature

    def standardise(
        self, x: Array, mean: Array, inverse_s: Array, gamma: Array, beta: Array
    ) -> tuple[Array, Array]:
        """See `Reference.standardise`."""
        rows = _rows(x)
        x_hat, y = numpy.empty_like(rows), numpy.empty_like(rows)

        def work(piece: slice) -> None:
            numpy.subtract(rows[piece], mean, out=x_hat[piece])
            numpy.multiply(x_hat[piece], inverse_s, out=x_hat[piece])
            numpy.multiply(x_hat[piece], gamma, out=y[piece])
            numpy.add(y[piece], beta, out=y[piece])

        self._share_rows(rows, 6, work)
        return x_hat.reshape(x.shape), y.reshape(x.shape)

    def standardise_grad(
        self, dy: Array, x_hat: Array, scale: Array, mean_dy: Array, mean_dyx: Array
    ) -> Array:
        """See `Reference.standardise_grad`."""
        upstream, centred = _rows(dy), _rows(x_hat)
        dx = numpy.empty_like(upstream)

        def work(piece: slice) -> None:
            d = dx[piece]
            numpy.multiply(centred[piece], mean_dyx, out=d)
            numpy.add(d, mean_dy, out=d)
            numpy.subtract(upstream[piece], d, out=d)
            numpy.multiply(d, scale, out=d)

        self._share_rows(dx, 6, work)
        return dx.reshape(dy.shape)

    # ---------------------------------------------------------------- normalisation per sample

    def standardise_samples(
        self, x: Array, gamma: Array | None, beta: Array | None, eps: float, *, each: int = 1
    ) -> tuple[Array, Array, Array]:
        """See `Reference.standardise_samples`; for a few samples at a time."""
        x_hat, inverse_s = numpy.empty_like(x), numpy.empty_like(x[:, :1])
        y: Array = x_hat if gamma is None else numpy.empty(x.shape, numpy.result_type(x, gamma))

        def work(piece: slice) -> None:
            some, c, inverse = x[piece], x_hat[piece], inverse_s[piece]
            numpy.subtract(some, _set_means(some, each), out=c)
            inverse[...] = 1 / numpy.sqrt(_set_means(c * c, each) + eps)
            numpy.multiply(c, inverse, out=c)
            if gamma is not None:
                numpy.multiply(c, gamma, out=y[piece])
                y[piece] += beta

        self._share_samples(x, 8, work)
        return x_hat, y, inverse_s

    def standardise_samples_grad(
        self, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array | None, *, each: int = 1
    ) -> Array:
        """See `Reference.standardise_samples_grad`."""
        dx = numpy.empty_like(dy)

        def work(piece: slice) -> None:
            d, standard = dx[piece], x_hat[piece]
            q = dy[piece] if gamma is None else gamma * dy[piece]
            along = q * standard
            numpy.multiply(standard, _set_means(along, each), out=along)
            numpy.subtract(q, _set_means(q, each), out=d)
            numpy.subtract(d, along, out=d)
            numpy.multiply(d, inverse_s[piece], out=d)

        self._share_samples(dy, 8, work)
        return dx

    def standardise_samples_grad_twice(
        self, v: Array, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array | None, *,
        each: int = 1,
    ) -> Array:  # fmt: skip
        """See `Reference.standardise_samples_grad_twice`."""
        dx, simple = numpy.empty_like(v), super().standardise_samples_grad_twice

        def work(piece: slice) -> None:
            dx[piece] = simple(
                v[piece], dy[piece], x_hat[piece], inverse_s[piece], gamma, each=each
            )

        self._share_samples(v, 16, work)
        return dx

    def _share_samples(self, x: Array, passes: int, work: Callable[[slice], None]) -> None:
        """As `_share_rows`, for samples (N, ...): a few of them at a time."""
        if x.size:
            self._share(len(x), max(1, CACHE * len(x) // x.size), passes * x.size, work)

    # ---------------------------------------------------------------- elementwise

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """See `Reference.leaky_relu`; for slope <= 1 the larger of x and slope x."""
        if slope > 1:
            return super().leaky_relu(x, slope)
        source, factor = x.reshape(-1), x.dtype.type(slope)
        y = numpy.empty_like(source)

        def work(piece: slice) -> None:
            if not slope:
                numpy.maximum(source[piece], factor, out=y[piece])
                return
            numpy.multiply(source[piece], factor, out=y[piece])
            numpy.maximum(source[piece], y[piece], out=y[piece])

        self._share_rows(source, 2, work)
        return y.reshape(x.shape)

    def leaky_relu_grad(self, dy: Array, y: Array, slope: float) -> Array:
        """See `Reference.leaky_relu_grad`; dy times the larger of slope and the mask, which is 0 or
        1. With slope 0, the mask chooses instead: 0 times an infinite dy isn't 0.
        """
        if slope > 1:
            return super().leaky_relu_grad(dy, y, slope)
        upstream, output, factor = dy.reshape(-1), y.reshape(-1), dy.dtype.type(slope)
        dx = numpy.empty_like(upstream)

        def work(piece: slice) -> None:
            d = dx[piece]
            if not slope:
                _keep(upstream[piece], numpy.greater(output[piece], 0), d)
                return
            numpy.copyto(d, numpy.greater(output[piece], 0))
            numpy.maximum(d, factor, out=d)
            numpy.multiply(d, upstream[piece], out=d)

        self._share_rows(dx, 4, work)
        return dx.reshape(dy.shape)

    def masked(self, x: Array, mask: Array) -> Array:
        """See `Reference.masked`."""
        if x.shape != mask.shape:
            return super().masked(x, mask)
        y = numpy.empty(x.size, numpy.result_type(x, mask))
        first, second = x.astype(y.dtype, copy=False).reshape(-1), mask.reshape(-1)

        def work(piece: slice) -> None:
            _keep(first[piece], numpy.greater(second[piece], 0), y[piece])
            numpy.multiply(y[piece], second[piece], out=y[piece])

        self._share_rows(y, 4, work)
        return y.reshape(x.shape)

    def zero(self, x: Array) -> None:
        """See `Reference.zero`."""
        if not x.flags.c_contiguous:
            super().zero(x)
            return
        flat = x.reshape(-1)
        self._share_rows(flat, 1, lambda piece: flat[piece].fill(0))

    def dropout_mask(
        self, shape: Sequence[int], p: float, dtype: Any, rng: numpy.random.Generator
    ) -> Array:
        """See `Reference.dropout_mask`; the same law, from fewer random bits.

        Sixteen bits decide on an entry, so p is rounded to a multiple of 2⁻¹⁶; the scale is that of
        the rounded p.
        """
        size = math.prod(shape)
        # Of the bit generator itself: not all of them fill the 64 bits of `random_raw`.
        raw = numpy.random.Generator(rng.bit_generator)
        bits = raw.integers(0, 2**64, -(-size // 4), "uint64").view("uint16")[:size]
        threshold = numpy.uint16(min(round(p * 2**16), 2**16 - 1))
        mask = numpy.empty(size, dtype)
        scale = mask.dtype.type(2**16 / (2**16 - int(threshold)))

        self._share_rows(
            mask, 2, lambda piece: self._scale_where(bits[piece], threshold, scale, mask[piece])
        )
        return mask.reshape(tuple(shape))

    def _scale_where(self, bits: Array, threshold: Any, scale: Any, out: Array) -> None:
        """``out = scale`` where bits reach the threshold, else 0."""
        numpy.copyto(out, numpy.greater_equal(bits, threshold))
        numpy.multiply(out, scale, out=out)

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
        """See `Reference.adam`; both bias corrections are moved into the step size and eps."""
        beta1, beta2 = betas
        correction = math.sqrt(1 - beta2**t)
        step, floor = lr * correction / (1 - beta1**t), eps * correction

        def work(piece: slice) -> None:
            a = numpy.multiply(g[piece], 1 - beta1)
            numpy.multiply(m[piece], beta1, out=m[piece])
            numpy.add(m[piece], a, out=m[piece])
            numpy.multiply(g[piece], g[piece], out=a)
            numpy.multiply(a, 1 - beta2, out=a)
            numpy.multiply(v[piece], beta2, out=v[piece])
            numpy.add(v[piece], a, out=v[piece])
            numpy.sqrt(v[piece], out=a)
            numpy.add(a, floor, out=a)
            numpy.divide(m[piece], a, out=a)
            numpy.multiply(a, step, out=a)
            numpy.subtract(theta[piece], a, out=theta[piece])

        self._share_rows(theta, 12, work)

    # ---------------------------------------------------------------- convolution

    def _plan(
        self, window: Window, images: tuple[int, ...], channels: int
    ) -> winograd.Winograd | None:
        """See `winograd.plan`."""
        return winograd.plan(window, images, channels, threads=self.team.size)

    def conv(
        self, x: Array, weight: Array, window: Window, bias: Array | None = None
    ) -> tuple[Array, Any]:
        """See `Reference.conv`; keeps x, and beside it what Winograd's form made of it."""
        x, n = numpy.ascontiguousarray(x), len(x)
        y = numpy.empty(
            (n, *window.output_size(*x.shape[1:3]), weight.shape[3]), numpy.result_type(x, weight)
        )
        form = self._plan(window, x.shape, weight.shape[3])
        if form is None:
            matrix = _matrix(weight)
            width = math.prod(y.shape[1:3]) * len(matrix)

            def by_patches(images: slice) -> None:
                out = _rows(y[images])
                self._multiply(self._patches(x[images], window), matrix, out)
                if bias is not None:
                    numpy.add(out, bias, out=out)

            self._share(n, _at_a_time(width), 4 * n * width, by_patches)
        else:
            into = functools.partial(form.image_map, scratch=self._scratch)
            out_of = functools.partial(form.result_map, scratch=self._scratch)
            u = self._kernel(form, weight, y.dtype)
            return y, (x, self._by_points(form, into, x, u, out_of, y, bias))
        return y, (x, None)

    def conv_keep(self, x: Array, window: Window) -> Any:
        """See `Reference.conv_keep`."""
        return numpy.ascontiguousarray(x), None

    def conv_weight_grad(self, kept: Any, dy: Array, window: Window) -> Array:
        """See `Reference.conv_weight_grad`."""
        (x, made), dy, n = kept, numpy.ascontiguousarray(dy), len(dy)
        dw = numpy.empty((*window.kernel, x.shape[3], dy.shape[3]), numpy.result_type(x, dy))
        form = self._plan(window, x.shape, dy.shape[3])
        if form is None:
            dw[...] = self._weight_grad_by_patches(x, dy, window).reshape(dw.shape)
            return dw
        if self._has_images_for_all(form, n, 2):
            self._weight_grad_by_images(form, x, dy, dw)
        else:
            self._weight_grad_by_parts(form, x, made, dy, dw)
        return dw

    def _rows_at_a_time(self, form: winograd.Winograd) -> int:
        """How many tiles to do at a time: enough for fast products."""
        return ROWS

    def _has_images_for_all(self, form: winograd.Winograd, n: int, times: int) -> bool:
        """Whether the images of each thread give its products enough rows, so many times over.

        A few are enough where the kernel is so small that each thread may fetch all of it: then
        work is handed over once instead of once for each map and product.
        """
        rows = FEW_ROWS if is_small(form) else times * ROWS
        return n * form.tiles >= rows * self.team.size

    def _weight_grad_by_parts(
        self, form: winograd.Winograd, x: Array, made: Array | None, dy: Array, dw: Array
    ) -> None:
        """The gradient of a kernel to `dw`: all images go to points, then each thread does some
        channels.
        """
        n = len(x)
        v = self._room(form, n, form.block, dw) if made is None else made
        m = self._room(form, n, dy.shape[3], dw)

        def transform(images: slice) -> None:
            first = images.start * form.tiles
            if made is None:
                form.image_map(x[images], v, first, scratch=self._scratch)
            form.result_map_transposed(dy[images], m, first, scratch=self._scratch)

        def multiply(pieces: slice) -> None:
            for row, columns in parts[pieces]:
                part = form.channels(v, 2)[:, :, row, columns]
                u = numpy.empty((form.points, part.shape[2], m.shape[2]), dw.dtype)
                self._multiply(part.transpose(0, 2, 1), m, u)
                form.kernel_map_transposed(u, dw, (row, columns))

        parts = form.parts(self.team.size)
        self._share(n, form.at_a_time, math.inf, transform)
        self._share(len(parts), 1, math.inf, multiply)

    def _weight_grad_by_images(
        self, form: winograd.Winograd, x: Array, dy: Array, dw: Array
    ) -> None:
        """The gradient of a kernel to `dw`: each thread adds up U over its images, a few at a time,
        whose points it need not keep.
        """
        n, each = len(x), -(-self._rows_at_a_time(form) // form.tiles)
        sums: dict[int, Array] = {}

        def work(images: slice) -> None:
            total = numpy.zeros((form.points, form.block, dy.shape[3]), dw.dtype)
            product = numpy.empty_like(total)
            for some in _slices(images.start, images.stop, each):
                count = some.stop - some.start
                v, m = (self._room(form, count, width, dw) for width in (form.block, dy.shape[3]))
                for few in _slices(0, count, form.at_a_time):
                    first = few.start * form.tiles
                    form.image_map(x[some][few], v, first, scratch=self._scratch)
                    form.result_map_transposed(dy[some][few], m, first, scratch=self._scratch)
                self._multiply(v.transpose(0, 2, 1), m, product)
                numpy.add(total, product, out=total)
            sums[images.start] = total

        def finish(pieces: slice) -> None:
            for part in parts[pieces]:
                row, columns = part
                some = [form.channels(sums[k], 1)[:, row, columns] for k in sorted(sums)]
                u = numpy.ascontiguousarray(functools.reduce(numpy.add, some))
                form.kernel_map_transposed(u, dw, part)

        parts = form.parts(self.team.size)
        self._share(n, n, math.inf, work)
        self._share(len(parts), 1, 2 * form.points * form.block * dy.shape[3], finish)

    def _room(self, form: winograd.Winograd, images: int, width: int, like: Array) -> Array:
        return numpy.empty((form.points, images * form.tiles, width), like.dtype)

    def conv_input_grad(
        self,
        dy: Array,
        weight: Array,
        shape: Sequence[int],
        window: Window,
        bias: Array | None = None,
    ) -> Array:
        """See `Reference.conv_input_grad`."""
        dy, n = numpy.ascontiguousarray(dy), len(dy)
        dx = numpy.empty(shape, numpy.result_type(dy, weight))
        form = self._plan(window, tuple(shape), weight.shape[3])
        if form is None:
            width = math.prod(dy.shape[1:3]) * math.prod(weight.shape[:3])

            def by_patches(images: slice) -> None:
                if window.is_a_pixel:
                    self._multiply(_rows(dy[images]), _matrix(weight).T, _rows(dx[images]))
                else:
                    self._fold_product(dy[images], weight, window, dx[images])
                if bias is not None:
                    numpy.add(dx[images], bias, out=dx[images])

            self._share(n, _at_a_time(width), 8 * n * width, by_patches)
        else:
            u = self._kernel(form, weight, dx.dtype).transpose(0, 2, 1)
            if u.size <= SMALL_FACTOR:  # small products are slow with a transposed factor
                u = numpy.ascontiguousarray(u)
            into = functools.partial(form.result_map_transposed, scratch=self._scratch)
            out_of = functools.partial(form.image_map_transposed, scratch=self._scratch)
            self._by_points(form, into, dy, u, out_of, dx, bias)
        return dx

    def _by_points(
        self,
        form: winograd.Winograd,
        into: Callable[..., None],
        x: Array,
        factor: Array,
        out_of: Callable[..., None],
        out: Array,
        bias: Array | None,
    ) -> Array | None:
        """Map images x to points, multiply there by `factor` (r², i, o), map back to images `out`,
        and add the bias.

        Returns what the images were mapped to, (r², tiles, i), unless that was done a few at a
        time.
        """
        n, (_, inner, outer) = len(x), factor.shape

        def there(images: slice, a: Array, start: int = 0) -> None:
            into(x[images], a, (images.start - start) * form.tiles)

        def back(images: slice, b: Array, start: int = 0) -> None:
            out_of(b, out[images], bias, (images.start - start) * form.tiles)

        if not self._has_images_for_all(form, n, 1):
            # Few rows per thread make slow products: so for these the points are shared instead of
            # the images.
            a, b = self._room(form, n, inner, out), self._room(form, n, outer, out)
            self._share(n, form.at_a_time, a.size * 8, lambda images: there(images, a))
            self._multiply_by_points(a, factor, b)
            self._share(n, form.at_a_time, b.size * 8, lambda images: back(images, b))
            return a

        def all_three(images: slice) -> None:
            count = images.stop - images.start
            a, b = self._room(form, count, inner, out), self._room(form, count, outer, out)
            for some in _slices(images.start, images.stop, form.at_a_time):
                there(some, a, images.start)
            self._multiply(a, factor, b)
            for some in _slices(images.start, images.stop, form.at_a_time):
                back(some, b, images.start)

        self._share(n, -(-self._rows_at_a_time(form) // form.tiles), math.inf, all_three)
        return None

    def _multiply_by_points(self, a: Array, factor: Array, out: Array) -> None:
        """``out = a @ factor`` for stacks of matrices; of what is left over, each thread does some
        columns.
        """
        size, columns = self.team.size, factor.shape[2]
        each = len(factor) // size

        def work(members: slice) -> None:
            k = members.start
            own = slice(k * each, (k + 1) * each)
            self._multiply(a[own], factor[own], out[own])
            rest, some = (
                slice(size * each, None),
                slice(columns * k // size, columns * (k + 1) // size),
            )
            self._multiply(a[rest], factor[rest, :, some], out[rest, :, some])

        self._share(size, 1, math.inf, work)

    def _kernel(self, form: winograd.Winograd, weight: Array, dtype: Any) -> Array:
        """What the kernel becomes; the same again as long as its numbers are the same."""

        def make(room: tuple[Array, Array] | None) -> tuple[Array, Array]:
            shape = form.points, form.block, weight.shape[3]
            copy, u = room or (weight.copy(), numpy.empty(shape, dtype))
            parts = form.parts(self.team.size)

            def work(pieces: slice) -> None:
                for part in parts[pieces]:
                    form.kernel_map(weight, u, part)
                    runs = zip(
                        form.kernel_part(copy, part), form.kernel_part(weight, part), strict=True
                    )
                    for (_, mine), (_, theirs) in runs:
                        mine[...] = theirs

            self._share(len(parts), 1, 2 * u.size, work)
            return copy, u

        return self._kernels.get(form, weight, dtype, make, self._same)

    def _same(self, a: Array, b: Array) -> bool:
        """Whether two arrays hold the same bits; a difference is usually found at once."""
        a, b = (x.reshape(-1).view(f"uint{8 * x.itemsize}") for x in (a, b))
        answers = [numpy.array_equal(a[:CACHE], b[:CACHE])]

        def work(piece: slice) -> None:
            answers.append(answers[0] and numpy.array_equal(a[piece], b[piece]))

        if answers[0]:
            self._share_rows(a, 2, work)
        return all(answers)

    def _weight_grad_by_patches(self, x: Array, dy: Array, window: Window) -> Array:
        """``U(x)ᵀ dy`` over a few images at a time, added in their order."""
        width = math.prod(dy.shape[1:3]) * math.prod(window.kernel) * x.shape[3]
        sums: dict[int, Array] = {}
        zero = numpy.zeros(
            (math.prod(window.kernel) * x.shape[3], dy.shape[3]), numpy.result_type(x, dy)
        )

        def work(images: slice) -> None:
            total = sums[images.start] = numpy.empty_like(zero)
            self._multiply(self._patches(x[images], window).T, _rows(dy[images]), total)

        self._share(len(x), _at_a_time(width), 4 * len(x) * width, work)
        return functools.reduce(numpy.add, (sums[start] for start in sorted(sums)), zero)

    def _patches(self, x: Array, window: Window) -> Array:
        """Patches as rows; pixels are some already."""
        return _rows(x) if window.is_a_pixel else self._unfold(x, window)

    def _unfold(self, x: Array, window: Window) -> Array:
        """Patches as rows, (n Ho Wo, kh kw C), copied from a padded image in runs of kw C
        numbers.
        """
        (kh, kw), (sh, sw), (ph, pw) = window
        n, height, width, channels = x.shape
        ho, wo = window.output_size(height, width)
        padded = numpy.zeros((n, height + 2 * ph, width + 2 * pw, channels), x.dtype)
        padded[:, ph : ph + height, pw : pw + width] = x
        of_image, of_row, of_column, of_channel = padded.strides
        view = numpy.lib.stride_tricks.as_strided(
            padded,
            (n, ho, wo, kh, kw * channels),
            (of_image, sh * of_row, sw * of_column, of_row, of_channel),
        )
        return numpy.ascontiguousarray(view).reshape(n * ho * wo, kh * kw * channels)

    def _fold_product(self, dy: Array, weight: Array, window: Window, out: Array) -> None:
        """``Uᵀ(dy Wᵀ)`` of a few images, to `out`."""
        n, height, width, channels = out.shape
        if channels >= 8:
            patches = numpy.matmul(_rows(dy), _matrix(weight).T)
            out[...] = self.fold(
                patches.reshape(*dy.shape[:3], *weight.shape[:3]), out.shape, window
            )
            return
        # Few channels make short runs, which NumPy adds slowly: so each channel of a block of s x s
        # pixels becomes a plane of its own (see `minigan.backend.cpu.winograd` for blocks). Kernels
        # that are no whole blocks get zeros.
        (kh, kw), (sh, sw), (ph, pw) = window
        (ho, wo), (qh, qw) = dy.shape[1:3], (-(-kh // sh), -(-kw // sw))
        whole = numpy.zeros((qh * sh, qw * sw, *weight.shape[2:]), weight.dtype)
        whole[:kh, :kw] = weight
        blocks = whole.reshape(qh, sh, qw, sw, channels, -1).transpose(0, 2, 1, 3, 4, 5)
        patches = numpy.matmul(blocks.reshape(-1, weight.shape[3]), _rows(dy).T)
        patches = patches.reshape(qh, qw, sh, sw, channels, n, ho, wo)
        rows, columns = (
            max(ho + qh - 1, -(-(height + ph) // sh)),
            max(wo + qw - 1, -(-(width + pw) // sw)),
        )
        planes = numpy.zeros((sh, sw, channels, n, rows, columns), out.dtype)
        for i, j in numpy.ndindex(qh, qw):
            planes[..., i : i + ho, j : j + wo] += patches[i, j]
        for a, b, c in numpy.ndindex(sh, sw, channels):
            # Pixel y of the image is row (y + p) // s of the planes with a = (y + p) mod s.
            y, x = (a - ph) % sh, (b - pw) % sw
            pixels = out[:, y::sh, x::sw, c]
            i, j = (y + ph) // sh, (x + pw) // sw
            pixels[...] = planes[a, b, c, :, i : i + pixels.shape[1], j : j + pixels.shape[2]]


def is_small(form: winograd.Winograd) -> bool:
    """Whether a kernel's points are so few that each thread may fetch all of them."""
    return form.points * form.block * form.result[2] <= SMALL_FACTOR


def _slices(start: int, stop: int, each: int) -> Iterator[slice]:
    pieces = -(-(stop - start) // each)
    edges = [start + (stop - start) * k // max(1, pieces) for k in range(pieces + 1)]
    return itertools.starmap(slice, itertools.pairwise(edges))


def _at_a_time(width: int) -> int:
    """How many images to do at a time whose patches have `width` numbers each."""
    return max(1, 4 * CACHE // max(1, width))


def _rows(x: Array) -> Array:
    return x.reshape(-1, x.shape[-1])


def _set_means(x: Array, each: int) -> Array:
    """The mean of each set, `each` columns of a sample, as sums by a row of ones: (N, 1, c)."""
    n, m, columns = x.shape
    sums = numpy.matmul(numpy.ones((1, m), x.dtype), x)
    if each > 1:
        of_sets = sums.reshape(n, 1, columns // each, each).sum(axis=3)
        sums = of_sets.repeat(each, axis=2)
    return sums / x.dtype.type(m * each)


def _column_sums(rows: Array) -> Array:
    return numpy.matmul(numpy.ones(len(rows), rows.dtype), rows)


def _matrix(weight: Array) -> Array:
    return weight.reshape(-1, weight.shape[3])


def _keep(x: Array, kept: Array, out: Array) -> None:
    """``out = x`` where `kept`, else 0: by bits, since numpy.where takes ten times as long."""
    if x.itemsize > 8:
        out[...] = numpy.where(kept, x, x.dtype.type(0))
        return
    bits = out.view(f"i{out.itemsize}")
    numpy.copyto(bits, kept)
    numpy.negative(bits, out=bits)  # 1 becomes -1, all bits set
    numpy.bitwise_and(bits, x.view(bits.dtype), out=bits)

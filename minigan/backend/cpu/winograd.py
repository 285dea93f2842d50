r"""Convolutions with fewer multiplications: Winograd's form, after a polyphase split.

**Polyphase.** A kernel of s q rows that moves by s rows at a time meets pixel rows in fixed groups
of s. Call s x s pixels a *block* of s² C numbers; then the convolution moves by one block at a
time, with a kernel of q x q blocks: a 4x4 kernel of stride 2 is a 2x2 kernel of stride 1 on four
times the channels. A kernel that is no whole number of blocks gets rows and columns of zeros at its
end: 5x5 of stride 2 is 3x3 blocks, as 6x6 is. Nothing is computed yet; it is only another name for
the same pixels.

**Winograd.** Take one axis, q taps g and m outputs, which see the r = m + q - 1 blocks d:
:math:`y_p = \sum_u g_u d_{p+u}`, m q multiplications. Its transpose in d,
:math:`c_{p+u} \mathrel{+}= g_u a_p`, is the product of two polynomials with coefficients a and g.
That product has r coefficients, so its values at r points determine it, and at a point it is *one*
multiplication. With the Vandermonde matrices :math:`V_k` (a row :math:`1, t, t^2, \dots, t^{k-1}`
per point t),

.. math:: c = V_r^{-1} \big[(V_q g) \odot (V_m a)\big],
   \qquad\text{and transposed back}\qquad
   y = A \big[(G g) \odot (B d)\big], \quad A = V_m^T,\ G = V_q,\ B = V_r^{-T}:

r multiplications instead of m q (Winograd 1980; Lavin & Gray 2016). In two axes each matrix becomes
a Kronecker product with itself, r² instead of m² q²; for m = 4, q = 2 that is 25 instead of 64.
Over channels, ``⊙`` becomes a matrix product per point.

**Both gradients.** y is bilinear: linear in d for a fixed g, and the reverse. So its derivatives
are the transposes of the same three maps, with the same number of multiplications:

========================  ===========================================
forward                   ``y = A [(B d) (G g)]``
gradient of the kernel    ``dg = Gᵀ [(B d)ᵀ (Aᵀ dy)]``
gradient of the image     ``dd = Bᵀ [(Aᵀ dy) (G g)ᵀ]``
========================  ===========================================

**Points.** 0 and ∞ put zeros into the matrices, which compiled loops leave out: a third of the
additions. The others are chosen for the rounding error. Textbooks take ±1 and 2; but points that
are, with their signs, each other's reciprocals keep the values of high and low coefficients alike:
-1, 1/2 and 2 for five, ±2/3 and ±3/2 for six. That takes a third off the error. Row scales, powers
of two, which cancel in the product, do the rest. The error grows by about half with each point: six
round to 1e-6 in float32, eight to 4e-6, and are not used.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import numpy

from minigan import forks
from minigan.backend.window import Pair, Window

Array = Any  # of NumPy, whose functions don't take the protocol minigan.backend.Array

POINTS: dict[int, tuple[float, ...]] = {
    2: (1.0, -1.0),
    3: (0.0, -1.0, math.inf),
    4: (1.0, -1.0, 0.0, math.inf),
    5: (0.0, 1 / 2, -1.0, 2.0, math.inf),
    6: (0.0, 2 / 3, -2 / 3, 3 / 2, -3 / 2, math.inf),
}
"""The points for each r; ∞ asks for the highest coefficient."""


def vandermonde(points: Sequence[float], width: int) -> Array:
    """Return V: a row (1, t, ..., t^(width - 1)) per point t; for ∞ the row (0, ..., 0, 1)."""
    highest = [0.0] * (width - 1) + [1.0]
    return numpy.array([highest if math.isinf(t) else [t**k for k in range(width)] for t in points])


def matrices(outputs: int, taps: int) -> tuple[Array, Array, Array]:
    """Return A (m, r), G (r, q) and B (r, r) of one axis, float64, with ``y = A [(G g) ⊙ (B d)]``.

    Parameters
    ----------
    outputs
        m, outputs per tile.
    taps
        q, length of the kernel.
    """
    points = POINTS[outputs + taps - 1]
    a, g = vandermonde(points, outputs), vandermonde(points, taps)
    b = numpy.linalg.inv(vandermonde(points, outputs + taps - 1)).T
    scale_a, scale_b = (
        2.0 ** numpy.round(numpy.log2(numpy.linalg.norm(x, axis=1))) for x in (a, b)
    )
    return (a / scale_a[:, None]).T, g * (scale_a * scale_b)[:, None], b / scale_b[:, None]


@functools.cache
def factors(outputs: Pair, taps: Pair, dtype: str, *, transposed: bool = False) -> Any:
    """A, G and B, or their transposes, each for both axes."""
    both = zip(*(matrices(m, q) for m, q in zip(outputs, taps, strict=True)), strict=True)
    return tuple(
        tuple(numpy.ascontiguousarray(matrix.T if transposed else matrix, dtype) for matrix in pair)
        for pair in both
    )


@functools.cache
def in_two_axes(outputs: Pair, taps: Pair, dtype: str) -> tuple[Array, Array, Array]:
    """The Kronecker products of both axes' matrices: A (m², r²), G (r², q²), B (r², r²)."""
    a, g, b = (numpy.kron(*pair) for pair in factors(outputs, taps, "float64"))
    return a.astype(dtype), g.astype(dtype), b.astype(dtype)


def taps(window: Window) -> Pair:
    """Return q for each axis: the length of the kernel in blocks."""
    (kh, kw), (sh, sw), _ = window
    return -(-kh // sh), -(-kw // sw)


class Scratch(threading.local):
    """Memory that a thread works in, the same each time, so that it stays in its core's cache; each
    has its own.
    """

    def __init__(self) -> None:
        self._held: dict[str, Array] = {}
        self._zeros: dict[str, Any] = {}

    def room(self, name: str, shape: Sequence[int], dtype: Any) -> Array:
        """Return an array with whatever was left in it; the next call with the same name overwrites
        it.
        """
        size = math.prod(shape) * numpy.dtype(dtype).itemsize
        held = self._held.get(name)
        if held is None or held.nbytes < size:
            held = self._held[name] = numpy.empty(size, "uint8")
            self._zeros.pop(name, None)
        return numpy.ndarray(shape, dtype, held)

    def with_zeros(self, name: str, owner: Any, shape: Sequence[int], dtype: Any) -> Array:
        """Return an array, all zeros but for what the same owner wrote at the last call."""
        array, key = self.room(name, shape, dtype), (owner, shape[1:], numpy.dtype(dtype).str)
        before, count = self._zeros.get(name, (None, 0))
        if before != key or count < shape[0]:
            array[...] = 0
            self._zeros[name] = key, shape[0]
        return array


@dataclasses.dataclass(frozen=True)
class Winograd:
    """The six linear maps of one convolution: B, G, A and their transposes.

    ======  ==========================================================================
    V       what the image becomes, (r², tiles, s² C): points, tiles, channels of a block
    U       what the kernel becomes, (r², s² C, K)
    M       their product per point, (r², tiles, K), summed over s² C
    ======  ==========================================================================

    Attributes
    ----------
    window
        Kernel, stride and padding.
    outputs
        m for each axis: the outputs of a tile.
    image, result
        (H, W, C) and (Ho, Wo, K).
    """

    window: Window
    outputs: Pair
    image: tuple[int, int, int]
    result: tuple[int, int, int]

    of_map: ClassVar[int] = 50
    """What a number of V or M costs to make and to fetch, in multiply-adds; measured, as is the
    next."""
    of_calls: ClassVar[int] = 2**23
    """What it takes to call so many functions, beyond the direct form's, for each thread: they are
    called one after the other, however many threads share the products."""
    of_patch: ClassVar[int] = 16
    """What a number of a patch costs to copy, where there is no such form."""

    # ---------------------------------------------------------------- sizes

    @functools.cached_property
    def taps(self) -> Pair:
        """Q for each axis: the length of the kernel in blocks, of which the last may end in
        zeros.
        """
        return taps(self.window)

    @functools.cached_property
    def reach(self) -> Pair:
        """R for each axis: the blocks that a tile sees, and the points it is evaluated at."""
        return self.outputs[0] + self.taps[0] - 1, self.outputs[1] + self.taps[1] - 1

    @functools.cached_property
    def points(self) -> int:
        """r², points of both axes."""
        return math.prod(self.reach)

    @functools.cached_property
    def grid(self) -> Pair:
        """Tiles per image along each axis."""
        return -(-self.result[0] // self.outputs[0]), -(-self.result[1] // self.outputs[1])

    @functools.cached_property
    def tiles(self) -> int:
        """Tiles per image."""
        return math.prod(self.grid)

    def cost(self, n: int) -> float:
        """What n images cost, in multiply-adds of a matrix product: the product at each point, the
        maps of image and result, and the kernel's; without the calls.
        """
        inner, outer, rows = self.block, self.result[2], n * self.tiles
        maps, kernel = self.of_map * rows * (inner + outer), 1.0 * KERNEL_ROWS * inner * outer
        if self.points * inner * outer <= SMALL_KERNEL:
            kernel /= 8
        return self.points * (rows * inner * outer + maps + kernel)

    def direct_cost(self, n: int) -> float:
        """What n images cost without this form: a product with a row of patches per output."""
        (kh, kw), (height, width, outer) = self.window.kernel, self.result
        # A product with fewer columns than a vector register holds takes no less.
        return n * height * width * kh * kw * self.image[2] * (max(outer, 16) + self.of_patch)

    @functools.cached_property
    def at_a_time(self) -> int:
        """Images whose V stays in a core's cache."""
        return max(1, 2**19 // (self.tiles * self.points * self.block))

    @functools.cached_property
    def block(self) -> int:
        """s² C, the channels of a block."""
        return math.prod(self.window.stride) * self.image[2]

    # ---------------------------------------------------------------- B: the image

    # Of images that are done a few at a time the tiles lie in a larger V and M, from `first` on.

    def image_map(self, x: Array, out: Array, first: int = 0, *, scratch: Scratch) -> None:
        """``V = B d``: x (n, H, W, C) to n tiles of out (r², tiles, s² C)."""
        canvas = scratch.with_zeros("canvas", self, (len(x), *self._canvas, self.image[2]), x.dtype)
        rows, columns, from_rows, from_columns = self._overlap
        canvas[:, rows, columns] = x[:, from_rows, from_columns]
        view = self._patches(canvas)
        patches = scratch.room("patches", view.shape, x.dtype)
        numpy.copyto(patches, view)
        v = self._some(out, first, len(x))
        numpy.matmul(self._matrices(x)[2], patches.reshape(self.points, -1), out=v)

    def image_map_transposed(
        self, v: Array, out: Array, bias: Array | None = None, first: int = 0, *, scratch: Scratch
    ) -> None:
        """``dd = Bᵀ V + bias``: n tiles of v (r², tiles, s² C) to out (n, H, W, C); where tiles
        overlap, they are added.
        """
        n = len(out)
        canvas = scratch.room("sums", (n, *self._canvas, self.image[2]), v.dtype)
        (mh, mw), (rh, rw), (th, tw) = self.outputs, self.reach, self.grid
        (sh, sw) = self.window.stride
        target = self._patches(canvas)
        patches = scratch.room("patches", target.shape, v.dtype)
        numpy.matmul(
            self._matrices(v)[2].T, self._some(v, first, n), out=patches.reshape(self.points, -1)
        )
        canvas[:, sh * mh * th :] = 0
        canvas[:, :, sw * mw * tw :] = 0
        # The first m x m blocks of each tile are nobody else's first: set them, then add what
        # reaches beyond.
        target[:mh, :mw] = patches[:mh, :mw]
        for row in range(mh, rh):  # one row of blocks at a time: within it, no block is met twice
            target[row, :mw] += patches[row, :mw]
        for column in range(mw, rw):
            for row in (slice(0, mh), *range(mh, rh)):
                target[row, column] += patches[row, column]
        rows, columns, from_rows, from_columns = self._overlap
        inside = out[:, from_rows, from_columns]
        if inside.shape != out.shape:  # pixels that no window covers
            out[...] = 0 if bias is None else bias
        _plus(canvas[:, rows, columns], bias, inside)

    # ---------------------------------------------------------------- G: the kernel

    def kernel_map(self, weight: Array, out: Array, part: tuple[int, slice]) -> None:
        """``U = G g``: weight (kh, kw, C, K) to one part of out (r², s² C, K); see `parts`."""
        row, columns = part
        target = self.channels(out, 1)[:, row, columns]
        source = numpy.zeros((*self.taps, *target.shape[1:]), weight.dtype)
        for at, numbers in self.kernel_part(weight, part):
            source[at] = numbers
        numpy.matmul(
            self._matrices(weight)[1],
            source.reshape(math.prod(self.taps), -1),
            out=target.reshape(self.points, -1),
        )

    def kernel_map_transposed(self, u: Array, out: Array, part: tuple[int, slice]) -> None:
        """``dg = Gᵀ U``: u, that part of a U, to that part of out (kh, kw, C, K)."""
        blocks = self._matrices(u)[1].T @ u.reshape(self.points, -1)
        blocks = blocks.reshape(*self.taps, *u.shape[1:])
        for at, numbers in self.kernel_part(out, part):
            numbers[...] = blocks[at]

    def channels(self, x: Array, axis: int) -> Array:
        """The axis s² C of V or U as two axes (s, s C), the ones that `parts` speaks of; a view."""
        return x.reshape(*x.shape[:axis], self.window.stride[0], -1, *x.shape[axis + 1 :])

    def parts(self, count: int) -> list[tuple[int, slice]]:
        """Cut the channels (s, s C) of V and U into at least `count` parts, if there are as
        many.
        """
        sh, width = self.window.stride[0], self.window.stride[1] * self.image[2]
        each = -(-width // min(-(-count // sh), width))
        starts = range(0, width, each)
        return [
            (row, slice(start, min(start + each, width))) for row in range(sh) for start in starts
        ]

    # ---------------------------------------------------------------- A: the result

    def result_map(
        self, m: Array, out: Array, bias: Array | None = None, first: int = 0, *, scratch: Scratch
    ) -> None:
        """``y = A M + bias``: n tiles of m (r², tiles, K) to out (n, Ho, Wo, K)."""
        some, matrix = self._some(m, first, len(out)), self._matrices(m)[0]
        y = scratch.room("tiles", (len(matrix), some.shape[1]), m.dtype)
        numpy.matmul(matrix, some, out=y)
        for tiles, pixels in self._tiled(y, out):
            _plus(tiles, bias, pixels)

    def result_map_transposed(
        self, dy: Array, out: Array, first: int = 0, *, scratch: Scratch
    ) -> None:
        """``M = Aᵀ dy``: dy (n, Ho, Wo, K) to n tiles of out (r², tiles, K)."""
        shape = (math.prod(self.outputs), len(dy) * self.tiles * dy.shape[3])
        # Zeros stay where the last tiles reach beyond dy.
        y = scratch.with_zeros("cotangents", self, shape, dy.dtype)
        for tiles, pixels in self._tiled(y, dy):
            tiles[...] = pixels
        numpy.matmul(self._matrices(dy)[0].T, y, out=self._some(out, first, len(dy)))

    # ---------------------------------------------------------------- views

    def _some(self, x: Array, first: int, n: int) -> Array:
        """The tiles of n images in a V or M, from the tile `first` on, as a matrix with a row per
        point.
        """
        return x[:, first : first + n * self.tiles].reshape(self.points, -1)

    def _matrices(self, like: Array) -> tuple[Array, Array, Array]:
        return in_two_axes(self.outputs, self.taps, like.dtype.str)

    @functools.cached_property
    def _canvas(self) -> Pair:
        """Height and width of whole blocks for all tiles: the image lies in them, shifted by the
        padding.
        """
        height, width = (
            s * (m * t + q - 1)
            for s, m, t, q in zip(
                self.window.stride, self.outputs, self.grid, self.taps, strict=True
            )
        )
        return height, width

    @functools.cached_property
    def _overlap(self) -> tuple[slice, slice, slice, slice]:
        """Where the image lies on the canvas: rows and columns of the canvas, then those of the
        image.
        """
        stops = [
            min(whole, p + size)
            for whole, p, size in zip(
                self._canvas, self.window.padding, self.image[:2], strict=True
            )
        ]
        (ph, pw), (bottom, right) = self.window.padding, stops
        return slice(ph, bottom), slice(pw, right), slice(0, bottom - ph), slice(0, right - pw)

    def _patches(self, canvas: Array) -> Array:
        """Every tile's blocks, overlapping, as a view: (rh, rw, n, th, tw, s, s C)."""
        (sh, sw), (mh, mw), channels = self.window.stride, self.outputs, self.image[2]
        of_image, of_row, of_column, of_channel = canvas.strides
        return numpy.ndarray(
            (*self.reach, len(canvas), *self.grid, sh, sw * channels),
            canvas.dtype,
            canvas,
            0,
            (
                sh * of_row,
                sw * of_column,
                of_image,
                sh * mh * of_row,
                sw * mw * of_column,
                of_row,
                of_channel,
            ),
        )

    @functools.cached_property
    def _regions(self) -> list[tuple[Pair, Pair, Pair, Pair]]:
        """Whole tiles, and those cut off at the end: first tile, tiles, outputs of each that exist,
        first output.
        """
        axes = []
        for size, m, t in zip(self.result[:2], self.outputs, self.grid, strict=True):
            whole = size // m
            parts = [(0, whole, m, 0)] if whole else []
            axes.append(parts if whole == t else [*parts, (whole, 1, size - whole * m, whole * m)])
        return [tuple(zip(rows, columns, strict=True)) for rows in axes[0] for columns in axes[1]]  # type: ignore[misc]

    def _tiled(self, tiles: Array, pixels: Array) -> Iterator[tuple[Array, Array]]:
        """Views of tiles (m², n th tw K) and of a result (n, Ho, Wo, K), in pairs that hold the
        same outputs.
        """
        n, channels = len(pixels), pixels.shape[3]
        tiles = tiles.reshape(*self.outputs, n, *self.grid, channels)
        for (i, j), (th, tw), (mh, mw), (p, q) in self._regions:
            part = pixels[:, p : p + th * mh, q : q + tw * mw].reshape(n, th, mh, tw, mw, channels)
            yield tiles[:mh, :mw, :, i : i + th, j : j + tw], part.transpose(2, 4, 0, 1, 3, 5)

    def kernel_part(
        self, weight: Array, part: tuple[int, slice]
    ) -> Iterator[tuple[tuple[int, int, slice], Array]]:
        """One of the `parts` of a kernel (kh, kw, C, K), run by run: where a run lies among blocks
        (qh, qw, channels of a block, K), and a view of its numbers.

        The zeros that fill the last blocks are in none of the runs.
        """
        (kh, kw), (sh, sw), channels = self.window.kernel, self.window.stride, self.image[2]
        row, columns = part
        rows = weight.reshape(kh, kw * channels, -1)
        for block, i in enumerate(range(row, kh, sh)):
            for j in range(self.taps[1]):
                first = j * sw * channels
                run = rows[i, first + columns.start : first + columns.stop]
                yield (block, j, slice(0, len(run))), run


KERNEL_ROWS = 80
"""What one number of U costs to make and to fetch, in products that it takes part in (a row of V
each); an eighth of that where U is small.
"""

SMALL_KERNEL = 2**22
"""Numbers of a U that stay in a cache from when they are made until they are fetched."""


@functools.cache
def plan(
    window: Window, images: tuple[int, ...], channels: int, kind: type[Winograd] = Winograd, *,
    threads: int = 1,
) -> Winograd | None:  # fmt: skip
    """Return the cheapest form of a convolution, or None where the direct form is cheaper.

    It depends on sizes and threads alone, never on how fast something was a moment ago: so bits
    repeat. Which form it is, if any, doesn't depend on the threads.

    Parameters
    ----------
    window
        Kernel, stride and padding.
    images
        (N, H, W, C).
    channels
        K, of the result.
    kind
        Whose maps they are, and what these cost.
    threads
        How many share the work.
    """
    n, height, width, in_channels = images
    ho, wo = window.output_size(height, width)
    qh, qw = taps(window)
    if min(qh, qw) < 2 or min(n, ho, wo) < 1:
        return None
    forms = [
        kind(window, (mh, mw), (height, width, in_channels), (ho, wo, channels))
        for mh in (2, 3, 4)
        for mw in (2, 3, 4)
        if mh + qh - 1 in POINTS and mw + qw - 1 in POINTS
    ]
    least = min((form.cost(n) for form in forms), default=math.inf)
    # Of forms that cost about the same, the one that makes least of the kernel: that is memory.
    cheap = [form for form in forms if form.cost(n) <= least + 0.05 * abs(least)]
    form = min(cheap, key=lambda form: form.points, default=None)
    calls = kind.of_calls * threads
    return form if form is not None and least + calls < form.direct_cost(n) else None


class KernelMaps:
    """``G g`` of the kernels used last: weights change once per step, but are used in several
    passes of it.

    Whether they have changed is seen by comparing all their numbers with a copy, so nobody has to
    announce it.

    Parameters
    ----------
    limit
        Bytes that may be held.
    """

    def __init__(self, limit: int = 2**25) -> None:
        self.limit = limit
        self._renew()
        forks.in_child(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Any, tuple[Array, Array]] = {}

    def get(
        self,
        form: Winograd,
        weight: Array,
        dtype: Any,
        make: Callable[[tuple[Array, Array] | None], tuple[Array, Array]],
        same: Callable[[Array, Array], bool],
    ) -> Array:
        """Return the U of `weight`.

        Parameters
        ----------
        form, weight, dtype
            What it is wanted for, and the numbers of U.
        make
            Returns a copy of `weight` and its U, unless U is held; it may use the room of the
            outdated two, if any.
        same
            Whether two arrays hold the same bits.
        """
        key = (
            weight.__array_interface__["data"][0],
            weight.dtype.str,
            numpy.dtype(dtype).str,
            form,
        )
        with self._lock:
            held = self._held.pop(key, None)
        if held is None or not same(held[0], weight):
            held = make(held)
        with self._lock:
            self._held[key] = held  # the newest last
            size = sum(a.nbytes + b.nbytes for a, b in self._held.values())
            for old in list(self._held):
                if size <= self.limit:
                    break
                size -= sum(x.nbytes for x in self._held.pop(old))
        return held[1]

    def clear(self) -> None:
        """Forget all of them."""
        with self._lock:
            self._held.clear()


def _plus(x: Array, bias: Array | None, out: Array) -> None:
    if bias is None:
        out[...] = x
    else:
        numpy.add(x, bias, out=out)

"""The primitives on CUDA: each launches a kernel of ``kernels/*.cu`` where it can, else runs the
readable version.

A kernel wants contiguous float32 arrays of fewer than 2³¹ entries. Whatever else comes (float64 in
a gradient check, say) goes to `minigan.backend.Reference`, which is also what every kernel is
tested against.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.backend.cuda.collectives import Sums
from minigan.backend.cuda.gemm import Gemm, check_precision
from minigan.backend.cuda.graph import StepGraph
from minigan.backend.cuda.launch import THREADS, Kernels, blocks_for
from minigan.backend.cuda.philox import draw_seed
from minigan.backend.reference import Reference
from minigan.backend.window import Pair, Window

Array = Any  # of CuPy, with its pointers, which minigan.backend.Array doesn't name

_LIMIT = 2**31
_ONE_BLOCK = 2**14
"""Most logits that a single block sums; a discriminator of patches may give more."""
_FROZEN = (
    "A training step that is recorded into a CUDA graph can't take {}: every replay would repeat "
    "the same bytes; "
    "make it an input of the step, or train without the graph."
)


class CudaBackend(Reference):
    """The primitives on a CUDA device.

    Parameters
    ----------
    xp
        The module ``cupy``.
    kernels, gemm
        What launches kernels and multiplies matrices; made when first needed.
    precision
        ``"float32"``: strict. ``"tf32"``: matrix products on tensor cores with factors rounded to
        10 bits.

    Attributes
    ----------
    recording
        While a training step is being recorded, the `minigan.backend.cuda.graph.Recording`; else
        None.
    """

    queues = True
    joins_bias = True
    joins_norm = True

    def __init__(
        self, xp: Any, *, kernels: Any = None, gemm: Gemm | None = None, precision: str = "float32"
    ) -> None:
        super().__init__(xp, "cuda")
        check_precision(precision)
        self._precision = precision
        self._launch = Kernels(xp) if kernels is None else kernels
        self._gemm = gemm
        self.recording: Any = None
        self._sums: Any = None

    @property
    def precision(self) -> str:
        """Precision of float32 matrix products, ``"float32"`` or ``"tf32"``; may be assigned to."""
        return self._precision

    @precision.setter
    def precision(self, name: str) -> None:
        check_precision(name)
        self._precision = name
        if self._gemm is not None:
            self._gemm.precision = name

    def describe(self) -> str:
        """Say what computes, in words."""
        return f"CUDA kernels, CuPy {getattr(self.xp, '__version__', 'of no known version')}"

    def set_precision(self, name: str) -> None:
        """Choose ``"float32"``, which is strict, or ``"tf32"``."""
        self.precision = name

    def record(
        self, step: Callable[..., Any], *, optimizers: Sequence[Any], capacity: int = 128,
        kind: Callable[[], Hashable] = lambda: None, required: bool = True,
    ) -> StepGraph:  # fmt: skip
        """Return the step as a `StepGraph`."""
        return StepGraph(
            self, step, optimizers=optimizers, capacity=capacity, kind=kind, required=required
        )

    def launch(
        self, name: str, blocks: tuple[int, ...], *arguments: Any, threads: int = THREADS
    ) -> None:
        """Launch a kernel; see `minigan.backend.cuda.launch.Kernels`."""
        self._launch(name, blocks, *arguments, threads=threads)

    # ---------------------------------------------------------------- between host and device

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """Bring a NumPy array to the device; not while a step is being recorded, where it would
        freeze.
        """
        if self.recording is not None and not isinstance(x, self.xp.ndarray):
            raise ValueError(_FROZEN.format("an array of the host"))
        return super().asarray(x, dtype=dtype)

    def to_numpy(self, x: Array) -> NDArray[Any]:
        """Bring an array of the device to the host; not while a step is being recorded: there is
        nothing in it.
        """
        if self.recording is not None:
            raise ValueError(_FROZEN.format("its own results to the host"))
        return super().to_numpy(x)

    def to_numbers(self, reports: Sequence[Mapping[str, Array]]) -> list[dict[str, float]]:
        """Wait once, for all of them together."""
        scalars = [value.reshape(()) for report in reports for value in report.values()]
        numbers = iter(self.to_numpy(self.xp.stack(scalars)).tolist() if scalars else [])
        return [{name: next(numbers) for name in report} for report in reports]

    # ---------------------------------------------------------------- matrix products

    def matmul(self, a: Array, b: Array) -> Array:
        """``a @ b`` on our own cuBLAS handle, which a CUDA graph can record."""
        alike = a.dtype == b.dtype and str(a.dtype) in ("float32", "float64")
        small = (
            a.ndim in (1, 2)
            and b.ndim in (1, 2)
            and a.size > 0
            and b.size > 0
            and a.shape[-1] == b.shape[0]
        )
        if not (alike and small):
            return super().matmul(a, b)
        if self._gemm is None:
            self._gemm = Gemm(self.xp, precision=self._precision)
        rows = a if a.ndim == 2 else a.reshape(1, -1)
        columns = b if b.ndim == 2 else b.reshape(-1, 1)
        return self._gemm(rows, columns).reshape((*a.shape[:-1], *b.shape[1:]))

    def matmul_each(self, a: Array, b: Array) -> Array:
        """``a @ b`` for stacks of matrices, in one launch on our own handle."""
        alike = a.dtype == b.dtype and str(a.dtype) in ("float32", "float64")
        if not (alike and a.size > 0 and b.size > 0):
            return super().matmul_each(a, b)
        if self._gemm is None:
            self._gemm = Gemm(self.xp, precision=self._precision)
        return self._gemm.each(a, b)

    # ---------------------------------------------------------------- sums over rows

    def sum_rows(self, x: Array) -> Array:
        """Two launches at most: a row of partial sums per block, then their sum."""
        if not _plain(x):
            return super().sum_rows(x)
        return self._column_sums("sum_rows", x)

    def sum_products(self, a: Array, b: Array) -> Array:
        """The product is never stored."""
        if not (_plain(a, b) and a.shape == b.shape):
            return super().sum_products(a, b)
        return self._column_sums("sum_products", a, b)

    def _column_sums(self, kernel: str, *operands: Array) -> Array:
        columns = operands[0].shape[-1]
        rows = operands[0].size // columns
        wide, blocks = _rectangles(rows, columns)
        partial = self.xp.empty((blocks[1], columns), "float32")
        self._launch(kernel, blocks, *operands, partial, rows, columns, wide)
        return self._joined_sums(partial)

    def sums(self, a: Array, b: Array) -> tuple[Array, Array]:
        """Reads a and b once."""
        if not (_plain(a, b) and a.shape == b.shape):
            return super().sums(a, b)
        columns = a.shape[-1]
        rows = a.size // columns
        wide, blocks = _rectangles(rows, columns)
        partial = self.xp.empty((blocks[1], 2 * columns), "float32")
        self._launch("sums", blocks, a, b, partial, rows, columns, wide)
        both = self._joined_sums(partial)
        return both[:columns], both[columns:]

    def _joined_sums(self, partial: Array) -> Array:
        rows, columns = partial.shape
        if rows == 1:
            return partial.reshape(columns)
        total = self.xp.empty(columns, "float32")
        wide, blocks = _slices(columns)
        self._launch("sum_rows", blocks, partial, total, rows, columns, wide)
        return total

    # ---------------------------------------------------------------- normalisation per feature

    def moments(self, x: Array) -> tuple[Array, Array]:
        """One pass over x: each block's count, mean and squared deviations, then joined."""
        if not _plain(x):
            return super().moments(x)
        columns = x.shape[-1]
        rows = x.size // columns
        wide, blocks = _rectangles(rows, columns)
        counts, means, squares = (self.xp.empty((blocks[1], columns), "float32") for _ in range(3))
        mean, variance = self.xp.empty(columns, "float32"), self.xp.empty(columns, "float32")
        self._launch("moments_partial", blocks, x, counts, means, squares, rows, columns, wide)
        parts = blocks[1]
        wide, blocks = _slices(columns)
        self._launch(
            "moments_join", blocks, counts, means, squares, mean, variance, parts, columns, wide
        )
        return mean, variance

    def inverse_root(self, variance: Array, eps: float) -> Array:
        """One launch."""
        if not _plain(variance):
            return super().inverse_root(variance, eps)
        inverse_s = self._like(variance)
        self._each("inverse_root", variance.size, variance, inverse_s, eps, variance.size)
        return inverse_s

    def follow(self, running: Array, new: Array, weight: float, factor: float = 1.0) -> None:
        """One launch, in place."""
        if not (_plain(running, new) and running.shape == new.shape):
            super().follow(running, new, weight, factor)
            return
        self._each("follow", running.size, running, new, weight, factor, running.size)

    def standardise(
        self, x: Array, mean: Array, inverse_s: Array, gamma: Array, beta: Array
    ) -> tuple[Array, Array]:
        """Reads x once, writes x̂ and y once."""
        if not _plain(x, mean, inverse_s, gamma, beta):
            return super().standardise(x, mean, inverse_s, gamma, beta)
        x_hat, y = self._like(x), self._like(x)
        self._each(
            "standardise", x.size, x, mean, inverse_s, gamma, beta, x_hat, y, x.size, x.shape[-1]
        )
        return x_hat, y

    def standardise_leaky_relu(
        self, x: Array, mean: Array, inverse_s: Array, gamma: Array, beta: Array, slope: float
    ) -> tuple[Array, Array]:
        """Reads x once, writes x̂ and y once."""
        if not _plain(x, mean, inverse_s, gamma, beta):
            return super().standardise_leaky_relu(x, mean, inverse_s, gamma, beta, slope)
        x_hat, y = self._like(x), self._like(x)
        self._each(
            "standardise_leaky_relu", x.size, x, mean, inverse_s, gamma, beta, x_hat, y, slope,
            x.size, x.shape[-1],
        )  # fmt: skip
        return x_hat, y

    def standardise_grad(
        self, dy: Array, x_hat: Array, scale: Array, mean_dy: Array, mean_dyx: Array
    ) -> Array:
        """Reads dy and x̂ once, writes dx once."""
        if not _plain(dy, x_hat, scale, mean_dy, mean_dyx):
            return super().standardise_grad(dy, x_hat, scale, mean_dy, mean_dyx)
        dx = self._like(dy)
        self._each(
            "standardise_grad", dy.size, dy, x_hat, scale, mean_dy, mean_dyx, dx, dy.size,
            dy.shape[-1],
        )  # fmt: skip
        return dx

    def standardise_leaky_relu_grad(
        self, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array, beta: Array, slope: float
    ) -> tuple[Array, Array, Array]:
        """Reads dy and x̂ twice, for the sums and for dx, and writes dx once."""
        if not (_plain(dy, x_hat, inverse_s, gamma, beta) and dy.shape == x_hat.shape):
            return super().standardise_leaky_relu_grad(dy, x_hat, inverse_s, gamma, beta, slope)
        columns = dy.shape[-1]
        rows = dy.size // columns
        wide, blocks = _rectangles(rows, columns)
        partial = self.xp.empty((blocks[1], 2 * columns), "float32")
        self._launch(
            "rectified_sums", blocks, dy, x_hat, gamma, beta, partial, slope, rows, columns, wide
        )
        both, dx = self._joined_sums(partial), self._like(dy)
        self._each(
            "standardise_leaky_relu_grad", dy.size, dy, x_hat, inverse_s, gamma, beta, both, dx,
            slope, 1 / rows, dy.size, columns,
        )  # fmt: skip
        return dx, both[:columns], both[columns:]

    # ---------------------------------------------------------------- patches

    def unfold(self, x: Array, window: Window) -> Array:
        """One thread per entry (or four) of the patches; no padded copy, and none of pixels."""
        (kh, kw), _, _ = window
        n, height, width, channels = x.shape
        ho, wo = window.output_size(height, width)
        shape = (n, ho, wo, kh, kw, channels)
        if window.is_a_pixel:
            return x.reshape(shape)
        if not (_plain(x) and 0 < math.prod(shape) < _LIMIT):
            return super().unfold(x, window)
        patches = self.xp.empty(shape, "float32")
        if channels % 4 and kw * channels % 4 == 0:
            self._move_runs(x, patches, window)
        else:
            self._move_patches("unfold", x, patches, x.shape, (ho, wo), window)
        return patches

    def fold(self, patches: Array, shape: Sequence[int], window: Window) -> Array:
        """One thread per entry (or four) of the image, which collects; no atomics, no padded
        copy.
        """
        if window.is_a_pixel:
            return patches.reshape(tuple(shape))
        if not (_plain(patches) and 0 < math.prod(shape) < _LIMIT):
            return super().fold(patches, shape, window)
        x = self.xp.empty(tuple(shape), "float32")
        self._move_patches("fold", patches, x, shape, patches.shape[1:3], window)
        return x

    def _move_patches(
        self,
        kernel: str,
        source: Array,
        target: Array,
        image: Sequence[int],
        places: Sequence[int],
        window: Window,
    ) -> None:
        _, height, width, channels = image
        (kh, kw), (sh, sw), (ph, pw) = window
        self._move(kernel, source, target, height, width, channels, *places, kh, kw, sh, sw, ph, pw)

    def _move_runs(self, x: Array, patches: Array, window: Window) -> None:
        """Launch the kernel that gathers the rows of each window four numbers at a time."""
        _, height, width, channels = x.shape
        (kh, kw), (sh, sw), (ph, pw) = window
        count = patches.size // 4
        self._each(
            "unfold_runs", count, x, patches, count, height, width * channels,
            *patches.shape[1:3], kh, kw * channels, sh, sw * channels, ph, pw * channels,
        )  # fmt: skip

    def upsample(self, x: Array, factor: Pair) -> Array:
        """One thread per entry (or four) of the larger image."""
        n, height, width, channels = x.shape
        shape = n, height * factor[0], width * factor[1], channels
        if not (_plain(x) and math.prod(shape) < _LIMIT):
            return super().upsample(x, factor)
        y = self.xp.empty(shape, "float32")
        self._move("upsample", x, y, height, width, channels, *factor)
        return y

    def upsample_grad(self, dy: Array, factor: Pair) -> Array:
        """One thread per entry (or four) of the smaller image, which collects."""
        if not _plain(dy):
            return super().upsample_grad(dy, factor)
        n, height, width, channels = dy.shape
        dx = self.xp.empty((n, height // factor[0], width // factor[1], channels), "float32")
        self._move("upsample_grad", dy, dx, *dx.shape[1:], *factor)
        return dx

    def _move(
        self,
        kernel: str,
        source: Array,
        target: Array,
        height: int,
        width: int,
        channels: int,
        *rest: int,
    ) -> None:
        """Launch a kernel that moves pixels, four channels at a time where they come in fours."""
        four = 4 if channels % 4 == 0 and source.data.ptr % 16 == 0 else 1
        count = target.size // four
        name = f"{kernel}4" if four == 4 else kernel
        self._each(name, count, source, target, count, height, width, channels // four, *rest)

    # ---------------------------------------------------------------- elementwise

    def masked(self, x: Array, mask: Array) -> Array:
        """Reads x and the mask once, writes y once."""
        if not (_plain(x, mask) and x.shape == mask.shape):
            return super().masked(x, mask)
        y = self._like(x)
        self._each("masked", x.size, x, mask, y, x.size)
        return y

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """Reads x once, writes y once."""
        if not _plain(x):
            return super().leaky_relu(x, slope)
        y = self._like(x)
        self._each("leaky_relu", x.size, x, y, slope, x.size)
        return y

    def leaky_relu_grad(self, dy: Array, y: Array, slope: float) -> Array:
        """Reads dy and y once, writes dx once."""
        if not (_plain(dy, y) and dy.shape == y.shape):
            return super().leaky_relu_grad(dy, y, slope)
        dx = self._like(dy)
        self._each("leaky_relu_grad", dy.size, dy, y, dx, slope, dy.size)
        return dx

    def bias_leaky_relu(self, x: Array, bias: Array, slope: float) -> Array:
        """Reads x once, writes y once."""
        if not _plain(x, bias):
            return super().bias_leaky_relu(x, bias, slope)
        y = self._like(x)
        self._each("bias_leaky_relu", x.size, x, bias, y, slope, x.size, x.shape[-1])
        return y

    def bias_tanh(self, x: Array, bias: Array) -> Array:
        """Reads x once, writes y once."""
        if not _plain(x, bias):
            return super().bias_tanh(x, bias)
        y = self._like(x)
        self._each("bias_tanh", x.size, x, bias, y, x.size, x.shape[-1])
        return y

    def bias_sigmoid(self, x: Array, bias: Array) -> Array:
        """Reads x once, writes y once."""
        if not _plain(x, bias):
            return super().bias_sigmoid(x, bias)
        y = self._like(x)
        self._each("bias_sigmoid", x.size, x, bias, y, x.size, x.shape[-1])
        return y

    def sum_over_ranks(self, comm: Any, vector: Array) -> None:
        """By NCCL where all ranks can, see `minigan.backend.cuda.collectives`."""
        if self._sums is None or self._sums.comm is not comm:
            self._sums = Sums(comm, self.xp)
        self._sums(vector)

    def draw(
        self,
        rng: numpy.random.Generator,
        make: Callable[[numpy.random.Generator], Array],
        dtype: Any,
    ) -> Array:
        """As the readable version; while a step is being recorded, a buffer that each replay fills
        anew.
        """
        if self.recording is not None:
            return self.recording.drawn(rng, make, dtype)
        return super().draw(rng, make, dtype)

    def number(self, make: Callable[[], Any], dtype: Any) -> Array:
        """As the readable version; while a step is being recorded, a buffer that each replay fills
        anew.
        """
        if self.recording is not None:
            return self.recording.asked(make, dtype)
        return super().number(make, dtype)

    def dropout_mask(
        self, shape: Sequence[int], p: float, dtype: Any, rng: numpy.random.Generator
    ) -> Array:
        """Made on the device from a seed that `rng` draws: no mask travels, and equal seeds make
        equal masks.
        """
        count = math.prod(shape)
        if not (dtype == "float32" and 0 < count < _LIMIT):
            return super().dropout_mask(shape, p, dtype, rng)
        mask = self.xp.empty(tuple(shape), "float32")
        if self.recording is not None:
            seeds, place = self.recording.seed_from(rng)
        else:
            seeds, place = self.xp.empty(1, "uint64"), 0
            self._launch("set_seed", (1,), seeds, place, draw_seed(rng), threads=1)
        self._each("dropout_mask", -(-count // 4), mask, seeds, place, p, 1 / (1 - p), count)
        return mask

    # ------------------------------------------------------------ the loss and the optimizer's upda

    def mean_probability(self, logits: Array) -> Array:
        """One block, one launch."""
        if not (_plain(logits) and logits.size <= _ONE_BLOCK):
            return super().mean_probability(logits)
        mean = self.xp.empty((), "float32")
        self._launch("mean_probability", (1,), logits, mean, logits.size)
        return mean

    def bce_with_logits(self, logits: Array, target: Any) -> tuple[Array, Array]:
        """One block, one launch."""
        small = _plain(logits) and logits.size <= _ONE_BLOCK
        if not (small and isinstance(target, float)):
            return super().bce_with_logits(logits, target)
        loss, dlogits = self.xp.empty((), "float32"), self._like(logits)
        self._launch("bce_with_logits", (1,), logits, target, loss, dlogits, logits.size)
        return loss, dlogits

    def adam(
        self, theta: Array, g: Array, m: Array, v: Array, *, lr: float, betas: tuple[float, float],
        eps: float, t: int,
    ) -> None:  # fmt: skip
        """One launch over the whole vector; lr and t lie on the device."""
        if not _plain(theta, g, m, v):
            if self.recording is not None:
                raise ValueError(
                    f"Adam's step of {theta.dtype} can't be recorded into a CUDA graph; train in "
                    "float32, or without the graph."
                )
            super().adam(theta, g, m, v, lr=lr, betas=betas, eps=eps, t=t)
            return
        if self.recording is not None:
            schedule = self.recording.schedule_of(theta)
            self._launch("advance_schedule", (1,), schedule, threads=1)
        else:
            schedule = self.xp.empty(2, "float64")
            self.set_schedule(schedule, lr, t)
        self._each("adam", theta.size, theta, g, m, v, schedule, *betas, eps, theta.size)

    def shrink(self, theta: Array, lr: float, rate: float) -> None:
        """As `Reference.shrink`; in a recorded step the learning rate lies on the device."""
        if self.recording is None:
            super().shrink(theta, lr, rate)
            return
        lr_on_device = self.recording.schedule_of(theta)[:1]
        theta *= (1 - lr_on_device * rate).astype(theta.dtype)

    def set_schedule(self, schedule: Array, lr: float, t: int) -> None:
        """Write the learning rate and the step's number to the device."""
        self._launch("set_schedule", (1,), schedule, lr, t, threads=1)

    # ---------------------------------------------------------------- parts

    def _each(self, kernel: str, count: int, *arguments: Any) -> None:
        """Launch a kernel that has one thread per entry."""
        self._launch(kernel, blocks_for(count), *arguments)

    def _like(self, x: Array) -> Array:
        return self.xp.empty(x.shape, "float32")


def _plain(*arrays: Array) -> bool:
    """Tell whether a kernel can read them: float32, contiguous, not empty, of fewer than 2³¹
    entries.
    """
    return all(
        a.dtype == "float32" and a.flags.c_contiguous and 0 < a.size < _LIMIT for a in arrays
    )


def _rectangles(rows: int, columns: int) -> tuple[int, tuple[int, int]]:
    """Choose the width of a block's rectangle, and the grid (across columns, down rows)."""
    wide = min(32, 1 << (columns - 1).bit_length())
    across = -(-columns // wide)
    tall = THREADS // wide
    # At least 16 rows for each thread, and no more blocks than keep a large GPU busy.
    down = max(1, min(-(-rows // (16 * tall)), 1024 // across, 256))
    return wide, (across, down)


def _slices(columns: int) -> tuple[int, tuple[int, int]]:
    """Choose width and grid where a block joins all of a few hundred partial results of its
    columns: narrow, so that no thread has many of them one after the other.
    """
    wide = min(4, 1 << (columns - 1).bit_length())
    return wide, (-(-columns // wide), 1)

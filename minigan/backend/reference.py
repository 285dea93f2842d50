"""The readable version of every primitive, in plain array code that NumPy and CuPy share.

It is what the tutorials show, what runs where no faster version applies, and the oracle that each
faster version is tested against. Shapes are batch first, channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy
from numpy.typing import NDArray

from minigan import randomness
from minigan.backend.array import Array
from minigan.backend.window import Pair, Window


class Reference:
    """The primitives, written for reading.

    Parameters
    ----------
    xp
        The array library: the module ``numpy`` or ``cupy``.
    device
        ``"cpu"`` or ``"cuda"``.

    Attributes
    ----------
    queues
        Whether work is put into a queue, so that whoever looks at a number waits for all of it.
    joins_bias, joins_norm
        Whether a bias, or batch normalisation, and the activation behind it are faster in one pass
        than in two.
    recording
        What a training step is being recorded into; None while none is.
    """

    queues: ClassVar[bool] = False
    joins_bias: ClassVar[bool] = False
    joins_norm: ClassVar[bool] = False
    recording: Any = None

    def __init__(self, xp: Any, device: str) -> None:
        self.xp = xp
        self.device = device

    # ---------------------------------------------------------------- arrays

    def asarray(self, x: Any, dtype: Any = None) -> Array:
        """Bring a NumPy array (or a number) to this device."""
        return self.xp.asarray(x, dtype=dtype)

    def to_numpy(self, x: Array) -> NDArray[Any]:
        """Bring an array of this device to NumPy."""
        return x if isinstance(x, (numpy.ndarray, numpy.generic)) else self.xp.asnumpy(x)

    def to_numbers(self, reports: Sequence[Mapping[str, Array]]) -> list[dict[str, float]]:
        """Look at scalars of this device, given by name for each of several steps."""
        return [{name: float(value) for name, value in report.items()} for report in reports]

    def describe(self) -> str:
        """Say what computes, in words."""
        return f"the readable version, on {self.xp.__name__} {self.xp.__version__}"

    @property
    def threads(self) -> int:
        """The number of threads that share the work; plain array code has one.

        Raises
        ------
        ValueError
            If ``MINIGAN_THREADS`` is no positive integer.
        """
        return 1

    def set_precision(self, name: str) -> None:
        """Choose how float32 matrix products are rounded; there is a choice on a CUDA device only.

        Raises
        ------
        ValueError
            If the device has no such precision.
        """
        if name != "float32":
            raise ValueError(
                f"Precision {name!r} needs device 'cuda', got {self.device!r}; leave it at "
                "'float32'."
            )

    def record(
        self, step: Callable[..., Any], *, optimizers: Sequence[Any], capacity: int = 128,
        kind: Callable[[], Hashable] = lambda: None, required: bool = True,
    ) -> Any:  # fmt: skip
        """Return a training step that is recorded once and then replayed, on a CUDA device.

        Raises
        ------
        ValueError
            If this isn't one.
        """
        raise ValueError(
            f"A CUDA graph needs players on device 'cuda', but they are on {self.device!r}."
        )

    def set_threads(self, count: int | None) -> None:
        """See `minigan.set_threads`; plain array code has no threads of its own to set."""

    def matmul(self, a: Array, b: Array) -> Array:
        """``a @ b``: the product of two matrices, of a matrix and a vector, or of two vectors."""
        return a @ b

    def matmul_each(self, a: Array, b: Array) -> Array:
        """Multiply each pair of matrices: ``(n, M, K), (n, K, N) -> (n, M, N)``."""
        return a @ b

    def sum_rows(self, x: Array) -> Array:
        """Sum over every axis but the last: ``(..., C) -> (C,)``, the gradient of a broadcast
        bias.
        """
        return x.reshape(-1, x.shape[-1]).sum(axis=0)

    def sum_products(self, a: Array, b: Array) -> Array:
        """Sum ``a b`` over every axis but the last: ``(..., C), (..., C) -> (C,)``."""
        return self.sum_rows(a * b)

    def sums(self, a: Array, b: Array) -> tuple[Array, Array]:
        """`sum_rows` of a and `sum_products` of a and b, which reads a once where that is
        faster.
        """
        return self.sum_rows(a), self.sum_products(a, b)

    def sum_labelled(self, rows: Array, labels: Array, count: int) -> Array:
        """Sum the rows (N, C) of each label: ``total_k = Σ rows_n`` over the n with label k.

        Labels are 0 to count - 1; the result is (count, C).
        """
        same = labels[:, None] == self.xp.arange(count)
        return self.xp.where(same[:, :, None], rows[:, None], rows.dtype.type(0)).sum(axis=0)

    # ---------------------------------------------------------------- normalisation per feature

    def moments(self, x: Array) -> tuple[Array, Array]:
        """Mean and (biased) variance of each feature: ``(..., C) -> (C,), (C,)``."""
        rows = x.reshape(-1, x.shape[-1])
        mean = rows.mean(axis=0)
        centred = rows - mean
        return mean, (centred * centred).mean(axis=0)

    def inverse_root(self, variance: Array, eps: float) -> Array:
        """``1 / s`` with ``s = √(variance + eps)``."""
        return 1 / self.xp.sqrt(variance + eps)

    def follow(self, running: Array, new: Array, weight: float, factor: float = 1.0) -> None:
        """Move a running average in place: ``running += weight (factor new - running)``."""
        running += weight * ((new if factor == 1 else new * factor) - running)

    def standardise(
        self, x: Array, mean: Array, inverse_s: Array, gamma: Array, beta: Array
    ) -> tuple[Array, Array]:
        """``x̂ = (x - mean) inverse_s`` and ``y = gamma x̂ + beta``; x is (..., C), the others
        (C,).
        """
        x_hat = (x - mean) * inverse_s
        return x_hat, gamma * x_hat + beta

    def standardise_leaky_relu(
        self, x: Array, mean: Array, inverse_s: Array, gamma: Array, beta: Array, slope: float
    ) -> tuple[Array, Array]:
        """The x̂ of `standardise`, and `leaky_relu` of its y."""
        x_hat, y = self.standardise(x, mean, inverse_s, gamma, beta)
        return x_hat, self.leaky_relu(y, slope)

    def standardise_grad(
        self, dy: Array, x_hat: Array, scale: Array, mean_dy: Array, mean_dyx: Array
    ) -> Array:
        """``dx = scale (dy - mean_dy - x̂ mean_dyx)``; dy and x̂ are (..., C), the others (C,)."""
        return scale * (dy - mean_dy - x_hat * mean_dyx)

    def standardise_leaky_relu_grad(
        self, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array, beta: Array, slope: float
    ) -> tuple[Array, Array, Array]:
        """The adjoint of `standardise_leaky_relu`, where mean and s are those of x itself.

        Returns
        -------
        dx
            Shape (..., C), as dy and x̂.
        dbeta, dgamma
            Shape (C,).
        """
        d = self.leaky_relu_grad(dy, gamma * x_hat + beta, slope)
        dbeta, dgamma = self.sums(d, x_hat)
        m = d.size // d.shape[-1]
        dx = self.standardise_grad(d, x_hat, gamma * inverse_s, dbeta / m, dgamma / m)
        return dx, dbeta, dgamma

    # ---------------------------------------------------------------- normalisation per sample

    def standardise_samples(
        self, x: Array, gamma: Array | None, beta: Array | None, eps: float, *, each: int = 1
    ) -> tuple[Array, Array, Array]:
        """Standardise each column of each sample: ``x̂ = (x - mean) / s``, ``y = gamma x̂ + beta``.

        x is (N, m, c), N c sets of m numbers with a mean and a variance of their own. Layer
        normalisation is c = 1, with gamma and beta (m, 1); instance normalisation has a column per
        channel, and (1, c); for group normalisation, `each` neighbouring columns are one set.
        Without gamma and beta y is x̂.

        Returns
        -------
        x_hat, y
            Shape (N, m, c).
        inverse_s
            ``1 / s``, shape (N, 1, c), with ``s² = variance + eps``.
        """
        centred = x - _mean(x, each)
        inverse_s = 1 / self.xp.sqrt(_mean(centred * centred, each) + eps)
        x_hat = centred * inverse_s
        return x_hat, x_hat if gamma is None else gamma * x_hat + beta, inverse_s

    def standardise_samples_grad(
        self, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array | None, *, each: int = 1
    ) -> Array:
        """``dx = (q - mean(q) - x̂ mean(q x̂)) / s`` with ``q = gamma dy``; means are over a set."""
        q = dy if gamma is None else gamma * dy
        return (q - _mean(q, each) - x_hat * _mean(q * x_hat, each)) * inverse_s

    def standardise_samples_grad_twice(
        self, v: Array, dy: Array, x_hat: Array, inverse_s: Array, gamma: Array | None, *,
        each: int = 1,
    ) -> Array:  # fmt: skip
        """The gradient of ⟨v, dx⟩ with respect to x, where dx is `standardise_samples_grad`'s.

        ``-((A - 2 mean(v x̂) mean(q x̂)) x̂ + mean(v x̂) (q - mean q) + mean(q x̂) (v - mean v)) / s²``
        with ``A = mean(q v) - mean(q) mean(v) - mean(q x̂) mean(v x̂)``; `minigan.nn.layernorm`
        derives it.
        """
        q = dy if gamma is None else gamma * dy
        mean_q, mean_v = _mean(q, each), _mean(v, each)
        mean_qx, mean_vx = _mean(q * x_hat, each), _mean(v * x_hat, each)
        a = _mean(q * v, each) - mean_q * mean_v - mean_qx * mean_vx
        bracket = (a - 2 * mean_vx * mean_qx) * x_hat
        bracket += mean_vx * (q - mean_q) + mean_qx * (v - mean_v)
        return -inverse_s * inverse_s * bracket

    # ---------------------------------------------------------------- patches

    def unfold(self, x: Array, window: Window) -> Array:
        """Gather the patch under each window position: ``U(x)``, also called im2col.

        ``U(x)[n, p, q, i, j, c] = padded x[n, p s + i, q s + j, c]``

        Parameters
        ----------
        x
            Images, shape (N, H, W, C).
        window
            Kernel, stride and padding.

        Returns
        -------
        array, shape (N, Ho, Wo, kh, kw, C)
        """
        (kh, kw), (sh, sw), (ph, pw) = window
        n, height, width, channels = x.shape
        ho, wo = window.output_size(height, width)
        padded = self.xp.pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))
        patches = self.xp.empty((n, ho, wo, kh, kw, channels), x.dtype)
        for i in range(kh):
            for j in range(kw):
                patches[:, :, :, i, j] = padded[:, i : i + sh * ho : sh, j : j + sw * wo : sw]
        return patches

    def fold(self, patches: Array, shape: Sequence[int], window: Window) -> Array:
        """Add every patch back where `unfold` took it from: the adjoint ``Uᵀ``, also called col2im.

        Parameters
        ----------
        patches
            Shape (N, Ho, Wo, kh, kw, C).
        shape
            The shape (N, H, W, C) of the images.
        window
            Kernel, stride and padding.

        Returns
        -------
        array, shape (N, H, W, C)
        """
        (kh, kw), (sh, sw), (ph, pw) = window
        n, height, width, channels = shape
        ho, wo = patches.shape[1:3]
        padded = self.xp.zeros((n, height + 2 * ph, width + 2 * pw, channels), patches.dtype)
        for i in range(kh):
            for j in range(kw):
                padded[:, i : i + sh * ho : sh, j : j + sw * wo : sw] += patches[:, :, :, i, j]
        return padded[:, ph : ph + height, pw : pw + width]

    def upsample(self, x: Array, factor: Pair) -> Array:
        """Repeat each pixel: ``y[n, i, j] = x[n, i // f, j // f]``, (N, H, W, C) -> (N, f H, f W,
        C).
        """
        return x.repeat(factor[0], axis=1).repeat(factor[1], axis=2)

    def upsample_grad(self, dy: Array, factor: Pair) -> Array:
        """Sum over the f x f copies of each pixel, the adjoint: (N, f H, f W, C) -> (N, H, W,
        C).
        """
        n, height, width, channels = dy.shape
        blocks = dy.reshape(
            n, height // factor[0], factor[0], width // factor[1], factor[1], channels
        )
        return blocks.sum(axis=(2, 4))

    # ------------------------------------------------------------ convolution, and its two adjoints

    def conv(
        self, x: Array, weight: Array, window: Window, bias: Array | None = None
    ) -> tuple[Array, Any]:
        """Cross-correlate: ``y = U(x) W + b``, one matrix product with a row per output pixel.

        Parameters
        ----------
        x
            Images, shape (N, H, W, in).
        weight
            Kernels, shape (kh, kw, in, out).
        window
            Kernel, stride and padding.
        bias
            Shape (out,), or None for zeros.

        Returns
        -------
        y
            Shape (N, Ho, Wo, out).
        kept
            What `conv_weight_grad` wants to see again; opaque to the caller.
        """
        patches = self.conv_keep(x, window)
        n, ho, wo = patches.shape[:3]
        y = self.matmul(_rows(patches), _matrix(weight))
        if bias is not None:
            y += bias
        return y.reshape(n, ho, wo, weight.shape[3]), patches

    def conv_keep(self, x: Array, window: Window) -> Any:
        """Only the `kept` of `conv`: here the patches ``U(x)``, shape (N, Ho, Wo, kh, kw, in)."""
        return self.unfold(x, window)

    def conv_weight_grad(self, kept: Any, dy: Array, window: Window) -> Array:
        """Gradient of the kernels: ``dW = U(x)ᵀ dy``.

        Parameters
        ----------
        kept
            As `conv` or `conv_keep` returned it.
        dy
            Cotangent of the output, shape (N, Ho, Wo, out).
        window
            Kernel, stride and padding.

        Returns
        -------
        array, shape (kh, kw, in, out)
        """
        dw = self.matmul(_rows(kept).T, dy.reshape(-1, dy.shape[3]))
        return dw.reshape(*kept.shape[3:], dy.shape[3])

    def conv_input_grad(
        self,
        dy: Array,
        weight: Array,
        shape: Sequence[int],
        window: Window,
        bias: Array | None = None,
    ) -> Array:
        """Gradient of the images: ``dx = Uᵀ(dy Wᵀ) + b``; with b, what a transposed convolution
        computes.

        Parameters
        ----------
        dy
            Shape (N, Ho, Wo, out).
        weight
            Shape (kh, kw, in, out).
        shape
            The shape (N, H, W, in) of the images.
        window
            Kernel, stride and padding.
        bias
            Shape (in,), or None for zeros.

        Returns
        -------
        array, shape (N, H, W, in)
        """
        patches = self.matmul(dy.reshape(-1, dy.shape[3]), _matrix(weight).T)
        dx = self.fold(patches.reshape(*dy.shape[:3], *weight.shape[:3]), shape, window)
        if bias is not None:
            dx += bias
        return dx

    # ------------------------------------------------------------ dilated and grouped convolution

    def conv_taps(self, x: Array, weight: Array, stride: Pair, dilation: Pair) -> Array:
        """Cross-correlate tap by tap: ``y[n, p, q] = Σ_ij x[n, p s + i d, q s + j d] W[i, j]``.

        With groups, the input and output channels are cut into as many pieces, and each piece of y
        sees its own piece of x alone: W[i, j] is block-diagonal, and only the blocks are stored.

        Parameters
        ----------
        x
            Images, padded already, shape (N, H, W, in).
        weight
            Shape (kh, kw, in / groups, out).
        stride, dilation
            s, from one position of the window to the next, and d, from one tap to the next.

        Returns
        -------
        array, shape (N, Ho, Wo, out)
        """
        groups, y = x.shape[3] // weight.shape[2], None
        for i, j, view in _views(x, weight.shape[:2], stride, dilation):
            term = self._through_blocks(view, weight[i, j], groups)
            y = term if y is None else y + term
        assert y is not None  # a kernel has at least one tap
        return y

    def conv_taps_weight_grad(
        self, x: Array, dy: Array, kernel: Pair, stride: Pair, dilation: Pair, groups: int
    ) -> Array:
        """Gradient of the kernels of `conv_taps`, block by block: ``dW[i, j] = viewᵀ dy``."""
        each, out = x.shape[3] // groups, dy.shape[3]
        dw = self.xp.empty((*kernel, each, out), dy.dtype)
        d = _blocks(dy, groups)
        for i, j, view in _views(x, kernel, stride, dilation):
            if each == 1:
                dw[i, j] = self.sum_products(_repeated(view, out), dy)
            else:
                product = self.matmul_each(_blocks(view, groups).transpose(0, 2, 1), d)
                dw[i, j] = product.transpose(1, 0, 2).reshape(each, out)
        return dw

    def conv_taps_input_grad(
        self, dy: Array, weight: Array, shape: Sequence[int], stride: Pair, dilation: Pair
    ) -> Array:
        """Gradient of the padded images of `conv_taps`: each tap adds ``dy W[i, j]ᵀ`` to its view.

        The shape is that of the padded images.
        """
        groups = shape[3] // weight.shape[2]
        dx = self.xp.zeros(tuple(shape), dy.dtype)
        for i, j, view in _views(dx, weight.shape[:2], stride, dilation, dy.shape[1:3]):
            view += self._back_through_blocks(dy, weight[i, j], groups)
        return dx

    def _through_blocks(self, x: Array, w: Array, groups: int) -> Array:
        """``x W``, with W of `groups` blocks: (N, Ho, Wo, in), (in / groups, out)."""
        each, out = w.shape
        if each == 1:  # a channel of x for each group: no products of matrices
            return _repeated(x, out) * w[0]
        blocks = w.reshape(each, groups, -1).transpose(1, 0, 2)
        return _unblocked(self.matmul_each(_blocks(x, groups), blocks), x.shape[:3])

    def _back_through_blocks(self, dy: Array, w: Array, groups: int) -> Array:
        """``dy Wᵀ``: (N, Ho, Wo, out), (in / groups, out) -> (N, Ho, Wo, in)."""
        each, out = w.shape
        if each == 1:
            products = dy * w[0]
            if out == groups:
                return products
            return products.reshape(*dy.shape[:3], groups, out // groups).sum(axis=4)
        blocks = w.reshape(each, groups, -1).transpose(1, 2, 0)
        return _unblocked(self.matmul_each(_blocks(dy, groups), blocks), dy.shape[:3])

    # ---------------------------------------------------------------- borders

    def pad(self, x: Array, sides: tuple[Pair, Pair], mode: str) -> Array:
        """Add rows and columns around images (N, H, W, C).

        Parameters
        ----------
        x
            Shape (N, H, W, C).
        sides
            How many: ((above, below), (left, right)).
        mode
            What they hold. ``zeros``; ``reflect``: the image mirrored at its first and last pixel,
            which aren't repeated; ``replicate``: the nearest pixel; ``circular``: the other end.
        """
        name = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(mode, mode)
        return self.xp.pad(x, ((0, 0), *sides, (0, 0)), mode=name)

    def pad_grad(self, dy: Array, sides: tuple[Pair, Pair], mode: str) -> Array:
        """The adjoint of `pad`: each border is added to the pixels that it is a copy of."""
        for axis, (before, after) in enumerate(sides, start=1):
            turned = self.xp.moveaxis(dy, axis, 0)
            dy = self.xp.moveaxis(_cut(turned, before, after, mode), 0, axis)
        return self.xp.ascontiguousarray(dy)

    # ------------------------------------------------------------ filters that change the size

    def decimate(self, x: Array, taps: Sequence[float], factor: int, axis: int) -> Array:
        """Filter along one axis, keep each f-th entry: ``y[p] = Σ_t taps[t] x[f p + t - b]``.

        f is the factor, x is 0 outside, and b = (number of taps - f + 1) // 2 centres the filter.
        """
        padded = _with_border(self.xp, x, _border(taps, factor), axis)
        pieces = _strided(padded, len(taps), factor, x.shape[axis] // factor, axis)
        return sum(tap * piece for tap, piece in zip(taps, pieces, strict=True))

    def interpolate(self, x: Array, taps: Sequence[float], factor: int, axis: int) -> Array:
        """The adjoint of `decimate`: spread each entry over f entries with a filter."""
        (before, after), size = _border(taps, factor), factor * x.shape[axis]
        shape = [*x.shape[:axis], size + before + after, *x.shape[axis + 1 :]]
        padded = self.xp.zeros(tuple(shape), x.dtype)
        for tap, piece in zip(
            taps, _strided(padded, len(taps), factor, x.shape[axis], axis), strict=True
        ):
            piece += tap * x
        return self.xp.ascontiguousarray(padded[_along(axis, slice(before, before + size))])

    # ---------------------------------------------------------------- pooling

    def max_pool(self, x: Array, window: Window) -> tuple[Array, Array]:
        """Return the largest number under each position of the window, and which tap it was.

        x (N, H, W, C) is -inf outside. Of equal numbers the first counts, and NaN more than any.
        """
        (kh, kw), stride, (ph, pw) = window
        sides = ((0, 0), (ph, ph), (pw, pw), (0, 0))
        padded = x
        if ph or pw:
            padded = self.xp.pad(x, sides, mode="constant", constant_values=-numpy.inf)
        views = [view for _, _, view in _views(padded, (kh, kw), stride, (1, 1))]
        y, largest = views[0].copy(), self.xp.zeros(views[0].shape, "int32")
        for tap, view in enumerate(views[1:], start=1):
            larger = (view > y) | (view != view)
            y = self.xp.where(larger, view, y)
            largest = self.xp.where(larger, numpy.int32(tap), largest)
        return y, largest

    def max_pool_grad(
        self, dy: Array, largest: Array, shape: Sequence[int], window: Window
    ) -> Array:
        """Give each cotangent to the number that was the largest; shape is that of x."""
        n, height, width, channels = shape
        kernel, stride, (ph, pw) = window
        padded = self.xp.zeros((n, height + 2 * ph, width + 2 * pw, channels), dy.dtype)
        views = _views(padded, kernel, stride, (1, 1), dy.shape[1:3])
        for tap, (_, _, view) in enumerate(views):
            view += self.masked(dy, largest == tap)
        return self.xp.ascontiguousarray(padded[:, ph : ph + height, pw : pw + width])

    def max_pool_take(self, v: Array, largest: Array, window: Window) -> Array:
        """Return the entries of v (N, H, W, C) where those of x were the largest."""
        kernel, stride, padding = window
        padded = self.pad(v, _both(padding), "zeros")
        views = _views(padded, kernel, stride, (1, 1))
        taken: Any = (self.masked(view, largest == tap) for tap, (*_, view) in enumerate(views))
        return sum(taken)

    def average_pool(self, x: Array, window: Window) -> Array:
        """Average over each position of the window; the zeros of the padding count."""
        (kh, kw), stride, padding = window
        padded = self.pad(x, _both(padding), "zeros") if any(padding) else x
        views = (view for _, _, view in _views(padded, (kh, kw), stride, (1, 1)))
        return sum(views) / (kh * kw)

    def average_pool_grad(self, dy: Array, shape: Sequence[int], window: Window) -> Array:
        """The adjoint: an equal part of each cotangent for every pixel under the window."""
        n, height, width, channels = shape
        (kh, kw), stride, (ph, pw) = window
        padded = self.xp.zeros((n, height + 2 * ph, width + 2 * pw, channels), dy.dtype)
        part = dy / (kh * kw)
        for _, _, view in _views(padded, (kh, kw), stride, (1, 1), dy.shape[1:3]):
            view += part
        return self.xp.ascontiguousarray(padded[:, ph : ph + height, pw : pw + width])

    # ---------------------------------------------------------------- elementwise

    def elementwise(self, function: Callable[..., Array], *arrays: Array) -> Array:
        """``function(*arrays)``, which computes each entry from the same entry of each array.

        A faster version calls it for a piece of the arrays after the other.
        """
        return function(*arrays)

    def masked(self, x: Array, mask: Array) -> Array:
        """``x m`` where m > 0, else 0, even where x is infinite."""
        return self.xp.where(mask > 0, x, x.dtype.type(0)) * mask

    def zero(self, x: Array) -> None:
        """Set every entry of x to zero."""
        x[...] = 0

    def leaky_relu(self, x: Array, slope: float) -> Array:
        """``y = x`` where x > 0, else ``slope x``; with slope 0, that is 0 even for x = -∞."""
        if not slope:
            return self.xp.maximum(x, 0)
        return self.xp.where(x > 0, x, x * x.dtype.type(slope))

    def leaky_relu_grad(self, dy: Array, y: Array, slope: float) -> Array:
        """``dx = dy`` where x > 0, else ``slope dy`` (with slope 0, that is 0 even for an infinite
        dy); y has the sign of x, so x need not be kept.
        """
        factor = dy.dtype.type(slope)
        return self.xp.where(y > 0, dy, dy * factor if slope else factor)

    def bias_leaky_relu(self, x: Array, bias: Array, slope: float) -> Array:
        """`leaky_relu` of ``x + b``; x is (..., C), b (C,). The memory of x may become that of the
        result.
        """
        return self.leaky_relu(x + bias, slope)

    def bias_tanh(self, x: Array, bias: Array) -> Array:
        """``tanh(x + b)``."""
        return self.xp.tanh(x + bias)

    def bias_sigmoid(self, x: Array, bias: Array) -> Array:
        """``σ(x + b)``, see `sigmoid`."""
        return self.sigmoid(x + bias)

    def sigmoid(self, x: Array) -> Array:
        """``σ(x) = 1 / (1 + exp(-x))``, written so that no exponent is positive: see
        `minigan.losses.sigmoid`.
        """
        xp = self.xp
        return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-abs(x)))

    def draw(
        self, rng: numpy.random.Generator, make: Callable[[numpy.random.Generator], Any], dtype: Any
    ) -> Array:
        """Bring ``make(rng)``, random numbers of the host, to this device.

        Whoever draws through here can be recorded into a CUDA graph: each replay draws anew.
        """
        return self.asarray(make(randomness.generator(rng)), dtype=dtype)

    def number(self, make: Callable[[], Any], dtype: Any) -> Array:
        """Bring ``make()``, a number of the host that changes from step to step, to this device.

        Recorded into a CUDA graph, each replay asks for it anew.
        """
        return self.asarray(make(), dtype=dtype)

    def dropout_mask(
        self, shape: Sequence[int], p: float, dtype: Any, rng: numpy.random.Generator
    ) -> Array:
        """Zeros with probability p, else ``1 / (1 - p)``."""
        kept = rng.random(tuple(shape), dtype="float32") >= p
        return self.asarray(kept, dtype=dtype) / (1 - p)

    # ---------------------------------------------------------------- several ranks

    def sum_over_ranks(self, comm: Any, vector: Array) -> None:
        """Replace a contiguous vector by its sum over all ranks of an MPI communicator.

        It travels through the memory of the host. Every rank gets the same bits.
        """
        host = numpy.ascontiguousarray(self.to_numpy(vector))
        total = numpy.empty_like(host)
        comm.Allreduce(host, total)
        vector[...] = self.asarray(total)

    # ---------------------------------------------------------------- the loss on logits

    def mean_probability(self, logits: Array) -> Array:
        """``mean(σ(l))``, see `sigmoid`."""
        return self.sigmoid(logits).mean()

    def bce_with_logits(self, logits: Array, target: Any) -> tuple[Array, Array]:
        """``mean(softplus(l) - t l)`` and ``(σ(l) - t) / n``; t is a number or an array like
        `logits`.

        e = exp(-|l|) can't overflow; softplus(l) = max(l, 0) + log(1 + e), and σ(l) is 1 / (1 + e)
        for l >= 0, else e / (1 + e). Softplus comes in two terms: large ones cancel exactly before
        the small one is added.
        """
        xp = self.xp
        e = xp.exp(-abs(logits))
        loss = xp.maximum(logits, 0) - target * logits + xp.log1p(e)
        probability = xp.where(logits < 0, e, logits.dtype.type(1)) / (1 + e)
        return loss.mean(), (probability - target) / logits.size

    # ---------------------------------------------------------------- the optimizer's update

    def adam(
        self, theta: Array, g: Array, m: Array, v: Array, *, lr: float, betas: tuple[float, float],
        eps: float, t: int,
    ) -> None:  # fmt: skip
        """One step of Adam on flat vectors, in place (Kingma & Ba 2015, Algorithm 1)."""
        beta1, beta2 = betas
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * g * g
        m_hat = m / (1 - beta1**t)
        v_hat = v / (1 - beta2**t)
        theta -= lr * m_hat / (self.xp.sqrt(v_hat) + eps)

    def shrink(self, theta: Array, lr: float, rate: float) -> None:
        """Weight decay, in place: ``θ ← (1 - lr rate) θ``."""
        theta *= 1 - lr * rate


def _mean(x: Array, each: int = 1) -> Array:
    """Over each set, `each` columns of a sample: (N, m, c) -> (N, 1, c)."""
    means = x.mean(axis=1, keepdims=True)
    if each == 1:
        return means
    n, _, columns = x.shape
    return means.reshape(n, 1, columns // each, each).mean(axis=3).repeat(each, axis=2)


def _rows(patches: Array) -> Array:
    """A row per window position: (N, Ho, Wo, kh, kw, C) -> (N Ho Wo, kh kw C)."""
    n, ho, wo, kh, kw, channels = patches.shape
    return patches.reshape(n * ho * wo, kh * kw * channels)


def _views(
    x: Array, kernel: Sequence[int], stride: Pair, dilation: Pair, size: Sequence[int] | None = None
) -> Iterator[tuple[int, int, Any]]:
    """Yield what each tap (i, j) of the window sees of x, in all its positions: (N, Ho, Wo, C)."""
    (kh, kw), (sh, sw), (dh, dw) = kernel, stride, dilation
    height, width = x.shape[1:3]
    ho, wo = size or ((height - (kh - 1) * dh - 1) // sh + 1, (width - (kw - 1) * dw - 1) // sw + 1)
    for i in range(kh):
        for j in range(kw):
            rows = slice(i * dh, i * dh + sh * (ho - 1) + 1, sh)
            columns = slice(j * dw, j * dw + sw * (wo - 1) + 1, sw)
            yield i, j, x[:, rows, columns]


def _blocks(x: Array, groups: int) -> Array:
    """A matrix for each group of channels: (N, Ho, Wo, C) -> (groups, N Ho Wo, C / groups)."""
    return x.reshape(-1, groups, x.shape[3] // groups).transpose(1, 0, 2)


def _unblocked(blocks: Array, shape: Sequence[int]) -> Array:
    """Join the channels of all groups: (groups, N Ho Wo, C / groups) -> (N, Ho, Wo, C)."""
    groups, _, each = blocks.shape
    return blocks.transpose(1, 0, 2).reshape(*shape, groups * each)


def _repeated(x: Array, out: int) -> Array:
    """Each channel as often as there are output channels for it."""
    return x if x.shape[3] == out else x.repeat(out // x.shape[3], axis=3)


def _cut(dy: Array, before: int, after: int, mode: str) -> Array:
    """Cut the borders off the first axis, and add them to what they are copies of."""
    n = dy.shape[0] - before - after
    head, dx, tail = dy[:before], dy[before : before + n].copy(), dy[before + n :]
    if mode == "reflect":
        dx[1 : before + 1] = dx[1 : before + 1] + head[::-1]
        dx[n - 1 - after : n - 1] = dx[n - 1 - after : n - 1] + tail[::-1]
    if mode == "replicate":
        dx[0] = dx[0] + head.sum(axis=0)
        dx[n - 1] = dx[n - 1] + tail.sum(axis=0)
    if mode == "circular":
        dx[n - before :] = dx[n - before :] + head
        dx[:after] = dx[:after] + tail
    return dx


def _both(padding: Pair) -> tuple[Pair, Pair]:
    """The same padding on both sides of each axis."""
    return (padding[0], padding[0]), (padding[1], padding[1])


def _border(taps: Sequence[float], factor: int) -> Pair:
    """How far a centred filter reaches beyond the first and the last entry."""
    return (len(taps) - factor + 1) // 2, (len(taps) - factor) // 2


def _with_border(xp: Any, x: Array, border: Pair, axis: int) -> Array:
    sides = [(0, 0)] * x.ndim
    sides[axis] = border
    return xp.pad(x, sides)


def _strided(x: Array, taps: int, step: int, size: int, axis: int) -> Iterator[Any]:
    """Yield the entries of an axis that each tap meets: every step-th, `size` of them."""
    for tap in range(taps):
        yield x[_along(axis, slice(tap, tap + step * (size - 1) + 1, step))]


def _along(axis: int, piece: slice) -> tuple[slice, ...]:
    """Index one axis by `piece`, and the axes before it wholly."""
    return (*[slice(None)] * axis, piece)


def _matrix(weight: Array) -> Array:
    """A column per output channel: (kh, kw, in, out) -> (kh kw in, out)."""
    return weight.reshape(-1, weight.shape[3])

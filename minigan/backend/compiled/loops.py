r"""The CPU's primitives as loops over single numbers, compiled by Numba.

NumPy does one operation at a time on a whole array; a chain of them fetches and writes each number
once per operation, and its threads wait for the interpreter between any two. A compiled loop does
the chain while the number is in a register, and holds no lock. Each loop here is the twin of a few
lines of NumPy: see `minigan.backend.cpu` and `minigan.backend.cpu.winograd`, which also say what is
computed and why.

**Winograd's six maps are two loops.** B, G, A and their transposes all are ``L d Rᵀ`` for the
blocks d of a tile, channel by channel. Three of them go from pixels to points, `to_points`: B from
the image, Aᵀ from the cotangent of the result, G from the kernel, which is an image of a single
tile. Their transposes go back and add, `from_points`.

Only whole-array slices, contiguous, of one dtype, get here. Indices are unsigned, since a signed
one might count from the end, and a loop that has to look isn't vectorised.
"""

from __future__ import annotations

import numba
import numpy

INDEX = numpy.uintp
WIDTH = 128
"""Numbers of a block that are mapped at a time, so that a row of tiles stays in the cache: beyond,
loops over them become no faster.
"""

LONGEST = 6
"""The longest side of a tile in blocks, r of `minigan.backend.cpu.winograd`."""

ROWS = 256
"""Rows that are added before their sum is added to the total: that keeps the rounding error of long
sums small.
"""

LANES = 64
"""Numbers of a sample that are added side by side."""

ONCE = (0, 0)
"""No steps, for what is combined once."""


def _compiled(loop):
    # Contraction lets a product and a sum be rounded once; nothing else may be reordered.
    options = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}
    try:
        return numba.njit(**options, cache=True)(loop)
    except RuntimeError:  # no folder may be written to: then it is compiled once per process
        return numba.njit(**options)(loop)


# ---------------------------------------------------------------- elementwise


@_compiled
def masked(x, mask, y):
    """``y = x m`` where m > 0, else 0."""
    zero = y.dtype.type(0)
    for i in range(x.size):
        y[i] = x[i] * mask[i] if mask[i] > 0 else zero


@_compiled
def leaky_relu(x, y, slope):
    """``y = x`` where x > 0, else ``slope x``; slope > 0."""
    for i in range(x.size):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


@_compiled
def leaky_relu_grad(dy, y, dx, slope):
    """``dx = dy`` where y > 0, else ``slope dy``; slope > 0."""
    for i in range(dx.size):
        dx[i] = dy[i] if y[i] > 0 else slope * dy[i]


@_compiled
def bias_leaky_relu(x, bias, slope):
    """``x + b`` in the place of x, and of that `leaky_relu`; slope > 0."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            shifted = x[i, c] + bias[c]
            x[i, c] = shifted if shifted > 0 else slope * shifted


# With a slope of 0, what is closed gives 0, even if it is infinite; 0 * inf isn't.


@_compiled
def relu_grad(dy, y, dx):
    """``dx = dy`` where y > 0, else 0."""
    zero = dx.dtype.type(0)
    for i in range(dx.size):
        dx[i] = dy[i] if y[i] > 0 else zero


@_compiled
def bias_relu(x, bias):
    """``max(x + b, 0)`` in the place of x."""
    zero = x.dtype.type(0)
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            shifted = x[i, c] + bias[c]
            x[i, c] = zero if shifted <= 0 else shifted


@_compiled
def scale_where(bits, threshold, scale, out):
    """``out = scale`` where bits reach the threshold, else 0."""
    zero = out.dtype.type(0)
    for i in range(out.size):
        out[i] = scale if bits[i] >= threshold else zero


@_compiled
def outer(a, b, out):
    """``out = a bᵀ`` of two vectors."""
    for i in range(a.size):
        for j in range(b.size):
            out[i, j] = a[i] * b[j]


@_compiled
def bce_with_logits(logits, target, dlogits):
    """Return ``mean(softplus(l) - t l)``, with ``(σ(l) - t) / n`` to `dlogits`; t is one number or
    one for each l.
    """
    total, n, one, zero = 0.0, logits.size, logits.dtype.type(1), logits.dtype.type(0)
    for i in range(n):
        x, t = logits[i], target[i % target.size]
        e = numpy.exp(-abs(x))
        total += (x if x > 0 else zero) - t * x + numpy.log1p(e)
        dlogits[i] = ((e if x < 0 else one) / (one + e) - t) / n
    return total / n


@_compiled
def adam(theta, g, m, v, beta1, beta2, step, floor):
    """One step of Adam, with the bias corrections in `step` and `floor`."""
    number = theta.dtype.type
    keep1, keep2, add1, add2 = number(beta1), number(beta2), number(1 - beta1), number(1 - beta2)
    size, least = number(step), number(floor)
    for i in range(theta.size):
        m[i] = keep1 * m[i] + add1 * g[i]
        v[i] = keep2 * v[i] + add2 * (g[i] * g[i])
        theta[i] -= size * (m[i] / (numpy.sqrt(v[i]) + least))


# ---------------------------------------------------------------- rows of features


@_compiled
def add_rows(x, total):
    """Add the rows of x to `total`."""
    part = numpy.empty_like(total)
    for first in range(0, x.shape[0], ROWS):
        part[:] = 0
        for i in range(first, min(first + ROWS, x.shape[0])):
            for c in range(x.shape[1]):
                part[c] += x[i, c]
        for c in range(x.shape[1]):
            total[c] += part[c]


@_compiled
def add_products(a, b, total):
    """Add the rows of ``a b`` to `total`."""
    part = numpy.empty_like(total)
    for first in range(0, a.shape[0], ROWS):
        part[:] = 0
        for i in range(first, min(first + ROWS, a.shape[0])):
            for c in range(a.shape[1]):
                part[c] += a[i, c] * b[i, c]
        for c in range(a.shape[1]):
            total[c] += part[c]


@_compiled
def add_moments(x, near, total, squares):
    """Add the rows of ``x - near`` to `total`, and of their squares to `squares`."""
    part, square = numpy.empty_like(total), numpy.empty_like(total)
    for first in range(0, x.shape[0], ROWS):
        part[:] = 0
        square[:] = 0
        for i in range(first, min(first + ROWS, x.shape[0])):
            for c in range(x.shape[1]):
                centred = x[i, c] - near[c]
                part[c] += centred
                square[c] += centred * centred
        for c in range(x.shape[1]):
            total[c] += part[c]
        for c in range(x.shape[1]):
            squares[c] += square[c]


@_compiled
def standardise(x, mean, inverse_s, gamma, beta, x_hat, y):
    """``x̂ = (x - mean) inverse_s`` and ``y = gamma x̂ + beta``."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            x_hat[i, c] = (x[i, c] - mean[c]) * inverse_s[c]
        for c in range(
            x.shape[1]
        ):  # in a loop of its own: for so many arrays at once, nothing is vectorised
            y[i, c] = gamma[c] * x_hat[i, c] + beta[c]


@_compiled
def standardise_grad(dy, x_hat, scale, mean_dy, mean_dyx, dx):
    """``dx = scale (dy - mean_dy - x̂ mean_dyx)``."""
    for i in range(dx.shape[0]):
        for c in range(dx.shape[1]):
            dx[i, c] = scale[c] * (dy[i, c] - (mean_dy[c] + x_hat[i, c] * mean_dyx[c]))


# ---------------------------------------------------------------- samples

# A sample (m, c), as a row of m c numbers, is read in runs of as many whole rows of c as make
# `LANES` numbers. Each place of a run, a lane, has a sum of its own, so that neighbours are added
# side by side; in the end the lanes of a column are added, and all get their mean.


@_compiled
def _lanes(columns):
    return columns * max(1, LANES // columns)


@_compiled
def _to_means(lanes, columns, size, each):
    """Put into each lane the mean of its set, `each` neighbouring columns, of which the lanes hold
    the sums.
    """
    sets, count = lanes.dtype.type(columns // each), lanes.dtype.type(size)
    for first in range(0, columns, each):
        total = lanes.dtype.type(0)
        for c in range(first, first + each):
            for k in range(c, lanes.size, columns):
                total += lanes[k]
        total = total * sets / count
        for c in range(first, first + each):
            for k in range(c, lanes.size, columns):
                lanes[k] = total


@_compiled
def _to_lanes(of_columns, lanes):
    """Give each lane the number of its column."""
    for start in range(0, lanes.size, of_columns.size):
        for c in range(of_columns.size):
            lanes[INDEX(start) + INDEX(c)] = of_columns[c]


@_compiled
def standardise_samples(x, gamma, beta, eps, x_hat, y, inverse_s, each):
    """``x̂ = (x - mean) / s`` of each set of `each` columns of a sample, ``y = gamma x̂ + beta``.

    x, x̂ and y (N, m c), gamma and beta (m c) or empty, 1 / s (N, c).
    """
    columns, size, one = inverse_s.shape[1], x.shape[1], x.dtype.type(1)
    width = _lanes(columns)
    mean, inverse = numpy.empty(width, x.dtype), numpy.empty(width, x.dtype)
    for i in range(x.shape[0]):
        mean[:] = 0
        inverse[:] = 0
        for start in range(0, size, width):
            first = INDEX(start)
            for k in range(INDEX(min(width, size - start))):
                mean[k] += x[i, first + k]
        _to_means(mean, columns, size, each)
        for start in range(0, size, width):
            first = INDEX(start)
            for k in range(INDEX(min(width, size - start))):
                centred = x[i, first + k] - mean[k]
                inverse[k] += centred * centred
        _to_means(inverse, columns, size, each)
        for k in range(width):
            inverse[k] = one / numpy.sqrt(inverse[k] + eps)
        for c in range(columns):
            inverse_s[i, c] = inverse[c]
        for start in range(0, size, width):
            first, count = INDEX(start), INDEX(min(width, size - start))
            for k in range(count):
                x_hat[i, first + k] = (x[i, first + k] - mean[k]) * inverse[k]
            if gamma.size:
                for k in range(count):
                    y[i, first + k] = gamma[first + k] * x_hat[i, first + k] + beta[first + k]


@_compiled
def standardise_samples_grad(dy, x_hat, inverse_s, gamma, dx, each):
    """``dx = (q - mean q - x̂ mean(q x̂)) / s`` with ``q = gamma dy``; shapes as above."""
    columns, size = inverse_s.shape[1], dy.shape[1]
    width = _lanes(columns)
    mean_q, mean_qx = numpy.empty(width, dy.dtype), numpy.empty(width, dy.dtype)
    scale = numpy.empty(width, dy.dtype)
    for i in range(dy.shape[0]):
        mean_q[:] = 0
        mean_qx[:] = 0
        for start in range(0, size, width):
            first, count = INDEX(start), INDEX(min(width, size - start))
            _scaled(gamma, dy, i, first, dx, count)
            for k in range(count):
                mean_q[k] += dx[i, first + k]
                mean_qx[k] += dx[i, first + k] * x_hat[i, first + k]
        _to_means(mean_q, columns, size, each)
        _to_means(mean_qx, columns, size, each)
        _to_lanes(inverse_s[i], scale)
        for start in range(0, size, width):
            first = INDEX(start)
            for k in range(INDEX(min(width, size - start))):
                q = dx[i, first + k] - mean_q[k]
                dx[i, first + k] = (q - x_hat[i, first + k] * mean_qx[k]) * scale[k]


@_compiled
def _scaled(gamma, dy, i, first, out, count):
    """``gamma dy`` of a run of sample i, to `out`."""
    if gamma.size:
        for k in range(count):
            out[i, first + k] = gamma[first + k] * dy[i, first + k]
    else:
        for k in range(count):
            out[i, first + k] = dy[i, first + k]


@_compiled
def standardise_samples_grad_twice(v, dy, x_hat, inverse_s, gamma, dx, each):
    """The gradient of ``⟨v, dx⟩`` with respect to x, see
    `minigan.backend.reference.Reference.standardise_samples_grad_twice`.
    """
    columns, size, two = inverse_s.shape[1], v.shape[1], v.dtype.type(2)
    width = _lanes(columns)
    means = numpy.empty((5, width), v.dtype)
    q, tangent, qx, vx, qv = means[0], means[1], means[2], means[3], means[4]
    of_x, of_q, of_v, shift = (
        numpy.empty(width, v.dtype),
        numpy.empty(width, v.dtype),
        numpy.empty(width, v.dtype),
        numpy.empty(width, v.dtype),
    )
    for i in range(v.shape[0]):
        means[:] = 0
        for start in range(0, size, width):
            first, count = INDEX(start), INDEX(min(width, size - start))
            _scaled(gamma, dy, i, first, dx, count)
            for k in range(count):
                q[k] += dx[i, first + k]
                qx[k] += dx[i, first + k] * x_hat[i, first + k]
                qv[k] += dx[i, first + k] * v[i, first + k]
            for k in range(count):
                tangent[k] += v[i, first + k]
                vx[k] += v[i, first + k] * x_hat[i, first + k]
        for row in range(5):
            _to_means(means[row], columns, size, each)
        _to_lanes(inverse_s[i], shift)
        for k in range(width):
            factor = -shift[k] * shift[k]
            a = qv[k] - q[k] * tangent[k] - qx[k] * vx[k]
            of_x[k] = factor * (a - two * vx[k] * qx[k])
            of_q[k], of_v[k] = factor * vx[k], factor * qx[k]
            shift[k] = factor * (vx[k] * q[k] + qx[k] * tangent[k])
        for start in range(0, size, width):
            first = INDEX(start)
            for k in range(INDEX(min(width, size - start))):
                of_both = of_q[k] * dx[i, first + k] + of_v[k] * v[i, first + k]
                dx[i, first + k] = of_x[k] * x_hat[i, first + k] + of_both - shift[k]


# ---------------------------------------------------------------- patches


@_compiled
def unfold(x, patches, stride, padding, width):
    """Gather the patch under each window position, with zeros outside.

    x (N, H, W C), patches (N, Ho, Wo, kh, kw C): pixels beside each other are one run of `width` C
    numbers.
    """
    channels, run = x.shape[2] // width, patches.shape[4]
    for image in range(x.shape[0]):
        for p in range(patches.shape[1]):
            for q in range(patches.shape[2]):
                left = (q * stride[1] - padding[1]) * channels
                for i in range(patches.shape[3]):
                    row = p * stride[0] - padding[0] + i
                    inside = 0 <= row < x.shape[1]
                    start = min(max(0, -left), run) if inside else run
                    stop = max(start, min(run, x.shape[2] - left))
                    for c in range(start):
                        patches[image, p, q, i, c] = 0
                    for c in range(INDEX(stop - start)):
                        patches[image, p, q, i, INDEX(start) + c] = x[
                            image, row, INDEX(left + start) + c
                        ]
                    for c in range(INDEX(run - stop)):
                        patches[image, p, q, i, INDEX(stop) + c] = 0


@_compiled
def fold(patches, x, stride, padding):
    """Add every patch (N, Ho, Wo, kh, kw, C) to x (N, H, W, C), where `unfold` took it from."""
    n, ho, wo, kh, kw, channels = patches.shape
    for image in range(n):
        for p in range(ho):
            for i in range(kh):
                row = p * stride[0] - padding[0] + i
                if row < 0 or row >= x.shape[1]:
                    continue
                for q in range(wo):
                    left = q * stride[1] - padding[1]
                    for j in range(max(0, -left), min(kw, x.shape[2] - left)):
                        for c in range(channels):
                            x[image, row, left + j, c] += patches[image, p, q, i, j, c]


# ---------------------------------------------------------------- windows, channel by channel


@_compiled
def depthwise(x, w, y, stride, dilation):
    """``y[n, p, q] = Σ_ij x[n, p s + i d, q s + j d] w[i, j]``, for each channel by itself."""
    for n in range(y.shape[0]):
        for p in range(y.shape[1]):
            for q in range(y.shape[2]):
                out = y[n, p, q]
                out[:] = 0
                for i in range(w.shape[0]):
                    for j in range(w.shape[1]):
                        _add_product(
                            x[n, p * stride[0] + i * dilation[0], q * stride[1] + j * dilation[1]],
                            w[i, j],
                            out,
                        )


@_compiled
def depthwise_weight_grad(x, dy, dw, stride, dilation):
    """Add ``x[n, p s + i d, q s + j d] dy[n, p, q]`` to dw[i, j], image by image."""
    of_image = numpy.empty_like(dw)
    for n in range(dy.shape[0]):
        of_image[:] = 0
        for p in range(dy.shape[1]):
            for q in range(dy.shape[2]):
                for i in range(dw.shape[0]):
                    for j in range(dw.shape[1]):
                        _add_product(
                            x[n, p * stride[0] + i * dilation[0], q * stride[1] + j * dilation[1]],
                            dy[n, p, q],
                            of_image[i, j],
                        )
        dw += of_image


@_compiled
def depthwise_input_grad(dy, w, dx, stride, dilation):
    """Add ``dy[n, p, q] w[i, j]`` to dx[n, p s + i d, q s + j d]."""
    for n in range(dy.shape[0]):
        for p in range(dy.shape[1]):
            for q in range(dy.shape[2]):
                for i in range(w.shape[0]):
                    for j in range(w.shape[1]):
                        _add_product(
                            dy[n, p, q],
                            w[i, j],
                            dx[n, p * stride[0] + i * dilation[0], q * stride[1] + j * dilation[1]],
                        )


@_compiled
def _add_product(a, b, out):
    for c in range(out.size):
        out[c] += a[c] * b[c]


@_compiled
def max_pool(x, y, largest, kernel, stride, padding):
    """The largest number under each position of a window, and which tap it was."""
    for n in range(y.shape[0]):
        for p in range(y.shape[1]):
            for q in range(y.shape[2]):
                out, taken = y[n, p, q], largest[n, p, q]
                out[:] = -numpy.inf
                taken[:] = 0
                for i in range(kernel[0]):
                    for j in range(kernel[1]):
                        row, column = p * stride[0] - padding[0] + i, q * stride[1] - padding[1] + j
                        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                            _keep_larger(x[n, row, column], i * kernel[1] + j, out, taken)


@_compiled
def _keep_larger(numbers, tap, out, taken):
    for c in range(out.size):
        larger = numbers[c] > out[c] or numbers[c] != numbers[c]
        out[c] = numbers[c] if larger else out[c]
        taken[c] = tap if larger else taken[c]


@_compiled
def max_pool_grad(dy, largest, dx, kernel, stride, padding):
    """Give each cotangent to what was the largest under its position; no two have it in common."""
    for n in range(dy.shape[0]):
        for p in range(dy.shape[1]):
            for q in range(dy.shape[2]):
                row, column = p * stride[0] - padding[0], q * stride[1] - padding[1]
                for c in range(dy.shape[3]):
                    i, j = divmod(largest[n, p, q, c], kernel[1])
                    if 0 <= row + i < dx.shape[1] and 0 <= column + j < dx.shape[2]:
                        dx[n, row + i, column + j, c] = dy[n, p, q, c]


# ---------------------------------------------------------------- Winograd's form

# `L d Rᵀ` is done one axis after the other, a row of tiles at a time. First L: it adds whole rows
# of pixels, which are long and lie in memory as they are wanted, whatever tile they belong to. The
# sums are *lines*, one for each of L's points. Along a line a block is a run of neighbours, and R
# adds runs. `from_points` goes back the same way.


@_compiled
def _combine(add, w, at, terms, source, begin, steps, target, to, jumps, counts, width):
    """Set, or add to, ``target[to + i jump_0 + j jump_1 + c]`` the sum over k of
    ``w_k source[begin + i step_0 + j step_1 + at_k + c]``, for i and j below `counts`, c < width.

    As many terms as a row may have are one expression each: a loop over terms would write the sum
    and fetch it again for each of them.
    """
    w0, w1, w2, w3, w4, w5 = w[0], w[1], w[2], w[3], w[4], w[5]
    zero, size = target.dtype.type(0), INDEX(max(0, width))
    for i in range(counts[0]):
        for j in range(counts[1]):
            shift = begin + i * steps[0] + j * steps[1]
            t = INDEX(to + i * jumps[0] + j * jumps[1])
            s0, s1, s2 = INDEX(at[0] + shift), INDEX(at[1] + shift), INDEX(at[2] + shift)
            s3, s4, s5 = INDEX(at[3] + shift), INDEX(at[4] + shift), INDEX(at[5] + shift)
            if terms == 6:
                for c in range(size):
                    target[t + c] = (
                        (target[t + c] if add else zero)
                        + w0 * source[s0 + c]
                        + w1 * source[s1 + c]
                        + w2 * source[s2 + c]
                        + w3 * source[s3 + c]
                        + w4 * source[s4 + c]
                        + w5 * source[s5 + c]
                    )
            elif terms == 5:
                for c in range(size):
                    target[t + c] = (
                        (target[t + c] if add else zero)
                        + w0 * source[s0 + c]
                        + w1 * source[s1 + c]
                        + w2 * source[s2 + c]
                        + w3 * source[s3 + c]
                        + w4 * source[s4 + c]
                    )
            elif terms == 4:
                for c in range(size):
                    target[t + c] = (
                        (target[t + c] if add else zero)
                        + w0 * source[s0 + c]
                        + w1 * source[s1 + c]
                        + w2 * source[s2 + c]
                        + w3 * source[s3 + c]
                    )
            elif terms == 3:
                for c in range(size):
                    target[t + c] = (
                        (target[t + c] if add else zero)
                        + w0 * source[s0 + c]
                        + w1 * source[s1 + c]
                        + w2 * source[s2 + c]
                    )
            elif terms == 2:
                for c in range(size):
                    target[t + c] = (
                        (target[t + c] if add else zero) + w0 * source[s0 + c] + w1 * source[s1 + c]
                    )
            elif terms == 1:
                for c in range(size):
                    target[t + c] = (target[t + c] if add else zero) + w0 * source[s0 + c]
            elif not add:
                for c in range(size):
                    target[t + c] = zero


@_compiled
def _terms(matrix, i, least, most, first, step, w, at):
    """Put the numbers of row i that aren't zero, from `least` up to `most`, into w, and where what
    they multiply begins into `at`; return how many.
    """
    terms = 0
    for k in range(max(least, 0), min(most, matrix.shape[1])):
        if matrix[i, k] != 0:
            w[terms], at[terms] = matrix[i, k], first + k * step
            terms += 1
    return terms


@_compiled
def to_points(image, points, tile, left, right, stride, outputs, grid, padding, run, part):
    """Map blocks of s x s pixels to points, ``L d Rᵀ`` for each tile, with zeros outside the image.

    image (N, H, W C); points (a b, tiles, s² C), of which N th tw from `tile` on are made; left
    (a, u) and right (b, v) for tiles of u x v blocks, which lie `outputs` blocks apart, `grid` of
    them in an image; padding in rows, and in numbers of a row; run, the s C numbers of a block's
    row. Of a block's (s, s C), `part` says which are made: rows from, to, numbers from, to.
    """
    n, height, length = image.shape
    a, (b, v) = len(left), right.shape
    channels, blocks = points.shape[2], outputs[1] * (grid[1] - 1) + v
    every = points.shape[1] * channels
    pixels, targets = image.reshape(-1), points.reshape(-1)
    w, at = numpy.zeros(LONGEST, image.dtype), numpy.zeros(LONGEST, numpy.int64)
    for start in range(part[2], part[3], WIDTH):
        width = min(WIDTH, part[3] - start)
        line = blocks * width
        pieces, size = (1, line) if width == run else (blocks, width)
        lines = numpy.zeros(a * line, image.dtype)
        for i in range(n * grid[0]):
            for row in range(part[0], part[1]):
                y = stride[0] * outputs[0] * (i % grid[0]) - padding[0] + row
                first = (i // grid[0] * height + y) * length
                least, most = -(y // stride[0]), (height - y + stride[0] - 1) // stride[0]
                for p in range(a):
                    terms = _terms(left, p, least, most, first, stride[0] * length, w, at)
                    for k in range(pieces):
                        x = k * run + start - padding[1]
                        begin = max(0, -x)
                        _combine(
                            False, w, at, terms, pixels, x + begin, ONCE,
                            lines, p * line + k * size + begin, ONCE, (1, 1),
                            min(size, length - x) - begin,
                        )  # fmt: skip
                for q in range(b):
                    terms = _terms(right, q, 0, v, 0, width, w, at)
                    to = q * every + (tile + i * grid[1]) * channels + row * run + start
                    _combine(
                        False, w, at, terms, lines, 0, (line, outputs[1] * width),
                        targets, to, (b * every, channels), (a, grid[1]), width,
                    )  # fmt: skip


@_compiled
def from_points(points, tile, image, bias, left, right, stride, outputs, grid, padding, run, part):
    """Map points to blocks of pixels, ``L d Rᵀ`` for each tile, and add them to the image:
    `to_points` transposed.

    Shapes as in `to_points`, but left (u, a) and right (v, b), and the points are those of the
    `part`. What lies outside the image is dropped. With a bias (C,) the image is set to it before.
    """
    n, height, length = image.shape
    (u, a), (v, b) = left.shape, right.shape
    channels, blocks = points.shape[2], outputs[1] * (grid[1] - 1) + v
    every = points.shape[1] * channels
    pixels, sources = image.reshape(-1), points.reshape(-1)
    w, at = numpy.zeros(LONGEST, image.dtype), numpy.zeros(LONGEST, numpy.int64)
    if bias.size:
        for start in range(0, image.size, bias.size):
            for c in range(INDEX(bias.size)):
                pixels[INDEX(start) + c] = bias[c]
    for start in range(part[2], part[3], WIDTH):
        width = min(WIDTH, part[3] - start)
        line = blocks * width
        pieces, size = (1, line) if width == run else (blocks, width)
        lines = numpy.zeros(a * line, image.dtype)
        for i in range(n * grid[0]):
            for row in range(part[0], part[1]):
                for p in range(a):
                    for c in range(p * line + outputs[1] * grid[1] * width, (p + 1) * line):
                        lines[c] = 0
                begin = (tile + i * grid[1]) * channels + (row - part[0]) * run + start - part[2]
                for q in range(v):
                    terms = _terms(right, q, 0, b, begin, every, w, at)
                    _combine(
                        q >= outputs[1], w, at, terms, sources, 0, (b * every, channels),
                        lines, q * width, (line, outputs[1] * width), (a, grid[1]), width,
                    )  # fmt: skip
                top = stride[0] * outputs[0] * (i % grid[0]) - padding[0] + row
                for p in range(u):
                    y = top + stride[0] * p
                    if y < 0 or y >= height:
                        continue
                    terms = _terms(left, p, 0, a, 0, line, w, at)
                    for k in range(pieces):
                        x = k * run + start - padding[1]
                        begin = max(0, -x)
                        _combine(
                            True, w, at, terms, lines, k * size + begin, ONCE,
                            pixels, (i // grid[0] * height + y) * length + x + begin, ONCE, (1, 1),
                            min(size, length - x) - begin,
                        )  # fmt: skip

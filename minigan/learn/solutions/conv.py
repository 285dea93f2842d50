"""Exercise 16: the convolution.

y at a pixel is a linear map of the patch of x under the kernel:

    y[n, i, j] = Σ_u Σ_v x[n, i·stride + u - padding, j·stride + v - padding] w[u, v] + b,

with 0 outside the image. Channels come last; w[u, v] is an (in, out) matrix, as in a linear layer.

Tutorial 7 derives it. Loop over the k × k positions of the kernel, not over samples and pixels:
that is quick enough to train on.
"""

import numpy as np


def forward(x, w, b, stride, padding):
    """Map x to y.

    Given: x (N, H, W, in), w (k, k, in, out), b (out,); stride and padding, whole numbers.
    Asked: y (N, H', W', out) with H' = (H + 2 padding - k) // stride + 1, and a cache: return y,
    cache.
    """
    k = len(w)
    p = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = (p.shape[1] - k) // stride + 1, (p.shape[2] - k) // stride + 1
    y = np.zeros((len(x), rows, columns, w.shape[3]), x.dtype) + b
    for i in range(k):
        for j in range(k):
            y += p[:, i : i + stride * rows : stride, j : j + stride * columns : stride] @ w[i, j]
    return y, (p, w, stride, padding)


def backward(dy, cache):
    """Pull dy back.

    Given: dy (N, H', W', out); the cache.
    Asked: dx (N, H, W, in), dw (k, k, in, out), db (out,): return dx, dw, db.
    """
    p, w, stride, padding = cache
    rows, columns = dy.shape[1:3]
    dp, dw = np.zeros_like(p), np.zeros_like(w)
    flat = dy.reshape(-1, dy.shape[3])
    for i in range(len(w)):
        for j in range(len(w)):
            part = slice(i, i + stride * rows, stride), slice(j, j + stride * columns, stride)
            dw[i, j] = p[:, part[0], part[1]].reshape(-1, w.shape[2]).T @ flat
            dp[:, part[0], part[1]] += dy @ w[i, j].T
    height, width = p.shape[1] - padding, p.shape[2] - padding
    return dp[:, padding:height, padding:width], dw, dy.sum(axis=(0, 1, 2))

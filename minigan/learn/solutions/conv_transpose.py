"""Exercise 17: the transposed convolution.

It enlarges images in the generator, and it is nothing new: the adjoint of a convolution, that is,
the convolution's backward map taken as forward. Each pixel of x puts w, times its number, onto the
output:

    y[n, i·stride + u - padding, j·stride + v - padding] += w[u, v] x[n, i, j],

where w[u, v] is (out, in), so w is the weight of the convolution that it is the adjoint of. And its
own backward map is that convolution.

Tutorial 7 derives it.
"""

import numpy as np


def forward(x, w, b, stride, padding):
    """Map x to y.

    Given: x (N, H, W, in), w (k, k, out, in), b (out,); stride and padding, whole numbers.
    Asked: y (N, H', W', out) with H' = (H - 1) stride - 2 padding + k, and a cache: return y,
    cache.
    """
    n, height, width, _ = x.shape
    k = len(w)
    whole = np.zeros((n, (height - 1) * stride + k, (width - 1) * stride + k, w.shape[2]), x.dtype)
    for i in range(k):
        for j in range(k):
            part = whole[:, i : i + stride * height : stride, j : j + stride * width : stride]
            part += x @ w[i, j].T
    bottom, right = whole.shape[1] - padding, whole.shape[2] - padding
    return whole[:, padding:bottom, padding:right] + b, (x, w, stride, padding)


def backward(dy, cache):
    """Pull dy back.

    Given: dy (N, H', W', out); the cache.
    Asked: dx (N, H, W, in), dw (k, k, out, in), db (out,): return dx, dw, db.
    """
    x, w, stride, padding = cache
    p = np.pad(dy, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    rows, columns = x.shape[1:3]
    dx, dw = np.zeros_like(x), np.zeros_like(w)
    flat = x.reshape(-1, x.shape[3])
    for i in range(len(w)):
        for j in range(len(w)):
            part = p[:, i : i + stride * rows : stride, j : j + stride * columns : stride]
            dx += part @ w[i, j]
            dw[i, j] = part.reshape(-1, w.shape[2]).T @ flat
    return dx, dw, dy.sum(axis=(0, 1, 2))

"""Exercise 2: the linear layer.

y = x W + b for a batch of samples. The cache carries from forward to backward whatever backward
needs. With dy = dL/dy given, the chain rule sums over the entries of y that an entry affects:

    dL/dW_io = Σ_n Σ_p dL/dy_np · dy_np/dW_io, and likewise for b and x.

Tutorial 2 derives it.
"""

import numpy as np


def forward(x, w, b):
    """Map x to y = x w + b.

    Given: x (N, in), w (in, out), b (out,).
    Asked: y (N, out), and a cache for backward, of any kind: return y, cache.
    """
    return x @ w + b, (x, w)


def backward(dy, cache):
    """Pull dy back.

    Given: dy (N, out), the gradient of the loss with respect to y; the cache from forward.
    Asked: dx (N, in), dw (in, out), db (out,): return dx, dw, db. They sum over the samples: a
    mean is up to the loss.
    """
    x, w = cache
    return dy @ w.T, x.T @ dy, dy.sum(axis=0)

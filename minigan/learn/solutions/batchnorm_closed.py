"""Exercise 14: batch norm, backward in closed form.

Put the steps of exercise 13 together and simplify. With q = γ dy,

    dx = (q - mean(q) - x̂ · mean(q x̂)) / √(var + eps),

the means over the batch: what is left is q without its components along 1 and along x̂.

Tutorial 6 derives it in both ways.
"""

import numpy as np


def forward(x, gamma, beta, eps):
    """Map x (N, C) to y (N, C) in training mode (given)."""
    centred = x - x.mean(axis=0)
    s = np.sqrt((centred**2).mean(axis=0) + eps)
    x_hat = centred / s
    return gamma * x_hat + beta, (x_hat, s, gamma)


def backward(dy, cache):
    """Pull dy back, by the closed form.

    Given: dy (N, C); the cache, which holds x_hat, s = √(var + eps) and gamma.
    Asked: dx (N, C), dgamma (C,), dbeta (C,): return dx, dgamma, dbeta.
    """
    x_hat, s, gamma = cache
    q = gamma * dy
    dx = (q - q.mean(axis=0) - x_hat * (q * x_hat).mean(axis=0)) / s
    return dx, (dy * x_hat).sum(axis=0), dy.sum(axis=0)

"""Exercise 13: batch norm, backward along the graph.

Forward is given as a chain of small steps. Go back through them one by one: each step is as easy as
a linear layer, and at each fork the gradients of all branches are added. x reaches y in three ways:
by itself, through the mean, through the variance.

Tutorial 6 derives it.
"""

import numpy as np


def forward(x, gamma, beta, eps):
    """Map x (N, C) to y (N, C) in training mode, step by step (given)."""
    mean = x.mean(axis=0)
    centred = x - mean
    var = (centred**2).mean(axis=0)
    inverse = 1 / np.sqrt(var + eps)
    x_hat = centred * inverse
    y = gamma * x_hat + beta
    return y, (centred, inverse, x_hat, gamma)


def backward(dy, cache):
    """Pull dy back.

    Given: dy (N, C); the cache, which holds centred, inverse, x_hat and gamma.
    Asked: dx (N, C), dgamma (C,), dbeta (C,): return dx, dgamma, dbeta.
    """
    centred, inverse, x_hat, gamma = cache
    n = len(dy)
    dbeta = dy.sum(axis=0)
    dgamma = (dy * x_hat).sum(axis=0)
    dx_hat = dy * gamma
    dinverse = (dx_hat * centred).sum(axis=0)
    dvar = dinverse * -0.5 * inverse**3
    dcentred = dx_hat * inverse + dvar * 2 * centred / n
    dmean = -dcentred.sum(axis=0)
    return dcentred + dmean / n, dgamma, dbeta

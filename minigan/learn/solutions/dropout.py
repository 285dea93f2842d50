"""Exercise 11: dropout.

In training, each entry is kept with the probability `keep` and set to 0 otherwise; what is kept is
divided by `keep`, so that y is x on average. In evaluation nothing happens. Backward goes through
the same mask.

Tutorial 8 uses dropout in D. Srivastava et al. 2014.
"""

import numpy as np


def forward(x, keep, rng, train):
    """Map x to y.

    Given: x, of any shape; keep, a probability above 0; rng, a NumPy Generator; train, True or
    False. An entry is kept where rng.random(x.shape) < keep: draw once per call, and not at all in
    evaluation.
    Asked: y, of x's shape, and a cache: return y, cache.
    """
    if not train:
        return x.copy(), np.ones_like(x)
    mask = (rng.random(x.shape) < keep) / np.asarray(keep, x.dtype)
    return x * mask.astype(x.dtype), mask.astype(x.dtype)


def backward(dy, cache):
    """Pull dy back through the mask of that call; return dx."""
    return dy * cache

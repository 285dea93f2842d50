"""Exercise 20: spectral normalisation.

W is divided by its largest singular value σ, so that the layer stretches no vector by more than 1.
With the singular vectors u and v, σ = uᵀ W v; they are found elsewhere (by power iteration) and
count as constants. But σ itself depends on W:

    y = W / σ(W),    so dW has two terms: that of W itself, and that through σ.

Tutorial 12 derives it. Miyato et al. 2018.
"""

import numpy as np


def forward(w, u, v):
    """Map w (m, n) to y = w / σ.

    Given: w; u (m,) and v (n,), unit vectors.
    Asked: y (m, n), and a cache: return y, cache.
    """
    sigma = u @ w @ v
    return w / sigma, (w / sigma, sigma, u, v)


def backward(dy, cache):
    """Pull dy (m, n) back; return dw (m, n)."""
    y, sigma, u, v = cache
    return (dy - (dy * y).sum() * np.outer(u, v)) / sigma

"""Exercise 21: gradient penalties of a leaky net.

D(x) = a w2 with a = leaky(x w1), where leaky(h) is h for h > 0 and slope · h elsewhere. A penalty
looks at how steep D is at each sample: g = dD/dx, an (N, in) array, one row for each sample.

    R1:  γ/2 · mean over samples of |g|²         GP:  λ · mean over samples of (|g| - 1)²

Their gradients with respect to w1 and w2 are second derivatives, but of a simple kind: with the
mask s (1 or slope, entry by entry of h), g = (s ∘ w2ᵀ) w1ᵀ is made of products; and s doesn't move
when the weights do.

Tutorial 12 derives it. Mescheder et al. 2018 (R1); Gulrajani et al. 2017 (GP).
"""

import numpy as np


def input_gradient(x, w1, w2, slope):
    """Return g = dD/dx and the mask.

    Given: x (N, in), w1 (in, hidden), w2 (hidden, 1), slope.
    Asked: g (N, in); s (N, hidden), 1 where x w1 > 0, slope elsewhere: return g, s.
    """
    s = np.where(x @ w1 > 0, x.dtype.type(1), x.dtype.type(slope))
    return (s * w2.T) @ w1.T, s


def r1(x, w1, w2, slope, gamma):
    """Return the R1 penalty and its gradients: return loss, dw1, dw2."""
    g, s = input_gradient(x, w1, w2, slope)
    loss = gamma / 2 * (g**2).sum(axis=1).mean()
    return loss, *_pulled(gamma * g / len(x), s, w1, w2)


def gp(x, w1, w2, slope, lam):
    """Return the gradient penalty and its gradients: return loss, dw1, dw2.

    |g| is the length of a sample's row. Where it is 0, the gradient of |g| counts as 0, not NaN.
    """
    g, s = input_gradient(x, w1, w2, slope)
    norm = np.sqrt((g**2).sum(axis=1, keepdims=True))
    loss = lam * ((norm - 1) ** 2).mean()
    dg = 2 * lam * (norm - 1) * g / np.where(norm > 0, norm, 1) / len(x)
    return loss, *_pulled(dg, s, w1, w2)


def _pulled(dg, s, w1, w2):
    dq = dg @ w1
    return dg.T @ (s * w2.T), (dq * s).sum(axis=0).reshape(-1, 1)

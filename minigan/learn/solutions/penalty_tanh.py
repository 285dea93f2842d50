"""Exercise 22: the gradient penalty of a curved net.

Now D(x) = a w2 with a = tanh(h), h = x w1. Its mask is s = 1 - a², which MOVES when w1 does: beside
the ways of exercise 21 there is one more, down through h. Four walks: up (h, a), down (g), up (what
the penalty's gradient dg does to g's factors), down again (through s to h and to w1).

    g = (s ∘ w2ᵀ) w1ᵀ,    loss = λ · mean (|g| - 1)²,    ds/dh = -2 a s.

Tutorial 12 derives it. Gulrajani et al. 2017.
"""

import numpy as np


def gp(x, w1, w2, lam):
    """Return the gradient penalty and its gradients.

    Given: x (N, in), w1 (in, hidden), w2 (hidden, 1), lam.
    Asked: loss, a number; dw1 (in, hidden), dw2 (hidden, 1): return loss, dw1, dw2.
    """
    a = np.tanh(x @ w1)
    s = 1 - a * a
    q = s * w2.T
    g = q @ w1.T
    norm = np.sqrt((g**2).sum(axis=1, keepdims=True))
    loss = lam * ((norm - 1) ** 2).mean()
    dg = 2 * lam * (norm - 1) * g / np.where(norm > 0, norm, 1) / len(x)
    dq = dg @ w1
    dh = dq * w2.T * -2 * a * s
    return loss, dg.T @ q + x.T @ dh, (dq * s).sum(axis=0).reshape(-1, 1)

"""Exercise 7: Adam.

Two running averages, of the gradient and of its square,

    m ← β1 m + (1 - β1) g,    v ← β2 v + (1 - β2) g²,

start at 0 and are therefore too small at first. Dividing by 1 - β1^t and 1 - β2^t, with t = 1 in
the first step, puts that right (m̂ and v̂). Then

    w ← w - lr · m̂ / (√v̂ + eps).

Tutorial 5 derives it. Kingma and Ba 2015, algorithm 1.
"""

import numpy as np


def adam_step(w, g, m, v, t, *, lr, beta1, beta2, eps):
    """Take step number t.

    Given: weights w, their gradient g and both averages m and v, arrays of one shape; t = 1, 2, 3,
    and so on.
    Asked: the new weights and averages, as new arrays: return w, m, v.
    """
    m = beta1 * m + (1 - beta1) * g
    v = beta2 * v + (1 - beta2) * g * g
    m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
    return w - lr * m_hat / (np.sqrt(v_hat) + eps), m, v

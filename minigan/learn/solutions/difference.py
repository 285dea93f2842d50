"""Exercise 1: the central difference.

Everything that you derive in this course is checked by measuring slopes. Write the measurement
first: move one entry of x up and down by h, and see how much f changes,

    df/dx_i = (f(x + h e_i) - f(x - h e_i)) / (2 h) + O(h²).

Tutorial 2 uses it.
"""

import numpy as np


def slope(f, x, h=1e-5):
    """Measure the gradient of f at x by central differences, entry by entry.

    Given: f takes an array of x's shape and returns a number; x, an array of any shape; h, a step.
    Asked: an array of x's shape that holds df/dx. x is as it was afterwards. If x holds integers,
    compute in float64: 3 + 0.001 is no integer.
    """
    x = np.array(x, dtype=float) if np.asarray(x).dtype.kind in "iu" else np.array(x)
    result = np.zeros_like(x)
    for index in np.ndindex(*x.shape):
        middle = x[index]
        x[index] = middle + h
        above = f(x)
        x[index] = middle - h
        below = f(x)
        x[index] = middle
        result[index] = (above - below) / (2 * h)
    return result

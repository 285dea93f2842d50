"""Exercise 6: gradient descent with momentum.

A ball that rolls downhill: the velocity v remembers earlier gradients, and the weights follow it,

    v ← momentum · v + g,    w ← w - lr · v.

Tutorial 5 compares it with Adam.
"""

import numpy as np


def sgd_step(w, g, v, *, lr, momentum):
    """Take one step.

    Given: weights w, their gradient g and the velocity v, arrays of one shape; v is 0 before the
    first step.
    Asked: the new weights and the new velocity, as new arrays: return w, v.
    """
    v = momentum * v + g
    return w - lr * v, v

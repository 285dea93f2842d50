"""Exercise 15: unfold and fold.

Unfold copies the patch under each position of a k × k kernel side by side; a convolution is then
one matrix product. Its adjoint, fold, adds each patch back to where it came from; pixels that lie
in several patches get several contributions. Adjoint means ⟨unfold(x), p⟩ = ⟨x, fold(p)⟩ for all x,
p.

Tutorial 7 derives it.
"""

import numpy as np


def unfold(x, k, stride):
    """Copy patches.

    Given: x (N, H, W, C); k, the side of the kernel; stride.
    Asked: patches (N, H', W', k, k, C) with H' = (H - k) // stride + 1 and W' likewise, where
    patches[n, i, j, a, b] = x[n, i·stride + a, j·stride + b].
    """
    n, height, width, c = x.shape
    rows, columns = (height - k) // stride + 1, (width - k) // stride + 1
    patches = np.zeros((n, rows, columns, k, k, c), x.dtype)
    for a in range(k):
        for b in range(k):
            part = x[:, a : a + stride * rows : stride, b : b + stride * columns : stride]
            patches[:, :, :, a, b] = part
    return patches


def fold(patches, shape, stride):
    """Add patches back: the adjoint of unfold.

    Given: patches (N, H', W', k, k, C); shape (N, H, W, C), that of x; stride.
    Asked: an array of that shape. Pixels in no patch are 0.
    """
    x = np.zeros(shape, patches.dtype)
    _, rows, columns, k = patches.shape[:4]
    for a in range(k):
        for b in range(k):
            part = x[:, a : a + stride * rows : stride, b : b + stride * columns : stride]
            part += patches[:, :, :, a, b]
    return x

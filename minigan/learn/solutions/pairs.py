"""Exercise 18: two other pairs of losses.

Hinge and least squares, for D's answers on real samples (r) and on fakes (f), and for G's on fakes:

    hinge           D: mean max(0, 1 - r) + mean max(0, 1 + f)      G: -mean f
    least squares   D: ½ mean (r - 1)² + ½ mean f²                  G: ½ mean (f - 1)²

Tutorial 19 derives them. Lim and Ye 2017; Mao et al. 2017.
"""

import numpy as np


def hinge_d(real, fake):
    """Return D's hinge loss and its gradients.

    Given: real (N, 1) and fake (M, 1), D's answers, of one size or two.
    Asked: loss, a number; dreal (N, 1), dfake (M, 1): return loss, dreal, dfake.
    """
    loss = np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean()
    one = real.dtype.type(1)
    return loss, (real < 1) * -one / len(real), (fake > -1) * one / len(fake)


def hinge_g(fake):
    """Return G's loss and its gradient with respect to fake (M, 1): return loss, dfake."""
    return -fake.mean(), np.full_like(fake, -1 / len(fake))


def least_squares_d(real, fake):
    """Return D's least-squares loss and its gradients: return loss, dreal, dfake."""
    loss = ((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2
    return loss, (real - 1) / len(real), fake / len(fake)


def least_squares_g(fake):
    """Return G's loss and its gradient with respect to fake (M, 1): return loss, dfake."""
    return ((fake - 1) ** 2).mean() / 2, (fake - 1) / len(fake)

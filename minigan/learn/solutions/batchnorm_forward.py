"""Exercise 12: batch norm, forward.

In training, each channel is measured by the batch itself,

    x̂ = (x - mean) / √(var + eps),    y = γ x̂ + β,

with the mean and the (biased) variance over the N samples. Running averages are kept for
evaluation: running ← (1 - momentum) · running + momentum · batch, where the running variance takes
the unbiased one, N / (N - 1) times the biased. In evaluation they stand in for the batch's, and
don't change.

Tutorial 6 derives it. Ioffe and Szegedy 2015, algorithm 1.
"""

import numpy as np


def forward(x, gamma, beta, running_mean, running_var, *, momentum, eps, train):
    """Normalise.

    Given: x (N, C); gamma, beta, running_mean and running_var (C,); momentum, such as 0.1; eps;
    train, True or False.
    Asked: y (N, C) and the new running averages, as new arrays: return y, running_mean,
    running_var.
    """
    if not train:
        y = gamma * (x - running_mean) / np.sqrt(running_var + eps) + beta
        return y, running_mean, running_var
    mean, var = x.mean(axis=0), x.var(axis=0)
    y = gamma * (x - mean) / np.sqrt(var + eps) + beta
    unbiased = var * len(x) / (len(x) - 1)
    running_mean = (1 - momentum) * running_mean + momentum * mean
    running_var = (1 - momentum) * running_var + momentum * unbiased
    return y, running_mean, running_var

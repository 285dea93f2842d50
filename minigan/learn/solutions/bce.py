"""Exercise 4: binary cross entropy on logits.

A discriminator gives a logit l per sample; p = 1 / (1 + exp(-l)) is the probability of "real". With
the target t (1 real, 0 fake) the loss of a sample is -t log p - (1 - t) log(1 - p), which is

    log(1 + exp(l)) - t l.

Written like this it overflows for l = 1000: take exp(l) out of the logarithm where l > 0.

Tutorial 3 derives it.
"""

import numpy as np


def bce_with_logits(logits, target):
    """Return the mean loss of a batch and its gradient.

    Given: logits (N, 1), of any magnitude; target (N,), numbers from 0 to 1.
    Asked: loss, a number, the mean over the N samples; dlogits (N, 1), its gradient with respect
    to the logits: return loss, dlogits. Both are finite for logits of ±1000.
    """
    t = target.reshape(-1, 1)
    loss = np.maximum(logits, 0) + np.log1p(np.exp(-abs(logits))) - t * logits
    p = np.exp(np.minimum(logits, 0)) / (1 + np.exp(-abs(logits)))
    return loss.mean(), (p - t) / len(logits)

"""Exercise 8: the discriminator's step.

D gives a logit per sample and should answer 1 for real samples, 0 for fakes. Its loss is half the
cross entropy on a batch of reals plus half that on a batch of fakes; its step is one step of an
optimizer on that loss.

Tutorial 1 plays the game. Goodfellow et al. 2014, algorithm 1.
"""

import numpy as np

from minigan.learn.given import bce_with_logits


def discriminator_step(D, optimizer, real, fake):
    """Take one step of D.

    Given: D, a net with
        logits, cache = D.forward(x)     x (N, features), logits (N, 1)
        D.backward(dlogits, cache)       ADDS to the gradients of D's weights
        D.zero_grad()                    sets them to 0
    optimizer.step() moves D's weights by the gradients that are there. real and fake are batches
    of samples, of one size or two. loss, dlogits = bce_with_logits(logits, target), with the number
    0 or 1 as target, is the mean of the cross entropy of a batch, and its gradient.
    Asked: zero the gradients, add those of ½ (loss on real + loss on fake), take the optimizer's
    step, and return the loss.
    """
    D.zero_grad()
    total = 0
    for x, target in ((real, 1), (fake, 0)):
        logits, cache = D.forward(x)
        loss, dlogits = bce_with_logits(logits, target)
        D.backward(dlogits / 2, cache)
        total = total + loss / 2
    optimizer.step()
    return total

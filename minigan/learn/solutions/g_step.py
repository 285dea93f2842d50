"""Exercise 9: the generator's step, through the discriminator.

G never sees a real sample. It learns from D alone: make samples, ask D, and pull what would have
pleased D back through D to the samples and on through G. The loss is the cross entropy of D's
answers with the target 1 (the non-saturating loss): G wants them to be taken for real. D is only
asked; its own gradients must stay as they are.

Tutorial 1 plays the game. Goodfellow et al. 2014, section 3.
"""

import numpy as np

from minigan.learn.given import bce_with_logits


def generator_step(G, D, optimizer, z):
    """Take one step of G.

    Given: G and D, two nets with
        y, cache = net.forward(x)
        dx = net.backward(dy, cache)                     ADDS to the gradients of its weights
        dx = net.backward(dy, cache, param_grads=False)  leaves them alone
        net.zero_grad()
    optimizer.step() moves G's weights; z (N, latent), the input of G; loss, dlogits =
    bce_with_logits(logits, target) as in exercise 8.
    Asked: zero G's gradients, add those of the loss, take the optimizer's step, return the loss.
    """
    G.zero_grad()
    fake, cache_g = G.forward(z)
    logits, cache_d = D.forward(fake)
    loss, dlogits = bce_with_logits(logits, 1)
    dfake = D.backward(dlogits, cache_d, param_grads=False)
    G.backward(dfake, cache_g)
    optimizer.step()
    return loss

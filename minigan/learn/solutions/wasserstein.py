"""Exercise 19: the critic of the Wasserstein GAN.

The critic gives a score, not a probability. It raises the scores of real samples and lowers those
of fakes: its loss is mean(fake) - mean(real). That has a bound only if the critic can't be
arbitrarily steep, so after each step its weights are clipped to [-c, c].

Tutorial 11 derives it. Arjovsky, Chintala and Bottou 2017, algorithm 1.
"""

import numpy as np


def critic_loss(real, fake):
    """Return the critic's loss and its gradients.

    Given: real (N, 1) and fake (M, 1), scores.
    Asked: loss, a number; dreal (N, 1), dfake (M, 1): return loss, dreal, dfake.
    """
    loss = fake.mean() - real.mean()
    return loss, np.full_like(real, -1 / len(real)), np.full_like(fake, 1 / len(fake))


def critic_step(critic, optimizer, real, fake, c):
    """Take one step of the critic.

    Given: critic, a net as D in exercise 8, whose weights are in critic.arrays, a list of arrays;
    optimizer.step() replaces them; real and fake, batches of samples; c, a number above 0.
    Asked: zero the gradients, add those of the loss, take the step, then clip every array of
    critic.arrays to [-c, c], and return the loss.
    """
    critic.zero_grad()
    scores_real, cache_real = critic.forward(real)
    scores_fake, cache_fake = critic.forward(fake)
    loss, dreal, dfake = critic_loss(scores_real, scores_fake)
    critic.backward(dreal, cache_real)
    critic.backward(dfake, cache_fake)
    optimizer.step()
    critic.arrays = [np.clip(a, -c, c) for a in critic.arrays]
    return loss

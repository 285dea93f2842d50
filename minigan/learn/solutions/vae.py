"""Exercise 24: the step of a variational autoencoder.

The encoder gives a mean μ and a log-variance l for each sample; z = μ + exp(l / 2) · noise is
decoded, and the loss is

    ½ Σ (decoded - x)²  +  KL,    KL = ½ Σ (μ² + exp(l) - l - 1),

each summed over the entries of a sample, and the mean taken over the N samples.

Tutorial 15 derives it. Kingma and Welling 2014.
"""

import numpy as np


def kl(mu, logvar):
    """Return the KL term and its gradients.

    Given: mu and logvar (N, d).
    Asked: loss, a number; dmu, dlogvar (N, d): return loss, dmu, dlogvar.
    """
    n = len(mu)
    loss = (mu**2 + np.exp(logvar) - logvar - 1).sum() / 2 / n
    return loss, mu / n, (np.exp(logvar) - 1) / 2 / n


def sample_forward(mu, logvar, noise):
    """Map mu, logvar and noise (N, d) to z = mu + exp(logvar / 2) · noise; return z, cache."""
    spread = np.exp(logvar / 2) * noise
    return mu + spread, spread


def sample_backward(dz, cache):
    """Pull dz (N, d) back; return dmu, dlogvar."""
    return dz, dz * cache / 2


def vae_step(encoder, decoder, optimizers, x, noise):
    """Take one step of both nets.

    Given: encoder, a net that maps x (N, features) to (N, 2 d), μ in the first d columns, l in the
    others; decoder, from (N, d) to (N, features); both as the nets of exercise 9; optimizers, one
    for each; noise (N, d).
    Asked: zero the gradients of both, add those of the loss, let both optimizers step, and return
    the loss.
    """
    encoder.zero_grad()
    decoder.zero_grad()
    d = noise.shape[1]
    code, cache_e = encoder.forward(x)
    mu, logvar = code[:, :d], code[:, d:]
    z, cache_z = sample_forward(mu, logvar, noise)
    decoded, cache_d = decoder.forward(z)
    difference = decoded - x
    divergence, dmu, dlogvar = kl(mu, logvar)
    dz = decoder.backward(difference / len(x), cache_d)
    more_mu, more_logvar = sample_backward(dz, cache_z)
    encoder.backward(np.concatenate([dmu + more_mu, dlogvar + more_logvar], axis=1), cache_e)
    for optimizer in optimizers:
        optimizer.step()
    return (difference**2).sum() / 2 / len(x) + divergence

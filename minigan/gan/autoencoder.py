r"""The variational autoencoder (Kingma & Welling 2014): two nets that work together instead of
against each other.

The decoder makes a sample from a latent vector, as G does; the encoder says which latents z may
have made x, :math:`q(z|x) = N(\mu, \mathrm{diag}\,\sigma^2)`, with its output split into μ and
:math:`\ell = \ln\sigma^2`. Both minimise the negative evidence lower bound (equation 10 there),
here with :math:`p(x|z) = N(y, s^2 I)`, y = decoder(z):

.. math:: L = \frac1N \sum_n \Big[ \frac{|x_n - y_n|^2}{2 s^2}
              + \frac12 \sum_i \big(\mu_{ni}^2 + e^{\ell_{ni}} - 1 - \ell_{ni}\big) \Big],

the second part being :math:`KL(q(z|x)\,\|\,N(0, I))`.

*Reparametrisation*: one can't differentiate a draw, but with
:math:`z = \mu + e^{\ell/2} \varepsilon`, ε ~ N(0, I), the chance is an input and z a function of μ
and ℓ. So backward, with dz what arrives through the decoder:

.. math:: dy = \frac{y - x}{N s^2}, \qquad d\mu = dz + \frac{\mu}{N}, \qquad
          d\ell = \tfrac12\, dz\, \varepsilon\, e^{\ell/2} + \frac{e^{\ell} - 1}{2N}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.gan.game import Batch, Game


@dataclass
class VariationalAutoencoder(Game):
    """A decoder and an encoder with one loss, in the places of G and D, so that a `Trainer` runs
    it.

    Attributes
    ----------
    generator
        The decoder: latent vectors (N, latent) to samples.
    discriminator
        The encoder: samples to (N, 2 latent), μ and ln σ² side by side.
    generator_optimizer, discriminator_optimizer
        One for each.
    noise
        s, the standard deviation that the decoder's samples are taken to have at each pixel.
    """

    noise: float = 0.3

    def play(self, batches: Sequence[Batch | tuple[Any, ...]], z: Array) -> dict[str, Array]:
        """Let both move once for each batch, down the gradient of the one loss.

        Parameters
        ----------
        batches
            Reals, ε ~ N(0, I) of shape (N, latent), and labels, which aren't looked at.
        z
            Isn't needed.
        """
        report: dict[str, Array] = {}
        for real, epsilon, _ in batches:
            report = self.step(real, epsilon)
        return report

    def step(self, real: Array, epsilon: Array) -> dict[str, Array]:
        """Let both move once.

        Parameters
        ----------
        real
            Samples, shape (N, ...).
        epsilon
            ε, shape (N, latent).

        Returns
        -------
        dict
            ``loss`` (L, in nats up to a constant), ``reconstruction`` and ``divergence``, its two
            parts.
        """
        decoder, encoder, n = self.generator, self.discriminator, real.shape[0]
        xp = backend.of(real).xp
        self.generator_optimizer.zero_grad()
        self.discriminator_optimizer.zero_grad()

        code, code_cache = encoder.forward(real, train=True)
        size = code.shape[1] // 2
        mean, log_variance = code[:, :size], code[:, size:]
        std = xp.exp(log_variance / 2)
        y, y_cache = decoder.forward(mean + std * epsilon, train=True)

        d = y - real
        reconstruction = (d * d).sum() / (2 * n * self.noise**2)
        divergence = (mean * mean + std * std - 1 - log_variance).sum() / (2 * n)

        dz = decoder.backward(d / (n * self.noise**2), y_cache)
        d_mean = dz + mean / n
        d_log_variance = dz * epsilon * std / 2 + (std * std - 1) / (2 * n)
        encoder.backward(
            xp.concatenate([d_mean, d_log_variance], axis=1), code_cache, input_grad=False
        )

        self.generator_optimizer.step()
        self.discriminator_optimizer.step()
        return {
            "loss": reconstruction + divergence,
            "reconstruction": reconstruction,
            "divergence": divergence,
        }

r"""The variational autoencoder (Kingma & Welling 2014): two nets that cooperate.

The decoder maps a latent vector to a sample, as G does. The encoder estimates which latents z could
have produced x, :math:`q(z|x) = N(\mu, \mathrm{diag}\,\sigma^2)`, with its output split into μ and
:math:`\ell = \ln\sigma^2`. Both minimise the negative evidence lower bound (equation 10 of the
paper), here with :math:`p(x|z) = N(y, s^2 I)`, y = decoder(z):

.. math:: L = \frac1N \sum_n \Big[ \frac{|x_n - y_n|^2}{2 s^2}
              + \frac12 \sum_i \big(\mu_{ni}^2 + e^{\ell_{ni}} - 1 - \ell_{ni}\big) \Big],

where the second part is :math:`KL(q(z|x)\,\|\,N(0, I))`.

*Reparametrisation*: a random draw can't be differentiated, but with
:math:`z = \mu + e^{\ell/2} \varepsilon`, ε ~ N(0, I), the randomness is an input and z is a
differentiable function of μ and ℓ. With dz the gradient that arrives through the decoder, the
backward pass is:

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


@dataclass(repr=False)
class VariationalAutoencoder(Game):
    """A decoder and an encoder with one loss, in place of G and D, so that a `Trainer` can run it.

    Attributes
    ----------
    generator
        The decoder: latent vectors (N, latent) to samples.
    discriminator
        The encoder: samples to (N, 2 latent), μ and ln σ² side by side.
    generator_optimizer, discriminator_optimizer
        One for each.
    noise
        s, the standard deviation assumed for each pixel of the decoder's output.
    """

    noise: float = 0.3

    def play(self, batches: Sequence[Batch | tuple[Any, ...]], z: Array) -> dict[str, Array]:
        """Update both nets once for each batch, along the gradient of their common loss.

        Parameters
        ----------
        batches
            Reals, ε ~ N(0, I) of shape (N, latent), and labels, which are ignored.
        z
            Ignored.
        """
        report: dict[str, Array] = {}
        for real, epsilon, _ in batches:
            report = self.step(real, epsilon)
        return report

    def step(self, real: Array, epsilon: Array) -> dict[str, Array]:
        """Update both nets once.

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

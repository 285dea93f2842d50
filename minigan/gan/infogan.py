r"""InfoGAN (Chen et al. 2016): a generator whose codes can be read off its samples.

Beside noise, G gets a category c, drawn uniformly from K, and a few numbers u from U(-1, 1). D
returns (N, 1 + K + m): its verdict, and from the same features a guess Q of both codes, the logits
of the category and the means of the numbers, whose variance is 1. The mutual information between
the codes and the sample is bounded from below by how well Q guesses (equation 4 there), so

.. math:: L_I = CE(q, c) + \tfrac12 \|\mu - u\|^2

is added, times λ, to the losses of both players, at the fakes only: D with Q learns to read the
codes, G to write them legibly. No label of the data is ever used. What a code comes to mean is left
to the players; on digits, most categories become one digit each.

Backward: dq = softmax(q) - onehot(c) and dμ = μ - u, both over N, stand beside the derivative of
the verdict's loss; at the reals they are 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend, losses
from minigan.backend import Array
from minigan.gan.base import in_batches
from minigan.gan.game import Batch, Game
from minigan.gan.objectives import Objective


@dataclass(repr=False)
class InformationGame(Game):
    """A game in which G is told codes that it has to write, and D has to read them.

    Labels, in this game, are the categories: G receives ``(z, category)``, and the last numbers of
    z are the codes u.

    Attributes
    ----------
    categories
        K.
    numbers
        m; with 0 the category is the only code.
    information
        λ.
    """

    categories: int = 10
    numbers: int = 2
    information: float = 1.0
    conditional: bool = True

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[tuple[Batch, ...], Array]:
        """Draw reals, latents and categories for each step of D, then latents for G's step."""
        if self.latent is None:
            raise ValueError("The game has no distribution to draw z from; give it a Latent.")
        batches = []
        for _ in range(self.discriminator_steps):
            real, _ = next(source)
            category = rng.integers(0, self.categories, len(real))
            batches.append(Batch(real, self.latent.sample(len(real), rng), category))
        return tuple(batches), self.latent.sample(len(real), rng)

    def classify(self, samples: Array) -> NDArray[Any]:
        """Guess the category of samples (N, ...) on the host: integers (N,)."""
        guesses = in_batches(self.discriminator, samples)
        return guesses[:, 1 : 1 + self.categories].argmax(axis=1)

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        super().check()
        if self.penalties:
            raise ValueError(
                "Penalties need a discriminator with one logit, but this one reads codes too; "
                "leave the penalty out (spectral-norm and dropout may stay)."
            )

    def _judged(self, labels: Array | None, z: Array) -> tuple[Objective, Array | None]:
        """Return the objective for these codes; D isn't told them."""
        if labels is None:
            raise ValueError("G needs a category for each sample; pass labels.")
        u = z[:, z.shape[1] - self.numbers :]
        return with_codes(self.objective, labels, u, self.information), None


def with_codes(objective: Objective, category: Array, u: Array, weight: float = 1.0) -> Objective:
    """Add λ L_I to an objective; see the top of this file.

    Parameters
    ----------
    objective
        The losses on the first column.
    category
        c of the fakes, integers (N,).
    u
        Shape (N, m).
    weight
        λ.
    """

    def discriminator(real: Array, fake: Array) -> tuple[Array, Array, Array]:
        xp = backend.of(real).xp
        loss, d_real, d_fake = objective.discriminator(real[:, :1], fake[:, :1])
        unread, d_guess = read(fake)
        nothing = xp.zeros_like(real[:, 1:])
        d_real, d_fake = (
            xp.concatenate(pair, axis=1) for pair in ((d_real, nothing), (d_fake, d_guess))
        )
        return loss + unread, d_real, d_fake

    def generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
        loss, d_fake = objective.generator(fake[:, :1], None if real is None else real[:, :1])
        unread, d_guess = read(fake)
        return loss + unread, backend.of(fake).xp.concatenate((d_fake, d_guess), axis=1)

    read = _reading(category, u, weight)
    return replace(objective, discriminator=discriminator, generator=generator)


def _reading(category: Array, u: Array, weight: float) -> Callable[[Array], tuple[Array, Array]]:
    """Return the function from D's outputs to λ L_I and its derivatives beyond the first column."""

    def read(logits: Array) -> tuple[Array, Array]:
        end = logits.shape[1] - u.shape[1]
        named, d_named = losses.cross_entropy(logits[:, 1:end], category)
        gap = logits[:, end:] - u
        n = logits.shape[0]
        d = backend.of(logits).xp.concatenate((d_named, gap / n), axis=1)
        return weight * (named + (gap * gap).sum() / (2 * n)), weight * d

    return read

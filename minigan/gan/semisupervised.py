r"""Semi-supervised learning with a GAN (Salimans et al. 2016, "Improved techniques for training
GANs", section 5): a classifier that learns from labelled, unlabelled and generated pictures.

D returns K logits l, one for each class; the class K + 1, "generated", has the logit 0 (the softmax
needs only differences). With :math:`s = \log \sum_k e^{l_k}`, the probability that a picture
belongs to any of the K classes is

.. math:: D(x) = \frac{\sum_k e^{l_k}}{1 + \sum_k e^{l_k}} = \sigma(s),

so s is the logit of an ordinary game, and any objective can be played with it. For labelled x with
label y, unlabelled u and fakes f, D minimises

.. math:: L_D = CE(l(x), y) + w\, L_{objective}(s(u), s(f)),

where w = 1 there and w = 0 leaves a classifier of the labelled pictures alone, for comparison. What
the unlabelled ones add: D must be sure of *some* class at each of them, and of none at the fakes
between the classes.

G doesn't maximise s but matches the mean of D's features (`minigan.gan.matching`). The pictures are
worse for it, and the classifier better: a perfect G would teach it nothing.

Backward: :math:`\partial s/\partial l = \mathrm{softmax}(l)`, so ds becomes dl = ds softmax(l).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from minigan import backend, losses, nn
from minigan.backend import Array
from minigan.gan.base import in_batches
from minigan.gan.game import Game
from minigan.gan.matching import feature_matching


class Half(NamedTuple):
    """A batch of which only a part has labels: x (M, ...), y (M,), and unlabelled u (N, ...)."""

    x: Any
    y: Any
    u: Any


@dataclass(repr=False)
class SemiSupervisedGame(Game):
    """A game whose D is a classifier, told the labels of only some pictures.

    Attributes
    ----------
    unlabelled
        w, the weight of the objective in D's loss. With 0, neither the unlabelled pictures nor G
        take part.
    feature_matching
        The weight of G's loss.
    """

    unlabelled: float = 1.0
    feature_matching: float = 1.0

    def draw(  # type: ignore[override]
        self, source: Any, rng: numpy.random.Generator
    ) -> tuple[Half, Array, Array]:
        """Draw a batch, of which a part has labels, and latents for D's step and for G's."""
        if self.latent is None:
            raise ValueError("The game has no distribution to draw z from; give it a Latent.")
        batch = Half(*next(source))
        n = len(batch.u)
        return batch, self.latent.sample(n, rng), self.latent.sample(n, rng)

    def play(self, batch: Any, latents: Array, z: Array) -> dict[str, Array]:  # type: ignore[override]
        """Update D, then G.

        Parameters
        ----------
        batch
            x, y and u, see `Half`.
        latents, z
            For D's step and for G's, (N, latent).

        Returns
        -------
        dict
            ``labelled``, the cross entropy, and ``right``, the share of the labelled pictures that
            D sorted correctly; unless `unlabelled` is 0 ``loss_d``, the objective, ``d_real``,
            ``d_fake`` (the mean of D's belief in each) and ``loss_g``, the distance of the
            features.
        """
        x, y, u = batch
        self.discriminator_optimizer.zero_grad()
        report = self.labelled_loss(x, y)
        if self.unlabelled:
            with nn.frozen_statistics(self.generator):
                fake = self.generator.forward(latents, train=True)[0]
            report |= self.unlabelled_loss(u, fake)
        self.discriminator_optimizer.step()
        if self.unlabelled:
            self.generator_optimizer.zero_grad()
            report |= self.matching_loss(z, u)
            self.generator_optimizer.step()
        return report

    def labelled_loss(self, x: Array, y: Array) -> dict[str, Array]:
        """Add the gradient of the cross entropy to D's."""
        logits, cache = self.discriminator.forward(x, train=True)
        loss, d_logits = losses.cross_entropy(logits, y)
        self.discriminator.backward(d_logits, cache, input_grad=False)
        return {"labelled": loss, "right": (logits.argmax(axis=1) == y).mean(dtype=logits.dtype)}

    def unlabelled_loss(self, u: Array, fake: Array) -> dict[str, Array]:
        """Add the gradient of w times the objective to D's; G's stays unchanged."""
        D, w = self.discriminator, self.unlabelled
        of_real, of_fake, caches = nn.forward_both(D, u, fake)
        (real, p_real), (false, p_fake) = any_class(of_real), any_class(of_fake)
        loss, d_real, d_fake = self.objective.discriminator(real, false)
        nn.backward_both(D, w * d_real * p_real, w * d_fake * p_fake, caches)
        return {"loss_d": loss, "d_real": self._belief(real), "d_fake": self._belief(false)}

    def matching_loss(self, z: Array, u: Array) -> dict[str, Array]:
        """Add the gradient of the distance of the features to G's; D's stays unchanged."""
        fake, cache = self.generator.forward(z, train=True)
        with nn.frozen_statistics(self.discriminator):
            distance, d_fake = feature_matching(
                self.discriminator, u, fake, weight=self.feature_matching, ranks=self.ranks
            )
        self.generator.backward(d_fake, cache, input_grad=False)
        return {"loss_g": distance}

    def classify(self, samples: Array) -> NDArray[Any]:
        """Return D's class of samples (N, ...) on the host: integers (N,)."""
        return in_batches(self.discriminator, samples).argmax(axis=1)

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        super().check()
        if self.penalties or self.auxiliary or self.discriminator_steps > 1:
            raise ValueError(
                "This game has its own way of training D; leave out penalties, auxiliary and "
                "discriminator_steps."
            )


def any_class(logits: Array) -> tuple[Array, Array]:
    """Return s = log Σ exp l, (N, 1), and its derivative softmax(l), (N, K)."""
    xp = backend.of(logits).xp
    largest = logits.max(axis=1, keepdims=True)
    powers = xp.exp(logits - largest)
    total = powers.sum(axis=1, keepdims=True)
    return largest + xp.log(total), powers / total

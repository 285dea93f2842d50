"""The game between two nets: Algorithm 1 of Goodfellow et al. 2014, spelt out.

"Detach" is no operation here. In D's step backward is simply not called any further than the fake
batch; in G's step the cotangent walks through D without leaving a gradient there. You can see it
stop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from minigan import backend, nn
from minigan.backend import Array
from minigan.gan.objectives import Objective, non_saturating, with_classes


class Optimizer(Protocol):
    """What the game asks of an optimizer; see `minigan.optim`."""

    lr: float

    def zero_grad(self) -> None:
        """Set the gradients to zero."""

    def step(self) -> None:
        """Move the weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return arrays by name."""

    def load_state_dict(self, state: Any) -> None:
        """Take arrays by name."""


Batch = tuple[Array, Array, "Array | None"]
"""Real samples, latent vectors and labels of a step."""

Penalty = Callable[[nn.Layer, Array, Array], Array]
"""``(discriminator, real, fake) -> value``: adds its gradient to the discriminator's."""


@dataclass
class Game:
    """Two players, what they want, and how they move.

    Attributes
    ----------
    generator, discriminator
        G maps latent vectors to samples, D maps samples to logits (N, 1).
    generator_optimizer, discriminator_optimizer
        One for each.
    objective
        The pair of losses; non-saturating BCE on logits by default.
    penalties
        Added to D's loss, each with its gradient.
    before_step
        Called with the player whose gradients are complete, before it moves (gradient clipping,
        say).
    after_discriminator_step
        Called with D after each of its steps (weight clipping, say).
    auxiliary
        Weight of the classes in both losses, see `minigan.gan.objectives.with_classes`: then D
        isn't told the labels but names them, with logits (N, 1 + classes). 0 for a D that doesn't.

    Raises
    ------
    ValueError
        If there are penalties on the slope of a D with several logits.
    """

    generator: nn.Layer
    discriminator: nn.Layer
    generator_optimizer: Optimizer
    discriminator_optimizer: Optimizer
    objective: Objective = field(default_factory=non_saturating)
    penalties: Sequence[Penalty] = ()
    before_step: Callable[[nn.Layer], Any] | None = None
    after_discriminator_step: Callable[[nn.Layer], Any] | None = None
    auxiliary: float = 0.0

    def __post_init__(self) -> None:
        if self.auxiliary and self.penalties:
            raise ValueError(
                "A penalty holds the slope of one logit, but this discriminator names classes "
                "too; leave the "
                "penalty out (spectral-norm, packing and the like are none)."
            )

    def play(self, batches: Sequence[Batch], z: Array) -> dict[str, Array]:
        """Let D move once for each batch, then G once: the body of Algorithm 1's loop.

        Parameters
        ----------
        batches
            For each step of D the reals, the latents, and the labels or None.
        z
            Latents for G's step, whose labels (and reals, where the objective looks at them) are
            those of D's last.

        Returns
        -------
        dict
            What both steps reported last.
        """
        report: dict[str, Array] = {}
        for real, latents, labels in batches:
            report |= self.discriminator_step(real, latents, labels)
        return report | self.generator_step(z, real, labels)

    def discriminator_step(
        self, real: Array, z: Array, labels: Array | None = None
    ) -> dict[str, Array]:
        """Let D learn to tell a real batch from a fake one. G doesn't move.

        Parameters
        ----------
        real
            Real samples, shape (N, ...).
        z
            Latent vectors, shape (N, latent).
        labels
            Conditions, shape (N,): then both players see pairs, ``(real, labels)`` and
            ``(z, labels)``.

        Returns
        -------
        dict
            ``loss_d``, ``d_real``, ``d_fake`` (means of D's belief, or of its logit where the
            objective has no probabilities) and ``penalty``, scalars of the array library.
        """
        D, G = self.discriminator, self.generator
        with nn.frozen_statistics(G):
            fake, _ = G.forward(_given(labels, z), train=True)

        self.discriminator_optimizer.zero_grad()
        objective, told = self._judged(labels)
        real_logits, fake_logits, caches = nn.forward_both(
            D, _given(told, real), _given(told, fake)
        )
        loss, d_real, d_fake = objective.discriminator(real_logits, fake_logits)
        nn.backward_both(D, d_real, d_fake, caches)  # and here it stops: G's cache was thrown away
        penalty = sum(add(D, _given(told, real), _given(told, fake)) for add in self.penalties)

        if self.before_step is not None:
            self.before_step(D)
        self.discriminator_optimizer.step()
        if self.after_discriminator_step is not None:
            self.after_discriminator_step(D)
        report = {
            "loss_d": loss,
            "d_real": self._belief(real_logits),
            "d_fake": self._belief(fake_logits),
        }
        return report | ({"penalty": penalty} if self.penalties else {})

    def generator_step(
        self, z: Array, real: Array | None = None, labels: Array | None = None
    ) -> dict[str, Array]:
        """Let G learn to be taken for real. D doesn't move.

        Parameters
        ----------
        z
            Latent vectors, shape (N, latent).
        real
            Real samples, shape (N, ...), for objectives that pair reals with fakes.
        labels
            Conditions, shape (N,), as in `discriminator_step`.

        Returns
        -------
        dict
            ``loss_g``, a scalar of the array library.
        """
        D, G = self.discriminator, self.generator
        self.generator_optimizer.zero_grad()
        fake, fake_cache = G.forward(_given(labels, z), train=True)
        objective, told = self._judged(labels)
        with nn.frozen_statistics(D):
            logits, logits_cache = D.forward(_given(told, fake), train=True)
            real_logits = D.forward(_given(told, real), train=True)[0] if objective.pairs else None

        loss, d_logits = objective.generator(logits, real_logits)
        d_fake = D.backward(
            d_logits, logits_cache, param_grads=False
        )  # through D, which keeps its gradients
        G.backward(d_fake, fake_cache, input_grad=False)

        if self.before_step is not None:
            self.before_step(G)
        self.generator_optimizer.step()
        return {"loss_g": loss}

    def _judged(self, labels: Array | None) -> tuple[Objective, Array | None]:
        """Return the objective, and what D is told: a D that names the classes mustn't know
        them.
        """
        if not self.auxiliary:
            return self.objective, labels
        if labels is None:
            raise ValueError(
                "A discriminator that names classes learns from labels; give the step the batch's."
            )
        return with_classes(self.objective, labels, self.auxiliary), None

    def _belief(self, logits: Array) -> Array:
        logits = logits[:, :1]
        return (
            backend.of(logits).mean_probability(logits)
            if self.objective.probabilistic
            else logits.mean()
        )

    @property
    def device(self) -> backend.Reference:
        """The backend that the generator lives on."""
        return backend.of(next(iter(self.generator.parameters().values())).value)


def _given(labels: Array | None, x: Array) -> Any:
    """What a player sees: x alone, or x together with its condition."""
    return x if labels is None else (x, labels)

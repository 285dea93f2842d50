"""The game between two nets: Algorithm 1 of Goodfellow et al. 2014, spelt out.

There is no "detach" operation. In D's step, the backward pass simply ends at the fake batch; in G's
step, the gradient passes through D without being accumulated in D's parameters.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy
from numpy.typing import NDArray

from minigan import backend, losses, nn, optim
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.gan.base import BaseGame, filled_up, group_of, in_batches, require_net, require_owner
from minigan.gan.matching import feature_matching
from minigan.gan.objectives import Objective, non_saturating, with_classes
from minigan.latent import Latent
from minigan.optim import checks


class Optimizer(Protocol):
    """The interface that a game needs of an optimizer; see `minigan.optim`."""

    lr: float

    def zero_grad(self) -> None:
        """Set the gradients to zero."""

    def step(self) -> None:
        """Update the weights."""

    def state_dict(self) -> dict[str, Any]:
        """Return the state, arrays by name."""

    def load_state_dict(self, state: Any) -> None:
        """Restore what `state_dict` returned."""


class Batch(NamedTuple):
    """What one step of D sees: real samples (N, ...), latents (N, latent), labels (N,) or None."""

    real: Array
    latents: Array
    labels: Array | None = None


Penalty = Callable[..., Array]
"""``(discriminator, real, fake) -> value``; adds its gradient to the discriminator's."""


@dataclass(repr=False)
class Game(BaseGame):
    """Algorithm 1: two players, their losses and their optimizers.

    Attributes
    ----------
    generator, discriminator
        G maps latent vectors to samples, D maps samples to logits (N, 1).
    generator_optimizer, discriminator_optimizer
        One for each player.
    objective
        The pair of losses; non-saturating BCE on logits by default.
    penalties
        Added to D's loss, each with its gradient.
    before_step
        Called with a player once its gradients are complete, before its optimizer steps (for
        gradient clipping, say).
    after_discriminator_step
        Called with D after each of its steps (for weight clipping, say).
    auxiliary
        Weight of the classification losses, see `minigan.gan.objectives.with_classes`. If it isn't
        0, D doesn't receive the labels but predicts them, with logits (N, 1 + classes).
    feature_matching
        Weight of the distance between the mean features of reals and fakes in G's loss, see
        `minigan.gan.matching`.
    latent
        The distribution of z; needed by a `Trainer`, but not to call the two steps yourself.
    discriminator_steps
        k, D's steps per round.
    conditional
        Whether the players receive the labels of the data.
    average
        An average of G's weights to sample with, if any.
    scheduler
        Changes the learning rates, if any.
    generator_pull, discriminator_pull
        Historical averages of the players, which pull them towards themselves, if any.

    Raises
    ------
    ValueError
        If the players share parameters, an optimizer or a pull belongs to the other player, the
        average follows or the scheduler changes what isn't in the game, `discriminator_steps` is
        below 1, or there are penalties although D has several logits.
    TypeError
        If a part is of another kind than it must be: a player that isn't a net, an optimizer
        without `step`, an objective that isn't an `Objective`.
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
    feature_matching: float = 0.0
    latent: Latent | None = None
    discriminator_steps: int = 1
    conditional: bool = False
    average: optim.ExponentialMovingAverage | None = None
    scheduler: optim.Scheduler | None = None
    generator_pull: optim.HistoricalAverage | None = None
    discriminator_pull: optim.HistoricalAverage | None = None

    def __post_init__(self) -> None:
        self.check()
        _warn_of_bounded_logits(self.discriminator, self.objective)

    def play(self, batches: Sequence[Batch | tuple[Any, ...]], z: Array) -> dict[str, Array]:
        """Update D once for each batch, then G once: the body of Algorithm 1's loop.

        Parameters
        ----------
        batches
            For each step of D: reals, latents, and labels or None.
        z
            Latents for G's step. Its labels (and reals, if the objective uses them) are those of
            D's last step.

        Returns
        -------
        dict
            The reports of D's last step and of G's step.
        """
        report: dict[str, Array] = {}
        for real, latents, labels in batches:
            report |= self.discriminator_step(real, latents, labels)
        return report | self.generator_step(z, real, labels)

    def discriminator_step(
        self, real: Array, z: Array, labels: Array | None = None
    ) -> dict[str, Array]:
        """Update D to tell a real batch from a fake one; G isn't updated.

        Parameters
        ----------
        real
            Real samples, shape (N, ...).
        z
            Latent vectors, shape (N, latent).
        labels
            Conditions, shape (N,): D then receives ``(real, labels)`` and G ``(z, labels)``.

        Returns
        -------
        dict
            ``loss_d``, ``d_real``, ``d_fake`` (means of D's probabilities, or of its logits if the
            objective has no probabilities) and ``penalty``, scalars of the array library.
        """
        D, G = self.discriminator, self.generator
        with nn.frozen_statistics(G):
            fake = G.forward(_given(labels, z), train=True)[0]  # the cache is discarded at once

        self.discriminator_optimizer.zero_grad()
        objective, told = self._judged(labels, z)
        real, fake = _given(told, real), _given(told, fake)
        penalties = self.due_penalties()
        apart = any(map(_takes_reals, penalties))
        real_logits, fake_logits, caches = nn.forward_both(D, real, fake, apart=apart)
        loss, d_real, d_fake = objective.discriminator(real_logits, fake_logits)
        nn.backward_both(D, d_real, d_fake, caches)  # and no further: not into G
        passed = real_logits, caches[0]
        penalty: Any = sum(
            add(D, real, fake, passed) if _takes_reals(add) else add(D, real, fake)
            for add in penalties
        )

        self._complete(D, self.discriminator_optimizer, self.discriminator_pull)
        self.discriminator_optimizer.step()
        if self.after_discriminator_step is not None:
            self.after_discriminator_step(D)
        report = {
            "loss_d": loss,
            "d_real": self._belief(real_logits),
            "d_fake": self._belief(fake_logits),
        }
        return report | ({"penalty": penalty} if penalties else {})

    def generator_step(
        self, z: Array, real: Array | None = None, labels: Array | None = None
    ) -> dict[str, Array]:
        """Update G so that D takes its samples for real; D isn't updated.

        Parameters
        ----------
        z
            Latent vectors, shape (N, latent).
        real
            Real samples, shape (N, ...), for objectives that compare reals with fakes.
        labels
            Conditions, shape (N,), as in `discriminator_step`.

        Returns
        -------
        dict
            ``loss_g`` and, with feature matching, ``matching``, scalars of the array library.
        """
        D, G = self.discriminator, self.generator
        self.generator_optimizer.zero_grad()
        fake, fake_cache = G.forward(_given(labels, z), train=True)
        objective, told = self._judged(labels, z)
        with nn.frozen_statistics(D):
            logits, logits_cache = D.forward(_given(told, fake), train=True)
            real_logits = D.forward(_given(told, real), train=True)[0] if objective.pairs else None

        loss, d_logits = objective.generator(logits, real_logits)
        # Through D, whose own gradients stay unchanged.
        d_fake: Any = D.backward(d_logits, logits_cache, param_grads=False)
        del logits_cache  # its memory serves the way back through G
        report = {"loss_g": loss}
        if self.feature_matching:
            with nn.frozen_statistics(D):
                report["matching"], d_matching = feature_matching(
                    D,
                    _given(told, real),
                    _given(told, fake),
                    weight=self.feature_matching,
                    ranks=self.ranks,
                )
            d_fake = d_fake + d_matching
        G.backward(d_fake, fake_cache, input_grad=False)
        self.regularise(z)

        self._complete(G, self.generator_optimizer, self.generator_pull)
        self.generator_optimizer.step()
        return report

    def due_penalties(self) -> Sequence[Penalty]:
        """Return the penalties of this step of D: all of them."""
        return self.penalties

    def regularise(self, z: Array) -> None:
        """Add further gradients to G's, whose step had the latents z: none."""

    def _complete(
        self, player: nn.Layer, optimizer: Optimizer, pull: optim.HistoricalAverage | None
    ) -> None:
        """Do to a player's gradients what doesn't come from its loss."""
        if isinstance(optimizer, optim.Optimizer):
            optimizer.reduce()
        if pull is not None:
            pull.add()
        if self.before_step is not None:
            self.before_step(player)

    def _judged(self, labels: Array | None, z: Array) -> tuple[Objective, Array | None]:
        """Return the objective and the labels for D: None if D has to predict them."""
        if not self.auxiliary:
            return self.objective, labels
        if labels is None:
            raise ValueError(
                "A discriminator that predicts classes needs labels; pass those of the batch."
            )
        return with_classes(self.objective, labels, self.auxiliary), None

    def _belief(self, logits: Array) -> Array:
        logits = logits[:, :1]
        if self.objective.probabilistic:
            return backend.of(logits).mean_probability(logits)
        return logits.mean()

    # ------------------------------------------------------------ the interface of every game

    def parts(self) -> dict[str, Any]:
        """Return the players, their optimizers and, if set, averages and the scheduler."""
        parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "average": self.average,
            "scheduler": self.scheduler,
            "generator_pull": self.generator_pull,
            "discriminator_pull": self.discriminator_pull,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def players(self) -> dict[str, nn.Layer]:
        """Return D and G, in the order in which they are updated."""
        return {"discriminator": self.discriminator, "generator": self.generator}

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[tuple[Batch, ...], Array]:
        """Draw reals, latents and labels for each step of D, then latents for G's step."""
        if self.latent is None:
            raise ValueError("The game has no distribution to draw z from; give it a Latent.")
        batches = []
        for _ in range(self.discriminator_steps):
            real, labels = next(source)
            if self.conditional and labels is None:
                raise ValueError(
                    "The game is conditional, but the data have no labels; use data with labels."
                )
            z = self.latent.sample(len(real), rng)
            batches.append(Batch(real, z, labels if self.conditional else None))
        return tuple(batches), self.latent.sample(len(real), rng)

    @property
    def sampler(self) -> nn.Layer:
        """The generator to sample with: the averaged one, if there is one."""
        return self.generator if self.average is None else self.average.net

    def inputs(
        self, n: int, rng: numpy.random.Generator, data: Callable[[], Any] | None = None
    ) -> Array:
        """Draw n latents, shape (n, latent)."""
        if self.latent is None:
            raise ValueError("The game has no latents to make samples from; give it a Latent.")
        return self.latent.sample(n, rng)

    def sample(
        self, inputs: Any, labels: Array | None = None, *, averaged: bool = True
    ) -> NDArray[Any]:
        """Map latents (N, latent) to samples (N, ...)."""
        net = self.sampler if averaged else self.generator
        return in_batches(net, _given(labels, inputs))

    def landscape(self, points: Array) -> Array:
        """Return D's probability of real at each point: (M, 2) -> (M,).

        If the objective has no probabilities, D's outputs are scaled to the range from 0 to 1 over
        the given points. A D that compares the samples of a batch sees about 256 neighbouring
        points at a time.
        """
        logits = in_batches(self.discriminator, points)[:, 0]
        if self.objective.probabilistic:
            return losses.sigmoid(logits)
        low, high = logits.min(), logits.max()
        return (logits - low) / max(high - low, 1e-12)

    def push(self, points: Array) -> NDArray[Any]:
        """Return minus the gradient of G's loss at each fake point: (M, 2) -> (M, 2).

        Up to the factor -M, this is the gradient that G's own backward pass starts from.
        """
        fake = self.device.asarray(filled_up(points, group_of(self.discriminator)))
        logits, cache = self.discriminator.forward(fake, train=False)
        _, d_logits = self.objective.generator(logits, logits if self.objective.pairs else None)
        slope = self.discriminator.backward(d_logits, cache, param_grads=False)
        return -backend.to_numpy(slope)[: len(points)] * len(fake)

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        if not isinstance(self.objective, Objective):
            raise TypeError(
                f"The game needs an objective, got {self.objective!r}; write for example "
                "gan.objective('hinge')."
            )
        if not is_whole(self.discriminator_steps) or self.discriminator_steps < 1:
            raise ValueError(
                "The discriminator needs a whole number of steps, at least one step per round, got "
                f"{self.discriminator_steps!r}."
            )
        checks.not_negative("feature_matching", self.feature_matching)
        if self.latent is not None and not hasattr(self.latent, "sample"):
            raise TypeError(
                f"The game draws z from {self.latent!r}, which can't be; give a gan.Latent, such "
                "as gan.Latent(64)."
            )
        if not isinstance(self.penalties, (list, tuple)):
            raise TypeError(
                f"The penalties of a game are a list of functions, got {self.penalties!r}; write "
                "penalties=[...]."
            )
        strange = next((one for one in self.penalties if not callable(one)), None)
        if strange is not None:
            raise TypeError(
                f"Each penalty of a game is a function (critic, real, fake), got {strange!r}; see "
                "gan.tame."
            )
        for name in ("before_step", "after_discriminator_step"):
            hook = getattr(self, name)
            if hook is not None and not callable(hook):
                raise TypeError(f"The {name} of a game is a function (player), got {hook!r}.")
        if self.auxiliary and self.penalties:
            raise ValueError(
                "Penalties need a discriminator with one logit, but this one predicts classes too; "
                "leave the penalty out (spectral-norm and the like may stay)."
            )
        both = {"generator": self.generator, "discriminator": self.discriminator}
        for role, net in both.items():
            require_net(net, role)
        _require_separate(*both.values())
        for player, opponent in (both, tuple(reversed(both))):
            optimizer = getattr(self, f"{player}_optimizer")
            require_owner(optimizer, both[player], (both[opponent],), player)
            pull = getattr(self, f"{player}_pull")
            own = [*both[player].parameters().values()]
            if pull is not None and not _same(pull.parameters, own):
                raise ValueError(
                    f"The pull of the {player} is the average of another net; build it from the "
                    f"{player} itself."
                )
        if self.average is not None and self.average.source is not self.generator:
            raise ValueError(
                "The average of the game follows another net than its generator; make it with "
                "optim.ExponentialMovingAverage(generator, decay=...)."
            )
        moved = (self.generator_optimizer, self.discriminator_optimizer)
        if self.scheduler and any(one not in moved for one in self.scheduler.optimizers):
            raise ValueError(
                "The scheduler of the game sets the learning rate of an optimizer that isn't in "
                "the game; make it with the optimizers of the two players."
            )


def _takes_reals(penalty: Penalty) -> bool:
    return bool(getattr(penalty, "takes_reals", False))


def _given(labels: Array | None, x: Array | None) -> Any:
    """A player's input: x alone, or x together with its condition."""
    return x if labels is None else (x, labels)


_BOUNDED = (nn.Sigmoid, nn.Softmax, nn.Tanh, nn.ReLU)
_UNBOUNDED = ("wasserstein", "hinge", "relativistic")
"""Objectives without probabilities that take logits of any size and sign."""


def _require_separate(generator: nn.Layer, discriminator: nn.Layer) -> None:
    own = {id(p) for p in generator.parameters().values()}
    if own & {id(p) for p in discriminator.parameters().values()}:
        raise ValueError(
            "The generator and the discriminator share parameters, so that the steps of the one "
            "undo those of the other; make the two from layers of their own."
        )


def _warn_of_bounded_logits(discriminator: nn.Layer, objective: Objective) -> None:
    last = discriminator
    while isinstance(last, nn.Sequential) and len(last):
        last = last[-1]
    kind = type(last).__name__
    if type(last) not in _BOUNDED or not (objective.probabilistic or objective.name in _UNBOUNDED):
        return
    if isinstance(last, nn.Sigmoid) and objective.probabilistic:
        why = "logits and applies the sigmoid itself"
    else:
        why = f"numbers of any size and sign, which {kind} can't give"
    warnings.warn(
        f"The discriminator ends in a {kind}, but the objective {objective.name!r} takes {why}; "
        "leave the last layer out.",
        stacklevel=4,
    )


def _same(some: Sequence[Any], others: Sequence[Any]) -> bool:
    """Whether two lists are of the same objects."""
    return len(some) == len(others) and all(a is b for a, b in zip(some, others, strict=True))

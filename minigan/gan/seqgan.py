r"""SeqGAN (Yu et al. 2017): a generator that writes word by word, and learns from rewards.

G is a *policy*: from the words so far it gives the probabilities :math:`\pi_t` of the next one.
A draw from them has no derivative, so D's gradient ends here. What remains is D's verdict on the
whole sentence, as a reward :math:`R_n = \sigma(D(y_n))`. By REINFORCE (Williams 1992),

.. math:: \nabla\, \mathbb E[R] = \mathbb E \Big[ A_n \sum_t \nabla \log \pi_t(y_{nt}) \Big], \qquad
          A_n = R_n - b_n,

for any baseline b that doesn't depend on :math:`y_n`. The mean reward of the other sentences of the
batch is one: it leaves the expectation as it is and makes it less noisy, and with it A is the
distance from the mean of all, times N/(N - 1). Here that distance is measured in standard
deviations s of the batch's rewards,

.. math:: A_n = (R_n - \bar R) / (s + 0.01),

so that a D which is hardly sure of anything, and whose rewards are all alike, moves G as far as one
that is sure of all. So, for minus the expected reward, the logits of each word get

.. math:: d\ell_{nt} = A_n\, (\pi_{nt} - \mathrm{onehot}(y_{nt})) / N,

up to the first end of the line, and from there the backward pass goes through time.

With A = 1 and sentences of the data in place of G's own this is the maximum of likelihood, by which
G begins: words at random would earn nothing. The authors give each word a reward of its own, the
mean over sixteen ways to go on from it; here all words of a sentence share the final one.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy

from minigan import backend, nn
from minigan.backend import Array
from minigan.gan.game import Game
from minigan.nn.cache import Cache, Shape
from minigan.ranks import ALONE, Ranks

TINY = 1e-30
"""Keeps the logarithm finite, of a probability that underflows."""
UNSURE = 0.01
"""Standard deviation of the rewards below which G's steps become smaller."""


class Writer(nn.Layer, samplewise=True):
    """Writes sentences word by word: latents (N, L) to one-hot words (N, L, V).

    Each latent draws one word: with u = (z + 1) / 2, uniform on (0, 1), it is the first word at
    which the sum of the probabilities so far exceeds u. After word 0, the end of the line, all are
    0.

    Parameters
    ----------
    recurrent
        From the word before, one-hot, and its state, to the next state.
    head
        From states (N, L, hidden) to logits (N, L, V).
    """

    def __init__(self, recurrent: nn.GRU, head: nn.Layer) -> None:
        self.policy = nn.Sequential(recurrent, head)
        self.words = recurrent.in_features

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map latents (N, L), between -1 and 1, to words (N, L, V)."""
        u = (self.check(x) + 1) / 2
        xp, (recurrent, head) = backend.of(u).xp, self._parts()
        word = xp.zeros((len(u), self.words), u.dtype)
        h, going = xp.zeros((len(u), recurrent.hidden), u.dtype), 1
        y = xp.empty((*u.shape, self.words), u.dtype)
        for t in range(u.shape[1]):
            h, _ = recurrent.step(recurrent.projected(word), h)
            chances = xp.cumsum(probabilities(head(h[:, None])[:, 0]), axis=1)
            code = (chances[:, :-1] < u[:, t : t + 1]).sum(axis=1, keepdims=True) * going
            going = (code > 0).astype(code.dtype)
            word = (code == xp.arange(self.words)).astype(u.dtype)
            y[:, t] = word
        return y, Cache(self, y)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Refuse: a draw has no derivative."""
        raise ValueError(
            f"{self!r} draws words, and a draw has no derivative; let a SequenceGame train it, "
            "which goes by rewards."
        )

    def imitate(self, words: Array, weight: Any) -> Array:
        """Add the gradient of -Σ weight log π(words) / N to the parameters; return that number.

        Parameters
        ----------
        words
            One-hot, (N, L, V). They count up to the first word 0.
        weight
            A number, or (N, 1).
        """
        xp, n = backend.of(words).xp, len(words)
        logits, cache = self.policy.forward(_later(words), train=True)
        p = probabilities(logits)
        counted = weight * _until_end(words)
        self.policy.backward((p - words) * counted[:, :, None] / n, cache, input_grad=False)
        chosen = xp.maximum((p * words).sum(axis=2), TINY)
        return -(xp.log(chosen) * counted).sum() / n

    def _parts(self) -> tuple[Any, Any]:
        """The recurrent layer and the head."""
        return self.policy[0], self.policy[1]

    def output_shape(self, shape: Shape) -> Shape:
        """(N, L) -> (N, L, V)."""
        if len(shape) != 2:
            raise ValueError(f"{self!r} got an input of shape {shape}, but needs (N, length).")
        return self.policy.output_shape((*shape, self.words))

    def multiply_adds(self, shape: Shape) -> int:
        """Those of the policy, once for each word."""
        return self.policy.multiply_adds((*shape, self.words))

    def __repr__(self) -> str:
        return f"Writer({', '.join(map(repr, self.policy))})"


class Rounds:
    """Counts the rounds of a game.

    Parameters
    ----------
    rounds
        How many are over.
    """

    def __init__(self, rounds: int = 0) -> None:
        self.rounds = rounds

    def state_dict(self) -> dict[str, Any]:
        """Return the number."""
        return {"rounds": numpy.asarray(self.rounds)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore it."""
        self.rounds = int(state["rounds"])


@dataclass(repr=False)
class SequenceGame(Game):
    """`Game` with a `Writer` for G.

    Attributes
    ----------
    pretraining
        Rounds at the beginning in which G learns from sentences of the data; D plays as ever.
    progress
        The rounds so far.
    """

    pretraining: int = 0
    progress: Rounds = field(default_factory=Rounds)

    def generator_step(
        self, z: Array, real: Array | None = None, labels: Array | None = None
    ) -> dict[str, Array]:
        """Update G: by the data at first, then by rewards.

        Parameters
        ----------
        z
            Latents (N, L).
        real
            Sentences of the data, (N, L, V).
        labels
            Ignored.

        Returns
        -------
        dict
            ``loss_g``, minus the mean log-likelihood of a sentence of the data, or minus the
            reward; ``reward``, its mean.
        """
        G: Any = self.generator
        self.generator_optimizer.zero_grad()
        words = G.forward(z, train=True)[0]
        reward = self.reward(words)
        if self.kind() == "data":
            loss = G.imitate(real, 1)
        else:
            G.imitate(words, advantage(reward, self.ranks))
            loss = -reward.mean()
        self._complete(G, self.generator_optimizer, self.generator_pull)
        self.generator_optimizer.step()
        return {"loss_g": loss, "reward": reward.mean()}

    def reward(self, words: Array) -> Array:
        """Return D's probability that each sentence is real, (N, 1).

        Raises
        ------
        ValueError
            If the objective has no probabilities.
        """
        if not self.objective.probabilistic:
            raise ValueError(
                "The rewards of a SequenceGame are D's probabilities, which the objective "
                f"{self.objective.name!r} has none of; use non-saturating or saturating."
            )
        with nn.frozen_statistics(self.discriminator):
            logits = self.discriminator.forward(words, train=True)[0]
        return backend.of(logits).sigmoid(logits)

    def kind(self) -> Hashable:
        """Return what G learns from in the next round: ``"data"`` or ``"rewards"``."""
        return "data" if self.progress.rounds < self.pretraining else "rewards"

    def end_round(self) -> None:
        """Count the round, then update averages and schedulers."""
        self.progress.rounds += 1
        super().end_round()

    def parts(self) -> dict[str, Any]:
        """Return the parts of `Game`, and the rounds so far."""
        return super().parts() | {"progress": self.progress}


def advantage(reward: Array, ranks: Ranks = ALONE) -> Array:
    """Return how far each reward (N, 1) is above the mean on all ranks, in standard deviations."""
    (mean,) = ranks.mean(reward.mean())
    (variance,) = ranks.mean(((reward - mean) ** 2).mean())
    return (reward - mean) / (backend.of(reward).xp.sqrt(variance) + UNSURE)


def probabilities(logits: Array) -> Array:
    """Softmax over the last axis."""
    xp = backend.of(logits).xp
    grown = xp.exp(logits - logits.max(axis=-1, keepdims=True))
    return grown / grown.sum(axis=-1, keepdims=True)


def _later(words: Array) -> Array:
    """What is known before each word: the word before it, and nothing before the first."""
    xp = backend.of(words).xp
    return xp.concatenate([xp.zeros_like(words[:, :1]), words[:, :-1]], axis=1)


def _until_end(words: Array) -> Array:
    """(N, L): 1 up to the first word 0, itself included, and 0 after it."""
    xp = backend.of(words).xp
    ends = words[:, :, 0]
    return (xp.cumsum(ends, axis=1) - ends == 0).astype(words.dtype)

r"""From an image to another: pix2pix (Isola et al. 2017, "Image-to-image translation with
conditional adversarial networks").

G maps an image a to a fake b̂ = G(a) of what belongs to it, b. D sees both images, joined along
the channels, and judges each patch: its logits are (N, h, w, 1), one for the part of the picture
that each of them sees. G's loss (equation 4 there) is

.. math:: L_G = L_{adv}(D([a, \hat b])) + \lambda\,\langle|\hat b - b|\rangle, \qquad \lambda = 100.

The second term alone paints the median of all that could be there, which is blurred and grey; only
the first one asks for a picture that looks real.

Backward: the cotangent of D's input has the channels of a and of b̂; b̂ gets its own part, and
λ sign(b̂ - b) / n is added. What the channels of a get ends there.

There is no latent vector: all chance is in G's dropout, which stays on when samples are drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from minigan import backend, losses, nn, optim
from minigan.backend import Array
from minigan.gan.base import BaseGame, in_batches, require_owner
from minigan.gan.objectives import Objective, non_saturating


class _Sketches(NamedTuple):
    """What samples are made from, the true results if known, and seeds for the dropout, (N,)."""

    a: Array
    b: Array | None
    seeds: Array


@dataclass
class ImageToImage(BaseGame):
    """G translates images, D judges pairs of an image and its translation.

    Attributes
    ----------
    generator, discriminator
        G maps a (N, H, W, A) to b (N, H, W, B), D maps (N, H, W, A + B) to logits of any shape.
    generator_optimizer, discriminator_optimizer
        One for each player.
    objective
        The pair of losses; non-saturating BCE on logits by default, as in the paper.
    l1
        λ, the weight of the distance from the true result.
    adversarial
        Weight of G's loss against D; 0 leaves D out of the game, for comparison.
    average
        An average of G's weights to sample with, if any.
    scheduler
        Changes the learning rates, if any.

    Raises
    ------
    ValueError
        If an optimizer updates the other player, or the objective compares reals with fakes.
    """

    generator: nn.Layer
    discriminator: nn.Layer
    generator_optimizer: optim.Optimizer
    discriminator_optimizer: optim.Optimizer
    objective: Objective = field(default_factory=non_saturating)
    l1: float = 100.0
    adversarial: float = 1.0
    average: optim.ExponentialMovingAverage | None = None
    scheduler: optim.Scheduler | None = None

    def __post_init__(self) -> None:
        self.check()

    def play(self, pair: Any) -> dict[str, Array]:
        """Translate a batch, update D with the result, then update G with D's new opinion of it.

        Parameters
        ----------
        pair
            a (N, H, W, A) and b (N, H, W, B).

        Returns
        -------
        dict
            ``loss_d``, ``d_real`` and ``d_fake`` as in `Game`, ``loss_g`` (without the distance)
            and ``l1`` (the distance, without its weight).
        """
        a, b = pair
        fake, cache = self.generator.forward(a, train=True)
        report: dict[str, Array] = {}
        if self.adversarial:
            self.discriminator_optimizer.zero_grad()
            report |= self.discriminator_loss(a, b, fake)
            self.discriminator_optimizer.step()
        self.generator_optimizer.zero_grad()
        told, d_fake = self.generator_loss(a, b, fake)
        self.generator.backward(d_fake, cache, input_grad=False)
        self.generator_optimizer.step()
        return report | told

    def discriminator_loss(self, a: Array, b: Array, fake: Array) -> dict[str, Array]:
        """Add the gradient of half of D's loss to D's; the paper halves it to slow D down."""
        D = self.discriminator
        real_logits, fake_logits, caches = nn.forward_both(D, _joined(a, b), _joined(a, fake))
        loss, d_real, d_fake = self.objective.discriminator(real_logits, fake_logits)
        nn.backward_both(D, d_real / 2, d_fake / 2, caches)  # no further: G isn't updated here
        return {
            "loss_d": loss,
            "d_real": self._belief(real_logits),
            "d_fake": self._belief(fake_logits),
        }

    def generator_loss(self, a: Array, b: Array, fake: Array) -> tuple[dict[str, Array], Array]:
        """Return the parts of G's loss, and its derivative with respect to the fake."""
        distance, d_distance = losses.l1(fake, b)
        d_fake = self.l1 * d_distance
        if not self.adversarial:
            return {"l1": distance}, d_fake
        D = self.discriminator
        with nn.frozen_statistics(D):
            logits, cache = D.forward(_joined(a, fake), train=True)
        loss, d_logits = self.objective.generator(logits, None)
        d_both: Any = D.backward(self.adversarial * d_logits, cache, param_grads=False)
        return {"loss_g": loss, "l1": distance}, d_fake + d_both[..., a.shape[-1] :]

    def _belief(self, logits: Array) -> Array:
        if self.objective.probabilistic:
            return backend.of(logits).mean_probability(logits)
        return logits.mean()

    # ------------------------------------------------------------ the interface of every game

    def parts(self) -> dict[str, Any]:
        """Return the players, their optimizers and, if set, the average and the scheduler."""
        parts = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "generator_optimizer": self.generator_optimizer,
            "discriminator_optimizer": self.discriminator_optimizer,
            "average": self.average,
            "scheduler": self.scheduler,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[Any]:
        """Draw a batch of pairs."""
        return (next(source),)

    def inputs(
        self, n: int, rng: numpy.random.Generator, data: Callable[[], Any] | None = None
    ) -> _Sketches:
        """Draw n pairs from the data, and seeds."""
        if data is None:
            raise ValueError("Samples are translations of images; pass the data to take them from.")
        a, b = data().draw(n, rng)
        return _Sketches(a, b, rng.integers(0, 2**31, n))

    def sample(
        self, inputs: _Sketches, labels: Array | None = None, *, averaged: bool = True
    ) -> NDArray[Any]:
        """Translate images (N, H, W, A) to (N, H, W, B), with dropout drawn from the seeds."""
        net = self.average.net if averaged and self.average else self.generator
        with _seeded(net, int(inputs.seeds[0])):
            return in_batches(net, inputs.a)

    def exported(self, inputs: _Sketches, *, discriminator: bool = False) -> tuple[nn.Layer, Array]:
        """Return G, which then drops nothing, and images a; or D and pairs [a, b]."""
        if discriminator:
            return self.discriminator, numpy.concatenate([inputs.a, inputs.b], axis=-1)
        return (self.average.net if self.average else self.generator), inputs.a

    def translate(
        self, images: Array, rng: numpy.random.Generator, *, back: bool = False
    ) -> NDArray[Any]:
        """Translate images (N, H, W, A) on the host to (N, H, W, B).

        Raises
        ------
        ValueError
            If the way back is asked for, which this game doesn't learn.
        """
        if back:
            raise ValueError("This game translates one way only; leave out --back.")
        return self.sample(_Sketches(images, None, rng.integers(0, 2**31, len(images))))

    def picture(self, inputs: _Sketches, labels: Array | None = None) -> NDArray[Any]:
        """Return a, G(a) and, if known, b side by side."""
        views = [inputs.a, self.sample(inputs), *([] if inputs.b is None else [inputs.b])]
        return side_by_side(views)

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        if self.objective.pairs:
            raise ValueError(
                f"The objective {self.objective.name!r} compares reals with fakes in G's step, "
                "which pix2pix doesn't; choose another one."
            )
        G, D = self.generator, self.discriminator
        require_owner(self.generator_optimizer, G, (D,), "generator")
        require_owner(self.discriminator_optimizer, D, (G,), "discriminator")


def side_by_side(views: list[Any]) -> NDArray[Any]:
    """Join images (N, H, W, 1 or 3) along their width; grey ones become RGB if need be."""
    channels = max(view.shape[-1] for view in views)
    return numpy.concatenate(
        [numpy.repeat(v, channels // v.shape[-1], axis=-1) for v in views], axis=2
    )


def _joined(a: Array, b: Array) -> Array:
    return backend.of(b).xp.concatenate([a, b], axis=-1)


@contextmanager
def _seeded(net: nn.Layer, seed: int) -> Iterator[None]:
    """Let a net's own generators start from a seed, and afterwards be where they were."""
    generators = list(net.generators().values())
    before = [g.bit_generator.state for g in generators]
    for i, g in enumerate(generators):
        g.bit_generator.state = type(g.bit_generator)([seed, i]).state
    try:
        yield
    finally:
        for g, state in zip(generators, before, strict=True):
            g.bit_generator.state = state

r"""From one kind of image to another without pairs: CycleGAN (Zhu et al. 2017, "Unpaired
image-to-image translation using cycle-consistent adversarial networks").

Two generators translate between the kinds A and B, and two discriminators judge the results.
Nothing says which translation of a is right, except that the way back must lead to a again. With
λ = 10 and ι = λ/2 as in the paper, the generators minimise, for a in A and b in B,

.. math:: L_G = (D_B(\hat b) - 1)^2 + \lambda |G_{BA}(\hat b) - a| + \iota |G_{AB}(b) - b|,
          \qquad \hat b = G_{AB}(a),

and the same with A and B exchanged (equations 1 to 3 with least squares, section 4; the last term
of section 5.2 keeps colours as they are); all are means over pixels and patches. The
discriminators minimise :math:`\frac12 (D_B(b) - 1)^2 + \frac12 D_B(\hat b)^2`.

Backward: b̂ reaches the loss along two paths, through D_B and through the generator that leads
back, so two cotangents are added before they go down G_AB. Each generator gets gradients from
three passes: there, as the way back, and of its identity.

The discriminators see fakes of earlier rounds too, from a pool of 50 (Shrivastava et al. 2017), so
that they don't forget what the generators did before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from minigan import backend, losses, nn, optim
from minigan.backend import Array
from minigan.gan.base import BaseGame, in_batches, require_owner
from minigan.gan.pix2pix import side_by_side
from minigan.nn.state import real_array
from minigan.ranks import ALONE, Ranks, whole


class Swaps(NamedTuple):
    """What chance decides about a pool, for each of n fakes: arrays (n,).

    ``places`` are different places in the pool, ``shown`` says whether D sees what is there in
    place of the fake, and ``kept`` whether the fake is put there.
    """

    places: Any
    shown: Any
    kept: Any


class ImagePool:
    """Fakes of earlier rounds, on the players' device.

    While the pool fills up, D sees each new fake, which is put into the pool. Then, for each new
    fake with probability ½, D sees an image from the pool, and the fake takes its place.

    Parameters
    ----------
    size
        Number of images.
    shape
        Shape of an image, (H, W, C).
    device
        The backend that holds them.

    Attributes
    ----------
    ranks
        The ranks that share a batch: each holds the whole pool, and sees its own fakes.
    """

    ranks: Ranks = ALONE

    def __init__(self, size: int, shape: tuple[int, ...], device: backend.Reference) -> None:
        self.size, self.filled, self._drawn = size, 0, 0
        self.held: Array = device.asarray(numpy.zeros((size, *shape), "float32"))

    def draw(self, n: int, rng: numpy.random.Generator) -> Swaps:
        """Draw what happens to n fakes; they take effect in `exchange`, and count in `advance`.

        If several ranks share a batch, these are all its fakes, those of other ranks included.
        """
        n *= self.ranks.size
        if n > self.size:
            raise ValueError(
                f"The pool holds {self.size} images, but a batch has {n}; make it larger."
            )
        self._drawn = n
        new = min(n, self.size - self.filled)
        old = rng.permutation(self.filled)[: n - new]
        fresh = numpy.arange(n) < new
        exchanged = ~fresh & (whole(rng).random(n) < 0.5)
        places = numpy.concatenate([self.filled + numpy.arange(new), old])
        return Swaps(places.astype("int64"), exchanged, fresh | exchanged)

    def exchange(self, fakes: Array, swaps: Swaps) -> Array:
        """Return what D sees in place of `fakes` (n, H, W, C), and update the pool."""
        xp, fakes = backend.of(fakes).xp, self.ranks.gather(fakes)
        held = self.held[swaps.places]
        columns = (-1, *[1] * (fakes.ndim - 1))
        self.held[swaps.places] = xp.where(swaps.kept.reshape(columns), fakes, held)
        return self.ranks.own(xp.where(swaps.shown.reshape(columns), held, fakes))

    def advance(self) -> None:
        """Count the images of the round that is over."""
        self.filled = min(self.filled + self._drawn, self.size)

    def state_dict(self) -> dict[str, Array]:
        """Return the images, and how many there are."""
        return {"held": self.held.copy(), "filled": numpy.asarray(self.filled)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` returned.

        Raises
        ------
        ValueError
            If it is of another pool; nothing has been changed then.
        """
        if tuple(state["held"].shape) != tuple(self.held.shape):
            raise ValueError(
                f"The pool has shape {tuple(self.held.shape)}, but this state is of one of "
                f"{tuple(state['held'].shape)}; resume with the settings that it was made with."
            )
        filled = int(state["filled"])
        if not 0 <= filled <= self.size:
            raise ValueError(f"The pool holds 0 to {self.size} images, but this state {filled}.")
        held = real_array("held", state["held"])
        self.held[...] = backend.of(self.held).asarray(held, dtype=self.held.dtype)
        self.filled = filled


@dataclass
class CycleGame(BaseGame):
    """Two generators and two discriminators, with one optimizer for each couple.

    Attributes
    ----------
    generator_ab, generator_ba
        Translate images (N, H, W, C) of A to B, and back.
    discriminator_a, discriminator_b
        Map images of A, or B, to logits of any shape.
    generators_optimizer, discriminators_optimizer
        Made with both nets of a couple, as in ``optim.Adam([generator_ab, generator_ba])``.
    pool_a, pool_b
        Earlier fakes of A and of B.
    cycle, identity
        λ and ι.
    averages
        Averages of the two generators to sample with, in the order of the generators, if any.
    scheduler
        Changes the learning rates, if any.

    Raises
    ------
    ValueError
        If an optimizer updates the other couple.
    """

    generator_ab: nn.Layer
    generator_ba: nn.Layer
    discriminator_a: nn.Layer
    discriminator_b: nn.Layer
    generators_optimizer: optim.Optimizer
    discriminators_optimizer: optim.Optimizer
    pool_a: ImagePool
    pool_b: ImagePool
    cycle: float = 10.0
    identity: float = 5.0
    averages: tuple[optim.ExponentialMovingAverage, ...] = ()
    scheduler: optim.Scheduler | None = None

    def __post_init__(self) -> None:
        self.check()

    def play(self, pair: Any, swaps_a: Swaps, swaps_b: Swaps) -> dict[str, Array]:
        """Update both generators, then both discriminators.

        Parameters
        ----------
        pair
            Images of A and of B, (N, H, W, C) each, which don't belong together.
        swaps_a, swaps_b
            What happens in the pools.

        Returns
        -------
        dict
            ``loss_g``, ``cycle`` and ``identity`` (sums over both directions, without their
            weights) and ``loss_d`` (the mean over both discriminators).
        """
        self.generators_optimizer.zero_grad()
        report, fake_a, fake_b = self.generators_loss(*pair)
        self.generators_optimizer.step()
        shown_a = self.pool_a.exchange(fake_a, swaps_a)
        shown_b = self.pool_b.exchange(fake_b, swaps_b)
        self.discriminators_optimizer.zero_grad()
        report |= self.discriminators_loss(pair, (shown_a, shown_b))
        self.discriminators_optimizer.step()
        return report

    def generators_loss(self, a: Array, b: Array) -> tuple[dict[str, Array], Array, Array]:
        """Add the gradients of both generators; return the parts of their loss, and the fakes."""
        there, back = self.generator_ab, self.generator_ba
        ab, fake_b = self._one_way(a, b, there, back, self.discriminator_b)
        ba, fake_a = self._one_way(b, a, back, there, self.discriminator_a)
        return {name: ab[name] + ba[name] for name in ab}, fake_a, fake_b

    def _one_way(
        self, x: Array, y: Array, there: nn.Layer, back: nn.Layer, judge: nn.Layer
    ) -> tuple[dict[str, Array], Array]:
        """Translate x to the kind of y, and back again."""
        fake, fake_cache = there.forward(x, train=True)
        with nn.frozen_statistics(judge):
            logits, judge_cache = judge.forward(fake, train=True)
        again, again_cache = back.forward(fake, train=True)
        same, same_cache = there.forward(y, train=True)

        fooled, d_logits = losses.mse(logits, 1.0)
        cycle, d_again = losses.l1(again, x)
        identity, d_same = losses.l1(same, y)

        d_fake: Any = judge.backward(d_logits, judge_cache, param_grads=False)
        d_fake = d_fake + back.backward(self.cycle * d_again, again_cache)
        there.backward(d_fake, fake_cache, input_grad=False)
        there.backward(self.identity * d_same, same_cache, input_grad=False)
        return {"loss_g": fooled, "cycle": cycle, "identity": identity}, fake

    def discriminators_loss(self, reals: Any, fakes: Any) -> dict[str, Array]:
        """Add the gradients of both discriminators; return the mean of their losses."""
        total: Any = 0.0
        judges = (self.discriminator_a, self.discriminator_b)
        for judge, real, fake in zip(judges, reals, fakes, strict=True):
            of_real, of_fake, caches = nn.forward_both(judge, real, fake)
            loss_real, d_real = losses.mse(of_real, 1.0)
            loss_fake, d_fake = losses.mse(of_fake, 0.0)
            nn.backward_both(judge, d_real / 2, d_fake / 2, caches)
            total = total + (loss_real + loss_fake) / 4
        return {"loss_d": total}

    # ------------------------------------------------------------ the interface of every game

    def parts(self) -> dict[str, Any]:
        """Return the players, optimizers and pools and, if set, averages and scheduler."""
        parts = {
            "generator_ab": self.generator_ab,
            "generator_ba": self.generator_ba,
            "discriminator_a": self.discriminator_a,
            "discriminator_b": self.discriminator_b,
            "generators_optimizer": self.generators_optimizer,
            "discriminators_optimizer": self.discriminators_optimizer,
            "pool_a": self.pool_a,
            "pool_b": self.pool_b,
            "scheduler": self.scheduler,
            **dict(zip(("average_ab", "average_ba"), self.averages, strict=False)),
        }
        return {name: part for name, part in parts.items() if part is not None}

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[Any, Swaps, Swaps]:
        """Draw images of both kinds, and what happens in the pools."""
        pair = next(source)
        n = len(pair[0])
        return pair, self.pool_a.draw(n, rng), self.pool_b.draw(n, rng)

    def end_round(self) -> None:
        """Update averages, advance schedulers and count the pools' images."""
        super().end_round()
        self.pool_a.advance()
        self.pool_b.advance()

    def inputs(
        self, n: int, rng: numpy.random.Generator, data: Callable[[], Any] | None = None
    ) -> Any:
        """Draw n images of each kind from the data."""
        if data is None:
            raise ValueError("Samples are translations of images; pass the data to take them from.")
        return data().draw(n, rng)

    def sample(
        self, inputs: Any, labels: Array | None = None, *, averaged: bool = True
    ) -> NDArray[Any]:
        """Translate the images of A among the inputs to B."""
        return in_batches(self._samplers(averaged)[0], inputs[0])

    def translate(
        self, images: Array, rng: numpy.random.Generator, *, back: bool = False
    ) -> NDArray[Any]:
        """Translate images (N, H, W, C) of A on the host to B, or of B to A; rng isn't used."""
        return in_batches(self._samplers(True)[back], images)

    def picture(self, inputs: Any, labels: Array | None = None) -> NDArray[Any]:
        """Return a, its translation, b, and its translation side by side."""
        there, back = self._samplers(True)
        a, b = inputs
        return side_by_side([a, in_batches(there, a), b, in_batches(back, b)])

    def exported(self, inputs: Any, *, discriminator: bool = False) -> tuple[nn.Layer, Any]:
        """Return the generator from A to B and images of A, or the discriminator of B and those."""
        a, b = inputs
        return (self.discriminator_b, b) if discriminator else (self._samplers(True)[0], a)

    def _samplers(self, averaged: bool) -> tuple[nn.Layer, nn.Layer]:
        if averaged and self.averages:
            there, back = self.averages
            return there.net, back.net
        return self.generator_ab, self.generator_ba

    def check(self) -> None:
        """Raise an error if parts don't fit together."""
        couples = (
            (self.generator_ab, self.generator_ba),
            (self.discriminator_a, self.discriminator_b),
        )
        for net in couples[0]:
            require_owner(self.generators_optimizer, net, couples[1], "generators")
        for net in couples[1]:
            require_owner(self.discriminators_optimizer, net, couples[0], "discriminators")

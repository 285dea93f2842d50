r"""The Dirac-GAN: the smallest game there is, one weight in each net.

The data are a single point, 0. G is another point, θ, and D is a straight line, :math:`D(x) =
\psi x` (Mescheder, Geiger and Nowozin, "Which training methods for GANs do actually converge?",
ICML 2018, definition 2.1). So the whole game is a point (θ, ψ) in a plane that moves, and the two
gradients are a field of arrows there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import gan, nn
from minigan.gan.taming import parse, tame
from minigan.latent import Latent
from minigan.play.setup import Setup
from minigan.recipes import Settings

START = 1.0
"""θ and ψ at the beginning."""
REACH = 2.0
"""The phase portrait shows θ and ψ from -REACH to REACH."""
BATCH = 4


class One(Latent):
    """A latent distribution that is always 1, so that G's output is its weight."""

    def sample(self, n: int, rng: numpy.random.Generator) -> NDArray[Any]:
        """Return ones, shape (n, size)."""
        return numpy.ones((n, self.size), "float32")


class Zeros(Iterator[tuple[NDArray[Any], None]]):
    """The data: always 0."""

    batch_size = BATCH

    def __next__(self) -> tuple[NDArray[Any], None]:
        return numpy.zeros((BATCH, 1), "float32"), None

    def state_dict(self) -> dict[str, Any]:
        """Return nothing: every batch is the same."""
        return {}

    def load_state_dict(self, state: Any) -> None:
        """Do nothing."""


def trainer_of(setup: Setup, settings: Settings) -> gan.Trainer:
    """Return a trainer of the Dirac-GAN with the objective, penalties and optimizers chosen.

    Raises
    ------
    ValueError
        If a penalty doesn't fit a D with one weight.
    """
    weights, latents, noise = map(
        numpy.random.default_rng, numpy.random.SeedSequence(setup.seed).spawn(3)
    )
    generator, line = (nn.Sequential(nn.Linear(1, 1, bias=False, rng=weights)) for _ in range(2))
    law = One(1)
    taming = tame(line, setup.penalties, rng=noise, generator=generator, latent=law)
    game = gan.Game(
        generator,
        taming.discriminator,
        **settings.movers(generator, taming.discriminator),
        **taming.pulls(generator=generator, discriminator=taming.discriminator),
        objective=gan.objective(setup.objective, smoothing=setup.smoothing),
        penalties=taming.penalties,
        before_step=taming.before_step,
        after_discriminator_step=taming.after_discriminator_step,
        feature_matching=taming.feature_matching,
        latent=law,
        discriminator_steps=setup.discriminator_steps,
    )
    _require_one_weight(game)
    place(game, START, START)
    return gan.Trainer(game, Zeros(), rng=latents, noise=noise)


def _require_one_weight(game: gan.Game) -> None:
    sizes = [sum(p.size for p in net.parameters().values()) for net in game.players().values()]
    if sizes != [1, 1]:
        raise ValueError(
            "This penalty needs more than one weight in D; leave it out of the Dirac-GAN."
        )


def position(game: gan.Game) -> tuple[float, float]:
    """Return θ and ψ."""
    theta, psi = (_weight(net) for net in (game.generator, game.discriminator))
    return float(theta.value.sum()), float(psi.value.sum())


def place(game: gan.Game, theta: float, psi: float) -> None:
    """Set θ and ψ."""
    _weight(game.generator).value[...] = theta
    _weight(game.discriminator).value[...] = psi


def _weight(net: nn.Layer) -> nn.Parameter:
    (weight,) = net.parameters().values()
    return weight


def field(setup: Setup, settings: Settings, *, side: int = 15) -> NDArray[Any]:
    """Return minus the gradients of both players' losses on a lattice of the plane.

    They are computed by the steps of a game of its own, whose optimizers have the learning rate 0.
    A pull towards the averages of a path (historical averaging) isn't among them.

    Parameters
    ----------
    setup, settings
        The game.
    side
        Points along each axis.

    Returns
    -------
    ndarray, shape (side * side, 4)
        θ, ψ, and the direction in which both move by gradient descent.
    """
    still = tuple(way for way in setup.penalties if parse(way)[0] != "historical-averaging")
    trainer = trainer_of(replace(setup, penalties=still), settings)
    game = trainer.game
    for optimizer in game.optimizers().values():
        optimizer.lr = 0.0
    ticks = numpy.linspace(-REACH, REACH, side)
    return numpy.array([_arrow(trainer, theta, psi) for psi in ticks for theta in ticks], "float32")


def _arrow(trainer: gan.Trainer, theta: float, psi: float) -> tuple[float, ...]:
    game: Any = trainer.game
    place(game, theta, psi)
    batches, z = game.draw(trainer.source, trainer.rng)
    game.play(batches, z)
    moves = (-float(_weight(net).grad.sum()) for net in (game.generator, game.discriminator))
    return theta, psi, *moves

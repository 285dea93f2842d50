"""What a recipe is: nets, data, loss, hyper-parameters, and the paper that it is from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy

from minigan import nn, optim
from minigan.gan import Latent, objective
from minigan.gan.game import Optimizer
from minigan.gan.taming import Taming, parse, tame

OPTIMIZERS = ("adam", "rmsprop", "sgd")
ELBO = "elbo"
"""The objective of an autoencoder, which is no game: the evidence lower bound."""

Networks = Callable[[numpy.random.Generator, numpy.random.Generator], tuple[nn.Layer, nn.Layer]]
"""``(weights_rng, noise_rng) -> (generator, discriminator)``; noise is for dropout and its like."""


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of a run; the command line can change each.

    Attributes
    ----------
    steps
        Rounds of the game (D k times, G once).
    batch_size
        Samples in a batch.
    lr_generator, lr_discriminator
        Learning rates.
    beta1, beta2
        Adam's decay rates.
    objective
        Name of the pair of losses, see `minigan.gan.OBJECTIVES`; ``"elbo"`` for autoencoders.
    smoothing
        One-sided label smoothing.
    discriminator_steps
        k in Algorithm 1.
    average
        Decay of the exponential moving average of G's weights that samples are drawn from; 0 for
        none.
    optimizer
        ``"adam"``, ``"rmsprop"`` or ``"sgd"``, for both players.
    penalties
        Ways to keep D tame, ``name`` or ``name:strength`` each, see `minigan.gan.WAYS`.
    """

    steps: int
    batch_size: int = 64
    lr_generator: float = 2e-4
    lr_discriminator: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    objective: str = "non-saturating"
    smoothing: float = 0.0
    discriminator_steps: int = 1
    average: float = 0.0
    optimizer: str = "adam"
    penalties: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "discriminator_steps"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive whole number, got {value}.")
        for name in ("lr_generator", "lr_discriminator"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"{name} must be a positive number, got {value}.")
        for name in ("beta1", "beta2", "average"):
            value = getattr(self, name)
            if not 0 <= value < 1:
                raise ValueError(f"{name} must satisfy 0 <= {name} < 1, got {value}.")
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(
                f"Unknown optimizer {self.optimizer!r}; use one of {', '.join(OPTIMIZERS)}."
            )
        if self.objective != ELBO:
            objective(self.objective, smoothing=self.smoothing)
        for way in self.penalties:
            parse(way)

    def optimizer_for(self, net: nn.Layer, lr: float) -> Optimizer:
        """Return the optimizer of one player."""
        if self.optimizer == "adam":
            return optim.Adam(net, lr=lr, betas=(self.beta1, self.beta2))
        return optim.RMSprop(net, lr=lr) if self.optimizer == "rmsprop" else optim.SGD(net, lr=lr)

    def changed(self, **changes: Any) -> Settings:
        """Return a copy with some values changed; None means "leave it"."""
        known = {field.name for field in fields(self)}
        unknown = changes.keys() - known
        if unknown:
            raise ValueError(
                f"Unknown setting {sorted(unknown)[0]!r}; there are {', '.join(sorted(known))}."
            )
        given = {name: value for name, value in changes.items() if value is not None}
        if "penalties" in given:
            given["penalties"] = tuple(given["penalties"])
        return replace(self, **given)


@dataclass(frozen=True)
class Recipe:
    """A trainable GAN.

    Attributes
    ----------
    name
        How the command line calls it.
    title
        What it trains, in a line.
    source
        The paper or the code that it is from.
    data
        Name of the data set or of the law in the plane.
    sample_shape
        Shape of a sample: (2,) or (height, width, channels).
    latent
        The law of its latent vectors.
    networks
        Builds the two players.
    settings
        The hyper-parameters.
    duration
        How long it takes, and where that was measured.
    classes
        Number of labels that the players are told; 0 for a recipe without conditions.
    auxiliary
        Weight of the classes in both losses, for a D that names them instead of being told; 0 for
        none.
    autoencoder
        For a decoder and an encoder in the place of G and D: the noise of
        `minigan.gan.VariationalAutoencoder`.
    """

    name: str
    title: str
    source: str
    data: str
    sample_shape: tuple[int, ...]
    latent: Latent
    networks: Networks
    settings: Settings
    duration: str
    classes: int = 0
    auxiliary: float = 0.0
    autoencoder: float | None = None

    def check(self, settings: Settings) -> None:
        """Refuse settings that mean nothing here.

        Raises
        ------
        ValueError
            If a game is to be trained as an autoencoder, or the reverse.
        """
        if self.autoencoder is None:
            if settings.objective == ELBO:
                raise ValueError(
                    f"{ELBO!r} is for autoencoders, but {self.name!r} is a game; choose another."
                )
            return
        adversary = settings.penalties or settings.smoothing or settings.discriminator_steps > 1
        if adversary or settings.objective != ELBO:
            raise ValueError(
                f"{self.name!r} has no discriminator; leave out objective, penalties, smoothing "
                "and "
                f"discriminator_steps."
            )

    def players(
        self, settings: Settings, weights: numpy.random.Generator, noise: numpy.random.Generator
    ) -> tuple[nn.Layer, Taming]:
        """Build G, and D with what keeps it tame."""
        generator, discriminator = self.networks(weights, noise)
        return generator, tame(
            discriminator, settings.penalties, rng=noise, conditional=self.classes > 0
        )

    @property
    def makes_images(self) -> bool:
        """Whether samples are images, not points."""
        return len(self.sample_shape) == 3

"""What a recipe is: nets, data, losses, hyper-parameters, and the paper that it follows."""

from __future__ import annotations

import difflib
import math
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import Field, dataclass, fields, replace
from numbers import Integral, Real
from pathlib import Path
from types import NoneType
from typing import Any, ClassVar, TypeVar

import numpy

from minigan import backend, data, metrics, nn, optim
from minigan.backend.window import is_whole
from minigan.gan import BaseGame, Game, objective
from minigan.gan.taming import parse, parse_all, tame
from minigan.gan.trainer import Callback, Source
from minigan.latent import Latent

T = TypeVar("T")
Generator = numpy.random.Generator
OPTIMIZERS = ("adam", "rmsprop", "sgd")
MOST = {"steps": 10**12, "batch_size": 10**9, "discriminator_steps": 1000}
"""Largest values of the settings that count something."""
ELBO = "elbo"
"""The objective of an autoencoder, which isn't a game: the evidence lower bound."""

Networks = Callable[[Generator, Generator], tuple[nn.Layer, nn.Layer]]
"""``(weights_rng, noise_rng) -> (generator, discriminator)``; noise is for dropout and the like."""


@dataclass(frozen=True)
class Settings:
    """Hyper-parameters of a run; each can be changed on the command line.

    Attributes
    ----------
    steps
        Rounds of the game (k steps of D, one of G).
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
        Decay of the exponential moving average of G's weights, which samples are drawn from; 0 for
        none.
    optimizer
        ``"adam"``, ``"rmsprop"`` or ``"sgd"``, for both players.
    penalties
        How the players are regularised, ``name`` or ``name:strength`` each, see `minigan.gan.WAYS`.
    schedule
        How the learning rates change during the run, see `minigan.optim.schedules.parse`.
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
    schedule: str = "constant"

    def __post_init__(self) -> None:
        for field in fields(self):
            _require_kind(field, getattr(self, field.name))
        for name, most in MOST.items():
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive integer, got {value}.")
            if value > most:
                raise ValueError(f"{name} must be at most {most:,}, got {value}.")
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
        optim.schedules.parse(self.schedule)
        parse_all(self.penalties)

    def optimizer_for(self, net: nn.Layer | Sequence[nn.Layer], lr: float) -> optim.Optimizer:
        """Return the optimizer of one player."""
        if self.optimizer == "adam":
            return optim.Adam(net, lr=lr, betas=(self.beta1, self.beta2))
        return optim.RMSprop(net, lr=lr) if self.optimizer == "rmsprop" else optim.SGD(net, lr=lr)

    def scheduler_for(self, optimizers: Sequence[optim.Optimizer]) -> optim.Scheduler | None:
        """Return the scheduler of the learning rates; None if they are constant."""
        if self.schedule == "constant":
            return None
        schedule = optim.schedules.parse(self.schedule)
        return optim.Scheduler(optimizers, schedule, steps=self.steps)

    def movers(self, generator: nn.Layer, discriminator: nn.Layer) -> dict[str, Any]:
        """Return the optimizers, average and scheduler for a `Game` between the two."""
        moves = {
            "generator_optimizer": self.optimizer_for(generator, self.lr_generator),
            "discriminator_optimizer": self.optimizer_for(discriminator, self.lr_discriminator),
        }
        scheduler = self.scheduler_for(list(moves.values()))
        return moves | {"average": self.average_of(generator), "scheduler": scheduler}

    def mover(self, net: nn.Layer) -> dict[str, Any]:
        """Return optimizer, average and scheduler for a net without an adversary.

        It learns at `lr_generator`.
        """
        optimizer = self.optimizer_for(net, self.lr_generator)
        scheduler = self.scheduler_for([optimizer])
        return {"optimizer": optimizer, "average": self.average_of(net), "scheduler": scheduler}

    def average_of(self, net: nn.Layer) -> optim.ExponentialMovingAverage | None:
        """Return the average of a net's weights, or None.

        While it is young it remembers about the last quarter of the updates, so that a short run
        doesn't end as a mixture with the random weights at its start.
        """
        if not self.average:
            return None
        return optim.ExponentialMovingAverage(net, decay=self.average, warmup=4)

    def shown(self) -> dict[str, Any]:
        """Return the values by name, as a help shows them."""
        return dict(vars(self))

    def changed(self, **changes: Any) -> Settings:
        """Return a copy with some values changed; None leaves a value unchanged."""
        known = {field.name for field in fields(self)}
        unknown = changes.keys() - known
        if unknown:
            name = sorted(unknown)[0]
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? The" if near else "the"
            raise ValueError(
                f"Unknown setting {name!r}; {hint} settings are {', '.join(sorted(known))}."
            )
        given = {name: value for name, value in changes.items() if value is not None}
        for name, value in given.items():
            value = value.item() if isinstance(value, numpy.generic) else value
            given[name] = _of_the_kind(name, value, getattr(self, name))
        return replace(self, **given)


KINDS: Mapping[type, tuple[Any, str]] = {
    bool: (bool, "true or false"),
    int: (Real, "a whole number"),
    float: (Real, "a number"),
    str: (str, "text"),
    tuple: ((list, tuple), "a list"),
}
"""For the type of a setting: what its values may be, and that in words."""
DECLARED: Mapping[Any, type] = {
    t: kind for kind in (int, float, str) for t in (kind, kind.__name__)
}
"""For what a dataclass says of a field, as a type or as text: the type that is meant."""


def _require_kind(field: Field[Any], value: Any) -> None:
    """Refuse text for a number and the like; True is an int for Python, but no number of steps.

    A field whose own value is a switch, or None, is left to whoever wrote it.
    """
    if field.type not in DECLARED or isinstance(field.default, (bool, NoneType)):
        return
    kind, words = KINDS[DECLARED[field.type]]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{field.name} must be {words}, got {value!r}.")


def _of_the_kind(name: str, value: Any, own: Any) -> Any:
    """Return a value for a setting, whose own value says of what kind it must be."""
    kind, words = KINDS.get(type(own), (object, ""))
    if isinstance(own, tuple) and isinstance(value, str):
        return (value,)
    if not isinstance(value, kind) or (isinstance(value, bool) and isinstance(own, float)):
        raise ValueError(f"{name} must be {words}, such as {own!r}, got {value!r}.")
    return tuple(value) if isinstance(own, tuple) else value  # JSON and TOML have no tuples


PARTS: Mapping[str, tuple[Any, str]] = {
    **dict.fromkeys(("name", "title", "source", "duration"), (str, "text")),
    "data": ((str, os.PathLike), "the name of a data set, or a path"),
    "sample_shape": ((tuple, list), "a tuple, such as (2,) or (28, 28, 1)"),
    "settings": (Settings, "Settings, such as Settings(steps=1000)"),
    "classes": (Integral, "a whole number"),
}
"""What the parts of a recipe must be, and that in words."""
MENTIONED = 5
"""Entries that a message names."""


def kind_of(value: Any) -> str:
    """Say what something is, for a message: its type, or those of its entries."""
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, (tuple, list)):
        entries = ", ".join(map(kind_of, value[:MENTIONED]))
        more = f" and {len(value) - MENTIONED} more" if len(value) > MENTIONED else ""
        return f"a {type(value).__name__} of {entries or 'nothing'}{more}"
    return type(value).__name__


@dataclass(frozen=True, kw_only=True, repr=False)
class Recipe:
    """A trainable GAN.

    For another kind of game, derive from it and override `game`, `load`, `stream`, `check`,
    `fitted` or `callbacks`; nothing else has to change.

    Attributes
    ----------
    name
        Its name on the command line.
    title
        What it trains, in one line.
    source
        The paper or the code that it follows.
    data
        Name of the data set or of the 2-D distribution.
    sample_shape
        Shape of a sample: (2,) or (height, width, channels).
    latent
        The distribution of its latent vectors, if it has any.
    networks
        Builds the two players.
    settings
        The hyper-parameters.
    duration
        How long training takes, and in what unit or on which machine it was measured.
    classes
        Number of classes of a conditional recipe; 0 for an unconditional one.
    auxiliary
        Weight of the classification losses, for a D that predicts the labels instead of receiving
        them; 0 for none.
    invented
        Whether the game draws the labels itself, so that the data need none.
    passes
        Passes through a net that a sample takes; the more, the more rarely the gauges measure.
    """

    name: str
    title: str
    source: str
    data: str
    sample_shape: tuple[int, ...]
    latent: Latent | None = None
    networks: Networks | None = None
    settings: Settings
    duration: str
    classes: int = 0
    auxiliary: float = 0.0
    invented: bool = False
    passes: int = 1
    media: ClassVar[str | None] = None
    """Suffix of the files that samples can be written to, besides pictures."""
    sees_all: ClassVar[bool] = True
    """Whether the nets learn from all images, or only from the first part of `metrics.split`."""

    def __post_init__(self) -> None:
        for name, (kind, words) in PARTS.items():
            value = getattr(self, name)
            if not isinstance(value, kind):
                raise TypeError(f"A recipe's {name} must be {words}, got {kind_of(value)}.")
        if self.networks is not None and not callable(self.networks):
            raise TypeError(
                "A recipe's networks must be a function that builds them, got "
                f"{kind_of(self.networks)}; give the function itself, without calling it."
            )
        sizes = all(is_whole(n) and n > 0 for n in self.sample_shape)
        if not sizes or not self.sample_shape:
            raise ValueError(
                "A recipe's sample_shape must be positive whole numbers, such as (2,) or "
                f"(28, 28, 1), got {self.sample_shape!r}."
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}: {self.title})"

    def returned(self, method: str, value: T, right: bool, wanted: str) -> T:
        """Return what one of the recipe's own functions returned, if it is right.

        Parameters
        ----------
        method
            The name of the function.
        value
            What it returned.
        right
            Whether that can be used.
        wanted
            What was needed, in words.

        Raises
        ------
        TypeError
            If it can't.
        """
        if right:
            return value
        raise TypeError(
            f"{method} of the recipe {self.name!r} must return {wanted}, but returned "
            f"{kind_of(value)}."
        )

    def fitted(self, settings: Settings) -> Recipe:
        """Return the recipe with all that the settings decide about it, such as the image size.

        By default it is the recipe itself. A recipe with settings of its own (a class derived from
        `Settings`) can return a copy with another `sample_shape` or other `networks`.
        """
        return self

    def suited(self, settings: Settings, samples: Any) -> Settings:
        """Return the settings with what the data decide, such as the vocabulary of a text.

        By default they are unchanged. `fitted` is called with the result once more.
        """
        return settings

    def callbacks(self, settings: Settings, folder: Path) -> Sequence[Callback]:
        """Return callbacks that follow every run of this recipe; none by default.

        Parameters
        ----------
        settings
            Those of the run.
        folder
            The run's folder, where they may write files.
        """
        return ()

    def check(self, settings: Settings) -> None:
        """Check that the settings make sense for this recipe.

        Raises
        ------
        ValueError
            If the objective is unknown, or is for autoencoders, or D can't be regularised in a way.
        """
        if self.auxiliary:
            self.refuse(settings, ("packing",), "whose D judges each sample by itself")
        if settings.objective == ELBO:
            raise ValueError(
                f"{ELBO!r} is for autoencoders, but {self.name!r} is a game; choose another "
                "objective."
            )
        objective(settings.objective, smoothing=settings.smoothing)

    def check_effect(self, settings: Settings) -> None:
        """Check that every setting has an effect, before a run begins; all have by default.

        Runs that were begun before something was refused here can still be opened.

        Raises
        ------
        ValueError
            If one has none.
        """

    def refuse(self, settings: Settings, ways: Collection[str], why: str) -> None:
        """Check that D isn't to be regularised in ways that don't suit this recipe, "whose" ...

        Raises
        ------
        ValueError
            If it is.
        """
        for name in (parse(way)[0] for way in settings.penalties):
            if name in ways:
                raise ValueError(
                    f"{name} can't be used with {self.name!r}, {why}; choose another penalty, or "
                    "none."
                )

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build the game: players on their device, regularisation of D, optimizers.

        Parameters
        ----------
        settings
            The hyper-parameters.
        weights, noise
            Random generators: for the initial weights, and for noisy layers and penalties.
        device
            The device of the players.
        """
        generator, discriminator = self.players(weights, noise)
        taming = tame(
            discriminator, settings.penalties, rng=noise,
            conditional=self.classes > 0 and not self.auxiliary,
            generator=generator, latent=self.latent,
        )  # fmt: skip
        generator = generator if taming.generator is None else taming.generator
        discriminator = taming.discriminator.to(device)
        generator.to(device)
        return self.arranged(
            settings,
            generator=generator,
            discriminator=discriminator,
            **settings.movers(generator, discriminator),
            **taming.pulls(generator=generator, discriminator=discriminator),
            objective=objective(settings.objective, smoothing=settings.smoothing),
            penalties=taming.penalties,
            before_step=taming.before_step,
            after_discriminator_step=taming.after_discriminator_step,
            auxiliary=self.auxiliary,
            feature_matching=taming.feature_matching,
            latent=self.latent,
            discriminator_steps=settings.discriminator_steps,
            conditional=self.classes > 0,
        )

    def players(self, weights: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
        """Build the two players with `networks`.

        Raises
        ------
        ValueError
            If there is none.
        TypeError
            If it doesn't return two nets.
        """
        if self.networks is None:
            raise ValueError(
                f"The recipe {self.name!r} has no networks; pass some, or override its method game."
            )
        built: Any = self.networks(weights, noise)
        # A Sequential of two layers could be unpacked, too, but is one net.
        pair = isinstance(built, (tuple, list)) and len(built) == 2
        right = pair and all(isinstance(net, nn.Layer) for net in built)
        wanted = "two nets, as in return generator, discriminator"
        generator, discriminator = self.returned("networks", built, right, wanted)
        return generator, discriminator

    def arranged(self, settings: Settings, **parts: Any) -> BaseGame:
        """Return the game between players that are ready: a `Game`.

        Parameters
        ----------
        settings
            The hyper-parameters.
        **parts
            What `Game` takes: players on their device, optimizers, penalties.
        """
        return Game(**parts)

    def load(self, name: str, data_dir: str | None) -> Any:
        """Load the training data: a 2-D distribution, by name or from a file of points, or images
        fitted to `sample_shape`.
        """
        if not self.makes_images:
            own = name not in data.DISTRIBUTIONS and os.path.exists(os.path.expanduser(name))
            return data.points(name) if own else data.distribution(name)
        return data.load(name, image_shape=self.sample_shape, data_dir=data_dir)  # type: ignore[arg-type]

    def stream(self, samples: Any, batch_size: int, rng: Generator) -> Source:
        """Return the stream of minibatches from what `load` returned."""
        stream = data.Batches if self.makes_images else data.Stream
        return stream(samples, batch_size, rng)

    def load_test(self, name: str, data_dir: str | None) -> Any:
        """Load the test split of the data; None if they are split when they are evaluated."""
        if not data.has_test_split(name):
            return None
        found = data.load(name, image_shape=self.sample_shape, data_dir=data_dir, split="test")  # type: ignore[arg-type]
        return found

    @property
    def makes_text(self) -> bool:
        """Whether samples are lines of text."""
        return False

    @property
    def makes_images(self) -> bool:
        """Whether samples come from a data set and are drawn as pictures, rather than points."""
        return len(self.sample_shape) == 3

    @property
    def plain_losses(self) -> bool:
        """Whether the players' losses are those of the objective alone."""
        return not self.auxiliary

    @property
    def makes(self) -> str:
        """What samples are, in a word: points, images, text, sounds or films."""
        if self.makes_text:
            return "text"
        plain = "images" if self.makes_images else "points"
        return {".wav": "sounds", ".gif": "films"}.get(self.media or "", plain)

    def pictures(self, samples: Any) -> Any:
        """Return how samples are drawn, (N, H, W, 1 or 3) in [-1, 1]; as they are, by default."""
        return samples

    def compared(self, samples: Any) -> Any:
        """Return the images of samples by which they are evaluated, (N, H, W, C); see `pictures`.

        There may be several for each sample.
        """
        return samples

    def save(self, path: Path, samples: Any) -> None:
        """Write samples to a file of the kind that `media` names."""
        raise ValueError(f"The samples of {self.name!r} can only be written as a picture.")

    def rows(self, samples: Any, train: Any, classifier: Any) -> tuple[metrics.Row, ...]:
        """Return measures of this recipe's own; none by default.

        Parameters
        ----------
        samples
            Shape (N, ...).
        train
            The training data, as `load` returns them.
        classifier
            Of the images that `compared` returns; None if the data have no labels.
        """
        return ()

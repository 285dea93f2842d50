"""A classifier of digits that knows a hundred labels and learns the rest from a game."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from minigan import backend, data, metrics, nn
from minigan.gan import BaseGame, Latent, SemiSupervisedGame, objective
from minigan.gan.trainer import Source
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings

CLASSES = 10


@dataclass(frozen=True)
class SemiSupervisedSettings(Settings):
    """Settings of a game whose D is a classifier.

    Attributes
    ----------
    labels
        Number of pictures whose label is known.
    unlabelled
        Weight of the game in D's loss; 0 trains D on the labelled pictures alone.
    """

    labels: int = 100
    unlabelled: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.labels, int) or self.labels < 1:
            raise ValueError(f"labels must be a positive integer, got {self.labels}.")
        if not 0 <= self.unlabelled < float("inf"):
            raise ValueError(f"unlabelled must be a number of at least 0, got {self.unlabelled}.")


def classifier(rng: Generator, noise: Generator) -> nn.Sequential:
    """Images (N, 16, 16, 1) to a logit for each class; G matches the features before the last
    layer.
    """
    net = nn.Sequential(
        nn.InstanceNoise(0.2, rng=noise),
        nn.Conv2d(1, 32, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2), nn.Dropout(0.3, rng=noise),
        nn.Conv2d(32, 64, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2), nn.Dropout(0.3, rng=noise),
        nn.Flatten(), nn.Linear(4 * 4 * 64, 128, rng=rng), nn.LeakyReLU(0.2),
        nn.Linear(128, CLASSES, rng=rng),
    )  # fmt: skip
    nn.initial.kaiming_normal(net, rng=rng)
    return net


@dataclass(frozen=True, kw_only=True, repr=False)
class SemiSupervised(Recipe):
    """A recipe whose D is a classifier.

    The fifth of the pictures that `minigan evaluate` sets aside for tests is never seen.

    Attributes
    ----------
    labels
        As in `SemiSupervisedSettings`; set by `fitted`.
    """

    labels: int = 100
    sees_all: ClassVar[bool] = False

    def check(self, settings: Settings) -> None:
        """Check that no setting is for other games."""
        super().check(settings)
        if settings.penalties or settings.discriminator_steps > 1:
            raise ValueError(
                f"{self.name!r} has its own way of training D; leave out penalties and "
                "discriminator_steps."
            )

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build both players on their device, and their optimizers."""
        G, D = nets.generator(weights), classifier(weights, noise)
        G.to(device)
        D.to(device)
        return SemiSupervisedGame(
            G, D, **settings.movers(G, D), latent=self.latent,
            objective=objective(settings.objective, smoothing=settings.smoothing),
            unlabelled=getattr(settings, "unlabelled", 1.0),
        )  # fmt: skip

    @property
    def plain_losses(self) -> bool:
        """False: D sorts, too, and G matches features."""
        return False

    def fitted(self, settings: Settings) -> SemiSupervised:
        """Return the recipe that knows as many labels as the settings say."""
        return replace(self, labels=getattr(settings, "labels", self.labels))

    def stream(self, samples: Any, batch_size: int, rng: Generator) -> Source:
        """Return the stream of batches of which a part has labels."""
        train, _ = metrics.split(samples)
        if train.labels is not None and train.labels.max() >= CLASSES:
            raise ValueError(
                f"The recipe {self.name!r} has the labels 0 to {CLASSES - 1}, but {samples.name} "
                f"has a label {train.labels.max()}; leave the other classes out."
            )
        # Batches of three parts, which only the game of this recipe understands.
        return data.PartlyLabelled(train, batch_size, rng, labels=self.labels)  # type: ignore[return-value]


RECIPE = SemiSupervised(
    name="ssgan-digits",
    title="small digits, a classifier from 100 labels and a game",
    source=(
        "Salimans et al. 2016 (K + 1 classes, feature matching), with a small convolutional D in "
        "place of their perceptron; dropout, and noise on its input as theirs"
    ),
    data="digits",
    sample_shape=(16, 16, 1),
    latent=Latent(64),
    settings=SemiSupervisedSettings(
        steps=1500, batch_size=64, lr_generator=1e-3, lr_discriminator=1e-3, schedule="linear:0.5"
    ),
    duration="about a minute of processor time",
)

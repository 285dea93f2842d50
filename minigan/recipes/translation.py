"""What recipes from images to images share: pairs of pictures as data, a U-Net and a patch D.

The nets are those of Isola et al. 2017, made for pictures of 16 to 32 pixels: fewer and narrower
layers, and a discriminator whose logits see about half of the picture each.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigan import data, nn
from minigan.gan.trainer import Source
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings


@dataclass(frozen=True)
class TranslationSettings(Settings):
    """Settings of a game from images to images.

    Attributes
    ----------
    l1
        pix2pix: weight of the distance from the true result.
    adversarial
        pix2pix: weight of G's loss against D; 0 leaves D out.
    cycle, identity
        CycleGAN: weights of these losses.
    """

    l1: float = 100.0
    adversarial: float = 1.0
    cycle: float = 10.0
    identity: float = 5.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("l1", "adversarial", "cycle", "identity"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(
                    f"{name} must be a number of at least 0, got {getattr(self, name)}."
                )


@dataclass(frozen=True, kw_only=True)
class Translation(Recipe):
    """A recipe that trains on pairs of pictures.

    Attributes
    ----------
    input_shape
        Height, width and channels of what is translated; `sample_shape` is that of the results.
    aligned
        Whether pictures in a folder belong together.
    losses
        The settings that weigh this game's losses.
    """

    input_shape: tuple[int, int, int]
    aligned: bool = True
    losses: tuple[str, ...] = ("l1", "adversarial")

    def check(self, settings: Settings) -> None:
        """Check that no setting is for other games.

        Raises
        ------
        ValueError
            If one is.
        """
        super().check(settings)
        if settings.penalties or settings.discriminator_steps > 1:
            raise ValueError(
                f"{self.name!r} has its own way of training D; leave out penalties and "
                "discriminator_steps."
            )

    def check_effect(self, settings: Settings) -> None:
        """Check that no setting weighs a loss of another game."""
        for name in {"l1", "adversarial", "cycle", "identity"}.difference(self.losses):
            if getattr(settings, name) != getattr(self.settings, name):
                raise ValueError(
                    f"{self.name!r} has no loss that {name} weighs; leave it out, or give "
                    f"{' or '.join(self.losses)}."
                )

    def load(self, name: str, data_dir: str | None) -> Any:
        """Load the pairs to train on, see `minigan.data.pairs`."""
        found = self.load_split(name, data_dir, "train")
        if self.aligned and not found.aligned:
            raise data.DataError(
                f"the pictures of {name!r} don't belong together, and {self.name!r} learns from "
                "pairs: train cyclegan with them, or choose other data"
            )
        return found

    def load_split(self, name: str, data_dir: str | None, split: str) -> data.Pairs:
        """Load the pairs of a split, ``"train"`` or ``"test"``."""
        a, b = self.input_shape, self.sample_shape
        return data.pairs(
            name, a_shape=a, b_shape=b, data_dir=data_dir, split=split, aligned=self.aligned  # type: ignore[arg-type]
        )  # fmt: skip

    def stream(self, samples: Any, batch_size: int, rng: Generator) -> Source:
        """Return the stream of minibatches of pairs."""
        return data.PairBatches(samples, batch_size, rng)


# ---------------------------------------------------------------- nets

Norm = Callable[[int], nn.Layer]
"""Makes a normalisation of so many channels."""


def unet(
    rng: Generator, noise: Generator, *, inputs: int, outputs: int, width: int, levels: int
) -> nn.Sequential:
    """Images (N, H, W, inputs) to (N, H, W, outputs); H and W are halved `levels` times.

    Each level passes its map around all that is inside it, and the inner ones have dropout, which
    is on when samples are drawn too.
    """
    widths = [min(width << level, 8 * width) for level in range(levels)]
    inside: list[nn.Layer] = []
    for level in reversed(range(1, levels)):
        innermost = level == levels - 1
        inside = [_level(rng, noise, widths[level - 1], widths[level], inside, innermost)]
    return nn.Sequential(
        nn.Conv2d(inputs, width, **nets.HALVE, rng=rng), *inside, nn.ReLU(),
        nn.ConvTranspose2d(2 * width, outputs, **nets.HALVE, rng=rng), nn.Tanh(),
    )  # fmt: skip


def _level(
    rng: Generator, noise: Generator, outer: int, inner: int, inside: list[nn.Layer],
    innermost: bool,
) -> nn.Skip:  # fmt: skip
    """Halve a map of `outer` channels, do what is inside, double it again, and join both."""
    norm = [] if innermost else [nn.BatchNorm(inner)]
    wide = inner if innermost else 2 * inner
    return nn.Skip(
        nn.LeakyReLU(0.2), nn.Conv2d(outer, inner, **nets.HALVE, bias=innermost, rng=rng), *norm,
        *inside, nn.ReLU(),
        nn.ConvTranspose2d(wide, outer, **nets.HALVE, bias=False, rng=rng), nn.BatchNorm(outer),
        *([nn.Dropout(0.5, rng=noise, always=True)] if innermost else []),
    )  # fmt: skip


def patches(
    rng: Generator,
    *,
    channels: int,
    width: int,
    halvings: int,
    norm: Callable[[int], nn.Layer] = nn.BatchNorm,
) -> nn.Sequential:
    """Images (N, H, W, channels) to logits (N, h, w, 1): 16 pixels see into one, or 34 for two."""
    layers: list[nn.Layer] = [nn.Conv2d(channels, width, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2)]
    for stride in (*[2] * (halvings - 1), 1):
        shape: dict[str, Any] = {"kernel_size": 4, "stride": stride, "padding": 1, "bias": False}
        layers += [
            nn.Conv2d(width, 2 * width, **shape, rng=rng),
            norm(2 * width),
            nn.LeakyReLU(0.2),
        ]
        width *= 2
    return nn.Sequential(*layers, nn.Conv2d(width, 1, kernel_size=4, padding=1, rng=rng))

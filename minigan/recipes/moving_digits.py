"""Films of a digit that moves and bounces: convolutions of each frame, and along time.

Eight frames of 16x16 pixels are one sample, (8, 16, 16, 1). A convolution in three dimensions is
factorised in two: one of each frame (`minigan.nn.PerFrame`), then one along time, for which the
frames are the rows of an image (T, H W, C).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy

from minigan import data, metrics, nn
from minigan.data.films import ROOM, SPEEDS
from minigan.gan import Latent
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Recipe, Settings

LATENT, WIDTH = 64, 32
ALONG: dict[str, Any] = {"kernel_size": (4, 1), "stride": (2, 1), "padding": (1, 0)}
"""A convolution that leaves half of the frames; transposed, it doubles them."""


def networks(rng: Generator, noise: Generator) -> tuple[nn.Layer, nn.Layer]:
    """G: 2 frames of 4x4, 2 of 8x8, 4 of 8x8, 4 of 16x16, 8 of 16x16; D back again."""
    wide, middle, narrow = 2 * WIDTH, WIDTH, WIDTH // 2
    generator = nn.Sequential(
        nn.Linear(LATENT, 2 * 4 * 4 * wide, rng=rng), nn.Reshape(2, 4, 4, wide),
        nn.PerFrame(
            nn.BatchNorm(wide), nn.ReLU(),
            nn.ConvTranspose2d(wide, middle, **nets.HALVE, rng=rng), nn.BatchNorm(middle),
            nn.ReLU(),
        ),
        *doubled(middle, 2, 8, rng),
        nn.PerFrame(
            nn.BatchNorm(middle), nn.ReLU(),
            nn.ConvTranspose2d(middle, narrow, **nets.HALVE, rng=rng), nn.BatchNorm(narrow),
            nn.ReLU(),
        ),
        *doubled(narrow, 4, 16, rng),
        nn.PerFrame(
            nn.BatchNorm(narrow), nn.ReLU(),
            nn.Conv2d(narrow, 1, kernel_size=3, padding=1, rng=rng), nn.Tanh(),
        ),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.PerFrame(nn.Conv2d(1, narrow, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2)),
        *halved(narrow, middle, 8, 8, rng), nn.LeakyReLU(0.2),
        nn.PerFrame(nn.Conv2d(middle, middle, **nets.HALVE, rng=rng), nn.LeakyReLU(0.2)),
        *halved(middle, wide, 4, 4, rng), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(2 * 4 * 4 * wide, 1, rng=rng),
    )  # fmt: skip
    nn.initial.normal(generator, rng=rng)
    nn.initial.kaiming_normal(discriminator, rng=rng)
    return generator, discriminator


def doubled(channels: int, frames: int, side: int, rng: Generator) -> list[nn.Layer]:
    """Double the frames of a map (frames, side, side, channels)."""
    return [
        nn.Reshape(frames, side * side, channels),
        nn.ConvTranspose2d(channels, channels, **ALONG, rng=rng),
        nn.Reshape(2 * frames, side, side, channels),
    ]


def halved(before: int, after: int, frames: int, side: int, rng: Generator) -> list[nn.Layer]:
    """Halve the frames of a map (frames, side, side, before)."""
    return [
        nn.Reshape(frames, side * side, before),
        nn.Conv2d(before, after, **ALONG, rng=rng),
        nn.Reshape(frames // 2, side, side, after),
    ]


class FilmRecipe(Recipe):
    """A recipe whose samples are films (frames, H, W, 1)."""

    media: ClassVar[str | None] = ".gif"

    def load(self, name: str, data_dir: str | None) -> data.Films:
        """Make the films."""
        if name not in data.FILMS:
            raise data.DataError(f"there are no films {name!r}: use {', '.join(data.FILMS)}")
        return data.moving_digits()

    def load_test(self, name: str, data_dir: str | None) -> data.Films:
        """Make films of other digits."""
        return data.moving_digits(count=1024, split="test")

    @property
    def makes_images(self) -> bool:
        """True: films are drawn as strips, and come from a data set."""
        return True

    def pictures(self, samples: Any) -> Any:
        """Put the frames of each film side by side, (N, H, T W, 1)."""
        n, frames, height, width, channels = samples.shape
        return samples.transpose(0, 2, 1, 3, 4).reshape(n, height, frames * width, channels)

    def compared(self, samples: Any) -> Any:
        """Return all frames of all films, (N T, H, W, 1)."""
        return samples.reshape(-1, *samples.shape[2:])

    def save(self, path: Path, samples: Any) -> None:
        """Write films to an animation, side by side in a grid."""
        from minigan import plots

        grids = [plots.image_grid(samples[:, t]) for t in range(samples.shape[1])]
        plots.save_gif(path, grids, milliseconds=120, last_milliseconds=120)

    def rows(self, samples: Any, train: Any, classifier: Any) -> tuple[metrics.Row, ...]:
        """Score whether paths are straight, and whether the digit stays the same."""
        real = train.batch(numpy.arange(min(len(samples), len(train))))
        return metrics.film_rows(samples, real, classifier, data.bounced, room=ROOM, speeds=SPEEDS)


RECIPE = FilmRecipe(
    name="moving-digits",
    title="films of a digit that moves and bounces",
    source=(
        "Vondrick et al. 2016 (a generator of films by transposed convolutions in space and time); "
        "Tran et al. 2018 (factorised convolutions); Mescheder et al. 2018 (R1)"
    ),
    data="moving-digits",
    sample_shape=(8, 16, 16, 1),
    latent=Latent(LATENT),
    networks=networks,
    settings=Settings(
        steps=4000,
        batch_size=32,
        lr_generator=1e-3,
        lr_discriminator=1e-3,
        penalties=("r1:0.05",),  # with 1 D stays so flat that all films are the same dark one
        average=0.995,
    ),
    duration="about 0.14 s of processor time per step, 9 minutes in all",
)

"""Faces put glasses on and take them off, learnt without pairs: CycleGAN.

One departure from the paper: a generator adds what it draws to its input, G(x) = x + F(x), instead
of drawing the whole picture anew. At 16 pixels, instance norm would take the colours out of F, and
they are where they belong already.
"""

from __future__ import annotations

from typing import Any

from minigan import backend, nn
from minigan.gan import BaseGame, CycleGame, ImagePool
from minigan.recipes import nets
from minigan.recipes.recipe import Generator, Settings
from minigan.recipes.translation import Translation, TranslationSettings, patches

WIDTH, BLOCKS, POOL = 16, 3, 50


def generator(rng: Generator, *, channels: int, width: int = WIDTH) -> nn.Sequential:
    """Images (N, H, W, channels) to images: halved once, residual blocks, doubled, and added."""
    near: dict[str, Any] = {"kernel_size": 5, "padding": 2}
    return nn.Sequential(nn.Residual(
        nn.Conv2d(channels, width, **near, rng=rng), nn.InstanceNorm(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, **nets.HALVE, rng=rng), nn.InstanceNorm(2 * width), nn.ReLU(),
        *[_block(rng, 2 * width) for _ in range(BLOCKS)],
        nn.ConvTranspose2d(2 * width, width, **nets.HALVE, rng=rng), nn.InstanceNorm(width),
        nn.ReLU(), nn.Conv2d(width, channels, **near, rng=rng),
    ))  # fmt: skip


def _block(rng: Generator, width: int) -> nn.Residual:
    same: dict[str, Any] = {"kernel_size": 3, "padding": 1}
    return nn.Residual(
        nn.Conv2d(width, width, **same, rng=rng), nn.InstanceNorm(width), nn.ReLU(),
        nn.Conv2d(width, width, **same, rng=rng), nn.InstanceNorm(width),
    )  # fmt: skip


class CycleRecipe(Translation):
    """A recipe of CycleGAN."""

    def check(self, settings: Settings) -> None:
        """Check that no setting is for other games."""
        super().check(settings)
        if settings.objective != "least-squares" or settings.smoothing:
            raise ValueError(
                f"{self.name!r} has least squares for its objective; leave out objective and "
                "smoothing."
            )

    def game(
        self,
        settings: Settings,
        *,
        weights: Generator,
        noise: Generator,
        device: str | backend.Reference = "cpu",
    ) -> BaseGame:
        """Build the four nets on their device, their optimizers and the pools."""
        channels, optimizer_for = self.sample_shape[2], settings.optimizer_for
        ab, ba = (generator(weights, channels=channels) for _ in range(2))
        a, b = (
            patches(weights, channels=channels, width=32, halvings=1, norm=nn.InstanceNorm)
            for _ in range(2)
        )
        for net in (ab, ba, a, b):
            nn.initial.normal(net, rng=weights)
            net.to(device)
        movers = (
            optimizer_for([ab, ba], settings.lr_generator),
            optimizer_for([a, b], settings.lr_discriminator),
        )
        size = max(POOL, settings.batch_size)
        held = backend.of(next(iter(ab.parameters().values())).value)
        pool_a, pool_b = (
            ImagePool(size, shape, held) for shape in (self.input_shape, self.sample_shape)
        )
        game = CycleGame(ab, ba, a, b, *movers, pool_a, pool_b)
        game.scheduler = settings.scheduler_for(movers)
        averages = map(settings.average_of, (ab, ba))
        game.averages = tuple(average for average in averages if average is not None)
        if isinstance(settings, TranslationSettings):
            game.cycle, game.identity = settings.cycle, settings.identity
        return game


RECIPE = CycleRecipe(
    name="cyclegan",
    title="faces without glasses to faces with glasses, and back, without pairs",
    source="Zhu et al. 2017 (CycleGAN), with smaller nets; generators that add to their input",
    data="avatars-glasses",
    input_shape=(16, 16, 3),
    sample_shape=(16, 16, 3),
    aligned=False,
    losses=("cycle", "identity"),
    settings=TranslationSettings(
        steps=6000,
        batch_size=8,
        lr_generator=4e-4,
        lr_discriminator=4e-4,
        objective="least-squares",
        schedule="linear:0.5",
    ),
    duration="about 0.1 s of processor time per step, 11 minutes in all",
)

"""Sentences written word by word: a recurrent net that learns from D's verdict on the whole.

G first imitates the data, as any language model, but only until about two of five sentences are
right; from then on D's verdict is its reward, and all that it learns. D takes four steps for each
of G's: its verdict has to be worth something.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from minigan import backend, nn
from minigan.gan import BaseGame, Latent, SequenceGame, Writer, objective, tame
from minigan.recipes import text
from minigan.recipes.recipe import Generator, Settings

HIDDEN, WIDTH = 96, 32


@dataclass(frozen=True)
class SequenceSettings(text.TextSettings):
    """Settings of a generator that writes word by word.

    Attributes
    ----------
    pretraining
        Rounds in which G learns from the data, before it learns from rewards.
    """

    pretraining: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.pretraining, int) or self.pretraining < 0:
            raise ValueError(
                f"pretraining must be an integer of at least 0, got {self.pretraining!r}."
            )


def networks(
    rng: Generator, noise: Generator, *, length: int, words: int
) -> tuple[nn.Layer, nn.Layer]:
    """A recurrent net that writes, and the convolutions of textgan that judge."""
    head = nn.Conv1d(HIDDEN, words, kernel_size=1, rng=rng)
    writer = Writer(nn.GRU(words, HIDDEN, rng=rng), head)
    return writer, text.critic(rng, length=length, words=words, width=WIDTH)


class SequenceRecipe(text.TextRecipe):
    """A recipe whose generator draws a word from each latent."""

    @property
    def plain_losses(self) -> bool:
        """False: G is rewarded."""
        return False

    def fitted(self, settings: Settings) -> text.TextRecipe:
        """Return the recipe with as many latents as words."""
        recipe = super().fitted(settings)
        return replace(recipe, latent=Latent(recipe.sample_shape[0], "uniform"))

    def check_effect(self, settings: Settings) -> None:
        """Check that G can learn from its rewards, and from nothing else."""
        unsuited = ("virtual-batch-norm", "feature-matching")
        self.refuse(settings, unsuited, "whose G learns from rewards, not from a gradient of D's")
        if settings.batch_size < 2:
            raise ValueError(
                f"{self.name!r} compares the rewards of a batch's sentences, got a batch of "
                f"{settings.batch_size}; use at least 2."
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
        length, words = self.sample_shape
        G, D = networks(weights, noise, length=length, words=words)
        taming = tame(D, settings.penalties, rng=noise)
        G.to(device)
        taming.discriminator.to(device)
        return SequenceGame(
            G, taming.discriminator, **settings.movers(G, taming.discriminator),
            **taming.pulls(generator=G, discriminator=taming.discriminator),
            objective=objective(settings.objective, smoothing=settings.smoothing),
            penalties=taming.penalties, before_step=taming.before_step,
            after_discriminator_step=taming.after_discriminator_step, latent=self.latent,
            discriminator_steps=settings.discriminator_steps,
            pretraining=getattr(settings, "pretraining", 0),
        )  # fmt: skip


RECIPE = SequenceRecipe(
    name="seqgan-lite",
    title="sentences of a small grammar, word by word, by rewards",
    source=(
        "Yu et al. 2017 (SeqGAN), with a GRU, one reward for a whole sentence in place of "
        "rollouts, compared with those of the batch (Williams 1992, REINFORCE)"
    ),
    data="sentences",
    latent=Latent(8, "uniform"),
    build=networks,
    settings=SequenceSettings(
        steps=1500,
        batch_size=64,
        lr_generator=2e-3,
        lr_discriminator=1e-3,
        beta1=0.5,
        beta2=0.999,
        discriminator_steps=4,
        average=0.99,
        schedule="linear",
        pretraining=200,
    ),
    duration="about 120 s of processor time",
)

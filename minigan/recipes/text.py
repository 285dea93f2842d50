"""What recipes for text share: lines as one-hot vectors, and nets of residual 1-D convolutions.

The nets are those of the language model of Gulrajani et al. 2017, smaller: every place of a line
has a vector, and a block adds to it what two convolutions make of it and its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from minigan import data, nn
from minigan.data.text import decoded
from minigan.gan import Lines
from minigan.gan.trainer import Callback, Source
from minigan.recipes.recipe import Generator, Recipe, Settings


@dataclass(frozen=True)
class TextSettings(Settings):
    """Settings of a recipe for text. The data decide those that are added, but for a length.

    Attributes
    ----------
    length
        Words or characters of a line that are kept; 0 for as many as the longest line has, at most
        32.
    vocabulary
        All words or characters, the first for the end of a line; empty for those of the data.
    between
        What stands between two of them in a line, as `minigan.data.Text` has it.
    """

    length: int = 0
    vocabulary: tuple[str, ...] = ()
    between: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.length, bool) or not isinstance(self.length, int) or self.length < 0:
            raise ValueError(f"length must be an integer of at least 0, got {self.length!r}.")
        if not all(isinstance(word, str) for word in self.vocabulary):
            raise ValueError(f"vocabulary must be words, got {self.vocabulary!r}.")


@dataclass(frozen=True, kw_only=True, repr=False)
class TextRecipe(Recipe):
    """A recipe whose samples are lines of text, (length, words) one-hot or nearly so.

    Attributes
    ----------
    build
        ``(weights_rng, noise_rng, *, length, words) -> (generator, discriminator)``.
    vocabulary, between, longest
        As in `TextSettings`; set by `fitted`.
    """

    build: Callable[..., tuple[nn.Layer, nn.Layer]]
    vocabulary: tuple[str, ...] = ("", *data.ENGLISH.words)
    between: str | None = None
    longest: int | None = None
    sample_shape: tuple[int, ...] = (8, 41)

    def __post_init__(self) -> None:
        length, words = self.sample_shape
        # What the fields of a frozen dataclass may be replaced by.
        object.__setattr__(self, "networks", partial(self.build, length=length, words=words))

    @property
    def makes_text(self) -> bool:
        """Whether samples are lines of text: they are."""
        return True

    @property
    def widest(self) -> int:
        """Characters of the longest line that can be written."""
        return self.sample_shape[0] * (max(map(len, self.vocabulary)) + 1)

    def suited(self, settings: Settings, samples: Any) -> Settings:
        """Return the settings with the length and the vocabulary of the data.

        Raises
        ------
        ValueError
            If they have another vocabulary already.
        """
        if getattr(settings, "vocabulary", ()) not in ((), samples.vocabulary):
            raise ValueError(
                f"The vocabulary of {self.name!r} is that of the data; leave the setting out."
            )
        return settings.changed(
            length=samples.length, vocabulary=samples.vocabulary, between=samples.separator
        )

    def fitted(self, settings: Settings) -> TextRecipe:
        """Return the recipe for the lines that the settings describe."""
        if not isinstance(settings, TextSettings):
            raise TypeError(f"{self.name!r} needs TextSettings, got {type(settings).__name__}.")
        words = settings.vocabulary or self.vocabulary
        length = settings.length or self.sample_shape[0]
        return replace(
            self, vocabulary=words, between=settings.between or None,
            sample_shape=(length, len(words)), longest=settings.length or None,
        )  # fmt: skip

    def load(self, name: str, data_dir: str | None) -> data.Text:
        """Load the lines to train on, see `minigan.data.text`."""
        return self.load_split(name, data_dir, "train")

    def load_split(self, name: str, data_dir: str | None, split: str) -> data.Text:
        """Load the lines of a split, ``"train"`` or ``"test"``."""
        return data.text(name, length=self.longest, data_dir=data_dir, split=split)

    def stream(self, samples: Any, batch_size: int, rng: Generator) -> Source:
        """Return the stream of minibatches of lines."""
        return data.Batches(samples, batch_size, rng)

    def read(self, samples: Any) -> list[str]:
        """Return samples (N, length, words) as lines."""
        return decoded(samples, self.vocabulary, self.between)

    def callbacks(self, settings: Settings, folder: Path) -> Sequence[Callback]:
        """Return what writes ``samples.txt``."""
        return [Lines(folder / "samples.txt", self.read, every=max(settings.steps // 20, 1))]


# ---------------------------------------------------------------- nets


def block(rng: Generator, width: int, kernel_size: int = 3) -> nn.Residual:
    """Add to each place of (N, length, width) what two convolutions make of its surroundings."""
    same: dict[str, Any] = {"kernel_size": kernel_size, "padding": kernel_size // 2, "rng": rng}
    return nn.Residual(
        nn.ReLU(), nn.Conv1d(width, width, **same), nn.ReLU(), nn.Conv1d(width, width, **same)
    )


def generator(
    rng: Generator, last: nn.Layer, *, inputs: int, length: int, words: int, width: int,
    blocks: int = 2,
) -> nn.Sequential:  # fmt: skip
    """Latents (N, inputs) to (N, length, words), through `last`."""
    return nn.Sequential(
        nn.Linear(inputs, length * width, rng=rng), nn.Reshape(length, width),
        *(block(rng, width) for _ in range(blocks)), nn.ReLU(),
        nn.Conv1d(width, words, kernel_size=1, rng=rng), last,
    )  # fmt: skip


def critic(
    rng: Generator, *, length: int, words: int, width: int, blocks: int = 2
) -> nn.Sequential:
    """Lines (N, length, words) to logits (N, 1)."""
    return nn.Sequential(
        nn.Conv1d(words, width, kernel_size=1, rng=rng),
        *(block(rng, width) for _ in range(blocks)), nn.ReLU(),
        nn.Flatten(), nn.Linear(length * width, 1, rng=rng),
    )  # fmt: skip

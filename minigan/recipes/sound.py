"""WaveGAN's nets, and recipes whose samples are sounds."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy

from minigan import data, metrics, nn
from minigan.backend import Array
from minigan.data import held_out
from minigan.gan import BaseGame
from minigan.ranks import Ranks
from minigan.recipes.nets import HALVE
from minigan.recipes.recipe import Generator, Recipe, Settings

LATENT = 64
KERNEL = 25
START = 16
"""Length of the first map of G, and of the last of D."""
QUARTER: dict[str, Any] = {"kernel_size": KERNEL, "stride": 4, "padding": 11}
"""A convolution that leaves a quarter of the samples; transposed, it makes four of each."""
SHUFFLE = 2
LAST = 4
"""Side of the last map of a D that listens, of spectrograms of 64x64."""


@dataclass(frozen=True)
class WaveSettings(Settings):
    """Settings of a recipe for sounds; those of `Settings`, and:

    Attributes
    ----------
    width
        Channels of the longest map in each net; they double as the maps become shorter.
    conditional
        1 if G is told the class and D judges whether the sound belongs to it, else 0.
    """

    width: int = 16
    conditional: bool | int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.width, int) or self.width < 1:
            raise ValueError(f"width must be a positive integer, got {self.width}.")
        if self.conditional not in (0, 1):
            raise ValueError(f"conditional must be 0 or 1, got {self.conditional}.")


def generator(rng: Generator, *, inputs: int, width: int) -> nn.Sequential:
    """Latents (N, inputs) to sounds (N, 4096, 1), four times as long with each layer."""
    widths = [8 * width, 4 * width, 2 * width, width]
    layers: list[nn.Layer] = [
        nn.Linear(inputs, START * widths[0], rng=rng), nn.Reshape(START, widths[0]), nn.ReLU(),
    ]  # fmt: skip
    for before, after in itertools.pairwise(widths):
        layers += [
            nn.ConvTranspose1d(before, after, **QUARTER, output_padding=1, rng=rng), nn.ReLU(),
        ]  # fmt: skip
    last = nn.ConvTranspose1d(width, 1, **QUARTER, output_padding=1, rng=rng)
    return nn.Sequential(*layers, last, nn.Tanh())


def body(rng: Generator, noise: Generator, *, width: int) -> nn.Sequential:
    """Sounds (N, 4096, 1) to features (N, 128 width); the phase is shuffled between layers."""
    layers: list[nn.Layer] = [nn.Conv1d(1, width, **QUARTER, rng=rng), nn.LeakyReLU(0.2)]
    for before, after in itertools.pairwise([width, 2 * width, 4 * width, 8 * width]):
        layers += [
            nn.PhaseShuffle(SHUFFLE, rng=noise),
            nn.Conv1d(before, after, **QUARTER, rng=rng), nn.LeakyReLU(0.2),
        ]  # fmt: skip
    return nn.Sequential(*layers, nn.Flatten())


def picture_body(rng: Generator, *, width: int) -> nn.Sequential:
    """Spectrograms (N, 64, 64, 1) to features (N, 128 width)."""
    layers: list[nn.Layer] = []
    for before, after in itertools.pairwise([1, width, 2 * width, 4 * width, 8 * width]):
        layers += [nn.Conv2d(before, after, **HALVE, rng=rng), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Flatten())


def networks(
    rng: Generator, noise: Generator, *, width: int, classes: int = 0, listens: bool = False
) -> tuple[nn.Layer, nn.Layer]:
    """Both nets; with classes, G gets the label beside z, and D projects onto a vector for each.

    D looks at the wave, or, if it listens, at its spectrogram.
    """
    told: list[nn.Layer] = [nn.ConcatenateLabels(classes)] if classes else []
    first = generator(rng, inputs=LATENT + classes, width=width)
    critic = picture_body(rng, width=width) if listens else body(rng, noise, width=width)
    features = (LAST * LAST if listens else START) * 8 * width
    judges: list[nn.Layer] = (
        [nn.Projection(critic, features=features, classes=classes, rng=rng)]
        if classes
        else [*critic, nn.Linear(features, 1, rng=rng)]
    )
    nn.initial.kaiming_normal(first, rng=rng)
    nn.initial.kaiming_normal(critic, rng=rng)
    ear: nn.Layer = nn.LogSpectrogram()
    ears = [nn.Beside(ear) if classes else ear] if listens else []
    return nn.Sequential(*told, *first), nn.Sequential(*ears, *judges)


@dataclass
class Heard:
    """A penalty of what D makes of a spectrogram, rather than of the sound.

    Near silence a spectrogram changes by much when the sound changes by little: a penalty of D's
    gradient with respect to the sound would see nothing else.
    """

    penalty: Any

    def __call__(self, critic: nn.Layer, real: Any, fake: Any) -> Array:
        """Return the penalty's value; its gradient is added to the critic's."""
        layers = list(critic)  # type: ignore[call-overload]
        behind = 1 + max(i for i, layer in enumerate(layers) if _hears(layer))
        for layer in layers[:behind]:
            real, fake = layer.forward(real)[0], layer.forward(fake)[0]
        value: Array = self.penalty(nn.Sequential(*layers[behind:]), real, fake)
        return value

    @property
    def ranks(self) -> Ranks:
        """The ranks of the penalty, if it has to know them."""
        return self.penalty.ranks

    @ranks.setter
    def ranks(self, ranks: Ranks) -> None:
        self.penalty.ranks = ranks


def _hears(net: nn.Layer) -> bool:
    return any(isinstance(layer, nn.LogSpectrogram) for _, layer in net.layers())


@dataclass(frozen=True, kw_only=True, repr=False)
class SoundRecipe(Recipe):
    """A recipe whose samples are sounds (length, 1), heard as well as drawn.

    Attributes
    ----------
    rate
        Samples per second.
    most_classes
        Number of classes of the data, for the setting `WaveSettings.conditional`; 0 if there are
        none.
    build
        ``(weights_rng, noise_rng, *, width, classes) -> (generator, discriminator)``.
    """

    rate: int = 8000
    most_classes: int = 0
    build: Callable[..., tuple[nn.Layer, nn.Layer]] = networks
    media: ClassVar[str | None] = ".wav"

    def fitted(self, settings: Settings) -> SoundRecipe:
        """Return the recipe with nets of the settings' width, and with labels if they say so."""
        if not isinstance(settings, WaveSettings):
            raise TypeError(f"{self.name!r} needs WaveSettings, got {type(settings).__name__}.")
        if settings.conditional and not self.most_classes:
            raise ValueError(
                f"The recipe {self.name!r} is for sounds without labels; leave out conditional, or "
                "take 'wavegan-digits', which learns those of its data."
            )
        classes = self.most_classes * settings.conditional
        built = partial(self.build, width=settings.width, classes=classes)
        return replace(self, networks=built, classes=classes)

    def arranged(self, settings: Settings, **parts: Any) -> BaseGame:
        """Return the game; if D listens, penalties are those of what it makes of spectrograms."""
        if _hears(parts["discriminator"]):
            parts["penalties"] = [Heard(penalty) for penalty in parts["penalties"]]
        return super().arranged(settings, **parts)

    def load(self, name: str, data_dir: str | None) -> data.Sounds:
        """Load sounds by name, or from a folder of WAV files."""
        if name in data.SOUNDS:
            return data.load(name, data_dir=data_dir)  # type: ignore[return-value]
        if not data.has_sounds(name):
            raise data.DataError(
                f"there are no sounds {name!r}: choose one of {', '.join(data.SOUNDS)}, or give a "
                "folder of WAV files"
            )
        return data.sound_folder(name, length=self.sample_shape[0], rate=self.rate)

    def load_test(self, name: str, data_dir: str | None) -> data.Sounds | None:
        """Load the test split of sounds that have one."""
        if name == "spoken-digits":
            return data.spoken_digits(data_dir=data_dir, split="test")
        beside = None if name in data.SOUNDS else held_out.beside(Path(os.path.expanduser(name)))
        if beside is None or not data.has_sounds(str(beside)):
            return None
        return data.sound_folder(beside, length=self.sample_shape[0], rate=self.rate)

    @property
    def makes_images(self) -> bool:
        """True: sounds are drawn as pictures, and come from a data set."""
        return True

    def pictures(self, samples: Any) -> Any:
        """Draw the waveform of each sound above its spectrogram, (N, H, W, 1)."""
        shown = data.spectrogram(samples)
        gap = numpy.full((*shown.shape[:1], 1, *shown.shape[2:]), 1, numpy.float32)
        return numpy.concatenate([outlines(samples, shown.shape[2]), gap, shown], axis=1)

    def compared(self, samples: Any) -> Any:
        """Return log spectrograms: what the classifier sees."""
        return data.spectrogram(samples)

    def save(self, path: Path, samples: Any) -> None:
        """Write sounds to a WAV file, one after the other."""
        data.write_wav(path, samples, rate=self.rate)

    def rows(self, samples: Any, train: Any, classifier: Any) -> tuple[metrics.Row, ...]:
        """Score pitches, if the data have notes."""
        if not train.notes_hz:
            return ()
        real = train.batch(numpy.arange(min(len(train), len(samples))))
        return metrics.tone_rows(samples, real, rate=self.rate, notes=train.notes_hz)


def outlines(samples: Any, columns: int, *, height: int = 24) -> Any:
    """Draw waveforms as their extent in each column, (N, height, columns, 1): white on black."""
    blocks = samples[..., 0].reshape(len(samples), columns, -1)
    low, high = blocks.min(axis=2)[:, None], blocks.max(axis=2)[:, None]
    step = 2 / height
    row = (1 - step / 2 - step * numpy.arange(height))[:, None]
    inside = (row <= high + step / 2) & (row >= low - step / 2)
    return numpy.where(inside, 1, -1).astype(numpy.float32)[..., None]

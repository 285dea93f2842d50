"""Sounds: synthesised tones, spoken digits, and any folder of WAV files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data import zoo
from minigan.data.dataset import Dataset
from minigan.data.errors import DataError
from minigan.data.folder import around, class_notes, classes, splits, subfolders, unreadable, walked
from minigan.data.waves import is_wav, player, read_wav, resampled

__all__ = ["SOUNDS", "Sounds", "sound_folder", "spoken_digits", "tones"]

SOUNDS = ("tones", "spoken-digits")
LENGTH, RATE = 4096, 8000

NOTES = tuple(220 * 2 ** (semitone / 12) for semitone in (0, 3, 5, 7, 10, 12, 15, 17))
"""The minor pentatonic scale from A3, in Hz."""
DETUNED = 20.0
"""Standard deviation of a tone's pitch around its note, in cents (hundredths of a semitone)."""
HARMONICS = 5
LOUDEST, SILENT = 0.9, 2.0**-16
"""The largest amplitude of a sound that is scaled, and half a step of 16 bits, below which nothing
is heard.
"""
_FADE = 64
_HEARD = 4


@dataclass(frozen=True, eq=False, repr=False)
class Sounds(Dataset):
    """A data set of sounds of one length.

    Attributes
    ----------
    images : ndarray of float32 (-1 to 1), shape (N, length, 1)
        The sounds; they are called images as those of any other data set.
    rate : int
        Samples per second.
    notes_hz : tuple of float
        The pitches that there are, for sounds that have one each; otherwise empty.
    """

    rate: int = RATE
    notes_hz: tuple[float, ...] = ()

    def check(self) -> None:
        """Check that there are sounds, in [-1, 1]."""
        shape = self.images.shape
        if self.images.dtype != numpy.float32 or len(shape) != 3 or shape[2] != 1 or 0 in shape:
            raise ValueError(
                f"the sounds of {self.name!r} are {self.images.dtype} of shape {shape}: float32 of "
                "shape (N, length, 1) is needed"
            )
        if not numpy.abs(self.images).max() <= 1:
            raise ValueError(f"the sounds of {self.name!r} go beyond [-1, 1]: scale them")

    def __repr__(self) -> str:
        labels = "" if self.labels is None else f", {len(numpy.unique(self.labels)):,} classes"
        return (
            f"{type(self).__name__}({self.name!r}: {len(self):,} sounds of "
            f"{self.images.shape[1]:,} samples at {self.rate:,} Hz{labels})"
        )

    def _repr_png_(self) -> None:
        return None

    def _repr_html_(self) -> str:
        """Play some of the sounds, in a notebook."""
        some = numpy.linspace(0, len(self) - 1, min(len(self), _HEARD)).astype(int)
        return f"<code>{self!r}</code><br>{player(self.batch(some), rate=self.rate)}"


def tones(*, count: int = 2048, seed: int = 0) -> Sounds:
    r"""Make tones of plucked strings: a pitch, its harmonics, a decay.

    With f the pitch, b the brightness and τ the decay, a tone is

        Σ_k b^(k-1) sin(2π k f t) exp(-√k t / τ)    for k = 1, ..., 5,

    scaled to the same peak and faded out at its end. f is one of eight notes of a pentatonic scale,
    detuned by a normally distributed interval of 20 cents; b is uniform in [0.2, 0.7], τ in [0.08,
    0.25] seconds.

    Parameters
    ----------
    count : int
        Number of tones.
    seed : int
        Determines them.

    Returns
    -------
    Sounds
        Of 4,096 samples at 8,000 Hz, without labels.

    Raises
    ------
    ValueError
        If the count isn't positive.
    """
    if count < 1:
        raise ValueError(f"the number of tones must be positive, got {count}")
    rng = numpy.random.default_rng(seed)
    note = rng.integers(len(NOTES), size=count)
    pitch = numpy.array(NOTES)[note] * 2 ** (DETUNED * rng.standard_normal(count) / 1200)
    bright, decay = rng.uniform(0.2, 0.7, count), rng.uniform(0.08, 0.25, count)
    blocks = numpy.array_split(numpy.stack([pitch, bright, decay]), -(-count // 256), axis=1)
    return Sounds(
        name="tones", images=numpy.concatenate([_plucked(*block) for block in blocks])[..., None],
        source="synthesised: see minigan.data.tones", notes_hz=NOTES,
    )  # fmt: skip


def _plucked(pitch: Any, bright: Any, decay: Any) -> npt.NDArray[numpy.float32]:
    t = numpy.arange(LENGTH) / RATE
    waves = numpy.zeros((len(pitch), LENGTH))
    for k in range(1, HARMONICS + 1):
        envelope = bright[:, None] ** (k - 1) * numpy.exp(-numpy.sqrt(k) * t / decay[:, None])
        waves += envelope * numpy.sin(2 * numpy.pi * k * pitch[:, None] * t)
    return _faded(waves * (LOUDEST / abs(waves).max(axis=1, keepdims=True)))


def _faded(waves: Any) -> npt.NDArray[numpy.float32]:
    """Let the last samples fall to zero, so that no sound ends with a click."""
    fade = numpy.minimum((waves.shape[-1] - numpy.arange(waves.shape[-1])) / _FADE, 1)
    return (waves * fade).astype(numpy.float32)


def spoken_digits(
    *, data_dir: zoo.Folder = None, split: str = "train", length: int = LENGTH
) -> Sounds:
    """Load recordings of spoken digits from ``spoken_digits.npz``.

    They are the Free Spoken Digit Dataset (Z. Jackson and others, CC BY-SA 4.0): 3,000 recordings
    of the digits 0 to 9 by six speakers, 50 each, of which 5 are the test set. Each is scaled to
    the same peak, and cut or padded with silence at its end.

    Parameters
    ----------
    data_dir : path_like, optional
        The folder with the file; by default the environment variable ``MINIGAN_DATA``.
    split : {"train", "test"}
        2,700 recordings or 300.
    length : int
        Samples of each sound.

    Returns
    -------
    Sounds
        At 8,000 Hz, with the digits for labels.

    Raises
    ------
    DataError
        If the file is missing or damaged.
    ValueError
        If there is no such split.
    """
    if split not in ("train", "test"):
        raise ValueError(f"there is no split {split!r} of the spoken digits: use train or test")
    wanted = ("mu_law", "lengths", "labels", "takes")
    found, source = zoo.read("spoken_digits", data_dir, *wanted)
    if not _add_up(**found):
        raise DataError(
            f"{source} isn't what it should be: its lengths, labels and takes don't add up"
        )
    ends = numpy.cumsum(found["lengths"].astype(int))
    held_out = found["takes"] < 5
    chosen = numpy.flatnonzero(held_out if split == "test" else ~held_out)
    changes: Counter[str] = Counter()
    whole = _linear(found["mu_law"])
    waves = [
        _fitted(whole[ends[i] - found["lengths"][i] : ends[i]], length, changes) for i in chosen
    ]
    return Sounds(
        name="spoken-digits", images=_loud(numpy.stack(waves))[..., None],
        labels=found["labels"][chosen].astype(numpy.int64), source=source,
        class_names=tuple("0123456789"), notes=_said(changes),
    )  # fmt: skip


def _add_up(mu_law: Any, lengths: Any, labels: Any, takes: Any) -> bool:
    """Whether there is a length, a label and a take of each recording, and nothing else."""
    whole = all(part.dtype.kind in "iu" for part in (lengths, labels, takes))
    alike = lengths.shape == labels.shape == takes.shape == (len(lengths),)
    return bool(whole and alike and lengths.sum() == len(mu_law))


def _linear(mu_law: Any) -> npt.NDArray[numpy.float32]:
    """Undo the µ-law (ITU-T G.711, µ = 255) of signed bytes."""
    steps = numpy.arange(-128, 128) / 127
    values = numpy.sign(steps) * (256.0 ** abs(steps) - 1) / 255
    return values.clip(-1, 1).astype(numpy.float32)[mu_law.astype(int) + 128]


def sound_folder(path: str | os.PathLike[str], *, length: int = LENGTH, rate: int = RATE) -> Sounds:
    """Load all WAV files in a folder and its subfolders, converted to one rate and length.

    Each is mixed down to one channel, resampled, cut or padded with silence at its end, and scaled
    to the same peak. If all are exactly one subfolder deep, the subfolders are the classes, as for
    `minigan.data.image_folder`; files that can't be read are passed over, and the notes say so.

    Parameters
    ----------
    path : path_like
        The folder, searched recursively, or a single file.
    length : int
        Samples of each sound.
    rate : int
        Samples per second.

    Returns
    -------
    Sounds
        With notes on what was changed.

    Raises
    ------
    DataError
        If there are no WAV files, or none can be read.
    ValueError
        If `length` or `rate` isn't positive.
    """
    if length < 1 or rate < 1:
        raise ValueError(f"length and rate must be positive, got {length} and {rate}")
    root = Path(os.path.expanduser(path))
    found, others = ([root], Counter[str]()) if root.is_file() else walked(root, is_wav)
    if not found:
        raise DataError(f"{root} contains no sounds: put files there that end in .wav")
    changes: Counter[str] = Counter()
    waves, files, broken = [], [], []
    for file in found:
        try:
            waves.append(_load(file, length, rate, changes))
            files.append(file)
        except DataError as error:
            broken.append(error)
    if not waves:
        raise broken[0]
    parts = [file.relative_to(root).parts for file in files]
    labels, class_names = classes(parts)
    return Sounds(
        name=root.resolve().name, images=_loud(numpy.stack(waves))[..., None], labels=labels,
        source=str(root), class_names=class_names, rate=rate,
        notes=(
            *_passed_over(broken, others), *_said(changes), *splits(parts),
            *class_notes(parts, subfolders(root.joinpath(*around(parts))), "sound"),
        ),
    )  # fmt: skip


def _load(file: Path, length: int, rate: int, changes: Counter[str]) -> Any:
    if not file.is_file():
        raise DataError(f"{file} is no file, but a pipe, a device or a link to nothing: remove it")
    # A little more than is kept, so that what is resampled doesn't end where it is cut.
    samples, before = read_wav(file, seconds=length / rate + 0.1)
    if samples.shape[1] > 1:
        changes[f"mixed down from {samples.shape[1]} channels"] += 1
    if before != rate:
        changes[f"resampled from {before:,} to {rate:,} Hz"] += 1
    return _fitted(resampled(samples.mean(axis=1), before, rate), length, changes)


def _fitted(wave: Any, length: int, changes: Counter[str]) -> Any:
    """Cut a sound, or pad it with silence at its end."""
    if len(wave) > length:
        changes[f"cut to {length:,} samples"] += 1
        return _faded(wave[:length])
    if len(wave) < length:
        changes[f"padded with silence to {length:,} samples"] += 1
    return numpy.pad(wave, (0, length - len(wave)))


def _loud(waves: Any) -> npt.NDArray[numpy.float32]:
    """Scale each sound to the same peak; silence stays silence."""
    peaks = abs(waves).max(axis=1, keepdims=True)
    return (waves * (LOUDEST / numpy.where(peaks > SILENT, peaks, 1))).astype(numpy.float32)


def _said(changes: Counter[str]) -> tuple[str, ...]:
    counted = [f"{_counted(count, 'sound')} {how}" for how, count in changes.items()]
    return (*counted, "all sounds scaled to the same peak")


def _passed_over(broken: list[DataError], others: Counter[str]) -> tuple[str, ...]:
    notes = []
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in others.most_common(5))
        notes.append(f"{_counted(others.total(), 'file')} passed over: no WAV files ({kinds})")
    return (*notes, *unreadable(broken))


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"

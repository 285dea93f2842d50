"""Sounds as numbers: WAV files, resampling, spectrograms, and a player for notebooks.

A WAV file is written by Python's own `wave`. It is read here, since `wave` knows no floats, and
before Python 3.12 no header of the extensible kind, which many programs write for more than 16 bits
or two channels.
"""

from __future__ import annotations

import base64
import io
import os
import struct
import wave
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy
import numpy.typing as npt

from minigan.data.errors import DataError
from minigan.files import written_whole

__all__ = ["player", "read_wav", "resampled", "spectrogram", "write_wav"]

Waves = npt.NDArray[numpy.float32]

GAP = 0.15
"""Seconds of silence between two sounds in one file."""
FLOOR = 1e-3
"""Amplitude, relative to a full sine, at and below which a spectrogram is black: -60 dB."""
_LONGEST = 2**26
_FASTEST = 1_000_000
"""Most samples per second; a header that says more is damaged."""
_LONGEST_FORM = 40
"""Bytes that say how samples are written."""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_WIDTHS = {_PCM: (1, 2, 3, 4), _FLOAT: (4,)}
"""Bytes of a sample in each format that is read."""


def read_wav(path: str | os.PathLike[str], *, seconds: float | None = None) -> tuple[Waves, int]:
    """Read a WAV file of PCM or of floats of 32 bits.

    Parameters
    ----------
    path : path_like
    seconds : float, optional
        Read no more than that from its beginning.

    Returns
    -------
    samples : ndarray of float32, shape (length, channels)
        In [-1, 1); floats may go beyond.
    rate : int
        Samples per second.

    Raises
    ------
    DataError
        If it can't be read, has samples of another kind, or none, or an impossible rate.
    """
    try:
        with Path(path).open("rb") as file:
            form, size = _header(file)
            frame, most = form.width * form.channels, _LONGEST // form.channels
            if seconds is not None:
                most = min(most, int(seconds * form.rate) + 1)
            raw = file.read(min(most, size // frame) * frame)
    except (EOFError, OSError, ValueError, struct.error) as error:
        what = "it is cut off" if isinstance(error, struct.error) else str(error)
        raise DataError(
            f"{path} cannot be read as a WAV file of PCM or floats ({what}): convert it, or remove "
            "it"
        ) from error
    found = _decoded(raw[: len(raw) // frame * frame], form).reshape(-1, form.channels)
    if not len(found) or form.rate < 1:
        raise DataError(f"{path} holds no sound: remove it")
    if form.rate > _FASTEST:
        raise DataError(
            f"{path} says that it has {form.rate:,} samples per second, more than {_FASTEST:,}: it "
            "is damaged; make it again, or remove it"
        )
    if not numpy.isfinite(found).all():
        raise DataError(f"{path} holds NaN or infinity: make it again, or remove it")
    return found, form.rate


class _Form(NamedTuple):
    """How the samples of a file are written; width is in bytes."""

    kind: int
    channels: int
    rate: int
    width: int


def _header(file: BinaryIO) -> tuple[_Form, int]:
    """Read up to the samples; return their form, and how many bytes of them there are."""
    riff, _, kind = struct.unpack("<4sL4s", file.read(12))
    if (riff, kind) != (b"RIFF", b"WAVE"):
        raise ValueError("it doesn't begin as one")
    form = None
    while True:
        name, size = struct.unpack("<4sL", file.read(8))
        if name == b"data":
            break
        after = file.tell() + size + size % 2
        if name == b"fmt ":
            form = _form(file.read(min(size, _LONGEST_FORM)))
        file.seek(after)
    if form is None:
        raise ValueError("it doesn't say what its samples are")
    return form, size


def _form(content: bytes) -> _Form:
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHLLHH", content)
    if kind == _EXTENSIBLE:
        (kind,) = struct.unpack_from("<H", content, 24)
    width = (bits + 7) // 8
    if width not in _WIDTHS.get(kind, ()):
        raise ValueError(f"its samples are of format {kind} with {bits} bits")
    if channels < 1:
        raise ValueError("it has no channels")
    return _Form(kind, channels, rate, width)


def _decoded(frames: bytes, form: _Form) -> Waves:
    """Bytes are unsigned, longer integers signed, the lowest byte first."""
    if form.kind == _FLOAT:
        return numpy.frombuffer(frames, "<f4").astype(numpy.float32)
    raw = numpy.frombuffer(frames, numpy.uint8).reshape(-1, form.width)
    if form.width == 1:
        return ((raw[:, 0].astype(float) - 128) / 128).astype(numpy.float32)
    high = numpy.zeros((len(raw), 4), numpy.uint8)
    high[:, 4 - form.width :] = raw
    whole = high.view("<i4")[:, 0].astype(numpy.float64)
    return (whole / 2**31).astype(numpy.float32)


def write_wav(path: str | os.PathLike[str], waves: npt.NDArray[Any], *, rate: int) -> None:
    """Write sounds to a WAV file of 16 bits, one after the other, atomically.

    Parameters
    ----------
    path : path_like
    waves : ndarray of floats, shape (N, length, 1) or (length,)
        In [-1, 1]; what is beyond is clipped.
    rate : int
        Samples per second.

    Raises
    ------
    ValueError
        If the shape is another, or a value is NaN.
    """
    with written_whole(path) as temporary:
        temporary.write_bytes(_encoded(waves, rate))


def player(waves: npt.NDArray[Any], *, rate: int) -> str:
    """Return HTML with a player of sounds, one after the other; arguments as for `write_wav`."""
    sound = base64.b64encode(_encoded(waves, rate)).decode()
    return f"<audio controls src='data:audio/wav;base64,{sound}'></audio>"


def _encoded(waves: npt.NDArray[Any], rate: int) -> bytes:
    values = _in_a_row(waves, rate)
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(numpy.rint(values.clip(-1, 1) * 32767).astype("<i2").tobytes())
    return target.getvalue()


def _in_a_row(waves: npt.NDArray[Any], rate: int) -> npt.NDArray[numpy.float64]:
    values = numpy.asarray(waves, numpy.float64)
    if values.ndim == 3 and values.shape[2] == 1 and values.size:
        values = numpy.pad(values[..., 0], ((0, 0), (0, round(GAP * rate)))).ravel()
    if values.ndim != 1 or not values.size:
        raise ValueError(
            f"sounds have shape {numpy.shape(waves)} but (N, length, 1) or (length,) is needed; "
            "reshape them"
        )
    if numpy.isnan(values).any():
        raise ValueError("sounds hold NaN; look for the step at which the generator diverged")
    return values


def resampled(samples: npt.NDArray[Any], before: int, after: int) -> Waves:
    """Change the rate of a sound by cutting its spectrum, or continuing it with zeros.

    Nothing of its spectrum folds back, since what lies above half of the new rate is left out. The
    Fourier transform takes the sound for periodic; so silence is put at its end first.

    Parameters
    ----------
    samples : ndarray of floats, shape (length,)
    before, after : int
        Samples per second.

    Returns
    -------
    ndarray of float32, shape (round(length after / before),)
    """
    if before == after:
        return samples.astype(numpy.float32)
    length = max(round(len(samples) * after / before), 1)
    # Of a whole number of seconds, so that both rates have a whole number of samples.
    seconds = -(-len(samples) // before) + 1
    spectrum = numpy.fft.rfft(samples, seconds * before)
    wanted = numpy.zeros(seconds * after // 2 + 1, spectrum.dtype)
    common = min(len(spectrum), len(wanted))
    wanted[:common] = spectrum[:common]
    found = numpy.fft.irfft(wanted, seconds * after)[:length] * (after / before)
    return found.astype(numpy.float32)


def spectrogram(
    waves: npt.NDArray[Any], *, window: int = 128, hop: int = 64
) -> npt.NDArray[numpy.float32]:
    """Return the log-magnitude spectrograms of sounds, as images.

    Each column is the Fourier transform of a stretch of `window` samples under a Hann window, its
    constant part left out; each row a frequency, the lowest at the bottom. The grey is the
    amplitude's logarithm, from `FLOOR` (-1) to a full sine (1).

    Parameters
    ----------
    waves : ndarray of floats, shape (N, length, 1)
    window, hop : int
        Samples of a stretch, and from one to the next.

    Returns
    -------
    ndarray of float32, shape (N, window / 2, length / hop, 1)

    Raises
    ------
    ValueError
        If the sounds are shorter than a hop.
    """
    values = numpy.pad(waves[..., 0], ((0, 0), (window // 2, window // 2)))
    hann = numpy.hanning(window + 1)[:-1]
    stretches = numpy.lib.stride_tricks.sliding_window_view(values, window, axis=1)
    count = waves.shape[1] // hop
    if count < 1:
        raise ValueError(
            f"sounds of {waves.shape[1]} samples are shorter than a hop of {hop}: take less"
        )
    spectra = numpy.stack(
        [
            numpy.abs(numpy.fft.rfft(stretches[:, i * hop] * hann, axis=1))[:, 1:]
            for i in range(count)
        ],
        axis=2,
    )
    amplitude = spectra * (2 / hann.sum())
    decibels = numpy.log(numpy.maximum(amplitude, FLOOR)) / numpy.log(FLOOR)
    return numpy.clip(1 - 2 * decibels, -1, 1)[:, ::-1, :, None].astype(numpy.float32)


def is_wav(path: Path) -> bool:
    """Return whether a file's name says that it is a WAV file."""
    return path.name.lower().endswith((".wav", ".wave"))

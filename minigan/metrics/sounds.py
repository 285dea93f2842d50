"""Measures of tones: are their pitches in tune, and as far apart as those of the data?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.metrics.table import Row

LONG = 2**16
"""Length to which a sound is padded with silence, so that frequencies are an eighth of a hertz
apart."""
_AT_ONCE = 64
BEYOND = 4.0
"""Semitones below the lowest and above the highest note in which pitches are searched for."""


def pitches(waves: NDArray[Any], *, rate: int, low: float, high: float) -> NDArray[numpy.float64]:
    """Return the strongest frequency of each sound, by the Fourier transform of all of it.

    Parameters
    ----------
    waves
        Shape (N, length, 1).
    rate
        Samples per second.
    low, high
        Between which frequencies to search, in Hz. That of a sound's fundamental must be in it, and
        is found if no harmonic in it is stronger.

    Returns
    -------
    ndarray, shape (N,)
        In Hz.

    Raises
    ------
    ValueError
        If the shape is another, or no frequency lies between the two.
    """
    values = numpy.asarray(waves)
    if values.ndim != 3 or values.shape[2] != 1:
        raise ValueError(f"Sounds of shape (N, length, 1) are needed, got {values.shape}.")
    size = max(LONG, values.shape[1])
    frequencies = numpy.fft.rfftfreq(size, 1 / rate)
    wanted = numpy.flatnonzero((frequencies >= low) & (frequencies <= high))
    if not len(wanted):
        raise ValueError(f"There is no frequency from {low} to {high} Hz at {rate} Hz; widen it.")
    hann = numpy.hanning(values.shape[1])
    found = [
        numpy.abs(numpy.fft.rfft(values[i : i + _AT_ONCE, :, 0] * hann, size))[:, wanted].argmax(1)
        for i in range(0, len(values), _AT_ONCE)
    ]
    return frequencies[wanted[numpy.concatenate(found)]]


def cents(hertz: NDArray[Any], notes: Sequence[float]) -> NDArray[numpy.float64]:
    """Return how far pitches are from the nearest of the notes (in Hz), in cents, without sign."""
    away = 1200 * abs(numpy.log2(numpy.asarray(hertz)[:, None] / numpy.asarray(notes)))
    return away.min(axis=1)


def tone_rows(
    samples: NDArray[Any], real: NDArray[Any], *, rate: int, notes: Sequence[float]
) -> tuple[Row, ...]:
    """Score tones beside real ones.

    Parameters
    ----------
    samples, real
        Shapes (N, length, 1) and (M, length, 1).
    rate
        Samples per second.
    notes
        The notes that the real ones play, in Hz.

    Returns
    -------
    tuple of Row
        The median distance from the nearest note in cents, the spread (standard deviation) of the
        pitches in semitones, and the number of notes that 3 % of the sounds or more play.
    """
    beyond = 2 ** (BEYOND / 12)
    ours, theirs = (
        pitches(x, rate=rate, low=min(notes) / beyond, high=max(notes) * beyond)
        for x in (samples, real)
    )
    errors = [float(numpy.median(cents(x, notes))) for x in (ours, theirs)]
    spreads = [float(12 * numpy.log2(x).std()) for x in (ours, theirs)]
    played = [_played(x, notes) for x in (ours, theirs)]
    return (
        Row("pitch error in cents, median", errors[0], errors[1], "lower"),
        Row("spread of pitches in semitones", spreads[0], spreads[1], "as the floor"),
        Row(f"notes played, of {len(notes)} (3 % of sounds)", played[0], played[1], "higher"),
    )


def _played(hertz: NDArray[Any], notes: Sequence[float]) -> int:
    nearest = abs(numpy.log(hertz[:, None] / numpy.asarray(notes))).argmin(axis=1)
    return int((numpy.bincount(nearest, minlength=len(notes)) >= 0.03 * len(hertz)).sum())

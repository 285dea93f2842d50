"""Make spoken_digits.npz from a copy of the Free Spoken Digit Dataset.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset
    python datasets/spoken_digits.py free-spoken-digit-dataset/recordings FOLDER

The recordings, by Z. Jackson and others, are under CC BY-SA 4.0: digits at 8 kHz, named
``digit_speaker_take.wav``. They are kept as µ-law of 7 bits and a sign, one after the other. A
file that is there already is replaced only with ``--force``.
"""

import re
import sys
from pathlib import Path

import numpy
import writing

from minigan import data

NAME = re.compile(r"(\d)_([^_]+)_(\d+)")
"""Digit, speaker and take."""


def main() -> None:
    """Read all recordings and write ``spoken_digits.npz`` to the folder."""
    parser = writing.arguments(__doc__)
    parser.add_argument("recordings", type=Path)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    files = sorted(options.recordings.glob("*_*_*.wav"))
    if not files:
        sys.exit(
            f"{options.recordings} has no files named like 7_jackson_32.wav; give the recordings."
        )
    names = [parts(file) for file in files]
    (path,) = writing.targets(options.folder, "spoken_digits", force=options.force)
    waves = [wave(file) for file in files]
    speakers = sorted({speaker for _, speaker, _ in names})
    joined = numpy.concatenate(waves).astype(numpy.float64)
    writing.save(
        path,
        mu_law=numpy.rint(
            127 * numpy.sign(joined) * numpy.log1p(255 * abs(joined)) / numpy.log(256)
        ).astype(numpy.int8),
        lengths=numpy.array([len(wave) for wave in waves]),
        labels=numpy.array([digit for digit, _, _ in names]),
        speakers=numpy.array([speakers.index(speaker) for _, speaker, _ in names]),
        takes=numpy.array([take for _, _, take in names]),
    )


def parts(file: Path) -> tuple[int, str, int]:
    """Return digit, speaker and take, of which the name of a recording is made."""
    found = NAME.fullmatch(file.stem)
    if found is None:
        sys.exit(f"{file} isn't named like 7_jackson_32.wav; rename it, or put it elsewhere.")
    return int(found[1]), found[2], int(found[3])


def wave(file: Path) -> numpy.ndarray:
    """Read a recording, and mix its channels."""
    try:
        return data.read_wav(file)[0].mean(axis=1)
    except data.DataError as error:
        sys.exit(f"{error}.")


if __name__ == "__main__":
    main()

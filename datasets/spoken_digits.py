"""Make spoken_digits.npz from a copy of the Free Spoken Digit Dataset.

    git clone https://github.com/Jakobovski/free-spoken-digit-dataset
    python datasets/spoken_digits.py free-spoken-digit-dataset/recordings FOLDER

The recordings, by Z. Jackson and others, are under CC BY-SA 4.0: digits at 8 kHz, named
``digit_speaker_take.wav``. They are kept as µ-law of 7 bits and a sign, one after the other.
"""

import sys
from pathlib import Path

import numpy

from minigan import data


def main(recordings: Path, folder: Path) -> None:
    """Read all recordings and write ``spoken_digits.npz`` to the folder."""
    files = sorted(recordings.glob("*_*_*.wav"))
    if not files:
        sys.exit(f"{recordings} has no files named like 7_jackson_32.wav; give the recordings.")
    names = [file.stem.split("_") for file in files]
    waves = [data.read_wav(file)[0].mean(axis=1) for file in files]
    speakers = sorted({speaker for _, speaker, _ in names})
    joined = numpy.concatenate(waves).astype(numpy.float64)
    folder.mkdir(parents=True, exist_ok=True)
    numpy.savez_compressed(
        folder / "spoken_digits.npz",
        mu_law=numpy.rint(
            127 * numpy.sign(joined) * numpy.log1p(255 * abs(joined)) / numpy.log(256)
        ).astype(numpy.int8),
        lengths=numpy.array([len(wave) for wave in waves]),
        labels=numpy.array([int(digit) for digit, _, _ in names]),
        speakers=numpy.array([speakers.index(speaker) for _, speaker, _ in names]),
        takes=numpy.array([int(take) for _, _, take in names]),
    )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))

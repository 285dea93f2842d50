"""Lines of text as sequences of codes: sentences of a grammar, names, and lines of your own."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan import randomness
from minigan.data.errors import DataError, choices
from minigan.data.grammar import ENGLISH, MOTIFS, Grammar
from minigan.data.pixels import as_indices

__all__ = ["TEXTS", "Text", "decoded", "separator", "text"]

GRAMMARS = {"sentences": ENGLISH, "motifs": MOTIFS}
TEXTS = (*GRAMMARS, "names")
DRAWN = {"train": 20_000, "test": 10_000}
"""Lines of each split that a grammar draws."""
SEED = 1957
HELD_OUT = 10
"""Every tenth line of a file is kept for tests."""
LONGEST = 32
"""Words or characters of a line that are kept, if nothing else is asked for."""
MOST_WORDS = 255
LARGEST = 2**28
"""Most bytes of a file."""
END = ""
"""The first entry of every vocabulary: the line is over."""


@dataclass(frozen=True, eq=False, repr=False)
class Text:
    """Lines of text, as codes of words or of characters.

    Attributes
    ----------
    name : str
        Its name in reports.
    codes : ndarray of int64, shape (N, L)
        For each place, the word's index in the vocabulary; from the end of a line on, 0.
    vocabulary : tuple of str
        The words or characters; the first is empty, for the end of a line.
    accepts : callable or None
        Decides whether a line is a valid one, if that is known.
    source : str
        Where it comes from.
    notes : tuple of str
        What was changed when the lines were loaded, one sentence each.
    between : str or None
        What stands between two words of a line; None for a space between words of several
        letters, and nothing between characters.
    """

    name: str
    codes: npt.NDArray[numpy.int64]
    vocabulary: tuple[str, ...]
    accepts: Callable[[str], bool] | None = None
    source: str = ""
    notes: tuple[str, ...] = ()
    between: str | None = None

    def __len__(self) -> int:
        return len(self.codes)

    def __repr__(self) -> str:
        return (
            f"Text({self.name!r}: {len(self):,} lines of up to {self.length} out of "
            f"{len(self.vocabulary) - 1} {'words' if self.separator else 'characters'})"
        )

    @property
    def length(self) -> int:
        """L, the length of the longest line."""
        return self.codes.shape[1]

    @property
    def separator(self) -> str:
        """What stands between two words of a line: a space, or nothing between characters."""
        return separator(self.vocabulary) if self.between is None else self.between

    @cached_property
    def lines(self) -> list[str]:
        """The lines as they are read."""
        return decoded(self.codes, self.vocabulary, self.separator)

    def batch(self, indices: npt.ArrayLike) -> npt.NDArray[numpy.float32]:
        """Return lines as one-hot vectors.

        Parameters
        ----------
        indices : array_like of int, shape (n,)

        Returns
        -------
        ndarray of float32, shape (n, L, V)
            V is the size of the vocabulary.
        """
        chosen = self.codes[as_indices(indices, len(self))]
        one_hot: npt.NDArray[numpy.float32] = numpy.eye(len(self.vocabulary), dtype="float32")
        return one_hot[chosen]

    def sample(self, n: int, rng: numpy.random.Generator) -> npt.NDArray[numpy.float32]:
        """Draw `n` different lines as one-hot vectors, shape (n, L, V)."""
        if not 1 <= n <= len(self):
            raise ValueError(
                f"cannot draw {n} different lines from {self.name!r}: choose 1 to {len(self)}"
            )
        return self.batch(randomness.generator(rng).choice(len(self), n, replace=False))


def separator(vocabulary: Sequence[str]) -> str:
    """Return what stands between two entries of a vocabulary: a space between words."""
    return " " if any(len(word) > 1 for word in vocabulary) else ""


def decoded(
    samples: npt.NDArray[Any], vocabulary: Sequence[str], between: str | None = None
) -> list[str]:
    """Return samples as lines.

    Parameters
    ----------
    samples : ndarray
        Codes (N, L), or (N, L, V), of which the largest decides. What follows the first 0, the end
        of the line, is left out.
    vocabulary : sequence of str
    between : str, optional
        As in `Text`.
    """
    codes = samples.argmax(axis=-1) if samples.ndim == 3 else samples
    between = separator(vocabulary) if between is None else between
    return [between.join(vocabulary[code] for code in _before_end(row)) for row in codes.tolist()]


def _before_end(codes: list[int]) -> list[int]:
    return codes[: codes.index(0)] if 0 in codes else codes


# ---------------------------------------------------------------- loading


def text(
    name_or_path: str | os.PathLike[str],
    *,
    length: int | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    split: str = "train",
) -> Text:
    """Load lines of text by name, or from a file.

    Parameters
    ----------
    name_or_path : str or path_like
        "sentences" (of `ENGLISH`) or "motifs" (of `MOTIFS`), which are drawn from their grammars;
        "names" (32,033 first names, ``names.txt`` in `data_dir`); or the path of a text file in
        UTF-8 with a sample in each line. If most of its lines have spaces, they are split into
        words, or else into characters.
    length : int, optional
        Words or characters of a line that are kept; by default as many as the longest line has, at
        most 32.
    data_dir : path_like, optional
        Folder with ``names.txt``; by default the environment variable ``MINIGAN_DATA``.
    split : {"train", "test"}
        Every tenth line of a file is kept for tests; grammars draw other sentences.

    Returns
    -------
    Text

    Raises
    ------
    DataError
        If there is no such text, or it is missing, empty, too large or not text.
    ValueError
        If there is no such split, or `length` isn't positive.
    """
    if split not in DRAWN:
        raise ValueError(f"there is no split {split!r}: use 'train' or 'test'")
    if length is not None and length < 1:
        raise ValueError(f"the length of lines is {length}: it must be at least 1")
    name = os.fspath(name_or_path)
    if name in GRAMMARS:
        return _drawn(name, GRAMMARS[name], split, length)
    path = _names_file(data_dir) if name == "names" else Path(os.path.expanduser(name))
    if not path.is_file():
        raise DataError(
            f"there is no text or file {name!r}: {choices(name, TEXTS)}, or give the path of a file"
        )
    return _of_lines(path, _read(path), split, length)


def _drawn(name: str, grammar: Grammar, split: str, length: int | None) -> Text:
    rng = numpy.random.default_rng([SEED, split == "test"])
    sentences = grammar.draw(DRAWN[split], rng)
    vocabulary = (END, *grammar.words)
    codes, notes = _coded(sentences, vocabulary, length, separator(vocabulary))
    accepts = None if notes else grammar.accepts
    return Text(name, codes, vocabulary, accepts, f"a grammar, {name}", notes)


def _names_file(data_dir: str | os.PathLike[str] | None) -> Path:
    folder = data_dir if data_dir is not None else os.environ.get("MINIGAN_DATA") or None
    path = None if folder is None else Path(os.path.expanduser(folder)) / "names.txt"
    if path is None or not path.is_file():
        raise DataError(
            f"names needs the file names.txt{'' if path is None else f', and {path} is none'}: "
            "give its folder as data_dir (--data-dir), or in MINIGAN_DATA"
        )
    return path


def _read(path: Path) -> list[str]:
    """Return the lines of a file that aren't empty, with single spaces."""
    if path.stat().st_size > LARGEST:
        raise DataError(
            f"{path} has {path.stat().st_size:,} bytes: give a file of at most {LARGEST:,}"
        )
    try:
        whole = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} isn't text in UTF-8 (byte {error.start:,} is {error.object[error.start]:#x}): "
            "save it as UTF-8"
        ) from None
    lines = [" ".join(line.split()) for line in whole.splitlines()]
    return [line for line in lines if line]


def _of_lines(path: Path, lines: list[str], split: str, length: int | None) -> Text:
    """Code the lines of a file; the vocabulary is that of both splits."""
    by_words = sum(" " in line for line in lines) > len(lines) / 2
    between = " " if by_words else ""
    units = [tuple(line.split(" ")) if by_words else tuple(line) for line in lines]
    what = "words" if by_words else "characters"
    kept, vocabulary, notes = _common(units, what)
    if len(kept) < 2:
        why = "".join(f" ({note})" for note in notes)
        remedy = f"lines of fewer different {what}" if notes else "a file with a sample in each"
        raise DataError(
            f"{path} has {len(kept)} usable line{'s' * (len(kept) != 1)}{why}: give {remedy}"
        )
    codes, cut = _coded(kept, vocabulary, length, between)
    held_out = numpy.arange(len(codes)) % HELD_OUT == HELD_OUT - 1
    if not held_out.any():
        held_out[-1] = True
    chosen = codes[held_out if split == "test" else ~held_out]
    return Text(path.stem, chosen, vocabulary, None, str(path), (*notes, *cut), between)


def _common(
    units: list[tuple[str, ...]], what: str
) -> tuple[list[tuple[str, ...]], tuple[str, ...], tuple[str, ...]]:
    """Leave out lines with words that are rare, where there are more than `MOST_WORDS`."""
    counts = Counter(unit for line in units for unit in line)
    common = {unit for unit, _ in counts.most_common(MOST_WORDS)}
    kept = [line for line in units if common.issuperset(line)]
    words = (END, *sorted({unit for line in kept for unit in line}))
    if len(kept) == len(units):
        return kept, words, ()
    return kept, words, (
        f"{len(units) - len(kept):,} of {len(units):,} lines were left out: they have {what} "
        f"beyond the {MOST_WORDS} most frequent of {len(counts):,}",
    )  # fmt: skip


def _coded(
    lines: Iterable[tuple[str, ...]], vocabulary: tuple[str, ...], length: int | None, between: str
) -> tuple[npt.NDArray[numpy.int64], tuple[str, ...]]:
    """Return codes (N, L), and what was cut."""
    lines = list(lines)
    longest = max(map(len, lines))
    size = min(longest, LONGEST) if length is None else length
    index = {word: code for code, word in enumerate(vocabulary)}
    codes = numpy.zeros((len(lines), size), numpy.int64)
    for row, line in zip(codes, lines, strict=True):
        row[: len(line)] = [index[word] for word in line[:size]]
    cut = sum(len(line) > size for line in lines)
    what = "words" if between else "characters"
    notes = (f"{cut:,} of {len(lines):,} lines were cut to their first {size} {what}",)
    return codes, notes if cut else ()

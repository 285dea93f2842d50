r"""How good are lines of text? Valid, varied, new, and with the word sequences of the data.

An n-gram is n words (or characters) in a row; the end of a line counts as one more word. With p and
q the shares of each n-gram among all those of two sets of lines, and m = (p + q)/2, the
Jensen-Shannon divergence is

.. math:: JS(p, q) = \tfrac12 \sum_w \Big( p_w \log_2 \frac{p_w}{m_w}
          + q_w \log_2 \frac{q_w}{m_w} \Big),

from 0 (the same) to 1 bit (nothing in common), as Gulrajani et al. 2017 compare texts. Two samples
of one distribution differ by chance, all the more the longer n is; that is the floor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import randomness
from minigan.data import Text
from minigan.data.text import decoded
from minigan.metrics.table import Row, Table

LONGEST = 4
"""Longest n-grams that are compared."""


def ngrams(codes: NDArray[Any], n: int) -> Counter[tuple[int, ...]]:
    """Count the n-grams of lines.

    Parameters
    ----------
    codes
        Integers (N, L), as `minigan.data.Text` has them; 0 is the end of a line.
    n
        At least 1.
    """
    if n < 1:
        raise ValueError(f"An n-gram has at least 1 word, got n={n}.")
    found: Counter[tuple[int, ...]] = Counter()
    for row in numpy.pad(codes, ((0, 0), (0, 1))).tolist():
        end = row.index(0) + 1
        found.update(tuple(row[i : i + n]) for i in range(end - n + 1))
    return found


def js_divergence(a: Mapping[Any, int], b: Mapping[Any, int]) -> float:
    """Return the Jensen-Shannon divergence between two sets of counts, in bits.

    Parameters
    ----------
    a, b
        How often each thing was counted, as `ngrams` returns it.

    Raises
    ------
    ValueError
        If nothing was counted in one of them.
    """
    words = list(a.keys() | b.keys())
    counts = numpy.array([[c.get(word, 0) for word in words] for c in (a, b)], "float64")
    if not (len(words) and counts.sum(axis=1).all()):
        raise ValueError("A divergence needs at least one n-gram on each side; give longer lines.")
    p = counts / counts.sum(axis=1, keepdims=True)
    m = p.mean(axis=0)
    terms = p * numpy.log2(numpy.where(p > 0, p, 1) / numpy.where(p > 0, m, 1))
    return float(terms.sum() / 2)


def evaluate_text(
    samples: NDArray[Any],
    train: Text,
    test: Text,
    *,
    rng: numpy.random.Generator,
    count: int = 10_000,
) -> Table:
    """Score lines of text against a data set.

    Parameters
    ----------
    samples
        Generated lines: codes (N, L), or (N, L, V), of which the largest of V decides.
    train, test
        The two splits. The n-grams of samples and, for the floor, of training lines are compared
        with those of test lines; the other floors are the values of the test lines.
    rng
        Draws the lines to use.
    count
        Largest number of samples and of test lines.

    Returns
    -------
    Table
        The share of valid lines, if the data can tell; the divergence of n-grams, n = 1 to 4; the
        share of different lines, and of lines that are in the training set.

    Raises
    ------
    ValueError
        If there are no samples, they aren't codes of the data, or `count` isn't positive.
    """
    if count < 1 or len(samples) < 1:
        raise ValueError(f"There are {len(samples)} samples and count={count}; give at least 1.")
    codes = samples.argmax(axis=-1) if samples.ndim == 3 else samples
    words = len(train.vocabulary)
    if (
        codes.ndim != 2
        or codes.dtype.kind not in "ui"
        or not 0 <= codes.min() <= codes.max() < words
    ):
        raise ValueError(
            f"The samples are {samples.dtype} of shape {samples.shape}, but lines of codes (N, L) "
            f"from 0 to {words - 1} are needed, or a number for each code."
        )
    randomness.generator(rng)
    n = min(count, len(codes), len(test), len(train))
    fake, floor, real = (
        rows[rng.choice(len(rows), n, replace=False)] for rows in (codes, train.codes, test.codes)
    )
    lines, held_out = (decoded(rows, train.vocabulary, train.separator) for rows in (fake, real))
    seen = set(train.lines)
    rows = [
        *_valid(lines, held_out, train),
        *_divergences(fake, floor, real),
        Row("different lines, %", _distinct(lines), _distinct(held_out), "as the floor"),
        Row(
            "lines of the training set, %", _share(line in seen for line in lines),
            _share(line in seen for line in held_out), "as the floor",
        ),
    ]  # fmt: skip
    facts = {
        "samples": n,
        f"training lines of {train.name}": len(train),
        f"test lines of {test.name} (reference, floor)": n,
    }
    return Table(facts, tuple(rows))


def _valid(lines: Sequence[str], held_out: Sequence[str], data: Text) -> list[Row]:
    if data.accepts is None:
        return []
    ours, theirs = (_share(map(data.accepts, some)) for some in (lines, held_out))
    return [Row("valid lines, %", ours, theirs, "higher")]


def _divergences(fake: NDArray[Any], floor: NDArray[Any], real: NDArray[Any]) -> list[Row]:
    rows = []
    for n in range(1, LONGEST + 1):
        ours, theirs, reference = (ngrams(codes, n) for codes in (fake, floor, real))
        if ours and theirs and reference:
            distances = js_divergence(ours, reference), js_divergence(theirs, reference)
            rows.append(Row(f"divergence of {n}-grams, bits", *distances, "lower"))
    return rows


def _distinct(lines: Sequence[str]) -> float:
    return 100 * len(set(lines)) / len(lines)


def _share(answers: Iterable[bool]) -> float:
    """The share that is true, in per cent."""
    return 100 * float(numpy.mean(list(answers)))

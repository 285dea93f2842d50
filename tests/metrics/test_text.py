"""Text is scored: n-grams counted by hand, divergences of known laws, copies found."""

import math

import numpy
import pytest
from defaults import defaults

from minigan import data, metrics


def test_ngrams_end_with_their_line():
    codes = numpy.array([[1, 2, 1, 2], [1, 0, 2, 2]])
    assert metrics.ngrams(codes, 1) == {(1,): 3, (2,): 2, (0,): 2}
    assert metrics.ngrams(codes, 2) == {(1, 2): 2, (2, 1): 1, (2, 0): 1, (1, 0): 1}
    assert metrics.ngrams(codes, 6) == {}
    with pytest.raises(ValueError, match="at least 1"):
        metrics.ngrams(codes, 0)


def test_divergences_of_known_shares():
    assert metrics.js_divergence({"a": 2, "b": 2}, {"b": 5, "a": 5}) == pytest.approx(0)
    assert metrics.js_divergence({"a": 3}, {"b": 1}) == pytest.approx(1)
    # p = (1, 0), q = (1/2, 1/2), m = (3/4, 1/4).
    expected = (math.log2(4 / 3) + 0.5 * math.log2(2 / 3) + 0.5 * math.log2(2)) / 2
    assert metrics.js_divergence({"a": 1}, {"a": 1, "b": 1}) == pytest.approx(expected)
    with pytest.raises(ValueError, match="at least one n-gram"):
        metrics.js_divergence({}, {"a": 1})


def scored(samples, **options):
    train, test = (data.text("sentences", split=split) for split in ("train", "test"))
    rng = numpy.random.default_rng(0)
    return metrics.evaluate_text(samples, train, test, rng=rng, **options)


def test_new_sentences_are_at_the_floor():
    drawn = data.ENGLISH.draw(3000, numpy.random.default_rng(0))
    index = {word: i + 1 for i, word in enumerate(data.ENGLISH.words)}
    codes = numpy.zeros((3000, 8), int)
    for row, words in zip(codes, drawn, strict=True):
        row[: len(words)] = [index[word] for word in words]
    table = scored(codes)
    assert table["valid lines, %"].value == table["valid lines, %"].floor == 100
    for row in table.rows:
        assert row.value == pytest.approx(row.floor, abs=0.01 if "bits" in row.metric else 2)
    one_hot = numpy.eye(41, dtype="float32")[codes]
    assert [r.value for r in scored(one_hot).rows] == [r.value for r in table.rows]


def test_copies_repetitions_and_nonsense_are_found():
    train = data.text("sentences")
    copies = scored(train.codes[:500])
    assert copies["lines of the training set, %"].value == 100
    same = scored(numpy.repeat(train.codes[:1], 500, axis=0))
    assert same["different lines, %"].value == pytest.approx(0.2)
    assert same["divergence of 2-grams, bits"].value > 0.9
    nonsense = scored(numpy.random.default_rng(0).integers(1, 41, (500, 8)))
    assert nonsense["valid lines, %"].value == 0
    assert nonsense["different lines, %"].value == 100
    empty = scored(numpy.zeros((5, 8), int))
    assert empty["valid lines, %"].value == 0
    assert [r.metric for r in empty.rows if "bits" in r.metric] == ["divergence of 1-grams, bits"]


def test_floors_do_not_depend_on_the_samples():
    train = data.text("sentences")
    good, same = (scored(codes) for codes in (train.codes[:500], train.codes[:1].repeat(500, 0)))
    assert [row.floor for row in same.rows] == [row.floor for row in good.rows]
    assert same["different lines, %"].floor > 90
    for n in (1, 2):
        row = same[f"divergence of {n}-grams, bits"]
        assert row.floor < 0.1 < 0.5 < row.value


def test_the_number_of_lines_is_bounded():
    assert defaults(metrics.evaluate_text) == {"count": 10_000}
    train = data.text("sentences")
    assert scored(train.codes[:500], count=40).facts["samples"] == 40
    for samples, count in ((train.codes[:0], 5), (train.codes[:5], 0)):
        with pytest.raises(ValueError, match="at least 1"):
            scored(samples, count=count)

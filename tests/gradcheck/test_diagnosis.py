"""The diagnosis names nine in ten of the usual mistakes, and calls none of them right."""

import re

import numpy
import pytest
from planted import PLANTED

from minigan import gradcheck


def diagnosis(mistake):
    """Everything that the check says of a mistake."""
    rng = numpy.random.default_rng(3)
    draw = (
        rng.integers(0, mistake.labels, mistake.shape)
        if mistake.labels
        else (rng.standard_normal(mistake.shape))
    )
    try:
        gradcheck.check_pair(mistake.forward, mistake.backward, draw, *mistake.arrays, rng=1)
    except gradcheck.GradientError as error:
        return str(error)
    return ""


def test_planted_mistakes_are_caught_and_named():
    said = {mistake.name: diagnosis(mistake) for mistake in PLANTED}
    assert len(said) >= 60
    assert not [name for name, words in said.items() if not words], "called right"
    unnamed = [
        m.name
        for m in PLANTED
        if not all(re.search(words, said[m.name].replace("\n", " ")) for words in m.words)
    ]
    assert len(unnamed) <= 0.1 * len(PLANTED), unnamed


def test_a_batch_of_one_is_diagnosed_at_sizes_that_tell():
    x = numpy.random.default_rng(0).standard_normal((1, 3))
    with pytest.raises(gradcheck.GradientError, match="the batch size"):
        gradcheck.check_pair(
            lambda x, w: (x @ w, (x, w)),
            lambda dy, cache: (dy @ cache[1].T, cache[0].T @ dy / len(dy)),
            x,
            numpy.ones((3, 4)),
        )

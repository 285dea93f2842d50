"""Clusters against labels: the best matching, by trying all."""

import itertools

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.metrics import matched_accuracy


@given(seed=st.integers(0, 10_000), clusters=st.integers(1, 5), labels=st.integers(1, 5))
def test_it_is_the_best_of_all_matchings(seed, clusters, labels):
    rng = numpy.random.default_rng(seed)
    found, true = rng.integers(0, clusters, 30), rng.integers(0, labels, 30)
    size = max(clusters, labels)
    best = max(
        (numpy.array(names)[found] == true).mean() for names in itertools.permutations(range(size))
    )
    assert matched_accuracy(found, true) == pytest.approx(best)


def test_other_names_for_the_same_clusters_are_right():
    labels = numpy.arange(40) % 10
    assert matched_accuracy((labels + 3) % 10, labels) == 1
    assert matched_accuracy(numpy.zeros(40, int), labels) == pytest.approx(0.1)


def test_what_cannot_be_matched_is_refused():
    with pytest.raises(ValueError, match="must have the same shape"):
        matched_accuracy([0, 1], [0])
    with pytest.raises(ValueError, match="At most 16 clusters can be matched, got 21"):
        matched_accuracy([20], [0])

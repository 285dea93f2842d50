"""Memorising told apart from generalising, on sets of which it is known which they are."""

import math

import numpy
import pytest

from minigan import data, metrics

TRAIN, OTHER = 400, 300


def rng(seed=0):
    return numpy.random.default_rng(seed)


def drawn(n, seed):
    """Images from one law: a blob of random place and size."""
    x, y, size = rng(seed).uniform((2, 2, 1), (6, 6, 3), (n, 3)).T[..., None, None]
    at = numpy.arange(8)
    squared = (at[:, None] - y) ** 2 + (at - x) ** 2
    return (2 * numpy.exp(-squared / size) - 1)[..., None].astype("float32")


@pytest.fixture(scope="module")
def train():
    return data.Dataset("blobs", drawn(TRAIN, 1))


def test_copies_have_share_one(train):
    found = metrics.copying(train.images[::-1][:OTHER], train, drawn(OTHER, 2))
    assert found.share == 1
    assert not found.distance.any()
    numpy.testing.assert_array_equal(found.index, numpy.arange(TRAIN)[::-1][:OTHER])


def test_nearly_copies_have_share_one_too(train):
    noise = rng().normal(0, 1e-3, (OTHER, 8, 8, 1)).astype("float32")
    assert metrics.copying(train.images[:OTHER] + noise, train, drawn(OTHER, 2)).share > 0.99


def test_fresh_draws_have_about_half(train):
    found = metrics.copying(drawn(OTHER, 3), train, drawn(OTHER, 2))
    assert abs(found.share - 0.5) < 3 * found.standard_error
    assert found.standard_error == pytest.approx(1 / math.sqrt(6 * OTHER), rel=0.01)


def test_a_half_of_copies_moves_the_share_half_way(train):
    mixed = numpy.concatenate([train.images[:150], drawn(150, 3)])
    found = metrics.copying(mixed, train, drawn(OTHER, 2))
    assert 0.7 < found.share < 0.8
    assert set(found.suspects(150)) == set(range(150))


def test_samples_far_from_the_data_have_share_zero(train):
    samples = rng().choice([-1.0, 1.0], (50, 8, 8, 1)).astype("float32")
    assert metrics.copying(samples, train, drawn(OTHER, 2)).share == 0


def test_ties_count_half(train):
    unseen = drawn(OTHER, 2)
    assert metrics.copying(unseen, train, unseen).share == 0.5


def test_the_share_is_that_of_all_pairs(train):
    found = metrics.copying(drawn(30, 3), train, drawn(40, 2))
    pairs = found.distance[:, None] < found.unseen_distance
    assert found.share == pytest.approx(pairs.mean())
    order = found.unseen_distance[found.closest_unseen(40)]
    assert (numpy.diff(order) >= 0).all()


def test_sets_that_cannot_be_compared(train):
    with pytest.raises(ValueError, match="samples"):
        metrics.copying(numpy.zeros((0, 8, 8, 1), "float32"), train, drawn(3, 2))
    with pytest.raises(ValueError, match="training examples"):
        metrics.copying(numpy.zeros((3, 7, 7, 1), "float32"), train, drawn(3, 2))

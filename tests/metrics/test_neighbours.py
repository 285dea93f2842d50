"""Precision, recall, density, coverage and nearest neighbours: brute force, expectations, published
values.
"""

import numpy
import pytest
from defaults import defaults
from hypothesis import given
from hypothesis import strategies as st

from minigan import data, metrics
from minigan.metrics import blocks


def rng(seed=0):
    return numpy.random.default_rng(seed)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 100)


def slow_prdc(fake, real, k):
    """As clovaai's prdc computes it: whole distance matrices, the point itself counted as its
    nearest.
    """

    def distances(a, b):
        return numpy.sqrt(((a[:, None, :] - b[None, :, :]) ** 2).sum(axis=2))

    real_radii = numpy.sort(distances(real, real), axis=1)[:, k]
    fake_radii = numpy.sort(distances(fake, fake), axis=1)[:, k]
    d = distances(real, fake)
    return (
        (d < real_radii[:, None]).any(axis=0).mean(),
        (d < fake_radii[None, :]).any(axis=1).mean(),
        (d < real_radii[:, None]).sum(axis=0).mean() / k,
        (d.min(axis=1) < real_radii).mean(),
    )


def values(result):
    return result.precision, result.recall, result.density, result.coverage


@given(st.integers(1, 4), st.integers(1, 5), st.floats(0, 3), st.integers(0, 1000))
def test_prdc_by_brute_force(k, d, shift, seed):
    fake, real = rng(seed).standard_normal((23, d)) + shift, rng(seed + 1).standard_normal((31, d))
    assert values(metrics.prdc(fake, real, k=k)) == pytest.approx(
        slow_prdc(fake, real, k), rel=1e-12
    )


def test_prdc_in_blocks(small_blocks):
    fake, real = rng(1).standard_normal((57, 3)), 2 * rng(2).standard_normal((41, 3))
    assert values(metrics.prdc(fake, real, k=3)) == pytest.approx(
        slow_prdc(fake, real, 3), rel=1e-12
    )


def test_prdc_of_two_samples_of_one_law_has_the_published_values():
    """The example in the README of clovaai/generative-evaluation-prdc: P .477, R .471, D 1.056, C
    .974.

    It names no seed. Over seeds 0 to 9 this gave .473, .480, .972 and .966 on average, with
    standard deviations of .008, .012, .052 and .004; the tolerances are three of those."""
    fake, real = rng(0).standard_normal((2, 10_000, 1000), dtype="float32")
    got = metrics.prdc(fake, real, k=5)
    assert got.precision == pytest.approx(0.477, abs=0.025)
    assert got.recall == pytest.approx(0.471, abs=0.036)
    assert got.density == pytest.approx(1.056, abs=0.16)
    assert got.coverage == pytest.approx(0.974, abs=0.012)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_density_and_coverage_have_their_expectations(k):
    draws = [metrics.prdc(*rng(seed).standard_normal((2, 400, 2)), k=k) for seed in range(30)]
    expected = metrics.expected_coverage(400, 400, k)
    assert expected == pytest.approx(1 - 2**-k, abs=0.002)
    assert numpy.mean([d.coverage for d in draws]) == pytest.approx(expected, abs=0.01)
    assert numpy.mean([d.density for d in draws]) == pytest.approx(1, abs=0.03)


def test_expected_coverage_with_unequal_numbers():
    draws = [
        metrics.prdc(
            rng(s).uniform(size=(100, 2)), rng(s + 99).uniform(size=(300, 2)), k=2
        ).coverage
        for s in range(40)
    ]
    assert numpy.mean(draws) == pytest.approx(metrics.expected_coverage(300, 100, 2), abs=0.01)


def test_far_away_samples_get_nothing_and_duplicates_are_neighbours():
    real = rng(0).standard_normal((50, 2))
    assert values(metrics.prdc(real + 100, real, k=3)) == (0, 0, 0, 0)
    doubled = numpy.repeat(real, 2, axis=0)
    # Each point's nearest other point is its double: a closed ball of radius 0 holds both.
    assert values(metrics.prdc(doubled, doubled, k=1)) == (1, 1, 2, 1)
    assert metrics.prdc(doubled, doubled, k=2).coverage == 1


@pytest.mark.parametrize(
    ("fake", "k", "words"), [(4, 5, "N >= 6"), (20, 0, "k must be at least 1"), (5, 5, "N >= 6")]
)
def test_prdc_needs_enough_points(fake, k, words):
    with pytest.raises(ValueError, match=words):
        metrics.prdc(numpy.zeros((fake, 2)), numpy.zeros((20, 2)), k=k)


# ---------------------------------------------------------------- nearest neighbours


def test_neighbours_against_sklearn():
    sklearn = pytest.importorskip("sklearn.neighbors")
    samples, training = rng(1).standard_normal((17, 4)), rng(2).standard_normal((40, 4))
    distance, index = (
        sklearn.NearestNeighbors(n_neighbors=3, algorithm="brute").fit(training).kneighbors(samples)
    )
    got = metrics.nearest_neighbours(samples, training, k=3)
    numpy.testing.assert_array_equal(got.index, index)
    numpy.testing.assert_allclose(got.distance, distance, rtol=1e-12)


@pytest.mark.parametrize("k", [1, 4, 7])
def test_neighbours_across_blocks_of_both(small_blocks, k):
    samples, training = rng(1).standard_normal((37, 6)), rng(2).standard_normal((101, 6))
    d = numpy.sqrt(((samples[:, None] - training[None]) ** 2).sum(axis=2))
    got = metrics.nearest_neighbours(samples, training, k=k)
    numpy.testing.assert_array_equal(got.index, numpy.argsort(d, axis=1)[:, :k])
    numpy.testing.assert_allclose(got.distance, numpy.sort(d, axis=1)[:, :k], rtol=1e-12)


def test_neighbours_come_nearest_first_where_float32_could_not_tell():
    """Far from the centre, squares are rounded by more than the distances differ."""
    samples = numpy.array([[100, 0], [-100, 0]], "float32")
    steps = rng(3).permutation(50)
    training = samples[0] + numpy.stack(
        [numpy.zeros(50), 1 + 1e-4 * steps], axis=1, dtype="float32"
    )
    got = metrics.nearest_neighbours(samples, training, k=50)
    assert (numpy.diff(got.distance, axis=1) > 0).all()
    numpy.testing.assert_array_equal(got.index[0], numpy.argsort(steps))
    offsets = samples[:, None].astype("float64") - training[got.index]
    numpy.testing.assert_allclose(got.distance, numpy.linalg.norm(offsets, axis=2), rtol=1e-12)


def test_copies_are_found_at_distance_exactly_zero():
    digits = data.digits()
    copied = rng().choice(len(digits), 20, replace=False)
    got = metrics.nearest_neighbours(digits.batch(copied), digits)
    assert got.index.shape == got.distance.shape == (20, 1)
    assert (got.distance == 0).all()
    numpy.testing.assert_array_equal(digits.batch(got.index.ravel()), digits.batch(copied))


def test_the_nearest_is_the_default():
    assert defaults(metrics.nearest_neighbours) == {"k": 1}


def test_neighbours_of_every_training_image_if_asked():
    training = numpy.arange(5.0)[:, None]
    got = metrics.nearest_neighbours(numpy.array([[1.2]]), training, k=5)
    assert got.index.tolist() == [[1, 2, 0, 3, 4]]
    numpy.testing.assert_allclose(got.distance, [[0.2, 0.8, 1.2, 1.8, 2.8]])


@pytest.mark.parametrize(
    ("samples", "training", "k", "words"),
    [
        (numpy.zeros((3, 2)), numpy.zeros((4, 3)), 1, "2 features each, the training examples 3"),
        (
            numpy.zeros((3, 2)),
            numpy.zeros((4, 2)),
            5,
            "between 1 and the 4 training examples, got 5",
        ),
        (numpy.zeros((3, 2)), numpy.zeros((4, 2)), 0, "got 0"),
        (numpy.zeros((0, 2)), numpy.zeros((4, 2)), 1, "N >= 1"),
        (
            numpy.zeros((3, 2)),
            numpy.full((4, 2), numpy.inf),
            1,
            "training examples hold NaN or infinity",
        ),
    ],
)
def test_neighbours_refuse(samples, training, k, words):
    with pytest.raises(ValueError, match=words):
        metrics.nearest_neighbours(samples, training, k=k)


def test_a_copy_of_data_with_duplicates_is_perfect():
    """Balls of radius 0 are closed: the copies of a point are inside."""
    draw = rng(0)
    for shift in (0, 1000.3):
        points = numpy.repeat(draw.standard_normal((10, 2)), 20, axis=0) + shift
        found = metrics.prdc(points[draw.permutation(200)], points)
        assert (found.precision, found.recall, found.coverage) == (1, 1, 1)


def test_ties_on_a_grid_count_as_inside():
    """Four neighbours at distance 1 exactly, wherever the centre of the points lies."""
    grid = numpy.stack(numpy.meshgrid(*[numpy.arange(8.0)] * 2), axis=-1).reshape(-1, 2)
    found = metrics.prdc(grid + [0.0, 1.0], grid, k=1)
    assert found.recall == (8 * 8) / 64
    assert found.precision == 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_outliers_dont_blur_what_lies_close_together(dtype):
    """Rounding grows with the distance from the centre, which one far point may not move."""
    real, fake = rng(0).standard_normal((2, 60, 3)).astype(dtype)
    expected = values(metrics.prdc(fake, real, k=3))
    assert 0 < expected[2] < 2
    for far in (1e5, 1e8):
        with_one = numpy.concatenate([real, numpy.full((1, 3), far, dtype)])
        got = values(metrics.prdc(fake, with_one, k=3))
        assert got == pytest.approx(slow_prdc(fake, with_one, 3), rel=1e-12)

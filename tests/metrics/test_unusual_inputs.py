"""Samples that are degenerate, of another kind, or far from 0: right numbers, or a sentence."""

import json

import numpy
import pytest

from minigan import data, metrics
from minigan.metrics.modes import mode_report


def seeded(seed=0):
    return numpy.random.default_rng(seed)


def test_a_law_of_given_points_isnt_compared_with_itself():
    law = data.distribution("ring")
    for count in (50, 300, 2500):
        given = data.point_set(law.sample(count, seeded(1)))
        found = metrics.evaluate_points(law.sample(5000, seeded(2)), given, rng=seeded(3))
        assert found.facts["samples"] == count // 2
        for row in found.rows:
            if row.metric.startswith("sliced"):
                assert row.floor > 0
            else:
                assert row.value > 0.7 * row.floor, (count, row)
    with pytest.raises(ValueError, match="has 3 points, but at least 4 are needed"):
        metrics.evaluate_points(numpy.ones((9, 2)), data.point_set(numpy.eye(3, 2)), rng=seeded())


@pytest.mark.parametrize("place", range(4))
def test_gaussians_that_arent_finite_have_no_distance(place):
    given = [numpy.zeros(2), numpy.eye(2), numpy.zeros(2), numpy.eye(2)]
    given[place] = given[place] + numpy.nan
    with pytest.raises(ValueError, match="NaN or infinity"):
        metrics.frechet_gaussian(*given)


def test_means_of_narrow_types_dont_wrap_around():
    cov = numpy.eye(2)
    near, far = (numpy.array([n, 0], "u1") for n in (1, 3))
    assert metrics.frechet_gaussian(near, cov, far, cov) == pytest.approx(4)
    wide = (40000 * cov).astype("float16")
    zero = numpy.zeros(2, "float16")
    assert metrics.frechet_gaussian(zero, wide, zero, wide) == pytest.approx(0, abs=1e-6)
    with pytest.raises(TypeError, match="list"):
        metrics.frechet_gaussian([0, 0], cov, [0, 0], cov)


@pytest.mark.parametrize("dtype", ["complex64", "U1"])
def test_features_are_real_numbers(dtype):
    with pytest.raises(TypeError, match="real numbers are needed"):
        metrics.frechet_distance(numpy.ones((4, 2)).astype(dtype), numpy.ones((4, 2)))


@pytest.mark.parametrize("offset", [0, 100, 1000, 1e4])
def test_neighbours_far_from_zero_are_the_same(offset):
    samples, training = (seeded(s).normal(size=(n, 2)) + offset for s, n in ((0, 50), (1, 500)))
    single = metrics.nearest_neighbours(samples.astype("float32"), training.astype("float32"))
    double = metrics.nearest_neighbours(
        samples.astype("float32").astype(float), training.astype("float32").astype(float)
    )
    numpy.testing.assert_array_equal(single.index, double.index)
    copies = training.astype("float32")
    assert metrics.nearest_neighbours(copies, copies).distance.max() == 0


def test_bytes_are_no_pictures_in_floats():
    images = seeded().integers(0, 256, (4, 8, 8, 1)).astype("u1")
    with pytest.raises(TypeError, match="floating-point images"):
        metrics.sharpness(images)
    with pytest.raises(TypeError, match="floating-point images"):
        metrics.evaluate_pairs(images, images, images[::-1], mean=images.mean(axis=0))
    with pytest.raises(ValueError, match="at least 2x2 pixels"):
        metrics.sharpness(numpy.zeros((2, 1, 5, 1)))


@pytest.mark.parametrize("clusters", [[0, -1, 1], [0.0, 1.0, 1.0], [True, False, True]])
def test_clusters_are_integers_from_0(clusters):
    with pytest.raises(ValueError, match="must be integers from 0"):
        metrics.matched_accuracy(clusters, [0, 1, 1])


def test_lines_are_codes_of_the_vocabulary():
    lines = data.text("sentences")
    for wrong in (400, -1, 1.5):
        with pytest.raises(ValueError, match=r"lines of codes \(N, L\) from 0 to"):
            metrics.evaluate_text(numpy.full((5, 6), wrong), lines, lines, rng=seeded())


def test_pictures_of_one_colour_are_as_far_whatever_the_colour():
    real = seeded().uniform(-1, 1, (20, 32, 32, 3)).astype("float32")

    def distance(images, reference):
        found = metrics.patch_distance(images, reference, rng=seeded(), patches=8, directions=16)
        return [value for _, value in found.levels]

    black, dark = (distance(numpy.full_like(real, c), real) for c in (0, 0.1))
    numpy.testing.assert_allclose(dark, black, rtol=1e-3)
    one, other = (numpy.full_like(real, c) for c in (0.3, 0.7))
    assert max(distance(one, other)) < 0.01


def test_numbers_of_numpy_are_written_as_numbers():
    rows = (metrics.Row("a", numpy.float64(0.5), numpy.float32(0.25), "lower"),)
    table = metrics.Table({"samples": numpy.int64(3)}, rows)
    assert table.csv().splitlines()[1] == "a,0.5,0.25,lower"
    assert json.loads(json.dumps(table.to_dict()))["facts"] == {"samples": 3}


def test_a_share_that_is_met_exactly_covers_its_mode():
    centres = numpy.array([[0.0, 0.0], [9.0, 9.0]])
    samples = numpy.repeat(centres[::-1], [7, 93], axis=0)
    assert mode_report(samples, centres, 0.1, min_share=0.07).covered == 2
    assert mode_report(samples, centres, 0.1, min_share=0.08).covered == 1

"""Numbers of very different sizes, and long sounds."""

import numpy
import pytest

from minigan import metrics


@pytest.mark.parametrize("ratio", [1e2, 1e4, 1e5])
def test_the_frechet_distance_sees_directions_of_little_spread(ratio):
    a = numpy.random.default_rng(0).normal(size=(2000, 4)) * [ratio, 1, 1, 1]
    assert metrics.frechet_distance(a, a) == pytest.approx(0, abs=1e-13 * ratio**2)
    assert metrics.frechet_distance(a, a + [0, 1, 0, 0]) == pytest.approx(1, rel=0.05)


def test_the_pitch_of_a_long_sound_is_that_of_all_of_it():
    rate = 44_100
    t = numpy.arange(3 * rate) / rate
    quiet, loud = (a * numpy.sin(2 * numpy.pi * f * t) for a, f in ((0.05, 440), (0.9, 660)))
    wave = numpy.where(t < 1.5, quiet, loud)[None, :, None]
    assert metrics.pitches(wave, rate=rate, low=200, high=1000) == pytest.approx(660, abs=1)

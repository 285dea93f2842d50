"""Measures of sounds and films, against what is known to be right or wrong."""

import numpy
import pytest

from minigan import data, metrics
from minigan.metrics.films import off_path

RATE, NOTES = 8000, (220.0, 440.0)
WALLS = {"room": 8, "speeds": (0.75, 2)}


def played(*hertz):
    t = numpy.arange(4096) / RATE
    return numpy.stack([numpy.sin(2 * numpy.pi * f * t) * numpy.exp(-5 * t) for f in hertz])[
        ..., None
    ]


def test_pitches_are_found_to_a_fraction_of_a_hertz():
    wanted = [220.0, 233.3, 440.0, 612.4]
    found = metrics.pitches(played(*wanted), rate=RATE, low=100, high=1000)
    numpy.testing.assert_allclose(found, wanted, atol=0.2)
    quartertone = 2 ** (1 / 24)
    away = metrics.cents(numpy.array([220 * quartertone, 440 / quartertone]), NOTES)
    numpy.testing.assert_allclose(away, 50)


def test_loud_sounds_out_of_range_do_not_hide_a_quiet_tone():
    t = numpy.arange(4096) / RATE
    loud, quiet = (numpy.sin(2 * numpy.pi * f * t) for f in (100.3, 400.0))
    found = metrics.pitches((loud + 0.005 * quiet)[None, :, None], rate=RATE, low=150, high=1000)
    numpy.testing.assert_allclose(found, 400, atol=1)


@pytest.mark.parametrize(
    ("waves", "low"), [(numpy.zeros((2, 8)), 1), (numpy.zeros((2, 8, 1)), 999)]
)
def test_pitches_of_nothing_are_refused(waves, low):
    with pytest.raises(ValueError, match=r"needed|widen"):
        metrics.pitches(waves, rate=RATE, low=low, high=low)


def test_tones_are_scored_beside_the_data():
    real = data.tones(count=256)
    rows = metrics.tone_rows(real.images, real.images, rate=RATE, notes=real.notes_hz)
    assert [row.value for row in rows] == [row.floor for row in rows]
    # Normally distributed with a standard deviation of 20 cents, half are within 13.5.
    assert rows[0].value == pytest.approx(13.5, abs=3)
    assert rows[2].value == 8
    alike = metrics.tone_rows(real.images[:1], real.images, rate=RATE, notes=real.notes_hz)
    assert (alike[1].value, alike[2].value) == (0, 1)


def film(path):
    """A bright square on a path (frames, 2) of whole pixels."""
    frames = numpy.full((1, len(path), 16, 16, 1), -1, "float32")
    for t, (row, column) in enumerate(path):
        frames[0, t, row : row + 8, column : column + 8] = 1
    return frames


def test_only_paths_of_the_law_are_straight():
    t = numpy.arange(8)
    good = numpy.stack([data.bounced(1 + t), data.bounced(7 - t)], axis=1).astype(int)
    jumping = good.copy()
    jumping[4] = (0, 8)
    still = numpy.full((8, 2), 3)
    films = numpy.concatenate([film(p) for p in (good, jumping, still)])
    assert metrics.straight(films, data.bounced, **WALLS).tolist() == [True, False, False]
    films[0, 3] = -1
    assert not metrics.straight(films, data.bounced, **WALLS)[0]


def test_the_best_path_of_a_law_by_hand():
    """Where nothing bounces, paths of one speed only go up: half of the spread lies beside."""
    along = numpy.array([[0, 1, 2, 3], [3, 2, 1, 0], [0, 1, 2, 5], [0, 1, numpy.nan, 3]])
    found = off_path(along, lambda p: p, room=8, speeds=(1, 1))
    numpy.testing.assert_allclose(found, [0, 3, 1, numpy.inf], atol=1e-12)
    slower = off_path(along[:2] / 2, lambda p: p, room=8, speeds=(0.5, 1))
    numpy.testing.assert_allclose(slower, [0, 1.5], atol=1e-12)


class Counter:
    """A classifier whose classes are whether the image is bright."""

    classes = 2

    def features(self, images):
        return images

    net = (None, lambda x: numpy.stack([0 * x.mean(axis=(1, 2, 3)), 9 * x.mean(axis=(1, 2, 3))], 1))


def test_names_are_counted_if_they_are_sure():
    images = numpy.stack([numpy.full((4, 4, 1), v, "float32") for v in (-1, -1, -1, 1, 0.1)])
    rows = metrics.naming_rows(images, images[:4], Counter())
    assert [row.value for row in rows] == [80, 40]
    assert [row.floor for row in rows] == [100, 25]


def test_the_class_of_a_film_is_its_commonest():
    films = numpy.full((2, 8, 4, 4, 1), -1, "float32")
    films[1, :6] = 1
    numpy.testing.assert_allclose(metrics.same_class(films, Counter()), [1, 0.75])
    assert metrics.centres(films)[0, 0] == pytest.approx(numpy.full(8, numpy.nan), nan_ok=True)


def test_faint_haze_does_not_move_the_centre():
    clear = film([(0, 0), (3, 5), (8, 2)])
    hazy = numpy.maximum(clear, -0.82)  # a brightness of 0.09
    numpy.testing.assert_array_equal(metrics.centres(hazy), metrics.centres(clear))
    assert metrics.centres(clear)[:, 0].tolist() == [[3.5, 6.5, 11.5], [3.5, 8.5, 5.5]]
    fog = numpy.maximum(clear, -0.78)  # and one of 0.11, which counts
    assert (metrics.centres(fog)[:, 0, 0] > 4).all()


def test_films_are_scored_beside_the_data():
    t = numpy.arange(8)
    path = numpy.stack([data.bounced(1 + t), data.bounced(7 - t)], axis=1).astype(int)
    real = numpy.concatenate([film(path), film(path[:, ::-1])])
    films = real.copy()
    films[0, :2] = 1  # two frames of the other class
    films[0, 4] = film([(0, 8)])[0]
    ways, kept = metrics.film_rows(films, real, Counter(), data.bounced, **WALLS)
    assert (ways.value, ways.floor) == (50, 100)
    assert (kept.value, kept.floor) == (87.5, 100)

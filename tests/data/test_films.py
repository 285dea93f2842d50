"""Films of digits that move by a known law."""

import numpy
import pytest

from minigan import data, metrics

WALLS = {"room": 8, "speeds": (0.75, 2)}


def test_films_follow_their_law():
    films = data.load("moving-digits", split="test")
    again = data.moving_digits(split="test")
    numpy.testing.assert_array_equal(films.images, again.images)
    assert films.images.shape == (8192, 8, 16, 16, 1)
    assert repr(films) == "Films('moving-digits': 8,192 films of 8 frames of 16x16)"
    some = films.images[:200]
    assert metrics.straight(some, data.bounced, **WALLS).all()
    # A linear interpolation neither makes nor loses ink.
    ink = (some + 1).sum(axis=(2, 3, 4))
    numpy.testing.assert_allclose(ink, ink[:, :1].repeat(8, axis=1), rtol=1e-4)


def test_splits_share_no_digit():
    whole = data.digits(enlarge=False)
    train, test = (data.moving_digits(count=64, split=s) for s in ("train", "test"))
    assert set(train.labels) == set(test.labels) == set(range(10))
    assert not numpy.array_equal(train.images, test.images)
    assert len(whole) == 1797


def test_films_show_the_first_digits_or_the_last(monkeypatch):
    shown, batch = [], data.Dataset.batch

    def recorded(self, indices):
        shown.append(indices)
        return batch(self, indices)

    monkeypatch.setattr(data.Dataset, "batch", recorded)
    labels = data.digits(enlarge=False).labels
    for split in ("train", "test"):
        films = data.moving_digits(count=4096, split=split)
        numpy.testing.assert_array_equal(films.labels, labels[shown[-1]])
    train, test = map(set, shown)
    assert train <= set(range(1437))
    assert test <= set(range(1437, 1797))
    assert len(train) > 1300  # on average, 6 % of them aren't drawn
    assert len(test) == 360


def test_positions_bounce_between_the_walls():
    numpy.testing.assert_allclose(
        data.bounced(numpy.array([-1.0, 3, 8, 9.5, 17])), [1, 3, 8, 6.5, 1]
    )


@pytest.mark.parametrize("wrong", [{"count": 0}, {"split": "valid"}])
def test_films_that_there_are_not_are_refused(wrong):
    with pytest.raises(ValueError, match=r"no .* films"):
        data.moving_digits(**wrong)


@pytest.mark.parametrize(
    "images", [numpy.zeros((2, 8, 8, 1), "float32"), numpy.full((1, 2, 3, 3, 1), 2, "float32")]
)
def test_what_are_no_films_is_refused(images):
    with pytest.raises(ValueError, match="the films of 'x'"):
        data.Films("x", images)

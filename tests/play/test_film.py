"""The film of a game: which frames are kept, and what is drawn."""

import io

import numpy
import pytest
from PIL import Image

from minigan.play import film
from minigan.play.film import MOST, SIDE, Film
from minigan.play.scenes import lattice, shades
from minigan.play.setup import Setup
from minigan.play.state import PlaygroundState

SMALL = {"g_width": 8, "d_width": 8, "batch_size": 16}


def test_frames_stay_evenly_apart():
    kept = Film()
    kept.add(0, {})
    for step in range(1, 5000):
        if kept.due(step):
            kept.add(step, {})
        assert len(kept.frames) <= MOST
    steps = [step for step, _ in kept.frames]
    assert steps == list(range(0, 5000, kept.every))
    assert len(steps) > MOST / 2


def opened(content):
    with Image.open(io.BytesIO(content)) as picture:
        picture.load()
        return picture.n_frames, picture.size


def of(setup, steps=20):
    state = PlaygroundState(setup)
    for _ in range(steps):
        state.step()
    return state, film.gif(state.start(), state.filmed())


@pytest.mark.parametrize(
    "setup",
    [
        Setup(**SMALL),
        Setup(data="drawn", points=((0.0, 0.0), (1.0, 1.0)), latent=1, **SMALL),
        Setup(data="dirac", penalties=("r1:1",)),
    ],
)
def test_a_game_becomes_an_animation(setup):
    state, made = of(setup, steps=25)
    assert [step for step, _ in state.filmed()] == [0, 10, 20, 25]
    frames, (width, height) = opened(made)
    assert frames == 4
    assert width == SIDE < height


def test_pictures_become_an_animation_too():
    frames, (width, _) = opened(of(Setup(data="digits", penalties=(), batch_size=8), steps=1)[1])
    assert frames == 2
    assert width > 16 * 6


def test_what_was_filmed_stays_as_it_was():
    state = PlaygroundState(Setup(**SMALL))
    first = state.film.frames[0][1]["fake"].copy()
    for _ in range(3):
        state.step()
    state.frame()
    numpy.testing.assert_array_equal(state.film.frames[0][1]["fake"], first)
    assert not numpy.array_equal(state.frame()["fake"], first)


def test_numbers_that_exploded_are_left_out():
    state = PlaygroundState(Setup(**SMALL))
    start, frame = state.start(), state.frame()
    frame["fake"] = numpy.full((4, 2), numpy.nan, "float32")
    frame["fake"][0] = 1e30
    assert opened(film.gif(start, [(0, frame)]))[0] == 1


def test_real_points_are_drawn_where_they_lie():
    start = {"kind": "plane", "limits": [0, 1, 0, 1], "side": 2,
             "real": numpy.array([[0.25, 0.75]], "float32")}  # fmt: skip
    frame = {"fake": numpy.zeros((0, 2), "float32"), "landscape": numpy.full(4, 127, "uint8")}
    drawn = film._plane(start, frame)
    assert tuple(drawn[SIDE // 4, SIDE // 4]) == film.REAL
    assert tuple(drawn[3 * SIDE // 4, SIDE // 4]) != film.REAL


def test_the_landscape_lies_under_its_points():
    limits, side = ((0, 1), (0, 1)), 4
    likely = (lattice(limits, side)[:, 1] < 0.5).astype("float64")  # real below, fake above
    start = {"kind": "plane", "limits": [0, 1, 0, 1], "side": side,
             "real": numpy.zeros((0, 2), "float32")}  # fmt: skip
    frame = {"fake": numpy.zeros((0, 2), "float32"), "landscape": shades(likely)}
    drawn = film._plane(start, frame).astype(int)
    (_, above), (_, below) = (film._places(start, [(0.5, y)])[0] for y in (0.9, 0.1))
    assert (above, below) == (pytest.approx(0.1 * SIDE), pytest.approx(0.9 * SIDE))
    for y, near, far in ((above, film.FAKE, film.REAL), (below, film.REAL, film.FAKE)):
        pixel = drawn[round(y), SIDE // 2]
        assert abs(pixel - near).sum() < abs(pixel - far).sum()

"""Pictures of a run: the frames of its film, and the state that a notebook shows."""

import types

import numpy
import pytest

from minigan import gan, plots, recipes
from minigan.runs import drawing


def trainer(step):
    game = types.SimpleNamespace(
        picture=lambda z, labels: numpy.zeros((len(z), 4, 4, 3), "float32")
    )
    return types.SimpleNamespace(game=game, step=step)


def test_a_frame_is_large_and_has_its_step_written_below():
    draw = drawing.image_frame(numpy.zeros((4, 2)))
    first, same, later = (draw(trainer(step)) for step in (100, 100, 2300))
    assert first.dtype == numpy.uint8
    assert first.shape[1] >= 400
    numpy.testing.assert_array_equal(first, same)
    numpy.testing.assert_array_equal(first[: -drawing.CAPTION], later[: -drawing.CAPTION])
    caption = first[-drawing.CAPTION :]
    assert (caption == 255).mean() > 0.8
    assert (caption < 128).any()
    assert (caption != later[-drawing.CAPTION :]).any()


@pytest.mark.parametrize("channels", [1, 3])
def test_the_words_are_as_many_channels_as_the_picture(channels):
    picture = numpy.zeros((10, 60, channels), "uint8")
    drawn = drawing.captioned(picture, "step 1")
    assert drawn.shape == (10 + drawing.CAPTION, 60, channels)


def test_the_state_is_drawn_with_and_without_losses(tmp_path):
    picture = numpy.zeros((20, 20, 1), "uint8")
    empty = drawing.state_figure(picture, tmp_path, title="a run")
    assert not empty.axes[1].lines
    (tmp_path / "metrics.csv").write_text("step,loss_d,loss_g\n1,0.5,0.7\n2,0.4,0.8\n")
    figure = drawing.state_figure(picture, tmp_path, title="a run")
    d, g = figure.axes[1].lines
    assert d.get_ydata().tolist() == [0.5, 0.4]
    assert g.get_label() == "G"
    assert figure.axes[0].get_title(loc="left") == "a run"


@pytest.mark.parametrize(
    ("name", "known"), [("digits", True), ("acgan-digits", False), ("ssgan-digits", False)]
)
def test_losses_of_the_equilibrium_are_drawn_where_they_are_known(
    name, known, tmp_path, monkeypatch
):
    (tmp_path / "metrics.csv").write_text("step,loss_d,loss_g\n1,1,1\n")
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, *_, **__: drawn.append(figure))
    drawing.draw_losses(tmp_path, recipes.get(name), "non-saturating")
    assert (drawn[0].axes[0].get_ylabel() == "loss (nats)") is known


@pytest.mark.parametrize("name", [*gan.OBJECTIVES, "one of one's own"])
def test_only_probabilities_are_drawn_as_such(name, tmp_path, monkeypatch):
    (tmp_path / "metrics.csv").write_text("step,loss_d,loss_g,d_real,d_fake\n1,1,1,7,-7\n")
    drawn = []
    monkeypatch.setattr(plots, "save_figure", lambda figure, *_, **__: drawn.append(figure))
    drawing.draw_losses(tmp_path, types.SimpleNamespace(name="r", plain_losses=True), name)
    probable = name in ("non-saturating", "saturating")
    expected = "probability of real" if probable else "output of D"
    assert drawn[0].axes[1].get_ylabel() == expected


def test_another_game_s_numbers_are_drawn_too(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss,cycle,diversity\n1,1,0.5,0.7\n")
    figure = drawing.state_figure(numpy.zeros((9, 9, 3), "uint8"), tmp_path, title="t")
    assert [line.get_label() for line in figure.axes[1].lines] == ["cycle"]

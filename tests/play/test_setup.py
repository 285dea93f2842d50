"""The choices of a game: what is possible, as a link, and as files that play the same game."""

import contextlib
import io
from pathlib import Path

import numpy
import pytest

from minigan import cli
from minigan.data import DISTRIBUTIONS
from minigan.play.presets import PRESETS
from minigan.play.recipe import as_python, as_recipe_file, recipe_of, settings_of
from minigan.play.setup import ACTIVATIONS, CHOICES, KIND, RANGES, Setup, describe
from minigan.play.state import PlaygroundState
from minigan.recipes import files
from minigan.runs.assembly import assemble
from minigan.runs.folder import open_run

SMALL = {"g_width": 8, "d_width": 8, "batch_size": 16}
TRIANGLE = ((0.0, 0.0), (1.0, 0.25), (-0.5, 1.0))
VARIED = [
    Setup(**SMALL),
    Setup(spread=0.0, **SMALL),
    Setup(data="drawn", points=TRIANGLE, seed=3, **SMALL),
    Setup(data="drawn", points=((1 / 3, -2e-9), (1234.5678901, 1e4), (-0.0, 0.1 + 0.2)), **SMALL),
    Setup(penalties=("packing:2", "clip-gradient:1"), optimizer="rmsprop", **SMALL),
    Setup(penalties=("feature-matching:0.5",), schedule="cosine", average=0.9, **SMALL),
    Setup(objective="hinge", penalties=("spectral-norm",), g_norm="batch", **SMALL),
    Setup(objective="wasserstein", penalties=("clip-weights:0.1",), optimizer="sgd", **SMALL),
    Setup(g_activation="tanh", d_activation="silu", d_norm="layer", initial="dcgan", **SMALL),
    Setup(penalties=("historical-averaging:0.1", "r1:0.1"), **SMALL),
    Setup(penalties=("virtual-batch-norm:8",), g_norm="batch", latent_kind="normal", **SMALL),
    Setup(smoothing=0.1, discriminator_steps=2, initial="default", latent=5, g_layers=0, **SMALL),
]


@pytest.mark.parametrize("setup", [*VARIED, *(p.setup for p in PRESETS.values())])
def test_a_link_holds_everything(setup):
    assert Setup.from_link(setup.link()) == setup
    assert Setup.from_link("http://127.0.0.1:8017/#" + setup.link()) == setup


def test_the_default_has_an_empty_link():
    assert Setup().link() == ""
    assert Setup.from_link("http://127.0.0.1:8017/") == Setup()


def test_a_schedule_with_a_plus_survives_the_link():
    setup = Setup(schedule="warmup:5+cosine")
    assert Setup.from_link(setup.link()) == setup


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": "circle"}, "data must be one of ring"),
        ({"g_width": 0}, "g_width must be between 1 and 512"),
        ({"g_width": 1.5}, "g_width must be a whole number"),
        ({"g_width": True}, "g_width must be a whole number"),
        ({"lr_generator": float("nan")}, "lr_generator must be between"),
        ({"lr_generator": "fast"}, "lr_generator must be a number"),
        ({"penalties": "r1"}, "penalties must be a list"),
        ({"penalties": [1]}, "penalties must be text"),
        ({"penalties": ["r3"]}, "Unknown penalty"),
        ({"penalties": ["packing:100000000"]}, "'packing' must be at most"),
        ({"penalties": ["minibatch-discrimination:1e9"]}, "must be at most 512"),
        ({"schedule": "sometimes"}, "Unknown schedule"),
        ({"data": "drawn", "points": [[0, 0]]}, "2 to 1,000 points"),
        ({"data": "drawn", "points": [[0, 0], [1]]}, "A point is two numbers"),
        ({"points": [[1, 2, 3], [4, 5, 6]]}, "A point is two numbers"),
        ({"points": [[0, 0]] * 1001}, "2 to 1,000 points"),
        ({"lr_generator": 10**400}, "lr_generator must be between 1e-07 and 10, got inf"),
        ({"data": "drawn", "points": [[0, 0], [1, "x"]]}, "a list of two numbers"),
        ({"data": "drawn", "points": [[0, 0], [1, float("inf")]]}, "A point is two numbers"),
        ({"data": 3}, "data must be text"),
        ({"volume": 3}, "There is no choice 'volume'"),
    ],
)
def test_impossible_choices_are_refused_in_one_sentence(changes, words):
    with pytest.raises((ValueError, TypeError), match=words):
        Setup().changed(changes)


@pytest.mark.parametrize("link", ["g_width=wide", "points=1,2;x", "volume=3", "penalties=r3"])
def test_a_link_that_is_none_is_refused(link):
    with pytest.raises(ValueError, match=r"link|choice|Unknown"):
        Setup.from_link(link)


def test_numbers_from_json_fit_without_loss():
    assert Setup().changed({"g_width": 64.0, "smoothing": 0}).g_width == 64
    assert isinstance(Setup().changed({"smoothing": 0}).smoothing, float)


def test_every_choice_is_described():
    told = describe()
    others = {"points", "penalties", "schedule"}
    assert set(CHOICES) | set(RANGES) | others == set(KIND) == set(told["defaults"])
    assert set(DISTRIBUTIONS) < set(told["choices"]["data"])


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_every_activation_is_one_of_the_library(activation):
    state = PlaygroundState(Setup(g_activation=activation, d_activation=activation, **SMALL))
    assert numpy.isfinite(state.step()["loss_d"])


# ---------------------------------------------------------------- files that play the same game


def weights(game):
    return {name: net.flat().value.copy() for name, net in game.players().items()}


def played(setup, steps=3):
    state = PlaygroundState(setup)
    for _ in range(steps):
        state.step()
    return weights(state.game)


@pytest.mark.parametrize("setup", VARIED)
def test_the_recipe_file_plays_the_same_game_bit_for_bit(setup, tmp_path):
    path = tmp_path / "game.py"
    path.write_text(as_recipe_file(setup), encoding="utf-8")
    recipe = files.read(str(path)).load()
    samples = recipe.load(recipe.data, None)
    assembly = assemble(recipe, recipe.settings, samples, seed=setup.seed)
    for _ in range(3):
        assembly.trainer.train_step()
    for name, values in played(setup).items():
        numpy.testing.assert_array_equal(weights(assembly.trainer.game)[name], values)


def test_minigan_train_runs_the_recipe_file(tmp_path):
    path, out = tmp_path / "game.py", tmp_path / "run"
    path.write_text(as_recipe_file(Setup(**SMALL, steps=3)), encoding="utf-8")
    cli.main(["train", str(path), "--seed", "0", "--out", str(out), "--quiet"])
    trained = open_run(out).game().players()
    for name, values in played(Setup(**SMALL, steps=3)).items():
        numpy.testing.assert_array_equal(trained[name].flat().value, values)


@pytest.mark.parametrize("setup", VARIED)
def test_the_python_plays_the_same_game_bit_for_bit(setup):
    found = {}
    text = as_python(Setup(**(setup.as_dict() | {"steps": 3})))
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(text, "game.py", "exec"), found)
    for name, values in played(Setup(**(setup.as_dict() | {"steps": 3}))).items():
        numpy.testing.assert_array_equal(weights(found["game"])[name], values)


PICTURES = [
    Setup(data="digits", penalties=(), batch_size=8, steps=2, seed=3),
    Setup(data="avatars", penalties=("spectral-norm",), objective="hinge", batch_size=8, steps=2),
]


@pytest.mark.parametrize("setup", PICTURES, ids=lambda setup: setup.data)
def test_games_of_pictures_are_written_down_too(setup, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("game.py").write_text(as_recipe_file(setup), encoding="utf-8")
    cli.main(["train", "game.py", "--seed", str(setup.seed), "--out", "one", "--quiet"])
    found = {}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(as_python(setup), "script.py", "exec"), found)
    expected = played(setup, steps=2)
    for run in (open_run("one"), found["run"]):
        for name, values in expected.items():
            numpy.testing.assert_array_equal(run.game().players()[name].flat().value, values)


def test_the_python_of_a_dirac_gan_plays_it():
    setup, found = Setup(data="dirac", penalties=("r1:1.0",), steps=5), {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(compile(as_python(setup), "game.py", "exec"), found)
    state = PlaygroundState(setup)
    for _ in range(5):
        state.step()
    assert found["state"].scene.path == state.scene.path
    assert f"theta = {state.scene.path[-1][0]:.4f}" in said.getvalue()


def test_a_dirac_gan_has_no_recipe():
    with pytest.raises(ValueError, match="has no recipe"):
        as_recipe_file(Setup(data="dirac"))
    with pytest.raises(ValueError, match="one weight"):
        recipe_of(Setup(data="dirac"))


def test_faces_have_sixteen_pixels():
    setup = Setup(data="avatars")
    recipe = recipe_of(setup)
    assert recipe.sample_shape == (16, 16, 3)
    assert settings_of(setup, recipe).image_size == 16
    assert recipe.data == "avatars"

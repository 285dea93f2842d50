"""Starting from trained weights: what fits is taken, the rest is said."""

import numpy
import pytest

from minigan import checkpoint, recipes
from minigan.cli import main
from minigan.runs import starting
from minigan.runs.folder import open_run
from minigan.runs.training import train

SMALL = {"batch_size": 8, "progress": False, "frames": 0}


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    return train("digits", out=tmp_path_factory.mktemp("first") / "run", steps=2, **SMALL)


def weights(run, name="generator"):
    return checkpoint.under(name, checkpoint.load(run / "model.safetensors")[0])


def random_game(seed=1, **changes):
    recipe = recipes.get("digits")
    rng = numpy.random.default_rng(seed)
    return recipe.game(recipe.settings.changed(**changes), weights=rng, noise=rng)


def test_all_weights_of_the_same_recipe_are_taken(first):
    game = random_game()
    told = starting.start_from(game, first)
    for name, array in weights(first).items():
        numpy.testing.assert_array_equal(game.generator.state_dict()[name], array)
    for name, array in weights(first, "average").items():
        numpy.testing.assert_array_equal(game.average.net.state_dict()[name], array)
    assert [words.partition(":")[0] for words in told] == ["generator", "discriminator", "average"]
    assert all("(100% of the numbers)" in words for words in told)


def test_a_new_average_starts_from_the_generator(tmp_path):
    plain = train("digits", out=tmp_path / "run", steps=1, average=0, **SMALL)
    game = random_game()
    starting.start_from(game, plain)
    for name, array in weights(plain).items():
        numpy.testing.assert_array_equal(game.average.net.state_dict()[name], array)


def test_a_checkpoint_file_gives_the_average_its_own_numbers(first):
    game = random_game()
    starting.start_from(game, first / "checkpoints" / "step-00000002.safetensors")
    for name, array in weights(first, "average").items():
        numpy.testing.assert_array_equal(game.average.net.state_dict()[name], array)


def test_what_doesn_t_fit_keeps_its_values_and_is_named(tmp_path):
    small = {"image_size": 16, "width": 2, "penalties": ()}
    colour = train("dcgan", out=tmp_path / "run", steps=1, channels=3, **small, **SMALL)
    recipe, rng = recipes.get("dcgan"), numpy.random.default_rng(1)
    settings = recipe.settings.changed(channels=1, **small)
    game = recipe.fitted(settings).game(settings, weights=rng, noise=rng)
    before = game.generator.state_dict()
    told = starting.start_from(game, colour)
    after, last = game.generator.state_dict(), ["7.weight", "7.bias"]
    assert told[0].endswith(f"; new: {', '.join(last)}")
    for name, array in weights(colour).items():
        expected = before[name] if name in last else array
        numpy.testing.assert_array_equal(after[name], expected)


def test_nothing_that_fits_is_an_error_before_anything_is_written(tmp_path, first, capsys):
    out = tmp_path / "out"
    assert main(["train", "ring", "--init", str(first), "--out", str(out)]) == 2
    assert "No weights of" in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_without_weights_is_refused(tmp_path, capsys):
    assert main(["train", "ring", "--init", str(tmp_path)]) == 2
    assert "has no weights to start from" in capsys.readouterr().err


def test_the_run_says_what_fitted_and_remembers_where_from(tmp_path, first, capsys):
    out = tmp_path / "out"
    quick = ["--steps", "1", "--batch-size", "8", "--frames", "0", "--lr", "1e-9"]
    assert main(["train", "digits", "--init", str(first), "--out", str(out), *quick]) == 0
    assert "generator: 12 of 12 arrays" in capsys.readouterr().err
    assert open_run(out).config.init == str(first)
    trained, begun = weights(out), weights(first)
    name = next(name for name in begun if name.endswith("weight"))
    numpy.testing.assert_allclose(trained[name], begun[name], atol=1e-6)


def test_a_run_killed_before_its_first_checkpoint_starts_from_them_again(tmp_path, first):
    whole = train("digits", out=tmp_path / "a", steps=2, init=first, **SMALL)
    killed = train("digits", out=tmp_path / "b", steps=2, init=first, **SMALL)
    for path in (killed / "checkpoints").iterdir():
        path.unlink()
    assert main(["train", "--resume", str(killed), "--quiet"]) == 0
    for name, array in weights(whole).items():
        numpy.testing.assert_array_equal(weights(killed)[name], array)

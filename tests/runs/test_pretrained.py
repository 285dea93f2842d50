"""The weights in the package: complete, small, and accepted wherever a run is."""

import socket
import subprocess
import sys
from dataclasses import replace

import numpy
import pytest

import minigan
from minigan import recipes
from minigan.cli import main
from minigan.play.opened import OpenedRun
from minigan.runs import evaluation, packing, pretrained, starting
from minigan.runs.face import open_run, train

NAMES = ("avatars", "digits", "mnist")
SHAPES = {"avatars": (16, 16, 3), "digits": (16, 16, 1), "mnist": (28, 28, 1)}
MOST_BYTES = 3_000_000


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_names_are_those_of_the_documentation():
    assert pretrained.names() == NAMES


def test_all_weights_together_are_small():
    assert 0 < sum(path.stat().st_size for path in pretrained.WEIGHTS.iterdir()) < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_samples_and_description(name, monkeypatch):
    def refuse(*_):
        raise AssertionError("nothing may be downloaded")

    monkeypatch.setattr(socket, "socket", refuse)
    run = minigan.pretrained(name)
    samples = run.sample(6, seed=3)
    assert samples.shape == (6, *SHAPES[name]) == (6, *run.recipe.sample_shape)
    assert samples.dtype == numpy.float32
    assert numpy.abs(samples).max() < 2
    assert samples.std(axis=0).max() > 0.1  # they differ from one another
    numpy.testing.assert_array_equal(samples, open_run(f"pretrained:{name}").sample(6, seed=3))
    assert run.step == run.settings.steps
    assert run.recipe.latent.size == 64
    assert repr(run).startswith(f"Run('pretrained:{name}': {run.recipe.name}, step ")
    assert run.interpolate(2, 3).shape == (2, 3, *SHAPES[name])


@pytest.mark.parametrize("name", ["avatars", "digits"])
def test_both_players_are_trained_and_float32(name):
    run = minigan.pretrained(name)
    generator, discriminator = run.networks()
    assert generator.flat().value.dtype == discriminator.flat().value.dtype == numpy.float32
    real = run.load_data().sample(64, numpy.random.default_rng(0))
    noise = numpy.random.default_rng(1).uniform(-1, 1, real.shape).astype("float32")
    assert numpy.median(discriminator(real)) > numpy.median(discriminator(noise))


def test_each_label_has_samples_of_its_own():
    run = minigan.pretrained("mnist")
    D, labels = run.networks()[1], numpy.full(64, 7)
    sevens = run.sample(64, seed=1, label=7)
    noise = numpy.random.default_rng(1).uniform(-1, 1, sevens.shape).astype("float32")
    assert numpy.median(D((sevens, labels))) > numpy.median(D((noise, labels)))
    means = [run.sample(64, seed=1, label=label).mean(axis=0) for label in range(10)]
    far = [[numpy.abs(a - b).mean() for b in means] for a in means]
    assert run.classes == tuple(range(10))
    assert min(far[i][j] for i in range(10) for j in range(i)) > 0.05


def test_the_generator_is_the_averaged_one():
    game = minigan.pretrained("digits").game()
    numpy.testing.assert_array_equal(game.generator.flat().value, game.average.net.flat().value)


def test_packing_changes_samples_by_less_than_a_grey_level(tmp_path, monkeypatch):
    run = train("digits", steps=2, batch_size=8, out=tmp_path / "run", frames=0, progress=False)
    packing.pack(run, tmp_path / "small.safetensors")
    monkeypatch.setattr(pretrained, "WEIGHTS", tmp_path)
    packed = minigan.pretrained("small")
    assert (packed.step, packed.settings, packed.config.data_dir) == (2, run.settings, None)
    assert numpy.abs(packed.sample(20) - run.sample(20)).max() < 1 / 255
    assert (tmp_path / "small.safetensors").stat().st_size < 300_000


def test_an_unknown_name_is_refused_with_the_closest_one():
    with pytest.raises(ValueError, match=r"'digit'; did you mean 'digits'\? The package has avata"):
        minigan.pretrained("digit")


def test_importing_minigan_reads_no_weights():
    code = (
        "import minigan, sys; assert not [m for m in sys.modules if m.startswith('minigan.runs')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------- in the place of a run


def test_commands_take_the_name(tmp_path, capsys):
    assert main(["sample", "pretrained:digits", "-n", "9", "-o", "a.png"]) == 0
    assert main(["interpolate", "pretrained:avatars", "--rows", "1", "--steps", "3"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "a.png", "interpolate.png", "interpolate.gif",
    }  # fmt: skip
    assert "9 samples in a.png" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sample", "pretrained:nothing"], "no pretrained weights 'nothing'"),
        (["sample", "pretrained:"], "no pretrained weights ''"),
        (["sample", "pretrained:digits", "--checkpoint", "3"], "has no checkpoints"),
        (["doctor", "pretrained:digits"], "without the history of a run"),
        (["train", "--resume", "pretrained:digits"], "--init pretrained:digits"),
        (["train", "digits", "--init", "pretrained:nothing"], "no pretrained weights"),
        (["translate", "pretrained:digits", "a.png"], "doesn't translate pictures"),
    ],
)
def test_refusals_are_a_sentence_and_leave_nothing(arguments, words, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        raise SystemExit(main(arguments))
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ask", ["losses", "diagnosis", "resume"])
def test_weights_have_no_history(ask):
    with pytest.raises(ValueError, match="without the history of a run"):
        getattr(minigan.pretrained("digits"), ask)()


def test_evaluation_writes_beside_the_runs_of_the_working_folder(tmp_path, monkeypatch):
    splits = evaluation._splits
    monkeypatch.setattr(
        evaluation, "_splits", lambda *a: [replace(part, labels=None) for part in splits(*a)]
    )
    before = sorted(path.name for path in pretrained.WEIGHTS.iterdir())
    minigan.pretrained("digits").evaluate(20)
    written = {path.name for path in (tmp_path / "runs" / "pretrained-digits").iterdir()}
    assert written == {"copies.png", "evaluation.csv", "neighbours.png"}
    assert sorted(path.name for path in pretrained.WEIGHTS.iterdir()) == before


def test_training_starts_from_them(tmp_path):
    recipe = recipes.get("digits")
    rng = numpy.random.default_rng(0)
    game = recipe.game(recipe.settings, weights=rng, noise=rng)
    told = starting.start_from(game, "pretrained:digits")
    assert ["(100% of the numbers) from" in words for words in told] == 3 * [True]
    run = train("digits", steps=1, init="pretrained:digits", frames=0, progress=False, out="run")
    assert run.config.init == "pretrained:digits"


def test_a_notebook_shows_samples():
    assert len(minigan.pretrained("digits").show().axes) == 2


def test_the_playground_shows_them():
    shown = OpenedRun(minigan.pretrained("digits"))
    assert shown.checkpoints == [(3000, None)]
    assert shown.over

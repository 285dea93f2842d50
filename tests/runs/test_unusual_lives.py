"""Runs that a wrong option once spoilt, or that measured from where they had never been."""

import json
import os

import numpy
import pytest
from PIL import Image

from minigan import checkpoint, cli, gan
from minigan.plots import read_metrics
from minigan.recipes import get
from minigan.runs import watching
from minigan.runs.assembly import assemble
from minigan.runs.resuming import resume
from minigan.runs.starting import start_from
from minigan.runs.training import train

SMALL = {"steps": 4, "batch_size": 16, "frames": 0, "progress": False}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    return train("digits", out=tmp_path_factory.mktemp("run") / "digits", **SMALL)


@pytest.mark.parametrize("wrong", [["--best", "nonsense"], ["--best", "high-quality"]])
def test_a_mistyped_measure_leaves_the_run_as_it_was(digits, wrong, capsys):
    before = (digits / "config.json").read_bytes()
    assert cli.main(["train", "--resume", str(digits), "--steps", "6", *wrong]) == 2
    assert "There is no measure" in capsys.readouterr().err
    assert (digits / "config.json").read_bytes() == before


def test_a_measure_and_event_files_can_be_given_up(tmp_path):
    pytest.importorskip("tensorboardX")
    ways = {"best": "sliced-wasserstein", "tensorboard": True}
    run = train("ring", out=tmp_path / "run", **SMALL | ways)
    more = ["--best", "none", "--no-tensorboard", "--steps", "6", "--quiet"]
    assert cli.main(["train", "--resume", str(run), *more]) == 0
    watching = json.loads((run / "config.json").read_text())["watching"]
    assert (watching["best"], watching["tensorboard"]) == (None, False)


@pytest.mark.parametrize(("name", "why"), [("moving-digits", "films"), ("wavegan-tones", "sounds")])
def test_why_there_is_no_measure(name, why, tmp_path):
    with pytest.raises(ValueError, match=f"use none: {why} have no measure"):
        train(name, out=tmp_path / "run", best="sliced-wasserstein", **SMALL)


def test_data_beside_a_recipe_file_are_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "here" / "pics").mkdir(parents=True)
    (tmp_path / "there").mkdir()
    for i in range(40):
        pixels = numpy.random.default_rng(i).integers(0, 256, (16, 16), "uint8")
        Image.fromarray(pixels).save(tmp_path / "here" / "pics" / f"{i}.png")
    text = "from dataclasses import replace\nfrom minigan.recipes import get\n"
    text += "RECIPE = replace(get('digits'), name='mine', data='pics')\n"
    (tmp_path / "here" / "mine.py").write_text(text)
    monkeypatch.chdir(tmp_path / "here")
    run = train("mine.py", out=tmp_path / "run", **SMALL)
    assert json.loads((run / "config.json").read_text())["data"] == str(tmp_path / "here" / "pics")
    monkeypatch.chdir(tmp_path / "there")
    assert resume(run, steps=5, trust=True, progress=False) == run


def test_the_end_of_a_run_may_be_the_best(tmp_path, monkeypatch):
    later = gan.Measure("later", lambda trainer: trainer.step, larger_is_better=True)
    monkeypatch.setattr(watching, "_measures", lambda assembly: [later])
    how = {"steps": 7, "checkpoint_every": 1000, "best": "later"}
    run = train("ring", out=tmp_path / "run", **SMALL | how)
    best = run / "checkpoints" / "best.safetensors"
    assert checkpoint.load(best)[1]["trainer"]["step"] == 7


def test_to_print_a_configuration_trains_nothing(digits, capsys):
    before = (digits / "config.json").read_bytes()
    assert cli.main(["train", "--resume", str(digits), "--show-config", "--steps", "50"]) == 2
    assert "leave out --resume or --show-config" in capsys.readouterr().err
    assert (digits / "config.json").read_bytes() == before


def test_a_run_moves_from_the_weights_that_it_began_with(digits, tmp_path):
    still = {"lr_generator": 1e-9, "lr_discriminator": 1e-9, "init": digits, "steps": 1}
    run = train("digits", out=tmp_path / "run", **SMALL | still)
    assert read_metrics(run / "metrics.csv")["moved_g"][0] < 1e-5
    resume(run, steps=2, progress=False)
    assert numpy.nanmax(read_metrics(run / "metrics.csv")["moved_g"]) < 1e-5


def test_a_resumed_run_does_without_the_weights_it_began_with(digits, tmp_path):
    copy = tmp_path / "weights.safetensors"
    copy.write_bytes((digits / "model.safetensors").read_bytes())
    run = train("digits", out=tmp_path / "run", init=copy, **SMALL)
    copy.unlink()
    assert resume(run, steps=5, progress=False) == run


def test_nets_that_have_grown_stay_so():
    recipe = get("progressive")
    settings = recipe.settings.changed(steps=100, batch_size=4)
    trainer = assemble(recipe, settings, recipe.load("avatars", None), seed=0).trainer
    start_from(trainer.game, "pretrained:avatars")
    trainer.run(3)
    assert float(trainer.game.generator.grown) == float(trainer.game.discriminator.grown) == 2.0
    assert trainer.game.growth.grown == 2.0


def test_an_average_that_was_taken_isnt_thrown_away(digits):
    recipe = get("digits")
    settings = recipe.settings.changed(**{k: SMALL[k] for k in ("steps", "batch_size")})
    samples = recipe.load("digits", None)
    for place, steps in ((digits, 4), (digits / "checkpoints" / "step-00000004.safetensors", 4),
                         ("pretrained:digits", 3000)):  # fmt: skip
        game = assemble(recipe, settings, samples, seed=0).trainer.game
        start_from(game, place)
        assert game.average.t == steps  # its warm-up goes on
    arrays, _ = checkpoint.load(digits / "model.safetensors")
    start_from(game, digits)
    for name, value in game.average.net.state_dict().items():
        numpy.testing.assert_array_equal(value, arrays[f"average/{name}"])


def test_a_checkpoint_of_an_unfinished_run_is_exported(digits, tmp_path, capsys):
    run = tmp_path / "copy"
    (run / "checkpoints").mkdir(parents=True)
    (run / "config.json").write_bytes((digits / "config.json").read_bytes())
    name = "step-00000004.safetensors"
    (run / "checkpoints" / name).write_bytes((digits / "checkpoints" / name).read_bytes())
    output = tmp_path / "g.py"
    more = ["--checkpoint", "4", "--torch", "-o", str(output)]
    assert cli.main(["export", str(run), *more]) == 0
    assert output.is_file()


def test_as_many_frames_as_were_wished_for(tmp_path):
    run = train("parabola", out=tmp_path / "run", **SMALL | {"steps": 70, "frames": 70})
    with Image.open(run / "training.gif") as film:
        assert film.n_frames > 65


def test_a_place_may_begin_with_a_tilde(tmp_path, monkeypatch, digits):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.safetensors").write_bytes((digits / "model.safetensors").read_bytes())
    text = 'recipe = "digits"\nout = "~/x"\ninit = "~/weights.safetensors"\n'
    (tmp_path / "c.toml").write_text(text + "[settings]\nsteps = 1\nbatch_size = 8\n")
    assert cli.main(["train", "--config", "c.toml", "--quiet"]) == 0
    assert (tmp_path / "x" / "model.safetensors").is_file()
    assert not (tmp_path / "~").exists()


def test_a_tilde_before_nobodys_name_is_part_of_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = train("ring", out="~nosuchuser/x", **SMALL)
    assert (tmp_path / "~nosuchuser" / "x" / "model.safetensors").is_file()
    assert str(run) == os.path.join("~nosuchuser", "x")
    assert get("wavegan-tones").load_test("~nosuchuser/x", None) is None


def test_points_of_event_files_survive_a_kill(tmp_path, monkeypatch):
    pytest.importorskip("tensorboardX")
    sizes = []

    class Killed(BaseException):
        pass

    def kill(trainer, report):
        if trainer.step == 3:
            files = (tmp_path / "run" / "tensorboard").glob("events*")
            sizes.extend(f.stat().st_size for f in files)
            raise Killed

    watcher = gan.Callback()
    watcher.on_step = kill
    ways = {"tensorboard": True, "checkpoint_every": 1, "callbacks": [watcher]}
    with pytest.raises(Killed):
        train("ring", out=tmp_path / "run", **SMALL | ways)
    assert max(sizes) > 100

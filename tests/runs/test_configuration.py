"""Configuration files: read, printed, and the same run again."""

import json
import tomllib

import pytest

from minigan.cli import main
from minigan.runs import configuration
from minigan.runs.training import train

QUICK = ["--steps", "2", "--batch-size", "8", "--frames", "0", "--quiet"]


def test_what_is_shown_is_what_runs(tmp_path, capsys):
    options = [*QUICK, "--seed", "3", "--penalty", "r1:0.5", "--lr", "0.01", "--keep", "2"]
    assert main(["train", "ring", *options, "--out", str(tmp_path / "a"), "--show-config"]) == 0
    shown = tmp_path / "run.toml"
    shown.write_text(capsys.readouterr().out)
    assert not (tmp_path / "a").exists()
    assert main(["train", "ring", *options, "--out", str(tmp_path / "a")]) == 0
    again = ["train", "--config", str(shown), "--out", str(tmp_path / "b"), "--quiet"]
    assert main(again) == 0
    a, b = (json.loads((tmp_path / name / "config.json").read_text()) for name in "ab")
    assert a == b
    metrics = [(tmp_path / name / "metrics.csv").read_text() for name in "ab"]
    assert metrics[0] == metrics[1]


def test_a_run_s_own_config_can_be_given_and_changed(tmp_path):
    first = train("ring", out=tmp_path / "a", steps=2, batch_size=8, frames=0, progress=False)
    for place in (first, first / "config.json"):
        told = configuration.read(place)
        assert (told["name"], told["steps"], told["seed"]) == ("ring", 2, 0)
    changed = ["--config", str(first), "--batch-size", "4", "--out", str(tmp_path / "b"), "--quiet"]
    assert main(["train", *changed]) == 0
    settings = json.loads((tmp_path / "b" / "config.json").read_text())["settings"]
    assert (settings["batch_size"], settings["steps"]) == (4, 2)


def test_a_file_by_hand_may_be_short(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text('recipe = "ring"\nepochs = 2\n[settings]\nlr_generator = 0.5\n')
    assert configuration.read(path) == {"name": "ring", "epochs": 2, "lr_generator": 0.5}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('recipe = "ring', "can't be read"),
        ('recip = "ring"', "unknown entry 'recip'; did you mean 'recipe'"),
        ('recipe = "ring"\nsettings = 3', r"'settings' in .* must be a table"),
        ('recipe = "ring"\n[watching]\nkeeps = 3', "unknown entry 'keeps'"),
        ('recipe = "ring"\n[computing]\nfast = true', "unknown entry 'fast'"),
        ('recipe = "ring"\n[versions]\nnumpy = "2"', "unknown entry 'versions'"),
    ],
)
def test_mistakes_in_a_file_are_named(tmp_path, text, said):
    path = tmp_path / "run.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=said):
        configuration.read(path)


@pytest.mark.parametrize("name", ["run.toml", "config.json"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marks_at_the_start_of_a_file_are_no_obstacle(tmp_path, name, encoding):
    told = {"recipe": "ring", "data": "Bücher/数据", "settings": {"steps": 7}}
    text = json.dumps(told) if name.endswith("json") else configuration.toml(told)
    (tmp_path / name).write_text(text, encoding=encoding)
    found = configuration.read(tmp_path / name)
    assert found == {"name": "ring", "data_name": "Bücher/数据", "steps": 7}


@pytest.mark.parametrize(
    ("table", "name"),
    [("settings", "steps"), ("settings", "batch_size"), ("settings", "lr_generator"),
     ("settings", "average"), ("watching", "checkpoint_every"), ("watching", "keep"),
     ("watching", "frames")],
)  # fmt: skip
@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_true_is_no_number(tmp_path, table, name, suffix, capsys):
    path, told = tmp_path / f"run{suffix}", {"recipe": "ring", table: {name: True}}
    path.write_text(json.dumps(told) if suffix == ".json" else configuration.toml(told))
    assert main(["train", "--config", str(path), "--out", str(tmp_path / "run")]) == 2
    words = capsys.readouterr().err
    assert words.startswith(f"minigan: {name} must be ")
    assert words.endswith("got True.\n")
    assert not (tmp_path / "run").exists()


def test_a_missing_file_and_a_list_are_refused(tmp_path, capsys):
    assert main(["train", "--config", str(tmp_path / "no.toml")]) == 2
    assert "There is no configuration file" in capsys.readouterr().err
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(ValueError, match="holds no table"):
        configuration.read(tmp_path / "list.json")


def test_a_configuration_beside_resume_is_refused(tmp_path, capsys):
    assert main(["train", "--resume", str(tmp_path), "--config", "x.toml"]) == 2
    assert "--config can't be changed together with --resume" in capsys.readouterr().err


def test_steps_on_the_command_line_replace_epochs_in_the_file(tmp_path, capsys):
    path = tmp_path / "run.toml"
    path.write_text('recipe = "digits"\nepochs = 2\n')
    assert main(["train", "--config", str(path), "--steps", "7", "--show-config"]) == 0
    told = tomllib.loads(capsys.readouterr().out)
    assert told["settings"]["steps"] == 7
    assert "epochs" not in told


@pytest.mark.parametrize("text", ['a "b" \\ c', "tab\there\nnewline", "ü 字 \x7f \x1b", "C:\\data"])
def test_any_text_survives_toml(text):
    told = tomllib.loads(configuration.toml({"data": text, "settings": {"x": [text, "y"]}}))
    assert told == {"data": text, "settings": {"x": [text, "y"]}}


def test_numbers_keep_their_kind():
    values = {"a": 1, "b": 1.0, "c": 1e-7, "d": True, "e": (0.1, 2), "f": None, "g": 1e22}
    told = tomllib.loads(configuration.toml(values))
    del values["f"]
    assert told == values | {"e": [0.1, 2]}
    assert isinstance(told["b"], float)
    assert isinstance(told["g"], float)

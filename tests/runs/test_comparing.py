"""`minigan runs`: which settings differ, how far each run is, how it did; and nothing executed."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from minigan.cli import main
from minigan.recipes import files
from minigan.runs import comparing
from minigan.runs.training import train

SMALL = {"steps": 2, "batch_size": 8, "progress": False, "frames": 0}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "runs"
    train("ring", out=folder / "a", **SMALL)
    train("ring", out=folder / "b", seed=4, lr_generator=0.5, **SMALL)
    (folder / "b" / "evaluation.csv").write_text("metric,value,floor,better\nmodes,7,8,higher\n")
    (folder / "notes").mkdir()
    return folder


def test_the_table_shows_what_differs_and_how_each_did(runs, capsys):
    assert main(["runs", str(runs)]) == 0
    head, a, b, blank, score, modes = capsys.readouterr().out.splitlines()
    assert head.split() == [
        *("run", "steps", "recipe", "seed", "lr_generator"), *("loss", "D", "loss", "G")
    ]  # fmt: skip
    assert a.split()[:5] == ["a", "2", "ring", "0", "0.002"]
    assert b.split()[:5] == ["b", "2", "ring", "4", "0.5"]
    assert (blank, score.split(), modes.split()) == ("", ["score", "b"], ["modes", "7"])


def test_the_default_is_the_folder_runs(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs.parent)
    assert main(["runs"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 6


def test_a_run_in_progress_shows_both_numbers(runs):
    summary = comparing.summary(runs / "a")
    summary.config.settings["steps"] = 50
    assert comparing.table([summary]).splitlines()[1].split()[:2] == ["a", "2/50"]


def test_the_number_of_steps_has_one_column(runs):
    short, long = (comparing.summary(runs / "a") for _ in range(2))
    long.config.settings["steps"] = 50
    head, first, second = comparing.table([short, long]).splitlines()
    assert head.split().count("steps") == 1
    assert (first.split()[1], second.split()[1]) == ("2", "2/50")


def test_runs_that_began_from_other_weights_differ_in_that(runs):
    one, other = (comparing.summary(runs / "a") for _ in range(2))
    other = replace(other, config=replace(other.config, init="pretrained:mnist"))
    assert comparing.differing([one, other]) == ["init"]
    head, first, second = comparing.table([one, other]).splitlines()
    assert head.split()[3] == "init"
    assert (first.split()[3], second.split()[3]) == ("-", "pretrained:mnist")


def test_json_for_programs(runs, capsys):
    assert main(["runs", str(runs / "b"), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["config"]["settings"]["lr_generator"] == 0.5
    assert told["metrics"] == {"modes": 7.0}
    assert set(told["losses"]) >= {"loss_d", "loss_g"}


def test_the_samples_are_drawn_side_by_side(runs, tmp_path, capsys):
    picture = tmp_path / "all.png"
    assert main(["runs", str(runs), "-o", str(picture)]) == 0
    with Image.open(picture) as image:
        width, height = image.size
    assert width > 1.5 * height
    assert main(["runs", str(runs), "-o", str(picture)]) == 0
    assert "the earlier one was replaced" in capsys.readouterr().out


def test_a_name_is_no_mathematics(runs, tmp_path):
    folder = tmp_path / r"lr $\frac$ y"
    train("ring", out=folder, **SMALL)
    assert main(["runs", str(folder), "-o", str(tmp_path / "x.png")]) == 0
    with Image.open(tmp_path / "x.png") as picture:
        assert picture.size[0] > 100


def test_no_runs_and_a_damaged_one_are_said(tmp_path, runs, capsys):
    assert main(["runs", str(tmp_path)]) == 2
    assert "There are no runs in" in capsys.readouterr().err
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "config.json").write_text("{")
    assert main(["runs", str(tmp_path), str(runs / "a")]) == 0
    out, err = capsys.readouterr()
    assert "Passing over" in err
    assert len(out.splitlines()) == 2


def test_nothing_that_can_be_read_is_an_error(tmp_path, capsys):
    (tmp_path / "config.json").write_text("{")
    assert main(["runs", str(tmp_path), "--quiet"]) == 2
    assert capsys.readouterr().err == "minigan: None of these runs can be read; give others.\n"


def test_a_run_is_named_where_it_is_given_as_here(runs, monkeypatch, capsys):
    monkeypatch.chdir(runs / "a")
    assert main(["runs", "."]) == 0
    assert capsys.readouterr().out.splitlines()[1].split()[:2] == ["a", "2"]


@pytest.mark.parametrize("step", ["nan", "1e400"])
def test_a_damaged_table_of_losses_hides_no_run(runs, tmp_path, step, capsys):
    (tmp_path / "config.json").write_bytes((runs / "a" / "config.json").read_bytes())
    (tmp_path / "metrics.csv").write_text(f"step,loss_d\n{step},nan\n")
    assert main(["runs", str(tmp_path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (told["step"], told["losses"]) == (0, {"loss_d": None})


def test_a_recipe_file_isn_t_run(tmp_path, capsys):
    run = train(str(files.write_new("mine", tmp_path)), out=tmp_path / "run", **SMALL)
    (run / "recipe.py").write_text("raise RuntimeError('it ran')")
    assert main(["runs", str(run)]) == 0
    assert "mine" in capsys.readouterr().out

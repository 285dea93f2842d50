"""Runs on data of one's own: found from anywhere, after a move too, told from others; classes."""

import json
import shutil
from dataclasses import replace

import numpy
import pytest
from killed_runs import Killed
from PIL import Image

from minigan import data, recipes
from minigan.cli import main
from minigan.data import write_idx
from minigan.runs import resuming, sources, training
from minigan.runs.folder import open_run

SMALL = ["--quiet", "--batch-size", "4", "--frames", "0", "--checkpoint-every", "1"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def pictures(folder, *, classes=("a", "b"), seed=0):
    rng = numpy.random.default_rng(seed)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(0, 256, (16, 16)).astype("uint8")
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def points(path, *, seed=0):
    numpy.savetxt(path, numpy.random.default_rng(seed).standard_normal((40, 2)), delimiter=",")
    return path


SOURCES = {"digits": lambda place, **how: pictures(place / "own", **how),
           "ring": lambda place, **how: points(place / "own.csv", **how)}  # fmt: skip


def config_of(folder):
    return json.loads((folder / "config.json").read_text())


def said(capsys, *arguments):
    assert main([str(argument) for argument in arguments]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    return err


# ---------------------------------------------------------------- where the data are


@pytest.mark.parametrize("recipe", SOURCES)
def test_a_run_goes_on_from_another_folder(place, tmp_path, monkeypatch, recipe):
    own = SOURCES[recipe](place)
    assert main(["train", recipe, "--data", own.name, "--steps", "2", *SMALL, "--out", "run"]) == 0
    assert config_of(place / "run")["data"] == str(own)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert main(["train", "--resume", str(place / "run"), "--steps", "3", "--quiet"]) == 0
    assert open_run(place / "run").step == 3


@pytest.mark.parametrize("recipe", SOURCES)
def test_a_run_goes_on_after_its_data_have_moved(place, recipe, capsys):
    """Bit for bit as if they hadn't, from checkpoints that know the old place."""
    own = SOURCES[recipe](place)
    start = ["train", recipe, "--data", own.name, *SMALL, "--steps"]
    assert main([*start, "4", "--out", "whole"]) == 0
    with pytest.raises(KeyboardInterrupt):
        training.train(
            recipe, out="run", data_name=own.name, steps=4, batch_size=4, frames=0,
            checkpoint_every=1, progress=False, callbacks=[Killed(3)],
        )  # fmt: skip
    moved = place / f"moved{own.suffix}"
    own.rename(moved)
    resume = ["train", "--resume", "run", "--quiet"]
    words = said(capsys, *resume)
    assert f"the data of this run were at {own}, where they are no longer" in words
    assert "--resume RUN --data PATH" in words
    assert main([*resume, "--data", moved.name]) == 0
    whole, run = (place / name / "model.safetensors" for name in ("whole", "run"))
    assert run.read_bytes() == whole.read_bytes()
    assert config_of(place / "run")["data"] == str(moved)
    assert main([*resume, "--steps", "5"]) == 0, "the new place is kept"


@pytest.mark.parametrize("recipe", SOURCES)
def test_other_data_are_refused(place, recipe, capsys):
    own = SOURCES[recipe](place)
    assert main(["train", recipe, "--data", str(own), "--steps", "2", *SMALL, "--out", "run"]) == 0
    before = {path: path.read_bytes() for path in (place / "run").rglob("*") if path.is_file()}
    (place / "others").mkdir()
    other = SOURCES[recipe](place / "others", seed=1)
    resume = ["train", "--resume", "run", "--steps", "3", "--quiet"]
    words = said(capsys, *resume, "--data", other)
    assert "--data can't be changed together with --resume" in words
    assert "aren't those that it was started with" in words
    shutil.rmtree(own) if own.is_dir() else own.unlink()
    other.rename(own)
    words = said(capsys, *resume)
    assert f"The data at {own} have changed since the run was started" in words
    assert before == {p: p.read_bytes() for p in (place / "run").rglob("*") if p.is_file()}


def test_a_run_from_before_there_were_fingerprints_goes_on_where_its_data_were(place, capsys):
    own = pictures(place / "own")
    assert main(["train", "digits", "--data", "own", "--steps", "2", *SMALL, "--out", "run"]) == 0
    older = config_of(place / "run")
    del older["fingerprint"], older["classes"]
    (place / "run" / "config.json").write_text(json.dumps(older))
    resume = ["train", "--resume", "run", "--steps", "3", "--quiet"]
    own.rename(place / "moved")
    assert "--data can't be changed" in said(capsys, *resume, "--data", "moved")
    (place / "moved").rename(own)
    assert main(resume) == 0
    assert open_run(place / "run").classes == ()


def test_the_files_of_mnist_may_move(place, capsys):
    rng = numpy.random.default_rng(0)
    for kind, array in (
        ("images-idx3", rng.integers(0, 256, (20, 28, 28)).astype("uint8")),
        ("labels-idx1", rng.integers(0, 10, 20).astype("uint8")),
    ):
        (place / "files").mkdir(exist_ok=True)
        write_idx(place / "files" / f"train-{kind}-ubyte.gz", array)
    start = ["train", "mnist-mlp", "--data-dir", "files", "--steps", "1", *SMALL, "--out", "run"]
    assert main(start) == 0
    assert config_of(place / "run")["data_dir"] == str(place / "files")
    (place / "files").rename(place / "moved")
    resume = ["train", "--resume", "run", "--steps", "2", "--quiet"]
    assert "mnist is not in" in said(capsys, *resume)
    assert main([*resume, "--data-dir", "moved"]) == 0
    assert config_of(place / "run")["data_dir"] == str(place / "moved")


def test_a_finished_run_whose_data_have_gone_says_so(place, capsys):
    own = points(place / "own.csv")
    assert main(["train", "ring", "--data", "own.csv", "--steps", "2", *SMALL, "--out", "run"]) == 0
    own.unlink()
    for command in ("sample", "evaluate", "interpolate"):
        assert f"the data of this run were at {own}" in said(capsys, command, "run")
    assert main(["doctor", "run", "--quiet"]) == 0


def test_names_stay_names(place):
    (place / "digits").mkdir()
    (place / "ring").mkdir()
    for name in ("digits", "ring", "mnist", "nowhere"):
        assert sources.located(name) == name
    assert sources.located("./digits") == str(place / "digits")
    assert sources.fingerprint("ring", data.distribution("ring")) is None
    assert sources.fingerprint("mine", object()) is None


def test_a_fingerprint_is_that_of_images_and_labels():
    rng = numpy.random.default_rng(0)
    images = rng.integers(0, 256, (5000, 4, 4, 1)).astype("uint8")
    labels = rng.integers(0, 10, 5000)

    def found(images=images, labels=labels):
        return sources.fingerprint("x", data.Dataset("x", images, labels=labels))

    first = found()
    assert found(images.copy()) == first
    other = images.copy()
    other[4999, 3, 3] ^= 1
    assert len({first, found(other), found(labels=None), found(labels=labels[::-1])}) == 4
    stacks = data.stack(data.Dataset("x", images, labels=labels), 30, rng=rng)
    assert sources.fingerprint("x", stacks) not in (None, first)


# ---------------------------------------------------------------- points of one's own


def test_a_run_on_points_of_ones_own_is_trained_sampled_and_evaluated(place, capsys):
    points(place / "own.csv")
    start = ["train", "parabola", "--data", "own.csv", "--batch-size", "8", "--frames", "2"]
    assert main([*start, "--epochs", "1", "--out", "run", "--best", "sliced-wasserstein"]) == 0
    assert open_run(place / "run").step == 5
    for command in ("sample", "interpolate", "doctor"):
        assert main([command, "run", "--quiet"]) == 0
    assert main(["evaluate", "run", "-n", "40", "--quiet"]) == 0
    assert "floor" in capsys.readouterr().out


def test_files_of_the_other_kind_are_refused_in_a_sentence(place, capsys):
    points(place / "own.csv")
    pictures(place / "own")
    assert "two numbers in each row, which are points" in said(
        capsys, "train", "digits", "--data", "own.csv", "--quiet"
    )
    assert "is not a file: give a table of points" in said(
        capsys, "train", "ring", "--data", "own", "--quiet"
    )
    assert not (place / "runs").exists()


# ---------------------------------------------------------------- classes that never occur


@pytest.fixture
def three(place):
    """A conditional run on data with three of ten classes: 0, 1 and 2."""
    pictures(place / "own", classes=("a", "b", "c"))
    said = []
    training.train(
        "cgan-digits", out=place / "run", data_name="own", steps=1, batch_size=4, frames=1,
        progress=False, say=said.append,
    )  # fmt: skip
    return place / "run", said


def test_classes_that_never_occur_are_told(three):
    run, said = three
    words = "no samples have the labels 3, 4, 5, 6, 7, 8, 9: the nets never learn what they mean"
    assert words in said
    assert words in config_of(run)["notes"]
    assert config_of(run)["classes"] == [0, 1, 2]


def test_a_refusal_says_why_the_subfolders_are_no_classes(place):
    pictures(place / "own", classes=("a", "b"))
    next((place / "own" / "b").iterdir()).rename(place / "own" / "loose.png")
    with pytest.raises(
        ValueError, match=r"has no labels \(the subfolders are no .* loose\.png lies"
    ):
        training.train("cgan-digits", out=place / "run", data_name="own", steps=1, progress=False)


def test_it_is_told_which_label_stands_for_which_class(three):
    assert "the labels stand for 0 a, 1 b, 2 c" in three[1]


def test_samples_are_asked_for_by_the_name_of_their_class(three, place, capsys):
    run = open_run(three[0])
    numpy.testing.assert_array_equal(run.sample(3, label="b"), run.sample(3, label=1))
    for label, output in (("1", "one.png"), ("b", "b.png")):
        assert main(["sample", "run", "--label", label, "-o", output]) == 0
    assert (place / "one.png").read_bytes() == (place / "b.png").read_bytes()
    words = said(capsys, "sample", "run", "--label", "d", "-o", "d.png")
    assert "This run has no class 'd'; choose one of a, b, c." in words
    assert not (place / "d.png").exists()


def test_a_run_whose_classes_are_numbers_takes_no_names(place, capsys):
    settings = {"steps": 1, "batch_size": 4, "frames": 1, "progress": False}
    for recipe in ("cgan-digits", "digits"):
        training.train(recipe, out=place / recipe, **settings)
    assert config_of(place / "cgan-digits")["class_names"] is None
    words = said(capsys, "sample", "cgan-digits", "--label", "two")
    assert "The recipe 'cgan-digits' has labels 0 to 9, got --label two." in words
    words = said(capsys, "latent", "digits", "--label", "two")
    assert "The recipe 'digits' has no labels, got --label two." in words


def test_classes_named_by_their_numbers_and_long_lists_are_not_told_in_full():
    recipe = replace(recipes.get("cgan-digits"), classes=2000)
    images = numpy.zeros((3, 4, 4, 1), "uint8")

    def told(labels, names):
        return sources.notes(recipe, data.Dataset("x", images, numpy.array(labels), "", names))

    assert told([0, 1, 1999], ("0", "1"))[0].endswith(
        "29, 30, 31 and 1,967 more: the nets never learn what they mean"
    )
    (words, _) = told([0, 1, 2], tuple(f"c{i}" for i in range(40)))
    assert words.endswith("28 c28, 29 c29 and 10 more")


@pytest.mark.parametrize("command", ["sample", "interpolate", "latent"])
def test_a_label_that_was_never_seen_is_refused(three, capsys, command):
    run, _ = three
    words = said(capsys, command, run, "--label", "7")
    assert "No images of this run's data had the label 7, so it was never learnt" in words
    assert "one of 0, 1, 2 for --label" in words
    assert "has labels 0 to 9, got --label 10" in said(capsys, command, run, "--label", "10")
    assert main([command, str(run), "--label", "2", "--quiet"]) == 0


def test_samples_of_all_classes_are_those_of_the_seen_ones(three, monkeypatch):
    run = open_run(three[0])
    game, drawn = run.game(), []
    monkeypatch.setattr(type(run), "game", lambda self, *_, **__: game)
    monkeypatch.setattr(game, "sample", lambda inputs, labels, **_: drawn.append(labels))
    run.sample(7)
    assert drawn[0].tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert resuming.open_run(three[0]).classes == (0, 1, 2)


def test_evaluation_says_that_the_data_are_no_longer_those_of_the_training(place, capsys):
    rng = numpy.random.default_rng(0)
    numpy.savetxt("points.csv", rng.standard_normal((60, 2)), delimiter=",")
    train = ["train", "ring", "--data", "points.csv", "--steps", "2", "--out", "run", "--quiet"]
    assert main(train) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "-n", "40"]) == 0
    assert "have changed" not in capsys.readouterr().err
    numpy.savetxt("points.csv", rng.standard_normal((60, 2)), delimiter=",")
    assert main(["evaluate", "run", "-n", "40"]) == 0
    said = capsys.readouterr()
    assert "points.csv have changed since the run was started" in said.err + said.out


def test_evaluation_says_so_of_pictures_too(place, capsys):
    images = numpy.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), "uint8")
    found = data.Dataset("own", images)
    seen = []
    sources.notice_change(sources.fingerprint("own", found), "own", found, seen.append)
    assert seen == []
    other = data.Dataset("own", 255 - images)
    sources.notice_change(sources.fingerprint("own", found), "own", other, seen.append)
    sources.notice_change(None, "own", other, seen.append)
    assert len(seen) == 1

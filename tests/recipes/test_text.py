"""The recipes for text: the games by finite differences, and whole runs from the command line."""

import importlib

import numpy
import pytest
from whole_games import Still, checked

from minigan import data, gan, nn, recipes
from minigan.cli import main
from minigan.gan import tame
from minigan.runs.folder import open_run

TEXT = ("textgan", "gumbel-textgan", "seqgan-lite")
SMALL = ["--quiet", "--batch-size", "8", "--frames", "2"]

# ---------------------------------------------------------------- the games


@pytest.mark.parametrize("name", ["textgan", "gumbel-textgan"])
def test_both_steps_by_finite_differences(name, monkeypatch):
    """Of draws, the soft form is checked: what goes straight through is no derivative.

    The nets are narrow, so that no kink of a ReLU lies between the two ends of a difference.
    """
    monkeypatch.setattr(importlib.import_module(recipes.get(name).build.__module__), "WIDTH", 3)
    noise, rng = (numpy.random.default_rng(seed) for seed in (0, 1))
    G, D = recipes.get(name).build(rng, noise, length=3, words=4)
    for layer in G:
        if isinstance(layer, nn.GumbelSoftmax):
            layer.hard = False
    taming = tame(D, ("gradient-penalty:10",), rng=noise)
    G.astype("float64"), D.astype("float64")
    game = gan.Game(
        G, D, Still(G, lr=1), Still(D, lr=1), objective=gan.objective("wasserstein"),
        penalties=taming.penalties,
    )  # fmt: skip
    real, z = numpy.eye(4)[rng.integers(0, 4, (5, 3))], rng.standard_normal((5, 64))
    begin = noise.bit_generator.state

    def again(step):
        noise.bit_generator.state = begin
        return step()

    def loss_d():
        report = again(lambda: game.discriminator_step(real, z))
        return float(report["loss_d"] + report["penalty"])

    def loss_g():
        return float(again(lambda: game.generator_step(z))["loss_g"])

    loss_d()
    checked(loss_d, D, seed=2)
    loss_g()
    checked(loss_g, G, seed=3)


@pytest.mark.parametrize("name", TEXT)
def test_samples_have_the_shape_of_the_data(name):
    recipe = recipes.get(name)
    text = data.text("motifs")
    settings = recipe.suited(recipe.settings, text)
    fitted = recipe.fitted(settings)
    assert fitted.sample_shape == (20, 5)
    assert fitted.vocabulary == ("", "A", "C", "G", "T")
    rng = numpy.random.default_rng(0)
    game = fitted.game(settings, weights=rng, noise=rng)
    samples = game.sample(game.inputs(3, rng))
    assert samples.shape == (3, 20, 5)
    numpy.testing.assert_allclose(samples.sum(axis=2), 1, rtol=1e-5)
    assert len(fitted.read(samples)) == 3


# ---------------------------------------------------------------- whole runs


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("anna\nbob\notto\nlola\n" * 10, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", TEXT)
def test_a_run_on_lines_of_ones_own(name, lines, tmp_path, capsys):
    out = tmp_path / "run"
    assert (
        main(["train", name, *SMALL, "--steps", "3", "--data", str(lines), "--out", str(out)]) == 0
    )
    for file in ("samples.png", "losses.png", "training.gif", "samples.txt"):
        assert (out / file).stat().st_size > 0, file
    written = (out / "samples.txt").read_text(encoding="utf-8").rstrip("\n").split("\n\n")
    assert [p.split("\n")[0] for p in written] == ["step 0", "step 1", "step 2", "step 3"]
    assert all(len(p.split("\n")) == 11 for p in written)
    run = open_run(out)
    assert run.settings.vocabulary == ("", *"ablnot")
    assert run.settings.length == 4
    capsys.readouterr()
    assert main(["sample", str(out), "-n", "5"]) == 0
    *printed, last = capsys.readouterr().out.split("\n")
    assert len(printed) == 5
    assert last == ""
    assert set("".join(printed)) <= set("ablnot")
    assert main(["evaluate", str(out), "-n", "20"]) == 0
    table = capsys.readouterr().out
    assert "lines of the training set, %" in table
    assert "valid" not in table
    assert (out / "evaluation.csv").is_file()


def test_a_resumed_run_is_the_unbroken_one(lines, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    start = ["train", "seqgan-lite", *SMALL, "--data", str(lines), "--set", "pretraining=2"]
    every = ["--checkpoint-every", "1"]
    assert main([*start, *every, "--steps", "40", "--out", str(whole)]) == 0
    assert main([*start, *every, "--steps", "40", "--out", str(part)]) == 0
    for path in (part / "checkpoints").iterdir():
        if path.stem != "step-00000038":
            path.unlink()
    assert main(["train", "--resume", str(part), "--quiet"]) == 0
    for file in ("model.safetensors", "samples.txt", "samples.png"):
        assert (part / file).read_bytes() == (whole / file).read_bytes(), file


def test_samples_are_written_to_a_text_file_alone(lines, tmp_path, capsys):
    out = tmp_path / "run"
    main(["train", "seqgan-lite", *SMALL, "--steps", "1", "--data", str(lines), "--out", str(out)])
    file = tmp_path / "new.txt"
    assert main(["sample", str(out), "-o", str(file), "-n", "7"]) == 0
    assert len(file.read_text(encoding="utf-8").split("\n")) == 8
    for bad in (tmp_path / "x.png", tmp_path / "nowhere" / "x.txt"):
        assert main(["sample", str(out), "-o", str(bad)]) == 2
        assert not bad.exists()
    assert "doesn't end in .txt" in capsys.readouterr().err
    assert main(["sample", str(out), "-n", "0"]) == 2
    assert "must be positive, got 0" in capsys.readouterr().err


def test_a_walk_between_sentences_is_drawn(lines, tmp_path):
    out, page = tmp_path / "run", tmp_path / "walk.png"
    main(["train", "textgan", *SMALL, "--steps", "1", "--data", str(lines), "--out", str(out)])
    assert main(["interpolate", str(out), "-o", str(page)]) == 0
    assert page.stat().st_size > 0


def test_what_the_data_need_is_said(tmp_path, capsys):
    assert main(["train", "textgan", "--data", str(tmp_path / "none.txt")]) == 2
    assert "there is no text or file" in capsys.readouterr().err
    assert main(["train", "textgan", "--data", "names"]) == 2
    assert "names.txt" in capsys.readouterr().err
    for bad in ("length=-1", "length=x", "vocabulary=3"):
        assert main(["train", "textgan", "--set", bad]) == 2


def test_the_best_lines_so_far_can_be_kept(lines, tmp_path):
    out = tmp_path / "run"
    start = [
        "train",
        "seqgan-lite",
        *SMALL,
        "--steps",
        "2",
        "--data",
        str(lines),
        "--out",
        str(out),
    ]
    assert main([*start, "--best", "divergence"]) == 0
    assert (out / "checkpoints" / "best.safetensors").is_file()

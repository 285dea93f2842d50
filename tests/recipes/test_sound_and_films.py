"""Recipes whose samples are sounds and films: their games as a whole, and their runs."""

import json
import wave

import numpy
import pytest
from PIL import Image
from whole_games import Still, checked

from minigan import cli, data, recipes
from minigan.metrics import classifier
from minigan.recipes.sound import Heard, networks, outlines
from minigan.runs.face import open_run

SHORT = {"rel": 1e-4, "h": 1e-9}
"""So many rectifiers have a kink nearby."""


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("wavegan-tones", {"width": 1}),
        ("wavegan-tones", {"width": 1, "penalties": ("dragan",)}),
        ("wavegan-digits", {"width": 1}),
        ("wavegan-digits", {"width": 1, "conditional": 1}),
        ("wavegan-digits", {"width": 1, "conditional": 1, "penalties": ("r1:1", "dragan")}),
        ("moving-digits", {}),
    ],
)
def test_gradients_of_both_players_as_a_whole(name, changes):
    recipe = recipes.get(name)
    settings = recipe.settings.changed(**changes)
    recipe, rng, noise = recipe.fitted(settings), *map(numpy.random.default_rng, (0, 1))
    game = recipe.game(settings, weights=rng, noise=noise)
    G, D = game.generator, game.discriminator
    for net in (G, D):
        net.astype("float64")
        # Biases of 0 leave rectifiers exactly at their kink, where all below them are off.
        net.flat().value[...] += 0.02 * rng.standard_normal(net.flat().value.shape)
    game.generator_optimizer, game.discriminator_optimizer = Still(G, lr=0.01), Still(D, lr=0.01)
    real = rng.uniform(-1, 1, (2, *recipe.sample_shape))
    z = rng.standard_normal((2, recipe.latent.size))
    labels = rng.integers(0, recipe.classes, 2) if recipe.classes else None
    state = noise.bit_generator.state

    # Each call shall shift by the same phases, and mix reals and fakes in the same proportions.
    def loss_d():
        noise.bit_generator.state = state
        report = game.discriminator_step(real, z, labels)
        return float(report["loss_d"] + report.get("penalty", 0))

    def loss_g():
        noise.bit_generator.state = state
        return float(game.generator_step(z, real, labels)["loss_g"])

    loss_d()
    checked(loss_d, D, 0, **SHORT)
    loss_g()
    checked(loss_g, G, 0, **SHORT)


@pytest.fixture(scope="module")
def tones_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tones"
    options = ["--steps", "2", "--batch-size", "4", "--width", "1", "--frames", "1", "--quiet"]
    assert cli.main(["train", "wavegan-tones", *options, "--out", str(folder)]) == 0
    return folder


def seconds(path):
    with wave.open(str(path), "rb") as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 8000)
        return file.getnframes() / 8000


EACH = 4096 / 8000 + data.GAP


def test_a_run_of_sounds_is_heard_and_drawn(tones_run, tmp_path, capsys):
    assert seconds(tones_run / "samples.wav") == pytest.approx(64 * EACH)
    with Image.open(tones_run / "samples.png") as picture:
        assert picture.width >= 400
    assert (tones_run / "training.gif").is_file()
    assert cli.main(["sample", str(tones_run), "-n", "3", "-o", str(tmp_path / "x.wav")]) == 0
    assert "3 samples in" in capsys.readouterr().out
    assert seconds(tmp_path / "x.wav") == pytest.approx(3 * EACH)
    assert cli.main(["sample", str(tones_run), "-n", "3", "-o", str(tmp_path / "x.png")]) == 0
    assert cli.main(["interpolate", str(tones_run), "-o", str(tmp_path / "y.png")]) == 0
    run = open_run(tones_run)
    assert "<audio controls src='data:audio/wav;base64," in run._repr_html_()
    assert run.sample(2).shape == (2, 4096, 1)


def test_sounds_are_evaluated_by_pitch_and_spectrogram(tones_run):
    table = open_run(tones_run).evaluate(32)
    assert table["pitch error in cents, median"].floor == pytest.approx(13.5, abs=8)
    assert table["notes played, of 8 (3 % of sounds)"].floor == 8
    assert "sliced Wasserstein x1000, 64 px" in {row.metric for row in table.rows}
    assert (tones_run / "neighbours.png").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "wavegan-tones", "--data", "digits"], "no sounds 'digits'"),
        (["train", "wavegan-tones", "--conditional"], "or take 'wavegan-digits'"),
        (["train", "moving-digits", "--data", "digits"], "no films 'digits'"),
        (["train", "digits", "--data", "tones"], "no images, but sounds or films"),
        (["train", "wavegan-tones", "--width", "0"], "width"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(arguments, words, tmp_path, capsys):
    assert cli.main([*arguments, "--out", str(tmp_path / "run")]) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_run_of_pictures_writes_no_sound(tones_run, tmp_path, capsys):
    assert cli.main(["sample", str(tones_run), "-o", str(tmp_path / "x.mp3")]) == 2
    assert ".png" in capsys.readouterr().err
    for name, words in {"x.gif": "or .wav; use .wav", "no/x.wav": "x.wav can't be"}.items():
        assert cli.main(["sample", str(tones_run), "-o", str(tmp_path / name)]) == 2
        assert words in capsys.readouterr().err
    assert cli.main(["project", str(tones_run), "x.png", "-o", str(tmp_path / "y.png")]) == 2
    assert "makes sounds, which no picture" in capsys.readouterr().err


def test_a_folder_of_labelled_sounds_trains_a_conditional_run(tmp_path, monkeypatch):
    tones = data.tones(count=40).images
    for i, wave_ in enumerate(tones):
        (tmp_path / "sounds" / str(i % 10)).mkdir(parents=True, exist_ok=True)
        data.write_wav(tmp_path / "sounds" / str(i % 10) / f"{i}.wav", wave_[:, 0], rate=8000)
    options = ["--steps", "1", "--batch-size", "4", "--width", "1", "--frames", "0", "--quiet"]
    run = tmp_path / "run"
    sounds = ["--data", str(tmp_path / "sounds"), "--conditional"]
    assert cli.main(["train", "wavegan-digits", *sounds, *options, "--out", str(run)]) == 0
    assert "same peak" in json.loads((run / "config.json").read_text())["notes"][-1]
    assert cli.main(["sample", str(run), "--label", "7", "-o", str(tmp_path / "7.wav")]) == 0
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 2)
    monkeypatch.setattr(classifier, "_EPOCHS", 1)
    table = open_run(run).evaluate(40, cache_dir=tmp_path / "cache")
    assert {"named at over 0.9, %", "share of the rarest class, %"} <= {
        r.metric for r in table.rows
    }


def test_a_run_of_films_moves(tmp_path, monkeypatch):
    made = data.moving_digits
    monkeypatch.setattr(
        data, "moving_digits", lambda count=60, split="train": made(count=60, split=split)
    )
    run = tmp_path / "run"
    options = ["--steps", "1", "--batch-size", "4", "--frames", "1", "--quiet", "--out", str(run)]
    assert cli.main(["train", "moving-digits", *options]) == 0
    assert (run / "samples.gif").is_file()
    recipes.get("moving-digits").save(tmp_path / "real.gif", made(count=4).images)
    with Image.open(tmp_path / "real.gif") as film:
        assert film.n_frames == 8
    assert cli.main(["sample", str(run), "-n", "4", "-o", str(tmp_path / "x.gif")]) == 0
    assert cli.main(["sample", str(run), "-n", "4", "-o", str(tmp_path / "x.png")]) == 0
    assert "data:image/gif" in open_run(run)._repr_html_()
    monkeypatch.setattr(classifier, "_FEWEST_STEPS", 2)
    monkeypatch.setattr(classifier, "_EPOCHS", 1)
    table = open_run(run).evaluate(64, cache_dir=tmp_path / "cache")
    assert table["paths straight within 1 pixel, %"].floor == 100


def test_the_outline_of_a_sound_spans_its_extremes():
    waves = numpy.zeros((1, 64, 1), "float32")
    waves[0, 16:32] = numpy.tile([0.99, -0.99], 8)[:, None]
    drawn = outlines(waves, 4, height=8)[0, :, :, 0]
    assert (drawn[:, 1] == 1).all()
    assert (drawn[:, 0] == 1).sum() <= 2


@pytest.mark.parametrize("classes", [0, 10])
def test_a_penalty_is_of_what_is_made_of_the_spectrogram(classes):
    rng = numpy.random.default_rng(0)
    D = networks(rng, rng, width=1, classes=classes, listens=True)[1]
    sounds = 0.1 * rng.standard_normal((2, 3, 4096, 1)).astype("float32")
    labels = numpy.arange(3)
    real, fake = ((x, labels) if classes else x for x in sounds)
    seen = []

    def penalty(judge, *given):
        seen.append([x[0] if classes else x for x in given])
        numpy.testing.assert_array_equal(judge(given[0]), D(real))
        return 3.5

    assert Heard(penalty)(D, real, fake) == 3.5
    numpy.testing.assert_allclose(
        seen[0], data.spectrogram(sounds.reshape(6, 4096, 1)).reshape(2, 3, 64, 64, 1), atol=0.1
    )

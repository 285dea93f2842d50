"""Settings of recipes that once did nothing, or failed after the work."""

import json
import os

import numpy
import pytest

from minigan import cli, data, gan, optim
from minigan.recipes import ddpm_digits, get
from minigan.runs.assembly import assemble
from minigan.runs.folder import open_run
from minigan.runs.training import train as folder_of

SMALL = {"steps": 2, "batch_size": 8, "frames": 0, "progress": False}


def train(name, **how):
    return open_run(folder_of(name, **how))


def weights(name, folder, **how):
    run = train(name, out=folder, **SMALL | how)
    return run.networks()[0].flat().value.copy()


def refused(name, words, **changes):
    with pytest.raises(ValueError, match=words):
        train(name, out="never", **SMALL | changes)
    assert not os.path.exists("never")


@pytest.mark.parametrize("name", ["infogan", "seqgan-lite"])
def test_a_penalty_makes_a_difference_or_is_refused(name, tmp_path):
    ways = ["historical-averaging:1000"] + ["feature-matching:1000"] * (name == "infogan")
    found = [weights(name, tmp_path / str(i), penalties=w) for i, w in enumerate([(), *zip(ways)])]
    assert not any(numpy.array_equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("infogan", "virtual-batch-norm"),
        ("infogan", "packing"),
        ("acgan-digits", "packing"),
        ("seqgan-lite", "feature-matching"),
        ("seqgan-lite", "virtual-batch-norm"),
        ("progressive", "virtual-batch-norm"),
        ("stylegan", "virtual-batch-norm"),
    ],
)
def test_a_penalty_that_doesnt_suit_is_refused_by_name(name, way):
    refused(name, f"{way} can't be used with '{name}', whose", penalties=(way,))


@pytest.mark.parametrize("way", ["instance-noise", "augment", "minibatch-discrimination"])
def test_a_discriminator_that_names_classes_gets_no_labels(way, tmp_path):
    before = weights("acgan-digits", tmp_path / "a")
    assert not numpy.array_equal(before, weights("acgan-digits", tmp_path / "b", penalties=(way,)))


@pytest.mark.parametrize(
    ("name", "words", "changes"),
    [
        ("pix2pix", "has no loss that cycle weighs", {"cycle": 1000.0}),
        ("pix2pix", "has no loss that identity weighs", {"identity": 0.0}),
        ("cyclegan", "has no loss that l1 weighs", {"l1": 1.0}),
        ("cyclegan", "give cycle or identity", {"adversarial": 0.0}),
        ("ddpm-digits", "leave out lr_discriminator", {"lr_discriminator": 55.0}),
        ("seqgan-lite", "compares the rewards", {"batch_size": 1}),
        ("seqgan-lite", "which the objective 'relativistic' has none", {"objective": "relativistic"}),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_refused(name, words, changes):
    refused(name, words, **changes)


def test_one_rate_for_both_suits_a_net_alone():
    recipe = get("ddpm-digits")
    recipe.check_effect(recipe.settings.changed(lr_generator=0.1, lr_discriminator=0.1))


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("cyclegan", {"l1": 50.0}),
        ("seqgan-lite", {"penalties": ["feature-matching"]}),
        ("seqgan-lite", {"objective": "wasserstein"}),
        ("ddpm-digits", {"lr_discriminator": 55.0}),
    ],
)
def test_a_run_that_was_begun_before_is_opened_all_the_same(name, setting, tmp_path):
    folder = folder_of(name, out=tmp_path / "run", **SMALL | {"steps": 1})
    config = json.loads((folder / "config.json").read_text())
    config["settings"] |= setting
    (folder / "config.json").write_text(json.dumps(config))
    run = open_run(folder)
    assert run.game() is not None


def test_a_vocabulary_other_than_that_of_the_data_is_refused():
    recipe, text = get("textgan"), data.text("sentences")
    suited = recipe.suited(recipe.settings, text)
    assert recipe.suited(suited, text) == suited
    with pytest.raises(ValueError, match="is that of the data; leave the setting out"):
        recipe.suited(recipe.settings.changed(vocabulary=("", "a")), text)


def test_words_of_one_letter_keep_their_spaces(tmp_path):
    path = tmp_path / "bits.txt"
    path.write_text("1 0 1 1\n0 0 1\n1 1 1 0\n" * 10)
    text = data.text(path)
    assert text.lines[:2] == ["1 0 1 1", "0 0 1"]
    assert "out of 2 words" in repr(text)
    run = train("seqgan-lite", data_name=str(path), out=tmp_path / "run", **SMALL)
    lines = run.recipe.read(run.sample(8))
    assert all(set(line[1::2]) <= {" "} for line in lines)
    assert any(" " in line for line in lines)
    assert open_run(tmp_path / "run").recipe.between == " "
    path.write_text("1011\n001\n1110\n" * 10)
    assert data.text(path).lines[:2] == ["1011", "001"]


def test_an_epoch_is_a_pass_of_the_data_through_d(tmp_path):
    how = {"batch_size": 64, "steps": None, "epochs": 5}
    run = train("wgan", out=tmp_path / "run", **SMALL | how)
    assert run.settings.discriminator_steps == 5
    assert run.settings.steps == 1_797 // 64


def test_a_discriminator_that_compares_samples_has_a_landscape(tmp_path):
    recipe = get("parabola")
    settings = recipe.settings.changed(penalties=("minibatch-discrimination",))
    game = assemble(recipe, settings, recipe.load("parabola", None), seed=0).trainer.game
    assert game.landscape(numpy.zeros((9216, 2), "float32")).shape == (9216,)


def test_more_classes_than_latents_are_no_obstacle(tmp_path):
    images = numpy.random.default_rng(0).integers(0, 256, (1400, 28, 28), "uint8")
    path = tmp_path / "many.npz"
    numpy.savez(path, images=images, labels=numpy.arange(1400) % 700)
    more = {"data_name": str(path), "frames": 2, "steps": 1}
    run = train("mnist", out=tmp_path / "run", **SMALL | more)
    assert len(run.classes) == 700
    assert (run.folder / "samples.png").is_file()
    assert (run.folder / "training.gif").is_file()


def test_what_cannot_be_followed_back_is_refused(tmp_path, capsys):
    train("ddpm-digits", out=tmp_path / "run", **SMALL)
    picture = tmp_path / "run" / "samples.png"
    output = ["-o", str(tmp_path / "x.png")]
    assert cli.main(["project", str(tmp_path / "run"), str(picture), *output]) == 2
    assert "can't be followed back to the latents" in capsys.readouterr().err
    assert cli.main(["latent", str(tmp_path / "run"), "--directions", *output]) == 2
    assert "can't be followed back to the latents" in capsys.readouterr().err
    assert not (tmp_path / "x.png").exists()


def test_the_help_tells_the_defaults_as_they_are(capsys):
    def told(recipe, option):
        with pytest.raises(SystemExit):
            cli.main(["train", recipe, "--help"])
        words = " ".join(capsys.readouterr().out.split())
        return words.partition(f" {option} ")[2].partition("(default: ")[2].partition(")")[0]

    assert told("mnist", "--conditional, --no-conditional") == "on"
    assert told("wavegan-digits", "--conditional, --no-conditional") == "off"
    assert told("stylegan", "--average DECAY") == "that of half_life, 0.9945"
    assert told("digits", "--average DECAY").startswith("0.")


@pytest.mark.parametrize("levels", [1000, 300, 100, 50, 20, 7])
def test_next_to_nothing_is_left_at_the_last_level(levels):
    net = ddpm_digits.unet(numpy.random.default_rng(0))
    game = gan.Diffusion(net, optim.Adam(net), (16, 16, 1), levels=levels, passes=5)
    assert 0 < game.kept[-1] < 1e-4
    assert (numpy.diff(game.kept) < 0).all()

"""The recipe `mnist`: its game as a whole, and labels if there are any."""

import numpy
import pytest
from killed_runs import check_that_it_resumes
from whole_games import Still, checked

from minigan import cli, gan, recipes
from minigan.runs import evaluation, training
from minigan.runs.face import open_run

RECIPE = recipes.get("mnist")


@pytest.mark.parametrize("classes", [0, 3])
def test_gradients_of_both_players_as_a_whole(classes):
    settings = RECIPE.settings.changed(classes=classes, average=0.0, schedule="constant")
    recipe, rng = RECIPE.fitted(settings), numpy.random.default_rng(0)
    game = recipe.game(settings, weights=rng, noise=rng)
    G, D = game.generator, game.discriminator
    for net in (G, D):
        net.astype("float64")
        net.flat().value[...] += 0.02 * rng.standard_normal(net.flat().value.shape)
    game.generator_optimizer, game.discriminator_optimizer = Still(G, lr=0.01), Still(D, lr=0.01)
    real, z = rng.uniform(-1, 1, (4, 28, 28, 1)), rng.standard_normal((4, 64))
    labels = numpy.array([0, 2, 1, 2]) if classes else None

    def loss_d():
        report = game.discriminator_step(real, z, labels)
        return float(report["loss_d"] + report["penalty"])

    def loss_g():
        return float(game.generator_step(z, real, labels)["loss_g"])

    loss_d()
    checked(loss_d, D, 0, rel=1e-4, h=1e-8)
    loss_g()
    checked(loss_g, G, 0, rel=1e-4, h=1e-8)


def test_rarer_penalties_are_stronger():
    settings = RECIPE.settings.changed(lazy=5, penalties=("r1:0.25", "instance-noise:0.1"))
    rng = numpy.random.default_rng(0)
    game = RECIPE.fitted(settings).game(settings, weights=rng, noise=rng)
    assert (type(game), game.lazy) == (gan.LazyGame, 5)
    assert [penalty.gamma for penalty in game.penalties] == [1.25]


def learn(out, *, file, **options):
    given = {"steps": 8, "batch_size": 4, "frames": 2, "checkpoint_every": 3, "lazy": 3}
    return training.train(
        "mnist", out=out, data_name=str(file), device="cpu", progress=False, **given | options
    )


@pytest.fixture
def file(tmp_path):
    """Pictures of 12x12 with the labels 1, 2 and 3."""
    pictures = numpy.random.default_rng(0).integers(0, 256, (24, 12, 12), "uint8")
    numpy.savez(tmp_path / "own.npz", images=pictures, labels=numpy.arange(24) % 3 + 1)
    return tmp_path / "own.npz"


def test_it_resumes_bit_for_bit_and_takes_the_labels_that_there_are(file, tmp_path):
    def again(out, **options):
        return learn(out, file=file, **options)

    whole = again(tmp_path / "whole")
    check_that_it_resumes(again, whole, tmp_path / "killed")
    run = open_run(whole)
    assert run.classes == (1, 2, 3)
    assert run.sample(2, label=3).shape == (2, 28, 28, 1)
    assert (tmp_path / "whole/config.json").read_text().count('"classes": 4') == 1


def test_data_without_labels_train_the_same_nets_without(file, tmp_path, capsys):
    with numpy.load(file) as arrays:
        numpy.savez(tmp_path / "bare.npz", images=arrays["images"])
    options = ["--steps", "1", "--batch-size", "4", "--frames", "0", "--quiet"]
    for name, more in (("bare", []), ("own", ["--no-conditional"])):
        run = tmp_path / name
        command = ["train", "mnist", "--data", str(tmp_path / f"{name}.npz"), "--out", str(run)]
        assert cli.main([*command, *options, *more]) == 0
        assert cli.main(["sample", str(run), "--label", "1", "-o", str(run / "x.png")]) == 2
        assert "label" in capsys.readouterr().err


def test_labels_that_are_numbers_of_another_kind_are_refused_before_anything_is_made(tmp_path):
    pictures = numpy.zeros((4, 28, 28), "uint8")
    numpy.savez(tmp_path / "x.npz", images=pictures, labels=[0, 1, 20_230_101, 7])
    words = "x has a label 20,230,101, but 'mnist' takes the labels 0 to 9,999; number the classes"
    with pytest.raises(ValueError, match=words):
        learn(tmp_path / "run", file=tmp_path / "x.npz")
    assert not (tmp_path / "run").exists()


def test_it_says_how_many_classes_it_trains_on(file, tmp_path):
    with numpy.load(file) as arrays:
        numpy.savez(tmp_path / "bare.npz", images=arrays["images"])
    said = []
    learn(tmp_path / "a", file=file, steps=1, say=said.append)
    learn(tmp_path / "b", file=tmp_path / "bare.npz", steps=1, say=said.append)
    begun = [words for words in said if words.startswith("Training")]
    assert "on 24 images of 3 classes for 1 step on cpu" in begun[0]
    assert "on 24 images without labels for 1 step on cpu" in begun[1]


@pytest.mark.parametrize(
    ("label", "words"),
    [(7, "have one label"), (30_000, "a label 30,000, but a classifier learns the labels")],
)
def test_labels_that_no_classifier_can_learn_leave_the_other_measures(tmp_path, label, words):
    pictures = numpy.random.default_rng(0).integers(0, 256, (24, 28, 28), "uint8")
    labels = numpy.full(24, label)
    labels[::2] = min(label, 7)
    numpy.savez(tmp_path / "x.npz", images=pictures, labels=labels)
    run = learn(tmp_path / "run", file=tmp_path / "x.npz", steps=1, conditional=0)
    said = []
    table = evaluation.evaluate(open_run(run), count=8, say=said.append)
    assert said[0].startswith("No features of a classifier are compared: ")
    assert words in said[0]
    assert table.facts["classifier"] == "none"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"lazy": 0}, "lazy must be a positive integer"),
        ({"conditional": 2}, "conditional must be 0 or 1"),
        ({"classes": -1}, "classes must be an integer of at least 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, words):
    with pytest.raises(ValueError, match=words):
        RECIPE.settings.changed(**changes)

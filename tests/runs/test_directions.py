"""Mixing styles, directions of the latent space, and projecting pictures: a short run of each kind."""

import dataclasses

import numpy
import pytest
from PIL import Image

from minigan import cli, data, gan
from minigan.plots.images import to_uint8
from minigan.runs import directions, exploring, projecting, training
from minigan.runs.folder import open_run


def learn(folder, name, **options):
    return training.train(
        name, out=folder / name, device="cpu", progress=False, frames=0, batch_size=8, **options
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folders of runs, by recipe."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        "stylegan": learn(folder, "stylegan", steps=30, width=2, lr_generator=0.01),
        "digits": learn(folder, "digits", steps=30),
        "cgan-digits": learn(folder, "cgan-digits", steps=5),
        "ring": learn(folder, "ring", steps=2),
        "progressive": learn(folder, "progressive", steps=2, width=2),
    }


def read(path):
    with Image.open(path) as picture:
        return numpy.asarray(picture)


def near(a, b):
    """Rounding depends on the size of the batch."""
    numpy.testing.assert_allclose(a, b, atol=1e-5)


def refused(command, words, capsys):
    assert cli.main(list(map(str, command))) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


# ---------------------------------------------------------------- mixing


def test_the_cells_of_a_mixture_are_coarse_by_row_and_fine_by_column(runs, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(exploring, "save_rows", lambda run, path, rows: drawn.extend(rows))
    run = open_run(runs["stylegan"])
    exploring.mix(run, tmp_path / "x.png", rows=2, columns=3, level=2, seed=5, truncation=0.8)
    assert [len(row) for row in drawn] == [4, 4, 4]
    game, rng = run.game(), numpy.random.default_rng(5)
    coarse, fine = game.truncated(2, rng, 0.8).w, game.truncated(3, rng, 0.8).w
    for i in range(2):
        near(drawn[i + 1][0], game.sample(gan.Styles(coarse[[i]]))[0])
        for j in range(3):
            w = numpy.concatenate([coarse[[i], :2], fine[[j], 2:]], axis=1)
            expected = game.sample(gan.Styles(w))[0]
            near(drawn[i + 1][j + 1], expected)
            near(drawn[0][j + 1], game.sample(gan.Styles(fine[[j]]))[0])


def test_the_command_draws_a_mixture(runs, tmp_path, capsys):
    command = ["mix", str(runs["stylegan"]), "-o", str(tmp_path / "x.png"), "--rows", "2"]
    assert cli.main([*command, "--columns", "4"]) == 0
    height, width, channels = read(tmp_path / "x.png").shape
    assert channels == 3
    assert width / height == pytest.approx(5 / 3, rel=0.05)
    assert "Coarse features of the first column" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("digits", [], "has no styles to mix; choose a run of stylegan"),
        ("stylegan", ["--level", "0"], "a level from 1 to 2, got"),
        ("stylegan", ["--level", "3"], "a level from 1 to 2, got"),
        ("stylegan", ["--rows", "0"], "at least one row"),
        ("stylegan", ["--rows", "9999999"], "A picture can hold"),
        ("stylegan", ["--truncation", "-1"], "Truncation must be from 0"),
        ("stylegan", ["-o", "nowhere/x.png"], "can't be written"),
    ],
)
def test_a_mixture_that_cannot_be_drawn_is_refused(runs, tmp_path, capsys, name, options, words):
    refused(["mix", runs[name], "-o", tmp_path / "x.png", *options], words, capsys)
    assert not (tmp_path / "x.png").exists()


# ---------------------------------------------------------------- directions


@pytest.mark.parametrize("name", ["stylegan", "digits", "cgan-digits", "progressive"])
def test_directions_are_drawn_for_every_kind_of_generator(runs, tmp_path, name, capsys):
    command = ["latent", str(runs[name]), "-o", str(tmp_path / "x.png"), "--directions", "3"]
    assert cli.main([*command, "--steps", "5"]) == 0
    height, width = read(tmp_path / "x.png").shape[:2]
    assert width / height == pytest.approx(5 / 3, rel=0.1)
    assert "3 directions, one per row" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "label"), [([], 0), (["--label", "7"], 7)])
def test_arithmetic_with_labels_says_which_one_was_drawn(runs, tmp_path, capsys, options, label):
    command = ["arithmetic", str(runs["cgan-digits"]), "-o", str(tmp_path / "x.png")]
    assert cli.main([*command, *options]) == 0
    assert f"with its neighbours, all of label {label}, in " in capsys.readouterr().out


def test_the_first_direction_changes_styles_more_than_chance(runs):
    found = directions.space(open_run(runs["stylegan"]))
    first = numpy.linalg.svd(found.weight)[0][:, 0]
    by_chance = numpy.random.default_rng(0).standard_normal((50, len(first)))
    by_chance /= numpy.linalg.norm(by_chance, axis=1, keepdims=True)
    lengths = numpy.linalg.norm(by_chance @ found.weight, axis=1)
    assert numpy.linalg.norm(first @ found.weight) > lengths.max()


def test_only_the_levels_that_were_asked_for_move(runs):
    run = open_run(runs["stylegan"])
    everywhere = directions.space(run)
    fine = directions.space(run, levels=(2,))
    assert fine.weight.shape[1] < everywhere.weight.shape[1]
    a, b = everywhere.draw(2, numpy.random.default_rng(0))
    game: gan.StyleGame = run.game()
    mixed = numpy.stack([a, a, b])[None]
    near(fine.sample(b[None], a[None]), game.sample(gan.Styles(mixed)))
    whole = numpy.stack([b, b, b])[None]
    near(everywhere.sample(b[None], a[None]), game.sample(gan.Styles(whole)))


class OfBrightness:
    """Stands for a classifier: bright images are of class 1."""

    classes = 2

    def classify(self, images):
        return (images.mean(axis=(1, 2, 3)) > images.mean()).astype("int64")


@pytest.mark.parametrize("name", ["stylegan", "digits"])
def test_an_attribute_is_changed_by_moving_along_its_direction(runs, name, monkeypatch, tmp_path):
    monkeypatch.setattr("minigan.runs.evaluation.classifier_of", lambda *a, **o: OfBrightness())
    drawn = []
    monkeypatch.setattr(exploring, "save_rows", lambda run, path, rows: drawn.extend(rows))
    count = directions.draw_directions(
        open_run(runs[name]), tmp_path / "x.png", attribute=1, count=6, steps=3
    )
    assert count == len(drawn) == 6
    dark, _, bright = numpy.stack([row.mean(axis=(1, 2, 3)) for row in drawn]).mean(axis=0)
    assert bright > dark


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("digits", ["--directions", "--levels", "1"], "has no styles to move some of"),
        ("stylegan", ["--directions", "--levels", "3"], "have the levels 0 to 2, got 3"),
        ("stylegan", ["--directions", "0"], "one row, got"),
        ("stylegan", ["--directions", "65"], "has 1 to 64 directions, got 65"),
        ("stylegan", ["--directions", "--reach", "-1"], "a positive reach"),
        ("stylegan", ["--directions", "--sweep"], "--sweep moves along coordinates"),
        ("ring", ["--attribute", "1"], "no labels of images to learn an attribute from"),
        ("ring", ["--attribute", "cat"], "no class 'cat'; its classes have no names"),
        ("digits", ["--attribute", "seven"], "no class 'seven'; choose one of 0, 1, 2"),
        ("cgan-digits", ["--attribute", "1"], "the class that --label says"),
    ],
)
def test_directions_that_make_no_sense_are_refused(runs, tmp_path, capsys, name, options, words):
    refused(["latent", runs[name], "-o", tmp_path / "x.png", *options], words, capsys)
    assert not (tmp_path / "x.png").exists()


def test_an_attribute_may_be_the_name_of_a_class(runs, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("minigan.runs.evaluation.classifier_of", lambda *a, **o: OfBrightness())
    named = dataclasses.replace(data.digits(), class_names=("dark", "bright"))
    monkeypatch.setattr("minigan.runs.folder.Run.load_data", lambda self: named)
    for attribute in ("1", "bright"):
        out = tmp_path / f"{attribute}.png"
        command = ["latent", runs["digits"], "-o", out, "--attribute", attribute]
        assert cli.main(list(map(str, command))) == 0
    assert (tmp_path / "1.png").read_bytes() == (tmp_path / "bright.png").read_bytes()
    assert "The direction of class bright, from 8 samples" in capsys.readouterr().out
    command[-1] = "brigt"
    refused(command, "no class 'brigt'; choose one of dark, bright (did you mean", capsys)


def test_a_class_that_a_run_never_draws_has_no_direction(runs, monkeypatch, tmp_path, capsys):
    class OfNothing(OfBrightness):
        def classify(self, images):
            return numpy.zeros(len(images), "int64")

    monkeypatch.setattr("minigan.runs.evaluation.classifier_of", lambda *a, **o: OfNothing())
    command = ["latent", runs["digits"], "-o", tmp_path / "x.png", "--attribute", "1"]
    refused(command, "class 1 in 0 of 2,000 samples of this run, but a direction needs", capsys)


def test_a_class_that_the_data_do_not_have_is_refused(runs, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("minigan.runs.evaluation.classifier_of", lambda *a, **o: OfBrightness())
    command = ["latent", runs["digits"], "-o", tmp_path / "x.png", "--attribute", "2"]
    refused(command, "have the classes 0 to 1, got --attribute 2", capsys)


# ---------------------------------------------------------------- projection


@pytest.mark.parametrize(
    ("name", "label"), [("stylegan", None), ("digits", None), ("cgan-digits", 3)]
)
def test_a_sample_of_the_run_is_found_again(runs, tmp_path, name, label, capsys):
    run = open_run(runs[name])
    picture = run.sample(1, seed=99, label=label)[0]
    Image.fromarray(to_uint8(picture).squeeze()).save(tmp_path / "face.png")
    command = ["project", str(runs[name]), str(tmp_path / "face.png"), "--steps", "60"]
    command += ["-o", str(tmp_path / "x.png"), *(["--label", str(label)] if label else [])]
    assert cli.main(command) == 0
    assert "the nearest sample" in capsys.readouterr().out
    found = projecting.project(
        run, tmp_path / "face.png", tmp_path / "y.png", steps=60, label=label
    )
    assert found.distance < 0.5 * found.before
    point = numpy.load(tmp_path / "x.npy")
    assert point.shape == ((3, 64) if name == "stylegan" else (64,))
    numpy.testing.assert_array_equal(point, found.point)
    given = gan.Styles(point[None]) if name == "stylegan" else point[None]
    again = run.game().sample(given, None if label is None else numpy.array([label]))
    numpy.testing.assert_allclose(again, found.sample, atol=1e-5)
    assert read(tmp_path / "x.png").shape[1] > 2.5 * read(tmp_path / "x.png").shape[0]


def test_its_gradient_is_that_of_the_distance(runs):
    """The first step of Adam goes against the sign of finite differences."""
    game, rng = open_run(runs["digits"]).game(), numpy.random.default_rng(0)
    game.generator.astype("float64")
    if game.average is not None:
        game.average.net.astype("float64")
    z, target = rng.standard_normal((2, 64)), rng.uniform(-1, 1, (1, 16, 16, 1))
    net = game.sampler
    y, cache = net.forward(z, train=False)
    dz = net.backward(projecting._slope(y, target), cache, param_grads=False)
    for _ in range(4):
        v = rng.standard_normal(z.shape)
        slopes = [((net(z + s * 1e-6 * v) - target) ** 2).sum() / target.size for s in (1, -1)]
        assert (slopes[0] - slopes[1]) / 2e-6 == pytest.approx((dz * v).sum(), rel=1e-4, abs=1e-8)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("ring", [], "makes points, which no picture can be projected to"),
        ("digits", ["--steps", "0"], "at least one step"),
        ("digits", ["--lr", "nan"], "a positive learning rate"),
        ("digits", ["--label", "3"], "has no labels"),
        ("stylegan", ["-o", "nowhere/x.png"], "can't be written"),
    ],
)
def test_a_projection_that_makes_no_sense_is_refused(
    runs, tmp_path, capsys, name, options, words
):  # fmt: skip
    Image.fromarray(data.avatars().images[0]).save(tmp_path / "face.png")
    command = ["project", runs[name], tmp_path / "face.png", "-o", tmp_path / "x.png", *options]
    refused(command, words, capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"face.png"}


def test_a_picture_that_is_not_there_is_refused(runs, tmp_path, capsys):
    command = ["project", runs["digits"], tmp_path / "no.png", "-o", tmp_path / "x.png"]
    refused(command, "there is no picture", capsys)
    assert not list(tmp_path.iterdir())
    Image.fromarray(data.avatars().images[0]).save(tmp_path / "one.png")
    command[2] = tmp_path  # a folder, of which only one picture would be looked at
    refused(command, "give the file of one", capsys)
    assert {path.name for path in tmp_path.iterdir()} == {"one.png"}

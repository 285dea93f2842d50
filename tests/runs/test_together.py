"""Options of a run that meet each other: groups in D, classes called by numbers, lost tables."""

import numpy
import pytest
from PIL import Image

from minigan import data, gan, nn, optim, recipes
from minigan.cli import main
from minigan.runs import evaluation
from minigan.runs.assembly import assemble
from minigan.runs.folder import Run, open_run
from minigan.runs.resuming import resume
from minigan.runs.training import train


def trained(name, folder, **options):
    return train(name, out=folder, progress=False, **{"frames": 0} | options)


@pytest.mark.parametrize(("group", "batch"), [(3, 48), (16, 128), (96, 96)])
def test_points_are_drawn_whatever_the_groups_of_the_discriminator(tmp_path, group, batch):
    penalties = ("packing", f"minibatch-stddev:{group}")
    trained("ring", tmp_path / "r", steps=2, batch_size=batch * 2, penalties=penalties, frames=1)
    assert (tmp_path / "r" / "samples.png").exists()
    resume(tmp_path / "r", steps=3, progress=False)


def test_points_seen_in_groups_are_all_scored_and_pushed():
    rng = numpy.random.default_rng(0)
    layers = nn.Linear(2, 8, rng=rng), nn.Tanh(), nn.MinibatchStdDev(7), nn.Linear(9, 1, rng=rng)
    G, D = nn.Linear(2, 2, rng=rng), nn.Sequential(*layers)
    game = gan.Game(G, D, optim.SGD(G, lr=1.0), optim.SGD(D, lr=1.0))
    points = rng.standard_normal((300, 2)).astype("float32")
    filled = numpy.concatenate([points, points[:1]])
    numpy.testing.assert_array_equal(game.landscape(points), game.landscape(filled)[:300])
    numpy.testing.assert_allclose(game.push(points), game.push(filled)[:300])


@pytest.mark.parametrize(
    ("more", "changes"),
    [
        ((), {"batch_size": 4098}),
        ((), {"batch_size": 1500, "discriminator_steps": 3}),
        (("minibatch-stddev:3",), {"batch_size": 4500}),
        (("minibatch-stddev:9",), {"batch_size": 4482}),
    ],
)
def test_a_large_batch_that_is_packed_is_tried_with_smaller_ones(tmp_path, more, changes):
    trained("ring", tmp_path / "r", steps=1, penalties=("packing:3", *more), **changes)
    assert (tmp_path / "r" / "model.safetensors").exists()


def test_a_judge_may_compare_samples():
    rng = numpy.random.default_rng(0)
    judge = nn.Sequential(nn.MinibatchStdDev(3), nn.Linear(3, 1, rng=rng))
    kept = gan.rejection.accepted(
        lambda n: rng.standard_normal((n, 2)).astype("float32"), judge, 100, rng=rng
    )
    assert len(kept.samples) == 100


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """A run whose classes are called 1, 10, and 2, in this order."""
    root = tmp_path_factory.mktemp("numbered")
    for name in ("1", "2", "10"):
        (root / "data" / name).mkdir(parents=True)
        for i in range(8):
            Image.new("L", (16, 16), 25 * int(name)).save(root / "data" / name / f"{i}.png")
    trained("cgan-digits", root / "run", data_name=str(root / "data"), batch_size=8, steps=1)
    return root / "run"


def test_a_class_called_by_a_number_is_found_by_its_name(numbered):
    run = open_run(numbered)
    assert list(run.config.class_names) == ["1", "10", "2"]
    assert [run.find_label(name) for name in ("1", "2", "10", "0")] == [0, 2, 1, 0]
    assert [run.find_label(number) for number in (0, 1, 2)] == [0, 1, 2]


def test_pictures_of_copies_show_every_class(numbered, monkeypatch, tmp_path):
    seen = {}
    for name in ("draw_copies", "draw_neighbours"):
        monkeypatch.setattr(
            evaluation, name, lambda path, samples, *rest, name=name: seen.update({name: samples})
        )
    classes = numpy.repeat(numpy.array([-1, 0, 1], "float32"), 10)[:, None, None, None]
    images = classes * numpy.ones((16, 16, 1), "float32")
    monkeypatch.setattr(Run, "sample", lambda run, *args, **options: images)
    evaluation.evaluate(open_run(numbered), count=30, cache_dir=str(tmp_path))
    assert len(numpy.unique(seen["draw_neighbours"][:8])) == 3
    assert len(numpy.unique(seen["draw_copies"])) == 3


def test_none_is_no_setting(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as caught:
        main(["train", "wgan-gp", "--set", "penalties=None", "--steps", "1"])
    assert caught.value.code == 2
    assert "would leave penalties as it is" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_table_that_is_begun_anew_has_every_column(tmp_path):
    folder = tmp_path / "r"
    trained("digits", folder, steps=3, batch_size=8)
    columns = (folder / "metrics.csv").read_text().splitlines()[0]
    (folder / "metrics.csv").unlink()
    resume(folder, steps=6, progress=False, say=lambda words: None)
    again = (folder / "metrics.csv").read_text().splitlines()
    assert again[0] == columns
    assert "" not in again[1].split(",")


def test_a_games_own_generator_is_part_of_the_state():
    """As a StyleGame has one, for its path length regularisation."""
    recipe = recipes.get("stylegan")
    settings = recipe.settings.changed(path_length=2.0, steps=4)
    images = data.load("avatars")
    trainer = assemble(recipe.fitted(settings), settings, images, seed=0).trainer
    names = set(trainer.generators())
    trainer.game.noise = numpy.random.default_rng(5)
    own = trainer.generators()
    assert set(own) - names == {"path length"}
    assert own["path length"] is trainer.game.noise
    arrays, meta = trainer.state()
    before = trainer.game.noise.bit_generator.state
    meta["rng"] = {name: state for name, state in meta["rng"].items() if name != "path length"}
    trainer.load_state(arrays, meta)  # an older one
    assert trainer.game.noise.bit_generator.state == before

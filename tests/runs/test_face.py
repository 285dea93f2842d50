"""The Python face: `minigan.train`, what it returns, and what a notebook shows of it."""

import subprocess
import sys

import numpy
import pytest

import minigan
from minigan import data, gan, gradcheck, latent, metrics, nn, optim, recipes
from minigan.recipes import files

QUICK = {"steps": 3, "batch_size": 8, "frames": 0, "progress": False, "say": lambda words: None}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return minigan.train("digits", out=tmp_path_factory.mktemp("face") / "run", **QUICK)


# ---------------------------------------------------------------- import minigan


def test_modules_are_there_without_being_imported():
    code = (
        "import sys, minigan; before = 'minigan.nn' in sys.modules;"
        "print(before, minigan.nn.Linear.__name__, minigan.gan.Game.__name__, 'nn' in dir(minigan))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "Linear", "Game", "True"]


def test_every_module_that_is_promised_exists():
    for name in minigan._MODULES:
        assert getattr(minigan, name).__name__ == f"minigan.{name}"
    assert {"train", "open_run", "Run"} <= set(dir(minigan))


def test_what_isn_t_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'minigan' has no attribute 'nm'"):
        minigan.nm  # noqa: B018


# ---------------------------------------------------------------- a run


def test_a_run_gives_its_results_as_arrays(run):
    losses = run.losses()
    assert losses["step"].tolist() == [1, 2, 3]
    assert losses["loss_d"].shape == (3,)
    assert run.sample(5).shape == (5, 16, 16, 1)
    walks = run.interpolate(2, 3)
    assert walks.shape == (2, 3, 16, 16, 1)
    assert isinstance(run.generator, nn.Sequential)
    assert run.discriminator(run.sample(2)).shape == (2, 1)
    assert "too early" in run.diagnosis()


def test_walks_begin_and_end_at_samples_of_their_latents(run):
    z = latent.Latent(64).sample(3, numpy.random.default_rng(7))
    walks = run.interpolate(2, 4, seed=7)
    ends = run.generator(z)
    numpy.testing.assert_allclose(walks[0, 0], ends[0], atol=1e-5)
    numpy.testing.assert_allclose(walks[0, -1], ends[1], atol=1e-5)
    numpy.testing.assert_allclose(walks[1, -1], ends[2], atol=1e-5)


def test_a_run_is_opened_again_and_resumed(run):
    again = minigan.open_run(run.folder)
    numpy.testing.assert_array_equal(again.sample(2), run.sample(2))
    later = again.resume(4, progress=False)
    assert later.step == 4
    assert later.losses()["step"][-1] == 4


def test_a_run_shows_its_samples(run):
    assert repr(run).startswith(f"Run({str(run.folder)!r}: digits, step ")
    assert "data:image/png;base64," in run._repr_html_()
    assert run.show()._repr_png_().startswith(b"\x89PNG")


def test_a_recipe_file_and_one_s_own_data_from_python(tmp_path):
    mine = files.write_new("mine", tmp_path)
    data.write_idx(tmp_path / "some.idx", numpy.zeros((20, 16, 16), "uint8") + 100)
    made = minigan.train(str(mine), data=tmp_path / "some.idx", out=tmp_path / "run", **QUICK)
    assert made.config.data == str(tmp_path / "some.idx")
    assert minigan.open_run(made.folder).recipe.name == "mine"


def test_evaluating_gives_a_table(tmp_path):
    points = minigan.train("ring", out=tmp_path / "run", **QUICK)
    table = points.evaluate(50)
    assert isinstance(table, metrics.Table)
    assert str(table) == table.text()


# ---------------------------------------------------------------- short names of things


class Mine(nn.Layer):
    pass


def test_things_have_short_names():
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(nn.Linear(2, 1, rng=rng))
    game = gan.Game(net, nn.Sequential(nn.Linear(1, 1, rng=rng)), *[None, None])
    assert repr(Mine()) == "Mine"
    assert repr(data.digits()) == "Dataset('digits': 1,797 images of 16x16x1, 10 classes)"
    assert repr(data.distribution("ring")) == "Distribution('ring')"
    assert repr(recipes.get("ring")).startswith("Recipe('ring': eight Gaussians")
    assert repr(game) == "Game(discriminator of 2 parameters, generator of 3 parameters)"
    report = gradcheck.check(net, rng.standard_normal((3, 2)))
    assert repr(report).startswith("Report(Sequential(Linear(2, 1))")
    assert ": ok, worst relative error " in repr(report)
    assert optim is not None


def test_notebooks_see_tables_and_pictures():
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(nn.Linear(2, 3, rng=rng), nn.Residual(nn.Tanh()), nn.Linear(3, 1, rng=rng))
    shown = net._repr_html_()
    assert shown.count("<tr>") == 5
    assert "<td>9</td>" in shown
    assert "<td>13</td>" in shown
    assert data.digits()._repr_png_().startswith(b"\x89PNG")
    two_channels = data.Dataset("two", numpy.zeros((3, 4, 4, 2), "uint8"))
    assert two_channels._repr_png_() is None
    report = gradcheck.check(net, rng.standard_normal((3, 2)))
    assert "<pre>" in report._repr_html_()
    table = metrics.Table({"n<": 3}, (metrics.Row("a<b", 1.0, 2.0, "lower"),))
    assert "a&lt;b" in table._repr_html_()
    assert "n&lt;" in table._repr_html_()
    assert repr(table) == "Table(a<b=1)"

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


# ---------------------------------------------------------------- arguments of the wrong kind

ARRAY = numpy.zeros((20, 16, 16), "uint8")


@pytest.mark.parametrize("what", [3, None, ["ring"], b"ring", ARRAY, recipes])
def test_a_recipe_is_a_name_a_file_or_a_recipe(what):
    with pytest.raises(TypeError, match=r"A recipe is given by its name.*got") as said:
        minigan.train(what, **QUICK)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize("what", [ARRAY, [1, 2], 3, b"digits", data.digits()])
def test_data_are_a_name_or_a_place(what, run):
    for use in (lambda: minigan.train("digits", data=what, **QUICK),
                lambda: run.resume(4, data_name=what, progress=False)):  # fmt: skip
        with pytest.raises(TypeError, match=r"The data must be .*numpy.savez.*got") as said:
            use()
        assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("seed", "a", "A seed must be a whole number, got 'a'"),
        ("seed", 1.5, "A seed must be a whole number, got 1.5"),
        ("seed", True, "A seed must be a whole number, got True"),
        ("epochs", "2", "The number of epochs must be a whole number"),
        ("out", 3, "out must be a path, got 3"),
        ("data_dir", ARRAY, "data_dir must be a path, got ndarray"),
        ("init", 3, "A run is given by the path of its folder"),
        ("say", None, "say must be a function"),
        ("ranks", 2, r"ranks must be what minigan.ranks.world\(\) returns, got 2"),
        ("callbacks", None, "The callbacks must be a list"),
        ("callbacks", gan.Callback(), "The callbacks must be a list.*got Callback"),
        ("callbacks", [print], "The callbacks must be a list.*builtin_function"),
        ("callbacks", [gan.Callback], "The callbacks must be a list.*the class Callback"),
        ("steps", "a", "steps must be a whole number"),
        ("steps", True, "steps must be a whole number"),
        ("keep", True, "keep must be an integer of at least 1, got True"),
    ],
)
def test_an_argument_of_the_wrong_kind_is_named(name, value, said, tmp_path):
    with pytest.raises((TypeError, ValueError), match=said):
        minigan.train("digits", **QUICK | {"out": tmp_path / "run", name: value})
    assert not (tmp_path / "run").exists()


def test_numbers_of_numpy_are_numbers(tmp_path):
    how = {"steps": numpy.int64(2), "seed": numpy.int64(3), "keep": numpy.int64(1)}
    run = minigan.train("digits", out=tmp_path / "run", **QUICK | how)
    assert (run.step, run.config.seed) == (2, 3)
    assert run.sample(numpy.int64(2)).shape == (2, 16, 16, 1)


@pytest.mark.parametrize(
    ("use", "said"),
    [
        *((lambda run, n=n: run.sample(n), f"The number of samples must be a whole number, got {n!r}")
          for n in ("a", None, 1.5, True)),
        *((lambda run, s=s: run.sample(2, seed=s), "A seed must be an integer of at least 0, got")
          for s in ("a", -1, 1.5)),
        (lambda run: run.sample(2, which=1.5), "which must be a step or a path, got 1.5"),
        (lambda run: run.sample(2, which=ARRAY), "which must be a step or a path, got ndarray"),
        (lambda run: run.sample(2, truncation="a"), "The truncation must be a number, got 'a'"),
        (lambda run: run.interpolate("a", 2), "rows must be a whole number, got 'a'"),
        (lambda run: run.interpolate(2, 2.5), "steps must be a whole number, got 2.5"),
        (lambda run: run.interpolate(seed="a"), "A seed must be an integer of at least 0, got 'a'"),
        (lambda run: run.evaluate("a"), "count must be a whole number, got 'a'"),
        (lambda run: run.evaluate(10, seed="a"), "A seed must be an integer of at least 0"),
        (lambda run: run.resume("a"), "steps must be a whole number"),
    ],
)  # fmt: skip
def test_a_run_s_methods_name_an_argument_of_the_wrong_kind(run, use, said):
    with pytest.raises((TypeError, ValueError), match=said) as error:
        use(run)
    assert "\n" not in str(error.value)


def test_a_checkpoint_is_a_step_or_a_path(run):
    end = run.sample(2, which=run.step)
    numpy.testing.assert_array_equal(end, run.sample(2, which=str(run.step)))
    numpy.testing.assert_array_equal(end, run.sample(2, which=run.folder / "model.safetensors"))


@pytest.mark.parametrize("place", [3, None, b"runs", ARRAY, object()])
def test_a_run_is_opened_by_its_place(place):
    with pytest.raises(TypeError, match=r"A run is given by the path of its folder.*got") as said:
        minigan.open_run(place)
    assert "\n" not in str(said.value)


def test_the_recipe_of_a_run_is_no_name(run):
    with pytest.raises(TypeError, match="The recipe of a run must be a Recipe, got str"):
        minigan.open_run(run.folder, recipe="digits")


# ---------------------------------------------------------------- short names of things


class Mine(nn.Layer):
    pass


def test_things_have_short_names():
    rng = numpy.random.default_rng(0)
    net, D = (nn.Sequential(nn.Linear(n, 1, rng=rng)) for n in (2, 1))
    game = gan.Game(net, D, optim.SGD(net, lr=0.1), optim.SGD(D, lr=0.1))
    assert repr(Mine()) == "Mine"
    assert repr(data.digits()) == "Dataset('digits': 1,797 images of 16x16x1, 10 classes)"
    assert repr(data.distribution("ring")) == "Distribution('ring')"
    assert repr(recipes.get("ring")).startswith("Recipe('ring': eight Gaussians")
    assert repr(game) == "Game(discriminator of 2 parameters, generator of 3 parameters)"
    report = gradcheck.check(net, rng.standard_normal((3, 2)))
    assert repr(report).startswith("Report(Sequential(Linear(2, 1))")
    assert ": ok, worst relative error " in repr(report)


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

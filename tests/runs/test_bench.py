"""``minigan bench``: that it plays each recipe's own game and counts right; no time is asserted."""

import itertools

import numpy
import pytest

from minigan import backend, cli, data, recipes
from minigan.backend import devices
from minigan.backend.cpu.blas import numpy_with_blas
from minigan.runs import bench
from minigan.runs.bench import Speed


def test_images_per_second_count_what_d_sees():
    # A clock that ticks a quarter of a second per look: a round takes one tick.
    ticks = itertools.count()
    recipe = recipes.get("wgan")
    speed = bench.measure(recipe, "cpu", seconds=0.5, clock=lambda: next(ticks) / 4)
    assert speed.ms == 250
    assert recipe.settings.discriminator_steps == 5
    assert speed.images == recipe.settings.batch_size * 5 / 0.25
    assert (speed.recipe, speed.device) == ("wgan", "cpu")
    # Two looks per round: two rounds of warm-up, then as many as half a second holds.
    assert next(ticks) == 2 * (bench.WARM_UP + 2)


@pytest.mark.parametrize("name", ["parabola", "acgan-digits", "vae"])
def test_a_round_is_the_recipes_own(name, capsys):
    assert cli.main(["bench", "--recipe", name, "--seconds", "0.001", "--device", "cpu"]) == 0
    engine, head, line, foot = capsys.readouterr().out.splitlines()
    assert engine == f"CPU: {bench.engine(backend.get('cpu'))}"
    assert head.split() == ["recipe", "ms", "on", "cpu", "images/s"]
    assert line.split()[0] == name
    assert float(line.split()[1]) > 0
    assert float(line.split()[2].replace(",", "")) > 0
    assert foot.startswith("images/s:")


@pytest.mark.parametrize("name", recipes.names())
def test_stand_ins_have_the_recipes_shape(name):
    recipe = recipes.get(name)
    samples = bench.stand_in(recipe)
    batch = samples.sample(4, numpy.random.default_rng(0))
    assert batch.shape == (4, *recipe.sample_shape)
    if recipe.classes:
        assert isinstance(samples, data.Dataset)
        assert set(samples.labels) == set(range(recipe.classes))


def test_auto_measures_both_where_a_gpu_answers(monkeypatch, capsys):
    monkeypatch.setattr(bench.backend, "resolve", lambda name: "cuda" if name == "auto" else name)
    asked = []

    def measure(recipe, device, *, seconds, cuda_graph):
        asked.append((device, cuda_graph))
        return Speed(recipe.name, device, 2.0, 100.0 if device == "cpu" else 850.0)

    monkeypatch.setattr(bench, "measure", measure)
    assert cli.main(["bench", "--recipe", "ring", "--cuda-graph"]) == 0
    assert asked == [("cpu", False), ("cuda", True)]
    _, head, line, _ = capsys.readouterr().out.splitlines()
    assert head.endswith("cuda : cpu")
    assert line.endswith("8.5x")
    assert bench.devices("cpu") == ("cpu",)


def test_a_gpu_alone_needs_no_words_about_the_cpu(monkeypatch, capsys):
    monkeypatch.setattr(bench.backend, "resolve", lambda name: "cuda")
    monkeypatch.setattr(
        bench, "measure", lambda recipe, device, **_: Speed(recipe.name, device, 2.0, 100.0)
    )
    assert cli.main(["bench", "--recipe", "ring", "--device", "cuda"]) == 0
    assert "CPU" not in capsys.readouterr().out


def test_numpy_alone_is_named_and_what_is_missing_too(monkeypatch):
    ops = devices.cpu_backend("0")
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: None)
    assert bench.engine(ops) == f"{numpy_with_blas()}; for compiled loops install minigan[fast]"
    monkeypatch.setattr(bench.importlib.util, "find_spec", lambda name: name)
    assert bench.engine(ops) == numpy_with_blas()
    assert numpy_with_blas().startswith(f"NumPy {numpy.__version__} with ")


def test_a_library_that_numpy_does_not_name_is_unknown(monkeypatch):
    monkeypatch.setattr(numpy, "show_config", lambda mode: {})
    assert numpy_with_blas() == f"NumPy {numpy.__version__} with unknown BLAS"


def test_compiled_loops_and_their_products_are_named(monkeypatch):
    numba = pytest.importorskip("numba")
    ops = devices.cpu_backend("1")
    assert (
        bench.engine(ops)
        == f"loops compiled by Numba {numba.__version__}, products by {numpy_with_blas()}"
    )


def test_one_device_has_no_ratio():
    assert "x" not in bench.line([Speed("ring", "cpu", 1.0, 2.0)])
    assert "cuda" not in bench.heading(["cpu"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--recipe", "rnig"], "did you mean 'ring'"),
        (["--recipe", "ring", "--seconds", "0"], "positive number of seconds"),
        (["--recipe", "ring", "--seconds", "nan"], "positive number of seconds"),
        (["--recipe", "ring", "--device", "tpu"], "Unknown device 'tpu'"),
    ],
)
def test_mistakes_are_told_in_a_sentence(arguments, words, capsys):
    assert cli.main(["bench", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["--seconds", "soon"],
            "'soon' isn't a number of seconds, such as 2; see `minigan bench -",
        ),
        (["--nothing"], "there is no option --nothing; see `minigan bench --help`"),
    ],
)
def test_arguments_are_checked(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["bench", *arguments])
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


def test_an_interruption_is_no_traceback(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(bench, "measure", interrupt)
    assert cli.main(["bench", "--recipe", "ring"]) == 130
    assert "interrupted" in capsys.readouterr().err

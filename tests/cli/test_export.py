"""``minigan export``: the files that it writes, and what it refuses."""

import runpy

import numpy
import pytest

from minigan import gan
from minigan.cli import main
from minigan.runs.folder import open_run

QUICK = ["--steps", "3", "--batch-size", "8", "--frames", "0", "--quiet"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for recipe in ("ring", "cgan-digits", "acgan-digits", "gumbel-textgan"):
        assert main(["train", recipe, *QUICK, "--out", str(folder / recipe)]) == 0
    return folder


def _inputs(run, discriminator, conditional):
    rng = numpy.random.default_rng(0)
    shape = run.recipe.sample_shape if discriminator else (run.recipe.latent.size,)
    x = rng.standard_normal((7, *shape), "float32")
    return {"x": x} | ({"labels": rng.integers(0, 10, 7)} if conditional else {})


@pytest.mark.parametrize("discriminator", [False, True])
@pytest.mark.parametrize("recipe", ["ring", "cgan-digits", "acgan-digits"])
def test_the_graph_computes_what_the_player_does(runs, tmp_path, capsys, recipe, discriminator):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    onnxruntime.set_default_logger_severity(3)
    path = tmp_path / "net.onnx"
    more = ["--discriminator"] if discriminator else []
    assert main(["export", str(runs / recipe), "-o", str(path), *more]) == 0
    assert capsys.readouterr().out == f"written: {path}\n"
    run = open_run(runs / recipe)
    net = run.networks()[discriminator]
    conditional = recipe == "cgan-digits" or (recipe == "acgan-digits" and not discriminator)
    given = _inputs(run, discriminator, conditional)
    y = onnxruntime.InferenceSession(str(path)).run(None, given)[0]
    expected = net(tuple(given.values()) if conditional else given["x"])
    numpy.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("recipe", ["pix2pix", "cyclegan"])
def test_a_net_of_images_takes_images(tmp_path, capsys, recipe):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    onnxruntime.set_default_logger_severity(3)
    quick = ["--steps", "1", "--batch-size", "4", "--frames", "0", "--quiet"]
    assert main(["train", recipe, *quick, "--out", str(tmp_path / "run")]) == 0
    run, path, rng = open_run(tmp_path / "run"), tmp_path / "net.onnx", numpy.random.default_rng(0)
    game = run.game()
    inputs = game.inputs(3, rng, run.load_data)
    for more in ([], ["--discriminator"]):
        assert main(["export", str(tmp_path / "run"), "-o", str(path), *more]) == 0
        net, images = game.exported(inputs, discriminator=bool(more))
        y = onnxruntime.InferenceSession(str(path)).run(None, {"x": images})[0]
        # Norms of a few pixels that are almost alike, as before training, make much of rounding.
        expected = net(images)
        numpy.testing.assert_allclose(y, expected, rtol=0, atol=0.02 * abs(expected).max())


def test_a_game_without_such_a_net_says_so():
    class Other(gan.BaseGame):
        """A game of one's own."""

    for discriminator, what in ((False, "makes samples by itself"), (True, "judges samples")):
        with pytest.raises(ValueError, match=rf"No net of Other {what}; export one of its nets"):
            Other().exported(None, discriminator=discriminator)


def test_the_module_of_pytorch(runs, tmp_path, capsys):
    torch = pytest.importorskip("torch")
    path = tmp_path / "g.py"
    assert main(["export", str(runs / "ring"), "--torch", "-o", str(path)]) == 0
    assert capsys.readouterr().out == f"written: {path}, {tmp_path / 'g.safetensors'}\n"
    run = open_run(runs / "ring")
    z = _inputs(run, False, False)["x"]
    with torch.no_grad():
        y = runpy.run_path(str(path))["load"]()(torch.tensor(z)).numpy()
    numpy.testing.assert_allclose(y, run.networks()[0](z), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("discriminator", [False, True])
def test_the_module_of_a_conditional_net_takes_pairs(runs, tmp_path, discriminator):
    torch = pytest.importorskip("torch")
    path, more = tmp_path / "net.py", ["--discriminator"] if discriminator else []
    assert main(["export", str(runs / "cgan-digits"), "--torch", "-o", str(path), *more]) == 0
    assert ", torch.arange(8) % 10))" in path.read_text()
    run = open_run(runs / "cgan-digits")
    x, labels = _inputs(run, discriminator, True).values()
    first = torch.tensor(numpy.moveaxis(x, -1, 1).copy())
    with torch.no_grad():
        y = runpy.run_path(str(path))["load"]()((first, torch.tensor(labels))).numpy()
    net = run.networks()[discriminator]
    numpy.testing.assert_allclose(numpy.moveaxis(y, 1, -1), net((x, labels)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("recipe", "options", "message"),
    [
        ("ring", ["-o", "g.png"], "must end in .onnx"),
        ("ring", ["--torch", "-o", "g.onnx"], "must end in .py"),
        ("ring", ["--torch", "-o", "torch.py"], "torch.py would hide the module 'torch'"),
        ("ring", ["--torch", "-o", "class.py"], "class.py couldn't be imported"),
        ("ring", ["-o", "nowhere/g.onnx"], "doesn't exist; create it first"),
        ("gumbel-textgan", ["--torch"], "has no known counterpart in PyTorch"),
    ],
)
def test_refusals_leave_nothing_behind(
    runs, tmp_path, monkeypatch, capsys, recipe, options, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(runs / recipe), *options]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert list(tmp_path.iterdir()) == []

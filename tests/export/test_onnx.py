"""Every layer as an ONNX graph, computed by onnxruntime, for batches of two sizes."""

import sys

import numpy
import pytest
from layer_cases import EVERY_CASE

from minigan import export, nn
from minigan.export.rules import RULES
from minigan.recipes import progressive, stylegan


def _layers():
    found = (getattr(nn, name) for name in nn.__all__)
    return {f for f in found if isinstance(f, type) and issubclass(f, nn.Layer)} - {nn.Layer}


def test_every_layer_has_a_rule():
    assert set(RULES) == _layers()


def _session(net, example):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    onnxruntime.set_default_logger_severity(3)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        export.to_onnx(net, example).SerializeToString(), options, ["CPUExecutionProvider"]
    )


def _moved_weights(net, rng):
    for p in net.parameters().values():
        p.value = p.value + 0.3 * rng.standard_normal(p.shape)
    for name, buffer in net.buffers().items():
        if "running" in name:
            buffer[...] = rng.uniform(0.5, 2, buffer.shape)
    return net


@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_onnxruntime_computes_what_the_layer_does(make, shape):
    rng = numpy.random.default_rng(0)
    net = _moved_weights(make(rng), rng)
    if getattr(net, "in_evaluation", False):
        pytest.importorskip("onnx")
        with pytest.raises(ValueError, match="draws noise in evaluation"):
            export.to_onnx(net, numpy.zeros(shape, "float32"))
        return
    x = rng.integers(0, 5, 7) if shape is None else rng.standard_normal(shape, "float32")
    before = net.state_dict()
    session = _session(net, x)
    held = isinstance(net, nn.Given)  # of one batch, for which it holds labels
    for batch in (x,) if held else (x, numpy.concatenate([x, x[::-1]])):
        y = session.run(None, {"x": batch})[0]
        expected = net(batch)
        numpy.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * (1 + abs(expected).max()))
    for name, array in net.state_dict().items():
        numpy.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("grown", [0.0, 0.25, 1.0, 1.5, 2.0])
@pytest.mark.parametrize("player", [0, 1])
def test_a_net_that_grows_is_written_as_far_as_it_has_grown(grown, player):
    rng = numpy.random.default_rng(0)
    net = progressive.networks(rng, rng, size=16, width=4, channels=3)[player]
    net.grown = numpy.array(grown)
    _moved_weights(net, rng)
    x = rng.standard_normal(net_input(net, player), "float32")
    numpy.testing.assert_allclose(
        _session(net, x).run(None, {"x": x})[0], net(x), rtol=1e-4, atol=1e-4
    )


def net_input(net, player):
    """A batch of pictures, or of latents."""
    return (8, 16, 16, 3) if player else (8, 64)


@pytest.mark.parametrize("player", [0, 1])
def test_a_net_of_styles(player):
    rng = numpy.random.default_rng(0)
    net = stylegan.networks(rng, rng, size=16, width=4, channels=3)[player]
    _moved_weights(net, rng)
    x = rng.standard_normal(net_input(net, player), "float32")
    numpy.testing.assert_allclose(
        _session(net, x).run(None, {"x": x})[0], net(x), rtol=1e-3, atol=1e-3
    )


class Doubled(nn.Layer):
    """A layer of somebody's own."""

    def forward(self, x, *, train=True):
        y = 2 * x
        return y, nn.Cache(self, y)

    def onnx(self, g, x, write):
        return g.multiply(x.name, 2)


def test_a_layer_of_ones_own_has_its_rule_with_it():
    x = numpy.ones((2, 3), "float32")
    net = nn.Sequential(nn.Tanh(), Doubled())
    numpy.testing.assert_allclose(_session(net, x).run(None, {"x": x})[0], net(x), rtol=1e-6)


def test_a_net_of_latents_and_labels_has_two_inputs():
    rng = numpy.random.default_rng(1)
    net = nn.Sequential(
        nn.Beside(nn.Tanh()), nn.ConcatenateLabels(3), nn.Linear(8, 4, rng=rng), nn.ReLU()
    )
    z, labels = rng.standard_normal((6, 5), "float32"), rng.integers(0, 3, 6)
    session = _session(net, (z, labels))
    assert [i.name for i in session.get_inputs()] == ["x", "labels"]
    assert [i.shape for i in session.get_inputs()] == [["N", 5], ["N"]]
    y = session.run(None, {"x": z, "labels": labels})[0]
    numpy.testing.assert_allclose(y, net((z, labels)), rtol=1e-5, atol=1e-6)


def test_a_net_keeps_its_precision():
    pytest.importorskip("onnx")
    net = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm(2)).astype("float64")
    before = net.state_dict()
    export.to_onnx(net, numpy.zeros((2, 3), "float32"))
    assert {array.dtype.name for array in before.values()} == {"float64"}
    for name, array in net.state_dict().items():
        assert array.dtype == before[name].dtype
        numpy.testing.assert_array_equal(array, before[name])


def test_what_cannot_be_exported_says_so(monkeypatch):
    class Own(nn.Tanh):
        """A subclass may compute something else."""

    x = numpy.zeros((2, 3), "float32")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ValueError, match=r"install minigan\[onnx\]"):
        export.to_onnx(nn.Tanh(), x)
    monkeypatch.undo()
    pytest.importorskip("onnx")
    with pytest.raises(ValueError, match="there is no rule for Own"):
        export.to_onnx(nn.Sequential(Own()), x)

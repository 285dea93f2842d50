"""Exported nets do in evaluation what the net does, also where that is unusual."""

import importlib.util

import numpy
import pytest

from minigan import export, nn

SAFETENSORS = pytest.importorskip("safetensors.numpy")
RNG = numpy.random.default_rng


def in_onnx(net, *inputs, names=("x", "labels")):
    pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    example = inputs if len(inputs) > 1 else inputs[0]
    model = export.to_onnx(net, example, names=names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, dict(zip(names, inputs, strict=False)))[0]


def in_torch(net, x, folder):
    torch = pytest.importorskip("torch")
    text, state = export.torch_source(net, input_shape=x.shape[1:], weights="w.safetensors")
    (folder / "net.py").write_text(text)
    SAFETENSORS.save_file(state, folder / "w.safetensors")
    spec = importlib.util.spec_from_file_location("exported", folder / "net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    given = x.transpose(0, 3, 1, 2).copy() if x.ndim == 4 else x
    y = module.load()(torch.from_numpy(given)).detach().numpy()
    return y.transpose(0, 2, 3, 1) if x.ndim == 4 else y


@pytest.mark.parametrize("to", ["onnx", "torch"])
def test_dropout_that_always_drops_drops(to, tmp_path):
    net = nn.Sequential(nn.Dropout(0.25, rng=RNG(0), always=True))
    x = numpy.ones((200, 50), "float32")
    y = in_onnx(net, x) if to == "onnx" else in_torch(net, x, tmp_path)
    assert set(numpy.unique(y.round(5))) == {numpy.float32(0), numpy.float32(1.33333)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize(("size", "to"), [(14, 46), (26, 22), (26, 44), (28, 46), (30, 58), (7, 3)])
def test_the_nearest_pixel_is_the_same_in_pytorch(size, to, tmp_path):
    """PyTorch's own upsampling takes the one before at some of these sizes."""
    net = nn.Sequential(nn.Resize((to, 3), mode="nearest"))
    x = RNG(0).standard_normal((1, size, 5, 2)).astype("float32")
    numpy.testing.assert_array_equal(in_torch(net, x, tmp_path), net(x))


def test_a_block_that_hands_labels_on_is_exported():
    labels, x = numpy.array([0, 1, 2]), RNG(0).standard_normal((3, 4)).astype("float32")
    block = nn.Sequential(nn.Beside(nn.Linear(4, 4, rng=RNG(1))), nn.Beside(nn.ReLU()))
    net = nn.Sequential(block, nn.ConcatenateLabels(3))
    numpy.testing.assert_allclose(in_onnx(net, x, labels), net((x, labels)), rtol=1e-5)
    with pytest.raises(ValueError, match="2 inputs were given, but 1 names"):
        export.to_onnx(net, (x, labels), names=("x",))


def test_sizes_may_be_numpys_integers():
    layer = nn.ConvTranspose1d(
        2, 3, kernel_size=4, stride=2, output_padding=numpy.int64(1), rng=RNG(0)
    )
    x = RNG(0).standard_normal((1, 5, 2)).astype("float32")
    numpy.testing.assert_allclose(in_onnx(layer, x), layer(x), rtol=1e-4, atol=1e-5)

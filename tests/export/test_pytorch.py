"""A net as a Python file for PyTorch: written, imported, loaded, and compared."""

import importlib.util

import numpy
import pytest

from minigan import export, interop, nn, recipes

torch = pytest.importorskip("torch")


def _loaded(net, shape, tmp_path):
    from safetensors.numpy import save_file

    text, state = export.torch_source(net, input_shape=shape, weights="net.safetensors")
    save_file(state, tmp_path / "net.safetensors")
    (tmp_path / "net.py").write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("net_of_a_test", tmp_path / "net.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def conv(c_in, c_out, kernel, **more):
    return nn.Conv2d(c_in, c_out, kernel_size=kernel, **more)


def attention(channels):
    layer = nn.SelfAttention(channels)
    layer.query, layer.out = nn.spectral_norm(layer.query), nn.spectral_norm(layer.out)
    return layer


NETS = {
    "generator": (
        lambda: nn.Sequential(
            nn.Linear(5, 24), nn.BatchNorm(24), nn.ReLU(), nn.Reshape(2, 3, 4),
            nn.ConvTranspose2d(4, 4, kernel_size=4, stride=2, padding=1, groups=2),
            nn.GroupNorm(2, 4), nn.SiLU(), nn.PixelShuffle(2), nn.Pad(1, mode="reflect"),
            conv(1, 3, 3, dilation=2, padding=2, padding_mode="circular"), nn.Tanh(),
        ),
        (5,),
    ),
    "critic": (
        lambda: nn.Sequential(
            nn.Sequential(nn.spectral_norm(conv(3, 4, 3, padding=1)), nn.PReLU(4)),
            nn.AveragePool(2), nn.GELU(), nn.InstanceNorm(4, affine=True), nn.ELU(0.5),
            nn.Upsample(2), nn.MaxPool(3, stride=2, padding=1), nn.Softplus(), nn.PixelUnshuffle(2),
            nn.Flatten(), nn.Dropout(0.2), nn.Linear(32, 3), nn.LayerNorm(3), nn.Softmax(),
        ),
        (8, 4, 3),
    ),
    "sounds": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, kernel_size=5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.ConvTranspose1d(4, 3, kernel_size=4, stride=2, padding=1), nn.Softmax(axis=1),
            nn.Flatten(), nn.Linear(24, 2), nn.Sigmoid(),
        ),
        (8, 2),
    ),
    "scaled weights": (
        lambda: nn.Sequential(
            nn.InstanceNoise(0.1), nn.Equalised(conv(3, 4, 3, padding=1), lr_multiplier=0.1),
            nn.LeakyReLU(0.2), nn.WeightNorm(conv(4, 2, 1, bias=False)), nn.Tanh(), nn.Flatten(),
            nn.Sequential(nn.Equalised(nn.Linear(24, 3), gain=1.0)),
        ),
        (4, 3, 3),
    ),
    "one number for each channel": (
        lambda: nn.Sequential(nn.Augment("brightness"), conv(3, 4, 3), nn.GlobalPool()), (4, 3, 3),
    ),
    "the largest of a sound": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, kernel_size=3), nn.PhaseShuffle(1), nn.GlobalPool("max"),
            nn.WeightNorm(nn.Linear(4, 1)),
        ),
        (8, 2),
    ),
    "paths around": (
        lambda: nn.Sequential(
            conv(3, 4, 3, padding=1),
            nn.Residual(
                nn.Equalised(conv(4, 6, 3, padding=1)), nn.ReLU(), nn.AveragePool(2),
                shortcut=nn.Sequential(nn.AveragePool(2), nn.WeightNorm(conv(4, 6, 1))),
            ),
            nn.Residual(nn.BatchNorm(6), nn.Residual(conv(6, 6, 1, bias=False))),
            nn.Skip(conv(6, 2, 3, padding=1), nn.PixelNorm()),
            nn.MinibatchStdDev(2), nn.Flatten(), nn.Linear(36, 3), nn.Residual(nn.Linear(3, 3)),
        ),
        (4, 4, 3),
    ),
    "layer norm of an image": (
        lambda: nn.Sequential(
            conv(3, 4, 1), nn.LayerNorm(4), nn.Residual(nn.LayerNorm(4)), nn.LayerNorm(4, 4, 4),
            nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 2),
        ),
        (4, 4, 3),
    ),
    "layer norm of a sequence": (
        lambda: nn.Sequential(
            nn.Conv1d(2, 4, kernel_size=1), nn.LayerNorm(4), nn.LayerNorm(4, 4), nn.GroupNorm(2, 4),
            nn.PixelNorm(), nn.PReLU(4), nn.BatchNorm(4),
        ),
        (4, 2),
    ),
    "layer norm of a film": (
        lambda: nn.Sequential(nn.LayerNorm(2), nn.LayerNorm(3, 4, 4, 2)), (3, 4, 4, 2),
    ),
    "attention": (
        lambda: nn.Sequential(
            nn.spectral_norm(conv(3, 16, 1)), attention(16), nn.SelfAttention(16, pool=1), conv(16, 1, 1),
        ),
        (4, 6, 3),
    ),
    "filters": (
        lambda: nn.Sequential(
            nn.Interpolate(2), nn.Downsample(2), nn.Interpolate(3, taps=(1, 2, 3, 2, 1)), nn.Blur(),
            nn.Downsample(2, taps=(1, 2, 1)), nn.Resize((5, 7)), nn.Resize(4, mode="nearest"),
        ),
        (4, 6, 2),
    ),
    "heads": (
        lambda: nn.Sequential(
            conv(3, 4, 3), nn.Flatten(), nn.PReLU(16), nn.Linear(16, 16), nn.Maxout(2), nn.Linear(8, 8),
            nn.Reshape(2, 2, 2), conv(2, 4, 1), nn.Flatten(), nn.LeakyReLU(0.2),
            nn.Branches(nn.Linear(16, 1), nn.Sequential(nn.ReLU(), nn.Linear(16, 3))),
        ),
        (4, 4, 3),
    ),
    "shares of a flattened image": (
        lambda: nn.Sequential(conv(3, 4, 3), nn.Flatten(), nn.Softmax(), nn.Linear(16, 2)),
        (4, 4, 3),
    ),
    "a generator with labels": (
        lambda: nn.Sequential(
            nn.ConcatenateLabels(3), nn.Linear(8, 16), nn.Reshape(2, 2, 4), nn.Softplus(),
        ),
        (5,),
    ),
    "images with labels": (
        lambda: nn.Sequential(nn.ConcatenateLabels(3, features=2), conv(4, 3, 2)), (4, 4, 2),
    ),
    "a projection": (
        lambda: nn.Projection(
            nn.Sequential(conv(2, 3, 3), nn.Flatten(), nn.LeakyReLU(0.1)), features=12, classes=3
        ),
        (4, 4, 2),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
def test_the_written_module_computes_what_the_net_does(name, tmp_path):
    make, shape = NETS[name]
    rng = numpy.random.default_rng(0)
    net = make()
    for p in net.parameters().values():
        p.value = p.value + 0.2 * rng.standard_normal(p.shape)
    for key, buffer in net.buffers().items():
        if "running" in key:
            buffer[...] = rng.uniform(0.5, 2, buffer.shape)
    for _, layer in net.layers():
        if isinstance(layer, nn.SpectralNorm):
            layer.iterate(15)
    _assert_alike(net, _loaded(net, shape, tmp_path), shape, rng)


def _assert_alike(net, theirs, shape, rng, classes=3):
    x = rng.standard_normal((4, *shape), "float32")
    first = torch.tensor(numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1)) if x.ndim > 2 else x)
    given = net[0] if isinstance(net, nn.Sequential) else net
    labels = numpy.arange(4) % classes
    pairs = isinstance(given, nn.ConcatenateLabels | nn.Projection)
    ours = net((x, labels)) if pairs else net(x)
    with torch.no_grad():
        y = theirs((first, torch.tensor(labels)) if pairs else first).numpy()
    y = numpy.moveaxis(y, 1, -1) if y.ndim > 2 else y
    numpy.testing.assert_allclose(y, ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["attention", "heads", "images with labels", "a projection", "layer norm of an image"]
)
def test_what_the_written_module_learns_comes_back(name, tmp_path):
    make, shape = NETS[name]
    net = make()
    theirs = _loaded(net, shape, tmp_path)
    with torch.no_grad():
        for p in theirs.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=torch.Generator().manual_seed(p.numel())))
    back = interop.from_torch(net, theirs.state_dict(), input_shape=shape)
    net.load_state_dict(back)
    for key, array in interop.to_torch(net, input_shape=shape).items():
        numpy.testing.assert_array_equal(array, theirs.state_dict()[key].numpy(), err_msg=key)


@pytest.mark.parametrize("name", ["mnist", "r3gan", "sagan", "cgan-cifar", "infogan"])
def test_the_nets_of_recipes_can_be_written(name, tmp_path):
    recipe, rng = recipes.get(name), numpy.random.default_rng(0)
    nets = recipe.networks(rng, numpy.random.default_rng(1))
    for net, shape in zip(nets, ((recipe.latent.size,), recipe.sample_shape), strict=True):
        _assert_alike(net, _loaded(net, shape, tmp_path), shape, rng, recipe.classes or 3)


@pytest.mark.parametrize(
    ("net", "message"),
    [
        (nn.Sequential(nn.PerFrame(nn.ReLU())), "no known counterpart"),
        (nn.Sequential(nn.Flatten(), nn.Maxout(2), nn.Linear(16, 1)), "is beside a flattened"),
        (nn.Sequential(nn.GlobalPool("sum")), "no pooling by sums"),
        (nn.Sequential(conv(2, 2, 3, padding=((0, 1), (1, 1)))), "the same on both sides"),
    ],
)
def test_what_pytorch_lacks_is_refused(net, message):
    with pytest.raises(ValueError, match=message):
        export.torch_source(net, input_shape=(4, 4, 2), weights="w")

"""Each layer against PyTorch's in float64: y, dx, the gradients of all parameters, running
statistics.
"""

import numpy
import pytest

from minigan import nn

torch = pytest.importorskip("torch")
CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def to_torch(x):
    """Channels last -> channels first."""
    return torch.tensor(
        numpy.moveaxis(x, -1, 1) if x.ndim == 4 else x, requires_grad=x.dtype.kind == "f"
    )


def to_numpy(t):
    a = t.detach().numpy()
    return numpy.moveaxis(a, 1, -1) if a.ndim == 4 else a


def compare(ours, theirs, x, weights, train=True):
    """`weights` maps our parameter names to (their tensor, axes that turn ours into theirs)."""
    ours.astype("float64")
    theirs.double().train(train)
    rng = numpy.random.default_rng(7)
    for name, (tensor, axes) in weights.items():
        value = rng.standard_normal(ours.parameters()[name].shape)
        ours.parameters()[name].value = value
        with torch.no_grad():
            tensor.copy_(torch.tensor(value.transpose(axes)))
    assert set(weights) == set(ours.parameters())
    for _ in range(2):  # twice: the second call shows what the first left in running statistics
        x_theirs = to_torch(x)
        y_theirs = theirs(x_theirs)
        y, cache = ours.forward(x, train=train)
        numpy.testing.assert_allclose(y, to_numpy(y_theirs), **CLOSE)
    dy = rng.standard_normal(y.shape)
    dx = ours.backward(dy, cache)
    y_theirs.backward(to_torch(dy).detach())
    if x.dtype.kind == "f":
        numpy.testing.assert_allclose(dx, to_numpy(x_theirs.grad), **CLOSE)
    for name, (tensor, axes) in weights.items():
        numpy.testing.assert_allclose(
            ours.parameters()[name].grad.transpose(axes), tensor.grad.numpy(), **CLOSE
        )


def drawn(*shape):
    return numpy.random.default_rng(0).standard_normal(shape)


@pytest.mark.parametrize("bias", [True, False])
def test_linear(bias):
    ours, theirs = nn.Linear(5, 3, bias=bias), torch.nn.Linear(5, 3, bias=bias)
    weights = {"weight": (theirs.weight, (1, 0))} | ({"bias": (theirs.bias, (0,))} if bias else {})
    compare(ours, theirs, drawn(4, 5), weights)


GEOMETRIES = [
    {"kernel_size": 1},
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 4, "stride": 2, "padding": 1},
    {"kernel_size": (2, 3), "stride": (3, 1), "padding": (0, 2)},
    {"kernel_size": (5, 1), "stride": (1, 2), "padding": (3, 0)},
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("size", [(6, 6), (7, 5)])
def test_conv(geometry, size):
    ours, theirs = nn.Conv2d(2, 3, **geometry), torch.nn.Conv2d(2, 3, **geometry)
    # (kh, kw, in, out) -> (out, in, kh, kw)
    compare(
        ours,
        theirs,
        drawn(3, *size, 2),
        {"weight": (theirs.weight, (3, 2, 0, 1)), "bias": (theirs.bias, (0,))},
    )


@pytest.mark.parametrize(
    "geometry",
    [
        *GEOMETRIES,
        {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1},
        {"kernel_size": (2, 3), "stride": (3, 2), "output_padding": (2, 1)},
    ],
)
@pytest.mark.parametrize("size", [(4, 4), (5, 3)])
def test_conv_transpose(geometry, size):
    ours, theirs = nn.ConvTranspose2d(2, 3, **geometry), torch.nn.ConvTranspose2d(2, 3, **geometry)
    # (kh, kw, out, in) -> (in, out, kh, kw)
    compare(
        ours,
        theirs,
        drawn(3, *size, 2),
        {"weight": (theirs.weight, (3, 2, 0, 1)), "bias": (theirs.bias, (0,))},
    )


def affine(theirs):
    axes = tuple(range(theirs.weight.ndim))
    return {"gamma": (theirs.weight, axes), "beta": (theirs.bias, axes)}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (4, 5, 2, 3), (2, 1, 1, 3)])
def test_batch_norm(train, shape):
    kind = torch.nn.BatchNorm2d if len(shape) == 4 else torch.nn.BatchNorm1d
    ours, theirs = nn.BatchNorm(3, eps=1e-3, momentum=0.3), kind(3, eps=1e-3, momentum=0.3)
    start = numpy.random.default_rng(1).uniform(0.5, 2, (2, 3))
    ours.running_mean, ours.running_var = start.copy()
    theirs.double()
    theirs.running_mean.copy_(torch.tensor(start[0]))
    theirs.running_var.copy_(torch.tensor(start[1]))
    compare(ours, theirs, drawn(*shape), affine(theirs), train=train)
    numpy.testing.assert_allclose(ours.running_mean, theirs.running_mean.numpy(), **CLOSE)
    numpy.testing.assert_allclose(ours.running_var, theirs.running_var.numpy(), **CLOSE)
    assert (ours.running_mean != start[0]).all() == train


def test_layer_norm_of_features():
    ours, theirs = nn.LayerNorm(5, eps=1e-3), torch.nn.LayerNorm(5, eps=1e-3)
    compare(ours, theirs, drawn(4, 5), affine(theirs))


def test_layer_norm_of_images():
    """PyTorch's normalises trailing axes, as ours: given channels last, both see the same."""
    ours = nn.LayerNorm(2, 3, 4).astype("float64")
    theirs = torch.nn.LayerNorm((2, 3, 4)).double()
    x, dy = drawn(2, 5, 2, 3, 4)
    ours.gamma.value, ours.beta.value = drawn(2, 2, 3, 4) + 1
    with torch.no_grad():
        theirs.weight.copy_(torch.tensor(ours.gamma.value))
        theirs.bias.copy_(torch.tensor(ours.beta.value))
    x_theirs = torch.tensor(x, requires_grad=True)
    y_theirs = theirs(x_theirs)
    y, cache = ours.forward(x)
    dx = ours.backward(dy, cache)
    y_theirs.backward(torch.tensor(dy))
    numpy.testing.assert_allclose(y, y_theirs.detach().numpy(), **CLOSE)
    numpy.testing.assert_allclose(dx, x_theirs.grad.numpy(), **CLOSE)
    numpy.testing.assert_allclose(ours.gamma.grad, theirs.weight.grad.numpy(), **CLOSE)
    numpy.testing.assert_allclose(ours.beta.grad, theirs.bias.grad.numpy(), **CLOSE)


@pytest.mark.parametrize("is_affine", [True, False])
def test_instance_norm(is_affine):
    ours, theirs = (
        nn.InstanceNorm(3, affine=is_affine),
        torch.nn.InstanceNorm2d(3, affine=is_affine),
    )
    compare(ours, theirs, drawn(4, 5, 2, 3), affine(theirs) if is_affine else {})


@pytest.mark.parametrize("shape", [(4, 5), (2, 3, 4, 5)])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.LeakyReLU(0.2), torch.nn.LeakyReLU(0.2)),
        (nn.ReLU(), torch.nn.ReLU()),
        (nn.Tanh(), torch.nn.Tanh()),
        (nn.Sigmoid(), torch.nn.Sigmoid()),
    ],
)
def test_activations(ours, theirs, shape):
    x = 3 * drawn(*shape)
    x.flat[:2] = 0, -0.0
    compare(ours, theirs, x, {})


def test_embedding():
    ours, theirs = nn.Embedding(4, 3), torch.nn.Embedding(4, 3)
    compare(ours, theirs, numpy.array([2, 0, 2, 3, 2]), {"weight": (theirs.weight, (0, 1))})


@pytest.mark.parametrize("factor", [2, (1, 3)])
def test_upsample(factor):
    compare(
        nn.Upsample(factor),
        torch.nn.Upsample(scale_factor=factor, mode="nearest"),
        drawn(2, 3, 4, 5),
        {},
    )


def test_reshapes_keep_channels_last():
    """What PyTorch does with channels first, ours does with channels last: the transposes
    cancel.
    """
    x = drawn(2, 3, 4, 5)
    numpy.testing.assert_array_equal(nn.Flatten()(x), torch.nn.Flatten()(torch.tensor(x)).numpy())
    numpy.testing.assert_array_equal(nn.Reshape(3, 4, 5)(nn.Flatten()(x)), x)


def test_initial_weights_follow_the_same_law():
    """Linear and Conv2d start as PyTorch's do: uniform within 1/√fan_in."""
    torch.manual_seed(0)
    rng = numpy.random.default_rng(0)
    for ours, theirs in [
        (nn.Linear(50, 200, rng=rng), torch.nn.Linear(50, 200)),
        (nn.Conv2d(8, 64, kernel_size=4, rng=rng), torch.nn.Conv2d(8, 64, 4)),
    ]:
        for mine, other in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
            assert abs(mine.value).max() == pytest.approx(abs(other).max().item(), rel=0.1)
            assert mine.value.std() == pytest.approx(other.std().item(), rel=0.2)


def test_a_whole_net():
    rng = numpy.random.default_rng(0)
    ours = nn.Sequential(
        nn.Conv2d(1, 4, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(4, 6, kernel_size=4, stride=2, padding=1, bias=False, rng=rng),
        nn.BatchNorm(6),
        nn.LeakyReLU(0.2),
        nn.ConvTranspose2d(6, 2, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.Tanh(),
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 4, 2, 1),
        torch.nn.LeakyReLU(0.2),
        torch.nn.Conv2d(4, 6, 4, 2, 1, bias=False),
        torch.nn.BatchNorm2d(6),
        torch.nn.LeakyReLU(0.2),
        torch.nn.ConvTranspose2d(6, 2, 4, 2, 1),
        torch.nn.Tanh(),
    )
    weights = {
        "0.weight": (theirs[0].weight, (3, 2, 0, 1)),
        "0.bias": (theirs[0].bias, (0,)),
        "2.weight": (theirs[2].weight, (3, 2, 0, 1)),
        "3.gamma": (theirs[3].weight, (0,)),
        "3.beta": (theirs[3].bias, (0,)),
        "5.weight": (theirs[5].weight, (3, 2, 0, 1)),
        "5.bias": (theirs[5].bias, (0,)),
    }
    compare(ours, theirs, drawn(5, 8, 8, 1), weights)

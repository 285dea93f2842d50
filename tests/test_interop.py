"""Weights exchanged with PyTorch: the outputs agree, both ways."""

import numpy
import pytest

from minigan import interop, nn

torch = pytest.importorskip("torch")
tnn = torch.nn
RNG = numpy.random.default_rng


def dcgan_generator():
    ours = nn.Sequential(
        nn.Linear(6, 4 * 3 * 5, bias=False),
        nn.Reshape(4, 3, 5),
        nn.BatchNorm(5),
        nn.ReLU(),
        nn.ConvTranspose2d(5, 4, kernel_size=(4, 3), stride=2, padding=1, output_padding=(0, 1)),
        nn.BatchNorm(4),
        nn.Upsample(2),
        nn.Conv2d(4, 2, kernel_size=3, padding=1),
        nn.Tanh(),
    )
    theirs = tnn.Sequential(
        tnn.Linear(6, 4 * 3 * 5, bias=False),
        tnn.Unflatten(1, (5, 4, 3)),
        tnn.BatchNorm2d(5),
        tnn.ReLU(),
        tnn.ConvTranspose2d(5, 4, (4, 3), stride=2, padding=1, output_padding=(0, 1)),
        tnn.BatchNorm2d(4),
        tnn.Upsample(scale_factor=2),
        tnn.Conv2d(4, 2, 3, padding=1),
        tnn.Tanh(),
    )
    return ours, theirs, (6,)


def discriminator():
    ours = nn.Sequential(
        nn.Conv2d(2, 3, kernel_size=(3, 4), stride=2, padding=1),
        nn.LeakyReLU(0.2),
        nn.InstanceNorm(3, affine=True),
        nn.Flatten(),
        nn.BatchNorm(3 * 4 * 3),
        nn.Dropout(0.3),
        nn.Linear(3 * 4 * 3, 7),
        nn.LayerNorm(7),
        nn.Sigmoid(),
        nn.Linear(7, 1),
    )
    theirs = tnn.Sequential(
        tnn.Conv2d(2, 3, (3, 4), stride=2, padding=1),
        tnn.LeakyReLU(0.2),
        tnn.InstanceNorm2d(3, affine=True),
        tnn.Flatten(),
        tnn.BatchNorm1d(3 * 4 * 3),
        tnn.Dropout(0.3),
        tnn.Linear(3 * 4 * 3, 7),
        tnn.LayerNorm(7),
        tnn.Sigmoid(),
        tnn.Linear(7, 1),
    )
    return ours, theirs, (8, 6, 2)


def normalised_before_the_picture():
    """Between a Linear and the Reshape stand layers with weights of their own: all in the picture's
    order.
    """
    ours = nn.Sequential(
        nn.Linear(3, 24),
        nn.BatchNorm(24),
        nn.ReLU(),
        nn.LayerNorm(24),
        nn.Reshape(3, 4, 2),
        nn.LayerNorm(3, 4, 2),
        nn.Sequential(nn.Conv2d(2, 2, kernel_size=2), nn.ReLU()),
    )
    theirs = tnn.Sequential(
        tnn.Linear(3, 24),
        tnn.BatchNorm1d(24),
        tnn.ReLU(),
        tnn.LayerNorm(24),
        tnn.Unflatten(1, (2, 3, 4)),
        tnn.LayerNorm((2, 3, 4)),
        tnn.Sequential(tnn.Conv2d(2, 2, 2), tnn.ReLU()),
    )
    return ours, theirs, (3,)


def spectrally_normalised():
    sn, tsn = nn.spectral_norm, tnn.utils.parametrizations.spectral_norm
    ours = nn.Sequential(
        sn(nn.Conv2d(2, 3, kernel_size=(3, 2))),
        nn.ReLU(),
        sn(nn.ConvTranspose2d(3, 2, kernel_size=(2, 3))),
        nn.Flatten(),
        sn(nn.Linear(5 * 7 * 2, 12)),
        nn.Reshape(3, 2, 2),
        sn(nn.Conv2d(2, 1, kernel_size=1)),
    )
    theirs = tnn.Sequential(
        tsn(tnn.Conv2d(2, 3, (3, 2))),
        tnn.ReLU(),
        tsn(tnn.ConvTranspose2d(3, 2, (2, 3))),
        tnn.Flatten(),
        tsn(tnn.Linear(5 * 7 * 2, 12)),
        tnn.Unflatten(1, (2, 3, 2)),
        tsn(tnn.Conv2d(2, 1, 1)),
    )
    return ours, theirs, (6, 6, 2)


NETS = [dcgan_generator, discriminator, normalised_before_the_picture, spectrally_normalised]
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def as_torch(x):
    tensor = torch.from_numpy(numpy.ascontiguousarray(x))
    return tensor.permute(0, 3, 1, 2) if x.ndim == 4 else tensor


def as_ours(y):
    y = y.detach().numpy()
    return y.transpose(0, 2, 3, 1) if y.ndim == 4 else y


def outputs(ours, theirs, shape, dtype):
    x = RNG(1).standard_normal((5, *shape)).astype(dtype)
    ours.astype(dtype)
    with torch.no_grad():
        y = as_ours(theirs.to(getattr(torch, dtype)).eval()(as_torch(x)))
    return ours(x), y


def shake(theirs):
    """Give every number a value of its own: ones and zeros would hide a wrong order."""
    with torch.no_grad():
        for tensor in [*theirs.parameters(), *theirs.buffers()]:
            if tensor.is_floating_point():
                tensor.copy_(
                    torch.from_numpy(RNG(tensor.numel()).uniform(0.5, 1.5, tuple(tensor.shape)))
                )
    return theirs


def agree(ours, theirs, tolerance):
    assert ours.shape == theirs.shape
    numpy.testing.assert_allclose(
        ours, theirs, rtol=tolerance, atol=tolerance * numpy.abs(theirs).max()
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("build", NETS)
def test_their_weights_in_our_net(build, dtype):
    ours, theirs, shape = build()
    shake(theirs.to(getattr(torch, dtype)))
    ours.load_state_dict(
        interop.from_torch(ours.astype(dtype), theirs.state_dict(), input_shape=shape)
    )
    agree(*outputs(ours, theirs, shape, dtype), TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("build", NETS)
def test_our_weights_in_their_net_and_back(build, dtype):
    ours, theirs, shape = build()
    ours.astype(dtype)
    for array in [*(p.value for p in ours.parameters().values()), *ours.buffers().values()]:
        array[...] = RNG(array.size).uniform(0.5, 1.5, array.shape)
    state = interop.to_torch(ours, input_shape=shape)
    theirs.to(getattr(torch, dtype))
    theirs.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()}, strict=True)
    agree(*outputs(ours, theirs, shape, dtype), TOLERANCE[dtype])
    back = interop.from_torch(ours, state, input_shape=shape)
    for name, array in ours.state_dict().items():
        numpy.testing.assert_array_equal(back[name], array, err_msg=name)
        assert back[name].dtype == array.dtype


def test_spectral_norm_by_its_older_names():
    ours, theirs = nn.Sequential(nn.spectral_norm(nn.Linear(4, 3))), tnn.Linear(4, 3)
    with pytest.warns(FutureWarning) if _old_warns() else _nothing():
        theirs = tnn.Sequential(tnn.utils.spectral_norm(theirs))
    theirs(torch.zeros(2, 4))
    state = theirs.state_dict()
    assert "0.weight_orig" in state
    ours.load_state_dict(interop.from_torch(ours, state))
    agree(*outputs(ours, theirs, (4,), "float32"), 1e-6)


def _old_warns():
    import warnings

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        tnn.utils.spectral_norm(tnn.Linear(2, 2))
    return any(issubclass(w.category, FutureWarning) for w in caught)


def _nothing():
    import contextlib

    return contextlib.nullcontext()


def test_other_names_and_plain_arrays():
    ours, theirs, shape = dcgan_generator()
    state = {
        f"module.main.{name}": tensor.numpy() for name, tensor in shake(theirs).state_dict().items()
    }
    ours.load_state_dict(interop.from_torch(ours, state, input_shape=shape))
    agree(*outputs(ours, theirs, shape, "float32"), 1e-6)


def test_an_embedding():
    ours = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2))
    theirs = tnn.Sequential(tnn.Embedding(5, 3), tnn.Linear(3, 2))
    ours.load_state_dict(interop.from_torch(ours, theirs.state_dict()))
    labels = numpy.array([0, 4, 2, 2])
    agree(ours(labels), theirs(torch.from_numpy(labels)).detach().numpy(), 1e-6)
    torch.testing.assert_close(
        torch.from_numpy(interop.to_torch(ours)["0.weight"]), theirs[0].weight.detach()
    )


# ---------------------------------------------------------------- what doesn't fit

LINEAR = nn.Sequential(nn.Linear(3, 2))


def state(**changes):
    whole = {"0.weight": numpy.zeros((2, 3)), "0.bias": numpy.zeros(2)} | {
        k.replace("_", "."): v for k, v in changes.items()
    }
    return {name: value for name, value in whole.items() if value is not None}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (
            state(**{"1_weight": numpy.zeros((1, 2))}),
            r"2 modules with weights \(0, 1\), but the net has 1 layers with weights \(0\)",
        ),
        ({}, r"0 modules with weights \(none\)"),
        (state(**{"0_bias": None}), "module '0' has no 'bias', which layer '0'"),
        (state(**{"0_more": numpy.zeros(2)}), "has a 'more', which layer '0'"),
        (
            state(**{"0_weight": numpy.zeros((3, 2))}),
            r"'0.weight' has shape \(3, 2\), but the net needs \(2, 3\)",
        ),
    ],
)
def test_a_state_of_another_net(wrong, words):
    with pytest.raises(ValueError, match=words):
        interop.from_torch(LINEAR, wrong)


def test_a_state_of_no_arrays():
    with pytest.raises(TypeError, match=r"'0.bias' is list"):
        interop.from_torch(LINEAR, state(**{"0_bias": [0.0, 0.0]}))


@pytest.mark.parametrize(
    ("net", "shape", "words"),
    [
        (nn.Sequential(nn.Conv2d(1, 2, kernel_size=2), nn.Flatten()), None, "give input_shape"),
        (nn.Sequential(nn.Conv2d(1, 2, kernel_size=2), nn.Flatten()), (3, 3, 1), "flattened image"),
        (
            nn.Sequential(nn.ReLU(), nn.Reshape(2, 2, 2), nn.Flatten(), nn.Linear(8, 1)),
            (8,),
            "flattened image",
        ),
        (
            nn.Sequential(nn.Conv2d(2, 2, kernel_size=1), nn.Reshape(1, 4, 2)),
            (2, 2, 2),
            "put a Flatten before it",
        ),
        (
            nn.Sequential(nn.Conv2d(2, 2, kernel_size=1), nn.Flatten(), nn.Reshape(2, 1, 4)),
            (2, 2, 2),
            "put a Linear between",
        ),
        (nn.Sequential(nn.MinibatchStdDev()), (2, 2, 2), "no known counterpart in PyTorch"),
        (nn.Sequential(nn.Residual(nn.Linear(2, 2))), (2,), "no known counterpart in PyTorch"),
        (
            nn.Sequential(nn.Conv2d(2, 2, kernel_size=1), nn.LayerNorm(2)),
            (3, 3, 2),
            "give it the whole shape",
        ),
        (nn.Sequential(nn.spectral_norm(nn.Embedding(3, 2))), None, "taken along another axis"),
    ],
)
def test_nets_without_an_equivalent(net, shape, words):
    with pytest.raises(ValueError, match=words):
        interop.to_torch(net, input_shape=shape)


def test_a_flattened_picture_of_one_channel_has_one_order():
    ours = nn.Sequential(nn.Reshape(3, 2, 1), nn.Conv2d(1, 1, kernel_size=2), nn.Flatten())
    theirs = tnn.Sequential(tnn.Unflatten(1, (1, 3, 2)), tnn.Conv2d(1, 1, 2), tnn.Flatten())
    ours.load_state_dict(interop.from_torch(ours, theirs.state_dict(), input_shape=(6,)))
    agree(*outputs(ours, theirs, (6,), "float32"), 1e-6)


def test_weights_in_bfloat16_are_taken_exactly():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(torch.nn.Linear(3, 4)).bfloat16()
    net = nn.Sequential(nn.Linear(3, 4))
    net.load_state_dict(interop.from_torch(net, theirs.state_dict()))
    numpy.testing.assert_array_equal(
        net[0].weight.value, theirs[0].weight.detach().float().numpy().T
    )


def test_a_file_of_safetensors_is_put_into_the_order_of_its_numbers():
    """Its names are sorted, "10" before "2", so layers of one shape would change places."""
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(*(nn.Linear(3, 3, rng=rng) for _ in range(12)))
    state = interop.to_torch(net)
    for prefix in ("", "main."):
        stored = {f"{prefix}{name}": state[name] for name in sorted(state)}
        for name, array in interop.from_torch(net, stored).items():
            numpy.testing.assert_array_equal(array, net.state_dict()[name])


def test_modules_of_the_same_names_are_matched_by_name():
    class Net(nn.Sequential):
        def children(self):
            yield from zip(("first", "last"), self.sequence, strict=True)

    rng = numpy.random.default_rng(0)
    net = Net(nn.Linear(3, 3, rng=rng), nn.Linear(3, 3, rng=rng))
    state = interop.to_torch(net)
    turned = {name: state[name] for name in reversed(state)}
    assert list(turned) != list(state)
    for name, array in interop.from_torch(net, turned).items():
        numpy.testing.assert_array_equal(array, net.state_dict()[name])

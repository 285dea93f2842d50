"""Weights exchanged with PyTorch: the outputs agree, both ways."""

import numpy
import pytest

from minigan import export, interop, nn

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
        (nn.Sequential(nn.PerFrame(nn.ReLU())), (2, 2, 2, 2), "no known counterpart in PyTorch"),
        (nn.Sequential(nn.Residual(nn.RMSNorm(2))), (2,), "no known counterpart in PyTorch"),
        (
            nn.Sequential(nn.Conv2d(2, 2, kernel_size=1), nn.LayerNorm(3, 2)),
            (3, 3, 2),
            "give it the whole shape",
        ),
        (
            nn.Sequential(nn.Conv1d(2, 2, kernel_size=1), nn.Residual(nn.LayerNorm(2))),
            None,
            "where they come first; give input_shape",
        ),
        (nn.Sequential(nn.spectral_norm(nn.Embedding(3, 2))), None, "taken along another axis"),
    ],
)
def test_nets_without_an_equivalent(net, shape, words):
    with pytest.raises(ValueError, match=words):
        interop.to_torch(net, input_shape=shape)


@pytest.mark.parametrize("shape", [(3, 3), (3, 3, 3), (3, 3, 3, 3)])
def test_a_layer_norm_of_channels_is_not_taken_for_one_of_the_last_axis(shape):
    """Of as many pixels as channels, PyTorch's own would go without an error."""
    net, theirs = nn.Sequential(nn.LayerNorm(3)), tnn.Sequential(tnn.LayerNorm(3))
    state = interop.to_torch(net, input_shape=shape)
    assert list(state) == ["0.gamma", "0.beta"]
    with pytest.raises(RuntimeError, match=r"Missing key.*0\.weight"):
        theirs.load_state_dict({name: torch.from_numpy(a) for name, a in state.items()})
    with pytest.raises(ValueError, match="'0' has no 'gamma'"):
        interop.from_torch(net, theirs.state_dict(), input_shape=shape)
    assert list(interop.to_torch(net, input_shape=(3,))) == ["0.weight", "0.bias"]


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


def test_float8_is_taken_exactly_and_what_cannot_be_taken_is_named():
    net = nn.Sequential(nn.Linear(3, 4))
    theirs = tnn.Sequential(tnn.Linear(3, 4)).state_dict()
    small = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in theirs.items()}
    numpy.testing.assert_array_equal(
        interop.from_torch(net, small)["0.weight"], small["0.weight"].float().numpy().T
    )
    for odd in (torch.zeros(4, device="meta"), torch.eye(4)[0].to_sparse(), torch.zeros(4) * 1j):
        with pytest.raises(TypeError, match=r"'0\.bias' (can't be turned into|is complex)"):
            interop.from_torch(net, theirs | {"0.bias": odd})


# ---------------------------------------------------------------- the order of a file's names


def deep(count, seed=0):
    """Linear layers of equal shapes, each with numbers of its own: a wrong order would fit."""
    rng = RNG(seed)
    layers = [layer for _ in range(count) for layer in (nn.Linear(3, 3, rng=rng), nn.Tanh())]
    return nn.Sequential(*layers)


def through_a_file(state, path):
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(state, path)
    return safetensors.load_file(path)


@pytest.mark.parametrize("prefix", ["", "main.", "module.net.0."])
def test_numbers_in_alphabetical_order_are_put_in_order(tmp_path, prefix):
    net, other = deep(7), deep(7, seed=1)
    state = {f"{prefix}{name}": a for name, a in interop.to_torch(net).items()}
    read = through_a_file(state, tmp_path / "net.safetensors")
    assert list(read) != list(state)
    other.load_state_dict(interop.from_torch(other, read))
    x = RNG(2).standard_normal((4, 3)).astype("float32")
    numpy.testing.assert_array_equal(other(x), net(x))


def renamed(net, names):
    """The state of a net of the same layers, under other names in the net's order."""
    arrays = interop.to_torch(net)
    kept = list(dict.fromkeys(key.split(".")[0] for key in arrays))
    word = dict(zip(kept, names, strict=True))
    return {f"{word[(parts := key.split('.'))[0]]}.{parts[1]}": a for key, a in arrays.items()}


def test_numbered_words_are_put_in_order_too(tmp_path):
    net, other = deep(12), deep(12, seed=1)
    names = [f"block{i}.fc" for i in range(1, 13)]
    arrays = list(interop.to_torch(net).values())
    state = {
        f"{name}.{kind}": array
        for name, pair in zip(names, zip(arrays[::2], arrays[1::2], strict=True), strict=True)
        for kind, array in zip(("weight", "bias"), pair, strict=True)
    }
    read = through_a_file(state, tmp_path / "net.safetensors")
    for given in (state, read):
        other.load_state_dict(interop.from_torch(other, given))
        numpy.testing.assert_array_equal(other[22].weight.value, net[22].weight.value)
        numpy.testing.assert_array_equal(other[2].weight.value, net[2].weight.value)


def test_words_in_alphabetical_order_that_could_be_exchanged_are_refused():
    from collections import OrderedDict

    net = deep(3)
    state = renamed(net, ("stem", "body", "out"))
    numpy.testing.assert_array_equal(interop.from_torch(net, state)["0.bias"], state["stem.bias"])
    as_read = dict(sorted(state.items()))
    with pytest.raises(ValueError, match="'body' and 'out' have the same shapes, so it can't"):
        interop.from_torch(net, as_read)
    chosen = OrderedDict(as_read)
    numpy.testing.assert_array_equal(interop.from_torch(net, chosen)["0.bias"], state["body.bias"])


def test_words_in_a_chosen_order_keep_it():
    net = deep(3)
    for names in (("up3", "up2", "up1"), ("z", "a", "m")):
        state = renamed(net, names)
        converted = interop.from_torch(net, state)
        numpy.testing.assert_array_equal(converted["2.bias"], state[f"{names[1]}.bias"])


# ---------------------------------------------------------------- what a checkpoint holds besides


def test_the_state_in_a_checkpoint_is_found():
    net, theirs = nn.Sequential(nn.Linear(3, 2)), tnn.Sequential(tnn.Linear(3, 2))
    adam = torch.optim.Adam(theirs.parameters())
    expected = interop.from_torch(net, theirs.state_dict())
    whole = {
        "epoch": 3, "loss": torch.tensor(0.5), "model_state_dict": theirs.state_dict(),
        "optimizer_state_dict": adam.state_dict(), "schedule": {},
    }  # fmt: skip
    for given in (whole, theirs, {"state_dict": theirs.state_dict()}):
        for name, array in interop.from_torch(net, given).items():
            numpy.testing.assert_array_equal(array, expected[name])
    both = {"generator": theirs.state_dict(), "ema": theirs.state_dict(), "step": 1}
    with pytest.raises(ValueError, match=r"several states, 'generator', 'ema'; give one of them"):
        interop.from_torch(net, both)
    with pytest.raises(TypeError, match=r"The state is list.*give torch_net\.state_dict\(\)"):
        interop.from_torch(net, [1, 2])


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


def test_a_reshape_to_a_row_orders_features_as_a_flatten_does():
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, kernel_size=3, padding=1, rng=rng),
        nn.Reshape(64),
        nn.Linear(64, 2, rng=rng),
    )
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.Flatten(), torch.nn.Linear(64, 2)
    )
    state = interop.from_torch(net, theirs.state_dict(), input_shape=(4, 4, 3))
    net.load_state_dict(state)
    x = rng.standard_normal((2, 4, 4, 3)).astype("float32")
    expected = theirs(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).detach().numpy()
    numpy.testing.assert_allclose(net(x), expected, atol=1e-5)
    text, _ = export.torch_source(
        net, input_shape=(4, 4, 3), weights="w.safetensors", title='of "C:\\Users" and """'
    )
    made = {"__file__": "net.py"}
    exec(text, made)
    other = made["build"]()
    other.load_state_dict({n: torch.from_numpy(a) for n, a in export.torch_source(
        net, input_shape=(4, 4, 3), weights="w.safetensors"
    )[1].items()})  # fmt: skip
    found = other(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).detach().numpy()
    numpy.testing.assert_allclose(net(x), found, atol=1e-5)

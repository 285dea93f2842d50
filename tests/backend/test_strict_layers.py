"""Every layer, forward and backward, on the array class that refuses what CuPy refuses."""

import copy

import numpy
import pytest
from layer_cases import CASES, EVERY_CASE, FLAT, HELD, IMAGE, PAIRS
from strict_array import StrictNamespace
from strict_cuda import strict_cuda

from minigan import backend, nn
from minigan.backend.cuda.graph import Recording

DEVICES = pytest.mark.parametrize(
    "device", [lambda: StrictNamespace().backend, strict_cuda], ids=["readable", "kernels"]
)


def test_every_layer_of_the_library_has_a_case():
    """A new layer must be shown to run on a device, too."""
    layers = {
        n
        for n in nn.__all__
        if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Layer)
    }
    assert layers - {"Layer", *PAIRS} == set(CASES), (
        "give each layer of minigan.nn an entry in CASES"
    )


def _assert_close(ours, theirs):
    """Within float32 rounding of sums whose largest terms are of the size of the largest entry."""
    numpy.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6 * (1 + abs(theirs).max()))


def _moved(net, ops):
    """Move a net, and the labels that it holds."""
    net.to(ops)
    if isinstance(net, nn.Given):
        net.labels = ops.asarray(HELD)
    return net


def _walk(net, x, ops, train):
    """One forward and backward; everything that comes out, by name, on the host."""
    y, cache = net.forward(ops.asarray(x), train=train)
    dy = ops.asarray(numpy.random.default_rng(2).standard_normal(y.shape, "float32"))
    dx = net.backward(dy, cache)
    net.backward(dy, cache, param_grads=False)
    net.backward(dy, cache, input_grad=False)
    out = (
        {"y": y, "dx": dx} | {name: p.grad for name, p in net.parameters().items()} | net.buffers()
    )
    return {name: None if a is None else backend.to_numpy(a) for name, a in out.items()}


@DEVICES
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_a_layer_computes_on_the_strict_device_what_it_computes_on_the_cpu(
    make, shape, train, device
):
    net = make(numpy.random.default_rng(0))
    for name, p in net.parameters().items():
        p.value = numpy.random.default_rng(len(name)).normal(1, 0.3, p.shape).astype("float32")
    rng = numpy.random.default_rng(1)
    x = rng.integers(0, 5, 7) if shape is None else rng.standard_normal(shape, "float32")
    ops = device()
    if train and _draws(net):
        pytest.skip("each device has masks of its own; the kernel's have a twin in test_kernels")
    other = copy.deepcopy(net)
    here = _walk(net, x, backend.get("cpu"), train)
    there = _walk(_moved(other, ops), x, ops, train)

    assert here.keys() == there.keys()
    for name, a in here.items():
        if a is None:
            assert there[name] is None
        else:
            assert there[name].dtype == "float32"
            _assert_close(there[name], a)


@pytest.mark.parametrize(
    "device",
    [lambda: backend.get("cpu"), lambda: StrictNamespace().backend, strict_cuda],
    ids=["cpu", "readable", "kernels"],
)
def test_a_bias_before_batch_norm_gets_no_gradient(device):
    """The mean takes the bias out again, so the terms of its gradient cancel: what is left is their
    rounding.
    """
    ops, rng = device(), numpy.random.default_rng(0)
    convolution = nn.Conv2d(3, 4, kernel_size=3, rng=rng).to(ops)
    norm = nn.BatchNorm(4).to(ops)
    y, below = convolution.forward(ops.asarray(rng.standard_normal(IMAGE, "float32")), train=True)
    z, above = norm.forward(y, train=True)
    dy = norm.backward(ops.asarray(rng.standard_normal(z.shape, "float32")), above)
    convolution.backward(dy, below)
    terms = abs(ops.to_numpy(dy)).sum((0, 1, 2))
    assert (terms > 10).all()
    assert (abs(ops.to_numpy(convolution.bias.grad)) <= numpy.finfo("float32").eps * terms).all()


def test_a_bias_and_the_activation_behind_it_are_one_launch():
    rng = numpy.random.default_rng(0)

    class Own(nn.Tanh):
        """A subclass has a forward map of its own."""

    net = nn.Sequential(
        nn.Linear(6, 5, rng=rng), nn.Tanh(),
        nn.Linear(5, 4, bias=False, rng=rng), nn.LeakyReLU(0.3),
        nn.Linear(4, 4, rng=rng), nn.Sigmoid(),
        nn.Linear(4, 3, rng=rng), nn.ReLU(),
        nn.Linear(3, 2, rng=rng), Own(),
    )  # fmt: skip
    ops = strict_cuda()
    bias = net[0].bias
    net.to(ops)
    x = ops.asarray(rng.standard_normal(FLAT, "float32"))
    ops._launch.launched.clear()
    y, cache = net.forward(x)
    assert ops._launch.launched == ["bias_tanh", "leaky_relu", "bias_sigmoid", "bias_leaky_relu"]
    # What is kept for the backward maps belongs to each layer, as ever.
    assert [inner.owner for inner in cache.saved[0]] == list(net)
    assert net[0].bias is bias
    net.backward(y, cache)
    assert abs(ops.to_numpy(net[0].bias.grad)).min() > 0


def test_a_joined_pair_says_which_layer_refused():
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(nn.Linear(6, 5, rng=rng), nn.Tanh(), nn.Linear(4, 4, rng=rng), nn.Tanh())
    ops = strict_cuda()
    net.to(ops)
    with pytest.raises(
        ValueError, match=r"Linear\(4, 4\) got an input of shape \(4, 5\).*\n\[layer 2 of 4"
    ):
        net.forward(ops.asarray(rng.standard_normal(FLAT, "float32")))


def _draws(net):
    return any(isinstance(layer, nn.Dropout) and layer.p for _, layer in net.layers())


def _has_second_derivative(net):
    """Embedding, and layers that draw or couple the samples of a batch, have none; they refuse."""
    return not (
        _draws(net)
        or any(
            isinstance(
                layer,
                (
                    nn.Embedding,
                    nn.BatchNorm,
                    nn.GRU,
                    nn.GumbelSoftmax,
                    nn.ConditionalBatchNorm,
                    nn.VirtualBatchNorm,
                ),
            )
            for _, layer in net.layers()
        )
    )


@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_every_layer_can_be_recorded_into_a_graph(make, shape):
    """Forward, backward and twice backward: no waiting for the device, nothing that CuPy can't
    capture.
    """
    ops = strict_cuda()
    net = _moved(make(numpy.random.default_rng(0)), ops)
    rng = numpy.random.default_rng(1)
    x = ops.asarray(
        rng.integers(0, 5, 7) if shape is None else rng.standard_normal(shape, "float32")
    )
    dy = ops.asarray(rng.standard_normal(net.output_shape(x.shape), "float32"))
    ops.recording = Recording(ops, [])
    with ops.xp.capturing():
        _, cache = net.forward(x, train=True)
        net.backward(dy, cache)
        net.zero_grad()
        if _has_second_derivative(net):
            net.double_backward(x, dy, cache)


@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_twice_backward_on_the_device_is_that_on_the_cpu(make, shape):
    net = make(numpy.random.default_rng(0))
    if not _has_second_derivative(net):
        pytest.skip("has no second derivative")
    rng = numpy.random.default_rng(1)
    x, v = (rng.standard_normal(shape, "float32") for _ in range(2))
    dy = rng.standard_normal(net.output_shape(x.shape), "float32")
    results = []
    for ops, one in ((backend.get("cpu"), copy.deepcopy(net)), (strict_cuda(), net)):
        _moved(one, ops)
        _, cache = one.forward(ops.asarray(x), train=True)
        dx, tangent = one.double_backward(ops.asarray(v), ops.asarray(dy), cache)
        found = {"dx": dx, "tangent": tangent} | {
            name: p.grad for name, p in one.parameters().items()
        }
        results.append({name: None if a is None else ops.to_numpy(a) for name, a in found.items()})
    for name, a in results[0].items():
        if a is None:
            assert results[1][name] is None
        else:
            _assert_close(results[1][name], a)


@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_a_checkpoint_of_either_device_loads_on_the_other(make, shape):
    xp = StrictNamespace()
    cpu, strict = (
        make(numpy.random.default_rng(0)),
        _moved(make(numpy.random.default_rng(1)), xp.backend),
    )
    strict.load_state_dict(cpu.state_dict())
    back = make(numpy.random.default_rng(2))
    back.load_state_dict(strict.state_dict())
    for name, a in back.state_dict().items():
        numpy.testing.assert_array_equal(a, cpu.state_dict()[name])


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("slope", [0.0, 0.2])
def test_batch_norm_joined_with_its_activation_has_the_gradients_of_the_two(slope, train):
    ops, rng = strict_cuda(), numpy.random.default_rng(0)
    here = nn.Sequential(nn.BatchNorm(3), nn.LeakyReLU(slope))
    here.sequence[0].gamma.value[...] = rng.standard_normal(3)
    here.sequence[0].beta.value[...] = rng.standard_normal(3)
    there = copy.deepcopy(here).to(ops)
    x, dy = (rng.standard_normal((40, 3), "float32") for _ in range(2))
    y, cache = here.forward(x, train=train)
    y_there, cache_there = there.forward(ops.asarray(x), train=train)
    numpy.testing.assert_allclose(ops.to_numpy(y_there), y, rtol=1e-5, atol=1e-6)
    for param_grads in (False, True):
        dx = here.backward(dy, cache, param_grads=param_grads)
        dx_there = there.backward(ops.asarray(dy), cache_there, param_grads=param_grads)
        numpy.testing.assert_allclose(ops.to_numpy(dx_there), dx, rtol=1e-4, atol=1e-5)
        for name, p in here.parameters().items():
            ours = ops.to_numpy(there.parameters()[name].grad)
            assert ours.any() == param_grads
            numpy.testing.assert_allclose(ours, p.grad, rtol=1e-4, atol=1e-4)
    assert ("rectified_sums" in ops._launch.launched) == train

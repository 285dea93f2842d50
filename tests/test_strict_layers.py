"""Every layer, forward and backward, on the array class that refuses what CuPy refuses."""

import copy

import numpy
import pytest
from strict_array import StrictNamespace

from minigan import backend, nn

FLAT, IMAGE = (4, 6), (4, 5, 6, 3)
CASES = {
    "Linear": [
        (lambda rng: nn.Linear(6, 5, rng=rng), FLAT),
        (lambda rng: nn.Linear(6, 5, bias=False, rng=rng), FLAT),
    ],
    "Conv2d": [
        (lambda rng: nn.Conv2d(3, 4, kernel_size=3, padding=1, rng=rng), IMAGE),
        (
            lambda rng: nn.Conv2d(3, 4, kernel_size=(4, 3), stride=(2, 1), padding=(1, 0), bias=False, rng=rng),
            IMAGE,
        ),
        (lambda rng: nn.Conv2d(3, 4, kernel_size=4, stride=2, padding=1, rng=rng), (4, 8, 8, 3)),
    ],
    "ConvTranspose2d": [
        (lambda rng: nn.ConvTranspose2d(3, 4, kernel_size=4, stride=2, padding=1, rng=rng), IMAGE),
        (
            lambda rng: nn.ConvTranspose2d(3, 2, kernel_size=3, stride=2, output_padding=1, bias=False, rng=rng),
            IMAGE,
        ),
    ],
    "BatchNorm": [(lambda rng: nn.BatchNorm(6), FLAT), (lambda rng: nn.BatchNorm(3), IMAGE)],
    "LayerNorm": [(lambda rng: nn.LayerNorm(6), FLAT), (lambda rng: nn.LayerNorm(5, 6, 3), IMAGE)],
    "InstanceNorm": [
        (lambda rng: nn.InstanceNorm(3), IMAGE),
        (lambda rng: nn.InstanceNorm(3, affine=True), IMAGE),
    ],
    "LeakyReLU": [(lambda rng: nn.LeakyReLU(0.2), IMAGE)],
    "ReLU": [(lambda rng: nn.ReLU(), FLAT)],
    "Tanh": [(lambda rng: nn.Tanh(), FLAT)],
    "Sigmoid": [(lambda rng: nn.Sigmoid(), FLAT)],
    "Dropout": [(lambda rng: nn.Dropout(0.5, rng=rng), IMAGE), (lambda rng: nn.Dropout(0.0, rng=rng), FLAT)],
    "Embedding": [(lambda rng: nn.Embedding(5, 3, rng=rng), None)],
    "Flatten": [(lambda rng: nn.Flatten(), IMAGE)],
    "Reshape": [(lambda rng: nn.Reshape(6, 15), IMAGE)],
    "Upsample": [(lambda rng: nn.Upsample(2), IMAGE), (lambda rng: nn.Upsample((1, 3)), IMAGE)],
    "Sequential": [
        (
            lambda rng: nn.Sequential(
                nn.Conv2d(3, 4, kernel_size=3, rng=rng), nn.BatchNorm(4), nn.LeakyReLU(), nn.Flatten()
            ),
            IMAGE,
        )
    ],
}
EVERY_CASE = [
    pytest.param(*case, id=f"{name}-{i}") for name, cases in CASES.items() for i, case in enumerate(cases)
]


def test_every_layer_of_the_library_has_a_case():
    """A new layer must be shown to run on a device, too."""
    layers = {n for n in nn.__all__ if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Layer)}
    assert layers - {"Layer"} == set(CASES), "give each layer of minigan.nn an entry in CASES"


def _walk(net, x, dy, train):
    """One forward and backward; everything that comes out, by name, on the host."""
    y, cache = net.forward(x, train=train)
    dx = net.backward(dy(y), cache)
    net.backward(dy(y), cache, param_grads=False)
    net.backward(dy(y), cache, input_grad=False)
    out = {"y": y, "dx": dx} | {name: p.grad for name, p in net.parameters().items()} | net.buffers()
    return {name: None if a is None else backend.to_numpy(a) for name, a in out.items()}


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_a_layer_computes_on_the_strict_device_what_it_computes_on_the_cpu(make, shape, train):
    net = make(numpy.random.default_rng(0))
    for name, p in net.parameters().items():
        p.value = numpy.random.default_rng(len(name)).normal(1, 0.3, p.shape).astype("float32")
    rng = numpy.random.default_rng(1)
    x = rng.integers(0, 5, 7) if shape is None else rng.standard_normal(shape, "float32")
    dy = rng.standard_normal(net.output_shape(x.shape), "float32")

    other = copy.deepcopy(net)
    here = _walk(net, x, lambda y: dy, train)
    xp = StrictNamespace()
    other.to(xp.backend)
    there = _walk(other, xp.asarray(x), lambda y: xp.asarray(dy), train)

    assert here.keys() == there.keys()
    for name, a in here.items():
        if a is None:
            assert there[name] is None
        else:
            assert there[name].dtype == "float32"
            numpy.testing.assert_allclose(there[name], a, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_no_layer_makes_the_host_wait(make, shape):
    xp = StrictNamespace()
    net = make(numpy.random.default_rng(0)).to(xp.backend)
    if any(isinstance(layer, nn.Dropout) and layer.p for _, layer in net.layers()):
        pytest.skip("dropout's masks come from the host's generator here; CudaBackend draws its own under capture")
    rng = numpy.random.default_rng(1)
    x = xp.asarray(rng.integers(0, 5, 7) if shape is None else rng.standard_normal(shape, "float32"))
    dy = xp.asarray(rng.standard_normal(net.output_shape(x.shape), "float32"))
    with xp.no_sync():
        _, cache = net.forward(x, train=True)
        net.backward(dy, cache)
        net.zero_grad()
        net.state_dict()


@pytest.mark.parametrize(("make", "shape"), EVERY_CASE)
def test_a_checkpoint_of_either_device_loads_on_the_other(make, shape):
    xp = StrictNamespace()
    cpu, strict = make(numpy.random.default_rng(0)), make(numpy.random.default_rng(1)).to(xp.backend)
    strict.load_state_dict(cpu.state_dict())
    back = make(numpy.random.default_rng(2))
    back.load_state_dict(strict.state_dict())
    for name, a in back.state_dict().items():
        numpy.testing.assert_array_equal(a, cpu.state_dict()[name])

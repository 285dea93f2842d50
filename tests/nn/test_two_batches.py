"""Two batches in one pass: the same numbers, and only where it is the same map."""

import numpy
import pytest
from layer_cases import EVERY_CASE

from minigan import nn


def _net(rng, *more):
    conv = nn.Conv2d(1, 4, kernel_size=4, stride=2, padding=1, rng=rng)
    layers = [conv, nn.LeakyReLU(0.2), *more, nn.Flatten(), nn.Linear(64, 1, rng=rng)]
    return nn.Sequential(*layers).astype("float64")


@pytest.mark.parametrize(
    "more", [(), (nn.Residual(nn.Tanh()), nn.LayerNorm(4))], ids=["plain", "containers"]
)
def test_logits_and_gradients_are_those_of_two_passes(more):
    rng = numpy.random.default_rng(0)
    net = _net(rng, *more)
    a, b = rng.normal(size=(5, 8, 8, 1)), rng.normal(size=(3, 8, 8, 1))
    dy_a, dy_b = rng.normal(size=(5, 1)), rng.normal(size=(3, 1))
    (y_a, cache_a), (y_b, cache_b) = net.forward(a), net.forward(b)
    net.backward(dy_a, cache_a)
    net.backward(dy_b, cache_b)
    apart = {name: p.grad.copy() for name, p in net.parameters().items()}
    for p in net.parameters().values():
        p.grad[...] = 0

    both_a, both_b, caches = nn.forward_both(net, a, b)
    nn.backward_both(net, dy_a, dy_b, caches)
    assert len(caches) == 1
    numpy.testing.assert_allclose(both_a, y_a, rtol=1e-12)
    numpy.testing.assert_allclose(both_b, y_b, rtol=1e-12)
    for name, p in net.parameters().items():
        numpy.testing.assert_allclose(p.grad, apart[name], rtol=1e-10, atol=1e-12, err_msg=name)


class Centred(nn.LeakyReLU):
    """A subclass of a layer that looks at each sample alone, which doesn't."""

    def forward(self, x, *, train=True):
        return super().forward(x - x.mean(axis=0), train=train)


@pytest.mark.parametrize(
    "layer",
    [nn.BatchNorm(4), nn.Pack(2), nn.MinibatchStdDev(), Centred(0.2), nn.Residual(nn.BatchNorm(4))],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_that_compare_samples_see_each_batch_by_itself(layer):
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(nn.Linear(3, 4, rng=rng), layer).astype("float64")
    a, b = rng.normal(size=(8, 3)), 5 + rng.normal(size=(8, 3))
    y_a, y_b, caches = nn.forward_both(net, a, b)
    assert len(caches) == 2
    numpy.testing.assert_array_equal(y_a, net.forward(a)[0])
    numpy.testing.assert_array_equal(y_b, net.forward(b)[0])
    dy_a, dy_b = rng.normal(size=y_a.shape), rng.normal(size=y_b.shape)
    nn.backward_both(net, dy_a, dy_b, caches)
    both = net[0].weight.grad.copy()
    net.zero_grad()
    for x, dy in ((a, dy_a), (b, dy_b)):
        net.backward(dy, net.forward(x)[1])
    numpy.testing.assert_allclose(both, net[0].weight.grad, rtol=1e-12)


def _says_so(make, shape):
    layer = make(numpy.random.default_rng(0))
    return layer.samplewise and not layer.generators()  # dropout draws anew for each call


@pytest.mark.parametrize(("make", "shape"), [case for case in EVERY_CASE if _says_so(*case.values)])
def test_a_layer_that_says_so_maps_each_sample_by_itself(make, shape):
    rng = numpy.random.default_rng(0)
    layer, x = make(rng).astype("float64"), rng.normal(size=shape)
    with nn.frozen_statistics(layer):  # spectral norm turns u and v once for each call
        y, _ = layer.forward(x)
        for i in range(len(x)):
            numpy.testing.assert_allclose(
                layer.forward(x[i : i + 1])[0], y[i : i + 1], rtol=1e-12, atol=1e-12
            )


def test_spectral_norm_takes_one_step_of_its_iteration_for_both_batches():
    rng = numpy.random.default_rng(0)
    layer = nn.SpectralNorm(nn.Linear(3, 2, rng=rng), rng=rng)
    layer.u[...], layer.v[...] = (1, 0), (1, 0, 0)  # far from the singular vectors
    start = layer.u.copy(), layer.v.copy()
    nn.forward_both(layer, rng.normal(size=(4, 3)), rng.normal(size=(4, 3)))
    turned = layer.u.copy(), layer.v.copy()
    layer.u[...], layer.v[...] = start
    layer.iterate(1)
    numpy.testing.assert_array_equal(turned[0], layer.u)
    numpy.testing.assert_array_equal(turned[1], layer.v)


def test_batches_of_different_kinds_stay_apart():
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(nn.Linear(2, 1, rng=rng))
    a, b = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)).astype("float32")
    assert len(nn.forward_both(net, a, b)[2]) == 2

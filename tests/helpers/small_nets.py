"""Small nets for tests of optimizers, and their values and gradients as one vector."""

import numpy

from minigan import backend, nn


def small_net(seed=0, dtype="float64"):
    rng = numpy.random.default_rng(seed)
    return nn.Sequential(
        nn.Conv2d(2, 3, kernel_size=2, rng=rng),
        nn.BatchNorm(3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(12, 2, rng=rng),
    ).astype(dtype)


def one_weight(value=1.0, gradient=0.0):
    """A net that is a single number, for formulas that one can follow by hand."""
    net = nn.Linear(1, 1, bias=False).astype("float64")
    net.weight.value, net.weight.grad = value, gradient
    return net


def draw_gradients(net, seed=0, size=1.0):
    rng = numpy.random.default_rng(seed)
    for p in net.parameters().values():
        p.grad = backend.of(p.value).asarray(
            rng.normal(0, size, p.shape).astype(p.value.dtype.name)
        )


def values(net):
    return numpy.concatenate([backend.to_numpy(p.value).ravel() for p in net.parameters().values()])


def gradients(net):
    return numpy.concatenate([backend.to_numpy(p.grad).ravel() for p in net.parameters().values()])


def same_state(a, b):
    assert a.keys() == b.keys()
    for name in a:
        numpy.testing.assert_array_equal(
            backend.to_numpy(a[name]), backend.to_numpy(b[name]), err_msg=name
        )

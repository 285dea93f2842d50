"""Small critics and central differences, for the tests of second derivatives and penalties."""

import numpy
from hypothesis import reject

from minigan import nn

H = 1e-6
SMOOTH = {"tanh": nn.Tanh, "sigmoid": nn.Sigmoid}


class Watched(nn.LeakyReLU):
    """A leaky ReLU that says on which side of the kink its inputs were."""

    def __init__(self, slope, sides):
        super().__init__(slope)
        self.sides = sides

    def forward(self, x, *, train=True):
        self.sides.append(x > 0)
        return super().forward(x, train=train)


def activation(name, sides):
    return (
        Watched(0.2, sides)
        if name == "leaky"
        else Watched(0.0, sides)
        if name == "relu"
        else SMOOTH[name]()
    )


def measured_gradient(value, array, sides=None):
    """Central differences of `value()` with respect to every entry of `array`, in float64.

    A gradient penalty jumps where a (leaky) ReLU changes side, so an example in which one does is
    rejected."""
    assert array.dtype == "float64"
    gradient = numpy.empty_like(array)
    sides = [] if sides is None else sides
    sides.clear()
    value()
    before = list(sides)
    for index in numpy.ndindex(array.shape):
        kept = array[index]
        ends = []
        for step in (H, -H):
            array[index] = kept + step
            sides.clear()
            ends.append(value())
            if not _same(sides, before):
                reject()
        array[index] = kept
        gradient[index] = (ends[0] - ends[1]) / (2 * H)
    return gradient


def assert_close(gradient, measured, *, tolerance=1e-6, floor=1e-3):
    """Compare with the largest entry of the net, below which central differences can't resolve
    small ones.
    """
    scale = max(numpy.abs(measured).max(), floor)
    numpy.testing.assert_allclose(gradient, measured, rtol=0, atol=tolerance * scale)


def spread_weights(net, seed):
    """Move every parameter away from where it begins: a scale of exactly 1 or a shift of 0 hides
    mistakes.
    """
    rng = numpy.random.default_rng(seed)
    for name, p in net.parameters().items():
        if name.endswith("gamma"):
            p.value = rng.uniform(0.5, 1.5, p.shape)
        elif name.endswith(("beta", "bias")):
            p.value = rng.normal(0, 0.3, p.shape)
    return net


def _same(now, before):
    return len(now) == len(before) and all((a == b).all() for a, b in zip(now, before, strict=True))

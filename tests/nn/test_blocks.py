"""Blocks of nets: labels that are handed on, and the precision of what goes around."""

import numpy
import pytest

from minigan import gradcheck, nn

RNG = numpy.random.default_rng


def test_a_conditional_net_may_be_cut_and_put_into_blocks():
    labels, x = numpy.array([0, 1, 2]), RNG(0).standard_normal((3, 4)).astype("float32")
    net = nn.Sequential(
        nn.Beside(nn.Linear(4, 4, rng=RNG(1))), nn.Beside(nn.Tanh()), nn.ConcatenateLabels(3)
    )
    nested = nn.Sequential(net[:2], net[2])
    ours, cache = net.forward((x, labels))
    theirs, other = nested.forward((x, labels))
    numpy.testing.assert_array_equal(ours, theirs)
    dy = RNG(2).standard_normal(ours.shape).astype("float32")
    numpy.testing.assert_array_equal(net.backward(dy, cache), nested.backward(dy, other))
    assert net[:2]((x, labels))[0].shape == (3, 4)


def fade():
    net = nn.Fade(nn.Linear(3, 3, rng=RNG(0)), nn.Linear(3, 3, rng=RNG(1)))
    net.alpha = numpy.array(0.5)
    return net


@pytest.mark.parametrize(
    "net",
    [
        nn.Residual(nn.Linear(3, 3, rng=RNG(0))),
        nn.Residual(nn.Linear(3, 3, rng=RNG(0)), shortcut=nn.Tanh()),
        nn.Skip(nn.Linear(3, 3, rng=RNG(0))),
        nn.Sequential(nn.Residual(nn.Linear(3, 3, rng=RNG(0))), nn.Tanh()),
        fade(),
    ],
    ids=lambda net: repr(net)[:40],
)
@pytest.mark.parametrize("given", ["float32", "float64"])
def test_a_net_in_float32_stays_there_whatever_the_batch(net, given):
    x = RNG(0).standard_normal((2, 3)).astype(given)
    y, cache = net.forward(x)
    assert y.dtype == "float32"
    assert net.backward(numpy.ones_like(y), cache).dtype == "float32"


def test_a_share_that_is_an_array_has_the_right_gradients():
    x = RNG(0).standard_normal((4, 3))
    assert gradcheck.check(fade(), x, constants=["_alpha"]).ok

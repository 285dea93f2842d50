"""Maxout: the largest of each group, and who gets the gradient."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import gradcheck, nn
from minigan.gan import penalties


@given(seed=st.integers(0, 1000), pieces=st.integers(1, 4))
def test_gradients(seed, pieces):
    rng = numpy.random.default_rng(seed)
    gradcheck.check(nn.Maxout(pieces), rng.normal(size=(4, 3 * pieces)), rng=seed)
    gradcheck.check(nn.Maxout(pieces), rng.normal(size=(2, 3, 2, 2 * pieces)), rng=seed)


def test_by_hand():
    layer = nn.Maxout(2)
    y, cache = layer.forward(numpy.array([[1.0, 3.0, 5.0, 5.0]]))
    assert y.tolist() == [[3, 5]]
    assert layer.backward(numpy.array([[10.0, 20.0]]), cache).tolist() == [[0, 10, 20, 0]], (
        "the first of equals"
    )
    assert layer.double_backward(numpy.array([[1.0, 2.0, 3.0, 4.0]]), y, cache)[1].tolist() == [
        [2, 3]
    ]


@given(seed=st.integers(0, 1000))
def test_a_penalised_maxout_critic(seed):
    rng = numpy.random.default_rng(seed)
    critic = nn.Sequential(
        nn.Linear(2, 12, rng=rng), nn.Maxout(3), nn.Linear(4, 1, rng=rng)
    ).astype("float64")
    x = rng.normal(size=(5, 2))
    critic.zero_grad()
    penalties.r1(critic, x, gamma=2.0)
    parameters = critic.parameters()
    given_gradients = {k: p.grad.copy() for k, p in parameters.items()}
    assert gradcheck.check_scalar(
        lambda: penalties.r1(critic, x, gamma=2.0),
        {k: p.value for k, p in parameters.items()},
        given_gradients,
        rng=seed,
    ).ok


def test_refusals():
    with pytest.raises(ValueError, match="must be at least 1"):
        nn.Maxout(0)
    with pytest.raises(ValueError, match="a multiple of 3"):
        nn.Maxout(3)(numpy.zeros((2, 4)))


@pytest.mark.parametrize("pieces", [1, 2, 3])
def test_of_equal_features_the_first_gets_all(pieces):
    """Few values make many ties, also where a later feature is the larger one."""
    x = numpy.random.default_rng(0).integers(-1, 2, (40, 2 * pieces)).astype("float32")
    groups, dy = x.reshape(40, 2, pieces), numpy.full((40, 2), 3.0, "float32")
    layer = nn.Maxout(pieces)
    y, cache = layer.forward(x)
    first = groups.argmax(axis=-1)[..., None] == numpy.arange(pieces)
    numpy.testing.assert_array_equal(y, groups.max(axis=-1))
    numpy.testing.assert_array_equal(layer.backward(dy, cache), 3 * first.reshape(x.shape))

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

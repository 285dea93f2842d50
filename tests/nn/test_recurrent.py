"""The gated recurrent unit: against PyTorch's, by its own definition, and with lengths."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigan import gradcheck, nn

sizes, seeds = st.integers(1, 5), st.integers(0, 2**32 - 1)


def make(seed, features, hidden, last=False):
    rng = numpy.random.default_rng(seed)
    layer = nn.GRU(features, hidden, last=last, rng=rng).astype("float64")
    for p in layer.parameters().values():
        p.value = 0.3 * (p.value + rng.standard_normal(p.shape))
    return layer, rng


@settings(max_examples=15, deadline=None)
@given(
    seed=seeds, n=sizes, length=sizes, features=sizes, hidden=sizes, last=st.booleans(),
    padded=st.booleans(),
)  # fmt: skip
def test_gradients_of_any_size(seed, n, length, features, hidden, last, padded):
    layer, rng = make(seed, features, hidden, last)
    net = nn.Given(layer, rng.integers(0, length + 1, n)) if padded else layer
    report = gradcheck.check(net, rng.standard_normal((n, length, features)), rng=rng, samples=30)
    assert report.worst <= 1e-6


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("padded", [False, True])
def test_it_is_pytorchs(last, padded):
    torch = pytest.importorskip("torch")
    layer, rng = make(1, 3, 4, last)
    theirs = torch.nn.GRU(3, 4, batch_first=True).double()
    ours = (layer.weight, layer.state_weight, layer.bias, layer.state_bias)
    for p, q in zip(ours, theirs.parameters(), strict=True):
        q.data = torch.tensor(p.value.T.copy())
    x, lengths = rng.standard_normal((5, 6, 3)), numpy.array([6, 1, 4, 2, 6])
    tx = torch.tensor(x, requires_grad=True)
    if padded:
        pack = torch.nn.utils.rnn.pack_padded_sequence
        packed, state = theirs(pack(tx, lengths.tolist(), True, enforce_sorted=False))
        states, _ = torch.nn.utils.rnn.pad_packed_sequence(packed, batch_first=True)
    else:
        states, state = theirs(tx)
    wanted = state[0] if last else states
    y, cache = layer.forward((x, lengths) if padded else x)
    numpy.testing.assert_allclose(y, wanted.detach(), rtol=1e-10, atol=1e-12)
    dy = rng.standard_normal(y.shape)
    dx = layer.backward(dy, cache)
    gx, *grads = torch.autograd.grad(wanted, [tx, *theirs.parameters()], torch.tensor(dy))
    numpy.testing.assert_allclose(dx, gx, rtol=1e-10, atol=1e-12)
    for p, g in zip(ours, grads, strict=True):
        numpy.testing.assert_allclose(p.grad, g.numpy().T, rtol=1e-10, atol=1e-12)


def test_what_lies_beyond_the_end_makes_no_difference():
    layer, rng = make(2, 3, 4)
    lengths = numpy.array([2, 5, 0])
    x = rng.standard_normal((3, 5, 3))
    other = x.copy()
    other[0, 2:], other[2] = 7, -7
    (y, cache), (z, _) = (layer.forward((values, lengths)) for values in (x, other))
    numpy.testing.assert_array_equal(y, z)
    assert not y[0, 2:].any()
    assert not y[2].any()
    dx = layer.backward(numpy.ones_like(y), cache)
    assert not dx[0, 2:].any()
    assert not dx[2].any()
    assert dx[1].all()
    alone, _ = layer.forward(x[:1, :2])
    numpy.testing.assert_allclose(y[:1, :2], alone)


def test_the_last_state_is_that_at_the_end():
    layer, rng = make(3, 3, 4)
    x, lengths = rng.standard_normal((3, 5, 3)), numpy.array([2, 5, 0])
    states, _ = layer.forward(x)
    layer.last = True
    last, _ = layer.forward((x, lengths))
    expected = [states[0, 1], states[1, 4], numpy.zeros(4)]
    numpy.testing.assert_allclose(last, expected, rtol=1e-12)


def test_steps_one_by_one_are_the_whole():
    layer, rng = make(4, 3, 4)
    x, h = rng.standard_normal((2, 5, 3)), numpy.zeros((2, 4))
    states, _ = layer.forward(x)
    for t in range(5):
        h, _ = layer.step(layer.projected(x[:, t]), h)
        numpy.testing.assert_allclose(h, states[:, t], rtol=1e-12)


@pytest.mark.parametrize("lengths", [numpy.ones(3), numpy.ones(2, int), numpy.ones((3, 1), int)])
def test_lengths_are_a_whole_number_for_each_sequence(lengths):
    with pytest.raises(ValueError, match="needs 3 integers, one for each sequence"):
        nn.GRU(2, 4).forward((numpy.ones((3, 5, 2)), lengths))


@pytest.mark.parametrize("shape", [(2, 3), (2, 0, 3), (2, 5, 4), (2, 1, 5, 3)])
def test_what_is_no_sequence_of_at_least_one_step_is_refused(shape):
    with pytest.raises(ValueError, match=r"needs \(N, length, 3\), of at least one step"):
        nn.GRU(3, 4).forward(numpy.zeros(shape))
    assert nn.GRU(3, 4, last=True).output_shape((0, 1, 3)) == (0, 4)


def test_a_second_derivative_is_refused_with_the_way_out():
    layer, rng = make(5, 3, 4)
    x = rng.standard_normal((2, 5, 3))
    y, cache = layer.forward(x)
    with pytest.raises(ValueError, match="use Conv1d"):
        layer.double_backward(x, y, cache)


def test_it_is_small_in_words():
    layer = nn.GRU(3, 4, last=True)
    assert repr(layer) == "GRU(3, 4, last=True)"
    assert layer.output_shape((2, 5, 3)) == (2, 4)
    assert layer.multiply_adds((2, 5, 3)) == 2 * 5 * 7 * 12

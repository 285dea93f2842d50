"""The exponential moving average of a net."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_nets import draw_gradients, gradients, one_weight, same_state, small_net, values
from strict_array import StrictNamespace

from minigan import checkpoint
from minigan.optim import ExponentialMovingAverage


@given(st.floats(0, 0.99), st.integers(1, 12))
def test_the_average_of_a_constant_net_in_closed_form(d, steps):
    """Started at 0 and fed with 1, it is 1 - dᵏ after k updates."""
    net = one_weight(value=0.0)
    average = ExponentialMovingAverage(net, decay=d)
    net.weight.value = 1.0
    for _ in range(steps):
        average.update()
    assert average.net.weight.value.item() == pytest.approx(1 - d**steps, abs=1e-12)
    assert average.t == steps


def test_the_weights_of_the_average_in_closed_form():
    net, d = one_weight(value=0.0), 0.75
    average = ExponentialMovingAverage(net, decay=d)
    drawn = numpy.random.default_rng(0).normal(size=20)
    for value in drawn:
        net.weight.value = value
        average.update()
    weights = (1 - d) * d ** numpy.arange(19, -1, -1)
    assert average.net.weight.value.item() == pytest.approx(weights @ drawn)


def test_a_warm_up_of_one_is_the_plain_mean_until_the_decay_is_reached():
    net = one_weight(value=100.0)
    average = ExponentialMovingAverage(net, decay=0.9, warmup=1)
    for k in range(1, 11):
        net.weight.value = float(k)
        average.update()
        assert average.net.weight.value.item() == pytest.approx((k + 1) / 2)
    net.weight.value = 0.0
    average.update()
    average.update()
    assert average.net.weight.value.item() == pytest.approx(5.5 * 0.9**2)


def test_the_average_is_a_net_of_its_own_with_the_running_statistics_of_the_source():
    net = small_net()
    draw_gradients(net)
    average = ExponentialMovingAverage(net, decay=0.9)
    assert not gradients(average.net).any()
    x = numpy.random.default_rng(1).normal(size=(4, 3, 3, 2))
    for flat in (False, True):
        if flat:
            net.flat()
        before, expected = values(net), values(average.net)
        for _ in range(2):
            net.forward(x + 1)
            net[4].weight.value += 1.0
            average.update()
            expected = 0.9 * expected + 0.1 * values(net)
        numpy.testing.assert_allclose(values(average.net), expected)
        assert not numpy.array_equal(before, values(net))
        for name, array in net.buffers().items():
            numpy.testing.assert_array_equal(average.net.buffers()[name], array)
            assert array is not average.net.buffers()[name]
    assert average.net(x).shape == (4, 2)


def test_an_average_follows_its_net_into_another_precision():
    net = small_net(dtype="float32")
    net.flat()
    average = ExponentialMovingAverage(net, decay=0.5)
    average.update()
    net.astype("float64")
    average.net.astype("float64")
    net[4].bias.value += 1.0
    expected = (net[4].bias.value + average.net[4].bias.value) / 2
    average.update()
    numpy.testing.assert_allclose(average.net[4].bias.value, expected)
    assert average.net[4].bias.value.dtype == "float64"


def test_the_state_of_an_average_continues_bit_for_bit(tmp_path):
    net = small_net(dtype="float32")
    average = ExponentialMovingAverage(net, decay=0.9, warmup=5)
    for _ in range(3):
        net[4].weight.value *= 1.5
        average.update()
    checkpoint.save(tmp_path / "average.safetensors", average.state_dict(), {})
    continued = ExponentialMovingAverage(net, decay=0.0)
    continued.load_state_dict(checkpoint.load(tmp_path / "average.safetensors")[0])
    same_state(continued.state_dict(), average.state_dict())
    for _ in range(3):
        net[4].weight.value *= 1.5
        average.update()
        continued.update()
    same_state(continued.state_dict(), average.state_dict())


def test_a_state_that_doesnt_fit_leaves_the_average_alone():
    average = ExponentialMovingAverage(small_net(), decay=0.9)
    before = average.state_dict()
    good = ExponentialMovingAverage(small_net(1), decay=0.5).state_dict()
    for wrong, message in (
        ({k: v for k, v in good.items() if k != "t"}, r"ExponentialMovingAverage: missing \['t'\]"),
        (good | {"net.9.x": good["t"]}, r"unknown \['net.9.x'\]"),
        (good | {"decay": numpy.array(1.0)}, r"decay must be a number in \[0, 1\), got 1.0"),
        (good | {"warmup": numpy.array(-1.0)}, "warmup must be a number >= 0, got -1.0"),
        (
            good | {"net.4.bias": numpy.zeros(7)},
            r"'4.bias' has shape \(2,\) in this net, but \(7,\)",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            average.load_state_dict(wrong)
        same_state(average.state_dict(), before)


def test_an_average_and_a_net_that_have_parted():
    net = small_net()
    average = ExponentialMovingAverage(net, decay=0.9)
    net[4].bias = None
    with pytest.raises(ValueError, match=r"no longer has the parameters .* make a new average"):
        average.update()
    net = small_net()
    average = ExponentialMovingAverage(net, decay=0.9)
    net.to(StrictNamespace(float64=True).backend)
    with pytest.raises(ValueError, match=r"average lives on 'cpu', the net on .*move one"):
        average.update()


def test_what_cant_be_averaged():
    for wrong in (1.0, -0.1, math.nan):
        with pytest.raises(ValueError, match=r"decay must be a number in \[0, 1\), got"):
            ExponentialMovingAverage(small_net(), decay=wrong)
    with pytest.raises(ValueError, match="warmup must be a number >= 0, got -1"):
        ExponentialMovingAverage(small_net(), decay=0.9, warmup=-1)
    with pytest.raises(TypeError, match="needs a layer or net, got list"):
        ExponentialMovingAverage([small_net()], decay=0.9)

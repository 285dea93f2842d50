"""What pulls on the parameters beside the loss."""

import numpy
import pytest
from small_nets import one_weight, small_net

from minigan import optim


def test_two_players_that_circle_come_to_rest_at_their_average():
    """min over x, max over y of x y: plain steps spiral outwards, with averages inwards."""

    def play(strength):
        x, y = one_weight(value=1.0, gradient=0.0), one_weight(value=1.0, gradient=0.0)
        players = [(net, optim.SGD(net, lr=0.05)) for net in (x, y)]
        pulls = [optim.HistoricalAverage(net, strength=strength) for net in (x, y)]
        for _ in range(2000):
            x.weight.grad, y.weight.grad = y.weight.value.copy(), -x.weight.value.copy()
            for (_, optimizer), pull in zip(players, pulls, strict=True):
                pull.add()
                optimizer.step()
        return float(abs(x.weight.value).sum() + abs(y.weight.value).sum())

    assert play(0.5) < 0.5 < 2 < play(0.0)


def test_the_average_is_that_of_all_steps_and_is_saved():
    net = small_net()
    pull = optim.HistoricalAverage(net, strength=0.5)
    seen = []
    for k in range(3):
        net.flat().value[...] = k
        net.zero_grad()
        pull.add()
        seen.append(float(k))
        expected = 2 * 0.5 * (k - numpy.mean(seen))
        numpy.testing.assert_allclose(net.flat().grad, expected, rtol=1e-6)
    other = optim.HistoricalAverage(small_net(), strength=0.5)
    other.load_state_dict(pull.state_dict())
    assert other.t == 3
    numpy.testing.assert_array_equal(other.average, pull.average)
    with pytest.raises(ValueError, match="unknown"):
        other.load_state_dict({"average": pull.average})
    with pytest.raises(ValueError, match="same net"):
        other.load_state_dict({"average": pull.average[:1], "t": numpy.array(1)})
    with pytest.raises(ValueError, match="t must be a whole number"):
        other.load_state_dict({"average": pull.average + 1, "t": numpy.array(-1)})
    with pytest.raises(TypeError, match="'average' holds complex128"):
        other.load_state_dict({"average": pull.average * (1 + 1j), "t": numpy.array(7)})
    assert other.t == 3
    numpy.testing.assert_array_equal(other.average, pull.average)
    with pytest.raises(ValueError, match="strength"):
        optim.HistoricalAverage(net, strength=-1)
    with pytest.raises(ValueError, match="rate"):
        optim.add_weight_decay(net, -1)


def test_the_state_of_an_average_is_a_copy():
    net = small_net()
    pull = optim.HistoricalAverage(net)
    pull.add()
    state = pull.state_dict()
    before = state["average"].copy()
    net.flat().value[...] += 1
    pull.add()
    numpy.testing.assert_array_equal(state["average"], before)
    assert (pull.average != before).all()
    assert int(state["t"]) == 1


@pytest.mark.parametrize("change", ["optimizer", "astype", None])
def test_a_pull_goes_on_whatever_the_net_is_laid_out_in(change):
    net, other = small_net(), small_net()
    pull = optim.HistoricalAverage(net)
    pull.add()
    if change == "optimizer":
        optim.Adam([net, other])
    elif change == "astype":
        net.astype("float64")
    for p in net.parameters().values():
        p.value[...] = 5
        p.grad[...] = 0
    pull.add()
    for p in net.parameters().values():
        assert (p.grad != 0).all()


def test_pulls_on_a_part_leave_the_optimizer_of_the_whole_alone():
    net, other = small_net(), small_net()
    whole = optim.Adam([net, other])
    pull = optim.HistoricalAverage(net)
    optim.add_weight_decay(net, 0.1)
    for p in net.parameters().values():
        numpy.testing.assert_allclose(p.grad, 0.1 * p.value)
    pull.add()
    whole.step()

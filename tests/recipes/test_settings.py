"""What settings make: the average of a generator."""

import pytest

from minigan import nn
from minigan.recipes import get


def follower(average):
    """The average of a weight that begins far away, at -1000."""
    settings = get("digits").settings.changed(average=average)
    net = nn.Linear(1, 1, bias=False)
    net.weight.value = -1000.0
    return net, settings.average_of(net)


@pytest.mark.parametrize("decay", [0.9, 0.999])
def test_the_average_of_a_short_run_is_one_of_its_later_weights(decay):
    """After weights 1, 2, ..., 20 nothing is left of the first, and little of the early ones."""
    net, average = follower(decay)
    for step in range(1, 21):
        net.weight.value = float(step)
        average.update()
    assert 15 < average.net.weight.value.item() < 20


def test_an_average_that_is_old_enough_has_the_decay_of_the_settings():
    net, average = follower(0.9)
    net.weight.value = 0.0
    for _ in range(40):
        average.update()
    before, net.weight.value = average.net.weight.value.item(), 1.0
    average.update()
    assert average.net.weight.value.item() == pytest.approx(0.9 * before + 0.1)


def test_no_average_without_a_decay():
    assert follower(0.0)[1] is None

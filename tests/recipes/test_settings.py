"""What settings may be, and what they make: the average of a generator."""

from dataclasses import dataclass

import numpy
import pytest

from minigan import nn
from minigan.recipes import Settings, get


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


# ---------------------------------------------------------------- what they may be


@dataclass(frozen=True)
class Own(Settings):
    depth: int = 1
    share: float = 0.5
    switch: bool = False
    maybe: int = None


NUMBERS = (
    "steps", "batch_size", "discriminator_steps", "lr_generator", "lr_discriminator", "beta1",
    "beta2", "smoothing", "average", "depth", "share",
)  # fmt: skip


@pytest.mark.parametrize("value", [True, False, "3", None, [3]])
@pytest.mark.parametrize("name", NUMBERS)
def test_what_is_no_number_is_refused_where_one_is_needed(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a (whole )?number, got"):
        Own(**{"steps": 3} | {name: value})
    if value is not None:  # which leaves a setting as it is
        with pytest.raises(ValueError, match=f"{name} must be a (whole )?number, "):
            Own(steps=3).changed(**{name: value})


@pytest.mark.parametrize("name", ["objective", "optimizer", "schedule"])
def test_what_is_no_text_is_refused_where_a_name_is_needed(name):
    with pytest.raises(ValueError, match=f"{name} must be text, got 3"):
        Settings(steps=3, **{name: 3})


def test_a_penalty_alone_is_not_read_letter_by_letter():
    with pytest.raises(ValueError, match=r"a tuple or list of names, got 'r1'; write \('r1',\)"):
        Settings(steps=3, penalties="r1")


def test_switches_and_numbers_of_numpy_are_taken():
    assert Own(steps=3, switch=True).switch is True
    assert Own(steps=3).maybe is None
    changed = Own(steps=3).changed(steps=numpy.int64(4), share=numpy.float32(0.25))
    assert (changed.steps, changed.share) == (4, 0.25)
    assert (type(changed.steps), type(changed.share)) == (int, float)
    for name in ("mnist", "wavegan-digits"):
        assert get(name).settings.changed(conditional=True).conditional

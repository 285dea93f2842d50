"""What drives schedules: learning rates step by step, resuming to the bit, changes on the way."""

import copy
import doctest
import math
import pickle

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import checkpoint, nn, optim
from minigan.optim import Scheduler, schedules
from minigan.optim import scheduler as module

TEXTS = ["constant", "linear", "linear:0.3", "cosine", "warmup:7", "warmup:7+cosine"]


def optimizers(lrs=(0.1, 0.03)):
    return [optim.Adam(nn.Linear(2, 1), lr=lr) for lr in lrs]


def rates(scheduler):
    return [optimizer.lr for optimizer in scheduler.optimizers]


def sequence(scheduler, count):
    """The learning rates of the next `count` training steps."""
    seen = []
    for _ in range(count):
        seen.append(rates(scheduler))
        scheduler.step()
    return seen


@pytest.mark.parametrize("text", TEXTS)
def test_each_step_is_taken_with_base_times_factor(text):
    schedule = schedules.parse(text)
    scheduler = Scheduler(optimizers(), schedule, steps=20)
    assert scheduler.base_lrs == (0.1, 0.03)
    expected = [[0.1 * schedule(t, 20), 0.03 * schedule(t, 20)] for t in range(20)]
    assert sequence(scheduler, 20) == expected
    assert scheduler.t == 20
    assert scheduler.factor == schedule(20, 20)
    end = rates(scheduler)
    scheduler.step()
    assert rates(scheduler) == end, "after the end of the run nothing changes"


@pytest.mark.parametrize("documented", [schedules, module])
def test_the_examples_in_the_docstrings(documented):
    result = doctest.testmod(documented)
    assert result.attempted > 0
    assert result.failed == 0


def test_one_optimizer_alone_and_a_function_of_ones_own():
    sgd = optim.SGD(nn.Linear(2, 1), lr=0.5)
    scheduler = Scheduler(sgd, lambda t, steps: numpy.float32(0.5) ** t, steps=3)
    assert [lr for (lr,) in sequence(scheduler, 3)] == [0.5, 0.25, 0.125]
    assert type(sgd.lr) is float


def test_a_net_stands_still_at_the_end_of_a_decay():
    net = nn.Linear(2, 1)
    adam = optim.Adam(net, lr=0.1)
    scheduler = Scheduler(adam, schedules.LinearDecay(), steps=2)
    adam.flat.grad[...] = 1
    moved = []
    for _ in range(3):
        before = adam.flat.value.copy()
        adam.step()
        moved.append(float(abs(adam.flat.value - before).max()))
        scheduler.step()
    assert moved == [pytest.approx(0.1, rel=1e-4), pytest.approx(0.05, rel=1e-4), 0.0]


# ---------------------------------------------------------------- states


@given(st.sampled_from(TEXTS), st.integers(1, 40), st.integers(0, 45))
def test_a_resumed_run_has_the_learning_rates_of_an_uninterrupted_one_to_the_bit(text, steps, at):
    schedule = schedules.parse(text)
    whole = Scheduler(optimizers(), schedule, steps=steps)
    begun = Scheduler(optimizers(), schedule, steps=steps)
    sequence(whole, at)
    sequence(begun, at)
    state = begun.state_dict()
    resumed = Scheduler(optimizers((0.7, 0.9)), schedule, steps=3)
    resumed.load_state_dict(state)
    assert sequence(resumed, 10) == sequence(whole, 10)


@pytest.mark.parametrize("scheduler_first", [True, False])
def test_a_state_that_went_through_a_file_in_whatever_order(scheduler_first, tmp_path):
    schedule = schedules.parse("warmup:3+cosine")
    begun = Scheduler(optimizers(), schedule, steps=11)
    sequence(begun, 5)
    path = tmp_path / "state.safetensors"
    checkpoint.save(path, begun.state_dict(), {})
    resumed = Scheduler(optimizers((0.7, 0.9)), schedule, steps=11)
    if scheduler_first:
        resumed.load_state_dict(checkpoint.load(path)[0])
    for mine, other in zip(resumed.optimizers, begun.optimizers, strict=True):
        mine.load_state_dict(other.state_dict())
    if not scheduler_first:
        resumed.load_state_dict(checkpoint.load(path)[0])
    assert rates(resumed) == rates(begun)
    assert sequence(resumed, 6) == sequence(begun, 6)


def test_a_state_is_a_copy():
    scheduler = Scheduler(optimizers(), schedules.LinearDecay(), steps=10)
    state = scheduler.state_dict()
    scheduler.step()
    assert state["t"] == 0
    state["base_lrs"][...] = 7
    assert scheduler.base_lrs == (0.1, 0.03)


def test_a_state_that_doesnt_fit_changes_nothing():
    scheduler = Scheduler(optimizers(), schedules.LinearDecay(), steps=10)
    sequence(scheduler, 4)
    good = Scheduler(optimizers((0.5, 0.6)), schedules.LinearDecay(), steps=20).state_dict()
    before, lrs = scheduler.state_dict(), rates(scheduler)
    for wrong, message in (
        ({k: v for k, v in good.items() if k != "t"}, r"this Scheduler: missing \['t'\]"),
        (good | {"x": good["t"]}, r"unknown \['x'\]"),
        (good | {"t": numpy.array(-1)}, "t must be a whole number >= 0, got -1"),
        (good | {"steps": numpy.array(0.5)}, "steps must be a whole number >= 0, got 0.5"),
        (good | {"base_lrs": numpy.array([0.1])}, "each of the 2 optimizers, got"),
        (good | {"base_lrs": numpy.array(0.1)}, "each of the 2 optimizers, got 0.1"),
        (good | {"base_lrs": numpy.array([0.1, -1.0])}, "base_lrs must be a number >= 0, got -1.0"),
        (good | {"base_lrs": numpy.array([0.1, math.nan])}, "base_lrs must be a number >= 0"),
    ):
        with pytest.raises(ValueError, match=message):
            scheduler.load_state_dict(wrong)
        after = scheduler.state_dict()
        assert {k: v.tolist() for k, v in after.items()} == {
            k: v.tolist() for k, v in before.items()
        }
        assert rates(scheduler) == lrs


# ---------------------------------------------------------------- changes on the way


def test_new_base_learning_rates_apply_at_once_and_stay():
    scheduler = Scheduler(optimizers(), schedules.LinearDecay(), steps=4)
    sequence(scheduler, 2)
    scheduler.optimizers[0].lr = 5.0
    scheduler.base_lrs = [1.0, 2.0]
    assert sequence(scheduler, 3) == [[0.5, 1.0], [0.25, 0.5], [0.0, 0.0]]
    with pytest.raises(ValueError, match="must hold a learning rate for each of the 2 optimizers"):
        scheduler.base_lrs = [1.0]
    with pytest.raises(ValueError, match="base_lrs must be a number >= 0, got inf"):
        scheduler.base_lrs = [1.0, math.inf]
    assert scheduler.base_lrs == (1.0, 2.0)


def test_a_longer_run_stretches_the_schedule():
    scheduler = Scheduler(optimizers((1.0,)), schedules.LinearDecay(), steps=4)
    sequence(scheduler, 4)
    assert rates(scheduler) == [0]
    scheduler.steps = 8
    assert sequence(scheduler, 5) == [[0.5], [0.375], [0.25], [0.125], [0.0]]
    with pytest.raises(ValueError, match="steps must be a whole number >= 0, got -1"):
        scheduler.steps = -1
    assert scheduler.steps == 8


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))],
    ids=["copy", "pickle"],
)
def test_a_copy_drives_the_copied_optimizers_alone(copied):
    scheduler = Scheduler(optimizers(), schedules.parse("warmup:3+linear"), steps=9)
    sequence(scheduler, 2)
    before = rates(scheduler)
    own, other = copied((scheduler.optimizers, scheduler))
    assert other.optimizers[0] is own[0]
    assert repr(other) == repr(scheduler)
    ahead = sequence(other, 7)
    assert rates(scheduler) == before
    assert sequence(scheduler, 7) == ahead


# ---------------------------------------------------------------- refusals


def test_what_cant_be_scheduled():
    constant = schedules.Constant()
    with pytest.raises(ValueError, match="no optimizer to schedule; give at least one"):
        Scheduler([], constant, steps=3)
    for wrong in (3, None, [nn.Linear(2, 1)], "adam"):
        with pytest.raises(TypeError, match="A scheduler needs optimizers, got"):
            Scheduler(wrong, constant, steps=3)
    with pytest.raises(TypeError, match=r"got 'linear'; give one of .*parse\(text\)"):
        Scheduler(optimizers(), "linear", steps=3)
    for wrong in (-1, 1.5, None):
        with pytest.raises(ValueError, match="steps must be a whole number >= 0, got"):
            Scheduler(optimizers(), constant, steps=wrong)


@pytest.mark.parametrize("wrong", [-0.5, math.nan, math.inf, None])
def test_a_factor_that_makes_no_sense_changes_nothing(wrong):
    adams = optimizers()
    scheduler = Scheduler(adams, lambda t, steps: 0.5 if t < 1 else wrong, steps=3)
    with pytest.raises(ValueError, match="The schedule's factor must be a number >= 0, got"):
        scheduler.step()
    assert scheduler.t == 0
    assert rates(scheduler) == [0.05, 0.015]


def test_a_learning_rate_beyond_all_numbers_changes_nothing():
    adams = optimizers((10.0, 0.5))
    scheduler = Scheduler(adams, lambda t, steps: 1e308 if t else 1.0, steps=3)
    with pytest.raises(ValueError, match="lr must be a number >= 0, got inf"):
        scheduler.step()
    assert scheduler.t == 0
    assert rates(scheduler) == [10.0, 0.5]

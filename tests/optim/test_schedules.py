"""Schedules as functions: where they begin and end, monotone, continuous; and their names."""

import copy
import itertools
import math
import pickle

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minigan.optim import schedules
from minigan.optim.schedules import Constant, CosineDecay, LinearDecay, Warmup

RUNS = st.integers(1, 300)
DECAYS = st.one_of(st.builds(LinearDecay, start=st.floats(0, 0.99)), st.just(CosineDecay()))
MAINS = st.one_of(st.just(Constant()), DECAYS)
WARMUPS = st.builds(Warmup, steps=st.integers(0, 400), then=MAINS)


def factors(schedule, steps):
    return [schedule(t, steps) for t in range(steps + 1)]


@given(st.one_of(MAINS, WARMUPS), RUNS, st.integers(0, 100))
def test_a_factor_lies_between_0_and_1_and_stays_after_the_end(schedule, steps, beyond):
    assert all(0 <= f <= 1 for f in factors(schedule, steps))
    assert schedule(steps + beyond, steps) == schedule(steps, steps)


@given(DECAYS, RUNS)
def test_a_decay_falls_from_exactly_1_to_exactly_0(schedule, steps):
    f = factors(schedule, steps)
    assert f[0] == 1
    assert f[-1] == 0
    assert f[-2] > 0, "the last step is taken with a rate above 0"
    assert all(later <= earlier + 1e-15 for earlier, later in itertools.pairwise(f))


@given(RUNS)
def test_constant(steps):
    assert factors(Constant(), steps) == [1.0] * (steps + 1)


@given(st.floats(0, 0.99), RUNS)
def test_linear_decay_is_flat_and_then_straight(start, steps):
    for t, f in enumerate(factors(LinearDecay(start=start), steps)):
        if t <= start * steps:
            assert f == pytest.approx(1, abs=1e-12)
        else:
            assert f == pytest.approx((steps - t) / (steps - start * steps), abs=1e-12)


def test_linear_decay_by_hand():
    assert factors(LinearDecay(), 4) == [1, 0.75, 0.5, 0.25, 0]
    assert factors(LinearDecay(start=0.5), 8) == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0]


def test_cosine_by_hand():
    expected = [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]
    assert factors(CosineDecay(), 4) == pytest.approx(expected, abs=1e-15)


@given(WARMUPS, RUNS)
def test_a_warm_up_rises_evenly_from_above_0_to_1(schedule, steps):
    w = schedule.steps
    assume(0 < w <= steps)
    f = factors(schedule, steps)
    assert f[:w] == [(t + 1) / w for t in range(w)]
    assert f[w - 1] == 1


@given(WARMUPS, RUNS)
def test_there_is_no_jump_where_the_warm_up_ends_and_what_follows_ends_where_it_would(
    schedule, steps
):
    w = schedule.steps
    assume(0 < w < steps)
    assert schedule(w - 1, steps) == schedule(w, steps) == 1
    assert factors(schedule, steps)[w:] == factors(schedule.then, steps - w)


@given(st.integers(1, 50), st.integers(51, 100))
def test_a_run_that_is_shorter_than_its_warm_up_ends_on_the_way_up(steps, w):
    f = factors(Warmup(steps=w, then=CosineDecay()), steps)
    assert f == [(t + 1) / w for t in range(steps + 1)]


@given(MAINS, RUNS)
def test_a_warm_up_of_0_steps_is_none(schedule, steps):
    assert factors(Warmup(steps=0, then=schedule), steps) == factors(schedule, steps)


@given(st.one_of(MAINS, WARMUPS))
def test_schedules_are_values(schedule):
    assert pickle.loads(pickle.dumps(schedule)) == copy.deepcopy(schedule) == schedule
    assert hash(copy.deepcopy(schedule)) == hash(schedule)
    with pytest.raises(AttributeError):
        schedule.start = 0.25


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", Constant()),
        ("linear", LinearDecay()),
        ("linear:0.5", LinearDecay(start=0.5)),
        ("linear:0", LinearDecay()),
        ("cosine", CosineDecay()),
        ("warmup:500", Warmup(steps=500)),
        ("warmup:500+cosine", Warmup(steps=500, then=CosineDecay())),
        ("warmup:0+linear:0.25", Warmup(steps=0, then=LinearDecay(start=0.25))),
        (" warmup:500 + linear ", Warmup(steps=500, then=LinearDecay())),
    ],
)
def test_parse(text, expected):
    assert schedules.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cosin", "Unknown schedule 'cosin'; did you mean 'cosine'"),
        ("warm-up:500", "Unknown schedule 'warm-up'; did you mean 'warmup'"),
        ("Linear:0.5", "did you mean 'linear'"),
        ("", "Unknown schedule ''. There are"),
        ("warmup:500+cos", "Unknown schedule 'cos'; did you mean"),
        ("warmup:500+", "Unknown schedule ''"),
        ("warmup", "'warmup' can't be read.*; write warmup:STEPS"),
        ("warmup:", "'warmup:' can't be read"),
        ("warmup:0.1", "STEPS a whole number"),
        ("warmup:-5", "STEPS a whole number"),
        ("linear:1", r"START is a fraction of the run in \[0, 1\)"),
        ("linear:-0.1", "'linear:-0.1' can't be read"),
        ("linear:nan", "'linear:nan' can't be read"),
        ("linear:half", "write linear or linear:START"),
        ("cosine:3", "'cosine:3' can't be read.*; write cosine"),
        ("constant:", "'constant:' can't be read"),
        ("cosine+linear", r"Only a warm-up can be followed .* warmup:500\+cosine"),
        ("warmup:5+warmup:5", "Only a warm-up can be followed"),
        ("warmup:5+cosine+linear", "Only a warm-up can be followed .* got 'cosine"),
    ],
)
def test_what_is_no_schedule(text, message):
    with pytest.raises(ValueError, match=message):
        schedules.parse(text)


@pytest.mark.parametrize("wrong", [1.0, -0.1, math.nan, None, "0.5"])
def test_starts_that_make_no_sense(wrong):
    with pytest.raises(ValueError, match=r"start must be a number in \[0, 1\), got"):
        LinearDecay(start=wrong)


def test_warm_ups_that_make_no_sense():
    for wrong in (-1, 0.5, math.inf, None):
        with pytest.raises(ValueError, match="steps must be a whole number >= 0, got"):
            Warmup(steps=wrong)
    with pytest.raises(TypeError, match="then must be a schedule, got 'cosine'"):
        Warmup(steps=5, then="cosine")

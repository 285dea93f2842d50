"""Callbacks by themselves, with a stage in the place of a trainer: the doctor, the clock, the saver."""

import io
import math
import types

import numpy
import pytest

from minigan import checkpoint, gan


def stage(step=1, **more):
    """What a callback sees of a trainer."""
    device = types.SimpleNamespace(queues=False, threads=1)
    state = ({"x": numpy.zeros(1)}, {"step": step})
    return types.SimpleNamespace(
        step=step, game=types.SimpleNamespace(device=device), state=lambda: state, **more
    )


# ---------------------------------------------------------------- the doctor


@pytest.mark.parametrize(("smoothing", "count"), [(0.1, 1), (0.0, 0)])
def test_the_doctor_of_a_run_knows_how_its_labels_are_smoothed(smoothing, count):
    """A perfect D has the entropy of smoothed labels as its loss; without them, it isn't perfect."""
    steps, said = numpy.arange(5.0, 505, 5), []
    entropy = -0.9 * math.log(0.9) - 0.1 * math.log(0.1)
    table = {"step": steps, "loss_d": numpy.full(len(steps), entropy + 0.01)}
    watcher = gan.Watcher(
        lambda: table, every=5, say=said.append, objective="non-saturating", smoothing=smoothing
    )
    watcher.on_step(stage(500), {})
    assert len(said) == count
    assert all(words.startswith("Step 500: D has won") for words in said)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), ValueError("no table")]
)
def test_a_table_that_cannot_be_opened_is_said_once_and_ends_nothing(error):
    def read():
        raise error

    said = []
    watcher = gan.Watcher(read, every=1, start=1, say=said.append, objective="hinge")
    for step in (1, 2):
        watcher.on_step(stage(step), {})
    assert said == [f"The run can't be diagnosed: {error}"]


# ---------------------------------------------------------------- the clock


def said_of(shares):
    """What is said of a crowded machine if a run has these shares of a core, 12 seconds each."""
    ticks = numpy.cumsum([0.0, *(12 * share for share in shares)]).tolist()
    clock = iter([(12.0 * i, had) for i, had in enumerate(ticks)])
    stream = io.StringIO()
    bar, trainer = gan.Progress(99, stream=stream, clocks=lambda: next(clock)), stage(0)
    bar.on_start(trainer)
    for step in range(1, len(shares) + 1):
        trainer.step = step
        bar._watch(trainer)
        if stream.getvalue():
            return step
    return None


def test_a_machine_is_crowded_if_it_is_so_twice_in_a_row():
    assert said_of([0.2, 0.2]) == 2
    assert said_of([0.2, 0.9, 0.2, 0.9, 0.2, 0.9]) is None
    assert said_of([0.2, 0.9, 0.2, 0.3]) == 4


# ---------------------------------------------------------------- the saver


def test_what_is_to_be_done_before_saving_is_done_before_the_state_is_read(tmp_path):
    events, trainer = [], stage(1)
    saver = gan.Checkpoints(tmp_path, every=1)
    trainer.state = lambda: (events.append("state"), ({}, {}))[1]
    saver.save(trainer)
    saver.before_saving = lambda: events.append("before")
    saver.save(trainer)
    assert events == ["state", "before", "state"]


@pytest.mark.parametrize(("last", "measured"), [(6, [1, 4, 6]), (9, [1, 4]), (None, [1, 4])])
def test_the_last_step_of_a_run_is_measured_though_no_checkpoint_is_due(tmp_path, last, measured):
    seen = []
    measure = gan.Measure("x", lambda t: seen.append(t.step) or t.step, larger_is_better=True)
    saver = gan.Checkpoints(tmp_path, every=4, best=measure, last=last)
    for step in range(1, 7):
        saver.on_step(stage(step), {})
    saver.on_end(stage(6))
    assert seen == measured
    best = checkpoint.load(tmp_path / "best.safetensors")[1]
    assert best["best"] == {"metric": "x", "value": float(measured[-1])}

"""The reward: training on the reader's own layers."""

import itertools
from pathlib import Path

import numpy
import pytest

from minigan import nn
from minigan.learn import own, training
from minigan.learn.course import exercise
from minigan.learn.folder import SOLVED, Folder
from minigan.learn.language import Speaker

SAY = Speaker("en")


class Clock:
    """A clock that only the trials move."""

    def __init__(self, *trials):
        self.trials = trials

    def perf_counter(self):
        return sum(trial.now for trial in self.trials)


class Trial:
    """A run whose rounds take as long as it says, by a clock of its own."""

    def __init__(self, seconds):
        self.plan, self.sizes = training.PLANS["digits"], []
        self.now, self.seconds = 0.0, seconds

    def round(self, size):
        self.sizes.append(size)
        self.now += self.seconds(size)


@pytest.mark.parametrize(
    ("seconds", "warning"),
    [
        (
            lambda size: 0.5 * size,
            "A step takes 32.00 s, so 1500 steps will take about 800 minutes, 3200 times as long",
        ),
        (
            lambda size: 0.01 * size,
            "A step takes 0.64 s, so 1500 steps will take about 16 minutes, 64 times as long",
        ),
        (
            lambda size: 0.02 + 0.0003 * size,
            "A step takes 0.04 s on this machine, so 15000 steps will take about 10 minutes;",
        ),
        (lambda size: 0.05 + 0.001 * size, None),
        (lambda size: 1e-4 * size, None),
    ],
    ids=["loops over samples and pixels", "slow", "long", "quick in large batches", "quick"],
)
def test_a_long_run_is_announced_with_its_length(seconds, warning, monkeypatch):
    told, count = [], 15000 if warning and "15000" in warning else 1500
    library = Trial(lambda size: 0.01)
    trial = Trial(seconds)
    monkeypatch.setattr(training, "time", Clock(trial, library))
    training.announce(trial, library, count, SAY, told.append)
    assert len(told) == (warning is not None)
    if warning:
        assert told[0].startswith(warning)
        assert "Ctrl-C" in told[0]


def test_the_reader_s_batch_norm_is_the_library_s_when_averaged():
    """The average of a net with the reader's batch norm draws what that of the library's does."""
    codes = {
        name: exercise(name).solution
        for name in ("batchnorm_forward", "batchnorm_closed", "linear")
    }
    theirs = _net()
    mine, whose = own.rebuilt(_net(), codes)
    assert set(whose.values()) == {"yours"}
    drawn = [_trained(net) for net in (theirs, mine)]
    numpy.testing.assert_allclose(drawn[0], drawn[1], rtol=1e-4, atol=1e-5)
    assert list(mine.buffers()) == list(theirs.buffers())


def _net():
    """A bias before a batch norm would have a gradient of rounding alone."""
    linear = nn.Linear(3, 4, bias=False, rng=numpy.random.default_rng(0))
    return nn.Sequential(linear, nn.BatchNorm(4))


def _trained(net):
    """What the average draws after a few steps."""
    rng = numpy.random.default_rng(1)
    optimizer = training.optim.Adam(net, lr=0.1, betas=(0.5, 0.9))
    average = training.optim.ExponentialMovingAverage(net, decay=0.9, warmup=9)
    for _ in itertools.repeat(None, 8):
        optimizer.zero_grad()
        x = 2 * rng.standard_normal((6, 3), "float32") + 1
        y, cache = net.forward(x)
        net.backward(rng.standard_normal(y.shape, "float32"), cache)
        optimizer.step()
        average.update()
    return average.net.forward(rng.standard_normal((5, 3), "float32"), train=False)[0]


def test_files_that_change_the_folder_are_all_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Folder, "state", lambda self, exercise: SOLVED)
    folder = Folder(Path("course"), names=["linear", "bce"])
    folder.path.mkdir()
    for each in folder.exercises():
        folder.file(each).write_text("import os\nos.chdir('/')\n")
    assert list(training.solved(folder)) == ["linear", "bce"]
    assert Path.cwd() == tmp_path

"""On a GPU losses stay on the device and are read now and then; what a run leaves behind is the
same.
"""

import numpy
import pytest
from strict_cuda import strict_cuda

from minigan import cli, data, gan, nn, optim
from minigan.plots import read_metrics

GRAPH = pytest.mark.parametrize("cuda_graph", [False, True], ids=["eager", "graph"])


def make_trainer(ops, **options):
    rng = numpy.random.default_rng(0)
    generator = nn.Sequential(nn.Linear(3, 8, rng=rng), nn.ReLU(), nn.Linear(8, 2, rng=rng)).to(ops)
    discriminator = nn.Sequential(
        nn.Linear(2, 8, rng=rng), nn.LeakyReLU(0.2), nn.Linear(8, 1, rng=rng)
    ).to(ops)
    game = gan.Game(
        generator, discriminator, optim.Adam(generator, lr=1e-2), optim.Adam(discriminator, lr=1e-2)
    )
    source = data.Stream(data.distribution("ring"), 8, numpy.random.default_rng(1))
    return gan.Trainer(
        game, source, latent=gan.Latent(3), rng=numpy.random.default_rng(2), **options
    )


class At(gan.Callback):
    """Does something at given steps, and tells the trainer beforehand."""

    def __init__(self, steps, act):
        self.steps, self.act = steps, act

    def due(self, step):
        return step in self.steps

    def on_step(self, trainer, report):
        if self.due(trainer.step):
            self.act(trainer)


class Seen(gan.Callback):
    """Remembers the steps that it was called at, and what was told of each."""

    def __init__(self):
        self.calls, self.reports = [], {}

    def due(self, step):
        return False

    def on_step(self, trainer, report):
        assert report is trainer.reports[-1][1]
        self.calls.append(trainer.step)
        self.reports |= dict(trainer.reports)


def gauges(trainer):
    """A number that tells at which step it was measured."""
    weight = trainer.game.generator.parameters()["0.weight"].value
    return {"weight": float(weight[0, 0])}


def waits(ops, monkeypatch):
    """Collect what makes the host wait for the device."""
    reasons, refuse = [], ops.xp.refuse_while

    def noted(condition, mode, why):
        if condition and mode == "no_sync" and "from the host" not in why:
            reasons.append(why)
        refuse(condition, mode, why)

    monkeypatch.setattr(ops.xp, "refuse_while", noted)
    return reasons


# ---------------------------------------------------------------- when


@GRAPH
def test_the_host_waits_once_for_many_steps(monkeypatch, cuda_graph):
    ops = strict_cuda()
    trainer, seen = make_trainer(ops, cuda_graph=cuda_graph, read_every=5), Seen()
    reasons = waits(ops, monkeypatch)
    trainer.run(12, [seen])
    assert seen.calls == [5, 10, 12]
    assert reasons == ["asnumpy copies to the host"] * 3


@GRAPH
def test_every_step_is_told_in_order_and_with_its_own_numbers(cuda_graph):
    lazy, eager = Seen(), Seen()
    make_trainer(strict_cuda(), cuda_graph=cuda_graph, read_every=4).run(11, [lazy])
    make_trainer(strict_cuda(), read_every=1).run(11, [eager])
    assert eager.calls == list(range(1, 12))
    assert list(lazy.reports) == eager.calls
    assert lazy.reports == eager.reports
    assert all(type(value) is float for value in lazy.reports[3].values())


def test_a_callback_that_says_nothing_is_called_after_every_step():
    class Plain(gan.Callback):
        steps = ()

        def on_step(self, trainer, report):
            self.steps += (trainer.step, len(trainer.reports))

    plain = Plain()
    make_trainer(strict_cuda()).run(3, [plain])
    assert plain.steps == (1, 1, 2, 1, 3, 1)


def test_on_a_cpu_every_step_is_read():
    trainer, seen = make_trainer("cpu", read_every=50), Seen()
    trainer.run(3, [seen])
    assert seen.calls == [1, 2, 3]
    assert trainer.read_every == 1


def test_more_unread_steps_than_the_ring_usually_holds():
    seen = Seen()
    make_trainer(strict_cuda(fast=True), cuda_graph=True, read_every=140).run(140, [seen])
    assert seen.calls == [140]
    assert list(seen.reports) == list(range(1, 141))


def test_an_interrupted_run_has_read_all(tmp_path):
    import signal

    trainer, seen = make_trainer(strict_cuda()), Seen()
    step = trainer.train_step

    def interrupted():
        if trainer.step == 6:
            signal.raise_signal(signal.SIGINT)
        return step()

    trainer.train_step = interrupted
    table = gan.MetricsFile(tmp_path / "metrics.csv")
    trainer.run(50, [seen, table])
    assert trainer.interrupted
    assert read_metrics(table.path)["step"].tolist() == list(range(1, 8))


def test_what_a_failed_run_left_unread_is_not_taken_for_the_next_one_s():
    trainer, seen = make_trainer(strict_cuda()), Seen()
    step = trainer.train_step

    def fails():
        if trainer.step == 2:
            raise ValueError("enough")
        return step()

    trainer.train_step = fails
    with pytest.raises(ValueError, match="enough"):
        trainer.run(5, [seen])
    trainer.train_step = step
    trainer.run(4, [seen])
    assert list(seen.reports) == [3, 4]


def test_a_run_that_fails_at_once_writes_no_rows_of_the_run_before(tmp_path):
    trainer, table = make_trainer(strict_cuda()), gan.MetricsFile(tmp_path / "metrics.csv")
    beginning = trainer.state()
    trainer.run(4)
    trainer.load_state(*beginning)

    def fails():
        raise ValueError("enough")

    trainer.train_step = fails
    with pytest.raises(ValueError, match="enough"):
        trainer.run(4, [table])
    assert not table.path.exists()


def test_the_number_of_unread_steps_must_be_positive():
    with pytest.raises(ValueError, match="reading the losses must be at least 1, got 0"):
        make_trainer("cpu", read_every=0)


# ---------------------------------------------------------------- what is left behind


def watched(folder, ops, *, steps, every=1, **options):
    folder.mkdir(exist_ok=True)
    table = gan.MetricsFile(
        folder / "metrics.csv", every=every, gauges=gauges, gauge_every=6 * every
    )
    saver = gan.Checkpoints(folder / "checkpoints", every=7, keep=9)
    trainer = make_trainer(ops, **options)
    trainer.run(steps, [gan.Guard(), table, saver])
    return trainer, saver


@GRAPH
@pytest.mark.parametrize("every", [1, 2])
def test_the_table_is_that_of_a_run_that_reads_every_step(tmp_path, cuda_graph, every):
    for name, options in (("lazy", {"cuda_graph": cuda_graph}), ("eager", {"read_every": 1})):
        watched(tmp_path / name, strict_cuda(), steps=20, every=every, **options)
    text = (tmp_path / "lazy" / "metrics.csv").read_text()
    assert text == (tmp_path / "eager" / "metrics.csv").read_text()
    measured = read_metrics(tmp_path / "lazy" / "metrics.csv")
    assert numpy.isfinite(measured["weight"]).sum() == (
        4 if every == 1 else 2
    )  # steps 1, 6, 12, 18; or 1, 12


@GRAPH
def test_rows_are_written_before_the_checkpoint_is_so_that_a_killed_run_goes_on(
    tmp_path, cuda_graph
):
    """The process dies right after a checkpoint, and another one resumes from it."""
    watched(tmp_path / "whole", strict_cuda(), steps=20, cuda_graph=cuda_graph)

    class Killed(BaseException):
        pass

    def die(trainer):
        raise Killed

    folder = tmp_path / "killed"
    folder.mkdir()
    table = gan.MetricsFile(folder / "metrics.csv", gauges=gauges, gauge_every=6)
    saver = gan.Checkpoints(folder / "checkpoints", every=7, keep=9)
    # A process that is killed doesn't come to on_failure.
    table.on_failure = lambda trainer: None
    first = make_trainer(strict_cuda(), cuda_graph=cuda_graph)
    with pytest.raises(Killed):
        first.run(20, [gan.Guard(), table, saver, At([14], die)])
    assert read_metrics(table.path)["step"].tolist() == list(range(1, 15))

    from minigan import checkpoint

    arrays, meta = checkpoint.load(folder / "checkpoints" / "step-00000014.safetensors")
    second = make_trainer(strict_cuda(), cuda_graph=cuda_graph)
    second.load_state(arrays, meta["trainer"])
    table = gan.MetricsFile(folder / "metrics.csv", gauges=gauges, gauge_every=6)
    second.run(20, [gan.Guard(), table, saver])
    assert table.path.read_text() == (tmp_path / "whole" / "metrics.csv").read_text()


# ---------------------------------------------------------------- the guard


def spoil(trainer):
    trainer.game.generator.parameters()["2.bias"].value[...] = numpy.nan


@GRAPH
def test_the_guard_says_at_which_step_it_went_wrong(tmp_path, cuda_graph):
    trainer = make_trainer(strict_cuda(), cuda_graph=cuda_graph, read_every=5)
    table = gan.MetricsFile(tmp_path / "metrics.csv")
    saver = gan.Checkpoints(tmp_path / "checkpoints", every=10)
    step = trainer.train_step

    def spoiling():
        if trainer.step == 7:
            spoil(trainer)
        return step()

    trainer.train_step = spoiling
    with pytest.raises(gan.TrainingError) as caught, numpy.errstate(all="ignore"):
        trainer.run(20, [gan.Guard(lambda: gan.list_checkpoints(saver.folder)[-1]), table, saver])
    words = str(caught.value)
    # Read after steps 1 (a checkpoint), 6 (five more) and 10 (a checkpoint, which isn't written any
    # more).
    assert words.startswith(
        "Training stopped at step 10: the loss of D (loss_d) was nan at step 8 and the "
    )
    assert "of the discriminator isn't finite" in words
    assert "step-00000001.safetensors" in words
    assert read_metrics(table.path)["step"].tolist() == list(range(1, 8))
    assert [path.name for path in gan.list_checkpoints(saver.folder)] == [
        "step-00000001.safetensors"
    ]


def test_the_guard_names_no_other_step_where_the_last_one_is_bad():
    trainer = make_trainer(strict_cuda())
    with (
        pytest.raises(
            gan.TrainingError, match=r"stopped at step 3: the loss of D \(loss_d\) is nan and"
        ),
        numpy.errstate(all="ignore"),
    ):
        trainer.run(9, [At([2], spoil), At([3], lambda trainer: None), gan.Guard()][::-1])


# ---------------------------------------------------------------- other watchers


def test_the_bar_counts_every_step(monkeypatch):
    from minigan.gan.callbacks import progress

    class Bar:
        steps = 0

        def update(self):
            self.steps += 1

        def set_postfix_str(self, words, refresh):
            pass

        def close(self):
            pass

    bar = gan.Progress(9)
    monkeypatch.setattr(progress, "_in_notebook", lambda: False)
    start = bar.on_start

    def on_start(trainer):
        start(trainer)
        bar._bar = Bar()

    bar.on_start = on_start
    make_trainer(strict_cuda(), read_every=4).run(9, [bar])
    assert bar._bar.steps == 9


def test_lines_of_progress_are_due_by_the_clock(monkeypatch):
    from minigan.gan.callbacks import progress

    clock = iter(range(0, 10_000, 3))
    bar = gan.Progress(9, seconds=7)
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    bar.on_start(make_trainer("cpu"))
    assert [bar.due(step) for step in (1, 2, 3)] == [False, False, True]


def test_event_files_hold_every_step(tmp_path):
    pytest.importorskip("tensorboardX")
    from minigan.gan.callbacks.tensorboard import TensorBoard

    drawn = []

    def draw(trainer):
        drawn.append(trainer.step)
        return numpy.zeros((2, 2, 3), "uint8")

    board, told = TensorBoard(tmp_path, every=2, draw=draw, draw_every=6), []
    start = board.on_start

    def on_start(trainer):
        start(trainer)
        board._writer.add_scalar = lambda name, value, step: told.append((name, step))

    board.on_start = on_start
    seen = Seen()
    make_trainer(strict_cuda()).run(9, [board, seen])
    assert [step for name, step in told if name == "loss_d"] == [1, 2, 4, 6, 8]
    assert drawn == [6]
    assert seen.calls == [6, 9]


def test_frames_and_the_doctor_are_due_where_they_look(tmp_path):
    from minigan.gan.callbacks import Watcher

    frames = gan.Frames(tmp_path, lambda trainer: numpy.zeros((2, 2), "uint8"), every=3)
    assert [step for step in range(1, 8) if frames.due(step)] == [3, 6]
    doctor = Watcher(dict, every=2, say=print, objective="hinge", start=4)
    assert [step for step in range(1, 8) if doctor.due(step)] == [4, 6]


# ------------------------------------------------------------ whole runs, with everybody who watche


@pytest.fixture
def cuda(monkeypatch):
    """Let the name "cuda" stand for a strict device."""
    from minigan.backend import devices

    ops = strict_cuda(fast=True)
    monkeypatch.setattr(devices, "_cuda", lambda: ops)
    monkeypatch.setattr(devices, "_cuda_answers", lambda: None)
    return ops


def test_a_whole_run_recorded_or_not_and_going_on_with_it(cuda, tmp_path):
    from minigan import checkpoint
    from minigan.runs.folder import open_run
    from minigan.runs.resuming import resume
    from minigan.runs.training import train

    options = {
        "device": "cuda",
        "steps": 12,
        "batch_size": 8,
        "checkpoint_every": 5,
        "frames": 2,
        "progress": False,
    }
    eager = train("ring", out=tmp_path / "eager", cuda_graph=False, **options)
    assert "begin_capture" not in cuda.xp.cuda.log
    graph = train("ring", out=tmp_path / "graph", **options)
    assert cuda.xp.cuda.log.count("begin_capture") == 1
    assert read_metrics(graph / "metrics.csv")["step"].tolist() == list(range(1, 13))
    for name in ("metrics.csv", "samples.png"):
        assert (graph / name).read_bytes() == (eager / name).read_bytes()
    expected = (graph / "metrics.csv").read_bytes()
    (graph / "checkpoints" / "step-00000012.safetensors").unlink()
    resume(graph, progress=False)
    assert cuda.xp.cuda.log.count("begin_capture") == 1, "two steps are left, both ordinary"
    assert [open_run(run).config.computing["cuda_graph"] for run in (eager, graph)] == [False, None]
    assert (graph / "metrics.csv").read_bytes() == expected
    ours, theirs = (checkpoint.load(folder / "model.safetensors")[0] for folder in (graph, eager))
    for name, array in theirs.items():
        numpy.testing.assert_array_equal(ours[name], array, err_msg=name)


OWN = """
import dataclasses
from minigan import nn, recipes


class Mine(nn.Tanh):
    pass


ring = recipes.get("ring")


def networks(*arguments):
    generator, discriminator = ring.networks(*arguments)
    return nn.Sequential(generator, Mine()), discriminator


RECIPE = dataclasses.replace(ring, name="mine", networks=networks)
"""


def test_a_layer_of_ones_own_is_recorded_if_asked_for_and_a_line_says_so(cuda, tmp_path, capsys):
    file = tmp_path / "mine.py"
    file.write_text(OWN)
    command = ["train", str(file), "--device", "cuda", "--steps", "5", "--batch-size", "8"]
    command += ["--frames", "0"]
    for more, said, captures in (
        (["--cuda-graph"], False, 1),
        ([], True, 1),
        (["--no-cuda-graph"], False, 1),
    ):
        assert cli.main([*command, *more, "--out", str(tmp_path / f"run{more}")]) == 0
        told = capsys.readouterr()
        assert ("since Mine isn't minigan's own" in told.out + told.err) == said
        assert cuda.xp.cuda.log.count("begin_capture") == captures

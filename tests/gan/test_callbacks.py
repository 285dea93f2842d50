"""What watches a run: the table of metrics, progress, the guard, frames, checkpoints."""

import contextlib
import io
import os
import signal
import sys
import types

import numpy
import pytest
from defaults import defaults

from minigan import data, gan, nn, optim
from minigan.gan.callbacks import progress
from minigan.plots import read_metrics


def make_trainer(*, lr=1e-3, average=False):
    rng = numpy.random.default_rng(0)
    generator = nn.Sequential(nn.Linear(3, 8, rng=rng), nn.ReLU(), nn.Linear(8, 2, rng=rng))
    discriminator = nn.Sequential(
        nn.Linear(2, 8, rng=rng), nn.LeakyReLU(0.2), nn.Linear(8, 1, rng=rng)
    )
    game = gan.Game(
        generator, discriminator, optim.Adam(generator, lr=lr), optim.Adam(discriminator, lr=lr)
    )
    return gan.Trainer(
        game,
        data.Stream(data.distribution("ring"), 16, numpy.random.default_rng(1)),
        latent=gan.Latent(3),
        rng=numpy.random.default_rng(2),
        average=optim.ExponentialMovingAverage(generator, decay=0.9) if average else None,
    )


@pytest.mark.parametrize("average", [False, True])
def test_a_trainer_has_what_callbacks_want_of_its_game(average):
    trainer = make_trainer(average=average)
    game = trainer.game
    assert trainer.sampler is (game.average.net if average else game.generator)
    assert trainer.latent is game.latent
    assert (trainer.discriminator_steps, trainer.conditional) == (1, False)
    with pytest.raises(AttributeError, match="'Trainer' object has no attribute 'samplers'"):
        trainer.samplers  # noqa: B018


class StopAt(gan.Callback):
    """Ends a run as a signal does, after a step."""

    def __init__(self, step):
        self.step = step

    def on_step(self, trainer, report):
        if trainer.step == self.step:
            signal.raise_signal(signal.SIGINT)


# ---------------------------------------------------------------- the table


def test_rows_come_at_the_first_step_every_so_often_and_at_the_last(tmp_path):
    path = tmp_path / "metrics.csv"
    make_trainer().run(11, [gan.MetricsFile(path, every=4)])
    table = read_metrics(path)
    assert table["step"].tolist() == [1, 4, 8, 11]
    assert list(table) == ["step", "loss_d", "d_real", "d_fake", "loss_g"]


def test_gauges_fill_their_columns_where_they_are_measured(tmp_path):
    path = tmp_path / "metrics.csv"
    measured = []

    def gauges(trainer):
        measured.append(trainer.step)
        return {"twice": 2.0 * trainer.step}

    make_trainer().run(9, [gan.MetricsFile(path, every=2, gauges=gauges, gauge_every=4)])
    assert measured == [1, 4, 8, 9]
    numpy.testing.assert_array_equal(
        read_metrics(path)["twice"], [2, numpy.nan, 8, numpy.nan, 16, 18]
    )


def resumed(path, *, stops, total, every):
    """Run to `total`, stopping at each of `stops` and going on with a fresh table object."""
    trainer = make_trainer()
    for stop in [*stops, total]:
        trainer.run(
            stop,
            [gan.MetricsFile(path, every=every, gauges=lambda t: {"g": t.step}, gauge_every=every)],
        )


@pytest.mark.parametrize(("stops", "total"), [([1], 9), ([2, 3], 9), ([5, 8, 9], 10), ([4, 9], 9)])
def test_a_resumed_table_is_that_of_an_unbroken_run(tmp_path, stops, total):
    resumed(tmp_path / "whole.csv", stops=[], total=total, every=4)
    resumed(tmp_path / "broken.csv", stops=stops, total=total, every=4)
    assert (tmp_path / "broken.csv").read_text() == (tmp_path / "whole.csv").read_text()


def test_rows_after_the_checkpoint_and_torn_rows_are_cut_off(tmp_path):
    path = tmp_path / "metrics.csv"
    trainer = make_trainer()
    trainer.run(5, [gan.MetricsFile(path)])
    whole = path.read_text()
    with path.open("a") as file:
        file.write("6,1,1,1,1\n7,1,1")
    trainer.run(5, [gan.MetricsFile(path)])
    assert path.read_text() == whole


def test_of_steps_read_at_once_the_rows_before_the_first_nan_are_written(tmp_path):
    """On a GPU, several steps are read at once; then the guard, which comes first, ends the run."""
    trainer, table = make_trainer(), gan.MetricsFile(tmp_path / "metrics.csv")
    table.on_start(trainer)
    losses = [0.5, 0.25, float("nan"), 0.5, 0.75]
    trainer.reports = [(step, {"loss_d": loss}) for step, loss in enumerate(losses, start=1)]
    trainer.step = len(losses)
    table.on_failure(trainer)
    assert table.path.read_text() == "step,loss_d\n1,0.5\n2,0.25\n"


def test_an_empty_table_left_by_a_killed_process_is_begun_anew(tmp_path):
    path = tmp_path / "metrics.csv"
    path.touch()
    trainer = make_trainer()
    trainer.run(2)
    trainer.run(3, [gan.MetricsFile(path)])
    assert read_metrics(path)["step"].tolist() == [3]


@pytest.mark.parametrize(
    ("damage", "lost"),
    [
        (lambda rows: rows, None),
        (lambda rows: rows[:-3], "3 to 5"),  # a disk that lost its power
        (lambda rows: [rows[0], *rows[2:]], "1 to 1"),
        (lambda rows: [*rows[:2], "2,x,1,1,1", *rows[3:]], "2 to 2"),
        (lambda rows: [*rows[:2], "2," + "1" * 200_000 + ",1,1,1", *rows[3:]], "2 to 2"),
        (lambda rows: [*rows[:2], "\0" * 20, *rows[3:]], "2 to 2"),
        (lambda rows: ["no table"], "1 to 5"),
        (lambda rows: [], "1 to 5"),
    ],
)
def test_rows_that_are_lost_are_noticed_when_the_run_goes_on(tmp_path, damage, lost):
    path, said = tmp_path / "metrics.csv", []
    trainer = make_trainer()
    trainer.run(5, [gan.MetricsFile(path)])
    path.write_text("\n".join(damage(path.read_text().splitlines())) + "\n")
    trainer.run(7, [gan.MetricsFile(path, say=said.append)])
    words = f"has lost the rows of steps {lost}; training isn't affected"
    assert [words in one for one in said] == ([] if lost is None else [True])
    assert read_metrics(path)["step"][-2:].tolist() == [6, 7]


def test_rows_further_apart_than_now_are_not_taken_for_lost(tmp_path):
    path, said = tmp_path / "metrics.csv", []
    trainer = make_trainer()
    trainer.run(20, [gan.MetricsFile(path, every=5)])
    trainer.run(22, [gan.MetricsFile(path, every=2, say=said.append)])
    assert said == []


def test_the_table_is_on_the_disk_before_a_checkpoint_that_relies_on_it(tmp_path, monkeypatch):
    from minigan import files

    events, real_sync, real_replace = [], files.os.fsync, files.os.replace
    table = tmp_path / "metrics.csv"

    def sync(handle):
        if table.exists() and files.os.fstat(handle).st_ino == table.stat().st_ino:
            events.append("table")
        real_sync(handle)

    def replace(source, target):
        events.append(target.name)
        real_replace(source, target)

    monkeypatch.setattr(files.os, "fsync", sync)
    monkeypatch.setattr(files.os, "replace", replace)
    saver = gan.Checkpoints(tmp_path / "checkpoints", every=2, relies_on=[table])
    make_trainer().run(2, [gan.MetricsFile(table), saver])
    names = [f"step-{step:08d}.safetensors" for step in (1, 2)]
    assert events == ["table", names[0], "table", names[1]]


@pytest.mark.parametrize(
    "best",
    [
        {},
        {"best": 3},
        {"best": []},
        {"best": {"metric": "share"}},
        {"best": {"metric": "share", "value": "much"}},
        {"best": {"metric": "share", "value": None}},
    ],
)
def test_a_best_checkpoint_that_says_nonsense_is_replaced(tmp_path, best):
    from minigan import checkpoint

    path = tmp_path / "best.safetensors"
    checkpoint.save(path, {"x": numpy.zeros(1)}, best)
    measure = gan.Measure("share", lambda trainer: 0.5, larger_is_better=True)
    make_trainer().run(1, [gan.Checkpoints(tmp_path, every=1, best=measure)])
    assert checkpoint.load(path)[1]["best"] == {"metric": "share", "value": 0.5}


# ---------------------------------------------------------------- the doctor


def test_a_table_that_cannot_be_read_does_not_end_the_run():
    said = []

    def read():
        raise ValueError("line 3 has 'x'")

    trainer = make_trainer()
    watcher = gan.Watcher(read, every=1, start=1, say=said.append, objective="hinge")
    trainer.run(3, [watcher])
    assert trainer.step == 3
    assert said == ["The run can't be diagnosed: line 3 has 'x'"]


def test_the_doctor_looks_every_so_often_from_a_first_step_on():
    watcher = gan.Watcher(dict, every=3, start=5, say=print, objective="hinge")
    assert [step for step in range(1, 14) if watcher.due(step)] == [6, 9, 12]
    watcher = gan.Watcher(dict, every=3, start=6, say=print, objective="hinge")
    assert [step for step in range(1, 14) if watcher.due(step)] == [6, 9, 12]
    assert defaults(gan.Watcher) == {"smoothing": 0.0, "start": 200}


# ---------------------------------------------------------------- TensorBoard


@pytest.fixture
def events(monkeypatch):
    """What a writer of event files is asked for, in the place of tensorboardX."""
    asked = []

    class Writer:
        def __init__(self, folder, **options):
            asked.append(("open", folder, options))

        def add_scalar(self, name, value, step):
            asked.append((name, value, step))

        def add_image(self, name, picture, step, dataformats):
            asked.append((name, picture, step, dataformats))

        def close(self):
            asked.append("closed")

    monkeypatch.setitem(sys.modules, "tensorboardX", types.SimpleNamespace(SummaryWriter=Writer))
    return asked


def test_event_files_have_numbers_every_so_often_and_a_resumed_run_purges(events):
    from minigan.gan.callbacks import TensorBoard

    def board():
        return TensorBoard("there", every=2, draw=lambda trainer: trainer.step, draw_every=3)

    trainer = make_trainer()
    trainer.run(3, [board()])
    trainer.run(6, [board()])
    names = ["loss_d", "d_real", "d_fake", "loss_g"]
    assert [e for e in events if e[0] == "open"] == [
        ("open", "there", {"purge_step": None, "write_to_disk": True, "filename_suffix": ".0"}),
        ("open", "there", {"purge_step": 4, "write_to_disk": True, "filename_suffix": ".3"}),
    ]
    numbers = [(e[0], e[2]) for e in events if e[0] in names]
    assert numbers == [(name, step) for step in (1, 2, 4, 6) for name in names]
    assert [e for e in events if e[0] == "samples"] == [
        ("samples", 3, 3, "HWC"),
        ("samples", 6, 6, "HWC"),
    ]
    assert events.count("closed") == 2
    board().on_end(trainer)  # never opened
    assert events.count("closed") == 2


def test_event_files_without_pictures(events):
    from minigan.gan.callbacks import TensorBoard

    board = TensorBoard("there")
    assert not board.due(1)
    make_trainer().run(2, [board])
    assert [e[2] for e in events if e[0] == "loss_g"] == [1, 2]
    assert "samples" not in [e[0] for e in events]
    assert defaults(TensorBoard) == {"every": 1, "draw": None, "draw_every": 1}


# ---------------------------------------------------------------- progress


def progress_with(ticks):
    """The lines of a run of which each step takes 6 seconds, `ticks` of them on the processor."""
    stream, clock = io.StringIO(), iter((6.0 * i, ticks * i) for i in range(100))
    make_trainer().run(9, [gan.Progress(9, stream=stream, clocks=lambda: next(clock))])
    return [line for line in stream.getvalue().splitlines() if "crowded" in line]


def test_a_crowded_machine_is_noticed_and_said_once(monkeypatch):
    from minigan.backend.cpu import CpuBackend

    assert progress_with(12.0) == progress_with(6.0) == progress_with(3.8) == []
    monkeypatch.setattr(CpuBackend, "threads", 2)
    words = "This machine is crowded: of the last 12 seconds, this run had the processor for 4.0"
    assert progress_with(2.0) == [f"{words}; with MINIGAN_THREADS=1 it may be much faster."]
    monkeypatch.setattr(CpuBackend, "threads", 1)
    assert progress_with(2.0) == [f"{words}."]


def test_the_time_left_of_a_resumed_run_is_reckoned_from_its_own_steps(monkeypatch):
    trainer, stream = make_trainer(), io.StringIO()
    trainer.run(4)
    clock = iter(range(0, 10_000, 5))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    trainer.run(10, [gan.Progress(10, stream=stream, seconds=4)])
    # A step takes five seconds, so five more will take 25; a batch of 16 every five seconds.
    first = stream.getvalue().splitlines()[0]
    assert first.startswith("step 5/10  ")
    assert first.endswith("  0:25 left")
    assert "  3 samples/s  " in first


def test_the_losses_come_first_and_what_does_not_fit_is_left_out():
    bar = gan.Progress(20)
    bar._start, bar._first_step = 1.0, 2
    trainer = types.SimpleNamespace(step=10, source=types.SimpleNamespace(batch_size=16))
    report = {"d_real": 0.5, "other": 2.0, "penalty": 4.0, "loss_g": 1.25, "loss_d": 0.75}
    whole = "loss D 0.750  loss G 1.250  32 samples/s  D(x) 0.500  other 2.000  penalty 4.000"
    parts = whole.split("  ")
    assert bar._words(trainer, report, 5.0, len(whole)) == whole
    assert bar._words(trainer, report, 5.0, len(whole) - 1) == "  ".join(parts[:-1])
    assert bar._words(trainer, report, 5.0, 26) == "  ".join(parts[:2])
    assert bar._words(trainer, report, 5.0, 25) == bar._words(trainer, report, 5.0, 0) == parts[0]
    assert bar._words(trainer, report, 1.0, 60).split("  ")[2] == "128,000,000,000 samples/s"


def test_when_a_line_or_the_words_of_a_bar_are_due(monkeypatch):
    assert defaults(gan.Progress) == {"stream": None, "seconds": 10.0, "clocks": None}
    clock = iter([100.0, 110.0, 110.1, 100.2 - 1e-9, 100.3])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bar = gan.Progress(20, stream=io.StringIO())
    bar.on_start(make_trainer())
    assert [bar.due(1), bar.due(1)] == [False, True]
    bar._bar = object()
    assert [bar.due(1), bar.due(1)] == [False, True]


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Bar:
    """What tqdm is asked for."""

    made = None

    def __init__(self, **options):
        Bar.made = self
        self.options, self.steps, self.words, self.closed = options, 0, [], 0

    def update(self):
        self.steps += 1

    def set_postfix_str(self, words, refresh):
        self.words.append((self.steps, words, refresh))

    def close(self):
        self.closed += 1


@pytest.mark.parametrize(
    ("columns", "shown"), [(52 + 26, "loss D 1.415  loss G 0.695"), (52 + 25, "loss D 1.415")]
)
def test_a_bar_in_a_terminal_is_renewed_five_times_a_second(monkeypatch, columns, shown):
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    size = os.terminal_size((columns, 24))
    monkeypatch.setattr(progress.shutil, "get_terminal_size", lambda *_, **__: size)
    clock = iter(0.15 * i for i in range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    trainer, stream = make_trainer(), Terminal()
    trainer.run(2)
    trainer.run(7, [gan.Progress(7, stream=stream)])
    bar = Bar.made
    assert bar.options == {
        "total": 7, "initial": 2, "unit": "step", "dynamic_ncols": True, "mininterval": 0.2,
        "file": stream,
    }  # fmt: skip
    assert (bar.steps, bar.closed) == (5, 1)
    assert [steps for steps, _, _ in bar.words] == [2, 4]
    for _, words, refresh in bar.words:
        assert words.split(" ")[:2] == shown.split(" ")[:2]
        assert len(words) == len(shown)
        assert refresh is False


def test_in_a_file_a_line_now_and_then_with_the_time_left(monkeypatch):
    clock = iter(range(0, 10_000, 3))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    stream = io.StringIO()
    make_trainer().run(10, [gan.Progress(10, stream=stream, seconds=7)])
    lines = stream.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == ["3/10", "6/10", "9/10", "10/10"]
    # Three steps took nine seconds, so seven will take 21; a batch of 16 every three seconds.
    assert "0:21 left" in lines[0]
    assert "5 samples/s" in lines[0]
    assert "loss D 1." in lines[0]
    assert "D(x) 0." in lines[0]
    assert all(len(line) <= 80 for line in lines)
    assert "0:00 left" in lines[-1]


def test_in_a_terminal_a_bar_that_words_do_not_tear_apart():
    stream = Terminal()
    bar = gan.Progress(3, stream=stream)

    class Talker(gan.Callback):
        def on_step(self, trainer, report):
            bar.say(f"at {trainer.step}")

    make_trainer().run(3, [bar, Talker()])
    assert "3/3" in stream.getvalue()
    assert "\rat 2\n" in stream.getvalue().replace(" ", "").replace("\rat2", "\rat 2")


def test_in_a_notebook_a_notebook_bar(monkeypatch):
    made = []

    class Bar:
        def __init__(self, **options):
            made.append(options)
            self.steps = 0
            made.append(self)

        def update(self):
            self.steps += 1

        def set_postfix_str(self, words, refresh):
            self.words = words

        def close(self):
            self.closed = True

    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setitem(sys.modules, "tqdm.notebook", types.SimpleNamespace(tqdm=Bar))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    clock = iter(range(10_000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(clock)))
    trainer = make_trainer()
    trainer.run(2)
    trainer.run(5, [gan.Progress(5)])
    options, bar = made
    assert (options["total"], options["initial"]) == (5, 2)
    assert bar.steps == 3
    assert bar.closed
    assert "loss G" in bar.words


def test_a_notebook_without_widgets_gets_lines(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    stream = io.StringIO()
    make_trainer().run(2, [gan.Progress(2, stream=stream)])
    assert stream.getvalue().startswith("step 2/2")


def test_hours_are_shown_as_such():
    assert [progress._clock(s) for s in (5, 65, 3600, 36_061.4)] == [
        "0:05",
        "1:05",
        "1:00:00",
        "10:01:01",
    ]


def test_the_bar_is_closed_when_training_fails():
    stream = Terminal()
    bar = gan.Progress(5, stream=stream)
    closed = []
    bar_close = bar.on_end
    bar.on_end = lambda trainer: (closed.append(trainer.step), bar_close(trainer))

    class Fails(gan.Callback):
        def on_step(self, trainer, report):
            raise ValueError("enough")

    with pytest.raises(ValueError, match="enough"):
        make_trainer().run(5, [bar, Fails()])
    assert closed == [1]


# ---------------------------------------------------------------- the guard


class Poison(gan.Callback):
    """Spoils a number at a step, as a bug would."""

    def __init__(self, step, spoil):
        self.step, self.spoil = step, spoil

    def on_step(self, trainer, report):
        if trainer.step == self.step:
            self.spoil(trainer, report)


def set_nan(player, name, what="value", number=float("nan")):
    def spoil(trainer, report):
        array = getattr(getattr(trainer.game, player).parameters()[name], what)
        array.reshape(-1)[1] = number

    return spoil


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (set_nan("generator", "2.weight"), "the weight 2.weight of the generator isn't finite"),
        (
            set_nan("discriminator", "0.bias", "grad"),
            "the gradient 0.bias of the discriminator isn't finite",
        ),
        (
            set_nan("generator", "0.weight", "grad", numpy.inf),
            "the gradient 0.weight of the generator isn't",
        ),
        (
            set_nan("generator", "0.weight", "value", 1e30),
            "weights or gradients of the generator are too large",
        ),
        (
            lambda trainer, report: report.update(loss_g=float("nan")),
            "the loss of G (loss_g) is nan",
        ),
    ],
)
def test_trouble_stops_the_run_with_step_place_and_way_back(tmp_path, spoil, words):
    saver = gan.Checkpoints(tmp_path / "checkpoints", every=2)
    guard = gan.Guard(lambda: gan.list_checkpoints(saver.folder)[-1])
    table = gan.MetricsFile(tmp_path / "metrics.csv")
    with pytest.raises(gan.TrainingError) as caught, numpy.errstate(all="ignore"):
        make_trainer().run(9, [Poison(5, spoil), guard, table, saver])
    assert "stopped at step 5" in str(caught.value)
    assert words in str(caught.value)
    assert f"the last good checkpoint is {saver.folder / 'step-00000004.safetensors'}" in str(
        caught.value
    )
    assert read_metrics(table.path)["step"].tolist() == [1, 2, 3, 4]
    assert gan.list_checkpoints(saver.folder)[-1].name == "step-00000004.safetensors"


def test_trouble_before_any_checkpoint():
    with pytest.raises(gan.TrainingError, match="there is no checkpoint yet"):
        make_trainer().run(3, [Poison(1, set_nan("generator", "0.bias")), gan.Guard()])


def test_a_healthy_run_passes_the_guard():
    trainer = make_trainer()
    trainer.run(3, [gan.Guard()])
    assert trainer.step == 3


# ---------------------------------------------------------------- checkpoints


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_checkpoints_after_the_first_step_every_so_often_and_at_the_end(tmp_path):
    make_trainer().run(7, [gan.Checkpoints(tmp_path / "c", every=3, keep=9)])
    assert names(tmp_path / "c") == [f"step-0000000{i}.safetensors" for i in (1, 3, 6, 7)]


def test_only_the_newest_stay_and_leftovers_go(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / ".step-00000001-0123456789ab.safetensors").touch()
    make_trainer().run(7, [gan.Checkpoints(folder, every=1, keep=2)])
    assert names(folder) == ["step-00000006.safetensors", "step-00000007.safetensors"]


def test_files_that_only_look_like_checkpoints_are_left_alone(tmp_path):
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "step-mine.safetensors").touch()
    make_trainer().run(3, [gan.Checkpoints(folder, every=1, keep=1)])
    assert names(folder) == ["step-00000003.safetensors", "step-mine.safetensors"]
    assert [path.name for path in gan.list_checkpoints(folder)] == ["step-00000003.safetensors"]


@pytest.mark.parametrize(("larger", "best"), [(True, 4), (False, 2)])
def test_the_best_by_a_measure_stays(tmp_path, larger, best):
    from minigan import checkpoint

    values = {1: 0.5, 2: 0.2, 4: 0.9, 6: 0.9, 8: float("nan")}
    measure = gan.Measure("made-up", lambda trainer: values[trainer.step], larger_is_better=larger)
    folder = tmp_path / "c"
    trainer = make_trainer()
    for stop in (3, 9):  # what was best before an interruption is remembered after it
        trainer.run(stop, [gan.Checkpoints(folder, every=2, keep=1, best=measure)])
    assert names(folder) == ["best.safetensors", "step-00000009.safetensors"]
    meta = checkpoint.load(folder / "best.safetensors")[1]
    assert meta["trainer"]["step"] == best
    assert meta["best"] == {"metric": "made-up", "value": values[best]}


def test_another_measure_begins_anew(tmp_path):
    from minigan import checkpoint

    trainer = make_trainer()
    for name, stop in (("a", 1), ("b", 2)):
        measure = gan.Measure(name, lambda trainer: float(trainer.step), larger_is_better=False)
        trainer.run(stop, [gan.Checkpoints(tmp_path / "c", every=1, best=measure)])
    assert checkpoint.load(tmp_path / "c" / "best.safetensors")[1]["best"] == {
        "metric": "b",
        "value": 2.0,
    }


def test_when_checkpoints_and_frames_are_due(tmp_path):
    assert defaults(gan.Checkpoints) == {
        "keep": 3, "about": None, "best": None, "relies_on": (), "last": None,
    }  # fmt: skip
    saver, film = gan.Checkpoints(tmp_path, every=3), gan.Frames(tmp_path, None, every=3)
    assert [step for step in range(1, 10) if saver.due(step)] == [1, 3, 6, 9]
    assert [step for step in range(1, 10) if film.due(step)] == [3, 6, 9]


def test_a_last_step_that_was_saved_is_not_saved_again(tmp_path):
    saver = gan.Checkpoints(tmp_path, every=3)
    saved, save = [], saver.save
    saver.save = lambda trainer: saved.append(trainer.step) or save(trainer)
    trainer = make_trainer()
    trainer.run(6, [saver])
    trainer.run(6, [saver])
    assert saved == [1, 3, 6]


@pytest.mark.parametrize("wrong", [{"every": 0}, {"every": 1, "keep": 0}])
def test_counts_must_be_positive(tmp_path, wrong):
    with pytest.raises(ValueError, match="must be positive"):
        gan.Checkpoints(tmp_path, **wrong)


EVERY = {
    "checkpoints": lambda path, every: gan.Checkpoints(path, every=every),
    "rows": lambda path, every: gan.MetricsFile(path, every=every),
    "measurements": lambda path, every: gan.MetricsFile(path, gauge_every=every),
    "frames": lambda path, every: gan.Frames(path, None, every=every),
    "paragraphs": lambda path, every: gan.Lines(path, None, every=every),
    "diagnoses": lambda path, every: gan.Watcher(None, every=every, say=None, objective="hinge"),
    "comparisons": lambda path, every: gan.Agreement(every=every),
}


@pytest.mark.parametrize("what", EVERY)
def test_steps_between_things_are_positive_integers(tmp_path, what):
    for wrong in (0, -1):
        with pytest.raises(ValueError, match=f"of steps between {what} must be positive"):
            EVERY[what](tmp_path / "x", wrong)
    for wrong in (2.5, "2", None):
        with pytest.raises(TypeError, match=f"of steps between {what} must be an integer"):
            EVERY[what](tmp_path / "x", wrong)
    assert EVERY[what](tmp_path / "x", numpy.int64(3))


def test_a_table_is_written_anew_by_a_second_run(tmp_path):
    table = gan.MetricsFile(tmp_path / "metrics.csv", every=5)
    make_trainer().run(20, [table])
    first = (tmp_path / "metrics.csv").read_text()
    make_trainer().run(20, [table])
    assert (tmp_path / "metrics.csv").read_text() == first


def test_damaged_lines_of_a_resumed_run_are_left_out(tmp_path):
    (tmp_path / "l.txt").write_bytes(b"step 0\nok\n\n\xff\xfe\n")
    trainer = make_trainer()
    trainer.run(2)
    trainer.run(4, [gan.Lines(tmp_path / "l.txt", lambda samples: ["a"], every=2)])
    assert (tmp_path / "l.txt").read_text().split() == ["step", "0", "ok", "step", "4", "a"]


def numbers(samples):
    return [" ".join(map(str, row)) for row in samples]


@pytest.mark.parametrize("stops", [[3], [4], [1, 7]])
def test_the_lines_of_a_resumed_run_are_those_of_an_unbroken_one(tmp_path, stops):
    whole, broken = (tmp_path / name for name in ("whole.txt", "broken.txt"))
    make_trainer().run(8, [gan.Lines(whole, numbers, every=2)])
    trainer = make_trainer()
    for stop in [*stops, 8]:
        trainer.run(stop, [gan.Lines(broken, numbers, every=2)])
    assert broken.read_text() == whole.read_text()
    found = [line for line in whole.read_text().splitlines() if line.startswith("step")]
    assert found == [f"step {step}" for step in (0, 2, 4, 6, 8)]


def test_lines_after_the_step_that_a_run_goes_on_from_are_cut_off(tmp_path):
    whole, broken = (tmp_path / name for name in ("whole.txt", "broken.txt"))
    make_trainer().run(5, [gan.Lines(whole, numbers, every=2)])
    make_trainer().run(8, [gan.Lines(broken, numbers, every=2)])
    trainer = make_trainer()
    trainer.run(3)
    trainer.run(5, [gan.Lines(broken, numbers, every=2)])
    assert broken.read_text() == whole.read_text()


# ---------------------------------------------------------------- frames


def test_a_copy_of_a_frame_is_no_obstacle(tmp_path):
    (tmp_path / "step-00000002 (1).png").write_bytes(b"")
    film = gan.Frames(tmp_path, draw, every=2)
    make_trainer().run(3, [film])
    assert [path.name for path in film.paths()] == [f"step-0000000{i}.png" for i in (0, 2, 3)]


def draw(trainer):
    return numpy.full((4, 5, 1), trainer.step, "uint8")


def test_the_film_of_a_resumed_run_is_that_of_an_unbroken_one(tmp_path):
    from PIL import Image

    whole, broken = (gan.Frames(tmp_path / name, draw, every=2) for name in ("whole", "broken"))
    make_trainer().run(7, [whole])
    trainer = make_trainer()
    for stop in (3, 7):
        trainer.run(stop, [broken])
    steps = [0, 2, 4, 6, 7]
    assert [path.name for path in whole.paths()] == [f"step-{i:08d}.png" for i in steps]
    assert names(tmp_path / "broken") == names(tmp_path / "whole")
    assert [int(numpy.asarray(Image.open(path))[0, 0]) for path in broken.paths()] == steps


# ---------------------------------------------------------------- signals


def test_an_interrupt_ends_after_the_step_with_everything_written(tmp_path):
    trainer = make_trainer()
    table, saver = (
        gan.MetricsFile(tmp_path / "m.csv", every=100),
        gan.Checkpoints(tmp_path / "c", every=100),
    )
    trainer.run(50, [StopAt(7), table, saver])
    assert trainer.interrupted
    assert trainer.step == 7
    assert read_metrics(table.path)["step"].tolist() == [1, 7]
    assert gan.list_checkpoints(saver.folder)[-1].name == "step-00000007.safetensors"
    trainer.run(9)
    assert not trainer.interrupted


class FailAt(StopAt):
    """Ends a run with an exception, after a step."""

    def on_step(self, trainer, report):
        if trainer.step == self.step:
            raise ArithmeticError("on purpose")


@pytest.mark.parametrize("ending", [gan.Callback(), StopAt(1), FailAt(1)])
def test_signals_are_handled_after_a_run_as_before(ending):
    before = signal.getsignal(signal.SIGINT)
    with contextlib.suppress(ArithmeticError):
        make_trainer().run(2, [ending])
    assert signal.getsignal(signal.SIGINT) is before


# ---------------------------------------------------------------- the state of a trainer


def test_a_trainer_that_is_refused_leaves_the_game_as_it_was():
    game = make_trainer().game
    before = game.latent, game.discriminator_steps, game.conditional, game.average
    with pytest.raises(ValueError, match="steps"):
        gan.Trainer(
            game, None, rng=numpy.random.default_rng(0), latent=gan.Latent(99),
            discriminator_steps=0, conditional=True,
            average=optim.ExponentialMovingAverage(game.generator, decay=0.9),
        )  # fmt: skip
    after = game.latent, game.discriminator_steps, game.conditional, game.average
    assert all(a is b for a, b in zip(after, before, strict=True))


def whole_state(trainer):
    arrays, meta = trainer.state()
    return {name: array.tobytes() for name, array in arrays.items()}, meta


@pytest.mark.parametrize(
    "damage",
    [
        lambda arrays, meta: arrays.pop("discriminator_optimizer/m"),
        lambda arrays, meta: arrays.update({"average/t": numpy.array(-1)}),
        lambda arrays, meta: meta.update(step="many"),
        lambda arrays, meta: meta.update(rng={"latents": {"bit_generator": "MT19937"}}),
        lambda arrays, meta: meta.update(source={}),
        lambda arrays, meta: meta.pop("source"),
        lambda arrays, meta: meta.pop("rng"),
    ],
)
def test_a_state_that_does_not_fit_leaves_a_trainer_as_it_was(damage):
    trainer, other = make_trainer(average=True), make_trainer(average=True)
    trainer.run(1)
    other.run(3)
    before = whole_state(trainer)
    arrays, meta = other.state()
    damage(arrays, meta)
    with pytest.raises((ValueError, TypeError)):
        trainer.load_state(arrays, meta)
    assert whole_state(trainer) == before
    trainer.load_state(*other.state())
    assert whole_state(trainer) == whole_state(other)

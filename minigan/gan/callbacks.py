"""What watches a run: the table of its metrics, the progress bar, the guard against NaN,
checkpoints, frames.
"""

from __future__ import annotations

import csv
import functools
import io
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from minigan import backend, checkpoint, nn
from minigan.backend import Array
from minigan.files import remove_leftovers, written_whole
from minigan.gan.trainer import Callback, Report, Trainer


class TrainingError(ArithmeticError):
    """Training ran into numbers that are none; the message names the step, the place and what to
    do.
    """


class MetricsFile(Callback):
    """Writes ``metrics.csv`` as the run goes: a row every `every` steps.

    It holds no clock times, so that two runs from one seed leave the same file. When a run is
    resumed, rows after the checkpoint are cut off first: they will come again.

    Parameters
    ----------
    path
        The file.
    every
        Steps between rows; the first and the last step have one in any case.
    gauges
        ``trainer -> {column: number}``: more columns, measured where a row is written. It may draw
        nothing from the run's random generators.
    gauge_every
        Steps between measurements, a multiple of `every`; the cells of the rows between them are
        empty.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        every: int = 1,
        gauges: Callable[[Trainer], dict[str, float]] | None = None,
        gauge_every: int = 1,
    ) -> None:
        self.path, self.every, self.gauges, self.gauge_every = (
            Path(path),
            every,
            gauges,
            gauge_every,
        )
        self._last: Callable[[], list[str]] | None = None
        self._last_step = self._written = 0
        self._columns: list[str] = []

    def on_start(self, trainer: Trainer) -> None:
        """Cut off the rows of steps that will come again."""
        rows = self._rows() if trainer.step else []
        if not rows:
            self.path.unlink(missing_ok=True)
            return
        self._columns, *rows = rows
        past = [
            row for row in rows if len(row) == len(self._columns) and int(row[0]) <= trainer.step
        ]
        # The row that an interruption added isn't there in an unbroken run, unless the run ends
        # here after all.
        kept = [row for row in past if self._due(int(row[0]))]
        if past and past[-1] is not (kept[-1] if kept else None):
            self._last, self._last_step = past[-1].copy, int(past[-1][0])
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self._columns, *kept])
        with written_whole(self.path) as temporary:
            temporary.write_text(text.getvalue())
        self._written = int(kept[-1][0]) if kept else 0

    def due(self, step: int) -> bool:
        """Where something is measured: the rows between can wait."""
        return self.gauges is not None and self._due(step) and self._is_gauged(step)

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Write the rows that it is time for."""
        self._write_earlier(trainer.reports[:-1])
        self._last_step = trainer.step
        self._last = lambda: self._row(trainer.step, report, self._measured(trainer))
        if self._due(trainer.step):
            self._write()

    def on_end(self, trainer: Trainer) -> None:
        """Write the last step's row."""
        self._write()

    def on_failure(self, trainer: Trainer) -> None:
        """Write the rows of the steps that were read together with the last one, up to the first
        that is no good.
        """
        good = itertools.takewhile(
            lambda r: all(map(math.isfinite, r[1].values())), trainer.reports[:-1]
        )
        self._write_earlier(good)

    def _due(self, step: int) -> bool:
        return step == 1 or step % self.every == 0

    def _rows(self) -> list[list[str]]:
        if not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            return [row for row in csv.reader(file) if row]

    def _is_gauged(self, step: int) -> bool:
        return step == 1 or step % self.gauge_every == 0

    def _measured(self, trainer: Trainer) -> dict[str, float]:
        wanted = self._is_gauged(trainer.step) or not self._due(trainer.step)
        return self.gauges(trainer) if self.gauges is not None and wanted else {}

    def _row(self, step: int, report: Report, measured: dict[str, float]) -> list[str]:
        # Written before the first row is: the first step has every column.
        self._columns = self._columns or ["step", *report, *measured]
        numbers = {name: f"{value:.9g}" for name, value in (report | measured).items()}
        return [str(step), *(numbers.get(name, "") for name in self._columns[1:])]

    def _write_earlier(self, reports: Iterable[tuple[int, Report]]) -> None:
        """Write the rows of steps that lie back. None of them is to be measured: that would have
        been `due`.
        """
        for step, report in reports:
            if self._due(step):
                self._last_step = step
                self._last = functools.partial(self._row, step, report, {})
                self._write()

    def _write(self) -> None:
        if self._last is None or self._last_step <= self._written:
            return
        row = self._last()
        new = not self.path.exists()
        with self.path.open("a", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([self._columns, row] if new else [row])
        self._written = self._last_step


class Progress(Callback):
    """Shows how far the run is, its losses and beliefs, images per second and the time left.

    A bar in a terminal and in a notebook; a line now and then where the output goes to a file.

    Parameters
    ----------
    steps
        The step that the run ends at.
    stream
        Where to, standard error by default.
    seconds
        Between lines in a file.
    """

    def __init__(self, steps: int, *, stream: TextIO | None = None, seconds: float = 10.0) -> None:
        self.steps, self.seconds = steps, seconds
        self.stream = stream
        self._bar: Any = None

    def on_start(self, trainer: Trainer) -> None:
        """Start the clock, and the bar where there can be one."""
        stream = self.stream or sys.stderr
        self._start = self._last_line = time.monotonic()
        self._first_step = trainer.step
        if _in_notebook():
            from tqdm.notebook import tqdm
        elif stream.isatty():
            from tqdm import tqdm
        else:
            return
        self._bar = tqdm(
            total=self.steps,
            initial=trainer.step,
            unit="step",
            dynamic_ncols=True,
            mininterval=0.2,
            file=stream,
        )

    def due(self, step: int) -> bool:
        """Where the last words are long ago."""
        return time.monotonic() - self._last_line > (self.seconds if self._bar is None else 0.2)

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Move the bar, or print a line if the last one is long ago."""
        now = time.monotonic()
        if self._bar is not None:
            for _ in trainer.reports:
                self._bar.update()
            if now - self._last_line > 0.2:
                self._bar.set_postfix_str(self._words(trainer, report, now), refresh=False)
                self._last_line = now
        elif now - self._last_line > self.seconds or trainer.step == self.steps:
            left = (
                (self.steps - trainer.step)
                * (now - self._start)
                / (trainer.step - self._first_step)
            )
            line = (
                f"step {trainer.step}/{self.steps}  {self._words(trainer, report, now)}  "
                f"{_clock(left)} left"
            )
            print(line, file=self.stream or sys.stderr, flush=True)
            self._last_line = now

    def on_end(self, trainer: Trainer) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def on_failure(self, trainer: Trainer) -> None:
        """Close the bar, so that what went wrong stands on a line of its own."""
        self.on_end(trainer)

    def say(self, words: str) -> None:
        """Print a line without tearing the bar apart."""
        if self._bar is not None:
            self._bar.write(words, file=self.stream or sys.stderr)
        else:
            print(words, file=self.stream or sys.stderr, flush=True)

    def _words(self, trainer: Trainer, report: Report, now: float) -> str:
        done = (trainer.step - self._first_step) * trainer.source.batch_size
        names = {
            "loss_d": "loss D",
            "loss_g": "loss G",
            "d_real": "D(x)",
            "d_fake": "D(G(z))",
            "penalty": "penalty",
        }
        words = [f"{names.get(name, name)} {value:.3f}" for name, value in report.items()]
        return "  ".join([*words, f"{done / max(now - self._start, 1e-9):,.0f} images/s"])


class Guard(Callback):
    """Stops the run where a loss, a gradient or a weight is NaN or infinite, before anything good
    is overwritten.

    Parameters
    ----------
    last_good
        Says which checkpoint to go back to.
    """

    def __init__(self, last_good: Callable[[], Path | None] = lambda: None) -> None:
        self.last_good = last_good

    def due(self, step: int) -> bool:
        """Not for its own sake: what is NaN stays NaN. It looks whenever the losses are read."""
        return False

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Look at the losses of every step since the last look, and at both players' gradients and
        weights now.

        Raises
        ------
        TrainingError
            Naming the step, the quantity and, where it is one's, the layer.
        """
        words = {"loss_d": "loss of D (loss_d)", "loss_g": "loss of G (loss_g)"}
        trouble = next(
            (
                f"the {words.get(name, name)} "
                + (f"is {value}" if step == trainer.step else f"was {value} at step {step}")
                for step, losses in trainer.reports
                for name, value in losses.items()
                if not math.isfinite(value)
            ),
            None,
        )
        inside = find_trouble(trainer.game.discriminator, "discriminator") or find_trouble(
            trainer.game.generator, "generator"
        )
        if trouble is None and inside is None:
            return
        where = " and ".join(word for word in (trouble, inside) if word)
        good = self.last_good()
        back = (
            f"the last good checkpoint is {good}, go on from there with --resume and a smaller --lr"
            if good
            else "there is no checkpoint yet, train anew with a smaller --lr"
        )
        raise TrainingError(f"Training stopped at step {trainer.step}: {where}; {back}.")


def find_trouble(net: nn.Layer, name: str) -> str | None:
    """Say in which layer the first NaN or infinity is, or None if all gradients and weights are
    finite.
    """
    flat = net.flat()
    # One sum of squares a vector is enough to know; only trouble is worth a closer look.
    if math.isfinite(float(flat.grad @ flat.grad)) and math.isfinite(
        float(flat.value @ flat.value)
    ):
        return None
    xp = backend.of(flat.value).xp
    for parameter_name, p in net.parameters().items():
        for what, array in (("gradient", p.grad), ("weight", p.value)):
            if not bool(xp.isfinite(array).all()):
                return f"the {what} {parameter_name} of the {name} isn't finite"
    return f"the weights or gradients of the {name} are too large to square"


class Checkpoints(Callback):
    """Saves the whole state: after the first step, every `every` steps, and at the end.

    Parameters
    ----------
    folder
        Where to; made if it isn't there.
    every
        Steps between checkpoints.
    keep
        How many of the newest stay.
    about
        What else to write into each (recipe, settings, versions), JSON-able.
    best
        The measure by which the best so far is kept too, as ``best.safetensors``; None keeps none.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        every: int,
        keep: int = 3,
        about: dict[str, Any] | None = None,
        best: Measure | None = None,
    ) -> None:
        for name, value in (("steps between checkpoints", every), ("checkpoints to keep", keep)):
            if value < 1:
                raise ValueError(f"The number of {name} must be positive, got {value}.")
        self.folder, self.every, self.keep, self.about = Path(folder), every, keep, about or {}
        self.best = best
        self._saved = -1

    def on_start(self, trainer: Trainer) -> None:
        """Sweep up what a killed process left half written, and checkpoints beyond those to
        keep.
        """
        self.folder.mkdir(exist_ok=True)
        remove_leftovers(self.folder)
        self._drop_old(trainer)

    def due(self, step: int) -> bool:
        """Where it is time to save: whoever looks at the losses has looked by then."""
        return step == 1 or step % self.every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Save if it is time to."""
        if self.due(trainer.step):
            self.save(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Save the last state."""
        if self._saved != trainer.step:
            self.save(trainer)

    def save(self, trainer: Trainer) -> Path:
        """Save now; then drop all but the newest `keep`."""
        self.folder.mkdir(exist_ok=True)
        path = self.folder / f"step-{trainer.step:08d}.safetensors"
        arrays, meta = trainer.state()
        whole = self.about | {"trainer": meta}
        if self.best is not None and self.due(trainer.step):
            # Before the ordinary one: a process killed between the two must not take this step for
            # compared.
            self._save_best(trainer, self.best, arrays, whole)
        checkpoint.save(path, arrays, whole)
        self._saved = trainer.step
        self._drop_old(trainer)
        return path

    def _drop_old(self, trainer: Trainer) -> None:
        # Later ones than this step are there only if they couldn't be read: they don't count among
        # those to keep.
        past = [path for path in list_checkpoints(self.folder) if _step_of(path) <= trainer.step]
        for old in past[: -self.keep]:
            old.unlink(missing_ok=True)

    def _save_best(
        self, trainer: Trainer, measure: Measure, arrays: dict[str, Array], whole: dict[str, Any]
    ) -> None:
        value = float(measure.of(trainer))
        path = self.folder / "best.safetensors"
        so_far = _best_so_far(path, measure.name)
        better = so_far is None or (value > so_far if measure.larger_is_better else value < so_far)
        if better and math.isfinite(value):
            checkpoint.save(
                path, arrays, whole | {"best": {"metric": measure.name, "value": value}}
            )


@dataclass(frozen=True)
class Measure:
    """How good a run is at a moment, by one number.

    Attributes
    ----------
    name
        How the command line calls it.
    of
        ``trainer -> number``. It may draw nothing from the run's random generators.
    larger_is_better
        Whether it is to grow.
    """

    name: str
    of: Callable[[Trainer], float]
    larger_is_better: bool


def _best_so_far(path: Path, metric: str) -> float | None:
    """Return the value that the best checkpoint so far had; None if there is none by this
    metric.
    """
    try:
        best = checkpoint.load(path)[1].get("best", {})
    except checkpoint.CheckpointError:
        return None
    return float(best["value"]) if best.get("metric") == metric else None


def list_checkpoints(folder: str | os.PathLike[str]) -> list[Path]:
    """Return the checkpoints of a folder, oldest first."""
    return sorted(
        (path for path in Path(folder).glob("step-*.safetensors") if _step_of(path) >= 0),
        key=_step_of,
    )


def _step_of(path: Path) -> int:
    number = path.stem.removeprefix("step-")
    return int(number) if number.isdecimal() else -1


class Frames(Callback):
    """Draws the fixed latents' samples at the start, every `every` steps and at the end: the film
    of a run.

    Each frame is a file, so that a resumed run shows the whole film.

    Parameters
    ----------
    folder
        Where to; made if it isn't there.
    draw
        ``trainer -> picture``, uint8 (H, W) or (H, W, C).
    every
        Steps between frames.
    """

    def __init__(
        self, folder: str | os.PathLike[str], draw: Callable[[Trainer], Any], *, every: int
    ) -> None:
        self.folder, self.draw, self.every = Path(folder), draw, every

    def on_start(self, trainer: Trainer) -> None:
        """Draw the untrained generator's samples; drop frames of steps that will come again."""
        self.folder.mkdir(exist_ok=True)
        remove_leftovers(self.folder)
        for path in self.paths():
            step = int(path.stem.removeprefix("step-"))
            if step > trainer.step or step % self.every or trainer.step == 0:
                path.unlink()
        if trainer.step == 0:
            self._save(trainer)

    def due(self, step: int) -> bool:
        """Where it is time to draw."""
        return step % self.every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Draw if it is time to."""
        if self.due(trainer.step):
            self._save(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Draw the last state."""
        self._save(trainer)

    def paths(self) -> list[Path]:
        """Return the frames' files, in order."""
        return sorted(self.folder.glob("step-*.png"))

    def _save(self, trainer: Trainer) -> None:
        from PIL import Image

        path = self.folder / f"step-{trainer.step:08d}.png"
        if not path.exists():
            with written_whole(path) as temporary:
                Image.fromarray(_grey(self.draw(trainer))).save(temporary)


def _grey(picture: Any) -> Any:
    """Drop a channel axis of one, which Pillow does not know."""
    return picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
        if minutes >= 60
        else f"{minutes}:{seconds:02d}"
    )


def _in_notebook() -> bool:
    """Tell whether a notebook (with the widgets that its bar needs) runs this."""
    import importlib.util

    shell = sys.modules.get("IPython")
    if shell is None or importlib.util.find_spec("ipywidgets") is None:
        return False
    return type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"

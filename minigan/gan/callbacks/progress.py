"""The progress of a run: a bar, or a line every few seconds."""

from __future__ import annotations

import importlib.util
import shutil
import sys
import time
from collections.abc import Callable
from typing import Any, TextIO

from minigan.gan.trainer import Callback, Report, Trainer

LINE = 80
"""Width of a line in a file."""
BAR = 52
"""Characters of a bar besides the words: percentage, steps, times."""
WATCHED = 10.0
"""Seconds over which the processor time is compared with the time."""
CROWDED = 0.6
"""A machine is crowded if a run has less than this share of one core: alone, it has all of it."""


class Progress(Callback):
    """Shows the progress of a run: losses, D's outputs, images per second and the time left.

    It is a bar in a terminal or a notebook, and a line every few seconds if the output is a file.
    It leaves out what doesn't fit into the width of the terminal, or into 80 columns.

    Parameters
    ----------
    steps
        The last step of the run.
    stream
        Where to write, standard error by default.
    seconds
        Time between two lines in a file.
    clocks
        Returns the time, and the processor time that this process has had, in seconds. From these
        it is noticed, and said once, that a machine is crowded: see `CROWDED`.
    """

    def __init__(
        self, steps: int, *, stream: TextIO | None = None, seconds: float = 10.0,
        clocks: Callable[[], tuple[float, float]] | None = None,
    ) -> None:  # fmt: skip
        self.steps, self.seconds, self.clocks = steps, seconds, clocks or _clocks
        self.stream = stream
        self._bar: Any = None
        self._watched: tuple[float, float] | None = None
        self._crowded = 0
        self._room = LINE - BAR

    def on_start(self, trainer: Trainer) -> None:
        """Start the clock and, if possible, the bar."""
        stream = self.stream or sys.stderr
        self._start = self._last_line = time.monotonic()
        self._first_step = trainer.step
        self._watched = None if trainer.game.device.queues else self.clocks()
        self._crowded = 0
        if _in_notebook():
            from tqdm.notebook import tqdm

            self._room = 200
        elif stream.isatty():
            from tqdm import tqdm

            self._room = shutil.get_terminal_size().columns - BAR
        else:
            return
        self._bar = tqdm(
            total=self.steps, initial=trainer.step, unit="step", dynamic_ncols=True,
            mininterval=0.2, file=stream,
        )  # fmt: skip

    def due(self, step: int) -> bool:
        """Return whether enough time has passed since the last update."""
        return time.monotonic() - self._last_line > (self.seconds if self._bar is None else 0.2)

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Advance the bar, or print a line if enough time has passed."""
        self._watch(trainer)
        now = time.monotonic()
        if self._bar is not None:
            for _ in trainer.reports:
                self._bar.update()
            if now - self._last_line > 0.2:
                words = self._words(trainer, report, now, self._room)
                self._bar.set_postfix_str(words, refresh=False)
                self._last_line = now
        elif now - self._last_line > self.seconds or trainer.step == self.steps:
            left = (
                (self.steps - trainer.step)
                * (now - self._start)
                / (trainer.step - self._first_step)
            )
            start, end = f"step {trainer.step}/{self.steps}  ", f"  {_clock(left)} left"
            words = self._words(trainer, report, now, LINE - len(start) - len(end))
            print(start + words + end, file=self.stream or sys.stderr, flush=True)
            self._last_line = now

    def on_end(self, trainer: Trainer) -> None:
        """Close the bar."""
        if self._bar is not None:
            self._bar.close()

    def on_failure(self, trainer: Trainer) -> None:
        """Close the bar, so that the error message appears on a line of its own."""
        self.on_end(trainer)

    def say(self, words: str) -> None:
        """Print a line without breaking the bar."""
        if self._bar is not None:
            self._bar.write(words, file=self.stream or sys.stderr)
        else:
            print(words, file=self.stream or sys.stderr, flush=True)

    def _watch(self, trainer: Trainer) -> None:
        """Say once that others take the processor; a GPU's host has little to do anyway."""
        if self._watched is None:
            return
        (begun, had), (now, has) = self._watched, self.clocks()
        if now - begun < WATCHED:
            return
        share = (has - had) / (now - begun)
        # Twice in a row: once may be a slow disk.
        self._crowded = self._crowded + 1 if share < CROWDED else 0
        self._watched = (now, has) if self._crowded < 2 else None
        if self._crowded == 2:
            threads = trainer.game.device.threads
            fewer = "; with MINIGAN_THREADS=1 it may be much faster" if threads > 1 else ""
            self.say(
                f"This machine is crowded: of the last {now - begun:.0f} seconds, this run had the "
                f"processor for {has - had:.1f}{fewer}."
            )

    def _words(self, trainer: Trainer, report: Report, now: float, room: int) -> str:
        """The numbers of a report that fit into `room` characters, the losses first."""
        done = (trainer.step - self._first_step) * trainer.source.batch_size
        names = {
            "loss_d": "loss D",
            "loss_g": "loss G",
            "d_real": "D(x)",
            "d_fake": "D(G(z))",
            "penalty": "penalty",
        }
        words = {name: f"{names.get(name, name)} {value:.3f}" for name, value in report.items()}
        losses = [words.pop(name) for name in ("loss_d", "loss_g") if name in words]
        speed = f"{done / max(now - self._start, 1e-9):,.0f} samples/s"
        shown = [*losses, speed, *words.values()]
        while len(shown) > 1 and len("  ".join(shown)) > room:
            shown.pop()
        return "  ".join(shown)


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return (
        f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
        if minutes >= 60
        else f"{minutes}:{seconds:02d}"
    )


def _in_notebook() -> bool:
    """Return whether this runs in a notebook that has the widgets for a bar."""
    shell = sys.modules.get("IPython")
    if shell is None or importlib.util.find_spec("ipywidgets") is None:
        return False
    return type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"

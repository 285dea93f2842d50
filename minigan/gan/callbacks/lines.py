"""Samples that are read: lines of text from fixed latents, in a file that grows with the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

from minigan.files import written_whole
from minigan.gan.callbacks import intervals
from minigan.gan.trainer import Callback, Report, Trainer

EMPTY = "(nothing)"
"""What is written for an empty line, since paragraphs are told apart by these."""


class Lines(Callback):
    """Writes some samples at the start, every `every` steps and at the end.

    The file has a paragraph for each, that begins with ``step 500``. That of a resumed run is
    complete.

    Parameters
    ----------
    path
        The file.
    read
        ``samples -> lines``.
    every
        Steps between two paragraphs.
    count
        Samples in a paragraph.
    """

    def __init__(
        self, path: str | os.PathLike[str], read: Callable[[Any], list[str]], *, every: int,
        count: int = 10,
    ) -> None:  # fmt: skip
        self.path, self.read = Path(path), read
        self.every = intervals.checked("steps between paragraphs", every)
        self.count = intervals.checked("samples in a paragraph", count)
        self._inputs: Any = None
        self._paragraphs: dict[int, str] = {}

    def on_start(self, trainer: Trainer) -> None:
        """Draw the latents, and keep what was written up to this step."""
        self._inputs = trainer.game.inputs(self.count, numpy.random.default_rng(0))
        resumed = trainer.step > 0 and self.path.is_file()
        before = self.path.read_text(encoding="utf-8", errors="replace") if resumed else ""
        self._paragraphs = {
            step: text
            for step, text in _paragraphs(before)
            if step <= trainer.step and self.due(step)
        }
        if trainer.step == 0:
            self._write(trainer)

    def due(self, step: int) -> bool:
        """Return whether to write at this step."""
        return step % self.every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Write if it is due."""
        if self.due(trainer.step):
            self._write(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Write the last samples."""
        self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        lines = [line or EMPTY for line in self.read(trainer.game.sample(self._inputs))]
        self._paragraphs[trainer.step] = "\n".join([f"step {trainer.step}", *lines])
        with written_whole(self.path) as temporary:
            temporary.write_text("\n\n".join(self._paragraphs.values()) + "\n", encoding="utf-8")


def _paragraphs(text: str) -> list[tuple[int, str]]:
    """The steps and the paragraphs of a file; what is none is left out."""
    found = []
    for paragraph in text.rstrip("\n").split("\n\n"):
        word, _, step = paragraph.partition("\n")[0].partition(" ")
        if word == "step" and step.isdecimal():
            found.append((int(step), paragraph))
    return found

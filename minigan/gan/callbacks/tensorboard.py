"""Losses, D's outputs and samples for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.gan.trainer import Callback, Report, Trainer


class TensorBoard(Callback):
    """Writes event files: every number of the reports, and pictures at longer intervals.

    When a run is resumed, events of steps that will be repeated are marked as purged.

    Parameters
    ----------
    folder
        Where to write.
    every
        Steps between numbers.
    draw
        ``trainer -> picture``, uint8 (H, W, C), or None for no pictures.
    draw_every
        Steps between pictures.

    Raises
    ------
    ValueError
        If tensorboardX isn't installed.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, every: int = 1,
        draw: Callable[[Trainer], Any] | None = None, draw_every: int = 1,
    ) -> None:  # fmt: skip
        try:
            import tensorboardX  # noqa: F401 (fail now, not when the run begins)
        except ImportError:
            raise ValueError(
                "--tensorboard needs the package tensorboardX; install it with pip install "
                "'minigan[tensorboard]'."
            ) from None
        self.folder, self.every, self.draw, self.draw_every = Path(folder), every, draw, draw_every
        self._writer: Any = None

    def on_start(self, trainer: Trainer) -> None:
        """Open an event file."""
        from tensorboardX import SummaryWriter

        purge = trainer.step + 1 if trainer.step else None
        # File names contain the time in seconds: without a suffix, a file opened within the same
        # second would overwrite the earlier one.
        suffix = f".{trainer.step}"
        self._writer = SummaryWriter(
            str(self.folder), purge_step=purge, write_to_disk=True, filename_suffix=suffix
        )

    def due(self, step: int) -> bool:
        """Return whether a picture is due; numbers can wait."""
        return self.draw is not None and step % self.draw_every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Write the numbers and, if it is due, a picture."""
        for step, numbers in trainer.reports:
            if step == 1 or step % self.every == 0:
                for name, value in numbers.items():
                    self._writer.add_scalar(name, value, step)
        if self.draw is not None and self.due(trainer.step):
            self._writer.add_image("samples", self.draw(trainer), trainer.step, dataformats="HWC")

    def flush(self) -> None:
        """Write what waits, so that a killed run keeps it."""
        if self._writer is not None:
            self._writer.flush()

    def on_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def on_failure(self, trainer: Trainer) -> None:
        """Close the file, so that it shows what led to the failure."""
        self.on_end(trainer)

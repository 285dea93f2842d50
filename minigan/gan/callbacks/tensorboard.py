"""Losses, beliefs and samples for TensorBoard, through the package tensorboardX."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.gan.trainer import Callback, Report, Trainer


class TensorBoard(Callback):
    """Writes event files: every number of a step's report, and now and then a picture.

    When a run is resumed, what was written of steps that come again is marked as void.

    Parameters
    ----------
    folder
        Where to.
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
        self,
        folder: str | os.PathLike[str],
        *,
        every: int = 1,
        draw: Callable[[Trainer], Any] | None = None,
        draw_every: int = 1,
    ) -> None:
        try:
            import tensorboardX  # noqa: F401 (said now, not after the run has begun)
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
        # The name holds the second; of two files that are begun within one, the later would take
        # the earlier's place.
        suffix = f".{trainer.step}"
        self._writer = SummaryWriter(
            str(self.folder), purge_step=purge, write_to_disk=True, filename_suffix=suffix
        )

    def due(self, step: int) -> bool:
        """Where it is time for a picture: numbers can wait."""
        return self.draw is not None and step % self.draw_every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Write numbers, and a picture, if it is time to."""
        for step, numbers in trainer.reports:
            if step == 1 or step % self.every == 0:
                for name, value in numbers.items():
                    self._writer.add_scalar(name, value, step)
        if self.draw is not None and self.due(trainer.step):
            self._writer.add_image("samples", self.draw(trainer), trainer.step, dataformats="HWC")

    def on_end(self, trainer: Trainer) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def on_failure(self, trainer: Trainer) -> None:
        """Close the file: what led to the failure is worth a look."""
        self.on_end(trainer)

"""A figure that follows a run in a notebook: samples and curves, renewed in place."""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minigan import gan
from minigan.runs import drawing
from minigan.runs.assembly import Assembly

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SECONDS = 2.0
"""Least time between two pictures."""
SHARE = 0.1
"""Largest share of the time that is spent on drawing."""


def in_notebook() -> bool:
    """Return whether this runs in a Jupyter notebook, which shows figures."""
    shell = sys.modules.get("IPython")
    return shell is not None and type(shell.get_ipython()).__name__ == "ZMQInteractiveShell"


class Live(gan.Callback):
    """Shows samples from fixed latents and the losses so far, in one place of a notebook.

    Parameters
    ----------
    folder
        The run's folder, whose ``metrics.csv`` has the losses.
    assembly
        The run.
    """

    def __init__(self, folder: Path, assembly: Assembly) -> None:
        self.folder, self.assembly = folder, assembly
        self._handle: Any = None
        self._next = 0.0

    def on_start(self, trainer: gan.Trainer) -> None:
        """Show the untrained generator's samples."""
        display: Any = importlib.import_module("IPython.display").display
        self._handle = display(self._figure(trainer), display_id=True)
        self._next = time.monotonic() + SECONDS

    def due(self, step: int) -> bool:
        """Return whether it is time for another picture."""
        return time.monotonic() >= self._next

    def on_step(self, trainer: gan.Trainer, report: gan.Report) -> None:
        """Renew the figure if it is time."""
        if self.due(trainer.step):
            self._renew(trainer)

    def on_end(self, trainer: gan.Trainer) -> None:
        """Show the last state."""
        self._renew(trainer)

    def _renew(self, trainer: gan.Trainer) -> None:
        start = time.monotonic()
        self._handle.update(self._figure(trainer))
        end = time.monotonic()
        self._next = end + max(SECONDS, (end - start) / SHARE)

    def _figure(self, trainer: gan.Trainer) -> Figure:
        picture: Any = self.assembly.draw_frame(trainer)
        title = f"{self.assembly.recipe.name}, step {trainer.step:,} of "
        return drawing.state_figure(
            picture, self.folder, title=f"{title}{self.assembly.settings.steps:,}"
        )

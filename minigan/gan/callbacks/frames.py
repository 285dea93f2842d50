"""Pictures of samples from fixed latents: the frames of an animation of the run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.files import remove_leftovers, written_whole
from minigan.gan.callbacks import intervals
from minigan.gan.trainer import Callback, Report, Trainer


class Frames(Callback):
    """Draws samples from fixed latents at the start, every `every` steps and at the end.

    Each frame is a file, so that the animation of a resumed run is complete.

    Parameters
    ----------
    folder
        Where to save; created if it doesn't exist.
    draw
        ``trainer -> picture``, uint8 (H, W) or (H, W, C).
    every
        Steps between frames.
    """

    def __init__(
        self, folder: str | os.PathLike[str], draw: Callable[[Trainer], Any], *, every: int
    ) -> None:
        self.folder, self.draw = Path(folder), draw
        self.every = intervals.checked("steps between frames", every)

    def on_start(self, trainer: Trainer) -> None:
        """Draw the untrained generator's samples; delete frames of steps that will be repeated."""
        self.folder.mkdir(exist_ok=True)
        remove_leftovers(self.folder)
        for path in self.paths():
            step = intervals.step_of(path)
            if step > trainer.step or step % self.every or trainer.step == 0:
                path.unlink()
        if trainer.step == 0:
            self._save(trainer)

    def due(self, step: int) -> bool:
        """Return whether to draw at this step."""
        return step % self.every == 0

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Draw if it is due."""
        if self.due(trainer.step):
            self._save(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Draw the last state."""
        self._save(trainer)

    def paths(self) -> list[Path]:
        """Return the files of the frames, in order."""
        return sorted(
            path for path in self.folder.glob("step-*.png") if intervals.step_of(path) >= 0
        )

    def _save(self, trainer: Trainer) -> None:
        from PIL import Image

        path = self.folder / f"step-{trainer.step:08d}.png"
        if not path.exists():
            with written_whole(path) as temporary:
                Image.fromarray(_grey(self.draw(trainer))).save(temporary)


def _grey(picture: Any) -> Any:
    """Drop a channel axis of length 1, which Pillow doesn't accept."""
    return picture[:, :, 0] if picture.ndim == 3 and picture.shape[2] == 1 else picture

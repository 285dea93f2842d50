"""Pictures of the fixed latents' samples: the film of a run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minigan.files import remove_leftovers, written_whole
from minigan.gan.trainer import Callback, Report, Trainer


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

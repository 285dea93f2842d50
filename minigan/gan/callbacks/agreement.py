"""The check that all ranks still train the same model."""

from __future__ import annotations

from minigan.gan.callbacks import intervals
from minigan.gan.trainer import Callback, Report, Trainer
from minigan.ranks import checksum, require_same


class Agreement(Callback):
    """Compares weights and random generators of all ranks, and ends the run if they differ.

    They may differ after a mistake in a game of one's own, or on machines of different kinds, which
    round differently. It must follow the run on every rank.

    Parameters
    ----------
    every
        Steps from one comparison to the next; the first step and the end have one too.
    """

    def __init__(self, *, every: int) -> None:
        self.every, self._next = intervals.checked("steps between comparisons", every), 0

    def due(self, step: int) -> bool:
        """Whether it is time."""
        return step >= self._next

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Compare, if it is time."""
        if self.due(trainer.step):
            self._next = trainer.step + self.every
            self.compare(trainer)

    def on_end(self, trainer: Trainer) -> None:
        """Compare what the run ends with."""
        self.compare(trainer)

    def compare(self, trainer: Trainer) -> None:
        """Compare.

        Raises
        ------
        ValueError
            If a rank differs from rank 0; the message names it.
        """
        movers = trainer.game.optimizers()
        sums = {
            f"the weights of the {name}": checksum(one.flat.value) for name, one in movers.items()
        }
        found = {f"{name}, after step {trainer.step:,}": total for name, total in sums.items()}
        chance = {name: rng.bit_generator.state for name, rng in trainer.generators().items()}
        require_same(trainer.game.ranks, found | {"the state of their random generators": chance})

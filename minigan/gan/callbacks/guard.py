"""The guard against NaN and infinity."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from minigan import backend, nn
from minigan.gan.trainer import Callback, Report, Trainer
from minigan.optim.parameters import parameters_of, vectors


class TrainingError(ArithmeticError):
    """Training ran into NaN or infinity; the message says at which step, where, and what to do."""


class Guard(Callback):
    """Stops the run if a loss, a gradient or a weight is NaN or infinite.

    It must be called before the callbacks that write files, so that nothing good is overwritten.

    Parameters
    ----------
    last_good
        Returns the checkpoint to go back to.
    """

    def __init__(self, last_good: Callable[[], Path | None] = lambda: None) -> None:
        self.last_good = last_good

    def due(self, step: int) -> bool:
        """Never: NaN stays NaN, so it is enough to look whenever the losses are read anyway."""
        return False

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Check all losses since the last call, and the players' current gradients and weights.

        Raises
        ------
        TrainingError
            Naming the step, the quantity and, for a gradient or weight, the layer.
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
        players = trainer.game.players().items()
        inside = next(filter(None, (find_trouble(net, name) for name, net in players)), None)
        if trouble is None and inside is None:
            return
        where = " and ".join(word for word in (trouble, inside) if word)
        good = self.last_good()
        back = (
            f"the last good checkpoint is {good}, continue from there with --resume and a smaller "
            "--lr"
            if good
            else "there is no checkpoint yet, start again with a smaller --lr"
        )
        raise TrainingError(f"Training stopped at step {trainer.step}: {where}; {back}.")


def find_trouble(net: nn.Layer, name: str) -> str | None:
    """Say in which layer the first NaN or infinity is; None if everything is finite."""
    found = parameters_of(net)
    # One sum of squares per vector is enough to detect trouble; only then is it located.
    rows = (x.ravel() for what in ("grad", "value") for x in vectors(what, found))
    if all(math.isfinite(float(backend.of(x).matmul(x, x))) for x in rows):
        return None
    for parameter_name, p in net.parameters().items():
        for what, array in (("gradient", p.grad), ("weight", p.value)):
            if not bool(backend.of(array).xp.isfinite(array).all()):
                return f"the {what} {parameter_name} of the {name} isn't finite"
    return f"the weights or gradients of the {name} are too large to square"

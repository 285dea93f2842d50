"""The game: objectives, the alternating step, the trainer and what watches it."""

from minigan.gan.callbacks import (
    Checkpoints,
    Frames,
    Guard,
    MetricsFile,
    Progress,
    TrainingError,
    list_checkpoints,
)
from minigan.gan.game import Game
from minigan.gan.latent import Latent
from minigan.gan.objectives import OBJECTIVES, Objective, objective
from minigan.gan.trainer import Callback, Report, Trainer

__all__ = [
    "OBJECTIVES",
    "Callback",
    "Checkpoints",
    "Frames",
    "Game",
    "Guard",
    "Latent",
    "MetricsFile",
    "Objective",
    "Progress",
    "Report",
    "Trainer",
    "TrainingError",
    "list_checkpoints",
    "objective",
]

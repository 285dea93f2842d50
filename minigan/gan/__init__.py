"""The game: objectives, the alternating step, the trainer and what watches it."""

from minigan.gan.autoencoder import VariationalAutoencoder
from minigan.gan.callbacks import (
    Checkpoints,
    Frames,
    Guard,
    Measure,
    MetricsFile,
    Progress,
    TrainingError,
    list_checkpoints,
)
from minigan.gan.diagnosis import EARLIEST, UNDECIDED, Finding, Gauges, Watcher, diagnose
from minigan.gan.game import Game
from minigan.gan.objectives import OBJECTIVES, Objective, objective
from minigan.gan.taming import WAYS, Taming, tame
from minigan.gan.trainer import Callback, Report, Trainer
from minigan.latent import Latent

__all__ = [
    "EARLIEST",
    "OBJECTIVES",
    "UNDECIDED",
    "WAYS",
    "Callback",
    "Checkpoints",
    "Finding",
    "Frames",
    "Game",
    "Gauges",
    "Guard",
    "Latent",
    "Measure",
    "MetricsFile",
    "Objective",
    "Progress",
    "Report",
    "Taming",
    "Trainer",
    "TrainingError",
    "VariationalAutoencoder",
    "Watcher",
    "diagnose",
    "list_checkpoints",
    "objective",
    "tame",
]

"""The game: objectives, the alternating step, the trainer and its callbacks."""

from minigan.gan.autoencoder import VariationalAutoencoder
from minigan.gan.base import BaseGame
from minigan.gan.callbacks import (
    Checkpoints,
    Frames,
    Guard,
    Measure,
    MetricsFile,
    Progress,
    TensorBoard,
    TrainingError,
    Watcher,
    list_checkpoints,
)
from minigan.gan.cyclegan import CycleGame, ImagePool
from minigan.gan.diagnosis import EARLIEST, UNDECIDED, Finding, Gauges, diagnose
from minigan.gan.diffusion import Diffusion
from minigan.gan.game import Game
from minigan.gan.infogan import InformationGame
from minigan.gan.matching import feature_matching
from minigan.gan.objectives import OBJECTIVES, Objective, objective
from minigan.gan.pix2pix import ImageToImage
from minigan.gan.semisupervised import SemiSupervisedGame
from minigan.gan.taming import WAYS, Taming, tame
from minigan.gan.trainer import Callback, Report, Trainer
from minigan.latent import Latent

__all__ = [
    "EARLIEST",
    "OBJECTIVES",
    "UNDECIDED",
    "WAYS",
    "BaseGame",
    "Callback",
    "Checkpoints",
    "CycleGame",
    "Diffusion",
    "Finding",
    "Frames",
    "Game",
    "Gauges",
    "Guard",
    "ImagePool",
    "ImageToImage",
    "InformationGame",
    "Latent",
    "Measure",
    "MetricsFile",
    "Objective",
    "Progress",
    "Report",
    "SemiSupervisedGame",
    "Taming",
    "TensorBoard",
    "Trainer",
    "TrainingError",
    "VariationalAutoencoder",
    "Watcher",
    "diagnose",
    "feature_matching",
    "list_checkpoints",
    "objective",
    "tame",
]

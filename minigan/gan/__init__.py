"""The game: objectives, the alternating step, the trainer and its callbacks."""

from minigan.gan.autoencoder import VariationalAutoencoder
from minigan.gan.base import BaseGame
from minigan.gan.callbacks import (
    Agreement,
    Checkpoints,
    Frames,
    Guard,
    Lines,
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
from minigan.gan.lazy import LazyGame, stronger
from minigan.gan.matching import feature_matching
from minigan.gan.objectives import OBJECTIVES, Objective, objective
from minigan.gan.pix2pix import ImageToImage
from minigan.gan.progressive import ProgressiveGame
from minigan.gan.rejection import Accepted, accepted, train_judge
from minigan.gan.semisupervised import SemiSupervisedGame
from minigan.gan.seqgan import SequenceGame, Writer
from minigan.gan.sharing import OwnRows, share
from minigan.gan.stylegan import StyleGame
from minigan.gan.synthesis import StyleGenerator, Styles, Synthesis
from minigan.gan.taming import WAYS, Taming, tame
from minigan.gan.trainer import Callback, Report, Trainer
from minigan.latent import Latent

__all__ = [
    "EARLIEST",
    "OBJECTIVES",
    "UNDECIDED",
    "WAYS",
    "Accepted",
    "Agreement",
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
    "LazyGame",
    "Lines",
    "Measure",
    "MetricsFile",
    "Objective",
    "OwnRows",
    "Progress",
    "ProgressiveGame",
    "Report",
    "SemiSupervisedGame",
    "SequenceGame",
    "StyleGame",
    "StyleGenerator",
    "Styles",
    "Synthesis",
    "Taming",
    "TensorBoard",
    "Trainer",
    "TrainingError",
    "VariationalAutoencoder",
    "Watcher",
    "Writer",
    "accepted",
    "diagnose",
    "feature_matching",
    "list_checkpoints",
    "objective",
    "share",
    "stronger",
    "tame",
    "train_judge",
]

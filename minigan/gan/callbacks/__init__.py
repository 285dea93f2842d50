"""The callbacks of a run, one file each."""

from minigan.gan.callbacks.agreement import Agreement
from minigan.gan.callbacks.checkpoints import Checkpoints, Measure, list_checkpoints
from minigan.gan.callbacks.frames import Frames
from minigan.gan.callbacks.guard import Guard, TrainingError, find_trouble
from minigan.gan.callbacks.lines import Lines
from minigan.gan.callbacks.metrics_file import MetricsFile
from minigan.gan.callbacks.progress import Progress
from minigan.gan.callbacks.tensorboard import TensorBoard
from minigan.gan.callbacks.watcher import Watcher

__all__ = [
    "Agreement",
    "Checkpoints",
    "Frames",
    "Guard",
    "Lines",
    "Measure",
    "MetricsFile",
    "Progress",
    "TensorBoard",
    "TrainingError",
    "Watcher",
    "find_trouble",
    "list_checkpoints",
]

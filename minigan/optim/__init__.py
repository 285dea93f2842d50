"""Optimizers, clipping, averaging and schedules, all on one flat vector of parameters.

A net's parameters lie in one vector θ and their gradients in a second, g (see `minigan.nn.Flat`),
so an optimizer reads like its paper: a few lines on whole vectors, whatever the net looks like. In
all of them t counts the steps and η is the learning rate `lr`. Nothing here copies a number from a
GPU to the host, except `load_state_dict`.
"""

from minigan.optim import schedules
from minigan.optim.adam import Adam
from minigan.optim.adam_kin import AdamW, AMSGrad
from minigan.optim.averaging import ExponentialMovingAverage
from minigan.optim.clipping import all_but_last, clip_by_global_norm, clip_by_norm, clip_weights
from minigan.optim.decay import HistoricalAverage, add_weight_decay
from minigan.optim.optimizer import Optimizer
from minigan.optim.rmsprop import RMSprop
from minigan.optim.scheduler import Scheduler
from minigan.optim.sgd import SGD

__all__ = [
    "SGD",
    "AMSGrad",
    "Adam",
    "AdamW",
    "ExponentialMovingAverage",
    "HistoricalAverage",
    "Optimizer",
    "RMSprop",
    "Scheduler",
    "add_weight_decay",
    "all_but_last",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_weights",
    "schedules",
]

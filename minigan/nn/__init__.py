"""Layers, each with its forward map, its backward map and their derivation."""

from minigan.nn import initial
from minigan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from minigan.nn.augmentation import Augment
from minigan.nn.batchnorm import BatchNorm
from minigan.nn.cache import Cache, Signals
from minigan.nn.conditional import Beside, ConcatenateLabels, Given, Projection
from minigan.nn.containers import Residual, Skip
from minigan.nn.convolution import Conv2d, ConvTranspose2d
from minigan.nn.dropout import Dropout
from minigan.nn.embedding import Embedding
from minigan.nn.instancenorm import InstanceNorm
from minigan.nn.layer import Layer
from minigan.nn.layernorm import LayerNorm
from minigan.nn.linear import Linear
from minigan.nn.maxout import Maxout
from minigan.nn.minibatch import MinibatchStdDev
from minigan.nn.noise import InstanceNoise
from minigan.nn.packing import Pack
from minigan.nn.parameter import Flat, Parameter, flatten
from minigan.nn.sequential import Sequential
from minigan.nn.shapes import Flatten, Reshape, Upsample
from minigan.nn.spectral import SpectralNorm, spectral_norm
from minigan.nn.statistics import frozen_statistics
from minigan.nn.two_batches import backward_both, forward_both

__all__ = [
    "Augment",
    "BatchNorm",
    "Beside",
    "Cache",
    "ConcatenateLabels",
    "Conv2d",
    "ConvTranspose2d",
    "Dropout",
    "Embedding",
    "Flat",
    "Flatten",
    "Given",
    "InstanceNoise",
    "InstanceNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "Maxout",
    "MinibatchStdDev",
    "Pack",
    "Parameter",
    "Projection",
    "ReLU",
    "Reshape",
    "Residual",
    "Sequential",
    "Sigmoid",
    "Signals",
    "Skip",
    "SpectralNorm",
    "Tanh",
    "Upsample",
    "backward_both",
    "flatten",
    "forward_both",
    "frozen_statistics",
    "initial",
    "spectral_norm",
]

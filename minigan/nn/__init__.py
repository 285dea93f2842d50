"""Layers, each with its forward map, its backward map and their derivation."""

from minigan.nn import initial
from minigan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from minigan.nn.augmentation import Augment
from minigan.nn.batchnorm import BatchNorm
from minigan.nn.cache import Cache, Signals
from minigan.nn.conditional import Beside, ConcatenateLabels, Given, Projection
from minigan.nn.containers import Residual, Skip
from minigan.nn.convolution import Conv2d, ConvTranspose2d
from minigan.nn.convolution1d import Conv1d, ConvTranspose1d
from minigan.nn.curves import ELU, GELU, SiLU, Softplus
from minigan.nn.dropout import Dropout
from minigan.nn.embedding import Embedding
from minigan.nn.groupnorm import GroupNorm
from minigan.nn.instancenorm import InstanceNorm
from minigan.nn.layer import Layer
from minigan.nn.layernorm import LayerNorm
from minigan.nn.linear import Linear
from minigan.nn.maxout import Maxout
from minigan.nn.minibatch import MinibatchStdDev
from minigan.nn.noise import InstanceNoise
from minigan.nn.packing import Pack
from minigan.nn.padding import Pad
from minigan.nn.parameter import Flat, Parameter, flatten
from minigan.nn.pooling import AveragePool, GlobalPool, MaxPool
from minigan.nn.prelu import PReLU
from minigan.nn.resampling import (
    Blur,
    Downsample,
    Interpolate,
    PixelShuffle,
    PixelUnshuffle,
    Resize,
)
from minigan.nn.rmsnorm import PixelNorm, RMSNorm
from minigan.nn.sequential import Sequential
from minigan.nn.shapes import Flatten, Reshape, Upsample
from minigan.nn.softmax import GumbelSoftmax, Softmax
from minigan.nn.spectral import SpectralNorm, spectral_norm
from minigan.nn.statistics import frozen_statistics
from minigan.nn.two_batches import backward_both, forward_both

__all__ = [
    "ELU",
    "GELU",
    "Augment",
    "AveragePool",
    "BatchNorm",
    "Beside",
    "Blur",
    "Cache",
    "ConcatenateLabels",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Downsample",
    "Dropout",
    "Embedding",
    "Flat",
    "Flatten",
    "Given",
    "GlobalPool",
    "GroupNorm",
    "GumbelSoftmax",
    "InstanceNoise",
    "InstanceNorm",
    "Interpolate",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "MaxPool",
    "Maxout",
    "MinibatchStdDev",
    "PReLU",
    "Pack",
    "Pad",
    "Parameter",
    "PixelNorm",
    "PixelShuffle",
    "PixelUnshuffle",
    "Projection",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "Residual",
    "Resize",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Signals",
    "Skip",
    "Softmax",
    "Softplus",
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

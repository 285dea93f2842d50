"""Layers, each with its forward map, its backward map and their derivation."""

from minigan.nn import initial
from minigan.nn.activations import LeakyReLU, ReLU, Sigmoid, Tanh
from minigan.nn.adain import AdaIN, ConditionalBatchNorm
from minigan.nn.attention import SelfAttention
from minigan.nn.augmentation import Augment
from minigan.nn.batchnorm import BatchNorm
from minigan.nn.branches import Branches, Fade
from minigan.nn.cache import Cache, Signals
from minigan.nn.conditional import Beside, ConcatenateLabels, Given, Projection
from minigan.nn.containers import Residual, Skip
from minigan.nn.convolution import Conv2d, ConvTranspose2d
from minigan.nn.convolution1d import Conv1d, ConvTranspose1d
from minigan.nn.curves import ELU, GELU, SiLU, Softplus
from minigan.nn.discrimination import MinibatchDiscrimination
from minigan.nn.dropout import Dropout
from minigan.nn.embedding import Embedding
from minigan.nn.frames import PerFrame
from minigan.nn.groupnorm import GroupNorm
from minigan.nn.instancenorm import InstanceNorm
from minigan.nn.layer import Layer
from minigan.nn.layernorm import LayerNorm
from minigan.nn.learntnoise import Constant, LearntNoise
from minigan.nn.linear import Linear
from minigan.nn.maxout import Maxout
from minigan.nn.minibatch import MinibatchStdDev
from minigan.nn.modulated import ModulatedConv2d
from minigan.nn.noise import InstanceNoise
from minigan.nn.packing import Pack
from minigan.nn.padding import Pad
from minigan.nn.parameter import Flat, Parameter, flatten
from minigan.nn.phaseshuffle import PhaseShuffle
from minigan.nn.pooling import AveragePool, GlobalPool, MaxPool
from minigan.nn.prelu import PReLU
from minigan.nn.recurrent import GRU
from minigan.nn.reparametrised import Equalised, WeightNorm
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
from minigan.nn.spectrogram import LogSpectrogram
from minigan.nn.statistics import frozen_statistics
from minigan.nn.styled import Styled
from minigan.nn.two_batches import backward_both, forward_both
from minigan.nn.virtual import VirtualBatchNorm, WithReference

__all__ = [
    "ELU",
    "GELU",
    "GRU",
    "AdaIN",
    "Augment",
    "AveragePool",
    "BatchNorm",
    "Beside",
    "Blur",
    "Branches",
    "Cache",
    "ConcatenateLabels",
    "ConditionalBatchNorm",
    "Constant",
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "Downsample",
    "Dropout",
    "Embedding",
    "Equalised",
    "Fade",
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
    "LearntNoise",
    "Linear",
    "LogSpectrogram",
    "MaxPool",
    "Maxout",
    "MinibatchDiscrimination",
    "MinibatchStdDev",
    "ModulatedConv2d",
    "PReLU",
    "Pack",
    "Pad",
    "Parameter",
    "PerFrame",
    "PhaseShuffle",
    "PixelNorm",
    "PixelShuffle",
    "PixelUnshuffle",
    "Projection",
    "RMSNorm",
    "ReLU",
    "Reshape",
    "Residual",
    "Resize",
    "SelfAttention",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Signals",
    "Skip",
    "Softmax",
    "Softplus",
    "SpectralNorm",
    "Styled",
    "Tanh",
    "Upsample",
    "VirtualBatchNorm",
    "WeightNorm",
    "WithReference",
    "backward_both",
    "flatten",
    "forward_both",
    "frozen_statistics",
    "initial",
    "spectral_norm",
]

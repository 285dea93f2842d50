"""Batch, layer and instance normalisation, under the name of the file that they once shared.

Each now has a file of its own; `minigan.nn.layernorm` has the derivation.
"""

from minigan.nn.batchnorm import BatchNorm
from minigan.nn.instancenorm import InstanceNorm
from minigan.nn.layernorm import LayerNorm
from minigan.nn.statistics import frozen_statistics

__all__ = ["BatchNorm", "InstanceNorm", "LayerNorm", "frozen_statistics"]

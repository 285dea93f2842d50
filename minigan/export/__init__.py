"""Trained nets for other programs: an ONNX graph, or a PyTorch module with its weights.

>>> from minigan import export
>>> graph = export.to_onnx(net, numpy.zeros((1, 100), "float32"))   # needs minigan[onnx]
>>> onnx.save(graph, "g.onnx")

A graph computes what the net computes in evaluation mode. Its inputs and outputs are laid out as
here, batch first and channels last, with a batch of any size.
"""

from minigan.export.model import OPSET, to_onnx
from minigan.export.pytorch import torch_source

__all__ = ["OPSET", "to_onnx", "torch_source"]

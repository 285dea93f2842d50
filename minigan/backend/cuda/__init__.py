"""The CUDA device: fused kernels, matrix products on a cuBLAS handle of our own, and recorded
training steps.
"""

from minigan.backend.cuda.graph import StepGraph
from minigan.backend.cuda.primitives import CudaBackend

__all__ = ["CudaBackend", "StepGraph"]

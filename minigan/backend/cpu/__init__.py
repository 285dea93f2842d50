"""NumPy with threads, and with faster forms of the convolutions."""

from minigan.backend.cpu.primitives import CpuBackend

__all__ = ["CpuBackend"]

"""The same primitives in loops that Numba compiles."""

from minigan.backend.compiled.primitives import CompiledBackend

__all__ = ["CompiledBackend"]

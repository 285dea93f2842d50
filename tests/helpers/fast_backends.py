"""The fast backends of the CPU, made to share and cut even small work, so that small arrays test
all of it.
"""

import contextlib
import importlib.util

import pytest

from minigan.backend.cpu import CpuBackend, in_pieces, side_by_side, winograd
from minigan.backend.cpu import primitives as cpu
from minigan.backend.cpu.team import Team

NUMPY, COMPILED = "NumPy", "compiled"
KINDS = (NUMPY, COMPILED)

needs_numba = pytest.mark.skipif(
    importlib.util.find_spec("numba") is None, reason="needs Numba, which minigan[fast] brings"
)


def make(kind):
    """Return a backend; the test is skipped where it can't be had."""
    if kind == NUMPY:
        return CpuBackend()
    pytest.importorskip("numba", reason="needs Numba, which minigan[fast] brings")
    from minigan.backend.compiled import CompiledBackend

    return CompiledBackend()


class Fast:
    """One kind of backend, with as many threads as asked for."""

    def __init__(self, kind):
        self.kind = kind
        self._made = {None: make(kind)}

    def __call__(self, threads=None):
        if threads not in self._made:
            ops = self._made[threads] = make(self.kind)
            ops._team = Team(threads, ops.blas)
        return self._made[threads]

    def close(self):
        for ops in self._made.values():
            ops.set_threads(None)


@contextlib.contextmanager
def small_work(kind, *, eager=True):
    """Share work of a few numbers, in pieces of a few rows; `eager`: with Winograd's form for few
    images, too.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cpu, "SHARE", 50)
        patch.setattr(cpu, "CACHE", 1000)
        patch.setattr(cpu, "PRODUCT", 1000)
        patch.setattr(side_by_side, "TOGETHER", 6)
        patch.setattr(in_pieces, "PIECE", 10)
        if kind != NUMPY:
            from minigan.backend.compiled import primitives as compiled

            patch.setattr(compiled, "SHARE", 50)
        if eager:
            patch.setattr(winograd, "KERNEL_ROWS", -(10**6))
            patch.setattr(winograd.Winograd, "of_calls", 0)
        winograd.plan.cache_clear()
        yield
    winograd.plan.cache_clear()

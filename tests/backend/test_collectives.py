"""How ranks agree on the way in which vectors on GPUs are summed; nothing here needs a GPU."""

import sys
import types

import numpy
import pytest
from rank_games import on_threads

from minigan.backend.cuda.collectives import Sums


def cupy_on(device):
    """CuPy, as far as sums need it, with NumPy's arrays."""

    class Device:
        pci_bus_id = device

    cuda = types.SimpleNamespace(Device=Device, get_current_stream=lambda: None)
    return types.SimpleNamespace(asnumpy=numpy.array, cuda=cuda)


class Vector(numpy.ndarray):
    """With the method of CuPy's arrays."""

    def set(self, values):
        self[...] = values


@pytest.fixture
def nccl(monkeypatch):
    """A stand-in for NCCL that sums by way of the threads, and who has joined it."""
    joined = []

    class Backend:
        def __init__(self, size, rank, use_mpi):
            joined.append((size, rank, use_mpi))

    distributed = types.SimpleNamespace(NCCLBackend=Backend)
    fake = types.SimpleNamespace(get_version=lambda: 22000)
    for name, module in {
        "cupy": types.ModuleType("cupy"), "cupy.cuda": types.SimpleNamespace(nccl=fake),
        "cupyx": types.ModuleType("cupyx"), "cupyx.distributed": distributed,
    }.items():  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    return joined


def test_ranks_with_a_gpu_each_use_nccl(nccl):
    used = on_threads(2, lambda ranks: Sums(ranks.comm, cupy_on(str(ranks.rank))).nccl is not None)
    assert used == [True, True]
    assert sorted(nccl) == [(2, 0, True), (2, 1, True)]


def test_ranks_that_share_a_gpu_go_through_the_host(nccl):
    def summed(ranks):
        vector = numpy.arange(3.0).view(Vector) + ranks.rank
        Sums(ranks.comm, cupy_on("0"))(vector)
        return vector.tolist()

    assert on_threads(2, summed) == [[1.0, 3.0, 5.0]] * 2
    assert nccl == []


def test_if_one_rank_cant_none_uses_nccl(nccl, monkeypatch):
    failing = sys.modules["cupyx.distributed"].NCCLBackend

    def only_rank_0(size, rank, use_mpi):
        if rank:
            raise RuntimeError("no transport")
        return failing(size, rank, use_mpi)

    monkeypatch.setattr(sys.modules["cupyx.distributed"], "NCCLBackend", only_rank_0)
    used = on_threads(2, lambda ranks: Sums(ranks.comm, cupy_on(str(ranks.rank))).nccl is not None)
    assert used == [False, False]

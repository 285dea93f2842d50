"""Sums over ranks whose vectors lie on GPUs: by NCCL from device to device, or through the host.

NCCL is used if all ranks can, each on a GPU of its own: a rank that fell back alone would leave the
others waiting. The rendezvous goes through MPI.
"""

from __future__ import annotations

import platform
from typing import Any


class Sums:
    """How ranks sum vectors on their devices.

    Parameters
    ----------
    comm
        A communicator of mpi4py. All ranks make this at the same time.
    cupy
        The module.

    Attributes
    ----------
    nccl
        CuPy's interface to NCCL, or None if vectors go through the host.
    """

    def __init__(self, comm: Any, cupy: Any) -> None:
        self.comm, self.cupy = comm, cupy
        self.nccl = self._made() if self._all_can() else None

    def __call__(self, vector: Any) -> None:
        """Replace a vector by its sum over all ranks."""
        if self.nccl is not None:
            stream = self.cupy.cuda.get_current_stream()
            self.nccl.all_reduce(vector, vector, "sum", stream)
            return
        host = self.cupy.asnumpy(vector)
        total = host.copy()
        self.comm.Allreduce(host, total)
        vector.set(total)

    def _all_can(self) -> bool:
        """Return whether all ranks have NCCL, and a GPU each."""
        try:
            from cupy.cuda import nccl
            from cupyx.distributed import NCCLBackend  # noqa: F401

            able = bool(nccl.get_version())
        except (ImportError, AttributeError):
            able = False
        device = platform.node(), self.cupy.cuda.Device().pci_bus_id
        everybody = self.comm.allgather((able, device))
        return all(can for can, _ in everybody) and len({d for _, d in everybody}) == len(everybody)

    def _made(self) -> Any:
        """Join NCCL's communicator; None on all ranks if one of them couldn't."""
        made: Any = None
        try:
            from cupyx.distributed import NCCLBackend

            made = NCCLBackend(self.comm.Get_size(), self.comm.Get_rank(), use_mpi=True)
        except Exception:
            made = None
        return made if all(self.comm.allgather(made is not None)) else None

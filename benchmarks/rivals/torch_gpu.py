"""The workloads in PyTorch on a GPU: channels last, fused Adam, eager or
``torch.compile(mode="max-autotune")``.

Imports torch, so nothing but a process of its own imports this file.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional

from benchmarks.rivals.torch_step import nets
from benchmarks.workloads import Workload


class Step:
    """One D step and one G step per call: the same nets, losses and optimizers as minigan's."""

    def __init__(
        self,
        workload: Workload,
        *,
        batch: int,
        precision: str,
        compiled: bool,
        device: str = "cuda",
    ) -> None:
        tf32 = precision == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = tf32
        torch.backends.cudnn.allow_tf32 = tf32
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(0)
        self.batch, self.z_size, self.device = batch, workload.z_size, device
        self.g, self.d = (net.to(device) for net in nets(workload.name))
        shape = workload.sample_shape
        shape = (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape
        self.real = torch.rand(batch, *shape, device=device) * 2 - 1
        if len(shape) == 3:
            self.g, self.d = (net.to(memory_format=torch.channels_last) for net in (self.g, self.d))
            self.real = self.real.contiguous(memory_format=torch.channels_last)
        options: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
        self.g_adam = torch.optim.Adam(self.g.parameters(), **options)
        self.d_adam = torch.optim.Adam(self.d.parameters(), **options)
        self.ones, self.zeros = (
            torch.full((batch, 1), value, device=device) for value in (1.0, 0.0)
        )
        # Losses and both nets in one function each: the compiler sees as much as it can.
        self._d_loss, self._g_loss = self._d_loss_eager, self._g_loss_eager
        if compiled:
            self._d_loss = torch.compile(self._d_loss_eager, mode="max-autotune")
            self._g_loss = torch.compile(self._g_loss_eager, mode="max-autotune")
        self._mark_begin = torch.compiler.cudagraph_mark_step_begin if compiled else lambda: None

    def _d_loss_eager(self, z: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            fake = self.g(z)
        bce = functional.binary_cross_entropy_with_logits
        return bce(self.d(self.real), self.ones) + bce(self.d(fake), self.zeros)

    def _g_loss_eager(self, z: torch.Tensor) -> torch.Tensor:
        return functional.binary_cross_entropy_with_logits(self.d(self.g(z)), self.ones)

    def __call__(self) -> None:
        self._mark_begin()
        self.d_adam.zero_grad()
        self._d_loss(torch.randn(self.batch, self.z_size, device=self.device)).backward()
        self.d_adam.step()
        for p in self.d.parameters():
            p.requires_grad_(False)
        self.g_adam.zero_grad()
        self._mark_begin()
        self._g_loss(torch.randn(self.batch, self.z_size, device=self.device)).backward()
        self.g_adam.step()
        for p in self.d.parameters():
            p.requires_grad_(True)


class Timer:
    """Milliseconds between two points of the GPU's queue."""

    def __init__(self) -> None:
        self.start, self.stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def __enter__(self) -> Timer:
        self.start.record()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.stop.record()
        self.stop.synchronize()
        self.ms = self.start.elapsed_time(self.stop)

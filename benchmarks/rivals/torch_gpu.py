"""The workloads in PyTorch on a GPU: channels last, fused Adam, eager or ``torch.compile``.

The games are those of `benchmarks.rivals.torch_step`, reals and fakes in one pass through D where
the workload allows. A penalty on D's gradient differentiates twice, which ``torch.compile``
doesn't support: those workloads have no compiled step.

Imports torch, so nothing but a process of its own imports this file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.rivals import torch_step
from benchmarks.workloads import Workload

MODE = os.environ.get("MINIGAN_TORCH_COMPILE_MODE", "max-autotune")
"""The mode of ``torch.compile``."""


def make(
    workload: Workload, *, batch: int, precision: str, compiled: bool, device: str = "cuda"
) -> Step | Sampling:
    """Set the precision of the whole process, and build a training step or a sampler."""
    tf32 = precision == "tf32"
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True
    if compiled:
        # The steps share their code: without this, those before would count as recompilations of
        # it, and after a few of them the compiler gives up.
        torch.compiler.reset()
    kind = Step if workload.trains else Sampling
    with torch.device(device):  # the nets are made where they will be
        return kind(workload, batch=batch, compiled=compiled)


def _compiled(function: Callable[..., Any], compiled: bool) -> Callable[..., Any]:
    return torch.compile(function, mode=MODE) if compiled else function


class Step(torch_step.Step):
    """One D step and one G step per call: the same nets, losses and optimizers as minigan's."""

    def __init__(self, workload: Workload, *, batch: int, compiled: bool) -> None:
        super().__init__(
            workload, channels_last=True, adam="fused", together=workload.joint, batch=batch
        )
        self.frozen = "spectral-norm" in self.ways
        # Losses and both nets in one function each: the compiler sees as much as it can.
        self._d_loss = _compiled(self._d_loss_eager, compiled)
        self._g_loss = _compiled(self._g_loss_eager, compiled)
        self._mark_begin = torch.compiler.cudagraph_mark_step_begin if compiled else lambda: None

    def noise(self) -> torch.Tensor:
        return torch.randn(self.batch, self.z_size, device=self.real.device)

    def alpha(self) -> torch.Tensor:
        """A number for each pair of a real and a fake, for the gradient penalty."""
        return torch.rand(self.batch, 1, 1, 1, device=self.real.device)

    def _d_loss_eager(self, z: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            fake = self.g(z)
        return self.judge(fake)

    def _g_loss_eager(self, z: torch.Tensor) -> torch.Tensor:
        return torch_step._generator_loss(self.objective, self.d(self.g(z)))

    def __call__(self) -> None:  # type: ignore[override]  # reading a loss would wait for the GPU
        self._mark_begin()
        self.d_adam.zero_grad()
        self._d_loss(self.noise()).backward()
        self.d_adam.step()
        with torch_step.held(self.d, frozen=self.frozen):
            self.g_adam.zero_grad()
            self._mark_begin()
            self._g_loss(self.noise()).backward()
            self.g_adam.step()


class Sampling(torch_step.Sampling):
    """A batch of samples per call, G in evaluation mode."""

    def __init__(self, workload: Workload, *, batch: int, compiled: bool) -> None:
        super().__init__(workload, channels_last=True, batch=batch)
        self.device = next(self.g.parameters()).device
        self._samples = _compiled(self.g, compiled)
        self._mark_begin = torch.compiler.cudagraph_mark_step_begin if compiled else lambda: None

    def noise(self) -> torch.Tensor:
        return torch.randn(self.batch, self.z_size, device=self.device)

    def __call__(self) -> torch.Tensor:
        self._mark_begin()
        with torch.inference_mode():
            samples: torch.Tensor = self._samples(self.noise())
        return samples


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

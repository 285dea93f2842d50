"""The workloads in PyTorch: same nets, same batches, same losses, same optimizer.

Run as a contestant process by ``benchmarks.harness``; imports torch, so nothing else imports this
file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from benchmarks.workloads import Workload, find, sizes


def nets(name: str) -> tuple[nn.Module, nn.Module]:
    """Build G and D; the layers mirror ``benchmarks.workloads`` line by line."""
    if name.startswith("dcgan-"):
        return _dcgan(*sizes(name))
    build = {"toy": _toy, "mnist-mlp": _mnist_mlp, "mnist-dcgan": _mnist_dcgan}.get(name)
    return build() if build else _dcgan(64, 64)


def _toy() -> tuple[nn.Module, nn.Module]:
    def mlp(*sizes: int) -> nn.Module:
        return nn.Sequential(
            nn.Linear(sizes[0], sizes[1]),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(sizes[1], sizes[2]),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Linear(sizes[2], sizes[3]),
        )

    return mlp(2, 128, 128, 2), mlp(2, 128, 128, 1)


def _mnist_mlp() -> tuple[nn.Module, nn.Module]:
    layers: list[nn.Module] = []
    for before, after in ((100, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.LeakyReLU(0.2, inplace=True)]
    g = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    d = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(128, 256, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Flatten(),
        nn.Linear(3 * 3 * 256, 1),
    )
    return g, d


def _mnist_dcgan() -> tuple[nn.Module, nn.Module]:
    g = nn.Sequential(
        nn.Linear(100, 7 * 7 * 128),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(128, 64, 4, 2, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, 1, 4, 2, 1),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(1, 64, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Dropout(0.3),
        nn.Conv2d(64, 128, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1),
    )
    return g, d


def _dcgan(size: int, width: int) -> tuple[nn.Module, nn.Module]:
    def up(before: int, after: int) -> list[nn.Module]:
        convolution = nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    def down(before: int, after: int) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, 4, 2, 1, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.LeakyReLU(0.2, inplace=True)]

    channels = [width << k for k in range((size // 4).bit_length() - 1)]
    ups: list[nn.Module] = []
    downs: list[nn.Module] = []
    for fewer, more in itertools.pairwise(channels):
        ups, downs = [*up(more, fewer), *ups], [*downs, *down(fewer, more)]
    most = channels[-1]
    g = nn.Sequential(
        nn.Linear(100, 4 * 4 * most, bias=False),
        nn.Unflatten(1, (most, 4, 4)),
        nn.BatchNorm2d(most),
        nn.ReLU(inplace=True),
        *ups,
        nn.ConvTranspose2d(width, 3, 4, 2, 1),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1),
        nn.LeakyReLU(0.2, inplace=True),
        *downs,
        nn.Conv2d(most, 1, 4, 1, 0),
        nn.Flatten(),
    )
    return g, d


class Step:
    """One D step and one G step per call, on random data."""

    def __init__(
        self,
        workload: Workload,
        *,
        channels_last: bool,
        fused: bool,
        compiled: bool,
        together: bool = False,
        batch: int | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.together = together
        self.batch = batch or workload.batch
        self.z_size = workload.z_size
        self.g, self.d = nets(workload.name)
        shape = workload.sample_shape
        if len(shape) == 3:
            shape = (shape[2], shape[0], shape[1])
        self.real = torch.rand(self.batch, *shape) * 2 - 1
        if channels_last and len(shape) == 3:
            self.g, self.d = (net.to(memory_format=torch.channels_last) for net in (self.g, self.d))
            self.real = self.real.contiguous(memory_format=torch.channels_last)
        options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": fused}
        self.g_adam = torch.optim.Adam(self.g.parameters(), **options)
        self.d_adam = torch.optim.Adam(self.d.parameters(), **options)
        self.ones, self.zeros = torch.ones(self.batch, 1), torch.zeros(self.batch, 1)
        if compiled:
            self.g, self.d = torch.compile(self.g), torch.compile(self.d)

    def __call__(self) -> float:
        bce = functional.binary_cross_entropy_with_logits
        self.d_adam.zero_grad()
        with torch.no_grad():
            fake = self.g(torch.randn(self.batch, self.z_size))
        if self.together:  # one pass over both batches: the same numbers for a D without batch norm
            real_logits, fake_logits = self.d(torch.cat((self.real, fake))).split(self.batch)
        else:
            real_logits, fake_logits = self.d(self.real), self.d(fake)
        d_loss = bce(real_logits, self.ones) + bce(fake_logits, self.zeros)
        d_loss.backward()
        self.d_adam.step()

        for p in self.d.parameters():
            p.requires_grad_(False)
        self.g_adam.zero_grad()
        g_loss = bce(self.d(self.g(torch.randn(self.batch, self.z_size))), self.ones)
        g_loss.backward()
        self.g_adam.step()
        for p in self.d.parameters():
            p.requires_grad_(True)
        return float(d_loss.detach() + g_loss.detach())


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload under a configuration such as
    ``{"threads": "2", "layout": "nchw"}``.
    """
    torch.set_num_threads(int(options.get("threads", 2)))
    batch = int(options["batch"]) if "batch" in options else None
    return Step(
        find(name),
        channels_last=options.get("layout") == "channels_last",
        fused=options.get("adam") == "fused",
        compiled=options.get("compile") == "yes",
        together=options.get("batches") == "together",
        batch=batch,
    )

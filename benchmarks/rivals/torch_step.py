"""The workloads in PyTorch: same nets, same batches, same losses, same optimizer.

Run as a contestant process by ``benchmarks.harness``; imports torch, so nothing else imports this
file.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from benchmarks.workloads import Workload, find, sizes

Pair = tuple[nn.Module, nn.Module]
Scalar = torch.Tensor
ADAMS: dict[str, dict[str, bool]] = {
    "plain": {"foreach": False, "fused": False},
    "foreach": {"foreach": True},
    "fused": {"fused": True},
}
HALVE = (4, 2, 1)
"""Kernel, stride and padding of a convolution that halves an image, or doubles it if transposed."""


# ---------------------------------------------------------------- nets


def nets(name: str) -> Pair:
    """Build G and D; the layers mirror ``benchmarks.workloads`` line by line."""
    return BUILDERS[name]() if name in BUILDERS else _dcgan(*sizes(name))


def _leaky(slope: float = 0.2) -> nn.Module:
    return nn.LeakyReLU(slope, inplace=True)


def _toy() -> Pair:
    def mlp(*sizes: int) -> nn.Module:
        first, second, third = (nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        return nn.Sequential(first, _leaky(), second, _leaky(), third)

    return mlp(2, 128, 128, 2), mlp(2, 128, 128, 1)


def _mnist_mlp() -> Pair:
    layers: list[nn.Module] = []
    for before, after in ((100, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(before, after), nn.BatchNorm1d(after), _leaky()]
    g = nn.Sequential(*layers, nn.Linear(1024, 784), nn.Tanh(), nn.Unflatten(1, (1, 28, 28)))
    d = nn.Sequential(
        nn.Conv2d(1, 64, *HALVE),
        _leaky(),
        nn.Conv2d(64, 128, *HALVE),
        _leaky(),
        nn.Conv2d(128, 256, *HALVE),
        _leaky(),
        nn.Flatten(),
        nn.Linear(3 * 3 * 256, 1),
    )
    return g, d


def _mnist_dcgan() -> Pair:
    d = nn.Sequential(
        nn.Conv2d(1, 64, *HALVE),
        _leaky(),
        nn.Dropout(0.3),
        nn.Conv2d(64, 128, *HALVE),
        _leaky(),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1),
    )
    return _generator_28(), d


def _generator_28() -> nn.Module:
    return nn.Sequential(
        nn.Linear(100, 7 * 7 * 128),
        nn.Unflatten(1, (128, 7, 7)),
        nn.BatchNorm2d(128),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(128, 64, *HALVE),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, 1, *HALVE),
        nn.Tanh(),
    )


def _critic_28(*, layer_norm: bool = False) -> Pair:
    d = nn.Sequential(
        nn.Conv2d(1, 64, *HALVE),
        _leaky(),
        nn.Conv2d(64, 128, *HALVE),
        *([nn.LayerNorm((128, 7, 7))] if layer_norm else []),
        _leaky(),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1),
    )
    return _generator_28(), d


def _digits() -> Pair:
    g = nn.Sequential(
        nn.Linear(64, 4 * 4 * 64, bias=False),
        nn.Unflatten(1, (64, 4, 4)),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, 32, *HALVE, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(32, 1, *HALVE),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(1, 32, *HALVE),
        _leaky(),
        nn.Conv2d(32, 64, *HALVE, bias=False),
        nn.BatchNorm2d(64),
        _leaky(),
        nn.Flatten(),
        nn.Linear(4 * 4 * 64, 1),
    )
    return g, d


def _dcgan_5x5() -> Pair:
    g = nn.Sequential(
        nn.Linear(100, 7 * 7 * 256, bias=False),
        nn.BatchNorm1d(7 * 7 * 256),
        _leaky(0.3),
        nn.Unflatten(1, (256, 7, 7)),
        nn.ConvTranspose2d(256, 128, 5, 1, 2, bias=False),
        nn.BatchNorm2d(128),
        _leaky(0.3),
        nn.ConvTranspose2d(128, 64, 5, 2, 2, output_padding=1, bias=False),
        nn.BatchNorm2d(64),
        _leaky(0.3),
        nn.ConvTranspose2d(64, 1, 5, 2, 2, output_padding=1, bias=False),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(1, 64, 5, 2, 2),
        _leaky(0.3),
        nn.Dropout(0.3),
        nn.Conv2d(64, 128, 5, 2, 2),
        _leaky(0.3),
        nn.Dropout(0.3),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1),
    )
    return g, d


def _sngan_32() -> Pair:
    def up(before: int, after: int) -> list[nn.Module]:
        doubled = nn.ConvTranspose2d(before, after, *HALVE, bias=False)
        return [doubled, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    def down(before: int, after: int) -> list[nn.Module]:
        same, halved = nn.Conv2d(before, after, 3, 1, 1), nn.Conv2d(after, after, *HALVE)
        return [same, _leaky(0.1), halved, _leaky(0.1)]

    g = nn.Sequential(
        nn.Linear(128, 4 * 4 * 256, bias=False),
        nn.Unflatten(1, (256, 4, 4)),
        nn.BatchNorm2d(256),
        nn.ReLU(inplace=True),
        *(layer for pair in ((256, 128), (128, 64), (64, 32)) for layer in up(*pair)),
        nn.Conv2d(32, 3, 3, 1, 1),
        nn.Tanh(),
    )
    d = nn.Sequential(
        *(layer for pair in ((3, 32), (32, 64), (64, 128)) for layer in down(*pair)),
        nn.Conv2d(128, 256, 3, 1, 1),
        _leaky(0.1),
        nn.Flatten(),
        nn.Linear(4 * 4 * 256, 1),
    )
    return g, d


def _dcgan(size: int, width: int) -> Pair:
    def up(before: int, after: int) -> list[nn.Module]:
        convolution = nn.ConvTranspose2d(before, after, *HALVE, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU(inplace=True)]

    def down(before: int, after: int) -> list[nn.Module]:
        convolution = nn.Conv2d(before, after, *HALVE, bias=False)
        return [convolution, nn.BatchNorm2d(after), _leaky()]

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
        nn.ConvTranspose2d(width, 3, *HALVE),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(3, width, *HALVE), _leaky(), *downs, nn.Conv2d(most, 1, 4, 1, 0), nn.Flatten()
    )
    return g, d


def _dc64() -> Pair:
    return _dcgan(64, 64)


def _layer_normed() -> Pair:
    return _critic_28(layer_norm=True)


BUILDERS: dict[str, Callable[[], Pair]] = {
    "toy": _toy,
    "digits": _digits,
    "mnist-mlp": _mnist_mlp,
    "mnist-dcgan": _mnist_dcgan,
    "dcgan-5x5": _dcgan_5x5,
    "wgan-gp": _critic_28,
    "wgan-gp-ln": _layer_normed,
    "hinge-sn": _critic_28,
    "r1": _critic_28,
    "sngan-32": _sngan_32,
    "sngan-32-sn": _sngan_32,
    "dc64": _dc64,
    "sampling-digits": _digits,
    "sampling-28": _mnist_dcgan,
    "sampling-64": _dc64,
}


# ---------------------------------------------------------------- losses and penalties


def _discriminator_loss(objective: str, real: Scalar, fake: Scalar) -> Scalar:
    if objective == "wasserstein":
        return fake.mean() - real.mean()
    if objective == "hinge":
        return functional.relu(1 - real).mean() + functional.relu(1 + fake).mean()
    bce = functional.binary_cross_entropy_with_logits
    return bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))


def _generator_loss(objective: str, fake: Scalar) -> Scalar:
    if objective in ("wasserstein", "hinge"):
        return -fake.mean()
    return functional.binary_cross_entropy_with_logits(fake, torch.ones_like(fake))


def _slope(logits: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    (slope,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return slope


def _gradient_penalty(slope: torch.Tensor, weight: float) -> Scalar:
    norms = torch.linalg.vector_norm(slope, dim=(1, 2, 3))
    return weight * (norms - 1).square().mean()


def _r1(slope: torch.Tensor, gamma: float) -> Scalar:
    return gamma / 2 * slope.square().sum() / len(slope)


@contextmanager
def held(net: nn.Module, *, frozen: bool) -> Iterator[None]:
    """Leave a net's gradients alone, and spectral norm's vectors if they are to be frozen."""
    for p in net.parameters():
        p.requires_grad_(False)
    if frozen:
        net.eval()
    yield
    if frozen:
        net.train()
    for p in net.parameters():
        p.requires_grad_(True)


# ---------------------------------------------------------------- the step


class Step:
    """One D step and one G step per call, on random data.

    Parameters
    ----------
    workload
        Which.
    channels_last
        Whether images lie in memory pixel by pixel.
    adam
        ``"plain"``, ``"foreach"`` or ``"fused"``.
    compiled
        Whether both nets go through ``torch.compile``.
    together
        Whether D sees reals and fakes in one pass: for a D without batch norm the same numbers, but
        that spectral norm then makes one power iteration instead of two.
    inference
        Whether D's fakes are made under ``torch.inference_mode``; otherwise under ``no_grad``.
    batch
        Another batch size than the workload's.
    """

    def __init__(
        self,
        workload: Workload,
        *,
        channels_last: bool = False,
        adam: str = "plain",
        compiled: bool = False,
        together: bool = False,
        inference: bool = False,
        batch: int | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.together, self.inference = together, inference
        self.batch, self.z_size = batch or workload.batch, workload.z_size
        self.objective, self.ways = workload.objective, dict(map(_way, workload.tame))
        self.g, self.d = nets(workload.name)
        if "spectral-norm" in self.ways:
            _normalise(self.d)
        self.real = torch.rand(self.batch, *_channels_first(workload.sample_shape)) * 2 - 1
        if channels_last and self.real.ndim == 4:
            self.g, self.d = (net.to(memory_format=torch.channels_last) for net in (self.g, self.d))
            self.real = self.real.contiguous(memory_format=torch.channels_last)
        options: dict[str, Any] = {"lr": 2e-4, "betas": (0.5, 0.999), **ADAMS[adam]}
        self.g_adam = torch.optim.Adam(self.g.parameters(), **options)
        self.d_adam = torch.optim.Adam(self.d.parameters(), **options)
        if compiled:
            self.g, self.d = torch.compile(self.g), torch.compile(self.d)

    def noise(self) -> torch.Tensor:
        return torch.randn(self.batch, self.z_size)

    def alpha(self) -> torch.Tensor:
        """A number for each pair of a real and a fake, for the gradient penalty."""
        return torch.rand(self.batch, 1, 1, 1)

    def __call__(self) -> float:
        self.d_adam.zero_grad()
        d_loss = self.judge(self.fakes())
        d_loss.backward()
        self.d_adam.step()

        with held(self.d, frozen="spectral-norm" in self.ways):
            self.g_adam.zero_grad()
            g_loss = _generator_loss(self.objective, self.d(self.g(self.noise())))
            g_loss.backward()
            self.g_adam.step()
        return float(d_loss.detach() + g_loss.detach())

    def fakes(self) -> torch.Tensor:
        if not self.inference:
            with torch.no_grad():
                return self.g(self.noise())
        with torch.inference_mode():
            fake = self.g(self.noise())
        # What was made in that mode can't be saved for a backward pass; a copy can.
        return fake if self.together else fake.clone()

    def judge(self, fake: torch.Tensor) -> Scalar:
        """D's loss with its penalties."""
        if "r1" in self.ways:
            return self._with_r1(fake)
        if self.together:
            real_logits, fake_logits = self.d(torch.cat((self.real, fake))).split(self.batch)
        else:
            real_logits, fake_logits = self.d(self.real), self.d(fake)
        loss = _discriminator_loss(self.objective, real_logits, fake_logits)
        if "gradient-penalty" in self.ways:
            between = torch.lerp(fake, self.real, self.alpha()).requires_grad_()
            slope = _slope(self.d(between), between)
            loss = loss + _gradient_penalty(slope, self.ways["gradient-penalty"])
        return loss

    def _with_r1(self, fake: torch.Tensor) -> Scalar:
        """The reals' pass serves both, the loss and the penalty."""
        real = self.real.detach().requires_grad_()
        real_logits = self.d(real)
        loss = _discriminator_loss(self.objective, real_logits, self.d(fake))
        return loss + _r1(_slope(real_logits, real), self.ways["r1"])


class Sampling:
    """A batch of samples per call, G in evaluation mode, no graph."""

    def __init__(
        self,
        workload: Workload,
        *,
        channels_last: bool = False,
        compiled: bool = False,
        batch: int | None = None,
    ) -> None:
        torch.manual_seed(0)
        self.batch, self.z_size = batch or workload.batch, workload.z_size
        self.g = nets(workload.name)[0].eval()
        if channels_last:
            self.g = self.g.to(memory_format=torch.channels_last)
        if compiled:
            self.g = torch.compile(self.g)

    def noise(self) -> torch.Tensor:
        return torch.randn(self.batch, self.z_size)

    def __call__(self) -> torch.Tensor:
        with torch.inference_mode():
            return self.g(self.noise())


def _way(words: str) -> tuple[str, float]:
    name, _, strength = words.partition(":")
    return name, float(strength or 1)


def _channels_first(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[2], shape[0], shape[1]) if len(shape) == 3 else shape


def _normalise(net: nn.Module) -> None:
    for layer in list(net.modules()):
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            parametrizations.spectral_norm(layer)


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload under a configuration such as
    ``{"threads": "2", "layout": "nchw"}``.
    """
    torch.set_num_threads(int(options.get("threads", 2)))
    workload = find(name)
    common: dict[str, Any] = {
        "channels_last": options.get("layout") == "channels_last",
        "compiled": options.get("compile") == "yes",
        "batch": int(options["batch"]) if "batch" in options else None,
    }
    if not workload.trains:
        return Sampling(workload, **common)
    return Step(
        workload,
        **common,
        adam=options.get("adam", "plain"),
        together=options.get("batches") == "together",
        inference=options.get("fakes") == "inference",
    )

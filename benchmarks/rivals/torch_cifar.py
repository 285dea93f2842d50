"""The recipes of CIFAR-10 in PyTorch: same nets, losses, optimizers, averages and number of steps.

Imports torch, so `benchmarks.quality.cifar` imports this file only to train with it.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrizations

from benchmarks.rivals.torch_step import held
from minigan.data import Batches, Dataset
from minigan.recipes import Settings

HALVE = (4, 2, 1)
"""Kernel, stride and padding of a convolution that halves an image, or doubles it if transposed."""


# ---------------------------------------------------------------- nets


def dcgan() -> tuple[nn.Module, nn.Module]:
    """The nets of dcgan-cifar, weights from N(0, 0.02²)."""
    g = nn.Sequential(
        nn.Linear(100, 128 * 8 * 8, bias=False), nn.Unflatten(1, (128, 8, 8)),
        nn.BatchNorm2d(128), nn.ReLU(), nn.ConvTranspose2d(128, 64, *HALVE, bias=False),
        nn.BatchNorm2d(64), nn.ReLU(), nn.ConvTranspose2d(64, 3, *HALVE), nn.Tanh(),
    )  # fmt: skip
    d = nn.Sequential(
        nn.Conv2d(3, 64, *HALVE), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Conv2d(64, 128, *HALVE), nn.LeakyReLU(0.2), nn.Dropout(0.3),
        nn.Flatten(), nn.Linear(128 * 8 * 8, 1),
    )  # fmt: skip
    for module in (*g.modules(), *d.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return g, d


class Sum(nn.Module):
    """y = body(x) + around(x)."""

    def __init__(self, around: nn.Module, *body: nn.Module) -> None:
        super().__init__()
        self.around, self.body = around, nn.Sequential(*body)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Add both ways."""
        total: torch.Tensor = self.around(x) + self.body(x)
        return total


class Projection(nn.Module):
    """Logits ⟨w + V[label], φ(x)⟩ + b."""

    def __init__(self, body: nn.Module, features: int) -> None:
        super().__init__()
        self.body, self.last = body, nn.Linear(features, 1)
        self.embedding = nn.Embedding(10, features)
        nn.init.normal_(self.embedding.weight, std=features**-0.5)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Map images and labels to logits (N, 1)."""
        phi = self.body(x)
        logits: torch.Tensor = self.last(phi)
        return logits + (self.embedding(labels) * phi).sum(1, keepdim=True)


def _up(width: int) -> nn.Module:
    return Sum(
        nn.Upsample(scale_factor=2),
        nn.BatchNorm2d(width), nn.ReLU(), nn.Upsample(scale_factor=2), _conv(width, width),
        nn.BatchNorm2d(width), nn.ReLU(), _conv(width, width),
    )  # fmt: skip


def _down(width: int) -> nn.Module:
    return Sum(
        nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(width, width, 1)),
        nn.LeakyReLU(0.1), _conv(width, width), nn.LeakyReLU(0.1), _conv(width, width),
        nn.AvgPool2d(2),
    )  # fmt: skip


def _conv(before: int, after: int) -> nn.Module:
    return nn.Conv2d(before, after, 3, 1, 1)


def sngan(inputs: int = 128, width: int = 32) -> tuple[nn.Module, nn.Module]:
    """The nets of sngan-cifar, with PyTorch's own initial weights."""
    g = nn.Sequential(
        nn.Linear(inputs, 4 * 4 * width), nn.Unflatten(1, (width, 4, 4)),
        _up(width), _up(width), _up(width),
        nn.BatchNorm2d(width), nn.ReLU(), _conv(width, 3), nn.Tanh(),
    )  # fmt: skip
    return g, nn.Sequential(_body(width), nn.Linear(width, 1))


def _body(width: int) -> nn.Module:
    pooled = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(_conv(3, width), _down(width), _down(width), nn.LeakyReLU(0.1), *pooled)


def cgan(width: int = 32) -> tuple[nn.Module, nn.Module]:
    """The nets of cgan-cifar."""
    return sngan(138)[0], Projection(_body(width), width)


NETS: dict[str, Callable[[], tuple[nn.Module, nn.Module]]] = {
    "dcgan-cifar": dcgan, "sngan-cifar": sngan, "cgan-cifar": cgan,
}  # fmt: skip


# ---------------------------------------------------------------- the game


class Twin:
    """Trains one of the nets as `minigan.gan.Trainer` would; `Job`s of quality know how to cut it.

    Parameters
    ----------
    name, settings
        Of the recipe.
    images
        CIFAR-10.
    seed
        Determines everything random.
    """

    def __init__(self, name: str, settings: Settings, images: Dataset, *, seed: int) -> None:
        torch.manual_seed(seed)
        self.step, self.settings, self.images = 0, settings, images
        self.conditional, self.latent = (
            name == "cgan-cifar",
            128 if name in ("sngan-cifar", "cgan-cifar") else 100,
        )
        self.batches = Batches(images, settings.batch_size, numpy.random.default_rng(seed))
        self.g, self.d = NETS[name]()
        if "spectral-norm" in settings.penalties:
            _normalise(self.d)
        self.g, self.d = (net.to(memory_format=torch.channels_last) for net in (self.g, self.d))
        self.averaged = copy.deepcopy(self.g)
        betas = (settings.beta1, settings.beta2)
        self.optimizers = [
            torch.optim.Adam(net.parameters(), lr, betas, fused=True)
            for net, lr in (
                (self.g, settings.lr_generator), (self.d, settings.lr_discriminator)
            )
        ]  # fmt: skip
        self.game = self

    def parts(self) -> dict[str, Any]:
        """There are none that a schedule of minigan's could change."""
        return {}

    def train_step(self) -> None:
        """Update D, then G, then G's average."""
        indices = self.batches.next_indices()
        # Channels last, as the pictures lie in memory: the faster layout of PyTorch on a CPU.
        real = torch.from_numpy(self.images.batch(indices)).permute(0, 3, 1, 2)
        assert self.images.labels is not None
        labels = torch.from_numpy(self.images.labels[indices].astype("int64"))
        self._update(1, lambda: self._discriminator_loss(real, labels))
        with held(self.d, frozen="spectral-norm" in self.settings.penalties):
            self._update(0, lambda: self._generator_loss(labels))
        self._average()
        self.step += 1

    def _update(self, player: int, loss: Callable[[], torch.Tensor]) -> None:
        self.optimizers[player].zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        self.optimizers[player].step()

    def _fakes(self, labels: torch.Tensor, net: nn.Module | None = None) -> torch.Tensor:
        z = torch.randn(len(labels), self.latent)
        if self.conditional:
            z = torch.cat([z, functional.one_hot(labels, 10).float()], dim=1)
        fakes: torch.Tensor = (net or self.g)(z)
        return fakes

    def _judge(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.d(images, labels) if self.conditional else self.d(images)
        return logits

    def _discriminator_loss(self, real: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            fakes = self._fakes(labels)
        of_real, of_fake = self._judge(real, labels), self._judge(fakes, labels)
        if self.settings.objective == "hinge":
            return functional.relu(1 - of_real).mean() + functional.relu(1 + of_fake).mean()
        return functional.softplus(-of_real).mean() + functional.softplus(of_fake).mean()

    def _generator_loss(self, labels: torch.Tensor) -> torch.Tensor:
        logits = self._judge(self._fakes(labels), labels)
        hinge = self.settings.objective == "hinge"
        return -logits.mean() if hinge else functional.softplus(-logits).mean()

    @torch.no_grad()
    def _average(self) -> None:
        decay = min(self.settings.average, self.step / (4 + self.step))  # warms up as the recipes'
        for old, new in zip(self.averaged.parameters(), self.g.parameters(), strict=True):
            old.lerp_(new, 1 - decay)
        for old, new in zip(self.averaged.buffers(), self.g.buffers(), strict=True):
            old.copy_(new)

    @torch.no_grad()
    def sample(self, labels: NDArray[Any]) -> NDArray[Any]:
        """Draw an image of each label, (N, 32, 32, 3), from the averaged G."""
        self.averaged.eval()
        given = torch.from_numpy(labels.astype("int64")).split(100)
        images = torch.cat([self._fakes(part, self.averaged) for part in given])
        self.averaged.train()
        found: NDArray[Any] = images.permute(0, 2, 3, 1).contiguous().numpy()
        return found

    def state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return everything that determines the following steps, as an array and a number."""
        parts = [part.state_dict() for part in (self.g, self.d, self.averaged, *self.optimizers)]
        buffer = io.BytesIO()
        torch.save([parts, self.batches.state_dict(), torch.get_rng_state()], buffer)
        return {"torch": numpy.frombuffer(buffer.getvalue(), "uint8")}, {"step": self.step}

    def load_state(self, arrays: dict[str, Any], meta: dict[str, Any]) -> None:
        """Go on where the twin that returned this state was."""
        buffer = io.BytesIO(arrays["torch"].tobytes())
        parts, batches, rng = torch.load(buffer, weights_only=False)
        players = (self.g, self.d, self.averaged, *self.optimizers)
        for part, state in zip(players, parts, strict=True):
            part.load_state_dict(state)  # type: ignore[attr-defined]
        self.batches.load_state_dict(batches)
        torch.set_rng_state(rng)
        self.step = meta["step"]


def _normalise(net: nn.Module) -> None:
    for module in list(net.modules()):
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.Embedding)):
            parametrizations.spectral_norm(module)

"""The DCGAN of PyTorch's own examples (``pytorch/examples``, ``dcgan/main.py``), with its defaults.

Imports torch, so `benchmarks.quality.quarter` imports this file only to train with it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from benchmarks.rivals.torch_cifar import HALVE, NETS, Twin
from minigan.data import Dataset
from minigan.recipes import Settings

LATENT, WIDTH = 100, 64
SETTINGS = Settings(steps=1, batch_size=64)  # Adam with 2e-4 and (0.5, 0.999), no average


def nets(channels: int = 1) -> tuple[nn.Module, nn.Module]:
    """Latents (N, 100) to images of 64x64, and those to logits; all weights from N(0, 0.02²)."""
    g: list[nn.Module] = [
        nn.Unflatten(1, (LATENT, 1, 1)),
        nn.ConvTranspose2d(LATENT, 8 * WIDTH, 4, 1, 0, bias=False),
    ]
    for before, after in pairwise((8 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH)):
        g += [nn.BatchNorm2d(before), nn.ReLU(True)]
        g += [nn.ConvTranspose2d(before, after, *HALVE, bias=False)]
    g += [nn.BatchNorm2d(WIDTH), nn.ReLU(True)]
    g += [nn.ConvTranspose2d(WIDTH, channels, *HALVE, bias=False), nn.Tanh()]
    d: list[nn.Module] = [nn.Conv2d(channels, WIDTH, *HALVE, bias=False), nn.LeakyReLU(0.2, True)]
    for before, after in pairwise((WIDTH, 2 * WIDTH, 4 * WIDTH, 8 * WIDTH)):
        d += [nn.Conv2d(before, after, *HALVE, bias=False), nn.BatchNorm2d(after)]
        d += [nn.LeakyReLU(0.2, True)]
    d += [nn.Conv2d(8 * WIDTH, 1, 4, 1, 0, bias=False), nn.Flatten()]
    for module in (*g, *d):
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02)
    return nn.Sequential(*g), nn.Sequential(*d)


class Example(Twin):
    """Trains them as the example does, with the fakes of D's step for G's as well.

    Parameters
    ----------
    images
        Of 64x64 pixels.
    seed
        Determines everything random.
    batch_size
        Images in a batch.
    """

    def __init__(self, images: Dataset, *, seed: int, batch_size: int = 64) -> None:
        settings = SETTINGS.changed(batch_size=batch_size)
        super().__init__("dcgan-example", settings, images, seed=seed)

    def train_step(self) -> None:
        """Update D with reals and fakes, then G with the same fakes."""
        indices = self.batches.next_indices()
        real = torch.from_numpy(self.images.batch(indices)).permute(0, 3, 1, 2).contiguous()
        fake = self.g(torch.randn(len(real), LATENT))
        self._update(
            1,
            lambda: (
                functional.softplus(-self.d(real)).mean()
                + functional.softplus(self.d(fake.detach())).mean()
            ),
        )
        self._update(0, lambda: functional.softplus(-self.d(fake)).mean())
        self.step += 1

    @torch.no_grad()
    def sample(self, labels: NDArray[Any], *, size: int = 28) -> NDArray[Any]:
        """Draw as many images as there are labels, (N, size, size, 1)."""
        self.g.eval()
        parts = [self.g(torch.randn(len(part), LATENT)) for part in numpy.split(labels, 100)]
        self.g.train()
        small = functional.interpolate(
            torch.cat(parts), (size, size), mode="bilinear", antialias=True
        )
        found: NDArray[Any] = small.permute(0, 2, 3, 1).contiguous().numpy()
        return found


NETS["dcgan-example"] = nets

"""The four workloads: explicit nets in minigan, and the whole training step that is timed.

``benchmarks/rivals`` holds the same nets and the same step in other libraries.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from minigan import losses, nn, optim


class Workload(NamedTuple):
    """A training step worth timing."""

    name: str
    batch: int
    z_size: int
    sample_shape: tuple[int, ...]
    about: str


WORKLOADS = {
    w.name: w
    for w in (
        Workload("toy", 256, 2, (2,), "2-D GAN, MLPs of 128x2"),
        Workload("mnist-mlp", 64, 100, (28, 28, 1), "28x28, G an MLP, D convolutional"),
        Workload("mnist-dcgan", 64, 100, (28, 28, 1), "28x28, DCGAN"),
        Workload("dc64", 64, 100, (64, 64, 3), "64x64x3, DCGAN of 512-256-128-64"),
    )
}

HALVE = {"kernel_size": 4, "stride": 2, "padding": 1}
"""A convolution that halves an image, or doubles it if transposed."""


def nets(name: str, rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """Build G and D of a workload."""
    build = {"toy": _toy, "mnist-mlp": _mnist_mlp, "mnist-dcgan": _mnist_dcgan, "dc64": _dc64}[name]
    return build(rng)


def _toy(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    def mlp(*sizes: int) -> nn.Sequential:
        first, second, third = (nn.Linear(a, b, rng=rng) for a, b in itertools.pairwise(sizes))
        return nn.Sequential(first, nn.LeakyReLU(0.2), second, nn.LeakyReLU(0.2), third)

    return mlp(2, 128, 128, 2), mlp(2, 128, 128, 1)


def _mnist_mlp(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    layers: list[nn.Layer] = []
    for before, after in ((100, 256), (256, 512), (512, 1024)):
        layers += [nn.Linear(before, after, rng=rng), nn.BatchNorm(after), nn.LeakyReLU(0.2)]
    g = nn.Sequential(*layers, nn.Linear(1024, 784, rng=rng), nn.Tanh(), nn.Reshape(28, 28, 1))
    d = nn.Sequential(
        nn.Conv2d(1, 64, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(128, 256, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(3 * 3 * 256, 1, rng=rng),
    )
    return g, d


def _mnist_dcgan(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    g = nn.Sequential(
        nn.Linear(100, 7 * 7 * 128, rng=rng),
        nn.Reshape(7, 7, 128),
        nn.BatchNorm(128),
        nn.ReLU(),
        nn.ConvTranspose2d(128, 64, **HALVE, rng=rng),
        nn.BatchNorm(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 1, **HALVE, rng=rng),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(1, 64, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=rng),
        nn.Conv2d(64, 128, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=rng),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1, rng=rng),
    )
    return g, d


def _dc64(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    def up(before: int, after: int) -> list[nn.Layer]:
        return [nn.ConvTranspose2d(before, after, **HALVE, bias=False, rng=rng), nn.BatchNorm(after), nn.ReLU()]

    def down(before: int, after: int) -> list[nn.Layer]:
        return [nn.Conv2d(before, after, **HALVE, bias=False, rng=rng), nn.BatchNorm(after), nn.LeakyReLU(0.2)]

    g = nn.Sequential(
        nn.Linear(100, 4 * 4 * 512, bias=False, rng=rng),
        nn.Reshape(4, 4, 512),
        nn.BatchNorm(512),
        nn.ReLU(),
        *up(512, 256),
        *up(256, 128),
        *up(128, 64),
        nn.ConvTranspose2d(64, 3, **HALVE, rng=rng),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(3, 64, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        *down(64, 128),
        *down(128, 256),
        *down(256, 512),
        nn.Conv2d(512, 1, kernel_size=4, rng=rng),
        nn.Flatten(),
    )
    return g, d


class Step:
    """One D step and one G step per call, on random data: Goodfellow's Algorithm 1 with non-saturating losses."""

    def __init__(self, workload: Workload, *, batch: int | None = None, dtype: str = "float32") -> None:
        self.rng = numpy.random.default_rng(0)
        self.batch, self.z_size = batch or workload.batch, workload.z_size
        self.g, self.d = (net.astype(dtype) for net in nets(workload.name, self.rng))
        self.dtype = dtype
        self.real = self.rng.uniform(-1, 1, (self.batch, *workload.sample_shape)).astype(dtype)
        self.g_adam = optim.Adam(self.g, lr=2e-4, betas=(0.5, 0.999))
        self.d_adam = optim.Adam(self.d, lr=2e-4, betas=(0.5, 0.999))

    def noise(self) -> Any:
        return self.rng.standard_normal((self.batch, self.z_size), dtype=self.dtype)

    def __call__(self) -> float:
        self.d_adam.zero_grad()
        fake, _ = self.g.forward(self.noise())
        total = 0.0
        for x, target in ((self.real, 1.0), (fake, 0.0)):
            logits, cache = self.d.forward(x)
            loss, dlogits = losses.bce_with_logits(logits, target)
            self.d.backward(dlogits, cache, input_grad=False)
            total += float(loss)
        self.d_adam.step()

        self.g_adam.zero_grad()
        fake, g_cache = self.g.forward(self.noise())
        logits, d_cache = self.d.forward(fake)
        loss, dlogits = losses.bce_with_logits(logits, 1.0)
        dfake = self.d.backward(dlogits, d_cache, param_grads=False)
        self.g.backward(dfake, g_cache, input_grad=False)
        self.g_adam.step()
        return total + float(loss)


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload; options are ``threads``, ``batch`` and ``backend=reference``."""
    if "threads" in options:
        import minigan

        minigan.set_threads(int(options["threads"]))
    return Step(WORKLOADS[name], batch=int(options["batch"]) if "batch" in options else None)

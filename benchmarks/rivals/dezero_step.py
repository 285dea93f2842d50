"""The workloads in DeZero (NumPy, define-by-run), written as its own examples are.

DeZero 0.0.13 uses ``numpy.int``, which left NumPy in 1.24; the alias is given back before the
import.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

if not hasattr(numpy, "int"):
    setattr(numpy, "int", int)  # noqa: B010

import dezero
import dezero.functions as F
import dezero.layers as L

from benchmarks.workloads import WORKLOADS


class Net(dezero.Model):
    """Layers and functions, one after the other."""

    def __init__(self, *steps: Callable[[Any], Any]) -> None:
        super().__init__()
        self.steps = steps
        for index, step in enumerate(steps):
            if isinstance(step, dezero.Layer):
                setattr(self, f"l{index}", step)

    def forward(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x


def leaky(x: Any) -> Any:
    return F.leaky_relu(x, 0.2)


def drop(x: Any) -> Any:
    return F.dropout(x, 0.3)


def shape(*sizes: int) -> Callable[[Any], Any]:
    return lambda x: F.reshape(x, (len(x), *sizes))


def flat(x: Any) -> Any:
    return F.reshape(x, (len(x), -1))


def down(channels: int, *, bias: bool = True) -> Any:
    return L.Conv2d(channels, kernel_size=4, stride=2, pad=1, nobias=not bias)


def up(channels: int, *, bias: bool = True) -> Any:
    return L.Deconv2d(channels, kernel_size=4, stride=2, pad=1, nobias=not bias)


def nets(name: str) -> tuple[Net, Net]:
    """Build G and D as in ``benchmarks.workloads``."""
    if name == "toy":
        return tuple(Net(L.Linear(128), leaky, L.Linear(128), leaky, L.Linear(n)) for n in (2, 1))  # type: ignore
    if name == "mnist-mlp":
        layers: list[Any] = []
        for n in (256, 512, 1024):
            layers += [L.Linear(n), L.BatchNorm(), leaky]
        g = Net(*layers, L.Linear(784), F.tanh, shape(1, 28, 28))
        return g, Net(down(64), leaky, down(128), leaky, down(256), leaky, flat, L.Linear(1))
    if name == "mnist-dcgan":
        g = Net(
            L.Linear(7 * 7 * 128),
            shape(128, 7, 7),
            L.BatchNorm(),
            F.relu,
            up(64),
            L.BatchNorm(),
            F.relu,
            up(1),
            F.tanh,
        )
        return g, Net(down(64), leaky, drop, down(128), leaky, drop, flat, L.Linear(1))
    layers = [L.Linear(4 * 4 * 512, nobias=True), shape(512, 4, 4), L.BatchNorm(), F.relu]
    for n in (256, 128, 64):
        layers += [up(n, bias=False), L.BatchNorm(), F.relu]
    d: list[Any] = [down(64), leaky]
    for n in (128, 256, 512):
        d += [down(n, bias=False), L.BatchNorm(), leaky]
    return Net(*layers, up(3), F.tanh), Net(*d, L.Conv2d(1, kernel_size=4), flat)


class Step:
    """One D step and one G step per call, on random data."""

    def __init__(self, name: str) -> None:
        workload = WORKLOADS[name]
        self.rng = numpy.random.default_rng(0)
        self.size = (workload.batch, workload.z_size)
        sample = workload.sample_shape
        sample = (sample[2], sample[0], sample[1]) if len(sample) == 3 else sample
        self.real = self.rng.uniform(-1, 1, (workload.batch, *sample)).astype("float32")
        self.g, self.d = nets(name)
        self.adams = [dezero.optimizers.Adam(2e-4, 0.5).setup(net) for net in (self.g, self.d)]
        self.ones, self.zeros = (numpy.full((workload.batch, 1), v, "float32") for v in (1, 0))

    def __call__(self) -> None:
        g_adam, d_adam = self.adams
        with dezero.no_grad():
            fake = self.g(self.noise())
        self.d.cleargrads()
        bce = F.sigmoid_cross_entropy
        (bce(self.d(self.real), self.ones) + bce(self.d(fake.data), self.zeros)).backward()
        d_adam.update()

        self.g.cleargrads()
        bce(self.d(self.g(self.noise())), self.ones).backward()
        g_adam.update()

    def noise(self) -> Any:
        return self.rng.standard_normal(self.size, dtype="float32")


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload."""
    return Step(name)

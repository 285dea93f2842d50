"""The 2-D GAN of numpy-ml's layers, in float64, the only precision that they have.

numpy-ml 0.1.2 imports ``Hashable`` from where Python had it before 3.10; it is put back before the
import. Its transposed convolution is a loop over output pixels, so the workloads with images are
left out.
"""

from __future__ import annotations

import collections
import collections.abc
from collections.abc import Callable
from typing import Any

import numpy

if not hasattr(collections, "Hashable"):
    collections.Hashable = collections.abc.Hashable  # type: ignore[attr-defined]

from numpy_ml.neural_nets.activations import LeakyReLU
from numpy_ml.neural_nets.layers import FullyConnected
from numpy_ml.neural_nets.optimizers import Adam

from benchmarks.workloads import WORKLOADS


class Net:
    """Layers one after the other."""

    def __init__(self, *layers: Any) -> None:
        self.layers = layers

    def forward(self, x: Any, *, keep: bool = True) -> Any:
        for layer in self.layers:
            x = layer.forward(x, retain_derived=keep)
        return x

    def backward(self, dy: Any, *, gradients: bool = True) -> Any:
        for layer in reversed(self.layers):
            dy = layer.backward(dy, retain_grads=gradients)
        return dy

    def update(self) -> None:
        for layer in self.layers:
            layer.update()
            layer.flush_gradients()

    def forget(self) -> None:
        for layer in self.layers:
            layer.X = []
            for values in layer.derived_variables.values():
                values.clear()


class Step:
    """One D step and one G step per call, on random data."""

    def __init__(self, name: str) -> None:
        workload = WORKLOADS[name]
        if name != "toy":
            raise ValueError("numpy-ml's layers can do the workload 'toy' only")
        self.rng = numpy.random.default_rng(0)
        self.size = (workload.batch, workload.z_size)
        self.real = self.rng.uniform(-1, 1, (workload.batch, *workload.sample_shape))

        def layer(n: int, activation: Any = None) -> Any:
            return FullyConnected(n, act_fn=activation, optimizer=Adam(lr=2e-4, decay1=0.5))

        self.g, self.d = (
            Net(layer(128, LeakyReLU(0.2)), layer(128, LeakyReLU(0.2)), layer(n)) for n in (2, 1)
        )

    def __call__(self) -> None:
        fake = self.g.forward(self.rng.standard_normal(self.size), keep=False)
        for x, target in ((self.real, 1.0), (fake, 0.0)):
            logits = self.d.forward(x)
            self.d.backward((1 / (1 + numpy.exp(-logits)) - target) / len(logits))
            self.d.forget()
        self.d.update()

        logits = self.d.forward(self.g.forward(self.rng.standard_normal(self.size)))
        self.g.backward(
            self.d.backward((1 / (1 + numpy.exp(-logits)) - 1) / len(logits), gradients=False)
        )
        self.d.forget()
        self.g.update()


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload."""
    return Step(name)

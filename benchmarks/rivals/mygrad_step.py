"""The 2-D GAN in MyGrad (NumPy, define-by-run). It has no Adam: one is written here.

It has no transposed convolution, and its convolution refuses a 7x7 image at stride 2, as
mnist-mlp's D needs it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mygrad
import numpy
from mygrad.nnet.activations import leaky_relu

from benchmarks.workloads import WORKLOADS

mygrad.turn_memory_guarding_off()  # as its documentation advises for speed


class Adam:
    """Kingma & Ba 2015, Algorithm 1."""

    def __init__(
        self, parameters: list[Any], lr: float = 2e-4, betas: tuple[float, float] = (0.5, 0.999)
    ) -> None:
        self.parameters, self.lr, self.betas, self.t = parameters, lr, betas, 0
        self.moments = [(numpy.zeros_like(p.data), numpy.zeros_like(p.data)) for p in parameters]

    def step(self) -> None:
        self.t += 1
        b1, b2 = self.betas
        for p, (m, v) in zip(self.parameters, self.moments, strict=True):
            m += (1 - b1) * (p.grad - m)
            v += (1 - b2) * (p.grad * p.grad - v)
            p.data[...] -= (
                self.lr / (1 - b1**self.t) * m / (numpy.sqrt(v / (1 - b2**self.t)) + 1e-8)
            )


class Net:
    """Parameters, and functions that take them, one after the other."""

    def __init__(self, rng: numpy.random.Generator) -> None:
        self.rng, self.parameters, self.steps = rng, [], []  # type: ignore[var-annotated]

    def parameter(self, *shape: int, scale: float = 0.02) -> Any:
        value = self.rng.standard_normal(shape, dtype="float32") * numpy.float32(scale)
        self.parameters.append(mygrad.tensor(value))
        return self.parameters[-1]

    def linear(self, n: int, k: int) -> Net:
        w, b = self.parameter(n, k), self.parameter(k, scale=0)
        self.steps.append(lambda x: x @ w + b)
        return self

    def then(self, function: Callable[[Any], Any]) -> Net:
        self.steps.append(function)
        return self

    def leaky(self) -> Net:
        return self.then(lambda x: leaky_relu(x, 0.2))

    def __call__(self, x: Any) -> Any:
        for step in self.steps:
            x = step(x)
        return x


def nets(name: str, rng: numpy.random.Generator) -> tuple[Net, Net]:
    """Build G and D as in ``benchmarks.workloads``."""
    if name != "toy":
        raise ValueError("MyGrad can do the workload 'toy' only")
    g, d = (Net(rng).linear(2, 128).leaky().linear(128, 128).leaky().linear(128, n) for n in (2, 1))
    return g, d


class Step:
    """One D step and one G step per call, on random data."""

    def __init__(self, name: str) -> None:
        workload = WORKLOADS[name]
        self.rng = numpy.random.default_rng(0)
        self.size = (workload.batch, workload.z_size)
        self.real = self.rng.uniform(-1, 1, (workload.batch, *workload.sample_shape)).astype(
            "float32"
        )
        self.g, self.d = nets(name, self.rng)
        self.g_adam, self.d_adam = (Adam(net.parameters) for net in (self.g, self.d))

    def __call__(self) -> None:
        with mygrad.no_autodiff:
            fake = self.g(mygrad.tensor(self.noise())).data
        (self.loss(self.real, 1) + self.loss(fake, 0)).backward()
        self.d_adam.step()

        self.loss(self.g(mygrad.tensor(self.noise(), constant=True)), 1).backward()
        self.g_adam.step()

    def loss(self, x: Any, target: int) -> Any:
        """Binary cross-entropy on logits, ``-log σ(l)`` or ``-log σ(-l)``."""
        logits = self.d(x)
        return mygrad.mean(mygrad.logaddexp(0.0, -logits if target else logits))

    def noise(self) -> Any:
        return self.rng.standard_normal(self.size, dtype="float32")


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload."""
    return Step(name)

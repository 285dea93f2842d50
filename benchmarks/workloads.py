"""The four workloads: explicit nets in minigan, and the whole training step that is timed.

``benchmarks/rivals`` holds the same nets and the same step in other libraries.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from minigan import backend, losses, nn, optim
from minigan.backend import devices


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
    if name.startswith("dcgan-"):
        return _dcgan(*sizes(name), rng)
    build = {"toy": _toy, "mnist-mlp": _mnist_mlp, "mnist-dcgan": _mnist_dcgan}.get(name)
    return build(rng) if build else _dcgan(64, 64, rng)


def find(name: str) -> Workload:
    """Return a workload; beside those of the table, ``dcgan-SIZE-WIDTH`` is a DCGAN of any size and
    width.
    """
    if name.startswith("dcgan-"):
        size, width = sizes(name)
        return Workload(
            name,
            64,
            100,
            (size, size, 3),
            f"{size}x{size}x3, DCGAN with {width} channels in D's first layer",
        )
    return WORKLOADS[name]


def sizes(name: str) -> tuple[int, int]:
    """Return size and width in ``dcgan-SIZE-WIDTH``: the image's side, and the channels of D's
    first layer.
    """
    _, size, width = name.split("-")
    return int(size), int(width)


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


def _dcgan(
    size: int, width: int, rng: numpy.random.Generator
) -> tuple[nn.Sequential, nn.Sequential]:
    """Halve the image and double the channels until it is 4x4; dc64 is the one of size 64 and width
    64.
    """

    def up(before: int, after: int) -> list[nn.Layer]:
        return [
            nn.ConvTranspose2d(before, after, **HALVE, bias=False, rng=rng),
            nn.BatchNorm(after),
            nn.ReLU(),
        ]

    def down(before: int, after: int) -> list[nn.Layer]:
        return [
            nn.Conv2d(before, after, **HALVE, bias=False, rng=rng),
            nn.BatchNorm(after),
            nn.LeakyReLU(0.2),
        ]

    channels = [width << k for k in range((size // 4).bit_length() - 1)]
    ups, downs = [], []
    for fewer, more in itertools.pairwise(channels):
        ups, downs = [*up(more, fewer), *ups], [*downs, *down(fewer, more)]
    most = channels[-1]
    g = nn.Sequential(
        nn.Linear(100, 4 * 4 * most, bias=False, rng=rng),
        nn.Reshape(4, 4, most),
        nn.BatchNorm(most),
        nn.ReLU(),
        *ups,
        nn.ConvTranspose2d(width, 3, **HALVE, rng=rng),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(3, width, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        *downs,
        nn.Conv2d(most, 1, kernel_size=4, rng=rng),
        nn.Flatten(),
    )
    return g, d


class Step:
    """One D step and one G step per call, on random data: Goodfellow's Algorithm 1 with
    non-saturating losses.
    """

    def __init__(
        self, workload: Workload, *, batch: int | None = None, dtype: str = "float32"
    ) -> None:
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
        fake = self.g.forward(self.noise())[0]
        total = self.judge(fake)
        self.d_adam.step()

        self.g_adam.zero_grad()
        fake, g_cache = self.g.forward(self.noise())
        loss, dfake = self.please(fake)
        self.g.backward(dfake, g_cache, input_grad=False)
        self.g_adam.step()
        return total + loss

    def judge(self, fake: Any) -> float:
        """D's loss on the reals and on these fakes, its gradients added."""
        real_logits, fake_logits, caches = nn.forward_both(self.d, self.real, fake)
        (real, d_real), (faked, d_fake) = (
            losses.bce_with_logits(logits, target)
            for logits, target in ((real_logits, 1.0), (fake_logits, 0.0))
        )
        nn.backward_both(self.d, d_real, d_fake, caches)
        return float(real + faked)

    def please(self, fake: Any) -> tuple[float, Any]:
        """G's loss on one batch, and its gradient with respect to the fakes."""
        logits, cache = self.d.forward(fake)
        loss, dlogits = losses.bce_with_logits(logits, 1.0)
        return float(loss), self.d.backward(dlogits, cache, param_grads=False)


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload; options are ``threads``, ``batch`` and
    ``backend=reference``.
    """
    if "threads" in options:
        import minigan

        minigan.set_threads(int(options["threads"]))
    if options.get("backend") == "reference":
        use(backend.Reference(numpy, "cpu"))  # the readable one, with which the others are compared
    return Step(find(name), batch=int(options["batch"]) if "batch" in options else None)


def use(ops: backend.Reference) -> None:
    """Compute on the CPU with this backend from now on, in this process."""
    devices._cpu = lambda: ops  # type: ignore[assignment]

"""The workloads: explicit nets in minigan, and the whole training step, or sampling, that is timed.

``benchmarks/rivals`` holds the same nets and the same step in other libraries.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from minigan import gan, nn, optim


class Workload(NamedTuple):
    """What is timed: a round of a game, or making samples.

    Attributes
    ----------
    name
        How the command line calls it.
    batch
        Samples at a time.
    z_size
        Length of a latent vector.
    sample_shape
        Shape of a sample, channels last.
    about
        What it is, in a few words.
    objective
        The pair of losses, see `minigan.gan.OBJECTIVES`; ``""`` where only samples are made.
    tame
        What holds D back, see `minigan.gan.WAYS`.
    joint
        Whether PyTorch's D may see reals and fakes in one pass: not if it has batch norm, nor where
        the reals' pass serves a penalty as well.
    quick
        Whether a step is so short that one thread may be faster than two.
    """

    name: str
    batch: int
    z_size: int
    sample_shape: tuple[int, ...]
    about: str
    objective: str = "non-saturating"
    tame: tuple[str, ...] = ()
    joint: bool = True
    quick: bool = False

    @property
    def trains(self) -> bool:
        """Whether it is a training step; otherwise G makes samples."""
        return bool(self.objective)


SMALL, LARGE = (28, 28, 1), (64, 64, 3)
PENALTY, SPECTRAL, R1 = ("gradient-penalty:10",), ("spectral-norm",), ("r1:10",)
WORKLOADS = {
    w.name: w
    for w in (
        Workload("toy", 256, 2, (2,), "2-D GAN, MLPs of 128x2", quick=True),
        Workload("digits", 64, 64, (16, 16, 1), "16x16, the small DCGAN of the recipe digits", joint=False, quick=True),
        Workload("mnist-mlp", 64, 100, SMALL, "28x28, G an MLP, D convolutional"),
        Workload("mnist-dcgan", 64, 100, SMALL, "28x28, DCGAN"),
        Workload("dcgan-5x5", 64, 100, SMALL, "28x28, 5x5 kernels, DCGAN of TensorFlow's tutorial"),
        Workload("wgan-gp", 64, 100, SMALL, "28x28, gradient penalty", "wasserstein", PENALTY),
        Workload("wgan-gp-ln", 64, 100, SMALL, "the same, layer norm in D", "wasserstein", PENALTY),
        Workload("hinge-sn", 64, 100, SMALL, "28x28, hinge, spectral norm", "hinge", SPECTRAL),
        Workload("r1", 64, 100, SMALL, "28x28, R1 with gamma 10", tame=R1, joint=False),
        Workload("sngan-32", 64, 128, (32, 32, 3), "32x32x3, 3x3 and 4x4 kernels, SN-GAN's nets at half width"),
        Workload("sngan-32-sn", 64, 128, (32, 32, 3), "the same, hinge, spectral norm", "hinge", SPECTRAL),
        Workload("dc64", 64, 100, LARGE, "64x64x3, DCGAN of 512-256-128-64", joint=False),
        Workload("sampling-digits", 64, 64, (16, 16, 1), "64 samples of G of digits", "", quick=True),
        Workload("sampling-28", 64, 100, SMALL, "64 samples of G of mnist-dcgan", ""),
        Workload("sampling-64", 64, 100, LARGE, "64 samples of G of dc64", ""),
    )
}  # fmt: skip
FIRST = ("toy", "mnist-mlp", "mnist-dcgan", "dc64")
"""Those that the other commands look at."""

HALVE = {"kernel_size": 4, "stride": 2, "padding": 1}
"""A convolution that halves an image, or doubles it if transposed."""


def nets(name: str, rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """Build G and D of a workload, D without what holds it back."""
    return BUILDERS[name](rng) if name in BUILDERS else _dcgan(*sizes(name), rng)


def find(name: str) -> Workload:
    """Return a workload; beside those of the table, ``dcgan-SIZE-WIDTH`` is a DCGAN of any size and
    width.
    """
    if name in WORKLOADS or not name.startswith("dcgan-"):
        return WORKLOADS[name]
    size, width = sizes(name)
    about = f"{size}x{size}x3, DCGAN with {width} channels in D's first layer"
    return Workload(name, 64, 100, (size, size, 3), about, joint=False)


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
    return _generator_28(rng), d


def _generator_28(rng: numpy.random.Generator) -> nn.Sequential:
    return nn.Sequential(
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


def _critic_28(
    rng: numpy.random.Generator, *, layer_norm: bool = False
) -> tuple[nn.Sequential, nn.Sequential]:
    """The DCGAN's G, and its D without dropout: penalties need a smooth D, as do Lipschitz ones."""
    d = nn.Sequential(
        nn.Conv2d(1, 64, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(64, 128, **HALVE, rng=rng),
        *([nn.LayerNorm(7, 7, 128)] if layer_norm else []),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1, rng=rng),
    )
    return _generator_28(rng), d


def _digits(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """As `minigan.recipes.digits` builds them."""
    g = nn.Sequential(
        nn.Linear(64, 4 * 4 * 64, bias=False, rng=rng),
        nn.Reshape(4, 4, 64),
        nn.BatchNorm(64),
        nn.ReLU(),
        nn.ConvTranspose2d(64, 32, **HALVE, bias=False, rng=rng),
        nn.BatchNorm(32),
        nn.ReLU(),
        nn.ConvTranspose2d(32, 1, **HALVE, rng=rng),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(1, 32, **HALVE, rng=rng),
        nn.LeakyReLU(0.2),
        nn.Conv2d(32, 64, **HALVE, bias=False, rng=rng),
        nn.BatchNorm(64),
        nn.LeakyReLU(0.2),
        nn.Flatten(),
        nn.Linear(4 * 4 * 64, 1, rng=rng),
    )
    return g, d


FIVE = {"kernel_size": 5, "padding": 2}


def _dcgan_5x5(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """As in TensorFlow's tutorial "Deep Convolutional Generative Adversarial Network"."""
    doubled = {**FIVE, "stride": 2, "output_padding": 1, "bias": False}
    g = nn.Sequential(
        nn.Linear(100, 7 * 7 * 256, bias=False, rng=rng),
        nn.BatchNorm(7 * 7 * 256),
        nn.LeakyReLU(0.3),
        nn.Reshape(7, 7, 256),
        nn.ConvTranspose2d(256, 128, **FIVE, bias=False, rng=rng),
        nn.BatchNorm(128),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(128, 64, **doubled, rng=rng),
        nn.BatchNorm(64),
        nn.LeakyReLU(0.3),
        nn.ConvTranspose2d(64, 1, **doubled, rng=rng),
        nn.Tanh(),
    )
    d = nn.Sequential(
        nn.Conv2d(1, 64, **FIVE, stride=2, rng=rng),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3, rng=rng),
        nn.Conv2d(64, 128, **FIVE, stride=2, rng=rng),
        nn.LeakyReLU(0.3),
        nn.Dropout(0.3, rng=rng),
        nn.Flatten(),
        nn.Linear(7 * 7 * 128, 1, rng=rng),
    )
    return g, d


def _sngan_32(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    """Miyato et al. 2018, table 3 for images of 32x32, with half as many channels."""

    def up(before: int, after: int) -> list[nn.Layer]:
        doubled = nn.ConvTranspose2d(before, after, **HALVE, bias=False, rng=rng)
        return [doubled, nn.BatchNorm(after), nn.ReLU()]

    def down(before: int, after: int) -> list[nn.Layer]:
        same = nn.Conv2d(before, after, kernel_size=3, padding=1, rng=rng)
        halved = nn.Conv2d(after, after, **HALVE, rng=rng)
        return [same, nn.LeakyReLU(0.1), halved, nn.LeakyReLU(0.1)]

    g = nn.Sequential(
        nn.Linear(128, 4 * 4 * 256, bias=False, rng=rng),
        nn.Reshape(4, 4, 256),
        nn.BatchNorm(256),
        nn.ReLU(),
        *(layer for pair in ((256, 128), (128, 64), (64, 32)) for layer in up(*pair)),
        nn.Conv2d(32, 3, kernel_size=3, padding=1, rng=rng),
        nn.Tanh(),
    )
    d = nn.Sequential(
        *(layer for pair in ((3, 32), (32, 64), (64, 128)) for layer in down(*pair)),
        nn.Conv2d(128, 256, kernel_size=3, padding=1, rng=rng),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(4 * 4 * 256, 1, rng=rng),
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


def _dc64(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    return _dcgan(64, 64, rng)


def _layer_normed(rng: numpy.random.Generator) -> tuple[nn.Sequential, nn.Sequential]:
    return _critic_28(rng, layer_norm=True)


BUILDERS = {
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


class Step:
    """A round of minigan's own game per call, one D step and one G step, on random data."""

    def __init__(
        self, workload: Workload, *, batch: int | None = None, dtype: str = "float32"
    ) -> None:
        self.rng, self.chance = numpy.random.default_rng(0), numpy.random.default_rng(1)
        self.batch, self.z_size, self.dtype = batch or workload.batch, workload.z_size, dtype
        g, d = nets(workload.name, self.rng)
        taming = gan.tame(d, workload.tame, rng=self.chance)
        self.g, self.d = g.astype(dtype), taming.discriminator.astype(dtype)
        self.real = self.rng.uniform(-1, 1, (self.batch, *workload.sample_shape)).astype(dtype)
        self.game = gan.Game(
            self.g,
            self.d,
            *(optim.Adam(net, lr=2e-4, betas=(0.5, 0.999)) for net in (self.g, self.d)),
            objective=gan.objective(workload.objective),
            penalties=taming.penalties,
        )

    def noise(self) -> Any:
        return self.rng.standard_normal((self.batch, self.z_size), dtype=self.dtype)

    def __call__(self) -> float:
        report = self.game.play([(self.real, self.noise(), None)], self.noise())
        return float(report["loss_d"] + report["loss_g"] + report.get("penalty", 0.0))


class Sampling:
    """A batch of samples per call, G in evaluation mode."""

    def __init__(
        self, workload: Workload, *, batch: int | None = None, dtype: str = "float32"
    ) -> None:
        self.rng = numpy.random.default_rng(0)
        self.batch, self.z_size, self.dtype = batch or workload.batch, workload.z_size, dtype
        self.g = nets(workload.name, self.rng)[0].astype(dtype)

    def noise(self) -> Any:
        return self.rng.standard_normal((self.batch, self.z_size), dtype=self.dtype)

    def __call__(self) -> Any:
        return self.g(self.noise())


def make(name: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the step of a workload; options are ``threads`` and ``batch``.

    Which variant of minigan computes is said in the environment, see `benchmarks.set_ups`.
    """
    if "threads" in options:
        import minigan

        minigan.set_threads(int(options["threads"]))
    workload = find(name)
    kind = Step if workload.trains else Sampling
    return kind(workload, batch=int(options["batch"]) if "batch" in options else None)

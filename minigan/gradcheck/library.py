"""Every layer and loss of the library, in cases where mistakes show.

All sizes differ, for example, and strides don't divide them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import losses, nn
from minigan.backend import Array
from minigan.gradcheck.functions import check_function
from minigan.gradcheck.layers import check, generator
from minigan.gradcheck.report import GradientError, Report, table

Generator = numpy.random.Generator
Shape = tuple[int, ...]


def _normal(rng: Generator, shape: Shape) -> Array:
    return rng.standard_normal(shape)


def _labels(count: int) -> Callable[[Generator, Shape], Array]:
    return lambda rng, shape: rng.integers(0, count, shape)


def _probabilities(rng: Generator, shape: Shape) -> Array:
    return rng.uniform(0.05, 0.95, shape)


@dataclass(frozen=True)
class Case:
    """A layer or a loss in one setting.

    Attributes
    ----------
    name
        What the table calls it.
    build
        Makes the layer, or the function that returns (loss, gradient), from a random generator.
    shape
        Shape of the input.
    train
        Whether the layer is in training mode.
    draw
        Draws the input.
    """

    name: str
    build: Callable[[Generator], Any]
    shape: Shape
    train: bool = True
    draw: Callable[[Generator, Shape], Array] = _normal

    def check(self, rng: Generator, **options: Any) -> Report:
        """Check it with random weights; the options are those of `check`.

        A scale of 1 or a shift of 0, as a normalisation has at first, would hide mistakes.
        """
        subject = self.build(rng)
        x = self.draw(rng, self.shape)
        if not isinstance(subject, nn.Layer):
            return check_function(subject, x, rng=rng, **options)
        for p in subject.parameters().values():
            p.value = p.value + 0.3 * rng.standard_normal(p.shape)
        for name, buffer in subject.buffers().items():
            if "running" in name:
                buffer[...] = rng.uniform(0.5, 2.0, buffer.shape)
        return check(subject, x, rng=rng, train=self.train, **options)


def library_cases() -> Iterator[Case]:
    """Yield every layer and every loss of the library, each in the settings that matter."""
    yield from _layers()
    yield from _convolutions()
    yield from _windows()
    yield from _normalisations()
    yield from _containers()
    yield from _losses()


def _layers() -> Iterator[Case]:
    yield Case("Linear", lambda rng: nn.Linear(3, 5, rng=rng), (4, 3))
    yield Case("Linear, no bias", lambda rng: nn.Linear(3, 5, bias=False, rng=rng), (4, 3))
    yield Case("Embedding", lambda rng: nn.Embedding(5, 3, rng=rng), (7,), draw=_labels(5))
    yield Case("LeakyReLU", lambda rng: nn.LeakyReLU(0.2), (4, 3))
    yield Case("ReLU", lambda rng: nn.ReLU(), (2, 3, 4, 5))
    yield Case("Tanh", lambda rng: nn.Tanh(), (4, 3))
    yield Case("Sigmoid", lambda rng: nn.Sigmoid(), (4, 3))
    yield Case("Maxout", lambda rng: nn.Maxout(3), (4, 2, 2, 6))
    yield Case("Dropout, training", lambda rng: nn.Dropout(0.4, rng=rng), (4, 6))
    yield Case("Dropout, evaluation", lambda rng: nn.Dropout(0.4, rng=rng), (4, 6), train=False)
    yield Case("Flatten", lambda rng: nn.Flatten(), (2, 3, 4, 5))
    yield Case("Reshape", lambda rng: nn.Reshape(2, 3, 4), (5, 24))
    yield Case("Upsample", lambda rng: nn.Upsample((2, 3)), (2, 3, 4, 5))
    yield from _activations()
    yield from _recurrent()
    yield Case("MinibatchStdDev", lambda rng: nn.MinibatchStdDev(3), (6, 2, 3, 2))
    yield Case("Pack, training", lambda rng: nn.Pack(2), (6, 2, 3, 4))
    yield Case("Pack, evaluation", lambda rng: nn.Pack(3), (5, 4), train=False)
    yield Case("InstanceNoise", lambda rng: nn.InstanceNoise(0.5, rng=rng), (4, 3))
    yield Case(
        "Augment",
        lambda rng: nn.Augment(
            "brightness", "saturation", "contrast", "translation", "cutout", rng=rng
        ),
        (4, 9, 8, 3),
    )


def _activations() -> Iterator[Case]:
    yield Case("ELU", lambda rng: nn.ELU(0.7), (4, 3))
    yield Case("GELU", lambda rng: nn.GELU(), (4, 3))
    yield Case("SiLU", lambda rng: nn.SiLU(), (4, 3))
    yield Case("Softplus", lambda rng: nn.Softplus(), (4, 3))
    yield Case("PReLU, one slope", lambda rng: nn.PReLU(), (4, 3))
    yield Case("PReLU, a slope per channel", lambda rng: nn.PReLU(3), (2, 4, 5, 3))
    yield Case("Softmax", lambda rng: nn.Softmax(), (4, 3))
    yield Case("Softmax of another axis", lambda rng: nn.Softmax(axis=1), (2, 4, 3))
    yield Case("GumbelSoftmax", lambda rng: nn.GumbelSoftmax(0.7, rng=rng), (4, 3))


def _recurrent() -> Iterator[Case]:
    def gru(last: bool) -> Callable[[Generator], nn.Layer]:
        return lambda rng: nn.GRU(3, 2, last=last, rng=rng)

    def padded(last: bool) -> Callable[[Generator], nn.Layer]:
        return lambda rng: nn.Given(gru(last)(rng), numpy.array([3, 0, 4, 1]))

    for name, last in (("all states", False), ("the last state", True)):
        yield Case(f"GRU, {name}", gru(last), (4, 5, 3))
        yield Case(f"GRU with lengths, {name}", padded(last), (4, 4, 3))


def _windows() -> Iterator[Case]:
    image = (2, 5, 6, 3)
    yield Case("AveragePool", lambda rng: nn.AveragePool((2, 3)), image)
    yield Case(
        "AveragePool, overlapping", lambda rng: nn.AveragePool(3, stride=2, padding=1), image
    )
    yield Case("MaxPool", lambda rng: nn.MaxPool(2), image)
    yield Case("MaxPool, overlapping", lambda rng: nn.MaxPool(3, stride=2, padding=1), image)
    yield Case("GlobalPool, mean", lambda rng: nn.GlobalPool("mean"), image)
    yield Case("GlobalPool, sum", lambda rng: nn.GlobalPool("sum"), image)
    yield Case("GlobalPool, max", lambda rng: nn.GlobalPool("max"), image)
    border = ((1, 2), (0, 3))
    yield Case("Pad, zeros", lambda rng: nn.Pad(border), image)
    yield Case("Pad, reflect", lambda rng: nn.Pad(border, mode="reflect"), image)
    yield Case("Pad, replicate", lambda rng: nn.Pad(border, mode="replicate"), image)
    yield Case("Pad, circular", lambda rng: nn.Pad(border, mode="circular"), image)
    yield Case("Resize, bilinear", lambda rng: nn.Resize((3, 8)), image)
    yield Case("Resize, nearest", lambda rng: nn.Resize((7, 4), mode="nearest"), image)
    yield Case("Downsample", lambda rng: nn.Downsample(2), (2, 4, 6, 3))
    yield Case("Interpolate", lambda rng: nn.Interpolate(2), image)
    yield Case("Blur", lambda rng: nn.Blur(), image)
    yield Case("PixelShuffle", lambda rng: nn.PixelShuffle(2), (2, 3, 5, 8))
    yield Case("PixelUnshuffle", lambda rng: nn.PixelUnshuffle(3), (2, 3, 6, 2))


def _convolutions() -> Iterator[Case]:
    plain: dict[str, dict[str, Any]] = {
        "kernel 3, padding 1": {"kernel_size": 3, "padding": 1},
        "kernel 4, stride 2, padding 1": {"kernel_size": 4, "stride": 2, "padding": 1},
        "kernel 3x2, stride 2x3, padding 0x1": {
            "kernel_size": (3, 2),
            "stride": (2, 3),
            "padding": (0, 1),
        },
        "kernel 1x3, no bias": {"kernel_size": (1, 3), "bias": False},
    }
    for name, window in plain.items():
        yield Case(f"Conv2d, {name}", _maker(nn.Conv2d, window), (4, 7, 6, 2))
    extra: dict[str, dict[str, Any]] = {
        "kernel 3, stride 2, padding 1, output_padding 1": {
            "kernel_size": 3,
            "stride": 2,
            "padding": 1,
            "output_padding": 1,
        },
        "kernel 2x3, stride 3x2, output_padding 2x1": {
            "kernel_size": (2, 3),
            "stride": (3, 2),
            "output_padding": (2, 1),
        },
    }
    for name, window in (plain | extra).items():
        yield Case(f"ConvTranspose2d, {name}", _maker(nn.ConvTranspose2d, window), (4, 3, 5, 2))
    yield from _other_convolutions()


def _other_convolutions() -> Iterator[Case]:
    """Windows with gaps, channels in groups, borders of all kinds, sequences."""
    size: dict[str, Any] = {"kernel_size": 3}
    four = (2, 5, 6, 4)
    for name, layer in (("Conv2d", nn.Conv2d), ("ConvTranspose2d", nn.ConvTranspose2d)):
        options: dict[str, dict[str, Any]] = {
            "dilation 2x1": {"dilation": (2, 1)},
            "2 groups, stride 2": {"groups": 2, "stride": 2},
            "depthwise, asymmetric padding": {"groups": 4, "padding": ((1, 0), (0, 2))},
        }
        for words, more in options.items():
            yield Case(f"{name}, {words}", _maker(layer, size | more, (4, 8)), four)
    for mode in ("reflect", "replicate", "circular"):
        more = {"padding": ((2, 1), (0, 3)), "padding_mode": mode, "kernel_size": 4}
        yield Case(f"Conv2d, {mode} padding", _maker(nn.Conv2d, more, (4, 3)), four)
    sequence = (3, 9, 4)
    more = {"kernel_size": 5, "stride": 2, "padding": (1, 3)}
    yield Case("Conv1d, stride 2", _maker(nn.Conv1d, more, (4, 3)), sequence)
    more = {"kernel_size": 3, "dilation": 2, "padding": 2, "groups": 2, "padding_mode": "reflect"}
    yield Case("Conv1d, dilation 2, 2 groups", _maker(nn.Conv1d, more, (4, 6)), sequence)
    more = {"kernel_size": 5, "stride": 4, "padding": (1, 2), "output_padding": 3}
    yield Case("ConvTranspose1d, stride 4", _maker(nn.ConvTranspose1d, more, (4, 3)), sequence)
    more = {"kernel_size": 3, "groups": 2, "bias": False}
    yield Case("ConvTranspose1d, 2 groups", _maker(nn.ConvTranspose1d, more, (4, 6)), sequence)


def _maker(
    layer: Callable[..., nn.Layer], window: dict[str, Any], channels: tuple[int, int] = (2, 3)
) -> Callable[[Generator], nn.Layer]:
    return lambda rng: layer(*channels, rng=rng, **window)


def _normalisations() -> Iterator[Case]:
    for train, mode in ((True, "training"), (False, "evaluation")):
        yield Case(
            f"BatchNorm of features, {mode}", lambda rng: nn.BatchNorm(3), (5, 3), train=train
        )
        yield Case(
            f"BatchNorm of images, {mode}", lambda rng: nn.BatchNorm(3), (4, 2, 5, 3), train=train
        )
        yield Case(
            f"BatchNorm of sequences, {mode}", lambda rng: nn.BatchNorm(3), (4, 5, 3), train=train
        )
    yield Case("LayerNorm of features", lambda rng: nn.LayerNorm(5), (4, 5))
    yield Case("LayerNorm of images", lambda rng: nn.LayerNorm(2, 3, 4), (5, 2, 3, 4))
    yield Case("InstanceNorm", lambda rng: nn.InstanceNorm(4), (5, 2, 3, 4))
    yield Case("InstanceNorm, affine", lambda rng: nn.InstanceNorm(4, affine=True), (5, 2, 3, 4))
    yield Case("GroupNorm of images", lambda rng: nn.GroupNorm(2, 6), (3, 2, 3, 6))
    yield Case("GroupNorm of features", lambda rng: nn.GroupNorm(2, 6), (3, 6))
    yield Case("RMSNorm", lambda rng: nn.RMSNorm(5), (4, 3, 5))
    yield Case("PixelNorm", lambda rng: nn.PixelNorm(), (4, 2, 3, 5))
    # In evaluation, where σ is the function of W that the formula differentiates. In training,
    # forward also changes its singular vectors, which the formula, exact at the fixed point,
    # ignores.
    yield Case(
        "SpectralNorm of Linear",
        lambda rng: nn.spectral_norm(nn.Linear(3, 5, rng=rng), rng=rng),
        (4, 3),
        False,
    )
    yield Case(
        "SpectralNorm of Conv2d",
        lambda rng: nn.spectral_norm(nn.Conv2d(2, 3, kernel_size=3, padding=1, rng=rng), rng=rng),
        (4, 5, 6, 2),
        train=False,
    )


def _containers() -> Iterator[Case]:
    yield Case(
        "Sequential, a small generator",
        lambda rng: nn.Sequential(
            nn.Linear(3, 24, rng=rng),
            nn.BatchNorm(24),
            nn.ReLU(),
            nn.Reshape(2, 3, 4),
            nn.ConvTranspose2d(4, 2, kernel_size=4, stride=2, padding=1, rng=rng),
            nn.Tanh(),
        ),
        (5, 3),
    )
    yield Case(
        "Sequential, a small discriminator",
        lambda rng: nn.Sequential(
            nn.Conv2d(1, 4, kernel_size=4, stride=2, padding=1, rng=rng),
            nn.LeakyReLU(0.2),
            nn.Sequential(
                nn.Conv2d(4, 6, kernel_size=4, stride=2, padding=1, rng=rng), nn.BatchNorm(6)
            ),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3, rng=rng),
            nn.Flatten(),
            nn.Linear(12, 1, rng=rng),
        ),
        (5, 8, 4, 1),
    )
    yield Case("Residual", lambda rng: nn.Residual(nn.Linear(3, 3, rng=rng), nn.Tanh()), (4, 3))
    yield Case(
        "Residual, shortcut",
        lambda rng: nn.Residual(
            nn.Conv2d(2, 3, kernel_size=3, padding=1, rng=rng),
            nn.Tanh(),
            shortcut=nn.Conv2d(2, 3, kernel_size=1, rng=rng),
        ),
        (4, 3, 5, 2),
    )
    yield Case(
        "PerFrame", lambda rng: nn.PerFrame(nn.Conv2d(2, 3, kernel_size=2, rng=rng), nn.Tanh()),
        (2, 3, 4, 5, 2),
    )  # fmt: skip
    yield Case("Skip", lambda rng: nn.Skip(nn.Linear(3, 2, rng=rng), nn.Tanh()), (4, 3))
    yield Case(
        "Branches",
        lambda rng: nn.Branches(
            nn.Linear(3, 2, rng=rng), nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh())
        ),
        (4, 3),
    )
    yield Case("Fade", lambda rng: nn.Fade(nn.Linear(3, 3, rng=rng), nn.Tanh(), alpha=0.3), (4, 3))
    yield from _conditional()
    yield from _reparametrised()
    yield from _generators()
    yield from _styled()


def _reparametrised() -> Iterator[Case]:
    def conv(rng: Generator) -> nn.Layer:
        return nn.Conv2d(2, 3, kernel_size=3, rng=rng)

    yield Case("WeightNorm of Linear", lambda rng: nn.WeightNorm(nn.Linear(3, 5, rng=rng)), (4, 3))
    yield Case("WeightNorm of Conv2d", lambda rng: nn.WeightNorm(conv(rng)), (4, 4, 5, 2))
    yield Case(
        "Equalised, a tenth of the rate",
        lambda rng: nn.Equalised(conv(rng), lr_multiplier=0.1, rng=rng),
        (4, 4, 5, 2),
    )


def _generators() -> Iterator[Case]:
    """Attention, noise, constants, layers that see the batch."""
    yield Case("SelfAttention", lambda rng: nn.SelfAttention(8, rng=rng), (2, 4, 6, 8))
    yield Case(
        "SelfAttention, no pool", lambda rng: nn.SelfAttention(8, pool=1, rng=rng), (2, 2, 3, 8)
    )
    yield Case("LearntNoise", lambda rng: nn.LearntNoise(3, rng=rng), (2, 3, 4, 3))
    yield Case("Constant", lambda rng: nn.Constant(2, 3, 4, rng=rng), (5, 2))
    yield Case(
        "LogSpectrogram", lambda rng: nn.LogSpectrogram(window=6, hop=2, floor=0.1), (2, 8, 1)
    )
    yield Case("PhaseShuffle", lambda rng: nn.PhaseShuffle(2, rng=rng), (3, 7, 2))
    yield Case(
        "MinibatchDiscrimination",
        lambda rng: nn.MinibatchDiscrimination(4, rows=3, length=2, rng=rng),
        (5, 4),
    )
    yield Case(
        "VirtualBatchNorm",
        lambda rng: nn.WithReference(
            nn.Sequential(
                nn.Conv2d(2, 3, kernel_size=3, rng=rng),
                nn.VirtualBatchNorm(3, reference=4),
                nn.Tanh(),
            ),
            rng.standard_normal((4, 4, 5, 2)),
        ),
        (3, 4, 5, 2),
    )


def _styled() -> Iterator[Case]:
    """Layers of (x, w): as in `Styled`, one array is both."""

    def styled(*make: Callable[[Generator], nn.Layer]) -> Callable[[Generator], nn.Layer]:
        return lambda rng: nn.Styled(nn.Reshape(3, 4, 2), *(one(rng) for one in make))

    def modulated(rng: Generator, **options: Any) -> nn.Layer:
        return nn.ModulatedConv2d(2, 3, style_features=24, kernel_size=3, rng=rng, **options)

    yield Case("ModulatedConv2d", styled(lambda rng: modulated(rng, padding=1)), (3, 24))
    yield Case(
        "ModulatedConv2d, no demodulation",
        styled(lambda rng: modulated(rng, demodulate=False, bias=False)),
        (3, 24),
    )
    yield Case("AdaIN", styled(lambda rng: nn.AdaIN(2, style_features=24, rng=rng)), (3, 24))
    yield Case(
        "ConditionalBatchNorm of vectors",
        styled(lambda rng: nn.ConditionalBatchNorm(2, condition_features=24)),
        (3, 24),
    )
    yield Case(
        "ConditionalBatchNorm of labels",
        lambda rng: nn.Given(nn.ConditionalBatchNorm(3, classes=4), numpy.array([2, 0, 2, 1, 3])),
        (5, 2, 3, 3),
    )
    yield Case(
        "Styled, a small generator",
        lambda rng: nn.Sequential(
            nn.PixelNorm(),
            nn.Linear(3, 4, rng=rng),
            nn.Styled(
                nn.Constant(3, 4, 2, rng=rng),
                nn.ModulatedConv2d(2, 4, style_features=4, kernel_size=3, padding=1, rng=rng),
                nn.LearntNoise(rng=rng),
                nn.LeakyReLU(0.2),
                nn.Interpolate(2),
                nn.Equalised(
                    nn.ModulatedConv2d(
                        4, 3, style_features=4, kernel_size=1, demodulate=False, rng=rng
                    ),
                    rng=rng,
                ),
            ),
        ),
        (3, 3),
    )


def _conditional() -> Iterator[Case]:
    def given(net: Callable[[Generator], nn.Layer]) -> Callable[[Generator], nn.Layer]:
        return lambda rng: nn.Given(net(rng), numpy.array([2, 0, 2, 1, 3]))

    yield Case("ConcatenateLabels, one-hot", given(lambda rng: nn.ConcatenateLabels(4)), (5, 3))
    yield Case(
        "ConcatenateLabels, learnt vectors",
        given(lambda rng: nn.ConcatenateLabels(4, features=2, rng=rng)),
        (5, 2, 4, 3),
    )
    yield Case(
        "Beside, labels passed on",
        given(
            lambda rng: nn.Sequential(
                nn.Beside(nn.Linear(3, 6, rng=rng)), nn.ConcatenateLabels(4, features=2, rng=rng)
            )
        ),
        (5, 3),
    )
    yield Case(
        "Projection",
        given(
            lambda rng: nn.Projection(
                nn.Sequential(nn.Linear(3, 6, rng=rng), nn.Tanh()), features=6, classes=4, rng=rng
            )
        ),
        (5, 3),
    )


def _losses() -> Iterator[Case]:
    def against(function: Any, draw: Any) -> Callable[[Generator], Any]:
        def build(rng: Generator) -> Any:
            target = draw(rng)
            return lambda x: function(x, target)

        return build

    def halves(function: Any) -> Callable[[Generator], Any]:
        """Turn a loss of reals and fakes into a function of both in one array."""

        def value_and_gradient(x: Array) -> tuple[Array, Array]:
            loss, d_real, d_fake = function(x[:3], x[3:])
            return loss, numpy.concatenate([d_real, d_fake])

        return lambda rng: value_and_gradient

    def soft(rng: Generator) -> Array:
        return rng.uniform(0, 1, (5, 3))

    yield Case("bce_with_logits", against(losses.bce_with_logits, soft), (5, 3))
    yield Case(
        "bce_with_logits, one target", against(losses.bce_with_logits, lambda rng: 0.9), (5, 1)
    )
    yield Case("bce", against(losses.bce, soft), (5, 3), draw=_probabilities)
    yield Case("mse", against(losses.mse, lambda rng: rng.standard_normal((5, 3))), (5, 3))
    yield Case("l1", against(losses.l1, lambda rng: rng.standard_normal((5, 3))), (5, 3))
    yield Case(
        "cross_entropy", against(losses.cross_entropy, lambda rng: rng.integers(0, 4, 6)), (6, 4)
    )
    yield Case(
        "cross_entropy, smoothed, weighted, with ignored labels",
        lambda rng: (
            lambda x: losses.cross_entropy(
                x,
                numpy.array([2, 0, -1, 1, 3, -1]),
                smoothing=0.2,
                weights=numpy.array([0.5, 1.0, 2.0, 1.5]),
                ignore_index=-1,
            )
        ),
        (6, 4),
    )
    yield Case("huber", against(losses.huber, lambda rng: 2 * rng.standard_normal((5, 3))), (5, 3))
    yield Case("kl_gaussians", halves(losses.kl_gaussians), (6, 4))
    yield Case("hinge_discriminator", halves(losses.hinge_discriminator), (8, 1))
    yield Case("hinge_generator", lambda rng: losses.hinge_generator, (5, 1))
    yield Case("wasserstein_critic", halves(losses.wasserstein_critic), (8, 1))
    yield Case("wasserstein_generator", lambda rng: losses.wasserstein_generator, (5, 1))


def check_library(rng: Generator | int | None = None, **options: Any) -> dict[str, Report]:
    """Check every layer and loss of the library; return all reports by name, right or wrong.

    Parameters
    ----------
    rng
        Draws weights, inputs, cotangents and the entries that are checked.
    options
        Those of `check`.
    """
    rng = generator(rng)
    reports = {}
    for case in library_cases():
        try:
            reports[case.name] = case.check(rng, **options)
        except GradientError as error:
            reports[case.name] = error.report
    return reports


def library_table(reports: dict[str, Report]) -> str:
    """Return a table of worst relative errors, one row per layer or loss."""
    rows = [
        (
            name,
            _worst_array(report),
            str(sum(a.checked for a in report.rows)),
            str(sum(a.skipped for a in report.rows)),
            f"{report.worst:.1e}",
            "ok" if report.ok else "WRONG",
        )
        for name, report in reports.items()
    ]
    head = ("layer or loss", "worst in", "checked", "skipped", "worst relative error", "")
    worst = max((r.worst for r in reports.values()), default=math.nan)
    wrong = sum(not r.ok for r in reports.values())
    end = "all right" if not wrong else f"{wrong} WRONG"
    return "\n".join(
        [*table(head, rows), "", f"{len(reports)} checked, {end}; worst relative error {worst:.1e}"]
    )


def _worst_array(report: Report) -> str:
    return max(report.rows, key=lambda a: a.error).name if report.rows else "-"

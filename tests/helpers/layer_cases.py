"""Every layer in a few settings: what is shown of all layers at once is shown of these."""

import numpy
import pytest

from minigan import nn

FLAT, SEQUENCE, IMAGE = (4, 6), (3, 9, 4), (4, 5, 6, 3)
PAIRS = (
    "ConcatenateLabels", "Projection", "Beside", "ConditionalBatchNorm", "ModulatedConv2d", "AdaIN",
    "VirtualBatchNorm",
)  # fmt: skip
"""Tested inside `Given`, which holds labels, inside `Styled`, or inside `WithReference`."""
HELD = numpy.array([1, 0, 2, 1])
CASES = {
    "Linear": [
        (lambda rng: nn.Linear(6, 5, rng=rng), FLAT),
        (lambda rng: nn.Linear(6, 5, bias=False, rng=rng), FLAT),
    ],
    "Conv2d": [
        (lambda rng: nn.Conv2d(3, 4, kernel_size=3, padding=1, rng=rng), IMAGE),
        (
            lambda rng: nn.Conv2d(
                3, 4, kernel_size=(4, 3), stride=(2, 1), padding=(1, 0), bias=False, rng=rng
            ),
            IMAGE,
        ),
        (lambda rng: nn.Conv2d(3, 4, kernel_size=4, stride=2, padding=1, rng=rng), (4, 8, 8, 3)),
        (lambda rng: nn.Conv2d(3, 6, kernel_size=3, groups=3, dilation=(2, 1), rng=rng), IMAGE),
        (
            lambda rng: nn.Conv2d(4, 6, kernel_size=3, groups=2, padding=((1, 0), (2, 1)), rng=rng),
            (3, 5, 6, 4),
        ),
        (
            lambda rng: nn.Conv2d(3, 4, kernel_size=3, padding=1, padding_mode="reflect", rng=rng),
            IMAGE,
        ),
    ],
    "ConvTranspose2d": [
        (lambda rng: nn.ConvTranspose2d(3, 4, kernel_size=4, stride=2, padding=1, rng=rng), IMAGE),
        (
            lambda rng: nn.ConvTranspose2d(
                3, 2, kernel_size=3, stride=2, output_padding=1, bias=False, rng=rng
            ),
            IMAGE,
        ),
        (lambda rng: nn.ConvTranspose2d(3, 3, kernel_size=3, stride=2, groups=3, rng=rng), IMAGE),
        (
            lambda rng: nn.ConvTranspose2d(
                4, 2, kernel_size=3, stride=2, groups=2, padding=((1, 0), (0, 1)), rng=rng
            ),
            (3, 4, 3, 4),
        ),
    ],
    "Conv1d": [
        (lambda rng: nn.Conv1d(4, 3, kernel_size=5, stride=2, padding=(1, 2), rng=rng), SEQUENCE),
        (
            lambda rng: nn.Conv1d(
                4, 6, kernel_size=3, dilation=2, padding=2, groups=2, bias=False, rng=rng
            ),
            SEQUENCE,
        ),
    ],
    "ConvTranspose1d": [
        (
            lambda rng: nn.ConvTranspose1d(
                4, 3, kernel_size=5, stride=4, padding=1, output_padding=3, rng=rng
            ),
            SEQUENCE,
        ),
        (lambda rng: nn.ConvTranspose1d(4, 6, kernel_size=3, groups=2, rng=rng), SEQUENCE),
    ],
    "Pad": [
        (lambda rng, mode=mode: nn.Pad(((1, 2), (0, 3)), mode=mode), IMAGE)
        for mode in ("zeros", "reflect", "replicate", "circular")
    ],
    "AveragePool": [(lambda rng: nn.AveragePool(3, stride=2, padding=1), IMAGE)],
    "MaxPool": [(lambda rng: nn.MaxPool(3, stride=2, padding=1), IMAGE)],
    "GlobalPool": [
        (lambda rng, kind=kind: nn.GlobalPool(kind), IMAGE) for kind in ("mean", "sum", "max")
    ],
    "Resize": [
        (lambda rng: nn.Resize((3, 8)), IMAGE),
        (lambda rng: nn.Resize((7, 4), mode="nearest"), IMAGE),
    ],
    "Downsample": [(lambda rng: nn.Downsample(2), (4, 4, 6, 3))],
    "Interpolate": [(lambda rng: nn.Interpolate(2), IMAGE)],
    "Blur": [(lambda rng: nn.Blur(), IMAGE)],
    "PixelShuffle": [(lambda rng: nn.PixelShuffle(2), (2, 3, 5, 8))],
    "PixelUnshuffle": [(lambda rng: nn.PixelUnshuffle(2), (2, 4, 6, 3))],
    "ELU": [(lambda rng: nn.ELU(0.7), FLAT)],
    "GELU": [(lambda rng: nn.GELU(), FLAT)],
    "SiLU": [(lambda rng: nn.SiLU(), FLAT)],
    "Softplus": [(lambda rng: nn.Softplus(), FLAT)],
    "PReLU": [(lambda rng: nn.PReLU(), FLAT), (lambda rng: nn.PReLU(3), IMAGE)],
    "Softmax": [(lambda rng: nn.Softmax(), FLAT), (lambda rng: nn.Softmax(axis=1), IMAGE)],
    "GumbelSoftmax": [
        (lambda rng: nn.GumbelSoftmax(0.7, rng=rng), FLAT),
        (lambda rng: nn.GumbelSoftmax(hard=True, axis=1, rng=rng), IMAGE),
    ],
    "GroupNorm": [
        # Not of two numbers: then dx would be rounding alone.
        (lambda rng: nn.GroupNorm(2, 6), FLAT),
        (lambda rng: nn.GroupNorm(1, 3), IMAGE),
        (lambda rng: nn.GroupNorm(2, 4), SEQUENCE),
    ],
    "RMSNorm": [(lambda rng: nn.RMSNorm(3), IMAGE)],
    "PixelNorm": [(lambda rng: nn.PixelNorm(), IMAGE)],
    "BatchNorm": [
        (lambda rng: nn.BatchNorm(6), FLAT),
        (lambda rng: nn.BatchNorm(4), SEQUENCE),
        (lambda rng: nn.BatchNorm(3), IMAGE),
    ],
    "LayerNorm": [(lambda rng: nn.LayerNorm(6), FLAT), (lambda rng: nn.LayerNorm(5, 6, 3), IMAGE)],
    "InstanceNorm": [
        (lambda rng: nn.InstanceNorm(3), IMAGE),
        (lambda rng: nn.InstanceNorm(3, affine=True), IMAGE),
    ],
    "LeakyReLU": [(lambda rng: nn.LeakyReLU(0.2), IMAGE)],
    "ReLU": [(lambda rng: nn.ReLU(), FLAT)],
    "Maxout": [(lambda rng: nn.Maxout(3), FLAT), (lambda rng: nn.Maxout(3), IMAGE)],
    "Tanh": [(lambda rng: nn.Tanh(), FLAT)],
    "Sigmoid": [(lambda rng: nn.Sigmoid(), FLAT)],
    "Dropout": [
        (lambda rng: nn.Dropout(0.5, rng=rng), IMAGE),
        (lambda rng: nn.Dropout(0.0, rng=rng), FLAT),
    ],
    "Embedding": [(lambda rng: nn.Embedding(5, 3, rng=rng), None)],
    "Flatten": [(lambda rng: nn.Flatten(), IMAGE)],
    "Reshape": [(lambda rng: nn.Reshape(6, 15), IMAGE)],
    "Upsample": [(lambda rng: nn.Upsample(2), IMAGE), (lambda rng: nn.Upsample((1, 3)), IMAGE)],
    "SpectralNorm": [
        (lambda rng: nn.spectral_norm(nn.Linear(6, 5, rng=rng), rng=rng), FLAT),
        (lambda rng: nn.spectral_norm(nn.Conv2d(3, 4, kernel_size=3, rng=rng), rng=rng), IMAGE),
    ],
    "Residual": [
        (lambda rng: nn.Residual(nn.Linear(6, 6, rng=rng), nn.Tanh()), FLAT),
        (
            lambda rng: nn.Residual(nn.Linear(6, 4, rng=rng), shortcut=nn.Linear(6, 4, rng=rng)),
            FLAT,
        ),
    ],
    "Given": [
        (lambda rng: nn.Given(nn.ConcatenateLabels(3), HELD), FLAT),
        (lambda rng: nn.Given(nn.ConcatenateLabels(3, features=2, rng=rng), HELD), IMAGE),
        (
            lambda rng: nn.Given(
                nn.Projection(nn.Linear(6, 5, rng=rng), features=5, classes=3, rng=rng), HELD
            ),
            FLAT,
        ),
        (
            lambda rng: nn.Given(
                nn.Sequential(nn.Beside(nn.Tanh()), nn.ConcatenateLabels(3)), HELD
            ),
            FLAT,
        ),
        (lambda rng: nn.Given(nn.ConditionalBatchNorm(3, classes=3), HELD), IMAGE),
    ],
    "Styled": [
        (
            lambda rng: nn.Styled(
                nn.Reshape(1, 3, 2),
                nn.ModulatedConv2d(
                    2, 4, style_features=6, kernel_size=3, padding=1, bias=False, rng=rng
                ),
                nn.Tanh(),
                nn.AdaIN(4, style_features=6, rng=rng),
                nn.ModulatedConv2d(
                    4, 2, style_features=6, kernel_size=1, demodulate=False, rng=rng
                ),
            ),
            FLAT,
        ),
        (
            lambda rng: nn.Styled(
                nn.Linear(6, 4, bias=False, rng=rng),
                nn.ConditionalBatchNorm(4, condition_features=6),
            ),
            FLAT,
        ),
    ],
    "WeightNorm": [(lambda rng: nn.WeightNorm(nn.Conv2d(3, 4, kernel_size=3, rng=rng)), IMAGE)],
    "Equalised": [
        (lambda rng: nn.Equalised(nn.Linear(6, 5, rng=rng), lr_multiplier=0.1, rng=rng), FLAT)
    ],
    "SelfAttention": [
        # Of small numbers: a sharp softmax makes much of the rounding of its logits.
        (lambda rng: nn.Sequential(nn.Downsample(2), nn.SelfAttention(8, rng=rng)), (3, 8, 12, 8))
    ],
    "LearntNoise": [
        (lambda rng: nn.LearntNoise(rng=rng), IMAGE),
        (lambda rng: nn.LearntNoise(3, in_evaluation=True, rng=rng), IMAGE),
    ],
    "Constant": [(lambda rng: nn.Constant(2, 3, 4, rng=rng), FLAT)],
    "GRU": [
        (lambda rng: nn.GRU(4, 3, rng=rng), SEQUENCE),
        (lambda rng: nn.GRU(4, 3, last=True, rng=rng), SEQUENCE),
        (lambda rng: nn.Given(nn.GRU(4, 3, rng=rng), HELD), (4, 5, 4)),
        (lambda rng: nn.Given(nn.GRU(4, 3, last=True, rng=rng), HELD), (4, 5, 4)),
    ],
    "Branches": [
        (lambda rng: nn.Branches(nn.Linear(6, 2, rng=rng), nn.Linear(6, 3, rng=rng)), FLAT)
    ],
    "Fade": [(lambda rng: nn.Fade(nn.Linear(6, 6, rng=rng), nn.Tanh(), alpha=0.3), FLAT)],
    "LogSpectrogram": [(lambda rng: nn.LogSpectrogram(window=6, hop=3, floor=0.1), (2, 9, 1))],
    "PhaseShuffle": [(lambda rng: nn.PhaseShuffle(2, rng=rng), SEQUENCE)],
    "MinibatchDiscrimination": [
        (lambda rng: nn.MinibatchDiscrimination(6, rows=3, length=2, rng=rng), FLAT)
    ],
    "WithReference": [
        (
            lambda rng: nn.WithReference(
                nn.Sequential(nn.Linear(6, 4, rng=rng), nn.VirtualBatchNorm(4, reference=3)),
                rng.standard_normal((3, 6)).astype("float32"),
            ),
            FLAT,
        )
    ],
    "PerFrame": [
        (lambda rng: nn.PerFrame(nn.Conv1d(3, 2, kernel_size=3, rng=rng), nn.Tanh()), IMAGE),
        (lambda rng: nn.PerFrame(nn.Conv2d(3, 2, kernel_size=3, rng=rng)), (2, 3, 5, 6, 3)),
    ],
    "Pack": [(lambda rng: nn.Pack(2), FLAT), (lambda rng: nn.Pack(2), IMAGE)],
    "InstanceNoise": [(lambda rng: nn.InstanceNoise(0.1, rng=rng), FLAT)],
    "Augment": [
        (lambda rng: nn.Augment("brightness", "saturation", "contrast", rng=rng), IMAGE),
        (lambda rng: nn.Augment("translation", "cutout", rng=rng), (4, 8, 8, 3)),
    ],
    "Skip": [(lambda rng: nn.Skip(nn.Linear(6, 2, rng=rng)), FLAT)],
    "MinibatchStdDev": [
        (lambda rng: nn.MinibatchStdDev(2), FLAT),
        (lambda rng: nn.MinibatchStdDev(4), IMAGE),
    ],
    "Sequential": [
        (
            # Without a bias, whose gradient would be rounding alone: that has a test of its own.
            lambda rng: nn.Sequential(
                nn.Conv2d(3, 4, kernel_size=3, bias=False, rng=rng),
                nn.BatchNorm(4),
                nn.LeakyReLU(),
                nn.Flatten(),
            ),
            IMAGE,
        ),
        (lambda rng: nn.Sequential(nn.Linear(6, 5, rng=rng), nn.LayerNorm(5), nn.Tanh()), FLAT),
        # Pairs that a GPU joins.
        (
            lambda rng: nn.Sequential(
                nn.Linear(6, 5, rng=rng),
                nn.Tanh(),
                nn.Linear(5, 4, rng=rng),
                nn.Sigmoid(),
                nn.LeakyReLU(),
            ),
            FLAT,
        ),
        (
            lambda rng: nn.Sequential(
                nn.Conv2d(3, 4, kernel_size=3, rng=rng),
                nn.LeakyReLU(0.1),
                nn.ConvTranspose2d(4, 2, kernel_size=4, stride=2, padding=1, rng=rng),
                nn.ReLU(),
            ),
            IMAGE,
        ),
    ],
}
EVERY_CASE = [
    pytest.param(*case, id=f"{name}-{i}")
    for name, cases in CASES.items()
    for i, case in enumerate(cases)
]

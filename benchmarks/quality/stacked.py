"""Stacked MNIST: how many of 1,000 combinations of three digits does G make?

Protocol (PacGAN, section 4.2, after VEEGAN): 128,000 random stacks of 28x28x3, z ~ U(-1, 1)^100,
batches of 64, Adam 2e-4 with β1 = 0.5, two steps of G for each of D, 26,000 samples, each channel
read by a classifier of MNIST; modes are the combinations seen, KL is that of their shares from
uniform, in nats. Scaled: a DCGAN of 7 -> 14 -> 28 pixels, a quarter of a DCGAN-64, with rates of
1e-3 for G and 1e-4 for D (with equal ones, D wins within a hundred steps), one step of G for each
of D, `STEPS` in the place of 100,000, `SAMPLES` in the place of 26,000, and our classifier in the
place of Keras's. `--only whole` has the protocol's nets, those of DCGAN's TensorFlow code with 64
maps, its 64 packs (so 128 images with packs of 2), two steps of G for each of D, 26,000 samples
and, with `--steps 100000`, the published length. It differs in the classifier, in images of -1 to 1
(the authors' are of 0 to 1) from the 60,000 training digits (theirs from all 70,000), and in
latents of its own for each step (theirs take D's for both of G's, too). `--only ours` is the recipe stacked-mnist at its own length,
26,000 samples. Needs the files of MNIST: set ``MINIGAN_DATA`` to their folder, or let them be
downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import backend, data, gan, metrics, nn, optim
from minigan.backend import to_numpy
from minigan.recipes import get, nets
from minigan.recipes.recipe import Recipe, Settings
from minigan.runs.assembly import assemble

STEPS, SAMPLES, WHOLE_STEPS = 1_500, 10_000, 25_000
WHOLE_MARKS = (2_500, 5_000, 10_000, 15_000, 20_000)


def _twice(published: dict[str, float]) -> dict[str, float]:
    """The same values for the scaled cases and for the whole ones."""
    return published | {f"{case}, whole": value for case, value in published.items()}


PUBLISHED = {
    "modes": ("modes of 1,000", _twice({"DCGAN": 78.9, "packing of 2": 1000.0})),
    "kl": ("KL, nats", _twice({"DCGAN": 4.50, "packing of 2": 0.06})),
}
"""Column -> label, and the means of PacGAN's Table 2."""


class TwoSteps(gan.Game):
    """Two steps of G for each of D, each with latents of its own."""

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[Any, Any]:
        """Draw as `gan.Game`, but twice as many latents for G."""
        assert self.latent is not None
        batches, z = super().draw(source, rng)
        return batches, numpy.concatenate([z, self.latent.sample(len(z), rng)])

    def generator_step(self, z: Any, real: Any = None, labels: Any = None) -> dict[str, Any]:
        """Update G with either half of z; return the second report."""
        half = len(z) // 2
        super().generator_step(z[:half], real, labels)
        return super().generator_step(z[half:], real, labels)


def whole_nets(rng: numpy.random.Generator, packing: int) -> tuple[nn.Layer, nn.Layer]:
    """2 -> 4 -> 7 -> 14 -> 28 pixels and back: 5x5 kernels, 512-256-128-64 maps."""
    up: list[nn.Layer] = [nn.Linear(100, 2 * 2 * 512, rng=rng), nn.Reshape(2, 2, 512)]
    for before, after, extra in ((512, 256, 1), (256, 128, 0), (128, 64, 1), (64, 3, 1)):
        up += [nn.BatchNorm(before), nn.ReLU(), nn.ConvTranspose2d(
            before, after, kernel_size=5, stride=2, padding=2, output_padding=extra, rng=rng
        )]  # fmt: skip
    down: list[nn.Layer] = [nn.Pack(packing)] if packing > 1 else []
    for before, after in ((3 * packing, 64), (64, 128), (128, 256), (256, 512)):
        down.append(nn.Conv2d(before, after, kernel_size=5, stride=2, padding=2, rng=rng))
        down += ([] if after == 64 else [nn.BatchNorm(after)]) + [nn.LeakyReLU(0.2)]
    critic = nn.Sequential(*down, nn.Flatten(), nn.Linear(2 * 2 * 512, 1, rng=rng))
    generator = nn.Sequential(*up, nn.Tanh())
    for net in (generator, critic):
        nn.initial.normal(net, rng=rng)
    return generator, critic


def build_whole(packing: int, seed: int, device: str = "cpu") -> gan.Trainer:
    """The protocol's nets and rates; on a GPU, products in TF32."""
    if device == "cuda":
        backend.get(device).set_precision("tf32")
    weights, stream, latents = (
        numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(3)
    )
    generator, critic = (net.to(device) for net in whole_nets(weights, packing))
    moves = [optim.Adam(net, lr=2e-4, betas=(0.5, 0.999)) for net in (generator, critic)]
    game = TwoSteps(generator, critic, *moves, latent=gan.Latent(100, "uniform"))
    source = data.Batches(data.stacked_mnist(), 64 * packing, stream)
    # The game isn't one of minigan's own, so the graph has to be asked for.
    return gan.Trainer(game, source, rng=latents, cuda_graph=device == "cuda" or None)


def scaled_nets(rng: numpy.random.Generator, noise: Any) -> tuple[nn.Layer, nn.Layer]:
    """A DCGAN: 7 -> 14 -> 28 pixels."""
    generator = nets.dcgan_generator(rng, inputs=100, side=7, width=128, channels=3)
    discriminator = nets.dcgan_discriminator(rng, side=7, width=64, channels=3)
    return nets.drawn(generator, discriminator, rng)


def build(ways: tuple[str, ...], seed: int) -> gan.Trainer:
    """The DCGAN, packed or not."""
    settings = Settings(
        steps=STEPS, lr_generator=1e-3, lr_discriminator=1e-4, penalties=ways, average=0.99
    )
    recipe = Recipe(
        name="scaled", title="stacked MNIST", source="", data="stacked-mnist",
        sample_shape=(28, 28, 3), latent=gan.Latent(100, "uniform"), networks=scaled_nets,
        settings=settings, duration="",
    )  # fmt: skip
    return assemble(recipe, settings, data.stacked_mnist(), seed=seed).trainer


def build_ours(seed: int, steps: int) -> gan.Trainer:
    """The recipe as it is, but for its length."""
    recipe = get("stacked-mnist")
    settings = recipe.settings.changed(steps=steps)
    return assemble(recipe, settings, data.stacked_mnist(), seed=seed).trainer


@cache
def classifier() -> metrics.Classifier:
    """The classifier of single digits."""
    return metrics.classifier_for(data.mnist(), data.mnist(split="test"))


def measure(trainer: gan.Trainer, seed: int, samples: int = SAMPLES) -> Row:
    """Modes and KL of fresh samples, and their spread: 0 if G collapsed, NaN if it diverged.

    The spread is the standard deviation of a pixel over samples in [-1, 1], a mean of all pixels.
    """
    z = trainer.game.latent.sample(samples, numpy.random.default_rng([seed, 1]))
    images = trainer.game.sample(z)
    digits = [to_numpy(classifier().classify(images[..., c : c + 1])) for c in range(3)]
    counts = numpy.bincount(100 * digits[0] + 10 * digits[1] + digits[2], minlength=1000)
    return {
        "modes": int((counts > 0).sum()),
        "kl": round(metrics.reverse_kl(tuple(int(c) for c in counts)), 3),
        "spread": round(float(images.std(axis=0).mean()), 4),
        "samples": samples,
        "classifier_percent": round(100 * classifier().accuracy, 2),
    }


def jobs(seeds: Sequence[int], steps: int | None = None, device: str = "cpu") -> list[Job]:
    """With and without packing, scaled down and whole (these on any device); and the recipe."""
    cases: dict[str, tuple[str, ...]] = {"DCGAN": (), "packing of 2": ("packing:2",)}
    scaled = [
        Job(case, seed, steps or STEPS, lambda s, ways=ways: build(ways, s), measure)
        for seed in seeds
        for case, ways in cases.items()
    ]
    length = steps or get("stacked-mnist").settings.steps
    ours = [
        Job(
            "ours", seed, length,
            lambda s: build_ours(s, length), lambda trainer, s: measure(trainer, s, 26_000), long=True,
        )
        for seed in seeds
    ]  # fmt: skip
    whole = [
        Job(
            f"{case}, whole", seed, steps or WHOLE_STEPS,
            lambda s, m=m: build_whole(m, s, device), lambda trainer, s: measure(trainer, s, 26_000), long=True,
            marks=WHOLE_MARKS,
        )
        for seed in seeds
        for m, case in enumerate(cases, start=1)
    ]  # fmt: skip
    return scaled + ours + whole


def draw() -> Any:
    """Every seed a dot, beside what was published."""
    return dots(rows("stacked"), PUBLISHED, "Stacked MNIST")

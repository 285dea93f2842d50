"""PacGAN's ring and grid, with PacGAN's nets: does packing save modes there too?

Protocol (Lin et al. 2018, section 4.1, and the authors' code): 8 Gaussians on a ring of radius 1
with σ = 0.01, or 25 on {-4, -2, 0, 2, 4}² with σ = 0.05; z ~ N(0, I₂); G 4x400 with batch norm and
ReLU; D 3x200 maxout units of 5 pieces; weights N(0, 0.02); Adam 1e-4, β1 = 0.8; batches of 100
packs, so of 200 points with packs of 2. 2,500 samples; one of high quality lies within 3 σ, and one
such sample is enough for a mode. Scaled: the authors take 400,000 steps and ten runs; see `STEPS`.
Differs: fresh points in the place of 100,000 fixed ones; G's linear layers before batch norm have a
bias; batch norm sees all points of a batch, the authors' the first ones of all packs, then the
second ones. Beside them, `rejection` as it is, on the same two laws.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy
from numpy.typing import NDArray

from benchmarks.quality import rejection
from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import data, gan, metrics, nn, optim

STEPS, SAMPLES = 10_000, 2_500
LAWS = {"ring": {"radius": 1.0, "std": 0.01}, "grid": {"side": 5, "spacing": 2.0, "std": 0.05}}
PUBLISHED = {
    "high_quality_percent": (
        "high-quality samples, %",
        {"ring GAN": 98.2, "ring PacGAN2": 95.6, "grid GAN": 94.8, "grid PacGAN2": 91.3},
    ),
    "modes": (
        "modes (one sample)",
        {"ring GAN": 6.3, "ring PacGAN2": 7.9, "grid GAN": 17.3, "grid PacGAN2": 23.8},
    ),
    "reverse_kl": (
        "reverse KL, nats",
        {"ring GAN": 0.45, "ring PacGAN2": 0.07, "grid GAN": 0.70, "grid PacGAN2": 0.13},
    ),
}
"""Column -> label, and the means over ten runs of PacGAN's Table 1, at 400,000 steps."""


def build(law: data.Distribution, packing: int, seed: int) -> gan.Trainer:
    """PacGAN's nets."""
    weights, stream, latents = (
        numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(3)
    )
    body: list[nn.Layer] = []
    for inputs in (2, 400, 400, 400):
        body += [nn.Linear(inputs, 400, rng=weights), nn.BatchNorm(400), nn.ReLU()]
    generator = nn.Sequential(*body, nn.Linear(400, 2, rng=weights))
    judges: list[nn.Layer] = [nn.Pack(packing)]
    for inputs in (2 * packing, 200, 200):
        judges += [nn.Linear(inputs, 5 * 200, rng=weights), nn.Maxout(5)]
    discriminator = nn.Sequential(*judges, nn.Linear(200, 1, rng=weights))
    nn.initial.normal(generator, rng=weights)
    nn.initial.normal(discriminator, rng=weights)
    game = gan.Game(
        generator,
        discriminator,
        optim.Adam(generator, lr=1e-4, betas=(0.8, 0.999)),
        optim.Adam(discriminator, lr=1e-4, betas=(0.8, 0.999)),
    )
    source = data.Stream(law, 100 * packing, stream)
    return gan.Trainer(game, source, latent=gan.Latent(2), rng=latents)


def measure(trainer: gan.Trainer, seed: int, *, law: data.Distribution) -> Row:
    """Scores of fresh samples."""
    z = trainer.game.latent.sample(SAMPLES, numpy.random.default_rng([seed, 1]))
    return scores(law, trainer.game.sample(z))


def measure_accepted(trainer: gan.Trainer, seed: int, *, law: data.Distribution) -> Row:
    """Scores of what a judge of G accepts."""
    found = rejection.passed(trainer, seed, steps=rejection.JUDGE_STEPS)
    return scores(law, found.samples[:SAMPLES])


def scores(law: data.Distribution, points: NDArray[Any]) -> Row:
    """High-quality samples, modes and reverse KL."""
    assert law.centres is not None
    assert law.std is not None
    report = metrics.mode_report(points, law.centres, law.std)
    return {
        "high_quality_percent": round(100 * report.high_quality, 2),
        "modes": report.covered,
        "of": report.modes,
        "reverse_kl": round(report.reverse_kl, 3),
    }


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """All of them, seed by seed."""
    return [job for seed in seeds for name in LAWS for job in _jobs(name, seed, steps)]


def _jobs(name: str, seed: int, steps: int | None) -> Iterator[Job]:
    law = data.distribution(name, **LAWS[name])
    for case, packing in (("GAN", 1), ("PacGAN2", 2)):
        yield Job(
            f"{name} {case}", seed, steps or STEPS,
            partial(build, law, packing), partial(measure, law=law),
        )  # fmt: skip
    yield Job(
        f"{name} rejection", seed, min(steps or STEPS, rejection.STEPS),
        partial(rejection.build, law), partial(measure_accepted, law=law),
        schedule=rejection.falling,
    )  # fmt: skip


def draw() -> Any:
    """Every seed a dot, beside what was published."""
    return dots(rows("pacgan"), PUBLISHED, "PacGAN's ring and grid")

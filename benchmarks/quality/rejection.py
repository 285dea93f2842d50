"""Points from a normal latent, with one setting for all: a smear first, then D's rejection.

Measured as in `grids`: 10,000 samples, valid within three standard deviations of a mode, a mode is
covered by a quarter of its share of them (1 % on the grid); and besides, how wide the samples lie
around their modes, in standard deviations of the data. For a curve, distances are those to the curve
without noise.

The recipe:

* G is a perceptron of 3x128 from a normal z of `LATENT`. Its game is the relativistic pair of losses
  with R1 and R2 (Huang et al. 2024), which reaches every mode and leaves bridges between them: Adam
  (0.5, 0.999), rates 1e-3 (G) and 2e-3 (D) that fall to 0, an average of G's weights (0.999).
* Then G stays, and a D of the same shape learns to judge it (`minigan.gan.train_judge`); the samples
  are those that it accepts (`minigan.gan.accepted`; Azadi et al. 2019), with M the largest logit
  but for a thousandth.
* The kinks of D's first layer are spread over the extent of the data, as their standard deviation
  tells it. Nothing else is known of them.

Nothing was chosen on the seeds that are reported (1 to 5): lengths, γ and the latent are from trials
of seed 0 on the grid, the ring and the spiral.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy
from numpy.typing import NDArray

from benchmarks.quality.jobs import RESULTS, Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import data, gan, metrics, nn, optim
from minigan.gan.taming import tame
from minigan.plots import save_figure

STEPS, JUDGE_STEPS, BATCH, JUDGE_BATCH = 10_000, 12_000, 256, 512
LATENT, GAMMA, QUANTILE, SAMPLES = 4, 0.1, 0.999, 10_000
FIRST = 1
"""The seed that is drawn."""
PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "valid_percent": ("valid samples, %", {}),
    "modes": ("modes", {}),
    "mode_tv": ("total variation", {}),
    "spread": ("spread, of the data's", {}),
    "accepted_percent": ("accepted, %", {}),
    "valid_before": ("valid before, %", {}),
}
"""Column -> label; nobody has published values of this protocol."""


@dataclass(frozen=True)
class Shape:
    """A distribution, and what its samples lie around.

    Attributes
    ----------
    law
        Draws points.
    bones
        The modes, or many points of the curve without noise, (K, 2).
    std
        Of the noise, along each axis.
    """

    law: data.Distribution
    bones: NDArray[Any]
    std: float


def _mixture(law: data.Distribution) -> Shape:
    assert law.centres is not None
    assert law.std is not None
    return Shape(law, law.centres, law.std)


def _curve(law: Callable[..., data.Distribution], std: float) -> Shape:
    return Shape(law(std=std), law(std=0.0).sample(5_000, numpy.random.default_rng(0)), std)


def random_modes(modes: int = 25, *, std: float = 0.1, apart: float = 0.8) -> data.Distribution:
    """Gaussians in a square, their centres drawn one by one, none too close to another."""
    rng = numpy.random.default_rng(25)
    found: list[NDArray[Any]] = []
    while len(found) < modes:
        one = rng.uniform(-3.5, 3.5, 2)
        if all(numpy.hypot(*(one - other)) > apart for other in found):
            found.append(one)
    centres = numpy.array(found, "float32")

    def law(n: int, *, rng: numpy.random.Generator) -> NDArray[Any]:
        noise = std * rng.standard_normal((n, 2))
        return (centres[rng.integers(modes, size=n)] + noise).astype("float32")

    return data.Distribution("random", law, ((-4.5, 4.5), (-4.5, 4.5)), centres, std)


def rings(*, std: float) -> data.Distribution:
    """Two circles of radius 1 and 2, as dense everywhere."""

    def law(n: int, *, rng: numpy.random.Generator) -> NDArray[Any]:
        angle, radius = rng.uniform(0, 2 * numpy.pi, n), rng.choice([1, 2], n, p=[1 / 3, 2 / 3])
        points = radius * numpy.array([numpy.cos(angle), numpy.sin(angle)])
        return (points.T + std * rng.standard_normal((n, 2))).astype("float32")

    return data.Distribution("rings", law, ((-3, 3), (-3, 3)))


SHAPES: dict[str, Callable[[], Shape]] = {
    "grid of 25": lambda: _mixture(data.distribution("grid", side=5, spacing=1.5, std=0.1)),
    "ring of 8": lambda: _mixture(data.distribution("ring")),
    "25 at random": lambda: _mixture(random_modes()),
    "spiral": lambda: _curve(partial(data.distribution, "spiral"), 0.02),
    "two rings": lambda: _curve(rings, 0.05),
}


def perceptron(
    rng: numpy.random.Generator, inputs: int, outputs: int, *, extent: float | None = None
) -> nn.Sequential:
    """Three hidden layers of 128; with an extent, the first layer's kinks are spread over it."""
    layers: list[nn.Layer] = []
    for before in (inputs, 128, 128):
        layers += [nn.Linear(before, 128, rng=rng), nn.LeakyReLU(0.2)]
    net = nn.Sequential(*layers, nn.Linear(128, outputs, rng=rng))
    nn.initial.kaiming_normal(net, rng=rng)
    if extent is not None:
        slopes = numpy.sqrt((net[0].weight.value ** 2).sum(axis=0))
        net[0].bias.value[...] = rng.uniform(-extent, extent, 128) * slopes
    return net


def build(law: data.Distribution, seed: int) -> gan.Trainer:
    """The game that reaches everything and leaves bridges."""
    weights, stream, latents, noise = (
        numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(4)
    )
    std = _extent(law) / 3**0.5
    generator = perceptron(weights, LATENT, 2)
    generator[-1].weight.value *= std
    discriminator = perceptron(weights, 2, 1, extent=_extent(law))
    moves = [
        optim.Adam(generator, lr=1e-3, betas=(0.5, 0.999)),
        optim.Adam(discriminator, lr=2e-3, betas=(0.5, 0.999)),
    ]
    game = gan.Game(
        generator, discriminator, *moves,
        objective=gan.objective("relativistic"),
        penalties=tame(discriminator, (f"r1:{GAMMA}", f"r2:{GAMMA}"), rng=noise).penalties,
        latent=gan.Latent(LATENT),
        average=optim.ExponentialMovingAverage(generator, decay=0.999, warmup=4),
    )  # fmt: skip
    return gan.Trainer(game, data.Stream(law, BATCH, stream), rng=latents, noise=noise)


def falling(done: float) -> float:
    """Share of the rates that is left when this share of the steps is done."""
    return 1 - done


def _extent(law: data.Distribution) -> float:
    """Half the width of a uniform law that has the standard deviation of the data."""
    return 3**0.5 * float(law.sample(SAMPLES, numpy.random.default_rng(0)).std())


def passed(trainer: gan.Trainer, seed: int, *, steps: int) -> gan.Accepted:
    """Train a judge of G as it is, and return what it accepts."""
    law, latent = trainer.source.distribution, gan.Latent(LATENT)  # type: ignore[attr-defined]
    weights, reals, fakes, chance = (
        numpy.random.default_rng(s) for s in numpy.random.SeedSequence([seed, 1]).spawn(4)
    )
    judge = perceptron(weights, 2, 1, extent=_extent(law))
    optimizer = optim.Adam(judge, lr=2e-3)

    def fake(n: int = JUDGE_BATCH) -> NDArray[Any]:
        found: NDArray[Any] = trainer.game.sample(latent.sample(n, fakes))
        return found

    gan.train_judge(
        judge, optimizer, lambda: law.sample(JUDGE_BATCH, reals), fake, steps=steps,
        scheduler=optim.Scheduler([optimizer], optim.schedules.parse("linear"), steps=steps),
    )  # fmt: skip
    return gan.accepted(fake, judge, SAMPLES, rng=chance, quantile=QUANTILE)


def measure(trainer: gan.Trainer, seed: int, *, case: str) -> Row:
    """Scores of what is accepted, and the valid share of all that G makes."""
    shape = SHAPES[case]()
    z = gan.Latent(LATENT).sample(SAMPLES, numpy.random.default_rng([seed, 2]))
    before = trainer.game.sample(z)
    begun = time.process_time()
    found = passed(trainer, seed, steps=JUDGE_STEPS)
    spent = time.process_time() - begun
    if seed == FIRST:
        RESULTS.mkdir(parents=True, exist_ok=True)
        name = case.replace(" ", "-")
        save_figure(pictures(shape, before, found.samples), RESULTS / f"rejection-{name}.png")
    return scores(shape, found.samples) | {
        "accepted_percent": round(100 * found.share, 1),
        "valid_before": scores(shape, before)["valid_percent"],
        "judge_seconds": round(spent, 1),
    }


def scores(shape: Shape, points: NDArray[Any]) -> Row:
    """How many lie near a mode or the curve, how they're shared out, and how wide they lie."""
    away = metrics.nearest_neighbours(points, shape.bones).distance[:, 0]
    valid = away[away < 3 * shape.std]
    axes, own = 1, {}
    if shape.law.centres is not None:
        least = 0.25 / len(shape.bones)
        report = metrics.mode_report(points, shape.bones, shape.std, min_share=least)
        axes = 2
        own = {"modes": report.covered, "mode_tv": round(report.total_variation, 4)}
    spread = float(numpy.sqrt((valid**2).mean() / axes)) / shape.std if len(valid) else None
    return {
        "valid_percent": round(100 * len(valid) / len(points), 2),
        "spread": "" if spread is None else round(spread, 3),
    } | own


def pictures(shape: Shape, before: NDArray[Any], after: NDArray[Any], n: int = 2_500) -> Any:
    """Draw the data, what G makes and what is accepted, side by side."""
    from minigan.plots.style import new_figure, styled

    drawn = {
        "data": shape.law.sample(n, numpy.random.default_rng(1)),
        "all samples": before[:n],
        "accepted": after[:n],
    }
    with styled():
        figure = new_figure(width=12.0, height=4.3, layout="constrained")
        for axes, (title, points) in zip(figure.subplots(1, 3), drawn.items(), strict=True):
            axes.plot(*points.T, ".", markersize=2)
            axes.set(
                title=title, aspect="equal", xlim=shape.law.limits[0], ylim=shape.law.limits[1]
            )
    return figure


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """Every shape, seed by seed."""
    return [
        Job(
            case, seed, steps or STEPS, partial(build, SHAPES[case]().law),
            partial(measure, case=case), schedule=falling,
        )
        for seed in seeds
        for case in SHAPES
    ]  # fmt: skip


def draw() -> Any:
    """Every seed a dot."""
    return dots(rows("rejection"), PUBLISHED, "Rejection, one setting for all")

"""What the techniques of Salimans et al. 2016 do, in pictures: ``python docs/make_techniques.py``.

Short runs from fixed seeds, about a minute in all. The pictures, which ``docs/howto/techniques.md``
shows, go to ``docs/images/techniques``.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import numpy

from minigan import data, gan, nn, optim, plots, recipes
from minigan.gan.taming import tame
from minigan.plots import COLOURS
from minigan.plots.style import new_figure, styled
from minigan.runs.assembly import assemble

PICTURES = Path(__file__).resolve().parent / "images" / "techniques"
LATENT = gan.Latent(4)


def perceptron(rng: numpy.random.Generator, *sizes: int) -> nn.Sequential:
    """Linear layers with leaky ReLUs between them."""
    layers: list[nn.Layer] = []
    for before, after in itertools.pairwise(sizes):
        layers += [nn.Linear(before, after, rng=rng), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1])


def points_game(ways: list[str], seed: int, *, lr_d: float, **more: Any) -> gan.Game:
    """A game of two small perceptrons on points of the plane."""
    rng = numpy.random.default_rng(seed)
    generator, discriminator = perceptron(rng, 4, 64, 64, 2), perceptron(rng, 2, 64, 64, 1)
    taming = tame(discriminator, ways, rng=rng)
    discriminator = taming.discriminator
    return gan.Game(
        generator, discriminator,
        optim.Adam(generator, lr=1e-3, betas=(0.5, 0.999)),
        optim.Adam(discriminator, lr=lr_d, betas=(0.5, 0.999)),
        feature_matching=taming.feature_matching, latent=LATENT, **more,
    )  # fmt: skip


def trained(game: gan.Game, real: Any, steps: int, seed: int) -> gan.Game:
    """Play so many rounds with 128 points each."""
    gan.Trainer(game, data.Stream(real, 128, numpy.random.default_rng(seed)),
                rng=numpy.random.default_rng(seed + 1)).run(steps)  # fmt: skip
    return game


def panels(count: int, *, height: float = 3.6) -> tuple[Any, list[Any]]:
    """A figure with square panels beside each other."""
    figure = new_figure(width=3.2 * count, height=height, layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def cloud(axes: Any, real: Any, fake: Any, title: str, limit: float) -> None:
    """Draw reals and fakes in their colours."""
    axes.scatter(*real.T, s=10, color=COLOURS["real"], label="data", linewidth=0)
    axes.scatter(*fake.T, s=12, color=COLOURS["fake"], label="samples", marker="X", linewidth=0)
    axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal", xticks=[], yticks=[])
    axes.set_title(title, fontsize=11)


def feature_matching() -> Any:
    """A D that has won: its verdict is the same everywhere, its features still tell the way."""
    real, rng = data.distribution("ring"), numpy.random.default_rng(0)
    z, shown = LATENT.sample(400, rng), real.sample(400, rng)
    figure, axes = panels(3)
    for place, (title, ways, rounds) in zip(axes, (
        ("G when D has won", [], 0), ("200 steps of G", [], 200),
        ("200 steps with feature matching", ["feature-matching"], 200),
    ), strict=True):  # fmt: skip
        game = points_game(ways, 1, lr_d=1e-3, objective=gan.objective("saturating"))
        game.generator_optimizer = optim.SGD(game.generator, lr=0.02)  # Adam hides small gradients
        game.generator[-1].bias.value[...] = 3.5, 3.5
        for _ in range(300):
            game.discriminator_step(real.sample(128, rng), LATENT.sample(128, rng))
        for _ in range(rounds):
            game.generator_step(LATENT.sample(128, rng), real.sample(128, rng))
        cloud(place, shown, game.sample(z), title, 5)
    axes[0].legend(loc="lower left", fontsize=9)
    return figure


def minibatch_discrimination() -> Any:
    """Samples along a line, beside most of the data; a D that compares them spreads them out."""
    real, rng = data.distribution("ring"), numpy.random.default_rng(0)
    z, shown = LATENT.sample(400, rng), real.sample(400, rng)
    figure, axes = panels(2)
    for place, (title, ways) in zip(axes, (
        ("D sees one sample at a time", []),
        ("with minibatch discrimination", ["minibatch-discrimination"]),
    ), strict=True):  # fmt: skip
        game = trained(points_game(ways, 0, lr_d=1e-4), real, 500, 0)
        cloud(place, shown, game.sample(z), title, 3)
    axes[0].legend(loc="lower left", fontsize=9)
    return figure


def historical_averaging() -> Any:
    """Two players of one number each, who chase each other round the equilibrium."""
    figure, axes = panels(2)
    for place, (title, strength) in zip(
        axes, (("plain gradient steps", 0.0), ("with historical averaging", 0.5)), strict=True
    ):
        path = circle(strength)
        place.plot(*path.T, color="#444444", linewidth=1)
        place.plot(*path[0], "o", color=COLOURS["generator"], label="start")
        place.plot(0, 0, "+", color="black", markersize=12, label="equilibrium")
        place.set(xlim=(-3, 3), ylim=(-3, 3), aspect="equal", xlabel="G's number")
        place.set_title(title, fontsize=11)
    axes[0].set_ylabel("D's number")
    axes[1].legend(loc="upper right", fontsize=9)
    return figure


def circle(strength: float, steps: int = 2000) -> Any:
    """The game of Mescheder et al. 2018: G(z) = θ, D(x) = ψ x, all data at 0; its path."""
    rng = numpy.random.default_rng(0)
    generator, discriminator = nn.Linear(1, 1, rng=rng), nn.Linear(1, 1, bias=False, rng=rng)
    generator.bias.value[...] = discriminator.weight.value[...] = 1
    taming = tame(discriminator, [f"historical-averaging:{strength}"] if strength else [], rng=rng)
    game = gan.Game(
        generator, discriminator, optim.SGD(generator, lr=0.05), optim.SGD(discriminator, lr=0.05),
        objective=gan.objective("wasserstein"),
        **taming.pulls(generator=generator, discriminator=discriminator),
    )  # fmt: skip
    nothing, path = numpy.zeros((4, 1), "float32"), []
    for _ in range(steps):
        path.append((generator.bias.value.item(), discriminator.weight.value.item()))
        game.discriminator_step(nothing, nothing)
        game.generator_step(nothing, nothing)
    return numpy.array(path)


def virtual_batch_norm() -> Any:
    """The same latents in four batches, in training mode, with twelve copies of another latent."""
    rng = numpy.random.default_rng(3)
    fixed = gan.Latent(64).sample(4, rng)
    others = gan.Latent(64).sample(4, rng)
    batches = [numpy.concatenate([fixed, *[other[None]] * 12]) for other in others]
    figure, axes = panels(2, height=4.2)
    for place, (title, ways) in zip(
        axes, (("batch norm", ()), ("virtual batch norm", ("virtual-batch-norm",))), strict=True
    ):
        generator = digits(ways)
        made = [generator.forward(z, train=True)[0][:4] for z in batches]
        apart = numpy.ptp(made, axis=0)  # pixels from -1 to 1
        shown = [*made, numpy.clip(5 * apart - 1, -1, 1)]
        place.imshow(plots.image_grid(numpy.concatenate(shown), columns=4), cmap="gray")
        place.set(xticks=[], yticks=[], ylabel="range, x 5    in four batches")
        place.set_title(title, fontsize=11)
        print(
            f"{title}: the range of a pixel is {apart.mean():.3f} on average, {apart.max():.2f} at most"
        )
    return figure


def digits(ways: tuple[str, ...]) -> nn.Layer:
    """G of the recipe digits after a short training."""
    recipe = recipes.get("digits")
    settings = recipe.settings.changed(steps=600, penalties=ways, average=0.0)
    assembly = assemble(recipe, settings, data.digits(), seed=0)
    assembly.trainer.run(settings.steps)
    return assembly.trainer.game.generator


FIGURES = (feature_matching, minibatch_discrimination, historical_averaging, virtual_batch_norm)


def main(names: list[str]) -> None:
    """Draw all figures, or those that are named."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for draw in FIGURES:
        if not names or draw.__name__ in names:
            with styled():
                plots.save_figure(draw(), PICTURES / f"{draw.__name__}.png", dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])

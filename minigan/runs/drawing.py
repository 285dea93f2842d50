"""What a run looks like: grids of samples, points over D's landscape, curves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy

from minigan import backend, losses
from minigan.backend import Array
from minigan.data import Distribution
from minigan.gan import Trainer
from minigan.recipes.recipe import Recipe

GRID = 64
"""Images in ``samples.png``."""
FRAME = 36
"""Images in a frame of ``training.gif``."""
POINTS = 600
"""Points in a picture of a game in the plane."""


def sample(net: Any, z: Array, labels: Array | None = None, *, batch_size: int = 256) -> Array:
    """Map latents (N, latent) on the host to samples (N, ...) on the host, in evaluation mode,
    batch by batch.
    """
    ops = backend.of(next(iter(net.parameters().values())).value)
    parts = []
    for start in range(0, len(z), batch_size):
        part = ops.asarray(z[start : start + batch_size])
        given = part if labels is None else (part, ops.asarray(labels[start : start + batch_size]))
        parts.append(backend.to_numpy(net(given)))
    return numpy.concatenate(parts)


def balanced(n: int, classes: int) -> Array | None:
    """Return n labels, class after class, each as often as the others: shape (n,); None where there
    are no classes.
    """
    return numpy.arange(n) * classes // n if classes else None


def layout(classes: int, images: int) -> tuple[int, int | None]:
    """Return how many images to draw, about `images`, and in how many columns: a row for each
    class.
    """
    columns = max(round(images / classes), 1) if classes else None
    return (classes * columns if columns else images), columns


def image_frame(
    z: Array, labels: Array | None = None, *, columns: int | None = None
) -> Callable[[Trainer], Array]:
    """Return a drawer of the grid that the latents `z` become."""
    from minigan.plots import image_grid

    return lambda trainer: image_grid(sample(trainer.sampler, z, labels), columns=columns, scale=2)


def point_figure(
    trainer: Trainer, real: Array, z: Array, law: Distribution, *, title: str | None = None
) -> Any:
    """Draw real and generated points over D's landscape, with the way that G is pushed at each fake
    point.
    """
    from minigan.plots import points_figure

    fake = sample(trainer.sampler, z)
    (x0, x1), (y0, y1) = law.limits
    return points_figure(
        real,
        fake,
        limits=(x0, x1, y0, y1),
        landscape=lambda points: belief(trainer, points),
        arrows=push(trainer, fake),
        title=title,
    )


def point_frame(real: Array, z: Array, law: Distribution) -> Callable[[Trainer], Array]:
    """Return a drawer of `point_figure`."""
    from minigan.plots import figure_to_array

    return lambda trainer: figure_to_array(
        point_figure(trainer, real, z, law, title=f"step {trainer.step:,}"), dpi=80
    )


def belief(trainer: Trainer, points: Array) -> Array:
    """Return what D believes of each place, in [0, 1]: (M, 2) -> (M,).

    Where the objective has no probabilities, D's values are scaled to run from 0 to 1 over the
    given places.
    """
    game = trainer.game
    logits = backend.to_numpy(game.discriminator(game.device.asarray(points)))[:, 0]
    if game.objective.probabilistic:
        return losses.sigmoid(logits)
    low, high = logits.min(), logits.max()
    return (logits - low) / max(high - low, 1e-12)


def push(trainer: Trainer, fake: Array) -> Array:
    """Return minus the derivative of G's loss at each fake point: (M, 2) -> (M, 2).

    It's the cotangent that G's own backward pass begins with.
    """
    game = trainer.game
    points = game.device.asarray(fake)
    logits, cache = game.discriminator.forward(points, train=False)
    _, d_logits = game.objective.generator(logits, logits if game.objective.pairs else None)
    return -backend.to_numpy(game.discriminator.backward(d_logits, cache, param_grads=False)) * len(
        fake
    )


def draw_losses(folder: Path, recipe: Recipe, objective_name: str) -> None:
    """Draw ``losses.png`` from ``metrics.csv``."""
    from minigan.plots import losses_figure, read_metrics, save_figure

    if not (folder / "metrics.csv").is_file():
        return
    rows = read_metrics(folder / "metrics.csv")
    if recipe.autoencoder is not None:
        figure = _bound_figure(rows, recipe.name)
    else:
        figure = losses_figure(
            rows, reference=objective_name == "non-saturating", title=recipe.name
        )
    save_figure(figure, folder / "losses.png", dpi=110)


def _bound_figure(rows: Any, title: str) -> Any:
    """The two parts of an autoencoder's loss."""
    from minigan.plots.style import COLOURS, new_figure, styled

    with styled():
        figure = new_figure(width=9.0, height=4.0, layout="constrained")
        axes = figure.subplots()
        for name, colour in (
            ("reconstruction", COLOURS["generator"]),
            ("divergence", COLOURS["discriminator"]),
        ):
            axes.plot(rows["step"], rows[name], label=name, color=colour, linewidth=1.2)
        axes.set(xlabel="training step", ylabel="nats per sample", yscale="log", title=title)
        axes.legend(frameon=False)
    return figure


def draw_film(folder: Path, frames: list[Path]) -> None:
    """Join the frames' files to ``training.gif``."""
    from PIL import Image

    from minigan.plots import save_gif, thin

    if frames:
        pictures = [numpy.atleast_3d(numpy.asarray(Image.open(path))) for path in thin(frames, 60)]
        save_gif(folder / "training.gif", pictures)

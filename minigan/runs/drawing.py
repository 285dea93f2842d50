"""The pictures of a run: grids of samples, points over D's landscape, curves."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.gan import Trainer
from minigan.recipes.recipe import Recipe

GRID = 64
"""Number of images in ``samples.png``."""
FRAME = 36
"""Number of images in a frame of ``training.gif``."""
POINTS = 600
"""Number of points in a picture of a 2-D game."""


def first(inputs: Any, n: int) -> Any:
    """Return the first n of a game's inputs, see `minigan.gan.BaseGame.inputs`."""
    return backend.tree.mapped(lambda x: x[:n], inputs)


def balanced(n: int, classes: int) -> NDArray[Any] | None:
    """Return n sorted labels with equally frequent classes, shape (n,); None without classes."""
    return numpy.arange(n) * classes // n if classes else None


def layout(classes: int, images: int) -> tuple[int, int | None]:
    """Return how many images to draw (about `images`), and the columns for one row per class."""
    columns = max(round(images / classes), 1) if classes else None
    return (classes * columns if columns else images), columns


def image_frame(
    inputs: Any, labels: NDArray[Any] | None = None, *, columns: int | None = None
) -> Callable[[Trainer], NDArray[Any]]:
    """Return a function that draws the samples from these inputs as a grid."""
    from minigan.plots import image_grid

    return lambda trainer: image_grid(trainer.game.sample(inputs, labels), columns=columns, scale=2)


def point_figure(
    trainer: Trainer, real: NDArray[Any], inputs: Any, law: Any, *, title: str | None = None
) -> Any:
    """Draw real and generated points, with D's landscape and G's arrows if the game has them."""
    from minigan.plots import points_figure

    game = trainer.game
    landscape: Any = game.landscape
    fake = game.sample(inputs)
    (x0, x1), (y0, y1) = law.limits
    return points_figure(
        real, fake, limits=(x0, x1, y0, y1),
        landscape=None if game.landscape(fake[:1]) is None else landscape, arrows=game.push(fake),
        title=title,
    )  # fmt: skip


def point_frame(real: NDArray[Any], inputs: Any, law: Any) -> Callable[[Trainer], NDArray[Any]]:
    """Return a function that draws `point_figure`."""
    from minigan.plots import figure_to_array

    return lambda trainer: figure_to_array(
        point_figure(trainer, real, inputs, law, title=f"step {trainer.step:,}"), dpi=80
    )


def draw_losses(folder: Path, recipe: Recipe, objective_name: str) -> None:
    """Draw ``losses.png`` from ``metrics.csv``."""
    from minigan.plots import losses_figure, read_metrics, save_figure

    if not (folder / "metrics.csv").is_file():
        return
    rows = read_metrics(folder / "metrics.csv")
    if "loss_d" in rows and "loss_g" in rows:
        reference = objective_name == "non-saturating"
        figure = losses_figure(rows, reference=reference, title=recipe.name)
    else:
        figure = _columns_figure(rows, recipe.name)
    save_figure(figure, folder / "losses.png", dpi=110)


GAUGES = ("diversity", "reach", "precision", "distinct", "centre", "grad_norm_", "moved_")
"""Prefixes of the columns that the game didn't report itself."""


def _columns_figure(rows: Any, title: str) -> Any:
    """Draw all reported columns of a game without the losses of a D and a G, on one axis."""
    from minigan.plots.style import COLOURS, new_figure, styled

    names = [name for name in rows if name not in ("step", "loss") and not name.startswith(GAUGES)]
    with styled():
        figure = new_figure(width=9.0, height=4.0, layout="constrained")
        axes = figure.subplots()
        for name, colour in zip(names, itertools.cycle(COLOURS.values())):
            axes.plot(rows["step"], rows[name], label=name, color=colour, linewidth=1.2)
        above = all((rows[name] > 0).all() for name in names)
        axes.set(xlabel="training step", yscale="log" if above else "linear", title=title)
        axes.legend(frameon=False)
    return figure


def draw_film(folder: Path, frames: list[Path]) -> None:
    """Combine the frames into ``training.gif``."""
    from PIL import Image

    from minigan.plots import save_gif, thin

    if frames:
        pictures = [numpy.atleast_3d(numpy.asarray(Image.open(path))) for path in thin(frames, 60)]
        save_gif(folder / "training.gif", pictures)

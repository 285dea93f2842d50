"""The pictures of a run: grids of samples, points over D's landscape, curves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.files import written_whole
from minigan.gan import OBJECTIVES, Trainer, objective
from minigan.recipes.recipe import Recipe

GRID = 64
"""Number of images in ``samples.png``."""
FRAME = 36
"""Number of images in a frame of ``training.gif``."""
CAPTION = 20
"""Height of the line below a frame, in pixels."""
LINES = 20
"""Number of lines of text in a picture."""
WIDEST = 1200
"""Largest width of a picture of text, in pixels."""
POINTS = 600
"""Number of points in a picture of a 2-D game."""
LONG, LONGEST = 60, 500
"""Frames of a film, unless more were wished for, and at most: all are in memory together."""
LARGEST = 2**26
"""Most pixels of samples in one picture; a 2-D point counts as 256."""


def first(inputs: Any, n: int) -> Any:
    """Return the first n of a game's inputs, see `minigan.gan.BaseGame.inputs`."""
    return backend.tree.mapped(lambda x: x[:n], inputs)


def balanced(n: int, classes: int | Sequence[int]) -> NDArray[Any] | None:
    """Return n sorted labels with equally frequent classes, shape (n,); None without classes.

    `classes` is their number, or the labels themselves.
    """
    labels = numpy.arange(classes) if isinstance(classes, int) else numpy.asarray(classes)
    return labels[numpy.arange(n) * len(labels) // n] if len(labels) else None


def layout(classes: int, images: int) -> tuple[int, int | None]:
    """Return how many images to draw (about `images`), and the columns for one row per class.

    Of more classes than `images` each has one image, without an order of rows (None), and of more
    than `POINTS` only as many are drawn, see `balanced`.
    """
    if classes > images:
        return min(classes, POINTS), None
    columns = max(round(images / classes), 1) if classes else None
    return (classes * columns if columns else images), columns


def require_few(n: int, sample_shape: tuple[int, ...]) -> None:
    """Refuse a picture of so many samples that it could hardly be written or opened.

    Raises
    ------
    ValueError
        If they have more than `LARGEST` pixels.
    """
    most = LARGEST // (math.prod(sample_shape[:-1]) if len(sample_shape) > 1 else 256)
    if n > most:
        raise ValueError(f"A picture can hold {most:,} of these samples, got {n:,}; draw fewer.")


def image_frame(
    inputs: Any, labels: NDArray[Any] | None = None, *, columns: int | None = None,
    pictures: Callable[[Any], Any] | None = None,
) -> Callable[[Trainer], NDArray[Any]]:  # fmt: skip
    """Return a function that draws the samples from these inputs as a grid, above the step.

    `pictures` makes images of samples that are none, see `minigan.recipes.Recipe.pictures`.
    """
    from minigan.plots import image_grid

    def draw(trainer: Trainer) -> NDArray[Any]:
        samples = trainer.game.picture(inputs, labels)
        grid = image_grid(pictures(samples) if pictures else samples, columns=columns)
        return captioned(grid, f"step {trainer.step:,}")

    return draw


def captioned(picture: NDArray[Any], words: str) -> NDArray[Any]:
    """Write a line of words below a picture, uint8 (H, W, C); returns (H + CAPTION, W, C)."""
    from PIL import Image, ImageDraw, ImageFont

    line = Image.new("L", (picture.shape[1], CAPTION), 255)
    # Pillow brings this font along, so that the picture doesn't depend on the system's.
    ImageDraw.Draw(line).text((4, 4), words, fill=0, font=ImageFont.load_default())
    strip = numpy.asarray(line)[:, :, None].repeat(picture.shape[2], axis=2)
    return numpy.concatenate([picture, strip])


def text_frame(recipe: Any, inputs: Any) -> Callable[[Trainer], NDArray[Any]]:
    """Return a function that draws the samples from the first inputs, as lines above the step."""

    def draw(trainer: Trainer) -> NDArray[Any]:
        lines = recipe.read(trainer.game.sample(first(inputs, LINES)))
        return captioned(text_picture(lines, recipe.widest), f"step {trainer.step:,}")

    return draw


def text_picture(lines: Sequence[str], characters: int) -> NDArray[Any]:
    """Draw lines of text below each other, uint8 (H, W, 1), with room for so many characters."""
    from PIL import Image, ImageDraw, ImageFont

    size = min(8 + 7 * characters, WIDEST), CAPTION * len(lines)
    page, font = Image.new("L", size, 255), ImageFont.load_default()
    for i, line in enumerate(lines):
        ImageDraw.Draw(page).text((4, CAPTION * i + 4), line, fill=0, font=font)
    return numpy.asarray(page)[:, :, None]


def save_page(path: Path, page: NDArray[Any]) -> None:
    """Write what `text_picture` drew to an image file."""
    from PIL import Image

    with written_whole(path) as temporary:
        Image.fromarray(page[:, :, 0]).save(temporary)


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
        figure = losses_figure(
            rows,
            reference=objective_name == "non-saturating" and recipe.plain_losses,
            probabilities=objective_name in OBJECTIVES and objective(objective_name).probabilistic,
            title=recipe.name,
        )
    else:
        figure = _columns_figure(rows, recipe.name)
    save_figure(figure, folder / "losses.png", dpi=110)


GAUGES = ("diversity", "reach", "precision", "distinct", "centre", "grad_norm_", "moved_")
"""Prefixes of the columns that the game didn't report itself."""


def _columns_figure(rows: Any, title: str) -> Any:
    """Draw all reported columns of a game without the losses of a D and a G, on one axis."""
    from minigan.plots.curves import draw_curve, looks
    from minigan.plots.style import new_figure, styled

    names = [name for name in rows if name not in ("step", "loss") and not name.startswith(GAUGES)]
    with styled():
        figure = new_figure(width=9.0, height=4.0, layout="constrained")
        axes = figure.subplots()
        for name, look in looks(names).items():
            draw_curve(axes, rows["step"], rows[name], look, label=name)
        above = all((rows[name] > 0).all() for name in names)
        axes.set(xlabel="training step", yscale="log" if above else "linear", title=title)
        axes.legend(frameon=False)
    return figure


def state_figure(picture: NDArray[Any], folder: Path, *, title: str) -> Any:
    """Draw samples on the left and the losses in ``metrics.csv`` on the right, if there are any."""
    from minigan.plots import read_metrics
    from minigan.plots.style import new_figure, styled

    path = folder / "metrics.csv"
    rows = read_metrics(path) if path.is_file() else {}
    with styled():
        figure = new_figure(width=10.0, height=4.4, layout="constrained")
        samples, curves = figure.subplots(1, 2)
        samples.imshow(picture.squeeze(), cmap="gray", vmin=0, vmax=255)
        samples.set_axis_off()
        samples.set_title(title, fontsize=11)
        _draw_columns(curves, rows)
    return figure


def _draw_columns(axes: Any, rows: Any) -> None:
    """Draw the losses, or whatever a game without these two reports."""
    from minigan.plots.curves import draw_curve, looks

    known = {"loss_d": "D", "loss_g": "G"}
    names = [name for name in known if name in rows] or [
        name for name in rows if name not in ("step", "loss") and not name.startswith(GAUGES)
    ]
    for name, look in looks(names).items():
        draw_curve(axes, rows["step"], rows[name], look, label=known.get(name, name))
    axes.set(xlabel="training step", ylabel="loss")
    if names:
        axes.legend(frameon=False)


def draw_film(
    folder: Path, frames: list[Path], say: Callable[[str], None], *, most: int = LONG
) -> None:
    """Combine the frames into ``training.gif``, those that can't be read left out.

    At least `LONG` are kept if there are as many, and `most` if that is more, up to `LONGEST`.
    """
    from minigan.plots import save_gif, thin

    kept = thin(frames, min(max(most, LONG), LONGEST))
    pictures = [picture for path in kept if (picture := _frame(path, say)) is not None]
    alike = [picture for picture in pictures if picture.shape == pictures[-1].shape]
    if alike:
        save_gif(folder / "training.gif", alike)


def _frame(path: Path, say: Callable[[str], None]) -> NDArray[Any] | None:
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            return numpy.atleast_3d(numpy.asarray(picture))
    # Pillow's decoders raise all kinds of exceptions.
    except Exception as error:
        say(f"{path} can't be read ({error}); training.gif is without it.")
        return None

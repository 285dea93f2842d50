"""A 2-D game: real and fake points over the discriminator's output at every position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from minigan.plots.style import COLOURS, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Limits = tuple[float, float, float, float]
Landscape = Callable[[NDArray[numpy.float32]], NDArray[Any]]

RESOLUTION = 96
"""Points per axis at which the landscape is evaluated."""

BOTTOM, TALL = 0.65 / 5.6, 4.4 / 5.6
"""Lower edge and height of the axes, as fractions of the figure's height."""

MOST_ARROWS = 120
"""Largest number of arrows; of more, only every second, third, ... is drawn."""

LONGEST_ARROW = 0.08
"""Length of a long arrow, as a fraction of the width of the axes."""


def points_figure(
    real: NDArray[Any],
    fake: NDArray[Any],
    *,
    limits: Sequence[float],
    landscape: Landscape | None = None,
    arrows: NDArray[Any] | None = None,
    arrow_scale: float | None = None,
    title: str | None = None,
) -> Figure:
    """Draw real and fake 2-D points, with the discriminator's landscape behind them.

    Parameters
    ----------
    real
        ``(N, 2)`` floats, drawn as dots.
    fake
        ``(M, 2)`` floats, drawn as crosses. Non-finite points aren't drawn; the legend counts them
        together with the points outside the limits.
    limits
        ``(low, high)`` for both axes, or ``(x_low, x_high, y_low, y_high)``. They are required, so
        that all frames of an animation share them.
    landscape
        Maps float32 points ``(K, 2)`` to D(x), the probability of being real, ``(K,)`` or
        ``(K, 1)`` in [0, 1].
    arrows
        ``(M, 2)``: the direction in which the generator is pushed at each fake point, such as minus
        the gradient of its loss with respect to that point. At most 120 of them are drawn, evenly
        chosen.
    arrow_scale
        Length of an arrow of norm 1, in units of the axes. By default, the longest arrows (95th
        percentile) get a fixed length, which is good for a single picture; set it to compare
        pictures.
    title
        Title of the figure, at the top left.

    Returns
    -------
    Figure
        640 x 560 pixels with a landscape, 560 x 560 without.

    Raises
    ------
    ValueError
        If a shape is wrong, the limits are not increasing, or the landscape leaves [0, 1].
    """
    real, fake = _plane(real, "real"), _plane(fake, "fake")
    box = _box(limits)
    if arrows is not None and numpy.shape(arrows) != fake.shape:
        raise ValueError(
            f"arrows have shape {numpy.shape(arrows)} but one (dx, dy) per fake point, "
            f"{fake.shape}, is needed; pass the gradients at these points"
        )
    with styled():
        figure, axes = _canvas(box, wide=landscape is not None, title=title)
        if landscape is not None:
            _draw_landscape(figure, axes, landscape, box)
        _draw_points(axes, real, fake, box)
        if arrows is not None:
            _draw_arrows(axes, fake, numpy.asarray(arrows), arrow_scale, box)
    return figure


def _canvas(box: Limits, *, wide: bool, title: str | None) -> tuple[Figure, Axes]:
    # Fixed positions: a layout engine would make the frames of an animation jitter, and take more
    # time than the drawing itself.
    width = 6.4 if wide else 5.6
    figure = new_figure(width=width, height=5.6)
    axes = figure.add_axes((0.85 / width, BOTTOM, 4.4 / width, TALL))
    axes.set(xlim=box[:2], ylim=box[2:], xlabel="$x_1$", ylabel="$x_2$")
    axes.grid(visible=not wide)
    for side in axes.spines.values():
        side.set_visible(True)
    if title is not None:
        axes.set_title(title, pad=8)
    return figure, axes


def _draw_landscape(figure: Figure, axes: Axes, landscape: Landscape, box: Limits) -> None:
    from matplotlib.ticker import FixedLocator

    xs, ys = numpy.linspace(*box[:2], RESOLUTION), numpy.linspace(*box[2:], RESOLUTION)
    places = numpy.stack(numpy.meshgrid(xs, ys), axis=-1).reshape(-1, 2).astype(numpy.float32)
    heights = _probabilities(landscape(places), len(places)).reshape(RESOLUTION, RESOLUTION)
    # Twenty levels instead of a smooth gradient: they are easier to read, and a GIF needs fewer
    # colours.
    levels = numpy.linspace(0.0, 1.0, 21)
    filled = axes.contourf(xs, ys, heights, levels=levels, cmap=_fake_to_real(), zorder=0)
    bar = figure.colorbar(filled, cax=figure.add_axes((0.847, BOTTOM, 0.03, TALL)))
    bar.set_label("D(x): probability of real")
    bar.locator = FixedLocator([0.0, 0.25, 0.5, 0.75, 1.0])
    bar.update_ticks()
    bar.ax.axhline(0.5, color="black", linewidth=1.4)
    if heights.min() < 0.5 < heights.max():
        axes.contour(xs, ys, heights, levels=[0.5], colors="black", linewidths=1.4, zorder=1)


def _fake_to_real() -> Colormap:
    """From the colour of fake via white to that of real, whose end is darker even in greyscale."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "fake-to-real", ["#F6B27A", "#FBDCC0", "#FFFFFF", "#A9CDE6", "#4F98C9"]
    )


def _draw_points(axes: Axes, real: NDArray[Any], fake: NDArray[Any], box: Limits) -> None:
    axes.scatter(
        real[:, 0], real[:, 1], s=_area(len(real)), marker="o", color=COLOURS["real"],
        edgecolors="white", linewidths=0.5, zorder=3, label="real" + _hidden(real, box),
    )  # fmt: skip
    axes.scatter(
        fake[:, 0], fake[:, 1], s=1.3 * _area(len(fake)), marker="X", color=COLOURS["fake"],
        edgecolors="white", linewidths=0.5, zorder=4, label="fake" + _hidden(fake, box),
    )  # fmt: skip
    # Beside the title: inside the axes, it would hide points.
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.02, 1.008), ncols=2, frameon=False, handletextpad=0.1,
        columnspacing=0.8, borderpad=0.2, borderaxespad=0.0,
    )  # fmt: skip


def _area(count: int) -> float:
    return float(numpy.clip(12000 / max(count, 1), 14, 44))


def _hidden(points: NDArray[Any], box: Limits) -> str:
    inside = (
        (box[0] <= points[:, 0])
        & (points[:, 0] <= box[1])
        & (box[2] <= points[:, 1])
        & (points[:, 1] <= box[3])
    )
    outside = len(points) - int(inside.sum())
    return f" ({outside} outside)" if outside else ""


def _draw_arrows(
    axes: Axes, fake: NDArray[Any], arrows: NDArray[Any], scale: float | None, box: Limits
) -> None:
    known = numpy.flatnonzero(numpy.isfinite(fake).all(axis=1) & numpy.isfinite(arrows).all(axis=1))
    kept = known[:: max(1, -(-len(known) // MOST_ARROWS))]
    lengths = numpy.linalg.norm(arrows[kept], axis=1)
    if not lengths.any():
        return
    reach = LONGEST_ARROW * (box[1] - box[0])
    if scale is None:
        # The maximum is used if fewer than one arrow in twenty is non-zero.
        scale = reach / float(numpy.quantile(lengths, 0.95) or lengths.max())
    steps = arrows[kept] * scale
    # A single huge gradient must not draw a line across everything else.
    steps *= numpy.minimum(1.0, 1.6 * reach / numpy.maximum(lengths * scale, 1e-30))[:, None]
    axes.quiver(
        fake[kept, 0],
        fake[kept, 1],
        steps[:, 0],
        steps[:, 1],
        angles="xy",
        scale_units="xy",
        scale=1.0,
        width=0.0036,
        headwidth=4.5,
        headlength=5.0,
        headaxislength=4.5,
        minlength=0.5,
        color="black",
        zorder=3.5,
    )


def _plane(points: NDArray[Any], name: str) -> NDArray[Any]:
    values = numpy.asarray(points)
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(
            f"{name} points have shape {values.shape} but (N, 2) is needed; choose two of their "
            "coordinates"
        )
    return values


def _box(limits: Sequence[float]) -> Limits:
    numbers = [float(x) for x in limits]
    box = numbers * 2 if len(numbers) == 2 else numbers
    if len(box) != 4 or not (numpy.isfinite(box).all() and box[0] < box[1] and box[2] < box[3]):
        raise ValueError(
            f"limits are {tuple(numbers)} but (low, high) or (x_low, x_high, y_low, y_high) is "
            "needed, finite and with each low below its high; for the ring try (-3, 3)"
        )
    return box[0], box[1], box[2], box[3]


def _probabilities(values: NDArray[Any], count: int) -> NDArray[Any]:
    heights = numpy.asarray(values)
    if heights.shape not in ((count,), (count, 1)):
        raise ValueError(
            f"the landscape returned shape {heights.shape} for {count} points but ({count},) is "
            "needed; return one D(x) per point"
        )
    # Written so that NaN fails too.
    if not (heights.min() >= -1e-6 and heights.max() <= 1.0 + 1e-6):
        raise ValueError(
            f"the landscape returned values from {heights.min():.4g} to {heights.max():.4g} but "
            "probabilities in [0, 1] are needed; apply the sigmoid to logits"
        )
    clipped: NDArray[Any] = numpy.clip(heights, 0.0, 1.0)
    return clipped

"""Bar charts for benchmarks: speeds relative to a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import ArrayLike, NDArray

from minigan.plots.style import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colour and hatching of each series, so that they can be told apart without colour.
FILLS = (
    ("#0072B2", ""),
    ("#E69F00", "//"),
    ("#009E73", ".."),
    ("#CC79A7", "xx"),
    ("#56B4E9", "\\\\"),
)


def ratio_chart(
    ratios: Mapping[str, ArrayLike],
    *,
    groups: Sequence[str],
    errors: Mapping[str, ArrayLike] | None = None,
    baseline: str = "the reference",
    title: str | None = None,
) -> Figure:
    """Draw speeds relative to a baseline as grouped horizontal bars, with a line at 1.

    Parameters
    ----------
    ratios
        Series name to ``(G,)`` ratios, one per group: 2.0 means twice as fast as the baseline, NaN
        means not measured. At most five series.
    groups
        Names of the G groups, drawn from top to bottom.
    errors
        Series name to the error bars: ``(G,)`` half widths, or ``(2, G)`` lengths below and above.
    baseline
        What 1.0 stands for, in the label of the axis.
    title
        Title of the figure, at the top left.

    Returns
    -------
    Figure
        Its height depends on the number of bars.

    Raises
    ------
    ValueError
        If there is nothing to draw, there are more than five series, a shape is wrong, a ratio is
        negative or infinite, or errors are given for an unknown series.
    """
    table = {name: _one_per_group(values, name, len(groups)) for name, values in ratios.items()}
    if not 1 <= len(table) <= len(FILLS) or not groups:
        raise ValueError(
            f"got {len(table)} series and {len(groups)} groups but 1 to {len(FILLS)} series and at "
            "least one group are needed; draw several charts"
        )
    margins = _margins(errors or {}, table)
    with styled():
        figure = new_figure(
            width=9.0, height=1.7 + 0.34 * len(groups) * (len(table) + 0.8), layout="constrained"
        )
        axes = figure.subplots()
        for i, name in enumerate(table):
            _draw_series(axes, i, len(table), name, table[name], margins[name])
        _finish(axes, table, margins, groups, baseline)
        if title is not None:
            axes.set_title(title)
    return figure


def _draw_series(
    axes: Axes, i: int, count: int, name: str, values: NDArray[Any], margin: NDArray[Any]
) -> None:
    thick = 0.8 / count
    places = numpy.arange(len(values)) - 0.4 + thick * (i + 0.5)
    colour, hatch = FILLS[i]
    axes.barh(
        places, numpy.nan_to_num(values), height=0.9 * thick, xerr=margin.tolist(), color=colour,
        hatch=hatch, edgecolor="white", linewidth=0, label=name,
        error_kw={"ecolor": "black", "capsize": 3, "elinewidth": 1.2},
    )  # fmt: skip
    for place, value, above in zip(places, values, margin[1], strict=True):
        text, end = (
            ("not measured", 0.0) if numpy.isnan(value) else (f"{value:.2f}×", value + above)
        )
        axes.annotate(
            text,
            (end, place),
            (7, 0),
            textcoords="offset points",
            va="center",
            fontsize=11,
            zorder=4,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5},
        )


def _finish(
    axes: Axes,
    table: Mapping[str, NDArray[Any]],
    margins: Mapping[str, NDArray[Any]],
    groups: Sequence[str],
    baseline: str,
) -> None:
    longest = max(float(numpy.nan_to_num(table[name] + margins[name][1]).max()) for name in table)
    axes.axvline(1.0, color="black", linewidth=1.6, linestyle="--", zorder=3)
    # Leave room on the right for the number at the end of the longest bar.
    axes.set(
        xlim=(0, 1.13 * max(longest, 1.05)),
        xlabel=f"speed relative to {baseline} (1 = equal, more is faster)",
    )
    axes.set_yticks(range(len(groups)), groups)
    axes.set_ylim(len(groups) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    if len(table) > 1:
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=len(table), frameon=False)


def _one_per_group(values: ArrayLike, name: str, groups: int) -> NDArray[Any]:
    ratios = numpy.asarray(values, dtype=numpy.float64)
    if ratios.shape != (groups,) or (ratios < 0).any() or numpy.isinf(ratios).any():
        raise ValueError(
            f"the ratios of {name!r} have shape {ratios.shape} and values {ratios.tolist()} but "
            f"{groups} finite numbers of at least 0, or NaN, are needed; give one ratio per group"
        )
    return ratios


def _margins(
    errors: Mapping[str, ArrayLike], table: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    unknown = sorted(set(errors) - set(table))
    if unknown:
        raise ValueError(
            f"errors name the series {unknown[0]!r} but the ratios have {list(table)}; use the "
            "same names"
        )
    return {
        name: _margin(errors.get(name, 0.0), name, len(values)) for name, values in table.items()
    }


def _margin(error: ArrayLike, name: str, groups: int) -> NDArray[Any]:
    margin = numpy.nan_to_num(numpy.asarray(error, dtype=numpy.float64))
    if margin.shape not in ((), (groups,), (2, groups)) or (margin < 0).any():
        raise ValueError(
            f"the errors of {name!r} have shape {margin.shape} but ({groups},) or (2, {groups}) "
            "without negative numbers is needed; give lengths, not end points"
        )
    return numpy.broadcast_to(margin, (2, groups))

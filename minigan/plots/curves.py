"""Curves over the steps of a run: one colour for one meaning, and all of them smoothed alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from minigan.plots.style import COLOURS

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Series = NDArray[numpy.float64]
Look = tuple[str, Any]
"""The colour and the line style of a curve."""

MEANINGS = (
    *((f"{what}_d", "discriminator") for what in ("loss", "grad_norm", "moved")),
    *((f"{what}_g", "generator") for what in ("loss", "grad_norm", "moved")),
    ("d_real", "real"),
    ("d_fake", "fake"),
)
"""How the names of columns begin, and what they are about."""
OTHERS = ("#222222", "#E69F00", "#56B4E9", "#777777", "#8C5A2B")
"""Colours of what is about neither player nor about reals and fakes."""
# Line styles differ as well as colours, so that the curves can be told apart in black and white.
DASHES = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (6, 1.2, 1.5, 1.2)), (0, (3, 1, 1, 1, 1, 1)))
DASHED = (COLOURS["discriminator"], COLOURS["fake"])
FEW = 20
"""Up to this number of rows, each is marked by a dot and nothing is smoothed."""


def looks(names: Iterable[str]) -> dict[str, Look]:
    """Return the look of the curve of each column, different for all of them.

    Parameters
    ----------
    names
        Columns of ``metrics.csv``, in the order in which they are drawn.
    """
    found: dict[str, Look] = {}
    used: Counter[str] = Counter()
    others = 0
    for name in names:
        meaning = next((about for start, about in MEANINGS if name.startswith(start)), None)
        if meaning is None:
            found[name] = OTHERS[others % len(OTHERS)], DASHES[others % len(DASHES)]
            others += 1
            continue
        colour = COLOURS[meaning]
        found[name] = colour, DASHES[(used[colour] + (colour in DASHED)) % len(DASHES)]
        used[colour] += 1
    return found


def draw_curve(
    axes: Axes, steps: Any, values: Any, look: Look, *, smooth: float | None = None, label: str = ""
) -> tuple[Series, Series]:
    """Draw values faintly and their mean over neighbours strongly.

    Parameters
    ----------
    axes
        Where to draw.
    steps, values
        Shape ``(n,)``; points that aren't finite are left out.
    look
        Colour and line style, see `looks`.
    smooth
        As for `minigan.plots.losses_figure`.
    label
        The curve's name in a legend.

    Returns
    -------
    values, mean
        What was drawn, shape ``(m,)`` each.
    """
    colour, dashes = look
    # Dropped, not left as gaps: a column measured every tenth step would otherwise have only gaps.
    known = numpy.isfinite(values) & numpy.isfinite(steps)
    steps, raw = numpy.asarray(steps)[known], numpy.asarray(values, numpy.float64)[known]
    weight = max(0.0, min(0.98, 1 - FEW / max(len(raw), 1))) if smooth is None else smooth
    mean = smoothed(raw, weight) if weight else raw
    if weight:
        axes.plot(steps, raw, color=colour, alpha=0.28, linewidth=0.8, zorder=2)
    marker = "o" if len(raw) <= FEW else ""
    axes.plot(
        steps, mean, color=colour, linestyle=dashes, marker=marker, markersize=5, zorder=3,
        label=label or None,
    )  # fmt: skip
    return raw, mean


def smoothed(values: Series, weight: float) -> Series:
    """Mean of all values, weighted by ``weight ** distance``; ``(n,)`` to ``(n,)``.

    With F_i = v_i + w F_(i-1) from the left and B_i = v_i + w B_(i+1) from the right, the weighted
    sum around i is F_i + B_i - v_i; the same recursions over ones give the sum of the weights.
    """
    pairs = numpy.stack([values, numpy.ones_like(values)])
    sums = _decaying(pairs, weight) + _decaying(pairs[:, ::-1], weight)[:, ::-1] - pairs
    mean: Series = sums[0] / sums[1]
    return mean


def _decaying(rows: Series, weight: float) -> Series:
    out = rows.copy()
    for i in range(1, rows.shape[1]):
        out[:, i] += weight * out[:, i - 1]
    return out

"""The curves of a run: both losses above, the discriminator's outputs below."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from minigan.plots.curves import FEW, Series, draw_curve, looks
from minigan.plots.style import new_figure, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Label = tuple[float, str, str]
"""Height, text and colour of the label beside the end of a curve."""

CURVES = {
    "loss_d": "discriminator",
    "loss_g": "generator",
    "d_real": "D(x) on real",
    "d_fake": "D(G(z)) on fake",
}
LOOKS = looks(CURVES)
GREY = "#666666"


def losses_figure(
    rows: Mapping[str, NDArray[Any]],
    *,
    smooth: float | None = None,
    reference: bool = True,
    probabilities: bool = True,
    title: str | None = None,
) -> Figure:
    """Draw the losses and the discriminator's mean outputs over the steps of a run.

    Parameters
    ----------
    rows
        Column name to ``(rows,)`` values, as :func:`read_metrics` returns them: ``step``,
        ``loss_d``, ``loss_g`` and perhaps ``d_real`` (mean D(x)) and ``d_fake`` (mean D(G(z))),
        without which the lower panel is left out. NaN and infinite values are skipped.
    smooth
        The strong curve is a mean over neighbours on both sides (so it doesn't lag), weighted by
        `smooth` to the power of their distance in rows; 0 draws the raw curve only. The default
        depends on the number of rows and is at most 0.98.
    reference
        Whether to mark the losses of the equilibrium with D = 1/2 everywhere: 2 ln 2 for the
        discriminator, ln 2 for the generator. These are valid for cross entropy (the non-saturating
        objective); switch this off for others.
    probabilities
        Whether D's outputs are probabilities, from 0 to 1; else they may be any numbers, as those
        of a Wasserstein critic are.
    title
        Title of the figure, at the top left.

    Returns
    -------
    Figure
        900 x 650 pixels, or 900 x 400 with one panel.

    Raises
    ------
    ValueError
        If a column is missing or has another length than ``step``, or `smooth` isn't in [0, 1).
    """
    from matplotlib.ticker import MaxNLocator

    columns = _columns(rows)
    if smooth is not None and not 0.0 <= smooth < 1.0:
        raise ValueError(f"smooth is {smooth} but must be in [0, 1); use 0 for raw curves")
    two = "d_real" in columns
    with styled():
        figure = new_figure(width=9.0, height=6.5 if two else 4.0, layout="constrained")
        panels = figure.subplots(1 + two, 1, sharex=True, squeeze=False)[:, 0]
        _draw_losses(panels[0], columns, smooth, reference)
        if two:
            _draw_answers(panels[1], columns, smooth, probabilities)
        panels[-1].set_xlabel("training step")
        panels[-1].xaxis.set_major_formatter("{x:,.0f}")
        panels[-1].xaxis.set_major_locator(MaxNLocator(nbins=9, integer=True))
        _span_steps(panels[-1], columns["step"])
        if title is not None:
            panels[0].set_title(title)
    return figure


def _draw_losses(
    axes: Axes, columns: Mapping[str, Series], smooth: float | None, reference: bool
) -> None:
    drawn = {name: _curve(axes, columns, name, smooth) for name in ("loss_d", "loss_g")}
    marks = (
        [(2 * numpy.log(2), "2 ln 2: D at D(x) = ½"), (numpy.log(2), "ln 2: G at D(x) = ½")]
        if reference
        else []
    )
    for height, _ in marks:
        axes.axhline(height, color=GREY, linewidth=1.2, linestyle=":", zorder=1)
    values = numpy.concatenate(
        [*(raw for raw, _ in drawn.values()), [height for height, _ in marks]]
    )
    low, high = _span(values)
    axes.set(ylabel="loss (nats)" if reference else "loss", ylim=(low, high))
    _write_labels(
        axes, [label for _, label in drawn.values()] + [(h, text, GREY) for h, text in marks]
    )


def _draw_answers(
    axes: Axes, columns: Mapping[str, Series], smooth: float | None, probabilities: bool
) -> None:
    drawn = [_curve(axes, columns, name, smooth) for name in ("d_real", "d_fake")]
    labels = [label for _, label in drawn]
    if probabilities:
        labels.append((0.5, "½: D cannot tell", GREY))
        axes.axhline(0.5, color=GREY, linewidth=1.2, linestyle=":", zorder=1)
        axes.set(ylabel="probability of real", ylim=(-0.02, 1.02), yticks=[0, 0.25, 0.5, 0.75, 1])
    else:
        values = numpy.concatenate([raw for raw, _ in drawn])
        axes.set(ylabel="output of D", ylim=_span(values))
    _write_labels(axes, labels)


def _curve(
    axes: Axes, columns: Mapping[str, Series], name: str, smooth: float | None
) -> tuple[Series, Label]:
    """Draw a column and its moving average; return the finite values and the curve's label."""
    raw, mean = draw_curve(axes, columns["step"], columns[name], LOOKS[name], smooth=smooth)
    return raw, (float(mean[-1]) if len(mean) else float("nan"), CURVES[name], LOOKS[name][0])


def _span(values: Series) -> tuple[float, float]:
    """Limits that show all but the rarest spikes, which would flatten everything else."""
    if not len(values):
        return 0.0, 1.0
    low, high = numpy.quantile(values, [0.005, 0.995])
    margin = 0.08 * (high - low) or 0.5
    return float(low - margin if low < 0 else max(0.0, low - margin)), float(high + margin)


def _span_steps(axes: Axes, steps: Series) -> None:
    known = steps[numpy.isfinite(steps)]
    if len(known) and known.min() < known.max():
        # Without a margin, the dots at both ends would be cut in half.
        margin = 0.03 * (known.max() - known.min()) if len(steps) <= FEW else 0.0
        axes.set_xlim(known.min() - margin, known.max() + margin)
    elif len(known):
        axes.set_xlim(known[0] - 1, known[0] + 1)


def _write_labels(axes: Axes, labels: list[Label]) -> None:
    """Label each curve beside its end; labels that are too close are moved apart."""
    low, high = axes.get_ylim()
    known = sorted(
        (label for label in labels if numpy.isfinite(label[0])), key=lambda label: label[0]
    )
    ends = [float(numpy.clip((label[0] - low) / (high - low), 0.0, 1.0)) for label in known]
    for (_, text, colour), end, place in zip(known, ends, _apart(ends), strict=True):
        axes.annotate(
            text,
            (1.0, end),
            (1.035, place),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            color=colour,
            fontsize=11,
            fontweight="normal" if colour == GREY else "bold",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": colour,
                "linewidth": 0.8,
                "shrinkA": 1,
                "shrinkB": 0,
                "relpos": (0, 0.5),
            },
        )


def _apart(places: list[float], gap: float = 0.1) -> list[float]:
    """Move sorted heights at least `gap` apart, below 1: first upwards, then down from the top."""
    moved: list[float] = []
    for place in places:
        moved.append(max(place, moved[-1] + gap) if moved else place)
    top = 1.0
    for i in reversed(range(len(moved))):
        moved[i] = min(moved[i], top)
        top = moved[i] - gap
    return moved


def _columns(rows: Mapping[str, NDArray[Any]]) -> dict[str, Series]:
    wanted = ["step", "loss_d", "loss_g"]
    if "d_real" in rows or "d_fake" in rows:
        wanted += ["d_real", "d_fake"]
    missing = [name for name in wanted if name not in rows]
    if missing:
        raise ValueError(
            f"the column {missing[0]!r} is missing from {sorted(rows)} but {wanted} are needed; "
            "write it in every row, empty where it is unknown"
        )
    columns = {name: numpy.asarray(rows[name], dtype=numpy.float64) for name in wanted}
    for name, values in columns.items():
        if values.ndim != 1 or len(values) != len(columns["step"]):
            raise ValueError(
                f"the column {name!r} has shape {values.shape} but one value per step, "
                f"{columns['step'].shape}, is needed; read the table with read_metrics"
            )
    return columns

"""The diagnosis of a run: what `minigan.gan.diagnose` finds, in words and as a figure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from minigan import gan
from minigan.plots.curves import draw_curve, looks
from minigan.runs.drawing import GAUGES
from minigan.runs.folder import METRICS, Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Table = Mapping[str, Any]


def examine(run: Run) -> tuple[list[gan.Finding], Table]:
    """Read a run's metrics and diagnose them.

    Parameters
    ----------
    run
        A run, finished or in progress.

    Returns
    -------
    findings
        See `minigan.gan.diagnose`; empty for a run that has only just begun.
    table
        The metrics that they are based on.

    Raises
    ------
    ValueError
        If ``metrics.csv`` is missing or damaged.
    """
    from minigan.plots import read_metrics

    run.require_folder()
    table = read_metrics(run.folder / METRICS)
    if "step" not in table:
        raise ValueError(
            f"{run.folder / METRICS} has no column 'step'; restore it, or train the run again."
        )
    if not numpy.isfinite(table["step"]).all():
        raise ValueError(
            f"{run.folder / METRICS} has a row whose step isn't a number; restore it, or delete "
            "the row."
        )
    if _last(table, "step") < _needed(run):
        return [], table
    settings = run.settings
    found = gan.diagnose(
        table, objective=settings.objective, smoothing=settings.smoothing,
        finished=_last(table, "step") >= settings.steps,
    )  # fmt: skip
    return found, table


def report(run: Run) -> str:
    """Return the diagnosis of a run in words; see `examine` for the findings themselves."""
    findings, table = examine(run)
    needed = _needed(run)
    if _last(table, "step") < needed:
        return (
            f"It is too early to say: {run.folder} has {_last(table, 'step'):,.0f} steps, but a "
            f"diagnosis needs {needed:,}."
        )
    head = f"{run.folder}: {run.recipe.title}, {_last(table, 'step'):,.0f} steps."
    if not findings:
        return f"{head}\nNothing unusual. {_vitals(table, run.settings.objective)}"
    return "\n".join([head, *(f"- {finding}" for finding in findings)])


def _needed(run: Run) -> int:
    """Steps before a run is diagnosed: a fifth of all, as for its own `minigan.gan.Watcher`."""
    return max(gan.EARLIEST, run.settings.steps // 5)


def _vitals(table: Table, objective: str) -> str:
    """The numbers by which a healthy run is recognised, in words."""
    words = []
    if objective in gan.UNDECIDED and "loss_d" in table:
        words.append(
            f"D's loss is {_typical(table, 'loss_d'):.2f} ({gan.UNDECIDED[objective]:.2f} if D "
            "cannot tell)"
        )
    if "diversity" in table:
        diversity = _typical(table, "diversity")
        words.append(f"the samples' diversity is {diversity:.2f} times the data's")
    if "reach" in table:
        words.append(
            f"{100 * _typical(table, 'reach'):.0f} % of the real points have a sample near them"
        )
    if "precision" in table:
        words.append(f"{100 * _typical(table, 'precision'):.0f} % of the samples lie among them")
    for name in table:
        if name.startswith("grad_norm_g"):
            player = name.removeprefix("grad_norm_")
            words.append(f"{_upper(player)}'s gradient has norm {_typical(table, name):.3g}")
    return _upper(", ".join(words)) + "." if words else ""


def _upper(words: str) -> str:
    """Capitalise the first letter only; the others stay as they are."""
    return words[:1].upper() + words[1:]


def _typical(table: Table, name: str) -> float:
    values = table[name][-max(len(table[name]) // 5, 1) :]
    known = values[numpy.isfinite(values)]
    return float(numpy.median(known)) if len(known) else math.nan


def _last(table: Table, name: str) -> float:
    return float(table[name][-1]) if len(table[name]) else 0.0


# ---------------------------------------------------------------- the picture

PANELS: Mapping[str, Mapping[str, str]] = {
    "loss": {
        "loss_d": "D",
        "loss_g": "G",
        "reconstruction": "reconstruction",
        "divergence": "divergence",
    },
    "D's output": {"d_real": "on reals", "d_fake": "on samples"},
    "samples": {
        "diversity": "diversity (data: 1)",
        "reach": "share of reals reached",
        "precision": "share of samples among the reals",
        "distinct": "distance of neighbours (data: 1)",
        "centre": "centre (in std.)",
    },
}
"""Panel -> column -> label."""


def _panels(table: Table) -> dict[str, Mapping[str, str]]:
    """Those of `PANELS`, other reported columns, and the gradients, as far as there are data."""
    known = {"step", "loss", *(column for panel in PANELS.values() for column in panel)}
    others = [name for name in table if name not in known and not name.startswith(GAUGES)]
    loss = PANELS["loss"] if any(c in table for c in PANELS["loss"]) else {"loss": "loss"}
    gradients = [name for name in table if name.startswith("grad_norm_")]
    panels = {
        **PANELS,
        "loss": loss,
        "reported": {name: name for name in others},
        "gradient norm": {name: _upper(name.removeprefix("grad_norm_")) for name in gradients},
    }
    return {name: panel for name, panel in panels.items() if any(c in table for c in panel)}


def draw(run: Run, path: Path | None = None) -> Path:
    """Draw ``doctor.png``: losses, D's outputs, samples and gradients over the steps.

    Parameters
    ----------
    run
        The run.
    path
        The image file, by default in the run's folder.

    Returns
    -------
    Path
        The image file.
    """
    from minigan.plots import save_figure

    findings, table = examine(run)
    path = path or run.folder / "doctor.png"
    verdict = "; ".join(finding.title for finding in findings) or "nothing unusual"
    if _last(table, "step") < _needed(run):
        verdict = "too early to say"
    save_figure(
        figure(table, objective=run.settings.objective, title=f"{run.recipe.name}: {verdict}"),
        path,
        dpi=110,
    )
    return path


def figure(table: Table, *, objective: str, title: str) -> Figure:
    """Draw the columns of ``metrics.csv`` as a figure.

    Parameters
    ----------
    table
        The columns of ``metrics.csv``.
    objective
        Decides the height of the line that marks an undecided D.
    title
        The figure's title.

    Returns
    -------
    Figure
        900 pixels wide.

    Raises
    ------
    ValueError
        If there is no column to draw.
    """
    from minigan.plots.style import new_figure, styled

    shown = _panels(table)
    if not shown:
        raise ValueError("The metrics have no column to draw besides the steps; train for longer.")
    with styled():
        drawn = new_figure(width=9.0, height=2.3 * len(shown) + 0.6, layout="constrained")
        axes = drawn.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        for place, (name, panel) in zip(axes, shown.items(), strict=True):
            _panel(place, name, panel, table)
        if objective in gan.UNDECIDED and "loss_d" in table:
            axes[0].axhline(gan.UNDECIDED[objective], color="#777777", linestyle=":", linewidth=1.2)
        axes[-1].set_xlabel("training step")
        drawn.suptitle(title, x=0.01, ha="left", fontsize=13)
    return drawn


def _panel(axes: Axes, name: str, panel: Mapping[str, str], table: Table) -> None:
    look, columns = looks(panel), [column for column in panel if column in table]
    for column in columns:
        draw_curve(axes, table["step"], table[column], look[column], label=panel[column])
    axes.set_ylabel(name)
    if name == "gradient norm" and any((table[column] > 0).any() for column in columns):
        axes.set_yscale("log")
    else:
        axes.set_ylim(*_usual(numpy.concatenate([table[column] for column in columns])))
    # Above the panel, where there are no curves.
    axes.legend(
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0.1,
        ncols=3,
        fontsize=9,
        frameon=False,
    )


def _usual(values: Any) -> tuple[float, float]:
    """Return limits that show nearly all values: one spike shouldn't flatten everything else."""
    known = values[numpy.isfinite(values)]
    low, high = numpy.quantile(known, [0.01, 0.99]) if len(known) else (0.0, 1.0)
    room = 0.15 * max(high - low, 0.1)
    return float(low - room), float(high + room)

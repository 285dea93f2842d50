"""What the experiments' pictures share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy


def dots(
    rows: Sequence[Mapping[str, str]],
    panels: Mapping[str, tuple[str, Mapping[str, float]]],
    title: str,
) -> Any:
    """Draw a panel for each column: every seed a dot, beside what was published (a cross).

    Of a case that was trained at several lengths, only the longest is drawn.

    Parameters
    ----------
    rows
        With ``case``, ``steps`` and the columns.
    panels
        Column -> its label, and the published values by case.
    title
        Written above.
    """
    from minigan.plots.style import new_figure, styled

    longest: dict[str, int] = {}
    for row in rows:
        longest[row["case"]] = max(int(row["steps"]), longest.get(row["case"], 0))
    rows = [row for row in rows if int(row["steps"]) == longest[row["case"]]]
    cases = list(longest)
    with styled():
        figure = new_figure(width=12.0, height=1.6 + 0.55 * len(cases), layout="constrained")
        for axes, (column, (label, published)) in zip(
            figure.subplots(1, len(panels), sharey=True, squeeze=False)[0],
            panels.items(),
            strict=True,
        ):
            for place, case in enumerate(cases):
                own = (row[column] for row in rows if row["case"] == case)
                ours = [float(value) for value in own if value]
                spread = (
                    numpy.linspace(-0.12, 0.12, len(ours))
                    if len(ours) > 1
                    else numpy.zeros(len(ours))
                )
                axes.plot(ours, place + spread, "o", color="#0072B2", markersize=6, alpha=0.8)
                if case in published:
                    axes.plot(
                        published[case],
                        place,
                        "x",
                        color="#D55E00",
                        markersize=11,
                        markeredgewidth=2.5,
                    )
            axes.set(xlabel=label, ylim=(len(cases) - 0.5, -0.5))
            axes.set_yticks(range(len(cases)), cases)
        figure.suptitle(f"{title} (dots: our seeds, crosses: published)", fontsize=13)
    return figure

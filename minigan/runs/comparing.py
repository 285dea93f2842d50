"""Runs beside one another: which settings differ, how far they are, and how they did."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from minigan.runs.folder import CONFIG, Config, model_step, read_config

WIDTH = 24
"""Largest width of a column of the table, in characters."""


@dataclass(frozen=True)
class Summary:
    """What a run's files say, without running anything.

    Attributes
    ----------
    folder
        The run.
    config
        What it was started with.
    step
        The last step in its table of losses; 0 if there is none.
    losses
        The last row of ``metrics.csv``: column to number.
    metrics
        The values of ``evaluation.csv``, if it was evaluated.
    scored
        The step at which it was evaluated; None if that isn't known.
    """

    folder: Path
    config: Config
    step: int
    losses: dict[str, float]
    metrics: dict[str, float]
    scored: int | None = None

    @property
    def name(self) -> str:
        """The name of the folder, also where it is given as ``.``."""
        return os.path.basename(os.path.abspath(self.folder))

    def facts(self) -> dict[str, Any]:
        """Return everything that may differ between two runs, by name."""
        config = self.config
        whole = {"recipe": config.recipe, "data": config.data, "seed": config.seed}
        whole |= {"device": config.device, "init": config.init}
        return whole | config.settings | config.computing


def find(places: Iterable[Path]) -> list[Path]:
    """Return the folders of runs among, or directly inside, some folders; by name.

    Raises
    ------
    ValueError
        If there are none.
    """
    places = list(places)
    found = [
        folder
        for place in places
        for folder in ([place] if (place / CONFIG).is_file() else sorted(_inside(place)))
        if (folder / CONFIG).is_file()
    ]
    if not found:
        raise ValueError(
            f"There are no runs in {', '.join(map(str, places))}; `minigan train digits` makes "
            "one, and `minigan runs FOLDER` looks elsewhere."
        )
    return found


def _inside(place: Path) -> Iterable[Path]:
    return place.iterdir() if place.is_dir() else ()


def summary(folder: Path) -> Summary:
    """Read what a run's files say.

    Raises
    ------
    ValueError
        If its ``config.json`` is damaged.
    OSError
        If it can't be opened.
    """
    config = read_config(folder)
    losses = _numbers(_last_row(folder / "metrics.csv"))
    step = losses.pop("step", 0.0)
    step = int(step) if math.isfinite(step) else 0
    scores = folder / "evaluation.csv"
    at = _numbers(_last_row(scores)).get("step", math.nan)
    scored = int(at) if math.isfinite(at) else None
    return Summary(folder, config, step, losses, _metrics(scores), scored)


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except (OSError, ValueError, csv.Error):
        return []


def _last_row(path: Path) -> dict[str, str]:
    return (_rows(path) or [{}])[-1]


def _numbers(row: dict[str, str]) -> dict[str, float]:
    numbers = {}
    for name, text in row.items():
        try:
            numbers[name] = float(text)
        except (TypeError, ValueError):
            continue
    return numbers


def _metrics(path: Path) -> dict[str, float]:
    rows = [row for row in _rows(path) if row.get("metric") and row.get("value")]
    return _numbers({row["metric"]: row["value"] for row in rows})


def table(summaries: Sequence[Summary]) -> str:
    """Return a line for each run, with the settings in which the runs differ; then their scores."""
    own = ("recipe", "steps")  # columns of their own
    shown = ["recipe", *(name for name in differing(summaries) if name not in own)]
    head = ["run", "steps", *shown, "loss D", "loss G"]
    lines = _aligned([head, *(_line(each, shown) for each in summaries)])
    scored = [each for each in summaries if each.metrics]
    if scored:
        names = dict.fromkeys(name for each in scored for name in each.metrics)
        rows = [[name, *(_number(each.metrics.get(name)) for each in scored)] for name in names]
        lines += ["", *_aligned([["score", *map(_scored, scored)], *rows])]
    return "\n".join(lines)


def _scored(each: Summary) -> str:
    """Return the name of a run, and the step of its scores where it has gone on since."""
    if each.scored in (None, each.step):
        return each.name
    return f"{each.name}, step {each.scored}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def differing(summaries: Sequence[Summary]) -> list[str]:
    """Return the names of all settings that aren't the same in all runs."""
    facts = [each.facts() for each in summaries]
    names = dict.fromkeys(name for each in facts for name in each)
    return [name for name in names if len({repr(each.get(name)) for each in facts}) > 1]


def _line(each: Summary, shown: Sequence[str]) -> list[str]:
    goal = each.config.settings.get("steps", 0)
    steps = f"{each.step}" if each.step == goal else f"{each.step}/{goal}"
    facts = each.facts()
    losses = [_number(each.losses.get(name)) for name in ("loss_d", "loss_g")]
    return [each.name, steps, *(_cell(facts.get(name)) for name in shown), *losses]


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.4g}"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    return text if len(text) <= WIDTH else f"...{text[3 - WIDTH :]}"


def overview(summaries: Sequence[Summary], path: Path) -> None:
    """Draw the samples of each run under its name, in rows of four.

    Raises
    ------
    ValueError
        If none of the runs has a picture yet.
    """
    from PIL import Image

    from minigan.plots import save_figure
    from minigan.plots.style import new_figure, styled

    pictures = [(each, each.folder / "samples.png") for each in summaries]
    pictures = [(each, picture) for each, picture in pictures if picture.is_file()]
    if not pictures:
        raise ValueError("None of these runs has samples.png yet; wait until one is finished.")
    columns = min(len(pictures), 4)
    rows = math.ceil(len(pictures) / columns)
    with styled():
        figure = new_figure(width=3 * columns, height=3.3 * rows, layout="constrained")
        for i, (each, picture) in enumerate(pictures, start=1):
            axes = figure.add_subplot(rows, columns, i)
            with Image.open(picture, formats=["PNG"]) as image:
                axes.imshow(image.convert("RGB"))
            axes.set_axis_off()
            # A folder's name is no mathematics, whatever signs it has.
            axes.set_title(_title(each), fontsize=9, parse_math=False)
    save_figure(figure, path, dpi=110)


def _title(each: Summary) -> str:
    """Name a run, and the step of its samples: that of its model, if it can be read."""
    with suppress(ValueError):
        if step := model_step(each.folder):
            return f"{each.name}, step {step:,}"
    return each.name


def report(summaries: Sequence[Summary]) -> list[dict[str, Any]]:
    """Return the runs as dictionaries for JSON; None for numbers that JSON has no words for."""
    return [
        {"run": str(each.folder), "step": each.step, "losses": _finite(each.losses),
         "metrics": _finite(each.metrics), "metrics_step": each.scored,
         "config": asdict(each.config)}
        for each in summaries
    ]  # fmt: skip


def _finite(numbers: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in numbers.items()}

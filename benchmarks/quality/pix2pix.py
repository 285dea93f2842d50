"""What the adversary costs pix2pix, and what it buys: distance and sharpness on held-out pairs.

The recipes pix2pix (outlines to faces), pix2pix-glyphs (regular to bold) and pix2pix-emoji (Google's
design to Twitter's), each as it is and with ``adversarial=0``, which leaves the L1 distance alone.
Scored are pairs that took no part in training: the mean of |G(a) - b| over pixels in [-1, 1], and
sharpness, the mean difference of neighbouring pixels. The mean of all pictures that were trained on
is the best answer that doesn't look at a. Glyphs and emoji need ``MINIGAN_DATA``, the folder of
glyphs.npz and emoji.npz.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy
from numpy.typing import NDArray

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import gan
from minigan.metrics.pairs import sharpness
from minigan.recipes import get
from minigan.runs.assembly import assemble

RECIPES = {"faces": "pix2pix", "glyphs": "pix2pix-glyphs", "emoji": "pix2pix-emoji"}
LOSSES = {"L1 alone": {"adversarial": 0.0}, "GAN and L1": {}}
COLUMNS = {"l1": "L1", "sharpness": "sharpness"}
PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    column: (f"{label} on held-out pairs", {}) for column, label in COLUMNS.items()
}
"""Column -> label, and published means: there are none on these data sets."""


def build(seed: int, *, name: str, changes: dict[str, float], steps: int) -> gan.Trainer:
    """A recipe with some settings changed; its learning rates fall over so many steps."""
    recipe = get(name)
    settings = recipe.settings.changed(steps=steps, **changes)
    return assemble(recipe, settings, recipe.load(recipe.data, None), seed=seed).trainer


def measure(trainer: gan.Trainer, seed: int, *, name: str) -> Row:
    """Distance and sharpness of the translations, of the mean picture, and of the truth."""
    (a, b), mean = _held_out(name), _mean_picture(name)
    game: Any = trainer.game
    found = game.translate(a, numpy.random.default_rng(seed))
    numbers = {
        "l1": _distance(found, b), "sharpness": sharpness(found),
        "mean_l1": _distance(mean, b), "mean_sharpness": sharpness(mean),
        "true_sharpness": sharpness(b),
    }  # fmt: skip
    return {column: round(number, 4) for column, number in numbers.items()}


def _distance(found: NDArray[Any], truth: NDArray[Any]) -> float:
    return float(abs(found - truth).mean())


@cache
def _held_out(name: str) -> tuple[Any, Any]:
    recipe: Any = get(name)
    kept = recipe.load_split(recipe.data, None, "test")
    everything = numpy.arange(len(kept))
    return kept.a.batch(everything), kept.b.batch(everything)


@cache
def _mean_picture(name: str) -> NDArray[Any]:
    recipe: Any = get(name)
    kind = recipe.load(recipe.data, None).b
    mean: NDArray[Any] = kind.batch(numpy.arange(len(kind))).mean(axis=0, keepdims=True)
    return mean


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """Both losses on each kind of pairs."""
    return [
        Job(
            f"{kind}: {loss}", seed, number,
            partial(build, name=name, changes=changes, steps=number), partial(measure, name=name),
        )
        for kind, name in RECIPES.items()
        for number in (steps or get(name).settings.steps,)
        for seed in seeds
        for loss, changes in LOSSES.items()
    ]  # fmt: skip


def table() -> str:
    """Return distance and sharpness of each case, and of mean and truth; Markdown."""
    done = rows("pix2pix")
    lines = ["| | seeds | steps | L1 on held-out pairs | sharpness |", "|-" * 5 + "|"]
    for kind in dict.fromkeys(row["case"].split(":")[0] for row in done):
        own = [row for row in done if row["case"].startswith(f"{kind}:")]
        for case in dict.fromkeys(row["case"] for row in own):
            cells = [_cell(own, case, column) for column in COLUMNS]
            seeds = sum(row["case"] == case for row in own)
            lines.append(f"| {case} | {seeds} | {int(own[0]['steps']):,} | {' | '.join(cells)} |")
        mean, sharp, truth = (
            float(own[0][c]) for c in ("mean_l1", "mean_sharpness", "true_sharpness")
        )
        lines.append(f"| {kind}: the mean picture | | | {mean:.3f} | {sharp:.3f} |")
        lines.append(f"| {kind}: the truth | | | 0 | {truth:.3f} |")
    return "\n".join(lines)


def _cell(done: Sequence[dict[str, str]], case: str, column: str) -> str:
    numbers = [float(row[column]) for row in done if row["case"] == case]
    spread = f" ± {statistics.stdev(numbers):.3f}" if len(numbers) > 1 else ""
    return f"{statistics.mean(numbers):.3f}{spread}"


def draw() -> Any:
    """Every seed a dot."""
    return dots(rows("pix2pix"), PUBLISHED, "What the adversary costs and buys")

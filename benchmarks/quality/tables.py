"""The tables of `docs/quality.md`, from the results so far:
``python -m benchmarks.quality.tables``.
"""

from __future__ import annotations

import importlib
import statistics

from benchmarks.quality import growing, pix2pix
from benchmarks.quality import race as objectives_race
from benchmarks.quality.jobs import rows

TABLES = (
    "quarter",
    "grids",
    "rejection",
    "pacgan",
    "stacked",
    "labels",
    "cyclegan",
    "cifar",
    "minutes",
)


def table(experiment: str) -> str:
    """Mean and standard deviation over seeds, with the published value in brackets; Markdown."""
    published = importlib.import_module(f"benchmarks.quality.{experiment}").PUBLISHED
    done = rows(experiment)
    lines = ["| | seeds | steps | " + " | ".join(label for label, _ in published.values()) + " |"]
    lines.append("|-" * (3 + len(published)) + "|")
    for case, steps in dict.fromkeys((row["case"], row["steps"]) for row in done):
        own = [row for row in done if (row["case"], row["steps"]) == (case, steps)]
        cells = []
        for column, (_, values) in published.items():
            numbers = [float(row[column]) for row in own if row[column]]
            if not numbers:
                cells.append("")
                continue
            spread = f" ± {statistics.stdev(numbers):.3g}" if len(numbers) > 1 else ""
            beside = f" ({values[case]:g})" if case in values else ""
            cells.append(f"{statistics.mean(numbers):.4g}{spread}{beside}")
        lines.append(f"| {case} | {len(own)} | {int(steps):,} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def race() -> str:
    """Return the last row of each case of ``objectives``, the mean over seeds, the best first;
    Markdown.
    """
    done = rows("objectives")
    last = max(float(row["cpu_seconds"]) for row in done)
    lines = ["| | seeds | rounds | LeNet-FD | density | coverage |", "|-" * 6 + "|"]
    means = {}
    for case in dict.fromkeys(row["case"] for row in done):
        own = [
            row for row in done if row["case"] == case and float(row["cpu_seconds"]) > 0.95 * last
        ]
        columns = ("rounds", "lenet_fd", "density", "coverage")
        means[case] = len(own), *(statistics.mean(float(row[c]) for row in own) for c in columns)
    for case, (seeds, rounds, distance, density, coverage) in sorted(
        means.items(), key=lambda item: item[1][2]
    ):
        lines.append(
            f"| {case} | {seeds} | {rounds:,.0f} | {distance:.1f} | {density:.2f} | "
            f"{coverage:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    for name in TABLES:
        if rows(name):
            print(f"{name}\n\n{table(name)}\n")
    if rows("objectives"):
        print(f"objectives\n\n{race()}\n")
    if rows(objectives_race.RACE):
        print(f"race\n\n{objectives_race.table()}\n")
    if rows("growing"):
        print(f"growing\n\n{growing.table()}\n")
    if rows("pix2pix"):
        print(f"pix2pix\n\n{pix2pix.table()}\n")

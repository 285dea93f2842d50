"""The tables of `docs/quality.md`, from the results so far: ``python -m benchmarks.quality.tables``."""

from __future__ import annotations

import importlib
import statistics

from benchmarks.quality.jobs import rows


def table(experiment: str) -> str:
    """Mean and standard deviation over seeds, with the published value in brackets; Markdown."""
    published = importlib.import_module(f"benchmarks.quality.{experiment}").PUBLISHED
    done = rows(experiment)
    lines = ["| | seeds | steps | " + " | ".join(label for label, _ in published.values()) + " |"]
    lines.append("|-" * (3 + len(published)) + "|")
    for case in dict.fromkeys(row["case"] for row in done):
        own = [row for row in done if row["case"] == case]
        cells = []
        for column, (_, values) in published.items():
            numbers = [float(row[column]) for row in own]
            spread = f" ± {statistics.stdev(numbers):.3g}" if len(numbers) > 1 else ""
            beside = f" ({values[case]:g})" if case in values else ""
            cells.append(f"{statistics.mean(numbers):.4g}{spread}{beside}")
        steps = ", ".join(sorted({f"{int(row['steps']):,}" for row in own}))
        lines.append(f"| {case} | {len(own)} | {steps} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    for name in ("grids", "pacgan", "stacked"):
        if rows(name):
            print(f"{name}\n\n{table(name)}\n")

"""The results of ``python -m benchmarks gpu``: a CSV file, a page and a chart."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_cases import CASES, CONTESTANTS, PRECISIONS, Part

Floor = Callable[[str, int, float, float], float]
FIELDS = (
    "kind",
    "workload",
    "batch",
    "precision",
    "contestant",
    "ms",
    "images_per_s",
    "floor_ms",
    "note",
)


class Table:
    """The rows so far, in a CSV file that is written anew after each part.

    Parameters
    ----------
    path
        The file, which is read if it is there.
    fresh
        Whether to begin anew instead.
    floor
        ``(workload, batch, TFLOP/s, GB/s) -> milliseconds``, the least that a step can take.
    """

    def __init__(self, path: Path, *, fresh: bool, floor: Floor) -> None:
        self.path, self._floor_ms = path, floor
        self.rows: list[dict[str, str]] = []
        if path.exists() and not fresh:
            with path.open(newline="") as file:
                self.rows = [
                    row for row in csv.DictReader(file) if not row["note"].startswith("FAILED")
                ]

    def has(self, part: Part) -> bool:
        return any(self._key(row) == part.key() for row in self.rows)

    def add(self, part: Part, result: dict[str, Any]) -> None:
        """Add a result, print it, and save all."""
        row = dict.fromkeys(FIELDS, "") | dict(zip(FIELDS, part.key(), strict=False))
        if part.kind == "peaks" and "tflops" in result:
            row["note"] = (
                f"{result['tflops']:.6g} TFLOP/s; {result['gb_per_s']:.6g} GB/s; {result['note']}"
            )
        else:
            row |= {
                name: f"{v:.6g}" if isinstance(v, float) else str(v) for name, v in result.items()
            }
            row["floor_ms"] = self._floor(part)
        self.rows.append(row)
        words = [
            w for w in (*part.key(), row["ms"] and f"{row['ms']} ms", row["note"]) if w and w != "0"
        ]
        print("  ".join(words), flush=True)
        with self.path.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)

    def _floor(self, part: Part) -> str:
        peaks = [
            r["note"]
            for r in self.rows
            if r["kind"] == "peaks" and r["precision"] == part.precision
        ]
        if (
            part.kind != "step"
            or part.contestant == "NumPy"
            or not peaks
            or "TFLOP" not in peaks[-1]
        ):
            return ""
        tflops, gb_per_s = (float(words.split()[0]) for words in peaks[-1].split(";")[:2])
        return f"{self._floor_ms(part.workload, part.batch, tflops, gb_per_s):.4g}"

    @staticmethod
    def _key(row: dict[str, str]) -> tuple[str, ...]:
        return tuple(row[name] for name in FIELDS[:5])


def ratio(rows: list[dict[str, str]], row: dict[str, str], rival: str) -> float:
    """How many times as fast as `rival` a row is, at the same precision; NaN where either is
    missing.
    """
    same = ("workload", "batch", "precision")
    theirs = [
        float(r["ms"])
        for r in rows
        if r["contestant"] == rival and r["ms"] and all(r[k] == row[k] for k in same)
    ]
    return theirs[0] / float(row["ms"]) if theirs and row["ms"] else math.nan


def sorted_steps(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows of training steps, contestants of one case together."""
    steps = [row for row in rows if row["kind"] == "step"]
    return sorted(
        steps, key=lambda r: (r["precision"], r["workload"], int(r["batch"]), r["contestant"])
    )


def cells(rows: list[dict[str, str]], row: dict[str, str]) -> list[str]:
    """Images/s, times PyTorch eager, times PyTorch compiled, times the floor: a dash where one is
    missing.
    """
    speed = f"{float(row['images_per_s']):,.0f}" if row["ms"] else row["note"][:40]
    floor = float(row["ms"]) / float(row["floor_ms"]) if row["floor_ms"] and row["ms"] else math.nan
    ratios = [*(ratio(rows, row, rival) for rival in ("PyTorch eager", "PyTorch compiled")), floor]
    return [speed, *("-" if math.isnan(r) else f"{r:.2f}" for r in ratios)]


def summary(rows: list[dict[str, str]]) -> str:
    """The table as text: images/s, how many times PyTorch at the same precision, how many times the
    floor.
    """
    lines = [
        f"{'workload':15} {'batch':>5} {'precision':9} {'contestant':17} {'images/s':>12} "
        f"{'x eager':>8} "
        f"{'x compiled':>10} {'x floor':>8}"
    ]
    for row in sorted_steps(rows):
        speed, eager, compiled, floor = cells(rows, row)
        lines.append(
            f"{row['workload']:15} {row['batch']:>5} {row['precision']:9} {row['contestant']:17} "
            f"{speed:>12} "
            f"{eager:>8} {compiled:>10} {floor:>8}"
        )
    return "\n".join(lines)


def report(rows: list[dict[str, str]]) -> str:
    """The same as a page, with the command, the machine, and the peaks."""
    notes = [f"- {r['kind']} {r['precision']}: {r['note']}" for r in rows if r["kind"] != "step"]
    lines = [
        "# Training steps on a GPU",
        "",
        "`python -m benchmarks gpu`, again until nothing is missing",
        "",
        *notes,
        "",
        "Images/s: from the median over samples timed by CUDA events (NumPy: by the clock). *To "
        "eager* and *to "
        "compiled*: how many times as fast as PyTorch at the same precision. *To floor*: time "
        "over the least that the "
        "measured peaks allow. Steps whose penalty differentiates twice have no compiled row: "
        "PyTorch doesn't support it.",
        "",
        "| workload | batch | precision | contestant | images/s | to eager | to compiled | to "
        "floor |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted_steps(rows):
        named = [row[k] for k in ("workload", "batch", "precision", "contestant")]
        lines.append(f"| {' | '.join([*named, *cells(rows, row)])} |")
    return "\n".join(lines) + "\n"


def draw(rows: list[dict[str, str]], path: Path) -> None:
    """A line for each case, with a dot for each contestant at its speed relative to PyTorch eager;
    one picture per precision.

    A case that PyTorch eager lacks has no dots: there is nothing to compare with.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    steps = [row for row in rows if row["kind"] == "step" and row["ms"]]
    if not steps:
        return
    figure, axes = pyplot.subplots(
        1, len(PRECISIONS), figsize=(13, 6.5), sharey=True, squeeze=False, layout="constrained"
    )
    labels = [f"{name}, {batch}" for name, batch in CASES]
    for axis, precision in zip(axes[0], PRECISIONS, strict=True):
        _draw_dots(axis, [row for row in steps if row["precision"] == precision], labels)
        axis.set(
            title=precision,
            xlabel="images per second / those of PyTorch eager",
            xscale="log",
            yticks=range(len(labels)),
            yticklabels=labels,
            ylim=(len(labels) - 0.5, -0.5),
        )
        axis.grid(axis="y", alpha=0.3)
    axes[0][0].set_ylabel("workload, batch size")
    handles = {
        label: handle
        for axis in axes[0]
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    figure.legend(
        handles.values(), handles.keys(), loc="outside lower center", ncols=6, frameon=False
    )
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _draw_dots(axis: Any, here: list[dict[str, str]], labels: list[str]) -> None:
    looks = dict(zip(CONTESTANTS, "osDv^", strict=True))
    for contestant, marker in looks.items():
        dots = {
            labels.index(f"{row['workload']}, {row['batch']}"): ratio(here, row, "PyTorch eager")
            for row in here
            if row["contestant"] == contestant
        }
        if dots:
            color = f"C{CONTESTANTS.index(contestant)}"
            look = {"s": 36, "color": color, "marker": marker, "zorder": 3}
            axis.scatter(list(dots.values()), list(dots), label=contestant, **look)
    roofs = {
        labels.index(f"{row['workload']}, {row['batch']}"): ratio(
            here, row | {"ms": row["floor_ms"]}, "PyTorch eager"
        )
        for row in here
        if row["floor_ms"]
    }
    if roofs:
        look = {"s": 160, "color": "black", "marker": "|"}
        axis.scatter(list(roofs.values()), list(roofs), label="roofline", **look)
    axis.axvline(1, color="gray", linewidth=0.8)

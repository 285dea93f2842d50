"""All blocks of all runs, in a file, and the tables and the chart that are made of them."""

from __future__ import annotations

import csv
import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy

from benchmarks.checks import YARDSTICK
from benchmarks.harness import Block, interval, ratio
from benchmarks.set_ups import FAST, MINIGAN, PEERS, SECOND, TORCH, TWINS
from benchmarks.workloads import WORKLOADS

FIELDS = ("run", "date", "workload", "contestant", "round", "ms", "cpus", "wait", "note")
LEFT_OUT = "not counted: "
Row = dict[str, str]


class Results:
    """The blocks, in ``NAME.csv``; what they mean, in ``NAME.md`` and ``NAME.png``.

    Parameters
    ----------
    folder
        Where the files are.
    name
        What they are called.
    append
        Whether to go on from what is there. Rows without a date, which an earlier version of this
        command has written, are left out: they timed other programs.
    """

    def __init__(self, folder: Path, name: str = "cpu", *, append: bool) -> None:
        self.folder, self.name = folder, name
        self.rows: list[Row] = []
        self.failed: dict[str, str] = {}
        path = folder / f"{name}.csv"
        if append and path.exists():
            with path.open(newline="") as file:
                self.rows = [row for row in csv.DictReader(file) if row.get("date")]

    def add(
        self, workload: str, blocks: Sequence[Block], failed: dict[str, str], *, reason: str = ""
    ) -> None:
        """Take the blocks of a run; with a reason, it is kept but not counted."""
        run = max((int(r["run"]) for r in self.rows if r["workload"] == workload), default=0) + 1
        today = datetime.date.today().isoformat()
        for b in blocks:
            note = LEFT_OUT + reason if reason else b.note
            values = (run, today, workload, b.name, b.round, f"{b.ms:.4f}", b.cpus)
            row = (*map(str, values), f"{b.wait:.3f}", note)
            self.rows.append(dict(zip(FIELDS, row, strict=True)))
        self.failed |= {f"{name} on {workload}": why for name, why in failed.items()}

    # ------------------------------------------------------------ what counts

    def counted(self, workload: str) -> list[Row]:
        """Return the rows of a workload that nothing is against."""
        return [row for row in self.rows if row["workload"] == workload and not row["note"]]

    def runs(self, workload: str) -> list[int]:
        return sorted({int(row["run"]) for row in self.counted(workload)})

    def workloads(self) -> list[str]:
        return [name for name in WORKLOADS if self.runs(name)]

    def names(self, workload: str) -> list[str]:
        """Return who took part, but for the yardstick."""
        found = dict.fromkeys(row["contestant"] for row in self.counted(workload))
        return [name for name in found if name != YARDSTICK]

    def ms(self, workload: str, name: str, run: int | None = None) -> list[float]:
        """Return the times of a contestant, in one run or in all."""
        return [
            float(row["ms"])
            for row in self.counted(workload)
            if row["contestant"] == name and run in (None, int(row["run"]))
        ]

    def fastest(self, workload: str) -> dict[str, float]:
        """Return the fastest block of each contestant in all runs, of the yardstick ever."""
        found: dict[str, float] = {}
        for row in self.rows:
            yardstick = row["contestant"] == YARDSTICK
            if yardstick or (row["workload"] == workload and not row["note"]):
                name, ms = row["contestant"], float(row["ms"])
                found[name] = min(ms, found.get(name, ms))
        return found

    def rival(self, workload: str, run: int) -> str | None:
        """Return the best set-up of PyTorch in a run, by its median."""
        medians = {
            name: float(numpy.median(self.ms(workload, name, run)))
            for name in self.names(workload)
            if name.startswith(TORCH) and not name.endswith(SECOND) and self.ms(workload, name, run)
        }
        return min(medians, key=medians.__getitem__, default=None)

    def against_rival(self, workload: str, name: str) -> list[float]:
        """Return, for each run, how many times as fast as the rival."""
        pairs = [(self.rival(workload, run), run) for run in self.runs(workload)]
        return [
            ratio(self.ms(workload, rival, run), self.ms(workload, name, run))
            for rival, run in pairs
            if rival is not None and self.ms(workload, name, run)
        ]

    def pooled(self, workload: str, name: str) -> tuple[float, float] | None:
        """Return the interval of 95 % of a contestant's ratio to the rival, over the rounds of all
        its runs.
        """
        slow: list[float] = []
        fast: list[float] = []
        for run in self.runs(workload):
            rival = self.rival(workload, run)
            if rival is not None and self.ms(workload, name, run):
                slow += self.ms(workload, rival, run)
                fast += self.ms(workload, name, run)
        return interval(slow, fast) if slow else None

    def floor(self, workload: str, name: str) -> list[float]:
        """Return, for each run, the ratio of minigan, or of minigan[fast], to itself."""
        twin = TWINS[name]
        return [
            ratio(self.ms(workload, twin, run), self.ms(workload, name, run))
            for run in self.runs(workload)
            if self.ms(workload, twin, run) and self.ms(workload, name, run)
        ]

    # ------------------------------------------------------------ what is written

    def save(self, heading: str) -> str:
        """Write everything; return the text."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / f"{self.name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows)
        text = self.text(heading)
        (self.folder / f"{self.name}.md").write_text(text)
        self.draw(self.folder / f"{self.name}.png")
        return text

    def text(self, heading: str) -> str:
        """Return the tables in Markdown, under a heading that says how and where."""
        dates = sorted({row["date"] for row in self.rows})
        measured = (
            f"- measured: {' to '.join(dict.fromkeys((dates[0], dates[-1])))}" if dates else ""
        )
        lines = [
            heading,
            measured,
            "",
            f"{MINIGAN} computes with NumPy alone, {FAST} with loops that Numba compiles. "
            "Milliseconds are medians over all rounds. A ratio above 1 means that minigan is "
            "faster. Ratio to the fastest set-up of PyTorch in each run: the median over the runs, "
            "and their range; 95 %: bootstrap over the rounds of all runs; same twice: the ratio "
            "of the same program to itself, in each run, which is the noise floor. How many times "
            "as fast as all others: the median over the runs that both took part in.",
            "",
            "| workload | batch | contestant | ms | best PyTorch, ms | ratio | over runs | 95 % | "
            "same twice |",
            "|---|---|---|---|---|---|---|---|---|",
            *[
                self._row(workload, name)
                for workload in self.workloads()
                for name in TWINS
                if self.ms(workload, name)
            ],
            "",
            f"| workload | contestant | ms | blocks from .. to | images/s | {MINIGAN} is faster by "
            f"| {FAST} is faster by |",
            "|---|---|---|---|---|---|---|",
            *[line for workload in self.workloads() for line in self._all(workload)],
            "",
            *self._remarks(),
        ]
        return "\n".join(lines).rstrip() + "\n"

    def _row(self, workload: str, name: str) -> str:
        runs = [run for run in self.runs(workload) if self.ms(workload, name, run)]
        rivals = {run: rival for run in runs if (rival := self.rival(workload, run))}
        ratios, pooled = self.against_rival(workload, name), self.pooled(workload, name)
        floors = self.floor(workload, name)
        slow = [float(numpy.median(self.ms(workload, rival, run))) for run, rival in rivals.items()]
        cells = [
            f"{workload}: {WORKLOADS[workload].about}",
            str(WORKLOADS[workload].batch),
            name,
            _number(numpy.median(self.ms(workload, name))),
            _number(numpy.median(slow)) if slow else "-",
            f"**{numpy.median(ratios):.2f}**" if ratios else "-",
            f"{min(ratios):.2f} .. {max(ratios):.2f} ({len(ratios)})" if ratios else "-",
            f"{pooled[0]:.2f} .. {pooled[1]:.2f}" if pooled else "-",
            f"{min(floors):.2f} .. {max(floors):.2f}" if floors else "-",
        ]
        return f"| {' | '.join(cells)} |"

    def _all(self, workload: str) -> list[str]:
        times = {name: self.ms(workload, name) for name in self.names(workload)}
        medians = {name: float(numpy.median(ms)) for name, ms in times.items()}
        count = WORKLOADS[workload].batch
        lines = []
        for name, ms in sorted(medians.items(), key=lambda item: item[1]):
            faster = (self._faster(workload, ours, name) for ours in TWINS)
            spread = f"{_number(min(times[name]))} .. {_number(max(times[name]))}"
            cells = (workload, name, _number(ms), spread, f"{1e3 * count / ms:,.0f}", *faster)
            lines.append(f"| {' | '.join(cells)} |")
        return lines

    def _faster(self, workload: str, ours: str, name: str) -> str:
        """Say how many times as fast as another contestant, over the runs that both took part in:
        times of different runs are those of different hours.
        """
        ratios = [
            ratio(self.ms(workload, name, run), self.ms(workload, ours, run))
            for run in self.runs(workload)
            if self.ms(workload, name, run) and self.ms(workload, ours, run)
        ]
        return f"{numpy.median(ratios):.2f}" if ratios else "-"

    def _remarks(self) -> list[str]:
        """Say which rounds and runs don't count and why, and who couldn't take part."""
        out = dict.fromkeys(
            f"- {row['workload']}, run {row['run']}: {row['note'].removeprefix(LEFT_OUT)}"
            for row in self.rows
            if row["note"].startswith(LEFT_OUT)
        )
        rounds = {
            (row["workload"], row["run"], row["round"], row["note"])
            for row in self.rows
            if row["note"] and not row["note"].startswith(LEFT_OUT)
        }
        who = Counter(note.partition(": ")[2] for *_, note in rounds)
        lines = ["Runs that don't count:", "", *out, ""] if out else []
        if who:
            lines += ["Rounds repeated, since threads shared a core or waited for one:", ""]
            lines += [f"- {count} for {name}" for name, count in who.most_common()] + [""]
        if self.failed:
            lines += ["Not taking part:", ""]
            lines += [f"- {name}: {why}" for name, why in self.failed.items()]
        return lines

    def draw(self, path: Path) -> None:
        """Draw the speeds relative to the best PyTorch, with the range over the runs."""
        from minigan.plots import ratio_chart, save_figure

        groups = [w for w in self.workloads() if any(self.against_rival(w, name) for name in TWINS)]
        if not groups:
            return
        series, errors = {}, {}
        for name in (*TWINS, *PEERS):
            table = [self.against_rival(workload, name) for workload in groups]
            if any(table):
                middle = [float(numpy.median(r)) if r else numpy.nan for r in table]
                series[name] = middle
                errors[name] = [
                    [m - min(r) if r else 0.0 for m, r in zip(middle, table, strict=True)],
                    [max(r) - m if r else 0.0 for m, r in zip(middle, table, strict=True)],
                ]
        labels = [f"{name}, batch {WORKLOADS[name].batch}" for name in groups]
        figure = ratio_chart(
            series, groups=labels, errors=errors, baseline="the best set-up of PyTorch, CPU"
        )
        save_figure(figure, path)


def _number(ms: float) -> str:
    return f"{ms:.2f}" if ms < 20 else f"{ms:.1f}" if ms < 200 else f"{ms:.0f}"

"""Where results are written, and how: whole or not at all, and beside what was measured before.

A command replaces the results of what it has measured, and keeps all others with their dates. It
saves after each case, so that what was measured is there if it is interrupted.
"""

from __future__ import annotations

import csv
import datetime
import io
import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import machine, set_ups
from benchmarks.harness import Block
from benchmarks.report import LEFT_OUT, Results
from minigan.files import written_whole

Row = dict[str, str]
DATE = "measured"
UNKNOWN = "unknown"


def folder(out: Path | None, *, trial: bool = False) -> Path | None:
    """Return where results go; None for nowhere: a trial is written only where one asks for it."""
    return out or (None if trial else machine.folder())


def today() -> str:
    """Return the date, as tables have it."""
    return datetime.date.today().isoformat()


def write(path: Path, text: str) -> None:
    """Write a file whole or not at all, with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read(path: Path | None) -> str:
    """Return what is in a file; "" if there is none."""
    return path.read_text(encoding="utf-8") if path is not None and path.exists() else ""


def date_of(page: str) -> str:
    """Return the date that stands over a page, for what is in it without a date of its own."""
    found = re.search(rf"^- {DATE}: (.+)$", page, re.MULTILINE)
    return found[1] if found else UNKNOWN


class Head(NamedTuple):
    """What is known of a page when its command begins."""

    title: str
    command: str
    facts: dict[str, str]

    def over(self, dates: Iterable[str]) -> str:
        """Return what stands over the page, whose parts are of these dates."""
        found = sorted(set(dates))
        about = self.facts | {DATE: " to ".join(dict.fromkeys((found[0], found[-1])))}
        return machine.heading(self.title, self.command, about | of_the_last(found))


def of_the_last(dates: Iterable[str]) -> dict[str, str]:
    """Return what to add to facts over parts of which some were measured on another day."""
    other = set(dates) - {today()}
    return {"versions and command": "those of the last run"} if other else {}


def say_where(place: Path | None, name: str) -> None:
    """Tell where results have been written, or that they haven't."""
    where = f"Written to {place / name}" if place else "A trial: nothing is written without --out"
    print(f"{where}.", file=sys.stderr)


def _csv(path: Path | None) -> list[Row]:
    return list(csv.DictReader(io.StringIO(read(path), newline="")))


class Rows:
    """A table in ``NAME.csv``, each row with its date.

    Parameters
    ----------
    folder
        Where the file is, if there is one.
    name
        What it is called; ``NAME.md`` has the date of rows that have none.
    fields
        The columns but for the last, the date.
    """

    def __init__(self, folder: Path | None, name: str, fields: Sequence[str]) -> None:
        self.folder, self.name, self.fields = folder, name, (*fields, DATE)
        self.rows: list[Row] = []
        if folder is not None:
            date = {DATE: date_of(read(folder / f"{name}.md"))}
            found = [date | row for row in _csv(folder / f"{name}.csv")]
            self.rows = [{field: row.get(field, "") for field in self.fields} for row in found]

    def put(self, rows: Sequence[Sequence[str]], gives_way: Callable[[Row], bool]) -> None:
        """Put rows of today in the place of those that give way."""
        new = [dict(zip(self.fields, (*row, today()), strict=True)) for row in rows]
        old = [gives_way(row) for row in self.rows]
        at = old.index(True) if True in old else len(old)
        kept = [row for row, gone in zip(self.rows, old, strict=True) if not gone]
        self.rows = [*kept[:at], *new, *kept[at:]]

    def save(self, head: Head, table: Callable[[Sequence[Row]], str]) -> None:
        """Write the file, and the page with the table that is made of the rows."""
        if self.folder is None:
            return
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.fields, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        write(self.folder / f"{self.name}.csv", text.getvalue())
        over = head.over(row[DATE] for row in self.rows)
        write(self.folder / f"{self.name}.md", f"{over}\n\n{table(self.rows)}\n")


class Races:
    """The races of a command, and what was there before.

    Parameters
    ----------
    folder
        Where the results are; None if they are only shown.
    name
        What they are called.
    append
        Whether a race is one more run of its workload. Otherwise the first one that counts replaces
        the earlier runs of those who took part in it.
    some
        Whether only some of PyTorch's set-ups are tried.
    """

    def __init__(
        self, folder: Path | None, name: str, *, append: bool = False, some: bool = False
    ) -> None:
        self.folder, self.name, self.some = folder, name, some
        there = Results(folder, name, append=True).rows if folder else []
        self.now, self.before = Results(folder or Path(), name, append=False), there
        if append:
            self.now.rows, self.before = there, []
        undated = len(_csv(folder and folder / f"{name}.csv")) - len(there)
        if undated:
            print(f"{undated} rows without a date, of an earlier version, are left out.")
        self.failed = failures(read(folder and folder / f"{name}.md"))
        self._begun: set[str] = set()

    def add(
        self, workload: str, blocks: Sequence[Block], failed: Mapping[str, str], *, reason: str = ""
    ) -> None:
        """Take the blocks of a race; with a reason, it is kept but not counted."""
        self.now.add(workload, blocks, dict(failed), reason=reason)
        names = {block.name for block in blocks if not block.note.startswith(LEFT_OUT)}
        self.failed = {
            name: why
            for name, why in self.failed.items()
            if name not in {f"{measured} on {workload}" for measured in names}
        }
        if reason or workload in self._begun:
            return
        self._begun.add(workload)
        gone = [row for row in self.before if self._gives_way(row, workload, names)]
        self.before = [row for row in self.before if row not in gone]
        if gone and self.folder is not None:
            dates = " to ".join(sorted({gone[0]["date"], gone[-1]["date"]}))
            print(f"  {workload}: replaces what was measured on {dates}.", flush=True)

    def _gives_way(self, row: Row, workload: str, names: set[str]) -> bool:
        return row["workload"] == workload and set_ups.gives_way(
            row["contestant"], names, some=self.some
        )

    def joined(self) -> Results:
        """Return all that there is: what was kept, and what this command has brought."""
        found = Results(Path(), self.name, append=False)
        last: dict[str, int] = {}
        for row in self.before:
            last[row["workload"]] = max(last.get(row["workload"], 0), int(row["run"]))
        # Runs of the same number would be taken for one race.
        new = [r | {"run": str(int(r["run"]) + last.get(r["workload"], 0))} for r in self.now.rows]
        found.rows, found.failed = [*self.before, *new], self.failed | self.now.failed
        return found

    def save(self, heading: str) -> None:
        """Write everything; each file is replaced when the new one is there."""
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".") as place:
            found = self.joined()
            found.folder = Path(place)
            found.save(heading)
            for file in sorted(found.folder.iterdir()):
                os.replace(file, self.folder / file.name)


def failures(page: str) -> dict[str, str]:
    """Return who couldn't take part, of a page of races, and why."""
    lines = page.partition("Not taking part:\n\n")[2].splitlines()
    return {name[2:]: why for name, colon, why in (line.partition(": ") for line in lines) if colon}

"""Tables of numbers in text files: CSV with or without names in its first line."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy
import numpy.typing as npt

from minigan.data import limits
from minigan.data.errors import DataError

__all__ = ["ENDINGS", "NumberTable", "read_table"]

ENDINGS = (".csv", ".tsv", ".txt", ".dat", ".data")
LABELS = {"label", "labels", "class", "target", "digit", "category", "cluster"}
"""Names of a column of labels."""
FEW = 8
"""Columns up to which 0, 1, 2, ... may well be a row; pandas numbers columns that have no names."""
HOLES = {"", "na", "n/a", "null", "none", "?", "-"}
"""What stands where a number is missing."""
_COUNTERS = {"", "id", "index", "unnamed: 0"}


@dataclass(frozen=True)
class NumberTable:
    """A table of numbers.

    Attributes
    ----------
    numbers : ndarray of float32, shape (rows, columns)
    names : tuple of str or None
        The names of the columns, in lower case.
    notes : tuple of str
        What was left out.
    """

    numbers: npt.NDArray[numpy.float32]
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def without(self, column: int, note: str) -> NumberTable:
        """Return the table without a column, and with a note."""
        names = self.names and self.names[:column] + self.names[column + 1 :]
        return replace(
            self,
            numbers=numpy.delete(self.numbers, column, axis=1),
            names=names,
            notes=(*self.notes, note),
        )

    def find(self, names: set[str]) -> int | None:
        """Return the first column with one of these names."""
        return next((i for i, name in enumerate(self.names or ()) if name in names), None)


def read_table(path: Path) -> NumberTable:
    """Read a table: numbers separated by commas, semicolons, tabs or spaces.

    A first line that isn't of numbers, or counts the columns, is taken for their names; before it
    there may be empty lines and remarks (#). A column that counts the rows is left out.

    Raises
    ------
    DataError
        If it isn't such a table, or it is too large.
    """
    size = path.stat().st_size
    if size > limits.max_bytes():
        raise DataError(
            f"{path} has {size:,} bytes, more than {limits.max_bytes():,}: if that is meant, set "
            "MINIGAN_MAX_BYTES to a larger number"
        )
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            remark, start, first = _first_row(file)
            separator = _separator(first)
            names = _names(first, separator)
            if names is None:
                file.seek(start)
                named = _names(remark, _separator(remark))
                if named is not None and len(named) == len(_cells(first, separator)):
                    names = named
            table = NumberTable(_numbers(file, separator), names)
    except (OSError, ValueError, csv.Error) as error:
        why = str(error).partition(";")[0]  # NumPy's advice is for those who call it
        raise DataError(
            f"{path} cannot be read as a table of numbers ({why}): save numbers alone, with the "
            "names of the columns in the first line or none"
        ) from error
    return _without_counter(_checked(table, path))


def _separator(line: str) -> str | None:
    return next((mark for mark in "\t;," if mark in line), None)


def _names(line: str, separator: str | None) -> tuple[str, ...] | None:
    """The names in a table's first line; None if there are numbers that don't count from 0 or 1."""
    cells = [cell.strip() for cell in _cells(line, separator)]
    counts = [[str(i + start) for i in range(len(cells))] for start in (0, 1)]
    counted = len(cells) > FEW and cells in counts
    if cells[:1] == [""] and cells[1:] in [count[:-1] for count in counts]:
        counted = True  # as pandas writes names beside those of the rows
    # A row of numbers is one even if some are missing.
    filled = [cell for cell in cells if cell.lower() not in HOLES] or cells
    if all(map(_is_number, filled)) and not counted:
        return None
    return tuple(cell.lower() for cell in cells)


def _first_row(file: Any) -> tuple[str, int, str]:
    """Skip empty lines and remarks, as NumPy writes a header; return the last remark, where the
    first other line begins, and that line.
    """
    remark, start, line = "", 0, file.readline()
    while line and (not line.strip() or line.lstrip().startswith("#")):
        remark = line.strip().lstrip("#") or remark
        start, line = file.tell(), file.readline()
    return remark, start, line


def _cells(line: str, separator: str | None) -> list[str]:
    return next(csv.reader([line], delimiter=separator), []) if separator else line.split()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers(file: Any, separator: str | None) -> npt.NDArray[numpy.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of no rows, which are told below
        return numpy.loadtxt(
            file, numpy.float32, delimiter=separator, ndmin=2, comments=None, quotechar='"'
        )


def _checked(table: NumberTable, path: Path) -> NumberTable:
    rows, columns = table.numbers.shape
    if not rows or not columns:
        raise DataError(f"{path} contains no rows of numbers: give another file")
    if table.names is not None and len(table.names) != columns:
        raise DataError(
            f"{path} has {len(table.names)} names in its first line, but {columns} numbers in each "
            "row: name each column"
        )
    if not numpy.isfinite(table.numbers).all():
        raise DataError(f"{path} contains numbers that are not finite: remove their rows")
    return table


def _without_counter(table: NumberTable) -> NumberTable:
    column = table.find(_COUNTERS)
    rows = numpy.arange(len(table.numbers))
    if column is None or numpy.ptp(table.numbers[:, column] - rows) > 0:
        return table
    return table.without(column, "the column that counts the rows was left out")

"""Reading the table of a run."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy
from numpy.typing import NDArray


def read_metrics(path: str | os.PathLike[str]) -> dict[str, NDArray[numpy.float64]]:
    """Read the ``metrics.csv`` of a run: a row of names, then rows of numbers.

    Parameters
    ----------
    path
        The file. An empty cell means "not measured at this step" and is read as NaN.

    Returns
    -------
    dict of str to ndarray
        Column name to values, float64 of shape ``(rows,)``, in the order of the file.

    Raises
    ------
    ValueError
        If the file cannot be read, has no header, a repeated name, a row of another length than the
        header, or a cell that isn't a number.
    """
    try:
        # A pipe would be waited for.
        text = Path(path).read_text(encoding="utf-8-sig") if _may_be_read(path) else ""
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(
            f"cannot read {path} ({error}); give the metrics.csv in the folder of a training run"
        ) from error
    try:
        lines = list(csv.reader(text.splitlines()))
    except csv.Error as error:
        raise ValueError(
            f"{path} can't be read as a table ({error}); restore it, or delete the line"
        ) from None
    names = _header(lines[0] if lines else [], path)
    # In a file with a single column, NaN is a blank line, which csv returns as a row without cells.
    rows = [
        _numbers(row or [""] * (len(names) == 1), names, path, line)
        for line, row in enumerate(lines[1:], start=2)
    ]
    table = numpy.array(rows, dtype=numpy.float64).reshape(len(rows), len(names))
    return {name: numpy.ascontiguousarray(table[:, i]) for i, name in enumerate(names)}


def _may_be_read(path: str | os.PathLike[str]) -> bool:
    return Path(path).is_file() or not Path(path).exists() or Path(path).is_dir()


def _header(cells: list[str], path: str | os.PathLike[str]) -> list[str]:
    names = [cell.strip() for cell in cells]
    if not names or not all(names):
        raise ValueError(
            f"{path} has no header: its first line must name all columns; add one such as "
            "'step,loss_d'"
        )
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise ValueError(
            f"{path} names the column {repeated[0]!r} more than once; give each column its own name"
        )
    return names


def _numbers(
    cells: list[str], names: list[str], path: str | os.PathLike[str], line: int
) -> list[float]:
    if len(cells) != len(names):
        raise ValueError(
            f"line {line} of {path} has {len(cells)} cells where the header names {len(names)} "
            "columns; complete or delete that line"
        )
    return [_number(cell, name, path, line) for cell, name in zip(cells, names, strict=True)]


def _number(cell: str, name: str, path: str | os.PathLike[str], line: int) -> float:
    if not cell.strip():
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise ValueError(
            f"line {line} of {path} has {cell!r} in the column {name!r}, which needs a number; "
            "correct it or leave the cell empty"
        ) from None

"""A net as a table."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

from minigan.nn.cache import Shape


class Row(NamedTuple):
    """What `minigan.nn.Layer.summary` shows for one layer."""

    name: str
    layer: str
    shape: Shape
    parameters: int
    multiply_adds: int


def table(input_shape: Shape, layers: list[Row], parameters: int, multiply_adds: int) -> str:
    """Return the table of `minigan.nn.Layer.summary`.

    Parameters
    ----------
    input_shape
        Shape of x, batch included.
    layers
        In the order in which they are applied.
    parameters, multiply_adds
        The totals.
    """
    rows = [("", "layer", "output shape", "parameters", "multiply-adds")]
    rows.append(("", "input", _show(input_shape), "", ""))
    rows += [
        (row.name, row.layer, _show(row.shape), _count(row.parameters), _count(row.multiply_adds))
        for row in layers
    ]
    rows.append(("", "total", "", f"{parameters:,}", f"{multiply_adds:,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    head, *body, total = [_line(row, widths) for row in rows]
    rule = "-" * len(head)
    return "\n".join(line.rstrip() for line in (head, rule, *body, rule, total))


def html(layers: Sequence[tuple[str, Any, int]]) -> str:
    """Return a table of layers for a notebook.

    Parameters
    ----------
    layers
        Name, layer and number of parameters of each.
    """
    rows = [
        f"<tr><td>{escape(name)}</td><td style='text-align: left'>{escape(repr(layer))}</td>"
        f"<td>{count:,}</td></tr>"
        for name, layer, count in layers
    ]
    total = f"<tr><td></td><th>total</th><td>{sum(count for *_, count in layers):,}</td></tr>"
    head = "<tr><th></th><th style='text-align: left'>layer</th><th>parameters</th></tr>"
    return f"<table>{head}{''.join(rows)}{total}</table>"


def _line(row: tuple[str, ...], widths: list[int]) -> str:
    """Align words to the left and numbers to the right."""
    words = [cell.ljust(width) for cell, width in zip(row[:3], widths[:3], strict=True)]
    numbers = [cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True)]
    return "  ".join(words + numbers)


def _show(shape: Shape) -> str:
    return f"({', '.join(['N', *map(str, shape[1:])])})"


def _count(number: int) -> str:
    return f"{number:,}" if number else "-"

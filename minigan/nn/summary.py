"""A net as a table."""

from __future__ import annotations

from minigan.nn.layer import Layer, Shape


def summary(net: Layer, input_shape: Shape) -> str:
    """Return a table of layers, output shapes, parameters and multiply-adds per sample; see
    `Layer.summary`.
    """
    shape = _with_batch(net, tuple(input_shape))
    rows: list[tuple[str, ...]] = [("", "layer", "output shape", "parameters", "multiply-adds")]
    rows.append(("", "input", _show(shape), "", ""))
    rows += _rows(net, shape, "")
    unique = {id(p): p for p in net.parameters().values()}
    total = sum(p.size for p in unique.values())
    rows.append(("", "total", "", f"{total:,}", f"{net.multiply_adds((1, *shape[1:])):,}"))
    return _table(rows)


def _with_batch(net: Layer, shape: Shape) -> Shape:
    """Accept a shape with or without the batch axis, whichever the net accepts."""
    try:
        net.output_shape((1, *shape))
    except ValueError as error:
        try:
            net.output_shape(shape)
        except (ValueError, IndexError):
            raise error from None
        return (1, *shape[1:])
    return (1, *shape)


def _rows(net: Layer, shape: Shape, prefix: str) -> list[tuple[str, ...]]:
    from minigan.nn.sequential import Sequential

    if not isinstance(net, Sequential):
        count = sum(p.size for p in net.parameters().values())
        work = net.multiply_adds(shape)
        return [(prefix, repr(net), _show(net.output_shape(shape)), _number(count), _number(work))]
    rows = []
    for name, layer in net.children():
        rows += _rows(layer, shape, f"{prefix}.{name}" if prefix else name)
        shape = layer.output_shape(shape)
    return rows


def _show(shape: Shape) -> str:
    return f"({', '.join(['N', *map(str, shape[1:])])})"


def _number(count: int) -> str:
    return f"{count:,}" if count else "-"


def _table(rows: list[tuple[str, ...]]) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = [
        "  ".join(
            cell.ljust(w) if i < 3 else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    rule = "-" * len(lines[0])
    return "\n".join(
        [
            lines[0].rstrip(),
            rule,
            *(line.rstrip() for line in lines[1:-1]),
            rule,
            lines[-1].rstrip(),
        ]
    )

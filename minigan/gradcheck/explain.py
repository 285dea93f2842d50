"""Find the likely causes of what a check has found wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from minigan.gradcheck import diagnose, elsewhere
from minigan.gradcheck.case import Numbers
from minigan.gradcheck.compare import Comparison, Settings
from minigan.gradcheck.report import Misconduct, Report
from minigan.gradcheck.slopes import Line
from minigan.gradcheck.spot import Spot

DIAGNOSED_SIZE = 800
MOST_MEASURED = 3_000
"""Entries that are measured while causes are sought; each takes some forward calls."""
Compared = dict[str, tuple[Spot, Comparison]]


def causes(first: Spot, compared: Compared, settings: Settings) -> None:
    """Give each wrong row of the report a likely cause.

    Parameters
    ----------
    first
        The spot that was asked for.
    compared
        For each array, the spot where it was found wrong, and the comparison there.
    settings
        How to compare.
    """
    wrong = {n: c for n, c in compared.items() if c[1].report.error > settings.tolerance}
    try:
        _seek(first, compared, wrong, settings)
    except Misconduct as error:  # at a point that was made up: what was found before stands
        first.report.notes.append(f"no more causes were sought: {error}")


def _seek(first: Spot, compared: Compared, wrong: Compared, settings: Settings) -> None:
    telling = wrong if _is_telling(first) else wrong | _at_a_telling_spot(first, wrong, settings)
    purse = Purse(MOST_MEASURED)
    for name, (_, comparison) in wrong.items():
        for spot, better in (telling[name], wrong[name]):
            if better.gradient.size <= DIAGNOSED_SIZE:
                cause = diagnose.likely_cause(_case(spot, better, purse))
                unknown = cause == diagnose.UNKNOWN
                comparison.report.cause = _beside(wrong, compared) if unknown else cause
                break


class Purse:
    """What may still be measured: a question that costs more is refused."""

    def __init__(self, left: int) -> None:
        self.left = left

    def pay(self, flat: Numbers) -> Numbers:
        """Take the price of measuring entries; return them."""
        self.left -= len(flat)
        if self.left < 0:
            raise diagnose.Refused
        return flat


def _beside(wrong: Compared, compared: Compared) -> str:
    """Say what is right beside what is wrong without a known cause: where not to look."""
    right = [name for name in compared if name not in wrong]
    if not right:
        return diagnose.UNKNOWN
    where = (
        "the line that computes this one"
        if len(wrong) == 1
        else f"what is computed for {_few(list(wrong))} alone"
    )
    verb = "gradient of {} is" if len(right) == 1 else "gradients of {} are"
    return (
        f"none of the usual ones fits; the {verb.format(_few(right))} right: look first at {where}"
    )


def _few(names: list[str]) -> str:
    """List names, at most three."""
    shown = [*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])]
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last


def _is_telling(spot: Spot) -> bool:
    """Tell whether no other size is that of the batch: where all are 1, causes look alike."""
    n, *others = spot.xs[0].shape or (0,)
    return n > 2 and n not in (*others, *spot.y.shape[1:])


def _at_a_telling_spot(first: Spot, wrong: Compared, settings: Settings) -> Compared:
    """Compare again at other sizes, if the layer takes them."""
    notes = list(first.report.notes)
    found = {}
    for spot in elsewhere.spots(first, settings.rng):
        if _is_telling(spot):
            for comparison in spot.comparisons(settings.rough()):
                name = comparison.report.name
                if name in wrong and comparison.run().error > settings.tolerance:
                    found[name] = spot, comparison
            break
    first.report.notes[:] = notes
    return found


def _case(spot: Spot, comparison: Comparison, purse: Purse) -> diagnose.Case:
    x = next(iter(spot.inputs.values()), None)
    return diagnose.Case(
        comparison.report.name,
        comparison.gradient,
        comparison.measure_all(),
        x,
        spot.xs[0].shape[0] if spot.xs[0].ndim else None,
        _sizes(spot),
        lambda: _masked(spot, comparison),
        spot.y,
        spot.dy,
        spot.values,
        lambda x, dy, changed, flat: spot.numeric(
            comparison.report.name, x, dy, changed, purse.pay(flat)
        ),
        lambda: spot.subject.kept(spot.xs, spot.values),
        lambda flat: spot.contributions(comparison.report.name, purse.pay(flat)),
        lambda dy: spot.given(comparison.report.name, dy),
    )


def _sizes(spot: Spot) -> dict[int, str]:
    """Return what each size is called; where several things share one, all of them."""
    y_shape, x_shape = spot.y.shape, spot.xs[0].shape
    if not x_shape:
        return {}
    first = _channels_first(spot)
    named = [(x_shape[0], "the batch size")]
    if len(y_shape) == 4:
        pixels = math.prod(y_shape[2:] if first else y_shape[1:3])
        named += [
            (pixels, "the number of pixels of y"),
            (y_shape[0] * pixels, "the number of samples times the pixels of y"),
        ]
    if len(x_shape) == 4:
        named += [(math.prod(x_shape[2:] if first else x_shape[1:3]), "the number of pixels of x")]
    for what, shape in (("x", x_shape), ("y", y_shape)):
        if len(shape) == 3:
            named += [(shape[1], f"axis 1 of {what}")]
    named += [(x_shape[-1], "the last axis of x")] if x_shape[1:] else []
    named += [(y_shape[-1], "the last axis of y")] if y_shape[1:] else []
    named += [] if y_shape else [(math.prod(x_shape), "the number of entries of x")]
    sizes: dict[int, str] = {}
    for size, what in named:
        if what not in sizes.get(size, ""):
            sizes[size] = f"{sizes[size]} (and also {what})" if size in sizes else what
    return sizes


def _channels_first(spot: Spot) -> bool:
    """Tell whether images have their channels after the samples, as far as can be seen."""
    x, y = spot.xs[0].shape, spot.y.shape
    if len(x) != 4:
        return False
    for value in spot.values.values():
        if value.ndim == 1 and len(y) == 4 and value.shape[0] in {y[1], y[3]} and y[1] != y[3]:
            return bool(value.shape[0] == y[1])
        if value.ndim == 4 and len(y) == 4 and value.shape[0] != value.shape[3]:
            return bool(value.shape[:2] in ((y[1], x[1]), (x[1], y[1])))
    return y[1:2] == x[1:2] and y[-1] != x[-1]


def _parts_of(spot: Spot) -> list[str]:
    """Return what an index along each axis of y stands for."""
    if spot.dy.ndim == 4 and _channels_first(spot):
        return ["sample", "channel of y", "row of y", "column of y"]
    if spot.dy.ndim == 4:
        return ["sample", "row of y", "column of y", "channel of y"]
    return ["sample", *(f"index along axis {k} of y" for k in range(1, spot.dy.ndim))]


def _masked(spot: Spot, comparison: Comparison) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield measurements with dy kept only for the first or last sample, row or column."""
    for axis, what in enumerate(_parts_of(spot)[: spot.dy.ndim]):
        for index, which in ((0, "first"), (-1, "last")):
            if spot.dy.shape[axis] > 1:
                place = (*[slice(None)] * axis, index)
                yield f"the {which} {what}", _measurement(spot, comparison, place)
            if spot.dy.shape[axis] > 2:
                rest = (*[slice(None)] * axis, slice(None, -1) if index else slice(1, None))
                yield f"all but the {which} {what}", _measurement(spot, comparison, rest)
    if spot.dy.ndim == spot.xs[0].ndim == 4:
        pixels = slice(2, 4) if _channels_first(spot) else slice(1, 3)
        sizes = zip(spot.xs[0].shape[pixels], spot.dy.shape[pixels], strict=True)
        blocks = [max(b // max(a, 1), 1) for a, b in sizes]
        if max(blocks) > 1:
            corners = [slice(None)] * 4
            corners[pixels] = [slice(None, None, block) for block in blocks]
            yield "the first pixel of each block", _measurement(spot, comparison, tuple(corners))
    labels = spot.xs[0].dtype.kind in "iu" and spot.xs[0].ndim == 1
    if labels and spot.dy.shape[:1] == spot.xs[0].shape:
        last = {int(label): i for i, label in enumerate(spot.xs[0])}
        yield (
            "the last occurrence of each label",
            _measurement(spot, comparison, (list(last.values()),)),
        )


def _measurement(spot: Spot, comparison: Comparison, place: Any) -> Callable[[], Any]:
    dy = numpy.zeros_like(spot.dy)
    dy[place] = spot.dy[place]
    return lambda: comparison.measure_all(
        Line(comparison.line.evaluate, dy, h=comparison.settings.h)
    )


def culprit(report: Report) -> str | None:
    """Name the wrong layer of a Sequential: its dx spoils the gradients of all layers below."""
    numbered = [(a.name.partition(".")[0], a.error > report.tolerance) for a in report.arrays]
    wrong = [int(name) for name, bad in numbered if bad and name.isdigit()]
    right = [int(name) for name, bad in numbered if not bad and name.isdigit()]
    above = [index for index in right if not wrong or index > max(wrong)]
    failed = any(a.error > report.tolerance for a in report.arrays)  # not a second derivative
    through = any(a.name == "x" and a.error <= report.tolerance for a in report.arrays)
    if not failed or through or not above or (wrong and min(right) <= max(wrong)):
        return None
    first, last = (max(wrong) + 1 if wrong else 0), min(above)
    which = f"layer {last}" if first == last else f"one of the layers {first} to {last}"
    return (
        f"The gradients of layer {last} and above are right, those below are wrong: look at dx in "
        f"backward of {which}."
    )

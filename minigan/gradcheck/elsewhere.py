"""Check a layer where mistakes can't hide: moved weights, other sizes, large inputs, float32."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy

from minigan.gradcheck.report import GradientError, Misconduct, Report
from minigan.gradcheck.spot import Spot
from minigan.gradcheck.subject import Numbers, moved

LARGE, HUGE = 10.0, 300.0
SINGLE = 1e-2
"""A relative error in float32 that isn't rounding any more."""
SMALL = 1e-3
"""Of the largest gradient: what is smaller is compared with this share of it."""


def spots(first: Spot, rng: numpy.random.Generator) -> Iterator[Spot]:
    """Yield spots with moved weights: with other sizes, then with large inputs.

    Parameters
    ----------
    first
        The spot of the first check, which was passed.
    rng
        Draws the inputs, the weights and dy.
    """
    values = {name: moved(value, rng) for name, value in first.values.items()}
    where = "with weights moved away from their initial values" if values else ""
    yield from _made(first, _other_sizes(first, rng), values, where, rng)
    large = [x * LARGE if x.dtype.kind == "f" else x for x in first.xs]
    if first.inputs:
        yield from _made(first, [large], values, "for inputs ten times as large", rng)


def _made(
    first: Spot, choices: Any, values: Any, where: str, rng: numpy.random.Generator
) -> Iterator[Spot]:
    """Yield the first choice of inputs that the layer takes."""
    refusal = ""
    for xs in choices:
        shape = xs[0].shape
        sizes = f"for x {shape}" if shape != first.xs[0].shape else ""
        named = ", ".join(part for part in (sizes, where) if part)
        report = Report(first.report.subject, first.report.tolerance)
        try:
            spot = Spot(first.subject, xs, report, values=values, where=named)
        except GradientError:
            first.report.notes.append(f"y isn't finite {named}, so nothing was checked there")
            return
        except Misconduct:
            raise
        except Exception as error:  # a layer may refuse other sizes in any way
            refusal = _first_line(error)
            continue
        spot.found, spot.report = first.found, first.report
        try:
            spot.run(numpy.asarray(rng.standard_normal(spot.y.shape)))
        except (GradientError, Misconduct):
            raise
        except Exception as error:  # made for one size, or it has kept what is of another
            refusal = _first_line(error)
            first.report.notes.append(f"backward fails {named}, where forward doesn't: {refusal}")
            continue
        yield spot
        return
    first.report.notes.append(f"no other inputs could be checked: {refusal}")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _other_sizes(first: Spot, rng: numpy.random.Generator) -> Iterator[list[Numbers]]:
    """Yield inputs of other sizes, the most different first, ending with the same sizes."""
    shapes = [x.shape for x in first.xs]
    n = shapes[0][0] if shapes[0] else 0
    taken = {size for shape in (*shapes, first.y.shape) for size in shape[1:]}
    batch = next(m for m in ((6, 4, 8, 10, 12) if n % 2 else (5, 7, 3, 9, 11)) if m not in taken)
    same_batch = all(shape[:1] == (n,) for shape in shapes)
    for grow in (True, False):
        if same_batch and (not grow or len(shapes[0]) > 2):
            yield [_drawn_like(x, (batch, *_grown(x.shape[1:], grow)), rng) for x in first.xs]
    yield [_drawn_like(x, x.shape, rng) for x in first.xs]


def _grown(shape: tuple[int, ...], grow: bool) -> tuple[int, ...]:
    """Make the axes between the batch and the channels longer, each by another amount."""
    between = shape[:-1] if grow else ()
    return (*(size + 2 * i + 1 for i, size in enumerate(between)), *shape[len(between) :])


def _drawn_like(x: Numbers, shape: tuple[int, ...], rng: numpy.random.Generator) -> Numbers:
    """Draw from the numbers of x, so that what it needs (positive numbers, labels) stays so."""
    drawn = numpy.asarray(rng.choice(x.ravel(), shape) if x.size else numpy.zeros(shape, x.dtype))
    return drawn * rng.uniform(0.8, 1.2, shape) if x.dtype.kind == "f" else drawn


def huge(first: Spot) -> None:
    """Complain about NaN for large inputs, where no infinity explains it."""
    xs = [x * HUGE if x.dtype.kind == "f" else x for x in first.xs]
    if not first.inputs:
        return
    try:
        y = first.subject.evaluate(xs, first.values)
        result = first.subject.backward(first.dy, first.subject.forward(xs).handle)
    except Exception as error:  # a layer may refuse such numbers
        first.report.notes.append(f"large inputs are refused: {str(error).partition(chr(10))[0]}")
        return
    size = max((float(abs(x).max()) for x in xs if x.dtype.kind == "f" and x.size), default=0.0)
    named = {"y": y} | {f"d{n}": d for n, d in zip(first.inputs, result.dx, strict=False)}
    for what, a in named.items():
        if numpy.isnan(a).any() and not numpy.isinf(y).any():
            first.complain(
                f"{what} holds NaN for inputs as large as {size:.3g}: use a form that can't "
                "overflow, or look for 0 times infinity"
            )


def single_precision(first: Spot, narrow: Any) -> None:
    """Compare with the same layer in float32, at numbers that both can hold.

    Parameters
    ----------
    first
        The spot in float64.
    narrow
        The layer in float32.
    """
    xs = [x.astype("float32") if x.dtype.kind == "f" else x for x in first.xs]
    report = Report(first.report.subject, first.report.tolerance)
    try:
        spot = Spot(narrow, xs, report, dtype="float32")
        spot.search(numpy.random.default_rng(0))
        spot.values = {n: numpy.asarray(v, "float32") for n, v in first.values.items()}
        spot.run(first.dy.astype("float32"))
    except GradientError:
        first.report.problems += [f"for float32 input, {p}" for p in report.problems]
        return
    first.report.problems += [f"for float32 input, {p}" for p in report.problems]
    if spot.traits.random or report.problems:
        return  # another precision may draw other numbers
    wide = Spot(
        first.subject, [x.astype("float64") if x.dtype.kind == "f" else x for x in xs], report,
        values={n: v.astype("float64") for n, v in spot.values.items()},
    )  # fmt: skip
    wide.run(spot.dy.astype("float64"))
    first.subject.put(first.values)
    pairs = {"y": (spot.y, wide.y)}
    pairs |= {f"d{n}": (spot.dx[i], wide.dx[i]) for i, n in enumerate(first.inputs)}
    pairs |= {f"the gradient of {n}": (g, wide.grads[n]) for n, g in spot.grads.items()}
    # A gradient that cancels to 0, as of a bias before batch normalisation, keeps rounding of its
    # terms, which are as large as other gradients are.
    sizes = {what: float(abs(b).max(initial=0)) for what, (_, b) in pairs.items()}
    least = max(1e-3, SMALL * max(sizes.values()))
    for what, (a, b) in pairs.items():
        scale = max(sizes[what], least)
        if not bool((abs(a - b) <= SINGLE * scale).all()):
            first.complain(
                f"{what} in float32 differs from float64 by more than rounding: look for a "
                "constant that is too small or too large for float32"
            )

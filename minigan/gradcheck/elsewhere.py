"""Check a layer where mistakes can't hide: moved weights, other sizes, large inputs, float32."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy

from minigan.gradcheck.report import GradientError, Misconduct, Report
from minigan.gradcheck.slopes import EPS, entry_mover
from minigan.gradcheck.spot import Spot, largest
from minigan.gradcheck.subject import Numbers, moved

LARGE = 10.0
HUGE = 300.0, 30.0
"""How much larger than the given one: the lesser where y overflows, as an exponential must."""
OUTERMOST, FAR_STEP, FAR = 3, 1e-6, 0.1
"""How many entries at each end are moved, how far beside their size, and which error is one."""
OVERFLOWS, ORDINARY = 100.0, 1e30
"""An input whose exponential is too large for float32, and what isn't."""
OVERFLOW = "use a form that can't overflow, or look for 0 times infinity"
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
        except GradientError:  # y isn't finite, for example
            first.report.notes.append(f"{report.problems[-1]}, so nothing was checked there")
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
    near, more = ((6, 4, 8, 10, 12), 14) if n % 2 else ((5, 7, 3, 9, 11), 13)
    batch = next(m for m in itertools.chain(near, itertools.count(more, 2)) if m not in taken)
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
    """Complain about wrong gradients for large inputs, where y and they are ordinary numbers."""
    for factor in HUGE if first.inputs else ():
        xs = [x * factor if x.dtype.kind == "f" else x for x in first.xs]
        size = largest(x for x in xs if x.dtype.kind == "f")
        where, report = f"for inputs as large as {size:.3g}", Report(first.report.subject, 0.0)
        try:
            spot = Spot(first.subject, xs, report, values=first.values, where=where)
            spot.run(first.dy)
        except GradientError:  # y overflows, or these numbers aren't in its domain
            continue
        except Misconduct:
            raise
        except Exception as error:  # a layer may refuse such numbers
            first.report.notes.append(f"large inputs are refused: {_first_line(error)}")
            return
        for name, dx in zip(spot.inputs, spot.dx, strict=True):
            if numpy.isnan(dx).any():
                first.complain(f"d{name} holds NaN {where}: {OVERFLOW}")
        if all(bool(numpy.isfinite(dx).all()) for dx in spot.dx):
            _compare_outermost(first, spot)
            return


def _compare_outermost(first: Spot, spot: Spot) -> None:
    """Compare the gradients of the lowest and the highest entries of large inputs with slopes."""
    for (name, x), dx, before in zip(spot.inputs.items(), spot.dx, first.dx, strict=True):
        floor = max(0.01 * largest([dx, before]), 1e-5 * largest([*spot.dx, *spot.grads.values()]))
        order = [int(k) for k in numpy.argsort(x, axis=None)]
        for k in dict.fromkeys([*order[:OUTERMOST], *order[-OUTERMOST:]]):
            index = tuple(int(i) for i in numpy.unravel_index(k, x.shape))
            slope, noise = _far_slope(spot, name, index)
            analytic = float(dx[index])
            if abs(analytic - slope) > FAR * max(abs(analytic), abs(slope), floor) + noise:
                first.complain(
                    f"the gradient of {name} is wrong {spot.where}, at {list(index)}: backward "
                    f"gives {analytic:.6g}, finite differences give {slope:.6g}"
                )
                return


def _far_slope(spot: Spot, name: str, index: tuple[int, ...]) -> tuple[float, float]:
    """Return a slope at a large entry, and its rounding error; NaN if f isn't smooth there.

    Whether it is smooth is seen from the slopes alone: here a gradient may be so large that beside
    it all slopes look alike.
    """
    array = numpy.array(spot.inputs[name])
    output, move = spot.output_of(name, array), entry_mover(array, index)
    step = FAR_STEP * max(abs(float(array[index])), 1.0)
    outputs = {}
    for t in (step, -step, 10 * step, -10 * step):
        move(t)
        outputs[t] = output()
    rise = {t: float((spot.dy * (y - spot.y)).sum()) / t for t, y in outputs.items()}
    wide = (rise[10 * step] + rise[-10 * step]) / 2
    found = numpy.array([rise[step], rise[-step], wide])
    noise = 10 * EPS * float(abs(spot.dy * spot.y).sum()) / step
    smooth = numpy.ptp(found) <= SINGLE * abs(found).max() + noise
    return (float(found[:2].mean()) if smooth else numpy.nan), noise


def overflow(first: Spot, narrow: Any) -> None:
    """Complain where float32 overflows on the way to numbers that it could hold.

    Parameters
    ----------
    first
        The spot in float64.
    narrow
        The layer in float32, after `single_precision`.
    """
    size = largest(first.inputs.values())
    for extreme in (OVERFLOWS, -OVERFLOWS) if size else ():
        factor = extreme / size
        xs = [(x * factor).astype("float32") if x.dtype.kind == "f" else x for x in first.xs]
        right = _results(first.subject, first, xs, "float64")
        if not right or not all(bool((abs(a) <= ORDINARY).all()) for a in right.values()):
            continue  # it overflows there, too, or these numbers aren't in its domain
        for what, a in _results(narrow, first, xs, "float32").items():
            if not numpy.isfinite(a).all():
                first.complain(
                    f"{what} isn't finite for float32 inputs as large as {OVERFLOWS:g}, where "
                    f"float64 gives ordinary numbers: {OVERFLOW}"
                )


def _results(subject: Any, first: Spot, xs: list[Numbers], dtype: str) -> dict[str, Numbers]:
    """Return y and all gradients by what a message calls them; nothing if the layer refuses."""
    given = [x.astype(dtype) if x.dtype.kind == "f" else x for x in xs]
    values = {n: v.astype(dtype) for n, v in first.values.items()}
    try:
        forward = subject.forward(given, values=values)
        result = subject.backward(first.dy.astype(dtype), forward.handle)
    except Misconduct:
        raise
    except Exception:  # a layer may refuse such numbers
        return {}
    named = {"y": forward.y} | {f"d{n}": d for n, d in zip(first.inputs, result.dx, strict=False)}
    named |= {f"the gradient of {n}": g for n, g in result.grads.items()}
    return {what: a for what, a in named.items() if isinstance(a, numpy.ndarray)}


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

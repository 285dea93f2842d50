"""Check the gradients of a layer or a net, and that it keeps the contract of layers."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.gradcheck import elsewhere, explain, second
from minigan.gradcheck.compare import Settings, too_many_skipped
from minigan.gradcheck.conduct import Conduct
from minigan.gradcheck.explain import Compared
from minigan.gradcheck.report import GradientError, Report
from minigan.gradcheck.spot import Spot
from minigan.gradcheck.subject import Numbers, Subject, given_back


def check(
    layer: Any,
    x: Any,
    *,
    rng: numpy.random.Generator | int | None = None,
    train: bool = True,
    dy: Array | None = None,
    tolerance: float = 1e-6,
    h: float = 1e-3,
    samples: int | None = 100,
    directions: int | None = None,
    constants: Iterable[str] = (),
) -> Report:
    """Check every gradient of a layer or a net against finite differences, in float64.

    The layer is copied and isn't changed. With a random cotangent dy, the loss ``L = Σ dy · y`` has
    the gradient that ``backward(dy, cache)`` must give; each entry is moved by ±h and ±2h, and the
    slope of L is compared: for the input and for every floating-point number that the layer holds.
    One that moves y and has no gradient is an error, but for single numbers that may be settings,
    such as ``self.slope = 0.2``: these a note names.

    After that it is done again where mistakes can't hide: with weights moved away from their
    initial values, another batch size and other image sizes (where the layer takes them), inputs
    ten and 300 times as large, and in float32. ``double_backward``, if there is one, is
    differentiated too.

    Besides the numbers, the contract is checked: x and dy are never written to, gradients are added
    (a second backward doubles them), forward leaves them alone, backward is linear in dy, dx has
    x's shape, nothing is NaN, ``param_grads=False`` leaves the gradients alone, a cache survives
    other forward calls, and strided views of x and dy give the same as contiguous arrays.

    Parameters
    ----------
    layer
        An object with ``forward(x) -> (y, cache)`` and ``backward(dy, cache) -> dx``, or with
        ``forward(x) -> y`` and ``backward(dy) -> dx``; the keywords ``train``, ``param_grads`` and
        ``input_grad`` are used where they are declared. What it learns may be
        `minigan.nn.Parameter` or any object with ``value`` and ``grad``; or plain arrays and
        numbers in attributes, slots, lists and dicts, whose gradients have names that tell
        (``W``, ``dW``; ``params["W"]``, ``grads["W"]``) or are returned beside dx. Random
        generators and running statistics inside are put back before every evaluation.
    x
        The input: floating-point (converted to float64), or integers, for which no dx is needed;
        or a tuple of these, for a layer that takes one.
    rng
        Draws dy, the entries and the directions: a generator or a seed; seed 0 if None. What is
        drawn differs from what x would be drawn with from the same seed.
    train
        Whether to check training mode, rather than evaluation.
    dy
        The cotangent, drawn from N(0, 1) if None. Ones are a poor choice: batch norm's gradient is
        then 0.
    tolerance
        The largest relative error that passes.
    h
        The largest step; smaller ones are tried where a kink is in reach.
    samples
        Number of entries to check per array, drawn at random, plus one random direction for the
        rest; all entries if there are no more than that, or if None.
    directions
        For big nets: check each array along this many random directions, instead of entry by entry.
    constants
        Names of arrays that move y but aren't learnt, such as a fixed filter.

    Returns
    -------
    Report
        ``str(report)`` is a table.

    Raises
    ------
    GradientError
        If a gradient is wrong or the contract is broken; it names the array, the index, both
        numbers and, if it can be found, the likely cause, and has the report attached.
    TypeError, ValueError
        If `layer` isn't a layer, `x` is empty or isn't a finite array, or an option is out of
        range.

    Notes
    -----
    The relative error of an entry is ``|a - n| / max(|a|, |n|, floor)``, where a is the given
    gradient and n the numeric one. The floor keeps entries close to zero from raising false alarms:
    it is 1 % of the largest entry of the array, at least 1e-5 of the largest gradient of all (a
    bias before batch norm has a gradient of exactly 0, up to rounding), and at least the possible
    rounding error of n divided by the tolerance. Along a direction, the floor is the expected size
    of a slope along a random one, ``|a|₂ / √n``.
    """
    settings = Settings(tolerance, h, samples, directions, apart(generator(rng)))
    given = x if isinstance(x, tuple) else (x,)
    xs = [backend.to_numpy(point(part)) for part in given]
    options: Any = {"train": train, "device": backend.of(given[0]), "constants": constants}
    with given_back(layer):
        subject, narrow = Subject(layer, **options), Subject(layer, dtype="float32", **options)
        return examine(subject, narrow, xs, dy, settings, train)


def generator(rng: numpy.random.Generator | int | None) -> numpy.random.Generator:
    """Turn a seed into a generator; seed 0 if None."""
    return (
        rng
        if isinstance(rng, numpy.random.Generator)
        else numpy.random.default_rng(0 if rng is None else rng)
    )


def apart(rng: numpy.random.Generator) -> numpy.random.Generator:
    """Return a generator whose numbers differ from those that `rng` gives.

    A caller often draws x from the same seed, and a dy equal to x hides mistakes.
    """
    return numpy.random.default_rng([int(n) for n in rng.integers(2**32, size=4)])


def point(x: Any) -> Array:
    """Copy x as float64, to differentiate there; refuse what is empty or isn't finite."""
    x = float64(x)
    if not x.size:
        raise ValueError(
            f"The input is empty (its shape is {tuple(x.shape)}), so nothing could be checked; "
            "give at least one number."
        )
    if not bool(backend.of(x).xp.isfinite(x).all()):
        raise ValueError("The input holds NaN or infinity; give finite numbers.")
    return x


def float64(x: Any) -> Array:
    """Copy x; widen floating-point numbers."""
    ops = backend.of(x)
    if x.dtype.kind == "f":
        return ops.xp.array(x, dtype="float64")
    if x.dtype.kind in "iu":
        return ops.xp.array(x)
    raise TypeError(
        f"The input has dtype {x.dtype}, but needs floating-point numbers, or integers for labels."
    )


def examine(
    subject: Any, narrow: Any, xs: list[Numbers], dy: Array | None, settings: Settings, train: bool
) -> Report:
    """Check a layer that may be here or in another process.

    Parameters
    ----------
    subject, narrow
        The layer in float64 and in float32.
    xs
        The inputs, float64 or integers.
    dy
        The cotangent, or None to draw it.
    settings
        How to compare.
    train
        Whether this is training mode.
    """
    mode = "training" if train else "evaluation"
    shapes = ", ".join(str(x.shape) for x in xs)
    report = Report(f"{subject.traits().name}, {mode}, x {shapes}", settings.tolerance)
    first = Spot(subject, xs, report)
    if not first.y.size:
        raise first.stop(f"y is empty (its shape is {first.y.shape}), so nothing can be checked")
    first.search(settings.rng)
    first.run(_cotangent(dy, first.y, settings.rng))
    if not report.problems:
        Conduct(first, report).check()
    _held(first, report)
    comparisons = _compare(first, settings)
    others = elsewhere.spots(first, settings.rng) if report.ok else iter(())
    for spot in others:
        _compare_again(spot, settings.rough(), comparisons)
    if report.ok:
        elsewhere.huge(first)
        elsewhere.single_precision(first, narrow)
    if report.ok:
        elsewhere.overflow(first, narrow)
    if report.ok and first.traits.second:
        second.check(first, settings.rough())
    if not report.ok:
        explain.causes(first, comparisons, settings)
        raise GradientError(report, hint=explain.culprit(report))
    return report


def _cotangent(dy: Array | None, y: Numbers, rng: numpy.random.Generator) -> Numbers:
    if dy is None:
        return numpy.asarray(rng.standard_normal(y.shape))
    if tuple(dy.shape) != y.shape:
        raise ValueError(f"dy has shape {tuple(dy.shape)}, but y has {y.shape}; they must agree.")
    return numpy.array(backend.to_numpy(dy), dtype="float64")


def _held(spot: Spot, report: Report) -> None:
    """Complain about what moves y and has no gradient; say which numbers are taken as fixed."""
    for name, shape in spot.found.missing.items():
        report.problems.append(
            f"{name} {shape} moves y, but backward gives no gradient for it: {_where_to_keep(name)}"
            f", or make it a Parameter; if it is a constant, say so with constants="
            f"[{name!r}] (--constant {name})"
        )
    report.problems += [
        f"{name.rpartition('.')[2]} moves y, but is kept outside the layer, where it can't be "
        "checked: keep it in an attribute (self.W); if it is a constant, say so with "
        f"constants=[{name.rpartition('.')[2]!r}] (--constant {name.rpartition('.')[2]})"
        for name in spot.found.outside
    ]
    report.problems += [
        f"{name} isn't a floating-point number, so it can't be moved by a little, and its gradient "
        "can't be checked: let it hold real numbers (2.0 for 2, or astype(float))"
        for name in spot.found.whole
    ]
    if spot.found.constants:
        report.notes.append(
            f"taken as settings that aren't learnt: {', '.join(spot.found.constants)}"
        )


def _where_to_keep(name: str) -> str:
    own = name.rpartition(".")[2]
    if own.isdigit():
        return "keep the gradients in a list of the same order (grads)"
    return f"name the gradient d{own}"


def _compare(spot: Spot, settings: Settings) -> Compared:
    compared = {}
    for comparison in spot.comparisons(settings):
        row = comparison.run()
        spot.report.arrays.append(row)
        skipped = too_many_skipped(row)
        if skipped:
            spot.report.problems.append(skipped)
        compared[row.name] = spot, comparison
    return compared


def _compare_again(spot: Spot, settings: Settings, compared: Compared) -> None:
    """Compare at another spot; a row is changed only if it is wrong there."""
    for comparison in spot.comparisons(settings):
        row, name = comparison.run(), comparison.report.name
        before = compared[name][1].report
        if row.error > settings.tolerance >= before.error or math.isnan(before.error):
            before.error, before.index, before.where = row.error, row.index, spot.where
            before.analytic, before.numeric = row.analytic, row.numeric
            comparison.report = before
            compared[name] = spot, comparison

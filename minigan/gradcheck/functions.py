"""Check losses, and any other number that comes with gradients, such as a whole training step."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.gradcheck import diagnose
from minigan.gradcheck.compare import Comparison, Settings, too_many_skipped
from minigan.gradcheck.explain import DIAGNOSED_SIZE
from minigan.gradcheck.layers import float64, generator, point
from minigan.gradcheck.report import GradientError, Report
from minigan.gradcheck.slopes import Line


def check_function(
    function: Callable[..., Any],
    x: Array,
    *arguments: Any,
    rng: numpy.random.Generator | int | None = None,
    tolerance: float = 1e-6,
    h: float = 1e-3,
    samples: int | None = 100,
    directions: int | None = None,
) -> Report:
    """Check a function that returns ``(loss, gradient)``, such as those of `minigan.losses`.

    Parameters
    ----------
    function
        Called as ``function(x, *arguments)``.
    x
        What the gradient is with respect to; a copy in float64 is used.
    arguments
        Further arguments, such as the target, passed on as they are (floating-point arrays in
        float64).
    rng, tolerance, h, samples, directions
        As in `check`.

    Returns
    -------
    Report

    Raises
    ------
    GradientError
        If the gradient is wrong, doesn't have the shape of x, or x is written to.
    TypeError
        If the function doesn't return a pair.
    ValueError
        If x is empty or isn't finite, or an option is out of range.
    """
    x = point(x)
    given = [
        float64(a) if getattr(getattr(a, "dtype", None), "kind", "") == "f" else a
        for a in arguments
    ]
    name = getattr(function, "__name__", type(function).__name__)
    untouched = x.copy()
    result = function(x, *given)
    if not (isinstance(result, tuple) and len(result) == 2):
        raise TypeError(
            f"{name} returned {type(result).__name__}, but must return a pair (loss, gradient)."
        )
    gradient = result[1]
    report = Report(f"{name}, x {tuple(x.shape)}", tolerance)
    if not bool((x == untouched).all()):
        report.problems.append(f"{name} writes to x: it must leave its input as it is")
    if not hasattr(gradient, "dtype") or tuple(gradient.shape) != tuple(x.shape):
        report.problems.append(
            f"the gradient has shape {tuple(getattr(gradient, 'shape', ()))}, but must have that "
            f"of x, {tuple(x.shape)}"
        )
        raise GradientError(report)
    settings = Settings(tolerance, h, samples, directions, generator(rng))
    return _compare(
        report, lambda: function(x, *given)[0], {"x": x}, {"x": gradient.copy()}, settings
    )


def check_scalar(
    function: Callable[[], Any],
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    *,
    rng: numpy.random.Generator | int | None = None,
    tolerance: float = 1e-6,
    h: float = 1e-3,
    samples: int | None = 100,
    directions: int | None = 3,
    subject: str = "the function",
) -> Report:
    """Check the gradients of a number with respect to any arrays: a whole GAN step, for example.

    Parameters
    ----------
    function
        Takes no arguments and returns the loss, computed from `arrays` as they are at the time of
        the call; the same numbers must give the same loss (draw latents once, outside).
    arrays
        By name, float64; moved in place and put back exactly.
    gradients
        By the same names.
    rng, tolerance, h, samples, directions
        As in `check`, but along three random directions per array by default; entry by entry with
        ``directions=None``.
    subject
        What the error and the table call it.

    Returns
    -------
    Report

    Raises
    ------
    GradientError
        If a gradient is wrong, or the function isn't repeatable.
    ValueError, TypeError
        If the names or shapes of `arrays` and `gradients` differ, or an array is empty or isn't
        float64.

    Examples
    --------
    >>> import numpy
    >>> w, x = numpy.ones((3, 2)), numpy.arange(6.0).reshape(2, 3)
    >>> report = check_scalar(lambda: (x @ w).sum(), {"w": w}, {"w": x.T @ numpy.ones((2, 2))})
    >>> report.ok
    True
    """
    if arrays.keys() != gradients.keys() or not arrays:
        raise ValueError(
            f"arrays and gradients need the same names, got {list(arrays)} and {list(gradients)}."
        )
    for name, array in arrays.items():
        if array.dtype != "float64":
            raise TypeError(
                f"{name!r} is {array.dtype}, but finite differences need float64; use "
                "net.astype('float64')."
            )
        if not array.size:
            raise ValueError(
                f"{name!r} is empty (its shape is {tuple(array.shape)}), so it can't be checked; "
                "leave it out, or give at least one number."
            )
        if tuple(array.shape) != tuple(gradients[name].shape):
            raise ValueError(
                f"{name!r} has shape {tuple(array.shape)}, its gradient "
                f"{tuple(gradients[name].shape)}; they must agree."
            )
    report = Report(subject, tolerance)
    settings = Settings(tolerance, h, samples, directions, generator(rng))
    return _compare(report, function, arrays, {n: g.copy() for n, g in gradients.items()}, settings)


def _compare(
    report: Report,
    function: Callable[[], Any],
    arrays: Mapping[str, Array],
    gradients: Mapping[str, Array],
    settings: Settings,
) -> Report:
    def evaluate() -> Array:
        # A copy: the function may return an array of its own that a later call overwrites.
        return numpy.array(
            backend.to_numpy(
                numpy.float64(value) if isinstance(value := function(), (int, float)) else value
            )
        )

    if evaluate().shape != ():
        raise TypeError(f"The loss has shape {evaluate().shape}, but must be one number.")
    if evaluate() != evaluate():
        report.problems.append(
            "the loss differs between two calls, or is NaN: it must depend on the arrays alone"
        )
        raise GradientError(report)
    line = Line(evaluate, numpy.ones(()), h=settings.h)
    scale = max(float(abs(g).max()) for g in gradients.values())
    for name, array in arrays.items():
        comparison = Comparison(
            name, array, gradients[name], line, scale if math.isfinite(scale) else 0.0, settings
        )
        row = comparison.run()
        report.arrays.append(row)
        skipped = too_many_skipped(row)
        if skipped:
            report.problems.append(skipped)
        if row.error > settings.tolerance and array.size <= DIAGNOSED_SIZE:
            row.cause = diagnose.likely_cause(_case(comparison))
    if not report.ok:
        raise GradientError(report)
    return report


def _case(comparison: Comparison) -> diagnose.Case:
    shape = comparison.gradient.shape
    named = {n: f"the size of axis {k}" for k, n in reversed(list(enumerate(shape)))}
    batch = shape[0] if shape and comparison.report.name == "x" else None
    if batch is not None:
        named[batch] = "the batch size"
    sizes = {int(comparison.gradient.size): "the number of entries"} | named
    x = numpy.array(backend.to_numpy(comparison.array))
    return diagnose.Case(
        comparison.report.name, comparison.gradient, comparison.measure_all(), x, batch, sizes,
        lambda: iter(()),
    )  # fmt: skip

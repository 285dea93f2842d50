"""One spot at which a layer is checked: an input, learnt values, a cotangent, and what it gives."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from typing import Any

import numpy

from minigan.gradcheck.compare import Comparison, Settings
from minigan.gradcheck.report import GradientError, Report
from minigan.gradcheck.slopes import Line, entry_mover
from minigan.gradcheck.subject import Found, Numbers, Odd, Traits

STEP = 1e-5
"""How far an entry is moved, where three digits less than the check's are enough."""


class Spot:
    """A forward and a backward call, checked for shapes, dtypes and finite numbers.

    Parameters
    ----------
    subject
        The layer: a `Subject`, or one that stands for it in another process.
    xs
        The inputs, float64 or integers.
    report
        Gets the problems.
    values
        Learnt values, by name; those that the layer has now, if None.
    dtype
        The precision in which the layer computes here.
    where
        What to call this spot in a message; nothing for the first one.

    Raises
    ------
    GradientError
        If nothing more can be checked here.
    """

    def __init__(
        self,
        subject: Any,
        xs: list[Numbers],
        report: Report,
        *,
        values: dict[str, Numbers] | None = None,
        dtype: str = "float64",
        where: str = "",
    ) -> None:
        self.subject, self.xs, self.report = subject, xs, report
        self.values, self.dtype, self.where = values or {}, dtype, where
        self.traits: Traits = subject.traits()
        self.inputs = {
            name: x for name, x in zip(names(xs), xs, strict=True) if x.dtype.kind == "f"
        }
        self.found = Found({}, {}, {}, [], [], [])
        forward = subject.forward(xs, values=self.values)
        self.handle = forward.handle
        if forward.wrote:
            self.complain(
                "forward writes to x: it must leave its input as it is (y = x * m, not x *= m)"
            )
        self.y = self._checked_y(forward.y)

    def stop(self, problem: str) -> GradientError:
        """Add a problem after which nothing more can be checked; return the error to raise."""
        self.complain(problem)
        return GradientError(self.report)

    def complain(self, problem: str) -> None:
        """Add a problem to the report, once."""
        problem += f" ({self.where})" if self.where else ""
        if problem not in self.report.problems:
            self.report.problems.append(problem)

    def _checked_y(self, y: Any) -> Numbers:
        if y is None or isinstance(y, Odd):
            kind = "None" if y is None else y.kind
            raise self.stop(f"forward returned {kind} as y, but must return an array")
        if y.dtype.kind != "f":
            raise self.stop(f"y has dtype {y.dtype}, but must hold floating-point numbers")
        if y.dtype != self.dtype:
            raise self.stop(
                f"y is {y.dtype} though x and all weights are {self.dtype}: something in forward "
                f"computes in {y.dtype}; take the dtype from x"
            )
        if not numpy.isfinite(y).all():
            raise self.stop("y holds NaN or infinity")
        return numpy.asarray(y)

    # ---------------------------------------------------------------- backward

    def search(self, rng: numpy.random.Generator) -> None:
        """Find what the layer learns; called at the first spot only."""
        dy = rng.standard_normal(self.y.shape)
        self.found = self.subject.find(self.xs, dy, int(rng.integers(2**31)))
        self.values = dict(self.found.values)

    def run(self, dy: Numbers) -> None:
        """Pull dy back, and check what comes."""
        self.dy = dy
        handle = self.subject.forward(self.xs, values=self.values).handle
        result = self.subject.backward(dy, handle)
        if result.wrote:
            self.complain(
                "backward writes to dy: the caller's array must stay as it is (dx = dy * m, not "
                "dy *= m)"
            )
        for name, grad in result.grads.items():
            shape = numpy.shape(self.values[name])
            self._check_gradient(f"the gradient of {name}", grad, shape)
        dx = (result.dx + [None] * len(self.inputs))[: len(self.inputs)]
        for (name, x), d in zip(self.inputs.items(), dx, strict=True):
            self._check_gradient(f"d{name}", d, x.shape)
        self.dx, self.grads = dx, result.grads

    def _check_gradient(self, what: str, grad: Any, shape: tuple[int, ...]) -> None:
        if grad is None:
            raise self.stop(f"{what} is None: backward must give it")
        if isinstance(grad, Odd) or grad.shape != shape:
            got = f"is {grad.kind}" if isinstance(grad, Odd) else f"has shape {grad.shape}"
            raise self.stop(f"{what} {got}, but must have {shape}, the shape of the array")
        if grad.dtype.kind != "f":
            raise self.stop(f"{what} has dtype {grad.dtype}, but must hold floating-point numbers")
        if grad.dtype != self.dtype and grad.shape:
            self.complain(
                f"{what} is {grad.dtype} though x and all weights are {self.dtype}: something in "
                f"backward computes in {grad.dtype}"
            )
        if not numpy.isfinite(grad).all():
            self.complain(
                f"{what} holds NaN or infinity: look for a division by zero, log(0) or sqrt(0)"
            )

    def pull(self, dy: Numbers) -> Any:
        """Return what backward gives for another dy, after a forward call of its own."""
        handle = self.subject.forward(self.xs, values=self.values).handle
        return self.subject.backward(dy, handle)

    def given(self, name: str, dy: Numbers) -> Numbers:
        """Return the gradient that backward gives for another dy, of an input or a weight."""
        result = self.pull(dy)
        gradients = dict(zip(self.inputs, result.dx, strict=False)) | result.grads
        return numpy.asarray(gradients[name])

    def another_dy(self) -> Numbers:
        """Return numbers unlike dy, the same each time."""
        rng = numpy.random.default_rng(self.dy.size)
        return numpy.asarray(rng.standard_normal(self.dy.shape))

    # ---------------------------------------------------------------- comparing

    def comparisons(self, settings: Settings) -> Iterator[Comparison]:
        """Yield a comparison for each input and each learnt array, all of them copies."""
        arrays = {n: numpy.array(x) for n, x in self.inputs.items()}
        gradients = dict(zip(self.inputs, self.dx, strict=True)) | self.grads
        values = {n: numpy.array(v) for n, v in self.values.items() if n in self.grads}
        scale = largest(gradients.values())
        for name, array in (arrays | values).items():
            line = Line(self.output_of(name, array), self.dy, h=settings.h)
            yield Comparison(name, array, gradients[name], line, scale, settings)

    def numeric(self, name: str, x: Numbers, dy: Numbers, values: Any, flat: Any) -> Numbers:
        """Measure entries of a gradient at another first input, dy and weights."""
        there = copy.copy(self)
        there.report = Report(self.report.subject, self.report.tolerance)  # for complaints there
        first = next(iter(self.inputs))
        there.xs = [
            x if n == first else old for n, old in zip(names(self.xs), self.xs, strict=True)
        ]
        there.inputs, there.values = self.inputs | {first: x}, self.values | values
        array = numpy.array((there.inputs | self.values)[name])
        settings = Settings(1e-6, 1e-3, None, None, numpy.random.default_rng(0))
        line = Line(there.output_of(name, array), dy, h=settings.h)
        blank = numpy.zeros_like(array)
        return Comparison(name, array, blank, line, largest([dy]), settings).measure(flat)

    def contributions(self, name: str, flat: Any) -> Numbers:
        """Return what each entry of dy contributes to entries of a gradient, by flat index."""
        array = numpy.array((self.inputs | self.values)[name])
        output, parts = self.output_of(name, array), []
        places = list(numpy.ndindex(array.shape))
        for k in flat:
            move = entry_mover(array, places[int(k)])
            move(STEP)
            up = output()
            move(-STEP)
            parts.append((up - output()) / (2 * STEP) * self.dy)
            move(0.0)
        return numpy.stack(parts)

    def output_of(self, name: str, array: Numbers) -> Any:
        """Return a function that gives y for an array as it is at the time of the call."""
        if name in self.inputs:
            xs = [array if n == name else x for n, x in zip(names(self.xs), self.xs, strict=True)]
            return lambda: self._same_shape(self.subject.evaluate(xs, self.values))
        return lambda: self._same_shape(self.subject.evaluate(self.xs, self.values | {name: array}))

    def _same_shape(self, y: Any) -> Numbers:
        if isinstance(y, Odd) or y.shape != self.y.shape or y.dtype.kind != "f":
            raise self.stop("forward gives a y of another shape or dtype for an x of the same")
        return numpy.asarray(y)


def names(xs: list[Numbers]) -> list[str]:
    """Return what the inputs are called: ``x``, or ``x[0]``, ``x[1]``."""
    return ["x"] if len(xs) == 1 else [f"x[{i}]" for i in range(len(xs))]


def largest(arrays: Any) -> float:
    """Return the largest finite entry of several arrays."""
    found = [float(abs(a).max()) for a in arrays if a is not None and a.size]
    return max((m for m in found if math.isfinite(m)), default=0.0)


def close(a: Any, b: Any, scale: float = 0.0) -> bool:
    """Tell whether a and b are equal up to the order of summation."""
    if not hasattr(a, "dtype") or not hasattr(b, "dtype"):
        return a is b
    if a.shape != b.shape or a.dtype.kind not in "fiu":
        return False
    scale = max(scale, float(abs(b).max()) if b.size else 0.0)
    return bool((abs(a - b) <= 1e-10 * max(scale, 1e-8)).all())

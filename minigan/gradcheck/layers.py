"""Check the gradients of a layer or a net, and that it keeps the contract of layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.gradcheck import diagnose
from minigan.gradcheck.compare import Comparison, Settings, too_many_skipped
from minigan.gradcheck.report import GradientError, Report
from minigan.gradcheck.slopes import Line
from minigan.gradcheck.subject import Subject

DIAGNOSED_SIZE = 800
KEEP = ": keep what backward needs in the cache, not in the layer"


def check(
    layer: Any,
    x: Array,
    *,
    rng: numpy.random.Generator | int | None = None,
    train: bool = True,
    dy: Array | None = None,
    tolerance: float = 1e-6,
    h: float = 1e-3,
    samples: int | None = 100,
    directions: int | None = None,
) -> Report:
    """Check every gradient of a layer or a net against finite differences, in float64.

    The layer is copied and isn't changed. With a random cotangent dy, the loss ``L = Σ dy · y`` has
    the gradient that ``backward(dy, cache)`` must give; each entry is moved by ±h and ±2h, and the
    slope of L is compared. Besides the numbers, the contract is checked: x and dy are never written
    to, gradients are added (a second backward doubles them), dx has x's shape, nothing is NaN,
    ``param_grads=False`` leaves the gradients alone, ``input_grad=False`` returns None, a cache
    survives other forward calls, and strided views of x and dy give the same as contiguous arrays.

    Parameters
    ----------
    layer
        An object with ``forward(x) -> (y, cache)`` and ``backward(dy, cache) -> dx``; the keywords
        ``train``, ``param_grads`` and ``input_grad`` are used where they are declared. What it
        learns is found in ``parameters()``, a dict from names to objects with ``value`` and
        ``grad``; or in attributes of type `minigan.nn.Parameter`; or, failing both, in pairs of
        plain arrays: ``W`` with its gradient in ``dW``, ``d_W``, ``grad_W`` or ``W_grad`` (these
        may be assigned rather than added). Random generators and running statistics inside are put
        back before every evaluation.
    x
        The input: floating-point (converted to float64), or integers, for which no dx is needed.
    rng
        Draws dy, the entries and the directions: a generator or a seed; seed 0 if None.
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
        If `layer` isn't a layer, `x` isn't a finite array, or an option is out of range.

    Notes
    -----
    The relative error of an entry is ``|a - n| / max(|a|, |n|, floor)``, where a is the given
    gradient and n the numeric one. The floor keeps entries close to zero from raising false alarms:
    it is 1 % of the largest entry of the array, at least 1e-5 of the largest gradient of all (a
    bias before batch norm has a gradient of exactly 0, up to rounding), and at least the possible
    rounding error of n divided by the tolerance. Along a direction, the floor is the expected size
    of a slope along a random one, ``|a|₂ / √n``.
    """
    settings = Settings(tolerance, h, samples, directions, generator(rng))
    subject = Subject(layer, train=train)
    return _LayerCheck(subject, point(x), dy, settings, train).run()


def generator(rng: numpy.random.Generator | int | None) -> numpy.random.Generator:
    """Turn a seed into a generator; seed 0 if None."""
    return (
        rng
        if isinstance(rng, numpy.random.Generator)
        else numpy.random.default_rng(0 if rng is None else rng)
    )


def point(x: Any) -> Array:
    """Copy x as float64, where a function is to be differentiated; refuse what isn't finite."""
    x = float64(x)
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


class _LayerCheck:
    def __init__(
        self, subject: Subject, x: Array, dy: Array | None, settings: Settings, train: bool
    ) -> None:
        self.subject, self.x, self.settings = subject, x, settings
        self.ops = backend.of(x)
        self.floating = x.dtype.kind == "f"
        mode = "training" if train else "evaluation"
        self.report = Report(f"{subject.name}, {mode}, x {tuple(x.shape)}", settings.tolerance)
        self.y, cache = self._first_forward()
        self.dy = self._cotangent(dy)
        self.dx, self.gradients = self._first_backward(cache)

    def run(self) -> Report:
        if not self.report.problems:
            self._check_conduct()
        line = Line(lambda: self.subject.forward(self.x)[0].copy(), self.dy, h=self.settings.h)
        comparisons = self._comparisons(line)
        for comparison in comparisons:
            row = comparison.run()
            self.report.arrays.append(row)
            self._complain(too_many_skipped(row))
        self._explain(comparisons)
        if not self.report.ok:
            raise GradientError(self.report, hint=_culprit(self.report))
        return self.report

    def _complain(self, problem: str | None) -> None:
        if problem:
            self.report.problems.append(problem)

    def _stop(self, problem: str) -> GradientError:
        self._complain(problem)
        return GradientError(self.report)

    # ---------------------------------------------------------------- the pass that is checked

    def _first_forward(self) -> tuple[Array, Any]:
        x = self.x.copy()
        y, cache = self.subject.forward(x)
        if not _equal(x, self.x):
            self._complain(
                "forward writes to x: it must leave its input as it is (y = x * m, not x *= m)"
            )
        if y.dtype.kind != "f":
            raise self._stop(f"y has dtype {y.dtype}, but must hold floating-point numbers")
        if y.dtype != "float64":
            raise self._stop(
                f"y is {y.dtype} though x and all weights are float64: something in forward "
                f"computes in {y.dtype}; take the dtype from x"
            )
        if not self.ops.xp.isfinite(y).all():
            raise self._stop("y holds NaN or infinity")
        return y.copy(), cache

    def _cotangent(self, dy: Array | None) -> Array:
        if dy is None:
            return self.ops.asarray(self.settings.rng.standard_normal(self.y.shape))
        if tuple(dy.shape) != tuple(self.y.shape):
            raise ValueError(
                f"dy has shape {tuple(dy.shape)}, but y has {tuple(self.y.shape)}; they must agree."
            )
        return self.ops.xp.array(dy, dtype="float64")

    def _first_backward(self, cache: Any) -> tuple[Any, dict[str, Any]]:
        self.subject.zero()
        dy = self.dy.copy()
        dx = self.subject.backward(dy, cache)
        self.subject.find_plain_arrays()
        if not _equal(dy, self.dy):
            self._complain(
                "backward writes to dy: the caller's array must stay as it is (dx = dy * m, not "
                "dy *= m)"
            )
        for name, grad in self.subject.gradients().items():
            self._check_gradient(
                f"the gradient of {name}", grad, tuple(self.subject.learnt[name].value.shape)
            )
        if self.floating:
            self._check_gradient("dx", dx, tuple(self.x.shape))
            dx = dx.copy()
        return dx, self.subject.gradients()

    def _check_gradient(self, what: str, grad: Any, shape: tuple[int, ...]) -> None:
        if grad is None:
            raise self._stop(f"{what} is None: backward must give it")
        if not hasattr(grad, "dtype") or tuple(grad.shape) != shape:
            raise self._stop(
                f"{what} has shape {tuple(getattr(grad, 'shape', ()))}, but must have {shape}, the "
                "shape of the array"
            )
        if grad.dtype != "float64":
            self._complain(
                f"{what} is {grad.dtype} though x and all weights are float64: something in "
                f"backward computes in {grad.dtype}"
            )
        if not self.ops.xp.isfinite(grad).all():
            self._complain(
                f"{what} holds NaN or infinity: look for a division by zero, log(0) or sqrt(0)"
            )

    # ---------------------------------------------------------------- the contract

    def _check_conduct(self) -> None:
        self._check_repeatable()
        self._check_adds()
        self._check_switches()
        self._check_cache_survives()
        self._check_views()

    def _check_repeatable(self) -> None:
        y, _ = self.subject.forward(self.x.copy())
        if not _close(y, self.y):
            raise self._stop(
                "forward gives another y for the same x: randomness must come from a "
                "numpy.random.Generator kept in an attribute, so that the check can reset it"
            )

    def _again(self, **switches: bool) -> tuple[Any, dict[str, Any]]:
        """Run forward, then backward from zero gradients."""
        _, cache = self.subject.forward(self.x.copy())
        self.subject.zero()
        dx = self.subject.backward(self.dy.copy(), cache, **switches)
        return dx, self.subject.gradients()

    def _check_adds(self) -> None:
        _, cache = self.subject.forward(self.x.copy())
        self.subject.zero()
        self.subject.backward(self.dy.copy(), cache)
        dx = self.subject.backward(self.dy.copy(), cache)
        if self.floating and not _close(dx, self.dx):
            self._complain(
                "a second backward with the same cache gives another dx: backward changes its cache"
            )
        for name, array in self.subject.learnt.items():
            once, twice = self.gradients[name], array.grad
            if _close(twice, 2 * once) or (not array.accumulates and _close(twice, once)):
                continue
            if _close(twice, once):
                self._complain(
                    f"the gradient of {name} is overwritten: a second backward must add to it "
                    "(+=, not =)"
                )
            else:
                self._complain(
                    f"a second backward with the same cache doesn't double the gradient of {name}"
                )

    def _check_switches(self) -> None:
        if self.subject.has_param_grads:
            dx, gradients = self._again(param_grads=False)
            for name, grad in gradients.items():
                if bool((grad != 0).any()):
                    self._complain(
                        f"param_grads=False must leave the gradients alone, but {name}'s was "
                        "written"
                    )
            if self.floating and not (dx is not None and _close(dx, self.dx)):
                self._complain(
                    "param_grads=False changes dx: the switch must only affect the gradients of "
                    "parameters"
                )
        if self.subject.has_input_grad:
            dx, gradients = self._again(input_grad=False)
            if dx is not None:
                self._complain("input_grad=False must return None, but dx was returned")
            self._compare_gradients(gradients, "input_grad=False changes")

    def _check_cache_survives(self) -> None:
        x = self.x.copy()
        y, cache = self.subject.forward(x)
        # No state is put back before this call: what the layer itself holds must not matter.
        self.subject.call(self.ops.xp.flip(self.x).copy())
        if not _close(y, self.y):
            self._complain(
                "a later forward call changes the y of an earlier one: it must be a new array"
            )
        self.subject.zero()
        dx = self.subject.backward(self.dy.copy(), cache)
        what = "another forward call between forward and backward changes"
        if self.floating and not _close(dx, self.dx):
            self._complain(f"{what} dx{KEEP}")
        self._compare_gradients(self.subject.gradients(), what, KEEP)

    def _check_views(self) -> None:
        y, cache = self.subject.forward(self._strided(self.x))
        self.subject.zero()
        dx = self.subject.backward(self._strided(self.dy), cache)
        if not _close(y, self.y):
            self._complain(
                "a strided view of x gives another y than a contiguous array of the same numbers"
            )
        if self.floating and not _close(dx, self.dx):
            self._complain(
                "strided views of x and dy give another dx than contiguous arrays of the same "
                "numbers"
            )
        self._compare_gradients(self.subject.gradients(), "strided views of x and dy change")

    def _compare_gradients(self, gradients: dict[str, Any], what: str, advice: str = "") -> None:
        scale = max((float(abs(g).max()) for g in self.gradients.values() if g.size), default=0.0)
        for name, grad in gradients.items():
            if not _close(grad, self.gradients[name], scale):
                self._complain(f"{what} the gradient of {name}{advice}")

    def _strided(self, a: Array) -> Array:
        """Return the same numbers in reversed axis order, with gaps, running backwards."""
        wide = self.ops.xp.zeros((*a.shape[::-1][:-1], 2 * a.shape[0]), a.dtype)
        view = wide[..., ::-2].transpose()
        view[...] = a
        return view

    # ---------------------------------------------------------------- comparing, explaining

    def _comparisons(self, line: Line) -> list[Comparison]:
        arrays = {"x": (self.x, self.dx)} if self.floating else {}
        arrays |= {name: (a.value, self.gradients[name]) for name, a in self.subject.learnt.items()}
        largest = [float(abs(g).max()) for _, g in arrays.values() if g.size]
        scale = max((m for m in largest if math.isfinite(m)), default=0.0)
        return [
            Comparison(name, array, gradient, line, scale, self.settings)
            for name, (array, gradient) in arrays.items()
        ]

    def _explain(self, comparisons: list[Comparison]) -> None:
        for comparison in comparisons:
            row = comparison.report
            if row.error > self.settings.tolerance and comparison.gradient.size <= DIAGNOSED_SIZE:
                row.cause = diagnose.likely_cause(self._case(comparison))

    def _case(self, comparison: Comparison) -> diagnose.Case:
        return diagnose.Case(
            comparison.report.name,
            comparison.gradient,
            comparison.measure_all(),
            numpy.asarray(backend.to_numpy(self.x)) if self.floating else None,
            self.x.shape[0],
            self._sizes(),
            lambda: self._masked(comparison),
        )

    def _sizes(self) -> dict[int, str]:
        """Return what each size is called; where several things share one, all of them."""
        y_shape, x_shape = self.y.shape, self.x.shape
        named = [(x_shape[0], "the batch size")]
        if len(y_shape) == 4:
            named += [
                (math.prod(y_shape[1:3]), "the number of pixels of y"),
                (math.prod(y_shape[:3]), "the number of samples times the pixels of y"),
            ]
        if len(x_shape) == 4:
            named += [(math.prod(x_shape[1:3]), "the number of pixels of x")]
        named += [(x_shape[-1], "the last axis of x"), (y_shape[-1], "the last axis of y")]
        sizes: dict[int, str] = {}
        for size, what in named:
            if what not in sizes.get(size, ""):
                sizes[size] = f"{sizes[size]} (and also {what})" if size in sizes else what
        return sizes

    def _masked(self, comparison: Comparison) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield measurements with dy kept only for the first or last sample, row or column."""
        axes = ["sample", "row of y", "column of y"] if self.dy.ndim == 4 else ["sample"]
        for axis, what in enumerate(axes):
            for index, which in ((0, "first"), (-1, "last")):
                if self.dy.shape[axis] > 1:
                    yield (
                        f"the {which} {what}",
                        lambda axis=axis, index=index: self._measure(  # type: ignore[misc]
                            comparison, axis, index
                        ),
                    )

    def _measure(self, comparison: Comparison, axis: int, index: int) -> Any:
        place: list[Any] = [slice(None)] * self.dy.ndim
        place[axis] = index
        dy = self.ops.xp.zeros_like(self.dy)
        dy[tuple(place)] = self.dy[tuple(place)]
        line = Line(comparison.line.evaluate, dy, h=self.settings.h)
        return comparison.measure_all(line)


def _equal(a: Array, b: Array) -> bool:
    return bool((a == b).all())


def _close(a: Any, b: Array, scale: float = 0.0) -> bool:
    """Tell whether a and b are equal up to the order of summation."""
    if a is None or tuple(a.shape) != tuple(b.shape):
        return False
    scale = max(scale, float(abs(b).max()) if b.size else 0.0)
    return bool((abs(a - b) <= 1e-10 * max(scale, 1e-8)).all())


def _culprit(report: Report) -> str | None:
    """Name the wrong layer of a Sequential: its dx spoils the gradients of all layers below."""
    numbered = [(a.name.partition(".")[0], a.error > report.tolerance) for a in report.arrays]
    wrong = [int(name) for name, bad in numbered if bad and name.isdigit()]
    right = [int(name) for name, bad in numbered if not bad and name.isdigit()]
    above = [index for index in right if not wrong or index > max(wrong)]
    if not report.failures or not above or (wrong and min(right) < max(wrong)):
        return None
    first, last = (max(wrong) + 1 if wrong else 0), min(above)
    which = f"layer {last}" if first == last else f"one of the layers {first} to {last}"
    return (
        f"The gradients of layer {last} and above are right, those below are wrong: look at dx in "
        f"backward of {which}."
    )

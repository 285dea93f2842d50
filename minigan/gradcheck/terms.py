r"""What a wrong gradient consists of, by regression on named terms.

A gradient that is wrong is usually the right one with a term missing, doubled or exchanged for
another. So write it as a sum of few terms out of many, :math:`a = \sum_k c_k T_k`, by least
squares, and name the coefficients: 0 is a missing term, -1 a wrong sign, N a sum for a mean. The
terms are the right gradient itself; its parts, where the map is recognised (a normalisation, a
softmax); and intruders: the right gradient with y or 1 in the place of dy, or with x taken
elsewhere; dy, x, y themselves.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy

from minigan.gradcheck.report import Misconduct

Numbers = numpy.ndarray[Any, Any]
EXACT, NEARLY = 1e-5, 3e-3
EPS = (1e-12, 1e-2, 1e-1)
"""What is tried as the eps of a normalisation; smaller ones don't matter."""
LEAST, MOST, SAMPLED = 6, 3, 60
KERNEL_AXES: dict[int, tuple[tuple[int, ...], ...]] = {3: ((1, 2), (0,), (2,)), 4: ((0, 1), (2, 3))}
"""Where the rows and columns of a kernel may be, by its number of axes."""


class View(NamedTuple):
    """What may be looked at.

    Attributes
    ----------
    name
        Name of the array: ``"x"`` for the input.
    a, n
        The given gradient and the numeric one, without NaN.
    x, y, dy
        Input, output and cotangent.
    values
        Learnt arrays, by name.
    numeric
        Measures entries of the numeric gradient of this array (their flat indices come last) for
        another x, another dy and other weights.
    factor
        Names a factor, such as ``"the batch size"``, or returns nothing.
    kept
        What forward keeps, as the code calls it.
    """

    name: str
    a: Numbers
    n: Numbers
    x: Numbers
    y: Numbers
    dy: Numbers
    values: dict[str, Numbers]
    numeric: Callable[[Numbers, Numbers, dict[str, Numbers], Numbers], Numbers]
    factor: Callable[[float], str]
    kept: dict[str, Numbers]


def explain(view: View) -> str | None:
    """Say what the given gradient consists of, or None if no few terms make it up."""
    if view.name == "x" and view.x.shape == view.y.shape:
        sentence = _softmax(view) or _log_softmax(view) or _normalisation(view)
        if sentence:
            return sentence
    return _per_channel(view) or _intruder(view)


def sums(view: View) -> str | None:
    """Write the given gradient as the right one plus one or two that may be beside it."""
    pool = {label: _chosen(view, term) for label, term in _pool(view)}
    right, a = "the right one", _chosen(view, view.a)
    single = {right: _chosen(view, view.n)} | pool
    for count in (2, MOST):
        for labels in itertools.combinations(single, count):
            if labels[0] != right:
                break
            terms = [single[label] for label in labels]
            if a.size > count and _fits(a, terms, EXACT):
                shares = _solve(a, terms)
                unknown = sum(not _is_told(view, c) for c in shares)
                if abs(shares[0]) > EXACT and unknown <= MOST - count:
                    return _sum_of(view, labels, shares)
    return None


# ---------------------------------------------------------------- maps that are recognised


def _softmax(view: View) -> str | None:
    """Dx = y (dy - Σ dy y), along an axis."""
    y, dy = view.y, view.dy
    axis = _sums_to_one(y)
    if axis is None:
        return None
    parts = {
        "its own term y dy": y * dy,
        "the term -y Σ dy y, through the other entries of the softmax": -y
        * (dy * y).sum(axis=axis, keepdims=True),
    }
    extra = {
        "dy": dy,
        "y": y,
        "-y Σ dy, without y in the sum": -y * dy.sum(axis=axis, keepdims=True),
        "-Σ dy y, without y before the sum": -(dy * y).sum(axis=axis, keepdims=True) + 0 * y,
        "-Σ dy, without y": -dy.sum(axis=axis, keepdims=True) + 0 * y,
        "dy - Σ dy y, without y before it": dy - (dy * y).sum(axis=axis, keepdims=True),
    }
    for k in range(y.ndim):
        if k != axis:
            label = f"-y Σ dy y with the sum along axis {k} in the place of axis {axis}"
            extra[label] = -y * (dy * y).sum(axis=k, keepdims=True)
    return _name_parts(view, parts, extra, EXACT)


def _log_softmax(view: View) -> str | None:
    """Dx = dy - p Σ dy with p = exp(y), along an axis."""
    p, dy = numpy.exp(numpy.minimum(view.y, 1)), view.dy
    axis = _sums_to_one(p)
    if axis is None:
        return None
    parts = {
        "its own term dy": dy,
        "the term -p Σ dy, with p, the softmax": -p * dy.sum(axis=axis, keepdims=True),
    }
    return _name_parts(
        view,
        parts,
        {
            "p": p,
            "p dy": p * dy,
            "y dy": view.y * dy,
            "-y Σ dy, with y where p is meant": -view.y * dy.sum(axis=axis, keepdims=True),
        },
        EXACT,
    )


def _sums_to_one(p: Numbers) -> int | None:
    """Return the axis along which probabilities sum to 1, if these are any."""
    if p.ndim < 2 or (p < 0).any():
        return None
    axes = range(p.ndim - 1, 0, -1)
    return next((k for k in axes if abs(p.sum(axis=k) - 1).max() <= 1e-9), None)


def _normalisation(view: View) -> str | None:
    """Dx = (q - mean q - x̂ mean(q x̂)) / s, with q = γ dy; without the mean, if x isn't centred."""
    if view.n.size < LEAST:
        return None
    for (shape, axes), centred, eps in itertools.product(
        _groupings(view.x.shape), (True, False), EPS
    ):
        for scale in _channel_values(view):
            norm = Norm(scale, view.dy, view.x, shape, axes, centred, eps)
            parts = norm.parts()
            if _fits(view.n, list(parts.values()), EXACT if eps > NEARLY else NEARLY):
                extra = {"dy alone": view.dy, "y": view.y, "x": view.x} | norm.slips(view.x.shape)
                return norm.eps_lost(view.a) or _name_parts(view, parts, extra, NEARLY)
    return None


def _axes(ndim: int) -> list[tuple[int, ...]]:
    """Return the axes along which batch, layer and instance norm take their means.

    Channels may come last or, as elsewhere, right after the samples.
    """
    every = [tuple(range(ndim - 1)), tuple(range(1, ndim)), (ndim - 1,)]
    first = [(0, *range(2, ndim)), tuple(range(2, ndim))] if ndim > 2 else []
    return [*every, *([(1, 2)] if ndim == 4 else []), *first]


def _groupings(shape: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Yield shapes of x, and axes of means there: also those of groups of channels."""
    for axes in _axes(len(shape)):
        yield shape, axes
    if len(shape) < 2:
        return
    n, first, *_, last = (shape[0], *shape[1:], shape[-1])
    for groups in (g for g in range(2, first) if first % g == 0):
        yield (n, groups, math.prod(shape[1:]) // groups), (2,)
    for groups in (g for g in range(2, last) if last % g == 0):
        yield (n, math.prod(shape[1:-1]), groups, last // groups), (1, 3)


class Norm(NamedTuple):
    """A normalisation: its scale γ, dy, x, the shape in which it takes means, and over which axes.

    Attributes
    ----------
    scale, dy, x
        Of which dx is made.
    shape, axes
        The shape in which means are taken, and over which axes.
    centred
        Whether x is measured from its mean.
    eps
        What is added to the variance.
    """

    scale: Numbers
    dy: Numbers
    x: Numbers
    shape: tuple[int, ...]
    axes: tuple[int, ...]
    centred: bool
    eps: float

    def mean(self, a: Numbers, axes: tuple[int, ...] | None = None) -> Numbers:
        """Return means, along these axes or others, in the shape of x."""
        along = self.axes if axes is None else axes
        return numpy.asarray(a.reshape(self.shape).mean(axis=along, keepdims=True))

    def parts(self, **other: Any) -> dict[str, Numbers]:
        """Return the terms of dx, by what they are called."""
        own, mean, spread = self.terms(**other)
        size = "standard deviation" if self.centred else "norm"
        named = {"its own term dy / s": own, "the term through the mean": mean}
        named[f"the term through the {size}"] = spread
        if not self.centred:
            del named["the term through the mean"]
        return {label: term.reshape(self.x.shape) for label, term in named.items()}

    def terms(
        self,
        *,
        axes: tuple[int, ...] | None = None,
        outside: bool = False,
        spread: Callable[[Numbers], Numbers] | None = None,
        anew: bool = False,
    ) -> tuple[Numbers, Numbers, Numbers]:
        """Return the three terms of dx, or what they are with a slip.

        Parameters
        ----------
        axes
            Those of the means in backward.
        outside
            Whether γ comes after the means.
        spread
            Computes the standard deviation from the variance in another way.
        anew
            Whether x̂ is computed with that as well.
        """
        q = (self.scale * self.dy).reshape(self.shape)
        d, scale = (numpy.broadcast_to(a, self.x.shape).reshape(self.shape) for a in (
            self.dy if outside else self.scale * self.dy, self.scale if outside else numpy.ones(())
        ))  # fmt: skip
        x = self.x.reshape(self.shape)
        x = x - self.mean(x) if self.centred else x
        variance = self.mean(x * x)
        s = numpy.sqrt(variance + self.eps)
        x_hat, divisor = x / s, s
        if spread:
            divisor = spread(variance)
            x_hat = x / divisor if anew else x_hat
        return (
            q / divisor,
            -scale * self.mean(d, axes) / divisor + 0 * x,
            -scale * x_hat * self.mean(d * x_hat, axes) / divisor,
        )

    def slips(self, shape: tuple[int, ...]) -> dict[str, Numbers]:
        """Return what both terms become with a usual slip, by its name."""
        found = {}
        others = (*_axes(len(shape)), (0,)) if self.shape == shape else ()
        wider = () if 0 in self.axes else ((0, *self.axes),)
        for axes in (*others, *wider):
            if axes != self.axes:
                _, mean, spread = self.terms(axes=axes)
                where = f"axis {', '.join(map(str, axes))}"
                where = where if self.shape == shape else "the samples as well"
                both = (mean if self.centred else 0) + spread
                found[f"what they are with means over {where}"] = both.reshape(shape)
        if self.scale.ndim:
            _, mean, spread = self.terms(outside=True)
            both = (mean if self.centred else 0) + spread
            found["what they are with the learnt scale after the means"] = both.reshape(shape)
        return found

    def eps_lost(self, a: Numbers) -> str | None:
        """Look for an eps that backward leaves out or adds to the root."""
        for said, spread in (
            ("eps is left out in backward, but added to the variance in forward", numpy.sqrt),
            (
                "eps is added to the root of the variance in backward, but to the variance itself "
                "in forward",
                lambda variance: numpy.sqrt(variance) + self.eps,
            ),
        ):
            for anew in (True, False):
                whole = sum(self.parts(spread=spread, anew=anew).values())
                if self.eps > NEARLY and abs(a - whole).max() <= EXACT * abs(a).max():
                    return said
        return None


def _channel_values(view: View) -> Iterator[Numbers]:
    """Yield what may be the scale γ of a normalisation, as it is multiplied with x."""
    yield numpy.ones(())
    shape = view.x.shape
    for value in view.values.values():
        if value.shape in (shape[-1:], shape[1:]):
            yield value
        if len(shape) > 2 and value.shape == shape[1:2]:
            yield value.reshape(-1, *[1] * (len(shape) - 2))


def _name_parts(
    view: View, parts: dict[str, Numbers], extra: dict[str, Numbers], tolerance: float
) -> str | None:
    """Compare the shares of the parts with those that the right gradient has."""
    labels = list(parts)
    right = _solve(view.n, list(parts.values()))
    if right is None or not _fits(view.n, list(parts.values()), tolerance):
        return None
    for more in ([], *([name] for name in extra)):
        pool = [*parts.values(), *(extra[name] for name in more)]
        if _fits(view.a, pool, tolerance):
            given = _solve(view.a, pool)
            assert given is not None
            words = [
                _share(view, label, given[i], right[i], tolerance) for i, label in enumerate(labels)
            ]
            lost = any(word.endswith("is missing") for word in words)
            words += [f"instead there is {n}" if lost else f"{n} is added to it" for n in more]
            said = [word for word in words if word]
            return "; ".join(said) if said else None
    return None


def _share(view: View, label: str, given: float, right: float, tolerance: float) -> str:
    if abs(right) < 1e-3:
        return ""
    share = given / right
    if abs(share - 1) < 10 * tolerance:
        return ""
    if abs(share) < 10 * tolerance:
        return f"{label} is missing"
    if abs(share + 1) < 10 * tolerance:
        return f"{label} has the wrong sign"
    named = view.factor(abs(share))
    sign = ", and has the wrong sign" if share < 0 else ""
    return f"{label} is off by the factor {share:.4g}{f' ({named})' if named else ''}{sign}"


# ---------------------------------------------------------------- a factor for each channel


def _per_channel(view: View) -> str | None:
    """Each channel, or each sample, is off by a factor of its own."""
    if view.n.ndim < 2:
        return _of_weights(view)
    first = "sample" if view.name == "x" else "index along axis 0"
    axes = ((-1, "channel"), (0, first), *([(1, "part of axis 1")] if view.n.ndim > 2 else []))
    for axis, what in axes:
        others = tuple(k for k in range(view.n.ndim) if k != axis % view.n.ndim)
        norm = (view.n * view.n).sum(axis=others)
        if (norm == 0).any() or len(norm) < 2 or view.n.size < 2 * len(norm):
            continue
        factor = (view.a * view.n).sum(axis=others) / norm
        shape = [1] * view.n.ndim
        shape[axis] = -1
        if abs(view.a - factor.reshape(shape) * view.n).max() <= EXACT * abs(view.a).max():
            return f"each {what} is off by a factor of its own{_whose(view, factor, axis)}"
    return None


def _of_weights(view: View) -> str | None:
    """The entries are off by factors that are weights: nothing else tells factors of one entry."""
    if view.n.size < 2 or (view.n == 0).any():
        return None
    factor = view.a / view.n
    for name, value in (view.values | _alike_in_size(view)).items():
        for words, known in of_a_weight(name, value) if value.shape == factor.shape else ():
            if _is_known(factor, known):
                return words
    return None


def _alike_in_size(view: View) -> dict[str, Numbers]:
    """Return norms of weights, and what forward keeps, with the shape of the gradient."""
    norms = {
        f"the norm of {name}" + (" along axis 0" if axis == 0 else ""): numpy.sqrt(
            (value * value).sum(axis=axis)
        )
        for name, value in view.values.items()
        for axis in (0, None)
        if value.ndim > 1
    }
    found = norms | view.kept
    return {
        name: numpy.reshape(1.0 * value, view.n.shape)
        for name, value in found.items()
        if value.size == view.n.size and value.dtype.kind == "f"
    }


def _whose(view: View, factor: Numbers, axis: int) -> str:
    known: list[tuple[str, Numbers]] = []
    for name, value in view.values.items():
        if value.shape == factor.shape:
            known += of_a_weight(name, value)
    if view.x.ndim > 1 and view.x.shape[axis] == len(factor):
        others = tuple(k for k in range(view.x.ndim) if k != axis % view.x.ndim)
        s = view.x.std(axis=others)
        known += [
            ("the division by the standard deviation is missing", s),
            ("it is divided by the standard deviation once too often", 1 / s),
            ("it is divided by the variance for the standard deviation", 1 / s),
            ("the division by the variance is missing", s * s),
        ]
    for what, value in known:
        if _is_known(factor, value):
            return f": {what}"
    return ""


def _is_known(factor: Numbers, known: Numbers) -> bool:
    """Tell whether factors are known ones; those that are infinite are none."""
    size, apart = float(abs(known).max()), float(abs(factor - 1).max())
    return 0 < size < math.inf and bool(abs(factor - known).max() <= NEARLY * min(size, apart))


def of_a_weight(name: str, value: Numbers) -> list[tuple[str, Numbers]]:
    """Return the factors that a weight leaves, and what they mean."""
    with numpy.errstate(all="ignore"):
        return [
            (f"{name} is there once too often, or a division by it is missing", value),
            (f"{name} is missing", 1 / value),
            (f"{name} is there twice too often, or divisions by it are missing", value * value),
            (f"{name}² is missing", 1 / (value * value)),
            (f"{name} stands where 1 + {name} is meant", value / (1 + value)),
            (f"1 + {name} stands where {name} is meant", (1 + value) / value),
            (f"1 + {name} is missing", 1 / (1 + value)),
            (f"exp({name}) is missing", numpy.exp(-value)),
            (f"exp({name}) is there once too often", numpy.exp(value)),
        ]


# ---------------------------------------------------------------- intruders


def _intruder(view: View) -> str | None:
    """Look for one that stands in the place of the right gradient."""
    a = _chosen(view, view.a)
    for label, whole in _pool(view):
        term = _chosen(view, whole)
        if _fits(a, [term], EXACT):
            (c,) = _solve(a, [term])
            if is_simple(abs(c)) or view.factor(abs(c)):  # else alike for another reason
                return f"it is {_times(view, c, label)}"
    return None


def _is_told(view: View, c: float) -> bool:
    """Tell whether a factor is one that a slip leaves, not one that came by chance."""
    return abs(c) <= EXACT or is_simple(abs(c)) or bool(view.factor(abs(c)))


def _entries(view: View) -> Numbers:
    """Return the flat indices of the entries that are compared: all, or some of many."""
    every = numpy.arange(view.n.size)
    return every if every.size <= SAMPLED else numpy.random.default_rng(0).choice(every, SAMPLED)


def _chosen(view: View, term: Numbers) -> Numbers:
    """Return the entries of a whole array; what was measured has only these."""
    return numpy.asarray(term.ravel()[_entries(view)] if term.shape == view.n.shape else term)


def _sum_of(view: View, labels: tuple[str, ...], shares: Any) -> str:
    said = ""
    for label, c in zip(labels, shares, strict=True):
        if abs(c) > EXACT:
            term = _times(view, abs(c), label)
            said = f"{said} minus {term}" if c < 0 else f"{said} plus {term}"
    return f"it is {said.strip().removeprefix('plus ')}"


def _times(view: View, c: float, label: str) -> str:
    return label if math.isclose(c, 1, rel_tol=1e-4) else f"{_number(view, c)} times {label}"


def _number(view: View, c: float) -> str:
    named = view.factor(abs(c))
    return f"{c:.4g}{f' ({named})' if named else ''}"


def _pool(view: View) -> Iterator[tuple[str, Numbers]]:
    """Yield what may have come in the place of the right gradient, or beside it."""
    x, y, dy = view.x, view.y, view.dy
    for label, term in {"dy": dy, "x": x, "y": y}.items():
        if term.shape == view.n.shape:
            yield f"{label} itself", term
    if view.name in view.values:
        yield f"{view.name} itself, as of a weight decay or a norm", view.values[view.name]
    if view.name != "x":
        yield from _sums(view)
    yield from _with_other_dy(view)
    yield from _elsewhere(view)
    yield from _with_other_weights(view)


def _with_other_dy(view: View) -> Iterator[tuple[str, Numbers]]:
    y, dy = view.y, view.dy
    for label, other in (
        ("what y would give in the place of dy", y),
        ("what ones would give in the place of dy: dy is forgotten", numpy.ones_like(dy)),
        ("what dy² would give in the place of dy: dy is there twice", dy * dy),
        ("what |dy| would give in the place of dy", abs(dy)),
        ("what the mean of dy over the batch would give", 0 * dy + dy.mean(axis=0)),
        ("what y dy would give in the place of dy", y * dy),
        ("what dy (1 - y) would give in the place of dy", dy * (1 - y)),
        ("what dy (1 - y²) would give in the place of dy", dy * (1 - y * y)),
    ):
        yield from _measured(view, label, view.x, other, {})


def _elsewhere(view: View) -> Iterator[tuple[str, Numbers]]:
    x, y, dy = view.x, view.y, view.dy
    points = {"-x": -x, "|x|": abs(x), "0": 0 * x, "2 x": 2 * x}
    if x.shape == y.shape:
        points |= {"y": y, "dy": dy, "1 + y": 1 + y}
    for label, point in points.items():
        yield from _measured(view, f"the gradient at {label} in the place of x", point, dy, {})


def _with_other_weights(view: View) -> Iterator[tuple[str, Numbers]]:
    """Yield what a weight would give that is transposed once too often, reshaped or flipped."""
    for name, w in view.values.items():
        if name == view.name:
            continue
        for axes in KERNEL_AXES.get(w.ndim, ()):
            label = (
                f"the right one with {name} flipped along the axes {axes}: the kernel is turned "
                "over by mistake, or isn't"
            )
            yield from _measured(view, label, view.x, view.dy, {name: numpy.flip(w, axes)})
        if w.ndim != 2:
            continue
        square = w.shape[0] == w.shape[1]
        label = (
            f"the right one with {name} where its transpose belongs"
            if square
            else f"the right one with {name} reshaped where it must be transposed"
        )
        yield from _measured(view, label, view.x, view.dy, {name: w.reshape(w.shape[::-1]).T})


def _rows(a: Numbers) -> Numbers:
    """Return all rows of the last axis in one matrix; of a single number, too."""
    a = numpy.atleast_1d(a)
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1])


def _sums(view: View) -> Iterator[tuple[str, Numbers]]:
    """Yield sums over samples that a weight's gradient is often mistaken for."""
    x, y, dy = view.x, view.y, view.dy
    rows_x, rows_dy = _rows(x), _rows(dy)
    if view.n.shape == (rows_x.shape[1], rows_dy.shape[1]):
        yield (
            "the outer product of the sums of x and of dy, not the sum of outer products",
            (numpy.outer(rows_x.sum(axis=0), rows_dy.sum(axis=0))),
        )
    factors = {"dy": dy, "y": y, "dy²": dy * dy, "dy y": dy * y}
    if x.shape == dy.shape:
        factors |= {"x": x, "x dy": x * dy, "|x| dy": abs(x) * dy, "max(x, 0) dy": dy * x * (x > 0)}
        for axes in _axes(x.ndim):
            c = x - x.mean(axis=axes, keepdims=True)
            s = numpy.sqrt((c * c).mean(axis=axes, keepdims=True) + 1e-12)
            factors |= {"(x - mean) dy": c * dy, "(x / s) dy": x / s * dy}
    for label, f in factors.items():
        channels_first = [(0, *range(2, f.ndim))] if f.ndim > 2 else []
        for axes in (tuple(range(f.ndim - 1)), (0,), tuple(range(f.ndim)), *channels_first):
            total = f.sum(axis=axes)
            if total.shape == view.n.shape:
                yield f"the sum of {label}", total
                break


def _measured(
    view: View, label: str, x: Numbers, dy: Numbers, values: dict[str, Numbers]
) -> Iterator[tuple[str, Numbers]]:
    try:
        n = view.numeric(x, dy, values, _entries(view))
    except Misconduct:
        raise
    except Exception:  # a layer may refuse other inputs
        return
    if numpy.isfinite(n).all():
        yield label, n.reshape(view.n.shape) if n.size == view.n.size else n


# ---------------------------------------------------------------- least squares


def is_simple(factor: float) -> bool:
    """Tell whether a factor is one that a slip leaves: 2, 1/2, 3, 0.75 and the like."""
    return any(
        math.isclose(factor * k, round(factor * k), rel_tol=EXACT) and 0 < factor * k < 10
        for k in (1, 2, 3, 4)
    )


def _solve(a: Numbers, terms: list[Numbers]) -> Any:
    columns = numpy.stack([numpy.broadcast_to(t, a.shape).ravel() for t in terms], axis=1)
    sizes = numpy.sqrt((columns * columns).sum(axis=0))
    if (sizes == 0).any():
        return None
    solution, _, rank, _ = numpy.linalg.lstsq(columns / sizes, a.ravel(), rcond=1e-8)
    return solution / sizes if rank == len(terms) else None


def _fits(a: Numbers, terms: list[Numbers], tolerance: float) -> bool:
    shares = _solve(a, terms)
    if shares is None or not numpy.isfinite(shares).all():
        return False
    rest = a - sum(c * t for c, t in zip(shares, terms, strict=True))
    return bool(abs(rest).max() <= tolerance * abs(a).max())

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

Numbers = numpy.ndarray[Any, Any]
EXACT, NEARLY = 1e-5, 3e-3
MOST, SAMPLED = 3, 60
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


def explain(view: View) -> str | None:
    """Say what the given gradient consists of, or None if no few terms make it up."""
    if view.name == "x" and view.x.shape == view.y.shape:
        sentence = _softmax(view) or _log_softmax(view) or _normalisation(view)
        if sentence:
            return sentence
    return _per_channel(view) or _intruders(view)


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
    return _name_parts(view, parts, {"dy": dy, "y": y}, EXACT)


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
    return _name_parts(view, parts, {"p": p, "p dy": p * dy, "y dy": view.y * dy}, EXACT)


def _sums_to_one(p: Numbers) -> int | None:
    """Return the axis along which probabilities sum to 1, if these are any."""
    if p.ndim < 2 or (p < 0).any():
        return None
    axes = range(p.ndim - 1, 0, -1)
    return next((k for k in axes if abs(p.sum(axis=k) - 1).max() <= 1e-9), None)


def _normalisation(view: View) -> str | None:
    """Dx = (q - mean q - x̂ mean(q x̂)) / s, with q = γ dy; without the mean, if x isn't centred."""
    for (shape, axes), centred in itertools.product(_groupings(view.x.shape), (True, False)):
        for scale in _channel_values(view):
            q, x = (scale * view.dy).reshape(shape), view.x.reshape(shape)
            parts = {
                label: term.reshape(view.x.shape)
                for label, term in _normal_parts(q, x, axes, centred).items()
            }
            if _fits(view.n, list(parts.values()), NEARLY):
                extra = {"dy alone": view.dy, "y": view.y, "x": view.x}
                return _name_parts(view, parts, extra, NEARLY)
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


def _normal_parts(
    q: Numbers, x: Numbers, axes: tuple[int, ...], centred: bool
) -> dict[str, Numbers]:
    def mean(a: Numbers) -> Numbers:
        return numpy.asarray(a.mean(axis=axes, keepdims=True))

    x = x - mean(x) if centred else x
    s = numpy.sqrt(mean(x * x) + 1e-12)
    x_hat = x / s
    through_mean = {"the term through the mean": -mean(q) / s + 0 * x} if centred else {}
    size = "standard deviation" if centred else "norm"
    return {
        "its own term dy / s": q / s,
        **through_mean,
        f"the term through the {size}": -x_hat * mean(q * x_hat) / s,
    }


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
            words += [f"{name} is added to it" for name in more]
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
    axes = ((-1, "channel"), (0, "sample"), *([(1, "part of axis 1")] if view.n.ndim > 2 else []))
    for axis, what in axes:
        others = tuple(k for k in range(view.n.ndim) if k != axis % view.n.ndim)
        norm = (view.n * view.n).sum(axis=others)
        if (norm == 0).any() or len(norm) < 2:
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
    for name, value in view.values.items():
        for words, known in of_a_weight(name, value) if value.shape == factor.shape else ():
            if abs(factor - known).max() <= NEARLY * abs(known).max():
                return words
    return None


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
        if abs(factor - value).max() <= NEARLY * abs(value).max():
            return f": {what}"
    return ""


def of_a_weight(name: str, value: Numbers) -> list[tuple[str, Numbers]]:
    """Return the factors that a weight leaves, and what they mean."""
    with numpy.errstate(all="ignore"):
        return [
            (f"{name} is there once too often, or a division by it is missing", value),
            (f"{name} is missing", 1 / value),
            (f"{name} is there twice too often, or divisions by it are missing", value * value),
            (f"{name}² is missing", 1 / (value * value)),
            (f"exp({name}) is missing", numpy.exp(-value)),
            (f"exp({name}) is there once too often", numpy.exp(value)),
        ]


# ---------------------------------------------------------------- intruders


def _intruders(view: View) -> str | None:
    pool = {label: _chosen(view, term) for label, term in _pool(view)}
    right, a = "the right one", _chosen(view, view.a)
    single = {right: _chosen(view, view.n)} | pool
    for label, term in pool.items():
        if _fits(a, [term], EXACT):
            (c,) = _solve(a, [term])
            if not (is_simple(abs(c)) or view.factor(abs(c))):
                continue  # alike by chance, or for another reason
            return f"it is {_times(view, c, label)}"
    for count in (2, MOST):
        for labels in itertools.combinations(single, count):
            if labels[0] != right:
                break
            terms = [single[label] for label in labels]
            if a.size > count and _fits(a, terms, EXACT):
                return _sum_of(view, labels, _solve(a, terms))
    return None


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
    if x.shape == dy.shape == view.n.shape:
        for label, f in _derivatives(x):
            yield f"dy {label}", dy * f
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


def _derivatives(x: Numbers) -> list[tuple[str, Numbers]]:
    """Return derivatives that are often written with x where y is meant."""
    return [
        ("(1 - x²): with x where y is meant", 1 - x * x),
        ("x (1 - x): with x where y is meant", x * (1 - x)),
        ("x: with x where y is meant", x),
        ("(x > 0)", 1.0 * (x > 0)),
    ]


def _sums(view: View) -> Iterator[tuple[str, Numbers]]:
    """Yield sums over samples that a weight's gradient is often mistaken for."""
    x, y, dy = view.x, view.y, view.dy
    rows_x, rows_dy = x.reshape(-1, x.shape[-1] or 1), dy.reshape(-1, dy.shape[-1] or 1)
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

"""What a wrong gradient was computed from: dy, x, y, the weights, and what forward kept.

The arrays that forward leaves in its cache are those that backward is written with. So try the ways
in which backward usually combines them: dy times a function of one or two of them, through a weight
matrix, summed over samples or multiplied with an input. Where a combination gives the gradient of
the check, entry by entry, and another one gives the right one, the two say what was mixed up.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy

Numbers = numpy.ndarray[Any, Any]
EXACT = 1e-5
LEAST, LEAST_FOR_TWO = 3, 5
"""How many entries can't agree by chance with one combination, and with the sum of two."""
MOST_FOR_TWO, MOST_NUMBERS = 1800, 1_500_000
TINY = 1e-100
SMALL, LARGE = 400, 20_000
"""Numbers in dy up to which functions of two arrays are tried, and any at all."""
MOST_TOGETHER, MOST_COMPARED, FEW = 6, 60, 4


class Combination(NamedTuple):
    """A way to compute an array: the words for its parts, outermost first, and the result."""

    parts: tuple[str, ...]
    value: Numbers

    def __str__(self) -> str:
        return _written(self.parts)


class Candidates(NamedTuple):
    """K combinations of one shape, neither zero nor infinite: as directions, and their lengths."""

    combinations: list[Combination]
    directions: Numbers
    """(K, entries), of length 1."""
    norms: Numbers
    """(K,)."""


class Sum(NamedTuple):
    """Combinations and their factors."""

    terms: tuple[tuple[float, Combination], ...]


def explain(
    a: Numbers,
    n: Numbers,
    arrays: dict[str, Numbers],
    dy: Numbers,
    weights: dict[str, Numbers],
    number: Callable[[float], str],
) -> str | None:
    """Say what the given gradient was computed from, or None if that isn't clear.

    Parameters
    ----------
    a, n
        The given gradient and the numeric one, without NaN.
    arrays
        x, y and what forward kept, by what the code calls them.
    dy
        The cotangent.
    weights
        What the layer learns, by name.
    number
        Writes a factor, with what it stands for, or returns nothing if it is none that a
        derivative has.
    """
    if n.size < LEAST or dy.size > LARGE or not abs(n).max() > 0:
        return None
    arrays = arrays | _products(arrays, weights)
    candidates = _usable(_combinations(n.shape, arrays, dy, weights), n.shape)
    given, right = _matches(a, candidates, number), _matches(n, candidates, number)
    if given and not right:
        right = _with_another_factor(n, given, arrays, number)
    if given and right:
        return _compare(given, right, number)
    return _factor(a, n, arrays, number) or _missing(_matches(n - a, candidates, number), number)


def _with_another_factor(
    n: Numbers, given: list[Sum], arrays: dict[str, Numbers], number: Callable[[float], str]
) -> list[Sum]:
    """Look for a factor that one of the terms of the given gradient lacks."""
    found: list[Sum] = []
    for terms in sorted(given, key=_cost)[:FEW]:
        own = [combination for _, combination in terms.terms]
        if all(combination.value.shape == n.shape for combination in own):
            more = _usable([*own, *_times_factors(own, arrays)], n.shape)
            found += _matches(n, more, number)
    return found


def given_alone(
    a: Numbers,
    arrays: dict[str, Numbers],
    dy: Numbers,
    weights: dict[str, Numbers],
    number: Callable[[float], str],
) -> str | None:
    """Say what the given gradient is, where the right one can't be written in this way."""
    if a.size < LEAST or dy.size > LARGE:
        return None
    candidates = _usable(_combinations(a.shape, arrays, dy, weights), a.shape)
    given = [terms for terms in _matches(a, candidates, number) if len(terms.terms) == 1]
    if not given:
        return None
    said = _sum(min(given, key=_cost), number)
    return f"it is {said}, and the right one isn't: look for a term or a factor that is lost"


def _factor(
    a: Numbers, n: Numbers, arrays: dict[str, Numbers], number: Callable[[float], str]
) -> str | None:
    """Look for a factor that differs from entry to entry."""
    factors = [Combination((f"start:{word}",), f) for word, f in _functions(arrays, n.shape)]
    for whole, part in ((a, n), (n, a)):
        products = [Combination(f.parts, part * f.value) for f in factors]
        found = _matches(whole, _usable(products, n.shape), number)
        alone = [terms for terms in found if len(terms.terms) == 1]
        if alone:
            factor = _sum(min(alone, key=_cost), number)
            if whole is a:
                return f"the factor {factor} is there, but mustn't be"
            return f"the factor {factor} is missing"
    return None


def _missing(rest: list[Sum], number: Callable[[float], str]) -> str | None:
    if not rest:
        return None
    first = min(rest, key=_cost)
    if all(c < 0 for c, _ in first.terms):
        turned = Sum(tuple((-c, combination) for c, combination in first.terms))
        return f"it is the right one plus {_sum(turned, number)}"
    return f"a term is missing: {_sum(first, number)}"


def _compare(given: list[Sum], right: list[Sum], number: Callable[[float], str]) -> str:
    """Take the two that are simple and differ little."""
    given, right = (sorted(sums, key=_cost)[:MOST_COMPARED] for sums in (given, right))
    a, n = min(
        itertools.product(given, right),
        key=lambda pair: _cost(pair[0]) + _cost(pair[1]) + 2 * _apart(*pair),
    )
    return f"it is {_sum(a, number)}, but must be {_sum(n, number)}"


def _cost(terms: Sum) -> int:
    """Say how far-fetched a sum is."""
    words = [part for _, combination in terms.terms for part in combination.parts]
    rare = sum(part.count(mark) for part in words for mark in ("/", "(1 + ", "²", " - "))
    odd = sum(c < 0 or not math.isclose(c, 1, rel_tol=EXACT) for c, _ in terms.terms)
    return 2 * len(words) + 2 * rare + odd


def _apart(a: Sum, n: Sum) -> int:
    """Count the parts in which two sums differ."""
    mine, other = ([p for _, r in s.terms for p in r.parts] for s in (a, n))
    shared = sum(min(mine.count(p), other.count(p)) for p in set(mine))
    return len(mine) + len(other) - 2 * shared


# ---------------------------------------------------------------- words


def _sum(terms: Sum, number: Callable[[float], str]) -> str:
    first = abs(terms.terms[0][0])
    if all(math.isclose(abs(c), first, rel_tol=EXACT) for c, _ in terms.terms):
        signs = [" - " if c < 0 else " + " for c, _ in terms.terms]
        said = "".join(
            f"{sign}{one}" for sign, (_, one) in zip(signs, terms.terms, strict=True)
        ).removeprefix(" + ").lstrip()  # fmt: skip
        if math.isclose(first, 1, rel_tol=EXACT):
            return said
        return f"{number(first)} times {f'({said})' if len(signs) > 1 else said}"
    said = "".join(
        (" - " if c < 0 else " + ") + _times(abs(c), combination, number)
        for c, combination in terms.terms
    )
    return said.removeprefix(" + ").lstrip()


def _times(c: float, combination: Combination, number: Callable[[float], str]) -> str:
    if math.isclose(c, 1, rel_tol=EXACT):
        return str(combination)
    return f"{number(c)} times {combination}"


def _written(parts: tuple[str, ...]) -> str:
    """Write what is done to dy: ``xᵀ [dy (h > 0)]``."""
    said = ""
    for kind, word in (part.split(":", 1) for part in parts):
        if kind == "factor":
            said += f" {word}"
        elif kind == "before":
            said = f"{word} [{said}]" if " " in said else f"{word} {said}"
        elif kind == "after":
            said = f"[{said}] {word}" if " " in said else f"{said} {word}"
        else:
            said = word
    return said.strip()


# ---------------------------------------------------------------- combinations


def _combinations(
    shape: tuple[int, ...], arrays: dict[str, Numbers], dy: Numbers, weights: dict[str, Numbers]
) -> Iterator[Combination]:
    """Yield what has this shape, the simplest first."""
    if dy.ndim == 0:
        yield from _of_a_loss(shape, arrays, dy)
        return
    start = [Combination(("start:dy",), dy)]
    made = [start]
    for _ in range(2):
        made.append(list(_times_factors(made[-1], arrays)))
        between = [*made[-2], *made[-1]]
        made.append([*_through(between, weights), *_mixed(made[-2], arrays)])
    twice = _times_factors(made[1], arrays) if dy.size <= SMALL else iter(())
    ordered = (r for r in twice if r.parts[-1] > r.parts[-2])  # f g, and not g f as well
    for signal in itertools.chain(*made[:3], ordered, *made[3:]):
        yield from _read(signal, shape, arrays)


def _of_a_loss(
    shape: tuple[int, ...], arrays: dict[str, Numbers], dy: Numbers
) -> Iterator[Combination]:
    """Yield functions of what forward kept, times dy; for labels, 1 at the place of each."""
    size = math.prod(shape)
    fitting = {n: a.reshape(shape) for n, a in arrays.items() if a.size == size}
    for word, f in _functions(fitting, shape):
        yield Combination((f"start:dy {word}",), dy * f)
    yield Combination(("start:dy",), dy * numpy.ones(shape))
    for name, labels in arrays.items():
        if labels.dtype.kind in "iu" and labels.shape == shape[:1] and len(shape) == 2:
            hot = 1.0 * (labels[:, None] == numpy.arange(shape[1]))
            yield Combination((f"start:dy (1 at {name}, else 0)",), dy * hot)
        if labels.dtype.kind == "f" and labels.shape == shape and len(shape) > 1:
            e = numpy.exp(labels - labels.max(axis=-1, keepdims=True))
            yield Combination(
                (f"start:dy softmax({name})",), dy * e / e.sum(axis=-1, keepdims=True)
            )
        if labels.size == shape[0]:
            yield Combination((f"start:dy mean({name})",), dy * numpy.full(shape, labels.mean()))


def _times_factors(
    signals: Iterable[Combination], arrays: dict[str, Numbers]
) -> Iterator[Combination]:
    """Yield each signal times each function of an array that it fits, maybe by broadcasting."""
    known: dict[tuple[int, ...], list[tuple[str, Numbers]]] = {}
    for signal in list(signals):
        before = signal.value.shape
        shapes = [before, *(a.shape for a in arrays.values() if _stretches(before, a.shape))]
        for shape in dict.fromkeys(shapes):
            if shape not in known:
                known[shape] = list(_functions(arrays, shape))
            for word, f in known[shape]:
                yield Combination((*signal.parts, f"factor:{word}"), signal.value * f)


def _through(signals: Iterable[Combination], weights: dict[str, Numbers]) -> Iterator[Combination]:
    for signal, (name, w) in itertools.product(signals, weights.items()):
        if w.ndim == 2 and w.shape[1] == signal.value.shape[-1]:
            yield Combination((*signal.parts, f"after:{name}ᵀ"), signal.value @ w.T)
        if w.ndim == 2 and w.shape[0] == signal.value.shape[-1]:
            yield Combination((*signal.parts, f"after:{name}"), signal.value @ w)


def _mixed(signals: Iterable[Combination], arrays: dict[str, Numbers]) -> Iterator[Combination]:
    """Yield products with matrices that differ from sample to sample, as attention has them."""
    for signal, (name, m) in itertools.product(signals, arrays.items()):
        s = signal.value
        if s.ndim == m.ndim == 3 and len(s) == len(m) and m.dtype.kind == "f":
            for word, factor in ((name, m), (f"{name}ᵀ", m.transpose(0, 2, 1))):
                if factor.shape[2] == s.shape[1]:
                    yield Combination((*signal.parts, f"before:{word}"), factor @ s)
                if factor.shape[1] == s.shape[2]:
                    yield Combination((*signal.parts, f"after:{word}"), s @ factor)


def _read(
    signal: Combination, shape: tuple[int, ...], arrays: dict[str, Numbers]
) -> Iterator[Combination]:
    """Yield what has the shape of the gradient: the signal itself, its sum, or a product."""
    s = signal.value
    if s.shape == shape:
        yield signal
    if shape == s.shape[-1:] and s.ndim > 1:
        total = s.sum(axis=tuple(range(s.ndim - 1)))
        yield Combination((*signal.parts, "before:the sum over samples of"), total)
        yield Combination(
            (*signal.parts, "before:the sum of all entries of"), numpy.full(shape, s.sum())
        )
    if s.ndim == 4 and shape == s.shape[1:2]:
        yield Combination(
            (*signal.parts, "before:the sum over samples and pixels of"), s.sum(axis=(0, 2, 3))
        )
        words = f"before:the sum over rows, after a reshape to (-1, {shape[0]}), of"
        yield Combination((*signal.parts, words), s.reshape(-1, shape[0]).sum(axis=0))
    if len(shape) != 2 or s.shape[-1] != shape[1]:
        return
    flat = s.reshape(-1, s.shape[-1])
    for name, array in arrays.items():
        if array.dtype.kind == "f" and array.shape == (*s.shape[:-1], shape[0]):
            value = array.reshape(len(flat), -1).T @ flat
            yield Combination((*signal.parts, f"before:{name}ᵀ"), value)


def _products(arrays: dict[str, Numbers], weights: dict[str, Numbers]) -> dict[str, Numbers]:
    """Return x through each weight matrix."""
    x = arrays["x"]
    made: dict[str, Numbers] = {}
    for name, w in weights.items():
        if w.ndim == 2 and x.dtype.kind == "f" and x.ndim > 1 and x.size <= SMALL:
            made |= {f"(x {name})": x @ w} if len(w) == x.shape[-1] else {}
            made |= {f"(x {name}ᵀ)": x @ w.T} if w.shape[1] == x.shape[-1] else {}
    return made


def _functions(arrays: dict[str, Numbers], shape: tuple[int, ...]) -> Iterator[tuple[str, Numbers]]:
    """Yield functions of the arrays of a shape, such as derivatives have."""
    fitting = {
        name: numpy.broadcast_to(given, shape)
        for name, given in arrays.items()
        if given.ndim and (given.shape == shape or _stretches(given.shape, shape))
    }
    for name, given in fitting.items():
        if given.dtype.kind == "b":
            yield name, 1.0 * given
            yield f"(not {name})", 1.0 - given
        elif name[0] == "(":
            yield name, 1.0 * given
        else:
            yield from _of_one(name, 1.0 * given)
    kept = [item for item in fitting.items() if item[0][0] != "("][:MOST_TOGETHER]
    for (name, g), (other, h) in itertools.permutations(kept, 2):
        yield f"({name} > {other})", 1.0 * (g > h)
        yield f"({name} - {other})", 1.0 * g - h


def function_pairs(name: str, array: Numbers) -> Iterator[tuple[str, str, Numbers, Numbers]]:
    """Yield two functions of an array, by name, of which one may stand for the other; or nothing.

    Parameters
    ----------
    name
        What the code calls it.
    array
        The array.
    """
    functions = [("", numpy.ones(array.shape)), *_of_one(name, array)]
    pairs = itertools.permutations(functions, 2)
    ranked = sorted(pairs, key=lambda pair: _unlikely(pair[0][0], pair[1][0]))
    for (given, f), (right, g) in ranked:
        yield given, right, f, g


def _unlikely(given: str, right: str) -> int:
    """Rank two factors: one alone first, then two derivatives by the value."""
    both = bool(given and right)
    return both + (both and not ("(1 - " in given and "(1 - " in right))


def _of_one(name: str, h: Numbers) -> Iterator[tuple[str, Numbers]]:
    bounded = numpy.clip(h, -500, 500)
    s, t = 1 / (1 + numpy.exp(-bounded)), numpy.tanh(h)
    yield name, h
    yield f"({name} > 0)", 1.0 * (h > 0)
    yield f"({name} < 0)", 1.0 * (h < 0)
    yield f"sign({name})", numpy.sign(h)
    yield f"(1 - {name})", 1 - h
    yield f"(1 + {name})", 1 + h
    yield f"{name}²", h * h
    yield f"(1 - {name}²)", 1 - h * h
    yield f"{name} (1 - {name})", h * (1 - h)
    yield f"sigmoid({name})", s
    yield f"sigmoid'({name})", s * (1 - s)
    yield f"tanh({name})", t
    yield f"tanh'({name})", 1 - t * t
    yield f"exp({name})", numpy.exp(bounded)
    if abs(h).min() > 0:
        yield f"/ {name}", 1 / h
        yield f"/ {name}²", 1 / (h * h)


def _stretches(small: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    """Tell whether an array has the same number of axes, some of them of length 1."""
    return len(small) == len(shape) and all(a in (1, b) for a, b in zip(small, shape, strict=True))


def _usable(combinations: Iterable[Combination], shape: tuple[int, ...]) -> Candidates:
    """Drop what has another shape, is zero or not finite, and all after very many."""
    most = MOST_NUMBERS // math.prod(shape)
    fitting = (c for c in combinations if c.value.shape == shape)
    found = list(itertools.islice(fitting, most))
    values = numpy.array([c.value for c in found], float).reshape(len(found), math.prod(shape))
    largest = abs(values).max(axis=1)
    kept = (largest > TINY) & (largest < 1 / TINY)
    values = values[kept]
    norms = numpy.sqrt((values * values).sum(axis=1))
    return Candidates(list(itertools.compress(found, kept)), values / norms[:, None], norms)


# ---------------------------------------------------------------- which of them fit


def _matches(target: Numbers, candidates: Candidates, number: Callable[[float], str]) -> list[Sum]:
    """Return the combinations that give the numbers, up to a factor; or else sums of two."""
    if not candidates.combinations or not abs(target).max() > 0:
        return []
    t = target.ravel()
    combinations, columns, norms = candidates
    b = columns @ t
    size = math.sqrt(float(t @ t))
    found = []
    for k in numpy.nonzero(abs(b) > size * (1 - 1e-8))[0]:
        c = float(b[k] / norms[k])
        if abs(t - b[k] * columns[k]).max() <= EXACT * abs(t).max() and number(abs(c)):
            found.append(Sum(((c, combinations[k]),)))
    return found or _pairs(t, candidates, number)


def _pairs(t: Numbers, candidates: Candidates, number: Callable[[float], str]) -> list[Sum]:
    if t.size < LEAST_FOR_TWO:
        return []
    combinations = candidates.combinations[:MOST_FOR_TWO]
    columns, norms = candidates.directions[:MOST_FOR_TWO], candidates.norms[:MOST_FOR_TWO]
    b, cosines = columns @ t, columns @ columns.T
    left = 1 - cosines**2
    with numpy.errstate(all="ignore"):
        explained = (b[:, None] ** 2 + b[None] ** 2 - 2 * cosines * b[:, None] * b[None]) / left
    total = float(t @ t)
    near = (explained > total * (1 - 1e-7)) & (left > 1e-6)
    found = []
    for i, j in zip(*numpy.nonzero(numpy.triu(near, 1)), strict=True):
        p, q = numpy.linalg.solve([[1, cosines[i, j]], [cosines[i, j], 1]], [b[i], b[j]])
        if abs(t - p * columns[i] - q * columns[j]).max() > EXACT * abs(t).max():
            continue
        shares = float(p / norms[i]), float(q / norms[j])
        if all(number(abs(c)) for c in shares):
            found.append(Sum(((shares[0], combinations[i]), (shares[1], combinations[j]))))
    return found

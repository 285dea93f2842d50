"""What is told by where the wrong entries are, or by the order that right numbers are in."""

from __future__ import annotations

import itertools
import math

import numpy

from minigan.gradcheck.case import CLOSE, Case, Numbers, alike, how, scale, wrong

CHANCE = 1000
"""Ways to choose as many entries as are wrong: with fewer, they are the largest ones by chance."""
JUMP = 0.03
"""Of the largest entry: an error that doesn't shrink to nothing where it begins."""
FEW, MOST_PARTS = 12, 12

# ---------------------------------------------------------------- the right numbers in wrong order


def transposed(case: Case) -> str | None:
    """Look for exchanged axes, or a reshape in the place of their exchange."""
    for axes in itertools.permutations(range(case.n.ndim)):
        if axes == tuple(range(case.n.ndim)):
            continue
        turned = case.n.transpose(axes)
        if turned.shape == case.n.shape and alike(case.a, turned):
            return f"it is the right one transposed (its axes are in the order {axes})"
        if alike(case.a, turned.reshape(case.n.shape)):
            return (
                f"it is the right one with its axes in the order {axes}, reshaped: a reshape where "
                "a transpose is meant"
            )
    return None


def flipped(case: Case) -> str | None:
    """Look for axes that run backwards."""
    if not _varied(case.n):
        return None
    for count in range(1, case.n.ndim + 1):
        for axes in itertools.combinations(range(case.n.ndim), count):
            if alike(case.a, numpy.flip(case.n, axes)):
                return (
                    f"it is the right one flipped along the axes {axes}: reversed order, or a "
                    "flipped kernel"
                )
    return None


def _varied(n: Numbers) -> bool:
    """Tell whether entries differ from each other, so that their order can't agree by chance."""
    known = numpy.sort(n[numpy.isfinite(n)], axis=None)
    apart = numpy.diff(known) > CLOSE * abs(known).max(initial=0.0)
    return bool(1 + apart.sum() >= max(3, n.size / 2))


def shifted(case: Case) -> str | None:
    """The gradient at (i, j) is the right one's at (i + di, j + dj)."""
    for axes in _spatial(case):
        reach = [range(-min(3, case.n.shape[k] - 2), min(3, case.n.shape[k] - 2) + 1) for k in axes]
        for by in sorted(itertools.product(*reach), key=lambda by: sum(map(abs, by))):
            here, there = _overlap(case, axes, by)
            if any(by) and alike(here, there) and not _still(case, axes, by):
                return _shifted_by(axes, by)
    return None


def _shifted_by(axes: tuple[int, ...], by: tuple[int, ...]) -> str:
    if len(by) == 1:
        (axis,), (d,) = axes, by
        return (
            f"it is the right one shifted by {d} along axis {axis}: wrong padding, or an index off "
            "by one"
        )
    di, dj = by
    return (
        f"it is the right one shifted by ({di}, {dj}) pixels: wrong padding, or an index off by one"
    )


def _spatial(case: Case) -> list[tuple[int, ...]]:
    """Return the axes that may be those of pixels or steps, with channels last or first."""
    if case.n.ndim == 4:
        return [(1, 2), (2, 3)] if case.name == "x" else [(0, 1), (2, 3)]
    if case.n.ndim == 3:
        return [(1,), (2,)] if case.name == "x" else [(0,), (2,)]
    return []


def _overlap(case: Case, axes: tuple[int, ...], by: tuple[int, ...]) -> tuple[Numbers, Numbers]:
    here: list[slice] = [slice(None)] * case.n.ndim
    there: list[slice] = [slice(None)] * case.n.ndim
    for axis, d in zip(axes, by, strict=True):
        size = case.n.shape[axis]
        here[axis] = slice(max(0, -d), min(size, size - d))
        there[axis] = slice(max(0, d), min(size, size + d))
    return case.a[tuple(here)], case.n[tuple(there)]


def _still(case: Case, axes: tuple[int, ...], by: tuple[int, ...]) -> bool:
    """Tell whether what is shifted can't be told from what isn't: the right one is the same."""
    _, there = _overlap(case, axes, by)
    _, here = _overlap(case, axes, tuple(-d for d in by))
    return alike(here, there)


def exchanged(case: Case) -> str | None:
    """Look for the right slices along an axis, or the right entries, in another order."""
    if not numpy.isfinite(case.n).all() or alike(case.a, case.n) or not _varied(case.n):
        return None
    for axis in range(case.n.ndim):
        order = _order(numpy.moveaxis(case.a, axis, 0), numpy.moveaxis(case.n, axis, 0))
        if order:
            return (
                f"it is the right one in another order along axis {axis}, {order}: parts that are "
                "exchanged"
            )
    if case.a.size > 2 and alike(numpy.sort(case.a, axis=None), numpy.sort(case.n, axis=None)):
        return (
            "it holds the right numbers at the wrong places: a reshape or a transpose with the "
            "axes in the wrong order, or a wrong index"
        )
    return None


def _order(a: Numbers, n: Numbers) -> list[int]:
    """Return which parts of n those of a are; nothing if some are none, or twice."""
    bound, found = CLOSE * float(abs(n).max()), []
    for part in a:
        at = next((j for j, right in enumerate(n) if abs(part - right).max() <= bound), None)
        if at is None or at in found:
            return []
        found.append(at)
    return found


def backwards(case: Case) -> str | None:
    """The steps along an axis are gone through in the wrong direction."""
    x, dy, measure = case.x, case.dy, case.numeric
    if case.name != "x" or x is None or dy is None or measure is None:
        return None
    if min(x.ndim, dy.ndim) < 2 or x.shape[1] != dy.shape[1]:
        return None
    given = numpy.flip(case.a, 1).ravel()
    for entries in (numpy.arange(min(3, x.size)), numpy.arange(x.size)):
        turned = measure(numpy.flip(x, 1), numpy.flip(dy, 1), {}, entries)
        if not alike(given[entries], turned):
            return None
    return (
        "it is what the steps along axis 1 would give in reverse order: a loop or a sum in the "
        "wrong direction"
    )


def regrouped(case: Case) -> str | None:
    """A linear map that learns nothing: each sum over a sample is right, but not the entries."""
    if case.name != "x" or case.n.ndim < 2 or case.values or not _is_linear(case):
        return None
    others = tuple(range(1, case.n.ndim))
    sums = case.n.sum(axis=others)
    if abs(sums).max() > 1e-2 * scale(case) and alike(case.a.sum(axis=others), sums):
        return (
            "each sample's entries have the right sum, but aren't right: dy reaches the wrong "
            "entries, so look at reshapes, repeats and indices"
        )
    return None


def _is_linear(case: Case) -> bool:
    """Tell whether the right gradient is the same at another x, as far as a few entries show."""
    if (
        case.x is None
        or case.dy is None
        or case.numeric is None
        or not numpy.isfinite(case.n).all()
    ):
        return False
    few = numpy.arange(min(4, case.n.size))
    return alike(case.n.ravel()[few], case.numeric(-2 * case.x, case.dy, {}, few))


# ---------------------------------------------------------------- right except for some entries


def signs(case: Case) -> str | None:
    """The wrong entries are told by the signs of x and dy at their places, or by their size."""
    own = (case.values or {}).get(case.name)
    if own is not None and own.shape == case.a.shape:
        bad = wrong(case)
        size = _threshold(case, bad, abs(own), f"|{case.name}|")
        return size or _threshold(case, bad, own, case.name)
    x, dy = case.x, case.dy
    if case.name != "x" or x is None or dy is None or not x.shape == dy.shape == case.a.shape:
        return None
    bad = wrong(case)
    for where, mask in (
        ("x and dy have different signs: the case is decided by dy, but must be by x", x * dy < 0),
        ("x < 0", x < 0),
        ("x > 0", x > 0),
    ):
        said = how(case, bad) if bad.any() else ""
        told = said or "signs" in where
        if told and 3 < mask.sum() < mask.size - 3 and (bad == mask).all():
            return f"it is wrong just where {where}{said}"
    return _threshold(case, bad, abs(x), "|x|") or _threshold(case, bad, x, "x")


def _jumps(case: Case, bad: Numbers, size: Numbers) -> bool:
    """Tell whether the error is large right where it begins: a small one may only be too small."""
    right = size[~bad]
    distance = numpy.minimum(abs(size[bad] - right.min()), abs(size[bad] - right.max()))
    error = abs(case.a - case.n)[bad][numpy.argsort(distance)[:3]]
    return bool(error.max() > JUMP * scale(case))


def _threshold(case: Case, bad: Numbers, size: Numbers, what: str) -> str | None:
    """The wrong entries are those above or below some number."""
    if math.comb(bad.size, int(bad.sum())) < CHANCE:
        return None
    if not _jumps(case, bad, size):
        return None
    (low, high), (least, most) = ((size[part].min(), size[part].max()) for part in (bad, ~bad))
    if low > most:
        where = f"> {_between(most, low)}"
    elif high < least:
        where = f"< {_between(high, least)}"
    else:
        return None
    return f"it is wrong just where {what} {where}: a case that is missing or differs"


def _between(low: float, high: float) -> str:
    """Write a number between two: 0 or 1, if it may be one of these."""
    whole = next((n for n in (0, 1, -1) if low <= n <= high), None)
    return f"{low:.3g} or so" if whole is None else str(whole)


def partly_written(case: Case) -> str | None:
    """All entries that aren't right are zero."""
    known = numpy.isfinite(case.n)
    unwritten = known & (case.a == 0) & (abs(case.n) > CLOSE * scale(case))
    right = abs(case.a - case.n) <= CLOSE * scale(case)
    if not (unwritten.any() and (unwritten | right | ~known).all()):
        return None
    return (
        f"{int(unwritten.sum())} of {case.n.size} entries are zero and the others are right: a "
        "part is never written (or is assigned where it must be added)"
    )


def unmasked(case: Case) -> str | None:
    """All entries that aren't right must be zero."""
    bad = wrong(case)
    if bad.sum() < 3 or (bad == numpy.isfinite(case.n)).all() or (case.n[bad] != 0).any():
        return None
    if not (case.n[~bad] != 0).any():
        return None
    return (
        f"{int(bad.sum())} of {case.n.size} entries must be 0, since they don't move y, and the "
        "others are right: a mask is forgotten, or isn't the one of forward"
    )


def incomplete(case: Case) -> str | None:
    """Each entry is the sum of what some places of y contribute, but not of all that it must be."""
    if case.contributions is None or case.dy is None or min(case.n.ndim, case.dy.ndim) < 2:
        return None
    bad = numpy.flatnonzero(wrong(case))
    if bad.size < FEW:
        return None
    chosen = numpy.random.default_rng(0).permutation(bad)[:FEW]
    parts = case.contributions(chosen)
    for axis in {None, 2 if parts.ndim > 3 else None, parts.ndim - 1}:
        grouped = parts if axis is None else parts.sum(axis=axis)
        counts = [
            _how_many(given, own.ravel(), CLOSE * scale(case) / 10)
            for given, own in zip(case.a.ravel()[chosen], grouped, strict=True)
        ]
        if None not in counts:
            return _of_some(max(count for count in counts if count is not None))
    return None


def _of_some(count: int) -> str:
    if count == 1:
        return (
            "each wrong entry has what a single place of y contributes, where several do: assigned "
            "(=) where it must be added (+=), or a sum is missing"
        )
    return (
        "each wrong entry is the sum of what some places of y contribute, and others are left "
        "out: look for a sum over too few, or one that is assigned (=) where it must be added (+=)"
    )


def _how_many(given: float, parts: Numbers, bound: float) -> int | None:
    """Return how many of the parts make up a number, at least; None if none do."""
    parts = parts[abs(parts) > bound]
    if len(parts) > MOST_PARTS:
        return None
    for count in range(len(parts)):
        for some in itertools.combinations(parts, count):
            if abs(sum(some) - given) <= bound:
                return count
    return None


def border(case: Case) -> str | None:
    """Only pixels at the border are wrong."""
    if case.n.ndim != 4 or case.name != "x":
        return None
    for axes, depth in itertools.product(_spatial(case), (1, 2)):
        inside = tuple(slice(depth, -depth) if k in axes else slice(None) for k in range(4))
        alone = [
            tuple(slice(depth, -depth) if k == axis else slice(None) for k in range(4))
            for axis in axes
        ]
        if any(alike(case.a[part], case.n[part]) for part in alone):
            continue
        if min(case.n[inside].shape) > 0 and alike(case.a[inside], case.n[inside]):
            return (
                f"only the outermost {depth} rows and columns of pixels are wrong: the padding is "
                "handled wrongly"
            )
    return None


def confined(case: Case) -> str | None:
    """All wrong entries are in a few neighbouring slices along an axis, which are wholly wrong."""
    bad = wrong(case)
    for axis, size in enumerate(bad.shape):
        others = tuple(k for k in range(bad.ndim) if k != axis)
        (hit,) = numpy.nonzero(bad.any(axis=others))
        together = 0 < 2 * len(hit) <= size and hit[-1] - hit[0] == len(hit) - 1
        if size > 2 and together and bad.take(hit, axis).all():
            return _only(int(hit[0]), int(hit[-1]), axis, size, how(case, bad))
    return None


def _only(first: int, last: int, axis: int, size: int, said: str) -> str:
    ends = {0: "the first", size - 1: "the last"}
    if first < last:
        return (
            f"only {first} to {last} along axis {axis} are wrong{said}: look at what these alone "
            "go through"
        )
    if said or first not in ends:
        return f"only {ends.get(first, f'number {first}')} along axis {axis} is wrong{said}"
    return (
        f"only {ends[first]} along axis {axis} is wrong: a loop or a slice leaves it out, or what "
        "it alone goes through is wrong"
    )


def _has_state(case: Case) -> bool:
    """Tell whether the last step of y depends on earlier ones of x."""
    if case.x is None or case.dy is None or case.numeric is None:
        return False
    if case.dy.ndim < 2 or case.dy.shape[1] != case.n.shape[1]:
        return False
    last = numpy.zeros_like(case.dy)
    last[:, -1] = case.dy[:, -1]
    earlier = numpy.arange(case.n.size).reshape(case.n.shape)[:, -2].ravel()[:FEW]
    return bool((abs(case.numeric(case.x, last, {}, earlier)) > CLOSE * scale(case)).any())


def through_steps(case: Case) -> str | None:
    """Of a sequence, only the step at which backward begins is right."""
    if case.name != "x" or case.n.ndim != 3 or case.n.shape[1] < 3:
        return None
    right = ~wrong(case)
    if not right[:, -1].all() or right[:, :-1].all(axis=(0, 2)).any() or not _has_state(case):
        return None
    return (
        "only the last step along axis 1 is right: what later steps pass back to earlier ones, "
        "through the state, is missing or wrong"
    )

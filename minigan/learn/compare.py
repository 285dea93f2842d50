"""Whether two answers are the same: in one case, or in all of them."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Numbers

Outs = list[dict[str, Any]]
Rights = list[dict[str, Numbers]]
CLOSE = 1e-6


def equal(a: Any, b: Any) -> bool:
    """Tell whether an output has the same shape and, but for rounding, the same numbers."""
    if not isinstance(a, numpy.ndarray) or a.shape != b.shape:
        return False
    if a.dtype.kind not in "fiub" or b.dtype.kind not in "fiub":
        return False
    if not a.size:
        return True
    finite = numpy.isfinite(b)
    if not (numpy.isfinite(a) == finite).all():
        return False
    scale = float(abs(b[finite]).max()) if finite.any() else 1.0
    return bool((abs(a[finite] - b[finite]) <= CLOSE * max(scale, 1e-14)).all())


def is_wrong(given: Any, right: Numbers) -> bool:
    """Tell whether an output differs from the right one."""
    return not equal(given, right)


def count_wrong(given: Any, right: Numbers) -> int:
    """Return how many entries are wrong; none if the shape is."""
    if not isinstance(given, numpy.ndarray) or given.shape != right.shape:
        return 0
    scale = max(float(abs(right).max()), 1e-14) if right.size else 1.0
    return int((abs(given - right) > CLOSE * scale).sum())


def all_equal(wrong: dict[str, Any], out: dict[str, Any]) -> bool:
    """Tell whether all outputs of a mistake are the given ones."""
    return all(equal(out.get(name), numpy.asarray(wrong[name])) for name in wrong)


def agrees(wrongs: list[Any], outs: Outs, name: str) -> bool:
    """Tell whether a mistake gives the same output in all cases."""
    return all(
        isinstance(wrong, dict) and equal(out.get(name), wrong[name])
        for wrong, out in zip(wrongs, outs, strict=True)
    )


def explains(wrongs: list[Any], rights: Rights, outs: Outs, name: str) -> bool:
    """Tell whether a mistake gives the same wrong output in all cases."""
    return agrees(wrongs, outs, name) and any(
        is_wrong(wrong[name], right[name]) for wrong, right in zip(wrongs, rights, strict=True)
    )

"""What the shape of an answer tells about the mistake."""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan.learn import compare
from minigan.learn.language import Text
from minigan.learn.parts import Case, Numbers


def of_a_shape(given: Any, right: Numbers) -> Text | None:
    """Say why an output has the wrong shape."""
    if getattr(given, "kind", "") in ("tuple", "list"):
        return Text("several things stand where one array is asked for: return it alone")
    if not isinstance(given, numpy.ndarray) or given.shape == right.shape:
        return None
    if given.shape == () and right.size > 1 and compare.equal(given, numpy.asarray(right.sum())):
        return Text("it is summed over everything: sum over the samples only")
    if right.ndim == 0:
        return Text("it isn't one number yet: take the sum or the mean over all axes")
    return _of_axes(given.shape, right.shape)


def of_an_input(cases: list[Case], outs: list[Any]) -> Text | None:
    """Say so if an output is one of the inputs, in all cases."""
    for name, value in cases[-1].given.items():
        if isinstance(value, numpy.ndarray) and all(
            isinstance(out, numpy.ndarray) and numpy.array_equal(out, case.given[name])
            for out, case in zip(outs, cases, strict=True)
        ):
            return Text("it is {name} itself", {"name": name})
    return None


def of_an_empty_slice(outs: list[Any], rights: list[Numbers]) -> Text | None:
    """Say so if all outputs whose shape is wrong are empty, and there are right ones as well."""
    shapes = [getattr(out, "shape", None) for out in outs]
    wrong = [k for k, right in enumerate(rights) if shapes[k] != right.shape]
    if len(wrong) in (0, len(outs)) or any(0 not in (shapes[k] or ()) for k in wrong):
        return None
    return Text("a slice is empty: a[g:-g] is for g = 0, where a[g : len(a) - g] isn't")


def only_where(cases: list[Case], wrong: list[int]) -> Text | None:
    """Say so if a shape is right just in the cases where one of the inputs is some number."""
    for name, value in cases[-1].given.items():
        if type(value) is not int:
            continue
        right = {c.given[name] for k, c in enumerate(cases) if k not in wrong}
        others = {c.given[name] for k, c in enumerate(cases) if k in wrong}
        if len(right) == 1 and others and not right & others:
            return Text(
                "it is right only where {name} is {number}: look at what depends on {name}",
                {"name": name, "number": right.pop()},
            )
    return None


def _of_axes(given: tuple[int, ...], right: tuple[int, ...]) -> Text | None:
    """Say how the axes differ."""
    if given == right[::-1] and len(right) == 2:
        return Text("it is transposed")
    if sorted(given) == sorted(right):
        return Text("the axes are in another order")
    if len(right) == 2 and right[1] == 1 and given == (right[0], right[0]):
        return Text("(N, 1) and (N,) together make (N, N): give both the same shape first")
    if [n for n in given if n != 1] == [n for n in right if n != 1]:
        return Text(
            "an axis of length 1 has been lost: keep it with keepdims=True or a reshape"
            if len(given) < len(right)
            else "there is an axis of length 1 too many: take it away with a reshape"
        )
    if len(given) == len(right) + 1:
        return Text("a sum over one axis is missing")
    if any(given == right[:k] + right[k + 1 :] for k in range(len(right))):
        return Text("it is summed over one axis too many")
    return None


def of_lengths(outs: list[Any], rights: list[Numbers]) -> Text | None:
    """Say which axes of a wrong shape are too short or too long; asked where nothing else fits.

    The last of the cases tells; by how much is said if it is the same in all that are wrong.
    """
    pairs = zip(outs, rights, strict=True)
    shapes = [(a.shape, r.shape) for a, r in pairs if isinstance(a, numpy.ndarray)]
    wrong = [pair for pair in shapes if pair[0] != pair[1]]
    if not wrong:
        return None
    given, right = wrong[-1]
    if math.prod(given) == math.prod(right):
        return Text("the numbers are as many as they must be, but in another shape: reshape them")
    if len(given) != len(right):
        return None
    by = {k: a - b for k, (a, b) in enumerate(zip(given, right, strict=True)) if a != b}
    values = {"axes": ", ".join(map(str, by)), "number": abs(max(by.values()))}
    if len({a - b for pair in wrong for a, b in zip(*pair, strict=False) if a != b}) > 1:
        return Text(
            "along axis {axes} it has another length: compare how that is counted",
            {"axes": values["axes"]},
        )
    if max(by.values()) < 0:
        return Text(
            "along axis {axes} it is too short by {number}: compare how that is counted", values
        )
    return Text("along axis {axes} it is too long by {number}: compare how that is counted", values)

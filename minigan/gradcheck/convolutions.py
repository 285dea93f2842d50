"""A convolution's gradient with another stride, padding or order of the kernel than forward's.

A large image B and a small one S are related by a kernel: place ``stride · i + k - padding`` of B
goes with place i of S. In a convolution x is large and y small; in a transposed one it is the
other way round. All gradients of both are one of three sums, which are tried with each geometry.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy

from minigan.gradcheck.case import Case, Numbers, alike

STRIDES, PADDINGS = (1, 2, 3, 4), (0, 1, 2, 3, -1)


class Geometry(NamedTuple):
    """How places of the two images are related."""

    stride: int
    padding: int
    flipped: bool


class Layout(NamedTuple):
    """Which axes are which: channels first or last, the kernel's axes, and which image is large."""

    first: bool
    kernel: tuple[int, int, int, int]
    transposed: bool


def explain(case: Case) -> str | None:
    """Say in which way the geometry of backward differs from that of forward."""
    found = _found(case)
    if found is None:
        return None
    layout, name, right = found
    for other in _geometries():
        if other != right and alike(case.a, _gradient(case, layout, name, other)):
            return _said(other, right)
    return None


def _said(given: Geometry, right: Geometry) -> str:
    words = []
    if given.stride != right.stride:
        words.append(f"a stride of {given.stride} in the place of {right.stride}")
    if given.padding != right.padding:
        words.append(f"a padding of {given.padding} in the place of {right.padding}")
    if given.flipped != right.flipped:
        words.append("the kernel turned over")
    said = words[0]
    for more in words[1:]:
        said = f"{said}, and {more}"
    return f"it is what backward would give with {said}"


def _found(case: Case) -> tuple[Layout, str, Geometry] | None:
    """Return the layout and the geometry that give the right gradient."""
    if case.x is None or case.dy is None or not case.x.ndim == case.dy.ndim == case.n.ndim == 4:
        return None
    if len(case.x) != len(case.dy):
        return None
    names = [n for n, w in (case.values or {}).items() if w.ndim == 4]
    for name, layout in itertools.product(names, _layouts()):
        for geometry in _geometries():
            if alike(_gradient(case, layout, name, geometry), case.n):
                return layout, name, geometry
    return None


def _layouts() -> Iterator[Layout]:
    orders = ((0, 1, 2, 3), (0, 1, 3, 2), (2, 3, 0, 1), (2, 3, 1, 0))
    for first, kernel, transposed in itertools.product((False, True), orders, (False, True)):
        yield Layout(first, kernel, transposed)


def _geometries() -> Iterator[Geometry]:
    for stride, padding, flipped in itertools.product(STRIDES, PADDINGS, (False, True)):
        yield Geometry(stride, padding, flipped)


def _gradient(case: Case, layout: Layout, name: str, geometry: Geometry) -> Numbers:
    """Return the gradient that is checked, as this geometry has it; nothing if it doesn't fit."""
    x, dy = (_channels_last(a, layout) for a in (case.x, case.dy))
    w = (case.values or {})[name].transpose(layout.kernel)
    large, small = (dy, x) if layout.transposed else (x, dy)
    if w.shape[2:] != (large.shape[3], small.shape[3]):
        return numpy.empty(0)
    if case.name == name:
        turned = _of_kernel(large, small, w.shape, geometry)
        return turned.transpose(numpy.argsort(layout.kernel))
    if case.name != "x":
        return numpy.empty(0)
    if layout.transposed:
        return _as_given(_of_small(large, small.shape, w, geometry), layout)
    return _as_given(_of_large(small, large.shape, w, geometry), layout)


def _channels_last(a: Numbers | None, layout: Layout) -> Numbers:
    assert a is not None
    return a.transpose(0, 2, 3, 1) if layout.first else a


def _as_given(a: Numbers, layout: Layout) -> Numbers:
    return a.transpose(0, 3, 1, 2) if layout.first else a


def _places(
    large: tuple[int, ...], small: tuple[int, ...], kernel: tuple[int, ...], geometry: Geometry
) -> Iterator[tuple[int, int, tuple[Numbers, Numbers], tuple[Numbers, Numbers]]]:
    """Yield for each place of the kernel the rows and columns of both images that go together."""
    stride, padding, flipped = geometry
    for i, j in numpy.ndindex(kernel[0], kernel[1]):
        at = []
        for size, count, k in ((large[1], small[1], i), (large[2], small[2], j)):
            every = numpy.arange(count)
            there = stride * every + k - padding
            inside = (there >= 0) & (there < size)
            at.append((there[inside], every[inside]))
        (rows, own_rows), (columns, own_columns) = at
        k, m = (kernel[0] - 1 - i, kernel[1] - 1 - j) if flipped else (i, j)
        yield k, m, (rows, columns), (own_rows, own_columns)


def _pick(a: Numbers, at: tuple[Numbers, Numbers]) -> Numbers:
    return a[:, at[0]][:, :, at[1]]


def _of_kernel(
    large: Numbers, small: Numbers, shape: tuple[int, ...], geometry: Geometry
) -> Numbers:
    found = numpy.zeros(shape)
    for i, j, there, own in _places(large.shape, small.shape, shape, geometry):
        found[i, j] = numpy.einsum("nhwb,nhwa->ba", _pick(large, there), _pick(small, own))
    return found


def _of_large(small: Numbers, shape: tuple[int, ...], w: Numbers, geometry: Geometry) -> Numbers:
    found = numpy.zeros(shape)
    for i, j, there, own in _places(shape, small.shape, w.shape, geometry):
        rows, columns = numpy.ix_(*there)
        found[:, rows, columns] += _pick(small, own) @ w[i, j].T
    return found


def _of_small(large: Numbers, shape: tuple[int, ...], w: Numbers, geometry: Geometry) -> Numbers:
    found = numpy.zeros(shape)
    for i, j, there, own in _places(large.shape, shape, w.shape, geometry):
        rows, columns = numpy.ix_(*own)
        found[:, rows, columns] += _pick(large, there) @ w[i, j]
    return found

r"""Sliced Wasserstein distance: how far mass has to be moved, seen along many lines.

On a line, the Wasserstein-1 distance of two sets of points is the area between their sorted values
(quantile functions),

    W₁(a, b) = ∫₀¹ |F_a⁻¹(u) - F_b⁻¹(u)| du,

for equal counts the mean of |a_(i) - b_(i)|. The sliced distance is the mean of W₁ over random
directions (Rabin, Peyré, Delon and Bernot, "Wasserstein barycenter and its application to texture
mixing", SSVM 2011).

For images it is taken as Karras, Aila, Laine and Lehtinen do ("Progressive growing of GANs", ICLR
2018, section 5, and its published code): each image becomes a Laplacian pyramid, each level of
which holds the detail of one scale; 128 patches of 7x7 pixels are drawn from each level of each
image; the patches of a level are normalised to mean 0 and standard deviation 1 per channel; and the
sliced distance of the two sets of patches over 512 directions, times 1000, is the score of the
level. It needs no classifier. Levels below 16 pixels are left out: 28x28 has one level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.metrics import blocks

SMALLEST_SIDE = 16
"""Pixels of the smallest level."""

_PATCH, _SCALE = 7, 1000.0
_BINOMIAL = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)


@dataclass(frozen=True)
class PatchDistance:
    """Sliced Wasserstein distances of the levels of a Laplacian pyramid, times 1000.

    Attributes
    ----------
    levels
        Pairs of (size in pixels of the level's shorter side, distance), the finest first.
    average
        Mean over the levels.
    """

    levels: tuple[tuple[int, float], ...]
    average: float


def sliced_wasserstein(
    x: Array, y: Array, *, rng: numpy.random.Generator, directions: int = 512
) -> float:
    """Mean Wasserstein-1 distance of two sets of points over random directions.

    Parameters
    ----------
    x
        Shape (N, d).
    y
        Shape (M, d), on the same device; M may differ from N.
    rng
        Draws the directions, uniform on the sphere.
    directions
        How many.

    Returns
    -------
    float
        In the units of the points.

    Raises
    ------
    ValueError
        If the shapes don't fit, numbers are not finite, or `directions` is not positive.
    TypeError
        If `rng` is no generator, or the arrays don't live on one device.
    """
    x, y = blocks.pair(x, y, "samples", "reference")
    if directions < 1:
        raise ValueError(f"At least one direction is needed, got directions={directions}.")
    sphere = _sphere(x.shape[1], directions, rng)
    total = 0.0
    for group in blocks.blocks(directions, max(x.shape[0], y.shape[0])):
        some = backend.of(x).asarray(sphere[:, group], dtype=x.dtype)
        total += wasserstein_on_lines((x @ some).T, (y @ some).T) * (group.stop - group.start)
    return total / directions


def wasserstein_on_lines(a: Array, b: Array) -> float:
    """Mean of the Wasserstein-1 distances of rows: a (L, N) against b (L, M), each row points on
    one line.

    Both quantile functions are constant between the multiples of 1/N and 1/M; in units of 1/(NM)
    these are integers, so the pieces are found without rounding.
    """
    xp = backend.of(a).xp
    n, m = int(a.shape[1]), int(b.shape[1])
    # Copied to lie row after row: sorting strided rows is several times slower.
    a, b = xp.sort(xp.ascontiguousarray(a), axis=1), xp.sort(xp.ascontiguousarray(b), axis=1)
    if n == m:
        return float(abs(a - b).mean(dtype="float64"))
    edges = numpy.union1d(numpy.arange(n + 1) * m, numpy.arange(m + 1) * n)
    widths = xp.asarray(numpy.diff(edges) / (n * m), dtype=a.dtype)
    in_a, in_b = xp.asarray(edges[:-1] // m), xp.asarray(edges[:-1] // n)
    return float((abs(a[:, in_a] - b[:, in_b]) @ widths).mean())


def patch_distance(
    images: Array,
    reference: Array,
    *,
    rng: numpy.random.Generator,
    patches: int = 128,
    directions: int = 512,
) -> PatchDistance:
    """Sliced Wasserstein distance of the patches of images, level by level of a Laplacian pyramid.

    Parameters
    ----------
    images
        Shape (N, H, W, C), H and W at least 16; their scale doesn't matter.
    reference
        Shape (M, H, W, C), on the same device.
    rng
        Draws where the patches are, then the directions.
    patches
        Patches per image and level.
    directions
        Directions in all.

    Returns
    -------
    PatchDistance

    Raises
    ------
    ValueError
        If the shapes don't fit, the images are too small, numbers are not finite or counts not
        positive.
    TypeError
        If `rng` is no generator, or the arrays are no floats of one device.
    """
    images, reference = (
        blocks.images(images, "images"),
        blocks.images(reference, "reference images"),
    )
    _check_patches(images, reference, patches, directions)
    rng = blocks.generator(rng)
    levels = []
    for a, b in zip(_pyramid(images), _pyramid(reference), strict=True):
        first, second = _Patches(a, patches, rng), _Patches(b, patches, rng)
        sphere = _sphere(_PATCH * _PATCH * a.shape[3], directions, rng)
        total = 0.0
        # Patches are gathered anew for each group of directions: all of them at once would be
        # gigabytes.
        for group in blocks.blocks(directions, max(first.count, second.count)):
            total += wasserstein_on_lines(
                first.project(sphere[:, group]), second.project(sphere[:, group])
            ) * (group.stop - group.start)
        levels.append((min(a.shape[1:3]), _SCALE * total / directions))
    return PatchDistance(tuple(levels), sum(distance for _, distance in levels) / len(levels))


class _Patches:
    """Patches of a level: where they are, and their mean and standard deviation per channel."""

    def __init__(self, level: Array, per_image: int, rng: numpy.random.Generator) -> None:
        n, height, width, channels = level.shape
        ops = backend.of(level)
        top = rng.integers(0, height - _PATCH + 1, (n, per_image))
        left = rng.integers(0, width - _PATCH + 1, (n, per_image))
        corner = (numpy.arange(n)[:, None] * height + top) * width + left
        inside = numpy.arange(_PATCH)[:, None] * width + numpy.arange(_PATCH)
        self._pixels = level.reshape(-1, channels)
        self._corners, self._inside = ops.asarray(corner.ravel()), ops.asarray(inside.ravel())
        self.count = n * per_image
        self._mean, self._std = self._statistics()

    def project(self, directions: Any) -> Array:
        """Project the normalised patches: directions (49 C, L) -> (L, patches)."""
        ops = backend.of(self._pixels)
        channels = self._pixels.shape[1]
        # (patch - mean) / std · direction = patch · (direction / std) - mean · (direction / std)
        scaled = (
            ops.asarray(directions, dtype="float64").reshape(-1, channels, directions.shape[1])
            / self._std[:, None]
        )
        shift = (self._mean[:, None] * scaled).sum(axis=(0, 1))
        weight = scaled.reshape(-1, directions.shape[1]).astype(self._pixels.dtype)
        out = ops.xp.empty((directions.shape[1], self.count), dtype=self._pixels.dtype)
        for block, some in self._blocks():
            out[:, block] = (some.reshape(len(some), -1) @ weight - shift.astype(weight.dtype)).T
        return out

    def _blocks(self) -> Any:
        """Yield slices of the patches and the patches themselves, (n, 49, C)."""
        for block in blocks.blocks(self.count, _PATCH * _PATCH * int(self._pixels.shape[1])):
            yield block, self._pixels[self._corners[block][:, None] + self._inside]

    def _statistics(self) -> tuple[Array, Array]:
        numbers = self.count * _PATCH * _PATCH
        mean = sum(some.sum(axis=(0, 1), dtype="float64") for _, some in self._blocks()) / numbers
        square = sum(((some - mean) ** 2).sum(axis=(0, 1)) for _, some in self._blocks()) / numbers
        # A constant channel (a generator that paints all black) has no spread to divide by.
        return mean, backend.of(mean).xp.sqrt(square + (square == 0))


def _pyramid(images: Array) -> list[Array]:
    """Laplacian pyramid (Burt and Adelson 1983) down to 16 pixels: details of each scale, then what
    is left.
    """
    levels = []
    while min(images.shape[1:3]) // 2 >= SMALLEST_SIDE:
        smaller = _shrink(images)
        levels.append(images - _enlarge(smaller, images.shape))
        images = smaller
    return [*levels, images]


def _shrink(images: Array) -> Array:
    """Smooth with the binomial filter, then take every second pixel."""
    return _smooth(images)[:, ::2, ::2]


def _enlarge(images: Array, shape: tuple[int, ...]) -> Array:
    """Put zeros between the pixels, then smooth; times 4, as three of four pixels are zeros."""
    spread = backend.of(images).xp.zeros(shape, dtype=images.dtype)
    spread[:, ::2, ::2] = images
    return 4 * _smooth(spread)


def _smooth(images: Array) -> Array:
    """Convolve with the outer product of (1, 4, 6, 4, 1)/16; at the border the image is
    mirrored.
    """
    xp = backend.of(images).xp
    for axis in (1, 2):
        size = images.shape[axis]
        margins = [(2, 2) if a == axis else (0, 0) for a in range(4)]
        padded = xp.pad(images, margins, mode="reflect")
        shifted = [padded[(slice(None),) * axis + (slice(i, i + size),)] for i in range(5)]
        images = sum(weight * part for weight, part in zip(_BINOMIAL, shifted, strict=True))
    return images


def _sphere(d: int, directions: int, rng: numpy.random.Generator) -> Any:
    """Uniform directions as columns, (d, directions): a Gaussian vector has no preferred
    direction.
    """
    drawn = blocks.generator(rng).standard_normal((d, directions))
    return drawn / numpy.sqrt((drawn * drawn).sum(axis=0))


def _check_patches(images: Array, reference: Array, patches: int, directions: int) -> None:
    if not backend.same_device(images, reference):
        raise TypeError(
            f"The images live on {backend.device_of(images)!r}, the reference on "
            f"{backend.device_of(reference)!r}; move one with backend.get(device).asarray(x)."
        )
    if images.shape[1:] != reference.shape[1:]:
        raise ValueError(
            f"The images have shape {tuple(images.shape[1:])}, the reference images "
            f"{tuple(reference.shape[1:])}; "
            f"both need the same."
        )
    if min(images.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"The images have {images.shape[1]}x{images.shape[2]} pixels, but at least "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE} are needed; enlarge both sets alike."
        )
    if patches < 1 or directions < 1:
        raise ValueError(
            f"At least 1 patch and 1 direction are needed, got {patches} and {directions}."
        )

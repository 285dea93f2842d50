r"""Sliced Wasserstein distance: how far mass has to be moved, averaged over many directions.

On a line, the Wasserstein-1 distance of two sets of points is the area between their sorted values
(quantile functions),

    W₁(a, b) = ∫₀¹ |F_a⁻¹(u) - F_b⁻¹(u)| du,

which for equal counts is the mean of |a_(i) - b_(i)|. The sliced distance is the mean of W₁ over
random directions (Rabin, Peyré, Delon and Bernot, "Wasserstein barycenter and its application to
texture mixing", SSVM 2011).

For images, it is computed as by Karras, Aila, Laine and Lehtinen ("Progressive growing of GANs",
ICLR 2018, section 5, and its published code). Each image is decomposed into a Laplacian pyramid,
each level of which holds the details of one scale; 128 patches of 7x7 pixels are drawn from each
level of each image; the patches of a level are normalised to mean 0 and standard deviation 1 per
channel; and the sliced distance of the two sets of patches over 512 directions, times 1000, is the
score of the level. No classifier is needed. Levels below 16 pixels are left out, so 28x28 has one
level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend, randomness
from minigan.backend import Array
from minigan.metrics import blocks

SMALLEST_SIDE = 16
"""Side of the smallest level in pixels."""

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
        Number of directions.

    Returns
    -------
    float
        In the units of the points.

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or `directions` isn't positive.
    TypeError
        If `rng` isn't a generator, or the arrays aren't on one device.
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
    """Mean Wasserstein-1 distance of the rows of a (L, N) and b (L, M): points on L lines.

    The quantile functions are constant between the multiples of 1/N and of 1/M. In units of
    1/(NM), these are integers, so the pieces are found without rounding.
    """
    xp = backend.of(a).xp
    n, m = int(a.shape[1]), int(b.shape[1])
    # Made contiguous first: sorting strided rows is several times slower.
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
    """Sliced Wasserstein distance of patches of images, for each level of a Laplacian pyramid.

    Parameters
    ----------
    images
        Shape (N, H, W, C), H and W at least 16; the scale of the values doesn't matter.
    reference
        Shape (M, H, W, C), on the same device.
    rng
        Draws the positions of the patches, then the directions.
    patches
        Patches per image and level.
    directions
        Directions per level.

    Returns
    -------
    PatchDistance

    Raises
    ------
    ValueError
        If the shapes don't match, the images are too small, values aren't finite, or a number isn't
        positive.
    TypeError
        If `rng` isn't a generator, or the arrays aren't floats on one device.
    """
    images, reference = (
        blocks.images(images, "images"),
        blocks.images(reference, "reference images"),
    )
    _check_patches(images, reference, patches, directions)
    rng = randomness.generator(rng)
    noises = [_rounding(x) for x in (images, reference)]
    levels = []
    for a, b in zip(_pyramid(images), _pyramid(reference), strict=True):
        first = _Patches(a, patches, rng, noises[0])
        second = _Patches(b, patches, rng, noises[1])
        sphere = _sphere(_PATCH * _PATCH * a.shape[3], directions, rng)
        total = 0.0
        # Patches are gathered again for each group of directions: all at once would take gigabytes.
        for group in blocks.blocks(directions, max(first.count, second.count)):
            total += wasserstein_on_lines(
                first.project(sphere[:, group]), second.project(sphere[:, group])
            ) * (group.stop - group.start)
        levels.append((min(a.shape[1:3]), _SCALE * total / directions))
    return PatchDistance(tuple(levels), sum(distance for _, distance in levels) / len(levels))


class _Patches:
    """Patches of a level: their positions, and their mean and standard deviation per channel."""

    def __init__(
        self, level: Array, per_image: int, rng: numpy.random.Generator, noise: float
    ) -> None:
        n, height, width, channels = level.shape
        ops = backend.of(level)
        top = rng.integers(0, height - _PATCH + 1, (n, per_image))
        left = rng.integers(0, width - _PATCH + 1, (n, per_image))
        corner = (numpy.arange(n)[:, None] * height + top) * width + left
        inside = numpy.arange(_PATCH)[:, None] * width + numpy.arange(_PATCH)
        self._pixels = level.reshape(-1, channels)
        self._corners, self._inside = ops.asarray(corner.ravel()), ops.asarray(inside.ravel())
        self.count = n * per_image
        self._mean, self._std = self._statistics(noise)

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

    def _statistics(self, noise: float) -> tuple[Array, Array]:
        numbers = self.count * _PATCH * _PATCH
        mean = sum(some.sum(axis=(0, 1), dtype="float64") for _, some in self._blocks()) / numbers
        square = sum(((some - mean) ** 2).sum(axis=(0, 1)) for _, some in self._blocks()) / numbers
        # A constant channel (a generator that paints one colour) has no spread to divide by.
        xp = backend.of(mean).xp
        return mean, xp.sqrt(xp.where(square <= noise * noise, 1, square))


def _rounding(images: Array) -> float:
    """What rounding may leave of a constant in the levels of its pyramid."""
    return 16 * float(numpy.finfo(images.dtype).eps) * float(abs(images).max())


def _pyramid(images: Array) -> list[Array]:
    """Laplacian pyramid (Burt and Adelson 1983) down to 16 pixels: details, then the remainder."""
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
    """Put zeros between the pixels, then smooth; times 4, as three in four pixels are zero."""
    spread = backend.of(images).xp.zeros(shape, dtype=images.dtype)
    spread[:, ::2, ::2] = images
    return 4 * _smooth(spread)


def _smooth(images: Array) -> Array:
    """Convolve with the outer product of (1, 4, 6, 4, 1)/16, with reflection at the border."""
    xp = backend.of(images).xp
    for axis in (1, 2):
        size = images.shape[axis]
        margins = [(2, 2) if a == axis else (0, 0) for a in range(4)]
        padded = xp.pad(images, margins, mode="reflect")
        shifted = [padded[(slice(None),) * axis + (slice(i, i + size),)] for i in range(5)]
        images = sum(weight * part for weight, part in zip(_BINOMIAL, shifted, strict=True))
    return images


def _sphere(d: int, directions: int, rng: numpy.random.Generator) -> Any:
    """Uniform directions as columns, (d, directions): those of Gaussian vectors."""
    drawn = randomness.generator(rng).standard_normal((d, directions))
    return drawn / numpy.sqrt((drawn * drawn).sum(axis=0))


def _check_patches(images: Array, reference: Array, patches: int, directions: int) -> None:
    if not backend.same_device(images, reference):
        raise TypeError(
            f"The images are on {backend.device_of(images)!r}, the reference on "
            f"{backend.device_of(reference)!r}; move one with backend.get(device).asarray(x)."
        )
    if images.shape[1:] != reference.shape[1:]:
        raise ValueError(
            f"The images have shape {tuple(images.shape[1:])}, the reference images "
            f"{tuple(reference.shape[1:])}; both need the same shape."
        )
    if min(images.shape[1:3]) < SMALLEST_SIDE:
        raise ValueError(
            f"The images have {images.shape[1]}x{images.shape[2]} pixels, but at least "
            f"{SMALLEST_SIDE}x{SMALLEST_SIDE} are needed; enlarge both sets in the same way."
        )
    if patches < 1 or directions < 1:
        raise ValueError(
            f"At least 1 patch and 1 direction are needed, got {patches} and {directions}."
        )

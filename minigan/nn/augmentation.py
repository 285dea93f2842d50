r"""Differentiable augmentation: D sees reals and fakes only through random changes, and can't learn
few reals by heart.

(Zhao et al. 2020, "DiffAugment".) Applied to reals alone, G would learn the changes; applied to
both, and differentiated through, it learns the data. With the random numbers held constant each
change is an affine map ``y = A x + b`` of an image, and backward is its adjoint ``dx = Aᵀ dy``:

============  ============================================  ======================================
brightness    y = x + b                                     dx = dy
saturation    y = m + s (x - m), m the mean over channels   likewise: A = s I + (1 - s) M, symmetric
contrast      y = m + c (x - m), m the mean over the image  likewise
translation   y[i, j] = x[i - a, j - b], zero outside       dx[i, j] = dy[i + a, j + b], backwards
cutout        y = x with a rectangle of zeros               dx = dy with the same rectangle of zeros
============  ============================================  ======================================
"""

from __future__ import annotations

from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer

CHANGES = ("brightness", "saturation", "contrast", "translation", "cutout")


class Augment(Layer):
    """In training, change each image at random; see the head of this file. Evaluation changes
    nothing.

    Shapes: x and y (N, H, W, C). Ranges are DiffAugment's: b ~ U(-½, ½), s ~ U(0, 2), c ~ U(½,
    3/2), translation by up to an eighth of the size, a cutout of half the height and width.

    Parameters
    ----------
    changes
        Which, in their order: some of ``brightness``, ``saturation``, ``contrast``,
        ``translation``, ``cutout``.
    rng
        Draws the numbers, on the host; without one, the operating system seeds.
    """

    def __init__(self, *changes: str, rng: numpy.random.Generator | None = None) -> None:
        unknown = [name for name in changes if name not in CHANGES]
        if unknown or not changes:
            raise ValueError(
                f"Augment needs some of {', '.join(CHANGES)}, got "
                f"{', '.join(unknown) or 'nothing'}; choose from these."
            )
        self.changes = changes
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, C) to y of the same shape."""
        x = self.check(x)
        drawn = [(name, self._draw(name, x)) for name in self.changes] if train else []
        y = x
        for name, numbers in drawn:
            y = y + numbers if name == "brightness" else _linear_part(name, numbers, y)
        return y, Cache(self, y, drawn)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx by the adjoints, in reverse order."""
        (drawn,) = cache.recall(self, dy)
        if not input_grad:
            return None
        for name, numbers in reversed(drawn):
            # Symmetric maps are their own adjoints; a translation's is the translation back.
            back = (-numbers[0], -numbers[1]) if name == "translation" else numbers
            dy = _linear_part(name, back, dy)
        return dy

    def double_backward(
        self,
        v: Array,
        dy: Array,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[None, Array]:
        """Map v to None and its image under the linear parts."""
        (drawn,) = cache.recall(self, dy, v)
        for name, numbers in drawn:
            v = _linear_part(name, numbers, v)
        return None, v

    def _draw(self, name: str, x: Array) -> Any:
        n, height, width, _ = x.shape
        ops, each = backend.of(x), (n, 1, 1, 1)
        if name == "brightness":
            return ops.draw(self.rng, lambda rng: rng.uniform(-0.5, 0.5, each), x.dtype)
        if name == "saturation":
            return ops.draw(self.rng, lambda rng: rng.uniform(0.0, 2.0, each), x.dtype)
        if name == "contrast":
            return ops.draw(self.rng, lambda rng: rng.uniform(0.5, 1.5, each), x.dtype)
        if name == "translation":
            most = round(height / 8), round(width / 8)
            ij = ops.draw(
                self.rng, lambda rng: [rng.integers(-m, m, n, endpoint=True) for m in most], "int64"
            )
            return ij[0], ij[1]
        return ops.draw(self.rng, lambda rng: _holes(n, height, width, rng), x.dtype)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) stays as it is."""
        if len(shape) != 4:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, channels)."
            )
        return shape

    def __repr__(self) -> str:
        return f"Augment({', '.join(map(repr, self.changes))})"


def _linear_part(name: str, numbers: Any, x: Array) -> Array:
    """The A of one change, applied to x."""
    if name == "brightness":
        return x
    if name == "saturation":
        mean = x.mean(axis=3, keepdims=True)
        return mean + numbers * (x - mean)
    if name == "contrast":
        mean = x.mean(axis=(1, 2, 3), keepdims=True)
        return mean + numbers * (x - mean)
    if name == "translation":
        return _shifted(x, *numbers)
    return x * numbers


def _shifted(x: Array, a: Array, b: Array) -> Array:
    """``y[n, i, j] = x[n, i - a_n, j - b_n]``, zero where that lies outside."""
    xp = backend.of(x).xp
    n, height, width, _ = x.shape
    i = xp.arange(height)[None, :] - a[:, None]
    j = xp.arange(width)[None, :] - b[:, None]
    inside = ((i >= 0) & (i < height))[:, :, None] & ((j >= 0) & (j < width))[:, None, :]
    rows, columns = xp.clip(i, 0, height - 1), xp.clip(j, 0, width - 1)
    taken = x[xp.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
    return taken * inside[:, :, :, None].astype(x.dtype)


def _holes(n: int, height: int, width: int, rng: numpy.random.Generator) -> Array:
    """Ones with a rectangle of zeros of half the height and width at a random place, (n, height,
    width, 1).
    """
    centre_i = rng.integers(0, height + 1 - (height // 2) % 2, n)[:, None]
    centre_j = rng.integers(0, width + 1 - (width // 2) % 2, n)[:, None]
    i, j = numpy.arange(height)[None, :], numpy.arange(width)[None, :]
    in_rows = (i >= centre_i - height // 4) & (i < centre_i - height // 4 + height // 2)
    in_columns = (j >= centre_j - width // 4) & (j < centre_j - width // 4 + width // 2)
    return ~(in_rows[:, :, None] & in_columns[:, None, :])[..., None]

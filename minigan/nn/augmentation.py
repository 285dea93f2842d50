r"""Differentiable augmentation, which keeps D from memorising a small data set.

D sees reals and fakes only after random changes (Zhao et al. 2020, "DiffAugment"). If only reals
were changed, G would learn the changes; if both are, and gradients pass through the changes, G
learns the data. With the random numbers held constant each change is an affine map ``y = A x + b``
of an image, and backward is its adjoint ``dx = Aᵀ dy``:

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

Generator = numpy.random.Generator


class Change:
    """One change of images, ``y = A x + b``, drawn at random for each image."""

    def draw(self, x: Array, rng: Generator) -> Any:
        """Draw the random numbers for images x (N, H, W, C), on the host, and move them to x."""
        raise NotImplementedError

    def linear(self, x: Array, drawn: Any) -> Array:
        """Return A x."""
        raise NotImplementedError

    def apply(self, x: Array, drawn: Any) -> Array:
        """Return y, which is A x unless there is a b."""
        return self.linear(x, drawn)

    def adjoint(self, dy: Array, drawn: Any) -> Array:
        """Return Aᵀ dy, which is A dy where A is symmetric."""
        return self.linear(dy, drawn)


class Brightness(Change):
    """``y = x + b``, b ~ U(-½, ½)."""

    def draw(self, x: Array, rng: Generator) -> Array:
        """Draw b, (N, 1, 1, 1)."""
        return _uniform(x, rng, -0.5, 0.5)

    def linear(self, x: Array, drawn: Array) -> Array:
        """A is the identity."""
        return x

    def apply(self, x: Array, drawn: Array) -> Array:
        """Add b."""
        return x + drawn


class Saturation(Change):
    """``y = m + s (x - m)``, m the mean over the channels of a pixel, s ~ U(0, 2)."""

    def draw(self, x: Array, rng: Generator) -> Array:
        """Draw s, (N, 1, 1, 1)."""
        return _uniform(x, rng, 0.0, 2.0)

    def linear(self, x: Array, drawn: Array) -> Array:
        """A = s I + (1 - s) M, symmetric."""
        mean = x.mean(axis=3, keepdims=True)
        return mean + drawn * (x - mean)


class Contrast(Change):
    """``y = m + c (x - m)``, m the mean over the image, c ~ U(½, 3/2)."""

    def draw(self, x: Array, rng: Generator) -> Array:
        """Draw c, (N, 1, 1, 1)."""
        return _uniform(x, rng, 0.5, 1.5)

    def linear(self, x: Array, drawn: Array) -> Array:
        """A = c I + (1 - c) M, symmetric."""
        mean = x.mean(axis=(1, 2, 3), keepdims=True)
        return mean + drawn * (x - mean)


class Translation(Change):
    """``y[i, j] = x[i - a, j - b]``, zero outside; a and b up to an eighth of height and width."""

    def draw(self, x: Array, rng: Generator) -> tuple[Array, Array]:
        """Draw a and b, (N,) each."""
        n, height, width, _ = x.shape
        most = round(height / 8), round(width / 8)
        ab = backend.of(x).draw(
            rng, lambda rng: [rng.integers(-m, m, n, endpoint=True) for m in most], "int64"
        )
        return ab[0], ab[1]

    def linear(self, x: Array, drawn: tuple[Array, Array]) -> Array:
        """Shift each image by its (a, b)."""
        xp = backend.of(x).xp
        a, b = drawn
        n, height, width, _ = x.shape
        i = xp.arange(height)[None, :] - a[:, None]
        j = xp.arange(width)[None, :] - b[:, None]
        inside = ((i >= 0) & (i < height))[:, :, None] & ((j >= 0) & (j < width))[:, None, :]
        rows, columns = xp.clip(i, 0, height - 1), xp.clip(j, 0, width - 1)
        taken = x[xp.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]
        return xp.where(inside[:, :, :, None], taken, x.dtype.type(0))

    def adjoint(self, dy: Array, drawn: tuple[Array, Array]) -> Array:
        """Shift back."""
        a, b = drawn
        return self.linear(dy, (-a, -b))


class Cutout(Change):
    """``y = x m``, m zero in a rectangle of half the height and width at a random place, else 1."""

    def draw(self, x: Array, rng: Generator) -> Array:
        """Draw m, (N, H, W, 1)."""
        n, height, width, _ = x.shape
        return backend.of(x).draw(rng, lambda rng: _holes(n, height, width, rng), x.dtype)

    def linear(self, x: Array, drawn: Array) -> Array:
        """A is diagonal, of zeros and ones."""
        return backend.of(x).xp.where(drawn > 0, x, x.dtype.type(0))


CHANGES: dict[str, Change] = {
    "brightness": Brightness(),
    "saturation": Saturation(),
    "contrast": Contrast(),
    "translation": Translation(),
    "cutout": Cutout(),
}


class Augment(Layer):
    """Change each image at random in training, and not at all in evaluation.

    Shapes: x and y (N, H, W, C). The ranges are DiffAugment's; see each change above.

    Parameters
    ----------
    changes
        Which changes to make, in this order: one or more of ``brightness``, ``saturation``,
        ``contrast``, ``translation``, ``cutout``.
    rng
        Draws the numbers, on the host; if None, a generator seeded by the operating system.

    Raises
    ------
    ValueError
        If there is no change, or an unknown one.
    """

    def __init__(self, *changes: str, rng: Generator | None = None) -> None:
        unknown = [name for name in changes if name not in CHANGES]
        if unknown or not changes:
            raise ValueError(
                f"Augment needs one or more of {', '.join(CHANGES)}, got "
                f"{', '.join(unknown) or 'nothing'}; choose from these."
            )
        self.changes = changes
        self.rng = initial.generator(rng)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x (N, H, W, C) to y of the same shape."""
        x = self.check(x)
        changes = [CHANGES[name] for name in self.changes] if train else []
        made = [(change, change.draw(x, self.rng)) for change in changes]
        y = x
        for change, drawn in made:
            y = change.apply(y, drawn)
        return y, Cache(self, y, made)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to dx by the adjoints, in reverse order."""
        (made,) = cache.recall(self, dy)
        if not input_grad:
            return None
        for change, drawn in reversed(made):
            dy = change.adjoint(dy, drawn)
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
        (made,) = cache.recall(self, dy, v)
        for change, drawn in made:
            v = change.linear(v, drawn)
        return None, v

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) stays as it is."""
        if len(shape) != 4:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs (N, height, width, channels)."
            )
        return shape

    def __repr__(self) -> str:
        return f"Augment({', '.join(map(repr, self.changes))})"


def _uniform(x: Array, rng: Generator, low: float, high: float) -> Array:
    """Draw a number from U(low, high) for each image."""
    each = (x.shape[0], 1, 1, 1)
    return backend.of(x).draw(rng, lambda rng: rng.uniform(low, high, each), x.dtype)


def _holes(n: int, height: int, width: int, rng: Generator) -> Array:
    """Return ones (n, height, width, 1) with a rectangle of zeros at a random place.

    The rectangle has half the height and width.
    """
    centre_i = rng.integers(0, height + 1 - (height // 2) % 2, n)[:, None]
    centre_j = rng.integers(0, width + 1 - (width // 2) % 2, n)[:, None]
    i, j = numpy.arange(height)[None, :], numpy.arange(width)[None, :]
    in_rows = (i >= centre_i - height // 4) & (i < centre_i - height // 4 + height // 2)
    in_columns = (j >= centre_j - width // 4) & (j < centre_j - width // 4 + width // 2)
    return ~(in_rows[:, :, None] & in_columns[:, None, :])[..., None]

"""Borders around images."""

from __future__ import annotations

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Shape
from minigan.nn.fixed import Fixed, require_images
from minigan.nn.geometry import Padding, border_refusal, known_mode, short_sides, sides


class Pad(Fixed, samplewise=True):
    """Add a border of zeros, or of pixels of the image itself.

    ``reflect`` mirrors the image at its first and last pixel without repeating them
    (``c b | a b c | b a``), ``replicate`` repeats the nearest pixel (``a a | a b c | c c``),
    ``circular`` takes the other end (``b c | a b c | a b``).

    Shapes: x (N, H, W, C), y (N, above + H + below, left + W + right, C).

    Backward: a pixel of x is at one place inside, and perhaps at several in the border, so dx is
    the inside of dy plus the border's cotangents, each added to the pixel that it is a copy of.

    Parameters
    ----------
    padding
        As much on every side; (height, width); or ((above, below), (left, right)).
    mode
        ``zeros``, ``reflect``, ``replicate`` or ``circular``.
    """

    def __init__(self, padding: Padding, *, mode: str = "zeros") -> None:
        self.sides, self.mode = sides("padding", padding), known_mode(mode)

    def apply(self, x: Array) -> Array:
        """Return x with its border."""
        return backend.of(x).pad(x, self.sides, self.mode)

    def adjoint(self, dy: Array, shape: Shape) -> Array:
        """Cut the border off, and add it to what it is a copy of."""
        return backend.of(dy).pad_grad(dy, self.sides, self.mode)

    def output_shape(self, shape: Shape) -> Shape:
        """(N, H, W, C) -> (N, above + H + below, left + W + right, C)."""
        require_images(self, shape)
        refusal = border_refusal(shape, self.sides, self.mode)
        if refusal:
            raise ValueError(f"{self!r} got an input of shape {shape}: {refusal}.")
        n, height, width, channels = shape
        return n, height + sum(self.sides[0]), width + sum(self.sides[1]), channels

    def __repr__(self) -> str:
        return f"Pad({short_sides(self.sides)}, mode={self.mode!r})"

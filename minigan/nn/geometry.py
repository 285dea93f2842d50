"""Where the window of a convolution lies: padding, stride, dilation, groups, and what follows.

`Geometry` is the map U of `minigan.nn.convolution` with everything that it can be told. A plain
window goes to the backend's `conv`, which is fast; borders of other kinds are added to the image
first, by a linear map of its own, and taken off again by its adjoint; a window with gaps (dilation)
or channels in groups is computed tap by tap.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from minigan.backend import Array, Window
from minigan.backend.window import Pair, is_whole, pair
from minigan.nn.cache import Shape

Sides = tuple[Pair, Pair]
Padding = int | Pair | Sides
"""As much on every side; (height, width); or ((above, below), (left, right))."""

MODES = ("zeros", "reflect", "replicate", "circular")


class Geometry(NamedTuple):
    """The window of a convolution.

    Attributes
    ----------
    kernel, stride, dilation
        Taps, distance of positions, and distance of taps, each (height, width).
    sides
        Padding, ((above, below), (left, right)).
    groups
        Into how many pieces the channels are cut.
    mode
        One of `MODES`.
    """

    kernel: Pair
    stride: Pair
    sides: Sides
    dilation: Pair = (1, 1)
    groups: int = 1
    mode: str = "zeros"

    @property
    def simple(self) -> bool:
        """Whether it is a window without gaps that sees all channels."""
        return self.dilation == (1, 1) and self.groups == 1

    @property
    def pads(self) -> bool:
        """Whether the borders are added to the image before the window comes."""
        (top, bottom), (left, right) = self.sides
        inside = self.simple and self.mode == "zeros" and top == bottom and left == right
        return not inside and any((top, bottom, left, right))

    @property
    def window(self) -> Window:
        """What is left to the backend's `conv`."""
        (top, _), (left, _) = self.sides
        return Window(self.kernel, self.stride, (0, 0) if self.pads else (top, left))

    def padded(self, shape: Shape) -> Shape:
        """Return the shape (N, H, W, C) of images after their borders have been added."""
        (top, bottom), (left, right) = self.sides
        n, height, width, channels = shape
        return n, height + top + bottom, width + left + right, channels

    def output_size(self, height: int, width: int) -> Pair:
        """Return the number of positions along each axis."""
        _, *size, _ = self.padded((1, height, width, 1))
        return (
            (size[0] - self.dilation[0] * (self.kernel[0] - 1) - 1) // self.stride[0] + 1,
            (size[1] - self.dilation[1] * (self.kernel[1] - 1) - 1) // self.stride[1] + 1,
        )

    # ---------------------------------------------------------------- U, Uᵀ and the gradient of W

    def conv(self, ops: Any, x: Array, w: Array, b: Array | None = None) -> tuple[Array, Any]:
        """Return ``U(x) W + b`` and what `weight_grad` wants to see again."""
        if self.pads:
            x = ops.pad(x, self.sides, self.mode)
        if self.simple:
            return ops.conv(x, w, self.window, b)
        y = ops.conv_taps(x, w, self.stride, self.dilation)
        return (y if b is None else y + b), x

    def keep(self, ops: Any, x: Array) -> Any:
        """Return only what `weight_grad` wants to see."""
        if self.pads:
            x = ops.pad(x, self.sides, self.mode)
        return ops.conv_keep(x, self.window) if self.simple else x

    def weight_grad(self, ops: Any, kept: Any, dy: Array) -> Array:
        """Return ``dW = U(x)ᵀ dy``."""
        if self.simple:
            return ops.conv_weight_grad(kept, dy, self.window)
        return ops.conv_taps_weight_grad(
            kept, dy, self.kernel, self.stride, self.dilation, self.groups
        )

    def input_grad(
        self, ops: Any, dy: Array, w: Array, shape: Shape, b: Array | None = None
    ) -> Array:
        """Return ``Uᵀ(dy Wᵀ) + b``, images of the given shape."""
        if self.simple and not self.pads:
            return ops.conv_input_grad(dy, w, shape, self.window, b)
        inner = self.padded(tuple(shape)) if self.pads else tuple(shape)
        if self.simple:
            dx = ops.conv_input_grad(dy, w, inner, self.window)
        else:
            dx = ops.conv_taps_input_grad(dy, w, inner, self.stride, self.dilation)
        if self.pads:
            dx = ops.pad_grad(dx, self.sides, self.mode)
        return dx if b is None else dx + b

    # ---------------------------------------------------------------- checks and words

    def refusal(self, shape: Shape) -> str:
        """Say why images (N, H, W, C) don't fit, or return the empty string."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        reach = (kh - 1) * dh + 1, (kw - 1) * dw + 1
        _, height, width, _ = self.padded(shape)
        if reach[0] > height or reach[1] > width:
            return (
                f"its kernel of {reach[0]}x{reach[1]} is larger than the padded image of "
                f"{height}x{width}; use a smaller kernel, more padding or fewer strides before it"
            )
        return border_refusal(shape, self.sides, self.mode)

    def __str__(self) -> str:
        words = {"kernel_size": _short(self.kernel), "stride": _short(self.stride)}
        words["padding"] = short_sides(self.sides)
        if self.dilation != (1, 1):
            words["dilation"] = _short(self.dilation)
        if self.groups != 1:
            words["groups"] = str(self.groups)
        if self.mode != "zeros":
            words["padding_mode"] = repr(self.mode)
        return ", ".join(f"{name}={word}" for name, word in words.items())


def geometry(
    kernel_size: int | Pair, stride: int | Pair, padding: Padding, dilation: int | Pair,
    groups: int, mode: str, channels: Pair,
) -> Geometry:  # fmt: skip
    """Return the geometry that a layer was told of, or raise a ValueError.

    Parameters
    ----------
    channels
        Those of x and of y; both must be multiples of `groups`.
    """
    if not is_whole(groups) or groups < 1 or any(c % groups for c in channels):
        raise ValueError(
            f"groups must be a whole number that divides the channels of x and of y, {channels[0]} "
            f"and {channels[1]}, got {groups!r}."
        )
    return Geometry(
        pair("kernel_size", kernel_size, minimum=1),
        pair("stride", stride, minimum=1),
        sides("padding", padding),
        pair("dilation", dilation, minimum=1),
        int(groups),
        known_mode(mode),
    )


def known_mode(mode: str) -> str:
    """Return the padding mode if there is one of this name."""
    if mode not in MODES:
        raise ValueError(f"padding_mode must be one of {', '.join(MODES)}, got {mode!r}.")
    return mode


def sides(name: str, padding: Padding) -> Sides:
    """Turn a padding as it may be written into ((above, below), (left, right))."""
    if (
        isinstance(padding, (tuple, list))
        and len(padding) == 2
        and all(isinstance(p, (tuple, list)) for p in padding)
    ):
        above, left = (pair(name, p, minimum=0) for p in padding)
        return above, left
    height, width = pair(name, padding, minimum=0)  # type: ignore[arg-type]
    return (height, height), (width, width)


def border_refusal(shape: Shape, sides: Sides, mode: str) -> str:
    """Say why borders of this kind don't fit images (N, H, W, C), or return the empty string."""
    most = {"reflect": 1, "circular": 0}.get(mode)
    for size, widths in zip(shape[1:3], sides, strict=True):
        if most is not None and max(widths) > size - most:
            return (
                f"its {mode} padding of {max(widths)} takes more pixels than an axis of {size} "
                "has; use less padding or larger images"
            )
    return ""


def short_sides(sides: Sides) -> str:
    """Write a padding as briefly as it may be given."""
    (top, bottom), (left, right) = sides
    return _short((top, left)) if top == bottom and left == right else str(sides)


def _short(both: Pair) -> str:
    return str(both[0] if both[0] == both[1] else both)

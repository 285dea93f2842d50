"""What a forward call keeps for its backward calls."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

from minigan.backend import Array

Shape = tuple[int, ...]


class Cache:
    """What one forward call keeps for its backward calls.

    A cache belongs to a call, not to a layer, so D(real) and D(fake) can't overwrite each other's.

    Parameters
    ----------
    owner
        The layer that made it.
    y
        The output of the forward call (only its shape is kept).
    saved
        What the backward map needs.

    Raises
    ------
    TypeError
        If `y` isn't an array.
    """

    __slots__ = ("owner", "saved", "y_shape")

    def __init__(self, owner: Any, y: Array, *saved: Any) -> None:
        self.owner = owner
        try:
            self.y_shape: Shape = tuple(y.shape)
        except AttributeError:
            raise TypeError(
                f"{owner!r}.forward gave its cache {type(y).__name__} as y, but a cache needs the "
                "array that forward returns; write Cache(self, y, ...) with that array."
            ) from None
        self.saved = saved

    def recall(self, owner: Any, dy: Array | Signals, v: Array | None = None) -> tuple[Any, ...]:
        """Return what was saved, after checking that the owner, `dy` and `v` fit.

        Raises
        ------
        ValueError
            If the cache was made by another layer, `dy` doesn't have the shape of the output, or
            `v` doesn't have that of the input.
        TypeError
            If `dy` or `v` isn't an array of floating-point numbers.
        """
        if self.owner is not owner:
            raise ValueError(
                f"{owner!r}.backward got the cache of {self.owner!r}; pass the cache that its own "
                "forward returned together with this output."
            )
        if isinstance(dy, Signals):
            return self.saved
        if not hasattr(dy, "dtype"):
            raise TypeError(
                f"{owner!r}.backward got {type(dy).__name__} as dy, but needs an array; in a net, "
                "it is what the backward of the layer after it returns."
            )
        require_floating(owner, dy, "cotangent dy")
        if tuple(dy.shape) != self.y_shape:
            raise ValueError(
                f"{owner!r}.backward got a cotangent of shape {tuple(dy.shape)}, but its output "
                f"had shape {self.y_shape}; dy must have the shape of y."
            )
        if v is not None:
            self.check_tangent(owner, v)
        return self.saved

    def check_tangent(self, owner: Any, v: Array) -> None:
        """Refuse a tangent `v` that doesn't have the shape of the input."""
        require_floating(owner, v, "tangent v")
        if tuple(owner.output_shape(tuple(v.shape))) != self.y_shape:
            raise ValueError(
                f"{owner!r}.double_backward got a tangent of shape {tuple(v.shape)}, which doesn't "
                f"fit an output of shape {self.y_shape}; v must have the shape of x."
            )


def caches_checked(made: type[Any]) -> None:
    """Let the backward maps that a class defines say so when what they get is no cache."""
    for name in ("backward", "backward_signals", "double_backward"):
        if method := vars(made).get(name):
            setattr(made, name, _checked(method))


def _checked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def checked(self: Any, *given: Any, **options: Any) -> Any:
        try:
            return method(self, *given, **options)
        except AttributeError:
            cache = inspect.signature(method).bind(self, *given, **options).arguments["cache"]
            if isinstance(cache, Cache):
                raise
            raise TypeError(
                f"{self!r}.{method.__name__} got {type(cache).__name__} as cache; write "
                "y, cache = layer.forward(x), and pass that cache."
            ) from None

    return checked


class Signals(tuple[Any, ...]):
    """The cotangents met in one backward pass: for each layer inside, an array or `Signals`."""


def require_floating(owner: Any, x: Any, what: str) -> None:
    """Refuse anything but an array of float32 or float64; the message names `owner` and `what`."""
    dtype: Any = getattr(x, "dtype", None)
    if getattr(dtype, "kind", None) is None:
        remedy = "convert it with numpy.asarray(x, dtype='float32')"
        if isinstance(x, tuple):
            remedy = "leave out what comes with it, such as labels, which this layer doesn't take"
        raise TypeError(
            f"{owner!r} got {type(x).__name__} as {what}, but needs an array; {remedy}."
        )
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):
        raise TypeError(
            f"{owner!r} got {what} of dtype {dtype}, but computes in float32 or float64; convert "
            "with x.astype('float32')."
        )

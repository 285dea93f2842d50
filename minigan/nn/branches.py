"""Heads side by side, and the fading in of new layers."""

from __future__ import annotations

import math
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, Signals
from minigan.nn.layer import Layer, require_layers
from minigan.nn.sequential import plus


class Branches(Layer, samplewise=True):
    """Several heads on one input, their outputs joined: ``y = [A(x), B(x), ...]``.

    Shapes: x (N, ...) gives A(x) (N, ..., a), B(x) (N, ..., b), and y (N, ..., a + b), joined along
    the last axis; `split` takes it apart. A discriminator that also tells the class (AC-GAN) or the
    code (InfoGAN) ends in one.

    Backward: each head gets its piece of dy, and x reaches L through all of them, ``dx = A'ᵀ dy_a +
    B'ᵀ dy_b + ...``. Double backward: ⟨v, dx⟩ is that sum too, so each head is differentiated
    separately, and the results are added.

    Parameters
    ----------
    heads
        A, B, ...
    """

    def __init__(self, *heads: Layer) -> None:
        if not heads:
            raise ValueError("Branches needs at least one head; write Branches(a, b).")
        require_layers("Branches", *heads)
        self.heads = heads

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to the joined outputs of all heads."""
        x = self.check(x)
        outputs, caches = zip(*(head.forward(x, train=train) for head in self.heads), strict=True)
        y = backend.of(outputs[0]).xp.concatenate(list(outputs), axis=-1)
        ends = [sum(o.shape[-1] for o in outputs[: i + 1]) for i in range(len(outputs))]
        return y, Cache(self, y, caches, ends)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to the sum of what comes back through the heads."""
        caches, ends = cache.recall(self, dy)
        dx: Any = None
        for head, d, inner in zip(self.heads, _pieces(dy, ends), caches, strict=True):
            part = head.backward(d, inner, param_grads=param_grads, input_grad=input_grad)
            dx = plus(dx, part)
        return dx if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met inside each head."""
        caches, ends = cache.recall(self, dy)
        dx: Any = None
        signals = []
        for head, d, inner in zip(self.heads, _pieces(dy, ends), caches, strict=True):
            part, signal = head.backward_signals(d, inner)
            dx = plus(dx, part)
            signals.append(signal)
        return dx, Signals(signals)

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v through every head; add what comes down, and join the tangents."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        caches, _ = cache.recall(self, signals)
        dx: Any = None
        tangents = []
        for head, signal, inner in zip(self.heads, signals, caches, strict=True):
            part, tangent = head.double_backward(
                v, signal, inner, param_grads=param_grads, input_grad=input_grad
            )
            dx = plus(dx, part)
            tangents.append(tangent)
        return dx, backend.of(v).xp.concatenate(tangents, axis=-1)

    def split(self, y: Array, shape: Shape) -> list[Array]:
        """Take an output apart.

        Parameters
        ----------
        y
            Shape (N, ..., a + b).
        shape
            Shape of the x that it came from.
        """
        sizes = [head.output_shape(shape)[-1] for head in self.heads]
        return _pieces(y, [sum(sizes[: i + 1]) for i in range(len(sizes))])

    def output_shape(self, shape: Shape) -> Shape:
        """(N, ...) -> (N, ..., a + b)."""
        shapes = [head.output_shape(shape) for head in self.heads]
        if len({inner[:-1] for inner in shapes}) > 1:
            raise ValueError(
                f"Branches got an input of shape {shape}: its heads map it to "
                f"{', '.join(map(str, shapes))}, which can only be joined if all axes but the last "
                "agree; end them alike, for example with Flatten()."
            )
        return (*shapes[0][:-1], sum(inner[-1] for inner in shapes))

    def multiply_adds(self, shape: Shape) -> int:
        """Sum over the heads."""
        return sum(head.multiply_adds(shape) for head in self.heads)

    def __repr__(self) -> str:
        return f"Branches({', '.join(map(repr, self.heads))})"


class Fade(Layer, samplewise=True):
    """A mixture of an old path and a new one: ``y = (1 - α) O(x) + α N(x)``.

    (Karras et al. 2018, figure 2.) While a net grows, α goes from 0 to 1, so that layers not yet
    trained don't upset those that are. It isn't learnt: assign to `alpha`.

    Backward: each path gets its share of dy, ``dx = (1 - α) O'ᵀ dy + α N'ᵀ dy``; double backward
    likewise. A path without a share isn't run at all.

    Parameters
    ----------
    old, new
        O and N, whose outputs have one shape.
    alpha
        α, 0 to 1; or a scalar array of the net's device, which isn't looked at, so that both paths
        run in any case.
    """

    def __init__(self, old: Layer, new: Layer, *, alpha: float | Array = 0.0) -> None:
        require_layers("Fade", old, new)
        self.old, self.new, self.alpha = old, new, alpha

    @property
    def alpha(self) -> float | Array:
        """α, the share of the new path."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float | Array) -> None:
        if _is_array(value):
            self._alpha: float | Array = value
            return
        if not (0 <= value <= 1 and math.isfinite(value)):
            raise ValueError(f"The alpha of Fade must be from 0 to 1, got {value!r}.")
        self._alpha = float(value)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to the mixture."""
        x = self.check(x)
        y: Any = None
        paths = []
        for share, path in self._paths():
            out, inner = path.forward(x, train=train)
            if type(share) is not float:
                share = share.astype(out.dtype, copy=False)
            y = plus(y, share * out)
            paths.append((share, path, inner))
        return y, Cache(self, y, paths)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to the sum of what comes back along both paths."""
        (paths,) = cache.recall(self, dy)
        dx: Any = None
        for share, path, inner in paths:
            part = path.backward(share * dy, inner, param_grads=param_grads, input_grad=input_grad)
            dx = plus(dx, part)
        return dx if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Map dy to dx, and keep the cotangents met along both paths."""
        (paths,) = cache.recall(self, dy)
        dx: Any = None
        signals = []
        for share, path, inner in paths:
            part, signal = path.backward_signals(share * dy, inner)
            dx = plus(dx, part)
            signals.append(signal)
        return dx, Signals(signals)

    def double_backward(
        self, v: Array, dy: Array | Signals, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v along both paths: the signals hold the shares already, the tangents don't."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        (paths,) = cache.recall(self, signals)
        dx: Any = None
        tangent: Any = None
        for (share, path, inner), signal in zip(paths, signals, strict=True):
            part, up = path.double_backward(
                v, signal, inner, param_grads=param_grads, input_grad=input_grad
            )
            dx, tangent = plus(dx, part), plus(tangent, share * up)
        return dx, tangent

    def _paths(self) -> list[tuple[Any, Layer]]:
        both = (1 - self.alpha, self.old), (self.alpha, self.new)
        return [(share, path) for share, path in both if _is_array(share) or share > 0]

    def output_shape(self, shape: Shape) -> Shape:
        """Return the shape that both paths give."""
        old, new = self.old.output_shape(shape), self.new.output_shape(shape)
        if old != new:
            raise ValueError(
                f"Fade got an input of shape {shape}: its old path maps it to {old}, its new one "
                f"to {new}; make the shapes equal, for example with Upsample() in the old path."
            )
        return new

    def multiply_adds(self, shape: Shape) -> int:
        """Sum over the paths that have a share."""
        return sum(path.multiply_adds(shape) for _, path in self._paths())

    def __repr__(self) -> str:
        alpha = "an array" if _is_array(self.alpha) else f"{self.alpha:g}"
        return f"Fade({self.old!r}, {self.new!r}, alpha={alpha})"


def _is_array(value: Any) -> bool:
    return hasattr(value, "dtype") and not isinstance(value, numpy.generic)


def _pieces(y: Array, ends: list[int]) -> list[Array]:
    """Cut the last axis at the given places."""
    xp = backend.of(y).xp
    starts = [0, *ends[:-1]]
    return [
        xp.ascontiguousarray(y[..., start:end]) for start, end in zip(starts, ends, strict=True)
    ]

"""Chains of layers: the chain rule as a loop."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from minigan.backend import Array
from minigan.nn.cache import Cache, Shape, Signals
from minigan.nn.fusion import Joined, stages, stages_with_caches
from minigan.nn.layer import Layer, require_layers
from minigan.nn.summary import Row
from minigan.nn.tree import held


class Sequential(Layer, samplewise=True):
    """A chain of layers, ``y = f_L(... f_2(f_1(x)))``.

    Backward is the chain rule: the cotangent walks back along the chain, and each layer turns the
    cotangent of its output into that of its input.

    Double backward. ⟨v, dx⟩ depends on a layer's weights and input along two paths: through its own
    backward map, and through the inputs of all layers above it. So v walks up as a tangent and
    meets, at each layer, the cotangent that the backward pass left there: that is the first path. A
    layer with curvature also produces a cotangent for its input, and an ordinary backward pass
    carries these down through the layers below: the second path. Up, down, up, down: four passes,
    and the last is empty for a net of linear and (leaky) ReLU layers.

    Parameters
    ----------
    layers
        In the order in which they are applied.

    Raises
    ------
    TypeError
        If one of them isn't a `Layer`.

    Notes
    -----
    An exception raised by a layer gets a note that says which layer it was and which shapes the
    arrays had up to there.
    """

    def __init__(self, *layers: Layer) -> None:
        require_layers("Sequential", *layers)
        self.sequence = layers

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x through every layer."""
        caches: list[Any] = []
        start = x
        for stage in stages(self.sequence, x):  # the layers; on some devices, some are joined
            try:
                x, cache = _pair(stage, stage.forward(x, train=train))
            except Exception as error:
                self._locate(error, [_shape(start), *(_shape(cache) for cache in caches)])
                raise
            caches += cache if isinstance(stage, Joined) else (cache,)
        y = x[0] if isinstance(x, tuple) else x  # beside labels that are handed on
        return x, Cache(self, y, caches)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Walk the cotangent back through the layers, only as far as it is needed."""
        (caches,) = cache.recall(self, dy)
        last = 0 if input_grad else self._first_that_learns()
        if not (input_grad or param_grads):
            return None
        d: Any = dy
        # The layers with what each kept, from the last to the first; on some devices, some are
        # joined.
        for index, stage, inner in reversed(stages_with_caches(self.sequence, caches, dy)):
            if index < last:
                break
            needed = input_grad or index > last
            d = stage.backward(d, inner, param_grads=param_grads, input_grad=needed)
        return d if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Walk the cotangent back, and keep it as each layer received it."""
        (caches,) = cache.recall(self, dy)
        signals = []
        for layer, inner in zip(reversed(self.sequence), reversed(caches), strict=True):
            dy, signal = layer.backward_signals(dy, inner)
            signals.append(signal)
        return dy, Signals(reversed(signals))

    def double_backward(
        self,
        v: Array,
        dy: Array | Signals,
        cache: Cache,
        *,
        param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:
        """Walk v up along the signals, then the cotangents that arise from curvature back down."""
        signals = dy if isinstance(dy, Signals) else self.backward_signals(dy, cache)[1]
        (caches,) = cache.recall(self, signals)
        last = 0 if input_grad else self._first_that_learns() if param_grads else len(caches)
        dropped = []
        for index, layer in enumerate(self.sequence):
            needed = input_grad or index > last
            drop, v = layer.double_backward(
                v, signals[index], caches[index], param_grads=param_grads, input_grad=needed
            )
            dropped.append(drop)
        d: Array | None = None
        for index in reversed(range(last, len(caches))):
            needed = input_grad or index > last
            if d is not None:
                d = self.sequence[index].backward(
                    d, caches[index], param_grads=param_grads, input_grad=needed
                )
            d = plus(d, dropped[index])
        return d if input_grad else None, v

    def _first_that_learns(self) -> int:
        learning = (i for i, layer in enumerate(self.sequence) if layer.parameters())
        return next(learning, len(self.sequence))

    def _locate(self, error: Exception, shapes: list[Any]) -> None:
        """Add a note to an error: which layer raised it, and the shapes of x and of the outputs."""
        outputs = zip(self.sequence, shapes[1:], strict=False)
        way = [str(shapes[0]), *(f"{layer!r} {shape}" for layer, shape in outputs)]
        error.add_note(
            f"[layer {len(shapes) - 1} of {len(self.sequence)}; the shapes on the way there: "
            f"{' -> '.join(way)}]"
        )

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield "0", "1", ... and the layers, then any others that a subclass may hold."""
        for index, layer in enumerate(self.sequence):
            yield str(index), layer
        yield from held({name: a for name, a in vars(self).items() if name != "sequence"}, Layer)

    def output_shape(self, shape: Shape) -> Shape:
        """Pass a shape through every layer."""
        shapes = [shape]
        for layer in self.sequence:
            try:
                shapes.append(layer.output_shape(shapes[-1]))
            except Exception as error:
                self._locate(error, shapes)
                raise
        return shapes[-1]

    def multiply_adds(self, shape: Shape) -> int:
        """Sum over the layers."""
        total = 0
        for layer in self.sequence:
            total += layer.multiply_adds(shape)
            shape = layer.output_shape(shape)
        return total

    def _summary_rows(self, shape: Shape, name: str) -> list[Row]:
        """Return the rows of every layer."""
        rows: list[Row] = []
        for index, layer in enumerate(self.sequence):
            rows += layer._summary_rows(shape, f"{name}.{index}" if name else str(index))
            shape = layer.output_shape(shape)
        return rows

    def __getitem__(self, index: int | slice) -> Layer:
        found = self.sequence[index]
        return Sequential(*found) if isinstance(index, slice) else found  # type: ignore[misc, return-value]

    def __len__(self) -> int:
        return len(self.sequence)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.sequence)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.sequence))})"


def _pair(stage: Layer | Joined, result: Any) -> tuple[Array, Any]:
    """Require the pair that every forward map must return."""
    if not (isinstance(result, tuple) and len(result) == 2):
        what = f"{len(result)} values" if isinstance(result, tuple) else type(result).__name__
        raise TypeError(
            f"{stage!r}.forward returned {what}, but must return a pair (y, cache); end it with "
            "return y, Cache(self, y, ...)."
        )
    y, _ = result
    if not (hasattr(y, "shape") or isinstance(y, tuple)):  # a tuple: samples and their labels
        raise TypeError(
            f"{stage!r}.forward returned {type(y).__name__} as y, but must return an array."
        )
    return result


def _shape(x: Any) -> Any:
    """Return the shape of an array, of the first of several, or of the output of a cache."""
    x = x[0] if isinstance(x, tuple) and x else x
    return tuple(x.shape) if hasattr(x, "shape") else getattr(x, "y_shape", "?")


def plus(a: Any, b: Any) -> Any:
    """``a + b``, where None stands for zeros; entry by entry for tuples of arrays."""
    if a is None or b is None:
        return b if a is None else a
    return tuple(map(plus, a, b)) if isinstance(a, tuple) else a + b

"""Layers one after the other: the chain rule as a loop."""

from __future__ import annotations

from collections.abc import Iterator

from minigan.backend import Array
from minigan.nn.fusion import stages
from minigan.nn.layer import Cache, Layer, Shape, Signals


class Sequential(Layer):
    """A chain of layers, ``y = f_L(... f_2(f_1(x)))``.

    Backward is the chain rule: the cotangent walks the same way back, and each layer turns the one
    of its output into the one of its input.

    Twice backward. ⟨v, dx⟩ depends on a layer's weights and input in two ways: through its own
    backward map, and through the inputs of all layers above it. So v walks up as a tangent and
    meets, at each layer, the cotangent that the backward walk left there: that is the first way.
    Where a layer is curved it drops a cotangent for its input, and ordinary backward carries what
    has been dropped down through the layers below: the second way. Up, down, up, down: four walks,
    and the last is empty for a net of linear and (leaky) ReLU layers.

    Parameters
    ----------
    layers
        In the order in which the input meets them.
    """

    alone = True

    def __init__(self, *layers: Layer) -> None:
        for layer in layers:
            if not isinstance(layer, Layer):
                raise TypeError(
                    f"Sequential needs layers, got {type(layer).__name__}; write Sequential(a, b, "
                    "c), and derive "
                    f"layers of your own from minigan.nn.Layer."
                )
        self.sequence = layers

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x through every layer."""
        caches: list[Cache] = []
        start = x
        for stage in stages(self.sequence, x):  # the layers; on some devices, some two at a time
            try:
                x, *made = stage.forward(x, train=train)
            except (ValueError, TypeError) as error:
                raise self._located(error, len(caches), getattr(start, "shape", ())) from error
            caches += made
        return x, Cache(self, x, caches)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Walk the cotangent back through every layer, only as far as somebody needs it."""
        (caches,) = cache.recall(self, dy)
        last = 0 if input_grad else self._first_that_learns()
        if not (input_grad or param_grads):
            return None
        d: Array | None = dy
        for index in reversed(range(last, len(caches))):
            needed = input_grad or index > last
            d = self.sequence[index].backward(
                d, caches[index], param_grads=param_grads, input_grad=needed
            )
        return d if input_grad else None

    def backward_signals(self, dy: Array, cache: Cache) -> tuple[Array, Signals]:
        """Walk the cotangent back and keep it as each layer got it."""
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
        """Walk v up beside the signals, and down again what curved layers have dropped on the
        way.
        """
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

    def _located(self, error: Exception, index: int, shape: Shape) -> Exception:
        """Say which layer refused, and the shapes on the way there."""
        way = [str(tuple(shape))]
        for layer in self.sequence[:index]:
            shape = layer.output_shape(tuple(shape))
            way.append(f"{layer!r} {shape}")
        where = (
            f"layer {index} of {len(self.sequence)}; the shapes on the way there: "
            f"{' -> '.join(way)}"
        )
        return type(error)(f"{error} [{where}]")

    def children(self) -> Iterator[tuple[str, Layer]]:
        """Yield "0", "1", ... and the layers."""
        for index, layer in enumerate(self.sequence):
            yield str(index), layer

    def output_shape(self, shape: Shape) -> Shape:
        """Pass a shape through every layer."""
        start = shape
        for index, layer in enumerate(self.sequence):
            try:
                shape = layer.output_shape(shape)
            except ValueError as error:
                raise self._located(error, index, start) from error
        return shape

    def multiply_adds(self, shape: Shape) -> int:
        """Sum over the layers."""
        total = 0
        for layer in self.sequence:
            total += layer.multiply_adds(shape)
            shape = layer.output_shape(shape)
        return total

    def __getitem__(self, index: int) -> Layer:
        return self.sequence[index]

    def __len__(self) -> int:
        return len(self.sequence)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.sequence)

    def __repr__(self) -> str:
        return f"Sequential({', '.join(map(repr, self.sequence))})"


def plus(a: Array | None, b: Array | None) -> Array | None:
    """``a + b``, where None stands for zeros."""
    if a is None or b is None:
        return b if a is None else a
    return a + b

"""Embedding: a learnt vector for each label."""

from __future__ import annotations

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.array import how_to_number
from minigan.nn import initial
from minigan.nn.cache import Cache, Shape
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter


class Embedding(Layer):
    """Look up a learnt row for each label: ``y_n = W[label_n]``.

    This is a Linear layer on one-hot vectors without the products with zero.

    Shapes: labels (N,) of integers, W (classes, features), y (N, features).

    Backward: ``dW[k] = Σ dy_n`` over the n with label k. Labels are integers, so there is no dx,
    and `backward` returns None.

    Parameters
    ----------
    classes
        Number of labels, 0 <= label < classes.
    features
        Length of a vector.
    rng
        Draws the initial W from N(0, 1).
    """

    def __init__(
        self, classes: int, features: int, *, rng: numpy.random.Generator | None = None
    ) -> None:
        self.classes, self.features = classes, features
        drawn = initial.generator(rng).standard_normal((classes, features))
        # Of the entries of a one-hot vector, only one contributes to an output.
        self.weight = Parameter(drawn.astype("float32"), role="weight", fan_in=1, output_axis=1)

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map labels (N,) to y (N, features)."""
        labels = self.check(x)
        y = self.weight.value[labels]
        return y, Cache(self, y, labels)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Add to the rows that were looked up; return None."""
        (labels,) = cache.recall(self, dy)
        if param_grads:
            self.weight.grad += backend.of(dy).sum_labelled(dy, labels, self.classes)
        return None

    def check(self, x: Array) -> Array:
        """Refuse anything that can't be labels."""
        kind = getattr(getattr(x, "dtype", None), "kind", None)
        if kind not in ("i", "u"):
            raise TypeError(
                f"{self!r} got {getattr(x, 'dtype', type(x).__name__)}, but needs an array of "
                f"integer labels; {how_to_number(x)}."
            )
        if not backend.same_device(x, self.weight.value):
            raise TypeError(
                f"{self!r} and its labels live on different devices; move the labels to the net's."
            )
        self.output_shape(tuple(x.shape))
        require_labels_below(self, x, self.classes)
        return x

    def output_shape(self, shape: Shape) -> Shape:
        """(N,) -> (N, features)."""
        if len(shape) != 1:
            raise ValueError(
                f"{self!r} got an input of shape {shape}, but needs labels of shape (N,)."
            )
        return shape[0], self.features

    def __repr__(self) -> str:
        return f"Embedding({self.classes}, {self.features})"


def require_labels_below(layer: Layer, labels: Array, classes: int) -> None:
    """Refuse labels that aren't from 0 to `classes` - 1.

    Only on the host: reading the numbers of a GPU would stall its queue.
    """
    if backend.device_of(labels) != "cpu" or not labels.size:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{layer!r} got labels from {low} to {high}, but needs 0 to {classes - 1}."
        )

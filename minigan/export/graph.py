"""A graph of ONNX operators under construction, which knows an example of every value in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray


@dataclass(frozen=True)
class Value:
    """A value in the graph: its name, and what it is for the example input.

    Attributes
    ----------
    name
        In the graph.
    example
        A batch that has gone through the net, from which rules take shapes.
    """

    name: str
    example: NDArray[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the example."""
        return tuple(self.example.shape)


class Node(NamedTuple):
    """One operator: its name, inputs, output and attributes."""

    operator: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


@dataclass
class Graph:
    """Operators in the order in which they compute, and the constants that they use.

    Attributes
    ----------
    nodes
        In order.
    constants
        Arrays by name: weights, shapes, axes.
    """

    nodes: list[Node] = field(default_factory=list)
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def constant(self, array: Any, dtype: str = "float32") -> str:
        """Put a constant into the graph; return its name."""
        name = f"constant_{len(self.constants)}"
        self.constants[name] = numpy.asarray(array, dtype=dtype, order="C")
        return name

    def integers(self, *numbers: int) -> str:
        """Put a shape, axes or the like into the graph; return its name."""
        return self.constant(numbers, "int64")

    def call(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Append an operator with one output; return the output's name."""
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(Node(operator, inputs, name, attributes))
        return name

    # ---------------------------------------------------------------- arithmetic, for short

    def add(self, x: str, y: Any) -> str:
        """``x + y``; y may be an array or a number."""
        return self.call("Add", x, self._named(y))

    def subtract(self, x: Any, y: Any) -> str:
        """``x - y``."""
        return self.call("Sub", self._named(x), self._named(y))

    def multiply(self, x: str, y: Any) -> str:
        """``x y``, entry by entry."""
        return self.call("Mul", x, self._named(y))

    def divide(self, x: Any, y: Any) -> str:
        """``x / y``, entry by entry."""
        return self.call("Div", self._named(x), self._named(y))

    def mean(self, x: str, *axes: int) -> str:
        """Mean over axes, which are kept with a length of 1."""
        return self.call("ReduceMean", x, self.integers(*axes), keepdims=1)

    def sum(self, x: str, *axes: int, keep: bool = False) -> str:
        """Sum over axes."""
        return self.call("ReduceSum", x, self.integers(*axes), keepdims=int(keep))

    def reshape(self, x: str, *shape: int) -> str:
        """Give x another shape; -1 stands for whatever is left, 0 for "as it is"."""
        return self.call("Reshape", x, self.integers(*shape))

    def transpose(self, x: str, *axes: int) -> str:
        """Permute the axes."""
        return self.call("Transpose", x, perm=list(axes))

    def root(self, x: str, eps: float) -> str:
        """``√(x + ε)``."""
        return self.call("Sqrt", self.add(x, eps))

    def standardise(self, x: str, eps: float, *axes: int) -> str:
        """``(x - mean) / √(variance + ε)`` over axes."""
        centred = self.subtract(x, self.mean(x, *axes))
        variance = self.mean(self.multiply(centred, centred), *axes)
        return self.divide(centred, self.root(variance, eps))

    def channels_first(self, x: str, rank: int) -> str:
        """(N, ..., C) -> (N, C, ...)."""
        return self.transpose(x, 0, rank - 1, *range(1, rank - 1))

    def channels_last(self, x: str, rank: int) -> str:
        """(N, C, ...) -> (N, ..., C)."""
        return self.transpose(x, 0, *range(2, rank), 1)

    def _named(self, x: Any) -> str:
        return x if isinstance(x, str) else self.constant(x)

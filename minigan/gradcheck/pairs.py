"""Two functions, forward and backward, that hand a cache from one to the other."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from minigan.backend import Array
from minigan.gradcheck.layers import check
from minigan.gradcheck.report import Report


class Weight:
    """An array that a function takes, and its gradient.

    Parameters
    ----------
    value
        The array.
    """

    def __init__(self, value: Any) -> None:
        self.value, self.grad = value, numpy.zeros_like(value)


class Functions:
    """A pair of functions, seen as a layer whose weights are the arguments after x.

    Parameters
    ----------
    forward
        ``forward(x, *arrays, *positional, **named) -> (y, cache)``.
    backward
        ``backward(dy, cache) -> (dx, *gradients)``, in the order of the arguments; or dx alone; or
        a dict with ``dx`` and, for an argument w, ``dw``.
    arrays
        Those after x.
    positional, named
        Further arguments, such as a stride; each call gets a copy.

    Raises
    ------
    ValueError
        If forward takes fewer arguments.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        arrays: Sequence[Any],
        positional: Sequence[Any] = (),
        named: dict[str, Any] | None = None,
    ) -> None:
        self._functions = (forward, backward)
        # In a function, so that the check doesn't take settings for what may be learnt.
        self._options: Callable[[], Any] = lambda: copy.deepcopy((tuple(positional), named or {}))
        self._labels = False
        taken = list(inspect.signature(forward).parameters)[1 : 1 + len(arrays)]
        if len(taken) < len(arrays):
            raise ValueError(
                f"{forward.__name__} takes {len(taken)} arguments after x, but {len(arrays)} "
                "arrays were given for them; give as many as it takes."
            )
        self.weights = {n: Weight(numpy.asarray(a)) for n, a in zip(taken, arrays, strict=True)}

    def __repr__(self) -> str:
        return " and ".join(getattr(f, "__name__", "a function") for f in self._functions)

    def parameters(self) -> dict[str, Weight]:
        """Return the arrays after x by the names of their arguments."""
        return self.weights

    def forward(self, x: Any) -> Any:
        """Call the first function."""
        self._labels = x.dtype.kind in "iu"
        positional, named = self._options()
        arrays = [weight.value for weight in self.weights.values()]
        return self._functions[0](x, *arrays, *positional, **named)

    def backward(self, dy: Any, cache: Any) -> Any:
        """Call the second function, keep the gradients of the weights, and return dx.

        Raises
        ------
        TypeError
            If it doesn't return as many gradients as there are arrays.
        """
        result = self._functions[1](dy, cache)
        if isinstance(result, dict):
            result = (result.get("dx"), *(result.get(f"d{name}") for name in self.weights))
        parts = list(result) if isinstance(result, (tuple, list)) else [result]
        if self._labels and len(parts) == len(self.weights):
            parts.insert(0, None)  # labels have no gradient
        if len(parts) != 1 + len(self.weights):
            raise TypeError(
                f"{self._functions[1].__name__} returned {len(parts)} gradients, but must return "
                f"dx{''.join(f', d{name}' for name in self.weights)}, in this order."
            )
        for weight, grad in zip(self.weights.values(), parts[1:], strict=True):
            weight.grad = grad
        return parts[0]


def check_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    x: Array,
    *arrays: Array,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> Report:
    """Check ``forward(x, w, b) -> (y, cache)`` and ``backward(dy, cache) -> (dx, dw, db)``.

    Parameters
    ----------
    forward, backward
        The two functions; backward returns the gradients in the order of forward's arguments, or a
        dict with ``dx``, ``dw``, ``db``.
    x, arrays
        The arguments of forward that have a gradient; w and b here.
    options
        Further arguments of forward, by name.
    **settings
        As for `check`.

    Returns
    -------
    Report

    Raises
    ------
    GradientError, TypeError, ValueError
        As `check` does.

    Examples
    --------
    >>> import numpy
    >>> rng = numpy.random.default_rng(0)
    >>> report = check_pair(
    ...     lambda x, w: (x @ w, (x, w)),
    ...     lambda dy, cache: (dy @ cache[1].T, cache[0].T @ dy),
    ...     rng.standard_normal((4, 3)), rng.standard_normal((3, 5)),
    ... )
    >>> [row.name for row in report.arrays]
    ['x', 'w']
    """
    return check(Functions(forward, backward, arrays, named=options), x, **settings)

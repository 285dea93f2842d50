"""Two functions, forward and backward, that hand a cache from one to the other."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy

from minigan.backend import Array
from minigan.gradcheck.held import is_floating
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
        ``backward(dy, cache) -> (dx, *gradients)``, in the order of the arguments, with or without
        the constant ones; or dx alone; or a dict with ``dx`` and, for an argument w, ``dw``.
    arrays
        Those after x.
    positional, named
        Further arguments, such as a stride; each call gets a copy.
    constants
        Names of arguments that have no gradient, such as a target or a mask; arrays of integers
        never have one.

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
        constants: Iterable[str] = (),
    ) -> None:
        self._functions = (forward, backward)
        # In a function, so that the check doesn't take settings for what may be learnt.
        self._options: Callable[[], Any] = lambda: copy.deepcopy((tuple(positional), named or {}))
        self._labels = False
        taken = list(inspect.signature(forward).parameters)[1 : 1 + len(arrays)]
        if len(taken) < len(arrays):
            raise ValueError(
                f"{_called(forward)} takes {len(taken)} arguments after x, but {len(arrays)} "
                "arrays were given for them; give as many as it takes."
            )
        self.weights = {n: Weight(numpy.asarray(a)) for n, a in zip(taken, arrays, strict=True)}
        fixed = set(constants)
        self._learnt = [
            n for n, w in self.weights.items() if is_floating(w.value) and n not in fixed
        ]

    def __repr__(self) -> str:
        return " and ".join(map(_called, self._functions))

    def parameters(self) -> dict[str, Weight]:
        """Return the arrays after the first by the names of their arguments."""
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
            If it doesn't return as many gradients as there are arrays that have one.
        """
        result = self._functions[1](dy, cache)
        if isinstance(result, dict):
            result = (result.get("dx"), *(result.get(f"d{name}") for name in self.weights))
        parts = list(result) if isinstance(result, (tuple, list)) else [result]
        sizes = len(self._learnt), len(self.weights)
        if self._labels and len(parts) in sizes and all(p is not None for p in parts[:1]):
            parts.insert(0, None)  # labels have no gradient
        if len(parts) - 1 not in sizes:
            raise TypeError(self._wrong_number(len(parts)))
        given = self.weights if len(parts) > 1 + len(self._learnt) else self._learnt
        for name, grad in zip(given, parts[1:], strict=True):
            self.weights[name].grad = grad
        return parts[0]

    def _wrong_number(self, count: int) -> str:
        """Say which gradients are wanted, and what to do if one of them doesn't exist."""
        said = (
            f"{_called(self._functions[1])} returned {count} gradient{'s' * (count != 1)}, but "
            f"must return dx{''.join(f', d{name}' for name in self._learnt)}, in this order"
        )
        if count > len(self._learnt) or not self._learnt:
            return f"{said}."
        name = self._learnt[-1]
        return (
            f"{said}; for an argument that has no gradient, such as a target, say constants="
            f"[{name!r}] (--constant {name})."
        )


def check_pair(
    forward: Callable[..., Any],
    backward: Callable[..., Any],
    x: Array,
    *arrays: Array,
    options: dict[str, Any] | None = None,
    constants: Iterable[str] = (),
    **settings: Any,
) -> Report:
    """Check ``forward(x, w, b) -> (y, cache)`` and ``backward(dy, cache) -> (dx, dw, db)``.

    Parameters
    ----------
    forward, backward
        The two functions; backward returns the gradients in the order of forward's arguments, or a
        dict with ``dx``, ``dw``, ``db``.
    x, arrays
        The arguments of forward that are arrays; w and b here.
    options
        Further arguments of forward, by name.
    constants
        Names of those among `arrays` that have no gradient, such as a target or a mask: backward
        needn't return one. Arrays of integers have none.
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
    constants = tuple(constants)
    pair = Functions(forward, backward, arrays, named=options, constants=constants)
    return check(pair, x, constants=constants, **settings)


def _called(function: Callable[..., Any]) -> str:
    """Return a function's name; a partial one has none."""
    return getattr(function, "__name__", "a function")

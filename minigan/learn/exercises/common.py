"""What several exercises share: calling pairs of functions, nets to play with, terms."""

from __future__ import annotations

from typing import Any

import numpy

from minigan.learn.parts import Numbers, several


def play_pair(
    code: Any,
    given: Any,
    inputs: str,
    gradients: str,
    *,
    forward: str = "forward",
    backward: str = "backward",
    options: str = "",
    dy: str = "dy",
    y: str = "y",
) -> dict[str, Any]:
    """Call forward, forward again elsewhere, and backward with the first cache.

    Parameters
    ----------
    code
        Holds the two functions.
    given
        Holds the arrays.
    inputs, gradients
        Names of what forward takes and of what backward returns, separated by blanks.
    forward, backward
        Names of the functions.
    options
        Names of further arguments, given by keyword.
    dy, y
        What the cotangent and the output are called.
    """
    arrays = [getattr(given, name) for name in inputs.split()]
    named = {name: getattr(given, name) for name in options.split()}
    out, cache = several(getattr(code, forward)(*arrays, **named), f"{y}, cache", forward)
    given.done[y] = out
    if given.interlude:
        elsewhere = [numpy.flip(a).copy() if _moves(a) else a for a in arrays[:1]] + arrays[1:]
        several(getattr(code, forward)(*elsewhere, **named), f"{y}, cache", forward)
    result = getattr(code, backward)(getattr(given, dy), cache)
    names = gradients.split()
    found = several(result, ", ".join(names), backward)
    return {y: out} | dict(zip(names, found, strict=True))


def _moves(array: Any) -> bool:
    return isinstance(array, numpy.ndarray)


class Net:
    """Two linear layers with a leaky ReLU between them; its gradients are added to.

    Parameters
    ----------
    arrays
        w1, b1, w2, b2.
    grads
        What the gradients are before anybody has zeroed them.
    """

    def __init__(self, arrays: list[Numbers], grads: list[Numbers]) -> None:
        self.arrays = [a.copy() for a in arrays]
        self.grads = [g.copy() for g in grads]
        self.pulled = self.quiet = 0

    def forward(self, x: Any) -> tuple[Any, Any]:
        """Map x to y; return y, cache."""
        w1, b1, w2, b2 = self.arrays
        h = x @ w1 + b1
        a = numpy.where(h > 0, h, 0.2 * h)
        return a @ w2 + b2, (x, h, a)

    def backward(self, dy: Any, cache: Any, param_grads: bool = True, **more: Any) -> Any:
        """Add to the gradients, unless `param_grads` is False; return dx."""
        self.pulled += 1
        self.quiet += not param_grads
        x, h, a = cache
        w1, _, w2, _ = self.arrays
        dh: Any = numpy.where(h > 0, 1.0, 0.2).astype(h.dtype) * (dy @ w2.T)
        if param_grads:
            found = (x.T @ dh, dh.sum(axis=0), a.T @ dy, dy.sum(axis=0))
            self.grads = [g + f for g, f in zip(self.grads, found, strict=True)]
        return dh @ w1.T

    def zero_grad(self) -> None:
        """Set the gradients to 0."""
        self.grads = [0 * g for g in self.grads]


class Recorder:
    """An optimizer: plain gradient descent that counts its steps and keeps what it was given.

    Parameters
    ----------
    net
        Whose weights it moves.
    lr
        The learning rate.
    """

    def __init__(self, net: Net, lr: float = 0.5) -> None:
        self.net, self.lr, self.steps = net, lr, 0
        self.seen = [0 * g for g in net.grads]

    def step(self) -> None:
        """Move the weights."""
        self.steps += 1
        self.seen = [g.copy() for g in self.net.grads]
        self.net.arrays = [
            a - self.lr * g for a, g in zip(self.net.arrays, self.net.grads, strict=True)
        ]

    def zero_grad(self) -> None:
        """Set the net's gradients to 0."""
        self.net.zero_grad()


def net_arrays(
    rng: numpy.random.Generator, name: str, sizes: tuple[int, int, int]
) -> dict[str, Any]:
    """Draw the four arrays of a `Net` and the gradients that it starts with, by name."""
    a, b, c = sizes
    shapes = ((a, b), (b,), (b, c), (c,))
    found: dict[str, Any] = {f"{name}{i}": rng.standard_normal(s) for i, s in enumerate(shapes)}
    return found | {f"{name}_old{i}": rng.standard_normal(s) for i, s in enumerate(shapes)}


def net_of(given: Any, name: str) -> Net:
    """Build the net that `net_arrays` has drawn."""
    return Net(
        [getattr(given, f"{name}{i}") for i in range(4)],
        [getattr(given, f"{name}_old{i}") for i in range(4)],
    )


def left(net: Net) -> dict[str, Any]:
    """Return what tells mistakes apart unjudged: calls of backward, gradients that are left."""
    return {
        "_pulled": numpy.array(net.pulled),
        "_quiet": numpy.array(net.quiet),
        "_left": numpy.array(abs(net.grads[0]).sum()),
    }


def away_from_zero(rng: numpy.random.Generator, *shape: int) -> Numbers:
    """Draw numbers of both signs, none of which is close to 0, where functions have kinks."""
    return rng.choice([-1.0, 1.0], shape) * rng.uniform(0.2, 2.0, shape)

"""Stochastic gradient descent, plain or with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigan.backend import Array
from minigan.optim import checks
from minigan.optim.optimizer import Optimizer
from minigan.optim.parameters import Nets


class SGD(Optimizer):
    r"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al.
    2013, section 2).

    A velocity b gathers the gradients, each of them forgotten by a factor μ per step:

    .. math:: b \leftarrow \mu b + g, \qquad \theta \leftarrow \theta - \eta\, b.

    Nesterov's looks one step of the velocity ahead: ``θ ← θ - η (g + μ b)``. With μ = 0 it is
    ``θ ← θ - η g``.

    Against the paper's eqs. 1 to 4, and as in PyTorch: η stands outside of the velocity (v = -η b),
    which differs only while η changes; and Nesterov's θ is the point that the paper calls θ + μ v,
    where it takes the gradient.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    lr
        η >= 0.
    momentum
        μ, 0 <= μ < 1.
    nesterov
        Whether to look ahead; needs μ > 0.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there is nothing to learn.
    TypeError
        If `net` is no net.
    """

    number_names = ("lr", "momentum", "nesterov")
    vector_names = ("b",)
    momentum: float
    nesterov: bool
    b: Array

    def __init__(
        self, net: Nets, *, lr: float, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(net, lr=lr, momentum=momentum, nesterov=nesterov)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or raise a ValueError."""
        momentum, nesterov = (
            checks.fraction("momentum", numbers["momentum"]),
            bool(numbers["nesterov"]),
        )
        if nesterov and momentum == 0:
            raise ValueError(
                "Nesterov's momentum looks ahead along the velocity, so it needs momentum > 0; "
                "got 0."
            )
        return {
            "lr": checks.not_negative("lr", numbers["lr"]),
            "momentum": momentum,
            "nesterov": nesterov,
        }

    def update(self, theta: Array, g: Array) -> None:
        """Move `theta` in place."""
        self.b *= self.momentum
        self.b += g
        direction = g + self.momentum * self.b if self.nesterov else self.b
        theta -= self.lr * direction

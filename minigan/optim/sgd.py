"""Stochastic gradient descent, plain or with momentum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigan.backend import Array
from minigan.optim import checks
from minigan.optim.optimizer import Optimizer
from minigan.optim.parameters import Nets


class SGD(Optimizer):
    r"""Stochastic gradient descent, plain, with momentum or with Nesterov's momentum.

    A velocity b accumulates the gradients, each decaying by a factor μ per step (Polyak 1964):

    .. math:: b \leftarrow \mu b + g, \qquad \theta \leftarrow \theta - \eta\, b.

    Nesterov's momentum looks one step of the velocity ahead: ``θ ← θ - η (g + μ b)`` (Sutskever et
    al. 2013, section 2). With μ = 0 both are ``θ ← θ - η g``.

    As in PyTorch, and unlike eqs. 1 to 4 of Sutskever et al., η is outside the velocity
    (v = -η b), which matters only while η changes; and with Nesterov's momentum θ is the point that
    the paper calls θ + μ v, at which it takes the gradient.

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
        If a hyper-parameter is out of range, or there are no parameters.
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    """

    number_names = ("lr", "momentum", "nesterov")
    vector_names = ("b",)
    counts = False
    rate_moves = True
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
                "Nesterov's momentum looks ahead along the velocity, so it needs momentum > 0, got "
                "0; set momentum, for example to 0.9."
            )
        return {
            "lr": checks.not_negative("lr", numbers["lr"]),
            "momentum": momentum,
            "nesterov": nesterov,
        }

    def update(self, theta: Array, g: Array) -> None:
        """Update `theta` in place."""
        self.b *= self.momentum
        self.b += g
        direction = g + self.momentum * self.b if self.nesterov else self.b
        theta -= self.rate(theta) * direction

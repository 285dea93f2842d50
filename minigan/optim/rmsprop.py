"""RMSprop, the optimizer of the first Wasserstein GANs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.optim import checks
from minigan.optim.optimizer import Optimizer
from minigan.optim.parameters import Nets


class RMSprop(Optimizer):
    r"""RMSprop: each coordinate's gradient, divided by the root of its recent mean square.

    .. math::
        v \leftarrow \alpha v + (1 - \alpha)\, g^2, \qquad
        b \leftarrow \mu b + \frac{g}{\sqrt v + \varepsilon}, \qquad
        \theta \leftarrow \theta - \eta\, b.

    Source: Tieleman & Hinton 2012, lecture 6e, slide 29; momentum as in PyTorch. ε is outside the
    root, as in PyTorch (TensorFlow has it inside). There is no bias correction: v starts at 0, so
    the first steps are up to ``1 / √(1 - α)`` (10 for α = 0.99) times as long as later ones.
    Wasserstein GANs with clipped weights are trained with it (Arjovsky et al. 2017, Algorithm 1):
    the critic's loss isn't stationary, and momentum made training unstable.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    lr
        η >= 0.
    decay
        α, 0 <= α < 1.
    eps
        ε > 0.
    momentum
        μ, 0 <= μ < 1.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there are no parameters.
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    """

    number_names = ("lr", "decay", "eps", "momentum")
    vector_names = ("v", "b")
    counts = False
    rate_moves = True
    decay: float
    eps: float
    momentum: float
    v: Array
    b: Array

    def __init__(
        self, net: Nets, *, lr: float, decay: float = 0.99, eps: float = 1e-8, momentum: float = 0.0
    ) -> None:
        super().__init__(net, lr=lr, decay=decay, eps=eps, momentum=momentum)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or raise a ValueError."""
        fractions = {name: checks.fraction(name, numbers[name]) for name in ("decay", "momentum")}
        return fractions | {
            "lr": checks.not_negative("lr", numbers["lr"]),
            "eps": checks.positive("eps", numbers["eps"]),
        }

    def update(self, theta: Array, g: Array) -> None:
        """Update `theta` in place."""
        self.v *= self.decay
        self.v += (1 - self.decay) * g * g
        self.b *= self.momentum
        self.b += g / (backend.of(g).xp.sqrt(self.v) + self.eps)
        theta -= self.rate(theta) * self.b

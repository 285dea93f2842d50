"""Adam, the optimizer that nearly every GAN is trained with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from minigan import backend
from minigan.backend import Array
from minigan.optim import checks
from minigan.optim.optimizer import Optimizer
from minigan.optim.parameters import Nets


class Adam(Optimizer):
    r"""Adam (Kingma & Ba 2015, Algorithm 1).

    .. math::
        m \leftarrow \beta_1 m + (1 - \beta_1)\, g, \qquad v \leftarrow \beta_2 v + (1 - \beta_2)\,
        g^2, \qquad \hat m = \frac{m}{1 - \beta_1^t}, \qquad \hat v = \frac{v}{1 - \beta_2^t},
        \qquad \theta \leftarrow \theta - \eta\, \frac{\hat m}{\sqrt{\hat v} + \varepsilon}.

    Both averages start at 0 and are therefore too small by the factor 1 - βᵗ, the sum of the
    weights given so far; dividing by it is the bias correction (section 3). ε is added to the root
    of the corrected v̂, as in PyTorch; the "efficient" form below the paper's Algorithm 1, and
    TensorFlow, add it to the root of the uncorrected v, which for small t amounts to an ε larger by
    ``1 / √(1 - β₂ᵗ)``. `adam_update` is the algorithm line by line.

    GANs are trained with β₁ = 0.5 (Radford et al. 2016) or 0: the loss changes from step to step
    with the opponent, so a long memory points to where the minimum was.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    lr
        η >= 0.
    betas
        β₁ and β₂, 0 <= β < 1.
    eps
        ε > 0.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there are no parameters.
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    """

    number_names: ClassVar[tuple[str, ...]] = ("lr", "betas", "eps")
    vector_names: ClassVar[tuple[str, ...]] = ("m", "v")
    betas: tuple[float, float]
    eps: float
    m: Array
    v: Array

    def __init__(
        self,
        net: Nets,
        *,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__(net, lr=lr, betas=betas, eps=eps)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or raise a ValueError."""
        betas = numbers["betas"]
        if not (isinstance(betas, (tuple, list)) and len(betas) == 2):
            raise ValueError(
                f"betas must be a pair of numbers in [0, 1), such as (0.5, 0.999), got {betas!r}."
            )
        pair = (
            checks.fraction("the first of betas", betas[0]),
            checks.fraction("the second of betas", betas[1]),
        )
        return {
            "lr": checks.not_negative("lr", numbers["lr"]),
            "betas": pair,
            "eps": checks.positive("eps", numbers["eps"]),
        }

    def update(self, theta: Array, g: Array) -> None:
        """Update `theta` in place: `adam_update`, or the backend's faster form of it."""
        ops = backend.of(theta)
        has_faster_form = type(ops).adam is not backend.Reference.adam
        step = ops.adam if has_faster_form else adam_update
        step(theta, g, self.m, self.v, lr=self.lr, betas=self.betas, eps=self.eps, t=self.t)


def adam_update(
    theta: Array, g: Array, m: Array, v: Array, *, lr: float, betas: tuple[float, float],
    eps: float, t: int,
) -> None:  # fmt: skip
    """Take one step of Adam in place: the loop body of Kingma & Ba 2015, Algorithm 1.

    Most backends have a faster form, with fewer passes over memory or both bias corrections moved
    into the step size and ε; this is what each of them computes, up to rounding.

    Parameters
    ----------
    theta, g
        The parameters and the gradient there, shape (P,).
    m, v
        The running averages of g and of g², shape (P,).
    lr, betas, eps
        η, (β₁, β₂) and ε.
    t
        The number of this step, counted from 1.
    """
    beta1, beta2 = betas
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g * g
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    theta -= lr * m_hat / (backend.of(v).xp.sqrt(v_hat) + eps)

"""Adam's kin: AdamW, which also shrinks the weights, and AMSGrad, whose steps can't grow again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.optim import checks
from minigan.optim.adam import Adam
from minigan.optim.parameters import Nets


class AdamW(Adam):
    r"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, Algorithm 2).

    .. math:: \theta \leftarrow (1 - \eta \lambda)\, \theta, \qquad \text{then a step of Adam.}

    A penalty :math:`\tfrac\lambda2 \|\theta\|^2` in the loss would add λθ to g, where Adam divides
    it by √v̂, so that weights with large gradients would hardly decay. Here all decay at one rate.
    As in PyTorch, λ is multiplied by η.

    Parameters
    ----------
    net, lr, betas, eps
        As in `Adam`.
    weight_decay
        λ >= 0.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there are no parameters.
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    """

    number_names = (*Adam.number_names, "weight_decay")
    weight_decay: float

    def __init__(
        self, net: Nets, *, lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8, weight_decay: float = 0.01,
    ) -> None:  # fmt: skip
        super(Adam, self).__init__(net, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or raise a ValueError."""
        decay = checks.not_negative("weight_decay", numbers["weight_decay"])
        return super().checked(numbers) | {"weight_decay": decay}

    def update(self, theta: Array, g: Array) -> None:
        """Update `theta` in place."""
        backend.of(theta).shrink(theta, self.lr, self.weight_decay)
        super().update(theta, g)


class AMSGrad(Adam):
    r"""Adam with the largest second moment so far (Reddi et al. 2018, Algorithm 2).

    .. math:: \hat v \leftarrow \max(\hat v, v), \qquad
              \theta \leftarrow \theta - \eta\, \frac{m / (1 - \beta_1^t)}
              {\sqrt{\hat v / (1 - \beta_2^t)} + \varepsilon},

    with Adam's m and v. Adam's own v forgets large gradients, after which its steps grow; the paper
    constructs a problem on which it therefore diverges. The bias corrections are PyTorch's.

    A training step with it can't be recorded into a CUDA graph.

    Parameters
    ----------
    net, lr, betas, eps
        As in `Adam`.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, or there are no parameters.
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    """

    vector_names = (*Adam.vector_names, "largest")
    largest: Array

    def update(self, theta: Array, g: Array) -> None:
        """Update `theta` in place."""
        ops, (beta1, beta2) = backend.of(theta), self.betas
        if getattr(ops, "recording", None) is not None:
            raise ValueError(
                "AMSGrad's step can't be recorded into a CUDA graph; train without the graph, or "
                "with Adam."
            )
        self.m[...] = beta1 * self.m + (1 - beta1) * g
        self.v[...] = beta2 * self.v + (1 - beta2) * g * g
        self.largest[...] = ops.xp.maximum(self.largest, self.v)
        root = ops.xp.sqrt(self.largest) / math.sqrt(1 - beta2**self.t)
        theta -= self.lr / (1 - beta1**self.t) * self.m / (root + self.eps)

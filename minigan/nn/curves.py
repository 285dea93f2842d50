r"""Smooth activations: each is three formulas, φ, φ' and φ''.

``y = φ(x)`` entry by entry, so ``dx = φ'(x) dy``; double backward: ⟨v, dx⟩ = Σ v φ'(x) dy, so the
tangent is φ'(x) v, and ∂/∂x is φ''(x) v dy. With σ(x) = 1 / (1 + exp(-x)),

========  =====================================  =====================  ==========================
          φ                                      φ'                     φ''
========  =====================================  =====================  ==========================
ELU       x where x > 0, else α (exp x - 1)      1, else α exp x        0, else α exp x
SiLU      x σ                                    σ (1 + x (1 - σ))      σ (1 - σ) (2 + x (1 - 2σ))
Softplus  log(1 + exp x)                         σ                      σ (1 - σ)
GELU      x Φ(x), Φ = (1 + tanh u) / 2           Φ + x Φ'               2 Φ' + x Φ''
========  =====================================  =====================  ==========================
"""

from __future__ import annotations

import math

from minigan import backend
from minigan.backend import Array
from minigan.nn.cache import Cache
from minigan.nn.layer import Layer


class Curve(Layer):
    """An activation given by `value`, `slope` and `bend`: φ, φ' and φ''.

    The backend's `elementwise` may call them for one piece of x after the other.
    """

    def value(self, x: Array) -> Array:
        """Return φ(x)."""
        raise NotImplementedError

    def slope(self, x: Array) -> Array:
        """Return φ'(x)."""
        raise NotImplementedError

    def bend(self, x: Array) -> Array:
        """Return φ''(x)."""
        raise NotImplementedError

    def forward(self, x: Array, *, train: bool = True) -> tuple[Array, Cache]:
        """Map x to φ(x)."""
        x = self.check(x)
        y = backend.of(x).elementwise(self.value, x)
        return y, Cache(self, y, x)

    def backward(
        self, dy: Array, cache: Cache, *, param_grads: bool = True, input_grad: bool = True
    ) -> Array | None:
        """Map dy to φ'(x) dy."""
        (x,) = cache.recall(self, dy)
        return self._times_slope(x, dy) if input_grad else None

    def double_backward(
        self, v: Array, dy: Array, cache: Cache, *, param_grads: bool = True,
        input_grad: bool = True,
    ) -> tuple[Array | None, Array]:  # fmt: skip
        """Map v to φ''(x) v dy and to the tangent φ'(x) v."""
        (x,) = cache.recall(self, dy, v)
        tangent = self._times_slope(x, v)
        return self.bend(x) * v * dy if input_grad else None, tangent

    def _times_slope(self, x: Array, d: Array) -> Array:
        return backend.of(x).elementwise(lambda x, d: self.slope(x) * d, x, d)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ELU(Curve, samplewise=True):
    """``y = x`` where x > 0, else ``α (exp x - 1)`` (Clevert et al. 2016).

    Parameters
    ----------
    alpha
        α > 0; y tends to -α.
    """

    def __init__(self, alpha: float = 1.0) -> None:
        if not alpha > 0:
            raise ValueError(f"The alpha of ELU must be > 0, got {alpha}.")
        self.alpha = alpha

    def value(self, x: Array) -> Array:
        """Return φ(x)."""
        return backend.of(x).xp.maximum(x, 0) + (self._exp(x) - self.alpha)

    def slope(self, x: Array) -> Array:
        """Return φ'(x)."""
        return (x > 0) + (x <= 0) * self._exp(x)

    def bend(self, x: Array) -> Array:
        """Return φ''(x)."""
        return (x <= 0) * self._exp(x)

    def _exp(self, x: Array) -> Array:
        """α exp x where x < 0, else α: so it can't overflow."""
        xp = backend.of(x).xp
        return self.alpha * xp.exp(xp.minimum(x, 0))

    def __repr__(self) -> str:
        return f"ELU({self.alpha})"


class SiLU(Curve, samplewise=True):
    """``y = x σ(x)``, also called swish (Elfwing et al. 2018; Ramachandran et al. 2017)."""

    def value(self, x: Array) -> Array:
        """Return φ(x)."""
        return x * backend.of(x).sigmoid(x)

    def slope(self, x: Array) -> Array:
        """Return φ'(x)."""
        s = backend.of(x).sigmoid(x)
        return s * (1 + x * (1 - s))

    def bend(self, x: Array) -> Array:
        """Return φ''(x)."""
        s = backend.of(x).sigmoid(x)
        return s * (1 - s) * (2 + x * (1 - 2 * s))


class Softplus(Curve, samplewise=True):
    """``y = log(1 + exp x)``, a smooth ReLU, computed as ``max(x, 0) + log(1 + exp(-|x|))``."""

    def value(self, x: Array) -> Array:
        """Return φ(x)."""
        xp = backend.of(x).xp
        return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))

    def slope(self, x: Array) -> Array:
        """Return φ'(x)."""
        return backend.of(x).sigmoid(x)

    def bend(self, x: Array) -> Array:
        """Return φ''(x)."""
        s = backend.of(x).sigmoid(x)
        return s * (1 - s)


class GELU(Curve, samplewise=True):
    r"""``y = x Φ(x)``, Φ nearly the distribution function of N(0, 1) (Hendrycks & Gimpel 2016).

    :math:`\Phi(x) = (1 + \tanh u) / 2` with :math:`u = \sqrt{2/\pi}\,(x + 0.044715\, x^3)`, the
    paper's approximation, within 0.0005 of the exact function; PyTorch's
    ``GELU(approximate="tanh")``. With t = tanh u: :math:`\Phi' = (1 - t^2) u' / 2` and
    :math:`\Phi'' = (1 - t^2) (u'' - 2 t u'^2) / 2`.
    """

    def value(self, x: Array) -> Array:
        """Return φ(x)."""
        return x * (1 + self._t(x)) / 2

    def slope(self, x: Array) -> Array:
        """Return φ'(x)."""
        t, (u1, _) = self._t(x), self._u(x)
        return (1 + t) / 2 + x * (1 - t * t) * u1 / 2

    def bend(self, x: Array) -> Array:
        """Return φ''(x)."""
        t, (u1, u2) = self._t(x), self._u(x)
        return (1 - t * t) * (u1 + x * (u2 - 2 * t * u1 * u1) / 2)

    def _t(self, x: Array) -> Array:
        return backend.of(x).xp.tanh(_ROOT * (x + _CUBE * (x * x * x)))

    def _u(self, x: Array) -> tuple[Array, Array]:
        """U' and u''."""
        return _ROOT * (1 + 3 * _CUBE * (x * x)), 6 * _ROOT * _CUBE * x


_ROOT, _CUBE = math.sqrt(2 / math.pi), 0.044715

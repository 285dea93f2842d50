r"""The arithmetic shared by batch, layer and instance normalisation.

They standardise over different axes by the same formula. Over a set S of m numbers x that share a
mean μ and a variance σ² (without Bessel's correction):

.. math:: \hat x = (x - \mu) / s, \qquad s = \sqrt{\sigma^2 + \varepsilon}, \qquad
          y = \gamma \hat x + \beta.

Backward. With the cotangent :math:`q = \gamma\, dy` of x̂, an entry of x affects L along three
paths: through its own x̂ (factor 1/s), through μ, and through s. Since
:math:`\partial\mu/\partial x_j = 1/m` and
:math:`\partial s/\partial x_j = \hat x_j / m`,

.. math::
    dx_j = \frac1s \Big(q_j - \frac1m\sum_i q_i - \hat x_j\, \frac1m\sum_i q_i \hat x_i\Big).

The bracket removes from q its mean and its component along x̂: a change of x in these directions is
undone by standardising. The scale and the shift get :math:`d\gamma = \sum dy\,\hat x` and
:math:`d\beta = \sum dy` (Ioffe & Szegedy 2015, section 3; Ba et al. 2016; Ulyanov et al. 2016).

Double backward. Write a bar for means over S and :math:`\mathcal P q` for the bracket, so that
:math:`dx = \mathcal P q / s`. As :math:`\mathcal P` is symmetric, ⟨v, dx⟩ = Σ q 𝒫v / s: the tangent
of y is :math:`\gamma\,\mathcal P v / s`, and, as q = γ dy, γ gets
:math:`d\gamma = \sum dy\,\mathcal P v / s`. The derivative with respect to x goes through x̂ and
s in

.. math:: \frac1m \langle v, dx\rangle = \frac As, \qquad
          A = \overline{qv} - \bar q\,\bar v - \overline{q\hat x}\;\overline{v\hat x}.

A cotangent c of x̂ becomes 𝒫c / s, and :math:`\partial s/\partial x_j = \hat x_j / m` as above. So

.. math:: \frac{\partial}{\partial x} \langle v, dx\rangle = -\frac{1}{s^2} \Big(
          A\,\hat x + \overline{v\hat x}\;\mathcal P q + \overline{q\hat x}\;\mathcal P v \Big)
          = -\frac{1}{s^2} \Big( \big(A - 2\,\overline{v\hat x}\;\overline{q\hat x}\big)\, \hat x
          + \overline{v\hat x}\,(q - \bar q) + \overline{q\hat x}\,(v - \bar v) \Big).

The second form is the first with :math:`\mathcal P` written out; it needs only five means.
"""

from __future__ import annotations

from minigan import backend
from minigan.backend import Array


def standardise(x: Array, axes: tuple[int, ...], eps: float) -> tuple[Array, Array]:
    """``x̂ = (x - μ) / s`` over `axes`, and ``1 / s`` with those axes kept as 1."""
    centred = x - x.mean(axis=axes, keepdims=True)
    variance = (centred * centred).mean(axis=axes, keepdims=True)
    inverse_s = 1 / backend.of(x).xp.sqrt(variance + eps)
    return centred * inverse_s, inverse_s


def means(q: Array, x_hat: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """``mean q`` and ``mean(q x̂)`` over `axes`, kept as 1: what 𝒫 takes out of q."""
    return q.mean(axis=axes, keepdims=True), (q * x_hat).mean(axis=axes, keepdims=True)


def standardise_grad(
    q: Array, x_hat: Array, inverse_s: Array, means_of_q: tuple[Array, Array]
) -> Array:
    """``dx = (q - mean q - x̂ mean(q x̂)) / s``, given the `means` of q."""
    mean_q, mean_qx = means_of_q
    return (q - mean_q - x_hat * mean_qx) * inverse_s


def standardise_grad_twice(
    v: Array,
    q: Array,
    x_hat: Array,
    inverse_s: Array,
    means_of_v: tuple[Array, Array],
    axes: tuple[int, ...],
) -> Array:
    """``-((A - 2 mean(v x̂) mean(q x̂)) x̂ + mean(v x̂) (q - mean q) + mean(q x̂) (v - mean v)) / s²``.

    All means are over `axes`; those of v are given.
    """
    (mean_v, mean_vx), (mean_q, mean_qx) = means_of_v, means(q, x_hat, axes)
    a = (q * v).mean(axis=axes, keepdims=True) - mean_q * mean_v - mean_qx * mean_vx
    # The factors and constants are combined with the means, which are small, so that there are few
    # passes over the large arrays.
    factor = -inverse_s * inverse_s
    of_x, of_q, of_v = factor * (a - 2 * mean_vx * mean_qx), factor * mean_vx, factor * mean_qx
    return of_x * x_hat + of_q * q + of_v * v - factor * (mean_vx * mean_q + mean_qx * mean_v)

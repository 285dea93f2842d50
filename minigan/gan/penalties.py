r"""Penalties that regularise the critic: each adds its gradient to the critic's gradients.

Gradient penalties depend on :math:`g = \nabla_x f`, the gradient of the critic f at each sample. To
train with a penalty P(g), its gradient with respect to the weights θ is needed: the derivative of a
derivative. With :math:`v = \partial P/\partial g`, held constant, the chain rule gives

.. math:: \nabla_\theta P = \nabla_\theta \sum_n \langle v_n, g_n(\theta)\rangle,

and :math:`\langle v, g\rangle = \langle v, J^T 1\rangle` is what `Layer.double_backward`
differentiates (the idea is that of Pearlmutter's R-operator, 1994). So every gradient penalty takes
four lines: forward, backward to g, v, double backward. If the critic returns several logits per
sample, f is their sum.

None of the penalties updates running statistics or the vectors of spectral normalisation. Each
returns its value as a scalar of the array library, so that the host doesn't have to wait for a GPU.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from minigan import backend, losses
from minigan.backend import Array
from minigan.nn import Cache, Layer, frozen_statistics
from minigan.ranks import ALONE, Ranks, pooled

Passed = tuple[Array, Cache]
"""What a forward call returned: the logits, and the cache."""

TINY = 1e-12
"""Added to |g|² under the square root, which has no derivative at 0."""


# -------------------------------------------------------------------- gradient penalties


def gradient_penalty(
    critic: Layer, x_hat: Array, *, weight: float = 10.0, target: float = 1.0,
    one_sided: bool = False,
) -> Array:  # fmt: skip
    r"""Pull the norm of the critic's gradient to 1 (WGAN-GP, Gulrajani et al. 2017, equation 3).

    .. math:: P = \frac\lambda N \sum_n (\|g_n\| - t)^2, \qquad
              v_n = \frac{2\lambda}{N} (\|g_n\| - t) \frac{g_n}{\|g_n\|}

    with the norm over all entries of a sample, and :math:`\|g\| = \sqrt{|g|^2 + 10^{-12}}`.

    Parameters
    ----------
    critic
        Any layer or net with second derivatives; the penalty's gradient is ADDED to its gradients.
    x_hat
        Points at which to penalise, shape (N, ...): `interpolate` for WGAN-GP, `dragan_points` for
        DRAGAN.
    weight
        λ.
    target
        t, the desired norm.
    one_sided
        Whether only norms above t are penalised: :math:`\max(0, \|g\| - t)^2` (section 4 of the
        paper).

    Returns
    -------
    P, a scalar.

    Raises
    ------
    ValueError
        If a layer of the critic has no second derivative.
    """

    def penalty(g: Array) -> tuple[Array, Array]:
        xp = backend.of(g).xp
        norm = xp.sqrt(_squared_norm(g) + TINY)
        excess = norm - target
        if one_sided:
            excess = xp.maximum(excess, 0)
        factor = weight / g.shape[0]
        return factor * (excess * excess).sum(), 2 * factor * _per_sample(excess / norm, g) * g

    return penalise_slope(critic, x_hat, penalty)


def r1(critic: Layer, real: Array, *, gamma: float = 10.0, passed: Passed | None = None) -> Array:
    r"""Pull the gradient at the reals to 0 (Mescheder et al. 2018, equation 9).

    .. math:: P = \frac\gamma2\, \frac1N \sum_n |g_n|^2, \qquad v_n = \frac\gamma N g_n

    Mind the ½: the paper and StyleGAN have it, but the paper's own code doesn't, so its weight of
    10 corresponds to γ = 20 here.

    Parameters
    ----------
    critic
        Any layer or net with second derivatives; the penalty's gradient is ADDED to its gradients.
    real
        Real samples, shape (N, ...).
    gamma
        γ.
    passed
        As for `penalise_slope`.

    Returns
    -------
    P, a scalar.
    """

    def penalty(g: Array) -> tuple[Array, Array]:
        factor = gamma / g.shape[0]
        return factor / 2 * (g * g).sum(), factor * g

    return penalise_slope(critic, real, penalty, passed=passed)


def r2(critic: Layer, fake: Array, *, gamma: float = 10.0) -> Array:
    """Pull the gradient at the fakes to 0: `r1`, but at the fakes, and with the same ½."""
    return r1(critic, fake, gamma=gamma)


def penalise_slope(
    critic: Layer, x: Array, penalty: Callable[[Array], tuple[Array, Array]], *,
    passed: Passed | None = None,
) -> Array:  # fmt: skip
    """Add the gradient of any function of ∇f to the critic's gradients.

    Parameters
    ----------
    critic
        Any layer or net with second derivatives.
    x
        Points at which to penalise, shape (N, ...).
    penalty
        ``g -> (P, v)``, where v = ∂P/∂g has g's shape.
    passed
        What ``critic.forward(x)`` returned, where that has been computed already.

    Returns
    -------
    P
    """
    if passed is None:
        with frozen_statistics(critic):
            passed = critic.forward(x, train=True)
    logits, cache = passed
    ones = backend.of(logits).xp.ones_like(logits)
    g, signals = critic.backward_signals(ones, cache)
    value, v = penalty(g)
    critic.double_backward(v, signals, cache, input_grad=False)
    return value


# -------------------------------------------------------------------- where to look


def interpolate(real: Array, fake: Array, rng: numpy.random.Generator) -> Array:
    """Draw a point between each real and a fake: ``α real + (1 - α) fake``, α ~ U(0, 1).

    There is one α per sample: with one per pixel, the points would fill a box instead of lying on a
    line.

    Parameters
    ----------
    real, fake
        Both of shape (N, ...).
    rng
        Draws α, on the host.

    Returns
    -------
    array, shape (N, ...)
    """
    if real.shape != fake.shape:
        raise ValueError(
            "Interpolation needs reals and fakes of the same shape, got "
            f"{tuple(real.shape)} and {tuple(fake.shape)}; draw as many fakes as reals."
        )
    alpha = _per_sample(_uniform(rng, (real.shape[0],), real), real)
    return alpha * real + (1 - alpha) * fake


def dragan_points(
    real: Array, rng: numpy.random.Generator, *, scale: float = 0.5, ranks: Ranks = ALONE
) -> Array:
    """Draw a point near each real, for `gradient_penalty` (DRAGAN, Kodali et al. 2017).

    The points are ``x + α scale std(x) U``, where std is taken over all entries of the batch,
    U ~ U(0, 1) is drawn for each entry and α ~ U(0, 1) for each sample. As in the authors' code, no
    entry decreases.

    Parameters
    ----------
    real
        Shape (N, ...).
    rng
        Draws U and α, on the host.
    scale
        Size of the neighbourhood in standard deviations.
    ranks
        Those that share the batch: std is taken over all of them.

    Returns
    -------
    array, shape (N, ...)
    """
    noise = _uniform(rng, real.shape, real)
    alpha = _per_sample(_uniform(rng, (real.shape[0],), real), real)
    return real + alpha * (scale * _std(real, ranks)) * noise


def _std(x: Array, ranks: Ranks) -> Array:
    if ranks.size == 1:
        return x.std()
    std = x.std()
    return backend.of(x).xp.sqrt(pooled(ranks, x.mean(), std * std)[1])


# -------------------------------------------------------------------- virtual adversarial training


def virtual_adversarial(
    critic: Layer,
    x: Array,
    rng: numpy.random.Generator,
    *,
    epsilon: float = 1.0,
    weight: float = 1.0,
) -> Array:
    r"""Penalise the largest change of p near x: virtual adversarial training (Miyato et al. 2018b).

    .. math:: P = \frac\lambda N \sum_n KL\big(p(x_n)\,\|\,p(x_n + r_n)\big), \qquad p = \sigma(f),

    with r the `adversarial_perturbation` of length ε. As in the authors' code, r and p(x) are held
    constant, so one ordinary backward pass is enough: with q = p(x + r), the derivative of KL with
    respect to the logit at x + r is q - p.

    Parameters
    ----------
    critic
        Any layer or net that returns logits; the penalty's gradient is ADDED to its gradients.
    x
        Samples, shape (N, ...).
    rng
        Draws the initial direction, on the host.
    epsilon
        ε, the length of r.
    weight
        λ.

    Returns
    -------
    P, a scalar.
    """
    r = adversarial_perturbation(critic, x, rng, epsilon=epsilon)
    with frozen_statistics(critic):
        logits = critic.forward(x, train=True)[0]
        moved, cache = critic.forward(x + r, train=True)
    xp = backend.of(logits).xp
    p, q = losses.sigmoid(logits), losses.sigmoid(moved)
    # log p = -softplus(-f) and log(1 - p) = -softplus(f): no logarithm of a rounded 0.
    divergence = p * (losses.softplus(-moved) - losses.softplus(-logits)) + (1 - p) * (
        losses.softplus(moved) - losses.softplus(logits)
    )
    factor = weight / x.shape[0]
    critic.backward(xp.multiply(factor, q - p), cache, input_grad=False)
    return factor * divergence.sum()


def adversarial_perturbation(
    critic: Layer,
    x: Array,
    rng: numpy.random.Generator,
    *,
    epsilon: float = 1.0,
    iterations: int = 1,
) -> Array:
    r"""Find the direction in which p changes most, by power iteration without finite differences.

    At r = 0, the divergence KL(p(x) ‖ p(x + r)) and its gradient vanish; to second order it is
    :math:`\frac12 r^T H r`. The authors approximate H d by a finite difference of gradients at ξd
    with ξ = 1e-6, which is lost in float32 rounding. But H is known: the terms with second
    derivatives of f carry the factor q - p, which is 0 at r = 0, so exactly

    .. math:: H = J^T F J, \qquad J = \partial f/\partial x, \qquad F = \mathrm{diag}\,p(1 - p).

    J d is the tangent of d, and multiplying by Jᵀ is an ordinary backward pass: no ξ is needed.
    With one logit per sample, H has rank one,
    :math:`H d = p(1-p)\,\langle\nabla f, d\rangle\,\nabla f`, so the first iteration already
    converges to :math:`r = \pm\varepsilon\,\nabla f / |\nabla f|` (with the sign of ⟨∇f, d⟩, which
    is random), and no tangent is needed either.

    Parameters
    ----------
    critic
        Any layer or net that returns logits; with several per sample, it needs second derivatives.
    x
        Samples, shape (N, ...).
    rng
        Draws d, on the host.
    epsilon
        ε, the length of r.
    iterations
        Number of times that d is replaced by H d; more than one only matters with several logits
        per sample.

    Returns
    -------
    r, of the shape of x.
    """
    ops = backend.of(x)
    with frozen_statistics(critic):
        logits, cache = critic.forward(x, train=True)
    one = logits.size == logits.shape[0]
    d = _unit(ops.draw(rng, lambda rng: rng.standard_normal(x.shape), x.dtype))
    slope, signals = critic.backward_signals(ops.xp.ones_like(logits), cache)
    if one:
        along = (slope * d).reshape(x.shape[0], -1).sum(axis=1)
        return epsilon * _per_sample(ops.xp.sign(along), x) * _unit(slope)
    p = losses.sigmoid(logits)
    for _ in range(iterations):
        _, tangent = critic.double_backward(d, signals, cache, param_grads=False, input_grad=False)
        h_d: Any = critic.backward(p * (1 - p) * tangent, cache, param_grads=False)
        d = _unit(h_d)
    return epsilon * d


# -------------------------------------------------------------------- small things


def _squared_norm(g: Array) -> Array:
    """|g_n|² over all entries of a sample, shape (N,)."""
    return (g * g).reshape(g.shape[0], -1).sum(axis=1)


def _per_sample(a: Array, like: Array) -> Array:
    """Reshape one number per sample, shape (N,), to broadcast against (N, ...)."""
    return a.reshape(-1, *[1] * (like.ndim - 1))


def _unit(d: Array) -> Array:
    """Scale each sample to norm 1; a zero sample stays zero."""
    xp = backend.of(d).xp
    # Divide by the largest entry first: squares of numbers below 1e-19 vanish in float32.
    largest = abs(d).reshape(d.shape[0], -1).max(axis=1)
    d = d / _per_sample(xp.where(largest > 0, largest, 1), d)
    return d / _per_sample(xp.sqrt(xp.maximum(_squared_norm(d), TINY)), d)


def _uniform(rng: numpy.random.Generator, shape: tuple[int, ...], like: Array) -> Array:
    return backend.of(like).draw(rng, lambda rng: rng.random(shape), like.dtype)

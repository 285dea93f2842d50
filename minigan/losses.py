r"""Loss functions, which return the loss and its gradients with respect to the predictions.

The losses are means over all n entries, like PyTorch's ``reduction="mean"``, so every gradient ends
in ``/ n``. Notation: l is a logit, p = σ(l) the probability it stands for, t the target, x any
prediction. No function reads a number back from a GPU, so none makes the host wait for one: the
loss is returned as a scalar of the array library, and the range of the arguments is only checked
for arrays on the host.
"""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.backend.array import how_to_number

__all__ = [
    "bce",
    "bce_with_logits",
    "cross_entropy",
    "hinge_discriminator",
    "hinge_generator",
    "huber",
    "kl_gaussians",
    "l1",
    "mse",
    "sigmoid",
    "softplus",
    "wasserstein_critic",
    "wasserstein_generator",
]

# ---------------------------------------------------------------- functions of a logit


def sigmoid(x: Array) -> Array:
    r"""``σ(x) = 1 / (1 + exp(-x))``, for x of any magnitude and shape.

    Multiplying numerator and denominator by exp(x) where x < 0 gives
    ``exp(min(x, 0)) / (1 + exp(-|x|))``: no exponent is positive, so nothing can overflow, and both
    tails keep their full relative precision.
    """
    return backend.of(x).sigmoid(x)


def softplus(x: Array) -> Array:
    r"""``log(1 + exp(x))``, for x of any magnitude and shape; its derivative is `sigmoid`.

    Taking exp(x) out of the logarithm where x > 0 leaves ``max(x, 0) + log(1 + exp(-|x|))``, which
    can't overflow.
    """
    xp = backend.of(x).xp
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


# ---------------------------------------------------------------- real or fake


def bce_with_logits(logits: Array, target: Any) -> tuple[Array, Array]:
    r"""Binary cross entropy of probabilities given as logits: ``mean(softplus(l) - t l)``.

    Derivation. Cross entropy is :math:`-t \log p - (1 - t) \log(1 - p)` with p = σ(l). As
    :math:`-\log σ(l) = \mathrm{softplus}(-l) = \mathrm{softplus}(l) - l` and
    :math:`-\log(1 - σ(l)) = \mathrm{softplus}(l)`, the sum is ``softplus(l) - t l``; its derivative
    is

    .. math:: dl = (σ(l) - t) / n.

    Where the discriminator is confident and wrong, ``|σ(l) - t|`` tends to 1: this gradient never
    vanishes there. With t = 1 on fakes this is the generator's non-saturating loss (Goodfellow et
    al. 2014, section 3). `minigan.backend.Reference.bce_with_logits` shows how to compute it
    without overflow.

    Parameters
    ----------
    logits
        l, any shape, floating point.
    target
        t in [0, 1]: a number, or an array of the shape of `logits`.

    Returns
    -------
    loss
        A scalar of the dtype of `logits`.
    dlogits
        Shape and dtype of `logits`.

    Raises
    ------
    ValueError
        If there are no logits, the shapes differ, or a target lies outside [0, 1] (checked on the
        host only).
    TypeError
        If an array isn't floating-point, or the two live on different devices.
    """
    t = _target("bce_with_logits", logits, target, probability=True)
    return backend.of(logits).bce_with_logits(logits, t)


def bce(probabilities: Array, target: Any) -> tuple[Array, Array]:
    r"""Binary cross entropy of probabilities: ``mean(-t log p - (1 - t) log(1 - p))``.

    Derivation.
    :math:`dp = \big(-\frac{t}{p} + \frac{1-t}{1-p}\big) / n = \frac{p - t}{p (1 - p)} / n`.

    Where a sigmoid has rounded to exactly 0 or 1, the logarithm is infinite. It is therefore
    clamped to at least -100, and the denominator, separately, to at least 1e-12, as in PyTorch.
    Clipping p instead is a well-known mistake: it makes the gradient exactly 0 where the
    discriminator is most wrong. Better still, leave out the last sigmoid and use
    `bce_with_logits`, which needs no clamping.

    Parameters
    ----------
    probabilities
        p in [0, 1], any shape, floating point.
    target
        t in [0, 1]: a number, or an array of the shape of `probabilities`.

    Returns
    -------
    loss
        A scalar of the dtype of `probabilities`.
    dprobabilities
        Shape and dtype of `probabilities`.

    Raises
    ------
    ValueError
        If there are no probabilities, the shapes differ, or a number lies outside [0, 1] (checked
        on the host only).
    TypeError
        If an array isn't floating-point, or the two live on different devices.
    """
    t = _target("bce", probabilities, target, probability=True)
    p, n = probabilities, probabilities.size
    if not _in_unit_interval(p):
        raise ValueError(
            f"bce got probabilities from {p.min()} to {p.max()}, but needs them in [0, 1]; end the "
            "net with a Sigmoid, or give its logits to bce_with_logits."
        )
    xp = backend.of(p).xp
    with numpy.errstate(divide="ignore"):  # log 0 = -inf is clamped below
        log_p, log_not_p = xp.maximum(xp.log(p), -100), xp.maximum(xp.log1p(-p), -100)
    loss = -(t * log_p + (1 - t) * log_not_p)
    return loss.mean(), (p - t) / xp.maximum(p * (1 - p), 1e-12) / n


def hinge_discriminator(real_logits: Array, fake_logits: Array) -> tuple[Array, Array, Array]:
    r"""Hinge loss of the discriminator: ``mean(max(0, 1 - real)) + mean(max(0, 1 + fake))``.

    Each logit is pushed until it is on the right side of 0 by a margin of 1, and then left alone:
    dreal is -1/n where real < 1, else 0; dfake is 1/m where fake > -1, else 0 (Lim & Ye 2017;
    Miyato et al. 2018, eq. 16). At the kink, where there is no derivative, the gradient is 0, as in
    PyTorch.

    Parameters
    ----------
    real_logits, fake_logits
        D's outputs on n reals and m fakes, any shapes, floating point.

    Returns
    -------
    loss
        A scalar of the dtype of `real_logits`.
    dreal, dfake
        Shapes and dtypes of `real_logits` and `fake_logits`.

    Raises
    ------
    ValueError
        If one of them is empty.
    TypeError
        If one of them isn't floating-point, or they live on different devices.
    """
    _pair("hinge_discriminator", real_logits, fake_logits)
    xp = backend.of(real_logits).xp
    short_real, short_fake = xp.maximum(1 - real_logits, 0), xp.maximum(1 + fake_logits, 0)
    d_real = -(short_real > 0).astype(real_logits.dtype) / real_logits.size
    d_fake = (short_fake > 0).astype(fake_logits.dtype) / fake_logits.size
    return _sum_of_means(short_real, short_fake), d_real, d_fake


def hinge_generator(fake_logits: Array) -> tuple[Array, Array]:
    """Loss of the generator against a hinge discriminator: ``-mean(fake)``, so ``dfake = -1 / n``.

    There is no hinge here: the generator never stops being pushed (Miyato et al. 2018, eq. 17).

    Parameters
    ----------
    fake_logits
        D's outputs on the fakes, any shape, floating point.

    Returns
    -------
    loss
        A scalar of the dtype of `fake_logits`.
    dfake
        Shape and dtype of `fake_logits`.

    Raises
    ------
    ValueError
        If it is empty.
    TypeError
        If it isn't floating-point.
    """
    return _minus_mean("hinge_generator", fake_logits)


def wasserstein_critic(real: Array, fake: Array) -> tuple[Array, Array, Array]:
    r"""Loss of a Wasserstein critic: ``mean(fake) - mean(real)``.

    So ``dreal = -1 / n`` and ``dfake = 1 / m``.

    The critic maximises :math:`E\,D(x) - E\,D(G(z))`, which for a 1-Lipschitz D is at most the
    earth mover's distance (Arjovsky et al. 2017, eq. 2 and Algorithm 1); the loss is its negative.
    D must be kept Lipschitz by other means: clipped weights, a gradient penalty or spectral
    normalisation.

    Parameters
    ----------
    real, fake
        D's outputs on n reals and m fakes, any shapes, floating point; scores, not probabilities.

    Returns
    -------
    loss
        A scalar of the dtype of `real`.
    dreal, dfake
        Shapes and dtypes of `real` and `fake`.

    Raises
    ------
    ValueError
        If one of them is empty.
    TypeError
        If one of them isn't floating-point, or they live on different devices.
    """
    _pair("wasserstein_critic", real, fake)
    xp = backend.of(real).xp
    return (
        _sum_of_means(-real, fake),
        xp.full_like(real, -1 / real.size),
        xp.full_like(fake, 1 / fake.size),
    )


def wasserstein_generator(fake: Array) -> tuple[Array, Array]:
    """Loss of the generator against a Wasserstein critic: ``-mean(fake)``, so ``dfake = -1 / n``.

    Source: Arjovsky et al. 2017, Algorithm 1, line 10.

    Parameters
    ----------
    fake
        D's outputs on the fakes, any shape, floating point.

    Returns
    -------
    loss
        A scalar of the dtype of `fake`.
    dfake
        Shape and dtype of `fake`.

    Raises
    ------
    ValueError
        If it is empty.
    TypeError
        If it isn't floating-point.
    """
    return _minus_mean("wasserstein_generator", fake)


# ---------------------------------------------------------------- distances


def mse(prediction: Array, target: Any) -> tuple[Array, Array]:
    """Mean squared error: ``mean((x - t)²)``, so ``dx = 2 (x - t) / n``.

    Least-squares GANs use half of it, with D's outputs for x (Mao et al. 2017, eq. 2).

    Parameters
    ----------
    prediction
        x, any shape, floating point.
    target
        t: a number, or an array of the shape of `prediction`.

    Returns
    -------
    loss
        A scalar of the dtype of `prediction`.
    dprediction
        Shape and dtype of `prediction`.

    Raises
    ------
    ValueError
        If there are no predictions, or the shapes differ.
    TypeError
        If an array isn't floating-point, or the two live on different devices.
    """
    difference = prediction - _target("mse", prediction, target)
    return (difference * difference).mean(), difference * (2 / prediction.size)


def l1(prediction: Array, target: Any) -> tuple[Array, Array]:
    """Mean absolute error: ``mean(|x - t|)``, so ``dx = sign(x - t) / n``.

    At the kink x = t, where there is no derivative, dx is 0, as in PyTorch.

    Parameters
    ----------
    prediction
        x, any shape, floating point.
    target
        t: a number, or an array of the shape of `prediction`.

    Returns
    -------
    loss
        A scalar of the dtype of `prediction`.
    dprediction
        Shape and dtype of `prediction`.

    Raises
    ------
    ValueError
        If there are no predictions, or the shapes differ.
    TypeError
        If an array isn't floating-point, or the two live on different devices.
    """
    difference = prediction - _target("l1", prediction, target)
    return abs(difference).mean(), backend.of(prediction).xp.sign(difference) / prediction.size


def huber(prediction: Array, target: Any, *, delta: float = 1.0) -> tuple[Array, Array]:
    r"""Huber's loss: squared for small differences, absolute for large ones.

    With d = x - t: ``mean(d² / 2)`` where \|d\| <= δ, ``mean(δ (|d| - δ / 2))`` elsewhere, so
    ``dx = clip(d, -δ, δ) / n``, continuous and bounded (Huber 1964). With δ = 1 it is PyTorch's
    ``smooth_l1_loss``.

    Parameters
    ----------
    prediction
        x, any shape, floating point.
    target
        t: a number, or an array of the shape of `prediction`.
    delta
        δ > 0.

    Returns
    -------
    loss
        A scalar of the dtype of `prediction`.
    dprediction
        Shape and dtype of `prediction`.

    Raises
    ------
    ValueError
        If there are no predictions, the shapes differ, or δ isn't positive.
    TypeError
        If an array isn't floating-point, or the two live on different devices.
    """
    if not delta > 0:
        raise ValueError(f"The delta of huber must be > 0, got {delta!r}.")
    delta = float(delta)  # one of NumPy's would make float64 of float32
    d = prediction - _target("huber", prediction, target)
    clipped = backend.of(prediction).xp.clip(d, -delta, delta)
    # Both cases at once: where |d| <= δ the clipped difference is d itself.
    return (clipped * (d - clipped / 2)).mean(), clipped / prediction.size


def kl_gaussians(
    mean: Array, log_variance: Array, *, target_mean: Any = 0.0, target_log_variance: Any = 0.0
) -> tuple[Array, Array, Array]:
    r"""Divergence of Gaussians, KL(N(μ, e^a) ‖ N(m, e^b)), summed over features.

    With independent features (Kingma & Welling 2014, appendix B, for m = b = 0),

    .. math:: KL = \frac12 \sum \Big(e^{a - b} + (\mu - m)^2 e^{-b} - 1 + b - a\Big),

    averaged over the N samples. So :math:`d\mu = (\mu - m) e^{-b} / N` and
    :math:`da = (e^{a - b} - 1) / (2 N)`.

    Parameters
    ----------
    mean, log_variance
        μ and a, shape (N, features), floating point.
    target_mean, target_log_variance
        m and b: numbers, or arrays of the shape of `mean`.

    Returns
    -------
    loss
        A scalar of the dtype of `mean`.
    dmean, dlog_variance
        Shape and dtype of `mean`.

    Raises
    ------
    ValueError
        If there are no numbers, or the shapes differ.
    TypeError
        If an array isn't floating-point, or they live on different devices.
    """
    _require_numbers("kl_gaussians", log_variance, "log_variance")
    a = _target("kl_gaussians", mean, log_variance)
    if mean.ndim != 2:
        raise ValueError(
            f"kl_gaussians got a mean of shape {tuple(mean.shape)}, but needs (N, features); "
            "reshape it."
        )
    m, b = (_target("kl_gaussians", mean, t) for t in (target_mean, target_log_variance))
    xp, n = backend.of(mean).xp, mean.shape[0]
    # Of a number: NumPy's exp overflows to infinity, where Python's raises an error.
    inverse = float(numpy.exp(-b)) if isinstance(b, float) else xp.exp(-b)
    ratio, away = xp.exp(a - b), (mean - m) * inverse
    loss = (ratio + (mean - m) * away - 1 + b - a).sum() / (2 * n)
    return loss, away / n, (ratio - 1) / (2 * n)


# ---------------------------------------------------------------- which class


def cross_entropy(
    logits: Array, labels: Array, *, smoothing: float = 0.0, weights: Array | None = None,
    ignore_index: int | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    r"""Cross entropy of K classes: ``-log softmax(l)[label]``, averaged over the N samples.

    Derivation. With :math:`p_k = e^{l_k} / \sum_j e^{l_j}`, a sample's loss is
    :math:`-\log p_y = \log \sum_j e^{l_j} - l_y` for its label y, hence

    .. math:: dl_k = (p_k - [k = y]) / N.

    Adding a constant to all logits of a sample changes no p, so their maximum is subtracted first,
    and nothing can overflow.

    In general a sample has a target :math:`t_k` instead of [k = y], classes have weights
    :math:`w_k`, and some samples don't count. With :math:`a_k = w_k t_k`, or 0 for those,

    .. math:: L = -\frac1Z \sum a_k \log p_k, \qquad
              dl_k = \frac1Z \Big(p_k \sum_j a_j - a_k\Big), \qquad Z = \sum w_y,

    sums over all samples, the last over those that count; as in PyTorch.

    Parameters
    ----------
    logits
        l, shape (N, K), floating point.
    labels
        y, shape (N,), integers, 0 <= label < K.
    smoothing
        ε in [0, 1): the target is 1 - ε on the label, and ε / K more on every class (Szegedy et al.
        2016, section 7).
    weights
        w, shape (K,), positive; None for ones.
    ignore_index
        A label, which may lie outside of the range, whose samples don't count.

    Returns
    -------
    loss
        A scalar of the dtype of `logits`.
    dlogits
        Shape (N, K), dtype of `logits`.

    Raises
    ------
    ValueError
        If a shape is wrong, there are no logits, or a label is out of range (checked on the host
        only).
    TypeError
        If the logits aren't floating-point, the labels aren't integers, or they live on different
        devices.
    """
    counts = _require_labels(logits, labels, ignore_index)
    if not 0 <= smoothing < 1:
        raise ValueError(f"The smoothing of cross_entropy must be in [0, 1), got {smoothing!r}.")
    smoothing = float(smoothing)
    if weights is not None or smoothing or ignore_index is not None:
        return _weighted_cross_entropy(logits, labels, smoothing, weights, counts)
    xp, n = backend.of(logits).xp, logits.shape[0]
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = xp.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    # Comparing with every class, instead of indexing, can't read out of bounds even on a GPU, where
    # the labels haven't been checked.
    one_hot = labels[:, None] == xp.arange(logits.shape[1])
    loss = xp.where(one_hot, xp.log(total) - shifted, logits.dtype.type(0)).sum() / n
    return loss, (e / total - one_hot) / n


def _weighted_cross_entropy(
    logits: Array, labels: Array, smoothing: float, weights: Array | None, counts: Any
) -> tuple[Array, Array]:
    xp, classes = backend.of(logits).xp, logits.shape[1]
    if weights is not None:
        _require_class_weights(logits, weights)
    w = xp.ones(classes, logits.dtype) if weights is None else weights.astype(logits.dtype)
    one_hot = ((labels[:, None] == xp.arange(classes)) & counts).astype(logits.dtype)
    spread = (smoothing / classes) * counts.astype(logits.dtype)
    a = w * ((1 - smoothing) * one_hot + spread)
    shifted = logits - logits.max(axis=1, keepdims=True)
    e = xp.exp(shifted)
    total = e.sum(axis=1, keepdims=True)
    z = (w * one_hot).sum()
    loss = xp.where(a > 0, a * (xp.log(total) - shifted), logits.dtype.type(0)).sum() / z
    return loss, (e / total * a.sum(axis=1, keepdims=True) - a) / z


def _require_class_weights(logits: Array, weights: Array) -> None:
    _require_numbers("cross_entropy", weights, "the weights")
    _require_same_device("cross_entropy", logits, weights)
    if tuple(weights.shape) != (logits.shape[1],):
        raise ValueError(
            f"cross_entropy got weights of shape {tuple(weights.shape)}, but needs one for each of "
            f"{logits.shape[1]} classes."
        )
    if backend.device_of(weights) == "cpu" and not bool((weights > 0).all()):
        raise ValueError(
            f"cross_entropy got a weight of {weights.min()}, but needs positive ones; ignore_index "
            "leaves samples out."
        )


# ---------------------------------------------------------------- shared parts and checks


def _minus_mean(name: str, x: Array) -> tuple[Array, Array]:
    _require_numbers(name, x, "its input")
    return -x.mean(), backend.of(x).xp.full_like(x, -1 / x.size)


def _sum_of_means(a: Array, b: Array) -> Array:
    return a.mean() + b.mean().astype(a.dtype)


def _pair(name: str, real: Array, fake: Array) -> None:
    _require_numbers(name, real, "the real logits")
    _require_numbers(name, fake, "the fake logits")
    _require_same_device(name, real, fake)


def _target(name: str, x: Array, target: Any, *, probability: bool = False) -> Any:
    """Return the target as a Python number or as an array of the shape, dtype and device of x."""
    _require_numbers(name, x, "its input")
    if isinstance(target, (Real, numpy.bool_)):
        t: Any = float(target)
    else:
        _require_numbers(name, target, "the target")
        _require_same_device(name, x, target)
        if target.shape != x.shape:
            raise ValueError(
                f"{name} got an input of shape {tuple(x.shape)} and a target of shape "
                f"{tuple(target.shape)}, but needs equal shapes (broadcasting would compare every "
                "sample with every other); reshape one of them."
            )
        t = target.astype(x.dtype, copy=False)
    if probability and not _in_unit_interval(t):
        low, high = (t, t) if isinstance(t, float) else (t.min(), t.max())
        raise ValueError(
            f"{name} got targets from {low} to {high}, but needs probabilities in [0, 1]."
        )
    return t


def _in_unit_interval(x: Any) -> bool:
    """Tell whether 0 <= x <= 1 throughout; not checked on a GPU, where that would be a wait."""
    if isinstance(x, float):
        return 0 <= x <= 1
    return backend.device_of(x) != "cpu" or bool(x.min() >= 0 and x.max() <= 1)


def _require_numbers(name: str, x: Any, what: str) -> None:
    dtype = getattr(x, "dtype", None)
    if getattr(dtype, "kind", None) is None:
        raise TypeError(
            f"{name} got {type(x).__name__} as {what}, but needs an array; convert it with "
            "numpy.asarray(x, dtype='float32')."
        )
    if dtype.kind != "f" or dtype.itemsize not in (4, 8):  # type: ignore[union-attr]
        raise TypeError(
            f"{name} got {what} of dtype {dtype}, but needs floating-point numbers of 32 or 64 "
            "bits; convert with x.astype('float32')."
        )
    if x.size == 0:
        raise ValueError(
            f"{name} got {what} of shape {tuple(x.shape)}, which is empty; give at least one entry."
        )


def _require_same_device(name: str, x: Array, other: Array) -> None:
    if not backend.same_device(x, other):
        raise TypeError(
            f"{name} got arrays on {backend.device_of(x)!r} and on {backend.device_of(other)!r}; "
            "move one of them with backend.get(device).asarray(x)."
        )


def _require_labels(logits: Array, labels: Array, ignored: int | None = None) -> Any:
    """Check the labels; return which samples count, (N, 1)."""
    _require_numbers("cross_entropy", logits, "logits")
    if getattr(getattr(labels, "dtype", None), "kind", None) not in ("i", "u"):
        raise TypeError(
            f"cross_entropy got labels of type {getattr(labels, 'dtype', type(labels).__name__)}, "
            f"but needs an array of integers; {how_to_number(labels)}."
        )
    _require_same_device("cross_entropy", logits, labels)
    if logits.ndim != 2 or labels.shape != logits.shape[:1]:
        raise ValueError(
            f"cross_entropy got logits of shape {tuple(logits.shape)} and labels of shape "
            f"{tuple(labels.shape)}, but needs (N, classes) and (N,)."
        )
    classes = logits.shape[1]
    counts = labels[:, None] == labels[:, None] if ignored is None else labels[:, None] != ignored
    if backend.device_of(labels) != "cpu":
        return counts
    labels = labels[counts[:, 0]]
    if labels.size == 0:
        raise ValueError(
            f"cross_entropy got only labels {ignored}, which it was told to ignore; leave such a "
            "batch out."
        )
    if not (labels.min() >= 0 and labels.max() < classes):
        raise ValueError(
            f"cross_entropy got labels from {labels.min()} to {labels.max()}, but {classes} logits "
            f"per sample stand for the labels 0 to {classes - 1}."
        )
    return counts

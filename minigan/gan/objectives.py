r"""The objectives of the two players: pairs of losses, each with its gradient.

D maps a sample to a logit. Write r for the logits of real samples and f for those of fakes. Every
loss is a mean over the batch and comes with its derivatives with respect to r and f. The rest is
backpropagation: through D for D's weights, through D and then G for G's weights.
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

from minigan import backend, losses
from minigan.backend import Array

DiscriminatorLoss = Callable[[Array, Array], tuple[Array, Array, Array]]
GeneratorLoss = Callable[[Array, "Array | None"], tuple[Array, Array]]


@dataclass(frozen=True)
class Objective:
    """A pair of losses.

    Attributes
    ----------
    name
        Its name on the command line.
    discriminator
        ``(real_logits, fake_logits) -> (loss, d_real_logits, d_fake_logits)``.
    generator
        ``(fake_logits, real_logits) -> (loss, d_fake_logits)``; real_logits is None unless `pairs`.
    pairs
        Whether the generator's loss also needs the logits of a real batch.
    probabilistic
        Whether sigmoid(logit) is D's probability that a sample is real.
    """

    name: str
    discriminator: DiscriminatorLoss
    generator: GeneratorLoss
    pairs: bool = False
    probabilistic: bool = True


def non_saturating(*, smoothing: float = 0.0) -> Objective:
    r"""The non-saturating loss (Goodfellow et al. 2014, section 3), which the paper advises for G.

    D minimises :math:`-\log\sigma(r) - \log(1-\sigma(f))`, G minimises :math:`-\log\sigma(f)`.
    Where D is sure that a sample is fake (f → -∞), the derivative of G's loss tends to -1: G learns
    most where it is worst.

    Parameters
    ----------
    smoothing
        D's target on reals is 1 - smoothing (one-sided label smoothing, Salimans et al. 2016).
    """
    discriminator = functools.partial(_bce_discriminator, smoothing=smoothing)
    return Objective("non-saturating", discriminator, _non_saturating_generator)


def _bce_discriminator(real: Array, fake: Array, *, smoothing: float) -> tuple[Array, Array, Array]:
    # Only reals are smoothed: smoothed fakes would reward D for accepting what G already produces.
    loss_real, d_real = losses.bce_with_logits(real, 1.0 - smoothing)
    loss_fake, d_fake = losses.bce_with_logits(fake, 0.0)
    return loss_real + loss_fake, d_real, d_fake


def _non_saturating_generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
    return losses.bce_with_logits(fake, 1.0)


def saturating(*, smoothing: float = 0.0) -> Objective:
    r"""The minimax game itself (Goodfellow et al. 2014, equation 1).

    G minimises :math:`\log(1-\sigma(f))`. Its derivative is :math:`-\sigma(f)`, which vanishes
    where D is sure: a G that is far behind learns nothing. It is included for comparison.
    """
    discriminator = functools.partial(_bce_discriminator, smoothing=smoothing)
    return Objective("saturating", discriminator, _saturating_generator)


def _saturating_generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
    loss, d_fake = losses.bce_with_logits(fake, 0.0)
    return -loss, -d_fake


def least_squares(*, smoothing: float = 0.0) -> Objective:
    """LSGAN (Mao et al. 2017, equation 9): D minimises ½(r - 1)² + ½f², G minimises ½(f - 1)²."""
    discriminator = functools.partial(_least_squares_discriminator, smoothing=smoothing)
    return Objective("least-squares", discriminator, _least_squares_generator, probabilistic=False)


def _least_squares_discriminator(
    real: Array, fake: Array, *, smoothing: float
) -> tuple[Array, Array, Array]:
    loss_real, d_real = losses.mse(real, 1.0 - smoothing)
    loss_fake, d_fake = losses.mse(fake, 0.0)
    return (loss_real + loss_fake) / 2, d_real / 2, d_fake / 2


def _least_squares_generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
    loss, d_fake = losses.mse(fake, 1.0)
    return loss / 2, d_fake / 2


def wasserstein(*, smoothing: float = 0.0) -> Objective:
    """WGAN (Arjovsky et al. 2017, Algorithm 1): the critic minimises mean f - mean r, G -mean f.

    It estimates a distance only while the critic is Lipschitz: clip its weights or penalise its
    gradient.
    """
    _refuse_smoothing("wasserstein", smoothing)
    return Objective(
        "wasserstein", losses.wasserstein_critic, _wasserstein_generator, probabilistic=False
    )


def _wasserstein_generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
    return losses.wasserstein_generator(fake)


def hinge(*, smoothing: float = 0.0) -> Objective:
    """The hinge loss (Lim & Ye 2017; Miyato et al. 2018, equation 16).

    D minimises relu(1 - r) + relu(1 + f), G minimises -f.
    """
    _refuse_smoothing("hinge", smoothing)
    return Objective("hinge", losses.hinge_discriminator, _hinge_generator, probabilistic=False)


def _hinge_generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
    return losses.hinge_generator(fake)


def relativistic(*, smoothing: float = 0.0) -> Objective:
    r"""RpGAN (Jolicoeur-Martineau 2018): D tells which sample of a pair is the real one.

    D minimises :math:`-\log\sigma(r - f)`, G minimises :math:`-\log\sigma(f - r)`, over pairs of
    one real and one fake sample. Every fake is compared with a real sample, so there is no region
    in which fakes are safe from D.
    """
    _refuse_smoothing("relativistic", smoothing)
    return Objective(
        "relativistic",
        _relativistic_discriminator,
        _relativistic_generator,
        pairs=True,
        probabilistic=False,
    )


def _relativistic_discriminator(real: Array, fake: Array) -> tuple[Array, Array, Array]:
    loss, d = losses.bce_with_logits(real - fake, 1.0)
    return loss, d, -d


def _relativistic_generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
    if real is None:
        raise ValueError(
            "The relativistic generator loss needs the logits of a real batch too; pass them with "
            "those of the fakes."
        )
    return losses.bce_with_logits(fake - real, 1.0)


def with_classes(objective: Objective, labels: Array, weight: float = 1.0) -> Objective:
    r"""Add classification to an objective (AC-GAN, Odena et al. 2017): D predicts the label too.

    D returns (N, 1 + classes) logits. The losses on the first column stay as they are; both players
    add the cross entropy of the other columns with the labels. D learns to classify reals and
    fakes, G to produce the class that it was given:

    .. math:: L_D + \lambda\,(CE(r_{1:}, c) + CE(f_{1:}, c)), \qquad L_G + \lambda\,CE(f_{1:}, c).

    (Odena et al., section 3: D maximises L_S + L_C, G maximises L_C - L_S.)

    Parameters
    ----------
    objective
        The losses on the first column.
    labels
        c, integers (N,): the classes of the reals, which are also those given to G for the fakes.
    weight
        λ.
    """

    def discriminator(real: Array, fake: Array) -> tuple[Array, Array, Array]:
        loss, d_real, d_fake = objective.discriminator(real[:, :1], fake[:, :1])
        named, d_named = losses.cross_entropy(real[:, 1:], labels)
        asked, d_asked = losses.cross_entropy(fake[:, 1:], labels)
        return (
            loss + weight * (named + asked),
            _beside(d_real, weight * d_named),
            _beside(d_fake, weight * d_asked),
        )

    def generator(fake: Array, real: Array | None) -> tuple[Array, Array]:
        loss, d_fake = objective.generator(fake[:, :1], None if real is None else real[:, :1])
        asked, d_asked = losses.cross_entropy(fake[:, 1:], labels)
        return loss + weight * asked, _beside(d_fake, weight * d_asked)

    return replace(objective, discriminator=discriminator, generator=generator)


def _beside(first: Array, others: Array) -> Array:
    return backend.of(first).xp.concatenate([first, others], axis=1)


def _refuse_smoothing(name: str, smoothing: float) -> None:
    if smoothing:
        raise ValueError(
            f"Label smoothing needs an objective with labels, but {name} has none; set it to 0."
        )


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "non-saturating": non_saturating,
    "saturating": saturating,
    "least-squares": least_squares,
    "wasserstein": wasserstein,
    "hinge": hinge,
    "relativistic": relativistic,
}


def objective(name: str, *, smoothing: float = 0.0) -> Objective:
    """Return an objective by name.

    Parameters
    ----------
    name
        One of `OBJECTIVES`.
    smoothing
        One-sided label smoothing, 0 <= smoothing < 0.5, for the objectives with labels.

    Raises
    ------
    ValueError
        If the name is unknown (the error suggests the closest one) or the smoothing out of range.
    """
    if not 0 <= smoothing < 0.5:
        raise ValueError(f"Label smoothing must satisfy 0 <= smoothing < 0.5, got {smoothing}.")
    if name not in OBJECTIVES:
        near = difflib.get_close_matches(name, OBJECTIVES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(
            f"Unknown objective {name!r}{hint} The objectives are {', '.join(OBJECTIVES)}."
        )
    return OBJECTIVES[name](smoothing=smoothing)

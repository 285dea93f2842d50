r"""Feature matching: a generator whose samples look like the data to D's inner layers, on average.

(Salimans et al. 2016, section 3.1.) Let f be all of D but its last layer. Beside D's verdict on
each sample, G is told how far the mean of its features is from that of the reals,

.. math:: L = \lambda\, \|\delta\|^2, \qquad
          \delta = \frac1N \sum_i f(G(z_i)) - \frac1M \sum_i f(x_i),

which asks for no single sample to be like any other, and goes on telling where the verdict has
saturated.

Backward. :math:`\partial L / \partial f(G(z_i)) = 2 \lambda \delta / N`, the same for every sample;
D's own backward map brings it down to the samples. The reals' features are constants.
"""

from __future__ import annotations

from typing import Any

from minigan import backend, nn
from minigan.backend import Array
from minigan.ranks import ALONE, Ranks


def feature_matching(
    discriminator: nn.Layer, real: Any, fake: Any, *, weight: float = 1.0, ranks: Ranks = ALONE
) -> tuple[Array, Array]:
    """Return the loss and its gradient with respect to the fakes; D's gradients stay unchanged.

    Parameters
    ----------
    discriminator
        D, of two layers or more; its statistics should be frozen.
    real, fake
        Batches of samples, or pairs of samples and labels.
    weight
        λ.
    ranks
        Those that share the batch: the means are over all of them.

    Raises
    ------
    ValueError
        If D isn't a Sequential of two layers or more.
    """
    if not isinstance(discriminator, nn.Sequential) or len(discriminator) < 2:
        raise ValueError(
            "Feature matching needs a discriminator that is a Sequential of two layers or more, "
            f"got {discriminator!r}; choose another way to train G."
        )
    body = nn.Sequential(*list(discriminator)[:-1])
    wanted = body.forward(real, train=True)[0]
    features, cache = body.forward(fake, train=True)
    (delta,) = ranks.mean(features.mean(axis=0) - wanted.mean(axis=0))
    xp = backend.of(features).xp
    d = xp.broadcast_to(delta * (2 * weight / features.shape[0]), features.shape)
    d_fake: Any = body.backward(xp.ascontiguousarray(d), cache, param_grads=False)
    return weight * (delta * delta).sum(), d_fake

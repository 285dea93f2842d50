"""Taming D: regularisation for a discriminator that learns faster than the generator, by name.

Each way of regularising is given as ``name`` or ``name:strength``, and they can be combined. Some
change D before training (spectral norm, packing, noise on its input, augmentation, dropout,
minibatch statistics), some add a penalty with its own gradient to D's step (gradient penalties, R1,
R2, DRAGAN, VAT), and some act on the gradients before the step or on the weights after it
(clipping). Three of Salimans et al. 2016 concern G, too: feature matching, historical averaging and
virtual batch norm. Two time scales need no name: give the players different learning rates.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import numpy

from minigan import nn, optim, randomness
from minigan.backend import Array
from minigan.gan import penalties
from minigan.latent import Latent
from minigan.ranks import ALONE, Ranks

Generator = numpy.random.Generator


@dataclass
class Taming:
    """The regularisation of D, ready for a game.

    Attributes
    ----------
    discriminator
        D, modified where necessary.
    penalties
        Each adds its gradient to D's.
    before_step, after_discriminator_step
        As for `minigan.gan.Game`, or None.
    conditional
        Whether D receives pairs of samples and labels.
    feature_matching
        As for `minigan.gan.Game`.
    generator
        G, modified where necessary; None if it wasn't given.
    latent
        The distribution of G's latents, if any.
    historical_averaging
        Strength of the pull of both players towards their averages; 0 for none.
    """

    discriminator: nn.Layer
    penalties: list[Callable[[nn.Layer, Any, Any], Array]] = field(default_factory=list)
    before_step: Callable[[nn.Layer], Any] | None = None
    after_discriminator_step: Callable[[nn.Layer], Any] | None = None
    conditional: bool = False
    feature_matching: float = 0.0
    generator: nn.Layer | None = None
    latent: Latent | None = None
    historical_averaging: float = 0.0

    def pulls(self, **players: nn.Layer) -> dict[str, Any]:
        """Return the historical average of each player as ``NAME_pull``, if any is wanted.

        Make them once the players are on their device.
        """
        strength = self.historical_averaging
        if not strength:
            return {}
        return {
            f"{name}_pull": optim.HistoricalAverage(net, strength=strength)
            for name, net in players.items()
        }


@dataclass(frozen=True)
class Way:
    """A way to regularise D: its default strength, what it does, a description, and whether its
    strength makes a difference.
    """

    strength: float
    apply: Callable[[Taming, float, Generator], None]
    words: str
    graded: bool = True


def tame(
    discriminator: nn.Layer, ways: Sequence[str], *, rng: Generator, conditional: bool = False,
    generator: nn.Layer | None = None, latent: Latent | None = None,
) -> Taming:  # fmt: skip
    """Regularise D in the given ways, applied in the order of `WAYS` whatever their order here.

    Parameters
    ----------
    discriminator
        D as the recipe built it.
    ways
        ``name`` or ``name:strength`` each, see `WAYS`.
    rng
        Draws what they need (interpolation, noise, new weights).
    conditional
        Whether D receives pairs of samples and labels.
    generator, latent
        G and the distribution of its latents, which virtual batch norm needs.

    Raises
    ------
    ValueError
        If a name is unknown (the error suggests the closest one) or given twice, a strength isn't a
        positive number, or a way can't be applied to D or G.
    """
    randomness.generator(rng)
    taming = Taming(discriminator, conditional=conditional, generator=generator, latent=latent)
    given = parse_all(ways)
    strengths = dict(given)
    if len(strengths) < len(given):
        raise ValueError(
            f"A penalty can be given only once, but {', '.join(ways)} names one twice; leave one "
            "of them out."
        )
    for name, way in WAYS.items():
        if name in strengths:
            way.apply(taming, strengths[name], rng)
    return taming


def parse_all(ways: Sequence[str]) -> list[tuple[str, float]]:
    """Split each of them; a string in their place would be read letter by letter."""
    if isinstance(ways, str):
        raise ValueError(
            f"Penalties are a tuple or list of names, got {ways!r}; write ({ways!r},)."
        )
    return [parse(way) for way in ways]


def parse(way: str) -> tuple[str, float]:
    """Split ``name:strength``; the strength has a default."""
    if not isinstance(way, str):
        raise ValueError(f"A penalty is written name or name:strength, got {way!r}.")
    name, _, given = way.partition(":")
    if name not in WAYS:
        near = difflib.get_close_matches(name, WAYS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"Unknown penalty {name!r}{hint} The penalties are {', '.join(WAYS)}.")
    try:
        strength = float(given) if given else WAYS[name].strength
    except ValueError:
        strength = math.nan
    if not (strength > 0 and math.isfinite(strength)):
        raise ValueError(
            f"The strength of {name!r} must be a positive number, got {given!r}; write "
            f"{name}:{WAYS[name].strength:g}."
        )
    if given and not WAYS[name].graded and strength != WAYS[name].strength:
        raise ValueError(f"{name!r} has no strength, got {given}; write it alone.")
    return name, strength


# ---------------------------------------------------------------- penalties with their own gradient


def _split(critic: nn.Layer, x: Any) -> tuple[nn.Layer, Array]:
    """Fix the labels of a conditional critic, which makes it a function of the samples alone."""
    return (nn.Given(critic, x[1]), x[0]) if isinstance(x, tuple) else (critic, x)


def _gradient_penalty(
    taming: Taming, strength: float, rng: Generator, *, one_sided: bool = False
) -> None:
    taming.penalties.append(partial(_slope_between, rng=rng, weight=strength, one_sided=one_sided))


def _slope_between(
    critic: nn.Layer, real: Any, fake: Any, *, rng: Generator, weight: float, one_sided: bool
) -> Array:
    seen, values = _split(critic, real)
    x_hat = penalties.interpolate(values, _split(critic, fake)[1], rng)
    return penalties.gradient_penalty(seen, x_hat, weight=weight, one_sided=one_sided)


def _r1(taming: Taming, strength: float, rng: Generator) -> None:
    taming.penalties.append(SlopeAtReals(strength))


@dataclass(frozen=True)
class SlopeAtReals:
    """R1 as a penalty of a game, which hands over what D's step has computed of the reals."""

    gamma: float
    takes_reals: ClassVar[bool] = True

    def __call__(
        self, critic: nn.Layer, real: Any, fake: Any, passed: penalties.Passed | None = None
    ) -> Array:
        """Return the penalty's value; its gradient is added to the critic's."""
        if passed is None:
            critic, real = _split(critic, real)
        return penalties.r1(critic, real, gamma=self.gamma, passed=passed)


def _r2(taming: Taming, strength: float, rng: Generator) -> None:
    taming.penalties.append(partial(_slope_at_fakes, gamma=strength))


def _slope_at_fakes(critic: nn.Layer, real: Any, fake: Any, *, gamma: float) -> Array:
    return penalties.r2(*_split(critic, fake), gamma=gamma)


def _dragan(taming: Taming, strength: float, rng: Generator) -> None:
    taming.penalties.append(SlopeAroundReals(strength, rng))


@dataclass
class SlopeAroundReals:
    """DRAGAN as a penalty of a game; the spread of the reals is that on all ranks."""

    weight: float
    rng: Generator
    ranks: Ranks = ALONE

    def __call__(self, critic: nn.Layer, real: Any, fake: Any) -> Array:
        """Return the penalty's value; its gradient is added to the critic's."""
        seen, values = _split(critic, real)
        points = penalties.dragan_points(values, self.rng, ranks=self.ranks)
        return penalties.gradient_penalty(seen, points, weight=self.weight)


def _vat(taming: Taming, strength: float, rng: Generator) -> None:
    taming.penalties.append(partial(_change_of_belief, rng=rng, weight=strength))


def _change_of_belief(
    critic: nn.Layer, real: Any, fake: Any, *, rng: Generator, weight: float
) -> Array:
    at_reals = penalties.virtual_adversarial(*_split(critic, real), rng, weight=weight)
    return at_reals + penalties.virtual_adversarial(*_split(critic, fake), rng, weight=weight)


# ---------------------------------------------------------------- clipping


def _clip_weights(taming: Taming, strength: float, rng: Generator) -> None:
    taming.after_discriminator_step = partial(optim.clip_weights, bound=strength)


def _clip_gradient(taming: Taming, strength: float, rng: Generator) -> None:
    taming.before_step = partial(optim.clip_by_norm, max_norm=strength, axes="unit")


# ---------------------------------------------------------------- changes of D

_ACTIVATIONS = (nn.LeakyReLU, nn.Tanh)


def _spectral_norm(taming: Taming, strength: float, rng: Generator) -> None:
    taming.discriminator = _mapped(
        taming.discriminator,
        lambda layer: nn.spectral_norm(layer, rng=rng) if _has_weight(layer) else layer,
    )


def _has_weight(layer: nn.Layer) -> bool:
    """Whether a layer multiplies by a weight matrix, unlike those that scale each unit."""
    weight = getattr(layer, "weight", None)
    return isinstance(weight, nn.Parameter) and weight.role == "weight"


def _dropout(taming: Taming, strength: float, rng: Generator) -> None:
    chain, layers = _chain(taming.discriminator, "dropout"), list[nn.Layer]()
    if not any(isinstance(layer, _ACTIVATIONS) for layer in chain):
        raise ValueError(
            "dropout follows the activations of a discriminator that is a plain chain of layers, "
            "and this one has none; choose another penalty."
        )
    for layer in chain:
        layers += (
            [layer, nn.Dropout(strength, rng=rng)] if isinstance(layer, _ACTIVATIONS) else [layer]
        )
    taming.discriminator = nn.Sequential(*layers)


def _front(
    make: Callable[[float, Generator], nn.Layer],
) -> Callable[[Taming, float, Generator], None]:
    def apply(taming: Taming, strength: float, rng: Generator) -> None:
        layer, net = make(strength, rng), taming.discriminator
        behind = list(net) if isinstance(net, nn.Sequential) else [net]
        taming.discriminator = nn.Sequential(
            nn.Beside(layer) if taming.conditional else layer, *behind
        )

    return apply


def _packing(taming: Taming, strength: float, rng: Generator) -> None:
    first, *rest = _chain(taming.discriminator, "packing")
    m = _whole("packing", strength)
    taming.discriminator = nn.Sequential(nn.Pack(m), _wider(first, m, rng), *rest)


def _minibatch(taming: Taming, strength: float, rng: Generator) -> None:
    group = _whole("minibatch-stddev", strength)
    _before_the_last(taming, "minibatch-stddev", lambda _: nn.MinibatchStdDev(group), 1, rng)


def _discrimination(taming: Taming, strength: float, rng: Generator) -> None:
    rows, name = _whole("minibatch-discrimination", strength), "minibatch-discrimination"
    _before_the_last(
        taming, name, lambda f: nn.MinibatchDiscrimination(f, rows=rows, rng=rng), rows, rng
    )


def _before_the_last(
    taming: Taming, name: str, make: Callable[[int], nn.Layer], more: int, rng: Generator
) -> None:
    """Put a layer that appends features before the last one, and widen that."""
    *body, last = _chain(taming.discriminator, name)
    if not isinstance(last, nn.Linear):
        raise ValueError(
            f"{name} needs a discriminator that ends in a Linear layer; choose another penalty."
        )
    layer, features = make(last.in_features), last.in_features
    wider = nn.Linear(features + more, last.out_features, bias=last.bias is not None, rng=rng)
    wider.weight.value[:features] = last.weight.value
    taming.discriminator = nn.Sequential(*body, layer, wider)


def _feature_matching(taming: Taming, strength: float, rng: Generator) -> None:
    chain = _chain(taming.discriminator, "feature-matching")
    if isinstance(chain[-1], nn.Projection):
        raise ValueError(
            "feature-matching compares what comes before D's last layer, which here projects onto "
            "the labels and holds all of D; choose another penalty."
        )
    if len(chain) < 2:
        raise ValueError(
            "feature-matching needs a discriminator of two layers or more; choose another penalty."
        )
    taming.feature_matching = strength


def _historical_averaging(taming: Taming, strength: float, rng: Generator) -> None:
    taming.historical_averaging = strength


# ---------------------------------------------------------------- a change of G


def _virtual_batch_norm(taming: Taming, strength: float, rng: Generator) -> None:
    """Replace G's batch norms, and send a reference batch along, drawn once and for all."""
    n, net = _whole("virtual-batch-norm", strength), taming.generator
    if net is None or taming.latent is None:
        raise ValueError("virtual-batch-norm changes the generator; give G and its Latent to tame.")
    if not any(type(layer) is nn.BatchNorm for _, layer in net.layers()):
        raise ValueError(
            "virtual-batch-norm needs a generator with batch norm; choose another penalty."
        )
    head, body = _labels_apart(net)
    z = taming.latent.sample(n, rng)
    reference = head((z, numpy.arange(n) % head.classes)) if head else z
    inside = nn.WithReference(_mapped(body, partial(_virtual, reference=n)), reference)
    taming.generator = nn.Sequential(head, inside) if head else inside


def _labels_apart(net: nn.Layer) -> tuple[nn.ConcatenateLabels | None, nn.Layer]:
    """Take the layer off that appends the labels to z, if there is one."""
    first = net[0] if isinstance(net, nn.Sequential) and len(net) else None
    if not isinstance(first, nn.ConcatenateLabels):
        return None, net
    if first.embedding is not None:
        raise ValueError(
            "virtual-batch-norm needs labels that are one-hot, not learnt vectors, which would "
            "change the reference batch; choose another penalty."
        )
    return first, nn.Sequential(*_chain(net, "virtual-batch-norm")[1:])


def _virtual(layer: nn.Layer, *, reference: int) -> nn.Layer:
    if type(layer) is not nn.BatchNorm:
        return layer
    norm = nn.VirtualBatchNorm(layer.features, reference=reference, eps=layer.eps)
    norm.gamma.value[...], norm.beta.value[...] = layer.gamma.value, layer.beta.value
    return norm


def _wider(layer: nn.Layer, m: int, rng: Generator) -> nn.Layer:
    """Return a new layer with m times the input channels."""
    bias = getattr(layer, "bias", None) is not None
    if isinstance(layer, nn.Linear):
        return nn.Linear(m * layer.in_features, layer.out_features, bias=bias, rng=rng)
    if isinstance(layer, nn.Conv2d):
        g = layer.geometry
        return nn.Conv2d(
            m * layer.in_channels, layer.out_channels, kernel_size=g.kernel, stride=g.stride,
            padding=g.sides, dilation=g.dilation, groups=g.groups, padding_mode=g.mode, bias=bias,
            rng=rng,
        )  # fmt: skip
    raise ValueError(
        f"packing needs a discriminator that begins with Linear or Conv2d, not {layer!r}; choose "
        "another penalty."
    )


def _chain(net: nn.Layer, name: str) -> list[nn.Layer]:
    if not isinstance(net, nn.Sequential):
        raise ValueError(
            f"{name} needs a discriminator that is a Sequential, got {net!r}; choose another "
            "penalty."
        )
    return list(net)


def _mapped(net: nn.Layer, change: Callable[[nn.Layer], nn.Layer]) -> nn.Layer:
    """Apply `change` to each layer of a net; other containers than Sequential change in place."""
    if type(net) is nn.Sequential:
        return nn.Sequential(*(_mapped(layer, change) for layer in net))
    net.replace_children(lambda child: _mapped(child, change))
    return change(net)


def _whole(name: str, strength: float) -> int:
    if strength != int(strength):
        raise ValueError(f"{name} needs a whole number, got {strength:g}; write {name}:2.")
    return int(strength)


WAYS: dict[str, Way] = {
    # Those that rebuild layers of D come first, while a Linear is still a Linear; those that put a
    # layer before D come last.
    "packing": Way(
        2.0, _packing, "D judges several samples at once (PacGAN); the strength is their number"
    ),
    "minibatch-stddev": Way(4.0, _minibatch, "D sees how much the samples of a group differ"),
    "minibatch-discrimination": Way(
        16.0, _discrimination, "D learns which samples are alike; the strength counts its features"
    ),
    "feature-matching": Way(
        1.0, _feature_matching, "G also matches the mean of D's inner features at the reals"
    ),
    "historical-averaging": Way(
        1e-3, _historical_averaging, "both players are pulled towards their averages so far"
    ),
    "virtual-batch-norm": Way(
        64.0,
        _virtual_batch_norm,
        "G's batch norm by a fixed batch instead; the strength is its size",
    ),
    "dropout": Way(0.3, _dropout, "features zeroed at random; the strength is the probability"),
    "spectral-norm": Way(
        1.0,
        _spectral_norm,
        "every weight matrix divided by its largest singular value",
        graded=False,
    ),
    "instance-noise": Way(
        0.1, _front(lambda strength, rng: nn.InstanceNoise(strength, rng=rng)), "noise on D's input"
    ),
    "augment": Way(
        1.0,
        _front(
            lambda strength, rng: nn.Augment(
                "brightness", "contrast", "translation", "cutout", rng=rng
            )
        ),
        "D sees randomly augmented reals and fakes (DiffAugment)",
        graded=False,
    ),
    "gradient-penalty": Way(
        10.0, _gradient_penalty, "gradient norm 1 between reals and fakes (WGAN-GP)"
    ),
    "one-sided-penalty": Way(
        10.0,
        partial(_gradient_penalty, one_sided=True),
        "gradient norm at most 1 between reals and fakes",
    ),
    "r1": Way(10.0, _r1, "gradient 0 at the reals"),
    "r2": Way(10.0, _r2, "gradient 0 at the fakes"),
    "dragan": Way(10.0, _dragan, "gradient norm 1 around the reals"),
    "vat": Way(1.0, _vat, "the same output at the worst neighbour (virtual adversarial training)"),
    "clip-weights": Way(0.01, _clip_weights, "weights clipped to a box (WGAN)"),
    "clip-gradient": Way(
        1.0, _clip_gradient, "gradient of each output unit clipped to a ball, for both players"
    ),
}
"""All ways to regularise D by name, in the order in which they are applied; read-only."""

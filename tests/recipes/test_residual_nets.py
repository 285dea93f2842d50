"""The recipes whose game is the ordinary one and whose nets aren't: both players as a whole."""

import numpy
import pytest
from whole_games import Still, checked, moved

from minigan import gan, nn, optim, recipes

SHORT = {"rel": 1e-5, "h": 1e-8}
"""So many rectifiers have a kink nearby; seeds whose batch has one closer than this would fail."""
NAMES = ("r3gan", "sagan", "sngan-cifar", "cgan-cifar")


def game(name, optimizer=Still):
    """The recipe's own game in float64, with all weights away from where they start."""
    recipe, rng = recipes.get(name), numpy.random.default_rng(3)
    G, D = recipe.networks(rng, rng)
    taming = gan.tame(D, recipe.settings.penalties, rng=rng, conditional=recipe.classes > 0)
    D = taming.discriminator
    for net in (G, D):
        net.astype("float64")
        # Zeros that the nets begin with would hide what lies behind them.
        net.flat().value[...] += 0.02 * rng.standard_normal(net.flat().value.shape)
    return gan.Game(
        G, D, optimizer(G, lr=0.01), optimizer(D, lr=0.01), penalties=taming.penalties,
        objective=gan.objective(recipe.settings.objective), conditional=recipe.classes > 0,
    )  # fmt: skip


def batch(name, n=3):
    recipe, rng = recipes.get(name), numpy.random.default_rng(3)
    labels = rng.integers(0, recipe.classes, n) if recipe.classes else None
    real = rng.uniform(-1, 1, (n, *recipe.sample_shape))
    return real, rng.standard_normal((n, recipe.latent.size)), labels


@pytest.mark.parametrize("name", NAMES)
def test_gradients_of_both_players_as_a_whole(name):
    model, (real, z, labels) = game(name), batch(name)

    # The vectors of the spectral norm count as constants, so they may not turn meanwhile.
    def loss_d():
        with nn.frozen_statistics(model.discriminator):
            report = model.discriminator_step(real, z, labels)
        return float(report["loss_d"] + report.get("penalty", 0))

    def loss_g():
        with nn.frozen_statistics(model.generator):
            return float(model.generator_step(z, real, labels)["loss_g"])

    model.generator.zero_grad()
    loss_d()
    assert not model.generator.flat().grad.any()
    checked(loss_d, model.discriminator, 0, **SHORT)
    before = model.discriminator.flat().grad.copy()
    loss_g()
    numpy.testing.assert_array_equal(model.discriminator.flat().grad, before)
    checked(loss_g, model.generator, 0, **SHORT)


@pytest.mark.parametrize("name", NAMES)
def test_who_moves_in_each_step(name):
    model, (real, z, labels) = game(name, optim.SGD), batch(name)
    assert moved(model, lambda: model.discriminator_step(real, z, labels)) == {"discriminator"}
    assert moved(model, lambda: model.generator_step(z, real, labels)) == {"generator"}


def test_r3gan_begins_as_a_nearly_linear_map():
    """Each block is the identity at first, so D is the resampling and a few matrices."""
    recipe, rng = recipes.get("r3gan"), numpy.random.default_rng(0)
    D = recipe.networks(rng, rng)[1].astype("float64")
    x, y = rng.standard_normal((2, 3, 16, 16, 1))
    bias = D(numpy.zeros((3, 16, 16, 1)))
    numpy.testing.assert_allclose(D(x + y) - bias, (D(x) - bias) + (D(y) - bias), atol=1e-12)


def test_sagan_begins_without_attention_and_bounds_every_matrix():
    recipe, rng = recipes.get("sagan"), numpy.random.default_rng(0)
    G, D = recipe.networks(rng, rng)
    D = gan.tame(D, recipe.settings.penalties, rng=rng).discriminator
    for net in (G, D):
        (attention,) = [x for _, x in net.layers() if isinstance(x, nn.SelfAttention)]
        assert not attention.gamma.value.any()
        weights = [layer for _, layer in net.layers() if isinstance(layer, (nn.Linear, nn.Conv2d))]
        bounded = [layer for _, layer in net.layers() if isinstance(layer, nn.SpectralNorm)]
        assert len(bounded) >= len(weights) >= 5

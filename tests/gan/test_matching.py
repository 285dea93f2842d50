"""Feature matching: its gradient, and what it does to a game."""

import numpy
import pytest

from minigan import gan, gradcheck, nn, optim


def critic(rng):
    return nn.Sequential(
        nn.Linear(3, 6, rng=rng), nn.Tanh(), nn.Linear(6, 4, rng=rng), nn.Linear(4, 1, rng=rng)
    )


def test_the_gradient_with_respect_to_the_fakes():
    rng = numpy.random.default_rng(0)
    net, real = critic(rng).astype("float64"), rng.standard_normal((7, 3))

    def loss(fake):
        return gan.feature_matching(net, real, fake, weight=0.7)

    assert gradcheck.check_function(loss, rng.standard_normal((5, 3)), rng=rng).worst < 1e-7
    assert all((p.grad == 0).all() for p in net.parameters().values())


def test_equal_features_are_no_loss():
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((6, 3))
    value, d_fake = gan.feature_matching(critic(rng), x, x[::-1].copy())
    assert value < 1e-12
    assert abs(d_fake).max() < 1e-6
    with pytest.raises(ValueError, match="two layers or more"):
        gan.feature_matching(nn.Sequential(nn.Linear(3, 1)), x, x)


def test_the_generators_step_follows_both_losses():
    """Central differences of the whole: -log D(G(z)) + λ ‖δ‖², with respect to G's weights."""
    rng = numpy.random.default_rng(1)
    D, G = critic(rng).astype("float64"), nn.Linear(2, 3, rng=rng).astype("float64")
    game = gan.Game(G, D, optim.SGD(G, lr=0.0), optim.SGD(D, lr=0.0), feature_matching=0.7)
    z, real = rng.standard_normal((5, 2)), rng.standard_normal((5, 3))
    before = D.flat().grad.copy()
    report = game.generator_step(z, real)
    numpy.testing.assert_array_equal(D.flat().grad, before)
    assert set(report) == {"loss_g", "matching"}
    gradient, direction = G.flat().grad.copy(), rng.standard_normal(G.flat().grad.shape)
    values = []
    for step in (1e-6, -2e-6):
        G.flat().value += step * direction
        report = game.generator_step(z, real)
        values.append(report["loss_g"] + report["matching"])
    assert (values[0] - values[1]) / 2e-6 == pytest.approx(gradient @ direction, rel=1e-6)


def test_it_pulls_a_generator_towards_the_data_where_the_verdict_has_saturated():
    rng = numpy.random.default_rng(2)
    distances = {}
    for weight in (0.0, 1.0):
        D, G = critic(numpy.random.default_rng(3)), nn.Linear(2, 3, rng=numpy.random.default_rng(4))
        D[3].weight.value[...] = 0  # a critic that sees no difference
        D[3].bias.value[...] = 0
        game = gan.Game(G, D, optim.SGD(G, lr=0.3), optim.SGD(D, lr=0.0), feature_matching=weight)
        real = (0.5 + 0.1 * rng.standard_normal((64, 3))).astype("float32")
        for _ in range(200):
            game.generator_step(rng.standard_normal((64, 2)).astype("float32"), real)
        distances[weight] = abs(
            G(numpy.zeros((1, 2), "float32")).mean(axis=0) - real.mean(axis=0)
        ).max()
    assert distances[1.0] < 0.5 * distances[0.0]

"""Penalties in some of the rounds only."""

import numpy
import pytest

from minigan import gan, nn, optim


def game(kind=gan.Game, ways=("r1:2",), **more):
    rng = numpy.random.default_rng(0)
    G, D = nn.Linear(3, 2, rng=rng), nn.Sequential(nn.Linear(2, 4, rng=rng), nn.Tanh())
    D = nn.Sequential(*D, nn.Linear(4, 1, rng=rng))
    return kind(
        G, D, optim.SGD(G, lr=0.1), optim.SGD(D, lr=0.1), latent=gan.Latent(3),
        penalties=gan.tame(D, ways, rng=rng).penalties, **more,
    )  # fmt: skip


def test_penalties_are_added_every_kth_round():
    rng = numpy.random.default_rng(1)
    lazy = game(gan.LazyGame, gan.stronger(("r1:2",), 3), lazy=3)
    kinds = []
    for _ in range(7):
        due = lazy.rounds % 3 == 0
        plain = game(ways=("r1:6",) if due else ())
        for name, net in lazy.players().items():
            plain.players()[name].load_state_dict(net.state_dict())
        batch = gan.game.Batch(rng.standard_normal((5, 2)), rng.standard_normal((5, 3)), None)
        z = rng.standard_normal((5, 3))
        kinds.append(lazy.kind())
        reports = [model.play([batch], z) for model in (lazy, plain)]
        assert "penalty" not in reports[0]
        assert reports[0]["loss_d"] == reports[1]["loss_d"]
        for name, net in lazy.players().items():
            same = plain.players()[name].flat().value
            numpy.testing.assert_allclose(net.flat().value, same, rtol=1e-12)
    assert kinds == [True, False, False, True, False, False, True]


def test_rare_penalties_are_stronger():
    ways = gan.stronger(("r1:0.1", "vat", "instance-noise:0.1"), 8)
    assert ways == (f"r1:{0.1 * 8:.17g}", "vat:8", "instance-noise:0.1")


def test_laziness_is_at_least_one():
    with pytest.raises(ValueError, match="lazy must be at least 1, got 0"):
        game(gan.LazyGame, lazy=0)

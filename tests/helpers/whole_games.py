"""What the tests of whole games share: central differences, and optimizers that stand still."""

import numpy
import pytest

from minigan import optim


class Still(optim.SGD):
    """An optimizer that doesn't move."""

    def step(self):
        pass


def checked(loss, net, seed, rel=2e-5, h=1e-6):
    """Compare a net's gradient with slopes of a loss along random directions of all weights."""
    flat, rng = net.flat(), numpy.random.default_rng(seed)
    gradient = flat.grad.copy()
    for _ in range(5):
        v, begin = rng.standard_normal(flat.value.shape), flat.value.copy()
        slopes = []
        for sign in (1, -1):
            flat.value[...] = begin + sign * h * v
            slopes.append(sign * loss())
        flat.value[...] = begin
        assert sum(slopes) / (2 * h) == pytest.approx(gradient @ v, rel=rel, abs=1e-7)


def moved(game, round_):
    """Play a round; return the names of the players whose weights have changed."""
    before = {name: net.flat().value.copy() for name, net in game.players().items()}
    round_()
    return {n for n, net in game.players().items() if (net.flat().value != before[n]).any()}


CANCELLING = ("sngan-cifar", "cgan-cifar", "gumbel-textgan", "wavegan-digits")
"""Recipes in whose first round gradients of D are rounding alone, see `damp`."""


def damp(trainer):
    """In the games of `CANCELLING`, let a gradient of next to nothing move next to nothing.

    Adam's first step is as long for a gradient of 1e-9 as for one of 1. Where the contributions of
    reals and fakes cancel, as in a bias of D under the hinge or Wasserstein loss, rounding alone would decide its
    direction, and with it G's loss: two devices could not be compared.
    """
    for optimizer in trainer.game.optimizers().values():
        optimizer.eps = 1e-3

"""AdamW and AMSGrad by single numbers."""

import math

import numpy
import pytest
from defaults import defaults
from small_nets import one_weight

from minigan import nn, optim

GRADIENTS = [0.5, -2.0, 0.25, 0.0, 0.125, 0.125, 0.125]


def walked(optimizer, net):
    """The weight after each step."""
    seen = []
    for g in GRADIENTS:
        net.weight.grad = numpy.full(net.weight.shape, g)
        optimizer.step()
        seen.append(float(net.weight.value.ravel()[0]))
    return seen


def expected(*, decay=0.0, largest=False, lr=0.1, betas=(0.5, 0.75), eps=1e-3):
    theta, m, v, peak, seen = 2.0, 0.0, 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS, start=1):
        theta *= 1 - lr * decay
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        peak = max(peak, v) if largest else v
        root = math.sqrt(peak / (1 - betas[1] ** t))
        theta -= lr * m / (1 - betas[0] ** t) / (root + eps)
        seen.append(theta)
    return seen


OPTIONS = {"lr": 0.1, "betas": (0.5, 0.75), "eps": 1e-3}


def test_adamw_shrinks_the_weights_before_each_step():
    net = one_weight(value=2.0, gradient=0.0)
    found = walked(optim.AdamW(net, **OPTIONS, weight_decay=0.25), net)
    assert found == pytest.approx(expected(decay=0.25), rel=1e-5)


def test_amsgrad_keeps_the_largest_second_moment():
    net = one_weight(value=2.0, gradient=0.0)
    found = walked(optim.AMSGrad(net, **OPTIONS), net)
    assert found == pytest.approx(expected(largest=True), rel=1e-5)
    assert max(abs(a - b) for a, b in zip(found, expected(), strict=True)) > 0.005


def test_the_defaults_are_adams_and_a_hundredth():
    adam = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}
    assert defaults(optim.AMSGrad) == adam
    assert defaults(optim.AdamW) == adam | {"weight_decay": 0.01}
    optim.AdamW(nn.Linear(2, 1), weight_decay=0)
    with pytest.raises(ValueError, match=r"weight_decay must be a number >= 0, got -0\.1"):
        optim.AdamW(nn.Linear(2, 1), weight_decay=-0.1)

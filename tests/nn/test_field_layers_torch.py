"""The layers of the field's nets against PyTorch's in float64, in random settings.

``MINIGAN_CASES=200`` runs 200 settings of each layer instead of a few;
``python tests/helpers/torch_layers.py`` prints how large their errors are.
"""

import os

import numpy
import pytest

pytest.importorskip("torch")
import torch_layers

CASES = range(int(os.environ.get("MINIGAN_CASES", "6")))


@pytest.mark.parametrize("seed", CASES)
@pytest.mark.parametrize("name", torch_layers.CASES)
def test_a_layer_of_the_field_is_pytorchs(name, seed):
    """y, dx, the gradients of all parameters, and those of ⟨v, dx⟩."""
    rng = torch_layers.generator(name, seed)
    for what, ours, theirs in torch_layers.pairs(torch_layers.CASES[name](rng), rng):
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-8, atol=1e-10, err_msg=what)


def test_a_wrong_derivative_is_seen():
    """The comparison itself: a slope that is a little off shows in dx."""
    rng = torch_layers.generator("SiLU", 0)
    setting = torch_layers.CASES["SiLU"](rng)
    right = type(setting.ours).slope
    setting.ours.slope = lambda x: right(setting.ours, x) * 1.001
    errors = {what: abs(a - b).max() for what, a, b in torch_layers.pairs(setting, rng)}
    assert errors["y"] < 1e-12 < 1e-5 < errors["dx"]

"""The algorithm beside Adam's class is the one that every backend computes."""

import fast_backends
import numpy
import pytest
from defaults import defaults
from hypothesis import given
from hypothesis import strategies as st
from strict_array import StrictNamespace

from minigan import backend, nn, optim
from minigan.optim import adam

READABLE = backend.Reference(numpy, "cpu")
OPTIONS = {"lr": 0.01, "betas": (0.5, 0.99), "eps": 1e-6}


def vectors(seed, dtype, size=257):
    """θ, m and v, the last one not negative."""
    rng = numpy.random.default_rng(seed)
    theta, m, v = rng.standard_normal((3, size)).astype(dtype)
    return theta, m, v * v


def steps(step, seed, dtype):
    theta, m, v = vectors(seed, dtype)
    rng = numpy.random.default_rng(seed + 1)
    for t in (1, 2, 3):
        g = rng.standard_normal(theta.size).astype(dtype)
        step(theta, g, m, v, t=t, **OPTIONS)
    return theta, m, v


@given(st.integers(0, 1000), st.sampled_from(["float32", "float64"]))
def test_the_algorithm_is_the_readable_primitive_to_the_bit(seed, dtype):
    for ours, theirs in zip(
        steps(adam.adam_update, seed, dtype), steps(READABLE.adam, seed, dtype), strict=True
    ):
        numpy.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == dtype


@pytest.mark.parametrize("kind", fast_backends.KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_faster_forms_compute_the_algorithm(kind, dtype):
    ops = fast_backends.make(kind)
    tolerance = {"rtol": 1e-5, "atol": 1e-6} if dtype == "float32" else {"rtol": 1e-12}
    for ours, theirs in zip(
        steps(adam.adam_update, 0, dtype), steps(ops.adam, 0, dtype), strict=True
    ):
        numpy.testing.assert_allclose(theirs, ours, **tolerance)


@pytest.mark.parametrize("readable", [True, False])
def test_where_no_faster_form_exists_adam_steps_through_the_algorithm(readable, monkeypatch):
    net = nn.Linear(3, 2)
    if readable:
        net.to(StrictNamespace().backend)
    seen = []
    algorithm = adam.adam_update

    def watched(*vectors, **options):
        seen.append(options["t"])
        algorithm(*vectors, **options)

    monkeypatch.setattr(adam, "adam_update", watched)
    optimizer = optim.Adam(net)
    optimizer.step()
    optimizer.step()
    assert seen == ([1, 2] if readable else [])


# ---------------------------------------------------------------- hyper-parameters


def test_the_defaults_are_those_of_the_paper():
    assert defaults(optim.Adam) == {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8}


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"betas": (1.0, 0.5)}, r"the first of betas must be a number in \[0, 1\), got 1.0"),
        ({"betas": (0.5, 1.0)}, r"the second of betas must be a number in \[0, 1\), got 1.0"),
        ({"betas": (0.5,)}, r"must be a pair of numbers in \[0, 1\), .* got \(0.5,\)"),
        ({"betas": 0.5}, "must be a pair of numbers"),
        ({"eps": 0.0}, "eps must be a positive number, got 0.0"),
        ({"lr": -1.0}, "lr must be a number >= 0, got -1.0"),
        ({"lr": True}, "lr must be a number >= 0, got True"),
    ],
)
def test_what_is_out_of_range_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        optim.Adam(nn.Linear(2, 1), **wrong)

"""Each pair of losses against finite differences, and against what the papers say of it."""

import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import gan, gradcheck
from minigan.gan.objectives import with_classes

NAMES = sorted(gan.OBJECTIVES)
R, F = (numpy.array([[2.0], [-1.0]]), numpy.array([[0.5], [-3.0]]))
"""Logits of two reals and two fakes, with values of the losses that are easy by hand."""


def logits(seed, n=7, scale=2.0):
    return numpy.random.default_rng(seed).normal(0.1, scale, (n, 1))


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9))
def test_discriminator_loss_has_the_gradients_it_says(name, seed, n):
    objective = gan.objective(name)
    real, fake = logits(seed, n), logits(seed + 1, n)
    _, d_real, d_fake = objective.discriminator(real, fake)
    gradcheck.check_scalar(
        lambda: objective.discriminator(real, fake)[0],
        {"real": real, "fake": fake},
        {"real": d_real, "fake": d_fake},
        directions=None,
        rng=seed,
    )


@pytest.mark.parametrize("name", NAMES)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 9))
def test_generator_loss_has_the_gradient_it_says(name, seed, n):
    objective = gan.objective(name)
    real, fake = logits(seed, n), logits(seed + 1, n)
    _, d_fake = objective.generator(fake, real)
    gradcheck.check_scalar(
        lambda: objective.generator(fake, real)[0],
        {"fake": fake},
        {"fake": d_fake},
        directions=None,
        rng=seed,
    )


def softplus(x):
    return math.log(1 + math.exp(x))


@pytest.mark.parametrize(
    ("name", "of_d", "of_g"),
    [
        (
            "non-saturating",
            (softplus(-2) + softplus(1) + softplus(0.5) + softplus(-3)) / 2,
            (softplus(-0.5) + softplus(3)) / 2,
        ),
        (
            "saturating",
            (softplus(-2) + softplus(1) + softplus(0.5) + softplus(-3)) / 2,
            -(softplus(0.5) + softplus(-3)) / 2,
        ),
        ("least-squares", ((1 + 4) + (0.25 + 9)) / 4, (0.25 + 16) / 4),
        ("wasserstein", -1.25 - 0.5, 1.25),
        ("hinge", (0 + 2 + 1.5 + 0) / 2, 1.25),
        ("relativistic", (softplus(-1.5) + softplus(-2)) / 2, (softplus(1.5) + softplus(2)) / 2),
    ],
)
def test_losses_by_hand(name, of_d, of_g):
    objective = gan.objective(name)
    assert objective.name == name
    assert objective.discriminator(R, F)[0] == pytest.approx(of_d, rel=1e-12)
    assert objective.generator(F, R)[0] == pytest.approx(of_g, rel=1e-12)


@pytest.mark.parametrize("name", ["saturating", "least-squares"])
def test_smoothed_losses_by_hand(name):
    smooth, fake = gan.objective(name, smoothing=0.25), gan.objective(name).discriminator(R, F)[2]
    loss, d_real, d_fake = smooth.discriminator(R, F)
    if name == "least-squares":
        assert loss == pytest.approx((1.25**2 + 1.75**2 + 0.5**2 + 3**2) / 4)
        numpy.testing.assert_allclose(d_real, [[1.25 / 2], [-1.75 / 2]])
    else:
        of_reals = 0.75 * (softplus(-2) + softplus(1)) + 0.25 * (softplus(2) + softplus(-1))
        assert loss == pytest.approx((of_reals + softplus(0.5) + softplus(-3)) / 2)
        numpy.testing.assert_allclose(d_real, (1 / (1 + numpy.exp(-R)) - 0.75) / 2)
    numpy.testing.assert_array_equal(d_fake, fake)


def test_which_objectives_need_reals_and_which_have_probabilities():
    made = {name: gan.objective(name) for name in NAMES}
    assert [name for name in NAMES if made[name].pairs] == ["relativistic"]
    assert [name for name in NAMES if made[name].probabilistic] == ["non-saturating", "saturating"]


def test_classification_by_hand():
    """Both cross entropies are of three classes: ln 3 at the reals, ln 2 at the fakes."""
    labels, third = numpy.array([0, 2]), 1 / 3
    real = numpy.array([[2.0, 0, 0, 0], [4.0, 1, 1, 1]])
    fake = numpy.array([[1.0, math.log(2), 0, 0], [3.0, 0, 0, math.log(2)]])
    named = numpy.array([[third - 1, third, third], [third, third, third - 1]]) / 2
    asked = numpy.array([[-0.5, 0.25, 0.25], [0.25, 0.25, -0.5]]) / 2
    objective = with_classes(gan.objective("wasserstein"), labels, 0.5)
    loss, d_real, d_fake = objective.discriminator(real, fake)
    assert loss == pytest.approx(-1 + 0.5 * (math.log(3) + math.log(2)), rel=1e-12)
    numpy.testing.assert_allclose(d_real, numpy.c_[[-0.5, -0.5], 0.5 * named], rtol=1e-12)
    numpy.testing.assert_allclose(d_fake, numpy.c_[[0.5, 0.5], 0.5 * asked], rtol=1e-12)
    loss, d_fake = objective.generator(fake, None)
    assert loss == pytest.approx(-2 + 0.5 * math.log(2), rel=1e-12)
    numpy.testing.assert_allclose(d_fake, numpy.c_[[-0.5, -0.5], 0.5 * asked], rtol=1e-12)
    whole = with_classes(gan.objective("wasserstein"), labels)
    assert whole.generator(fake, None)[0] == pytest.approx(-2 + math.log(2), rel=1e-12)


def test_with_classes_a_pair_of_samples_is_compared_by_its_first_logits():
    labels = numpy.array([0, 1])
    real, fake = numpy.c_[R, [[1.0, 2], [3, 4]]], numpy.c_[F, numpy.zeros((2, 2))]
    objective = with_classes(gan.objective("relativistic"), labels, 2.0)
    assert objective.pairs
    expected = (softplus(1.5) + softplus(2)) / 2 + 2 * math.log(2)
    assert objective.generator(fake, real)[0] == pytest.approx(expected, rel=1e-12)


def test_a_sure_discriminator_starves_only_the_saturating_generator():
    sure = numpy.full((4, 1), -30.0)
    _, d_non_saturating = gan.objective("non-saturating").generator(sure, None)
    _, d_saturating = gan.objective("saturating").generator(sure, None)
    assert numpy.allclose(d_non_saturating, -1 / 4)
    assert numpy.abs(d_saturating).max() < 1e-12
    assert (d_saturating < 0).all(), "it still points the right way"


def test_losses_stay_finite_for_extreme_logits():
    extreme = numpy.array([[1000.0], [-1000.0]], "float32")
    for name in NAMES:
        objective = gan.objective(name)
        for array in (
            *objective.discriminator(extreme, -extreme),
            *objective.generator(extreme, -extreme),
        ):
            assert numpy.isfinite(array).all()


def test_equilibrium_is_two_log_two():
    undecided = numpy.zeros((3, 1))
    assert gan.objective("non-saturating").discriminator(undecided, undecided)[0] == pytest.approx(
        2 * numpy.log(2)
    )


def test_smoothing_moves_the_target_of_reals_only():
    plain, smooth = gan.objective("non-saturating"), gan.objective("non-saturating", smoothing=0.1)
    r = numpy.full((1, 1), numpy.log(9.0))  # D(x) = 0.9: the smoothed target
    _, d_real, d_fake = smooth.discriminator(r, r)
    assert abs(d_real.item()) < 1e-12
    assert d_fake == pytest.approx(plain.discriminator(r, r)[2])


@pytest.mark.parametrize("name", ["wasserstein", "hinge", "relativistic"])
def test_smoothing_is_refused_where_there_are_no_labels(name):
    with pytest.raises(ValueError, match="has none"):
        gan.objective(name, smoothing=0.1)


def test_unknown_objective_suggests_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'hinge'"):
        gan.objective("hing")


def test_smoothing_lies_between_nothing_and_a_half():
    gan.objective("non-saturating", smoothing=0.0)
    gan.objective("non-saturating", smoothing=0.49)
    for wrong in (-0.1, 0.5, 0.7):
        with pytest.raises(ValueError, match=f"0 <= smoothing < 0.5, got {wrong}"):
            gan.objective("non-saturating", smoothing=wrong)


def test_relativistic_generator_needs_reals():
    with pytest.raises(ValueError, match="real batch"):
        gan.objective("relativistic").generator(logits(0), None)

"""Each pair of losses against finite differences, and against what the papers say of it."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan import gan, gradcheck

NAMES = sorted(gan.OBJECTIVES)


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
    with pytest.raises(ValueError, match="smoothing"):
        gan.objective("non-saturating", smoothing=0.7)


def test_relativistic_generator_needs_reals():
    with pytest.raises(ValueError, match="real batch"):
        gan.objective("relativistic").generator(logits(0), None)

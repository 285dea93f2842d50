"""Losses: their gradients by finite differences, their values at the extremes, what they refuse."""

import math

import numpy
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from strict_array import StrictNamespace

from minigan import backend, losses, nn
from minigan.gradcheck import check_function

SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, max_side=4)


def arrays(low, high, shape=SHAPES):
    return hnp.arrays("float64", shape, elements=st.floats(low, high, width=32))


@st.composite
def inputs_and_targets(draw, low, high, target_low=0.0, target_high=1.0):
    """An input, and as target a number or an array of its shape."""
    x = draw(arrays(low, high))
    number = st.floats(target_low, target_high, width=32)
    return x, draw(number | arrays(target_low, target_high, st.just(x.shape)))


# ---------------------------------------------------------------- gradients


def slopes(function, x, h=1e-5):
    """Central differences of a loss in every entry of x."""
    x, out = x.copy(), numpy.zeros_like(x)
    for i in numpy.ndindex(x.shape):
        centre = x[i]
        x[i] = centre + h
        above = function(x)
        x[i] = centre - h
        out[i] = (above - function(x)) / (2 * h)
        x[i] = centre
    return out


def check(loss, x, *arguments):
    expected = slopes(lambda x: loss(x, *arguments)[0], x)
    numpy.testing.assert_allclose(loss(x, *arguments)[1], expected, rtol=1e-6, atol=1e-8)


@given(inputs_and_targets(-30, 30))
@example((numpy.zeros((1,)), 0.5))
def test_bce_with_logits_has_the_gradient_of_its_value(case):
    check(losses.bce_with_logits, *case)


@given(inputs_and_targets(0.0625, 0.9375))
def test_bce_has_the_gradient_of_its_value(case):
    check(losses.bce, *case)


@given(inputs_and_targets(-5, 5, -5, 5))
@example((numpy.ones((1,)), 1.0))
def test_mse_has_the_gradient_of_its_value(case):
    check(losses.mse, *case)


@given(inputs_and_targets(-5, 5, -5, 5))
def test_l1_has_the_gradient_of_its_value(case):
    x, t = case
    assume(abs(x - t).min() > 0.01)
    check(losses.l1, x, t)


@given(arrays(-20, 20, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)), st.integers(0, 2**32))
def test_cross_entropy_has_the_gradient_of_its_value(logits, seed):
    check(
        losses.cross_entropy,
        logits,
        numpy.random.default_rng(seed).integers(0, logits.shape[1], len(logits)),
    )


@given(arrays(-5, 5))
def test_the_generators_losses_have_the_gradient_of_their_value(fake):
    check(losses.hinge_generator, fake)
    check(losses.wasserstein_generator, fake)


@given(arrays(-5, 5), arrays(-5, 5))
def test_the_critics_losses_have_the_gradients_of_their_value(real, fake):
    assume(abs(1 - real).min() > 0.01)
    assume(abs(1 + fake).min() > 0.01)
    for critic in (losses.hinge_discriminator, losses.wasserstein_critic):
        check(lambda x, critic=critic: critic(x, fake)[:2], real)
        check(lambda x, critic=critic: critic(real, x)[::2], fake)


def test_the_public_gradient_check_passes_each_of_them():
    rng = numpy.random.default_rng(0)
    x, t = rng.normal(size=(5, 4)), rng.uniform(size=(5, 4))
    for loss in (losses.bce_with_logits, losses.mse, losses.l1):
        check_function(loss, x, t)
    check_function(losses.bce, rng.uniform(0.1, 0.9, (5, 4)), t)
    check_function(losses.cross_entropy, x, rng.integers(0, 4, 5))
    check_function(losses.hinge_generator, x)
    check_function(losses.wasserstein_generator, x)
    for critic in (losses.hinge_discriminator, losses.wasserstein_critic):
        check_function(lambda x, critic=critic: critic(x, t)[:2], x)
        check_function(lambda x, critic=critic: critic(t, x)[::2], x)


# ---------------------------------------------------------------- values


def test_values_that_can_be_computed_by_hand():
    x = numpy.array([[1.0, -2.0], [3.0, 0.0]])
    assert losses.mse(x, 1.0)[0] == (0 + 9 + 4 + 1) / 4
    assert losses.l1(x, 1.0)[0] == (0 + 3 + 2 + 1) / 4
    assert losses.bce_with_logits(numpy.zeros(3), 1.0)[0] == pytest.approx(numpy.log(2))
    assert losses.bce(numpy.array([0.25, 0.5]), numpy.array([0.0, 1.0]))[0] == pytest.approx(
        -(numpy.log(0.75) + numpy.log(0.5)) / 2
    )
    assert losses.cross_entropy(numpy.zeros((5, 4)), numpy.arange(5) % 4)[0] == pytest.approx(
        numpy.log(4)
    )
    assert losses.wasserstein_generator(x)[0] == losses.hinge_generator(x)[0] == -0.5
    assert losses.wasserstein_critic(x, x[0] + 1)[0] == 0.5 - 0.5
    loss, d_real, d_fake = losses.hinge_discriminator(x, numpy.array([-3.0, 0.5]))
    assert loss == (0 + 3 + 0 + 1) / 4 + (0 + 1.5) / 2
    numpy.testing.assert_array_equal(d_real, [[0, -0.25], [0, -0.25]])
    numpy.testing.assert_array_equal(d_fake, [0, 0.5])


def test_a_kink_has_gradient_zero():
    numpy.testing.assert_array_equal(losses.l1(numpy.ones(3), 1.0)[1], 0)
    _, d_real, d_fake = losses.hinge_discriminator(numpy.ones(3), -numpy.ones(3))
    assert not d_real.any()
    assert not d_fake.any()


@given(inputs_and_targets(-8, 8))
def test_the_two_forms_of_bce_agree(case):
    logits, t = case
    p = losses.sigmoid(logits)
    loss, dlogits = losses.bce_with_logits(logits, t)
    other, dp = losses.bce(p, t)
    assert loss == pytest.approx(other, rel=1e-9, abs=1e-12)
    numpy.testing.assert_allclose(dlogits, dp * p * (1 - p), rtol=1e-9, atol=1e-14)


# ---------------------------------------------------------------- extremes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logits_of_a_thousand_give_exact_numbers(dtype):
    logits = numpy.array([1000, -1000], dtype)
    for target, losses_there in ((1.0, [0, 1000]), (0.0, [1000, 0]), (0.25, [750, 250])):
        loss, gradient = losses.bce_with_logits(logits, target)
        assert loss == numpy.mean(losses_there)
        numpy.testing.assert_array_equal(gradient, numpy.array([1 - target, -target]) / 2)
    numpy.testing.assert_array_equal(losses.sigmoid(logits), [1, 0])
    numpy.testing.assert_array_equal(losses.softplus(logits), [1000, 0])


def test_both_tails_keep_their_precision():
    x = numpy.array([-700.0, -40.0, 40.0])
    numpy.testing.assert_allclose(losses.sigmoid(x), numpy.exp([-700.0, -40.0, 0.0]), rtol=1e-15)
    numpy.testing.assert_allclose(
        losses.softplus(x), [*numpy.exp([-700.0, -40.0]), 40.0], rtol=1e-15
    )
    loss, _ = losses.bce_with_logits(numpy.full(1, 30, "float32"), 1.0)
    assert loss == pytest.approx(
        numpy.exp(-30.0), rel=1e-6, abs=0
    )  # 30 + log1p(...) - 30 would have lost it
    _, gradient = losses.bce_with_logits(numpy.full(1, -40.0), 0.0)
    assert gradient[0] == pytest.approx(numpy.exp(-40.0), abs=0)


def test_cross_entropy_of_logits_of_a_thousand_is_exact():
    logits = numpy.array([[1000.0, -1000.0, 0.0], [-1000.0, -1000.0, -1000.0]])
    loss, gradient = losses.cross_entropy(logits, numpy.array([1, 2]))
    assert loss == pytest.approx((2000 + numpy.log(3)) / 2, rel=1e-15)
    numpy.testing.assert_allclose(gradient, [[0.5, -0.5, 0], [1 / 6, 1 / 6, -1 / 3]], rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("confident", "target"), [(1, 0.0), (-1, 1.0)])
def test_the_gradient_is_never_dead_where_d_is_sure_and_wrong(dtype, confident, target):
    logits = confident * numpy.array([10, 20, 50, 100, 1000, 1e4], dtype)
    _, gradient = losses.bce_with_logits(logits, target)
    assert (confident * gradient >= 0.9999 / 6).all()
    p = losses.sigmoid(logits)
    assert p[-1] in (0, 1)
    loss, gradient = losses.bce(p, target)
    assert (confident * gradient >= 1 / 6).all()
    assert numpy.isfinite(gradient).all()
    assert loss <= 100


def test_a_probability_of_exactly_0_or_1_costs_100_where_it_is_wrong_and_nothing_where_it_is_right():
    for dtype in ("float32", "float64"):
        p = numpy.array([0, 1], dtype)
        assert losses.bce(p, 1 - p)[0] == 100
        assert losses.bce(p, p)[0] == 0
        numpy.testing.assert_allclose(losses.bce(p, 1 - p)[1], [-0.5e12, 0.5e12], rtol=1e-6)


# ---------------------------------------------------------------- conduct

CALLS = {
    "bce_with_logits": lambda x, y: losses.bce_with_logits(x, abs(y) / 8),
    "bce_with_logits, number": lambda x, y: losses.bce_with_logits(x, 0.9),
    "bce": lambda x, y: losses.bce(losses.sigmoid(x), abs(y) / 8),
    "bce, number": lambda x, y: losses.bce(losses.sigmoid(x), 1.0),
    "mse": lambda x, y: losses.mse(x, y),
    "l1": lambda x, y: losses.l1(x, y),
    "huber": lambda x, y: losses.huber(x, y),
    "kl_gaussians": lambda x, y: losses.kl_gaussians(x, y)[:2],
    "kl_gaussians, with a target": lambda x, y: losses.kl_gaussians(
        x, y, target_mean=y, target_log_variance=x
    ),
    "cross_entropy, smoothed": lambda x, y: losses.cross_entropy(
        x,
        (y[:, 1:] > 0).astype("int64").sum(axis=1),
        smoothing=0.1,
        weights=abs(x[0]) + 1,
        ignore_index=2,
    ),
    "hinge_discriminator": losses.hinge_discriminator,
    "hinge_generator": lambda x, y: losses.hinge_generator(x),
    "wasserstein_critic": losses.wasserstein_critic,
    "wasserstein_generator": lambda x, y: losses.wasserstein_generator(x),
    "cross_entropy": lambda x, y: losses.cross_entropy(
        x, (y[:, 1:] > 0).astype("int64").sum(axis=1)
    ),
    "sigmoid": lambda x, y: (x.sum(), losses.sigmoid(x)),
    "softplus": lambda x, y: (x.sum(), losses.softplus(x)),
}


def inputs(dtype):
    rng = numpy.random.default_rng(0)
    return [rng.uniform(-3, 3, (4, 6)).astype(dtype)[:, ::2] for _ in range(2)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_dtype_shape_and_untouched_inputs(name, dtype):
    x, y = inputs(dtype)
    x_before, y_before = x.copy(), y.copy()
    loss, *gradients = CALLS[name](x, y)
    assert loss.dtype == dtype
    assert loss.shape == ()
    for gradient in gradients:
        assert gradient.dtype == dtype
        assert gradient.shape == x.shape
        assert not numpy.shares_memory(gradient, x)
        assert not numpy.shares_memory(gradient, y)
    numpy.testing.assert_array_equal(x, x_before)
    numpy.testing.assert_array_equal(y, y_before)


@pytest.mark.parametrize("name", CALLS)
def test_on_a_device_the_same_numbers_without_a_wait(name):
    xp = StrictNamespace()
    x, y = inputs("float32")
    here = CALLS[name](x, y)
    there_x, there_y = xp.asarray(x), xp.asarray(y)
    with xp.capturing():
        there = CALLS[name](there_x, there_y)
    for a, b in zip(here, there, strict=True):
        assert b.dtype == "float32"
        numpy.testing.assert_allclose(backend.to_numpy(b), a, rtol=1e-6, atol=1e-7)


def test_a_target_of_another_precision_doesnt_change_that_of_the_loss():
    logits = numpy.zeros((3, 1), "float32")
    for target in (numpy.ones((3, 1)), numpy.float64(0.5), True, 1):
        loss, gradient = losses.bce_with_logits(logits, target)
        assert loss.dtype == gradient.dtype == "float32"
    real, fake = numpy.zeros(3, "float32"), numpy.zeros(5)
    for critic in (losses.hinge_discriminator, losses.wasserstein_critic):
        loss, d_real, d_fake = critic(real, fake)
        assert (loss.dtype, d_real.dtype, d_fake.dtype) == ("float32", "float32", "float64")
        assert (d_real.shape, d_fake.shape) == ((3,), (5,))


# ---------------------------------------------------------------- refusals

ONES = numpy.ones((4, 1))
WITH_TARGET = ["bce_with_logits", "bce", "mse", "l1"]


@pytest.mark.parametrize("name", WITH_TARGET)
def test_a_target_of_another_shape_isnt_broadcast(name):
    for target in (numpy.ones(4), numpy.ones((1, 1)), numpy.ones(())):
        with pytest.raises(
            ValueError, match=rf"{name} got an input of shape \(4, 1\) and a target of shape"
        ):
            getattr(losses, name)(ONES, target)


@pytest.mark.parametrize("name", ["bce_with_logits", "bce"])
@pytest.mark.parametrize(
    "wrong", [1.5, -0.1, float("nan"), numpy.full((4, 1), 1.01), numpy.full((4, 1), numpy.nan)]
)
def test_a_target_that_is_no_probability(name, wrong):
    with pytest.raises(
        ValueError, match=rf"{name} got targets from .* needs probabilities in \[0, 1\]"
    ):
        getattr(losses, name)(ONES, wrong)


def test_logits_where_probabilities_are_needed():
    for logit in (1.5, -0.5, numpy.nan):
        with pytest.raises(ValueError, match=r"needs them in \[0, 1\].* bce_with_logits"):
            losses.bce(logit * ONES, 1.0)


@pytest.mark.parametrize("name", [*WITH_TARGET, "hinge_discriminator", "wasserstein_critic"])
def test_what_cant_be_computed_with(name):
    loss = getattr(losses, name)
    on_device = StrictNamespace(float64=True).asarray(ONES)
    with pytest.raises(TypeError, match=r"int64, but needs floating-point .*astype"):
        loss(numpy.ones((4, 1), int), ONES)
    with pytest.raises(TypeError, match=r"int64, but needs floating-point .*astype"):
        loss(ONES, numpy.ones((4, 1), int))
    for precision in ("float16", "longdouble"):
        with pytest.raises(TypeError, match=r"needs floating-point numbers of 32 or 64 bits"):
            loss(ONES.astype(precision), ONES)
        with pytest.raises(TypeError, match=r"needs floating-point numbers of 32 or 64 bits"):
            loss(ONES, ONES.astype(precision))
    with pytest.raises(TypeError, match=r"got list as .*asarray"):
        loss([1.0], ONES)
    with pytest.raises(TypeError, match=r"got NoneType as .*asarray"):
        loss(ONES, None)
    with pytest.raises(TypeError, match=f"{name} got arrays on 'cpu' and on .*; move"):
        loss(ONES, on_device)
    with pytest.raises(ValueError, match=r"shape \(0, 1\), which is empty"):
        loss(ONES[:0], ONES[:0])


@pytest.mark.parametrize("name", ["hinge_generator", "wasserstein_generator"])
def test_what_a_generator_cant_learn_from(name):
    with pytest.raises(TypeError, match=f"{name} got its input of dtype int64"):
        getattr(losses, name)(numpy.ones(3, int))
    with pytest.raises(ValueError, match=f"{name} got its input of shape .0,., which is empty"):
        getattr(losses, name)(numpy.ones(0))


def test_what_cross_entropy_refuses():
    logits, labels = numpy.zeros((4, 3)), numpy.array([0, 1, 2, 0])
    with pytest.raises(TypeError, match="labels of type float64, but needs an array of integers"):
        losses.cross_entropy(logits, labels.astype(float))
    with pytest.raises(TypeError, match="labels of type list"):
        losses.cross_entropy(logits, [0, 1, 2, 0])
    with pytest.raises(TypeError, match="logits of dtype int64"):
        losses.cross_entropy(logits.astype(int), labels)
    with pytest.raises(TypeError, match="cross_entropy got arrays on 'cpu' and on"):
        losses.cross_entropy(logits, StrictNamespace().asarray(labels))
    for wrong in (labels[:3], labels[:, None]):
        with pytest.raises(ValueError, match=r"needs \(N, classes\) and \(N,\)"):
            losses.cross_entropy(logits, wrong)
    with pytest.raises(ValueError, match=r"needs \(N, classes\)"):
        losses.cross_entropy(logits[0], labels)
    for wrong in (labels + 1, labels - 1):
        with pytest.raises(ValueError, match="stand for the labels 0 to 2"):
            losses.cross_entropy(logits, wrong)


def test_every_public_name_is_tested_on_a_device():
    assert {name.partition(",")[0] for name in CALLS} == set(losses.__all__)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"smoothing": 1.0}, "smoothing of cross_entropy"),
        ({"weights": numpy.ones(3)}, "one for each of 4 classes"),
        ({"ignore_index": 1}, "only labels 1"),
    ],
)
def test_options_of_cross_entropy_that_make_no_sense(options, message):
    with pytest.raises(ValueError, match=message):
        losses.cross_entropy(numpy.zeros((2, 4)), numpy.array([1, 1]), **options)


def test_huber_by_hand():
    x = numpy.array([-2.0, -0.5, 0.0, 0.5, 3.0])
    loss, dx = losses.huber(x + 1, 1.0)
    assert loss == pytest.approx((1.5 + 0.125 + 0 + 0.125 + 2.5) / 5)
    assert (5 * dx).tolist() == [-1, -0.5, 0, 0.5, 1]
    loss, dx = losses.huber(x, 0.0, delta=2.0)
    assert loss == pytest.approx((2 + 0.125 + 0 + 0.125 + 4) / 5)
    assert (5 * dx).tolist() == [-2, -0.5, 0, 0.5, 2]


@pytest.mark.parametrize("fixed", [False, True])
def test_the_divergence_of_gaussians_by_single_numbers(fixed):
    rng = numpy.random.default_rng(0)
    mean, spread, m, b = rng.standard_normal((4, 3, 2))
    other = (0.5, -0.25) if fixed else (m, b)
    loss, dmean, dspread = losses.kl_gaussians(
        mean, spread, target_mean=other[0], target_log_variance=other[1]
    )
    expected = 0.0
    for n, i in numpy.ndindex(3, 2):
        m1, a1 = mean[n, i], spread[n, i]
        m2, b2 = other if fixed else (m[n, i], b[n, i])
        expected += (math.exp(a1 - b2) + (m1 - m2) ** 2 / math.exp(b2) - 1 + b2 - a1) / 2 / 3
        assert dmean[n, i] == pytest.approx((m1 - m2) / math.exp(b2) / 3)
        assert dspread[n, i] == pytest.approx((math.exp(a1 - b2) - 1) / 6)
    assert loss == pytest.approx(expected)
    plain = losses.kl_gaussians(mean, spread)[0]
    assert plain == pytest.approx((numpy.exp(spread) + mean**2 - 1 - spread).sum() / 6)


@pytest.mark.parametrize("shift", [0.0, 1000.0, -1000.0])
@pytest.mark.parametrize(
    ("smoothing", "weights", "ignored"),
    [(0.0, None, None), (0.3, None, None), (0.0, [1.0, 2.0, 0.5], None), (0.3, [1.0, 2.0, 0.5], 2)],
)
def test_cross_entropy_with_options_by_single_numbers(smoothing, weights, ignored, shift):
    logits = numpy.array([[0.5, -1.0, 2.0], [1.0, 0.0, 0.0], [0.0, 3.0, 1.0]])
    labels, w = numpy.array([2, 0, 1]), weights or [1.0, 1.0, 1.0]
    total, weight = 0.0, 0.0
    slopes = numpy.zeros((3, 3))
    for n, label in enumerate(labels):
        if label == ignored:
            continue
        weight += w[label]
        p = numpy.exp(logits[n]) / numpy.exp(logits[n]).sum()
        for k in range(3):
            target = w[k] * ((1 - smoothing) * (k == label) + smoothing / 3)
            total -= target * math.log(p[k])
            slopes[n] += target * (p - numpy.eye(3)[k])
    loss, d = losses.cross_entropy(
        logits + shift, labels, smoothing=smoothing, ignore_index=ignored,
        weights=None if weights is None else numpy.array(weights),
    )  # fmt: skip
    assert loss == pytest.approx(total / weight, rel=1e-9)
    numpy.testing.assert_allclose(d, slopes / weight, rtol=1e-9, atol=1e-12)


def test_huber_and_gaussians_are_checked():
    with pytest.raises(ValueError, match="delta of huber"):
        losses.huber(numpy.zeros(3), 0.0, delta=0)
    with pytest.raises(ValueError, match="kl_gaussians got"):
        losses.kl_gaussians(numpy.zeros((3, 2)), numpy.zeros((3, 1)))


@pytest.mark.parametrize(
    ("labels", "advice"),
    [
        ([0, 2], r"numpy\.asarray\(labels\)"),
        (numpy.array([0.0, 2.0]), r"labels\.astype\('int64'\)"),
        (numpy.eye(3)[[0, 2]], r"labels\.argmax\(axis=1\)"),
        (numpy.array(["cat", "dog"]), r"return_inverse=True\)\[1\]"),
        (numpy.array(["cat", "dog"], object), r"return_inverse=True\)\[1\]"),
    ],
)
def test_labels_of_another_kind_are_refused_with_a_remedy_that_fits(labels, advice):
    logits = numpy.zeros((2, 3), "float32")
    with pytest.raises(TypeError, match=f"array of integers; .*{advice}"):
        losses.cross_entropy(logits, labels)
    with pytest.raises(TypeError, match=f"integer labels; .*{advice}"):
        nn.Embedding(3, 2, rng=numpy.random.default_rng(0)).forward(labels)

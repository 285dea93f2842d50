"""Penalties: their values by hand, where they look, and that they add a gradient and touch nothing
else.
"""

import numpy
import pytest
from critics import assert_close, measured_gradient
from strict_array import StrictNamespace

from minigan import backend, losses, nn
from minigan.gan import penalties


def _rng(seed=0):
    return numpy.random.default_rng(seed)


def _slope(direction):
    """A critic whose slope is `direction` everywhere."""
    critic = nn.Linear(len(direction), 1).astype("float64")
    critic.weight.value = numpy.array(direction, float)[:, None]
    return critic


def _curved(outputs=1):
    rng = _rng(7)
    critic = nn.Sequential(
        nn.Linear(3, 5, rng=rng), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, outputs, rng=rng)
    )
    return critic.astype("float64")


# -------------------------------------------------------------------- values by hand


@pytest.mark.parametrize(
    ("options", "value", "gradient"),
    [
        ({}, 10 * 16, 2 * 10 * 4),  # |w| = 5: λ (5 - 1)², and its derivative along w
        ({"weight": 1.0, "target": 7.0}, 4, -4),
        ({"weight": 1.0, "target": 7.0, "one_sided": True}, 0, 0),
        ({"weight": 1.0, "target": 2.0, "one_sided": True}, 9, 6),
        ({"weight": 2.0, "target": 0.0}, 50, 20),
    ],
)
def test_gradient_penalty_of_a_critic_of_constant_slope(options, value, gradient):
    critic = _slope([3.0, 0.0, -4.0])
    measured = penalties.gradient_penalty(critic, _rng().standard_normal((6, 3)), **options)
    assert measured == pytest.approx(value)
    numpy.testing.assert_allclose(
        critic.weight.grad[:, 0], gradient * numpy.array([0.6, 0, -0.8]), atol=1e-9
    )
    assert (critic.bias.grad == 0).all()


@pytest.mark.parametrize("penalty", [penalties.r1, penalties.r2])
def test_r1_and_r2_have_the_one_half(penalty):
    critic = _slope([3.0, 0.0, -4.0])
    assert penalty(critic, numpy.ones((6, 3)), gamma=2.0) == pytest.approx(25)
    numpy.testing.assert_allclose(critic.weight.grad[:, 0], [6.0, 0.0, -8.0])


def test_the_norm_is_that_of_a_whole_sample_and_the_mean_that_of_the_batch():
    critic = nn.Sequential(nn.Flatten(), _slope(numpy.ones(12)))
    value = penalties.gradient_penalty(critic, _rng().standard_normal((5, 2, 3, 2)), weight=1.0)
    assert value == pytest.approx((numpy.sqrt(12) - 1) ** 2)


def test_a_slope_of_zero_has_a_finite_gradient():
    critic = _slope([0.0, 0.0])
    assert penalties.gradient_penalty(critic, numpy.ones((3, 2)), weight=1.0) == pytest.approx(
        1, rel=1e-5
    )
    assert numpy.isfinite(critic.weight.grad).all()


def test_several_logits_per_sample_count_as_their_sum():
    two = nn.Linear(3, 2).astype("float64")
    two.weight.value = numpy.array([[3.0, 0.0], [0.0, 1.0], [-4.0, -1.0]])
    one = _slope([3.0, 1.0, -5.0])
    x = numpy.ones((4, 3))
    assert penalties.r1(two, x) == pytest.approx(penalties.r1(one, x))


def test_any_function_of_the_slope_can_be_penalised():
    """The slope's fourth power, by central differences."""
    critic, x = _curved(), _rng(1).standard_normal((4, 3))

    def fourth(g):
        return (g**4).sum(), 4 * g**3

    penalties.penalise_slope(critic, x, fourth)
    flat = critic.flat()
    gradient = flat.grad.copy()
    assert_close(
        gradient,
        measured_gradient(lambda: float(penalties.penalise_slope(critic, x, fourth)), flat.value),
    )


def test_r1_and_r2_have_a_weight_of_ten():
    for penalty in (penalties.r1, penalties.r2):
        assert penalty(_slope([3.0, 0.0, -4.0]), numpy.ones((6, 3))) == pytest.approx(125)


def test_what_the_forward_pass_of_the_loss_has_computed_is_used():
    critic, x = _curved(), _rng(1).standard_normal((4, 3))
    expected = penalties.r1(critic, x)
    gradient = critic.flat().grad.copy()
    critic.zero_grad()
    passed = critic.forward(x)
    critic.forward = None  # a second pass would fail
    assert penalties.r1(critic, x, passed=passed) == expected
    numpy.testing.assert_array_equal(critic.flat().grad, gradient)


# -------------------------------------------------------------------- conduct

EVERY = {
    "gradient penalty": lambda critic, x: penalties.gradient_penalty(critic, x),
    "r1": lambda critic, x: penalties.r1(critic, x),
    "virtual adversarial": lambda critic, x: penalties.virtual_adversarial(critic, x, _rng(2)),
}


@pytest.mark.parametrize("name", EVERY)
def test_a_penalty_adds_its_gradient_and_changes_nothing_else(name):
    rng = _rng()
    critic = nn.Sequential(
        nn.spectral_norm(nn.Linear(3, 4, rng=rng), rng=rng), nn.Tanh(), nn.Linear(4, 1, rng=rng)
    )
    critic[0].u[...] = critic[0].u[::-1].copy()  # a power iteration would show
    x = rng.standard_normal((4, 3)).astype("float32")
    kept, before = x.copy(), critic.state_dict()
    EVERY[name](critic, x)
    once = critic.flat().grad.copy()
    assert (once != 0).any()
    value = EVERY[name](critic, x)
    numpy.testing.assert_allclose(critic.flat().grad, 2 * once, rtol=1e-5)
    for key, a in critic.state_dict().items():
        numpy.testing.assert_array_equal(a, before[key])
    numpy.testing.assert_array_equal(x, kept)
    assert value.dtype == "float32"
    assert value.shape == ()


@pytest.mark.parametrize("name", EVERY)
def test_a_penalty_on_a_device_never_looks_at_a_number(name):
    """Its random numbers come from the host; nothing else passes between the two."""
    rng = _rng()
    critic = nn.Sequential(
        nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 1, rng=rng)
    )
    other = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.LayerNorm(4), nn.Linear(4, 1))
    x = rng.standard_normal((4, 3)).astype("float32")
    other.load_state_dict(critic.state_dict())
    xp = StrictNamespace()
    other.to(xp.backend)
    there = xp.asarray(x)
    value = EVERY[name](critic, x)
    if name == "virtual adversarial":
        device_value = EVERY[name](other, there)
    else:
        with xp.no_sync():
            device_value = EVERY[name](other, there)
    assert float(device_value) == pytest.approx(float(value), rel=1e-5)
    gradient = backend.to_numpy(other.flat().grad)
    numpy.testing.assert_allclose(gradient, critic.flat().grad, rtol=1e-3, atol=1e-5)


class Asked(nn.Linear):
    """Notes which gradients it is asked for."""

    def __init__(self, *sizes, **options):
        super().__init__(*sizes, **options)
        self.asked, self.trained = [], []

    def forward(self, x, *, train=False, **options):
        self.trained.append(train)
        return super().forward(x, train=train, **options)

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        self.asked.append(("first", param_grads, input_grad))
        return super().backward(dy, cache, param_grads=param_grads, input_grad=input_grad)

    def double_backward(self, v, dy, cache, *, param_grads=True, input_grad=True):
        self.asked.append(("second", param_grads, input_grad))
        return super().double_backward(v, dy, cache, param_grads=param_grads, input_grad=input_grad)


@pytest.mark.parametrize(
    ("name", "outputs", "asked"),
    [
        ("r1", 1, [("first", False, True), ("second", True, False), ("first", True, False)]),
        ("virtual adversarial", 1, [("first", False, True), ("first", True, False)]),
        (
            "virtual adversarial",
            4,
            [
                ("first", False, True),
                ("second", False, False),
                ("first", False, True),
                ("first", True, False),
            ],
        ),
    ],
)
def test_no_gradient_is_computed_that_nobody_needs(name, outputs, asked):
    rng = _rng()
    critic = nn.Sequential(Asked(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, outputs, rng=rng))
    EVERY[name](critic, rng.standard_normal((4, 3)).astype("float32"))
    assert critic[0].asked == asked
    assert critic[0].trained == [True] * (1 if name == "r1" else 3)


@pytest.mark.parametrize("outputs", [1, 4])
def test_looking_for_the_worst_direction_adds_nothing_to_the_gradients(outputs):
    critic = _curved(outputs)
    critic.flat().grad[...] = 7.0
    penalties.adversarial_perturbation(critic, _rng(1).standard_normal((5, 3)), _rng(2))
    assert (critic.flat().grad == 7.0).all()


# -------------------------------------------------------------------- where to look


def test_interpolated_points_lie_between_with_one_alpha_per_sample():
    rng = _rng()
    real, fake = rng.standard_normal((2, 50, 2, 3, 1)).astype("float32")
    points = penalties.interpolate(real, fake, _rng(4))
    assert points.dtype == "float32"
    alpha = ((points - fake) / (real - fake)).reshape(50, -1)
    numpy.testing.assert_allclose(alpha, alpha[:, :1].repeat(6, axis=1), atol=1e-3)
    numpy.testing.assert_allclose(alpha[:, 0], _rng(4).random(50), atol=1e-3)


def test_interpolation_wants_as_many_fakes_as_reals():
    with pytest.raises(ValueError, match=r"got \(3, 2\) and \(4, 2\)"):
        penalties.interpolate(numpy.ones((3, 2)), numpy.ones((4, 2)), _rng())


def test_dragan_points_lie_above_the_reals_within_half_a_standard_deviation():
    real = _rng().standard_normal((200, 4)).astype("float32") * 3
    points = penalties.dragan_points(real, _rng(1))
    step = (points - real) / real.std()
    assert points.dtype == "float32"
    assert (step > -1e-6).all()
    assert 0.45 < step.max() <= 0.5 + 1e-6
    assert step.mean() == pytest.approx(0.125, rel=0.1)  # ½ E[α] E[U]
    assert penalties.dragan_points(real, _rng(1), scale=0.0) == pytest.approx(real)
    one_alpha = abs(step).max(axis=1)
    assert one_alpha.min() < 0.1, "samples differ in how far their points lie"


# -------------------------------------------------------------------- virtual adversarial training


def _divergence(p, q):
    return (p * numpy.log(p / q) + (1 - p) * numpy.log((1 - p) / (1 - q))).sum(
        axis=tuple(range(1, p.ndim))
    )


@pytest.mark.parametrize("outputs", [1, 4])
def test_the_gradient_of_virtual_adversarial_training(outputs):
    """With r and the belief at x held constant, as the method does."""
    critic, x = _curved(outputs), _rng(1).standard_normal((5, 3))
    r = penalties.adversarial_perturbation(critic, x, _rng(2), epsilon=0.7)
    p = losses.sigmoid(critic(x))

    def value():
        return float(3 * _divergence(p, losses.sigmoid(critic(x + r))).mean())

    found = penalties.virtual_adversarial(critic, x, _rng(2), epsilon=0.7, weight=3.0)
    assert found == pytest.approx(value(), rel=1e-9)
    assert value() > 1e-3
    flat = critic.flat()
    assert_close(flat.grad.copy(), measured_gradient(value, flat.value), tolerance=1e-7)


def test_with_one_logit_the_direction_is_that_of_the_slope():
    critic, x = _curved(), _rng(1).standard_normal((5, 3))
    y, cache = critic.forward(x)
    g = critic.backward(numpy.ones_like(y), cache, param_grads=False)
    r = penalties.adversarial_perturbation(critic, x, _rng(2), epsilon=0.3)
    numpy.testing.assert_allclose(numpy.linalg.norm(r, axis=1), 0.3)
    cosine = (r * g).sum(axis=1) / numpy.linalg.norm(g, axis=1) / 0.3
    numpy.testing.assert_allclose(abs(cosine), 1)
    d = _rng(2).standard_normal(x.shape)
    numpy.testing.assert_array_equal(numpy.sign(cosine), numpy.sign((g * d).sum(axis=1)))


def test_with_several_logits_it_is_the_main_axis_of_the_hessian():
    """Against the Hessian of the divergence, measured by central differences."""
    critic, x = _curved(3), _rng(1).standard_normal((2, 3))
    r = penalties.adversarial_perturbation(critic, x, _rng(2), iterations=60)
    p, h = losses.sigmoid(critic(x)), 1e-3

    def divergence(step):
        return _divergence(p, losses.sigmoid(critic(x + step)))

    hessian = numpy.empty((2, 3, 3))
    axes = numpy.eye(3) * h
    for i in range(3):
        for j in range(3):
            corners = [
                divergence(s * axes[i] + t * axes[j]) * s * t for s in (1, -1) for t in (1, -1)
            ]
            hessian[:, i, j] = sum(corners) / (4 * h * h)
    for n in range(2):
        main = numpy.linalg.eigh(hessian[n])[1][:, -1]
        assert abs(main @ r[n]) == pytest.approx(1, abs=1e-4)


def test_one_exact_iteration_is_the_limit_of_the_finite_differences():
    """The slope of the divergence at a small step d of length ξ is ξ H d: what the paper's code
    approximates.
    """
    critic, x = _curved(3), _rng(1).standard_normal((2, 3))
    r = penalties.adversarial_perturbation(critic, x, _rng(2))
    d = _rng(2).standard_normal(x.shape)
    d /= numpy.linalg.norm(d, axis=1, keepdims=True)
    xi = 1e-6
    moved, cache = critic.forward(x + xi * d)
    slope = critic.backward(
        losses.sigmoid(moved) - losses.sigmoid(critic(x)), cache, param_grads=False
    )
    numpy.testing.assert_allclose(
        r, slope / numpy.linalg.norm(slope, axis=1, keepdims=True), atol=1e-5
    )


def test_the_direction_survives_float32():
    """Where differences at ξ = 1e-6 drown."""
    critic, x = _curved(3), _rng(1).standard_normal((6, 3))
    exact = penalties.adversarial_perturbation(critic, x, _rng(2))
    single = critic.astype("float32")
    rounded = penalties.adversarial_perturbation(single, x.astype("float32"), _rng(2))
    assert rounded.dtype == "float32"
    assert abs(rounded - exact).max() < 1e-5

    x, d = x.astype("float32"), (1e-6 * exact).astype("float32")
    moved, cache = single.forward(x + d)
    difference = single.backward(
        losses.sigmoid(moved) - losses.sigmoid(single(x)), cache, param_grads=False
    )
    length = numpy.linalg.norm(difference, axis=1, keepdims=True)
    cosine = (difference / numpy.maximum(length, 1e-30) * exact).sum(axis=1)
    assert abs(cosine).min() < 0.999


def test_virtual_adversarial_training_by_hand():
    """The slope is 2 along the first axis, so r = ±(1, 0) and the logit moves from 0 by ±2."""
    critic = _slope([2.0, 0.0])
    critic.bias.value[...] = 0
    x, q = numpy.zeros((3, 2)), 1 / (1 + numpy.exp(-2))
    assert abs(penalties.adversarial_perturbation(critic, x, _rng())[:, 0]) == pytest.approx(1)
    expected = -(numpy.log(q) + numpy.log(1 - q)) / 2 - numpy.log(2)
    assert penalties.virtual_adversarial(critic, x, _rng()) == pytest.approx(expected)
    assert penalties.virtual_adversarial(critic, x, _rng(), weight=3.0) == pytest.approx(
        3 * expected
    )


def test_one_iteration_is_the_default():
    critic, x = _curved(3), _rng(1).standard_normal((2, 3))
    r, once, twice = (
        penalties.adversarial_perturbation(critic, x, _rng(2), **options)
        for options in ({}, {"iterations": 1}, {"iterations": 2})
    )
    numpy.testing.assert_array_equal(r, once)
    assert abs(r - twice).max() > 1e-3


def test_a_flat_critic_gives_no_direction_and_no_penalty():
    critic = _slope([0.0, 0.0])
    x = numpy.ones((3, 2))
    assert (penalties.adversarial_perturbation(critic, x, _rng()) == 0).all()
    assert penalties.virtual_adversarial(critic, x, _rng()) == 0
    tiny = _slope([1e-30, 0.0]).astype("float32")
    r = penalties.adversarial_perturbation(tiny, x.astype("float32"), _rng())
    numpy.testing.assert_allclose(abs(r), [[1, 0]] * 3)


def test_virtual_adversarial_training_stays_finite_where_the_critic_is_sure():
    critic = _slope([200.0, 0.0])
    x = numpy.array([[5.0, 0.0], [-5.0, 0.0], [0.0, 0.0]])
    assert numpy.isfinite(penalties.virtual_adversarial(critic, x, _rng(), epsilon=20.0))
    assert numpy.isfinite(critic.weight.grad).all()


# -------------------------------------------------------------------- what they are for


def test_a_penalised_critic_ends_at_slope_one():
    """Descent on the penalty alone."""
    rng = _rng()
    critic = nn.Sequential(
        nn.Linear(2, 16, rng=rng), nn.LeakyReLU(), nn.Linear(16, 1, rng=rng)
    ).astype("float64")
    x = rng.standard_normal((64, 2))
    flat, values = critic.flat(), []
    for _ in range(200):
        critic.zero_grad()
        values.append(float(penalties.gradient_penalty(critic, x, weight=1.0)))
        flat.value -= 0.05 * flat.grad
    assert values[-1] < 0.02 * values[0]
    y, cache = critic.forward(x)
    slopes = numpy.linalg.norm(critic.backward(numpy.ones_like(y), cache), axis=1)
    assert abs(slopes - 1).mean() < 0.1

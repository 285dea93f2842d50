"""Optimizers: the papers' formulas, states, stale vectors, refusals, a device's rules."""

import copy
import math

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_nets import draw_gradients, gradients, one_weight, same_state, small_net, values
from strict_array import StrictNamespace

from minigan import backend, checkpoint, nn, optim
from minigan.optim import SGD, Adam, AdamW, AMSGrad, ExponentialMovingAverage, RMSprop

MAKERS = {
    "SGD": lambda net, **k: SGD(net, **{"lr": 0.1, "momentum": 0.9, "nesterov": True} | k),
    "RMSprop": lambda net, **k: RMSprop(net, **{"lr": 0.01, "momentum": 0.5} | k),
    "Adam": lambda net, **k: Adam(net, **{"lr": 0.01, "betas": (0.5, 0.99)} | k),
    "AdamW": lambda net, **k: AdamW(net, **{"lr": 0.01, "betas": (0.5, 0.99)} | k),
    "AMSGrad": lambda net, **k: AMSGrad(net, **{"lr": 0.01, "betas": (0.5, 0.99)} | k),
}
every_optimizer = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


# ---------------------------------------------------------------- the formulas


def test_momentum_gathers_gradients():
    net = one_weight(gradient=1.0)
    sgd = SGD(net, lr=0.5, momentum=0.5)
    for expected in (1 - 0.5, 1 - 0.5 - 0.75, 1 - 0.5 - 0.75 - 0.875):
        sgd.step()
        assert net.weight.value == expected


def test_nesterov_looks_a_step_ahead():
    net = one_weight(gradient=1.0)
    sgd = SGD(net, lr=0.5, momentum=0.5, nesterov=True)
    sgd.step()
    assert net.weight.value == 1 - 0.5 * (1 + 0.5)
    sgd.step()  # the velocity is 1.5 now
    assert net.weight.value == 1 - 0.5 * (1 + 0.5) - 0.5 * (1 + 0.75)


@given(st.floats(1e-3, 1e3), st.sampled_from([-1, 1]), st.floats(0, 0.9), st.floats(0, 0.999))
def test_adams_steps_along_a_constant_gradient_are_lr_long_whatever_its_size(
    size, sign, beta1, beta2
):
    """Without the bias correction the first would be (1 - β₁) / √(1 - β₂) times as long."""
    net = one_weight(value=0.0, gradient=sign * size)
    adam = Adam(net, lr=0.25, betas=(beta1, beta2), eps=1e-12)
    for t in range(1, 6):
        adam.step()
        assert net.weight.value.item() == pytest.approx(-sign * 0.25 * t, rel=1e-6)


def test_eps_is_added_to_the_root():
    """With v̂ = 1 (at every t) and ε = 1, a step is lr / 2; inside of the root it would be lr /
    √2.
    """
    net = one_weight(gradient=1.0)
    Adam(net, lr=1.0, eps=1.0).step()
    assert net.weight.value.item() == pytest.approx(0.5)
    net = one_weight(gradient=1.0)
    RMSprop(net, lr=1.0, decay=0.0, eps=1.0).step()
    assert net.weight.value.item() == pytest.approx(0.5)


def test_rmsprops_first_step_isnt_corrected():
    net = one_weight(value=0.0, gradient=7.0)
    RMSprop(net, lr=0.1).step()
    assert net.weight.value.item() == pytest.approx(-1.0)


@every_optimizer
def test_a_step_goes_down_and_leaves_the_gradient(make):
    net = small_net()
    optimizer = make(net)
    draw_gradients(net)
    before, g = values(net), gradients(net)
    optimizer.step()
    assert ((values(net) - before) * g < 0).all()
    numpy.testing.assert_array_equal(gradients(net), g)
    optimizer.zero_grad()
    assert not gradients(net).any()
    assert optimizer.t == 1


@every_optimizer
def test_several_nets_move_as_one(make):
    together, apart = [small_net(1), small_net(2)], [small_net(1), small_net(2)]
    one, two = make(together), [make(net) for net in apart]
    for step in range(3):
        for nets in (together, apart):
            for i, net in enumerate(nets):
                draw_gradients(net, seed=2 * step + i)
        one.step()
        for optimizer in two:
            optimizer.step()
    for a, b in zip(together, apart, strict=True):
        numpy.testing.assert_array_equal(values(a), values(b))


def test_a_parameter_that_two_layers_share_moves_once():
    a, b = one_weight(gradient=1.0), one_weight()
    b.weight = a.weight
    assert optim.clip_by_global_norm([a, b], 2.0) == 1
    optimizer = SGD([a, b], lr=0.25)
    optimizer.step()
    assert a.weight.value == 0.75
    assert optimizer.flat.value.shape == (1,)


def test_the_learning_rate_may_change():
    net = one_weight(gradient=1.0)
    sgd = SGD(net, lr=0.5)
    sgd.lr = numpy.float32(0.25)
    sgd.step()
    assert net.weight.value == 0.75
    assert type(sgd.lr) is float
    for wrong in (-0.25, math.nan, math.inf, None):
        with pytest.raises(ValueError, match="lr must be a number >= 0, got"):
            sgd.lr = wrong
    assert sgd.lr == 0.25


@every_optimizer
def test_a_learning_rate_of_zero_moves_nothing_but_the_memory(make):
    """Schedules end there: in the constructor, by assignment and from a state."""
    net = small_net(dtype="float32")
    made, loaded, assigned = make(net, lr=0), make(net), make(net)
    loaded.load_state_dict(made.state_dict())
    assigned.lr = 0.0
    draw_gradients(net)
    before = values(net)
    for optimizer in (made, loaded, assigned):
        assert optimizer.lr == 0
        optimizer.step()
        numpy.testing.assert_array_equal(values(net), before)
        assert optimizer.t == 1
        assert getattr(optimizer, optimizer.vector_names[0]).any()


def test_an_optimizer_of_ones_own():
    class SignDescent(optim.Optimizer):
        def update(self, theta, g):
            theta -= self.lr * numpy.sign(g)

    net = one_weight(gradient=-7.0)
    own = SignDescent(net, lr=0.5)
    own.step()
    assert net.weight.value == 1.5
    assert own.state_dict().keys() == {"t", "lr"}
    with pytest.raises(TypeError, match="Optimizer defines no update"):
        optim.Optimizer(net, lr=1.0).step()


# ---------------------------------------------------------------- states


@every_optimizer
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_state_that_went_through_a_file_continues_bit_for_bit(make, dtype, tmp_path):
    net = small_net(dtype=dtype)
    optimizer = make(net)
    for step in range(3):
        draw_gradients(net, step)
        optimizer.step()
    optimizer.lr *= 0.7
    checkpoint.save(tmp_path / "state.safetensors", optimizer.state_dict(), {})
    other = copy.deepcopy(net)
    continued = make(other, lr=5.0)
    continued.load_state_dict(checkpoint.load(tmp_path / "state.safetensors")[0])
    assert continued.lr == optimizer.lr
    assert repr(continued) == repr(optimizer)
    for step in range(3, 6):
        for n, o in ((net, optimizer), (other, continued)):
            draw_gradients(n, step)
            o.step()
    numpy.testing.assert_array_equal(values(net), values(other))
    same_state(optimizer.state_dict(), continued.state_dict())


@every_optimizer
def test_a_state_is_a_copy(make):
    net = small_net()
    optimizer = make(net)
    draw_gradients(net)
    optimizer.step()
    state = optimizer.state_dict()
    remembered = {name: array.copy() for name, array in state.items()}
    optimizer.step()
    same_state(state, remembered)
    vectors = [getattr(optimizer, name) for name in optimizer.vector_names]
    optimizer.load_state_dict(state)
    assert all(
        getattr(optimizer, name) is v
        for name, v in zip(optimizer.vector_names, vectors, strict=True)
    )
    optimizer.step()
    same_state(state, remembered)


@every_optimizer
def test_a_state_that_doesnt_fit_changes_nothing(make):
    net = small_net()
    optimizer = make(net)
    draw_gradients(net)
    optimizer.step()
    before = optimizer.state_dict()
    good = make(small_net(3)).state_dict()
    vector = optimizer.vector_names[-1]
    for wrong, message in (
        (
            {k: v for k, v in good.items() if k != vector},
            f"missing .*'{vector}'.*, unknown nothing",
        ),
        (good | {"x": good["t"]}, r"missing nothing, unknown \['x'\]"),
        (good | {vector: good[vector][1:]}, rf"'{vector}' has shape \(\d+,\) in the state, but"),
        (good | {"lr": numpy.array(-1.0)}, "lr must be a number >= 0, got -1.0"),
        (good | {"lr": numpy.array(numpy.nan)}, "lr must be a number >= 0, got nan"),
        (good | {"lr": numpy.array([1.0])}, "lr must be a number >= 0"),
        (good | {"t": numpy.array(1.5)}, "t must be a whole number >= 0, got 1.5"),
        (good | {"t": numpy.array(-1)}, "t must be a whole number >= 0, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(wrong)
        same_state(optimizer.state_dict(), before)
    with pytest.raises(TypeError, match="Expected a NumPy or CuPy array, got list"):
        optimizer.load_state_dict(good | {vector: [1.0]})
    with pytest.raises(TypeError, match=f"'{vector}' holds complex128 .* needs real numbers"):
        optimizer.load_state_dict(good | {vector: good[vector] * 1j})
    same_state(optimizer.state_dict(), before)


def test_the_state_of_another_kind_of_optimizer():
    with pytest.raises(
        ValueError, match=r"doesn't fit this Adam: missing .*'m'.* unknown .*'decay'"
    ):
        Adam(small_net()).load_state_dict(RMSprop(small_net(), lr=0.1).state_dict())


# ---------------------------------------------------------------- stale vectors


@every_optimizer
def test_a_net_that_was_cast_moved_or_laid_out_anew_needs_a_new_optimizer(make):
    xp = StrictNamespace()
    for change in (
        lambda net: net.astype("float64"),
        lambda net: net.to(xp.backend),
        lambda net: SGD([net, small_net(1, "float32")], lr=0.1),
        lambda net: net[0].flat(),
    ):
        net = small_net(dtype="float32")
        optimizer = make(net)
        change(net)
        before = values(net)
        with pytest.raises(
            ValueError, match=r"moved, cast or laid out again since .*make the optimizer after"
        ):
            optimizer.step()
        with pytest.raises(ValueError, match=r"moved, cast or laid out again"):
            optimizer.zero_grad()
        numpy.testing.assert_array_equal(values(net), before)
        assert optimizer.t == 0
        make(net).step()


def test_what_changes_nothing_keeps_the_optimizer():
    net = small_net()
    optimizer = Adam(net)
    net.astype("float64").to("cpu")
    net.load_state_dict(small_net(1).state_dict())
    Adam(net).step()
    optimizer.step()
    copy.deepcopy(net).astype("float32")
    optimizer.step()


def test_clipping_and_averaging_a_part_leave_the_vector_of_the_whole():
    parts = small_net(1), small_net(2)
    optimizer = Adam(parts)
    average = ExponentialMovingAverage(parts[0], decay=0.5)
    draw_gradients(parts[0])
    optim.clip_by_global_norm(parts[0], 1e-3)
    optim.clip_by_norm(parts[0], 1e-3)
    optim.clip_weights(parts[0], 1e-3)
    average.update()
    assert numpy.linalg.norm(gradients(parts[0])) <= 1e-3 * (1 + 1e-12)
    assert abs(values(parts[0])).max() <= 1e-3
    optimizer.step()


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("make", "name", "wrong"),
    [
        (make, name, wrong)
        for make in MAKERS.values()
        for name, wrong in (
            ("lr", -1.0),
            ("lr", math.inf),
            ("lr", 10**400),
            ("lr", math.nan),
            ("lr", "0.1"),
        )
    ]
    + [(MAKERS["SGD"], "momentum", wrong) for wrong in (1.0, -0.1, None)]
    + [(MAKERS["RMSprop"], name, 1.0) for name in ("decay", "momentum")]
    + [
        (MAKERS["RMSprop"], "eps", 0.0),
        (MAKERS["Adam"], "eps", 0.0),
        (MAKERS["Adam"], "eps", -1e-8),
    ]
    + [
        (MAKERS["Adam"], "betas", wrong)
        for wrong in ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), 0.9, (0.9,), "ab")
    ],
)
def test_hyper_parameters_that_make_no_sense(make, name, wrong):
    with pytest.raises(ValueError, match=f"{name}.* must be a .*, got"):
        make(small_net(), **{name: wrong})


def test_nesterov_needs_a_velocity():
    with pytest.raises(ValueError, match=r"needs momentum > 0, got 0; set momentum"):
        SGD(small_net(), lr=0.1, nesterov=True)


@every_optimizer
def test_what_has_nothing_to_learn_or_too_much(make):
    with pytest.raises(
        ValueError, match=r"ReLU\(\) has no parameters; give a net with at least one"
    ):
        make(nn.ReLU())
    for wrong in (3, [], [small_net(), 3], small_net().parameters()):
        with pytest.raises(TypeError, match="Expected a layer, a net or a sequence of them"):
            make(wrong)
    with pytest.raises(
        ValueError, match="Some parameters are float64, others float32; bring all to one"
    ):
        make([small_net(), small_net(1, "float32")])
    elsewhere = small_net(1).to(StrictNamespace(float64=True).backend)
    with pytest.raises(
        TypeError, match=r"Some parameters live on 'cpu', others on .*; move all to one"
    ):
        make([small_net(), elsewhere])


# ---------------------------------------------------------------- on a device


@every_optimizer
def test_on_a_device_the_same_numbers_without_a_wait(make):
    xp = StrictNamespace()
    here, there = small_net(dtype="float32"), small_net(dtype="float32").to(xp.backend)
    nets, optimizers, averages = (here, there), [], []
    for net in nets:
        optimizers.append(make(net))
        averages.append(ExponentialMovingAverage(net, decay=0.5, warmup=2))
    norms = []
    for step in range(4):
        for net, optimizer, average in zip(nets, optimizers, averages, strict=True):
            draw_gradients(net, step)
            with xp.capturing():
                norms.append(optim.clip_by_global_norm(optimizer, 2.0))
                optim.clip_by_norm(net, 0.2, axes=optim.all_but_last)
                optimizer.step()
                optim.clip_weights(net, 0.9)
                average.update()
                optimizer.zero_grad()
    assert norms[0] == pytest.approx(float(norms[1]), rel=1e-6)
    assert norms[0].dtype == norms[1].dtype == "float32"
    numpy.testing.assert_allclose(values(there), values(here), rtol=1e-5, atol=1e-7)
    numpy.testing.assert_allclose(
        values(averages[1].net), values(averages[0].net), rtol=1e-5, atol=1e-7
    )
    assert backend.device_of(optimizers[1].flat.value) == "strict"


@every_optimizer
def test_a_state_of_either_device_loads_on_the_other(make):
    xp = StrictNamespace()
    here, there = small_net(dtype="float32"), small_net(dtype="float32").to(xp.backend)
    a, b = make(here), make(there)
    draw_gradients(here)
    a.step()
    b.load_state_dict(a.state_dict())
    same_state(b.state_dict(), a.state_dict())
    draw_gradients(there, 1)
    b.step()
    a.load_state_dict(b.state_dict())
    same_state(b.state_dict(), a.state_dict())
    average, other = (ExponentialMovingAverage(net, decay=0.5) for net in (here, there))
    other.update()
    average.load_state_dict(other.state_dict())
    same_state(average.state_dict(), other.state_dict())


def test_a_schedule_that_rounding_ends_just_below_0_ends_at_0():
    adam, rate = Adam(nn.Linear(2, 1), lr=2e-4), 2e-4
    lowest = 0.0
    for _ in range(7):
        rate -= 2e-4 / 7
        lowest = min(lowest, rate)
        adam.lr = rate
    assert -1e-12 < lowest < 0
    assert adam.lr == 0


def test_a_learning_rate_by_position_is_written_by_name():
    net = nn.Linear(2, 1)
    with pytest.raises(TypeError, match=r"write Adam\(net, lr=0\.01\)"):
        optim.Adam(net, 0.01)
    with pytest.raises(TypeError, match=r"write ExponentialMovingAverage\(net, decay=0\.9\)"):
        ExponentialMovingAverage(net, 0.9)
    with pytest.raises(TypeError, match=r"write Scheduler\(optimizers, schedule, steps=10\)"):
        optim.Scheduler(optim.Adam(net), optim.schedules.Constant(), 10)

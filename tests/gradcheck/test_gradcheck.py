"""The gradient check itself: it passes what is right, catches what is wrong, and says why."""

import copy
import math
import pickle
import re
import sys
import textwrap
from pathlib import Path

import numpy
import pytest
from strict_array import StrictNamespace

from minigan import gradcheck, nn
from minigan.cli import main
from minigan.gradcheck.slopes import Line, entry_mover, unit_direction


def seeded(seed=0):
    return numpy.random.default_rng(seed)


def fails(layer, shape, **options):
    """The error that checking raises."""
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(layer, seeded(1).standard_normal(shape), rng=2, **options)
    assert not caught.value.report.ok
    return caught.value


# ---------------------------------------------------------------- planted bugs: wrong numbers


class Planted(nn.Linear):
    """A linear layer (3 -> 5) with a place to plant mistakes in."""

    def __init__(
        self, *, dw=lambda x, dy: x.T @ dy, db=lambda dy: dy.sum(axis=0), dx=lambda dy, w: dy @ w.T
    ):
        super().__init__(3, 5, rng=seeded())
        self.dw, self.db, self.dx = dw, db, dx

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        (x,) = cache.recall(self, dy)
        if param_grads:
            self.weight.grad += self.dw(x, dy)
            self.bias.grad += self.db(dy)
        return self.dx(dy, self.weight.value) if input_grad else None


def one_row(matrix):
    out = numpy.zeros_like(matrix)
    out[0] = matrix[0]
    return out


LINEAR_BUGS = {
    "sign": ({"dx": lambda dy, w: -dy @ w.T}, "x", "the sign is wrong"),
    "mean for a sum": (
        {"dw": lambda x, dy: x.T @ dy / len(x)},
        "weight",
        "too small by the factor 7, the batch size",
    ),
    "sum for a mean": (
        {"db": lambda dy: dy.sum(axis=0) * 7},
        "bias",
        "too large by the factor 7, the batch size",
    ),
    "sign and factor": (
        {"db": lambda dy: -dy.mean(axis=0)},
        "bias",
        "the sign is wrong, and it is too small by the",
    ),
    "constant factor": ({"dx": lambda dy, w: 0.5 * dy @ w.T}, "x", "off by the same factor, 0.5"),
    "first sample only": (
        {"dw": lambda x, dy: x[:1].T @ dy[:1]},
        "weight",
        "the first sample alone would give",
    ),
    "last sample only": (
        {"db": lambda dy: dy[-1]},
        "bias",
        "the last sample alone would give: a sum",
    ),
    "never written": (
        {"dw": lambda x, dy: 0.0},
        "weight",
        "zero everywhere: backward never writes it",
    ),
    "never filled": (
        {"dx": lambda dy, w: numpy.zeros((7, 3))},
        "x",
        "zero everywhere: backward returns an array",
    ),
    "partly written": (
        {"dx": lambda dy, w: one_row(dy @ w.T)},
        "x",
        "18 of 21 entries are zero and the others",
    ),
    "reshaped": (
        {"dw": lambda x, dy: (dy.T @ x).reshape(3, 5)},
        "weight",
        "a reshape where a transpose is meant",
    ),
    "flipped": ({"db": lambda dy: dy.sum(axis=0)[::-1]}, "bias", "flipped along the axes"),
    "constant offset": (
        {"dw": lambda x, dy: x.T @ dy + 0.5},
        "weight",
        "a term that is the same for all entries is missing or superfluous",
    ),
    "not finite": ({"db": lambda dy: dy.sum(axis=0) + math.nan}, "bias", "holds NaN or infinity"),
    "unusual": ({"dx": lambda dy, w: numpy.sin(9 * dy) @ w.T}, "x", "none of the usual ones fits"),
}


@pytest.mark.parametrize("bug", LINEAR_BUGS)
def test_wrong_numbers_are_caught_and_explained(bug):
    planted, name, cause = LINEAR_BUGS[bug]
    error = fails(Planted(**planted), (7, 3))
    assert cause in str(error)
    assert name in str(error)
    wrong = {a.name for a in error.report.failures}
    assert wrong <= {name}
    assert wrong or "NaN" in cause


def test_without_a_planted_bug_all_is_well():
    report = gradcheck.check(Planted(), seeded().standard_normal((7, 3)))
    assert report.ok
    assert report.worst < 1e-9
    assert {a.name: a.checked for a in report.arrays} == {"x": 21, "weight": 15, "bias": 5}


def test_the_message_names_array_index_and_both_numbers():
    class Dot(nn.Linear):
        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            dx = super().backward(dy, cache, param_grads=param_grads, input_grad=input_grad)
            if dx is not None:
                dx[2, 1] += 1
            return dx

    layer = Dot(3, 5, rng=seeded())
    x, dy = seeded(1).standard_normal((4, 3)), seeded(2).standard_normal((4, 5))
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(nn.Sequential(nn.Tanh(), layer), x, dy=dy)
    true = (dy[2] @ layer.weight.value[1].astype("float64")) * (1 - numpy.tanh(x[2, 1]) ** 2)
    row = caught.value.report["x"]
    assert row.index == (2, 1)
    assert row.numeric == pytest.approx(true, rel=1e-8)
    assert row.analytic == pytest.approx(true + 1 - numpy.tanh(x[2, 1]) ** 2, rel=1e-8)
    assert f"x (4, 3) is wrong at [2, 1]: backward gives {row.analytic:.9g}" in str(caught.value)
    assert f"finite differences give {row.numeric:.9g} (relative error" in str(caught.value)
    assert "look at dx in backward of one of the layers 0 to 1" in str(caught.value)
    assert "WRONG" in str(caught.value)


def test_square_weights_transposed():
    class Transposed(nn.Linear):
        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            (x,) = cache.recall(self, dy)
            if param_grads:
                self.weight.grad += dy.T @ x
                self.bias.grad += dy.sum(axis=0)
            return dy @ self.weight.value.T if input_grad else None

    error = fails(Transposed(4, 4, rng=seeded()), (7, 4))
    assert "the right one transposed" in error.report["weight"].cause


class PlantedBatchNorm(nn.BatchNorm):
    def __init__(self, *, through_mean=1, through_variance=1):
        super().__init__(3)
        self.gamma.value = [0.5, 2.0, -1.5] * numpy.ones(3)
        self.through_mean, self.through_variance = through_mean, through_variance

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        x_hat, inverse_s, _ = cache.recall(self, dy)
        axes = tuple(range(dy.ndim - 1))
        if param_grads:
            self.gamma.grad += (dy * x_hat).sum(axis=axes)
            self.beta.grad += dy.sum(axis=axes)
        q = self.gamma.value * dy
        bracket = q - self.through_mean * q.mean(axis=axes)
        bracket -= self.through_variance * x_hat * (q * x_hat).mean(axis=axes)
        return inverse_s * bracket if input_grad else None


@pytest.mark.parametrize("shape", [(7, 3), (4, 5, 6, 3)])
def test_a_dropped_term_of_batch_norm(shape):
    assert gradcheck.check(PlantedBatchNorm(), seeded().standard_normal(shape)).ok
    error = fails(PlantedBatchNorm(through_mean=0), shape)
    assert error.report["x"].cause == "the term through the mean is missing"
    error = fails(PlantedBatchNorm(through_variance=0), shape)
    assert error.report["x"].cause == "the term through the standard deviation is missing"
    error = fails(PlantedBatchNorm(through_variance=0, through_mean=0), shape)
    assert "through the mean is missing; the term through the st" in error.report["x"].cause


class PlantedConv(nn.Conv2d):
    """A convolution with a wrong dx or dW."""

    def __init__(self, *, dx=lambda dx: dx, dw=lambda dw: dw):
        super().__init__(2, 3, kernel_size=3, padding=1, rng=seeded())
        self.change_dx, self.change_dw = dx, dw

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        before = self.weight.grad.copy()
        dx = super().backward(dy, cache, param_grads=param_grads, input_grad=input_grad)
        if param_grads:
            self.weight.grad[...] = before + self.change_dw(self.weight.grad - before)
        return self.change_dx(dx) if input_grad else None


def no_border(dx):
    out = numpy.zeros_like(dx)
    out[:, 1:-1, 1:-1] = dx[:, 1:-1, 1:-1]
    return out


CONV_BUGS = {
    "wrong padding": (
        {"dx": lambda dx: numpy.roll(dx, (1, 1), (1, 2))},
        "x",
        "shifted by (-1, -1) pixels: wrong padding",
    ),
    "border": (
        {"dx": lambda dx: no_border(dx) + 0.1 * (dx - no_border(dx)) ** 2},
        "x",
        "only the outermost 1 rows",
    ),
    "flipped kernel": (
        {"dw": lambda dw: dw[::-1, ::-1]},
        "weight",
        "flipped along the axes (0, 1)",
    ),
    "pixels averaged": (
        {"dw": lambda dw: dw / 30},
        "weight",
        "factor 30, the number of pixels of y",
    ),
    "all averaged": (
        {"dw": lambda dw: dw / 120},
        "weight",
        "factor 120, the number of samples times the pixels",
    ),
}


@pytest.mark.parametrize("bug", CONV_BUGS)
def test_wrong_convolutions_are_caught_and_explained(bug):
    planted, name, cause = CONV_BUGS[bug]
    error = fails(PlantedConv(**planted), (4, 5, 6, 2))
    assert cause in error.report[name].cause
    assert [a.name for a in error.report.failures] == [name]


def test_a_convolution_that_looks_at_the_first_row_only():
    class Row(nn.Conv2d):
        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            masked = numpy.zeros_like(dy)
            masked[:, 0] = dy[:, 0]
            super().backward(masked, cache, param_grads=param_grads, input_grad=False)
            return super().backward(dy, cache, param_grads=False, input_grad=input_grad)

    error = fails(Row(2, 3, kernel_size=2, rng=seeded()), (3, 4, 5, 2))
    assert "the first row of y alone would give" in error.report["weight"].cause


def test_a_gradient_that_cancels_is_not_held_against_float32():
    """That of a bias before batch normalisation is rounding alone, of terms that may be large."""
    rng = numpy.random.default_rng(0)
    net = nn.Sequential(nn.Linear(3, 8, rng=rng), nn.BatchNorm(8))
    net[1].gamma.value[...] = 20
    report = gradcheck.check(net, rng.standard_normal((4, 3)), rng=rng, samples=1)
    assert report.worst < 1e-6


# ---------------------------------------------------------------- planted bugs: bad conduct


class Bare:
    """A layer without any base class: y = x W, with plain arrays."""

    def __init__(self):
        self.W = seeded().standard_normal((3, 5)).astype("float32")

    def forward(self, x):
        return x @ self.W, x

    def backward(self, dy, cache):
        self.dW = cache.T @ dy
        return dy @ self.W.T


def bare(**methods):
    return type("Mine", (Bare,), methods)()


class MadeEarly(Bare):
    """The same, whose gradient exists before the first backward."""

    def __init__(self, factor=1):
        super().__init__()
        self.dW, self.factor = numpy.zeros_like(self.W), factor

    def backward(self, dy, cache):
        self.dW = self.factor * cache.T @ dy
        return dy @ self.W.T


def test_a_gradient_made_in_init_is_that_of_backward():
    gradcheck.check(MadeEarly(), seeded().standard_normal((4, 3)))
    assert "W" in str(fails(MadeEarly(factor=2), (4, 3)))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_an_input_that_is_not_finite_is_refused(bad):
    x = numpy.ones((4, 3))
    x[1, 2] = bad
    with pytest.raises(ValueError, match="input holds NaN or infinity"):
        gradcheck.check(Planted(), x)
    with pytest.raises(ValueError, match="input holds NaN or infinity"):
        gradcheck.check_function(lambda x: ((x * x).sum(), 2 * x), x)


def test_a_layer_of_plain_arrays_is_checked_and_stays_as_it_is():
    layer = Bare()
    before = layer.W.copy()
    report = gradcheck.check(layer, seeded().standard_normal((4, 3)))
    assert {a.name: a.checked for a in report.arrays} == {"x": 12, "W": 15}
    numpy.testing.assert_array_equal(layer.W, before)
    assert layer.W.dtype == "float32"
    assert not hasattr(layer, "dW")
    assert str(report).startswith("Gradient check of Bare, training, x (4, 3)\n")
    wrong = bare(backward=lambda self, dy, x: (setattr(self, "dW", 2 * x.T @ dy), dy @ self.W.T)[1])
    assert "off by the same factor, 2" in fails(wrong, (4, 3)).report["W"].cause


def writes_to_x(self, x):
    x *= 2
    return x @ self.W, x


def writes_to_dy(self, dy, cache):
    self.dW = cache.T @ dy
    dy *= 2
    return dy @ self.W.T / 2


def in_float32(self, x):
    return x.astype("float32") @ self.W.astype("float32"), x


def rounded(self, x):
    return (x @ self.W).astype("float32").astype("float64"), x


def noisy(self, x):
    return x @ self.W + numpy.random.default_rng().standard_normal(), x


def keeps_in_layer(self, x):
    self.x = x
    return x @ self.W, None


def uses_layer(self, dy, cache):
    self.dW = self.x.T @ dy
    return dy @ self.W.T


def spoils_cache(self, dy, cache):
    self.dW = cache.T @ dy
    cache += 1
    return dy @ self.W.T


def reused_buffer(self, x):
    self.out = getattr(self, "out", numpy.empty((len(x), 5)))
    numpy.matmul(x, self.W, out=self.out)
    return self.out, x


def misreads_views(self, dy, cache):
    self.dW = cache.T @ dy
    raw = dy if dy.flags["C_CONTIGUOUS"] else numpy.zeros_like(dy)
    return raw @ self.W.T


CONDUCT = {
    "x written to": ({"forward": writes_to_x}, "forward writes to x"),
    "dy written to": ({"backward": writes_to_dy}, "backward writes to dy"),
    "float32": ({"forward": in_float32}, "y is float32 though x and all weights are float64"),
    "hidden float32": ({"forward": rounded}, "a rounding to float32"),
    "not repeatable": ({"forward": noisy}, "another y for the same x"),
    "kept in the layer": (
        {"forward": keeps_in_layer, "backward": uses_layer},
        "keep what backward needs in the cache",
    ),
    "views": ({"backward": misreads_views}, "strided views of x and dy give another dx"),
    "no dx": ({"backward": lambda self, dy, cache: None}, "dx is None"),
    "shape of dx": (
        {"backward": lambda self, dy, cache: dy},
        "dx has shape (4, 5), but must have (4, 3)",
    ),
    "dx in float32": (
        {
            "backward": lambda self, dy, x: (
                setattr(self, "dW", x.T @ dy),
                (dy @ self.W.T).astype("float32"),
            )[1]
        },
        "dx is float32",
    ),
    "integer y": ({"forward": lambda self, x: (x.astype(int), x)}, "y has dtype int64"),
    "NaN": ({"forward": lambda self, x: (x @ self.W * math.nan, x)}, "y holds NaN"),
}


@pytest.mark.parametrize("bug", CONDUCT)
def test_bad_conduct_is_caught(bug):
    methods, problem = CONDUCT[bug]
    assert problem in str(fails(bare(**methods), (4, 3)))


def test_a_reused_output_is_caught():
    assert "a later forward call changes the y" in str(fails(bare(forward=reused_buffer), (4, 3)))


def test_a_spoilt_cache_is_caught():
    def forward(self, x):
        return x @ self.W, x.copy()

    assert "the same cache doesn't double the gradient of W" in str(
        fails(bare(forward=forward, backward=spoils_cache), (4, 3))
    )


class Switches(nn.Linear):
    """Breaks one rule about gradients and switches."""

    def __init__(self, rule):
        super().__init__(3, 5, rng=seeded())
        self.rule = rule

    def backward(self, dy, cache, *, param_grads=True, input_grad=True):
        if self.rule == "overwrites":
            self.zero_grad()
        if self.rule == "decays":
            self.weight.grad *= 0.5
        param_grads = param_grads or self.rule == "ignores param_grads"
        dx = super().backward(dy, cache, param_grads=param_grads)
        if self.rule == "loses dx" and not param_grads:
            return None
        if self.rule == "loses gradients" and not input_grad:
            self.zero_grad()
        return dx if input_grad or self.rule == "ignores input_grad" else None


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("overwrites", "the gradient of weight is overwritten"),
        ("decays", "doesn't double the gradient of weight"),
        (
            "ignores param_grads",
            "param_grads=False must leave the gradients alone, but weight's was written",
        ),
        ("loses dx", "param_grads=False changes dx"),
        ("loses gradients", "input_grad=False changes the gradient of weight"),
    ],
)
def test_broken_switches_are_caught(rule, problem):
    assert problem in str(fails(Switches(rule), (4, 3)))


def test_a_layer_that_ignores_input_grad_is_right_with_a_note():
    report = gradcheck.check(Switches("ignores input_grad"), seeded().standard_normal((4, 3)))
    assert report.ok
    assert "Note: input_grad=False may return None" in str(report)


# ---------------------------------------------------------------- kinks and steps


class Threshold:
    """y = |x - at|, of the given gradient."""

    def __init__(self, at, gradient=numpy.sign):
        self.at, self.gradient = at, gradient

    def forward(self, x):
        return abs(x - self.at), x

    def backward(self, dy, x):
        return dy * self.gradient(x - self.at)


@pytest.mark.parametrize("distance", [1e-12, 1e-7])
def test_entries_at_a_kink_are_left_out_and_counted(distance):
    x = seeded().standard_normal((4, 3)) + 5
    x[1, 2] = distance
    row = gradcheck.check(Threshold(0.0), x)["x"]
    assert (row.checked, row.skipped) == (11, 1)


@pytest.mark.parametrize("distance", [1e-5, 3e-4, 0.9e-3, 1.1e-3, 1.9e-3])
def test_smaller_steps_avoid_a_kink_nearby(distance):
    x = seeded().standard_normal((4, 3)) + 5
    x[1, 2], x[0, 0] = distance, -distance
    row = gradcheck.check(Threshold(0.0), x)["x"]
    assert (row.checked, row.skipped) == (12, 0)


def test_what_is_all_kinks_does_not_pass():
    error = fails_at(Threshold(0.0), numpy.zeros((4, 3)))
    assert "12 of 12 slopes along x could not be measured" in str(error)
    # Nor is a wrong gradient excused where a few entries lie at kinks.
    x = seeded().standard_normal((4, 3))
    x[0] = 0
    error = fails_at(Threshold(0.0, gradient=numpy.ones_like), x)
    assert error.report["x"].skipped == 3
    assert error.report["x"].error == pytest.approx(2)


def fails_at(layer, x, **options):
    with pytest.raises(gradcheck.GradientError) as caught:
        gradcheck.check(layer, x, **options)
    return caught.value


def test_slopes_of_strongly_curved_functions_are_precise():
    class Wave:
        def forward(self, x):
            return numpy.sin(300 * x), x

        def backward(self, dy, x):
            return 300 * numpy.cos(300 * x) * dy

    assert gradcheck.check(Wave(), seeded().standard_normal((4, 3))).worst < 1e-6


def test_a_line_puts_the_array_back_exactly_and_finds_the_slope():
    a = numpy.array([0.1, 0.2, 0.3])
    line = Line(lambda: a**3, numpy.array([1.0, 10.0, 100.0]), h=1e-3)
    slope = next(line.slopes(entry_mover(a, (1,)), scale=0.0))
    assert slope.value == pytest.approx(10 * 3 * 0.2**2, rel=1e-10)
    numpy.testing.assert_array_equal(a, [0.1, 0.2, 0.3])


@pytest.mark.parametrize("n", [1, 2, 1000])
def test_random_directions_are_long_enough_everywhere(n):
    v = unit_direction((n,), seeded())
    assert (v * v).sum() == pytest.approx(1)
    assert abs(v).min() >= 0.09 / math.sqrt(n)


# ---------------------------------------------------------------- options


def big_net():
    rng = seeded()
    return nn.Sequential(
        nn.Conv2d(1, 8, kernel_size=4, stride=2, padding=1, rng=rng),
        nn.BatchNorm(8),
        nn.LeakyReLU(0.2),
        nn.Dropout(0.3, rng=rng),
        nn.Flatten(),
        nn.Linear(128, 1, rng=rng),
    )


def test_random_directions_check_a_big_net_and_name_what_is_wrong():
    x = seeded().standard_normal((6, 8, 8, 1))
    report = gradcheck.check(big_net(), x, directions=2)
    assert report.worst < 1e-6
    assert all(a.checked == 2 for a in report.arrays)

    class OneWrong(nn.Linear):
        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            if param_grads:
                self.weight.grad[17, 0] += 10
            return super().backward(dy, cache, param_grads=param_grads, input_grad=input_grad)

    net = nn.Sequential(*big_net().sequence[:-1], OneWrong(128, 1, rng=seeded()))
    error = fails_at(net, x, directions=1)
    assert [a.name for a in error.report.failures] == ["5.weight"]
    assert error.report["5.weight"].index == (17, 0)
    # A sample of the entries finds it too: one direction covers the ones that weren't drawn.
    assert [a.name for a in fails_at(net, x, samples=3).report.failures] == ["5.weight"]


def test_the_layer_below_which_all_is_wrong_is_pointed_at():
    class Halved(nn.Tanh):
        def backward(self, dy, cache, *, param_grads=True, input_grad=True):
            dx = super().backward(dy, cache)
            return dx / 2 if input_grad else None

    net = nn.Sequential(nn.Linear(3, 4, rng=seeded()), Halved(), nn.Linear(4, 2, rng=seeded()))
    error = fails(net, (5, 3))
    assert {a.name for a in error.report.failures} == {"x", "0.weight", "0.bias"}
    assert "look at dx in backward of one of the layers 1 to 2" in str(error)
    assert (
        str(error).count(
            "too small by the factor 2, the last axis of y (if it isn't the constant 2"
        )
        == 1
    )


def test_a_check_changes_neither_the_net_nor_its_generators():
    net = big_net()
    net.flat()
    before, twin = net.state_dict(), copy.deepcopy(net)
    x = seeded().standard_normal((6, 8, 8, 1)).astype("float32")
    gradcheck.check(net, x, samples=3)
    for name, array in net.state_dict().items():
        numpy.testing.assert_array_equal(array, before[name])
    numpy.testing.assert_array_equal(net.forward(x)[0], twin.forward(x)[0])
    assert (net.flat().grad == 0).all()


def test_the_same_seed_gives_the_same_report():
    x = seeded().standard_normal((4, 30))
    layer = nn.Sequential(nn.Linear(30, 2, rng=seeded()), nn.Tanh())
    first, again, other = (
        str(gradcheck.check(layer, x, rng=seed, samples=5)) for seed in (3, 3, 4)
    )
    assert first == again != other


@pytest.mark.parametrize("options", [{}, {"directions": 2}])
def test_a_net_on_another_device_is_checked_there(options):
    ops = StrictNamespace(float64=True).backend
    net = nn.Sequential(
        nn.Linear(3, 5, rng=seeded()), nn.BatchNorm(5), nn.Dropout(0.3, rng=seeded())
    ).to(ops)
    report = gradcheck.check(net, ops.asarray(seeded().standard_normal((4, 3))), **options)
    assert report.worst < 1e-6
    wrong = Planted(db=lambda dy: dy.sum(axis=0) * 7).to(ops)
    with pytest.raises(gradcheck.GradientError, match="the gradient of bias"):
        gradcheck.check(wrong, ops.asarray(seeded().standard_normal((7, 3))), **options)


def test_a_note_made_of_an_error_ends_in_one_full_stop():
    report = gradcheck.check(nn.BatchNorm(3), seeded().standard_normal((8, 3)))
    assert "no second derivative was checked" in str(report)
    assert str(report).endswith(".")
    assert not str(report).endswith("..")


@pytest.mark.parametrize(
    "options",
    [{"h": 0}, {"tolerance": 0.0}, {"samples": 0}, {"directions": 0}, {"dy": numpy.ones((4, 6))}],
)
def test_senseless_options_are_refused(options):
    with pytest.raises(ValueError):
        gradcheck.check(nn.Linear(3, 5), numpy.ones((4, 3)), **options)


def test_what_is_no_layer_is_refused():
    x = numpy.ones((4, 3))
    with pytest.raises(TypeError, match="has no method forward"):
        gradcheck.check(object(), x)
    with pytest.raises(TypeError, match="must return a pair"):
        gradcheck.check(bare(forward=lambda self, x: x), x)
    with pytest.raises(gradcheck.GradientError, match="must return an array"):
        gradcheck.check(bare(forward=lambda self, x: ([1.0], x)), x)
    with pytest.raises(TypeError, match="dtype complex128"):
        gradcheck.check(Bare(), x.astype(complex))
    with pytest.raises(TypeError, match="NumPy or CuPy"):
        gradcheck.check(Bare(), [[1.0, 2, 3]])


def test_a_class_in_place_of_a_layer_is_refused():
    class Square:
        """Needs no object, since its methods are static."""

        forward, backward = (
            staticmethod(lambda x: (x * x, x)),
            staticmethod(lambda dy, x: 2 * x * dy),
        )

    x = seeded().standard_normal((4, 3))
    for kind in (Bare, nn.Tanh):
        with pytest.raises(
            TypeError, match=rf"{kind.__name__} is a class; give .* {kind.__name__}\("
        ):
            gradcheck.check(kind, x)
    assert gradcheck.check(Square, x).ok


@pytest.mark.parametrize("shape", [(0, 4), (3, 0)])
def test_where_there_is_nothing_to_check_nothing_is_right(shape):
    x = numpy.zeros(shape)
    with pytest.raises(ValueError, match=rf"input is empty \(its shape is \({shape[0]}, "):
        gradcheck.check(nn.Tanh(), x)
    with pytest.raises(ValueError, match="input is empty"):
        gradcheck.check(nn.Tanh(), (numpy.ones((3, 4)), x))
    with pytest.raises(ValueError, match="input is empty"):
        gradcheck.check_function(lambda x: ((x**2).sum(), 9 * x), x)
    with pytest.raises(ValueError, match="'w' is empty"):
        gradcheck.check_scalar(
            lambda: 0.0, {"v": numpy.ones(3), "w": x}, {"v": numpy.zeros(3), "w": x}
        )


def test_an_empty_output_hides_nothing():
    class Cut:
        def forward(self, x):
            return x[:0], x

        def backward(self, dy, x):
            return 7 * x

    assert "y is empty" in str(fails(Cut(), (4, 3)))


def test_an_error_can_be_sent_to_another_process():
    report = gradcheck.Report("Mine", 1e-6, problems=["dx is None"], notes=["seen"])
    report.arrays.append(gradcheck.ArrayReport("W", (3,), 1, 0, 0.5, (1,), 2.0, 1.0, "a factor"))
    error = gradcheck.GradientError(report, "look at W")
    error.add_note("layer 2 of 3")
    for back in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert str(back) == str(error)
        assert (back.report, back.hint) == (report, "look at W")
        assert back.__notes__ == error.__notes__


def test_parameters_in_attributes_lists_and_foreign_boxes_are_found():
    class Box:
        def __init__(self, value):
            self.value, self.grad = value, numpy.zeros_like(value)

    class Mine:
        """Its own base, its own parameter class, and a constant in float32."""

        def __init__(self):
            self.boxes = {
                "scale": Box(numpy.float32([1, 2, 3])),
                "shift": Box(numpy.float32([4, 5, 6])),
            }
            self.constants = [numpy.float32([0.1, 0.2, 0.3])]
            self.calls = 0

        def parameters(self):
            return self.boxes

        def forward(self, x, train):
            self.calls += 1
            factor = self.constants[0] * self.calls
            return x * self.boxes["scale"].value * factor + self.boxes["shift"].value, (x, factor)

        def backward(self, dy, cache):
            x, factor = cache
            self.boxes["scale"].grad += (dy * x * factor).sum(axis=0)
            self.boxes["shift"].grad += dy.sum(axis=0)
            return dy * self.boxes["scale"].value * factor

    class WithParameters:
        def __init__(self):
            self.scale = nn.Parameter(numpy.float32([1, 2, 3]))

        def forward(self, x):
            return x * self.scale.value, x

        def backward(self, dy, x):
            self.scale.grad += (dy * x).sum(axis=0)
            return dy * self.scale.value

    x = seeded().standard_normal((4, 3))
    assert [a.name for a in gradcheck.check(WithParameters(), x).arrays] == ["x", "scale"]
    report = gradcheck.check(Mine(), x, constants=["constants.0"])
    assert [a.name for a in report.arrays] == ["x", "scale", "shift"]
    with pytest.raises(gradcheck.GradientError, match=r"constants.0 \(3,\) moves y, but backward"):
        gradcheck.check(Mine(), x)


def test_shared_parameters_get_the_sum_of_their_gradients():
    first = nn.Linear(3, 3, rng=seeded())
    second = nn.Linear(3, 3, rng=seeded(1))
    second.weight = first.weight
    assert (
        gradcheck.check(
            nn.Sequential(first, nn.Tanh(), second), seeded().standard_normal((4, 3))
        ).worst
        < 1e-6
    )


# ---------------------------------------------------------------- functions and whole steps


def half_square(x, target):
    return 0.5 * ((x - target) ** 2).mean(), (x - target) / x.size


def test_losses():
    x, target = seeded().standard_normal((2, 4, 3))
    assert gradcheck.check_function(half_square, x.astype("float32"), target).worst < 1e-6
    with pytest.raises(
        gradcheck.GradientError, match="too large by the factor 12, the number of entries"
    ):
        gradcheck.check_function(lambda x: (half_square(x, target)[0], x - target), x)
    with pytest.raises(gradcheck.GradientError, match="too large by the factor 4, the batch size"):
        gradcheck.check_function(lambda x: (half_square(x, target)[0], (x - target) / 3), x)
    with pytest.raises(gradcheck.GradientError, match="has shape"):
        gradcheck.check_function(lambda x: (x.sum(), numpy.ones(3)), x)
    with pytest.raises(gradcheck.GradientError, match="writes to x"):
        gradcheck.check_function(lambda x: (x.sum(), x.__imul__(0) + 1), x)
    with pytest.raises(TypeError, match="must return a pair"):
        gradcheck.check_function(numpy.sum, x)
    with pytest.raises(TypeError, match="must be one number"):
        gradcheck.check_function(lambda x: (x, x), x)


def test_a_generator_step_through_a_discriminator():
    """The generator's loss through D, with respect to G's weights; then a step that never reaches
    G.
    """
    rng = seeded()
    g = nn.Sequential(nn.Linear(2, 6, rng=rng), nn.Tanh(), nn.Linear(6, 3, rng=rng)).astype(
        "float64"
    )
    d = nn.Sequential(nn.Linear(3, 5, rng=rng), nn.LeakyReLU(), nn.Linear(5, 1, rng=rng)).astype(
        "float64"
    )
    z = rng.standard_normal((4, 2))

    def loss():
        return numpy.logaddexp(0, -d(g(z))).mean()

    fake, g_cache = g.forward(z)
    logits, d_cache = d.forward(fake)
    d_fake = d.backward(-1 / (1 + numpy.exp(logits)) / logits.size, d_cache, param_grads=False)
    g.backward(d_fake, g_cache, input_grad=False)
    arrays = {name: p.value for name, p in g.parameters().items()}
    gradients = {name: p.grad for name, p in g.parameters().items()}
    before = {name: a.copy() for name, a in arrays.items()}
    assert gradcheck.check_scalar(loss, arrays, gradients, rng=1).worst < 1e-6
    assert gradcheck.check_scalar(loss, arrays, gradients, directions=None).worst < 1e-6
    for name, array in arrays.items():
        numpy.testing.assert_array_equal(array, before[name])
    g.zero_grad()
    with pytest.raises(gradcheck.GradientError, match="zero everywhere") as caught:
        gradcheck.check_scalar(loss, arrays, gradients, subject="the step")
    assert str(caught.value).startswith("the step: the gradient of ")
    assert len(caught.value.report.failures) == 4


def test_scalar_checks_refuse_what_can_not_be_checked():
    w = numpy.ones(3)
    with pytest.raises(ValueError, match="same names"):
        gradcheck.check_scalar(w.sum, {"w": w}, {"v": w})
    with pytest.raises(TypeError, match="need float64"):
        gradcheck.check_scalar(w.sum, {"w": w.astype("float32")}, {"w": w})
    with pytest.raises(ValueError, match="its gradient"):
        gradcheck.check_scalar(w.sum, {"w": w}, {"w": numpy.ones(2)})
    with pytest.raises(gradcheck.GradientError, match="differs between two calls"):
        gradcheck.check_scalar(lambda: numpy.random.default_rng().random(), {"w": w}, {"w": w})
    zeros = numpy.zeros(3)
    with pytest.raises(
        gradcheck.GradientError, match="3 of 3 slopes along w could not be measured"
    ):
        gradcheck.check_scalar(lambda: abs(zeros).sum(), {"w": zeros}, {"w": w})


# ---------------------------------------------------------------- the command


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    (tmp_path / "helper_of_mine.py").write_text("FACTOR = 2.0\n")
    path.write_text(
        textwrap.dedent(
            """
            import numpy
            from helper_of_mine import FACTOR
            from minigan import nn

            class Scale:
                def __init__(self, features, factor=FACTOR):
                    self.W = numpy.full(features, factor)

                def forward(self, x):
                    return x * self.W, x

                def backward(self, dy, x):
                    self.dW = (dy * x).sum(axis=0)
                    return dy * self.W

            class Wrong(Scale):
                def __init__(self):
                    super().__init__(3)

                def backward(self, dy, x):
                    return -super().backward(dy, x)

            class Crash(Wrong):
                def forward(self, x):
                    return x / self.missing, x

            class Refuses(Wrong):
                def __init__(self):
                    raise RuntimeError("not today")

            def make():
                return Scale(3)

            labels = nn.Embedding(4, 3)
            instance = nn.Linear(3, 2)

            class CrashLater(Wrong):
                def backward(self, dy, x):
                    return dy / (1 // 0)

            class Nothing(Wrong):
                def forward(self, x):
                    return None, x

            class Alone(Wrong):
                def forward(self, x):
                    return x

            def a_class():
                return Wrong

            def mse_forward(x, t):
                return ((x - t) ** 2).mean(), (x, t)

            def mse_backward(dy, cache):
                x, t = cache
                return dy * 2 * (x - t) / x.size
            """
        )
    )
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{}:Scale", "--args", "3", "--input", "4,3"], 0, "W      (3,)"),
        (["{}:Scale", "--args", "3, factor=0.5", "--input", "(4, 3)", "--eval"], 0, "evaluation"),
        (["{}:make", "--input", "4x3", "--directions", "2"], 0, "ok"),
        (["{}:instance", "--input", "4,3", "--seed", "3"], 0, "Linear(3, 2)"),
        (["{}:labels", "--input", "6", "--labels", "4"], 0, "weight"),
        (["{}:Wrong", "--input", "4,3"], 1, "the sign is wrong"),
        (
            ["{}:Crash", "--input", "4,3"],
            1,
            "line 26, in forward: AttributeError: 'Crash' object has no attribute 'missing'.\n    "
            "return x /",
        ),
        (["{}:CrashLater", "--input", "4,3"], 1, "in backward: ZeroDivisionError: "),
        (["{}:Nothing", "--input", "4,3"], 1, "forward returned None as y"),
        (["{}:Alone", "--input", "4,3"], 1, "must return a pair (y, cache)"),
        (["{}:instance", "--input", "4,7"], 1, "Linear(3, 2) got an input of shape (4, 7)"),
        (["{}:mse", "--input", "4,3", "--input", "4,3"], 1, "say constants=['t'] (--constant t)."),
        (["{}:mse", "--input", "4,3", "--input", "4,3", "--constant", "t"], 0, "ok"),
    ],
)
def test_checking_a_layer_of_ones_own(file, capsys, arguments, code, said):
    assert main(["gradcheck", *(a.format(file) for a in arguments)]) == code
    out, err = capsys.readouterr()
    assert said in out
    assert err == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["{}:Scale", "--input", "4,3"], "Scale(features, factor=2.0) in"),
        (["{}:Scale", "--args", "3,", "--input", "4,3", "--samples", "0"], "samples must be"),
        (["{}:Scale", "--args", "3 +", "--input", "4,3"], "--args needs plain values"),
        (["{}:instance", "--args", "3", "--input", "4,3"], "is already a layer"),
        (["{}:nothing", "--input", "4,3"], "has no 'nothing'; it defines Scale, Wrong, Crash"),
        (["{}:FACTOR", "--input", "4,3"], "float has no method forward"),
        (["{}:make"], "give its shape, for example --input"),
        (["{}:make", "--input", "4,0"], "positive sizes"),
        (["{}:make", "--input", "()"], "positive sizes"),
        (["{}", "--input", "4,3"], "FILE.py:NAME"),
        (["{}.nowhere.py:A", "--input", "4,3"], "there is no file"),
        (["{}:Refuses", "--input", "4,3"], "line 30, in __init__: RuntimeError: not today"),
        (["{}:a_class", "--input", "4,3"], "Wrong is a class; give a layer made from it"),
    ],
)
def test_mistakes_get_one_sentence(file, capsys, arguments, said):
    assert main(["gradcheck", *(a.format(file) for a in arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.startswith("minigan: ")
    assert "Traceback" not in err


MOVES = {
    "to its folder": "os.chdir(os.path.dirname(__file__))",
    "away": "os.chdir('/')",
    "off the path": "sys.path.pop(0)",
    "with a path of its own": "sys.path = sys.path[1:]",
}


@pytest.mark.parametrize("move", MOVES)
def test_a_file_may_change_folder_and_path(tmp_path, monkeypatch, capsys, move):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "factor.txt").write_text("2.0")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    read = "Path('factor.txt').read_text()" if move == "to its folder" else "2.0"
    Path("inside/mine.py").write_text(
        f"import os\nimport sys\n{MOVES[move]}\nfrom pathlib import Path\n"
        "class Scale:\n"
        f"    def __init__(self): self.slope = float({read})\n"
        "    def forward(self, x): return self.slope * x, None\n"
        "    def backward(self, dy, cache): return self.slope * dy\n"
        "class Crash(Scale):\n"
        "    def forward(self, x):\n"
        "        os.chdir('/')\n"
        "        return 1 / 0\n"
    )
    before = list(sys.path)
    assert gradcheck.load_layer("inside/mine.py:Scale").slope == 2.0
    assert Path.cwd() == tmp_path
    assert len(sys.path) in (len(before), len(before) - 1)
    assert main(["gradcheck", "inside/mine.py:Scale", "--input", "4,3"]) == 0
    assert main(["gradcheck", "inside/mine.py:Crash", "--input", "4,3"]) == 1
    out = capsys.readouterr().out
    assert "inside/mine.py, line 12, in forward: ZeroDivisionError" in out
    Path("inside/mine.py").write_text(f"import os\nimport sys\n{MOVES[move]}\n1 / 0\n")
    assert main(["gradcheck", "inside/mine.py:Scale", "--input", "4,3"]) == 2
    said = "inside/mine.py, line 4, in <module>: ZeroDivisionError: division by zero\n    1 / 0"
    assert said in capsys.readouterr().err


def test_files_that_can_not_be_imported(tmp_path, capsys):
    path = tmp_path / "broken.py"
    for code, said in [
        ("x = (\n", "line 1: '(' was never closed"),
        ("x = 1\n1 / 0\n", "line 2, in <module>: ZeroDivisionError"),
        ("import not_there_at_all\n", "line 1, in <module>: ModuleNotFoundError"),
        ("x = 1\n", "it defines no class or function"),
    ]:
        path.write_text(code)
        assert main(["gradcheck", f"{path}:Mine", "--input", "3"]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        main(["gradcheck", "--frobnicate"])
    assert caught.value.code == 2
    assert (
        "there is no option --frobnicate; see `minigan gradcheck --help`" in capsys.readouterr().err
    )


def test_checking_the_library(capsys, monkeypatch):
    assert main(["gradcheck", "--samples", "2"]) == 0
    out = capsys.readouterr().out
    assert "ConvTranspose2d, kernel 3, stride 2, padding 1, output_padding 1" in out
    worst = re.search("all right; worst relative error ([^ ]+)", out)
    assert worst is not None
    assert float(worst[1].rstrip(".,")) < 1e-6
    tanh = [case for case in gradcheck.library_cases() if case.name.startswith("Tanh")]
    monkeypatch.setattr("minigan.gradcheck.library.library_cases", lambda: tanh)
    monkeypatch.setattr(
        nn.Tanh, "backward", lambda self, dy, cache, **switches: cache.saved[0] * dy
    )
    assert main(["gradcheck", "--samples", "2"]) == 1
    out = capsys.readouterr().out
    assert "WRONG" in next(line for line in out.splitlines() if line.startswith("Tanh"))
    assert "WRONG; worst relative error" in out

"""Every layer: its gradients by finite differences, its conduct, its refusals."""

import copy

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_cases import EVERY_CASE
from strategies import (
    LAYERS,
    as_arguments,
    generators,
    image_sizes,
    layouts,
    randomised,
    sizes,
    windows,
)

from minigan import backend, gradcheck, losses, nn

EXAMPLES = settings(max_examples=25)


def run(layer, x, dy=None, train=True, rng=None):
    """Forward and backward from zero gradients: y, dx, gradients."""
    y, cache = layer.forward(x, train=train)
    layer.zero_grad()
    dx = layer.backward(numpy.ones_like(y) if dy is None else dy, cache)
    return y, dx, {name: p.grad.copy() for name, p in layer.parameters().items()}


# ---------------------------------------------------------------- the gradients


@pytest.mark.parametrize("train", [True, False])
# Recurrent layers saturate with weights of this size: see test_recurrent.py.
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "recurrent"])
@EXAMPLES
@given(data=st.data(), rng=generators)
def test_gradients(name, train, data, rng):
    layer, shape = data.draw(LAYERS[name])
    report = gradcheck.check(
        randomised(layer, rng), rng.standard_normal(shape), rng=rng, train=train, samples=25
    )
    assert report.worst <= 1e-6
    assert {a.name for a in report.arrays} == {"x", *layer.parameters()}


@EXAMPLES
@given(rng=generators, classes=sizes, features=sizes, n=st.integers(1, 6))
def test_gradient_of_embedding(rng, classes, features, n):
    layer = nn.Embedding(classes, features, rng=rng)
    report = gradcheck.check(layer, rng.integers(0, classes, n), rng=rng)
    assert report.worst <= 1e-6
    y, cache = layer.forward(numpy.zeros(3, int))
    assert layer.backward(numpy.ones_like(y), cache) is None
    assert layer.weight.grad[0] == pytest.approx(3)


def test_all_of_the_library_is_among_the_cases():
    """Those that `minigan gradcheck` goes through, see tests/gradcheck."""
    from minigan import losses

    cases = list(gradcheck.library_cases())
    built = [case.build(numpy.random.default_rng(0)) for case in cases]
    inside = {
        type(layer).__name__
        for net in built
        if isinstance(net, nn.Layer)
        for _, layer in net.layers()
    }
    layers = {
        n
        for n in nn.__all__
        if isinstance(getattr(nn, n), type) and issubclass(getattr(nn, n), nn.Layer)
    }
    assert layers - {"Layer"} <= inside
    assert set(losses.__all__) - {"sigmoid", "softplus"} <= {case.name for case in cases}


# ---------------------------------------------------------------- conduct


@pytest.mark.parametrize("name", LAYERS)
@EXAMPLES
@given(data=st.data(), rng=generators, of_x=layouts, of_dy=layouts)
def test_memory_layout_changes_nothing_and_nothing_is_written_to(name, data, rng, of_x, of_dy):
    layer, shape = data.draw(LAYERS[name])
    randomised(layer, rng).astype("float64")
    x = rng.standard_normal(shape)
    dy = rng.standard_normal(layer.output_shape(shape))
    expected = run(copy.deepcopy(layer), x.copy(), dy.copy())
    strange_x, strange_dy = of_x(x), of_dy(dy)
    y, dx, gradients = run(layer, strange_x, strange_dy)
    numpy.testing.assert_allclose(y, expected[0], rtol=1e-12, atol=1e-12)
    numpy.testing.assert_allclose(dx, expected[1], rtol=1e-12, atol=1e-12)
    for parameter in gradients:
        numpy.testing.assert_allclose(
            gradients[parameter], expected[2][parameter], rtol=1e-12, atol=1e-12
        )
    numpy.testing.assert_array_equal(strange_x, x)
    numpy.testing.assert_array_equal(strange_dy, dy)


@pytest.mark.parametrize("name", LAYERS)
@EXAMPLES
@given(data=st.data(), rng=generators)
def test_a_cache_survives_other_forward_calls_and_gradients_add_up(name, data, rng):
    layer, shape = data.draw(LAYERS[name])
    randomised(layer, rng).astype("float64")
    a, b = rng.standard_normal(shape), rng.standard_normal(shape)
    dy = rng.standard_normal(layer.output_shape(shape))
    _, dx_a, gradients_a = run(copy.deepcopy(layer), a, dy)
    y, cache = layer.forward(a)
    y_then = y.copy()
    layer.forward(b)
    layer(b)
    layer.zero_grad()
    numpy.testing.assert_array_equal(layer.backward(dy, cache), dx_a)
    numpy.testing.assert_array_equal(y, y_then)
    numpy.testing.assert_array_equal(layer.backward(dy, cache, param_grads=False), dx_a)
    assert layer.backward(dy, cache, input_grad=False) is None
    for parameter, p in layer.parameters().items():
        numpy.testing.assert_allclose(p.grad, 2 * gradients_a[parameter], rtol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
@EXAMPLES
@given(data=st.data(), rng=generators)
def test_float32_stays_float32_and_the_shape_is_foretold(name, data, rng):
    layer, shape = data.draw(LAYERS[name])
    for x in (rng.standard_normal(shape).astype("float32"), rng.standard_normal(shape)):
        y, cache = layer.forward(x)
        expected = "float32" if layer.parameters() else x.dtype
        assert y.dtype == expected
        assert y.shape == layer.output_shape(shape)
        assert layer.backward(y, cache).dtype == expected
    assert all(p.grad.dtype == "float32" for p in layer.parameters().values())


# ---------------------------------------------------------------- convolution and its adjoint


@given(data=st.data(), rng=generators, window=windows(), c_in=sizes, c_out=sizes, n=sizes)
def test_conv_transpose_is_the_adjoint_of_conv(data, rng, window, c_in, c_out, n):
    """⟨conv(a), x⟩ = ⟨a, conv_transpose(x)⟩ for one weight and every a and x."""
    height, width = data.draw(image_sizes(window))
    conv = nn.Conv2d(c_in, c_out, bias=False, rng=rng, **as_arguments(window)).astype("float64")
    a = rng.standard_normal((n, height, width, c_in))
    image = conv(a)
    # The rows and columns at the end that no window position reaches are output_padding of the way
    # back.
    extra = tuple(
        (size + 2 * p - k) % s for size, k, s, p in zip((height, width), *window, strict=True)
    )
    back = nn.ConvTranspose2d(
        c_out, c_in, bias=False, output_padding=extra, **as_arguments(window)
    ).astype("float64")
    back.weight.value = conv.weight.value
    x = rng.standard_normal(image.shape)
    assert back(x).shape == a.shape
    assert (image * x).sum() == pytest.approx((a * back(x)).sum(), rel=1e-10, abs=1e-10)


def test_conv_transpose_of_a_known_case():
    """One pixel becomes the kernel; two at stride 2 stand side by side."""
    layer = nn.ConvTranspose2d(1, 1, kernel_size=2, stride=2, bias=False)
    layer.weight.value = numpy.array([[1.0, 2], [3, 4]]).reshape(2, 2, 1, 1)
    y = layer(numpy.array([10.0, 100.0]).reshape(1, 1, 2, 1).astype("float32"))
    numpy.testing.assert_array_equal(y[0, :, :, 0], [[10, 20, 100, 200], [30, 40, 300, 400]])


# ---------------------------------------------------------------- batch norm


def test_batch_norm_standardises_the_batch_and_keeps_running_statistics():
    rng = numpy.random.default_rng(0)
    layer = nn.BatchNorm(2, momentum=0.25, eps=1e-12).astype("float64")
    x = 3 + 2 * rng.standard_normal((4, 3, 5, 2))
    y, _ = layer.forward(x)
    numpy.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-12)
    numpy.testing.assert_allclose(y.var(axis=(0, 1, 2)), 1, rtol=1e-9)
    numpy.testing.assert_allclose(layer.running_mean, 0.25 * x.mean(axis=(0, 1, 2)), rtol=1e-12)
    numpy.testing.assert_allclose(
        layer.running_var, 0.75 + 0.25 * x.var(axis=(0, 1, 2), ddof=1), rtol=1e-12
    )
    before = layer.state_dict()
    numpy.testing.assert_allclose(
        layer(x), (x - layer.running_mean) / numpy.sqrt(layer.running_var + 1e-12), rtol=1e-9
    )
    with nn.frozen_statistics(layer):
        layer.forward(x)
    for name, array in layer.state_dict().items():
        numpy.testing.assert_array_equal(array, before[name])
    layer.forward(x)
    assert (layer.running_mean != before["running_mean"]).all()


def test_running_statistics_of_two_batches_by_hand():
    """A step of ½ each: 0 -> 2 -> 5 for the means 4 and 8; 1 -> 4½ -> 18¼ for the variances 8 and 32."""
    layer = nn.BatchNorm(1, momentum=0.5)
    layer.forward(numpy.array([[2.0], [6.0]], "float32"))
    assert (layer.running_mean, layer.running_var) == ([2.0], [4.5])
    layer.forward(numpy.array([[4.0], [12.0]], "float32"))
    assert (layer.running_mean, layer.running_var) == ([5.0], [18.25])


def test_batch_norm_hyper_parameters_are_keyword_only():
    with pytest.raises(TypeError):
        nn.BatchNorm(4, 0.8)


def test_batch_norm_in_evaluation_is_a_constant_affine_map():
    rng = numpy.random.default_rng(0)
    layer = randomised(nn.BatchNorm(3), rng).astype("float64")
    x, dy = rng.standard_normal((2, 4, 3))
    y, cache = layer.forward(x, train=False)
    one, _ = layer.forward(x[:1], train=False)
    numpy.testing.assert_array_equal(y[:1], one)
    slope = layer.gamma.value / numpy.sqrt(layer.running_var + layer.eps)
    numpy.testing.assert_allclose(
        layer.backward(dy, cache, param_grads=False), slope * dy, rtol=1e-12
    )


# ---------------------------------------------------------------- dropout, activations


def test_dropout_keeps_the_mean_and_zeroes_the_right_share():
    x = numpy.ones((200, 200), "float32")
    layer = nn.Dropout(0.25, rng=numpy.random.default_rng(0))
    y, cache = layer.forward(x)
    assert set(numpy.unique(y)) == {numpy.float32(0), numpy.float32(1 / 0.75)}
    assert (y == 0).mean() == pytest.approx(0.25, abs=0.01)
    numpy.testing.assert_array_equal(layer.backward(x, cache), y)
    numpy.testing.assert_array_equal(layer(x), x)
    again, _ = layer.forward(x)
    assert (again != y).any()


def test_saturated_activations_are_finite():
    x = numpy.array([[-1000.0, -50, 0, 50, 1000]])
    for layer in (nn.Sigmoid(), nn.Tanh(), nn.LeakyReLU(), nn.ReLU()):
        y, cache = layer.forward(x)
        assert numpy.isfinite(y).all()
        assert numpy.isfinite(layer.backward(numpy.ones_like(y), cache)).all()
    numpy.testing.assert_allclose(nn.Sigmoid()(x)[0, [0, 2, 4]], [0, 0.5, 1])


def test_the_lower_tail_of_the_sigmoid_is_kept():
    x = numpy.array([[-20.0, -50, -87]], "float32")
    for build in (lambda: nn.Sigmoid(), lambda: nn.Sequential(identity(3), nn.Sigmoid())):
        y, cache = (layer := build()).forward(x)
        numpy.testing.assert_allclose(y, numpy.exp(x), rtol=1e-5)
        _, dy = losses.bce(y, 1.0)
        # PyTorch's clamp of the denominator limits what comes back from below 1e-12.
        dx = layer.backward(dy, cache)
        numpy.testing.assert_allclose(dx[0, 0], -1 / 3, rtol=1e-5)
        assert (dx < 0).all()


def identity(size):
    layer = nn.Linear(size, size)
    layer.weight.value, layer.bias.value = numpy.eye(size), 0
    return layer


def closed_units():
    """Layers that hand on only some of the cotangents, and where (1) or not (0)."""
    x = numpy.array([[-3.0, 2.0, -1.0, 4.0]], "float32")
    yield nn.ReLU(), x, x > 0
    yield nn.LeakyReLU(0.0), x, x > 0
    yield nn.Sequential(identity(4), nn.ReLU()), x, x > 0
    dropout = nn.Dropout(0.5, rng=numpy.random.default_rng(1))
    x = numpy.ones((8, 8), "float32")
    yield dropout, x, copy.deepcopy(dropout).forward(x)[0] > 0
    x = numpy.ones((2, 8, 8, 1), "float32")
    for name in ("cutout", "translation"):
        change = nn.Augment(name, rng=numpy.random.default_rng(0))
        yield change, x, copy.deepcopy(change).forward(x)[0] > 0


@pytest.mark.parametrize("case", list(closed_units()), ids=lambda case: repr(case[0]))
def test_what_is_infinite_does_not_pass_where_nothing_passes(case):
    layer, x, open_ = case
    y, cache = layer.forward(x)
    ones = numpy.ones_like(y)
    expected = layer.backward(ones, cache)
    for value in (numpy.inf, -numpy.inf, numpy.nan):
        numpy.testing.assert_array_equal(
            layer.backward(numpy.where(open_, ones, numpy.float32(value)), cache), expected
        )


def test_an_infinite_input_of_a_closed_unit_gives_0():
    x = numpy.array([[-numpy.inf, numpy.nan, 2.0, numpy.inf]], "float32")
    numpy.testing.assert_array_equal(nn.ReLU()(x), [[0, numpy.nan, 2, numpy.inf]])
    mask = numpy.array([[0, 2, 0, 2]], "float32")
    masked = backend.of(mask).masked(x[:, ::-1], mask)
    numpy.testing.assert_array_equal(masked, [[0, 4, 0, -numpy.inf]])


def test_maxout_sends_what_is_infinite_to_the_largest_alone():
    layer = nn.Maxout(2)
    _, cache = layer.forward(numpy.array([[1.0, 3.0, 5.0, 4.0]]))
    dy = numpy.array([[numpy.inf, 2.0]])
    numpy.testing.assert_array_equal(layer.backward(dy, cache), [[0, numpy.inf, 2, 0]])
    v = numpy.array([[numpy.inf, 1.0, 2.0, numpy.nan]])
    numpy.testing.assert_array_equal(layer.double_backward(v, dy, cache)[1], [[1, 2]])


@pytest.mark.parametrize(
    "layer", [nn.MaxPool(2), nn.MaxPool(2, stride=1, padding=1), nn.GlobalPool("max")], ids=repr
)
def test_pooling_sends_what_is_infinite_to_the_largest_alone(layer):
    x = numpy.random.default_rng(0).standard_normal((2, 4, 4, 3)).astype("float32")
    y, cache = layer.forward(x)
    ones = numpy.ones_like(y)
    expected = layer.backward(ones, cache)
    infinite = layer.backward(ones * numpy.inf, cache)
    numpy.testing.assert_array_equal(infinite, numpy.where(expected > 0, numpy.inf, 0))
    v = numpy.where(expected > 0, x, numpy.float32(numpy.inf))
    numpy.testing.assert_array_equal(layer.double_backward(v, ones, cache)[1], y)
    low = numpy.where(expected > 0, x, numpy.float32(-numpy.inf))
    numpy.testing.assert_array_equal(layer(low), y)


def gradients_of(build, x, dy):
    """All gradients of a layer that is built anew, dx among them, by name."""
    layer = build(numpy.random.default_rng(1)).astype("float64")
    _, cache = layer.forward(x)
    with numpy.errstate(invalid="ignore"):
        dx = layer.backward(dy, cache)
    return {name: p.grad.copy() for name, p in layer.parameters().items()} | {"dx": dx}


# There, zeros are factors like any others: of a padded border, a matrix, a gate that is shut, or the
# state before the first step.
UNMOVED = ("net.0.bias",)
"""The bias before virtual batch norm, whose gradient is 0 whatever comes."""
PRODUCTS = ("Conv", "Resize", "SelfAttention", "Given-4", "GRU")


@pytest.mark.parametrize(
    ("build", "shape"), [case for case in EVERY_CASE if not case.id.startswith(PRODUCTS)]
)
def test_what_is_infinite_goes_only_where_that_cotangent_goes(build, shape):
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal(shape) if shape else numpy.array([0, 2, 1, 2])
    dy = rng.standard_normal(build(rng).astype("float64").forward(x)[0].shape)
    one = numpy.zeros_like(dy)
    one[(0,) * dy.ndim] = 1.0
    without, moved = (gradients_of(build, x, dy + add * one) for add in (0, 1))
    infinite = gradients_of(build, x, numpy.where(one, numpy.inf, dy))
    for name in without.keys() - (set(UNMOVED) if shape else {"dx"}):
        same = without[name] == moved[name]
        assert numpy.isfinite(infinite[name][same]).all(), name


def test_an_infinite_cotangent_stays_in_the_row_of_its_label():
    layer = nn.Embedding(3, 2)
    _, cache = layer.forward(numpy.array([0, 2, 2]))
    layer.backward(numpy.array([[1, 2], [numpy.inf, 3], [4, 5]], "float32"), cache)
    assert layer.weight.grad.tolist() == [[1, 2], [0, 0], [numpy.inf, 8]]


def test_the_slope_of_a_prelu_learns_from_what_it_multiplies_alone():
    layer, x = nn.PReLU(2), numpy.array([[1.0, -2.0], [-3.0, 4.0]])
    layer.astype("float64")
    _, cache = layer.forward(x)
    infinite = numpy.where(x > 0, numpy.inf, 5.0)
    layer.backward(infinite, cache)
    assert layer.slope.grad.tolist() == [-15, -10]
    layer.double_backward(numpy.full((2, 2), 7.0), infinite, cache)
    assert layer.slope.grad.tolist() == [20, 25]


def test_a_spectrogram_shows_where_a_tone_is_and_how_loud():
    layer = nn.LogSpectrogram(window=16, hop=8)
    t = numpy.arange(64)
    tone = numpy.where(t < 32, numpy.sin(2 * numpy.pi * 3 / 16 * t), 0).astype("float32")
    y = layer(numpy.stack([tone, tone / 10])[:, :, None])[..., 0]
    assert y.shape == (2, 8, 8)
    assert y[0, -3, 2] == pytest.approx(1, abs=1e-4)  # the third frequency from below
    assert y[0, -3, 2] - y[1, -3, 2] == pytest.approx(2 / 3, abs=1e-4)  # of 60 dB, 20 dB
    assert (y[0, :, 2].argmax(), y[1, :, 2].argmax()) == (5, 5)
    numpy.testing.assert_allclose(y[:, :, 6:], -1, atol=1e-5)


def test_a_shift_shows_nothing_of_what_it_leaves_out():
    layer = nn.PhaseShuffle(1, rng=numpy.random.default_rng(0))
    x = numpy.zeros((1, 6, 1))
    x[0, 2] = numpy.inf
    y, cache = layer.forward(x)
    assert numpy.isinf(y).sum() == 1
    assert not numpy.isnan(y).any()
    dx = layer.backward(x, cache)
    assert numpy.isinf(dx).sum() == 1
    assert not numpy.isnan(dx).any()


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("padding", [0, 1])
def test_the_largest_of_some_numbers_and_nan_is_nan(place, padding):
    x = numpy.arange(4, dtype="float32")
    x[place] = numpy.nan
    layer = nn.MaxPool(2 + 2 * padding, padding=padding)
    y, cache = layer.forward(x.reshape(1, 2, 2, 1))
    assert numpy.isnan(y).all()
    dx = layer.backward(numpy.ones_like(y), cache)
    assert dx.reshape(-1).tolist() == [float(i == place) for i in range(4)]
    assert numpy.isnan(nn.GlobalPool("max")(x.reshape(1, 4, 1))).all()


@pytest.mark.parametrize("layer", [nn.Softplus(), nn.SiLU()], ids=repr)
def test_the_lower_tail_of_a_curve_is_kept(layer):
    x = numpy.array([[-20.0, -50, -80]], "float32")
    y, cache = layer.forward(x)
    dx = layer.backward(numpy.ones_like(y), cache)
    exact, slope = numpy.exp(x), numpy.exp(x)
    if isinstance(layer, nn.SiLU):
        exact, slope = x * exact, exact * (1 + x)
    numpy.testing.assert_allclose(y, exact, rtol=1e-5)
    numpy.testing.assert_allclose(dx, slope, rtol=1e-5)


def test_left_slope_at_the_kink():
    layer = nn.LeakyReLU(0.2)
    _, cache = layer.forward(numpy.zeros((1, 1)))
    assert layer.backward(numpy.ones((1, 1)), cache) == 0.2


# ---------------------------------------------------------------- refusals

INPUTS = {
    "Linear": (nn.Linear(3, 2), (4, 3)),
    "Conv2d": (nn.Conv2d(3, 2, kernel_size=3), (4, 5, 5, 3)),
    "ConvTranspose2d": (nn.ConvTranspose2d(3, 2, kernel_size=3), (4, 5, 5, 3)),
    "BatchNorm": (nn.BatchNorm(3), (4, 3)),
    "LayerNorm": (nn.LayerNorm(3), (4, 3)),
    "InstanceNorm": (nn.InstanceNorm(3), (4, 5, 5, 3)),
    "Upsample": (nn.Upsample(2), (4, 5, 5, 3)),
    "Flatten": (nn.Flatten(), (4, 3)),
    "Reshape": (nn.Reshape(3, 1), (4, 3)),
    "ReLU": (nn.ReLU(), (4, 3)),
    "LeakyReLU": (nn.LeakyReLU(), (4, 3)),
    "Tanh": (nn.Tanh(), (4, 3)),
    "Sigmoid": (nn.Sigmoid(), (4, 3)),
    "Dropout": (nn.Dropout(), (4, 3)),
    "Conv1d": (nn.Conv1d(3, 2, kernel_size=3), (4, 5, 3)),
    "ConvTranspose1d": (nn.ConvTranspose1d(3, 2, kernel_size=3), (4, 5, 3)),
    "PReLU": (nn.PReLU(3), (4, 3)),
    "GroupNorm": (nn.GroupNorm(1, 3), (4, 3)),
    "RMSNorm": (nn.RMSNorm(3), (4, 3)),
    "PixelNorm": (nn.PixelNorm(), (4, 3)),
    "MaxPool": (nn.MaxPool(2), (4, 5, 5, 3)),
    "Pad": (nn.Pad(1), (4, 5, 5, 3)),
    "PixelShuffle": (nn.PixelShuffle(2), (4, 5, 5, 8)),
    "Softmax": (nn.Softmax(1), (4, 3)),
    "GELU": (nn.GELU(), (4, 3)),
    "GRU": (nn.GRU(3, 2), (4, 5, 3)),
}
ANY_CHANNELS = ("Upsample", "MaxPool", "Pad", "PixelNorm", "Softmax")


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_no_array_of_floats_is_refused(name):
    layer, shape = INPUTS[name]
    x = numpy.ones(shape, "float32")
    for bad in (
        x.astype(int),
        x.astype(object),
        x.astype(bool),
        x.astype(complex),
        x.tolist(),
        None,
    ):
        with pytest.raises(TypeError, match=name) as caught:
            layer.forward(bad)
        assert "\n" not in str(caught.value)
    y, cache = layer.forward(x)
    for bad in (y.astype(int), y.tolist(), None):
        with pytest.raises(TypeError, match=name):
            layer.backward(bad, cache)


@pytest.mark.parametrize(
    "name", sorted(INPUTS.keys() - {"ReLU", "LeakyReLU", "Tanh", "Sigmoid", "Dropout", "GELU"})
)
def test_wrong_ranks_and_channels_are_refused(name):
    layer, _ = INPUTS[name]
    bad = [()] if name == "Flatten" else [(4,), (4, 2), (4, 5, 5), (4, 5, 5, 2)]
    bad = [s for s in bad if not (name in ANY_CHANNELS and len(s) == 4)]
    if name in ("PixelNorm", "Softmax"):
        bad = [(4,)]
    for wrong in bad:
        with pytest.raises(ValueError, match=name) as caught:
            layer.forward(numpy.ones(wrong, "float32"))
        assert str(wrong) in str(caught.value)
        with pytest.raises(ValueError, match=name):
            layer.output_shape(wrong)


@pytest.mark.parametrize("name", INPUTS)
def test_a_foreign_cache_and_a_wrong_cotangent_are_refused(name):
    layer, shape = INPUTS[name]
    x = numpy.ones(shape, "float32")
    y, cache = layer.forward(x)
    with pytest.raises(ValueError, match="the cache of"):
        copy.deepcopy(layer).backward(y, cache)
    with pytest.raises(ValueError, match="cotangent of shape"):
        layer.backward(y[1:], cache)


@pytest.mark.parametrize("name", [name for name in INPUTS if name != "GRU"])  # it takes lengths
def test_labels_for_a_layer_that_takes_none_are_refused(name):
    layer, shape = INPUTS[name]
    x = numpy.ones(shape, "float32")
    with pytest.raises(TypeError, match=r"got tuple as input, but needs an array; leave out what"):
        layer.forward((x, numpy.zeros(len(x), int)))


@pytest.mark.parametrize("name", INPUTS)
def test_what_is_no_cache_is_refused(name):
    layer, shape = INPUTS[name]
    y, cache = layer.forward(numpy.ones(shape, "float32"))
    for wrong in (None, (y, cache), y, [cache]):
        words = f"got {type(wrong).__name__} as cache; write y, cache = layer.forward"
        with pytest.raises(TypeError, match=words):
            layer.backward(y, wrong)
        with pytest.raises(TypeError, match=words):
            layer.backward(y, cache=wrong, param_grads=False)
    with pytest.raises(TypeError, match="got ndarray as cache"):
        layer.backward(cache, y)


@pytest.mark.parametrize("y", [[[1.0]], None, 1.0, (numpy.ones(1), 0)])
def test_a_cache_of_what_is_no_array_is_refused(y):
    words = rf"^Linear\(1, 1\)\.forward gave its cache {type(y).__name__} as y, but"
    with pytest.raises(TypeError, match=words):
        nn.Cache(nn.Linear(1, 1), y, 0)


def test_what_is_no_cache_is_refused_by_second_derivatives_too():
    net = nn.Sequential(nn.Linear(2, 3), nn.LeakyReLU())
    x = numpy.ones((4, 2), "float32")
    y, cache = net.forward(x)
    for layer in (net, net[0]):
        with pytest.raises(TypeError, match=r"backward\w* got tuple as cache"):
            layer.double_backward(x, y, (y, cache))
    with pytest.raises(TypeError, match=r"backward_signals got NoneType as cache"):
        net.backward_signals(y, None)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: nn.Conv2d(1, 1, kernel_size=0), "kernel_size"),
        (lambda: nn.Conv2d(1, 1, kernel_size=2.5), "kernel_size"),
        (lambda: nn.Conv2d(1, 1, kernel_size=(1, 2, 3)), "kernel_size"),
        (lambda: nn.Conv2d(1, 1, kernel_size=3, stride=0), "stride"),
        (lambda: nn.Conv2d(1, 1, kernel_size=3, padding=-1), "padding"),
        (
            lambda: nn.ConvTranspose2d(1, 1, kernel_size=3, stride=2, output_padding=2),
            "output_padding",
        ),
        (lambda: nn.ConvTranspose2d(1, 1, kernel_size=3, output_padding=-1), "output_padding"),
        (lambda: nn.Dropout(1.0), "0 <= p < 1"),
        (lambda: nn.Dropout("a"), "0 <= p < 1, got 'a'"),
        (lambda: nn.Dropout(-0.1), "0 <= p < 1"),
        (lambda: nn.LeakyReLU(-0.2), "slope"),
        (lambda: nn.Upsample(0), "factor"),
        (lambda: nn.Reshape(), "Reshape"),
        (lambda: nn.Reshape(3, 0), "Reshape"),
        (lambda: nn.LayerNorm(), "LayerNorm"),
        (lambda: nn.Conv2d(4, 6, kernel_size=3, groups=4), "groups must be a whole number"),
        (lambda: nn.Conv2d(4, 4, kernel_size=3, groups=0), "groups must be a whole number"),
        (lambda: nn.Conv2d(1, 1, kernel_size=3, dilation=0), "dilation"),
        (lambda: nn.Conv2d(1, 1, kernel_size=3, padding=((0, 1), (0, -1))), "padding"),
        (lambda: nn.Conv2d(1, 1, kernel_size=3, padding_mode="same"), "padding_mode"),
        (lambda: nn.Conv1d(1, 1, kernel_size=(3, 3)), "kernel_size"),
        (lambda: nn.Conv1d(1, 1, kernel_size=3, padding=(1, -1)), "padding"),
        (
            lambda: nn.ConvTranspose1d(1, 1, kernel_size=3, stride=2, output_padding=2),
            "output_padding",
        ),
        (lambda: nn.Pad(1, mode="mirror"), "padding_mode"),
        (lambda: nn.MaxPool(2, padding=2), "at most half"),
        (lambda: nn.GlobalPool("median"), "mean, sum or max"),
        (lambda: nn.Resize(4, mode="cubic"), "nearest or bilinear"),
        (lambda: nn.Downsample(4, taps=(1, 2, 1)), "at least 4 taps"),
        (lambda: nn.Blur(taps=(1, -1)), "whose sum isn't 0"),
        (lambda: nn.PixelShuffle(0), "factor"),
        (lambda: nn.ELU(0), "alpha"),
        (lambda: nn.Softmax(0), "the batch"),
        (lambda: nn.GumbelSoftmax(0), "temperature"),
        (lambda: nn.GroupNorm(4, 6), "must divide"),
        (lambda: nn.SelfAttention(12), "multiple of 8 channels"),
        (lambda: nn.Fade(nn.Tanh(), nn.Tanh(), alpha=1.5), "from 0 to 1"),
        (lambda: nn.Fade(nn.Tanh(), nn.Tanh(), alpha=-0.5), "from 0 to 1"),
        (lambda: nn.Fade(nn.Tanh(), nn.Tanh(), alpha=numpy.nan), "from 0 to 1"),
        (lambda: nn.Branches(), "at least one head"),
        (lambda: nn.Styled(), "at least one layer"),
        (lambda: nn.PhaseShuffle(-1), "whole number"),
        (lambda: nn.LogSpectrogram(window=5), "even number of samples, got 5"),
        (lambda: nn.LogSpectrogram(window=8, hop=5), "1 to 4 samples, got 5"),
        (lambda: nn.LogSpectrogram(floor=1.0), "between 0 and 1, got 1.0"),
        (lambda: nn.ConditionalBatchNorm(4), "either classes"),
        (lambda: nn.VirtualBatchNorm(4, reference=1), "reference of 2 or more"),
        (lambda: nn.Constant(3, 0), "positive sizes"),
        (lambda: nn.Linear(0, 3), "in_features of Linear must be at least 1, got 0"),
        (lambda: nn.Linear(2, -3), "out_features of Linear must be at least 1, got -3"),
        (lambda: nn.Conv2d(0, 2, kernel_size=3), "in_channels of Conv2d must be at least 1"),
        (lambda: nn.BatchNorm(0), "features of BatchNorm must be at least 1"),
        (lambda: nn.BatchNorm(3, eps=-1), "eps of BatchNorm must be a finite number >= 0, got -1"),
        (lambda: nn.BatchNorm(3, momentum=2), "momentum of BatchNorm must be a number from 0 to 1"),
        (lambda: nn.LayerNorm(3, eps=numpy.nan), "eps of LayerNorm must be a finite number >= 0"),
        (lambda: nn.LeakyReLU(numpy.nan), "slope of LeakyReLU must be a finite number, got nan"),
        (lambda: nn.LeakyReLU("0.2"), "slope of LeakyReLU must be a finite number, got '0.2'"),
        (lambda: nn.GroupNorm(2.0, 4), "must divide"),
    ],
)
def test_bad_hyper_parameters_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_batch_norm_takes_a_sequence_for_an_image_of_one_row():
    rng = numpy.random.default_rng(0)
    x, dy = rng.standard_normal((2, 4, 5, 3))
    one, other = (nn.BatchNorm(3).astype("float64") for _ in range(2))
    y, cache = one.forward(x)
    rows, inside = other.forward(x[:, None])
    numpy.testing.assert_array_equal(y, rows[:, 0])
    numpy.testing.assert_array_equal(
        one.backward(dy, cache), other.backward(dy[:, None], inside)[:, 0]
    )
    for name, p in one.parameters().items():
        numpy.testing.assert_array_equal(p.grad, other.parameters()[name].grad)
    for name, a in one.state_dict().items():
        numpy.testing.assert_array_equal(a, other.state_dict()[name])


@pytest.mark.parametrize("shape", [(1, 3), (1, 1, 1, 3)])
def test_one_value_per_feature_has_no_variance(shape):
    layer = nn.BatchNorm(3)
    with pytest.raises(ValueError, match="at least 2, or evaluation mode"):
        layer.forward(numpy.ones(shape, "float32"))
    assert (layer.running_mean == 0).all()
    layer.forward(numpy.ones(shape, "float32"), train=False)
    layer.forward(numpy.ones((1, 1, 2, 3), "float32"))
    with pytest.raises(ValueError, match="one pixel"):
        nn.InstanceNorm(3).forward(numpy.ones((4, 1, 1, 3), "float32"))


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Pad(3, mode="reflect"), (2, 3, 9, 1), "reflect padding of 3 takes more pixels"),
        (nn.Conv2d(1, 1, kernel_size=3, padding=2, padding_mode="circular"), (2, 1, 9, 1), "circ"),
        (nn.Conv2d(1, 1, kernel_size=3, dilation=3), (2, 6, 9, 1), "kernel of 7x7 is larger"),
        (nn.Conv1d(1, 1, kernel_size=3, dilation=3), (2, 6, 1), "larger than the padded"),
        (nn.ConvTranspose1d(1, 1, kernel_size=1, padding=1), (2, 2, 1), "a length of 0"),
        (nn.PixelShuffle(2), (2, 3, 3, 6), "multiple of 4"),
        (nn.PixelUnshuffle(2), (2, 3, 4, 6), "multiples of 2"),
        (nn.Downsample(2), (2, 3, 4, 6), "multiples of 2"),
        (nn.Downsample(2), (2, 0, 0, 3), "have no pixels"),
        (nn.Blur(), (2, 4, 0, 3), "have no pixels"),
        (nn.Interpolate(2), (2, 0, 4, 3), "have no pixels"),
        (nn.Resize(4), (2, 0, 4, 3), "have no pixels"),
        (nn.MaxPool(3), (2, 2, 4, 6), "smaller than its window"),
        (nn.GlobalPool(), (2, 3), "at least one axis between"),
        (nn.GroupNorm(3, 3), (2, 3), "a group of one number"),
        (nn.Softmax(axis=2), (2, 3), "axis 2 isn't"),
        (nn.GumbelSoftmax(axis=-2), (2, 3), "axis -2 isn't"),
        (nn.SelfAttention(8), (2, 4, 4, 16), "needs \\(N, height, width, 8\\)"),
        (nn.PhaseShuffle(2), (2, 2, 3), "length of more than 2"),
        (nn.LogSpectrogram(), (2, 100, 1), "a multiple of 64"),
        (nn.LogSpectrogram(), (2, 128, 2), r"needs \(N, length, 1\)"),
        (nn.MinibatchDiscrimination(4), (2, 3), "Flatten"),
        (nn.Branches(nn.Flatten(), nn.Tanh()), (2, 3, 3), "can only be joined"),
        (nn.Fade(nn.Tanh(), nn.Flatten()), (2, 3, 3), "make the shapes equal"),
        (nn.VirtualBatchNorm(3, reference=4), (2, 3), "WithReference"),
        (nn.LearntNoise(3), (2, 4, 4, 2), r"needs \(N, \.\.\., 3\) with pixels between"),
        (nn.LearntNoise(), (2, 3), r"needs \(N, \.\.\., C\) with pixels between"),
    ],
)
def test_images_that_do_not_fit_are_refused(layer, shape, message):
    with pytest.raises(ValueError, match=message) as caught:
        layer.forward(numpy.ones(shape, "float32"))
    assert str(shape) in str(caught.value)


def test_a_condition_must_be_a_pair_of_as_many_rows():
    layer = nn.ModulatedConv2d(3, 2, style_features=4, kernel_size=1)
    x, w = numpy.ones((2, 4, 4, 3), "float32"), numpy.ones((2, 4), "float32")
    assert layer.forward((x, w))[0].shape == (2, 4, 4, 2)
    with pytest.raises(TypeError, match="needs a pair"):
        layer.forward(x)
    with pytest.raises(ValueError, match="2 samples and a condition of shape"):
        layer.forward((x, w[:1]))
    with pytest.raises(ValueError, match="needs 3 channels"):
        layer.forward((x[..., :2], w))
    norm = nn.ConditionalBatchNorm(3, condition_features=4)
    y, cache = norm.forward((x, w))
    with pytest.raises(ValueError, match="gradient penalty"):
        norm.double_backward((x, w), y, cache)
    with pytest.raises(TypeError, match="needs a layer with a weight"):
        nn.WeightNorm(nn.Tanh())


def test_a_path_without_a_share_is_not_run():
    class Never(nn.Layer):
        def output_shape(self, shape):
            return shape

    fade = nn.Fade(nn.Tanh(), Never())
    x = numpy.ones((2, 3))
    numpy.testing.assert_array_equal(fade(x), numpy.tanh(x))
    fade.alpha = 0.5
    with pytest.raises(TypeError, match="no forward map"):
        fade(x)


@pytest.mark.parametrize(
    ("build", "name"),
    [
        (lambda: nn.Linear(2.0, 3), "in_features of Linear"),
        (lambda: nn.Linear(2, True), "out_features of Linear"),
        (lambda: nn.Conv1d(2, "3", kernel_size=3), "out_channels of Conv1d"),
        (lambda: nn.Embedding(classes=3.5, features=2), "classes of Embedding"),
        (lambda: nn.Reshape((3, 3)), "shape of Reshape"),
        (lambda: nn.LayerNorm(3.0), "shape of LayerNorm"),
        (lambda: nn.Constant(4, 4.5), "shape of Constant"),
    ],
)
def test_sizes_are_whole_numbers(build, name):
    with pytest.raises(TypeError, match=f"^The {name} must be a whole number, got .*\\.$"):
        build()


# What needs a batch, holds labels or lengths of one, or isn't meant for none.
OF_MORE = (
    "BatchNorm", "Given", "Styled-1", "MinibatchStdDev", "SelfAttention", "Sequential-0", "GRU-2",
    "GRU-3",
)  # fmt: skip


@pytest.mark.parametrize(
    ("build", "shape"), [case for case in EVERY_CASE if not case.id.startswith(OF_MORE)]
)
def test_no_samples_are_mapped_to_none(build, shape):
    layer = build(numpy.random.default_rng(0))
    x = numpy.zeros((0, *shape[1:]), "float32") if shape else numpy.zeros(0, int)
    y, cache = layer.forward(x)
    assert y.shape == (0, *layer.output_shape((4, *x.shape[1:]))[1:])
    dx = layer.backward(y, cache)
    assert dx is None or dx.shape == x.shape
    assert all(not p.grad.any() for p in layer.parameters().values())


def test_a_statistic_of_no_samples_is_refused():
    with pytest.raises(ValueError, match="got a batch of 0"):
        nn.MinibatchStdDev(4).forward(numpy.zeros((0, 3), "float32"))


def test_sizes_at_the_edge_of_their_range_are_taken():
    assert nn.Linear(numpy.int64(1), 1)(numpy.ones((2, 1), "float32")).shape == (2, 1)
    assert nn.BatchNorm(1, eps=0, momentum=1).momentum == 1
    assert nn.BatchNorm(1, momentum=0).momentum == 0
    assert nn.ConcatenateLabels(3, features=None).embedding is None


def test_a_layer_of_ones_own_may_call_its_features_what_it_likes():
    class Named(nn.Layer):
        def __init__(self, features, eps="none"):
            self.features, self.eps = features, eps

    assert Named(["a", "b"]).features == ["a", "b"]


def test_numbers_too_large_for_a_net_are_refused():
    net = nn.Linear(1, 1)
    before = net.state_dict()
    with pytest.raises(ValueError, match="'bias' holds numbers that are too large for float32"):
        net.load_state_dict({"weight": numpy.ones((1, 1)), "bias": numpy.array([-1e300])})
    assert all(numpy.array_equal(a, before[k]) for k, a in net.state_dict().items())
    net.astype("float64").load_state_dict(before | {"bias": numpy.array([1e300])})
    assert net.bias.value[0] == 1e300


def test_heads_can_be_taken_apart():
    rng = numpy.random.default_rng(0)
    a, b = nn.Linear(3, 2, rng=rng), nn.Linear(3, 4, rng=rng)
    heads, x = nn.Branches(a, b), rng.standard_normal((5, 3)).astype("float32")
    of_a, of_b = heads.split(heads(x), x.shape)
    numpy.testing.assert_array_equal(of_a, a(x))
    numpy.testing.assert_array_equal(of_b, b(x))


def test_phase_shuffle_shifts_by_at_most_n_and_mirrors_the_ends():
    rng = numpy.random.default_rng(0)
    layer, x = nn.PhaseShuffle(2, rng=rng), numpy.arange(6.0).reshape(1, 6, 1)
    seen = {tuple(layer.forward(x)[0][0, :, 0]) for _ in range(60)}
    mirrored = numpy.array([2, 1, 0, 1, 2, 3, 4, 5, 4, 3])
    assert seen == {tuple(mirrored[k : k + 6]) for k in range(5)}
    numpy.testing.assert_array_equal(layer(x), x)


def test_a_sample_becomes_the_same_in_every_batch_with_a_reference():
    rng = numpy.random.default_rng(0)
    norm = nn.VirtualBatchNorm(3, reference=4)
    net = nn.WithReference(norm, rng.standard_normal((4, 3)).astype("float32"))
    x = rng.standard_normal((5, 3)).astype("float32")
    numpy.testing.assert_allclose(net(x)[:2], net(x[:2]), rtol=1e-5)
    assert "samples" in net.state_dict()


def test_kernels_larger_than_the_image_are_refused():
    with pytest.raises(ValueError, match=r"kernel of 4x4 is larger than the padded image of 3x3"):
        nn.Conv2d(1, 2, kernel_size=4, padding=1).forward(numpy.ones((2, 1, 1, 1), "float32"))
    with pytest.raises(ValueError, match="its output would be 0x3"):
        nn.ConvTranspose2d(1, 1, kernel_size=(2, 3), padding=(1, 0)).forward(
            numpy.ones((2, 1, 1, 1), "float32")
        )
    with pytest.raises(ValueError, match="larger input"):
        nn.ConvTranspose2d(1, 1, kernel_size=3).forward(numpy.ones((2, 0, 3, 1), "float32"))


def test_embedding_refuses_what_are_no_labels():
    layer = nn.Embedding(4, 3)
    for bad in (numpy.ones(3), [1, 2], numpy.array([True]), None):
        with pytest.raises(TypeError, match="Embedding"):
            layer.forward(bad)
    for bad in (numpy.array([4]), numpy.array([-1]), numpy.ones((2, 2), int)):
        with pytest.raises(ValueError, match="Embedding"):
            layer.forward(bad)
    y, cache = layer.forward(numpy.array([2, 2, 0], "uint8"))
    numpy.testing.assert_array_equal(y, layer.weight.value[[2, 2, 0]])
    with pytest.raises(ValueError, match="cotangent"):
        layer.backward(y[:1], cache)


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: nn.Conv2d(1, 16, 4, 2, 1), "Conv2d(1, 16, kernel_size=4, stride=2, padding=1)"),
        (lambda: nn.Linear(3, 2, False), "Linear(3, 2, bias=False)"),
        (lambda: nn.BatchNorm(3, 0.01), "BatchNorm(3, eps=0.01)"),
        (lambda: nn.Dropout(0.5, numpy.random.default_rng(0)), "Dropout(0.5, rng=rng)"),
        (lambda: nn.Tanh(0.2), "Tanh() takes no arguments"),
        (lambda: nn.ReLU(True), "takes 1 positional argument but 2 were given"),
    ],
)
def test_hyper_parameters_by_position_are_written_by_name(build, words):
    with pytest.raises(TypeError) as caught:
        build()
    assert words in str(caught.value)


def test_a_layer_of_ones_own_may_take_its_arguments_as_it_likes():
    class Mine(nn.Layer):
        def __init__(self, a, b=2, *rest, c=3):
            self.taken = a, b, rest, c

    assert Mine(1).taken == (1, 2, (), 3)
    assert Mine(1, 5, 6, 7, c=8).taken == (1, 5, (6, 7), 8)
    assert copy.copy(Mine(1)).taken == copy.deepcopy(Mine(1)).taken


@pytest.mark.parametrize("rng", [0, 1.5, "0", numpy.random, numpy.random.RandomState(0)])
def test_a_seed_is_no_generator(rng):
    net = nn.Linear(2, 2)
    for build in (
        lambda: nn.Linear(2, 2, rng=rng),
        lambda: nn.Dropout(0.5, rng=rng),
        lambda: nn.initial.normal(net, rng=rng),
        lambda: nn.initial.kaiming_normal(net, rng=rng),
    ):
        with pytest.raises(TypeError, match=r"needs to be a numpy\.random\.Generator: make one"):
            build()
    with pytest.raises(TypeError, match=r"rng is int, .*default_rng\(7\)"):
        nn.Linear(2, 2, rng=7)


def test_an_array_in_the_place_of_a_parameter_is_refused():
    layer = nn.Linear(2, 2)
    weight = layer.weight
    for wrong in (numpy.ones((2, 2)), [[1, 0], [0, 1]], 3.0):
        with pytest.raises(TypeError, match=r"set its numbers with layer\.weight\.value = array"):
            layer.weight = wrong
    assert layer.weight is weight
    layer.weight = nn.Parameter(numpy.ones((2, 2)))
    layer.bias = None
    assert list(layer.parameters()) == ["weight"]


@pytest.mark.parametrize("dtype", ["float16", "longdouble"])
def test_other_precisions_are_refused_everywhere(dtype):
    net = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    x = numpy.ones((4, 3), dtype)
    if x.dtype == numpy.float64:
        pytest.skip("there is no wider type here")
    for build in (
        lambda: net.astype(dtype),
        lambda: nn.Parameter(x),
        lambda: net(x),
        lambda: nn.Tanh()(x),
    ):
        with pytest.raises(TypeError, match=r"float32 or float64"):
            build()
    y, cache = net.forward(x.astype("float32"))
    with pytest.raises(TypeError, match=r"float32 or float64"):
        net.backward(y.astype(dtype), cache)


def test_what_is_no_precision_is_refused():
    for wrong in (None, "rubbish", int, "bfloat16", ">f4"):
        with pytest.raises(TypeError, match="A net computes in float32 or float64, got dtype"):
            nn.Linear(2, 2).astype(wrong)
    assert nn.Linear(2, 2).astype(float).weight.value.dtype == "float64"


def test_a_parameter_is_never_set_to_none():
    """NumPy would make it NaN."""
    p = nn.Linear(2, 2).weight
    for what in ("value", "grad"):
        with pytest.raises(TypeError, match=rf"The {what} of this parameter can't be None"):
            setattr(p, what, None)
    assert numpy.isfinite(p.value).all()
    assert numpy.isfinite(p.grad).all()


def test_a_parameter_is_an_array_of_floats():
    for wrong in (numpy.ones(3, int), numpy.ones(3, complex), [1.0], 2.0):
        with pytest.raises(TypeError, match="A parameter needs an array of float32 or float64"):
            nn.Parameter(wrong)


def test_an_unfinished_layer_says_what_is_missing():
    class Mine(nn.Layer):
        pass

    with pytest.raises(TypeError, match=r"Mine defines no forward map"):
        Mine().forward(numpy.ones(3))
    with pytest.raises(TypeError, match=r"Mine defines no backward map"):
        Mine().backward(numpy.ones(3), None)

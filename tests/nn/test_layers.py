"""Every layer: its gradients by finite differences, its conduct, its refusals."""

import copy

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
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

from minigan import gradcheck, nn

EXAMPLES = settings(max_examples=25)


def run(layer, x, dy=None, train=True, rng=None):
    """Forward and backward from zero gradients: y, dx, gradients."""
    y, cache = layer.forward(x, train=train)
    layer.zero_grad()
    dx = layer.backward(numpy.ones_like(y) if dy is None else dy, cache)
    return y, dx, {name: p.grad.copy() for name, p in layer.parameters().items()}


# ---------------------------------------------------------------- the gradients


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", LAYERS)
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


def test_all_of_the_library_is_checked():
    reports = gradcheck.check_library(1)
    assert all(report.ok for report in reports.values())
    assert max(report.worst for report in reports.values()) < 1e-6
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
}


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
    "name", sorted(INPUTS.keys() - {"ReLU", "LeakyReLU", "Tanh", "Sigmoid", "Dropout"})
)
def test_wrong_ranks_and_channels_are_refused(name):
    layer, _ = INPUTS[name]
    bad = [()] if name == "Flatten" else [(4,), (4, 2), (4, 5, 5), (4, 5, 5, 2)]
    bad = [s for s in bad if not (name == "Upsample" and len(s) == 4)]
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
        (lambda: nn.Dropout(-0.1), "0 <= p < 1"),
        (lambda: nn.LeakyReLU(-0.2), "slope"),
        (lambda: nn.Upsample(0), "factor"),
        (lambda: nn.Reshape(), "Reshape"),
        (lambda: nn.Reshape(3, 0), "Reshape"),
        (lambda: nn.LayerNorm(), "LayerNorm"),
    ],
)
def test_bad_hyper_parameters_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


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


def test_an_unfinished_layer_says_what_is_missing():
    class Mine(nn.Layer):
        pass

    with pytest.raises(TypeError, match=r"Mine defines no forward map"):
        Mine().forward(numpy.ones(3))
    with pytest.raises(TypeError, match=r"Mine defines no backward map"):
        Mine().backward(numpy.ones(3), None)

"""The readable primitives against loops over single numbers, and the choice of a device."""

import math
import os
import subprocess
import sys
import types

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import generators, image_sizes, sizes, windows

from minigan import backend, nn
from minigan.backend import Window, devices
from minigan.backend.window import pair

READABLE = backend.Reference(numpy, "cpu")


def patches_by_loops(x, window):
    """U(x), one number at a time."""
    (kh, kw), (sh, sw), (ph, pw) = window
    n, height, width, channels = x.shape
    ho, wo = (height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1
    out = numpy.zeros((n, ho, wo, kh, kw, channels))
    for p, q, i, j in numpy.ndindex(ho, wo, kh, kw):
        row, column = p * sh + i - ph, q * sw + j - pw
        if 0 <= row < height and 0 <= column < width:
            out[:, p, q, i, j] = x[:, row, column]
    return out


@given(data=st.data(), rng=generators, window=windows(), n=sizes, c_in=sizes, c_out=sizes)
def test_convolution_and_its_adjoints(data, rng, window, n, c_in, c_out):
    x = rng.standard_normal((n, *data.draw(image_sizes(window)), c_in))
    weight = rng.standard_normal((*window.kernel, c_in, c_out))
    patches = patches_by_loops(x, window)
    numpy.testing.assert_array_equal(READABLE.unfold(x, window), patches)
    y, kept = READABLE.conv(x, weight, window)
    numpy.testing.assert_allclose(
        y, numpy.einsum("npqijc,ijco->npqo", patches, weight), rtol=1e-10, atol=1e-12
    )
    assert y.shape == (n, *window.output_size(*x.shape[1:3]), c_out)
    # A linear map in x and in W each: ⟨conv(x, W), dy⟩ = ⟨x, dx⟩ = ⟨W, dW⟩ for every x, W and dy.
    dy = rng.standard_normal(y.shape)
    product = pytest.approx((y * dy).sum(), rel=1e-9, abs=1e-9)
    assert (x * READABLE.conv_input_grad(dy, weight, x.shape, window)).sum() == product
    assert (weight * READABLE.conv_weight_grad(kept, dy, window)).sum() == product
    numpy.testing.assert_array_equal(
        READABLE.conv_weight_grad(READABLE.conv_keep(x, window), dy, window),
        READABLE.conv_weight_grad(kept, dy, window),
    )


@given(data=st.data(), rng=generators, window=windows(), n=sizes, c=sizes)
def test_folding_is_the_adjoint_of_unfolding(data, rng, window, n, c):
    x = rng.standard_normal((n, *data.draw(image_sizes(window)), c))
    unfolded = READABLE.unfold(x, window)
    p = rng.standard_normal(unfolded.shape)
    folded = READABLE.fold(p, x.shape, window)
    assert folded.shape == x.shape
    assert (unfolded * p).sum() == pytest.approx((x * folded).sum(), rel=1e-10, abs=1e-10)


def test_folding_ones_counts_how_often_a_pixel_is_seen():
    window = Window((2, 2), (1, 1), (0, 0))
    counts = READABLE.fold(numpy.ones((1, 2, 2, 2, 2, 1)), (1, 3, 3, 1), window)
    numpy.testing.assert_array_equal(counts[0, :, :, 0], [[1, 2, 1], [2, 4, 2], [1, 2, 1]])


@given(
    rng=generators, shape=st.one_of(st.tuples(sizes, sizes), st.tuples(sizes, sizes, sizes, sizes))
)
def test_sums_and_moments_per_feature(rng, shape):
    a, b = rng.standard_normal((2, *shape))
    axes = tuple(range(len(shape) - 1))
    close = {"rtol": 1e-10, "atol": 1e-12}
    numpy.testing.assert_allclose(READABLE.sum_rows(a), a.sum(axis=axes), **close)
    numpy.testing.assert_allclose(READABLE.sum_products(a, b), (a * b).sum(axis=axes), **close)
    mean, variance = READABLE.moments(a)
    numpy.testing.assert_allclose(mean, a.mean(axis=axes), **close)
    numpy.testing.assert_allclose(variance, a.var(axis=axes), **close)


def test_the_variance_of_large_numbers_is_not_lost():
    """E[x²] - E[x]² would cancel to nothing in float32; the mean of squared differences doesn't."""
    x = (1000 + numpy.random.default_rng(0).standard_normal((1000, 1))).astype("float32")
    assert READABLE.moments(x)[1][0] == pytest.approx(x.astype("float64").var(), rel=1e-4)


def test_standardising_by_hand():
    x = numpy.array([[1.0, 10.0], [3.0, 30.0]])
    x_hat, y = READABLE.standardise(
        x,
        numpy.array([2.0, 20.0]),
        numpy.array([1.0, 0.1]),
        numpy.array([5.0, 1.0]),
        numpy.array([0.0, 7.0]),
    )
    numpy.testing.assert_allclose(x_hat, [[-1, -1], [1, 1]])
    numpy.testing.assert_allclose(y, [[-5, 6], [5, 8]])
    dx = READABLE.standardise_grad(
        x, x_hat, numpy.array([2.0, 1.0]), numpy.array([0.5, 0.0]), numpy.array([0.0, 3.0])
    )
    numpy.testing.assert_allclose(dx, [[1, 13], [5, 27]])


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leaky_relu(slope, dtype):
    x = numpy.array([-2.0, -0.25, -0.0, 0.0, 0.25, 3.0], dtype)
    factor = numpy.dtype(dtype).type(slope)
    y = READABLE.leaky_relu(x, slope)
    numpy.testing.assert_array_equal(
        y, numpy.array([-2 * factor, -0.25 * factor, 0, 0, 0.25, 3], dtype)
    )
    dx = READABLE.leaky_relu_grad(numpy.full(6, 5, dtype), y, slope)
    numpy.testing.assert_array_equal(dx, numpy.array([5 * factor] * 4 + [5] * 2, dtype))
    assert y.dtype == dx.dtype == dtype


def test_adam_by_single_numbers():
    rng = numpy.random.default_rng(0)
    theta, lr, beta1, beta2, eps = rng.standard_normal(4), 0.1, 0.5, 0.999, 1e-8
    expected = theta.copy()
    m, v = numpy.zeros(4), numpy.zeros(4)
    moments = [(0.0, 0.0)] * 4
    for t in (1, 2, 3):
        g = rng.standard_normal(4)
        READABLE.adam(theta, g, m, v, lr=lr, betas=(beta1, beta2), eps=eps, t=t)
        for k in range(4):
            first = beta1 * moments[k][0] + (1 - beta1) * g[k]
            second = beta2 * moments[k][1] + (1 - beta2) * g[k] ** 2
            moments[k] = first, second
            corrected = (first / (1 - beta1**t)) / (math.sqrt(second / (1 - beta2**t)) + eps)
            expected[k] -= lr * corrected
    numpy.testing.assert_allclose(theta, expected, rtol=1e-12)


# ---------------------------------------------------------------- normalisation of samples


def standardised(x, gamma, beta, eps):
    """The definition, one set of numbers after another."""
    x_hat, inverse_s = numpy.empty_like(x), numpy.empty((x.shape[0], 1, x.shape[2]))
    for n, c in numpy.ndindex(x.shape[0], x.shape[2]):
        one = x[n, :, c]
        inverse_s[n, 0, c] = (one.var() + eps) ** -0.5
        x_hat[n, :, c] = (one - one.mean()) * inverse_s[n, 0, c]
    return x_hat, gamma * x_hat + beta, inverse_s


@pytest.mark.parametrize("shape", [(5, 1), (1, 3), None])
@given(rng=generators)
def test_standardising_samples(shape, rng):
    x, dy, v, w = rng.standard_normal((4, 2, 5, 3 if shape != (5, 1) else 1))
    gamma, beta = (None, None) if shape is None else rng.standard_normal((2, *shape))
    scale, shift = (1.0, 0.0) if shape is None else (gamma, beta)
    x_hat, y, inverse_s = READABLE.standardise_samples(x, gamma, beta, 0.1)
    expected = standardised(x, scale, shift, 0.1)
    for one, other in zip((x_hat, y, inverse_s), expected, strict=True):
        numpy.testing.assert_allclose(one, other, rtol=1e-10, atol=1e-12)
    # ⟨dx, v⟩ is the slope of ⟨y, dy⟩ along v, and that of ⟨v, dx⟩ along w is ⟨twice, w⟩.
    h = 1e-6

    def dx_at(x):
        x_hat, _, inverse_s = standardised(x, scale, shift, 0.1)
        return READABLE.standardise_samples_grad(dy, x_hat, inverse_s, gamma)

    slope = (standardised(x + h * v, scale, shift, 0.1)[1] - standardised(x - h * v, scale, shift, 0.1)[1]) / (2 * h)  # fmt: skip
    assert (dx_at(x) * v).sum() == pytest.approx((slope * dy).sum(), rel=1e-6, abs=1e-7)
    twice = READABLE.standardise_samples_grad_twice(v, dy, x_hat, inverse_s, gamma)
    change = ((dx_at(x + h * w) - dx_at(x - h * w)) * v).sum() / (2 * h)
    assert (twice * w).sum() == pytest.approx(change, rel=1e-5, abs=1e-6)


def test_neighbouring_columns_are_standardised_together():
    rng = numpy.random.default_rng(0)
    x, dy, v = rng.standard_normal((3, 2, 5, 6))
    gamma, beta = rng.standard_normal((2, 1, 6))

    def together(x):  # two columns of three numbers each: (2, 5, 6) -> (2, 15, 2)
        return x.reshape(2, 5, 2, 3).transpose(0, 1, 3, 2).reshape(2, 15, 2)

    x_hat, y, inverse_s = READABLE.standardise_samples(x, gamma, beta, 0.1, each=3)
    hats, _, of_sets = standardised(together(x), 1.0, 0.0, 0.1)
    numpy.testing.assert_allclose(together(x_hat), hats)
    numpy.testing.assert_allclose(y, gamma * x_hat + beta)
    assert inverse_s.shape == (2, 1, 6)
    numpy.testing.assert_allclose(inverse_s, of_sets.repeat(3, axis=2))
    dx = READABLE.standardise_samples_grad(dy, x_hat, inverse_s, gamma, each=3)
    of_sets_dx = READABLE.standardise_samples_grad(together(gamma * dy), hats, of_sets, None)
    numpy.testing.assert_allclose(together(dx), of_sets_dx)
    twice = READABLE.standardise_samples_grad_twice(v, dy, x_hat, inverse_s, gamma, each=3)
    numpy.testing.assert_allclose(
        together(twice),
        READABLE.standardise_samples_grad_twice(
            together(v), together(gamma * dy), hats, of_sets, None
        ),
        atol=1e-12,
    )


def test_rows_are_summed_by_label():
    rows = numpy.array([[1.0, 2], [3, numpy.inf], [5, 6]])
    total = READABLE.sum_labelled(rows, numpy.array([2, 0, 2]), 4)
    assert total.tolist() == [[3, numpy.inf], [0, 0], [6, 8], [0, 0]]
    assert READABLE.sum_labelled(rows[:0], numpy.array([], int), 2).tolist() == [[0, 0]] * 2


def test_the_largest_of_numbers_with_nan_is_nan():
    x = numpy.array([1.0, numpy.nan, 3.0]).reshape(1, 1, 3, 1)
    y, largest = READABLE.max_pool(x, Window((1, 3), (1, 3), (0, 0)))
    assert numpy.isnan(y).all()
    assert largest.item() == 1


# ---------------------------------------------------------------- sizes, borders, filters, pools


def test_pixels_are_repeated_and_their_cotangents_summed():
    x = numpy.array([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
    y = READABLE.upsample(x, (2, 3))
    assert y[0, :, :, 0].tolist() == [[1, 1, 1, 2, 2, 2]] * 2 + [[3, 3, 3, 4, 4, 4]] * 2
    dy = numpy.arange(24.0).reshape(1, 4, 6, 1)
    dx = READABLE.upsample_grad(dy, (2, 3))
    assert dx[0, :, :, 0].tolist() == [[24, 42], [96, 114]]
    two = numpy.concatenate([dy, 10 * dy], axis=3)
    assert READABLE.upsample_grad(two, (2, 3))[0, :, :, 1].tolist() == [[240, 420], [960, 1140]]


def taps_by_loops(x, weight, stride, dilation):
    (kh, kw, each, out), (sh, sw), (dh, dw) = weight.shape, stride, dilation
    groups = x.shape[3] // each
    ho, wo = (x.shape[1] - (kh - 1) * dh - 1) // sh + 1, (x.shape[2] - (kw - 1) * dw - 1) // sw + 1
    y = numpy.zeros((x.shape[0], ho, wo, out))
    for p, q, i, j, o in numpy.ndindex(ho, wo, kh, kw, out):
        first = o // (out // groups) * each
        seen = x[:, p * sh + i * dh, q * sw + j * dw, first : first + each]
        y[:, p, q, o] += seen @ weight[i, j, :, o]
    return y


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation"), [((1, 1), (1, 1)), ((2, 1), (1, 2)), ((1, 2), (2, 1))])  # fmt: skip
@pytest.mark.parametrize("out", [4, 8])
def test_dilated_and_grouped_convolution_and_its_adjoints(groups, stride, dilation, out):
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((2, 7, 8, 4))
    weight = rng.standard_normal((2, 3, 4 // groups, out))
    y = READABLE.conv_taps(x, weight, stride, dilation)
    numpy.testing.assert_allclose(y, taps_by_loops(x, weight, stride, dilation), atol=1e-12)
    dy = rng.standard_normal(y.shape)
    product = pytest.approx((y * dy).sum(), rel=1e-9)
    dx = READABLE.conv_taps_input_grad(dy, weight, x.shape, stride, dilation)
    dw = READABLE.conv_taps_weight_grad(x, dy, (2, 3), stride, dilation, groups)
    assert (x * dx).sum() == product
    assert (weight * dw).sum() == product
    # In every entry, as in the sum: each is the cotangent of one that is 1 alone.
    one, other = numpy.zeros_like(x), numpy.zeros_like(weight)
    one[1, 3, 4, 2], other[1, 2, -1, 3] = 1, 1
    assert dx[1, 3, 4, 2] == pytest.approx(
        (taps_by_loops(one, weight, stride, dilation) * dy).sum()
    )
    assert dw[1, 2, -1, 3] == pytest.approx((taps_by_loops(x, other, stride, dilation) * dy).sum())


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("zeros", [0, 0, 1, 2, 3, 4, 0]),
        ("reflect", [3, 2, 1, 2, 3, 4, 3]),
        ("replicate", [1, 1, 1, 2, 3, 4, 4]),
        ("circular", [3, 4, 1, 2, 3, 4, 1]),
    ],
)
def test_borders_and_their_adjoints(mode, expected):
    row = numpy.array([1.0, 2, 3, 4])
    for x, sides in (
        (row.reshape(1, 1, 4, 1), ((0, 0), (2, 1))),
        (row.reshape(1, 4, 1, 1), ((2, 1), (0, 0))),
    ):
        assert READABLE.pad(x, sides, mode).ravel().tolist() == expected
    # Each entry of dx is the sum of dy over the copies of its pixel.
    weights = 10.0 ** numpy.arange(7)
    sums = [weights[numpy.array(expected) == value].sum() for value in (1, 2, 3, 4)]
    dx = READABLE.pad_grad(weights.reshape(1, 1, 7, 1), ((0, 0), (2, 1)), mode)
    assert dx.ravel().tolist() == sums
    dx = READABLE.pad_grad(weights.reshape(1, 7, 1, 1), ((2, 1), (0, 0)), mode)
    assert dx.ravel().tolist() == sums


@pytest.mark.parametrize(("taps", "factor"), [((1, 2, 3, 4), 2), ((1, 2, 3), 1), ((1, 2, 3, 4, 5), 2), ((2, 1, 5), 3)])  # fmt: skip
@pytest.mark.parametrize("axis", [1, 2])
def test_filters_that_change_the_size(taps, factor, axis):
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((2, 6, 6, 3))
    before = (len(taps) - factor + 1) // 2
    line = numpy.moveaxis(x, axis, 0)
    y = numpy.zeros((6 // factor, *line.shape[1:]))
    for p, t in numpy.ndindex(len(y), len(taps)):
        if 0 <= factor * p + t - before < 6:
            y[p] += taps[t] * line[factor * p + t - before]
    found = READABLE.decimate(x, taps, factor, axis)
    numpy.testing.assert_allclose(found, numpy.moveaxis(y, 0, axis), atol=1e-12)
    small = rng.standard_normal(found.shape)
    spread = READABLE.interpolate(small, taps, factor, axis)
    assert spread.shape == x.shape
    assert (spread * x).sum() == pytest.approx((small * found).sum(), rel=1e-9)


@given(rng=generators)
def test_pools_and_their_adjoints(rng):
    x = rng.integers(-3, 3, (2, 5, 6, 2)).astype("float64")
    window = Window((2, 3), (2, 1), (0, 1))
    y, largest = READABLE.max_pool(x, window)
    mean = READABLE.average_pool(x, window)
    around = numpy.full((2, 5, 8, 2), -numpy.inf)
    around[:, :, 1:7] = x
    dy, v = rng.standard_normal(y.shape), rng.standard_normal(x.shape)
    dx, taken = numpy.zeros_like(around), numpy.zeros_like(y)
    of_v = numpy.zeros_like(around)
    of_v[:, :, 1:7] = v
    for n, p, q, c in numpy.ndindex(y.shape):
        patch = around[n, 2 * p : 2 * p + 2, q : q + 3, c]
        tap = int(patch.argmax())  # the first of equals
        assert y[n, p, q, c] == patch.max()
        assert largest[n, p, q, c] == tap
        assert mean[n, p, q, c] == pytest.approx(patch[numpy.isfinite(patch)].sum() / 6)
        row, column = 2 * p + tap // 3, q + tap % 3
        dx[n, row, column, c] += dy[n, p, q, c]
        taken[n, p, q, c] = of_v[n, row, column, c]
    found = READABLE.max_pool_grad(dy, largest, x.shape, window)
    numpy.testing.assert_allclose(found, dx[:, :, 1:7], atol=1e-12)
    numpy.testing.assert_allclose(READABLE.max_pool_take(v, largest, window), taken, atol=1e-12)
    back = READABLE.average_pool_grad(dy, x.shape, window)
    assert (back * v).sum() == pytest.approx((READABLE.average_pool(v, window) * dy).sum())


# ---------------------------------------------------------------- entry by entry


def test_functions_of_each_entry_by_hand():
    x, bias = numpy.array([[-2.0, 0.5], [1.0, -0.25]]), numpy.array([1.0, -0.5])
    moved = x + bias
    assert READABLE.bias_leaky_relu(x, bias, 0.5).tolist() == [[-0.5, 0], [2, -0.375]]
    numpy.testing.assert_allclose(READABLE.bias_tanh(x, bias), numpy.tanh(moved))
    sigmoid = 1 / (1 + numpy.exp(-moved))
    numpy.testing.assert_allclose(READABLE.bias_sigmoid(x, bias), sigmoid, rtol=1e-14)
    numpy.testing.assert_allclose(READABLE.sigmoid(moved), sigmoid, rtol=1e-14)
    assert READABLE.mean_probability(moved) == pytest.approx(sigmoid.mean(), rel=1e-14)
    mask = numpy.array([[0.0, 2.0], [0.5, 0.0]])
    spoilt = numpy.array([[numpy.inf, 3.0], [4.0, numpy.nan]])
    assert READABLE.masked(spoilt, mask).tolist() == [[0, 6], [2, 0]]
    READABLE.zero(x)
    assert (x == 0).all()
    READABLE.shrink(bias, 0.5, 0.25)
    assert bias.tolist() == [0.875, -0.4375]


def test_a_dropout_mask_is_drawn_from_the_generator():
    rng = numpy.random.default_rng
    mask = READABLE.dropout_mask((50, 40), 0.2, "float64", rng(1))
    expected = (rng(1).random((50, 40), dtype="float32") >= 0.2) / 0.8
    numpy.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize("target", [0.0, 1.0, 0.9, None])
def test_the_loss_on_logits_by_hand(target):
    logits = numpy.array([[-3.0], [-0.25], [0.0], [0.25], [3.0]])
    t = numpy.linspace(0, 1, 5)[:, None] if target is None else target
    probability = 1 / (1 + numpy.exp(-logits))
    loss, d = READABLE.bce_with_logits(logits, t)
    expected = -(t * numpy.log(probability) + (1 - t) * numpy.log(1 - probability)).mean()
    assert loss == pytest.approx(expected, rel=1e-12)
    numpy.testing.assert_allclose(d, (probability - t) / 5, rtol=1e-12)


def test_what_only_a_gpu_can_do_is_refused():
    assert READABLE.threads == 1
    READABLE.set_precision("float32")
    with pytest.raises(ValueError, match="Precision 'tf32' needs device 'cuda', got 'cpu'"):
        READABLE.set_precision("tf32")
    with pytest.raises(ValueError, match="needs players on device 'cuda', but they are on 'cpu'"):
        READABLE.record(print, optimizers=[])


# ---------------------------------------------------------------- windows


def test_pairs():
    assert pair("stride", 2, minimum=1) == (2, 2)
    assert pair("stride", (2, 3), minimum=1) == (2, 3)
    assert pair("stride", [2, 3], minimum=1) == (2, 3)
    for bad in (0, (1, 0), (1, 2, 3), 1.5, "2", None, (1.0, 1)):
        with pytest.raises(
            ValueError, match=r"stride must be an integer >= 1 or a pair of them, got"
        ):
            pair("stride", bad, minimum=1)


def test_output_sizes():
    assert Window((4, 3), (2, 1), (1, 0)).output_size(28, 5) == (14, 3)


# ---------------------------------------------------------------- devices


def test_the_backend_of_an_array():
    for x in (numpy.ones(3), numpy.float32(3), numpy.zeros((0, 2), int)):
        assert backend.of(x) is backend.get("cpu")
        assert backend.device_of(x) == "cpu"
    assert backend.get("cpu").xp is numpy
    assert backend.same_device(numpy.ones(2), numpy.ones(3))
    x = numpy.ones(3)
    assert backend.to_numpy(x) is x
    assert backend.get("cpu").asarray(x, dtype="float32").dtype == "float32"
    for bad in ([1.0], 3.0, None, "x"):
        with pytest.raises(
            TypeError, match=rf"NumPy or CuPy array, got {type(bad).__name__}; convert it"
        ):
            backend.of(bad)


def test_an_array_class_may_name_its_backend():
    own = backend.Reference(numpy, "mine")
    array = types.SimpleNamespace(__minigan_backend__=own)
    assert backend.of(array) is own
    assert not backend.same_device(array, numpy.ones(1))
    assert backend.get(own) is own


def test_unknown_devices_are_refused():
    with pytest.raises(ValueError, match="Unknown device 'gpu'; use 'auto', 'cpu' or 'cuda'"):
        backend.get("gpu")


def no_cupy():
    raise ValueError("CuPy is not installed.")


def cupy_with(count):
    def get_device_count():
        if isinstance(count, Exception):
            raise count
        return count

    runtime = types.SimpleNamespace(getDeviceCount=get_device_count)
    zeros = lambda n: numpy.zeros(n)  # noqa: E731
    return lambda: types.SimpleNamespace(cuda=types.SimpleNamespace(runtime=runtime), zeros=zeros)


@pytest.mark.parametrize(
    ("importer", "why"),
    [
        (no_cupy, "CuPy is not installed"),
        (cupy_with(0), "no CUDA device was found"),
        (cupy_with(RuntimeError("driver too old.")), "driver too old; use device 'cpu'"),
        (cupy_with(RuntimeError()), "RuntimeError"),
    ],
)
def test_without_a_device_that_answers_auto_is_the_cpu(monkeypatch, importer, why):
    monkeypatch.setattr(devices, "_import_cupy", importer)
    assert backend.resolve("auto") == "cpu"
    assert backend.get("auto") is backend.get("cpu")
    with pytest.raises(ValueError, match=why) as caught:
        backend.resolve("cuda")
    assert "\n" not in str(caught.value)


def test_with_a_device_that_answers_auto_is_cuda(monkeypatch):
    monkeypatch.setattr(devices, "_import_cupy", cupy_with(1))
    assert backend.resolve("auto") == backend.resolve("cuda") == "cuda"
    assert backend.resolve("cpu") == "cpu"


# ---------------------------------------------------------------- computing with the readable one

STEP = """
import sys, numpy
from minigan import backend, losses, nn, optim
from minigan.backend import reference

lines = []

def note(frame, event, argument):
    if frame.f_code.co_filename != reference.__file__:
        return None
    if event == "line":
        lines.append(frame.f_code.co_name)
    return note

rng = numpy.random.default_rng(0)
net = nn.Sequential(
    nn.Conv2d(1, 4, kernel_size=3, rng=rng), nn.BatchNorm(4), nn.LeakyReLU(), nn.Flatten(),
    nn.Linear(16, 1, rng=rng),
)
optimizer = optim.Adam(net)
before = net.flat().value.copy()
sys.settrace(note)
y, cache = net.forward(rng.standard_normal((5, 4, 4, 1), "float32"))
net.backward(losses.bce_with_logits(y, 1.0)[1], cache)
optimizer.step()
sys.settrace(None)
assert type(backend.get("cpu")) is backend.Reference is type(backend.of(y))
assert net.to(backend.get("cpu")) is net
assert (net.flat().value != before).mean() > 0.8
print(*sorted(set(lines)))
"""


def test_a_debugger_stops_in_the_readable_version_where_that_computes():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STEP],
        capture_output=True, text=True, check=False, env=os.environ | {"MINIGAN_FAST": "reference"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    read = {"conv", "unfold", "conv_weight_grad", "moments", "standardise", "leaky_relu"}
    assert read <= set(done.stdout.split())


def test_a_net_obeys_a_backend_or_refuses_it():
    net = nn.Linear(3, 2)
    with pytest.raises(ValueError, match="set MINIGAN_FAST=reference in the environment"):
        net.to(backend.Reference(numpy, "cpu"))
    assert net.to(backend.get("cpu")) is net

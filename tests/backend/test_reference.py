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
    x = numpy.array([-2.0, -0.0, 0.0, 3.0], dtype)
    y = READABLE.leaky_relu(x, slope)
    numpy.testing.assert_array_equal(
        y, numpy.array([-2 * numpy.dtype(dtype).type(slope), 0, 0, 3], dtype)
    )
    dx = READABLE.leaky_relu_grad(numpy.full(4, 5, dtype), y, slope)
    numpy.testing.assert_array_equal(
        dx, numpy.array([5 * numpy.dtype(dtype).type(slope)] * 3 + [5], dtype)
    )
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
    raise ValueError("Device 'cuda' needs CuPy, which is not installed; use device 'cpu'.")


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
        (no_cupy, "needs CuPy"),
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

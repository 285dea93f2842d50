"""Every fast primitive of the CPU against its readable twin, and against itself."""

import concurrent.futures
import contextlib
import functools
import math
import os
import subprocess
import sys

import numpy
import pytest
from fast_backends import KINDS, Fast, make, small_work
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from strategies import generators

from minigan import backend, losses, nn
from minigan.backend.cpu import CpuBackend, winograd
from minigan.backend.cpu import primitives as cpu
from minigan.backend.cpu.malloc import Malloc
from minigan.backend.window import Window

REFERENCE = backend.Reference(numpy, "cpu")
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}
DTYPES = st.sampled_from(["float64", "float32"])
LAYOUTS = st.sampled_from(
    ["contiguous", "reversed", "sliced", "transposed", "read-only", "odd strides"]
)
THREADS = st.sampled_from([None, 1, 2, 3, 7])
"""None for the usual number and sizes; with a number, small arrays are cut and shared, too."""


@pytest.fixture(scope="module", params=KINDS)
def fast(request):
    """Each of the fast backends, as a function of the number of threads."""
    backends = Fast(request.param)
    yield backends
    backends.close()


@contextlib.contextmanager
def _with_threads(fast, threads, *, eager=False):
    if threads is None:
        yield fast()
    else:
        with small_work(fast.kind, eager=eager):
            yield fast(threads)


def _drawn(rng, shape, dtype, layout="contiguous"):
    """Random numbers of a shape, laid out in memory in one of several ways."""
    if layout == "sliced":
        return rng.standard_normal((shape[0], *(2 * n for n in shape[1:]))).astype(dtype)[
            (slice(None), *(slice(None, None, 2) for _ in shape[1:]))
        ]
    if layout == "transposed":
        return rng.standard_normal(shape[::-1]).astype(dtype).T
    x = rng.standard_normal(shape).astype(dtype)
    if layout == "odd strides":
        # Contiguous by its flags: along an axis of length 1 the stride says nothing.
        strides = (
            7 * x.nbytes if n == 1 else step for n, step in zip(shape, x.strides, strict=True)
        )
        return numpy.lib.stride_tricks.as_strided(x, shape, tuple(strides))
    x.flags.writeable = layout != "read-only"
    return x[::-1] if layout == "reversed" else x


def _assert_close(ours, theirs, dtype, scale=1.0):
    assert ours.shape == theirs.shape
    assert ours.dtype == dtype
    error = numpy.abs(ours - theirs).max(initial=0)
    assert error <= scale * TOLERANCE[dtype] * max(1.0, numpy.abs(theirs).max(initial=0))


def _assert_rounded_alike(ours, theirs):
    """Compare root mean squares: the largest of so many errors depends on the seed."""
    assert (ours.shape, ours.dtype) == (theirs.shape, "float32")
    assert numpy.sqrt(((ours - theirs) ** 2).mean() / (theirs**2).mean()) < 1.4e-6


def _window(draw):
    pair = st.tuples
    return Window(
        draw(
            st.one_of(
                *map(st.just, [(3, 3), (4, 4), (5, 5)]), pair(st.integers(1, 5), st.integers(1, 5))
            )
        ),
        draw(
            st.one_of(st.just((2, 2)), st.just((1, 1)), pair(st.integers(1, 3), st.integers(1, 3)))
        ),
        draw(pair(st.integers(0, 2), st.integers(0, 2))),
    )


@st.composite
def convolutions(draw):
    window = _window(draw)
    n, height, width = draw(st.integers(1, 5)), draw(st.integers(1, 14)), draw(st.integers(1, 14))
    channels = st.sampled_from([1, 3, 8, 32, 40, 130])
    assume(min(window.output_size(height, width)) >= 1)
    return window, (n, height, width, draw(channels)), draw(channels)


@settings(max_examples=80)
@given(
    convolutions(), DTYPES, LAYOUTS, st.booleans(), THREADS, st.booleans(), st.integers(0, 2**32)
)
@example(
    (Window((3, 3), (1, 1), (0, 0)), (1, 14, 14, 2), 1), "float32", "odd strides", False, 1, True, 0
)
def test_a_convolution_and_its_gradients_equal_the_readable_ones(
    fast, case, dtype, layout, with_bias, threads, eager, seed
):
    """`eager`: Winograd's form also where so few images don't pay for it."""
    with _with_threads(fast, threads, eager=eager) as ops:
        _check_convolution(ops, case, dtype, layout, with_bias, seed)


def _check_convolution(ops, case, dtype, layout, with_bias, seed):
    window, shape, channels = case
    rng = numpy.random.default_rng(seed)
    x, weight = (
        _drawn(rng, shape, dtype, layout),
        _drawn(rng, (*window.kernel, shape[3], channels), dtype),
    )
    y_bias, x_bias = (
        rng.standard_normal(c).astype(dtype) if with_bias else None for c in (channels, shape[3])
    )
    dy = _drawn(rng, (shape[0], *window.output_size(*shape[1:3]), channels), dtype, layout)
    exact = [a.astype("float64") for a in (x, weight, dy)]
    y, kept = ops.conv(x, weight, window, y_bias)
    expected, patches = REFERENCE.conv(exact[0], exact[1], window, y_bias)
    _assert_close(y, expected, dtype)
    for keeping in (kept, ops.conv_keep(x, window)):
        dw = ops.conv_weight_grad(keeping, dy, window)
        _assert_close(dw, REFERENCE.conv_weight_grad(patches, exact[2], window), dtype)
    dx = ops.conv_input_grad(dy, weight, list(shape), window, x_bias)
    _assert_close(dx, REFERENCE.conv_input_grad(exact[2], exact[1], shape, window, x_bias), dtype)


@pytest.mark.parametrize("n", [1, 33, 64])
def test_large_convolutions_take_winograds_form_and_agree_too(fast, n):
    rng = numpy.random.default_rng(0)
    window, shape, channels = Window((4, 4), (2, 2), (1, 1)), (n, 16, 15, 64), 96
    assert (winograd.plan(window, shape, channels) is None) == (n == 1), (
        "one image isn't worth a kernel's transform"
    )
    x, weight = _drawn(rng, shape, "float32"), _drawn(rng, (4, 4, 64, 96), "float32")
    y, kept = fast().conv(x, weight, window)
    expected, patches = REFERENCE.conv(x.astype("float64"), weight.astype("float64"), window)
    _assert_rounded_alike(y, expected)
    dw = REFERENCE.conv_weight_grad(patches, y.astype("float64"), window)
    _assert_rounded_alike(fast().conv_weight_grad(kept, y, window), dw)
    dx = REFERENCE.conv_input_grad(y.astype("float64"), weight.astype("float64"), shape, window)
    _assert_rounded_alike(fast().conv_input_grad(y, weight, shape, window), dx)


def test_nothing_is_convolved_with_nothing(fast):
    window, weight = Window((4, 4), (2, 2), (1, 1)), numpy.ones((4, 4, 32, 32), "float32")
    y, kept = fast().conv(numpy.ones((0, 8, 8, 32), "float32"), weight, window)
    assert y.shape == (0, 4, 4, 32)
    numpy.testing.assert_array_equal(fast().conv_weight_grad(kept, y, window), 0 * weight)
    assert fast().conv_input_grad(y, weight, (0, 8, 8, 32), window).shape == (0, 8, 8, 32)


@pytest.mark.parametrize("channels", [32, 96], ids=["compared at once", "compared by threads"])
def test_a_kernel_that_was_changed_in_place_is_transformed_anew(fast, channels):
    rng = numpy.random.default_rng(0)
    window, x = Window((4, 4), (2, 2), (1, 1)), _drawn(rng, (512, 8, 8, channels), "float64")
    weight = _drawn(rng, (4, 4, channels, channels), "float64")
    assert (weight.size > cpu.CACHE) == (channels == 96)
    assert winograd.plan(window, x.shape, channels) is not None
    before, _ = fast().conv(x, weight, window)
    again, _ = fast().conv(x, weight, window)
    numpy.testing.assert_array_equal(before, again)
    weight[-1, -1, -1, -1] += 1  # the last number of all
    _assert_close(
        fast().conv(x, weight, window)[0], REFERENCE.conv(x, weight, window)[0], "float64"
    )


@pytest.mark.parametrize("size", [1, 3, 7, 30])
def test_a_team_of_any_size_convolves_alike(monkeypatch, fast, size):
    """25 points, 48 columns: one does all, three do eight points each and share one, of seven each
    does three, 30 do columns only.
    """
    ops, rng = fast(size), numpy.random.default_rng(0)
    window, shape = Window((4, 4), (2, 2), (1, 1)), (17, 16, 15, 32)
    kind = type(ops._plan(window, (64, 16, 16, 128), 128))
    form = kind(window, (4, 4), shape[1:], (8, 7, 48))
    assert form.points == 25
    monkeypatch.setattr(ops, "_plan", lambda *_: form)
    x, weight, dy = (_drawn(rng, s, "float64") for s in (shape, (4, 4, 32, 48), (17, 8, 7, 48)))
    y, kept = ops.conv(x, weight, window)
    expected, patches = REFERENCE.conv(x, weight, window)
    _assert_close(y, expected, "float64")
    dw = REFERENCE.conv_weight_grad(patches, dy, window)
    _assert_close(ops.conv_weight_grad(kept, dy, window), dw, "float64")
    dx = REFERENCE.conv_input_grad(dy, weight, shape, window)
    _assert_close(ops.conv_input_grad(dy, weight, shape, window), dx, "float64")


def test_scratch_memory_holds_zeros_but_for_what_its_owner_wrote():
    scratch = winograd.Scratch()

    def margin(owner, n, dtype="float32", width=3):
        """The zeros beside the first column, which the owner writes to, as a convolution writes an
        image.
        """
        array = scratch.with_zeros("a", owner, (n, width), dtype)
        array[:, 0] = 7
        return array[:, 1:].copy()

    calls = [
        ("x", 2),
        ("x", 1),
        ("x", 2),
        ("y", 1, "float32", 6),
        ("x", 2),
        ("x", 4),
        ("z", 1),
        ("x", 4, "float64"),
    ]
    for call in calls:
        assert not margin(*call).any(), call
        scratch.room("b", (100,), "float32").fill(1)
    scratch.with_zeros("a", "z", (4, 3), "float64").fill(1)
    for n in (1, 4):
        assert not margin("x", n, "float64").any(), (
            "what another owner left, beyond the first image too"
        )


def test_held_kernels_stay_within_their_limit():
    maps, form = (
        winograd.KernelMaps(limit=1000),
        winograd.Winograd(Window((4, 4), (2, 2), (1, 1)), (4, 4), (8, 8, 1), (4, 4, 1)),
    )
    made = []

    def make(room):
        made.append(room)
        return weight.copy(), numpy.zeros(50)

    weights = [numpy.full(50, float(i)) for i in range(3)]
    for weight in (weights[0], weights[1], weights[1], weights[0], weights[2]):
        maps.get(form, weight, "float64", make, numpy.array_equal)
    assert len(made) == 5 - 1, "only the newest fits beside none: 800 bytes each"
    maps.clear()
    maps.get(form, weights[2], "float64", make, numpy.array_equal)
    assert len(made) == 5


@given(
    st.sampled_from([(2, 2), (2, 3), (2, 4), (3, 2), (3, 3), (3, 4), (5, 2)]), st.integers(0, 2**32)
)
def test_one_axis_of_winograds_form_is_a_correlation(sizes, seed):
    taps, outputs = sizes
    a, g, b = winograd.matrices(outputs, taps)
    rng = numpy.random.default_rng(seed)
    kernel, signal = rng.standard_normal(taps), rng.standard_normal(outputs + taps - 1)
    numpy.testing.assert_allclose(
        a @ ((g @ kernel) * (b @ signal)),
        numpy.correlate(signal, kernel, "valid"),
        rtol=1e-12,
        atol=1e-12,
    )


@given(
    st.sampled_from([(4, 2), (3, 1), (5, 2), (5, 1), (3, 2)]),
    st.integers(2, 4),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**32),
)
def test_the_transposed_maps_are_the_transposes(kernel, outputs, height, width, seed):
    (size, stride), channels, n = kernel, 2, 3
    window = Window((size, size), (stride, stride), (1, 1))
    assume(outputs + winograd.taps(window)[0] - 1 in winograd.POINTS)
    result = window.output_size(height, width)
    assume(min(result) >= 1)
    form = winograd.Winograd(
        window, (outputs, outputs), (height, width, channels), (*result, channels)
    )
    rng = numpy.random.default_rng(seed)
    x, v = (
        rng.standard_normal(s)
        for s in ((n, height, width, channels), (form.points, n * form.tiles, form.block))
    )
    weight, u = (
        rng.standard_normal((*s, channels))
        for s in ((size, size, channels), (form.points, form.block))
    )
    y, m = (
        rng.standard_normal((*s, channels)) for s in ((n, *result), (form.points, n * form.tiles))
    )

    def inner(source, target, forward, transposed):
        there, back = numpy.empty_like(target), numpy.empty_like(source)
        forward(source, there)
        transposed(target, back)
        assert math.isclose(
            (there * target).sum(), (source * back).sum(), rel_tol=1e-9, abs_tol=1e-9
        )

    def kernel_map(source, out):
        for part in form.parts(3):
            form.kernel_map(source, out, part)

    def kernel_map_transposed(source, out):
        for row, columns in form.parts(3):
            form.kernel_map_transposed(
                form.channels(source, 1)[:, row, columns], out, (row, columns)
            )

    scratch = winograd.Scratch()
    image_map, image_map_transposed, result_map, result_map_transposed = (
        functools.partial(way, scratch=scratch)
        for way in (
            form.image_map,
            form.image_map_transposed,
            form.result_map,
            form.result_map_transposed,
        )
    )
    inner(x, v, image_map, image_map_transposed)
    inner(weight, u, kernel_map, kernel_map_transposed)
    inner(m, y, result_map, result_map_transposed)


def test_the_chosen_points_round_less_than_the_textbooks(monkeypatch):
    def forget():
        winograd.factors.cache_clear()
        winograd.in_two_axes.cache_clear()

    def error():
        forget()
        rng = numpy.random.default_rng(0)
        window, shape = Window((4, 4), (2, 2), (1, 1)), (256, 16, 16, 32)
        assert winograd.plan(window, shape, 32).outputs == (4, 4)
        x, weight = _drawn(rng, shape, "float32"), _drawn(rng, (4, 4, 32, 32), "float32")
        exact, _ = REFERENCE.conv(x.astype("float64"), weight.astype("float64"), window)
        return numpy.linalg.norm(
            CpuBackend().conv(x, weight, window)[0] - exact
        ) / numpy.linalg.norm(exact)

    chosen = error()
    monkeypatch.setitem(winograd.POINTS, 5, (0.0, 1.0, -1.0, 2.0, math.inf))
    textbook = error()
    forget()
    assert chosen < 0.7 * textbook < 1e-5


SHAPES = st.one_of(
    st.sampled_from(
        [(1, 1), (7, 3), (300, 5), (2, 3, 3, 4), (5000, 40), (0, 3), (0, 20), (1, 70_000)]
    ),
    st.tuples(st.integers(1, 600), st.one_of(st.integers(1, 20), st.integers(129, 140))),
)


@given(SHAPES, DTYPES, LAYOUTS, THREADS, st.integers(0, 2**32))
def test_sums_and_normalisation_equal_the_readable_ones(fast, shape, dtype, layout, threads, seed):
    rng = numpy.random.default_rng(seed)
    x, dy = _drawn(rng, shape, dtype, layout), _drawn(rng, shape, dtype, layout)
    x = x * x.dtype.type(3) + x.dtype.type(5) if layout in ("contiguous", "transposed") else x
    count, channels = max(1, x.size // shape[-1]), shape[-1]
    exact_x, exact_dy = x.astype("float64"), dy.astype("float64")
    vectors = [rng.standard_normal(channels).astype(dtype) for _ in range(4)]
    with _with_threads(fast, threads) as ops:
        root = math.sqrt(count)
        _assert_close(ops.sum_rows(x), REFERENCE.sum_rows(exact_x), dtype, scale=root)
        _assert_close(
            ops.sum_products(x, dy), REFERENCE.sum_products(exact_x, exact_dy), dtype, scale=root
        )
        if shape[0]:
            for ours, theirs in zip(ops.moments(x), REFERENCE.moments(exact_x), strict=True):
                _assert_close(ours, theirs, dtype, scale=3)
        expected = REFERENCE.standardise(exact_x, *vectors)
        for ours, theirs in zip(ops.standardise(x, *vectors), expected, strict=True):
            _assert_close(ours, theirs, dtype)
        ours = ops.standardise_grad(dy, x, *vectors[:3])
        _assert_close(ours, REFERENCE.standardise_grad(exact_dy, exact_x, *vectors[:3]), dtype)


@given(
    st.tuples(
        st.integers(0, 5),
        st.one_of(st.integers(1, 40), st.integers(1, 400)),
        st.sampled_from([1, 1, 2, 3, 40, 127, 128, 130]),
    ),
    DTYPES, LAYOUTS, st.sampled_from(["none", "of each number", "of each column"]), THREADS,
    st.integers(0, 2**32),
)  # fmt: skip
def test_normalisation_of_samples_equals_the_readable_one(
    fast, shape, dtype, layout, affine, threads, seed
):
    rng = numpy.random.default_rng(seed)
    x, dy, v = (_drawn(rng, shape, dtype, layout) for _ in range(3))
    gamma, beta = (
        None
        if affine == "none"
        else _drawn(rng, (shape[1], 1) if affine == "of each number" else (1, shape[2]), dtype)
        for _ in range(2)
    )
    exact = [None if a is None else a.astype("float64") for a in (x, dy, v, gamma, beta)]
    expected = REFERENCE.standardise_samples(exact[0], exact[3], exact[4], 1e-2)
    x_hat, inverse_s = expected[0].astype(dtype), expected[2].astype(dtype)
    with _with_threads(fast, threads) as ops:
        for ours, theirs in zip(
            ops.standardise_samples(x, gamma, beta, 1e-2), expected, strict=True
        ):
            _assert_close(ours, theirs, dtype, scale=5)
        _assert_close(
            ops.standardise_samples_grad(dy, x_hat, inverse_s, gamma),
            REFERENCE.standardise_samples_grad(exact[1], expected[0], expected[2], exact[3]),
            dtype,
            scale=20,
        )
        _assert_close(
            ops.standardise_samples_grad_twice(v, dy, x_hat, inverse_s, gamma),
            REFERENCE.standardise_samples_grad_twice(
                exact[2], exact[1], expected[0], expected[2], exact[3]
            ),
            dtype,
            scale=200,
        )


def test_the_variance_of_data_far_from_its_first_rows_is_accurate(fast):
    x = numpy.random.default_rng(0).standard_normal((40_000, 8)).astype("float32")
    x[:10_000] -= 1000  # what the mean is first taken to be
    mean, variance = fast().moments(x)
    numpy.testing.assert_allclose(mean, x.astype("float64").mean(axis=0), rtol=1e-5)
    numpy.testing.assert_allclose(variance, x.astype("float64").var(axis=0), rtol=1e-5)


@given(
    SHAPES, DTYPES, LAYOUTS, st.sampled_from([0.0, 0.2, 1.0, 1.5]), THREADS, st.integers(0, 2**32)
)
def test_leaky_relu_equals_the_readable_one_to_the_bit(
    fast, shape, dtype, layout, slope, threads, seed
):
    rng = numpy.random.default_rng(seed)
    x, dy, bias = (_drawn(rng, s, dtype, layout) for s in (shape, shape, shape[-1:]))
    x = numpy.where(rng.random(shape) < 0.1, x.dtype.type(0), x) if seed % 2 else x
    with _with_threads(fast, threads) as ops:
        y = ops.leaky_relu(x, slope)
        numpy.testing.assert_array_equal(y, REFERENCE.leaky_relu(x, slope), strict=True)
        dx = ops.leaky_relu_grad(dy, y, slope)
        numpy.testing.assert_array_equal(dx, REFERENCE.leaky_relu_grad(dy, y, slope), strict=True)
        expected = REFERENCE.bias_leaky_relu(x, bias, slope)
        before = x.copy()
        shared = x.copy() if x.flags.writeable else x
        numpy.testing.assert_array_equal(
            ops.bias_leaky_relu(shared, bias, slope), expected, strict=True
        )
        numpy.testing.assert_array_equal(
            x, before, err_msg="a read-only array may not become the result"
        )


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0, 1.5])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_leaky_relu_treats_what_is_no_ordinary_number_as_the_readable_one(fast, dtype, slope):
    odd = [numpy.nan, numpy.inf, -numpy.inf, 0.0, -0.0, 1.0, -1.0, 1e-42]
    x, dy = (a.ravel().astype(dtype) for a in numpy.meshgrid(odd, odd))
    for shape in ((64,), (8, 8)):
        for name in ("leaky_relu", "leaky_relu_grad", "bias_leaky_relu"):
            first = (dy if name == "leaky_relu_grad" else x).reshape(shape)
            rest = {
                "leaky_relu": (),
                "leaky_relu_grad": (x.reshape(shape),),
                "bias_leaky_relu": (x[-shape[-1] :],),
            }
            with numpy.errstate(invalid="ignore"):
                theirs = getattr(REFERENCE, name)(first, *rest[name], slope)
                ours = getattr(fast(), name)(first.copy(), *rest[name], slope)
            numpy.testing.assert_array_equal(ours, theirs, strict=True, err_msg=name)


@pytest.mark.parametrize("shape", [(3, 4), (600, 700)])
@pytest.mark.parametrize("layout", ["contiguous", "reversed", "sliced", "transposed"])
def test_masks_and_zeros_equal_the_readable_ones(fast, shape, layout):
    rng = numpy.random.default_rng(0)
    a, b = _drawn(rng, shape, "float32", layout), _drawn(rng, shape, "float32")
    a[0, :3] = numpy.inf, -numpy.inf, numpy.nan
    b = numpy.maximum(b, 0)
    b[0, :3] = 0
    ours = fast().masked(a, b)
    assert (ours[0, :3] == 0).all()
    numpy.testing.assert_array_equal(ours, REFERENCE.masked(a, b), strict=True)
    numpy.testing.assert_array_equal(fast().masked(a, b[0]), REFERENCE.masked(a, b[0]), strict=True)
    for x in (a, b):
        fast().zero(x)
        assert not x.any()


@pytest.mark.parametrize("p", [0.0001, 0.3, 0.5, 0.999])
def test_a_dropout_mask_has_its_law(fast, p):
    mask = fast().dropout_mask((200, 1001), p, "float32", numpy.random.default_rng(0))
    assert mask.dtype == "float32"
    zero = (mask == 0).mean()
    assert abs(zero - p) < 4 * math.sqrt(p * (1 - p) / mask.size)
    assert len(numpy.unique(mask)) == 2
    assert math.isclose(mask.max(), 1 / (1 - p), rel_tol=0.01)
    plain = CpuBackend().dropout_mask((200, 1001), p, "float32", numpy.random.default_rng(0))
    numpy.testing.assert_array_equal(mask, plain, err_msg="compiled or not, the same zeros")
    again = fast().dropout_mask((200, 1001), p, "float32", numpy.random.default_rng(0))
    numpy.testing.assert_array_equal(mask, again)


@given(
    st.sampled_from([0, 1, 1000, 200_000]),
    DTYPES,
    THREADS,
    st.integers(1, 1000),
    st.integers(0, 2**32),
)
def test_adam_equals_the_readable_one(fast, size, dtype, threads, t, seed):
    rng = numpy.random.default_rng(seed)
    start = [rng.standard_normal(size).astype(dtype) for _ in range(3)] + [
        rng.random(size).astype(dtype)
    ]
    start[1].flags.writeable = False
    ours, theirs = [a.copy() for a in start], [a.astype("float64") for a in start]
    with _with_threads(fast, threads) as ops:
        for engine, arrays in ((ops, ours), (REFERENCE, theirs)):
            engine.adam(*arrays, lr=0.01, betas=(0.5, 0.999), eps=1e-8, t=t)
    for mine, reference in zip(ours, theirs, strict=True):
        _assert_close(mine, reference, dtype)


def test_adam_hands_on_what_is_not_a_number(fast):
    g = numpy.array([numpy.nan, numpy.inf, 1.0], "float32")
    theta, m, v = (numpy.ones(3, "float32") for _ in range(3))
    with numpy.errstate(invalid="ignore"):
        fast().adam(theta, g, m, v, lr=0.01, betas=(0.5, 0.999), eps=1e-8, t=3)
    numpy.testing.assert_array_equal(numpy.isnan(theta), [True, True, False])
    numpy.testing.assert_array_equal(numpy.isnan(v), [True, False, False])


@given(
    st.sampled_from([(1, 1), (64, 1), (3, 4), (5000, 1)]),
    DTYPES,
    st.sampled_from([0.0, 0.9, 1.0, "each"]),
    st.sampled_from([1, 30, 1000]),
    st.integers(0, 2**32),
)
def test_the_loss_on_logits_equals_the_readable_one(fast, shape, dtype, target, size, seed):
    rng = numpy.random.default_rng(seed)
    logits = (size * rng.standard_normal(shape)).astype(dtype)
    target = rng.random(shape).astype(dtype) if target == "each" else target
    loss, dlogits = fast().bce_with_logits(logits, target)
    expected, gradient = REFERENCE.bce_with_logits(logits.astype("float64"), target)
    assert loss.dtype == dtype
    assert math.isclose(loss, expected, rel_tol=20 * TOLERANCE[dtype], abs_tol=TOLERANCE[dtype])
    _assert_close(dlogits * logits.dtype.type(logits.size), gradient * logits.size, dtype)
    logits[0] = numpy.nan
    loss, dlogits = fast().bce_with_logits(logits, target)
    assert numpy.isnan(loss)
    assert numpy.isnan(dlogits).sum() == shape[1]


@pytest.mark.parametrize(
    "sizes",
    [(3, 4, 5), (256, 128, 128), (64, 600, 1000), (3000, 200, 100), (64, 6000, 1), (90, 1, 70)],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [None, 1, 2, 7])
def test_products_of_every_size_are_products(fast, sizes, dtype, threads):
    rng = numpy.random.default_rng(0)
    m, inner, n = sizes
    a, b = _drawn(rng, (m, inner), dtype), _drawn(rng, (inner, n), dtype)
    expected = a.astype("float64") @ b.astype("float64")
    with _with_threads(fast, threads) as ops:
        _assert_close(ops.matmul(a, b), expected, dtype)
        _assert_close(ops.matmul(a.T.copy().T, b.T.copy().T), expected, dtype)
        _assert_close(ops.matmul(a[:, ::-1], b[::-1]), expected, dtype)
        _assert_close(ops.matmul(a, b[:, 0]), expected[:, 0], dtype)


# ---------------------------------------------------------------- what isn't usual


@pytest.mark.parametrize(
    "dtypes", [(">f4", ">f4"), ("f2", "f2"), ("f4", "f8"), ("f8", "f4")], ids=str
)
def test_any_floats_are_computed_with_as_numpy_does(fast, dtypes):
    """Half precision, foreign byte orders and two precisions at a time: like NumPy, and of the same
    dtype.
    """
    first, second = dtypes
    ops, theirs, rng = fast(), CpuBackend(), numpy.random.default_rng(0)
    window, shape = Window((4, 4), (2, 2), (1, 1)), (512, 8, 8, 32)
    assert winograd.plan(window, shape, 32) is not None
    x, dy = (
        rng.standard_normal(shape).astype(first),
        rng.standard_normal((512, 4, 4, 32)).astype(first),
    )
    weight, bias = (
        rng.standard_normal((4, 4, 32, 32)).astype(second),
        rng.standard_normal(32).astype(second),
    )

    def results(ops):
        yield ops.conv(x, weight, window, bias)[0]
        yield ops.conv(x[..., :3], weight[:, :, :3], window, bias)[0]
        yield ops.conv_weight_grad(ops.conv_keep(x, window), dy.astype(second), window)
        yield ops.conv_weight_grad(ops.conv(x, weight, window)[1], dy.astype(second), window)
        yield ops.conv_input_grad(dy, weight, shape, window, bias)
        yield ops.conv_input_grad(dy, weight[:, :, :3], (*shape[:3], 3), window)
        yield ops.matmul(x.reshape(-1, 32), weight.reshape(-1, 32).T)
        yield ops.matmul(bias[:, None], bias[None].astype(first))
        yield ops.sum_rows(x)
        yield ops.sum_products(x, x.astype(second))
        yield from ops.moments(x)
        yield from ops.standardise(x, bias, bias, bias, bias)
        yield ops.standardise_grad(x, x.astype(second), bias, bias, bias)
        yield ops.leaky_relu(x, 0.2)
        yield ops.leaky_relu_grad(x, x.astype(second), 0.2)
        yield ops.bias_leaky_relu(x.copy(), bias, 0.2)
        yield from ops.bce_with_logits(x.reshape(-1)[:20], 1.0)
        moments = [x.reshape(-1).copy(), weight.reshape(-1), 0 * bias, bias**2]
        moments = [
            a[:32].astype(d) for a, d in zip(moments, (first, second, first, first), strict=True)
        ]
        ops.adam(*moments, lr=0.1, betas=(0.5, 0.99), eps=1e-3, t=2)
        yield moments[0]

    coarse = "f2" in dtypes
    for index, (mine, numpys) in enumerate(zip(results(ops), results(theirs), strict=True)):
        assert mine.dtype.newbyteorder("=") == numpys.dtype.newbyteorder("="), index
        scale = float(abs(numpys).max())
        numpy.testing.assert_allclose(
            mine, numpys, rtol=0, atol=(2e-2 if coarse else 1e-5) * scale, err_msg=index
        )


def test_where_an_array_lies_in_memory_does_not_matter(fast):
    """The same bits from every alignment, whatever vector instructions begin with."""
    rng = numpy.random.default_rng(0)
    window, shape = Window((4, 4), (2, 2), (1, 1)), (16, 16, 16, 32)

    def moved(a, by):
        room = numpy.empty(a.size + 16, a.dtype)
        copy = room[by : by + a.size].reshape(a.shape)
        copy[...] = a
        return copy

    original = [
        rng.standard_normal(s, "float32")
        for s in (shape, (4, 4, 32, 33), (16, 8, 8, 33), (300, 301))
    ]
    results = []
    for by in (0, 1, 3, 8):
        x, weight, dy, matrix = (moved(a, by) for a in original)
        with small_work(fast.kind):
            ops = fast(2)
            y, kept = ops.conv(x, weight, window)
            dw, dx = (
                ops.conv_weight_grad(kept, dy, window),
                ops.conv_input_grad(dy, weight, shape, window),
            )
            results.append([y, dw, dx, ops.sum_rows(x), *ops.moments(x), ops.leaky_relu(x, 0.2)])
            results[-1].append(ops.matmul(matrix, matrix.T))
    for other in results[1:]:
        for mine, first in zip(other, results[0], strict=True):
            numpy.testing.assert_array_equal(mine, first)


def test_threads_of_the_users_at_the_same_time_get_what_one_gets_alone(fast):
    rng = numpy.random.default_rng(0)
    window, shape = Window((4, 4), (2, 2), (1, 1)), (20, 16, 16, 32)
    x, weight = (
        rng.standard_normal(shape, "float32"),
        rng.standard_normal((4, 4, 32, 40), "float32"),
    )

    def work(_=0):
        y, kept = ops.conv(x, weight, window)
        dw, dx = (
            ops.conv_weight_grad(kept, y, window),
            ops.conv_input_grad(y, weight, shape, window),
        )
        return (
            y,
            dw,
            dx,
            *ops.moments(x),
            ops.matmul(x.reshape(64, -1), x.reshape(64, -1).T),
            ops.leaky_relu(x, 0.2),
        )

    with small_work(fast.kind), concurrent.futures.ThreadPoolExecutor(4) as users:
        ops = fast(3)
        alone = work()
        for results in users.map(work, range(12)):
            for mine, first in zip(results, alone, strict=True):
                numpy.testing.assert_array_equal(mine, first)


# ---------------------------------------------------------------- whole nets


def _gradients(net, x, dtype):
    net.astype(dtype).zero_grad()
    y, cache = net.forward(x.astype(dtype))
    _, dy = losses.bce_with_logits(y, 1.0)
    dx = net.backward(dy, cache)
    return {"x": dx} | {name: p.grad.copy() for name, p in net.parameters().items()}


def _halve(before, after, rng, size=4):
    return nn.Conv2d(before, after, kernel_size=size, stride=2, padding=(size - 1) // 2, rng=rng)


def _double(before, after, rng, size=4):
    return nn.ConvTranspose2d(
        before, after, kernel_size=size, stride=2, padding=(size - 1) // 2,
        output_padding=size % 2, rng=rng,
    )  # fmt: skip


@pytest.mark.parametrize("size", [3, 4, 5])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_whole_net_are_within_float32_rounding_of_the_readable_path_in_float64(
    monkeypatch, kind, size
):
    """With smooth activations: at a kink of a ReLU, rounding may decide which side is taken."""
    rng = numpy.random.default_rng(0)
    middle = (
        [nn.Conv2d(64, 64, kernel_size=size, padding=size // 2, rng=rng), nn.Tanh()]
        if size % 2
        else []
    )
    net = nn.Sequential(
        *(nn.Linear(10, 4 * 4 * 64, rng=rng), nn.Reshape(4, 4, 64), nn.BatchNorm(64), nn.Tanh()),
        *(
            _double(64, 32, rng, size),
            nn.BatchNorm(32),
            nn.Tanh(),
            _double(32, 1, rng, size),
            nn.Tanh(),
        ),
        *(
            _halve(1, 32, rng, size),
            nn.LeakyReLU(1.0),
            _halve(32, 64, rng, size),
            nn.BatchNorm(64),
            nn.Sigmoid(),
        ),
        *middle,
        *(nn.Flatten(), nn.Linear(4 * 4 * 64, 1, rng=rng)),
    )
    x = rng.standard_normal((32, 10))
    ops = make(kind)
    monkeypatch.setattr("minigan.backend.devices._cpu", lambda: ops)
    fast = _gradients(net, x, "float32")
    monkeypatch.setattr("minigan.backend.devices._cpu", lambda: REFERENCE)
    exact = _gradients(net, x, "float64")
    scale = max(numpy.linalg.norm(g) for g in exact.values())
    for name, gradient in exact.items():
        error = numpy.linalg.norm(fast[name] - gradient)
        # A bias before batch norm has no effect: its exact gradient is zero, and rounding is all
        # there is.
        assert error <= 1e-5 * max(numpy.linalg.norm(gradient), 1e-2 * scale), name


# ---------------------------------------------------------------- memory


def test_glibc_keeps_memory_once_and_gives_it_back(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    calls = []
    monkeypatch.setattr("minigan.backend.cpu.malloc._is_glibc", lambda: True)
    monkeypatch.setattr(
        "minigan.backend.cpu.malloc._set", lambda values: calls.append(values) or True
    )
    malloc = Malloc()
    assert malloc.keep()
    assert malloc.keep()
    assert len(calls) == 1
    malloc.restore()
    malloc.restore()
    assert len(calls) == 2
    assert calls[0].keys() <= calls[1].keys(), "what was set must be set back"


@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "MINIGAN_MALLOC"])
def test_glibc_is_left_to_a_user_who_has_decided(monkeypatch, name):
    monkeypatch.setenv(name, "default")
    monkeypatch.setattr(
        "minigan.backend.cpu.malloc._set", lambda values: pytest.fail("was set all the same")
    )
    assert not Malloc().keep()


def test_importing_changes_nothing_of_the_process():
    code = (
        "import threading, minigan, minigan.nn, minigan.optim; from minigan.backend import get; "
        "ops = get('cpu')\n"
        "assert not ops.malloc.keeps and threading.active_count() == 1 and 'ctypes.util' not in "
        "ops.__dict__"
    )
    subprocess.run(
        [sys.executable, "-c", code], check=True, env=os.environ | {"MINIGAN_THREADS": "2"}
    )


@settings(max_examples=60)
@given(
    st.tuples(st.integers(0, 5), st.integers(1, 30), st.integers(1, 4), st.integers(1, 4)),
    DTYPES, LAYOUTS, THREADS, st.booleans(), st.integers(0, 2**32),
)  # fmt: skip
def test_normalisation_of_groups_equals_the_readable_one(
    fast, sizes, dtype, layout, threads, plain, seed
):
    n, m, groups, each = sizes
    rng = numpy.random.default_rng(seed)
    x, dy, v = (_drawn(rng, (n, m, groups * each), dtype, layout) for _ in range(3))
    gamma, beta = (None if plain else _drawn(rng, (1, x.shape[2]), dtype) for _ in range(2))
    exact = [None if a is None else a.astype("float64") for a in (x, dy, v, gamma, beta)]
    expected = REFERENCE.standardise_samples(exact[0], exact[3], exact[4], 1e-2, each=each)
    x_hat, inverse_s = expected[0].astype(dtype), expected[2].astype(dtype)
    rest, exact_rest = (x_hat, inverse_s, gamma), (expected[0], expected[2], exact[3])
    with _with_threads(fast, threads) as ops:
        found = ops.standardise_samples(x, gamma, beta, 1e-2, each=each)
        for ours, theirs in zip(found, expected, strict=True):
            _assert_close(ours, theirs, dtype, scale=5)
        dx = ops.standardise_samples_grad(dy, *rest, each=each)
        of_dx = REFERENCE.standardise_samples_grad(exact[1], *exact_rest, each=each)
        _assert_close(dx, of_dx, dtype, scale=20)
        twice = ops.standardise_samples_grad_twice(v, dy, *rest, each=each)
        exactly = REFERENCE.standardise_samples_grad_twice(
            exact[2], exact[1], *exact_rest, each=each
        )
        _assert_close(twice, exactly, dtype, scale=200)


@given(
    shape=st.tuples(st.integers(0, 50), st.integers(1, 30)), dtype=DTYPES, layout=LAYOUTS,
    threads=THREADS, seed=st.integers(0, 2**32),
)  # fmt: skip
def test_chains_of_operations_equal_the_readable_ones(fast, shape, dtype, layout, threads, seed):
    rng = numpy.random.default_rng(seed)
    x, d = _drawn(rng, shape, dtype, layout), _drawn(rng, shape, dtype, layout)
    odd = rng.choice([1.0, 1e3, 0.0, -0.0, numpy.inf, -numpy.inf, numpy.nan], shape)
    wild = numpy.where(numpy.isfinite(odd), x * odd, odd).astype(dtype)
    with _with_threads(fast, threads) as ops:
        found = ops.elementwise(lambda x, d: numpy.tanh(x) * d, x, d)
        for ours, theirs in (
            (found, numpy.tanh(x) * d),
            (ops.sigmoid(wild), REFERENCE.sigmoid(wild)),
        ):
            assert ours.dtype == dtype
            numpy.testing.assert_allclose(ours, theirs, rtol=4 * numpy.finfo(dtype).eps)


@given(
    shape=st.tuples(*(st.integers(n, 6) for n in (0, 1, 1, 1))), dtype=DTYPES, layout=LAYOUTS,
    factor=st.tuples(st.integers(1, 3), st.integers(1, 3)), threads=THREADS,
    seed=st.integers(0, 2**32),
)  # fmt: skip
def test_copies_of_pixels_equal_the_readable_ones(
    fast, shape, dtype, layout, factor, threads, seed
):
    rng = numpy.random.default_rng(seed)
    x = _drawn(rng, shape, dtype, layout)
    y = REFERENCE.upsample(x, factor)
    dy = _drawn(rng, y.shape, dtype, layout)
    with _with_threads(fast, threads) as ops:
        numpy.testing.assert_array_equal(ops.upsample(x, factor), y, strict=True)
        dx = ops.upsample_grad(dy, factor)
        assert dx.dtype == dtype
        _assert_close(dx, REFERENCE.upsample_grad(dy.astype("float64"), factor), dtype, scale=9)


@given(data=st.data(), dtype=DTYPES, layout=LAYOUTS, threads=THREADS, seed=st.integers(0, 2**32))
def test_pools_equal_the_readable_ones(fast, data, dtype, layout, threads, seed):
    rng, window = numpy.random.default_rng(seed), _window(data.draw)
    window = Window(window.kernel, window.stride, tuple(k // 2 for k in window.kernel))
    size = [k + data.draw(st.integers(0, 5)) for k in window.kernel]
    shape = (data.draw(st.integers(0, 4)), *size, data.draw(st.integers(1, 20)))
    x = numpy.round(_drawn(rng, shape, dtype, layout))  # some are equal
    x = numpy.where(rng.random(shape) < 0.05, x.dtype.type(numpy.nan), x)
    y, largest = REFERENCE.max_pool(x, window)
    dy, v = _drawn(rng, y.shape, dtype, layout), _drawn(rng, shape, dtype, layout)
    pairs = [
        ("max_pool_grad", (dy, largest, shape, window)),
        ("max_pool_take", (v, largest, window)),
        ("average_pool", (v, window)),
        ("average_pool_grad", (dy, shape, window)),
    ]
    with _with_threads(fast, threads) as ops:
        for ours, theirs in zip(ops.max_pool(x, window), (y, largest), strict=True):
            numpy.testing.assert_array_equal(ours, theirs, strict=True)
        for name, arguments in pairs:
            ours = getattr(ops, name)(*arguments)
            numpy.testing.assert_array_equal(ours, getattr(REFERENCE, name)(*arguments), name)
            assert ours.dtype == dtype


@given(
    shape=st.tuples(st.integers(0, 40), st.integers(0, 5), st.integers(0, 50)), dtype=DTYPES,
    threads=THREADS, columns=st.integers(1, 9), seed=st.integers(0, 2**32),
)  # fmt: skip
def test_stacks_of_matrices_and_rows_by_label(fast, shape, dtype, threads, columns, seed):
    rng = numpy.random.default_rng(seed)
    a, b = _drawn(rng, shape, dtype), _drawn(rng, (shape[0], shape[2], columns), dtype)
    rows = _drawn(rng, (shape[2], columns), dtype)
    labels = rng.integers(0, 7, shape[2])
    with _with_threads(fast, threads) as ops:
        _assert_close(ops.matmul_each(a, b), a @ b, dtype, scale=10)
        same = numpy.broadcast_to(a[:1], a.shape)
        _assert_close(ops.matmul_each(same, b), same @ b, dtype, scale=10)
        by_label = ops.sum_labelled(rows, labels, 9)
        _assert_close(by_label, REFERENCE.sum_labelled(rows, labels, 9), dtype, scale=10)


@given(
    rng=generators,
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.integers(1, 4),
    each=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    extra=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    n=st.integers(0, 4),
    layout=LAYOUTS,
    threads=THREADS,
)
def test_convolutions_side_by_side(
    fast, rng, kernel, dilation, stride, groups, each, extra, n, layout, threads
):
    """Groups and gaps in other terms, against the version tap by tap."""
    size = [(k - 1) * d + 1 + e for k, d, e in zip(kernel, dilation, extra, strict=True)]
    x = _drawn(rng, (n, *size, groups * each[0]), "float64", layout)
    w = rng.standard_normal((*kernel, each[0], groups * each[1]))
    y = REFERENCE.conv_taps(x, w, stride, dilation)
    dy = _drawn(rng, y.shape, "float64", layout)
    arguments = (kernel, stride, dilation, groups)
    dw = REFERENCE.conv_taps_weight_grad(x, dy, *arguments)
    dx = REFERENCE.conv_taps_input_grad(dy, w, x.shape, stride, dilation)
    with _with_threads(fast, threads) as ops:
        for expected, got in (
            (y, ops.conv_taps(x, w, stride, dilation)),
            (dw, ops.conv_taps_weight_grad(x, dy, *arguments)),
            (dx, ops.conv_taps_input_grad(dy, w, x.shape, stride, dilation)),
        ):
            numpy.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_kernel_for_each_channel(fast, dtype):
    rng, ops = numpy.random.default_rng(0), fast()
    x, w = _drawn(rng, (70, 12, 11, 33), dtype), _drawn(rng, (3, 2, 1, 33), dtype)
    rest = ((2, 1), (1, 3))
    y = REFERENCE.conv_taps(x, w, *rest)
    dy = _drawn(rng, y.shape, dtype)
    exact = dy.astype("float64"), w.astype("float64")
    dw = REFERENCE.conv_taps_weight_grad(x.astype("float64"), exact[0], (3, 2), *rest, 33)
    dx = REFERENCE.conv_taps_input_grad(*exact, x.shape, *rest)
    _assert_close(ops.conv_taps(x, w, *rest), y, dtype)
    _assert_close(ops.conv_taps_weight_grad(x, dy, (3, 2), *rest, 33), dw, dtype)
    _assert_close(ops.conv_taps_input_grad(dy, w, x.shape, *rest), dx, dtype)

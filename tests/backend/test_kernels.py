"""Every CUDA kernel: run on the CPU against its NumPy twin, and compiled for real GPUs if NVRTC is
installed.
"""

import ctypes
import importlib
import importlib.util
import math
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strict_cuda import RecordedCublas, cublas, strict_cuda

from minigan import losses
from minigan.backend import Reference, Window
from minigan.backend.cuda import CudaBackend, gemm, launch, philox
from minigan.backend.cuda.gemm import Gemm

NUMPY = Reference(numpy, "cpu")
ORDERS = pytest.mark.parametrize("backwards", [False, True], ids=["forwards", "backwards"])


@pytest.fixture
def ops(request):
    return strict_cuda()


def _compare(ops, kernels, primitive, *arguments, exact=False, rtol=2e-6, atol=1e-6):
    """Call a primitive on the device and on NumPy; also tell that the kernel, if any, really ran."""
    ops._launch.launched.clear()
    device = [ops.asarray(a) if isinstance(a, numpy.ndarray) else a for a in arguments]
    ours, theirs = getattr(ops, primitive)(*device), getattr(NUMPY, primitive)(*arguments)
    assert [name for name in ops._launch.launched if name != "set_seed"][:1] == (
        [kernels] if kernels else []
    )
    ours, theirs = (ours, theirs) if isinstance(ours, tuple) else ((ours,), (theirs,))
    for mine, other in zip(ours, theirs, strict=True):
        assert mine.dtype == "float32"
        assert mine.shape == other.shape
        if exact:
            numpy.testing.assert_array_equal(ops.to_numpy(mine), other)
        else:
            numpy.testing.assert_allclose(ops.to_numpy(mine), other, rtol=rtol, atol=atol)
    for given_, sent in zip(arguments, device, strict=True):
        if isinstance(given_, numpy.ndarray):
            numpy.testing.assert_array_equal(ops.to_numpy(sent), given_)


def _normal(*shape, seed=0):
    return numpy.random.default_rng(seed).standard_normal(shape, "float32")


# ---------------------------------------------------------------- patches


@st.composite
def windows(draw):
    """A window and an image that it fits on."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4))), draw(pairs)
    padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    extra = draw(st.tuples(st.integers(0, 4), st.integers(0, 4)))
    size = [max(1, k - 2 * p) + e for k, p, e in zip(kernel, padding, extra, strict=True)]
    return Window(kernel, stride, padding), (
        draw(st.integers(1, 3)),
        *size,
        draw(st.sampled_from([1, 3, 4, 8])),
    )


@given(windows())
def test_unfold_gathers_what_the_reference_gathers(case):
    window, shape = case
    runs = window.kernel[1] * shape[3] % 4 == 0
    name = "unfold4" if shape[3] % 4 == 0 else "unfold_runs" if runs else "unfold"
    name = "" if window.is_a_pixel else name
    _compare(strict_cuda(), name, "unfold", _normal(*shape), window, exact=True)


@given(windows())
def test_fold_collects_what_the_reference_adds(case):
    window, shape = case
    places = window.output_size(*shape[1:3])
    patches = _normal(shape[0], *places, *window.kernel, shape[3])
    name = "fold4" if shape[3] % 4 == 0 else "fold"
    name = "" if window.is_a_pixel else name
    _compare(strict_cuda(), name, "fold", patches, shape, window)


def test_an_image_that_starts_off_a_sixteen_byte_boundary_is_read_one_float_at_a_time(ops):
    window = Window((2, 2), (1, 1), (0, 0))
    buffer = ops.asarray(_normal(1 + 4 * 4 * 4))
    x = buffer[1:].reshape(1, 4, 4, 4)
    ops._launch.launched.clear()
    ours = ops.unfold(x, window)
    assert ops._launch.launched == ["unfold"]
    numpy.testing.assert_array_equal(ops.to_numpy(ours), NUMPY.unfold(ops.to_numpy(x), window))


@pytest.mark.parametrize("factor", [(2, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("channels", [1, 3, 4, 8])
def test_upsampling_repeats_pixels_and_its_adjoint_collects_them(ops, factor, channels):
    fours = "4" if channels % 4 == 0 else ""
    x = _normal(2, 3, 5, channels)
    _compare(ops, f"upsample{fours}", "upsample", x, factor, exact=True)
    dy = _normal(2, 3 * factor[0], 5 * factor[1], channels, seed=1)
    _compare(ops, f"upsample_grad{fours}", "upsample_grad", dy, factor)
    y, dx = (
        ops.to_numpy(a)
        for a in (ops.upsample(ops.asarray(x), factor), ops.upsample_grad(ops.asarray(dy), factor))
    )
    assert (y * dy).sum() == pytest.approx((x * dx).sum(), rel=1e-4)


# ---------------------------------------------------------------- sums over rows

MATRICES = [
    (1, 1),
    (5, 1),
    (700, 1),
    (3, 2),
    (4, 3),
    (33, 32),
    (9, 33),
    (2000, 5),
    (6, 7, 3, 10),
    (1, 600),
]


@ORDERS
@pytest.mark.parametrize("shape", MATRICES)
def test_sum_rows(shape, backwards):
    _compare(strict_cuda(backwards=backwards), "sum_rows", "sum_rows", _normal(*shape), atol=1e-4)


@ORDERS
@pytest.mark.parametrize("shape", MATRICES)
def test_sum_products(shape, backwards):
    ops = strict_cuda(backwards=backwards)
    _compare(
        ops, "sum_products", "sum_products", _normal(*shape), _normal(*shape, seed=1), atol=1e-4
    )


@ORDERS
@pytest.mark.parametrize("shape", MATRICES)
def test_both_sums_at_once(shape, backwards):
    ops = strict_cuda(backwards=backwards)
    _compare(ops, "sums", "sums", _normal(*shape), _normal(*shape, seed=1), atol=1e-4)


@ORDERS
@pytest.mark.parametrize("shape", MATRICES)
def test_moments(shape, backwards):
    _compare(
        strict_cuda(backwards=backwards), "moments_partial", "moments", _normal(*shape) * 3 + 2
    )


def test_the_variance_survives_a_mean_a_thousand_times_larger(ops):
    x = _normal(5000, 3) + numpy.float32(1000)
    _, variance = ops.moments(ops.asarray(x))
    numpy.testing.assert_allclose(
        ops.to_numpy(variance), x.astype("float64").var(axis=0), rtol=1e-5
    )


def test_a_large_reduction_has_a_second_launch(ops):
    x = _normal(4000, 40)
    total = ops.sum_rows(ops.asarray(x))
    assert ops._launch.launched == ["sum_rows", "sum_rows"]
    numpy.testing.assert_allclose(ops.to_numpy(total), x.astype("float64").sum(axis=0), atol=1e-3)


# ---------------------------------------------------------------- elementwise

SHAPES = [(7, 5), (3, 4, 5, 6), (1, 1)]


@pytest.mark.parametrize("shape", SHAPES)
def test_standardise(ops, shape):
    vectors = [_normal(shape[-1], seed=i) for i in range(1, 5)]
    _compare(ops, "standardise", "standardise", _normal(*shape), *vectors)


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("shape", SHAPES)
def test_standardise_and_leaky_relu_at_once(ops, shape, slope):
    vectors = [_normal(shape[-1], seed=i) for i in range(1, 5)]
    name = "standardise_leaky_relu"
    _compare(ops, name, name, _normal(*shape), *vectors, slope)


@ORDERS
@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("shape", [*SHAPES, (2000, 5), (9, 33)])
def test_the_gradient_of_both_at_once(shape, slope, backwards):
    vectors = [_normal(shape[-1], seed=i) for i in range(1, 4)]
    arrays = _normal(*shape, seed=8), _normal(*shape, seed=9)
    _compare(
        strict_cuda(backwards=backwards), "rectified_sums", "standardise_leaky_relu_grad", *arrays,
        *vectors, slope, atol=1e-4,
    )  # fmt: skip


@pytest.mark.parametrize("size", [1, 5, 700])
def test_inverse_root(ops, size):
    _compare(ops, "inverse_root", "inverse_root", _normal(size) ** 2, 1e-5)


@pytest.mark.parametrize("shape", [(1,), (700,), (3, 5)])
def test_a_running_average_follows(ops, shape):
    running, new = _normal(*shape), _normal(*shape, seed=1)
    there = ops.asarray(running)
    ops.follow(there, ops.asarray(new), 0.1, 1.25)
    assert ops._launch.launched == ["follow"]
    NUMPY.follow(running, new, 0.1, 1.25)
    numpy.testing.assert_allclose(ops.to_numpy(there), running, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_standardise_grad(ops, shape):
    vectors = [_normal(shape[-1], seed=i) for i in range(1, 4)]
    _compare(
        ops,
        "standardise_grad",
        "standardise_grad",
        _normal(*shape),
        _normal(*shape, seed=9),
        *vectors,
    )


@pytest.mark.parametrize("slope", [0.0, 0.2])
@pytest.mark.parametrize("shape", [*SHAPES, (70_000,)])
def test_leaky_relu(ops, shape, slope):
    x = _normal(*shape)
    x.flat[0] = 0
    _compare(ops, "leaky_relu", "leaky_relu", x, slope, exact=True)
    dy = _normal(*shape, seed=1)
    _compare(ops, "leaky_relu_grad", "leaky_relu_grad", dy, x, slope, exact=True)
    dy.flat[-1] = numpy.inf
    x.flat[-1] = -numpy.inf
    _compare(ops, "leaky_relu", "leaky_relu", x, slope, exact=True)
    _compare(ops, "leaky_relu_grad", "leaky_relu_grad", dy, x, slope, exact=True)


@pytest.mark.parametrize("shape", [*SHAPES, (70_000,)])
def test_masked(ops, shape):
    x, mask = _normal(*shape), numpy.maximum(_normal(*shape, seed=1), 0)
    x.flat[-1], mask.flat[-1] = numpy.inf, 0
    _compare(ops, "masked", "masked", x, mask, exact=True)


@pytest.mark.parametrize("shape", [*SHAPES, (9000, 8)])
def test_a_bias_and_the_activation_behind_it(ops, shape):
    x, bias = _normal(*shape) * 3, _normal(shape[-1], seed=1)
    x.flat[0] = -bias[0]  # the kink
    for slope in (0.0, 0.2):
        _compare(ops, "bias_leaky_relu", "bias_leaky_relu", x, bias, slope, exact=True)
    _compare(ops, "bias_sigmoid", "bias_sigmoid", x - 40, bias, rtol=1e-5, atol=0)  # lower tail
    for name in ("bias_tanh", "bias_sigmoid"):
        _compare(ops, name, name, x, bias)
        large = numpy.full((1, shape[-1]), 1000, "float32")
        assert ops.to_numpy(getattr(ops, name)(ops.asarray(large), ops.asarray(bias))).tolist() == [
            [1] * shape[-1]
        ]


@ORDERS
@pytest.mark.parametrize("target", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("n", [1, 64, 700])
def test_bce_with_logits(n, target, backwards):
    logits = _normal(n, 1) * 5
    logits[0] = -1000
    logits[-1] = 1000
    _compare(strict_cuda(backwards=backwards), "bce_with_logits", "bce_with_logits", logits, target)


@ORDERS
@pytest.mark.parametrize("n", [1, 64, 700])
def test_mean_probability(n, backwards):
    logits = _normal(n, 1) * 5
    logits[-1] = 1000
    _compare(strict_cuda(backwards=backwards), "mean_probability", "mean_probability", logits)
    logits[0] = -1000
    _compare(strict_cuda(backwards=backwards), "mean_probability", "mean_probability", logits)
    assert NUMPY.mean_probability(logits) == losses.sigmoid(logits).mean()


@pytest.mark.parametrize("t", [1, 2, 1000])
def test_adam(ops, t):
    n = 700
    theta, g, m = (_normal(n, seed=i) for i in range(3))
    v = _normal(n, seed=4) ** 2
    there = [ops.asarray(a) for a in (theta, g, m, v)]
    options = {"lr": 2e-3, "betas": (0.5, 0.999), "eps": 1e-8, "t": t}
    NUMPY.adam(theta, g, m, v, **options)
    ops.adam(*there, **options)
    assert ops._launch.launched == ["set_schedule", "adam"]
    for ours, theirs in zip(there, (theta, g, m, v), strict=True):
        numpy.testing.assert_allclose(ops.to_numpy(ours), theirs, rtol=3e-6, atol=1e-7)


# ---------------------------------------------------------------- random masks


def test_philox_gives_the_words_that_its_authors_published():
    counters = numpy.array([[0] * 4, [0xFFFFFFFF] * 4], "uint64")
    zero, ones = philox.philox(counters[:1], 0), philox.philox(counters[1:], 2**64 - 1)
    assert [f"{w:08x}" for w in zero[0]] == ["6627e8d5", "e169c58d", "bc57ac4c", "9b00dbd8"]
    assert [f"{w:08x}" for w in ones[0]] == ["408f276d", "41c83b0e", "a20bc7c6", "6d5451fd"]


@pytest.mark.parametrize("shape", [(1,), (2, 3), (5, 4, 4, 8), (70_001,)])
def test_dropout_masks_are_the_twin_s(ops, shape):
    mask = ops.dropout_mask(shape, 0.3, numpy.dtype("float32"), numpy.random.default_rng(5))
    seed = int(numpy.random.default_rng(5).integers(2**63))
    expected = philox.dropout_mask(math.prod(shape), 0.3, seed).reshape(shape)
    numpy.testing.assert_array_equal(ops.to_numpy(mask), expected)


def test_dropout_masks_have_the_right_share_of_zeros_and_differ(ops):
    rng = numpy.random.default_rng(0)
    first, second = (
        ops.to_numpy(ops.dropout_mask((100_000,), 0.3, "float32", rng)) for _ in range(2)
    )
    assert abs((first == 0).mean() - 0.3) < 0.005
    assert abs(((first == 0) & (second == 0)).mean() - 0.09) < 0.005
    assert set(numpy.unique(first)) == {numpy.float32(0), numpy.float32(1 / 0.7)}


# ---------------------------------------------------------------- matrix products


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("m", "k", "n"), [(3, 4, 5), (1, 7, 1), (5, 1, 2), (1, 1, 1), (8, 6, 1)])
@pytest.mark.parametrize("transposed_a", [False, True])
@pytest.mark.parametrize("transposed_b", [False, True])
def test_products_of_matrices_stored_either_way(ops, m, k, n, transposed_a, transposed_b, dtype):
    a, b = _normal(m, k).astype(dtype), _normal(k, n, seed=1).astype(dtype)
    there_a = ops.asarray(a.T.copy(), dtype).T if transposed_a else ops.asarray(a, dtype)
    there_b = ops.asarray(b.T.copy(), dtype).T if transposed_b else ops.asarray(b, dtype)
    with ops.xp.capturing():  # CuPy's own product would be refused here
        c = ops.matmul(there_a, there_b)
    assert c.dtype == dtype
    numpy.testing.assert_allclose(ops.to_numpy(c), a @ b, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_stacks_of_matrices(ops, dtype):
    a, b = _normal(3, 4, 5).astype(dtype), _normal(3, 5, 2).astype(dtype)
    layouts = (
        lambda x: ops.asarray(x, dtype),
        lambda x: ops.asarray(numpy.ascontiguousarray(x.transpose(0, 2, 1)), dtype).transpose(
            0, 2, 1
        ),
        lambda x: ops.asarray(numpy.repeat(x, 2, axis=0), dtype)[::2],
        lambda x: ops.asarray(numpy.ascontiguousarray(x.transpose(1, 0, 2)), dtype).transpose(
            1, 0, 2
        ),
    )
    for of_a in layouts:
        for of_b in layouts:
            there_a, there_b = of_a(a), of_b(b)
            with ops.xp.capturing():
                c = ops.matmul_each(there_a, there_b)
            numpy.testing.assert_allclose(ops.to_numpy(c), a @ b, rtol=1e-5, atol=1e-6)
    assert ops.matmul_each(ops.asarray(a[:0], dtype), ops.asarray(b[:0], dtype)).shape == (0, 4, 2)


def test_products_with_vectors_and_with_gaps(ops):
    a, v, w = _normal(4, 6), _normal(6, seed=1), _normal(4, seed=2)
    there = [ops.asarray(x) for x in (a, v, w)]
    with ops.xp.capturing():
        results = [
            ops.matmul(there[0], there[1]),
            ops.matmul(there[0].T, there[2]),
            ops.matmul(there[1], there[1]),
            ops.matmul(there[0][:, ::2], there[1][::2]),
        ]
    for ours, theirs in zip(results, (a @ v, a.T @ w, v @ v, a[:, ::2] @ v[::2]), strict=True):
        assert ours.shape == theirs.shape
        numpy.testing.assert_allclose(ops.to_numpy(ours), theirs, rtol=1e-5, atol=1e-6)


def test_precision_is_strict_unless_tf32_is_asked_for(ops):
    assert (ops.precision, cublas().current_math_mode()) == ("float32", 0)
    ops.precision = "tf32"
    assert (ops.precision, cublas().current_math_mode()) == ("tf32", 3)
    ops.precision = "float32"
    assert cublas().current_math_mode() == 0
    with pytest.raises(ValueError, match="Unknown precision 'half'; use one of float32, tf32"):
        ops.precision = "half"
    with pytest.raises(ValueError, match="Unknown precision"):
        CudaBackend(ops.xp, precision="bf16")


def test_each_stream_has_a_workspace_of_its_own(ops):
    a = ops.asarray(_normal(3, 3))
    ops.matmul(a, a)
    with ops.xp.cuda.Stream(non_blocking=True):
        ops.matmul(a, a)
    ops.matmul(a, a)
    assert len(ops._gemm._workspaces) == 2


def test_cublas_comes_from_the_wheels_or_the_toolkit_and_its_absence_is_told(monkeypatch):
    class Pathfinder:
        @staticmethod
        def load_nvidia_dynamic_lib(name):
            assert name == "cublas"
            return type("Found", (), {"abs_path": None})  # CDLL(None) is this very process

    monkeypatch.setattr(
        gemm.importlib, "import_module", lambda name: {"cuda.pathfinder": Pathfinder}[name]
    )
    assert isinstance(gemm.load(), ctypes.CDLL)
    monkeypatch.setattr(gemm.importlib, "import_module", lambda name: {}[name])
    with pytest.raises(
        ValueError, match="needs the cuBLAS library, which was not found; install minigan"
    ):
        gemm.load()


def test_the_handle_is_made_with_the_first_product(monkeypatch, ops):
    monkeypatch.setattr(gemm, "load", lambda: RecordedCublas(ops.xp))
    lazy = CudaBackend(ops.xp, kernels=ops._launch, precision="tf32")
    a = ops.asarray(_normal(2, 2))
    numpy.testing.assert_allclose(ops.to_numpy(lazy.matmul(a, a)), ops.to_numpy(a @ a), rtol=1e-5)
    assert cublas().current_math_mode() == 3


def test_an_error_of_cublas_is_reported(ops):
    class Broken:
        def __getattr__(self, name):
            return Routine()

    class Routine:
        argtypes = None

        def __call__(self, *arguments):
            return 1

    with pytest.raises(RuntimeError, match="cublasCreate_v2 failed with cuBLAS status 1"):
        Gemm(ops.xp, library=Broken())


# ---------------------------------------------------------------- where no kernel applies


def _all_primitives(ops, x, window):
    vector = x[0, 0, 0]
    patches = ops.xp.zeros((2, 3, 3, 2, 2, 6), x.dtype)[..., ::2]
    patches += ops.unfold(x, window)
    return [
        patches,
        ops.fold(patches, x.shape, window),
        ops.sum_rows(x),
        ops.sum_products(x, x),
        *ops.sums(x, x),
        *ops.moments(x),
        *ops.standardise(x, vector, vector, vector, vector),
        *ops.standardise_leaky_relu(x, vector, vector, vector, vector, 0.2),
        *ops.standardise_leaky_relu_grad(x, x, vector, vector, vector, 0.2),
        ops.inverse_root(x, 100.0),
        ops.standardise_grad(x, x, vector, vector, vector),
        ops.leaky_relu(x, 0.2),
        ops.leaky_relu_grad(x, x, 0.2),
        ops.bias_leaky_relu(x, vector, 0.2),
        ops.bias_tanh(x, vector),
        ops.bias_sigmoid(x, vector),
        ops.upsample(x, (2, 3)),
        ops.upsample_grad(x, (2, 1)),
        *ops.bce_with_logits(x, 1.0),
        ops.mean_probability(x),
    ]


def test_float64_and_arrays_with_gaps_run_the_readable_version(ops):
    window = Window((2, 2), (1, 1), (0, 0))
    x64 = ops.asarray(_normal(2, 4, 4, 3), "float64")
    gaps = ops.asarray(_normal(2, 4, 4, 6))[..., ::2]
    for x in (x64, gaps):
        ours, theirs = (
            _all_primitives(ops, x, window),
            _all_primitives(NUMPY, ops.to_numpy(x), window),
        )
        # The readable sum_products ends in sum_rows of a product, and x + b in a leaky ReLU: those
        # have no gaps.
        assert set(ops._launch.launched) <= ({"sum_rows", "leaky_relu"} if x is gaps else set())
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.dtype == x.dtype
            numpy.testing.assert_allclose(ops.to_numpy(mine), other, rtol=1e-5, atol=1e-6)
    theta, g, m, v = (ops.asarray(_normal(5, seed=i) ** 2, "float64") for i in range(4))
    ops.adam(theta, g, m, v, lr=0.1, betas=(0.5, 0.9), eps=1e-8, t=1)
    mask = ops.dropout_mask((3, 4), 0.5, numpy.dtype("float64"), numpy.random.default_rng(0))
    assert mask.dtype == "float64"
    assert set(ops._launch.launched) <= {"sum_rows", "leaky_relu"}


def test_a_target_array_runs_the_readable_version(ops):
    logits, target = ops.asarray(_normal(4, 1)), ops.asarray(numpy.ones((4, 1), "float32"))
    ops.bce_with_logits(logits, target)
    assert ops._launch.launched == []


def test_products_that_cublas_is_not_asked_for(ops):
    a = ops.asarray(_normal(2, 3, 4))
    assert ops.matmul(a, ops.asarray(_normal(4, 5))).shape == (2, 3, 5)
    ints = ops.asarray(numpy.arange(4).reshape(2, 2))
    assert ops.matmul(ints, ints).dtype == "int64"
    assert ops.matmul(ops.asarray(_normal(0, 3)), ops.asarray(_normal(3, 2))).shape == (0, 2)


# ---------------------------------------------------------------- compiling for GPUs


def test_every_file_of_kernels_is_known_and_every_argument_has_a_type_that_the_launch_knows():
    folder = Path(launch.__file__).parent / "kernels"
    assert {path.stem for path in folder.glob("*.cu")} == set(launch.FILES)
    for name, (_, types) in launch.signatures().items():
        for t in types:
            assert t.endswith("*") or t in launch.SCALARS, (name, t)


def test_a_number_of_arguments_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="zip"):
        launch.typed("leaky_relu", (1, 2, 3))


def test_cupy_compiles_a_file_once_and_is_handed_typed_arguments():
    class Module:
        def __init__(self, code, options):
            modules.append((code, options))

        def get_function(self, name):
            return lambda *launch_: calls.append((name, *launch_))

    class FakeCupy:
        RawModule = Module

    modules, calls = [], []
    kernels = launch.Kernels(FakeCupy)
    for _ in range(2):
        kernels("leaky_relu", (3,), "x", "y", 0.2, 700)
    assert modules == [(launch.source("elementwise"), ("--std=c++17",))]
    name, blocks, threads, arguments = calls[1]
    assert (name, blocks, threads) == ("leaky_relu", (3,), (256,))
    assert [type(a) for a in arguments] == [str, str, numpy.float32, numpy.int32]


def _nvrtc():
    """NVRTC from its wheel, through its C interface: CuPy isn't needed for it."""
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else list(spec.submodule_search_locations)
    found = [
        path for folder in folders for path in sorted(Path(folder).glob("*/lib/libnvrtc.so.*"))
    ]
    if not found:
        pytest.skip("NVRTC isn't installed; pip install nvidia-cuda-nvrtc")
    return ctypes.CDLL(str(found[-1]))


def _compile(nvrtc, source, architecture):
    """Return the machine code; the compiler's words are the failure's message."""
    program = ctypes.c_void_p()
    assert (
        nvrtc.nvrtcCreateProgram(
            ctypes.byref(program), source.encode(), b"kernels.cu", 0, None, None
        )
        == 0
    )
    options = [
        f"-arch={architecture}".encode(),
        *(o.encode() for o in launch.OPTIONS),
        b"-Werror=all-warnings",
    ]
    status = nvrtc.nvrtcCompileProgram(
        program, len(options), (ctypes.c_char_p * len(options))(*options)
    )
    size = ctypes.c_size_t()
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size))
    log = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    assert status == 0, log.value.decode()
    nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
    code = ctypes.create_string_buffer(size.value)
    nvrtc.nvrtcGetCUBIN(program, code)
    nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
    return code.raw


@pytest.mark.parametrize("architecture", ["sm_75", "sm_80", "sm_90"])
@pytest.mark.parametrize("file", launch.FILES)
def test_kernels_compile_for_real_gpus(file, architecture):
    code = _compile(_nvrtc(), launch.source(file), architecture)
    for name, signature in launch.signatures().items():
        if signature.file == file:
            assert name.encode() in code


def test_a_mistake_in_a_kernel_would_be_noticed():
    nvrtc = _nvrtc()
    with pytest.raises(AssertionError, match='identifier "slop" is undefined'):
        _compile(nvrtc, launch.source("elementwise").replace("x * slope", "x * slop"), "sm_90")

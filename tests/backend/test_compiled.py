"""Compiled loops: Winograd's maps one by one, where they are chosen, and that nobody needs them."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from fast_backends import needs_numba
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigan
from minigan import backend
from minigan.backend import devices
from minigan.backend.cpu import CpuBackend, winograd
from minigan.backend.window import Window

# ---------------------------------------------------------------- Winograd's maps

AXES = st.tuples(
    # m outputs and q taps of a tile, stride, padding, pixels
    st.sampled_from([(2, 2), (2, 3), (2, 4), (2, 5), (3, 2), (3, 3), (4, 2), (4, 3)]),
    *(st.integers(1, 3), st.integers(0, 2), st.integers(1, 12)),
)


CHANNELS = st.one_of(st.integers(1, 20), st.sampled_from([127, 128, 129, 200, 256, 300]))


@st.composite
def forms(draw):
    tiles, stride, padding, size = zip(*(draw(AXES) for _ in range(2)), strict=True)
    outputs, taps = zip(*tiles, strict=True)
    # The last block of a kernel may end in rows and columns of zeros.
    kernel = tuple(q * s - draw(st.integers(0, s - 1)) for q, s in zip(taps, stride, strict=True))
    window = Window(kernel, stride, padding)
    result = window.output_size(*size)
    assume(min(result) >= 1)
    return winograd.Winograd(window, outputs, (*size, draw(CHANNELS)), (*result, draw(CHANNELS)))


class Guarded:
    """Arrays with a margin on both sides, and the knowledge whether anybody wrote there."""

    def __init__(self, dtype):
        self.dtype, self.rooms = dtype, []

    def full(self, shape):
        """What isn't written to stays no number."""
        size = math.prod(shape)
        self.rooms.append(numpy.full(size + 2000, numpy.nan, self.dtype))
        return self.rooms[-1][1000 : 1000 + size].reshape(shape)

    def check(self):
        for room in self.rooms:
            assert numpy.isnan(room[:1000]).all()
            assert numpy.isnan(room[-1000:]).all()


@needs_numba
@settings(max_examples=150)
@given(
    forms(), st.integers(1, 3), st.integers(1, 7), st.sampled_from(["float32", "float64"]),
    st.booleans(), st.integers(0, 2**32),
)  # fmt: skip
def test_each_of_winograds_maps_is_the_matrix_product(form, n, cuts, dtype, with_bias, seed):
    from minigan.backend.compiled import primitives as compiled

    ours, scratch, rng = (
        compiled.CompiledWinograd(form.window, form.outputs, form.image, form.result),
        winograd.Scratch(),
        numpy.random.default_rng(seed),
    )
    guarded, (kh, kw), channels = Guarded(dtype), form.window.kernel, form.result[2]

    def drawn(*shape):
        a = rng.standard_normal(shape).astype(dtype)
        a.flags.writeable = False
        return a

    x, v = drawn(n, *form.image), drawn(form.points, n * form.tiles, form.block)
    y, m = drawn(n, *form.result), drawn(form.points, n * form.tiles, channels)
    weight, u = drawn(kh, kw, form.image[2], channels), drawn(form.points, form.block, channels)
    of_image, of_result = (drawn(c) if with_bias else None for c in (form.image[2], channels))

    def both(name, source, shape, *arguments):
        mine, theirs = guarded.full(shape), numpy.full(shape, numpy.nan, dtype)
        getattr(ours, name)(source, mine, *arguments, scratch=scratch)
        getattr(form, name)(source, theirs, *arguments, scratch=scratch)
        close(mine, theirs, name)

    def close(mine, theirs, name):
        scale = numpy.abs(theirs).max(initial=1)
        rounding = 1e-5 if dtype == "float32" else 1e-13
        numpy.testing.assert_allclose(mine, theirs, rtol=0, atol=rounding * scale, err_msg=name)

    both("image_map", x, v.shape)
    both("image_map_transposed", v, x.shape, of_image)
    both("result_map", m, y.shape, of_result)
    both("result_map_transposed", y, m.shape)
    made, gradient = (guarded.full(u.shape), guarded.full(weight.shape))
    expected = [numpy.full_like(u, numpy.nan), numpy.full_like(weight, numpy.nan)]
    for part in form.parts(cuts):
        row, columns = part
        piece = numpy.ascontiguousarray(form.channels(u, 1)[:, row, columns])
        for maps, (of_kernel, back) in ((ours, (made, gradient)), (form, expected)):
            maps.kernel_map(weight, of_kernel, part)
            maps.kernel_map_transposed(piece, back, part)
        ours.kernel_map_transposed(piece, gradient, part)  # set, not added
    close(made, expected[0], "kernel_map")
    close(gradient, expected[1], "kernel_map_transposed")
    guarded.check()


# ---------------------------------------------------------------- patches


@needs_numba
@given(st.data(), st.sampled_from(["float32", "float64"]), st.integers(0, 2**32))
def test_patches_are_taken_and_put_back_as_the_readable_backend_does(data, dtype, seed):
    from minigan.backend.compiled import loops

    pair, reference = (
        st.tuples(st.integers(1, 4), st.integers(1, 4)),
        backend.Reference(numpy, "cpu"),
    )
    kernel, stride, size = (
        data.draw(pair),
        data.draw(pair),
        data.draw(st.tuples(*[st.integers(1, 9)] * 2)),
    )
    window = Window(kernel, stride, data.draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
    assume(min(window.output_size(*size)) >= 1)
    n, channels = (
        data.draw(st.integers(1, 3)),
        data.draw(st.one_of(st.integers(1, 20), st.just(130))),
    )
    rng, guarded = numpy.random.default_rng(seed), Guarded(dtype)
    x = rng.standard_normal((n, *size, channels)).astype(dtype)
    expected = reference.unfold(x, window)
    patches, image = (
        guarded.full((*expected.shape[:4], kernel[1] * channels)),
        guarded.full(x.shape),
    )
    loops.unfold(x.reshape(n, size[0], -1), patches, window.stride, window.padding, size[1])
    numpy.testing.assert_array_equal(patches.reshape(expected.shape), expected)
    image[...] = 0
    loops.fold(expected, image, window.stride, window.padding)
    folded = reference.fold(expected.astype("float64"), x.shape, window)
    numpy.testing.assert_allclose(image, folded, rtol=1e-5, atol=1e-5)
    guarded.check()


# ---------------------------------------------------------------- which backend


def _forget_numba(monkeypatch):
    """As if Numba weren't there."""
    monkeypatch.setitem(sys.modules, "numba", None)
    for name in [name for name in sys.modules if name.startswith("minigan.backend.compiled")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr(backend, "compiled", raising=False)


def test_numpy_alone_where_numba_is_not_installed_or_not_wanted(monkeypatch):
    assert type(devices.cpu_backend("0")) is CpuBackend
    _forget_numba(monkeypatch)
    assert type(devices.cpu_backend("")) is CpuBackend
    assert type(devices.cpu_backend("0")) is CpuBackend
    with pytest.raises(
        ValueError, match=r"^MINIGAN_FAST=1 needs Numba, .* install minigan\[fast\]\.$"
    ):
        devices.cpu_backend("1")


@needs_numba
def test_numpy_alone_where_numbas_compiler_cannot_be_loaded(monkeypatch):
    import builtins

    real = builtins.__import__

    def broken(name, *args, **kwargs):
        if name.startswith("minigan.backend.compiled"):
            raise OSError("libLLVM.so: cannot open shared object file")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", broken)
    assert type(devices.cpu_backend("")) is CpuBackend
    with pytest.raises(ValueError, match=r"can't be imported \(libLLVM"):
        devices.cpu_backend("1")


@needs_numba
def test_vectors_of_another_length_are_refused_as_numpy_does():
    ops, x = devices.cpu_backend("1"), numpy.ones((40, 32), "float32")
    right, wrong = numpy.ones(32, "float32"), numpy.ones(31, "float32")
    for place in range(4):
        vectors = [wrong if i == place else right for i in range(4)]
        with pytest.raises(ValueError, match="broadcast"):
            ops.standardise(x, *vectors)
    for place in range(3):
        vectors = [wrong if i == place else right for i in range(3)]
        with pytest.raises(ValueError, match="broadcast"):
            ops.standardise_grad(x, x, *vectors)
    with pytest.raises(ValueError, match="broadcast"):
        ops.bias_leaky_relu(x, wrong, 0.2)
    window = Window((4, 4), (2, 2), (1, 1))
    images, weight = numpy.ones((256, 16, 16, 32), "float32"), numpy.ones((4, 4, 32, 32), "float32")
    assert winograd.plan(window, images.shape, 32) is not None
    with pytest.raises(ValueError, match="broadcast"):
        ops.conv(images, weight, window, wrong)


@needs_numba
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "target", [1.0, 0.9, numpy.full((5, 1), 0.3), numpy.ones((5, 1), "float32")]
)
def test_the_loss_has_the_readable_ones_dtypes(target, dtype):
    logits = numpy.linspace(-3, 3, 5).astype(dtype)[:, None]
    found = devices.cpu_backend("1").bce_with_logits(logits, target)
    expected = backend.Reference(numpy, "cpu").bce_with_logits(logits, target)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == theirs.dtype
        numpy.testing.assert_allclose(ours, theirs, rtol=1e-6)


@needs_numba
def test_compiled_loops_where_numba_is_installed():
    from minigan.backend.compiled import CompiledBackend

    assert type(devices.cpu_backend("")) is CompiledBackend
    assert type(devices.cpu_backend("1")) is CompiledBackend


@pytest.mark.parametrize("wish", ["2", "yes", "true", "numba"])
def test_what_is_no_wish_is_refused(wish):
    with pytest.raises(
        ValueError, match=rf"^MINIGAN_FAST must be 0 \(.*\) or 1 \(.*\), got '{wish}'; leave it out"
    ):
        devices.cpu_backend(wish)


def _python(code, folder=None, **environment):
    """What a fresh process prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True, text=True, check=False, cwd=folder, env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("wish", "expected"), [("0", "CpuBackend"), (" 0 ", "CpuBackend"), ("maybe", "ValueError")]
)
def test_the_environment_may_say_which(wish, expected):
    code = (
        "from minigan import backend\n"
        "try: print(type(backend.get('cpu')).__name__)\n"
        "except ValueError as error: print(type(error).__name__)"
    )
    assert _python(code, MINIGAN_FAST=wish) == [expected]


def test_importing_minigan_does_not_import_numba():
    code = (
        "import sys, minigan, minigan.nn, minigan.optim, minigan.losses, minigan.gan, minigan.cli\n"
        "print('numba' in sys.modules, 'minigan.backend.compiled' in sys.modules)"
    )
    assert _python(code, MINIGAN_FAST="") == ["False"] * 2


@needs_numba
def test_where_no_folder_may_be_written_to_loops_are_compiled_all_the_same(tmp_path):
    """Neither beside the sources, where a file is in the way, nor in the user's folder, as there is
    none.
    """
    copy = tmp_path / "minigan"
    shutil.copytree(
        Path(minigan.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    (copy / "backend" / "__pycache__").touch()
    code = (
        "import numpy, minigan; from minigan import backend; ops = backend.get('cpu')\n"
        "print(type(ops).__name__, *ops.leaky_relu(numpy.array([-1.0, 2.0]), 0.5), "
        "minigan.__file__)"
    )
    nowhere = "/dev/null/nowhere"
    said = _python(
        code,
        tmp_path,
        PYTHONPATH=str(tmp_path),
        MINIGAN_FAST="1",
        HOME=nowhere,
        XDG_CACHE_HOME=nowhere,
        NUMBA_CACHE_DIR="",
    )
    assert said == ["CompiledBackend", "-0.5", "2.0", str(copy / "__init__.py")]

"""Intel's products: every layout that they take, what they refuse, and what happens where they can't be had."""

import ctypes
import importlib.metadata
import subprocess
import sys
import threading
from pathlib import Path

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigan.backend import mkl

ROUNDING = {"float32": 1e-5, "float64": 1e-13}


@pytest.fixture(scope="module")
def library():
    found = mkl.load()
    if found is None:
        pytest.skip("needs Intel's library, which minigan[fast] brings")
    return found


SIZES = st.one_of(st.integers(1, 9), st.integers(30, 70))
LINES = st.sampled_from(["plain", "transposed", "some of the columns", "every second row"])


def _laid_out(rng, rows, columns, dtype, layout, stack=None, *, middle=False):
    """A matrix, or a stack of them, whose axis may lie in the middle of memory."""
    wide = columns + 3 if layout == "some of the columns" else columns
    long = 2 * rows if layout == "every second row" else rows
    shape = (wide, long) if layout == "transposed" else (long, wide)
    if stack is None:
        a = rng.standard_normal(shape).astype(dtype)
    elif middle and layout != "every second row":
        a = rng.standard_normal((shape[0], stack, shape[1])).astype(dtype).transpose(1, 0, 2)
    else:
        a = rng.standard_normal((stack, *shape)).astype(dtype)
    if layout == "transposed":
        return a.swapaxes(-1, -2)
    return a[..., 2 : 2 + columns] if layout == "some of the columns" else a[..., :: long // rows, :]


@given(
    st.tuples(SIZES, SIZES, SIZES), st.tuples(LINES, LINES, LINES.filter(lambda layout: layout != "transposed")),
    st.one_of(st.none(), st.integers(1, 5)), st.tuples(*[st.booleans()] * 3), st.sampled_from(sorted(ROUNDING)),
    st.integers(0, 2**32),
)  # fmt: skip
def test_matrices_and_stacks_of_every_layout_are_multiplied(library, sizes, layouts, stack, middle, dtype, seed):
    rng, (m, k, n) = numpy.random.default_rng(seed), sizes
    a, b, out = (
        _laid_out(rng, *shape, dtype, layout, stack, middle=inside)
        for shape, layout, inside in zip(((m, k), (k, n), (m, n)), layouts, middle, strict=True)
    )
    for source in (a, b):
        source.flags.writeable = False
    whole = out
    while whole.base is not None:
        whole = whole.base
    before = whole.copy()
    done = library.multiply(a, b, out)
    if not done:  # of a single row or column NumPy may not say how far it is to the next
        assert 1 in (m, k, n)
        return
    expected = a.astype("float64") @ b.astype("float64")
    numpy.testing.assert_allclose(out, expected, rtol=0, atol=ROUNDING[dtype] * max(1, abs(expected).max()))
    out[...] = 0
    changed = whole != 0
    numpy.testing.assert_array_equal(
        whole[changed], before[changed], err_msg="what lies beside the result is kept"
    )
    assert changed.sum() == before.size - out.size


def test_most_layouts_are_really_taken(library):
    """What the test above passes over stays the exception: contiguous arrays of whatever size are multiplied."""
    for m, k, n in [(1, 5, 4), (5, 1, 4), (5, 4, 1), (1, 1, 1), (7, 8, 9)]:
        for stack in ((), (3,)):
            a, b = numpy.ones((*stack, m, k), "float32"), numpy.ones((*stack, k, n), "float32")
            out = numpy.zeros((*stack, m, n), "float32")
            assert library.multiply(a, b, out), (m, k, n, stack)
            assert (out == k).all()


def _cases():
    a, b, out = (numpy.ones(s, "float32") for s in ((6, 8), (8, 10), (6, 10)))
    yield "strided columns", numpy.ones((6, 16), "float32")[:, ::2], b, out
    yield "backwards", a[:, ::-1], b, out
    yield "upside down", a, b[::-1], out
    yield "the same row again", numpy.broadcast_to(a[:1], a.shape), b, out
    yield "a transposed result", a, b, numpy.ones((10, 6), "float32").T
    yield "two precisions", a.astype("float64"), b, out
    yield "two precisions", a, b.astype("float64"), out.astype("float64")
    yield "half precision", a.astype("f2"), b.astype("f2"), out.astype("f2")
    yield "integers", a.astype(int), b.astype(int), out.astype(int)
    yield "complex numbers", a + 0j, b + 0j, out + 0j
    yield "foreign byte order", a.astype(">f4"), b, out
    yield "nothing to add", a[:, :0], b[:0], out
    yield "no rows", a[:0], b, out[:0]
    yield "no columns", a, b[:, :0], out[:, :0]
    stacks = numpy.ones((3, 6, 8), "float32"), numpy.ones((3, 8, 10), "float32"), numpy.ones((3, 6, 10), "float32")
    yield "factors that don't fit", a, b[:7], out
    yield "a result that doesn't fit", a, b, out[:5]
    yield "stacks of different heights", stacks[0], stacks[1][:2], stacks[2]
    yield "a matrix for a stack", stacks[0], b, stacks[2]
    yield "an empty stack", *(x[:0] for x in stacks)
    yield "stacks of strided columns", numpy.ones((3, 6, 16), "float32")[..., ::2], *stacks[1:]


@pytest.mark.parametrize("case", list(_cases()), ids=lambda case: case[0])
def test_what_it_does_not_take_is_refused_and_left_alone(library, case):
    _, a, b, out = case
    before = out.copy()
    assert library.multiply(a, b, out) is False
    numpy.testing.assert_array_equal(out, before)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("stack", [None, 4])
def test_the_bits_do_not_depend_on_where_the_arrays_lie(library, stack, threads):
    rng, results = numpy.random.default_rng(0), []
    shapes = [(stack, *s)[stack is None :] for s in ((131, 257), (257, 97), (131, 97))]
    a, b = (rng.standard_normal(s, "float32") for s in shapes[:2])

    def moved(x, by):
        room = numpy.empty(x.size + 32, x.dtype)
        room[by : by + x.size] = x.ravel()
        return room[by : by + x.size].reshape(x.shape)

    for by in (0, 1, 2, 3, 5, 8, 15):
        out = moved(numpy.empty(shapes[2], "float32"), (7 * by) % 16)
        assert library.multiply(moved(a, by), moved(b, (3 * by) % 16), out, threads=threads)
        results.append(out)
    for other in results[1:]:
        numpy.testing.assert_array_equal(other, results[0])


def test_several_threads_of_the_users_may_multiply_at_once(library):
    rng = numpy.random.default_rng(0)
    pairs = [(rng.standard_normal((60, 80 + i)), rng.standard_normal((80 + i, 50))) for i in range(8)]
    results = [numpy.empty((60, 50)) for _ in pairs]

    def work(i):
        for _ in range(20):
            assert library.multiply(*pairs[i], results[i])

    users = [threading.Thread(target=work, args=(i,)) for i in range(len(pairs))]
    for user in users:
        user.start()
    for user in users:
        user.join()
    for (a, b), out in zip(pairs, results, strict=True):
        numpy.testing.assert_allclose(out, a @ b, rtol=1e-12, atol=1e-12)


# ---------------------------------------------------------------- a library made of NumPy, for everybody


class Routine:
    """A function of a C library that tells what it was called with, and does something."""

    def __init__(self, does=lambda *arguments: 0):
        self.does, self.calls = does, []

    def __call__(self, *arguments):
        self.calls.append(arguments)
        return self.does(*arguments)


def _at(pointer, shape, lines, dtype):
    size = numpy.dtype(dtype).itemsize
    room = (ctypes.c_char * (size * ((shape[0] - 1) * lines + shape[1]))).from_address(pointer)
    return numpy.ndarray(shape, dtype, room, 0, (size * lines, size))


def _gemm(dtype, order, ta, tb, m, n, k, alpha, pa, la, pb, lb, beta, pc, lc):
    assert (order, alpha, beta) == (101, 1, 0)
    a = _at(pa, (k, m), la, dtype).T if ta == 112 else _at(pa, (m, k), la, dtype)
    b = _at(pb, (n, k), lb, dtype).T if tb == 112 else _at(pb, (k, n), lb, dtype)
    _at(pc, (m, n), lc, dtype)[...] = a @ b


def _gemm_batch(dtype, order, *rest):
    *numbers, groups, counts = rest
    assert groups == 1

    def value(reference):
        return reference._obj.value

    ta, tb, m, n, k, alpha, pa, la, pb, lb, beta, pc, lc = numbers
    for i in range(value(counts)):
        a, b, c = (ctypes.c_void_p.from_address(p + 8 * i).value for p in (pa, pb, pc))
        scalars = [value(x) for x in (ta, tb, m, n, k, alpha)]
        _gemm(dtype, order, *scalars, a, value(la), b, value(lb), value(beta), c, value(lc))


class Twin:
    """As much of the library as is called."""

    def __init__(self):
        self.threads = 0
        self.MKL_Set_Num_Threads_Local = Routine(self._use)
        self.MKL_Set_Threading_Layer, self.MKL_CBWR_Set = Routine(), Routine()
        self.kmp_set_blocktime = Routine()
        self._products = {}
        for letter, dtype in (("s", "float32"), ("d", "float64")):
            for name, does in (("gemm", _gemm), ("gemm_batch", _gemm_batch)):
                product = Routine(lambda *arguments, does=does, dtype=dtype: does(dtype, *arguments))
                self._products[f"cblas_{letter}{name}"] = product

    def _use(self, count):
        before, self.threads = self.threads, count
        return before

    def __getitem__(self, name):
        return self._products[name]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stack", [None, 3])
def test_a_library_is_told_where_the_matrices_lie(stack, dtype):
    twin, rng = Twin(), numpy.random.default_rng(0)
    library = mkl.Mkl(twin, threads=True)
    for layout in ("plain", "transposed", "some of the columns"):
        a, b, out = (
            _laid_out(rng, *shape, dtype, kind, stack, middle=True)
            for shape, kind in (((4, 5), layout), ((5, 3), layout), ((4, 3), "plain"))
        )
        assert library.multiply(a, b, out)
        numpy.testing.assert_allclose(out, a @ b, rtol=1e-5, atol=1e-5)
    assert {len(routine.calls) for routine in twin._products.values()} == {0, 3}


@pytest.mark.parametrize("case", list(_cases()), ids=lambda case: case[0])
def test_no_library_is_asked_for_what_it_could_not_do(case):
    assert mkl.Mkl(Twin(), threads=True).multiply(*case[1:]) is False


def test_the_number_of_threads_is_the_callers_own_again():
    twin = Twin()
    twin.threads = 5
    library, a = mkl.Mkl(twin, threads=True), numpy.eye(3)
    library.multiply(a, a, numpy.empty((3, 3)))
    library.multiply(a, a, numpy.empty((3, 3)), threads=2)
    assert [count for (count,) in twin.MKL_Set_Num_Threads_Local.calls] == [1, 5, 2, 5]


# ---------------------------------------------------------------- where it is, and where it isn't


class _Files:
    """What ``pip`` put where, for a package with these files."""

    def __init__(self, folder, names):
        self.entries = [
            type("File", (), {"name": name, "locate": lambda _, n=name: folder / n})() for name in names
        ]


@pytest.fixture
def load(monkeypatch):
    """`mkl.load` as if for the first time."""
    monkeypatch.setattr(sys, "platform", "linux")
    return mkl.load.__wrapped__


def _installed(monkeypatch, folder, *names):
    monkeypatch.setattr(importlib.metadata, "files", lambda package: _Files(folder, names).entries)


def test_none_where_the_package_is_not_installed(monkeypatch, load):
    def files(package):
        raise importlib.metadata.PackageNotFoundError(package)

    monkeypatch.setattr(importlib.metadata, "files", files)
    assert load() is None


@pytest.mark.parametrize("names", [(), ("libmkl_core.so.2", "mkl.h")])
def test_none_where_the_package_has_no_such_file(monkeypatch, load, tmp_path, names):
    _installed(monkeypatch, tmp_path, *names)
    assert load() is None


def test_none_where_the_record_of_the_package_is_lost(monkeypatch, load):
    monkeypatch.setattr(importlib.metadata, "files", lambda package: None)
    assert load() is None


def test_none_on_another_system(monkeypatch, load, tmp_path):
    _installed(monkeypatch, tmp_path, "libmkl_rt.so.2")
    monkeypatch.setattr(mkl.ctypes, "CDLL", lambda path: pytest.fail("was loaded all the same"))
    monkeypatch.setattr(sys, "platform", "darwin")
    assert load() is None


def test_none_where_the_file_is_no_library(monkeypatch, load, tmp_path):
    (tmp_path / "libmkl_rt.so.2").write_text("broken")
    _installed(monkeypatch, tmp_path, "libmkl_rt.so.2")
    assert load() is None
    (tmp_path / "libmkl_rt.so.2").unlink()
    assert load() is None


def test_none_where_the_library_lacks_a_function(monkeypatch, load, tmp_path):
    _installed(monkeypatch, tmp_path, "libmkl_rt.so.2")
    real = ctypes.CDLL
    monkeypatch.setattr(mkl.ctypes, "CDLL", lambda path: real(None))  # this very process
    assert load() is None


@pytest.mark.parametrize("has_threads", [True, False])
def test_a_library_is_set_up_once_loaded(monkeypatch, load, tmp_path, has_threads):
    _installed(monkeypatch, tmp_path, "readme", "libmkl_rt.so.2")
    if has_threads:
        (tmp_path / "libiomp5.so").touch()
    twin, asked = Twin(), []
    monkeypatch.setattr(mkl.ctypes, "CDLL", lambda path: asked.append(Path(path).name) or twin)
    found = load()
    assert found.threads == has_threads
    assert asked == ["libmkl_rt.so.2", "libiomp5.so"][: 1 + has_threads]
    assert twin.MKL_Set_Threading_Layer.calls == [(0 if has_threads else 1,)]
    assert twin.MKL_CBWR_Set.calls == [(2,)]
    assert len(twin.kmp_set_blocktime.calls) == has_threads


def test_a_process_that_used_it_may_fork(library):
    code = (
        "import os, sys, numpy; from minigan.backend import mkl\n"
        "library = mkl.load(); a = numpy.ones((300, 300)); out = numpy.empty((300, 300))\n"
        "assert library.multiply(a, a, out, threads=2)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    out[...] = 0; library.multiply(a, a, out, threads=2); os._exit(int((out == 300).all()))\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 1

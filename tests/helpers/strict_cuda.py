"""A CUDA device without a GPU: the strict array, kernels and cuBLAS compiled for the CPU, graphs on
a tape.

`strict_cuda` returns a real `CudaBackend`. Its arrays refuse what CuPy refuses; its kernels are the
real sources, run by a small C++ shim with guard zones around every array; its matrix products go
through the real ctypes calls to a stand-in for cuBLAS; its graphs are recorded on a tape that is
replayed with frozen arguments, as CUDA does. What it can't show: races, the memory model,
occupancy, speed, and whether the real CuPy and cuBLAS do as they say."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import gc
import itertools
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
from strict_array import StrictArray, StrictNamespace

from minigan.backend.cuda import CudaBackend, launch
from minigan.backend.cuda.gemm import Gemm
from minigan.backend.cuda.launch import Kernels

HERE = Path(__file__).parent / "cuda_on_cpu"
GUARD = 64
DTYPES = {
    "float": "float32",
    "float4": "float32",
    "double": "float64",
    "int": "int32",
    "unsigned long long": "uint64",
}
C_TYPES = {
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "unsigned long long": ctypes.c_ulonglong,
}


def strict_cuda(*, backwards: bool = False, fast: bool = False) -> CudaBackend:
    """Return a CUDA backend on the CPU; skips the test where there is no C++ compiler.

    Parameters
    ----------
    backwards
        Run blocks and threads in reverse order.
    fast
        Leave matrix products to NumPy, and the guard zones out: for nets of real size.
    """
    xp = StrictNamespace()
    xp.cuda = FakeCuda(xp)
    kernels = CpuKernels(xp, backwards=backwards, guarded=not fast)
    gemm = NumpyProducts(xp) if fast else Gemm(xp, library=RecordedCublas(xp))
    xp.backend = CudaBackend(xp, kernels=kernels, gemm=gemm)
    return xp.backend


# ---------------------------------------------------------------- compiling


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="minigan-kernels-"))


def _compiled(name: str, source: str) -> ctypes.CDLL:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler (g++ or clang++) to run the kernels on the CPU with")
    path = _folder() / f"{name}.cpp"
    path.write_text(source)
    library = path.with_suffix(".so")
    options = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC", "-w", f"-I{HERE}"]
    subprocess.run([compiler, *options, str(path), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))


@functools.cache
def cublas() -> ctypes.CDLL:
    return _compiled("cublas", (HERE / "cublas.cpp").read_text())


@functools.cache
def kernel_file(file: str) -> ctypes.CDLL:
    """Compile a ``.cu`` file, with a plain C function ``run_NAME`` for each kernel in it."""
    text = launch.source(file)
    barrier = str("__syncthreads" in text).lower()
    functions = []
    for name, signature in launch.signatures().items():
        if signature.file != file:
            continue
        parameters = "".join(f", {t} a{i}" for i, t in enumerate(signature.types))
        arguments = ", ".join(f"a{i}" for i in range(len(signature.types)))
        functions.append(
            f'extern "C" int run_{name}(unsigned bx, unsigned by, unsigned threads, int backwards{parameters}) '
            f"{{ return shim::launch(bx, by, threads, {barrier}, backwards, "
            f"[=] {{ {name}({arguments}); }}); }}"
        )
    return _compiled(file, '#include "shim.h"\n' + text + "\n" + "\n".join(functions))


# ---------------------------------------------------------------- kernels


class CpuKernels(Kernels):
    """Launches kernels on the CPU, and is stricter about their arguments than a GPU."""

    def __init__(self, xp: StrictNamespace, *, backwards: bool, guarded: bool) -> None:
        super().__init__(xp)
        self.backwards, self.guarded = backwards, guarded
        self.launched: list[str] = []

    def run(
        self, name: str, blocks: tuple[int, ...], threads: int, arguments: tuple[Any, ...]
    ) -> None:
        self.launched.append(name)
        types = launch.signatures()[name].types
        arrays = [
            a
            for a, t in zip(arguments, types, strict=True)
            if t.endswith("*") and not t.startswith("const ")
        ]
        self._xp.record(lambda: self._run(name, blocks, threads, arguments), written=arrays)

    def _run(
        self, name: str, blocks: tuple[int, ...], threads: int, arguments: tuple[Any, ...]
    ) -> None:
        file, types = launch.signatures()[name]
        run = getattr(kernel_file(file), f"run_{name}")
        guarded: dict[int, Guarded] = {}
        values = []
        argtypes: list[Any] = [ctypes.c_uint, ctypes.c_uint, ctypes.c_uint, ctypes.c_int]
        for argument, c_type in zip(arguments, types, strict=True):
            if c_type.endswith("*") and not self.guarded:
                values.append(argument.data.ptr)
                argtypes.append(ctypes.c_void_p)
            elif c_type.endswith("*"):
                if argument.data.ptr not in guarded:
                    guarded[argument.data.ptr] = Guarded(name, argument)
                values.append(guarded[argument.data.ptr].check(c_type).address)
                argtypes.append(ctypes.c_void_p)
            else:
                assert isinstance(argument, launch.SCALARS[c_type]), (name, c_type, argument)
                values.append(argument.item())
                argtypes.append(C_TYPES[c_type])
        run.argtypes = argtypes
        across, down = (*blocks, 1)[:2]
        assert across <= 2**31 - 1, "too many blocks along x"
        assert down <= 65535, "too many blocks along y"
        if run(across, down, threads, int(self.backwards), *values) != 0:
            raise AssertionError(
                f"{name}: some threads of a block never came to a barrier where others waited"
            )
        for guard in guarded.values():
            guard.finish()


class Guarded:
    """A copy of an array between two guard zones, to notice a kernel that writes beside it."""

    def __init__(self, kernel: str, array: StrictArray) -> None:
        assert isinstance(array, StrictArray), f"{kernel} got {type(array).__name__} for a pointer"
        assert array._a.flags.c_contiguous, f"{kernel} got an array with gaps"
        self.kernel, self.array, self.constant = kernel, array._a, True
        whole = numpy.empty(array.nbytes + 2 * GUARD + 16, "uint8")
        start = -whole.ctypes.data % 16
        self.zones = whole[start : start + GUARD], whole[start + GUARD + array.nbytes :][:GUARD]
        for zone in self.zones:
            zone[...] = 0xFF  # NaN, read as a float: a kernel that reads beside its array shows it
        self.inside = whole[start + GUARD :][: array.nbytes]
        self.inside[...] = numpy.frombuffer(self.array.tobytes(), "uint8")
        self.address = self.inside.ctypes.data

    def check(self, c_type: str) -> Guarded:
        element = c_type.removeprefix("const ").removesuffix("*")
        assert self.array.dtype == DTYPES[element], (
            f"{self.kernel}: {self.array.dtype} for {c_type}"
        )
        if element == "float4":
            assert self.array.ctypes.data % 16 == 0, (
                f"{self.kernel}: float4 at an address that isn't aligned"
            )
        self.constant &= c_type.startswith("const ")
        return self

    def finish(self) -> None:
        for zone in self.zones:
            assert (zone == 0xFF).all(), f"{self.kernel} wrote beside an array"
        after = self.inside.tobytes()
        if self.constant:
            assert after == self.array.tobytes(), f"{self.kernel} wrote to a constant array"
        else:
            self.array[...] = numpy.frombuffer(after, self.array.dtype).reshape(self.array.shape)


class NumpyProducts:
    """Matrix products in the place of `Gemm`."""

    def __init__(self, xp: StrictNamespace) -> None:
        self._xp = xp

    def __call__(self, a: StrictArray, b: StrictArray) -> StrictArray:
        return StrictArray(self._xp.record(lambda: a._a @ b._a), self._xp)

    each = __call__


class RecordedCublas:
    """The stand-in for cuBLAS; products go onto the tape while there is one."""

    def __init__(self, xp: StrictNamespace) -> None:
        self._xp = xp

    def __getattr__(self, name: str) -> Any:
        function = getattr(cublas(), name)
        if "gemm" not in name:
            return function
        return _Recorded(self._xp, function)


class _Recorded:
    def __init__(self, xp: StrictNamespace, function: Any) -> None:
        object.__setattr__(self, "_parts", (xp, function))

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._parts[1], name, value)

    def __call__(self, *arguments: Any) -> int:
        xp, function = self._parts
        return xp.record(lambda: function(*arguments))


# ---------------------------------------------------------------- streams, pools and graphs


class FakeCuda:
    """The part of ``cupy.cuda`` that minigan uses."""

    def __init__(self, xp: StrictNamespace) -> None:
        self._xp = xp
        self._numbers = itertools.count(7)
        self.null = FakeStream(self, 0)
        self.current = self.null
        self.allocator: Any = None
        self.pools: list[FakePool] = []
        self.log: list[str] = []

    def Stream(self, *, non_blocking: bool = False) -> FakeStream:
        assert non_blocking, "a stream that waits for the default stream can't be captured safely"
        return FakeStream(self, next(self._numbers))

    def MemoryPool(self) -> FakePool:
        self.pools.append(FakePool())
        return self.pools[-1]

    def Event(self, *, disable_timing: bool = False) -> FakeEvent:
        return FakeEvent(timed=not disable_timing)

    def get_elapsed_time(self, start: FakeEvent, stop: FakeEvent) -> float:
        return 1e3 * (stop.time - start.time)

    def get_current_stream(self) -> FakeStream:
        return self.current

    @contextlib.contextmanager
    def using_allocator(self, allocator: Callable[[int], Any]) -> Iterator[None]:
        before, self.allocator = self.allocator, allocator
        try:
            yield
        finally:
            self.allocator = before


class FakeEvent:
    def __init__(self, *, timed: bool) -> None:
        self.timed, self.stream = timed, 0

    def record(self) -> None:
        assert self.timed
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass


class FakePool:
    used = False

    def malloc(self, size: int) -> None:
        raise AssertionError("nothing really allocates here")


class FakeStream:
    def __init__(self, cuda: FakeCuda, ptr: int) -> None:
        self._cuda, self.ptr = cuda, ptr
        self._outer: list[FakeStream] = []

    def __enter__(self) -> FakeStream:
        self._outer.append(self._cuda.current)
        self._cuda.current = self
        return self

    def __exit__(self, *exception: Any) -> None:
        self._cuda.current = self._outer.pop()

    def record(self, event: FakeEvent) -> FakeEvent:
        self._cuda.log.append(f"record {self.ptr}")
        event.stream = self.ptr
        return event

    def wait_event(self, event: FakeEvent) -> None:
        self._cuda.log.append(f"{self.ptr} waits for {event.stream}")

    def begin_capture(self) -> None:
        assert self._cuda.current is self, "capture on the stream that is current"
        assert self._cuda.allocator is not None, "capture under an allocator of its own"
        assert not gc.isenabled(), (
            "a collection may free another graph's memory, which CUDA refuses"
        )
        recorded = [pool for pool in self._cuda.pools if pool.malloc == self._cuda.allocator]
        assert not any(pool.used for pool in recorded), "a pool that serves one recording"
        for pool in recorded:
            pool.used = True
        self._cuda.log.append("begin_capture")
        self._cuda._xp.begin_tape()

    def end_capture(self) -> FakeGraph:
        self._cuda.log.append("end_capture")
        return FakeGraph(self._cuda, *self._cuda._xp.end_tape())


class FakeGraph:
    def __init__(self, cuda: FakeCuda, tape: list[Any], own: list[numpy.ndarray]) -> None:
        self._cuda, self._tape, self._own = cuda, tape, own

    def launch(self, stream: FakeStream) -> None:
        assert not self._cuda._xp.mode
        self._cuda.log.append(f"launch on {stream.ptr}")
        for array in self._own:
            # A pool hands the same memory out again as soon as an array is gone, so whatever was
            # written there before the replay, an earlier kernel of the replay may overwrite.
            array[...] = numpy.nan if array.dtype.kind == "f" else 77
        for redo, stored in self._tape:
            _store(stored, redo())


def _store(stored: Any, result: Any) -> None:
    """Write the result of a repeated operation to where its first result lies."""
    if isinstance(stored, (list, tuple)):
        for one, other in zip(stored, result, strict=True):
            _store(one, other)
    elif isinstance(stored, numpy.ndarray):
        numpy.copyto(stored, result)

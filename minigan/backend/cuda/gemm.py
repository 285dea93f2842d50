"""Matrix products on a cuBLAS handle of our own.

CuPy's own products can't be recorded into a CUDA graph: its ``cublas.setStream`` refuses during
capture. A private handle with a workspace of its own can. It also decides the precision: strict
float32, or TF32 where asked for. This is the only file that calls a C library by hand.

cuBLAS thinks column by column. A matrix stored row by row is, read column by column, its transpose;
so for ``C = A B`` it is asked for ``Cᵀ = Bᵀ Aᵀ``, and nothing is moved.
"""

from __future__ import annotations

import ctypes
import importlib
from typing import Any

Array = Any  # of CuPy, with its pointers, which minigan.backend.Array doesn't name

PRECISIONS = ("float32", "tf32")
WORKSPACE_BYTES = 32 * 2**20
"""What NVIDIA recommends for Hopper (cuBLAS guide, cublasSetWorkspace); other chips need less."""

_DEFAULT_MATH, _TF32_MATH = 0, 3  # cublasMath_t
_NORMAL, _TRANSPOSED = 0, 1  # cublasOperation_t
_ROUTINES = {
    "float32": ("cublasSgemm_v2", ctypes.c_float),
    "float64": ("cublasDgemm_v2", ctypes.c_double),
}


class Gemm:
    """``C = A B`` for matrices of float32 or float64, or for stacks of them.

    Parameters
    ----------
    xp
        The module ``cupy``.
    precision
        ``"float32"``: strict. ``"tf32"``: float32 products may round their factors to 10 bits on
        tensor cores.
    library
        The cuBLAS library; found through ``cuda.pathfinder`` by default.
    """

    def __init__(self, xp: Any, *, precision: str = "float32", library: Any = None) -> None:
        self._xp = xp
        self._cublas = _declared(load() if library is None else library)
        self._handle = ctypes.c_void_p()
        self._check("cublasCreate_v2", ctypes.byref(self._handle))
        self._workspaces: dict[int, Array] = {}
        self._stream: int | None = None
        self.precision = precision

    @property
    def precision(self) -> str:
        """``"float32"`` or ``"tf32"``."""
        return self._precision

    @precision.setter
    def precision(self, name: str) -> None:
        check_precision(name)
        self._check(
            "cublasSetMathMode", self._handle, _TF32_MATH if name == "tf32" else _DEFAULT_MATH
        )
        self._precision = name

    def __call__(self, a: Array, b: Array) -> Array:
        """Multiply a (M, K) by b (K, N), either of them stored row by row or column by column."""
        self._follow_stream()
        c = self._xp.empty((a.shape[0], b.shape[1]), a.dtype)
        a, a_operation, a_leading = self._operand(a)
        b, b_operation, b_leading = self._operand(b)
        routine, number = _ROUTINES[str(a.dtype)]
        (m, k), n = a.shape, b.shape[1]
        one, zero = number(1), number(0)
        self._check(
            routine, self._handle, b_operation, a_operation, n, m, k,
            ctypes.byref(one), b.data.ptr, b_leading, a.data.ptr, a_leading,
            ctypes.byref(zero), c.data.ptr, n,
        )  # fmt: skip
        return c

    def each(self, a: Array, b: Array) -> Array:
        """Multiply each matrix of a (n, M, K) by that of b (n, K, N), in one launch."""
        self._follow_stream()
        (count, m, k), n = a.shape, b.shape[2]
        c = self._xp.empty((count, m, n), a.dtype)
        a, a_operation, a_leading = self._operands(a)
        b, b_operation, b_leading = self._operands(b)
        routine, number = _ROUTINES[str(a.dtype)]
        one, zero = number(1), number(0)
        self._check(
            routine.replace("_v2", "StridedBatched"), self._handle, b_operation, a_operation,
            n, m, k, ctypes.byref(one), b.data.ptr, b_leading, k * n, a.data.ptr, a_leading, m * k,
            ctypes.byref(zero), c.data.ptr, n, m * n, count,
        )  # fmt: skip
        return c

    def _operands(self, x: Array) -> tuple[Array, int, int]:
        """As `_operand`, for a stack of matrices."""
        if x.flags.c_contiguous:
            return x, _NORMAL, x.shape[2]
        if x.transpose(0, 2, 1).flags.c_contiguous:
            return x, _TRANSPOSED, x.shape[1]
        return self._xp.ascontiguousarray(x), _NORMAL, x.shape[2]

    def _operand(self, x: Array) -> tuple[Array, int, int]:
        """Say how cuBLAS should read a matrix: the array, whether transposed, and the distance of
        its columns.
        """
        if x.flags.c_contiguous:
            return x, _NORMAL, x.shape[1]
        if x.flags.f_contiguous:
            return x, _TRANSPOSED, x.shape[0]
        return self._xp.ascontiguousarray(x), _NORMAL, x.shape[1]

    def _follow_stream(self) -> None:
        """Compute on the stream that the other kernels go to."""
        stream = self._xp.cuda.get_current_stream().ptr
        if stream == self._stream:
            return
        self._check("cublasSetStream_v2", self._handle, stream)
        # Setting a stream takes the workspace away. Without one, a captured product would allocate
        # for itself; with one that two streams share, their products would overwrite each other's.
        if stream not in self._workspaces:
            self._workspaces[stream] = self._xp.empty(WORKSPACE_BYTES // 4, "float32")
        space = self._workspaces[stream]
        self._check("cublasSetWorkspace_v2", self._handle, space.data.ptr, space.nbytes)
        self._stream = stream

    def _check(self, routine: str, *arguments: Any) -> None:
        status = getattr(self._cublas, routine)(*arguments)
        if status != 0:
            raise RuntimeError(
                f"{routine} failed with cuBLAS status {status}; see cublasStatus_t in the cuBLAS "
                "guide."
            )


def check_precision(name: str) -> None:
    """Refuse a precision that there isn't."""
    if name not in PRECISIONS:
        raise ValueError(f"Unknown precision {name!r}; use one of {', '.join(PRECISIONS)}.")


def load() -> Any:
    """Load cuBLAS from the wheels or the toolkit that CuPy uses.

    Raises
    ------
    ValueError
        If there is none.
    """
    try:
        found = importlib.import_module("cuda.pathfinder").load_nvidia_dynamic_lib("cublas")
    except Exception as error:  # pathfinder has a dozen ways to say "not here"
        raise ValueError(
            "Device 'cuda' needs the cuBLAS library, which was not found; install minigan[cuda12] "
            "or "
            "minigan[cuda13], or a CUDA toolkit."
        ) from error
    return ctypes.CDLL(found.abs_path)


def _declared(library: Any) -> Any:
    """Declare the argument types of the few routines in use."""
    handle, integer, pointer = ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p
    long = ctypes.c_longlong
    library.cublasCreate_v2.argtypes = [ctypes.POINTER(handle)]
    library.cublasSetStream_v2.argtypes = [handle, pointer]
    library.cublasSetWorkspace_v2.argtypes = [handle, pointer, ctypes.c_size_t]
    library.cublasSetMathMode.argtypes = [handle, integer]
    for routine, number in _ROUTINES.values():
        getattr(library, routine).argtypes = [
            handle, integer, integer, integer, integer, integer,
            ctypes.POINTER(number), pointer, integer, pointer, integer,
            ctypes.POINTER(number), pointer, integer,
        ]  # fmt: skip
        getattr(library, routine.replace("_v2", "StridedBatched")).argtypes = [
            handle, integer, integer, integer, integer, integer,
            ctypes.POINTER(number), pointer, integer, long, pointer, integer, long,
            ctypes.POINTER(number), pointer, integer, long, integer,
        ]  # fmt: skip
    return library

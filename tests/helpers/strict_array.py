"""An array class that refuses what CuPy refuses, so that device code is tested on machines without
a GPU.

It wraps a NumPy array (and is none: nothing converts by accident). Refused, as CuPy refuses it or
because it is slow or wrong there:

- implicit conversion to NumPy, mixing with NumPy arrays (as operands, values and index arrays);
- names, methods and keywords that CuPy lacks (`cupy_names`);
- a float64 result of float32 operands, a float64 array that nobody asked for by name;
- inside `no_sync`: whatever makes the host wait for the device (``float()``, ``bool()``,
  ``.item()``, boolean-mask reads, copies between host and device);
- inside `capturing`: moreover whatever CuPy can't record into a CUDA graph (its own matrix
  products).

>>> xp = StrictNamespace()
>>> backend = Reference(xp, "strict")     # net.to(backend) moves a net here
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any

import cupy_names
import numpy

from minigan.backend import Reference

NAMES = cupy_names.stored()
TRANSFERS = ("asarray", "array", "ascontiguousarray")
WAITING = (
    "nonzero",
    "flatnonzero",
    "argwhere",
    "unique",
    "extract",
    "asnumpy",
    "array2string",
    "savez",
    "save",
)
WAITING_METHODS = ("item", "get", "tolist", "tobytes", "nonzero", "dump", "dumps", "tofile", "set")
JOINING = ("concatenate", "stack", "hstack", "vstack", "dstack", "column_stack")
MUTATING = ("fill", "sort", "put", "partition")
PRODUCTS = ("matmul", "dot", "vdot", "inner", "outer", "tensordot", "einsum", "kron")


class StrictNamespace:
    """What ``numpy`` or ``cupy`` is to a backend: the module of array functions.

    Parameters
    ----------
    float64
        Allow float64 arrays to be made without naming the dtype (gradient checks).
    """

    def __init__(
        self, *, float64: bool = False, prefix: str = "", parent: StrictNamespace | None = None
    ) -> None:
        self._float64, self._prefix, self._parent = float64, prefix, parent
        self._mode = ""
        self._tape: list[Any] | None = None
        self._undo: list[Any] = []
        self._made: list[tuple[numpy.ndarray, Any]] = []
        self.cuda: Any = None
        self.backend: Any = parent.backend if parent else Reference(self, "strict")

    def get_default_memory_pool(self) -> StrictNamespace:
        """Where arrays come from unless another pool is in use."""
        return self

    def free_all_blocks(self) -> None:
        """Waits for the device, which can't be done within a recording."""
        assert self.mode == ""

    @property
    def mode(self) -> str:
        """``""``, ``"no_sync"`` or ``"capturing"``."""
        return self._parent.mode if self._parent else self._mode

    @contextlib.contextmanager
    def no_sync(self, mode: str = "no_sync") -> Iterator[None]:
        """Refuse whatever makes the host wait for the device."""
        before, self._mode = self._mode, mode
        try:
            yield
        finally:
            self._mode = before

    def capturing(self) -> contextlib.AbstractContextManager[None]:
        """Refuse whatever can't be recorded into a CUDA graph."""
        return self.no_sync("capturing")

    # ------------------------------------------------------------ a tape, as a CUDA graph is one

    def begin_tape(self) -> None:
        """From here on note every operation; each is carried out to know its shapes, and undone at
        the end.
        """
        self._tape, self._undo, self._made, self._mode = [], [], [], "capturing"

    def end_tape(self) -> tuple[list[Any], list[numpy.ndarray]]:
        """Undo what was carried out, as a recording moves nothing; return the operations, and the
        arrays whose memory came from the allocator of the recording.
        """
        tape, self._tape, self._mode = self._tape, None, ""
        for array, before in reversed(self._undo):
            array[...] = before
        own = [array for array, allocator in self._made if allocator == self.cuda.allocator]
        self._made = []
        return tape, own

    def _allocated(self, result: Any) -> None:
        """Note while there is a tape which memory is new, and who gave it."""
        root = self._root
        if root._tape is None:
            return
        for array in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(array, numpy.ndarray) and array.base is None:
                root._made.append((array, root.cuda.allocator if root.cuda else None))

    def record(
        self, operation: Callable[[], Any], *, written: Iterable[StrictArray] = (),
        operands: Sequence[Any] = (),
    ) -> Any:  # fmt: skip
        """Carry an operation out; while there is a tape, note it, and how to undo what it writes in
        place. A result that is one of the operands is no new memory.
        """
        root = self._root
        if root._tape is None:
            return _as_arrays(operation())
        written = list(written)
        root._undo += [(a._a, a._a.copy()) for a in written]
        result = _as_arrays(operation())
        root._tape.append((operation, result))
        if not written and not any(result is operand for operand in operands):
            self._allocated(result)
        return result

    def __getattr__(self, name: str) -> Any:
        full = self._prefix + name
        if name.startswith("_") or (
            full not in NAMES["functions"] and full not in cupy_names.SUBMODULES
        ):
            raise AttributeError(f"cupy {NAMES['version']} has no {full!r}")
        if full in cupy_names.SUBMODULES:
            return StrictNamespace(float64=self._float64, prefix=full + ".", parent=self)
        if full == "asnumpy":
            return self._to_host
        if full == "ndarray":
            return StrictArray
        here = operator.attrgetter(full)(numpy)
        if isinstance(here, ModuleType):
            raise AttributeError(
                f"{full!r} is not for device code; random numbers are drawn on the host"
            )
        if not callable(here) or isinstance(here, type):
            return here
        return lambda *args, **kwargs: self._call(
            here, full, NAMES["functions"][full], args, kwargs
        )

    # ------------------------------------------------------------ calling NumPy under CuPy's rules

    def _call(
        self,
        function: Any,
        name: str,
        keywords: list[str] | None,
        args: Any,
        kwargs: Any,
        owner: Any = None,
    ) -> Any:
        for key in kwargs:
            if keywords is not None and key not in keywords:
                raise TypeError(f"cupy.{name} has no keyword {key!r}")
        waits = name in WAITING or (name == "where" and len(args) == 1)
        self.refuse_while(waits, "no_sync", f"{name} makes the host wait for the device")
        self.refuse_while(
            name in PRODUCTS or name.startswith("linalg."),
            "capturing",
            f"cupy.{name} can't be captured",
        )
        # An array of another device is refused below, like any operand; a host array is copied
        # over.
        many = name in JOINING and len(args[0]) > 8
        self.refuse_while(
            many, "capturing", f"cupy.{name} of more than 8 arrays sends their addresses over"
        )
        transfer = owner is None and name in TRANSFERS and not isinstance(args[0], StrictArray)
        self.refuse_while(transfer, "no_sync", f"{name} copies from the host")
        explicit = kwargs.get("dtype") is not None or any(map(_names_float64, args))
        plain_args = [
            a if transfer and i == 0 else self.unwrap(a, name) for i, a in enumerate(args)
        ]
        plain_kwargs = {key: self.unwrap(value, name) for key, value in kwargs.items()}
        written = (
            [owner]
            if name in MUTATING
            else [kwargs["out"]]
            if kwargs.get("out") is not None
            else []
        )

        def operation() -> Any:
            result = function(*plain_args, **plain_kwargs)
            if transfer:
                result = result.copy()  # a device never shares memory with the host
            if name.startswith("empty") and result.dtype.kind == "f":
                result.fill(numpy.nan)  # whoever reads it before writing shall see that
            return result

        # Memory is no operation: a replay finds there what the one before left.
        if name.startswith("empty"):
            result = operation()
            self._allocated(result)
        else:
            own = [] if owner is None else [owner._a]
            result = self.record(operation, written=written, operands=[*own, *plain_args])
        operands = list(_arrays([owner, args, kwargs]))
        return self.wrap(result, operands, explicit, name)

    def _to_host(self, x: Any) -> numpy.ndarray:
        self.refuse_while(True, "no_sync", "asnumpy copies to the host")
        return x._a.copy() if isinstance(x, StrictArray) else numpy.asarray(x)

    def refuse_while(self, condition: bool, mode: str, why: str) -> None:
        """Refuse in `mode` and in the stricter one."""
        if condition and (self.mode == mode or (mode == "no_sync" and self.mode == "capturing")):
            raise RuntimeError(f"refused in a training step: {why}")

    def unwrap(self, x: Any, what: str) -> Any:
        """Take the NumPy array out of strict arrays; refuse bare NumPy arrays."""
        if isinstance(x, StrictArray):
            if x._xp is not self._root:
                raise TypeError(f"{what} got arrays of two devices")
            return x._a
        if isinstance(x, numpy.ndarray):
            raise TypeError(f"Unsupported type numpy.ndarray in {what}: CuPy refuses NumPy arrays")
        if isinstance(x, (list, tuple)):
            return type(x)(self.unwrap(v, what) for v in x)
        return x

    def wrap(self, result: Any, operands: list[StrictArray], explicit: bool, what: str) -> Any:
        """Make strict arrays of results (scalars become arrays without axes, as in CuPy)."""
        if isinstance(result, (list, tuple)) and what not in ("tolist", "shape", "strides"):
            return type(result)(self.wrap(r, operands, explicit, what) for r in result)
        if not isinstance(result, (numpy.ndarray, numpy.generic)) or what == "item":
            return result
        wanted = explicit or self._float64 or any(a.dtype == "float64" for a in operands)
        if result.dtype == "float64" and not wanted:
            raise TypeError(
                f"{what} makes a float64 array that nobody asked for: slow on a GPU; name the dtype"
            )
        return StrictArray(result, self._root)

    @property
    def _root(self) -> StrictNamespace:
        return self._parent or self


class StrictArray:
    """A device array without a device. Made by `StrictNamespace.asarray`, not directly."""

    __slots__ = ("_a", "_xp")
    __array_ufunc__ = None  # NumPy steps aside: its operators call ours, its functions refuse
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: numpy.ndarray, xp: StrictNamespace) -> None:
        self._a, self._xp = array, xp

    @property
    def __minigan_backend__(self) -> Any:
        return self._xp.backend

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed; use backend.to_numpy(x)"
        )

    def __array_function__(self, function: Any, *rest: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} got a device array; use backend.of(x).xp")

    @property
    def data(self) -> SimpleNamespace:
        """The address of the first entry, as ``cupy.ndarray.data.ptr``."""
        return SimpleNamespace(ptr=self._a.ctypes.data)

    def get(self) -> numpy.ndarray:
        return self._xp._to_host(self)

    def __getattr__(self, name: str) -> Any:
        if name not in NAMES["ndarray"]:
            raise AttributeError(f"cupy.ndarray has no {name!r}")
        value = getattr(self._a, name)
        if not callable(value):
            return self._xp.wrap(value, [self], True, name)
        self._xp.refuse_while(name in WAITING_METHODS, "no_sync", f".{name}() makes the host wait")
        self._xp.refuse_while(name == "dot", "capturing", "cupy's products can't be captured")
        names = NAMES["ndarray"][name]

        return lambda *args, **kwargs: self._xp._call(value, name, names, args, kwargs, self)

    # ---------------------------------------------------------------- reading and writing entries

    def __getitem__(self, key: Any) -> StrictArray:
        key = self._index(key)
        masks = [
            k
            for k in (key if isinstance(key, tuple) else (key,))
            if getattr(k, "dtype", "") == "bool"
        ]
        self._xp.refuse_while(bool(masks), "no_sync", "a boolean mask read makes the host wait")
        return StrictArray(self._xp.record(lambda: self._a[key]), self._xp)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, (list, tuple)):
            raise TypeError("CuPy can't assign a list to entries of an array")
        key, plain = self._index(key), self._xp.unwrap(value, "an assignment")
        self._xp.record(lambda: self._a.__setitem__(key, plain), written=[self])

    def set(self, host: numpy.ndarray) -> None:
        """Copy from the host, as ``cupy.ndarray.set``."""
        self._xp.refuse_while(True, "no_sync", "set copies from the host")
        assert isinstance(host, numpy.ndarray)
        assert host.shape == self._a.shape
        assert host.dtype == self._a.dtype
        self._a[...] = host

    def _index(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple(self._index(k) for k in key)
        if isinstance(key, list):
            raise TypeError("an index list is copied to the device at each use; make it an array")
        return self._xp.unwrap(key, "an index")

    # ---------------------------------------------------------------- what makes the host wait

    def _host(self, convert: Callable[[Any], Any], what: str) -> Any:
        self._xp.refuse_while(True, "no_sync", f"{what} makes the host wait for the device")
        return convert(self._a)

    def __float__(self) -> float:
        return self._host(float, "float()")

    def __int__(self) -> int:
        return self._host(int, "int()")

    def __bool__(self) -> bool:
        return self._host(bool, "bool()")

    def __index__(self) -> int:
        return self._host(operator.index, "use as an index")

    def __complex__(self) -> complex:
        return self._host(complex, "complex()")

    def __format__(self, spec: str) -> str:
        return self._host(lambda a: format(a[()], spec), "format()")

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator[StrictArray]:
        return (self[i] for i in range(len(self)))

    def __copy__(self) -> StrictArray:
        return StrictArray(self._xp.record(self._a.copy), self._xp)

    def __deepcopy__(self, memo: Any) -> StrictArray:
        return self.__copy__()

    def __repr__(self) -> str:
        return f"StrictArray({self._a!r})"


def _as_arrays(x: Any) -> Any:
    """Make arrays without axes of NumPy's scalars."""
    if isinstance(x, (list, tuple)):
        # CuPy's decompositions are plain tuples; NumPy's have a class of their own.
        return (list if isinstance(x, list) else tuple)(_as_arrays(v) for v in x)
    return numpy.asarray(x) if isinstance(x, numpy.generic) else x


def _arrays(x: Any) -> Iterator[StrictArray]:
    if isinstance(x, StrictArray):
        yield x
    elif isinstance(x, (list, tuple)):
        for v in x:
            yield from _arrays(v)
    elif isinstance(x, dict):
        yield from _arrays(list(x.values()))


def _names_float64(x: Any) -> bool:
    """Tell whether an argument handed over by position is the dtype float64, as in
    ``zeros(shape, dtype)``.
    """
    with contextlib.suppress(TypeError):
        return isinstance(x, (str, type, numpy.dtype)) and numpy.dtype(x) == "float64"
    return False


def _operator(name: str, swap: bool, in_place: bool) -> Callable[[StrictArray, Any], Any]:
    function = getattr(operator, name if name.endswith("_") else f"__{name}__")

    def apply(self: StrictArray, other: Any) -> Any:
        if not isinstance(other, (StrictArray, int, float, complex, numpy.generic, numpy.ndarray)):
            return NotImplemented
        self._xp.refuse_while(
            name in ("matmul", "imatmul"), "capturing", "cupy's @ can't be captured"
        )
        plain = self._xp.unwrap(other, f"operator {name}")
        if in_place:
            self._xp.record(lambda: function(self._a, plain), written=[self])
            return self
        result = self._xp.record(
            lambda: function(plain, self._a) if swap else function(self._a, plain)
        )
        return self._xp.wrap(result, list(_arrays([self, other])), False, f"operator {name}")

    return apply


BINARY = (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "or",
    "xor",
    "lshift",
    "rshift",
)
for _name in BINARY:
    setattr(StrictArray, f"__{_name}__", _operator(_name, swap=False, in_place=False))
    setattr(StrictArray, f"__r{_name}__", _operator(_name, swap=True, in_place=False))
    if _name != "matmul":
        setattr(StrictArray, f"__i{_name}__", _operator(f"i{_name}", swap=False, in_place=True))
for _name in ("lt", "le", "eq", "ne", "gt", "ge"):
    setattr(StrictArray, f"__{_name}__", _operator(_name, swap=False, in_place=False))


def _unary(name: str) -> Callable[[StrictArray], StrictArray]:
    function = getattr(operator, f"__{name}__")
    return lambda self: StrictArray(self._xp.record(lambda: function(self._a)), self._xp)


for _name in ("neg", "pos", "abs", "invert"):
    setattr(StrictArray, f"__{_name}__", _unary(_name))

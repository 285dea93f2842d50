"""The kernels of ``kernels/*.cu``: their sources, their signatures, and how they are compiled and
launched.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import Any, NamedTuple

import numpy

THREADS = 256
"""Threads in a block, for every kernel."""

FILES = ("patches", "reductions", "elementwise", "loss", "adam", "dropout", "ring")
OPTIONS = ("--std=c++17",)
SCALARS = {
    "int": numpy.int32,
    "float": numpy.float32,
    "double": numpy.float64,
    "unsigned long long": numpy.uint64,
}
"""The C type of each scalar argument: CuPy hands over the bytes as they are, and a Python number
has others.
"""


class Signature(NamedTuple):
    """A kernel: the file that it is in, and the C types of its arguments in order."""

    file: str
    types: tuple[str, ...]


@functools.cache
def source(file: str) -> str:
    """Return the CUDA C source of a file, what all files share in front."""
    folder = resources.files("minigan.backend.cuda") / "kernels"
    return "\n".join((folder / name).read_text("utf-8") for name in ("common.cuh", f"{file}.cu"))


@functools.cache
def signatures() -> dict[str, Signature]:
    """Read the name, file and argument types of every kernel from the sources."""
    found = {}
    for file in FILES:
        for name, arguments in re.findall(
            r'extern "C" __global__ void (\w+)\(([^)]*)\)', source(file)
        ):
            found[name] = Signature(
                file, tuple(_type(argument) for argument in arguments.split(","))
            )
    return found


def _type(argument: str) -> str:
    """``"const float* x"`` -> ``"const float*"``."""
    return re.sub(r"\s+", " ", argument.strip()).rpartition(" ")[0]


class Kernels:
    """Compiles a file at the first use of one of its kernels (NVRTC through CuPy), and launches.

    Parameters
    ----------
    xp
        The module ``cupy``.
    """

    def __init__(self, xp: Any) -> None:
        self._xp = xp
        self._functions: dict[str, Any] = {}

    def __call__(
        self, name: str, blocks: tuple[int, ...], *arguments: Any, threads: int = THREADS
    ) -> None:
        """Launch a kernel on the current stream.

        Parameters
        ----------
        name
            As in the ``.cu`` file.
        blocks
            The grid: how many blocks along each of its axes.
        arguments
            Device arrays for pointers, numbers for scalars, in the kernel's order.
        threads
            Threads in a block.
        """
        self.run(name, blocks, threads, typed(name, arguments))

    def run(
        self, name: str, blocks: tuple[int, ...], threads: int, arguments: tuple[Any, ...]
    ) -> None:
        """Hand a kernel with typed arguments to the device."""
        if name not in self._functions:
            file = signatures()[name].file
            module = self._xp.RawModule(code=source(file), options=OPTIONS)
            for other, signature in signatures().items():
                if signature.file == file:
                    self._functions[other] = module.get_function(other)
        self._functions[name](blocks, (threads,), arguments)


def typed(name: str, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Give each number the C type that the kernel declares."""
    types = signatures()[name].types
    return tuple(
        SCALARS[t](a) if t in SCALARS else a for t, a in zip(types, arguments, strict=True)
    )


def blocks_for(count: int) -> tuple[int, ...]:
    """Return a grid for `count` entries; beyond 4096 blocks each thread takes several of them."""
    return (max(1, min(-(-count // THREADS), 4096)),)

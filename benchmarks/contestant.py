"""One contestant: a process that builds its training step once and then times it when told to.

It reads a command per line from standard input and answers each with a line of JSON::

    run K       do K steps; {"seconds": [of each step], "cpus", "wait", "shared": see `benchmarks.placement`}
    memory      {"peak": MiB of the process at its largest, "imports": MiB when all was imported and nothing built}
    kernel      {"kernel": the processor that NumPy's OpenBLAS has chosen its code for}

The first answer comes by itself when the step is built and warm. What a library prints goes to
standard error.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import itertools
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from benchmarks import placement

Step = Callable[[], object]


def peak_mib() -> float:
    """Return the largest resident memory of this process so far, in MiB.

    On Linux it is VmHWM: ``ru_maxrss`` also counts what the process was before ``exec``, a copy of
    its parent. The kernel counts pages in batches, one for each core, so that a reading may be some
    0.1 MiB per core off.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        if "VmHWM" in lines:
            return int(lines["VmHWM"].split()[0]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if platform.system() == "Darwin" else peak / 1024


def timed(step: Step, count: int) -> tuple[list[float], placement.Placement]:
    """Return the seconds of each of `count` steps, and where the threads were; the collector of
    garbage waits until all are done.
    """
    seconds: list[float] = []
    gc.collect()
    looks = [placement.threads()]
    gc.disable()
    try:
        for done in range(1, count + 1):
            begin = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begin)
            if done in (count // 2, count):
                looks.append(placement.threads())
    finally:
        gc.enable()
    return seconds, placement.between(looks, sum(seconds))


def serve(spec: dict[str, Any], commands: TextIO, answers: TextIO) -> None:
    """Build the step of ``{"module", "workload", "options", "warm", "imports"}`` and obey until the
    input ends.
    """

    def answer(**values: Any) -> None:
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    module = importlib.import_module(spec["module"])
    for name in spec.get("imports", ()):
        importlib.import_module(name)
    imports = peak_mib()
    try:
        step: Step = module.make(spec["workload"], spec["options"])
        begin = time.perf_counter()
        for _ in range(spec["warm"]):
            step()
    except Exception as error:  # the reason why it can't take part, whatever it is
        answer(
            failed=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
        )
        return
    answer(ready=True, warm_up=time.perf_counter() - begin, versions=_versions())
    for line in commands:
        command, *numbers = line.split()
        if command == "run":
            seconds, where = timed(step, int(numbers[0]))
            answer(seconds=seconds, **where._asdict())
        elif command == "memory":
            answer(peak=peak_mib(), imports=imports)
        elif command == "kernel":
            answer(kernel=openblas_kernel())


def _versions() -> dict[str, str]:
    names = ("numpy", "torch", "dezero", "mygrad", "numpy_ml", "tinygrad")
    loaded = {name: sys.modules[name] for name in names if name in sys.modules}
    return {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()}


def openblas_kernel() -> str:
    """Return which processor's code NumPy's OpenBLAS runs, such as SkylakeX; "unknown" without
    one.
    """
    try:
        import threadpoolctl
    except ImportError:
        return next(filter(None, map(_corename, _openblas_files())), "unknown")
    found = [about.get("architecture") for about in threadpoolctl.threadpool_info()]
    return next(filter(None, found), "unknown")


def _openblas_files() -> list[Path]:
    import numpy

    package = Path(numpy.__file__).parent
    return [*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")]


def _corename(path: Path) -> str:
    library = ctypes.CDLL(str(path))
    for prefix, suffix in itertools.product(("scipy_", ""), ("64_", "", "_64")):
        ask = getattr(library, f"{prefix}openblas_get_corename{suffix}", None)
        if ask is not None:
            ask.restype = ctypes.c_char_p
            return (ask() or b"").decode()
    return ""


if __name__ == "__main__":
    # The real standard output is for answers; what libraries print by themselves must not get among
    # them.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(json.loads(sys.argv[1]), sys.stdin, channel)

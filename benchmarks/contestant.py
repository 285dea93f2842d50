"""One contestant: a process that builds its training step once and then times it when told to.

It reads a command per line from standard input and answers each with a line of JSON::

    run K       do K steps; {"seconds": [of each step]}
    memory      {"peak": MiB of the process at its largest, "imports": MiB when all was imported and nothing built}

The first answer comes by itself when the step is built and warm. What a library prints goes to
standard error.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

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


def timed(step: Step, count: int) -> list[float]:
    """Return the seconds of each of `count` steps; the collector of garbage waits until all are
    done.
    """
    seconds = []
    gc.collect()
    gc.disable()
    try:
        for _ in range(count):
            begin = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - begin)
    finally:
        gc.enable()
    return seconds


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
            answer(seconds=timed(step, int(numbers[0])))
        elif command == "memory":
            answer(peak=peak_mib(), imports=imports)


def _versions() -> dict[str, str]:
    names = ("numpy", "torch", "dezero", "mygrad", "numpy_ml", "tinygrad")
    loaded = {name: sys.modules[name] for name in names if name in sys.modules}
    return {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()}


if __name__ == "__main__":
    # The real standard output is for answers; what libraries print by themselves must not get among
    # them.
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(json.loads(sys.argv[1]), sys.stdin, channel)

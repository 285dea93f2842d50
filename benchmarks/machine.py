"""What a table of times is worth without: the machine, the libraries, and how busy it was."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from minigan.backend.cpu import cores as threads
from minigan.backend.cpu.blas import numpy_with_blas

RESULTS = Path(__file__).parent / "results"


def folder() -> Path:
    """Return where the results of this kind of processor are kept."""
    return RESULTS / slug(f"{processor()} {threads.cores()} cores")


def slug(words: str) -> str:
    """Turn the name of a processor into that of a folder.

    >>> slug("Intel(R) Xeon(R) Processor (family 6 model 167) 2 cores")
    'intel-xeon-processor-family-6-model-167-2-cores'
    """
    words = re.sub(r"\((R|TM)\)|@ *[0-9.]+ *GHz", " ", words, flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def heading(title: str, command: str, about: dict[str, str]) -> str:
    """Return what stands over a table: a title, the command and what a reader needs to know."""
    lines = [f"- {name}: {value}" for name, value in about.items()]
    return "\n".join([f"# {title}", "", f"`{command}`", "", *lines])


def today() -> dict[str, str]:
    """Return the date, for the heading of what is measured at once."""
    return {"measured": datetime.date.today().isoformat()}


def command(name: str, words: Sequence[str] | None, peers: str | None = None) -> str:
    """Return the command as a reader would type it: without where results or other engines are.

    Parameters
    ----------
    name
        Which of the benchmarks.
    words
        Its arguments; None for those of this process.
    peers
        The interpreter that has other engines, if it is among the words.
    """
    words = ["peers/bin/python" if w == peers else w for w in (words or sys.argv[2:])]
    if "--out" in words:
        at = words.index("--out")
        words = [*words[:at], *words[at + 2 :]]
    return f"python -m benchmarks {name} {shlex.join(words)}".strip()


def facts(versions: dict[str, str] | None = None) -> dict[str, str]:
    """Return what a reader needs to know, without names of hosts or people."""
    return {
        "cores": str(threads.cores()),
        "CPU": f"{_cpu()}, {platform.machine()}, {_memory()} of memory",
        "system": f"{platform.system()}, {' '.join(platform.libc_ver()).strip() or 'its C library'}",
        "Python": platform.python_version(),
        "NumPy": numpy_with_blas().removeprefix("NumPy "),
        "Numba": version("numba"),
        **{name: number for name, number in (versions or {}).items() if name != "numpy"},
        "load at the start": f"{os.getloadavg()[0]:.1f}"
        if hasattr(os, "getloadavg")
        else "unknown",
    }


def version(package: str) -> str:
    """Return the version of what may be installed beside this Python."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def processor() -> str:
    """Return the processor's name, with its family and model where the system has them: several
    kinds share a name.
    """
    fields = _cpuinfo()
    if not fields:
        return platform.processor() or "unknown CPU"
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return f"{fields.get('model name', 'unknown')} ({family})"


def _cpu() -> str:
    flags = _cpuinfo().get("flags", "").split()
    known = [flag for flag in ("avx2", "avx512f", "amx_tile") if flag in flags]
    return ", ".join([processor(), *known])


def _cpuinfo() -> dict[str, str]:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return dict(map(str.strip, line.split(":", 1)) for line in lines if ":" in line)


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError):
        return "unknown amount"

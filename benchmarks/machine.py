"""What a table of times is worth without: the machine, the libraries, and how busy it was."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from pathlib import Path

from minigan.backend.cpu import cores as threads
from minigan.backend.cpu.blas import numpy_with_blas


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


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown CPU"
    fields = dict(
        map(str.strip, line.split(":", 1)) for line in info.read_text().splitlines() if ":" in line
    )
    flags = [
        flag for flag in ("avx2", "avx512f", "amx_tile") if flag in fields.get("flags", "").split()
    ]
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return f"{fields.get('model name', 'unknown')} ({', '.join([family, *flags])})"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError):
        return "unknown amount"

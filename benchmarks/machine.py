"""What a table of times is worth without: the machine, the libraries, and how busy it was."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy

from minigan.backend import threads


def facts(versions: dict[str, str] | None = None) -> dict[str, str]:
    """Return what a reader needs to know, without names of hosts or people."""
    return {
        "cores": str(threads.cores()),
        "CPU": f"{_cpu()}, {platform.machine()}, {_memory()} of memory",
        "system": f"{platform.system()}, {' '.join(platform.libc_ver()).strip() or 'its C library'}",
        "Python": platform.python_version(),
        "NumPy": f"{numpy.__version__} with {_blas()}",
        **{name: version for name, version in (versions or {}).items() if name != "numpy"},
        "load at the start": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if not info.exists():
        return platform.processor() or "unknown CPU"
    fields = dict(map(str.strip, line.split(":", 1)) for line in info.read_text().splitlines() if ":" in line)
    flags = [flag for flag in ("avx2", "avx512f", "amx_tile") if flag in fields.get("flags", "").split()]
    family = f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}"
    return f"{fields.get('model name', 'unknown')} ({', '.join([family, *flags])})"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (AttributeError, ValueError):
        return "unknown amount"


def _blas() -> str:
    about: Any = numpy.show_config(mode="dicts")
    blas = about.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown BLAS')} {blas.get('version', '')}".strip()

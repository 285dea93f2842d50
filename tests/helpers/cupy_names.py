"""Which functions, methods and keywords CuPy has: read from the installed CuPy, or from a
checked-in list.

Importing CuPy needs no GPU. ``python tests/helpers/cupy_names.py`` writes the list anew from the installed
version."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("cupy_names.json")
SUBMODULES = ("linalg", "fft")


def stored() -> dict[str, Any]:
    """Return the checked-in list: ``{"version": ..., "functions": {...}, "ndarray": {...}}``."""
    return json.loads(FILE.read_text())


def installed() -> dict[str, Any]:
    """Read the same from the CuPy that is installed; raises ImportError without one."""
    import cupy

    functions = {name: _keywords(getattr(cupy, name)) for name in _public(cupy)}
    for module in SUBMODULES:
        inside = getattr(cupy, module)
        functions |= {
            f"{module}.{name}": _keywords(getattr(inside, name)) for name in _public(inside)
        }
    methods = {name: _keywords(getattr(cupy.ndarray, name)) for name in _public(cupy.ndarray)}
    operators = {name: None for name in dir(cupy.ndarray) if name.startswith("__")}
    return {"version": cupy.__version__, "functions": functions, "ndarray": methods | operators}


def _public(owner: Any) -> list[str]:
    return [name for name in dir(owner) if not name.startswith("_")]


def _keywords(function: Any) -> list[str] | None:
    """Name the parameters; None where there is no telling (types, constants, ``**kwargs``)."""
    if not callable(function) or inspect.isclass(function):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return _keywords_of_cython(function)
    parameters = signature.parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL and p.name != "self"]


def _keywords_of_cython(function: Any) -> list[str] | None:
    """Compiled functions carry their signature in the first line of the docstring."""
    first = (function.__doc__ or "").partition("\n")[0]
    inside = re.search(r"\((.*)\)", first)
    if inside is None:
        return None
    names = [part.partition("=")[0].strip(" *\\") for part in inside[1].split(",")]
    return [name for name in names if name.isidentifier() and name != "self"]


if __name__ == "__main__":
    FILE.write_text(
        json.dumps(installed(), separators=(",", ":"), sort_keys=True).replace('],"', '],\n"')
        + "\n"
    )
    print(f"wrote {FILE}")

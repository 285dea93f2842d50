"""minigan: a GAN engine whose every derivative is written by hand.

Arrays are batch first, channels last: (N, features) or (N, height, width, channels).
"""

import importlib as _importlib
from typing import Any as _Any

from minigan import moved as _moved

__version__ = "0.1.0"

_moved.install()

_MODULES = (
    *("backend", "checkpoint", "data", "gan", "gradcheck", "interop", "latent", "losses"),
    *("metrics", "nn", "optim", "plots", "ranks", "recipes", "runs", "tutorial"),
)
_FACE = ("Run", "open_run", "pretrained", "train")


def __getattr__(name: str) -> _Any:
    """Import a module, or what trains and opens runs, when it is first asked for (PEP 562)."""
    if name in _MODULES:
        return _importlib.import_module(f"minigan.{name}")
    if name in _FACE:
        return getattr(_importlib.import_module("minigan.runs.face"), name)
    raise AttributeError(f"module 'minigan' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES, *_FACE])


def set_threads(count: int | None) -> None:
    """Set how many threads the CPU backend uses from now on; None restores the default.

    The default is the environment variable ``MINIGAN_THREADS``, or else one thread for each core
    that the process may use; there are never more than that. Small nets use a single thread, apart
    from those of the linear-algebra library. The same number of threads gives the same results, to
    the bit.

    Parameters
    ----------
    count
        An integer >= 1, or None.

    Raises
    ------
    ValueError
        If it is neither.
    """
    from minigan import backend

    backend.get("cpu").set_threads(count)

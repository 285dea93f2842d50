"""Exercises: write the backward passes of a GAN yourself, graded by mathematics.

``minigan learn start exercises`` lays them out; a check runs the reader's file in a process of its
own, and compares what it gives with a reference and with finite differences. In a notebook,
``%load_ext minigan.learn`` brings ``%%exercise linear``; `check` checks what a cell has defined.
"""

from __future__ import annotations

from typing import Any

__all__ = ["check", "load_ipython_extension"]


def __getattr__(name: str) -> Any:
    # Found when asked for, so that the process in which a file runs starts quickly.
    if name in __all__:
        from minigan.learn import notebook

        return getattr(notebook, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

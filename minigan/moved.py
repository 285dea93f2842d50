"""Modules under the names that they had before they moved."""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import sys
import warnings
from collections.abc import Sequence
from types import ModuleType

MOVED = {
    **{
        f"minigan.recipes.{name}": f"minigan.runs.{name}"
        for name in (
            "assembly",
            "doctor",
            "drawing",
            "evaluation",
            "exploring",
            "folder",
            "resuming",
            "training",
            "watching",
        )
    },
    "minigan.recipes.small": "minigan.recipes.nets",
    "minigan.bench": "minigan.runs.bench",
    "minigan.gan.latent": "minigan.latent",
    "minigan.gan.tensorboard": "minigan.gan.callbacks.tensorboard",
    "minigan.nn.joining": "minigan.nn.fusion",
    "minigan.nn.together": "minigan.nn.two_batches",
    "minigan.backend.winograd": "minigan.backend.cpu.winograd",
    "minigan.backend.loops": "minigan.backend.compiled.loops",
}
"""Old name -> new name. What is found under an old name is the module of the new one."""


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Asked by Python last, for modules that nobody else has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Answer for the names in `MOVED`."""
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the module itself, so that nothing of it exists twice."""
        new = MOVED[spec.name]
        # Python is about to give the module the old name's spec; `exec_module` takes that back.
        warnings.warn(
            f"{spec.name} is now {new}; import it from there.", DeprecationWarning, stacklevel=2
        )
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Run nothing: the module has run under its own name."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Let Python ask; once is enough."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())

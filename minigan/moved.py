"""Modules that have moved, still importable under their old names."""

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
"""Old name -> new name. Importing the old name gives the very module of the new one."""


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Called by Python last, for modules that no other finder has found."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Return a spec for the names in `MOVED`."""
        return importlib.machinery.ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """Return the new module itself, so that nothing in it exists twice."""
        new = MOVED[spec.name]
        # Python is about to set the module's spec to that of the old name; `exec_module` undoes it.
        warnings.warn(
            f"{spec.name} is now {new}; import it from there.", DeprecationWarning, stacklevel=2
        )
        module = importlib.import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the spec; the module has already run under its new name."""
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Register the finder, once."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.append(Finder())

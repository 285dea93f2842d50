"""Packing a run into one file of weights, as `minigan.runs.pretrained` reads them."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy

from minigan import backend, checkpoint
from minigan.backend import Array
from minigan.runs.folder import Run, sampled_nets
from minigan.runs.pretrained import STORED


def pack(run: Run, path: Path) -> None:
    """Write the averaged generator and the other nets of a run to one file of weights.

    Parameters
    ----------
    run
        A finished run of a recipe that comes with minigan.
    path
        The file, ``NAME.safetensors``; the place of the data isn't kept, nor in
        which order they were.

    Raises
    ------
    ValueError
        If the run has no model.
    """
    nets = {name: net.state_dict() for name, net in sampled_nets(run.game())}
    if "average" in nets:
        del nets["generator"]
    arrays = {f"{name}/{key}": _narrowed(array) for name, state in nets.items()
              for key, array in state.items()}  # fmt: skip
    config = replace(
        run.config, data_dir=None, fingerprint=None, init=None, watching={}, engine={}, computing={}
    )
    meta = {"recipe": run.recipe.name, "step": run.step, "config": asdict(config)}
    checkpoint.save(path, arrays, meta)


def _narrowed(array: Array) -> Array:
    plain = backend.to_numpy(array)
    return plain.astype(STORED) if plain.dtype == numpy.float32 else plain

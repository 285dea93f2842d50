"""The trained weights that come with the package: ``pretrained:NAME`` in the place of a run.

A file holds what a run's ``config.json`` and ``model.safetensors`` do, in one: the averaged
generator and the discriminator, rounded to float16, which halves the file and changes a sample by
less than the 256 levels of a picture can show. `minigan.runs.packing` makes such a
file from a run.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from minigan import checkpoint
from minigan.backend import Array
from minigan.recipes.recipe import kind_of

PREFIX = "pretrained:"
"""What the place of a run begins with, to mean the weights in the package."""
WEIGHTS = Path(__file__).with_name("weights")
STORED = "float16"


def names() -> tuple[str, ...]:
    """Return the names of all weights in the package, sorted."""
    return tuple(sorted(path.stem for path in WEIGHTS.glob("*.safetensors")))


def find(place: str | os.PathLike[str]) -> Path | None:
    """Return the file that ``pretrained:NAME`` means; None for the place of an ordinary run.

    Raises
    ------
    TypeError
        If it isn't a place.
    ValueError
        If there are no weights of that name.
    """
    if not isinstance(place, (str, os.PathLike)):
        raise TypeError(
            f"A run is given by the path of its folder, or as pretrained:NAME, got "
            f"{kind_of(place)}."
        )
    text = os.fspath(place)
    if not text.startswith(PREFIX):
        return None
    name = text.removeprefix(PREFIX)
    if name in names():
        return WEIGHTS / f"{name}.safetensors"
    near = difflib.get_close_matches(name, names(), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    raise ValueError(
        f"There are no pretrained weights {name!r}{hint} The package has {', '.join(names())}."
    )


def located(place: str | os.PathLike[str]) -> str:
    """Return ``pretrained:NAME`` as it is, and any other place as an absolute path."""
    if find(place) is not None:
        return os.fspath(place)
    return os.path.abspath(os.path.expanduser(place))


def load(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a file of weights: float32 arrays by name, and what is known about them.

    Its entry ``config`` is as in a run's ``config.json``.
    """
    arrays, meta = checkpoint.load(path)
    return {name: _widened(array) for name, array in arrays.items()}, meta


def _widened(array: Array) -> Array:
    return array.astype("float32") if array.dtype == STORED else array


def state(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a net; the generator's are those of its average, if it has one."""
    own = checkpoint.under(name, arrays)
    return own or (checkpoint.under("average", arrays) if name == "generator" else own)

"""The course: its exercises in order, found by name."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module
from typing import Any

from minigan.learn.parts import Exercise

NAMES = (
    "difference", "linear", "leaky_relu", "bce", "chain", "sgd", "adam", "d_step", "g_step",
    "tanh", "dropout", "batchnorm_forward", "batchnorm_graph", "batchnorm_closed", "unfold", "conv",
    "conv_transpose",
    "pairs", "wasserstein", "spectral", "penalty", "penalty_tanh", "embedding", "vae",
)  # fmt: skip
"""The exercises in order; each is a module of `minigan.learn.exercises`."""
RING, DIGITS = 9, 17
"""The exercises after which the reader's own code trains the ring, and the digits."""

CHAPTERS = (
    (1, 9, "Points in the plane: nets, losses, steps"),
    (10, 17, "Images: normalisation and convolution"),
    (18, 24, "Other games: losses, smooth critics, conditions, the VAE"),
)
"""First and last number, and title, of the parts of the course."""


@cache
def exercise(name: str) -> Exercise:
    """Return an exercise by the word that it is known by."""
    module: Any = import_module(f"minigan.learn.exercises.{name}")
    return module.EXERCISE


def course() -> list[Exercise]:
    """Return all exercises in order."""
    return [exercise(name) for name in NAMES]


def find(name: str) -> Exercise:
    """Return an exercise by its file's stem, its word or its number.

    Raises
    ------
    ValueError
        If there is none.
    """
    text = name.removesuffix(".py").replace("\\", "/").rpartition("/")[2]
    for number, known in enumerate(NAMES, 1):
        if text in (
            known,
            f"ex{number:02d}_{known}",
            str(number),
            f"{number:02d}",
            f"ex{number:02d}",
        ):
            return exercise(known)
    stems = [f"ex{number:02d}_{known}" for number, known in enumerate(NAMES, 1)]
    near = difflib.get_close_matches(text, [*NAMES, *stems], 1)
    if near:
        raise ValueError(f"There is no exercise {name!r}; did you mean {near[0]}?")
    raise ValueError(f"There is no exercise {name!r}; `minigan learn status` lists them.")

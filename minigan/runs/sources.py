"""What a run trains on: where its data are, whether they are still the same, and their classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any

import numpy

from minigan import data
from minigan.recipes import Recipe

LISTED = 30
"""Labels that a note names."""
_BLOCK = 4096
_NAMES = (
    *data.DATASETS, *data.TEXTS, *data.DISTRIBUTIONS, *data.PAIRS, *data.SOUNDS, *data.FILMS
)  # fmt: skip
_FACES = ("avatars", "avatars-edges", "avatars-glasses", "avatars-holes")
_MADE = (
    "digits", "tones", "sentences", "motifs", *data.FILMS, *_FACES, *data.DISTRIBUTIONS
)  # fmt: skip
"""Data that come with minigan or that it makes, some with the last bits of this machine."""


def located(name: str) -> str:
    """Return the absolute path of a file or folder, so that it is found from anywhere; or a name.

    A name takes precedence, as it does for `minigan.data.load`.
    """
    path = os.path.expanduser(name)
    return os.path.abspath(path) if name not in _NAMES and os.path.exists(path) else name


def fingerprint(name: str, samples: Any) -> str | None:
    """Return a hash of all images and labels, or points; None for data that have none.

    Data that minigan makes itself are known by their name, and those of a recipe of one's own may
    be anything.
    """
    if name in _MADE:
        return None
    if isinstance(samples, data.PointSet):
        return _hash([samples.points])
    if isinstance(samples, data.Text):
        return _hash([samples.codes, numpy.array(samples.vocabulary)])
    if isinstance(samples, data.Pairs):
        return _hash([samples.a.images, samples.b.images])
    if not isinstance(samples, data.Dataset):
        return None
    count = len(samples)
    blocks = (samples.images[i : i + _BLOCK] for i in range(0, count, _BLOCK))
    return _hash([*blocks] if samples.labels is None else [*blocks, samples.labels])


def _hash(arrays: list[Any]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(numpy.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def load(recipe: Recipe, name: str, data_dir: str | None) -> Any:
    """Load the data of a run that was started earlier, from where they were or are now.

    Raises
    ------
    ValueError
        If they can't be read; if they have gone, the error says how to give their new place.
    """
    require_there(name)
    return recipe.load(name, data_dir)


def require_there(name: str) -> None:
    """Refuse the place of data that have gone from there.

    Raises
    ------
    ValueError
        If it is one.
    """
    if os.path.isabs(name) and not os.path.exists(name):
        raise data.DataError(
            f"the data of this run were at {name}, where they are no longer: give their new place "
            "once with `minigan train --resume RUN --data PATH`"
        )


def require_same(
    before: str | None, after: str | None, *, name: str, other: str, option: str | None = None
) -> None:
    """Refuse other data than those that a run was started with.

    Parameters
    ----------
    before, after
        The fingerprints.
    name, other
        The names or paths of the data, at the start and now.
    option
        The option that gave the place, if one did.

    Raises
    ------
    ValueError
        If the fingerprints differ, or there are none and the names differ.
    """
    if before == after and (before is not None or name == other):
        return
    if option is not None:
        raise ValueError(
            f"{option} can't be changed together with --resume, since that would make it a "
            "different run: the data aren't those that it was started with; leave it out, or start "
            "a new run."
        )
    if before is not None:
        raise ValueError(
            f"The data at {other} have changed since the run was started; restore them, or give "
            "the place of the original ones with --data."
        )


def notice_change(before: str | None, name: str, samples: Any, say: Callable[[str], None]) -> None:
    """Say so if data aren't those whose fingerprint a run has kept."""
    if before is not None and fingerprint(name, samples) != before:
        say(
            f"The data at {name} have changed since the run was started: the scores compare its "
            "samples with the data as they are now."
        )


def classes(recipe: Recipe, samples: Any) -> tuple[int, ...]:
    """Return the labels that occur in the data of a conditional recipe; none for another one.

    A recipe that invents its labels has all of them, whatever the data.
    """
    labels = getattr(samples, "labels", None)
    if not recipe.classes or recipe.invented or labels is None:
        return tuple(range(recipe.classes))
    return tuple(numpy.unique(labels).tolist())


def notes(recipe: Recipe, samples: Any) -> tuple[str, ...]:
    """Say what was changed in the data, and which classes of the recipe don't occur in them."""
    own = (*getattr(samples, "notes", ()), *_names(recipe, samples))
    missing = sorted(set(range(recipe.classes)) - set(classes(recipe, samples)))
    if not missing:
        return own
    more = f" and {len(missing) - LISTED:,} more" if len(missing) > LISTED else ""
    listed = ", ".join(map(str, missing[:LISTED])) + more
    return (*own, f"no samples have the labels {listed}: the nets never learn what they mean")


def class_names(recipe: Recipe, samples: Any) -> tuple[str, ...] | None:
    """Return what the labels of a conditional recipe stand for; None if they are numbers only."""
    names = tuple(getattr(samples, "class_names", None) or ())
    if not recipe.classes or recipe.invented or names == tuple(map(str, range(len(names)))):
        return None
    return names


def _names(recipe: Recipe, samples: Any) -> tuple[str, ...]:
    """Say which label stands for which class."""
    names = class_names(recipe, samples)
    if names is None:
        return ()
    more = f" and {len(names) - LISTED:,} more" if len(names) > LISTED else ""
    listed = ", ".join(f"{label} {name}" for label, name in enumerate(names[:LISTED]))
    return (f"the labels stand for {listed}{more}",)

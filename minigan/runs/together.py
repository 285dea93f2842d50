"""A run on several ranks: what they must agree on at its start, and who writes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import minigan
from minigan import gan
from minigan.ranks import Ranks, require_same
from minigan.runs.assembly import Assembly
from minigan.runs.folder import Config

T = TypeVar("T")


def agree(ranks: Ranks, config: Config, *, step: int = 0) -> None:
    """Refuse ranks with other code, data or settings.

    Parameters
    ----------
    ranks
        All of them call this.
    config
        That of the run, as this rank knows it.
    step
        The step to go on from.

    Raises
    ------
    ValueError
        If they differ; see `minigan.ranks.require_same`.
    """
    if ranks.size == 1:
        return
    told = {
        "the code of minigan": code(),
        "versions": config.versions,
        "the recipe": (config.recipe, config.recipe_file),
        "the seed": config.seed,
        "the data": config.fingerprint or config.data,
        "the step to go on from": step,
        "the way to compute": (config.device, sorted(config.computing.items())),
    }
    require_same(ranks, told | {f"the setting {k}": v for k, v in config.settings.items()})


def kept(local_batchnorm: bool) -> dict[str, bool]:
    """Return what a run remembers of how its ranks compute."""
    return {"local_batchnorm": True} if local_batchnorm else {}


def code() -> str:
    """Return a hash of the source of minigan."""
    root, digest = Path(minigan.__file__).parent, hashlib.blake2b(digest_size=16)
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def first_alone(ranks: Ranks, load: Callable[[], T]) -> T:
    """Call `load` on rank 0, then on the others: what has to be downloaded is there by then."""
    if ranks.rank:
        ranks.broadcast(None)
        return load()
    loaded = load()
    ranks.broadcast(None)
    return loaded


def follow(assembly: Assembly, callbacks: list[gan.Callback]) -> Path:
    """Train on a rank that writes nothing; return the folder that rank 0 writes."""
    trainer = assembly.trainer
    trainer.run(assembly.settings.steps, callbacks)
    return Path(trainer.game.ranks.broadcast(None))


def watchdogs(assembly: Assembly, every: Any = None) -> list[gan.Callback]:
    """Return the callbacks that every rank has."""
    steps = every or max(assembly.settings.steps // 10, 1)
    return [gan.Agreement(every=steps)] if assembly.trainer.game.ranks.size > 1 else []

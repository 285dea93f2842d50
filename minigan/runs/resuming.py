"""Resuming a stopped run, bit for bit as if it had never stopped: ``minigan train --resume``."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from minigan import backend, checkpoint, gan
from minigan.ranks import ALONE, Ranks
from minigan.recipes import Recipe
from minigan.runs import checks, sources, together
from minigan.runs.assembly import Assembly, assemble
from minigan.runs.folder import CHECKPOINTS, Config, Run, engine, open_run, save_config, versions
from minigan.runs.lock import sole_writer
from minigan.runs.starting import start_from
from minigan.runs.training import play
from minigan.runs.trust import Trust
from minigan.runs.watching import as_callbacks, choose_watching, require_watchable


def resume(
    folder: str | os.PathLike[str],
    *,
    recipe: Recipe | None = None,
    trust: Trust = False,
    steps: int | None = None,
    lr_generator: float | None = None,
    lr_discriminator: float | None = None,
    device: str | None = None,
    data_name: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda words: None,
    checkpoint_every: int | None = None,
    keep: int | None = None,
    frames: int | None = None,
    best: str | None = None,
    tensorboard: bool | None = None,
    cuda_graph: bool | None = None,
    precision: str | None = None,
    ranks: Ranks = ALONE,
    local_batchnorm: bool | None = None,
    callbacks: Sequence[gan.Callback] = (),
) -> Path:
    """Continue a run from its newest readable checkpoint, bit for bit as if it had never stopped.

    A run that was stopped before its first checkpoint starts again from its seed.

    Parameters
    ----------
    folder
        The folder of the run.
    recipe
        The recipe that the run trains, if it is neither one of minigan's nor in a file.
    trust
        Whether a recipe file that is unknown on this machine may run, see
        `minigan.runs.folder.open_run`.
    steps
        The step to continue to; by default the one that the run was started for.
    lr_generator, lr_discriminator
        New learning rates; by default unchanged.
    device
        Where to continue; by default where it ran before. Another device rounds differently, so
        the last bits will differ.
    data_name, data_dir
        Where the data are now, if they have moved; by default where they were. They must be those
        that the run was started with.
    progress, say, checkpoint_every, keep, frames, best, tensorboard, callbacks
        As for `minigan.runs.training.train`; by default as when the run was started.
    cuda_graph, precision
        As for `minigan.runs.training.train`; by default, on a CUDA device, as when the run was
        started.
    ranks
        The ranks to continue on; their number may differ from before.
    local_batchnorm
        As for `minigan.runs.training.train`; by default as when the run was started.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind.
    ValueError
        If the folder isn't a run, none of its checkpoints can be used, the data are others than
        before, or the device isn't available.
    """
    callbacks = as_callbacks(callbacks, "callbacks")
    place, moved = checks.data(data_name), checks.path("data_dir", data_dir)
    checks.require("say", say, callable(say), "a function that is given a text")
    with ExitStack() as held:
        if ranks.rank == 0:
            found = open_run(folder, recipe=recipe, trust=trust)
            found.require_folder()
            held.enter_context(sole_writer(found.folder))
        run = open_run(folder, recipe=recipe, trust=trust)
        settings = run.settings.changed(
            steps=steps, lr_generator=lr_generator, lr_discriminator=lr_discriminator
        )
        watched = choose_watching(
            run.config.watching,
            checkpoint_every=checkpoint_every,
            keep=keep,
            frames=frames,
            best=best,
            tensorboard=tensorboard,
        )
        goes_on = _device(run.config, device, say)
        computing = _computing(run.config, goes_on, cuda_graph=cuda_graph, precision=precision)
        if local_batchnorm is None:
            local_batchnorm = bool(run.config.computing.get("local_batchnorm"))
        computing |= together.kept(local_batchnorm)
        described, samples = together.first_alone(ranks, lambda: _data(run, place, moved))
        config = replace(
            described,
            settings=asdict(settings),
            device=goes_on,
            watching=watched,
            computing=computing,
            engine=_engine(run.config, goes_on, say),
        )
        assembly = assemble(
            run.recipe, settings, samples, seed=config.seed, device=config.device, ranks=ranks,
            **computing,
        )  # fmt: skip
        require_watchable(assembly, watched)
        missing = _begin_again(assembly, config.init)
        path = _restore(run, assembly, say)
        if path is None and missing is not None:
            raise missing
        at, goal = assembly.trainer.step, settings.steps
        if at > goal:
            raise ValueError(
                f"{run.folder} is already at step {at:,}; give a later one for --steps, or none."
            )
        together.agree(ranks, config, step=at)
        if ranks.rank:
            every = watched["checkpoint_every"]
            return together.follow(assembly, together.watchdogs(assembly, every))
        save_config(run.folder, config)
        where = (
            f"at step {at:,} of {goal:,} from {path.name}"
            if path
            else "from the start: it has no checkpoint yet"
        )
        say(f"Resuming {run.folder} {where}{f', on {ranks.size} ranks' * (ranks.size > 1)}")
        play(run.folder, assembly, config, progress=progress, say=say, callbacks=callbacks)
        return run.folder


def _begin_again(assembly: Assembly, init: str | None) -> Exception | None:
    """Start from the weights that the run began with; return why, if they have gone."""
    if init is None:
        return None
    try:
        start_from(assembly.trainer.game, init)
    except (ValueError, OSError) as error:  # a checkpoint may do without them
        return error
    assembly.gauges.begin(assembly.trainer.game)
    return None


def _data(run: Run, name: str | None, data_dir: str | None) -> tuple[Config, Any]:
    """Load the data from their new place, or where they were, and check that they are the same."""
    before = run.config
    folder = before.data_dir
    if data_dir is not None:
        folder = os.path.abspath(os.path.expanduser(data_dir))
    samples = sources.load(run.recipe, name or before.data, folder)
    place = sources.located(name) if name else before.data
    sources.require_same(
        before.fingerprint,
        sources.fingerprint(place, samples),
        name=before.data,
        other=place,
        option="--data-dir" if data_dir is not None else "--data" if name is not None else None,
    )
    return replace(before, data=place, data_dir=folder), samples


def _device(config: Config, wanted: str | None, say: Callable[[str], None]) -> str:
    """Return the device to continue on, and say if the last bits may differ."""
    if config.versions != versions():
        say(
            "This run was started with another version of minigan, NumPy or Python: the last bits "
            "may differ from now on."
        )
    try:
        chosen = backend.resolve(wanted or config.device)
    except ValueError as error:
        if wanted is not None:
            raise
        raise ValueError(
            f"{error} The run was started on {config.device!r}; add --device cpu."
        ) from None
    if chosen != config.device:
        say(
            f"The run was started on {config.device}: on {chosen}, the last bits will differ from "
            "now on."
        )
    return chosen


def _engine(config: Config, device: str, say: Callable[[str], None]) -> dict[str, Any]:
    """Return what computes now, and say if it isn't what computed before."""
    before, now = config.engine, engine(device)
    if before and before != now and device == config.device:
        say(
            f"This run was computed by {_in_words(before)}, and goes on with {_in_words(now)}: the "
            "last bits may differ from now on."
        )
    return now


def _in_words(engine: Mapping[str, Any]) -> str:
    threads = engine.get("threads")
    return f"{engine.get('variant')} on {threads} thread{'s' * (threads != 1)}"


def _computing(config: Config, device: str, **given: Any) -> dict[str, Any]:
    """Choose how a CUDA device computes: as given, else as before; a CPU has no such choice."""
    default = {"cuda_graph": None, "precision": "float32"}
    before = config.computing if device == "cuda" else {}
    return (
        default
        | {name: before[name] for name in default.keys() & before.keys()}
        | {k: v for k, v in given.items() if v is not None}
    )


def _restore(run: Run, assembly: Assembly, say: Callable[[str], None]) -> Path | None:
    """Load the newest usable checkpoint and return its path; None if there is none at all.

    The learning rates and the length of their schedule are those of the settings, which may have
    changed since the checkpoint was written.
    """
    game, reasons = assembly.trainer.game, []
    pace = game.pace()
    for path in reversed(gan.list_checkpoints(run.folder / CHECKPOINTS)):
        try:
            arrays, meta = checkpoint.load(path)
            _require_same_run(path, meta, run)
            assembly.trainer.load_state(arrays, meta["trainer"])
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            reasons.append(str(error))
            say(f"Skipping {path.name}: {error}")
            continue
        game.set_pace(pace)
        return path
    if reasons:
        raise checkpoint.CheckpointError(f"No checkpoint of {run.folder} can be used: {reasons[0]}")
    return None


def _require_same_run(path: Path, meta: Mapping[str, Any], run: Run) -> None:
    config = run.config
    # The same data may have been elsewhere.
    known = "fingerprint" if config.fingerprint and meta.get("fingerprint") else "data"
    # Settings that an older checkpoint doesn't know have their default values.
    settings = asdict(run.recipe.settings.changed(**dict(meta.get("settings", {}))))
    theirs = {name: meta.get(name) for name in ("recipe", "seed", known)} | settings
    ours = {name: getattr(config, name) for name in ("recipe", "seed", known)}
    ours |= asdict(run.settings)
    for name in ours:
        if name not in CHANGEABLE and ours[name] != theirs.get(name):
            if name not in ("recipe", "seed", known):
                raise checkpoint.CheckpointError(
                    f"{path} was written with {name} {theirs.get(name)!r}, but config.json says "
                    f"{ours[name]!r}; set it back there, or start a new run."
                )
            raise checkpoint.CheckpointError(
                f"{path} is from another run ({name} {theirs.get(name)!r}, here {ours[name]!r}); "
                "remove it from the folder."
            )


CHANGEABLE = ("steps", "lr_generator", "lr_discriminator")
"""The settings that may be changed when a run is resumed."""

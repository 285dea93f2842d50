"""Training a recipe into a folder, and coming back to that folder."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy

import minigan
from minigan import backend, checkpoint, data, gan, latent, nn, optim
from minigan.backend import Array
from minigan.backend.cuda import CudaBackend
from minigan.files import is_leftover, remove_leftovers, written_whole
from minigan.gan.tensorboard import TensorBoard
from minigan.recipes import Recipe, Settings, drawing, get

FRAMES = 50
"""Frames of a film, about."""
GAUGED = 256
"""Fixed latents whose samples the doctor looks at."""


@dataclass(frozen=True)
class Config:
    """What a run was started with: ``config.json``.

    Attributes
    ----------
    recipe
        Name of the recipe.
    settings
        Its hyper-parameters, as changed for this run.
    seed
        Everything random follows from it.
    device
        ``"cpu"`` or ``"cuda"``.
    data
        Name or path of the data.
    data_dir
        Folder that the data was read from, or None.
    notes
        What was done to the data to fit the recipe.
    versions
        Of minigan, NumPy and Python.
    watching
        What is written how often: ``checkpoint_every``, ``keep``, ``frames``, ``best``, ``tensorboard``. It has no
        influence on what is learnt.
    computing
        How a CUDA device computes: ``cuda_graph``, ``precision``. It decides the last bits.
    """

    recipe: str
    settings: dict[str, Any]
    seed: int
    device: str
    data: str
    data_dir: str | None
    notes: tuple[str, ...]
    versions: dict[str, str]
    watching: dict[str, Any] = field(default_factory=dict)
    computing: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Streams:
    """Random generators of a run, one for each purpose, so that a change of one leaves the others alone."""

    weights: numpy.random.Generator
    data: numpy.random.Generator
    latents: numpy.random.Generator
    noise: numpy.random.Generator
    fixed: numpy.random.Generator
    gauges: numpy.random.Generator

    @staticmethod
    def seeded(seed: int) -> Streams:
        """Derive all six from one seed.

        Raises
        ------
        ValueError
            If the seed is negative.
        """
        if seed < 0:
            raise ValueError(f"A seed is a whole number from 0 up, got {seed}.")
        return Streams(*(numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(6)))


@dataclass
class Assembly:
    """The parts of a run, put together but not yet moving."""

    recipe: Recipe
    settings: Settings
    trainer: gan.Trainer
    samples: data.Dataset | data.Distribution
    fixed: Array
    draw_frame: Callable[[gan.Trainer], Array]
    gauges: Callable[[gan.Trainer], dict[str, float]]


def load_data(recipe: Recipe, name: str, data_dir: str | None) -> data.Dataset | data.Distribution:
    """Load what a recipe learns from: a law in the plane, or images fitted to its shape."""
    if not recipe.makes_images:
        return data.distribution(name)
    return data.load(name, image_shape=recipe.sample_shape, data_dir=data_dir)  # type: ignore[arg-type]


def assemble(
    recipe: Recipe,
    settings: Settings,
    samples: data.Dataset | data.Distribution,
    *,
    seed: int,
    device: str | backend.Reference = "cpu",
    cuda_graph: bool = False,
    precision: str = "float32",
    start: Callable[[nn.Layer, nn.Layer], None] | None = None,
) -> Assembly:
    """Put nets, optimizers, data and generators together.

    Parameters
    ----------
    recipe, settings, samples
        What to train, how, on what.
    seed
        Everything random follows from it.
    device
        ``"cpu"``, ``"cuda"`` or ``"auto"``.
    cuda_graph
        Whether to record a round into a CUDA graph and replay it, see `gan.Trainer`.
    precision
        Of matrix products on a CUDA device: ``"float32"`` or ``"tf32"``.
    start
        Called with G and D before training: to start from given weights.
    """
    _set_precision(backend.get(device), precision)
    recipe.check(settings)
    _check_labels(recipe, samples)
    streams = Streams.seeded(seed)
    generator, taming = recipe.players(settings, streams.weights, streams.noise)
    discriminator = taming.discriminator
    if start is not None:
        start(generator, discriminator)
    generator.to(device)
    discriminator.to(device)
    game = _game(recipe, settings, generator, taming)
    source: Any = (
        data.Stream(samples, settings.batch_size, streams.data)
        if isinstance(samples, data.Distribution)
        else data.Batches(samples, settings.batch_size, streams.data)
    )
    trainer = gan.Trainer(
        game,
        source,
        latent=recipe.latent,
        rng=streams.latents,
        noise=streams.noise,
        discriminator_steps=settings.discriminator_steps,
        conditional=recipe.classes > 0,
        average=optim.ExponentialMovingAverage(generator, decay=settings.average) if settings.average else None,
        cuda_graph=cuda_graph,
    )
    fixed = recipe.latent.sample(max(drawing.GRID, drawing.POINTS), streams.fixed)
    if isinstance(samples, data.Distribution):
        real = samples.sample(drawing.POINTS, streams.fixed)
        draw = drawing.point_frame(real, fixed[: drawing.POINTS], samples)
    else:
        n, columns = drawing.layout(recipe.classes, drawing.FRAME)
        draw = drawing.image_frame(fixed[:n], drawing.balanced(n, recipe.classes), columns=columns)
    gauges = _gauges(recipe, samples, game, streams.gauges)
    return Assembly(recipe, settings, trainer, samples, fixed, draw, gauges)


def _set_precision(ops: backend.Reference, precision: str) -> None:
    if isinstance(ops, CudaBackend):
        ops.precision = precision
    elif precision != "float32":
        raise ValueError(
            f"Precision {precision!r} needs device 'cuda', got {ops.device!r}; leave it at 'float32'."
        )


def _game(recipe: Recipe, settings: Settings, generator: nn.Layer, taming: gan.Taming) -> gan.Game:
    discriminator = taming.discriminator
    optimizers = (
        settings.optimizer_for(generator, settings.lr_generator),
        settings.optimizer_for(discriminator, settings.lr_discriminator),
    )
    if recipe.autoencoder is not None:
        return gan.VariationalAutoencoder(generator, discriminator, *optimizers, noise=recipe.autoencoder)
    return gan.Game(
        generator,
        discriminator,
        *optimizers,
        objective=gan.objective(settings.objective, smoothing=settings.smoothing),
        penalties=taming.penalties,
        before_step=taming.before_step,
        after_discriminator_step=taming.after_discriminator_step,
        auxiliary=recipe.auxiliary,
    )


def _check_labels(recipe: Recipe, samples: data.Dataset | data.Distribution) -> None:
    if not recipe.classes:
        return
    labels = getattr(samples, "labels", None)
    if labels is None:
        raise ValueError(
            f"The recipe {recipe.name!r} learns what each of {recipe.classes} labels looks like, but {samples.name} "
            f"has no labels; give data with labels, such as a folder with a folder for each class."
        )
    if labels.max() >= recipe.classes:
        raise ValueError(
            f"The recipe {recipe.name!r} knows the labels 0 to {recipe.classes - 1}, but {samples.name} has a label "
            f"{labels.max()}; leave the other classes out."
        )


def _gauges(
    recipe: Recipe, samples: data.Dataset | data.Distribution, game: gan.Game, rng: numpy.random.Generator
) -> gan.Gauges:
    n = GAUGED if isinstance(samples, data.Distribution) else min(GAUGED // 2, len(samples))
    z = recipe.latent.sample(n, rng)
    labels = drawing.balanced(n, recipe.classes)
    return gan.Gauges(
        game.generator, game.discriminator, samples.sample(n, rng), lambda net: drawing.sample(net, z, labels)
    )


def train(
    name: str,
    *,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    data_name: str | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda words: None,
    checkpoint_every: int | None = None,
    keep: int | None = None,
    frames: int | None = None,
    best: str | None = None,
    tensorboard: bool | None = None,
    cuda_graph: bool = False,
    precision: str = "float32",
    callbacks: Sequence[gan.Callback] = (),
    **changes: Any,
) -> Path:
    """Train a recipe; leave everything in a folder.

    Parameters
    ----------
    name
        Name of the recipe, see `minigan.recipes.names`.
    out
        The folder; by default ``runs/NAME``, with a number behind it if that is taken.
    seed
        Everything random follows from it: the same seed on the same machine gives the same bits.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    data_name
        Another data set, an IDX file or a folder of images instead of the recipe's own.
    data_dir
        Folder with the files of MNIST or Fashion-MNIST.
    epochs
        Passes over the data, instead of the setting ``steps``.
    progress
        Whether to show a progress bar.
    say
        Is told in words what happens.
    checkpoint_every
        Steps between checkpoints; by default about ten in a run.
    keep
        How many checkpoints stay, by default 3.
    frames
        Pictures in the film ``training.gif``, about 50 by default; 0 for none.
    best
        A measure, see `measures`, by which the best checkpoint so far is kept as ``checkpoints/best.safetensors``.
    tensorboard
        Whether to write event files for TensorBoard to ``tensorboard/`` too.
    cuda_graph, precision
        How a CUDA device computes, see `assemble`.
    callbacks
        More to be called during the run.
    changes
        Settings to change, see `Settings`.

    Returns
    -------
    Path
        The folder: ``samples.png``, ``losses.png``, ``training.gif``, ``metrics.csv``, ``config.json``,
        ``model.safetensors``, ``checkpoints/`` and ``frames/``.

    Raises
    ------
    ValueError
        If the recipe, a setting, the device, the data or the folder can't be used.
    """
    recipe = get(name)
    settings = recipe.settings.changed(**changes)
    device = backend.resolve(device)
    data_name = data_name or recipe.data
    data_dir = None if data_dir is None else str(data_dir)
    samples = load_data(recipe, data_name, data_dir)
    if epochs is not None:
        settings = settings.changed(steps=_steps(epochs, samples, settings))
    notes = getattr(samples, "notes", ())
    assembly = assemble(
        recipe, settings, samples, seed=seed, device=device, cuda_graph=cuda_graph, precision=precision
    )
    watching = _watching(
        {}, checkpoint_every=checkpoint_every, keep=keep, frames=frames, best=best, tensorboard=tensorboard
    )
    if watching["tensorboard"]:
        TensorBoard("")  # complains in time, not when the run begins
    measures(assembly, best)
    folder = _new_folder(Path(out) if out else None, name)
    config = Config(
        name, asdict(settings), seed, device, data_name, data_dir, tuple(notes), _versions(), watching,
        {"cuda_graph": cuda_graph, "precision": precision},
    )  # fmt: skip
    _save_config(folder, config)
    for note in notes:
        say(note)
    say(f"Training {name} for {settings.steps:,} steps on {device}; results in {folder}")
    _play(folder, assembly, config, progress, say, callbacks)
    return folder


def _watching(before: Mapping[str, Any], **given: Any) -> dict[str, Any]:
    """Choose what is written how often: as given, else as before, else by default."""
    default = {"checkpoint_every": None, "keep": 3, "frames": FRAMES, "best": None, "tensorboard": False}
    chosen = default | dict(before) | {name: value for name, value in given.items() if value is not None}
    for name, least in (("checkpoint_every", 1), ("keep", 1), ("frames", 0)):
        if chosen[name] is not None and chosen[name] < least:
            raise ValueError(f"{name} must be a whole number from {least} up, got {chosen[name]}.")
    return chosen


def _play(
    folder: Path, assembly: Assembly, config: Config, progress: bool, say: Callable[[str], None],
    callbacks: Sequence[gan.Callback],
) -> None:  # fmt: skip
    from minigan.plots import read_metrics

    steps, watching = assembly.settings.steps, config.watching
    remove_leftovers(folder)
    saver = gan.Checkpoints(
        folder / "checkpoints",
        every=watching["checkpoint_every"] or max(steps // 10, 1),
        keep=watching["keep"],
        about=asdict(config),
        best=measures(assembly, watching["best"]),
    )
    frames, row = watching["frames"], max(steps // 1000, 1)
    # Lists of one or none, so that what isn't wanted is simply not among the watchers.
    film = [gan.Frames(folder / "frames", assembly.draw_frame, every=max(steps // frames, 1))] if frames else []
    bar = [gan.Progress(steps)] if progress else []
    board = (
        [TensorBoard(folder / "tensorboard", every=row, draw=assembly.draw_frame, draw_every=max(steps // 20, 1))]
        if watching["tensorboard"]
        else []
    )
    watchers: list[gan.Callback] = [
        gan.Guard(lambda: next(reversed(gan.list_checkpoints(saver.folder)), None)),
        gan.MetricsFile(folder / "metrics.csv", every=row, gauges=assembly.gauges, gauge_every=5 * row),
        *film,
        *board,
        *callbacks,
        saver,
        *bar,
        gan.Watcher(
            lambda: read_metrics(folder / "metrics.csv"),
            every=max(steps // 20, 1),
            start=max(steps // 5, gan.EARLIEST),
            objective=config.settings["objective"],
            smoothing=config.settings["smoothing"],
            say=bar[0].say if bar else say,
        ),
    ]
    assembly.trainer.run(steps, watchers)
    finish(folder, assembly, film[0].paths() if film else [])


def measures(assembly: Assembly, name: str | None) -> gan.Measure | None:
    """Return the measure of this name for ``--best``, on the samples of the fixed latents; None for None.

    ``sliced-wasserstein`` is the distance from real samples (of patches, for images); ``high-quality`` the share
    of samples near a mode, for laws that have modes.

    Raises
    ------
    ValueError
        If there is none of this name for the data.
    """
    from minigan import metrics

    law, z = assembly.samples, assembly.fixed
    labels = drawing.balanced(len(z), assembly.recipe.classes)
    known: dict[str, gan.Measure] = {}
    if name is None:
        return None
    if isinstance(law, data.Distribution):
        real = law.sample(2000, numpy.random.default_rng(0))
        known["sliced-wasserstein"] = gan.Measure(
            "sliced-wasserstein",
            lambda trainer: metrics.sliced_wasserstein(
                drawing.sample(trainer.sampler, z), real, rng=numpy.random.default_rng(0), directions=128
            ),
            larger_is_better=False,
        )
        if law.centres is not None and law.std:
            centres, std = law.centres, law.std
            known["high-quality"] = gan.Measure(
                "high-quality",
                lambda trainer: metrics.mode_report(drawing.sample(trainer.sampler, z), centres, std).high_quality,
                larger_is_better=True,
            )
    elif min(assembly.recipe.sample_shape[:2]) >= 16:
        images = law.sample(min(512, len(law)), numpy.random.default_rng(0))
        known["sliced-wasserstein"] = gan.Measure(
            "sliced-wasserstein",
            lambda trainer: (
                metrics.patch_distance(
                    drawing.sample(trainer.sampler, z, labels),
                    images,
                    rng=numpy.random.default_rng(0),
                    directions=128,
                ).average
            ),
            larger_is_better=False,
        )
    if name not in known:
        raise ValueError(
            f"There is no measure {name!r} for the recipe {assembly.recipe.name!r}; use "
            f"{' or '.join(known) or 'none: its images are smaller than 16 pixels'}."
        )
    return known[name]


def finish(folder: Path, assembly: Assembly, film: list[Path]) -> None:
    """Write the model and draw the pictures."""
    save_model(folder, assembly)
    draw_samples(folder / "samples.png", assembly)
    drawing.draw_losses(folder, assembly.recipe, assembly.settings.objective)
    drawing.draw_film(folder, film)


def save_model(folder: Path, assembly: Assembly) -> None:
    """Write ``model.safetensors``: both players, and the averaged generator if there is one."""
    trainer = assembly.trainer
    arrays = checkpoint.prefixed("generator", trainer.game.generator.state_dict())
    arrays |= checkpoint.prefixed("discriminator", trainer.game.discriminator.state_dict())
    if trainer.average is not None:
        arrays |= checkpoint.prefixed("average", trainer.average.net.state_dict())
    checkpoint.save(folder / "model.safetensors", arrays, {"recipe": assembly.recipe.name, "step": trainer.step})


def draw_samples(path: Path, assembly: Assembly) -> None:
    """Draw ``samples.png`` from the fixed latents."""
    from minigan.plots import save_figure, save_grid

    trainer = assembly.trainer
    if isinstance(assembly.samples, data.Distribution):
        real = assembly.samples.sample(drawing.POINTS, numpy.random.default_rng(0))
        z = assembly.fixed[: drawing.POINTS]
        figure = drawing.point_figure(trainer, real, z, assembly.samples, title=f"step {trainer.step:,}")
        save_figure(figure, path, dpi=110)
    else:
        n, columns = drawing.layout(assembly.recipe.classes, drawing.GRID)
        labels = drawing.balanced(n, assembly.recipe.classes)
        save_grid(path, drawing.sample(trainer.sampler, assembly.fixed[:n], labels), columns=columns)


# ---------------------------------------------------------------- coming back to a run


@dataclass(frozen=True)
class Run:
    """A run's folder, opened.

    Attributes
    ----------
    folder
        Where it is.
    config
        What it was started with.
    recipe
        What it trained.
    """

    folder: Path
    config: Config
    recipe: Recipe

    @property
    def settings(self) -> Settings:
        """The hyper-parameters."""
        return self.recipe.settings.changed(**self.config.settings)

    @property
    def step(self) -> int:
        """The step that its model stands at; 0 if it has none yet.

        Raises
        ------
        ValueError
            If ``model.safetensors`` is damaged.
        """
        path = self.folder / "model.safetensors"
        return int(checkpoint.load(path)[1].get("step", 0)) if path.is_file() else 0

    def networks(self, which: str | None = None) -> tuple[nn.Layer, nn.Layer]:
        """Return the trained generator (the averaged one where there is one) and discriminator, on the CPU.

        Parameters
        ----------
        which
            None for the end of the run; ``"best"``, a step or a path for one of its checkpoints.

        Raises
        ------
        ValueError
            If the file is missing, damaged, or of another recipe.
        """
        path = self._file(which)
        arrays, meta = checkpoint.load(path)
        if meta.get("recipe") != self.recipe.name:
            raise checkpoint.CheckpointError(
                f"{path} is of the recipe {meta.get('recipe')!r}, but the run is one of {self.recipe.name!r}; "
                f"put the run's own back."
            )
        rng = numpy.random.default_rng(0)
        generator, taming = self.recipe.players(self.settings, rng, rng)
        discriminator = taming.discriminator
        average = checkpoint.under("average", arrays)
        # In a checkpoint the average stands with its own numbers beside it.
        averaged = {k.removeprefix("net."): v for k, v in average.items() if k.startswith("net.")} or average
        generator.load_state_dict(averaged or checkpoint.under("generator", arrays))
        discriminator.load_state_dict(checkpoint.under("discriminator", arrays))
        return generator, discriminator

    def _file(self, which: str | None) -> Path:
        folder = self.folder / "checkpoints"
        if which is None:
            path = self.folder / "model.safetensors"
            if not path.is_file() and gan.list_checkpoints(folder):
                raise checkpoint.CheckpointError(
                    f"{self.folder} isn't finished and has no model yet; go on with `minigan train --resume "
                    f"{self.folder}`, or name one of its checkpoints with --checkpoint."
                )
            return path
        if which.isdecimal():
            return folder / f"step-{int(which):08d}.safetensors"
        return folder / "best.safetensors" if which == "best" else Path(which)

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        device: str = "cpu",
        which: str | None = None,
        truncation: float | None = None,
        label: int | None = None,
    ) -> Array:
        """Draw n new samples on the host: float32, shape (n, ...).

        `which` is as in `networks`; `truncation` bounds the latents, see `minigan.latent.truncated`. `label` is the
        condition, for a recipe with classes; None gives each class its share, one class after the other.
        """
        classes = self.recipe.classes
        if label is not None and not 0 <= label < classes:
            has = f"labels 0 to {classes - 1}" if classes else "no labels"
            raise ValueError(f"The recipe {self.recipe.name!r} has {has}, got --label {label}.")
        labels = drawing.balanced(n, classes) if label is None else numpy.full(n, label)
        if n < 1:
            raise ValueError(f"The number of samples must be positive, got {n}.")
        generator, _ = self.networks(which)
        rng = numpy.random.default_rng(seed)
        z = (
            self.recipe.latent.sample(n, rng)
            if truncation is None
            else latent.truncated(self.recipe.latent, n, rng, bound=truncation)
        )
        return drawing.sample(generator.to(device), z, labels)


def open_run(folder: str | os.PathLike[str]) -> Run:
    """Open the folder of a run.

    Raises
    ------
    ValueError
        If it isn't one.
    """
    folder = Path(folder)
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} is no run: it has no config.json; give a folder that `minigan train` made.")
    try:
        config = Config(**json.loads(path.read_text()))
        recipe = get(str(config.recipe))
        recipe.settings.changed(**config.settings)
    except (ValueError, TypeError, AttributeError, OSError, RecursionError) as error:
        raise ValueError(f"{path} can't be read ({error}); the run's folder is damaged, train anew.") from None
    return Run(folder, config, recipe)


def resume(
    folder: str | os.PathLike[str],
    *,
    steps: int | None = None,
    lr_generator: float | None = None,
    lr_discriminator: float | None = None,
    device: str | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda words: None,
    checkpoint_every: int | None = None,
    keep: int | None = None,
    frames: int | None = None,
    best: str | None = None,
    tensorboard: bool | None = None,
    cuda_graph: bool | None = None,
    precision: str | None = None,
    callbacks: Sequence[gan.Callback] = (),
) -> Path:
    """Continue a run from its newest readable checkpoint, bit for bit as if it had never stopped.

    A run that was stopped before its first checkpoint begins anew, from its seed.

    Parameters
    ----------
    folder
        The run.
    steps
        Go on to this step, if not to the one that the run was started for.
    lr_generator, lr_discriminator
        Go on with other learning rates.
    device
        Where to go on, if not where it ran before; another device rounds otherwise, so the bits will differ.
    progress, say, checkpoint_every, keep, frames, best, tensorboard, callbacks
        As for `train`; by default as the run was started.
    cuda_graph, precision
        As for `train`; by default as the run was started, if it goes on on a CUDA device.

    Raises
    ------
    ValueError
        If the folder is no run, none of its checkpoints can be used, or the device doesn't answer.
    """
    run = open_run(folder)
    settings = run.settings.changed(steps=steps, lr_generator=lr_generator, lr_discriminator=lr_discriminator)
    watching = _watching(
        run.config.watching,
        checkpoint_every=checkpoint_every,
        keep=keep,
        frames=frames,
        best=best,
        tensorboard=tensorboard,
    )
    goes_on = _device(run.config, device, say)
    computing = _computing(run.config, goes_on, cuda_graph=cuda_graph, precision=precision)
    config = replace(run.config, settings=asdict(settings), device=goes_on, watching=watching, computing=computing)
    samples = load_data(run.recipe, config.data, config.data_dir)
    assembly = assemble(run.recipe, settings, samples, seed=config.seed, device=config.device, **computing)
    path = _restore(run, assembly, say)
    assembly.trainer.game.generator_optimizer.lr = settings.lr_generator
    assembly.trainer.game.discriminator_optimizer.lr = settings.lr_discriminator
    at, goal = assembly.trainer.step, settings.steps
    if at > goal:
        raise ValueError(f"{run.folder} stands at step {at:,} already; give a later one for --steps, or none.")
    _save_config(run.folder, config)
    where = f"at step {at:,} of {goal:,} from {path.name}" if path else "from the start: it has no checkpoint yet"
    say(f"Resuming {run.folder} {where}")
    _play(run.folder, assembly, config, progress, say, callbacks)
    return run.folder


def _device(config: Config, wanted: str | None, say: Callable[[str], None]) -> str:
    """Return the device that a run goes on on, and say where its last bits may differ."""
    if config.versions != _versions():
        say("Another version of minigan, NumPy or Python began this run: the last bits may differ from now on.")
    try:
        chosen = backend.resolve(wanted or config.device)
    except ValueError as error:
        if wanted is not None:
            raise
        raise ValueError(f"{error} The run was begun on {config.device!r}; add --device cpu.") from None
    if chosen != config.device:
        say(f"The run was begun on {config.device}: on {chosen} the last bits will differ from now on.")
    return chosen


def _computing(config: Config, device: str, **given: Any) -> dict[str, Any]:
    """Choose how a CUDA device computes: as given, else as the run began; a CPU has one way only."""
    before = config.computing if device == "cuda" else {}
    return (
        {"cuda_graph": False, "precision": "float32"} | before | {k: v for k, v in given.items() if v is not None}
    )


def _restore(run: Run, assembly: Assembly, say: Callable[[str], None]) -> Path | None:
    """Load the newest checkpoint that can be used; None if there is none at all."""
    reasons = []
    for path in reversed(gan.list_checkpoints(run.folder / "checkpoints")):
        try:
            arrays, meta = checkpoint.load(path)
            _require_same_run(path, meta, run.config)
            assembly.trainer.load_state(arrays, meta["trainer"])
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            reasons.append(str(error))
            say(f"Skipping {path.name}: {error}")
            continue
        return path
    if reasons:
        raise checkpoint.CheckpointError(f"No checkpoint of {run.folder} can be used: {reasons[0]}")
    return None


def _require_same_run(path: Path, meta: Mapping[str, Any], config: Config) -> None:
    ours = {"recipe": config.recipe, "seed": config.seed, "data": config.data} | config.settings
    theirs = {name: meta.get(name) for name in ("recipe", "seed", "data")} | dict(meta.get("settings", {}))
    for name in ours:
        if name not in ("steps", "lr_generator", "lr_discriminator") and ours[name] != theirs.get(name):
            raise checkpoint.CheckpointError(
                f"{path} is of another run ({name} {theirs.get(name)!r}, here {ours[name]!r}); take it out of the "
                f"folder."
            )


def _save_config(folder: Path, config: Config) -> None:
    with written_whole(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n")


def _steps(epochs: int, samples: data.Dataset | data.Distribution, settings: Settings) -> int:
    if epochs < 1:
        raise ValueError(f"The number of epochs must be positive, got {epochs}.")
    if isinstance(samples, data.Distribution):
        raise ValueError("A law in the plane is drawn anew for ever and has no epochs; give --steps instead.")
    return epochs * max(len(samples) // settings.batch_size, 1)


def _new_folder(out: Path | None, name: str) -> Path:
    if out is None:
        taken = (Path("runs") / (f"{name}-{i}" if i > 1 else name) for i in range(1, 10_000))
        out = next(path for path in taken if not path.exists())
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file; give the name of a folder for --out.")
    if out.is_dir() and not all(is_leftover(path) for path in out.iterdir()):
        raise ValueError(
            f"{out} already holds something; give another folder for --out, or continue a run with --resume {out}."
        )
    out.mkdir(parents=True, exist_ok=True)
    return out


def _versions() -> dict[str, str]:
    return {
        "minigan": minigan.__version__, "numpy": numpy.__version__, "python": platform.python_version()
    }  # fmt: skip

"""Training a recipe into a folder, and coming back to that folder."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy

import minigan
from minigan import backend, checkpoint, data, gan, nn, optim
from minigan.backend import Array
from minigan.files import written_whole
from minigan.recipes import Recipe, Settings, drawing, get

FRAMES = 50
"""Frames of a film, about."""


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
    """

    recipe: str
    settings: dict[str, Any]
    seed: int
    device: str
    data: str
    data_dir: str | None
    notes: tuple[str, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class Streams:
    """Random generators of a run, one for each purpose, so that a change of one leaves the others alone."""

    weights: numpy.random.Generator
    data: numpy.random.Generator
    latents: numpy.random.Generator
    noise: numpy.random.Generator
    fixed: numpy.random.Generator

    @staticmethod
    def seeded(seed: int) -> Streams:
        """Derive all five from one seed."""
        return Streams(*(numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(5)))


@dataclass
class Assembly:
    """The parts of a run, put together but not yet moving."""

    recipe: Recipe
    settings: Settings
    trainer: gan.Trainer
    samples: data.Dataset | data.Distribution
    fixed: Array
    draw_frame: Callable[[gan.Trainer], Array]


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
    device: str = "cpu",
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
    start
        Called with G and D before training: to start from given weights.
    """
    streams = Streams.seeded(seed)
    generator, discriminator = recipe.networks(streams.weights, streams.noise)
    if start is not None:
        start(generator, discriminator)
    generator.to(device)
    discriminator.to(device)
    betas = (settings.beta1, settings.beta2)
    game = gan.Game(
        generator,
        discriminator,
        optim.Adam(generator, lr=settings.lr_generator, betas=betas),
        optim.Adam(discriminator, lr=settings.lr_discriminator, betas=betas),
        objective=gan.objective(settings.objective, smoothing=settings.smoothing),
    )
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
        discriminator_steps=settings.discriminator_steps,
        average=optim.ExponentialMovingAverage(generator, decay=settings.average) if settings.average else None,
    )
    fixed = recipe.latent.sample(max(drawing.GRID, drawing.POINTS), streams.fixed)
    if isinstance(samples, data.Distribution):
        real = samples.sample(drawing.POINTS, streams.fixed)
        draw = drawing.point_frame(real, fixed[: drawing.POINTS], samples)
    else:
        draw = drawing.image_frame(fixed[: drawing.FRAME])
    return Assembly(recipe, settings, trainer, samples, fixed, draw)


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
    keep: int = 3,
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
        How many checkpoints stay.
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
    assembly = assemble(recipe, settings, samples, seed=seed, device=device)
    folder = _new_folder(Path(out) if out else None, name)
    config = Config(name, asdict(settings), seed, device, data_name, data_dir, tuple(notes), _versions())
    with written_whole(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n")
    for note in notes:
        say(note)
    say(f"Training {name} for {settings.steps:,} steps on {device}; results in {folder}")
    _play(folder, assembly, config, progress, checkpoint_every, keep, callbacks)
    return folder


def _play(
    folder: Path, assembly: Assembly, config: Config, progress: bool, checkpoint_every: int | None, keep: int,
    callbacks: Sequence[gan.Callback],
) -> None:  # fmt: skip
    steps = assembly.settings.steps
    saver = gan.Checkpoints(
        folder / "checkpoints", every=checkpoint_every or max(steps // 10, 1), keep=keep, about=asdict(config)
    )
    film = gan.Frames(folder / "frames", assembly.draw_frame, every=max(steps // FRAMES, 1))
    watching: list[gan.Callback] = [
        gan.Guard(lambda: next(reversed(gan.list_checkpoints(saver.folder)), None)),
        gan.MetricsFile(folder / "metrics.csv", every=max(steps // 1000, 1)),
        film,
        *callbacks,
        saver,
    ]
    if progress:
        watching.append(gan.Progress(steps))
    assembly.trainer.run(steps, watching)
    finish(folder, assembly, film)


def finish(folder: Path, assembly: Assembly, film: gan.Frames) -> None:
    """Write the model and draw the pictures."""
    save_model(folder, assembly)
    draw_samples(folder / "samples.png", assembly)
    drawing.draw_losses(folder, assembly.recipe, assembly.settings.objective)
    drawing.draw_film(folder, film.paths())


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
        save_grid(path, drawing.sample(trainer.sampler, assembly.fixed[: drawing.GRID]))


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

    def networks(self) -> tuple[nn.Layer, nn.Layer]:
        """Return the trained generator (the averaged one where there is one) and discriminator, on the CPU.

        Raises
        ------
        ValueError
            If ``model.safetensors`` is missing, damaged, or of another recipe.
        """
        arrays, meta = checkpoint.load(self.folder / "model.safetensors")
        if meta.get("recipe") != self.recipe.name:
            raise checkpoint.CheckpointError(
                f"{self.folder / 'model.safetensors'} is a model of the recipe {meta.get('recipe')!r}, but the "
                f"run is one of {self.recipe.name!r}; put the run's own model back."
            )
        generator, discriminator = self.recipe.networks(numpy.random.default_rng(0), numpy.random.default_rng(0))
        generator.load_state_dict(checkpoint.under("average", arrays) or checkpoint.under("generator", arrays))
        discriminator.load_state_dict(checkpoint.under("discriminator", arrays))
        return generator, discriminator

    def sample(self, n: int, *, seed: int = 0, device: str = "cpu") -> Array:
        """Draw n new samples on the host: float32, shape (n, ...)."""
        if n < 1:
            raise ValueError(f"The number of samples must be positive, got {n}.")
        generator, _ = self.networks()
        z = self.recipe.latent.sample(n, numpy.random.default_rng(seed))
        return drawing.sample(generator.to(device), z)


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
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"{path} can't be read ({error}); the run's folder is damaged, train anew.") from None
    return Run(folder, config, get(config.recipe))


def resume(
    folder: str | os.PathLike[str],
    *,
    progress: bool = True,
    say: Callable[[str], None] = lambda words: None,
    checkpoint_every: int | None = None,
    keep: int = 3,
    callbacks: Sequence[gan.Callback] = (),
) -> Path:
    """Continue a run from its newest readable checkpoint, bit for bit as if it had never stopped.

    Parameters
    ----------
    folder
        The run.
    progress, say, checkpoint_every, keep, callbacks
        As for `train`.

    Raises
    ------
    ValueError
        If the folder is no run, or none of its checkpoints can be used.
    """
    run = open_run(folder)
    config = run.config
    samples = load_data(run.recipe, config.data, config.data_dir)
    assembly = assemble(run.recipe, run.settings, samples, seed=config.seed, device=config.device)
    path = _restore(run, assembly, say)
    say(f"Resuming {run.folder} at step {assembly.trainer.step:,} of {run.settings.steps:,} from {path.name}")
    _play(run.folder, assembly, config, progress, checkpoint_every, keep, callbacks)
    return run.folder


def _restore(run: Run, assembly: Assembly, say: Callable[[str], None]) -> Path:
    reasons = []
    for path in reversed(gan.list_checkpoints(run.folder / "checkpoints")):
        try:
            arrays, meta = checkpoint.load(path)
            if meta.get("recipe") != run.recipe.name:
                raise checkpoint.CheckpointError(
                    f"{path} is of the recipe {meta.get('recipe')!r}, but this run trains {run.recipe.name!r}; "
                    f"take it out of the folder."
                )
            assembly.trainer.load_state(arrays, meta["trainer"])
        except (ValueError, KeyError) as error:
            reasons.append(str(error))
            say(f"Skipping {path.name}: {error}")
            continue
        return path
    if reasons:
        raise checkpoint.CheckpointError(f"No checkpoint of {run.folder} can be used: {reasons[0]}")
    raise checkpoint.CheckpointError(f"{run.folder} has no checkpoints to resume from; train anew.")


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
    if out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"{out} already holds something; give another folder for --out, or continue a run with --resume {out}."
        )
    out.mkdir(parents=True, exist_ok=True)
    return out


def _versions() -> dict[str, str]:
    return {
        "minigan": minigan.__version__, "numpy": numpy.__version__, "python": platform.python_version()
    }  # fmt: skip

"""Training a recipe into a folder: everything that `minigan train` does."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from minigan import backend, gan
from minigan.files import remove_leftovers
from minigan.ranks import ALONE, Ranks
from minigan.recipes import Recipe, Settings, files, get, names
from minigan.recipes.files import RecipeFile
from minigan.recipes.recipe import kind_of
from minigan.runs import checks, drawing, pretrained, sources, together, trust
from minigan.runs.assembly import Assembly, assemble
from minigan.runs.folder import (
    Config,
    engine,
    new_folder,
    require_empty,
    save_config,
    save_model,
    save_recipe,
    versions,
)
from minigan.runs.lock import sole_writer
from minigan.runs.rehearsal import rehearse
from minigan.runs.starting import start_from
from minigan.runs.watching import as_callbacks, choose_watching, require_watchable, watchers


def train(
    name: str | Recipe | RecipeFile,
    *,
    out: str | os.PathLike[str] | None = None,
    seed: int = 0,
    device: str = "auto",
    data_name: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    progress: bool = True,
    say: Callable[[str], None] = lambda words: None,
    checkpoint_every: int | None = None,
    keep: int | None = None,
    frames: int | None = None,
    best: str | None = None,
    tensorboard: bool | None = None,
    cuda_graph: bool | None = None,
    precision: str = "float32",
    init: str | os.PathLike[str] | None = None,
    ranks: Ranks = ALONE,
    local_batchnorm: bool = False,
    callbacks: Sequence[gan.Callback] = (),
    **changes: Any,
) -> Path:
    """Train a recipe and write all results to a folder.

    Parameters
    ----------
    name
        Name of the recipe, see `minigan.recipes.names`, or a recipe of your own: a `Recipe`, or the
        place ``FILE.py`` or ``FILE.py:NAME`` of one in a file, which is executed.
    out
        The folder; by default ``runs/NAME``, with a number appended if that exists.
    seed
        Determines everything random: the same seed on the same machine gives the same bits.
    device
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    data_name
        Another data set, or a file or folder of images or points, instead of the recipe's own
        data; see `minigan.data.load` and `minigan.data.points`.
    data_dir
        Folder with the files of MNIST or Fashion-MNIST.
    epochs
        Passes over the data, in place of the setting ``steps``.
    progress
        Whether to show a progress bar.
    say
        Called with messages about the progress.
    checkpoint_every
        Steps between checkpoints; by default, there are about ten in a run.
    keep
        Number of checkpoints to keep, 3 by default.
    frames
        Frames of the animation ``training.gif``, about 50 by default; 0 for none.
    best
        A measure, see `minigan.runs.watching.measure`, by which to keep the best checkpoint so far
        as ``checkpoints/best.safetensors``.
    tensorboard
        Whether to write event files for TensorBoard to ``tensorboard/`` too.
    cuda_graph, precision
        How a CUDA device computes, see `minigan.runs.assembly.assemble`.
    init
        A run, or a file of weights, to start from instead of from random weights; `say` is told
        what fitted.
    ranks
        The ranks that train together, each on its share of every batch; see `minigan.ranks.world`.
        All of them call this function, with the same arguments, and rank 0 writes the folder.
    local_batchnorm
        Whether batch norm sees only a rank's own share.
    callbacks
        Further callbacks.
    changes
        Settings to change, see `Settings`.

    Returns
    -------
    Path
        The folder: ``samples.png``, ``losses.png``, ``training.gif``, ``metrics.csv``,
        ``config.json``, ``model.safetensors``, ``checkpoints/`` and ``frames/``; of sounds
        ``samples.wav``, of films ``samples.gif``, of text ``samples.txt``; for a recipe file also
        ``recipe.py``, a copy of it.

    Raises
    ------
    TypeError
        If an argument is of the wrong kind, such as an array for the data.
    ValueError
        If the recipe, a setting, the device, the data or the folder can't be used, or the ranks
        were given different ones.
    """
    recipe, file = find(name)
    callbacks = as_callbacks(callbacks, "callbacks")
    place, data_dir = checks.data(data_name), checks.path("data_dir", data_dir)
    out, seed = checks.path("out", out), checks.whole("A seed", seed)
    checks.require("say", say, callable(say), "a function that is given a text")
    checks.require("ranks", ranks, isinstance(ranks, Ranks), "what minigan.ranks.world() returns")
    settings = changed(recipe, changes)
    recipe = _fitted(recipe, settings)
    device = backend.resolve(device)
    data_dir = None if data_dir is None else os.path.abspath(os.path.expanduser(data_dir))
    samples = together.first_alone(ranks, lambda: recipe.load(place or recipe.data, data_dir))
    settings = _suited(recipe, settings, samples)
    recipe = _fitted(recipe, settings)
    recipe.check_effect(settings)
    place = sources.located(place or recipe.data)
    if epochs is not None:
        settings = settings.changed(steps=_steps(epochs, samples, settings))
    notes = sources.notes(recipe, samples)
    assembly = assemble(
        recipe,
        settings,
        samples,
        seed=seed,
        device=device,
        cuda_graph=cuda_graph,
        precision=precision,
        ranks=ranks,
        local_batchnorm=local_batchnorm,
    )
    watched = choose_watching(
        {},
        checkpoint_every=checkpoint_every,
        keep=keep,
        frames=frames,
        best=best,
        tensorboard=tensorboard,
    )
    require_watchable(assembly, watched)
    import matplotlib.figure  # noqa: F401 - if it can't be used, say so before the run, not after

    taken = start_from(assembly.trainer.game, init) if init is not None else ()
    assembly.gauges.begin(assembly.trainer.game)
    rehearse(assembly.trainer)
    config = Config(
        recipe.name,
        asdict(settings),
        seed,
        device,
        place,
        data_dir,
        notes,
        versions(),
        watched,
        {"cuda_graph": cuda_graph, "precision": precision} | together.kept(local_batchnorm),
        engine(device),
        fingerprint=sources.fingerprint(place, samples),
        classes=assembly.classes if recipe.classes else None,
        class_names=sources.class_names(recipe, samples),
        recipe_file={"variable": file.variable, "sha256": file.sha256} if file else None,
        init=None if init is None else pretrained.located(init),
    )
    together.agree(ranks, config)
    if ranks.rank:
        return together.follow(assembly, together.watchdogs(assembly, watched["checkpoint_every"]))
    folder = new_folder(Path(os.path.expanduser(out)) if out else None, recipe.name, file)
    with sole_writer(folder):
        require_empty(folder, file)
        if file:
            save_recipe(folder, file)
        save_config(folder, config)
        for note in (*notes, *taken):
            say(note)
        what = "lines" if recipe.makes_text else recipe.makes
        on = f" on {len(samples):,} {what}" if hasattr(samples, "__len__") else ""
        say(
            f"Training {recipe.name}{on}{_kinds(assembly)} for {settings.steps:,} "
            f"step{'s' * (settings.steps != 1)} on {ranks_in_words(ranks)}{device}; results in "
            f"{folder}"
        )
        play(folder, assembly, config, progress=progress, say=say, callbacks=callbacks)
    return folder


def find(name: str | Recipe | RecipeFile) -> tuple[Recipe, RecipeFile | None]:
    """Return a recipe, and the file that it is in, if it is the user's own.

    Raises
    ------
    TypeError
        If it is something else.
    ValueError
        If there is no such recipe or file, or the file can't be used.
    """
    if isinstance(name, os.PathLike):
        name = os.fspath(name)
    if not isinstance(name, (str, Recipe, RecipeFile)):
        raise TypeError(
            "A recipe is given by its name, a file FILE.py or a Recipe, got "
            f"{kind_of(name)}; `minigan recipes` lists the names."
        )
    if isinstance(name, str) and files.is_file(name):
        name = files.read(name)
    if not isinstance(name, RecipeFile):
        return (name if isinstance(name, Recipe) else get(name)), None
    recipe = name.load()
    trust.remember(name)
    return recipe, name


def _fitted(recipe: Recipe, settings: Settings) -> Recipe:
    found = recipe.fitted(settings)
    return recipe.returned("fitted", found, isinstance(found, Recipe), "a recipe")


def _suited(recipe: Recipe, settings: Settings, samples: Any) -> Settings:
    counted = recipe.makes_images or recipe.makes_text
    needs = ("sample", "__len__") if counted else ("sample",)
    right = all(callable(getattr(samples, name, None)) for name in needs)
    wanted = f"data with the method {' and '.join(needs)}, as of what data.load gives"
    recipe.returned("load", samples, right, wanted)
    found = recipe.suited(settings, samples)
    return recipe.returned("suited", found, isinstance(found, Settings), "Settings")


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Settings:
    """Return the recipe's settings with some values changed; None leaves a value unchanged.

    Raises
    ------
    ValueError
        If the recipe has no such setting; the error names others that have it.
    """
    foreign = [name for name in changes if not hasattr(recipe.settings, name)]
    others = [other for other in names() if foreign and hasattr(get(other).settings, foreign[0])]
    if others:
        raise ValueError(
            f"The recipe {recipe.name!r} has no setting {foreign[0]!r}; there is one in "
            f"{', '.join(others)}."
        )
    return recipe.settings.changed(**changes)


def _steps(epochs: int, samples: Any, settings: Settings) -> int:
    if checks.whole("The number of epochs", epochs) < 1:
        raise ValueError(f"The number of epochs must be positive, got {epochs}.")
    if not hasattr(samples, "__len__"):
        raise ValueError(
            "A distribution is an endless source and has no epochs; give --steps instead."
        )
    batches = epochs * max(len(samples) // settings.batch_size, 1)
    return max(batches // settings.discriminator_steps, 1)  # each step of D takes a batch


def play(
    folder: Path,
    assembly: Assembly,
    config: Config,
    *,
    progress: bool,
    say: Callable[[str], None],
    callbacks: Sequence[gan.Callback],
) -> None:
    """Train to the last step, then write the model and draw the pictures; arguments as `train`."""
    remove_leftovers(folder)
    if assembly.trainer.unrecorded:
        say(assembly.trainer.unrecorded)
    film = _film(folder, assembly, config.watching["frames"])
    own = assembly.recipe.callbacks(assembly.settings, folder)
    whose = f"callbacks of the recipe {assembly.recipe.name!r}"
    more = [*as_callbacks(own, whose), *callbacks]
    crew = watchers(folder, assembly, config, film=film, progress=progress, say=say, more=more)
    crew = [*together.watchdogs(assembly, config.watching["checkpoint_every"]), *crew]
    assembly.trainer.run(assembly.settings.steps, crew)
    frames = film.paths() if film else []
    finish(folder, assembly, frames, say, most=config.watching["frames"] + 1)
    assembly.trainer.game.ranks.broadcast(str(folder))


def ranks_in_words(ranks: Ranks) -> str:
    """Return "2 ranks, " and the like, or nothing for one."""
    return f"{ranks.size} ranks, " if ranks.size > 1 else ""


def _kinds(assembly: Assembly) -> str:
    """Return " of 10 classes" and the like; " without labels" if they were asked for in vain."""
    count = len(assembly.classes)
    if not count:
        return " without labels" if getattr(assembly.settings, "conditional", 0) else ""
    return f" of {count:,} class{'es' * (count != 1)}"


def _film(folder: Path, assembly: Assembly, frames: int) -> gan.Frames | None:
    every = max(assembly.settings.steps // max(frames, 1), 1)
    return gan.Frames(folder / "frames", assembly.draw_frame, every=every) if frames else None


def finish(
    folder: Path, assembly: Assembly, film: Sequence[Path], say: Callable[[str], None], *, most: int
) -> None:
    """Write the model and draw the pictures; a damaged table or frame is said and left out."""
    save_model(folder, assembly.recipe.name, assembly.trainer)
    draw_samples(folder / "samples.png", assembly)
    try:
        drawing.draw_losses(folder, assembly.recipe, assembly.settings.objective)
    except ValueError as error:
        say(f"losses.png can't be drawn: {error}")
    drawing.draw_film(folder, list(film), say, most=most)


def draw_samples(path: Path, assembly: Assembly) -> None:
    """Draw ``samples.png`` from the fixed latents; sounds and films are written as such, too."""
    from minigan.plots import save_figure, save_grid

    trainer = assembly.trainer
    if assembly.recipe.makes_text:
        drawing.save_page(path, drawing.text_frame(assembly.recipe, assembly.fixed)(trainer))
    elif not assembly.recipe.makes_images:
        real = assembly.samples.sample(drawing.POINTS, numpy.random.default_rng(0))
        inputs = drawing.first(assembly.fixed, drawing.POINTS)
        figure = drawing.point_figure(
            trainer, real, inputs, assembly.samples, title=f"step {trainer.step:,}"
        )
        save_figure(figure, path, dpi=110)
    else:
        n, columns = drawing.layout(len(assembly.classes), drawing.GRID)
        labels = drawing.balanced(n, assembly.classes)
        recipe = assembly.recipe
        samples = trainer.game.picture(drawing.first(assembly.fixed, n), labels)
        several = samples.shape[2] > recipe.sample_shape[1]  # views beside each other
        shown = recipe.pictures(samples)
        save_grid(path, shown, columns=columns, scale=2 if several else None)
        if recipe.media:
            recipe.save(path.with_suffix(recipe.media), samples)

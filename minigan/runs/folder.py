"""The folder of a run: its files, how it is created, and how it is opened again.

``config.json`` says what the run was started with, ``model.safetensors`` holds the trained nets,
and ``checkpoints/`` the states to resume from. All are written atomically, see `minigan.files`.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType
from typing import Any

import numpy
from numpy.typing import NDArray

import minigan
from minigan import backend, checkpoint, gan, latent, memory, nn, optim
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.data.errors import choices
from minigan.files import is_leftover, written_whole
from minigan.gan.callbacks import intervals
from minigan.recipes import Recipe, Settings, get
from minigan.recipes.files import NAME, RecipeFile, line_of, read
from minigan.recipes.recipe import kind_of
from minigan.runs import checks, drawing, pretrained, sources
from minigan.runs.lock import is_of_a_writer
from minigan.runs.trust import Trust, load

CONFIG, MODEL, CHECKPOINTS = "config.json", "model.safetensors", "checkpoints"
METRICS, RECIPE = "metrics.csv", "recipe.py"
"""Names of files in a run's folder."""
Which = str | int | os.PathLike[str] | None
"""One of a run's checkpoints, see `Run.game`."""


@dataclass(frozen=True)
class Config:
    """What a run was started with: ``config.json``.

    Attributes
    ----------
    recipe
        Name of the recipe.
    settings
        The hyper-parameters of this run.
    seed
        Determines everything random.
    device
        ``"cpu"`` or ``"cuda"``.
    data
        Name or absolute path of the data.
    data_dir
        Folder that the data were read from, or None.
    notes
        What was done to the data to fit the recipe.
    versions
        Versions of minigan, NumPy and Python, see `versions`.
    watching
        What is written, and how often: ``checkpoint_every``, ``keep``, ``frames``, ``best``,
        ``tensorboard``. It doesn't influence training.
    computing
        How a CUDA device computes: ``cuda_graph``, ``precision``. It affects rounding only.
    engine
        What computed: the ``variant`` of the backend in words, and its ``threads``. It affects
        rounding only.
    fingerprint
        A hash of the data, see `minigan.runs.sources.fingerprint`, or None.
    classes
        The labels that occur in the data, for a conditional recipe; None if that isn't known.
    class_names
        What the labels stand for, for a conditional recipe; None if they are numbers only.
    recipe_file
        For a recipe from a file, of which the folder has a copy: its ``variable`` and ``sha256``.
    init
        The run or the file whose weights it started from, if any.
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
    engine: dict[str, Any] = field(default_factory=dict)
    fingerprint: str | None = None
    classes: tuple[int, ...] | None = None
    class_names: tuple[str, ...] | None = None
    recipe_file: dict[str, str] | None = None
    init: str | None = None


# ---------------------------------------------------------------- creating and filling a folder


def new_folder(out: Path | None, name: str, file: RecipeFile | None = None) -> Path:
    """Create the folder of a new run: `out`, or ``runs/NAME`` (numbered if that exists).

    Raises
    ------
    ValueError
        If `out` is a file, or contains anything other than leftovers of a killed process.
    """
    if out is None:
        return _next_free(Path("runs"), name)
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out} is a file, not a folder; give a folder for --out.")
    require_empty(out, file)
    out.mkdir(parents=True, exist_ok=True)
    return out


def _next_free(parent: Path, name: str) -> Path:
    """Create NAME, NAME-2, ...: the first that nobody else has created, even just now."""
    parent.mkdir(parents=True, exist_ok=True)
    names = (f"{name}-{i}" if i > 1 else name for i in itertools.count(1))
    return next(parent / free for free in names if _created(parent / free))


def _created(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


def require_empty(folder: Path, file: RecipeFile | None = None) -> None:
    """Refuse a folder that contains anything other than leftovers of a killed process.

    A copy of the recipe file that is to be trained is one.

    Raises
    ------
    ValueError
        If it does.
    """

    def is_nothing(path: Path) -> bool:
        copied = file is not None and path.name == RECIPE and path.read_bytes() == file.source
        return copied or is_leftover(path) or is_of_a_writer(path)

    if folder.is_dir() and not all(map(is_nothing, folder.iterdir())):
        raise ValueError(
            f"{folder} isn't empty; give another folder for --out, or continue a run with --resume "
            f"{folder}."
        )


def versions() -> dict[str, str]:
    """Return the versions of minigan, NumPy and Python, which affect a run's last bits."""
    return {
        "minigan": minigan.__version__,
        "numpy": numpy.__version__,
        "python": platform.python_version(),
    }


def engine(device: str) -> dict[str, Any]:
    """Return what computes on a device here: the ``variant`` in words, and its ``threads``.

    Raises
    ------
    ValueError
        If ``MINIGAN_THREADS`` or ``MINIGAN_FAST`` makes no sense.
    """
    ops = backend.get(device)
    return {"variant": ops.describe(), "threads": ops.threads}


def save_config(folder: Path, config: Config) -> None:
    """Write ``config.json``."""
    with written_whole(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(asdict(config), indent=2) + "\n")


def save_recipe(folder: Path, file: RecipeFile) -> None:
    """Write ``recipe.py``, a copy of the recipe file that is trained."""
    with written_whole(folder / RECIPE) as temporary:
        temporary.write_bytes(file.source)


def save_model(folder: Path, recipe: str, trainer: gan.Trainer) -> None:
    """Write ``model.safetensors``: the players, and their averages if there are any."""
    arrays: dict[str, Array] = {}
    for name, net in sampled_nets(trainer.game):
        arrays |= checkpoint.prefixed(name, net.state_dict())
    checkpoint.save(folder / MODEL, arrays, {"recipe": recipe, "step": trainer.step})


def sampled_nets(game: gan.BaseGame) -> Iterator[tuple[str, nn.Layer]]:
    """The nets that samples are made with, averages included, by the names of their parts."""
    for name, part in game.parts().items():
        if isinstance(part, nn.Layer):
            yield name, part
        elif isinstance(part, optim.ExponentialMovingAverage):
            yield name, part.net


def step_of(path: Path) -> int:
    """Return the step at which a model or a checkpoint was saved; 0 if that isn't known.

    Raises
    ------
    CheckpointError
        If the file is missing or damaged.
    """
    meta = checkpoint.load(path)[1]
    told = meta.get("trainer", meta)
    return int(told.get("step", 0)) if isinstance(told, dict) else 0


def model_step(folder: Path) -> int:
    """Return the step at which a run's model was saved; 0 if there is none yet.

    Raises
    ------
    CheckpointError
        If ``model.safetensors`` is damaged.
    """
    path = folder / MODEL
    return step_of(path) if path.is_file() else 0


def later_checkpoint(folder: Path) -> Path | None:
    """Return the newest whole checkpoint of a later step than the model's; None if there is none.

    There is one while a run is trained, at first or on, and after such a training was killed.

    Raises
    ------
    CheckpointError
        If ``model.safetensors`` is damaged.
    """
    step = model_step(folder)
    for path in reversed(gan.list_checkpoints(folder / CHECKPOINTS)):
        if intervals.step_of(path) <= step:
            return None
        with suppress(checkpoint.CheckpointError):
            checkpoint.load(path)
            return path
    return None


# ---------------------------------------------------------------- opening it again


def numbered(label: str, names: Sequence[str]) -> int | str:
    """Return the number of the class of this name; else the text as a number, if it is one."""
    if label in names:
        return names.index(label)
    try:
        return int(label)
    except ValueError:
        return label


@dataclass(frozen=True, repr=False)
class Run:
    """An opened folder of a run.

    Attributes
    ----------
    folder
        The path of the folder.
    config
        What the run was started with.
    recipe
        The recipe that it trains.
    weights
        The file of pretrained weights in the package, in the place of a folder of its own; None
        for an ordinary run.
    """

    folder: Path
    config: Config
    recipe: Recipe
    weights: Path | None = None

    def __repr__(self) -> str:
        later = None if self.weights else later_checkpoint(self.folder)
        step = intervals.step_of(later) if later else self.step
        return f"Run({self.place!r}: {self.recipe.name}, step {step:,} of {self.settings.steps:,})"

    @property
    def settings(self) -> Settings:
        """The hyper-parameters."""
        return self.recipe.settings.changed(**self.config.settings)

    @property
    def place(self) -> str:
        """How to name it on the command line: its folder, or ``pretrained:NAME``."""
        own = self.weights
        return str(self.folder) if own is None else f"{pretrained.PREFIX}{own.stem}"

    def require_folder(self) -> None:
        """Refuse pretrained weights where the history of a run is needed.

        Raises
        ------
        ValueError
            If the run is only weights.
        """
        if self.weights is not None:
            raise ValueError(
                f"{self.place} is trained weights without the history of a run; train one with "
                f"`minigan train {self.recipe.name} --init {self.place}`."
            )

    @property
    def step(self) -> int:
        """The step at which its model was saved; 0 if there is none yet.

        Raises
        ------
        ValueError
            If ``model.safetensors`` is damaged.
        """
        return step_of(self.weights) if self.weights else model_step(self.folder)

    def step_at(self, which: Which = None) -> int:
        """Return the step of the model or of a checkpoint; `which` and errors are as in `game`."""
        return step_of(self._file(which))

    def game(self, which: Which = None, *, device: str = "cpu") -> gan.BaseGame:
        """Return the game with its trained players, ready for sampling.

        Parameters
        ----------
        which
            None for the end of the run; ``"best"``, a step or a path for one of its checkpoints.
        device
            The device of the players.

        Raises
        ------
        ValueError
            If the file is missing, damaged, from another recipe, or holds NaN or infinity; without
            `which`, also if the run was trained on since, but not to its end.
        """
        path = self._file(which)
        arrays, meta = pretrained.load(path)
        if meta.get("recipe") != self.recipe.name:
            raise checkpoint.CheckpointError(
                f"{path} is from the recipe {meta.get('recipe')!r}, but the run trains "
                f"{self.recipe.name!r}; restore the run's own file."
            )
        rng = numpy.random.default_rng(0)
        game = self.recipe.game(self.settings, weights=rng, noise=rng, device=device)
        for name, net in sampled_nets(game):
            state = pretrained.state(name, arrays)
            net.load_state_dict(_finite(path, averaged(name, arrays) or state))
        return game

    def networks(self, which: Which = None) -> tuple[nn.Layer, nn.Layer]:
        """Return the trained generator and discriminator of a `minigan.gan.Game`, on the CPU.

        The generator is the averaged one, if there is one; `which` is as in `game`.
        """
        game = self.game(which)
        if not isinstance(game, gan.Game):
            raise ValueError(
                f"The game of the recipe {self.recipe.name!r} isn't a gan.Game; use game() instead."
            )
        return game.sampler, game.discriminator

    def _file(self, which: Which) -> Path:
        which = checks.path("which", str(which) if is_whole(which) else which, "a step or a path")
        if self.weights is not None:
            return self._only(self.weights, which)
        folder = self.folder / CHECKPOINTS
        if which is None:
            self._require_finished()
            return self.folder / MODEL
        if which.isdecimal():
            return folder / f"step-{int(which):08d}.safetensors"
        return folder / "best.safetensors" if which == "best" else Path(which)

    def _require_finished(self) -> None:
        """Refuse a run with a checkpoint that is newer than its model."""
        later = later_checkpoint(self.folder)
        if later is None:
            return
        step = self.step
        has = f": its model is of step {step:,}" if step else " and has no model yet"
        raise checkpoint.CheckpointError(
            f"{self.folder} isn't finished{has}; continue it with `minigan train --resume "
            f"{self.folder}`, or choose one of its checkpoints with --checkpoint, such as "
            f"{intervals.step_of(later)}."
        )

    def _only(self, weights: Path, which: str | None) -> Path:
        if which is None:
            return weights
        raise ValueError(f"{self.place} has no checkpoints; leave out --checkpoint {which}.")

    def sample(
        self,
        n: int,
        *,
        seed: int = 0,
        device: str = "cpu",
        which: Which = None,
        truncation: float | None = None,
        label: int | str | None = None,
    ) -> NDArray[Any]:
        """Draw n new samples; return them on the host as float32, shape (n, ...).

        `which` is as in `game`; `truncation` bounds the latents, see `minigan.latent.truncated`, or
        draws styles towards their mean, see `minigan.gan.StyleGame.truncated`.
        `label` is the condition, for a conditional recipe, a number or the name of a class; None
        draws all classes equally often, one class after the other.

        Raises
        ------
        TypeError
            If n isn't a whole number.
        ValueError
            If another value can't be used.
        """
        n, rng = checks.whole("The number of samples", n), checks.seeded(seed)
        label = self.find_label(label)
        if n < 1:
            raise ValueError(f"The number of samples must be positive, got {n}.")
        self._require_room(n)
        labels = drawing.balanced(n, self.classes) if label is None else numpy.full(n, label)
        game = self.game(which, device=device)
        if truncation is None:
            return game.sample(game.inputs(n, rng, self.load_data), labels)
        if self.recipe.latent is None:
            raise ValueError(
                f"The recipe {self.recipe.name!r} has no latents to truncate; leave out "
                "--truncation."
            )
        checks.number("The truncation", truncation)
        if isinstance(game, gan.StyleGame):
            return game.sample(game.truncated(n, rng, truncation))
        z = latent.truncated(self.recipe.latent, n, rng, bound=truncation)
        return game.sample(z, labels)

    def _require_room(self, n: int) -> None:
        """Refuse more samples than fit into memory: latents, samples, and a copy of them."""
        latents = self.recipe.latent.size if self.recipe.latent else 0
        numbers = latents + 2 * math.prod(self.recipe.sample_shape)
        memory.require(4.0 * n * numbers, f"{n:,} samples", "draw fewer")

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that can be sampled: those that the data had; none if not conditional."""
        seen = self.config.classes
        return tuple(range(self.recipe.classes)) if seen is None else tuple(seen)

    def find_label(self, label: int | str | None) -> int | None:
        """Return the number of a label, given as such or as the name of its class.

        Text is the name, if a class has it, and else a number.

        Raises
        ------
        ValueError
            If the recipe has no such label, or its data hadn't.
        """
        count, names = self.recipe.classes, self.config.class_names or ()
        if isinstance(label, str):
            label = numbered(label, names)
        if label is None or label in self.classes:
            return label
        if isinstance(label, str) and names:
            raise ValueError(f"This run has no class {label!r}; {choices(label, names)}.")
        if isinstance(label, int) and 0 <= label < count:
            raise ValueError(
                f"No images of this run's data had the label {label}, so it was never learnt; give "
                f"one of {', '.join(map(str, self.classes))} for --label."
            )
        has = f"labels 0 to {count - 1}" if count else "no labels"
        raise ValueError(f"The recipe {self.recipe.name!r} has {has}, got --label {label}.")

    def load_data(self) -> Any:
        """Load the training data of the run."""
        return sources.load(self.recipe, self.config.data, self.config.data_dir)


def _finite(path: Path, state: Mapping[str, Array]) -> Mapping[str, Array]:
    for name, array in state.items():
        if array.dtype.kind == "f" and not numpy.isfinite(backend.to_numpy(array)).all():
            raise checkpoint.CheckpointError(
                f"{path} holds NaN or infinity in {name}; choose an earlier one with --checkpoint, "
                "or train again."
            )
    return state


def open_run(
    folder: str | os.PathLike[str], *, recipe: Recipe | None = None, trust: Trust = False
) -> Run:
    """Open the folder of a run.

    A run of a recipe file has a copy of that file, and opening the run executes it. It does so
    only if a file with the same bytes has run on this machine before, or if `trust` allows it.

    Parameters
    ----------
    folder
        The path of the folder, or ``pretrained:NAME`` for weights in the package.
    recipe
        The recipe that it trains, if it is neither one of minigan's nor in a file.
    trust
        Whether a recipe file that is unknown on this machine may run, or a function that is given
        the question in words and answers it.

    Raises
    ------
    TypeError
        If `folder` isn't a place, or `recipe` isn't a recipe.
    UntrustedRecipe
        If the run's recipe file may not run.
    ValueError
        If the folder isn't a run, or a run of another recipe.
    """
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TypeError(f"The recipe of a run must be a Recipe, got {kind_of(recipe)}.")
    weights = pretrained.find(folder)
    if weights is not None:
        return _of_weights(weights)
    folder = Path(folder)
    config = read_config(folder)
    if recipe is None and config.recipe_file:
        recipe = load(recipe_file(folder, config), trust=trust)
    recipe = recipe or _known(folder / CONFIG, config.recipe)
    with _damage(folder / CONFIG):
        settings = recipe.settings.changed(**config.settings)
        recipe = recipe.fitted(settings)
        recipe.check(settings)
        if not set(config.classes or ()) <= set(range(recipe.classes)):
            raise ValueError(f"its classes are {config.classes}")
        if not all(isinstance(name, str) for name in config.class_names or ()):
            raise ValueError(f"its class_names are {config.class_names}")
    if recipe.name != config.recipe:
        raise ValueError(
            f"{folder} is a run of the recipe {config.recipe!r}, not of {recipe.name!r}; give the "
            "recipe that it trains."
        )
    return Run(folder, config, recipe)


def _of_weights(path: Path) -> Run:
    """Open pretrained weights; what a command writes beside a run goes to ``runs/``."""
    config = Config(**pretrained.load(path)[1]["config"])
    recipe = get(config.recipe)
    recipe = recipe.fitted(recipe.settings.changed(**config.settings))
    return Run(Path("runs", f"pretrained-{path.stem}"), config, recipe, path)


def read_config(folder: Path) -> Config:
    """Read ``config.json`` without running anything.

    Raises
    ------
    ValueError
        If there is none, or it is damaged.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise ValueError(
            f"{folder} isn't a run: it has no config.json; give a folder made by `minigan train`."
        )
    text = path.read_bytes()  # an OSError says itself what is wrong
    with _damage(path):
        told = json.loads(text)
        if not isinstance(told, dict):
            raise TypeError("it holds no dictionary")
        config = Config(**{name: told[name] for name in told if name in _ENTRIES})
        for name, kind in _KINDS.items():
            value = getattr(config, name)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise TypeError(f"its {name} is {value!r}")
    unknown = told.keys() - _ENTRIES
    if unknown:
        version = config.versions.get("minigan", "another version")
        raise ValueError(
            f"{path} has an entry {min(unknown)!r}, which this minigan doesn't know; it was "
            f"written by {version}: update minigan, or remove the entry."
        )
    return config


_ENTRIES = frozenset(field.name for field in fields(Config))
_KINDS: Mapping[str, Any] = {
    **dict.fromkeys(("recipe", "device", "data"), str),
    **dict.fromkeys(("data_dir", "fingerprint", "init"), (str, NoneType)),
    **dict.fromkeys(("settings", "watching", "computing", "engine", "versions"), dict),
    "recipe_file": (dict, NoneType),
    **dict.fromkeys(("classes", "class_names"), (list, NoneType)),
    "notes": list,
    "seed": int,
}
"""What each entry of ``config.json`` that something depends on must be."""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Say of whatever is raised inside that the file isn't what minigan wrote."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        if line_of(error):  # it arose in the code of a recipe file, which is to be blamed
            raise
        raise ValueError(
            f"{path} can't be read ({error}); the run's folder is damaged, train it again."
        ) from None


def _known(path: Path, name: str) -> Recipe:
    try:
        return get(name)
    except ValueError:
        raise ValueError(
            f"{path} names the recipe {name!r}, which isn't one of minigan's; if it is your own, "
            "open the run in Python with open_run(folder, recipe=...)."
        ) from None


def averaged(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the net of an average, which has numbers of its own beside it in a checkpoint; nothing
    if this isn't one.
    """
    if not all(f"{name}/{number}" in arrays for number in ("decay", "warmup", "t")):
        return {}
    return checkpoint.under(f"{name}/net.", dict(arrays), separator="")


def recipe_file(folder: Path, config: Config) -> RecipeFile:
    """Read, but don't run, the copy of the recipe file in a run's folder."""
    variable = (config.recipe_file or {}).get("variable", NAME)
    return replace(read(str(folder / RECIPE)), variable=str(variable))

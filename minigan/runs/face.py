"""Train and open runs from Python: what ``minigan.train`` and ``minigan.open_run`` return.

>>> import minigan
>>> run = minigan.train("digits", steps=500)  # doctest: +SKIP
>>> run.sample(16).shape  # doctest: +SKIP
(16, 16, 16, 1)
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from minigan import metrics, nn
from minigan.recipes import Recipe
from minigan.recipes.files import RecipeFile
from minigan.runs import checks, doctor, drawing, evaluation, exploring, folder, resuming, training
from minigan.runs.pretrained import PREFIX
from minigan.runs.trust import Trust

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run(folder.Run):
    """A run on disk, with its results at hand; a notebook shows its samples.

    Besides the methods here it has those of `minigan.runs.folder.Run`, such as ``sample(n)``, an
    array of new samples (n, ...), and ``game()``.
    """

    @property
    def generator(self) -> nn.Layer:
        """The trained generator, averaged if there is an average: latents to samples."""
        return self.networks()[0]

    @property
    def discriminator(self) -> nn.Layer:
        """The trained discriminator."""
        return self.networks()[1]

    def losses(self) -> dict[str, NDArray[numpy.float64]]:
        """Return the columns of ``metrics.csv``, each of shape (rows,): ``step``, ``loss_d``, ...

        Raises
        ------
        ValueError
            If the run has no such file yet, or it is damaged.
        """
        from minigan.plots import read_metrics

        self.require_folder()
        return read_metrics(self.folder / "metrics.csv")

    def interpolate(
        self, rows: int = 4, steps: int = 10, *, seed: int = 0, label: int | None = None,
        which: str | None = None,
    ) -> NDArray[Any]:  # fmt: skip
        """Return the samples of walks between pairs of latents, shape (rows, steps, ...).

        Parameters
        ----------
        rows
            Number of walks, at least 1.
        steps
            Samples per walk, at least 2.
        seed
            Seed of the latents.
        label
            The condition, for a conditional recipe.
        which
            The checkpoint, as for `minigan.runs.folder.Run.game`.

        Raises
        ------
        TypeError
            If there are no whole numbers of walks and samples.
        ValueError
            If a number is out of range, or the recipe has no latents.
        """
        rows, steps = checks.whole("rows", rows), checks.whole("steps", steps)
        checks.seeded(seed)
        sample = exploring.sampler(self, which=which, label=label)
        walks = exploring.walks(self, rows=rows, steps=steps, seed=seed)
        return numpy.stack([sample(walk) for walk in walks])

    def evaluate(self, count: int = 10_000, **options: Any) -> metrics.Table:
        """Score the samples; arguments as for `minigan.runs.evaluation.evaluate`."""
        return evaluation.evaluate(self, count=count, **options)

    def diagnosis(self) -> str:
        """Return what `minigan doctor` says of the run."""
        return doctor.report(self)

    def resume(self, steps: int | None = None, **options: Any) -> Run:
        """Continue training up to a step; arguments as for `minigan.runs.resuming.resume`."""
        self.require_folder()
        resuming.resume(self.folder, recipe=self.recipe, steps=steps, **options)
        return open_run(self.folder, recipe=self.recipe)

    def show(self) -> Figure:
        """Return a figure of samples and losses, which a notebook shows."""
        return drawing.state_figure(
            self._picture(), self.folder, title=f"{self.recipe.name}, step {self.step:,}"
        )

    def _picture(self) -> NDArray[Any]:
        from PIL import Image

        from minigan.plots import image_grid

        if self.weights is not None:
            return image_grid(self.sample(drawing.GRID))
        path = self.folder / "samples.png"
        if not path.is_file():
            raise ValueError(f"{self.folder} has no samples.png yet; it is drawn at the end.")
        with Image.open(path, formats=["PNG"]) as picture:
            return numpy.asarray(picture.convert("RGB"))

    def _repr_html_(self) -> str:
        path = self.folder / "samples.png"
        image = base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""
        shown = f"<br><img width='320' src='data:image/png;base64,{image}'>" if image else ""
        return f"<code>{escape(repr(self))}</code>{shown}{self._media()}"

    def _media(self) -> str:
        """Return HTML with a player of the sounds, or the moving films."""
        path = self.folder / f"samples{self.recipe.media or ''}"
        if self.recipe.media is None or not path.is_file():
            return ""
        held = base64.b64encode(path.read_bytes()).decode()
        if path.suffix == ".wav":
            return f"<br><audio controls src='data:audio/wav;base64,{held}'></audio>"
        return f"<br><img src='data:image/gif;base64,{held}'>"


def train(
    recipe: str | Recipe | RecipeFile,
    *,
    data: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = print,
    **options: Any,
) -> Run:
    """Train a recipe, and return the run; in a notebook, a live figure shows it.

    Parameters
    ----------
    recipe
        The name of a recipe, see `minigan.recipes.names`; a file with one of your own
        (``"my_recipe.py"`` or ``"my_recipe.py:NAME"``); or a `Recipe`.
    data
        Another data set, an IDX file or a folder of images, instead of the recipe's own data.
    say
        Called with messages; ``lambda words: None`` for none. ``progress=False`` leaves out the
        figure or bar.
    options
        Settings such as ``steps=500``, and everything else that
        `minigan.runs.training.train` takes: ``seed``, ``out``, ``device``, ...

    Returns
    -------
    Run

    Raises
    ------
    TypeError
        If something else stands for the recipe, the data or a place, such as an array.
    ValueError
        If the recipe, a setting, the device, the data or the folder can't be used.
    """
    found, file = training.find(recipe)
    made = training.train(file or found, data_name=data, say=say, **options)
    return open_run(made, recipe=found)


def open_run(
    place: str | os.PathLike[str], *, recipe: Recipe | None = None, trust: Trust = False
) -> Run:
    """Open the folder of a run; parameters as for `minigan.runs.folder.open_run`.

    Opening a run of a recipe file executes the copy of that file in the run's folder. For a file
    that never ran on this machine, that takes ``trust=True``: read it first.
    """
    opened = folder.open_run(place, recipe=recipe, trust=trust)
    return Run(opened.folder, opened.config, opened.recipe, opened.weights)


def pretrained(name: str) -> Run:
    """Open trained weights that come with the package; nothing is downloaded or trained.

    >>> import minigan
    >>> run = minigan.pretrained("digits")
    >>> run.sample(16, seed=1).shape
    (16, 16, 16, 1)
    >>> run.recipe.name, run.recipe.latent.size, run.recipe.sample_shape, run.classes
    ('digits', 64, (16, 16, 1), ())

    Parameters
    ----------
    name
        A name of `minigan.runs.pretrained.names`. ``pretrained:NAME`` on the command line, or in
        `open_run`, is the same.

    Returns
    -------
    Run
        Its ``generator`` is the averaged one. It has no checkpoints or losses; `Run.evaluate`
        writes its files to ``runs/pretrained-NAME``.

    Raises
    ------
    ValueError
        If there are no weights of that name.
    """
    return open_run(f"{PREFIX}{name}")

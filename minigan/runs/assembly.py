"""The assembly of a run: nets, optimizers, data and random generators, ready to train."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend, gan
from minigan.backend import Array
from minigan.backend.window import is_whole
from minigan.data.folder import why_unlabelled
from minigan.ranks import ALONE, Ranks, SharedGenerator
from minigan.recipes import Recipe, Settings
from minigan.runs import drawing, sources

GAUGED = 256
"""Number of fixed latents whose samples the gauges measure."""
STREAM = ("batch_size", "__next__", "state_dict", "load_state_dict")
"""What a stream of minibatches has, see `minigan.gan.trainer.Source`."""


@dataclass(frozen=True)
class Streams:
    """Random generators of a run, one for each purpose, so that none depends on another's use."""

    weights: numpy.random.Generator
    data: numpy.random.Generator
    latents: numpy.random.Generator
    noise: numpy.random.Generator
    fixed: numpy.random.Generator
    gauges: numpy.random.Generator

    @staticmethod
    def seeded(seed: int, *, shared: bool = False) -> Streams:
        """Derive all six from one seed.

        Parameters
        ----------
        seed
            At least 0.
        shared
            Whether ranks will share what `latents` and `noise` draw.

        Raises
        ------
        ValueError
            If the seed isn't an integer of at least 0.
        """
        if not is_whole(seed) or seed < 0:
            raise ValueError(f"A seed must be an integer of at least 0, got {seed!r}.")
        each = [numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(6)]
        if shared:
            each[2:4] = [SharedGenerator(rng.bit_generator) for rng in each[2:4]]
        return Streams(*each)


@dataclass
class Assembly:
    """The parts of a run, assembled but not yet trained."""

    recipe: Recipe
    settings: Settings
    trainer: gan.Trainer
    samples: Any
    fixed: Any
    draw_frame: Callable[[gan.Trainer], Array]
    gauges: gan.Gauges

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that occur in the data, for a conditional recipe."""
        return sources.classes(self.recipe, self.samples)


def assemble(
    recipe: Recipe,
    settings: Settings,
    samples: Any,
    *,
    seed: int,
    device: str | backend.Reference = "cpu",
    cuda_graph: bool | None = None,
    precision: str = "float32",
    ranks: Ranks = ALONE,
    local_batchnorm: bool = False,
) -> Assembly:
    """Assemble nets, optimizers, data and random generators.

    Parameters
    ----------
    recipe, settings, samples
        What to train, how, and on which data.
    seed
        Determines everything random.
    device
        ``"cpu"``, ``"cuda"`` or ``"auto"``.
    cuda_graph
        Whether to record a round into a CUDA graph and replay it; by default where possible, see
        `gan.Trainer`.
    precision
        Precision of matrix products on a CUDA device: ``"float32"`` or ``"tf32"``.
    ranks, local_batchnorm
        The ranks that share each batch, and whether batch norm sees only a rank's own share; see
        `gan.share`.

    Raises
    ------
    ValueError
        If the device isn't available or has no such precision, or recipe, settings and data don't
        fit together.
    """
    backend.get(device).set_precision(precision)
    recipe.check(settings)
    _check_labels(recipe, samples)
    several = ranks.size > 1
    if several and cuda_graph:
        raise ValueError(
            "A CUDA graph can't hold what several ranks tell each other; say --no-cuda-graph, "
            "or train on a single rank."
        )
    streams = Streams.seeded(seed, shared=several)
    game = recipe.game(settings, weights=streams.weights, noise=streams.noise, device=device)
    recipe.returned("game", game, isinstance(game, gan.BaseGame), "a game, such as a gan.Game")
    source = recipe.stream(samples, settings.batch_size, streams.data)
    resumable = all(hasattr(source, name) for name in STREAM)
    recipe.returned("stream", source, resumable, f"a stream with {', '.join(STREAM)}")
    if several:
        dealt = gan.share(
            game, ranks, batch=settings.batch_size, generators=(streams.latents, streams.noise),
            local_batchnorm=local_batchnorm,
        )  # fmt: skip
        source = gan.OwnRows(source, dealt)
    trainer = gan.Trainer(
        game, source, rng=streams.latents, noise=streams.noise, cuda_graph=cuda_graph
    )
    fixed = game.inputs(max(drawing.GRID, drawing.POINTS), streams.fixed, lambda: samples)
    draw_frame = _frames(recipe, samples, fixed, streams.fixed)
    gauges = _gauges(recipe, samples, game, streams.gauges)
    return Assembly(recipe, settings, trainer, samples, fixed, draw_frame, gauges)


def _check_labels(recipe: Recipe, samples: Any) -> None:
    if not recipe.classes or recipe.invented:
        return
    labels = getattr(samples, "labels", None)
    if labels is None:
        why = why_unlabelled(getattr(samples, "notes", ()))
        raise ValueError(
            f"The recipe {recipe.name!r} is conditional on {recipe.classes} labels, but "
            f"{samples.name} has no labels{why}; give data with labels, such as a folder with a "
            "subfolder for each class."
        )
    if labels.max() >= recipe.classes:
        raise ValueError(
            f"The recipe {recipe.name!r} has the labels 0 to {recipe.classes - 1}, but "
            f"{samples.name} has a label {labels.max()}; leave the other classes out."
        )


def _frames(
    recipe: Recipe, samples: Any, fixed: Any, rng: numpy.random.Generator
) -> Callable[[gan.Trainer], Array]:
    """Choose how a frame of the animation is drawn."""
    if recipe.makes_text:
        return drawing.text_frame(recipe, fixed)
    if not recipe.makes_images:
        real = samples.sample(drawing.POINTS, rng)
        return drawing.point_frame(real, drawing.first(fixed, drawing.POINTS), samples)
    classes = sources.classes(recipe, samples)
    n, columns = drawing.layout(len(classes), drawing.FRAME)
    labels = drawing.balanced(n, classes)
    return drawing.image_frame(
        drawing.first(fixed, n), labels, columns=columns, pictures=recipe.pictures
    )


def _gauges(
    recipe: Recipe, samples: Any, game: gan.BaseGame, rng: numpy.random.Generator
) -> gan.Gauges:
    known = recipe.makes_images or recipe.makes_text
    n = min(GAUGED // 2, len(samples)) if known else GAUGED
    inputs = game.inputs(n, rng, lambda: samples)
    labels = drawing.balanced(n, sources.classes(recipe, samples))
    return gan.Gauges(
        game, samples.sample(n, rng), lambda game: game.sample(inputs, labels, averaged=False),
        lambda game: game.sample(inputs, labels),
    )  # fmt: skip

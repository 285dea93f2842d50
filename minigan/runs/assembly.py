"""The parts of a run put together: nets, optimizers, data and random generators, ready to move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend, data, gan, nn, optim
from minigan.backend import Array
from minigan.backend.cuda import CudaBackend
from minigan.recipes import Recipe, Settings
from minigan.runs import drawing

Samples = data.Dataset | data.Distribution
"""What is learnt from: images, or a law in the plane."""
GAUGED = 256
"""Fixed latents whose samples the doctor looks at."""


@dataclass(frozen=True)
class Streams:
    """Random generators of a run, one for each purpose, so that a change of one leaves the others
    alone.
    """

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
        return Streams(
            *(numpy.random.default_rng(s) for s in numpy.random.SeedSequence(seed).spawn(6))
        )


@dataclass
class Assembly:
    """The parts of a run, put together but not yet moving."""

    recipe: Recipe
    settings: Settings
    trainer: gan.Trainer
    samples: Samples
    fixed: Array
    draw_frame: Callable[[gan.Trainer], Array]
    gauges: Callable[[gan.Trainer], dict[str, float]]


def load_data(recipe: Recipe, name: str, data_dir: str | None) -> Samples:
    """Load what a recipe learns from: a law in the plane, or images fitted to its shape."""
    if not recipe.makes_images:
        return data.distribution(name)
    return data.load(name, image_shape=recipe.sample_shape, data_dir=data_dir)  # type: ignore[arg-type]


def assemble(
    recipe: Recipe,
    settings: Settings,
    samples: Samples,
    *,
    seed: int,
    device: str | backend.Reference = "cpu",
    cuda_graph: bool = False,
    precision: str = "float32",
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

    Raises
    ------
    ValueError
        If the device doesn't answer or has no such precision, or recipe, settings and data don't go
        together.
    """
    _set_precision(backend.get(device), precision)
    recipe.check(settings)
    _check_labels(recipe, samples)
    streams = Streams.seeded(seed)
    generator, taming = recipe.players(settings, streams.weights, streams.noise)
    generator.to(device)
    taming.discriminator.to(device)
    game = _game(recipe, settings, generator, taming)
    trainer = gan.Trainer(
        game,
        _source(samples, settings.batch_size, streams.data),
        latent=recipe.latent,
        rng=streams.latents,
        noise=streams.noise,
        discriminator_steps=settings.discriminator_steps,
        conditional=recipe.classes > 0,
        average=optim.ExponentialMovingAverage(generator, decay=settings.average)
        if settings.average
        else None,
        cuda_graph=cuda_graph,
    )
    fixed = recipe.latent.sample(max(drawing.GRID, drawing.POINTS), streams.fixed)
    draw_frame = _frames(recipe, samples, fixed, streams.fixed)
    gauges = _gauges(recipe, samples, game, streams.gauges)
    return Assembly(recipe, settings, trainer, samples, fixed, draw_frame, gauges)


def _set_precision(ops: backend.Reference, precision: str) -> None:
    if isinstance(ops, CudaBackend):
        ops.precision = precision
    elif precision != "float32":
        raise ValueError(
            f"Precision {precision!r} needs device 'cuda', got {ops.device!r}; leave it at "
            "'float32'."
        )


def _check_labels(recipe: Recipe, samples: Samples) -> None:
    if not recipe.classes:
        return
    labels = getattr(samples, "labels", None)
    if labels is None:
        raise ValueError(
            f"The recipe {recipe.name!r} learns what each of {recipe.classes} labels looks like, "
            f"but {samples.name} "
            f"has no labels; give data with labels, such as a folder with a folder for each class."
        )
    if labels.max() >= recipe.classes:
        raise ValueError(
            f"The recipe {recipe.name!r} knows the labels 0 to {recipe.classes - 1}, but "
            f"{samples.name} has a label "
            f"{labels.max()}; leave the other classes out."
        )


def _source(samples: Samples, batch_size: int, rng: numpy.random.Generator) -> Any:
    if isinstance(samples, data.Distribution):
        return data.Stream(samples, batch_size, rng)
    return data.Batches(samples, batch_size, rng)


def _frames(
    recipe: Recipe, samples: Samples, fixed: Array, rng: numpy.random.Generator
) -> Callable[[gan.Trainer], Array]:
    """Choose how a frame of the film is drawn."""
    if isinstance(samples, data.Distribution):
        real = samples.sample(drawing.POINTS, rng)
        return drawing.point_frame(real, fixed[: drawing.POINTS], samples)
    n, columns = drawing.layout(recipe.classes, drawing.FRAME)
    return drawing.image_frame(fixed[:n], drawing.balanced(n, recipe.classes), columns=columns)


def _game(recipe: Recipe, settings: Settings, generator: nn.Layer, taming: gan.Taming) -> gan.Game:
    discriminator = taming.discriminator
    optimizers = (
        settings.optimizer_for(generator, settings.lr_generator),
        settings.optimizer_for(discriminator, settings.lr_discriminator),
    )
    if recipe.autoencoder is not None:
        return gan.VariationalAutoencoder(
            generator, discriminator, *optimizers, noise=recipe.autoencoder
        )
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


def _gauges(
    recipe: Recipe, samples: Samples, game: gan.Game, rng: numpy.random.Generator
) -> gan.Gauges:
    n = GAUGED if isinstance(samples, data.Distribution) else min(GAUGED // 2, len(samples))
    z = recipe.latent.sample(n, rng)
    labels = drawing.balanced(n, recipe.classes)
    return gan.Gauges(
        game.generator,
        game.discriminator,
        samples.sample(n, rng),
        lambda net: drawing.sample(net, z, labels),
    )

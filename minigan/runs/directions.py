"""Directions of a run's latent space that mean something, found in its weights or from labels.

For a run of styles the space is that of w, for others that of z.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend, gan, latent, metrics, nn
from minigan.data.errors import choices
from minigan.runs import drawing, exploring
from minigan.runs.folder import Run, numbered

PROBES = 2000
"""Samples that are classified to find an attribute's direction."""


@dataclass(frozen=True)
class Space:
    """A space that a generator's samples can be moved in.

    Attributes
    ----------
    draw
        ``(n, rng) -> points`` (n, d).
    sample
        ``(points, start) -> samples``, both (n, d); start is where points were moved from.
    weight
        What the generator multiplies points by, (d, features).
    """

    draw: Callable[[int, numpy.random.Generator], NDArray[Any]]
    sample: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]
    weight: NDArray[Any]


def draw_directions(
    run: Run, path: Path, *, count: int = 8, attribute: int | str | None = None,
    levels: Sequence[int] | None = None, reach: float = 3.0, steps: int = 9, seed: int = 0,
    label: int | str | None = None, which: str | None = None,
    say: Callable[[str], None] = lambda words: None, cache_dir: str | None = None,
) -> int:  # fmt: skip
    """Draw what moving along directions does to a sample, a row for each direction.

    Parameters
    ----------
    run
        A trained run.
    path
        The image file.
    count
        Number of directions; or, with an attribute, of samples that are moved along the one.
    attribute
        A class of the run's data, by its number or name, whose direction is found by classifying
        samples; if None, the directions are those of `minigan.latent.factorised`.
    levels
        For a run of styles, the resolutions whose style is moved, from 0; by default all.
    reach
        How far to move either way, in standard deviations of the points.
    steps
        Samples in a row, at least 2.
    seed, label, which
        As for `minigan.runs.exploring.interpolate`.
    say, cache_dir
        As for `minigan.runs.evaluation.evaluate`, for the classifier.

    Returns
    -------
    int
        The number of rows.

    Raises
    ------
    ValueError
        If the run has no such directions, or a number is out of range.
    """
    if not 0 < reach < math.inf or steps < 2 or count < 1:
        raise ValueError(
            "Directions need a positive reach, at least two steps and one row, got reach "
            f"{reach}, {steps} steps and {count} rows."
        )
    drawing.require_few(count * steps, run.recipe.sample_shape)
    found = space(run, levels=levels, label=label, which=which)
    rng = numpy.random.default_rng(seed)
    if attribute is None:
        directions, _ = latent.factorised(found.weight, count)
        starts = found.draw(1, rng).repeat(count, axis=0)
    else:
        wanted = _class_number(run, attribute)
        classifier = _classifier(run, wanted, cache_dir, say)
        directions = _towards(run, found, classifier, wanted)[None].repeat(count, axis=0)
        starts = found.draw(count, rng)
    walks = _walks(found, directions, starts, numpy.linspace(-reach, reach, steps))
    same = starts[:, None].repeat(steps, axis=1)
    rows = [found.sample(walk, start) for walk, start in zip(walks, same, strict=True)]
    exploring.save_rows(run, path, rows)
    return count


def _walks(
    space: Space, directions: NDArray[Any], starts: NDArray[Any], moves: NDArray[Any]
) -> NDArray[Any]:
    """Move from each start along its direction, by standard deviations of the points along it."""
    points = space.draw(PROBES, numpy.random.default_rng(0))
    scale = (points @ directions.T).std(axis=0)
    steps = (scale[:, None] * moves)[:, :, None] * directions[:, None]
    walks: NDArray[Any] = (starts[:, None] + steps).astype(starts.dtype)
    return walks


def space(
    run: Run, *, levels: Sequence[int] | None = None, label: int | str | None = None,
    which: str | None = None,
) -> Space:  # fmt: skip
    """Return the space of a run; arguments as for `draw_directions`."""
    game: Any = run.game(which)
    if isinstance(game, gan.StyleGame):
        return _of_styles(game, levels)
    if levels is not None:
        raise ValueError(
            f"The recipe {run.recipe.name!r} has no styles to move some of; leave out --levels."
        )
    law = exploring.latents(run)
    exploring.with_gradient(run, game)
    sample = exploring.sampler(run, which=which, label=label)
    weight = _first_weight(run, game.sampler, law.size)
    return Space(law.sample, lambda points, start: sample(points), weight)


def _of_styles(game: gan.StyleGame, levels: Sequence[int] | None) -> Space:
    G: Any = game.sampler
    chosen = list(range(G.levels)) if levels is None else list(levels)
    if not chosen or not all(0 <= level < G.levels for level in chosen):
        raise ValueError(
            f"The styles of this run have the levels 0 to {G.levels - 1}, got "
            f"{', '.join(map(str, chosen)) or 'none'}."
        )

    def sample(points: NDArray[Any], start: NDArray[Any]) -> NDArray[Any]:
        w = start[:, None].repeat(G.levels, axis=1)
        w[:, chosen] = points[:, None]
        return game.sample(gan.Styles(w))

    def draw(n: int, rng: numpy.random.Generator) -> NDArray[Any]:
        w: NDArray[Any] = game.styles(game.inputs(n, rng)).w[:, 0].copy()
        return w

    blocks = [G.synthesis.blocks[level] for level in chosen]
    layers = [layer for block in blocks for _, layer in block.layers()]
    affine: list[Any] = [one.affine for one in layers if isinstance(one, nn.ModulatedConv2d)]
    weights = [backend.to_numpy(one.weight.value) for one in affine]
    return Space(draw, sample, numpy.concatenate(weights, axis=1))


def _first_weight(run: Run, generator: nn.Layer, size: int) -> NDArray[Any]:
    """Return what z is multiplied by; a condition may come after it."""
    for _, layer in generator.layers():
        if isinstance(layer, nn.Linear):
            if layer.in_features < size:
                break
            weight: NDArray[Any] = backend.to_numpy(layer.weight.value)
            return weight[:size]
    raise ValueError(
        f"The generator of {run.recipe.name!r} doesn't begin with a Linear layer, whose weights "
        "would tell directions; use --sweep."
    )


def _class_number(run: Run, attribute: int | str) -> int:
    """Return the number of a class of the run's data, given as such or by its name."""
    if run.recipe.classes:
        raise ValueError(
            f"The samples of the recipe {run.recipe.name!r} are of the class that --label says, "
            "whatever the latents; leave out --attribute."
        )
    names = getattr(run.load_data(), "class_names", None) or ()
    found = numbered(attribute, names) if isinstance(attribute, str) else attribute
    if isinstance(found, str):
        which = choices(found, names) if names else "its classes have no names"
        raise ValueError(f"The data of this run have no class {found!r}; {which}.")
    return found


def _classifier(
    run: Run, attribute: int, cache_dir: str | None, say: Callable[[str], None]
) -> metrics.Classifier:
    from minigan.runs.evaluation import classifier_of

    if run.recipe.media == ".gif":
        raise ValueError(
            "A classifier of frames gives a film no class of its own; leave out --attribute."
        )
    classifier = classifier_of(run, cache_dir=cache_dir, say=say)
    if not 0 <= attribute < classifier.classes:
        raise ValueError(
            f"The data of this run have the classes 0 to {classifier.classes - 1}, got "
            f"--attribute {attribute}."
        )
    return classifier


def _towards(
    run: Run, space: Space, classifier: metrics.Classifier, attribute: int
) -> NDArray[Any]:
    points = space.draw(PROBES, numpy.random.default_rng(0))
    images = run.recipe.compared(numpy.clip(space.sample(points, points), -1, 1))
    having = backend.to_numpy(classifier.classify(images)) == attribute
    if min(having.sum(), (~having).sum()) < 2:
        raise ValueError(
            f"The classifier finds class {attribute} in {having.sum():,} of {len(having):,} "
            "samples of this run, but a direction needs at least two of it and two of others; "
            "choose another class, or train for longer."
        )
    return latent.separating(points, having)

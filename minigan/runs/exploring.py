"""The latent space of a run in pictures: walks, arithmetic, and single coordinates."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import gan, latent
from minigan.runs import drawing
from minigan.runs.folder import Run

PATHS = {"spherical": latent.spherical, "linear": latent.linear}
"""The paths between two latents."""
NEIGHBOURS = 0.25
"""Largest change of a coordinate in the neighbours of an arithmetic result (as in DCGAN)."""


def interpolate(
    run: Run,
    path: Path,
    *,
    kind: str | None = None,
    rows: int = 4,
    steps: int = 10,
    seed: int = 0,
    label: int | str | None = None,
    which: str | None = None,
) -> list[Path]:
    """Draw walks between latents: a strip for each pair, and an animated round trip through all.

    Parameters
    ----------
    run
        A trained run.
    path
        The image file; the animation has the same name with ``.gif``.
    kind
        ``"spherical"``, ``"linear"`` or ``"both"`` (a strip of each kind for each pair); by default
        what suits the distribution of the latents, see `minigan.latent`.
    rows
        Number of pairs of latents, at least 1.
    steps
        Samples per walk, at least 2.
    seed
        Seed of the latents.
    label
        The condition, for a conditional recipe.
    which
        The checkpoint, as for `Run.game`.

    Returns
    -------
    list of Path
        The image file and the animation.

    Raises
    ------
    ValueError
        If the kind is unknown or a number out of range.
    """
    found = walks(run, kind=kind, rows=rows, steps=steps, seed=seed)
    sample = sampler(run, which=which, label=label)
    save_rows(run, path, [sample(walk) for walk in found])
    film = path.with_suffix(".gif")
    stops = _stops(run, rows, seed)
    _save_film(run, film, sample(latent.walk(stops, steps, path=PATHS[_kinds(run, kind)[0]])))
    return [path, film]


def walks(
    run: Run, *, kind: str | None = None, rows: int = 4, steps: int = 10, seed: int = 0
) -> list[NDArray[Any]]:
    """Return walks between pairs of latents, each (steps, latent); arguments as `interpolate`."""
    kinds = _kinds(run, kind)
    if rows < 1:
        raise ValueError(f"At least one walk is needed, got {rows}.")
    drawing.require_few((rows + 1) * steps * len(kinds), run.recipe.sample_shape)
    stops = _stops(run, rows, seed)
    return [PATHS[name](a, b, steps) for a, b in pairwise(stops) for name in kinds]


def _kinds(run: Run, kind: str | None) -> list[str]:
    usual = "spherical" if latents(run).kind == "normal" else "linear"
    kinds = list(PATHS) if kind == "both" else [usual if kind is None else kind]
    if kinds[0] not in PATHS:
        raise ValueError(f"Unknown kind of walk {kind!r}; use {', '.join(PATHS)} or both.")
    return kinds


def _stops(run: Run, rows: int, seed: int) -> NDArray[Any]:
    return latents(run).sample(rows + 1, numpy.random.default_rng(seed))


def arithmetic(
    run: Run,
    path: Path,
    *,
    a: Sequence[int],
    b: Sequence[int],
    c: Sequence[int],
    seed: int = 0,
    label: int | str | None = None,
    which: str | None = None,
) -> Path:
    """Draw mean(a) - mean(b) + mean(c) below its operands.

    Each of the first three rows shows the samples of a group and, last, the sample of their mean.
    The fourth row shows the result, and samples of latents close to it.

    Parameters
    ----------
    run
        A trained run.
    path
        The image file.
    a, b, c
        Indices of samples, as ``minigan sample RUN --seed SEED`` shows them: from 0, row by row.
        Samples of a conditional recipe are all of one class here, as with ``--label``.
    seed
        Seed of the samples.
    label, which
        As for `interpolate`.

    Returns
    -------
    Path
        The image file.

    Raises
    ------
    ValueError
        If a group is empty or an index negative.
    """
    groups = (a, b, c)
    largest = max((i for group in groups for i in group), default=0)
    drawing.require_few(largest + 1, run.recipe.sample_shape)
    rng = numpy.random.default_rng(seed)
    z = latents(run).sample(1 + largest, rng)
    result = latent.arithmetic(z, a, b, c)
    longest = max(len(group) for group in groups)
    near = result + rng.uniform(-NEIGHBOURS, NEIGHBOURS, (longest, len(result))).astype(z.dtype)
    sample = sampler(run, which=which, label=label)
    rows = [
        sample(numpy.concatenate([z[list(group)], z[list(group)].mean(axis=0)[None]]))
        for group in groups
    ]
    save_rows(run, path, [*rows, sample(numpy.concatenate([result[None], near]))])
    return path


def sweep(
    run: Run, path: Path, *, coordinates: Sequence[int] | None = None, reach: float = 2.5,
    steps: int = 9, seed: int = 0, label: int | str | None = None, which: str | None = None,
) -> list[int]:  # fmt: skip
    """Draw the effect of single coordinates of a latent: one per row, from -reach to reach.

    Parameters
    ----------
    run
        A trained run.
    path
        The image file.
    coordinates
        Indices of the coordinates; by default the eight that change samples most.
    reach
        Largest value, positive.
    steps
        Number of values, at least 2.
    seed
        Seed of the latent to start from.
    label, which
        As for `interpolate`.

    Returns
    -------
    list of int
        The coordinates, from top to bottom.

    Raises
    ------
    ValueError
        If there is no such coordinate, or a number is out of range.
    """
    if not 0 < reach < math.inf or steps < 2:
        raise ValueError(
            "A sweep needs a positive reach and at least two steps, got "
            f"reach {reach} and {steps} steps."
        )
    drawing.require_few(max(len(coordinates or ()), 8) * steps, run.recipe.sample_shape)
    sample = sampler(run, which=which, label=label)
    z = latents(run).sample(1, numpy.random.default_rng(seed))[0]
    chosen = list(coordinates) if coordinates is not None else strongest(run, sample, 8)
    values = numpy.linspace(-reach, reach, steps, dtype=z.dtype)
    save_rows(run, path, [sample(latent.sweep(z, coordinate, values)) for coordinate in chosen])
    return chosen


def strongest(run: Run, sample: Callable[[NDArray[Any]], NDArray[Any]], count: int) -> list[int]:
    """Return the `count` coordinates that change samples most, the strongest first."""
    z = latents(run).sample(16, numpy.random.default_rng(0))
    found = latent.influence(sample, z)
    return [int(i) for i in numpy.argsort(-found, kind="stable")[:count]]


def mix(
    run: Run, path: Path, *, rows: int = 5, columns: int = 7, level: int | None = None,
    truncation: float = 1.0, seed: int = 0, which: str | None = None,
) -> Path:  # fmt: skip
    """Draw a grid of mixed styles: coarse features by row, fine ones by column.

    The first column shows the samples that the coarse styles are taken from, the first row those of
    the fine styles.

    Parameters
    ----------
    run
        A trained run whose generator has styles.
    path
        The image file.
    rows, columns
        Number of samples of either kind, at least 1.
    level
        The first resolution whose style is that of the column: 1 for 8x8 pixels and more, 2 for
        16x16 and more, and so on; by default about half of the resolutions are fine.
    truncation
        ψ, see `minigan.gan.StyleGame`.
    seed
        Seed of the latents.
    which
        The checkpoint, as for `Run.game`.

    Returns
    -------
    Path
        The image file.

    Raises
    ------
    ValueError
        If the run has no styles, or a number is out of range.
    """
    game = run.game(which)
    if not isinstance(game, gan.StyleGame):
        raise ValueError(
            f"The recipe {run.recipe.name!r} has no styles to mix; choose a run of stylegan."
        )
    levels = game.styled.levels
    level = (levels + 1) // 2 if level is None else level
    if rows < 1 or columns < 1 or not 0 < level < levels:
        raise ValueError(
            f"Mixing needs at least one row and one column, and a level from 1 to {levels - 1}, "
            f"got {rows} rows, {columns} columns and level {level}."
        )
    drawing.require_few((rows + 1) * (columns + 1), run.recipe.sample_shape)
    rng = numpy.random.default_rng(seed)
    coarse, fine = (game.truncated(n, rng, truncation).w for n in (rows, columns))
    mixed = numpy.repeat(coarse[:, None], columns, axis=1)
    mixed[:, :, level:] = fine[None, :, level:]
    blank = numpy.full((1, *run.recipe.sample_shape), 1, "float32")
    first = numpy.concatenate([blank, game.sample(gan.Styles(fine))])
    rest = numpy.concatenate([coarse[:, None], mixed], axis=1)
    save_rows(run, path, [first, *(game.sample(gan.Styles(row)) for row in rest)])
    return path


def sampler(
    run: Run, *, which: str | None = None, label: int | str | None = None
) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the function ``latents -> samples`` of a run, with arrays on the host.

    Raises
    ------
    ValueError
        If the label isn't one of the recipe's.
    """
    label = run.find_label(label)
    game, chosen = run.game(which), run.classes[:1] if label is None else (label,)
    return lambda z: game.sample(z, numpy.full(len(z), chosen[0]) if chosen else None)


def latents(run: Run) -> latent.Latent:
    """Return the distribution of a run's latents.

    Raises
    ------
    ValueError
        If it has none.
    """
    if run.recipe.latent is None:
        raise ValueError(
            f"The recipe {run.recipe.name!r} has no latent space to explore; choose another run."
        )
    return run.recipe.latent


def with_gradient(run: Run, game: Any) -> Any:
    """Return a game whose samples are one pass through G, of which there are derivatives.

    Raises
    ------
    ValueError
        If they are made in another way.
    """
    if not hasattr(game, "sampler"):
        raise ValueError(
            f"The recipe {run.recipe.name!r} makes its samples in many passes, which can't be "
            "followed back to the latents; choose another run."
        )
    return game


def save_rows(run: Run, path: Path, rows: Sequence[NDArray[Any]]) -> None:
    """Draw rows of samples; 2-D points are all drawn in one figure."""
    from minigan import plots

    if run.recipe.makes_text:
        drawing.save_page(path, _page(run, rows))
        return
    if not run.recipe.makes_images:
        plots.save_figure(_plane(run, numpy.concatenate(list(rows))), path)
        return
    drawn = [run.recipe.pictures(row) for row in rows]
    columns = max(len(row) for row in drawn)
    blank = numpy.full((columns, *drawn[0].shape[1:]), -1, "float32")
    padded = [numpy.concatenate([row, blank[len(row) :]]) for row in drawn]
    plots.save_grid(path, numpy.concatenate(padded), columns=columns)


def _save_film(run: Run, path: Path, samples: NDArray[Any]) -> None:
    from minigan import plots

    samples = samples[plots.thin(range(len(samples)), drawing.LONGEST)]
    if run.recipe.makes_text:
        frames = [_page(run, [sample[None]]) for sample in samples]
    elif run.recipe.makes_images:
        frames = [
            plots.image_grid(picture[None], padding=0) for picture in run.recipe.pictures(samples)
        ]
    else:
        # A walk in two dimensions is best shown growing; about a dozen frames are enough.
        ends = numpy.linspace(1, len(samples), min(len(samples), 12)).astype(int)
        frames = [plots.figure_to_array(_plane(run, samples[:end]), dpi=80) for end in ends]
    plots.save_gif(path, frames, last_milliseconds=120)


def _page(run: Run, rows: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Draw rows of samples as paragraphs of text."""
    recipe: Any = run.recipe
    paragraphs = [[*recipe.read(row), ""] for row in rows]
    return drawing.text_picture(functools.reduce(operator.iadd, paragraphs, []), recipe.widest)


def _plane(run: Run, points: NDArray[Any]) -> Any:
    from minigan import plots

    law = run.load_data()
    (x0, x1), (y0, y1) = law.limits
    real = law.sample(drawing.POINTS, numpy.random.default_rng(0))
    return plots.points_figure(real, points, limits=(x0, x1, y0, y1))

r"""Projection: the latents whose sample comes closest to a given picture, ``minigan project``.

A picture p has no latent of its own, but the distance from it has a gradient: with y = G(z),

.. math:: L = \langle (y - p)^2 \rangle, \qquad dz = J^T \frac{2 (y - p)}{\text{pixels}},

which is G's own backward map, with its weights left alone. Adam follows it from the latents of
several samples that look alike already, and the best result counts. Runs of styles are projected
into the styles, with one for each resolution (Abdal et al. 2019, "Image2StyleGAN", call it W+).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

from minigan import backend, data, gan, nn, optim
from minigan.files import written_whole
from minigan.runs import exploring, translating
from minigan.runs.folder import Run

CANDIDATES, STARTS = 1024, 8
"""Samples among which to begin, and how many of them are followed."""


class Projection(NamedTuple):
    """The result: latents or styles, their sample, the sample begun with, the picture, and the
    root mean square distances from it of both samples.
    """

    point: NDArray[Any]
    sample: NDArray[Any]
    begin: NDArray[Any]
    picture: NDArray[Any]
    distance: float
    before: float


def project(
    run: Run, picture: Path, output: Path, *, steps: int = 300, lr: float = 0.05, seed: int = 0,
    label: int | str | None = None, which: str | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Projection:  # fmt: skip
    """Find the latents of a picture, and draw it beside the sample begun with and the result.

    The latents, or styles, are written beside the drawing, with the suffix ``.npy``.

    Parameters
    ----------
    run
        A trained run of images.
    picture
        The image file; it is converted to the shape that the run was trained on.
    output
        The drawing's file.
    steps
        Steps of Adam, at least 1.
    lr
        Its learning rate.
    seed
        Seed of the latents to begin with.
    label, which
        As for `minigan.runs.exploring.interpolate`.
    say
        Called with what was done to the picture.

    Raises
    ------
    ValueError
        If the run has no latents or makes no images, or the picture can't be read.
    """
    exploring.latents(run)
    if run.recipe.makes != "images":
        raise ValueError(
            f"The recipe {run.recipe.name!r} makes {run.recipe.makes}, which no picture can be "
            "projected to; choose another run."
        )
    if steps < 1 or not 0 < lr < float("inf"):
        raise ValueError(
            f"Projection needs at least one step and a positive learning rate, got {steps} and "
            f"{lr}."
        )
    if not picture.is_file():
        raise data.DataError(f"there is no picture {picture}: give the file of one")
    label = run.find_label(label)
    target = translating.loaded([picture], run.recipe.sample_shape, say)
    game = exploring.with_gradient(run, run.game(which))
    chosen = run.classes[:1] if label is None else (label,)
    found = nearest(
        game, target, steps=steps, lr=lr, seed=seed, label=chosen[0] if chosen else None
    )
    row = numpy.concatenate([found.picture, found.begin, found.sample])
    exploring.save_rows(run, output, [numpy.clip(row, -1, 1)])
    with written_whole(output.with_suffix(".npy")) as temporary, temporary.open("wb") as file:
        numpy.save(file, found.point)
    return found


def nearest(
    game: gan.Game, picture: NDArray[Any], *, steps: int, lr: float, seed: int,
    label: int | None = None,
) -> Projection:  # fmt: skip
    """Follow the gradient from the samples nearest to a picture (1, H, W, C); see `project`."""
    net, rng = game.sampler, numpy.random.default_rng(seed)
    z = game.inputs(CANDIDATES, rng)
    labels = None if label is None else numpy.full(CANDIDATES, label)
    first = game.sample(z, labels)
    order = numpy.argsort(_distances(first, picture), kind="stable")[:STARTS]
    point = z[order]
    if isinstance(game, gan.StyleGame):
        point = game.styles(point).w
    place = _Place(game.device.asarray(point))
    adam, target = optim.Adam(place, lr=lr), game.device.asarray(picture)
    given: Any = _given(game, place.value.value, label)
    for _ in range(steps):
        y, cache = net.forward(given, train=False)
        place.value.grad = _only(net.backward(_slope(y, target), cache, param_grads=False))
        adam.step()
    y = backend.to_numpy(net.forward(given, train=False)[0])
    best = int(_distances(y, picture).argmin())
    begin = first[order[best]][None]
    return Projection(
        backend.to_numpy(place.value.value)[best], y[best][None], begin, picture,
        float(_distances(y, picture)[best]), float(_distances(begin, picture)[0]),
    )  # fmt: skip


class _Place(nn.Layer):
    """Latents as something that an optimizer moves."""

    def __init__(self, value: Any) -> None:
        self.value = nn.Parameter(value)


def _given(game: gan.Game, value: Any, label: int | None) -> Any:
    """The input of the generator, whose latents the optimizer changes in place."""
    if isinstance(game, gan.StyleGame):
        return gan.Styles(value)
    if label is None:
        return value
    return value, game.device.asarray(numpy.full(len(value), label))


def _only(d: Any) -> Any:
    """The cotangent of the latents."""
    return d.w if isinstance(d, gan.Styles) else d


def _slope(y: Any, target: Any) -> Any:
    return 2 * (y - target) / target.size


def _distances(images: NDArray[Any], picture: NDArray[Any]) -> NDArray[Any]:
    """Root mean square distances (N,)."""
    return numpy.sqrt(((images - picture) ** 2).mean(axis=(1, 2, 3)))

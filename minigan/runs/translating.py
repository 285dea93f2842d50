"""Translating pictures with a trained run: ``minigan translate``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import data
from minigan.data.folder import EXTENSIONS
from minigan.recipes.translation import Translation
from minigan.runs.folder import Run


def translate(
    run: Run,
    source: Path,
    output: Path,
    *,
    back: bool = False,
    seed: int = 0,
    which: str | None = None,
    device: str = "cpu",
    say: Callable[[str], None] = lambda words: None,
) -> int:
    """Translate a picture, or all pictures in a folder, and write the results.

    Parameters
    ----------
    run
        A run of pix2pix or CycleGAN.
    source
        A picture, or a folder whose own pictures are translated; they are converted to the shape
        that the run was trained on.
    output
        The file to write, or, for a folder, the folder: each result is a PNG named as its picture.
    back
        Whether to translate the other way, from B to A, which CycleGAN learns too.
    seed
        Seed of the dropout that pix2pix draws its results with.
    which, device
        As for `Run.sample`.
    say
        Called with what was done to the pictures.

    Returns
    -------
    int
        Number of pictures.

    Raises
    ------
    ValueError
        If the run doesn't translate pictures, or these can't be read, or the results not written.
    """
    recipe = run.recipe
    if not isinstance(recipe, Translation):
        raise ValueError(
            f"The recipe {recipe.name!r} doesn't translate pictures; choose a run of pix2pix, "
            "cyclegan or inpaint."
        )
    shape = recipe.sample_shape if back else recipe.input_shape
    files = _files(source)
    targets = _targets(files, source, output)
    images = loaded(files, shape, say)
    game: Any = run.game(which, device=device)
    results = game.translate(images, numpy.random.default_rng(seed), back=back)
    _write(results, targets)
    return len(files)


def _files(source: Path) -> list[Path]:
    if not source.exists():
        raise data.DataError(f"there is no picture or folder {source}: give one that exists")
    if not source.is_dir():
        return [source]
    shown = (path for path in source.iterdir() if not path.name.startswith("."))
    found = sorted(path for path in shown if path.suffix.lower() in EXTENSIONS)
    if not found:
        raise data.DataError(f"{source} contains no pictures: give another folder, or a picture")
    return found


def _targets(files: list[Path], source: Path, output: Path) -> list[Path]:
    """Return where each result belongs; refuse before anything is done."""
    if not source.is_dir():
        return [output]
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file, but {source} is a folder; give a folder for -o.")
    if not output.exists() and output.suffix.lower() in EXTENSIONS:
        raise ValueError(
            f"{output} is named as a picture, but {source} is a folder; give a folder for -o."
        )
    if output.resolve() == source.resolve():
        raise ValueError(
            f"The results would replace the pictures in {source}; give another folder for -o."
        )
    targets = [output / f"{path.stem}.png" for path in files]
    twice = {target for target in targets if targets.count(target) > 1}
    if twice:
        raise ValueError(
            f"Two pictures in {source} would be written to {min(twice)}; rename one of them."
        )
    return targets


def loaded(
    files: list[Path], shape: tuple[int, ...], say: Callable[[str], None]
) -> NDArray[numpy.float32]:
    """Read pictures as images (N, *shape); say what was done to them."""
    height, width, channels = shape
    sets = [data.image_folder(path, size=(height, width), channels=channels) for path in files]
    for note in dict.fromkeys(note for one in sets for note in one.notes):
        say(note)
    return numpy.concatenate([one.batch([0]) for one in sets])


def _write(results: NDArray[Any], targets: list[Path]) -> None:
    from minigan.plots import save_grid

    for image, target in zip(results, targets, strict=True):
        target.parent.mkdir(parents=True, exist_ok=True)
        save_grid(target, image[None], padding=0, scale=1)

"""The nets of a run for other programs: ``minigan export``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy

from minigan import export, gan, nn
from minigan.files import written_whole
from minigan.recipes.files import require_importable
from minigan.runs.folder import CHECKPOINTS, MODEL, Run

WEIGHTS = ".safetensors"
EXAMPLES = 4
"""Samples that go through the net while its graph is written; graphs take any number."""


def export_run(
    run: Run, path: Path, *, which: str | None = None, discriminator: bool = False,
    torch: bool = False,
) -> list[Path]:  # fmt: skip
    """Write a net of a run to a file; return the files that were written.

    Parameters
    ----------
    run
        A run of a `minigan.gan.Game`, or of one that has the method `exported`.
    path
        For ONNX the graph; for PyTorch the Python file, beside which its weights are written, with
        the same name and the ending ``.safetensors``.
    which
        As in `Run.game`.
    discriminator
        Whether to write the discriminator instead of the generator.
    torch
        Whether to write for PyTorch instead of ONNX.

    Raises
    ------
    ValueError
        If the folder of `path` doesn't exist, its ending is another one, its name would hide a
        module, ``onnx`` isn't installed, or the net holds a layer that can't be exported. Nothing
        has been written then.
    """
    _check(path, ".py" if torch else ".onnx")
    if torch:
        require_importable(path)
        _spare(path.with_suffix(WEIGHTS), path)
    net, example = _chosen(run, which, discriminator)
    return _to_torch(run, net, example, path) if torch else _to_onnx(net, example, path)


def _check(path: Path, ending: str) -> None:
    if path.suffix != ending:
        raise ValueError(f"{path} must end in {ending}; give for example -o g{ending}.")
    if path.is_dir():
        raise ValueError(f"{path} is a folder; give the name of a file, for example -o g{ending}.")
    if not path.parent.is_dir():
        raise ValueError(f"The folder {path.parent} doesn't exist; create it first.")


def _spare(weights: Path, path: Path) -> None:
    """Refuse to replace the weights of a run, whose name the user hasn't given."""
    of_a_run = weights.name == MODEL or weights.parent.name == CHECKPOINTS
    if weights.exists() and of_a_run:
        raise ValueError(
            f"{weights}, beside {path}, holds the weights of a run, which the export would "
            "replace; give another name, for example -o g.py."
        )


def _chosen(run: Run, which: str | None, discriminator: bool) -> tuple[nn.Layer, Any]:
    """Return the net and inputs of it."""
    game = run.game(which)
    if isinstance(game, gan.Game):
        net = game.discriminator if discriminator else game.sampler
        return net, _example(run, game, discriminator)
    inputs = game.inputs(EXAMPLES, numpy.random.default_rng(0), run.load_data)
    return game.exported(inputs, discriminator=discriminator)


def _example(run: Run, game: gan.Game, discriminator: bool) -> Any:
    """Return inputs of the net: samples or latents, with labels if it takes them."""
    recipe, rng = run.recipe, numpy.random.default_rng(0)
    if discriminator:
        x: Any = numpy.zeros((EXAMPLES, *recipe.sample_shape), "float32")
    else:
        x = game.inputs(EXAMPLES, rng, run.load_data)
    conditional = recipe.classes and not (discriminator and recipe.auxiliary)
    return (x, numpy.arange(EXAMPLES) % recipe.classes) if conditional else x


def _to_onnx(net: nn.Layer, example: Any, path: Path) -> list[Path]:
    model = export.to_onnx(net, example)
    with written_whole(path) as file:
        file.write_bytes(model.SerializeToString())
    return [path]


def _to_torch(run: Run, net: nn.Layer, example: Any, path: Path) -> list[Path]:
    from safetensors.numpy import save

    weights = path.with_suffix(WEIGHTS)
    text, state = export.torch_source(
        net,
        input_shape=(example[0] if isinstance(example, tuple) else example).shape[1:],
        weights=weights.name,
        title=f"A net of the recipe {run.recipe.name}: {run.recipe.title}.",
    )
    with written_whole(weights) as file:
        file.write_bytes(save({name: numpy.ascontiguousarray(a) for name, a in state.items()}))
    with written_whole(path) as file:
        file.write_text(text, encoding="utf-8")
    return [path, weights]

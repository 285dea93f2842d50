"""Starting from trained weights: ``minigan train --init RUN``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from minigan import checkpoint, gan, nn, optim
from minigan.backend import Array
from minigan.runs import pretrained
from minigan.runs.folder import MODEL, averaged, later_checkpoint, sampled_nets


def start_from(game: gan.BaseGame, place: str | os.PathLike[str]) -> list[str]:
    """Copy all weights that fit, by name and shape, into the players of a game.

    The nets may differ: what has no counterpart keeps its random values. A moving average starts
    from the weights of its player, if there was none before, and goes on otherwise. Nets that grow
    go on from where those have grown to.

    Parameters
    ----------
    game
        Its nets are changed in place.
    place
        The folder of a run, one of its files of weights, or ``pretrained:NAME``. No recipe is
        needed to read it.

    Returns
    -------
    list of str
        What fitted, a sentence for each net.

    Raises
    ------
    ValueError
        If there are no weights, or none of them fits.
    """
    path = pretrained.find(place) or _weights(Path(os.path.expanduser(place)))
    arrays, meta = pretrained.load(path)
    told, nothing = [], True
    for name, net in sampled_nets(game):
        state = _state(name, arrays)
        fitting = {key: state[key] for key, own in net.state_dict().items()
                   if key in state and state[key].shape == own.shape}  # fmt: skip
        net.load_state_dict(net.state_dict() | fitting)
        told.append(_words(name, net, fitting, path))
        nothing = nothing and not fitting
    if nothing:
        raise ValueError(
            f"No weights of {path} fit the nets of this recipe; give a run with nets of the same "
            "kind and width."
        )
    for name, part in game.parts().items():
        taken = averaged(name, arrays) or pretrained.state(name, arrays)
        if isinstance(part, optim.ExponentialMovingAverage) and taken:
            # It has warmed up already: otherwise its first update would forget what it is.
            part.t = int(arrays.get(f"{name}/t", meta.get("step", 0)))
    if isinstance(game, gan.ProgressiveGame):
        game.begin()
    return told


def _weights(place: Path) -> Path:
    if place.is_file():
        return place
    path = later_checkpoint(place) or place / MODEL
    if not path.is_file():
        raise ValueError(
            f"{place} has no weights to start from; give the folder of a run that was trained."
        )
    return path


def _state(name: str, arrays: Mapping[str, Array]) -> dict[str, Array]:
    """The arrays of a net, or of an average's."""
    state = averaged(name, arrays) or pretrained.state(name, arrays)
    return state or checkpoint.under("generator", dict(arrays)) if name == "average" else state


def _words(name: str, net: nn.Layer, fitting: Mapping[str, Array], path: Path) -> str:
    own = net.state_dict()
    total, taken = (sum(a.size for a in each.values()) for each in (own, fitting))
    words = (
        f"{name}: {len(fitting)} of {len(own)} arrays ({taken / max(total, 1):.0%} of the numbers) "
        f"from {path}"
    )
    left = [key for key in own if key not in fitting]
    return f"{words}; new: {', '.join(left)}" if left else words

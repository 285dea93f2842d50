"""A round before a run: what would fail at the first step fails before anything is made."""

from __future__ import annotations

import copy
import math
import tracemalloc

from minigan import backend, gan, memory, nn
from minigan.gan.base import group_of
from minigan.gan.callbacks import find_trouble

LARGE = 4096
"""Samples per round up to which nobody asks whether they fit into memory."""


def rehearse(trainer: gan.Trainer) -> None:
    """Play a round on a copy of the game.

    The trainer's source and random generators stand where they stood.

    Raises
    ------
    ValueError
        If the round wouldn't fit into memory, or makes numbers that aren't finite.
    """
    source = trainer.source
    rounds = getattr(trainer.game, "discriminator_steps", 1)
    if source.batch_size * rounds > LARGE and not trainer.game.device.queues:
        _require_room(trainer, source.batch_size)
    _play(trainer)


def _require_room(trainer: gan.Trainer, wanted: int) -> None:
    """Refuse a batch that is too large, judging by smaller ones.

    They are doubled until the batch matters more than what is needed in any case.
    """
    ranks = trainer.game.ranks
    unit = math.lcm(*(_together(net) for net in trainer.game.players().values()))
    size = min(64 * unit * ranks.size, wanted)
    peak = ranks.broadcast(_peak(trainer, size))  # all ranks have to try the same sizes
    each = peak / size
    while 2 * size < wanted:
        more = ranks.broadcast(_peak(trainer, 2 * size))
        each = (more - peak) / size
        if more > 1.5 * peak:
            break
        size, peak = 2 * size, more
    trainer.source.batch_size = wanted
    memory.require(each * wanted, f"A round with batches of {wanted:,}", "use a smaller batch")


def _together(net: nn.Layer) -> int:
    """Return of how many samples each batch of a net must have a multiple."""
    packs = [layer.m for _, layer in net.layers() if isinstance(layer, nn.Pack)]
    return math.prod(packs) * group_of(net)  # the groups are of packs


def _peak(trainer: gan.Trainer, size: int) -> int:
    """Return the most bytes that Python and NumPy hold at a time in a round of a batch size."""
    trainer.source.batch_size = size
    traced = tracemalloc.is_tracing()
    tracemalloc.start()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        _play(trainer)
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if not traced:
            tracemalloc.stop()


def _play(trainer: gan.Trainer) -> None:
    source, states = copy.deepcopy(trainer.source.state_dict()), copy.deepcopy(trainer.rng)
    drawn = trainer.game.draw(trainer.source, trainer.rng)
    trainer.source.load_state_dict(source)
    trainer.rng.bit_generator.state = states.bit_generator.state
    twin = copy.deepcopy(trainer.game)
    twin.play(*backend.tree.mapped(twin.device.asarray, drawn))
    for name, player in twin.players().items():
        trouble = find_trouble(player, name)
        if trouble is not None:
            raise ValueError(
                f"After the first round, {trouble}; use smaller learning rates (--lr), or other "
                "settings."
            )

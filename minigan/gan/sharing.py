"""One game on several ranks: what they have to tell each other, and what can't be shared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy

from minigan import data, nn, optim
from minigan.backend import tree
from minigan.gan.base import BaseGame
from minigan.ranks import MPIRanks, Ranks, SharedGenerator


def share(
    game: BaseGame, ranks: Ranks, *, batch: int, generators: Iterable[numpy.random.Generator] = (),
    local_batchnorm: bool = False,
) -> Ranks:  # fmt: skip
    """Let several ranks play one game, each with its share of the batch.

    Afterwards optimizers average gradients over the ranks, layers and penalties that couple the
    samples of a batch see all of it, and what random generators draw is dealt out. Gradients are
    averaged when an optimizer steps, or when `optim.Optimizer.reduce` is called; a game of your own
    that clips gradients has to do so first.

    Parameters
    ----------
    game
        Its random generators must be `SharedGenerator`.
    ranks
        Those that play; a single one changes nothing.
    batch
        Samples in the whole batch.
    generators
        Those that draw latents and the noise of penalties, `SharedGenerator` too.
    local_batchnorm
        Whether each rank's batch norm sees only its own share, as if its batch were smaller.

    Returns
    -------
    Ranks
        They deal out the data too, see `OwnRows`.

    Raises
    ------
    ValueError
        If the batch can't be dealt out evenly, or some part of the game can't be shared.
    """
    if not isinstance(ranks, MPIRanks):
        return ranks
    unit = max((layer.m for layer in _layers(game) if isinstance(layer, nn.Pack)), default=1)
    own = _share_of(batch, ranks.size, unit, game.share_multiple)
    ranks = MPIRanks(ranks.comm, unit=unit)
    for layer in _layers(game):
        _require_shareable(layer, own // unit)
    rngs: dict[str, Any] = game.generators() | {
        f"generator {i}": rng for i, rng in enumerate(generators)
    }
    _require_known(game, rngs)
    for part in _parts(game):
        if hasattr(part, "ranks") and not (local_batchnorm and isinstance(part, NORMS)):
            part.ranks = ranks
    for rng in rngs.values():
        rng.share(ranks, own)
    return ranks


NORMS = (nn.BatchNorm, nn.ConditionalBatchNorm)


def _share_of(batch: int, size: int, unit: int, multiple: int) -> int:
    if batch % (size * unit * multiple):
        how = f" in packs of {unit}" if unit > 1 else ""
        how += f" in multiples of {multiple}" if multiple > 1 else ""
        raise ValueError(
            f"A batch of {batch} can't be dealt out evenly to {size} ranks{how}; choose a "
            f"multiple of {size * unit * multiple} (--batch-size)."
        )
    return batch // size


def _layers(game: BaseGame) -> Iterator[nn.Layer]:
    for net in game.players().values():
        for _, layer in net.layers():
            yield layer


def _parts(game: BaseGame) -> Iterator[Any]:
    """Everything that may have to know the ranks."""
    yield game
    yield from game.parts().values()
    yield from getattr(game, "penalties", ())
    yield from _layers(game)


def _require_shareable(layer: nn.Layer, own: int) -> None:
    if isinstance(layer, nn.MinibatchDiscrimination):
        raise ValueError(
            f"{layer!r} compares each sample with all others of the batch, but each rank has only "
            "a share of it; use minibatch-stddev in its place, or a single rank."
        )
    if isinstance(layer, (nn.WithReference, nn.PerFrame)) and layer.generators():
        raise ValueError(
            f"{layer!r} changes the batch in which noise is drawn, so that ranks can't share it; "
            "leave out the noise, or the layer (virtual-batch-norm), or use a single rank."
        )
    if isinstance(layer, nn.MinibatchStdDev) and own % layer.group_size:
        raise ValueError(
            f"{layer!r} needs whole groups on each rank, which has {own} samples; choose a batch "
            f"size that gives each rank a multiple of {layer.group_size}, or fewer ranks."
        )
    if type(layer).__module__.split(".")[0] == "minigan" or hasattr(layer, "ranks"):
        return
    if not type(layer)._samplewise:
        raise ValueError(
            f"{type(layer).__name__} may couple the samples of a batch, of which each rank has "
            "only a share; if it maps each sample independently, declare it with `class "
            f"{type(layer).__name__}(nn.Layer, samplewise=True)`, or use a single rank."
        )


def _require_known(game: BaseGame, rngs: Mapping[str, Any]) -> None:
    for name, part in game.parts().items():
        moves = hasattr(part, "zero_grad") and hasattr(part, "step")
        if moves and not isinstance(part, optim.Optimizer):
            raise ValueError(
                f"The {name} is {type(part).__name__}, which doesn't average its gradient over "
                "ranks; use one of minigan.optim, or a single rank."
            )
    for name, rng in rngs.items():
        if not isinstance(rng, SharedGenerator):
            raise ValueError(
                f"{name} draws from a generator of its own, which can't draw for several ranks; "
                "let it draw from the recipe's generator of noise, or use a single rank."
            )


class OwnRows:
    """A stream of the rows of one rank, out of the batches of another stream.

    Its state is that of the whole stream, which doesn't depend on the number of ranks. Of `Batches`
    only the rank's own images are loaded; of other streams the whole batch is.

    Parameters
    ----------
    source
        The stream of whole batches.
    ranks
        Those that share them.
    """

    def __init__(self, source: Any, ranks: Ranks) -> None:
        self.source, self.ranks = source, ranks

    @property
    def batch_size(self) -> int:
        """Samples in the whole batch."""
        return int(self.source.batch_size)

    @batch_size.setter
    def batch_size(self, value: int) -> None:
        self.source.batch_size = value

    def __next__(self) -> Any:
        if type(self.source) is data.Batches:
            own: Any = self.ranks.own(self.source.next_indices())
            return self.source.batch_of(own)
        return tree.mapped(self.ranks.own, next(self.source))

    def __iter__(self) -> OwnRows:
        return self

    def __getattr__(self, name: str) -> Any:
        if name == "source":
            raise AttributeError(name)
        return getattr(self.source, name)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the whole stream."""
        return dict(self.source.state_dict())

    def load_state_dict(self, state: Any) -> None:
        """Continue where a stream of whole batches stopped."""
        self.source.load_state_dict(state)

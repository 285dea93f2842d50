"""The interface of a game: all that the trainer, runs, pictures and the doctor know about it."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend, nn, optim
from minigan.backend import Array
from minigan.nn.tree import held
from minigan.ranks import ALONE, Ranks


class BaseGame:
    """Base class of all games.

    A game of your own defines `parts`, `draw`, `play` and, if it can be sampled, `inputs` and
    `sample`. Everything else follows from these: checkpoints hold the parts, a round is
    ``play(*draw(source, rng))``, and the doctor examines the players among the parts.

    Attributes
    ----------
    ranks
        The ranks that share a batch, see `minigan.gan.share`.
    share_multiple
        Each rank's share of a batch must be a multiple of so many samples, or packs of them.
    """

    ranks: Ranks = ALONE
    share_multiple: int = 1

    def parts(self) -> dict[str, Any]:
        """Return everything a checkpoint holds, by name: nets, optimizers, averages, schedulers.

        Anything with a ``state_dict()`` of arrays by name and a ``load_state_dict(state)`` can be a
        part too: an image pool, for instance.
        """
        raise TypeError(f"{type(self).__name__} has no parts; write its method parts.")

    def draw(self, source: Any, rng: numpy.random.Generator) -> tuple[Any, ...]:
        """Draw everything random that one round needs, on the host.

        Parameters
        ----------
        source
            The stream of minibatches: ``next(source)`` returns one.
        rng
            Draws everything else, such as latents.

        Returns
        -------
        tuple
            The arguments of `play`: arrays, or (named) tuples and dictionaries of arrays.
        """
        raise TypeError(f"{type(self).__name__} draws nothing; write its method draw.")

    def play(self, *drawn: Any) -> dict[str, Array]:
        """Play one round with what `draw` returned, by now on the players' device.

        Returns
        -------
        dict
            Losses and other quantities by name, scalars of the array library.
        """
        raise TypeError(f"{type(self).__name__} has no round; write its method play.")

    def kind(self) -> Hashable:
        """Return what the next round will be like, where rounds aren't all made of the same
        operations.

        A round that was recorded into a CUDA graph is only replayed for rounds of its kind.
        """
        return None

    def inputs(
        self, n: int, rng: numpy.random.Generator, data: Callable[[], Any] | None = None
    ) -> Any:
        """Draw the inputs of n samples, on the host.

        Parameters
        ----------
        n
            Number of samples.
        rng
            Draws latents, for instance.
        data
            Returns the training data, for games that make their samples from data.

        Returns
        -------
        array, or a tree of arrays
            Batch first throughout.
        """
        raise ValueError(
            f"{type(self).__name__} can't be sampled; write its methods inputs and sample."
        )

    def sample(
        self, inputs: Any, labels: Array | None = None, *, averaged: bool = True
    ) -> NDArray[Any]:
        """Map `inputs` to samples in evaluation mode; input and output are arrays on the host.

        Parameters
        ----------
        inputs
            As `inputs` draws them, shapes (N, ...).
        labels
            Conditions, shape (N,), for conditional games.
        averaged
            Whether to use the averages of the players, if there are any.
        """
        raise ValueError(
            f"{type(self).__name__} can't be sampled; write its methods inputs and sample."
        )

    def picture(self, inputs: Any, labels: Array | None = None) -> NDArray[Any]:
        """Return what is drawn of samples, by default the samples; arguments as for `sample`.

        A game from images to images returns inputs and samples side by side, for instance.
        """
        return self.sample(inputs, labels)

    def exported(self, inputs: Any, *, discriminator: bool = False) -> tuple[nn.Layer, Any]:
        """Return the net that makes samples, or the one that judges them, and an input of it.

        For ``minigan export``.

        Parameters
        ----------
        inputs
            As `inputs` draws them.
        discriminator
            Whether it is the net that judges samples.

        Raises
        ------
        ValueError
            If no single net does that.
        """
        what = "judges samples" if discriminator else "makes samples by itself"
        raise ValueError(
            f"No net of {type(self).__name__} {what}; export one of its nets in Python, with "
            "minigan.export.to_onnx."
        )

    def check(self) -> None:
        """Raise an error if parts don't fit together; called before training begins."""

    def landscape(self, points: Array) -> Array | None:
        """Return the values to draw behind 2-D samples, in [0, 1]: (M, 2) -> (M,) or None."""
        return None

    def push(self, points: Array) -> NDArray[Any] | None:
        """Return the arrows to draw at 2-D samples: (M, 2) -> (M, 2) or None."""
        return None

    # ------------------------------------------------------------ what follows from the parts

    def __repr__(self) -> str:
        nets = ", ".join(
            f"{name} of {sum(p.size for p in net.parameters().values()):,} parameters"
            for name, net in self.players().items()
        )
        return f"{type(self).__name__}({nets})"

    def players(self) -> dict[str, nn.Layer]:
        """Return the nets among the parts."""
        return {name: part for name, part in self.parts().items() if isinstance(part, nn.Layer)}

    def optimizers(self) -> dict[str, optim.Optimizer]:
        """Return the optimizers among the parts."""
        parts = self.parts().items()
        return {name: part for name, part in parts if isinstance(part, optim.Optimizer)}

    def schedulers(self) -> dict[str, optim.Scheduler]:
        """Return the schedulers among the parts."""
        parts = self.parts().items()
        return {name: part for name, part in parts if isinstance(part, optim.Scheduler)}

    def pace(self) -> dict[str, Any]:
        """Return what the settings decide about the learning rates.

        These are the learning rate of each optimizer (the initial one, if it has a scheduler) and
        the number of steps of each scheduler.
        """
        pace: dict[str, Any] = {name: one.lr for name, one in self.optimizers().items()}
        names = {id(one): name for name, one in self.optimizers().items()}
        for name, scheduler in self.schedulers().items():
            pace |= {name: scheduler.steps}
            for one, rate in zip(scheduler.optimizers, scheduler.base_lrs, strict=True):
                pace[names[id(one)]] = rate
        return pace

    def set_pace(self, pace: Mapping[str, Any]) -> None:
        """Set what `pace` returned; schedulers continue from their current step."""
        optimizers = self.optimizers()
        for name, one in optimizers.items():
            one.lr = pace[name]
        names = {id(one): name for name, one in optimizers.items()}
        for name, scheduler in self.schedulers().items():
            scheduler.steps = pace[name]
            scheduler.base_lrs = [pace[names[id(one)]] for one in scheduler.optimizers]

    def generators(self) -> dict[str, numpy.random.Generator]:
        """Return the random generators inside the players (dropout's), by name."""
        return {
            f"{player}/{name}": rng
            for player, net in self.players().items()
            for name, rng in net.generators().items()
        }

    def end_round(self) -> None:
        """Update averages and advance schedulers; called after each round."""
        for part in self.parts().values():
            if isinstance(part, optim.ExponentialMovingAverage):
                part.update()
            elif isinstance(part, optim.Scheduler):
                part.step()

    @property
    def device(self) -> backend.Reference:
        """The backend that the players live on."""
        return _home(next(iter(self.players().values())))


def _home(net: nn.Layer) -> backend.Reference:
    """Return the backend that a net lives on, without a walk beyond its first parameter."""
    found = (p for _, layer in net.layers() for _, p in held(vars(layer), nn.Parameter))
    return backend.of(next(found).value)


def require_owner(optimizer: Any, player: nn.Layer, others: Sequence[nn.Layer], name: str) -> None:
    """Check that an optimizer updates its own player and no other.

    Parameters
    ----------
    optimizer
        The optimizer of `player`. Only those of `minigan.optim` can tell which parameters they
        update; others are not checked.
    player, others
        The net that it should update, and the nets that it must not touch.
    name
        The player's name in the error message.

    Raises
    ------
    TypeError
        If it can't update anything, or the player isn't a net.
    ValueError
        If it updates none of the player's parameters, or one of the others', or its net has changed
        since it was made.
    """
    require_net(player, name)
    if not isinstance(optimizer, optim.Optimizer):
        can = (callable(getattr(optimizer, method, None)) for method in ("zero_grad", "step"))
        if isinstance(optimizer, type) or not all(can):
            raise TypeError(
                f"The optimizer of the {name} is {optimizer!r}, which can't update a net; write "
                "for example optim.Adam(net, lr=2e-4)."
            )
        return
    moved = {id(p) for p in optimizer.flat.parameters}
    own = {id(p) for p in player.parameters().values()}
    foreign = {id(p) for net in others for p in net.parameters().values()} - own
    if not moved & own or moved & foreign:
        raise ValueError(
            f"The optimizer of the {name} updates the parameters of another net; build it from the "
            f"{name} itself, and pass the optimizers in the order of the players."
        )
    optimizer.require_complete()


def require_net(player: Any, name: str) -> None:
    """Raise a TypeError if a player isn't a net."""
    if not isinstance(player, nn.Layer):
        raise TypeError(
            f"The {name} is {player!r}, but must be a net; give a layer, an nn.Sequential for "
            "example."
        )


def in_batches(net: nn.Layer, inputs: Any, *, batch_size: int = 256) -> NDArray[Any]:
    """Apply a net to arrays on the host in evaluation mode, batch by batch.

    Parameters
    ----------
    net
        On any device.
    inputs
        An array (N, ...), or a tuple of arrays.
    batch_size
        Samples per batch.

    Returns
    -------
    ndarray, shape (N, ...)
    """
    ops, group = _home(net), group_of(net)
    given = backend.tree.leaves(inputs)
    n, size = len(given[0]), max(batch_size // group, 1) * group
    given = [filled_up(x, group) for x in given]
    parts = []
    for start in range(0, n, size):
        arrays = [ops.asarray(x[start : start + size]) for x in given]
        parts.append(backend.to_numpy(net(backend.tree.replaced(inputs, arrays))))
    return numpy.concatenate(parts)[:n]


def group_of(net: nn.Layer) -> int:
    """Return how many samples a net compares: in evaluation, a batch must have a multiple of it."""
    layers = [layer for _, layer in net.layers()]
    return math.lcm(*(x.group_size for x in layers if isinstance(x, nn.MinibatchStdDev)))


def filled_up(samples: Any, group: int) -> Any:
    """Repeat samples, from the first on, until there is a multiple of a group; few stay few."""
    count = -(-len(samples) // group) * group
    if len(samples) in (0, count) or len(samples) < group:
        return samples
    return numpy.resize(samples, (count, *samples.shape[1:]))

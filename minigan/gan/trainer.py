"""The trainer: Algorithm 1's outer loop, and the state that makes runs resumable bit for bit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy

from minigan import backend, checkpoint, randomness
from minigan.backend import Array
from minigan.gan.base import BaseGame
from minigan.gan.recording import Dependences
from minigan.latent import Latent
from minigan.optim import ExponentialMovingAverage, HistoricalAverage
from minigan.ranks import Ranks

Report = dict[str, float]

OF_THE_GAME = ("sampler", "latent", "average", "discriminator_steps", "conditional")
"""Attributes of the game that a trainer has too."""


class Source(Protocol):
    """An endless, resumable stream of minibatches, such as `minigan.data.Batches`."""

    batch_size: int

    def __next__(self) -> tuple[Array, Array | None]:
        """Return samples (N, ...) and labels (N,) or None."""

    def state_dict(self) -> dict[str, Any]:
        """Return what determines the following batches."""

    def load_state_dict(self, state: Any) -> None:
        """Continue where another stream stopped."""


class Callback:
    """Base class of what follows a run; every method is optional.

    A GPU works through a queue, and reading a loss waits for the whole queue. On a GPU, `on_step`
    is therefore called only when a callback is `due`, every ``read_every`` steps, and at the end.
    By then, the losses of all steps since the last call have been read at once and are in
    ``trainer.reports``. On a CPU, it is called after every step.
    """

    def on_start(self, trainer: Trainer) -> None:
        """Called once, before the first step of this process."""

    def due(self, step: int) -> bool:
        """Return whether `on_step` must be called right after this step; always, by default."""
        return True

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Called after every step (on a GPU, when one is due) with the report of that step."""

    def on_end(self, trainer: Trainer) -> None:
        """Called once after the last step, also if a signal ended the run early."""

    def on_failure(self, trainer: Trainer) -> None:
        """Called once in place of `on_end`, if an exception ends the run."""


class Trainer:
    """Plays a game on a stream of data.

    Parameters
    ----------
    game
        Any game, see `minigan.gan.BaseGame`.
    source
        The stream of minibatches.
    rng
        Draws everything else that a round needs, such as latents.
    noise
        The generator that penalties and noisy layers draw from. It is part of the saved state.
    latent, discriminator_steps, conditional, average
        Set the attributes of the same names of a `minigan.gan.Game`; None leaves them unchanged.
    cuda_graph
        Whether to record a round into a CUDA graph and replay it; the players must be on a CUDA
        device. By default (None), it is done where possible: on a GPU, for a game whose layers,
        penalties, optimizers and hooks are all minigan's own. What code of your own does in Python
        would only happen at the recording.
    read_every
        Largest number of steps between reading the losses on a GPU. On a CPU, where reading costs
        nothing, they are read after every step.

    Attributes
    ----------
    reports
        Pairs of step and report that the callbacks haven't seen yet, oldest first. On a CPU, there
        is always exactly one.
    sampler, latent, average, discriminator_steps, conditional
        Those of the game.

    Raises
    ------
    ValueError
        If the game's parts don't fit together, `read_every` isn't positive, or a CUDA graph is
        requested without a CUDA device.
    """

    def __init__(
        self,
        game: BaseGame,
        source: Source,
        *,
        rng: numpy.random.Generator,
        noise: numpy.random.Generator | None = None,
        latent: Latent | None = None,
        discriminator_steps: int | None = None,
        conditional: bool | None = None,
        average: ExponentialMovingAverage | None = None,
        cuda_graph: bool | None = None,
        read_every: int = 50,
    ) -> None:
        if read_every < 1:
            raise ValueError(
                "The number of steps between reading the losses must be at least 1, got "
                f"{read_every}."
            )
        before = _set(
            game,
            latent=latent,
            discriminator_steps=discriminator_steps,
            conditional=conditional,
            average=average,
        )
        try:
            game.check()
        except BaseException:
            for name, value in before.items():
                setattr(game, name, value)
            raise
        self.game, self.source, self.rng = game, source, randomness.generator(rng)
        self.noise = None if noise is None else randomness.generator(noise)
        self.step = 0
        self.interrupted = False
        self.read_every = read_every if game.device.queues else 1
        self.reports: list[tuple[int, Report]] = []
        self._unread: list[dict[str, Array]] = []
        self._running = False
        self.unrecorded = ""
        self._graph: Any = self._recorded_if(cuda_graph)
        self._play: Callable[..., dict[str, Array]] = self._graph or self._play_on_device

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the game, such as `sampler`, the net to sample from."""
        if name in OF_THE_GAME:
            return getattr(self.game, name)
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def train_step(self) -> dict[str, Array]:
        """Play one round; return the game's report."""
        report = self._play(*self.game.draw(self.source, self.rng))
        self.game.end_round()
        self.step += 1
        if self._graph is None or self._running:
            return report
        return {name: value.copy() for name, value in report.items()}  # a replay overwrites them

    def _play_on_device(self, *drawn: Any) -> dict[str, Array]:
        return self.game.play(*backend.tree.mapped(self.game.device.asarray, drawn))

    def _recorded_if(self, wanted: bool | None) -> Any:
        """Return the round as a graph; None if it isn't wanted or, without a wish, not possible."""
        possible = self.game.device.queues and self.game.ranks.size == 1
        if wanted is False or (wanted is None and not possible):
            return None
        dependences = Dependences(self.game)
        if wanted is None:
            self.unrecorded = _why_not(self.game, dependences)
            if self.unrecorded:
                return None

        def play(*drawn: Any) -> dict[str, Array]:
            # Hooks and penalties may have been replaced since.
            chosen_here = wanted is None and getattr(self.game.device, "recording", None)
            if chosen_here and (why := _why_not(self.game, dependences)):
                raise ValueError(why)
            return self.game.play(*drawn)

        return self.game.device.record(
            play,
            optimizers=list(self.game.optimizers().values()),
            capacity=max(128, self.read_every),
            kind=lambda: (self.game.kind(), dependences.numbers()),
            required=wanted is True,
        )

    def run(self, steps: int, callbacks: Sequence[Callback] = ()) -> None:
        """Train up to step `steps`, or until SIGINT (Ctrl-C); the step in progress is completed.

        Parameters
        ----------
        steps
            The total number of steps, including those already done.
        callbacks
            Called in this order.
        """
        self._unread, self.reports, self._running = [], [], True
        # Where one rank is asked to stop, or has a callback due, all take part.
        anywhere = self.game.ranks.any
        try:
            with _stop_requests() as stop_requested:
                for callback in callbacks:
                    callback.on_start(self)
                while self.step < steps and not anywhere(stop_requested()):
                    self._unread.append(self.train_step())
                    if len(self._unread) >= self.read_every or anywhere(
                        any(c.due(self.step) for c in callbacks)
                    ):
                        self._report(callbacks)
                if self._unread:
                    self._report(callbacks)
                self.interrupted = anywhere(stop_requested())
        except BaseException:
            for callback in callbacks:
                callback.on_failure(self)
            raise
        finally:
            self._running = False
        for callback in callbacks:
            callback.on_end(self)

    def _report(self, callbacks: Sequence[Callback]) -> None:
        """Wait for the device, and pass the reports since the last time to the callbacks."""
        unread, self._unread = self._unread, []
        read = (
            self.game.device.to_numbers(unread)
            if self._graph is None
            else self._graph.last(len(unread))
        )
        read = means(self.game.ranks, read)
        self.reports = list(enumerate(read, start=self.step - len(read) + 1))
        for callback in callbacks:
            callback.on_step(self, read[-1])

    # ------------------------------------------------------------ state

    def generators(self) -> dict[str, numpy.random.Generator]:
        """Return every random generator except the source's, by name."""
        own = {"latents": self.rng} | ({} if self.noise is None else {"noise": self.noise})
        own |= self.game.generators()
        # Those of the penalties are usually the trainer's noise; one that isn't is saved as well.
        penalties = enumerate(getattr(self.game, "penalties", ()))
        others = {f"penalty {i}": _generator_of(penalty) for i, penalty in penalties}
        others["path length"] = getattr(self.game, "noise", None)
        known = {id(g.bit_generator) for g in own.values()}
        for name, rng in others.items():
            if isinstance(rng, numpy.random.Generator) and id(rng.bit_generator) not in known:
                own[name] = rng
                known.add(id(rng.bit_generator))
        return own

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return the whole state of the run: arrays by name, and a JSON-serialisable dictionary."""
        arrays: dict[str, Array] = {}
        for name, part in self.game.parts().items():
            arrays |= checkpoint.prefixed(name, part.state_dict())
        source = self.source.state_dict()
        arrays |= checkpoint.prefixed(
            "source", {k: v for k, v in source.items() if isinstance(v, numpy.ndarray)}
        )
        return arrays, {
            "step": self.step,
            "source": {k: v for k, v in source.items() if not isinstance(v, numpy.ndarray)},
            "rng": {name: _plain(g.bit_generator.state) for name, g in self.generators().items()},
        }

    def load_state(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Restore what `state` returned.

        Raises
        ------
        ValueError
            If the state is of other nets, optimizers, data or generators. Whatever is raised, the
            trainer is as it was.
        """
        before = self.state()
        try:
            self._load(arrays, meta)
        except BaseException:
            self._load(*before)
            raise

    def _load(self, arrays: Mapping[str, Array], meta: Mapping[str, Any]) -> None:
        generators = self.generators()
        if missing := {"step", "source", "rng"} - meta.keys():
            raise ValueError(
                f"This state of a trainer lacks {', '.join(sorted(missing))}; pass everything that "
                "state returned."
            )
        if "path length" not in meta["rng"]:  # older states don't have it
            generators.pop("path length", None)
        if dict(meta["rng"]).keys() != generators.keys():
            raise ValueError(
                "This checkpoint has other random generators than the game; resume with the recipe "
                "that wrote it."
            )
        parts = self.game.parts()
        unknown = {name.partition("/")[0] for name in arrays} - {*parts, "source"}
        if unknown:
            raise ValueError(
                f"This state has {', '.join(sorted(unknown))}, which the game lacks; resume with "
                "the recipe that wrote it."
            )
        for name, part in parts.items():
            part.load_state_dict(checkpoint.under(name, arrays))
        self.source.load_state_dict(meta["source"] | checkpoint.under("source", arrays))
        for name, g in generators.items():
            g.bit_generator.state = meta["rng"][name]
        self.step = int(meta["step"])


def _why_not(game: BaseGame, dependences: Dependences) -> str:
    """Say why rounds of a game aren't recorded unless that is asked for, or nothing."""
    if dependences.foreign:
        return (
            f"Rounds aren't recorded as a CUDA graph, since {dependences.foreign} isn't minigan's "
            "own: a graph wouldn't run its Python code again. If it always launches the same "
            "kernels, cuda_graph=True (--cuda-graph) makes training faster."
        )
    if any(isinstance(part, HistoricalAverage) for part in game.parts().values()):
        return "Rounds aren't recorded as a CUDA graph: historical averaging counts its steps."
    return ""


def _generator_of(penalty: Any) -> numpy.random.Generator | None:
    inner = getattr(penalty, "penalty", penalty)  # one that wraps another
    rng = getattr(inner, "rng", None) or getattr(inner, "keywords", {}).get("rng")
    return rng if isinstance(rng, numpy.random.Generator) else None


def means(ranks: Ranks, reports: list[Report]) -> list[Report]:
    """Return the means of reports over all ranks, which have the same steps and names."""
    if ranks.size == 1:
        return reports
    table: Any = ranks.mean(numpy.array([list(report.values()) for report in reports]))[0]
    return [
        dict(zip(report, row.tolist(), strict=True))
        for report, row in zip(reports, table, strict=True)
    ]


def _set(game: BaseGame, **attributes: Any) -> dict[str, Any]:
    """Set the attributes that aren't None, which the game must have; return what they were."""
    given = {name: value for name, value in attributes.items() if value is not None}
    for name in given:
        if not hasattr(game, name):
            raise TypeError(
                f"{type(game).__name__} has no attribute {name}; leave {name} out of the trainer's "
                "arguments."
            )
    before = {name: getattr(game, name) for name in given}
    for name, value in given.items():
        setattr(game, name, value)
    return before


def _plain(state: Any) -> Any:
    """Turn the arrays in a bit generator's state into lists, which JSON can hold."""
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    return state.tolist() if isinstance(state, (numpy.ndarray, numpy.generic)) else state


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT into a request to stop; a second one interrupts at once.

    The step in progress is completed first: an exception in the middle of it would leave D and G
    half updated. Only the main thread can install signal handlers; elsewhere SIGINT is unchanged.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested.is_set
        return
    previous = signal.getsignal(signal.SIGINT)

    def request(signum: int, frame: Any) -> None:
        requested.set()
        signal.signal(signal.SIGINT, previous)

    signal.signal(signal.SIGINT, request)
    try:
        yield requested.is_set
    finally:
        signal.signal(signal.SIGINT, previous)

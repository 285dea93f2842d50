"""The trainer: Algorithm 1's outer loop, and everything that a resumed run needs to continue bit
for bit.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import numpy

from minigan import backend, checkpoint
from minigan.backend import Array
from minigan.gan.base import BaseGame
from minigan.latent import Latent
from minigan.optim import ExponentialMovingAverage

Report = dict[str, float]


class Source(Protocol):
    """An endless, resumable stream of minibatches: `minigan.data.Batches` or
    `minigan.data.Stream`.
    """

    batch_size: int

    def __next__(self) -> tuple[Array, Array | None]:
        """Return samples (N, ...) and labels (N,) or None."""

    def state_dict(self) -> dict[str, Any]:
        """Return what decides the batches to come."""

    def load_state_dict(self, state: Any) -> None:
        """Continue where another stream stood."""


class Callback:
    """Something that watches a run. Every method may be left out.

    A GPU works through a queue, and whoever looks at a loss waits for all of it. So on a GPU
    `on_step` is called only where somebody is `due`, every ``read_every`` steps and at the end,
    after the losses of all steps since the last call have been read in one go: they are in
    ``trainer.reports``. On a CPU it is called after every step.
    """

    def on_start(self, trainer: Trainer) -> None:
        """Called once, before the first step of this process."""

    def due(self, step: int) -> bool:
        """Tell whether `on_step` must be called right after this step: always, unless a callback
        knows better.
        """
        return True

    def on_step(self, trainer: Trainer, report: Report) -> None:
        """Called after every step, on a GPU where it is due, with the losses and beliefs of that
        step.
        """

    def on_end(self, trainer: Trainer) -> None:
        """Called once, after the last step, also when a signal ended the run early."""

    def on_failure(self, trainer: Trainer) -> None:
        """Called once in the place of `on_end`, when an exception ends the run."""


class Trainer:
    """Plays a game on a stream of data.

    Parameters
    ----------
    game
        Any game, see `minigan.gan.BaseGame`.
    source
        The stream of minibatches.
    rng
        Draws what else a round needs, such as latents.
    noise
        The generator that penalties and noisy layers draw from, so that a resumed run continues it.
    latent, discriminator_steps, conditional, average
        Set the attributes of a `minigan.gan.Game` of the same names; None leaves them as they are.
    cuda_graph
        Whether to record a round into a CUDA graph and replay it; needs players on a CUDA device.
    read_every
        Most steps whose losses stay unread on a GPU; on a CPU, where reading costs nothing, they
        never do.

    Attributes
    ----------
    reports
        Steps and their reports, oldest first: those that no callback has seen before. On a CPU
        always a single one.

    Raises
    ------
    ValueError
        If the game's parts don't belong together, `read_every` isn't positive, or a CUDA graph is
        asked for without a CUDA device.
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
        cuda_graph: bool = False,
        read_every: int = 50,
    ) -> None:
        if read_every < 1:
            raise ValueError(
                f"The losses are read every so many steps, at least 1, got {read_every}."
            )
        _set(
            game,
            latent=latent,
            discriminator_steps=discriminator_steps,
            conditional=conditional,
            average=average,
        )
        game.check()
        self.game, self.source, self.rng, self.noise = game, source, rng, noise
        self.step = 0
        self.interrupted = False
        self.read_every = read_every if game.device.queues else 1
        self.reports: list[tuple[int, Report]] = []
        self._unread: list[dict[str, Array]] = []
        self._graph: Any = self._record() if cuda_graph else None
        self._play: Callable[..., dict[str, Array]] = self._graph or self._play_on_device

    def train_step(self) -> dict[str, Array]:
        """Play one round; return what the game reported."""
        report = self._play(*self.game.draw(self.source, self.rng))
        self.game.end_round()
        self.step += 1
        return report

    def _play_on_device(self, *drawn: Any) -> dict[str, Array]:
        return self.game.play(*backend.tree.mapped(self.game.device.asarray, drawn))

    def _record(self) -> Any:
        return self.game.device.record(
            self.game.play,
            optimizers=list(self.game.optimizers().values()),
            capacity=max(128, self.read_every),
        )

    def run(self, steps: int, callbacks: Sequence[Callback] = ()) -> None:
        """Train until `steps` steps are done in all, or until SIGINT (Ctrl-C) asks to stop after
        this one.

        Parameters
        ----------
        steps
            The step to end at (not how many more).
        callbacks
            Called in this order.
        """
        self._unread, self.reports = [], []
        try:
            with _stop_requests() as stop_requested:
                for callback in callbacks:
                    callback.on_start(self)
                while self.step < steps and not stop_requested():
                    self._unread.append(self.train_step())
                    if len(self._unread) >= self.read_every or any(
                        c.due(self.step) for c in callbacks
                    ):
                        self._report(callbacks)
                if self._unread:
                    self._report(callbacks)
                self.interrupted = stop_requested()
        except BaseException:
            for callback in callbacks:
                callback.on_failure(self)
            raise
        for callback in callbacks:
            callback.on_end(self)

    def _report(self, callbacks: Sequence[Callback]) -> None:
        """Wait for the device, and tell the callbacks what the steps since the last time
        reported.
        """
        unread, self._unread = self._unread, []
        read = (
            self.game.device.to_numbers(unread)
            if self._graph is None
            else self._graph.last(len(unread))
        )
        self.reports = list(enumerate(read, start=self.step - len(read) + 1))
        for callback in callbacks:
            callback.on_step(self, read[-1])

    # ------------------------------------------------------------ state

    def _generators(self) -> dict[str, numpy.random.Generator]:
        """Every random generator but the source's, by name."""
        own = {"latents": self.rng} | ({} if self.noise is None else {"noise": self.noise})
        return own | self.game.generators()

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return arrays by name, and a JSON-able description: together, the whole state of the
        run.
        """
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
            "rng": {name: _plain(g.bit_generator.state) for name, g in self._generators().items()},
        }

    def load_state(self, arrays: dict[str, Array], meta: dict[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises
        ------
        ValueError
            If the state belongs to other nets, optimizers, data or generators.
        """
        generators = self._generators()
        if meta.get("rng", {}).keys() != generators.keys():
            raise ValueError(
                "This checkpoint has other random generators; resume with the recipe that it is "
                "from."
            )
        for name, part in self.game.parts().items():
            part.load_state_dict(checkpoint.under(name, arrays))
        self.source.load_state_dict(meta["source"] | checkpoint.under("source", arrays))
        for name, g in generators.items():
            g.bit_generator.state = meta["rng"][name]
        self.step = int(meta["step"])


def _set(game: BaseGame, **attributes: Any) -> None:
    """Set those that aren't None, if the game has them."""
    for name, value in attributes.items():
        if value is None:
            continue
        if not hasattr(game, name):
            raise TypeError(
                f"{type(game).__name__} has no {name}; give it to the game, not to the trainer."
            )
        setattr(game, name, value)


def _plain(state: Any) -> Any:
    """Turn the arrays inside a bit generator's state into lists, which JSON can hold."""
    if isinstance(state, dict):
        return {k: _plain(v) for k, v in state.items()}
    return state.tolist() if isinstance(state, (numpy.ndarray, numpy.generic)) else state


@contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn the first SIGINT into a request to stop after the running step; a second one interrupts
    at once.

    An exception in the middle of a step would leave D and G half moved. Only the main thread may
    install handlers: elsewhere SIGINT keeps its meaning.
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

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

from minigan import checkpoint, nn
from minigan.backend import Array
from minigan.gan.game import Game
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
        The two players and their optimizers.
    source
        Real samples.
    latent
        The law of the latent vectors.
    rng
        Draws them.
    noise
        The generator that penalties and noisy layers draw from, so that a resumed run continues it.
    discriminator_steps
        k in Algorithm 1: D steps for each G step.
    conditional
        Whether the players see the labels of the data.
    average
        An average of the generator's weights to keep, if any.
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
        If there are no discriminator steps, `read_every` isn't positive, or a CUDA graph is asked
        for without a CUDA device.
    """

    def __init__(
        self,
        game: Game,
        source: Source,
        *,
        latent: Latent,
        rng: numpy.random.Generator,
        noise: numpy.random.Generator | None = None,
        discriminator_steps: int = 1,
        conditional: bool = False,
        average: ExponentialMovingAverage | None = None,
        cuda_graph: bool = False,
        read_every: int = 50,
    ) -> None:
        if discriminator_steps < 1:
            raise ValueError(
                f"The discriminator needs at least one step per round, got {discriminator_steps}."
            )
        if read_every < 1:
            raise ValueError(
                f"The losses are read every so many steps, at least 1, got {read_every}."
            )
        self.game, self.source, self.latent, self.rng, self.noise = game, source, latent, rng, noise
        self.discriminator_steps, self.conditional, self.average = (
            discriminator_steps,
            conditional,
            average,
        )
        self.step = 0
        self.interrupted = False
        self.read_every = read_every if game.device.queues else 1
        self.reports: list[tuple[int, Report]] = []
        self._unread: list[dict[str, Array]] = []
        self._graph: Any = self._record() if cuda_graph else None
        self._play: Callable[..., dict[str, Array]] = (
            self._round if self._graph is None else self._graph
        )

    def train_step(self) -> dict[str, Array]:
        """Let D move k times, then G once; return what both reported."""
        report = self._play(**self._draw())
        if self.average is not None:
            self.average.update()
        self.step += 1
        return report

    def _draw(self) -> dict[str, Array]:
        """Draw what chance decides in one round, on the host: for D's steps reals, latents and
        labels, then for G's.
        """
        drawn: dict[str, Array] = {}
        for k in range(self.discriminator_steps):
            real, labels = next(self.source)
            if self.conditional and labels is None:
                raise ValueError(
                    "The players are to see labels, but the data have none; use data with labels."
                )
            drawn |= {f"real{k}": real, f"z{k}": self.latent.sample(len(real), self.rng)}
            drawn |= {f"labels{k}": labels} if self.conditional else {}
        return drawn | {"z": self.latent.sample(len(real), self.rng)}

    def _round(self, **drawn: Array) -> dict[str, Array]:
        """Play one round of Algorithm 1 with what was drawn."""
        on_device = {name: self.game.device.asarray(x) for name, x in drawn.items()}
        batches = [
            (on_device[f"real{k}"], on_device[f"z{k}"], on_device.get(f"labels{k}"))
            for k in range(self.discriminator_steps)
        ]
        return self.game.play(batches, on_device["z"])

    def _record(self) -> Any:
        from minigan.backend.cuda import CudaBackend, StepGraph

        ops = self.game.device
        if not isinstance(ops, CudaBackend):
            raise ValueError(
                f"A CUDA graph needs players on device 'cuda', but they are on {ops.device!r}."
            )
        return StepGraph(
            ops,
            self._round,
            optimizers=(self.game.discriminator_optimizer, self.game.generator_optimizer),  # type: ignore[arg-type]
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

    @property
    def sampler(self) -> nn.Layer:
        """The generator to sample from: the averaged one where there is one."""
        return self.game.generator if self.average is None else self.average.net

    # ---------------------------------------------------------------- state

    def _stateful(self) -> dict[str, Any]:
        """Everything with a state dict of arrays, by the name it has in a checkpoint."""
        game = self.game
        parts = {
            "generator": game.generator,
            "discriminator": game.discriminator,
            "generator_optimizer": game.generator_optimizer,
            "discriminator_optimizer": game.discriminator_optimizer,
        }
        return parts | ({} if self.average is None else {"average": self.average})

    def _generators(self) -> dict[str, numpy.random.Generator]:
        """Every random generator but the source's, by name."""
        inside = {
            f"{player}/{name}": g
            for player, net in (
                ("generator", self.game.generator),
                ("discriminator", self.game.discriminator),
            )
            for name, g in net.generators().items()
        }
        return (
            {"latents": self.rng} | ({} if self.noise is None else {"noise": self.noise}) | inside
        )

    def state(self) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return arrays by name, and a JSON-able description: together, the whole state of the
        run.
        """
        arrays: dict[str, Array] = {}
        for name, part in self._stateful().items():
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
        for name, part in self._stateful().items():
            part.load_state_dict(checkpoint.under(name, arrays))
        self.source.load_state_dict(meta["source"] | checkpoint.under("source", arrays))
        for name, g in generators.items():
            g.bit_generator.state = meta["rng"][name]
        self.step = int(meta["step"])


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

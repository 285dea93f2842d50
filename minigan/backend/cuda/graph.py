"""A whole training step as one CUDA graph: recorded once, then replayed without Python in between.

What a graph repeats are launches with the very arguments that they had when it was recorded. So
whatever changes from step to step must lie in device memory, at addresses that don't change: the
batch and the latent vectors in buffers that are filled before each replay, Adam's learning rate and
step number in a small array, the seeds of dropout's masks in another, the losses in a ring buffer
that the host reads when it likes. Parameters, moments and running statistics are updated in place
anyway. Nothing inside the step may look at a number on the device, and random numbers of the host
have to come through `draw` or `dropout_mask`, others that change through `number`.

A step that isn't always made of the same operations tells which kind the next one is, and each kind
has a graph of its own.

Buffers are filled by way of ``asarray``, which sends from pinned memory of its own and doesn't
wait; ``ndarray.set`` sends from where the numbers lie, and CUDA may wait for the whole queue before
it does.
"""

from __future__ import annotations

import gc
import warnings
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy

from minigan.backend import tree
from minigan.backend.cuda.philox import draw_seed

Array = Any  # of CuPy, with its pointers, which minigan.backend.Array doesn't name

MASKS = 256
"""Most dropout masks in one step."""
RECORDINGS = 8
"""Most kinds of steps of which a graph is kept, as each takes memory."""
KINDS = 1000
"""Most kinds of steps whose ordinary steps are counted."""


class Optimizer(Protocol):
    """What a graph must know about an optimizer; see `minigan.optim`."""

    lr: float
    t: int
    flat: Any
    number_names: Sequence[str]
    vector_names: Sequence[str]
    counts: bool
    rate_moves: bool


class _Filling(NamedTuple):
    """An array, of the host or the device, and what makes its contents before each replay."""

    buffer: Any
    make: Callable[[], Any]


class Recording:
    """What the primitives ask while a step is being recorded: where the changing numbers lie on the
    device.

    Parameters
    ----------
    ops
        The backend.
    optimizers
        Those that move in the step.
    """

    def __init__(self, ops: Any, optimizers: Sequence[Optimizer]) -> None:
        self._schedules = {o.flat.value.data.ptr: ops.xp.zeros(2, "float64") for o in optimizers}
        self.seeds = ops.xp.zeros(MASKS, "uint64")
        self.scheduled: set[int] = set()
        self._ops = ops
        # The pool of the recording hands out again what the step has freed, so that an earlier
        # kernel of a replay may write to memory that a later one reads. What is filled before a
        # replay must not lie there.
        self._pool = ops.xp.cuda.MemoryPool()
        self._seeds = numpy.zeros(MASKS, "uint64")
        self._masks = 0
        self._fillings: list[_Filling] = []

    def schedule_of(self, theta: Array) -> Array:
        """Return where the learning rate and the step number of the optimizer of `theta` lie, (2,)
        float64.

        Raises
        ------
        ValueError
            If the optimizer wasn't named when the graph was made: its numbers would freeze.
        """
        address = theta.data.ptr
        if address not in self._schedules:
            raise ValueError(
                "An optimizer moves inside the recorded step that the graph wasn't told of; name "
                "all of them in "
                "StepGraph(..., optimizers=...)."
            )
        self.scheduled.add(address)
        return self._schedules[address]

    def seed_from(self, rng: numpy.random.Generator) -> tuple[Array, int]:
        """Return the seeds, and the place of the next one, which `rng` will draw before each
        replay.
        """
        place = self._masks
        if place == MASKS:
            raise ValueError(
                f"A recorded step holds at most {MASKS} dropout masks; train without the graph."
            )
        self._masks += 1
        self._fillings.append(_Filling(self._seeds[place : place + 1], lambda: draw_seed(rng)))
        return self.seeds, place

    def drawn(
        self,
        rng: numpy.random.Generator,
        make: Callable[[numpy.random.Generator], Array],
        dtype: Any,
    ) -> Array:
        """Return a buffer that ``make(rng)`` will fill before each replay."""
        state = rng.bit_generator.state
        shape = numpy.shape(make(rng))
        rng.bit_generator.state = state  # nothing has been used up: the first replay draws
        return self._filled(shape, lambda: make(rng), dtype)

    def asked(self, make: Callable[[], Any], dtype: Any) -> Array:
        """Return a buffer that ``make()``, a number, will fill before each replay."""
        return self._filled((), make, dtype)

    def _filled(self, shape: tuple[int, ...], make: Callable[[], Any], dtype: Any) -> Array:
        with self._ops.xp.cuda.using_allocator(self._pool.malloc):
            buffer = self._ops.xp.empty(shape, dtype)
        self._fillings.append(_Filling(buffer, make))
        return buffer

    def draw(self) -> None:
        """Draw all random numbers of a step, in the order in which it uses them, and send them to
        the device.
        """
        for buffer, make in self._fillings:
            on_device = not isinstance(buffer, numpy.ndarray)
            buffer[...] = self._ops.asarray(make(), dtype=buffer.dtype) if on_device else make()
        if self._masks:
            self.seeds[...] = self._ops.asarray(self._seeds)


@dataclass
class _Replay:
    """A recorded step: its graph, the memory and all else that it refers to, and what was so when
    it was recorded.

    ``steps`` says how often each optimizer moves in it, ``on_device`` which learning rate and step
    number of each the device knows.
    """

    graph: Any
    pool: Any
    report: dict[str, Array]
    recording: Recording
    steps: list[int]
    numbers: list[dict[str, Any]]
    places: list[list[int]]
    on_device: list[tuple[float, int] | None]


class StepGraph:
    """A training step that is recorded after a few ordinary ones, then replayed.

    Call it like the step. The first `warm_up` calls of each kind run as they are: they compile
    kernels and set up cuBLAS, neither of which may happen inside a recording.
    The next call records, and from then on a call fills the buffers and replays. A batch of another
    shape runs as it is.

    Parameters
    ----------
    ops
        The backend of the nets.
    step
        ``step(*arrays, **arrays) -> report``: moves the nets and returns scalars by name. Its
        arguments may be (named) tuples and dictionaries of arrays, too. It has to meet the demands
        at the head of this file.
    optimizers
        Those that move in the step.
    capacity
        How many steps' reports the device keeps.
    warm_up
        How many ordinary steps come first, at least 1.
    kind
        Says before each step which operations it will be made of, if that differs. Of many kinds,
        the graphs of the last few are kept.
    required
        Whether a step that can't be recorded is an error. If not, it and all later ones run as they
        are, with a warning.
    """

    def __init__(
        self,
        ops: Any,
        step: Callable[..., dict[str, Array]],
        *,
        optimizers: Sequence[Optimizer],
        capacity: int = 128,
        warm_up: int = 3,
        kind: Callable[[], Hashable] = lambda: None,
        required: bool = True,
    ) -> None:
        if warm_up < 1:
            raise ValueError(
                "A graph needs at least one ordinary step before it can be recorded, got "
                f"{warm_up}."
            )
        addresses = {optimizer.flat.value.data.ptr for optimizer in optimizers}
        if len(addresses) < len(optimizers):
            raise ValueError(
                "Two optimizers move the same parameters, whose learning rates and step numbers a "
                "recorded step can't tell apart; use one of them, or train without the graph."
            )
        self._ops, self._step, self._optimizers = ops, step, list(optimizers)
        self._capacity, self._warm_up, self._kind = capacity, warm_up, kind
        self._required, self._given_up = required, False
        cuda = ops.xp.cuda
        self._stream = cuda.Stream(non_blocking=True)
        self._events = [cuda.Event(disable_timing=True) for _ in range(2)]
        self._cursor = ops.xp.zeros(1, "int32")
        self._buffers: list[Array] = []
        self._ring: Any = None
        self._names: list[str] = []
        self._told: deque[tuple[str, ...]] = deque(maxlen=capacity)
        self._calls = self._read = 0
        self._ordinary: dict[Hashable, int] = {}
        self._replays: dict[Hashable, _Replay] = {}

    @property
    def recorded(self) -> bool:
        """Whether the next call of the usual shape replays."""
        return self._kind() in self._replays

    def __call__(self, *inputs: Any, **named: Any) -> dict[str, Array]:
        """Make one training step.

        Parameters
        ----------
        *inputs, **named
            The step's arguments: arrays of the host or of the device, or trees of them.

        Returns
        -------
        dict
            The step's report, scalars on the device; a replay overwrites the one before.

        Raises
        ------
        ValueError
            If the parameters of an optimizer have been moved or laid out anew since the recording.
        """
        with self._on_own_stream():
            report = self._make_step((inputs, named))
        self._calls += 1
        self._told.append(tuple(report))
        return report

    def reports(self) -> dict[str, Array]:
        """Wait for the device, and return what the steps since the last call reported: name ->
        (steps,).

        Of more than `capacity` steps, the last ones; NaN where a step didn't report a name.
        """
        if self._ring is None:
            return {}
        with self._on_own_stream():
            table = self._ops.to_numpy(self._ring)
        first = max(self._read, self._calls - self._capacity)
        rows = numpy.arange(first, self._calls) % self._capacity
        self._read = self._calls
        told = list(self._told)[len(self._told) - len(rows) :]
        for row, names in zip(rows, told, strict=True):
            table[row, [name not in names for name in self._names]] = numpy.nan
        return {name: table[rows, column] for column, name in enumerate(self._names)}

    def last(self, steps: int) -> list[dict[str, float]]:
        """Wait for the device, and return what each of the last so many steps reported, oldest
        first.
        """
        table = {name: column[-steps:].tolist() for name, column in self.reports().items()}
        told = list(self._told)[-steps:]
        return [{name: table[name][i] for name in names} for i, names in enumerate(told)]

    # ---------------------------------------------------------------- one step

    def _make_step(self, inputs: Any) -> dict[str, Array]:
        arrays = tree.leaves(inputs)
        if self._calls == 0:
            self._buffers = [self._ops.asarray(x).copy() for x in arrays]
        if [x.shape for x in arrays] != [buffer.shape for buffer in self._buffers]:
            return self._body(tree.mapped(self._ops.asarray, inputs))
        self._fill(arrays)
        own, kind = tree.replaced(inputs, self._buffers), self._kind()
        if self._given_up or self._is_new(kind):
            return self._body(own)
        replay = self._replays.get(kind)
        if replay is None or self._is_outdated(replay):
            self._replays.pop(kind, None)
            replay = self._recorded_or_given_up(own)
            if replay is None:
                return self._body(own)
            self._keep(kind, replay)
        return self._replay(replay)

    def _is_new(self, kind: Hashable) -> bool:
        """Tell whether more ordinary steps of a kind come first, and count them."""
        passed = self._ordinary.get(kind, 0)
        if passed >= self._warm_up:
            return False
        if len(self._ordinary) >= KINDS:
            self._ordinary.clear()
        self._ordinary[kind] = passed + 1
        return True

    def _keep(self, kind: Hashable, replay: _Replay) -> None:
        if len(self._replays) >= RECORDINGS:
            del self._replays[next(iter(self._replays))]
        self._replays[kind] = replay

    def _fill(self, arrays: list[Any]) -> None:
        for x, buffer in zip(arrays, self._buffers, strict=True):
            if x is not buffer:
                buffer[...] = self._ops.asarray(x, dtype=buffer.dtype)

    def _body(self, inputs: Any) -> dict[str, Array]:
        """Run the step, then write its report into the ring."""
        positional, named = inputs
        report = self._step(*positional, **named)
        self._widen(report)
        for name, value in report.items():
            self._ops.launch(
                "write_report", (1,), self._ring, self._cursor,
                value.astype("float32", copy=False), self._names.index(name), len(self._names),
                self._capacity, threads=1,
            )  # fmt: skip
        self._ops.launch("advance_cursor", (1,), self._cursor, threads=1)
        return report

    def _widen(self, report: dict[str, Array]) -> None:
        """Give names that are new a column each; what was recorded writes to the narrower ring."""
        new = [name for name in report if name not in self._names]
        if not new:
            return
        before, self._names = self._ring, [*self._names, *new]
        self._ring = self._ops.xp.zeros((self._capacity, len(self._names)), "float32")
        if before is not None:
            self._ring[:, : before.shape[1]] = before
            self._replays.clear()

    # ---------------------------------------------------------------- recording and replaying

    def _recorded_or_given_up(self, inputs: Any) -> _Replay | None:
        """Record the step; where that isn't possible and needn't be, warn and return None."""
        try:
            return self._record(inputs)
        except Exception as error:
            if self._required:
                raise
            self._given_up = True
            self._replays.clear()
            warnings.warn(
                "A round can't be recorded as a CUDA graph, so rounds are played one by one, which "
                f"is slower; cuda_graph=False (--no-cuda-graph) does so from the start. ({error})",
                RuntimeWarning,
                stacklevel=2,
            )
            return None

    def _record(self, inputs: Any) -> _Replay:
        recording = Recording(self._ops, self._optimizers)
        # Of its own: what a graph uses must belong to nobody else, not even between two replays.
        pool = self._ops.xp.cuda.MemoryPool()
        # The ordinary steps before have left about as much memory as the recording needs.
        self._ops.xp.get_default_memory_pool().free_all_blocks()
        steps_before = [o.t for o in self._optimizers]
        self._ops.recording = recording
        try:
            with self._ops.xp.cuda.using_allocator(pool.malloc), _without_collector():
                graph, report = self._captured(lambda: self._body(inputs))
            steps = [o.t - before for o, before in zip(self._optimizers, steps_before, strict=True)]
            _require_repeatable(self._optimizers, steps, recording)
        finally:
            self._ops.recording = None
            for optimizer, before in zip(self._optimizers, steps_before, strict=True):
                optimizer.t = before  # nothing has moved: the launches were only written down
        return _Replay(
            graph, pool, report, recording, steps,
            [_numbers(o, recording) for o in self._optimizers],
            [_addresses(o) for o in self._optimizers], [None] * len(self._optimizers),
        )  # fmt: skip

    def _captured(self, body: Callable[[], dict[str, Array]]) -> tuple[Any, dict[str, Array]]:
        self._stream.begin_capture()
        try:
            report = body()
        except BaseException:
            with suppress(Exception):  # the first error is the one that says what went wrong
                self._stream.end_capture()
            raise
        return self._stream.end_capture(), report

    def _replay(self, replay: _Replay) -> dict[str, Array]:
        for index, optimizer in enumerate(self._optimizers):
            self._send_schedule(replay, index, optimizer)
        replay.recording.draw()
        replay.graph.launch(self._stream)
        for index, (optimizer, steps) in enumerate(
            zip(self._optimizers, replay.steps, strict=True)
        ):
            optimizer.t += steps
            replay.on_device[index] = optimizer.lr, optimizer.t
        return replay.report

    def _send_schedule(self, replay: _Replay, index: int, optimizer: Optimizer) -> None:
        """Tell the device the learning rate and t where it doesn't know them: at first, or after a
        change.
        """
        theta, recording = optimizer.flat.value, replay.recording
        known = replay.on_device[index] == (optimizer.lr, optimizer.t)
        if theta.data.ptr in recording.scheduled and not known:
            self._ops.set_schedule(recording.schedule_of(theta), optimizer.lr, optimizer.t)

    def _is_outdated(self, replay: _Replay) -> bool:
        """Tell whether a number that froze has changed, such as a learning rate, or a state was
        loaded into other memory.
        """
        for optimizer, numbers, places in zip(
            self._optimizers, replay.numbers, replay.places, strict=True
        ):
            if not optimizer.flat.holds(optimizer.flat.parameters):
                raise ValueError(
                    "The parameters of an optimizer have been moved, cast or laid out anew since "
                    "the step was "
                    "recorded; make the optimizer and the graph after net.to and net.astype."
                )
            changed = _numbers(optimizer, replay.recording) != numbers
            if changed or places != _addresses(optimizer):
                return True
        return False

    @contextmanager
    def _on_own_stream(self) -> Iterator[None]:
        """Compute on the graph's stream, after what was asked for before and before what is asked
        for next.
        """
        outer = self._ops.xp.cuda.get_current_stream()
        before, after = self._events
        self._stream.wait_event(outer.record(before))
        try:
            with self._stream:
                yield
        finally:  # whoever looks at the weights after an error must not be too early either
            outer.wait_event(self._stream.record(after))


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python's garbage collector from freeing another graph's memory during a recording."""
    gc.collect()
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _numbers(optimizer: Optimizer, recording: Recording) -> dict[str, Any]:
    """The hyper-parameters that are written into a recorded step."""
    names = set(optimizer.number_names)
    if optimizer.rate_moves or optimizer.flat.value.data.ptr in recording.scheduled:
        names.discard("lr")
    return {name: getattr(optimizer, name) for name in names}


def _require_repeatable(
    optimizers: Sequence[Optimizer], steps: Sequence[int], recording: Recording
) -> None:
    """Refuse a recording in which the step number of an optimizer would freeze."""
    for optimizer, moves in zip(optimizers, steps, strict=True):
        known = optimizer.flat.value.data.ptr in recording.scheduled
        if moves and optimizer.counts and not known:
            raise ValueError(
                f"The step of {type(optimizer).__name__} can't be recorded into a CUDA graph, in "
                "which its number t would freeze; say counts = False in the class if it doesn't "
                "use t, or train without the graph."
            )


def _addresses(optimizer: Optimizer) -> list[int]:
    """Where an optimizer keeps its vectors (Adam's m and v, say)."""
    return [getattr(optimizer, name).data.ptr for name in optimizer.vector_names]

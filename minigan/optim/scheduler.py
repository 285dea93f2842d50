"""The scheduler, which sets the learning rates of optimizers according to a schedule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy

from minigan.backend import Array
from minigan.nn.keywords import named_in_words
from minigan.optim import checks, states
from minigan.optim.schedules import Schedule


@runtime_checkable
class HasLearningRate(Protocol):
    """What a scheduler asks of an optimizer."""

    lr: float


@named_in_words
class Scheduler:
    """Multiplies the learning rates of optimizers by the factor of a schedule.

    The learning rates that the optimizers have now become the base learning rates, and the first
    factor is applied at once. Call `step` after each training step:

    >>> from minigan import nn, optim
    >>> adam = optim.Adam(nn.Linear(3, 2), lr=0.001)
    >>> scheduler = optim.Scheduler(adam, optim.schedules.parse("linear"), steps=4)
    >>> for _ in range(4):
    ...     print(adam.lr)
    ...     adam.step()
    ...     scheduler.step()
    0.001
    0.00075
    0.0005
    0.00025
    >>> adam.lr
    0.0

    Whatever is assigned to ``optimizer.lr`` lasts until the next `step`; assign to `base_lrs` to
    change the learning rates for the rest of the run.

    Parameters
    ----------
    optimizers
        One optimizer, or several.
    schedule
        ``(t, T) -> factor``; see `minigan.optim.schedules`.
    steps
        T, the steps of the whole run.

    Attributes
    ----------
    optimizers
        The optimizers, a list.
    schedule
        The schedule; it isn't part of the state.
    t
        The number of steps completed so far.

    Raises
    ------
    ValueError
        If there is no optimizer, `steps` isn't a whole number >= 0, or the schedule's factor is
        negative or not finite.
    TypeError
        If one of `optimizers` has no learning rate, or the schedule can't be called.
    """

    def __init__(
        self,
        optimizers: HasLearningRate | Iterable[HasLearningRate],
        schedule: Schedule,
        *,
        steps: int,
    ) -> None:
        if not callable(schedule):
            raise TypeError(
                f"A schedule is a function of (t, steps), got {schedule!r}; give one of "
                "optim.schedules, or optim.schedules.parse(text)."
            )
        self.optimizers = _optimizers(optimizers)
        self.schedule = schedule
        self._move_to(0, steps, [optimizer.lr for optimizer in self.optimizers])

    @property
    def factor(self) -> float:
        """The factor by which the base learning rates are multiplied now."""
        return self._factor_at(self.t, self._steps)

    @property
    def steps(self) -> int:
        """The steps T of the whole run; a new number stretches the schedule and applies at once."""
        return self._steps

    @steps.setter
    def steps(self, value: int) -> None:
        self._move_to(self.t, value, self._base_lrs)

    @property
    def base_lrs(self) -> tuple[float, ...]:
        """The base learning rates, one for each optimizer; new ones apply at once."""
        return self._base_lrs

    @base_lrs.setter
    def base_lrs(self, values: Sequence[float]) -> None:
        self._move_to(self.t, self._steps, values)

    def step(self) -> None:
        """Count a completed training step, and set the learning rates of the next one."""
        self._move_to(self.t + 1, self._steps, self._base_lrs)

    def state_dict(self) -> dict[str, Array]:
        """Return t, the steps of the run and the base learning rates, as arrays by name."""
        return {
            "t": numpy.asarray(self.t),
            "steps": numpy.asarray(self._steps),
            "base_lrs": numpy.asarray(self._base_lrs, dtype="float64"),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state and set the learning rates accordingly.

        The schedule isn't part of the state: load into a scheduler that was made with the same one.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a number is out of range, or the number of optimizers
            differs; nothing has been changed then.
        """
        states.require_names(type(self).__name__, state, ("t", "steps", "base_lrs"))
        self._move_to(*(states.number(state[name]) for name in ("t", "steps", "base_lrs")))

    def _move_to(self, t: int, steps: int, base_lrs: Sequence[float]) -> None:
        """Check and store the numbers and set the learning rates, or raise and change nothing."""
        t, steps = checks.count("t", t), checks.count("steps", steps)
        base_lrs, factor = self._checked(base_lrs), self._factor_at(t, steps)
        lrs = [checks.not_negative("lr", base_lr * factor) for base_lr in base_lrs]
        self.t, self._steps, self._base_lrs = t, steps, base_lrs
        for optimizer, lr in zip(self.optimizers, lrs, strict=True):
            optimizer.lr = lr

    def _factor_at(self, t: int, steps: int) -> float:
        return checks.not_negative("The schedule's factor", self.schedule(t, steps))

    def _checked(self, values: Sequence[float]) -> tuple[float, ...]:
        if numpy.shape(values) != (len(self.optimizers),):
            raise ValueError(
                f"base_lrs must hold a learning rate for each of the {len(self.optimizers)} "
                f"optimizers, got {values!r}; give them in the order of the optimizers."
            )
        return tuple(checks.not_negative("each of base_lrs", value) for value in values)

    def __repr__(self) -> str:
        return f"Scheduler({self.schedule!r}, t={self.t}, steps={self._steps})"


def _optimizers(given: HasLearningRate | Iterable[HasLearningRate]) -> list[HasLearningRate]:
    found = list(given) if isinstance(given, Iterable) else [given]
    for optimizer in found:
        if not isinstance(optimizer, HasLearningRate):
            raise TypeError(f"A scheduler needs optimizers, got {optimizer!r}, which has no lr.")
    if not found:
        raise ValueError("There is no optimizer to schedule; give at least one.")
    return found

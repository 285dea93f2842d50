r"""Learning-rate schedules: the factor by which each step's learning rate is multiplied.

A schedule is a pure function of t, the number of steps completed so far, and of T, the steps of the
whole run. The learning rate of the next step is then ``η · schedule(t, T)``:

>>> from minigan.optim import schedules
>>> schedule = schedules.parse("linear:0.5")  # the same as LinearDecay(start=0.5)
>>> [schedule(t, 8) for t in (0, 4, 5, 6, 7, 8)]
[1.0, 1.0, 0.75, 0.5, 0.25, 0.0]

The first step is taken with ``schedule(0, T)`` and the last with ``schedule(T - 1, T)``. After that
the factor is ``schedule(T, T)``, where it stays if the run goes on. `Scheduler` sets the learning
rates of optimizers in this way.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from minigan.optim import checks

__all__ = ["Constant", "CosineDecay", "LinearDecay", "Schedule", "Warmup", "parse"]

Schedule: TypeAlias = Callable[[int, int], float]
"""``(t, T) -> factor``, a number >= 0."""


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is: ``f = 1``."""

    def __call__(self, t: int, steps: int) -> float:
        """Return the factor after `t` of `steps` steps."""
        return 1.0


@dataclass(frozen=True, kw_only=True)
class LinearDecay:
    r"""Constant for a fraction s of the run, then linearly down to 0.

    .. math:: f(t) = \min\left(1, \frac{1 - t / T}{1 - s}\right)

    With s = 0 the decay begins at once, as in the code of WGAN-GP (Gulrajani et al. 2017); with
    s = 1/2 it begins half way, as for CycleGAN (Zhu et al. 2017, appendix 7.1). In SNGAN's code
    (Miyato et al. 2018) the step at which it begins is a setting.

    Parameters
    ----------
    start
        s, the fraction of the run after which the decay begins, 0 <= s < 1.

    Raises
    ------
    ValueError
        If `start` is out of range.
    """

    start: float = 0.0

    def __post_init__(self) -> None:
        checks.fraction("start", self.start)

    def __call__(self, t: int, steps: int) -> float:
        """Return the factor after `t` of `steps` steps."""
        return min(1.0, (1 - _progress(t, steps)) / (1 - self.start))


@dataclass(frozen=True)
class CosineDecay:
    r"""Half a period of a cosine: slow at first, fastest in the middle, slow again towards 0.

    .. math:: f(t) = \frac{1 + \cos(\pi\, t / T)}{2}

    Source: Loshchilov & Hutter 2017, eq. 5, with η_min = 0 and without the restarts.
    """

    def __call__(self, t: int, steps: int) -> float:
        """Return the factor after `t` of `steps` steps."""
        return (1 + math.cos(math.pi * _progress(t, steps))) / 2


@dataclass(frozen=True, kw_only=True)
class Warmup:
    r"""Linearly up to the full learning rate in the first w steps, then another schedule.

    .. math:: f(t) = \frac{t + 1}{w} \quad (t < w), \qquad f(t) = f_{\text{then}}(t - w, T - w)
        \quad (t \ge w)

    So the w-th step is the first with the full rate, and no step is wasted on a rate of 0. To the
    schedule that follows, the remaining T - w steps are the whole run, so it begins and ends as it
    would on its own. Source: the gradual warm-up of Goyal et al. 2017, section 2.2.

    Parameters
    ----------
    steps
        w; 0 for no warm-up.
    then
        The schedule that follows.

    Raises
    ------
    ValueError
        If `steps` isn't a whole number >= 0.
    TypeError
        If `then` can't be called.
    """

    steps: int
    then: Schedule = field(default_factory=Constant)

    def __post_init__(self) -> None:
        checks.count("steps", self.steps)
        if not callable(self.then):
            raise TypeError(
                f"then must be a schedule, got {self.then!r}; give one, or leave it out."
            )

    def __call__(self, t: int, steps: int) -> float:
        """Return the factor after `t` of `steps` steps."""
        if min(t, steps) < self.steps:
            return (min(t, steps) + 1) / self.steps
        return self.then(t - self.steps, steps - self.steps)


def _progress(t: int, steps: int) -> float:
    """Return the fraction of the run that is completed, 1 after its end."""
    return t / steps if t < steps else 1.0


# ---------------------------------------------------------------- schedules by name

FORMS = {
    "constant": "constant",
    "linear": "linear or linear:START",
    "cosine": "cosine",
    "warmup": "warmup:STEPS",
}
"""Name -> how it is written."""


def parse(text: str) -> Schedule:
    """Return the schedule that `text` describes.

    Parameters
    ----------
    text
        ``"constant"``; ``"linear"``, or ``"linear:0.5"`` to begin half way through the run;
        ``"cosine"``; ``"warmup:500"`` for 500 steps; a warm-up followed by another schedule, as in
        ``"warmup:500+cosine"``.

    Raises
    ------
    ValueError
        If a name is unknown (the nearest is suggested), a number is missing, out of place or out of
        range, or something other than a warm-up is followed by another schedule.
    """
    first, plus, rest = text.partition("+")
    schedule = _one(first.strip())
    if not plus:
        return schedule
    if not isinstance(schedule, Warmup) or rest.strip().startswith("warmup"):
        raise ValueError(
            f"Only a warm-up can be followed by another schedule, got {text!r}; write it as in "
            "warmup:500+cosine."
        )
    return Warmup(steps=schedule.steps, then=parse(rest))


def _one(text: str) -> Schedule:
    name, colon, number = text.partition(":")
    if name not in FORMS:
        near = difflib.get_close_matches(name, FORMS, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"Unknown schedule {name!r}{hint} There are {', '.join(FORMS.values())}.")
    try:
        return _made(name, number if colon else None)
    except ValueError:
        raise ValueError(
            f"The schedule {text!r} can't be read: START is a fraction of the run in [0, 1), STEPS "
            f"a whole number >= 0; write {FORMS[name]}."
        ) from None


def _made(name: str, number: str | None) -> Schedule:
    if name == "linear":
        return LinearDecay() if number is None else LinearDecay(start=float(number))
    if name == "warmup":
        return Warmup(steps=int(number or ""))
    if number is not None:
        raise ValueError
    return Constant() if name == "constant" else CosineDecay()

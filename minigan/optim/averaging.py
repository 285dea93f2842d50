"""The exponential moving average of a net's parameters, as a net that follows it slowly."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.keywords import named_in_words
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter, flatten
from minigan.optim import checks, states
from minigan.optim.parameters import is_flat, parameters_of, vectors


@named_in_words
class ExponentialMovingAverage:
    r"""A copy of a net whose parameters follow it slowly: ``θ̄ ← θ̄ + (1 - d)(θ - θ̄)``.

    The generator of a GAN circles round its equilibrium rather than settling; the average of the
    circle lies nearer to its centre than any point on it, and its samples are better (Polyak &
    Juditsky 1992; Yazıcı et al. 2019). Buffers (running statistics) are averages already and are
    copied: averaged weights with the initial running statistics would generate noise.

    With ``warmup = w > 0`` the decay starts low, so that the random initial weights are soon
    forgotten: ``d_t = min(d, t / (w + t))`` after t earlier updates. The first update then copies
    the net; w = 1 is the plain mean of all nets so far, until d is reached; w = 9 is TensorFlow's
    ``(1 + n) / (10 + n)`` for n = t - 1.

    Parameters
    ----------
    net
        The net to follow; it is copied at once.
    decay
        d, 0 <= d < 1; 0.999 remembers about the last 1000 updates.
    warmup
        w >= 0; 0 for no warm-up.

    Attributes
    ----------
    net
        The averaged net, which can be used like any other.
    t
        The number of updates so far.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range.
    TypeError
        If `net` isn't a layer or net.
    """

    def __init__(self, net: Layer, *, decay: float, warmup: float = 0.0) -> None:
        if not isinstance(net, Layer):
            raise TypeError(
                f"ExponentialMovingAverage needs a layer or net, got {type(net).__name__}."
            )
        self.decay = checks.fraction("decay", decay)
        self.warmup = checks.not_negative("warmup", warmup)
        self.t = 0
        self.source = net
        self.net = copy.deepcopy(net)
        self.net.zero_grad()

    def update(self) -> None:
        """Move the average towards the net as it is now.

        Raises
        ------
        ValueError
            If the net and its average live on different devices, or no longer have the same
            parameters.
        """
        ours, theirs = parameters_of(self.net), parameters_of(self.source)
        _require_twins(ours, theirs)
        d = min(self.decay, self.t / (self.warmup + self.t)) if self.warmup else self.decay
        for average, value in _vector_pairs(ours, theirs):
            backend.of(average).follow(average, value, 1 - d)
        for average, value in zip(
            self.net.buffers().values(), self.source.buffers().values(), strict=True
        ):
            average[...] = value
        self.t += 1

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the averaged net's state, t and the hyper-parameters, by name.

        The names in the state of the net begin with ``net.``.
        """
        numbers = {name: numpy.asarray(getattr(self, name)) for name in ("t", "decay", "warmup")}
        return numbers | {f"net.{name}": array for name, array in self.net.state_dict().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state, including the hyper-parameters, from any device.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a shape differs, or a number is out of range; nothing
            has been changed then.
        """
        names = [f"net.{name}" for name in (self.net.parameters() | self.net.buffers())]
        states.require_names(type(self).__name__, state, ("t", "decay", "warmup", *names))
        t = checks.count("t", states.number(state["t"]))
        decay = checks.fraction("decay", states.number(state["decay"]))
        warmup = checks.not_negative("warmup", states.number(state["warmup"]))
        self.net.load_state_dict({name.removeprefix("net."): state[name] for name in names})
        self.t, self.decay, self.warmup = t, decay, warmup


def _vector_pairs(ours: list[Parameter], theirs: list[Parameter]) -> Iterable[tuple[Array, Array]]:
    if is_flat(theirs):
        flatten(ours)
    if is_flat(ours) and is_flat(theirs):
        return zip(vectors("value", ours), vectors("value", theirs), strict=True)
    return ((mine.value, other.value) for mine, other in zip(ours, theirs, strict=True))


def _require_twins(ours: list[Parameter], theirs: list[Parameter]) -> None:
    if [p.shape for p in ours] != [p.shape for p in theirs]:
        raise ValueError(
            "The net no longer has the parameters that it had when its average was made; make a "
            "new average."
        )
    if not backend.same_device(ours[0].value, theirs[0].value):
        raise ValueError(
            f"The average lives on {backend.device_of(ours[0].value)!r}, the net on "
            f"{backend.device_of(theirs[0].value)!r}; move one of them with .to(device)."
        )

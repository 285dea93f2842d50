"""Pulls on the parameters that don't come from a loss: weight decay, historical averaging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from minigan import backend
from minigan.backend import Array
from minigan.nn.state import real_array
from minigan.optim import checks, states
from minigan.optim.parameters import Nets, parameters_of, vectors


def add_weight_decay(net: Nets, rate: float) -> None:
    r"""Add the gradient of :math:`\tfrac\lambda2 \|\theta\|^2`, which is λθ, to the gradients.

    Call it between backward and the optimizer's step; it is what PyTorch's SGD, RMSprop and Adam
    call ``weight_decay``. For Adam, `AdamW` is better.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    rate
        λ >= 0.

    Raises
    ------
    ValueError
        If `rate` is out of range, or there are no parameters.
    """
    rate = checks.not_negative("rate", rate)
    parameters = parameters_of(net)
    pairs = zip(vectors("grad", parameters), vectors("value", parameters), strict=True)
    for gradient, value in pairs:
        gradient += rate * value


class HistoricalAverage:
    r"""Pull the parameters towards their average over all steps.

    (Salimans et al. 2016, section 3.3.) It adds the gradient of
    :math:`\lambda \|\theta - \bar\theta\|^2`, that is
    :math:`2 \lambda (\theta - \bar\theta)`, where :math:`\bar\theta` is the mean of the parameters
    before each step so far. Two players that chase each other in a circle have its centre as their
    average. A training step with it can't be recorded into a CUDA graph.

    Parameters
    ----------
    net
        A layer or net, or several of them.
    strength
        λ >= 0.

    Attributes
    ----------
    average
        The mean so far, shape (P,).
    t
        The number of steps in it.

    Raises
    ------
    ValueError
        If `strength` is out of range, or there are no parameters.
    """

    def __init__(self, net: Nets, *, strength: float = 1.0) -> None:
        self.strength = checks.not_negative("strength", strength)
        self.parameters = parameters_of(net)
        values = [p.value.reshape(-1) for p in self.parameters]
        self.average: Array = backend.of(values[0]).xp.concatenate(values)
        self.t = 0

    def add(self) -> None:
        """Take the parameters into the average, and add the pull to the gradients.

        Call it between backward and the optimizer's step.

        Raises
        ------
        ValueError
            If a CUDA graph is being recorded.
        """
        if getattr(backend.of(self.average), "recording", None) is not None:
            raise ValueError(
                "Historical averaging can't be recorded into a CUDA graph; train without the graph."
            )
        self.t += 1
        gradients, values = (vectors(what, self.parameters) for what in ("grad", "value"))
        first = 0
        for gradient, value in zip(gradients, values, strict=True):
            mean = self.average[first : first + value.size].reshape(value.shape)  # a view
            mean += (value - mean) / self.t
            gradient += 2 * self.strength * (value - mean)
            first += value.size

    def state_dict(self) -> dict[str, Any]:
        """Return a copy of the average and the number of steps, as arrays by name."""
        ops = backend.of(self.average)
        return {"average": self.average.copy(), "t": ops.asarray(self.t)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state from any device.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or the average has another length; nothing has been
            changed then.
        """
        states.require_names("HistoricalAverage", state, ("average", "t"))
        average = real_array("average", state["average"])
        if average.shape != tuple(self.average.shape):
            raise ValueError(
                f"'average' has shape {average.shape} in the state, but "
                f"{tuple(self.average.shape)} here; load it into an average of the same net."
            )
        t = checks.count("t", states.number(state["t"]))
        self.average[...] = backend.of(self.average).asarray(average, dtype=self.average.dtype)
        self.t = t

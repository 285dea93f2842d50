"""What every optimizer shares: flat vectors, a step count, hyper-parameters and a state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.nn.keywords import named_in_words
from minigan.nn.parameter import flatten
from minigan.nn.state import real_array
from minigan.optim import checks, states
from minigan.optim.parameters import Nets, nets_of, parameters_of, require_alike
from minigan.ranks import ALONE, Ranks

STEPS_BETWEEN_LOOKS = 50
"""How often a step looks whether the net has changed: a walk through it takes a while."""


class Optimizer:
    """The base class of all optimizers.

    A subclass defines `update`. It names its hyper-parameters beyond `lr` in ``number_names`` and
    its vectors in ``vector_names``; both are then part of its state. If its update doesn't depend
    on `t`, it may say ``counts = False``: only then, or if the backend's `adam` makes the update,
    can it be recorded into a CUDA graph, in which t would freeze. If its update takes η from
    `rate`, it may say ``rate_moves = True``: a recorded step then follows a schedule; otherwise it
    is recorded again whenever `lr` changes.

    Parameters
    ----------
    net
        A layer or net, or several of them; its parameters are laid out in one flat vector.
    **numbers
        The hyper-parameters, including `lr`.

    Attributes
    ----------
    flat
        The vectors θ and g: ``flat.value`` and ``flat.grad``, shape (P,).
    t
        The number of steps taken so far.
    lr
        The learning rate η; may be assigned to at any time.
    nets
        The nets that it moves.
    ranks
        The ranks that train together, see `minigan.ranks`.

    Raises
    ------
    ValueError
        If a hyper-parameter is out of range, there are no parameters, or they differ in precision.
    TypeError
        If `net` is neither a layer nor a sequence of layers, the parameters live on different
        devices, or some are in a place where they aren't found, such as a set.
    """

    number_names: ClassVar[tuple[str, ...]] = ("lr",)
    vector_names: ClassVar[tuple[str, ...]] = ()
    counts: ClassVar[bool] = True
    rate_moves: ClassVar[bool] = False
    ranks: Ranks = ALONE
    _reduced = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        named_in_words(cls)

    def __init__(self, net: Nets, **numbers: Any) -> None:
        for name, value in self.checked(numbers).items():
            setattr(self, name, value)
        self.t = 0
        self.nets = nets_of(net)
        for one in self.nets:
            one.require_found()
        parameters = parameters_of(self.nets)
        require_alike(parameters)
        self.flat = flatten(parameters)
        for name in self.vector_names:
            setattr(self, name, backend.of(self.flat.value).xp.zeros_like(self.flat.value))

    def update(self, theta: Array, g: Array) -> None:
        """Update `theta` in place, given its gradient `g`.

        Parameters
        ----------
        theta, g
            Vectors of shape (P,).

        Raises
        ------
        TypeError
            If the subclass doesn't define this method.
        """
        raise TypeError(
            f"{type(self).__name__} defines no update; write its method update(theta, g)."
        )

    def checked(self, numbers: Mapping[str, Any]) -> dict[str, Any]:
        """Return the hyper-parameters as Python numbers, or raise a ValueError."""
        return {
            name: checks.not_negative(name, value) if name == "lr" else checks.positive(name, value)
            for name, value in numbers.items()
        }

    @property
    def lr(self) -> float:
        """The learning rate η >= 0; at 0, where schedules end, a step changes no parameter."""
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = checks.not_negative("lr", value)

    def reduce(self) -> None:
        """Replace the gradient by its mean over all ranks, if that hasn't been done since the last
        step.

        `step` does so too; call it before whatever looks at the complete gradient, such as clipping
        by its norm. On a single rank there is nothing to do.
        """
        if not self._reduced and self.ranks.size > 1:
            self.ranks.average(self.flat.grad)
            self._reduced = True

    def step(self) -> None:
        """Update every parameter once, given the gradient in its `grad`.

        Raises
        ------
        ValueError
            If the net has been moved, cast or laid out again since this optimizer was made, or a
            layer or parameter was added or replaced.
        """
        self._require_current()
        if self.t % STEPS_BETWEEN_LOOKS == 0:
            self.require_complete()
        self.reduce()
        self._reduced = False
        self.t += 1
        self.update(self.flat.value, self.flat.grad)

    def require_complete(self) -> None:
        """Check that the nets have no other parameters than those that this optimizer moves.

        `step` does so at the first step, and then every `STEPS_BETWEEN_LOOKS` steps.

        Raises
        ------
        ValueError
            If a layer or parameter was added, replaced or removed since this optimizer was made.
        """
        if [*map(id, parameters_of(self.nets))] != [*map(id, self.flat.parameters)]:
            raise ValueError(
                f"The net of this {type(self).__name__} has other parameters than when it was "
                "made, since a layer was added, replaced or removed; make the optimizer after the "
                "net is complete."
            )

    def rate(self, theta: Array) -> Any:
        """Return η: `lr`, or in a recorded step a scalar that is the `lr` of each replay."""
        ops = backend.of(theta)
        if ops.recording is None:
            return self.lr
        return ops.number(lambda: self.lr, theta.dtype)

    def zero_grad(self) -> None:
        """Set every gradient to zero.

        Raises
        ------
        ValueError
            If the net has been moved, cast or laid out again since this optimizer was made.
        """
        self._require_current()
        self._reduced = False
        backend.of(self.flat.grad).zero(self.flat.grad)

    def state_dict(self) -> dict[str, Array]:
        """Return copies of the vectors, t and the hyper-parameters, as arrays by name."""
        numbers = {name: numpy.asarray(getattr(self, name)) for name in ("t", *self.number_names)}
        return numbers | {name: getattr(self, name).copy() for name in self.vector_names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Load a state, including the hyper-parameters, from any device.

        Raises
        ------
        ValueError
            If a name is missing or unknown, a vector has the wrong length, or a number is out of
            range; nothing has been changed then.
        TypeError
            If a vector isn't an array of real numbers; nothing has been changed then.
        """
        names = ("t", *self.number_names, *self.vector_names)
        states.require_names(type(self).__name__, state, names)
        numbers = self.checked({name: states.number(state[name]) for name in self.number_names})
        t = checks.count("t", states.number(state["t"]))
        vectors = {name: self._own(name, state[name]) for name in self.vector_names}
        for name, value in {**numbers, "t": t}.items():
            setattr(self, name, value)
        for name, vector in vectors.items():
            # In place, because a recorded GPU step refers to these very arrays.
            getattr(self, name)[...] = vector

    def _own(self, name: str, vector: Any) -> Array:
        """Bring a vector of a state to the device and precision of the parameters."""
        theta, vector = self.flat.value, real_array(name, vector)
        if vector.shape != theta.shape:
            raise ValueError(
                f"{name!r} has shape {vector.shape} in the state, but {tuple(theta.shape)} in this "
                f"{type(self).__name__}; load it into an optimizer of the same net."
            )
        return backend.of(theta).asarray(vector, dtype=theta.dtype)

    def _require_current(self) -> None:
        if not self.flat.holds(self.flat.parameters):
            raise ValueError(
                f"The parameters of this {type(self).__name__} have been moved, cast or laid out "
                "again since it was made; make the optimizer after net.to, net.astype and any "
                "optimizer over a larger net."
            )

    def __repr__(self) -> str:
        numbers = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.number_names)
        return f"{type(self).__name__}({numbers})"

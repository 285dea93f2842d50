"""Parameters, and the flat vector that holds all those of a net."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, get_args

import numpy

from minigan import backend
from minigan.backend import Array

Role = Literal["weight", "bias", "scale", "shift"]


class Parameter:
    """A learnt array: its `value` and the gradient `grad` of the loss with respect to it.

    Both have one shape and dtype. They may be views into a net's flat vectors (see `Flat`), so
    assigning to them copies the numbers in: ``p.value = w`` and ``p.value[...] = w`` do the same.

    The other arguments say what the layer knows about the parameter, so that initialisation and
    spectral normalisation needn't guess it from names and shapes.

    Parameters
    ----------
    value
        The initial value, any shape.
    role
        ``"weight"`` multiplies inputs and ``"bias"`` is added to their sum; ``"scale"`` and
        ``"shift"`` are γ and β of a normalisation. None if the layer doesn't say.
    fan_in
        For a weight, the number of inputs that reach one output.
    output_axis
        The axis of `value` that counts outputs.

    Raises
    ------
    ValueError
        If the role is none of these, or there is no such axis.
    TypeError
        If the value isn't an array of float32 or float64.
    """

    def __init__(
        self,
        value: Array,
        *,
        role: Role | None = None,
        fan_in: float | None = None,
        output_axis: int | None = None,
    ) -> None:
        dtype: Any = getattr(value, "dtype", None)
        if getattr(dtype, "kind", None) != "f" or dtype.itemsize not in (4, 8):
            raise TypeError(
                f"A parameter needs an array of float32 or float64, got "
                f"{type(value).__name__ if dtype is None else dtype}; convert it with "
                "numpy.asarray(value, 'float32')."
            )
        if role not in (None, *get_args(Role)):
            raise ValueError(
                f"The role of a parameter must be one of {', '.join(get_args(Role))}, or None, "
                f"got {role!r}."
            )
        if output_axis is not None and not -value.ndim <= output_axis < value.ndim:
            raise ValueError(
                f"A parameter of shape {tuple(value.shape)} has no output_axis {output_axis}."
            )
        self._value = value
        self._grad = backend.of(value).xp.zeros_like(value)
        self.home: Flat | None = None
        self.role, self.fan_in, self.output_axis = role, fan_in, output_axis

    @property
    def value(self) -> Array:
        """The value, an array of `shape`."""
        return self._value

    @value.setter
    def value(self, new: Any) -> None:
        if new is not self._value:
            self._value[...] = self._fitting(new, "value")

    @property
    def grad(self) -> Array:
        """The accumulated gradient, an array of `shape`."""
        return self._grad

    @grad.setter
    def grad(self, new: Any) -> None:
        if new is not self._grad:
            self._grad[...] = self._fitting(new, "grad")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the value and of the gradient."""
        return tuple(self._value.shape)

    @property
    def size(self) -> int:
        """The number of entries."""
        return int(self._value.size)

    def replace(self, value: Array, grad: Array, home: Flat | None) -> None:
        """Move to other arrays: on another device, of another dtype, or in a flat vector."""
        self._value, self._grad, self.home = value, grad, home

    def _fitting(self, new: Any, what: str) -> Any:
        if new is None:  # which NumPy takes for a number that is none
            raise TypeError(
                f"The {what} of this parameter can't be None; set it to 0, or call zero_grad()."
            )
        shape = tuple(new.shape if hasattr(new, "shape") else numpy.shape(new))
        if shape not in ((), self.shape):
            raise ValueError(
                f"The {what} of this parameter has shape {self.shape}; got one of shape {shape}."
            )
        if (new if hasattr(new, "dtype") else numpy.asarray(new)).dtype.kind == "c":
            raise TypeError(f"The {what} of this parameter is real; got complex numbers.")
        if hasattr(new, "shape") and shape != () and not backend.same_device(new, self._value):
            raise TypeError(
                f"The parameter lives on {backend.device_of(self._value)!r}, the new {what} on "
                f"{backend.device_of(new)!r}; move one of them first."
            )
        return new

    def __getstate__(self) -> dict[str, Any]:
        # A copy must stand on its own: it doesn't live in the original's flat vector.
        own = {"_value": self._value.copy(), "_grad": self._grad.copy(), "home": None}
        return vars(self) | own

    def __repr__(self) -> str:
        return f"Parameter(shape={self.shape}, dtype={self._value.dtype})"


class Flat:
    """All parameters of a net as one vector, all gradients as a second; layers see reshaped views.

    Zeroing, clipping by the global norm, averaging, Adam and an Allreduce are then each a line on
    vectors.

    Attributes
    ----------
    value, grad
        Vectors of shape (P,), P the number of parameters.
    parameters
        The parameters, in the order in which they lie in the vectors.
    slices
        Where each of them lies.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        xp = backend.of(parameters[0].value).xp
        self.parameters = list(parameters)
        self.value = xp.concatenate([p.value.ravel() for p in parameters])
        self.grad = xp.concatenate([p.grad.ravel() for p in parameters])
        self.slices = []
        start = 0
        for p in self.parameters:
            place = slice(start, start + p.size)
            p.replace(self.value[place].reshape(p.shape), self.grad[place].reshape(p.shape), self)
            self.slices.append(place)
            start = place.stop

    def holds(self, parameters: Sequence[Parameter]) -> bool:
        """Tell whether exactly these parameters live here, and still do."""
        return len(parameters) == len(self.parameters) and all(
            mine is theirs and theirs.home is self
            for mine, theirs in zip(self.parameters, parameters, strict=True)
        )

    def __reduce__(self) -> tuple[type[Flat], tuple[list[Parameter]]]:
        # A copied parameter stands on its own, so the copy lays the copied ones out again.
        return Flat, (self.parameters,)


def flatten(parameters: Iterable[Parameter]) -> Flat:
    """Lay parameters out in one flat vector; where they already lie in one, return that.

    A parameter that is shared by two layers is laid out once.

    Raises
    ------
    ValueError
        If there are no parameters.
    """
    unique = list({id(p): p for p in parameters}.values())
    if not unique:
        raise ValueError("There are no parameters to lay out; give a net with at least one.")
    home = unique[0].home
    return home if home is not None and home.holds(unique) else Flat(unique)

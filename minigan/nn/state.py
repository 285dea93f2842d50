"""The state of a net, its precision and its device."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.backend import Array
from minigan.nn.tree import Tree

_PRECISIONS = (numpy.dtype("float32"), numpy.dtype("float64"))


class State(Tree):
    """The part of `minigan.nn.Layer` that saves, loads, casts and moves its arrays."""

    def state_dict(self) -> dict[str, Array]:
        """Return copies of all parameters and buffers by dotted name, in order.

        Raises
        ------
        TypeError
            If there are layers or parameters in a place where they aren't found, such as a set.
        """
        return {name: a.copy() for name, a in self._arrays().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Copy arrays (of any device and floating-point precision) into this net.

        Raises
        ------
        ValueError
            If a name is missing or unknown, or a shape differs; nothing has been changed then.
        TypeError
            If one isn't an array of real numbers, or `state` isn't a dictionary; nothing has been
            changed then.
        """
        require_mapping(state)
        own = self._arrays()
        missing, unknown = own.keys() - state.keys(), state.keys() - own.keys()
        if missing or unknown:
            raise ValueError(
                f"The state doesn't fit this net: missing {sorted(missing) or 'nothing'}, unknown "
                f"{sorted(unknown) or 'nothing'}; load it into the net that it was saved from."
            )
        new = {name: _fitting(name, state[name], array) for name, array in own.items()}
        for name, array in own.items():
            array[...] = new[name]

    def astype(self, dtype: Any) -> Self:
        """Change the precision (``"float32"`` or ``"float64"``) in place; return the net.

        Optimizers made before must be made again.

        Raises
        ------
        TypeError
            If `dtype` is neither.
        """
        if not _is_precision(dtype):
            raise TypeError(
                f"A net computes in float32 or float64, got dtype {dtype!r}; use one of these."
            )
        self._convert(lambda a: a if a.dtype == dtype else a.astype(dtype))
        return self

    def to(self, device: str | backend.Reference) -> Self:
        """Move the net to a device, in place; return the net.

        Optimizers made before must be made again.

        Parameters
        ----------
        device
            ``"cpu"``, ``"cuda"``, ``"auto"`` or a backend of your own.

        Raises
        ------
        ValueError
            If the device is unknown or not available, or is a second backend for NumPy arrays: a
            process has one, which ``MINIGAN_FAST`` chooses (``reference`` is the one to read).
        """
        ops = backend.get(device)
        if backend.of(ops.asarray(numpy.zeros(1, "float32"))) is not ops:
            raise ValueError(
                f"A net can't be moved to this {type(ops).__name__}: its arrays are NumPy's, which "
                f"this process computes with {type(backend.get('cpu')).__name__}; set "
                "MINIGAN_FAST=reference in the environment before the first computation to run the "
                "readable version."
            )
        self._convert(lambda a: a if backend.of(a) is ops else ops.asarray(backend.to_numpy(a)))
        return self

    def _arrays(self) -> dict[str, Array]:
        self.require_found()
        return {name: p.value for name, p in self.parameters().items()} | self.buffers()

    def _convert(self, change: Callable[[Array], Array]) -> None:
        for p in self.parameters().values():
            value = change(p.value)
            if value is not p.value:
                p.replace(value, change(p.grad), None)
        for _, layer in self.layers():
            for name in layer.buffer_names:
                setattr(layer, name, change(getattr(layer, name)))


def _is_precision(dtype: Any) -> bool:
    """Tell whether a dtype is float32 or float64; NumPy takes None for float64."""
    try:
        return dtype is not None and numpy.dtype(dtype) in _PRECISIONS
    except TypeError:
        return False


def real_array(name: str, x: Any) -> NDArray[Any]:
    """Bring an array of a state to the host.

    Raises
    ------
    TypeError
        If it isn't an array, or not one of real numbers.
    """
    array = backend.to_numpy(x)
    if array.dtype.kind in "cOSUMm":
        raise TypeError(f"{name!r} holds {array.dtype} in the state, but needs real numbers.")
    return array


def require_mapping(state: Any) -> None:
    """Refuse a state that isn't a dictionary, such as the pair that `checkpoint.load` returns."""
    if not isinstance(state, Mapping):
        raise TypeError(
            f"The state is {type(state).__name__}, but must be a dictionary, such as state_dict() "
            "returns; of what checkpoint.load returns, it is in the first of the two."
        )


def _fitting(name: str, x: Any, own: Array) -> Array:
    """Bring an array of a state to the device and precision of a net's own one."""
    array = real_array(name, x)
    if array.shape != tuple(own.shape):
        raise ValueError(
            f"{name!r} has shape {tuple(own.shape)} in this net, but {array.shape} in the state; "
            "build the net with the sizes with which it was saved."
        )
    with numpy.errstate(over="ignore"):
        made = array.astype(own.dtype)
    if bool((numpy.isfinite(array) & numpy.isinf(made)).any()):
        raise ValueError(
            f"{name!r} holds numbers that are too large for {own.dtype}; call astype('float64') on "
            "the net first."
        )
    return backend.of(own).asarray(made)

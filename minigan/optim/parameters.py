"""The parameters of one net or of several, and whether they lie in one flat vector."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from minigan import backend
from minigan.backend import Array
from minigan.nn.layer import Layer
from minigan.nn.parameter import Parameter

Nets: TypeAlias = Layer | Iterable[Layer]
"""One net, or several that are treated as one."""


def nets_of(net: Nets) -> list[Layer]:
    """Return one net, or several, as a list.

    Raises
    ------
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    """
    nets = [net] if isinstance(net, Layer) else list(net) if isinstance(net, Iterable) else []
    if not nets or not all(isinstance(one, Layer) for one in nets):
        got = repr(net) if len(repr(net)) < 80 else type(net).__name__
        raise TypeError(
            f"Expected a layer, a net or a sequence of them, got {got}; give the net itself, a "
            "Sequential for example, rather than its parameters."
        )
    return nets


def parameters_of(net: Nets) -> list[Parameter]:
    """Return all parameters in order, each once.

    Raises
    ------
    TypeError
        If `net` is neither a layer nor a sequence of layers.
    ValueError
        If there are no parameters.
    """
    nets = nets_of(net)
    found = {id(p): p for one in nets for p in one.parameters().values()}
    if not found:
        which = nets[0] if len(nets) == 1 else nets
        raise ValueError(f"{which!r} has no parameters; give a net with at least one.")
    return list(found.values())


def require_alike(parameters: list[Parameter]) -> None:
    """Refuse parameters that differ in device or precision: one vector can't hold them."""
    first = parameters[0].value
    for p in parameters:
        if not backend.same_device(p.value, first):
            raise TypeError(
                f"Some parameters live on {backend.device_of(first)!r}, others on "
                f"{backend.device_of(p.value)!r}; move all to one device with net.to(device)."
            )
        if p.value.dtype != first.dtype:
            raise ValueError(
                f"Some parameters are {first.dtype}, others {p.value.dtype}; bring all to one "
                "precision with net.astype(dtype)."
            )


def is_flat(parameters: list[Parameter]) -> bool:
    """Tell whether these parameters, and no others, fill one flat vector."""
    home = parameters[0].home
    return home is not None and home.holds(parameters)


def vectors(what: str, parameters: list[Parameter]) -> list[Array]:
    """Return every ``value`` or ``grad``: as one vector if they fill a flat one, else one by one.

    They aren't laid out here: that would take them away from an optimizer over a larger net.
    """
    whole = [parameters[0].home] if is_flat(parameters) else parameters
    return [getattr(one, what) for one in whole]

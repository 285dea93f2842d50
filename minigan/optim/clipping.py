"""Clipping gradients to a norm, and weights to a box."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

from minigan import backend
from minigan.backend import Array
from minigan.nn.parameter import Parameter
from minigan.optim import checks
from minigan.optim.optimizer import Optimizer
from minigan.optim.parameters import Nets, parameters_of, vectors

Axes: TypeAlias = int | tuple[int, ...] | None


def clip_by_global_norm(net: Nets | Optimizer, max_norm: float) -> Array:
    r"""Scale the gradient of the whole net down to a norm of at most `max_norm`.

    ``g ← g · c / max(‖g‖, c)``: where ‖g‖ <= c the factor is exactly 1 (Pascanu et al. 2013,
    Algorithm 1). PyTorch divides by ‖g‖ + 1e-6 instead. The factor is computed on the device of g,
    so a GPU needn't wait. A NaN in the gradient isn't hidden: the norm is then NaN too.

    Parameters
    ----------
    net
        A layer or net, several of them, or an optimizer.
    max_norm
        c > 0.

    Returns
    -------
    scalar of the array library
        ‖g‖ before clipping.

    Raises
    ------
    ValueError
        If `max_norm` isn't positive, or there are no parameters.
    TypeError
        If `net` is neither a net nor an optimizer.
    """
    c = checks.positive("max_norm", max_norm)
    gradients = vectors("grad", _meant(net))
    xp = backend.of(gradients[0]).xp
    unit = _unit(xp, functools.reduce(xp.maximum, (abs(g).max() for g in gradients)))
    norm = unit * xp.sqrt(sum(xp.square(g / unit).sum() for g in gradients))
    scale = c / xp.maximum(norm, c)
    for g in gradients:
        g *= scale
    return norm


def clip_by_norm(
    net: Nets | Optimizer | Parameter,
    max_norm: float,
    *,
    axes: Axes | Literal["unit"] | Callable[[tuple[int, ...]], Axes] = None,
) -> None:
    """Scale each parameter's gradient down on its own, to a norm over `axes` of at most `max_norm`.

    The norm is taken over `axes`, so there is one for each index of the other axes, and each is
    clipped as in `clip_by_global_norm`. For a Linear weight (in, out), ``axes=0`` clips what flows
    into each output unit.

    Parameters
    ----------
    net
        A layer or net, several of them, an optimizer, or one parameter.
    max_norm
        The largest norm that is allowed, > 0.
    axes
        ``None`` for each whole tensor; ``"unit"`` for each output unit on its own, wherever the
        layer keeps its output axis (each entry of a bias is a unit); an axis or a tuple of axes; or
        a function from a parameter's shape to one of these.

    Raises
    ------
    ValueError
        If `max_norm` isn't positive, `axes` is a word other than ``"unit"``, a parameter lacks one
        of the axes (nothing has been changed then), or there are no parameters.
    TypeError
        If `net` is none of these.
    """
    c = checks.positive("max_norm", max_norm)
    parameters = [net] if isinstance(net, Parameter) else _meant(net)
    chosen = [_axes_of(p, axes) for p in parameters]
    for p, own in zip(parameters, chosen, strict=True):
        xp = backend.of(p.grad).xp
        unit = _unit(xp, abs(p.grad).max(axis=own, keepdims=True))
        norm = unit * xp.sqrt(xp.square(p.grad / unit).sum(axis=own, keepdims=True))
        p.grad *= c / xp.maximum(norm, c)


def _unit(xp: Any, largest: Array) -> Array:
    """What to divide a gradient by before it is squared, given its largest entry.

    The squares of an exploding one, from about 1e19 on in float32, would be infinite; others stay
    as they are, to the last digit.
    """
    return xp.where(largest > 1e12, largest, largest.dtype.type(1))


def all_but_last(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return every axis but the last, for `clip_by_norm`.

    The last axis counts the output units, except in the weight of a ConvTranspose2d, which is (kh,
    kw, out, in); ``axes="unit"`` takes account of that.
    """
    return tuple(range(len(shape) - 1))


def clip_weights(net: Nets | Optimizer, bound: float) -> None:
    """Clip every parameter to [-bound, bound], as the first Wasserstein GAN does after each step.

    ``w ← clip(w, -c, c)`` after a step of the critic keeps its slope bounded, if crudely (Arjovsky
    et al. 2017, Algorithm 1, line 7; c = 0.01). All parameters are clipped, as in the paper, even
    the γ of a normalisation, which starts at 1.

    Parameters
    ----------
    net
        A layer or net, several of them, or an optimizer.
    bound
        c > 0.

    Raises
    ------
    ValueError
        If `bound` isn't positive, or there are no parameters.
    TypeError
        If `net` is neither a net nor an optimizer.
    """
    c = checks.positive("bound", bound)
    for value in vectors("value", _meant(net)):
        backend.of(value).xp.clip(value, -c, c, out=value)


def _axes_of(p: Parameter, axes: Axes | str | Callable[[tuple[int, ...]], Axes]) -> tuple[int, ...]:
    """Turn `axes` into a tuple of axes that this parameter has."""
    if isinstance(axes, str):
        return _axes_within_a_unit(p, axes)
    wanted, rank = axes(p.shape) if callable(axes) else axes, len(p.shape)
    if wanted is None:
        return tuple(range(rank))
    chosen = tuple(wanted) if isinstance(wanted, (tuple, list)) else (wanted,)
    if not all(-rank <= axis < rank for axis in chosen):
        raise ValueError(
            f"A parameter of shape {p.shape} doesn't have the axes {chosen}; clip one parameter at "
            "a time, or give a function from shape to axes."
        )
    return chosen


def _axes_within_a_unit(p: Parameter, word: str) -> tuple[int, ...]:
    """Return every axis but that of the output units: the last, unless `p` says otherwise."""
    if word != "unit":
        raise ValueError(
            f"axes must be None, 'unit', an axis, a tuple of axes or a function, got {word!r}; "
            "give 'unit' to clip each output unit on its own."
        )
    if p.output_axis is None:
        return all_but_last(p.shape)
    return tuple(axis for axis in range(len(p.shape)) if axis != p.output_axis % len(p.shape))


def _meant(net: Nets | Optimizer) -> list[Parameter]:
    return net.flat.parameters if isinstance(net, Optimizer) else parameters_of(net)

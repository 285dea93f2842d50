"""Which machine does an array live on, and which machines are there."""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any

import numpy
from numpy.typing import NDArray

from minigan.backend.reference import Reference


@functools.cache
def _cpu() -> Reference:
    return cpu_backend(os.environ.get("MINIGAN_FAST", "").strip())


def cpu_backend(wish: str) -> Reference:
    """Return a backend for the CPU.

    A process has one, made before the first computation as the environment variable
    ``MINIGAN_FAST`` wishes.

    Parameters
    ----------
    wish
        ``"0"`` for NumPy alone, ``"1"`` for compiled loops; ``""`` for these if Numba is installed.
        ``"reference"`` for the readable version of every primitive, slow, but made for stepping
        through it with a debugger: ``MINIGAN_FAST=reference python -m pdb lesson.py``.

    Raises
    ------
    ValueError
        If it is something else, or asks for loops that can't be had.
    """
    if wish not in ("", "0", "1", "reference"):
        raise ValueError(
            "MINIGAN_FAST must be 0 (NumPy alone), reference (the version to read) or 1 (compiled "
            f"loops), got {wish!r}; leave it out for the faster one that is installed."
        )
    if wish == "reference":
        return Reference(numpy, "cpu")
    if wish != "0":
        try:
            from minigan.backend.compiled import CompiledBackend

            return CompiledBackend()
        except (
            ImportError,
            OSError,
        ) as error:  # no Numba, or one too old for this NumPy, or without its compiler
            if wish == "1":
                raise ValueError(
                    f"MINIGAN_FAST=1 needs Numba, which can't be imported ({error}); install "
                    "minigan[fast]."
                ) from None
    from minigan.backend.cpu import CpuBackend

    return CpuBackend()


@functools.cache
def _cuda() -> Reference:
    from minigan.backend.cuda import CudaBackend

    return CudaBackend(_import_cupy())


def _import_cupy() -> ModuleType:
    try:
        import cupy
    except ImportError:
        raise ValueError(
            "CuPy is not installed (minigan[cuda12] or minigan[cuda13] brings it)."
        ) from None
    return cupy


def _cuda_answers() -> str | None:
    """None if a CUDA device answers, else the reason why not.

    CuPy imports happily on a machine without a driver, so the device itself is asked.
    """
    try:
        cupy = _import_cupy()
        if cupy.cuda.runtime.getDeviceCount() < 1:
            return "no CUDA device was found"
        cupy.zeros(1).sum().item()
    except Exception as error:  # whatever the driver raises, the answer is "no"
        return str(error).rstrip(".") or type(error).__name__
    return None


def resolve(device: str) -> str:
    """Turn ``"auto"`` into ``"cuda"`` if a CUDA device really answers, else into ``"cpu"``.

    Raises
    ------
    ValueError
        If the name is unknown, or ``"cuda"`` was asked for and no device answers.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise ValueError(f"Unknown device {device!r}; use 'auto', 'cpu' or 'cuda'.")
    if device == "cpu":
        return "cpu"
    reason = _cuda_answers()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise ValueError(f"Device 'cuda' cannot be used: {reason}; use device 'cpu' or 'auto'.")
    return "cpu"


def get(device: str | Reference) -> Reference:
    """Return the backend of a device name: ``"auto"``, ``"cpu"`` or ``"cuda"``; a backend is itself
    the answer.
    """
    if isinstance(device, Reference):
        return device
    return _cuda() if resolve(device) == "cuda" else _cpu()


def of(x: Any) -> Reference:
    """Return the backend that the array `x` lives on.

    An array class of its own may name its backend in an attribute ``__minigan_backend__``.

    Raises
    ------
    TypeError
        If `x` is no array.
    """
    if type(x) is numpy.ndarray or isinstance(
        x, (numpy.ndarray, numpy.generic)
    ):  # the first answers sooner
        return _cpu()
    own = getattr(x, "__minigan_backend__", None)
    if own is not None:
        return own
    if type(x).__module__.partition(".")[0] == "cupy":
        return _cuda()
    raise TypeError(
        f"Expected a NumPy or CuPy array, got {type(x).__name__}; convert it, for example with "
        f"numpy.asarray(x, dtype='float32')."
    )


def device_of(x: Any) -> str:
    """Return ``"cpu"`` or ``"cuda"`` for an array."""
    return of(x).device


def same_device(x: Any, y: Any) -> bool:
    """Tell whether two arrays live on the same backend."""
    return of(x) is of(y)


def to_numpy(x: Any) -> NDArray[Any]:
    """Copy an array from whatever device to a NumPy array; a NumPy array is returned as it is."""
    return of(x).to_numpy(x)

"""The seam between the mathematics and the machine.

``backend.of(x)`` looks at an array and returns the backend that it lives on. A backend has ``.xp``,
the array library (NumPy or CuPy), and the few primitives that are worth a fast version per device.
The readable version of each primitive is :class:`minigan.backend.reference.Reference`. With
``MINIGAN_FAST=reference`` in the environment a process computes with it on the CPU, so that a
debugger stops in code made for reading.
"""

from minigan.backend import tree
from minigan.backend.array import Array
from minigan.backend.devices import device_of, get, of, resolve, same_device, to_numpy
from minigan.backend.reference import Reference
from minigan.backend.window import Window

__all__ = [
    "Array",
    "Reference",
    "Window",
    "device_of",
    "get",
    "of",
    "resolve",
    "same_device",
    "to_numpy",
    "tree",
]

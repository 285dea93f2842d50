"""Gradient checks: is the derivative that you wrote by hand correct?

Move each entry a little, see how much the loss changes, and compare: hardly any mistake in a
backward map survives that.

>>> import numpy
>>> from minigan import gradcheck, nn
>>> rng = numpy.random.default_rng(0)
>>> report = gradcheck.check(nn.Linear(3, 5, rng=rng), rng.standard_normal((4, 3)))
>>> report.ok
True

`check` takes a layer or a net, the library's or your own; `check_pair` two functions that hand over
a cache; `check_function` a loss; `check_scalar` any function that returns a number, such as a whole
training step.
"""

from minigan.gradcheck.functions import check_function, check_scalar
from minigan.gradcheck.layers import check
from minigan.gradcheck.library import check_library, library_cases, library_table
from minigan.gradcheck.load import load_layer
from minigan.gradcheck.pairs import check_pair
from minigan.gradcheck.report import ArrayReport, GradientError, Report

__all__ = [
    "ArrayReport",
    "GradientError",
    "Report",
    "check",
    "check_function",
    "check_library",
    "check_pair",
    "check_scalar",
    "library_cases",
    "library_table",
    "load_layer",
]

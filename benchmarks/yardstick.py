"""A fixed piece of work that takes part in every race, so that a machine that is slow for as long
as a race lasts is noticed: a product on all threads, and a copy that fits no small cache.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy


def make(workload: str, options: dict[str, str]) -> Callable[[], object]:
    """Return the work, whatever the workload."""
    a, b = numpy.random.default_rng(0).random((2, 768, 768), dtype="float32")
    product, source = numpy.empty_like(a), numpy.ones(2**22, "float32")
    target = numpy.zeros_like(source)

    def work() -> None:
        numpy.matmul(a, b, out=product)
        numpy.copyto(target, source)

    return work

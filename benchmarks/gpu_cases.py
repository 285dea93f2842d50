"""What ``python -m benchmarks gpu`` measures: cases, contestants, and their order."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.workloads import WORKLOADS, Workload

TELLING = (("toy", 256), ("dc64", 128))
"""Cases that are measured first: a net that is bound by launches, and one that is bound by
arithmetic.
"""
CASES = (
    *TELLING,
    *((w.name, w.batch) for w in WORKLOADS.values() if (w.name, w.batch) not in TELLING),
    ("dc64", 512),
)
PRECISIONS = ("tf32", "float32")
ORDER = (
    *(("minigan graph", p) for p in PRECISIONS),
    *(("PyTorch eager", p) for p in PRECISIONS),
    *(("PyTorch compiled", p) for p in PRECISIONS),
    ("minigan", "float32"),
    ("NumPy", "float32"),
)
"""Contestants with their precisions, as they are measured."""
CONTESTANTS = tuple(dict.fromkeys(name for name, _ in ORDER))


class Part(NamedTuple):
    """What is measured, and how long it may take."""

    kind: str
    workload: str = ""
    batch: int = 0
    precision: str = ""
    contestant: str = ""
    seconds: int = 20

    def key(self) -> tuple[str, ...]:
        return self.kind, self.workload, str(self.batch), self.precision, self.contestant


def parts() -> list[Part]:
    """Everything that is measured, in this order."""
    return [
        Part("parity", seconds=240),
        *(Part("peaks", precision=p) for p in PRECISIONS),
        *(
            Part("step", *case, precision, contestant, _patience(contestant))
            for contestant, precision in ORDER
            for case in CASES
            if _takes_part(contestant, *case)
        ),
    ]


def _takes_part(contestant: str, name: str, batch: int) -> bool:
    if contestant == "PyTorch compiled":
        return not differentiates_twice(WORKLOADS[name])
    return contestant != "NumPy" or batch < 512


def differentiates_twice(workload: Workload) -> bool:
    return any(way.startswith(("gradient-penalty", "r1")) for way in workload.tame)


def _patience(contestant: str) -> int:
    """Seconds that a case may take; one that wasn't compiled before is compiled in that time."""
    return 90 if contestant == "PyTorch compiled" else 30

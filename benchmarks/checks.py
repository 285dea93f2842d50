"""What tells that a race was not one between equals: something else, or chance, slowed somebody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy

WAVERING, UNLIKE, SLOWER, MACHINE = 1.5, 1.15, 1.25, 1.2
"""How many times as long as its own fastest block, its twin's, that of earlier runs, and the
yardstick's best.
"""
YARDSTICK = "yardstick"
Times = Mapping[str, Sequence[float]]


def reason(times: Times, twins: Mapping[str, str], earlier: Mapping[str, float]) -> str:
    """Return why a race shouldn't count, in a sentence; "" if it should.

    Parameters
    ----------
    times
        The blocks of each contestant, in milliseconds.
    twins
        Contestants and the same program once more.
    earlier
        The fastest block of contestants in the runs before, of the yardstick ever.
    """
    return (
        _machine(times, earlier)
        or _unlike(times, twins)
        or _slower(times, earlier)
        or _waver(times)
    )


def _machine(times: Times, earlier: Mapping[str, float]) -> str:
    """Slow for as long as the race lasted, whoever computed."""
    if YARDSTICK not in times or YARDSTICK not in earlier:
        return ""
    factor = min(times[YARDSTICK]) / earlier[YARDSTICK]
    words = f"the machine was slow: the yardstick took {factor:.2f} times as long as before"
    return words if factor > MACHINE else ""


def _unlike(times: Times, twins: Mapping[str, str]) -> str:
    """Slow for as long as the race lasted: no block is as fast as those of the same code again."""
    for one, twin in twins.items():
        if one in times and twin in times:
            slow, fast = sorted((one, twin), key=lambda name: -min(times[name]))
            factor = min(times[slow]) / min(times[fast])
            if factor > UNLIKE:
                return f"{slow} was slow all the time: {factor:.2f} times its twin's fastest block"
    return ""


def _slower(times: Times, earlier: Mapping[str, float]) -> str:
    """Slow for as long as the race lasted, but not in an earlier run."""
    for name, ms in times.items():
        if name in earlier and min(ms) > SLOWER * earlier[name]:
            factor = min(ms) / earlier[name]
            return f"{name} was slow all the time: {factor:.2f} times its fastest block before"
    return ""


def _waver(times: Times) -> str:
    """Slowed for a while: the median is far above its own fastest block."""
    for name, ms in times.items():
        factor = float(numpy.median(ms)) / min(ms)
        if factor > WAVERING:
            return f"{name} was slowed: its median is {factor:.2f} times its fastest block"
    return ""

"""Which kernels a step on a GPU is made of, from a trace of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple


class Profile(NamedTuple):
    """What the device does in a step, on average, in milliseconds.

    Attributes
    ----------
    span
        From the beginning of the first kernel or copy to the end of the last, over all steps.
    busy
        How much of that something runs.
    gaps
        How often nothing runs, per step.
    longest_gap
        The longest of those times.
    launches
        Kernels and copies per step.
    kernels
        For each name its time and how often it is launched per step, the longest time first.
    """

    span: float
    busy: float
    gaps: float
    longest_gap: float
    launches: float
    kernels: list[tuple[str, float, float]]


def profiled(events: Iterable[dict[str, Any]], *, steps: int) -> Profile:
    """Summarise the events of a Chrome trace of so many steps, as ``torch.profiler`` exports it."""
    on_device = ("kernel", "gpu_memcpy", "gpu_memset")
    ours = sorted(
        (e for e in events if e.get("ph") == "X" and e.get("cat") in on_device),
        key=lambda e: e["ts"],
    )
    if not ours:
        return Profile(0.0, 0.0, 0.0, 0.0, 0.0, [])
    total: defaultdict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
    gaps: list[float] = []
    until = ours[0]["ts"]
    for event in ours:
        total[event["name"]][0] += 1e-3 * event["dur"] / steps
        total[event["name"]][1] += 1 / steps
        if event["ts"] > until:
            gaps.append(event["ts"] - until)
        until = max(until, event["ts"] + event["dur"])
    span = until - ours[0]["ts"]
    return Profile(
        1e-3 * span / steps,
        1e-3 * (span - sum(gaps)) / steps,
        len(gaps) / steps,
        1e-3 * max(gaps, default=0.0),
        len(ours) / steps,
        sorted(((n, ms, count) for n, (ms, count) in total.items()), key=lambda k: -k[1]),
    )


def profile_page(title: str, wall_ms: float, profile: Profile, *, most: int = 30) -> str:
    """A section of the page of profiles, with at most so many kernels."""
    lines = [
        f"## {title}",
        "",
        f"A step: {wall_ms:.3f} ms by the clock; on the device {profile.span:.3f} ms, of which "
        f"{profile.busy:.3f} ms busy; {profile.launches:.0f} launches; {profile.gaps:.0f} gaps of "
        f"together {profile.span - profile.busy:.3f} ms, the longest {profile.longest_gap:.3f} ms.",
        "",
        "| ms | share | times | kernel |",
        "|---:|---:|---:|---|",
    ]
    together = sum(ms for _, ms, _ in profile.kernels)
    for name, ms, count in profile.kernels[:most]:
        # A bar in the name of a template would end the cell.
        short = name[:100].replace("|", "/")
        lines.append(f"| {ms:.4f} | {100 * ms / together:.1f} % | {count:.1f} | `{short}` |")
    return "\n".join(lines) + "\n"

"""Is this normal? What a run's numbers say about its health, in words, with the evidence and what
to try.

`Gauges` measures what the losses don't show, as further columns of ``metrics.csv``; `diagnose`
reads such a table, of a finished run or of one under way, and returns what it finds; `Watcher` does
so during a run.

The signs are those of the literature: D's belief near 1 on reals and 0 on fakes, and G's gradient
vanishing with it (Goodfellow et al. 2014, section 3; Arjovsky and Bottou 2017); samples that are
all alike (Goodfellow 2016, section 5.1.1) or that G cycles through (Metz et al. 2017, figure 2).
Where a sign begins is a number, and no theorem gives it: each is a named constant here, set between
what healthy and sick runs of the recipes show.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend
from minigan.backend import Array
from minigan.gan.base import BaseGame
from minigan.gan.trainer import Trainer
from minigan.optim.parameters import parameters_of, vectors

_TINY = 1e-12

# ---------------------------------------------------------------- what is measured


class Gauges:
    """What the doctor needs beside the losses. It draws nothing at random and changes nothing.

    =============  =================================================================================
    column         meaning
    =============  =================================================================================
    diversity      mean distance between two samples of the fixed latents, over that between two
                   real samples
    reach          2-D: share of real points that have a sample within `NEAR` mean real distances
    distinct       images: median distance of a sample to the nearest other one, over that of real
                   samples
    centre         mean of the samples along the data's principal axis, in its standard deviations:
                   0 is the middle
    grad_norm_d    norm of D's gradient in the step; likewise of each player, see `short_name`
    moved_d        distance of D's weights from where they began, over their norm there; likewise
    =============  =================================================================================

    Parameters
    ----------
    game
        Before its first round.
    real
        Real samples on the host, shape (M, ...).
    sample
        ``game -> samples`` (N, ...) on the host, of always the same latents.
    """

    NEAR = 0.15

    def __init__(self, game: BaseGame, real: Array, sample: Callable[[BaseGame], Array]) -> None:
        self.sample = sample
        self._begin = {
            name: [x.copy() for x in vectors("value", parameters_of(net))]
            for name, net in game.players().items()
        }
        self._real = _rows(real)
        self._middle = self._real.mean(axis=0)
        _, widths, axes = numpy.linalg.svd(self._real - self._middle, full_matrices=False)
        self._axis = axes[0] * numpy.sqrt(len(self._real)) / max(widths[0], _TINY)
        self._spread = _mean_distance(self._real)
        self._nearest = max(float(numpy.median(_nearest_others(self._real))), _TINY)

    def __call__(self, trainer: Trainer) -> dict[str, float]:
        """Measure now."""
        fake = _rows(self.sample(trainer.game))
        numbers = {"diversity": _mean_distance(fake) / self._spread}
        if fake.shape[1] == 2:
            nearest = _distances(self._real, fake).min(axis=1)
            numbers["reach"] = float((nearest < self.NEAR * self._spread).mean())
        else:
            numbers["distinct"] = float(numpy.median(_nearest_others(fake))) / self._nearest
        numbers["centre"] = float((fake.mean(axis=0) - self._middle) @ self._axis)
        for name, net in sorted(trainer.game.players().items()):
            begin, player = self._begin[name], short_name(name)
            found = parameters_of(net)
            moved = [x - y for x, y in zip(vectors("value", found), begin, strict=True)]
            numbers[f"grad_norm_{player}"] = _norm(vectors("grad", found))
            numbers[f"moved_{player}"] = _norm(moved) / max(_norm(begin), _TINY)
        return numbers


def short_name(player: str) -> str:
    """Return what a player's columns end in: ``"d"`` for the discriminator, ``"g_ab"`` for
    ``generator_ab``.
    """
    return player.replace("discriminator", "d").replace("generator", "g")


def _rows(samples: Array) -> Any:
    return backend.to_numpy(samples).reshape(len(samples), -1).astype("float64")


def _norm(vectors: list[Array]) -> float:
    """The Euclidean norm of all entries together."""
    return math.hypot(*(float(backend.of(x).xp.linalg.norm(x)) for x in vectors))


def _distances(a: Any, b: Any) -> Any:
    """Euclidean distances of the rows of a (N, d) and b (M, d): (N, M)."""
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * a @ b.T
    return numpy.sqrt(numpy.maximum(squared, 0))


def _mean_distance(a: Any) -> float:
    n = len(a)
    return max(float(_distances(a, a).sum() / max(n * (n - 1), 1)), _TINY)


def _nearest_others(a: Any) -> Any:
    d = _distances(a, a)
    numpy.fill_diagonal(d, numpy.inf)
    return d.min(axis=1)


# ---------------------------------------------------------------- what it means

Table = Mapping[str, Any]
"""Column name -> its values, one per row, NaN where nothing was measured; as
`minigan.plots.read_metrics` reads.
"""

UNDECIDED = {
    "non-saturating": 2 * math.log(2),
    "saturating": 2 * math.log(2),
    "least-squares": 0.25,
    "hinge": 2.0,
    "relativistic": math.log(2),
}
"""D's loss while it gives every sample the same answer. A Wasserstein critic's has no such value.
"""

EARLIEST = 200
"""Steps before which every G is unfinished and nothing is said."""
LATE = 0.2
"""The last part of the rows that a verdict is about."""
WON = 0.05
"""D has won where its loss is below this part of the undecided one."""
LOST = 2.0
"""A D that is wrong as often as right stands at 1; beyond this, what it learnt has just become
false.
"""
SWINGS = 0.03
"""Part of the steps with a lost D from which on one speaks of oscillation."""
SWAY = 1.0
"""Standard deviations of the data by which the samples' centre must swing, to and fro, to be called
oscillating.
"""
REACHED = 0.7
"""Part of the real points, in the plane, that samples must come near to."""
VARIED = 0.5
"""Part of the data's diversity that images must have."""
ALIKE = 0.15
"""Images that are so many times as close to the nearest other one as real images are must be copies
of a few.
"""
RISING = 1.15
"""Samples that have become so many times as varied since the part before are on their way, not
collapsed.
"""
STUCK = 1e-3
"""A G whose weights have moved less than this part of their norm hasn't begun to learn."""
FADED = 1e-6
"""A gradient of a smaller norm is none."""
RUNAWAY = 10.0
"""Weights that have moved farther than this many times their first norm have exploded."""
STEEP = 1e3
"""So many times the gradient that it was early in the run, and larger than this in itself, is an
explosion.
"""


@dataclass(frozen=True)
class Finding:
    """Something that isn't normal.

    Attributes
    ----------
    name
        ``"d-won"``, ``"collapse"``, ``"oscillation"``, ``"dead-g"`` or ``"explosion"``.
    title
        In a few words.
    evidence
        The numbers that say so.
    advice
        What to try.
    """

    name: str
    title: str
    evidence: str
    advice: str

    def __str__(self) -> str:
        return f"{self.title}. {self.evidence} {self.advice}"


def diagnose(
    table: Table, *, objective: str = "non-saturating", smoothing: float = 0.0
) -> list[Finding]:
    """Read a run's numbers and say what isn't normal.

    Parameters
    ----------
    table
        The columns of ``metrics.csv``; those that are missing aren't judged by.
    objective, smoothing
        Of the run: they decide where D's loss stands when it has learnt nothing, or everything.

    Returns
    -------
    list of Finding
        The most basic first, empty for a healthy run or one too young to judge.
    """
    chart = _Chart(table, objective, smoothing)
    if len(chart.step) == 0 or chart.step[-1] < EARLIEST:
        return []
    signs = (_explosion, _dead_generator, _discriminator_won, _collapse, _oscillation)
    found = [finding for sign in signs if (finding := sign(chart)) is not None]
    # Where numbers explode or G stands still, everything else follows from it: one cause, one
    # finding.
    return found[:1] if found and found[0].name in ("explosion", "dead-g") else found


class _Chart:
    """A table, with the questions that the signs ask of it."""

    def __init__(self, table: Table, objective: str, smoothing: float) -> None:
        self.table = {name: numpy.asarray(values, "float64") for name, values in table.items()}
        self.step = self.table["step"]
        self.objective = objective
        self.undecided = UNDECIDED.get(objective)
        s = smoothing
        smoothed = s > 0 and objective in ("non-saturating", "saturating")
        # With smoothed labels even a perfect D keeps their entropy as its loss.
        self.least = -(1 - s) * math.log(1 - s) - s * math.log(s) if smoothed else 0.0

    def late(self, name: str, part: float = LATE) -> Any:
        """Return what was measured in the last part of the run."""
        values = self.table.get(name, numpy.array([]))
        known = values[-max(int(len(values) * part), 1) :] if len(values) else values
        return known[numpy.isfinite(known)]

    def early(self, name: str, part: float = LATE) -> Any:
        """Return what was measured in the first part of the run."""
        values = self.table.get(name, numpy.array([]))
        known = values[: max(int(len(values) * part), 1)] if len(values) else values
        return known[numpy.isfinite(known)]

    def median(self, name: str) -> float:
        """Return the median of the last part, NaN if nothing was measured."""
        values = self.late(name)
        return float(numpy.median(values)) if len(values) else math.nan

    def rises(self, name: str) -> bool:
        """Tell whether the last part lies clearly above the part of the same length before it."""
        both = self.table.get(name, numpy.array([]))
        both = both[-max(int(2 * len(both) * LATE), 1) :]
        before = both[: len(both) // 2]
        before = before[numpy.isfinite(before)]
        return len(before) > 0 and self.median(name) > RISING * float(numpy.median(before))

    @property
    def players(self) -> list[str]:
        """The short names of those who have columns of their own."""
        return [name.removeprefix("moved_") for name in self.table if name.startswith("moved_")]

    @property
    def since(self) -> str:
        """Which steps the last part is."""
        rows = max(int(len(self.step) * LATE), 1)
        return f"From step {self.step[-rows]:,.0f} to {self.step[-1]:,.0f}"


def _explosion(chart: _Chart) -> Finding | None:
    for player in chart.players:
        who = player[0].upper() + player[1:]
        moved, now = chart.median(f"moved_{player}"), chart.median(f"grad_norm_{player}")
        before = chart.early(f"grad_norm_{player}")
        if moved > RUNAWAY:
            evidence = (
                f"{who}'s weights now lie {moved:.0f} times their first norm away from where they "
                "began."
            )
        elif len(before) and now > STEEP * max(1.0, float(numpy.median(before))):
            evidence = (
                f"{chart.since} the norm of {who}'s gradient was {now:.3g}, early in the run "
                f"{numpy.median(before):.3g}."
            )
        else:
            continue
        return Finding(
            "explosion",
            f"{who}'s numbers explode",
            evidence,
            "Try a ten times smaller --lr, or hold the gradient with --penalty clip-gradient; a "
            "Wasserstein critic needs --penalty gradient-penalty or clip-weights.",
        )
    return None


def _dead_generator(chart: _Chart) -> Finding | None:
    found = (_dead(chart, player) for player in chart.players if player.startswith("g"))
    return next(filter(None, found), None)


def _dead(chart: _Chart, player: str) -> Finding | None:
    moved, gradient = chart.median(f"moved_{player}"), chart.median(f"grad_norm_{player}")
    who = player[0].upper() + player[1:]
    if gradient < FADED:
        return Finding(
            "dead-g",
            f"No gradient reaches {who}",
            f"{chart.since} the norm of its gradient was {gradient:.1g}.",
            "Look for units that are all zero (ReLU) or saturated (tanh) in G and D, try "
            "LeakyReLU, smaller initial weights, or normalisation; with --objective saturating, "
            "try non-saturating.",
        )
    if moved < STUCK:
        return Finding(
            "dead-g",
            f"{who} hasn't begun to learn",
            f"After {chart.step[-1]:,.0f} steps its weights have moved by {moved:.1g} of their "
            "norm.",
            "Try a larger --lr-generator: 2e-4 is usual for images, 1e-3 for small nets.",
        )
    return None


def _discriminator_won(chart: _Chart) -> Finding | None:
    loss = chart.median("loss_d")
    if chart.undecided is None or not loss - chart.least < WON * chart.undecided:
        return None
    evidence = (
        f"{chart.since} D's loss was {loss:.3g}, where a D that can't tell has "
        f"{chart.undecided:.3g}"
    )
    if chart.objective in ("non-saturating", "saturating"):
        evidence += (
            f"; it believed reals at {chart.median('d_real'):.3f}, fakes at "
            f"{chart.median('d_fake'):.3f}"
        )
    before, now = chart.early("grad_norm_g"), chart.median("grad_norm_g")
    if len(before) and now < 0.1 * before.max():
        evidence += f"; G's gradient has shrunk to {100 * now / before.max():.2g} % of what it was"
    advice = (
        "Try a smaller --lr-discriminator, --smoothing 0.1, or noise on D's input (--penalty "
        "instance-noise)."
    )
    if chart.objective == "saturating":
        advice = (
            "Try --objective non-saturating first: this one gives a losing G no gradient. " + advice
        )
    return Finding("d-won", "D has won", evidence + ".", advice)


def _collapse(chart: _Chart) -> Finding | None:
    diversity, reach, distinct = (chart.median(name) for name in ("diversity", "reach", "distinct"))
    if chart.rises("reach") or chart.rises("diversity"):
        return None
    if reach < REACHED:
        few = "one place" if diversity < 0.1 else "a part of the data"
        evidence = (
            f"{chart.since} only {100 * reach:.0f} % of the real points had a sample near them; "
            "samples lay "
            f"{diversity:.2f} times as far from each other as real points do."
        )
    elif diversity < VARIED or distinct < ALIKE:
        few = "few pictures"
        evidence = (
            f"{chart.since} samples differed {diversity:.2f} times as much from each other as "
            "real ones do"
            + (
                "."
                if math.isnan(distinct)
                else f", and from the nearest other one {distinct:.2f} times."
            )
        )
    else:
        return None
    advice = (
        "Try a D that sees several samples at once (--penalty packing or minibatch-stddev), a "
        "smaller "
        "--lr-generator, or a shorter memory of Adam (--beta1 0.5 or less)."
    )
    if "loss_d" not in chart.table:
        advice = "No D drives this one: try more steps, a larger G, or longer latents."
    return Finding("collapse", f"G has collapsed to {few}", evidence, advice)


def _oscillation(chart: _Chart) -> Finding | None:
    loss = chart.late("loss_d", 0.5)
    lost = (
        float((loss > LOST * chart.undecided).mean())
        if chart.undecided is not None and len(loss)
        else 0.0
    )
    turns = _turns(chart.late("centre", 0.5), SWAY)
    if turns >= 4:
        evidence = (
            "In the second half of the run the middle of the samples changed its direction "
            f"{turns} times, by more "
            f"than {SWAY:g} standard deviation of the data each: G runs in circles before D."
        )
    elif lost > SWINGS:
        evidence = (
            "In the second half of the run D's loss was above "
            f"{LOST * (chart.undecided or 0):.2g} at {100 * lost:.0f} "
            f"% of the steps, worse than knowing nothing: what D learns, G has already left."
        )
    else:
        return None
    return Finding(
        "oscillation",
        "The players chase each other",
        evidence,
        "Try smaller learning rates for both, --beta1 0.5 or 0, samples from an average of G's "
        "weights (--average "
        "0.999), or a penalty on D's slope (--penalty r1 or gradient-penalty).",
    )


def _turns(values: Any, amplitude: float) -> int:
    """Count how often a series turns back after having gone at least `amplitude` one way (smaller
    jitter isn't).
    """
    if len(values) == 0:
        return 0
    turns, direction, extreme = 0, 0, values[0]
    for value in values[1:]:
        if direction == 0 and abs(value - extreme) >= amplitude:
            direction, extreme = (1 if value > extreme else -1), value
        elif (value - extreme) * direction > 0:
            extreme = value
        elif direction and abs(value - extreme) >= amplitude:
            turns, direction, extreme = turns + 1, -direction, value
    return turns

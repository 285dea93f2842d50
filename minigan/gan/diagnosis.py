"""Is this normal? A diagnosis of a run from its metrics: in words, with evidence and advice.

`Gauges` measures what the losses don't show, as further columns of ``metrics.csv``; `diagnose`
reads such a table, of a finished run or of one in progress, and returns its findings; `Watcher`
does so during a run.

The symptoms are those described in the literature: D(x) near 1 on reals and near 0 on fakes, with
G's gradient vanishing as a result (Goodfellow et al. 2014, section 3; Arjovsky and Bottou 2017);
samples that are all alike (Goodfellow 2016, section 5.1.1), or modes that G cycles through (Metz et
al. 2017, figure 2). No theorem says where each symptom begins: the thresholds are named constants
below, chosen to lie between what healthy and unhealthy runs of the recipes show.
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
    """What the doctor measures besides the losses. It uses no randomness and changes nothing.

    =============  =================================================================================
    column         meaning
    =============  =================================================================================
    diversity      mean distance between two samples of the fixed latents, divided by that between
                   two real samples
    reach          2-D: share of real points that have a sample within `NEAR` mean real distances
    precision      2-D: share of the samples that a user gets (from the average of G's weights, if
                   there is one) that lie among the real points: nearer to one of them than its
                   `NEIGHBOUR`-th neighbour among the others (Kynkäänniemi et al. 2019, equation 2)
    distinct       images: median distance of a sample to its nearest neighbour among the samples,
                   divided by the same for real samples
    centre         mean of the samples along the data's principal axis, in standard deviations of
                   the data; 0 is the centre of the data
    grad_norm_d    norm of D's gradient in this step; the same for each player, see `short_name`
    moved_d        distance of D's weights from their initial values, divided by the initial norm;
                   the same for each player
    =============  =================================================================================

    Parameters
    ----------
    game
        The game before its first round.
    real
        Real samples on the host, shape (M, ...).
    sample
        ``game -> samples`` (N, ...) on the host, always from the same latents.
    final
        The same from the average of G's weights, where there is one; by default `sample`.
    """

    NEAR = 0.15
    NEIGHBOUR = 3

    def __init__(
        self, game: BaseGame, real: Array, sample: Callable[[BaseGame], Array],
        final: Callable[[BaseGame], Array] | None = None,
    ) -> None:  # fmt: skip
        self.sample, self.final = sample, final or sample
        self.begin(game)
        self._real = _rows(real)
        self._middle = self._real.mean(axis=0)
        _, widths, axes = numpy.linalg.svd(self._real - self._middle, full_matrices=False)
        self._axis = axes[0] * numpy.sqrt(len(self._real)) / max(widths[0], _TINY)
        self._spread = _mean_distance(self._real)
        self._nearest = max(float(numpy.median(_nearest_others(self._real))), _TINY)
        self._places = numpy.unique(self._real, axis=0)
        around = numpy.sort(_distances(self._places, self._places), axis=1)  # 0, itself, is first
        self._radii = around[:, min(self.NEIGHBOUR, len(around) - 1)]

    def begin(self, game: BaseGame) -> None:
        """Take the weights of now for the initial ones, from which players move."""
        self._begin = {
            name: [x.copy() for x in vectors("value", parameters_of(net))]
            for name, net in game.players().items()
        }

    def __call__(self, trainer: Trainer) -> dict[str, float]:
        """Measure now."""
        fake = _rows(self.sample(trainer.game))
        numbers = {"diversity": _mean_distance(fake) / self._spread}
        if fake.shape[1] == 2:
            nearest = _distances(self._real, fake).min(axis=1)
            numbers["reach"] = float((nearest < self.NEAR * self._spread).mean())
            among = _distances(_rows(self.final(trainer.game)), self._places) <= self._radii
            numbers["precision"] = float(among.any(axis=1).mean())
        else:
            numbers["distinct"] = float(numpy.median(_nearest_others(fake))) / self._nearest
        numbers["centre"] = float((fake.mean(axis=0) - self._middle) @ self._axis)
        return numbers | self._of_players(trainer.game)

    def _of_players(self, game: BaseGame) -> dict[str, float]:
        numbers = {}
        for name, net in sorted(game.players().items()):
            begin, player, found = self._begin[name], short_name(name), parameters_of(net)
            moved = [x - y for x, y in zip(vectors("value", found), begin, strict=True)]
            numbers[f"grad_norm_{player}"] = _norm(vectors("grad", found))
            numbers[f"moved_{player}"] = _norm(moved) / max(_norm(begin), _TINY)
        return numbers


def short_name(player: str) -> str:
    """Return the suffix of a player's columns: ``"d"`` for D, ``"g_ab"`` for ``generator_ab``."""
    return player.replace("discriminator", "d").replace("generator", "g")


def _rows(samples: Array) -> Any:
    return backend.to_numpy(samples).reshape(len(samples), -1).astype("float64")


def _norm(vectors: list[Array]) -> float:
    """Euclidean norm over the entries of all arrays."""
    rows = (x.ravel() for x in vectors)
    return math.hypot(*(math.sqrt(float(backend.of(x).matmul(x, x))) for x in rows))


def _distances(a: Any, b: Any) -> Any:
    """Euclidean distances between the rows of a (N, d) and b (M, d): (N, M)."""
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :]
    squared -= backend.of(a).matmul(2 * a, b.T)
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
"""Column name -> values, NaN where nothing was measured; see `minigan.plots.read_metrics`."""

UNDECIDED = {
    "non-saturating": 2 * math.log(2),
    "saturating": 2 * math.log(2),
    "least-squares": 0.25,
    "hinge": 2.0,
    "relativistic": math.log(2),
}
"""D's loss while it cannot tell reals from fakes. A Wasserstein critic has no such value."""

EARLIEST = 200
"""First step at which anything is diagnosed: before it, every G is untrained."""
LATE = 0.2
"""Share of the rows, counted from the end, that a diagnosis is based on."""
WON = 0.05
"""D has won if its loss is below this fraction of the undecided one."""
LOST = 2.0
"""D has lost if its loss is above this multiple of the undecided one: worse than guessing."""
SWINGS = 0.03
"""Share of the steps at which D has lost from which the players are said to oscillate."""
SWAY = 1.0
"""Least swing of the samples' centre, in standard deviations of the data, that counts as a turn."""
REACHED = 0.7
"""Share of the real 2-D points that must have a sample near them."""
PRECISE = 0.7
"""Share of the 2-D samples that must lie among the real points at the end of a run."""
VARIED = 0.5
"""Least diversity of generated images, as a fraction of the data's."""
ALIKE = 0.15
"""Least distance of images to their nearest neighbour, as a fraction of the real images'."""
RISING = 1.15
"""Growth of diversity or reach, from one part of the run to the next, that rules out collapse; of
precision, that speaks for more steps."""
STUCK = 1e-3
"""G hasn't begun to learn if its weights have moved by less than this fraction of their norm."""
FADED = 1e-6
"""A gradient with a norm below this has vanished."""
RUNAWAY = 10.0
"""Weights that have moved by more than this multiple of their initial norm have exploded."""
STEEP = 1e3
"""A gradient norm above this, and above this multiple of the early one, is an explosion."""


@dataclass(frozen=True)
class Finding:
    """Something unusual about a run.

    Attributes
    ----------
    name
        ``"d-won"``, ``"collapse"``, ``"imprecision"``, ``"oscillation"``, ``"dead-g"`` or
        ``"explosion"``.
    title
        The finding in a few words.
    evidence
        The numbers that it is based on.
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
    table: Table, *, objective: str = "non-saturating", smoothing: float = 0.0,
    finished: bool = True,
) -> list[Finding]:  # fmt: skip
    """Diagnose a run from its metrics.

    Parameters
    ----------
    table
        The columns of ``metrics.csv``; checks whose columns are missing are skipped, but "step"
        is needed.
    objective, smoothing
        The run's settings: they decide the loss of a D that knows nothing, and of a perfect D.
    finished
        Whether the run is over. Samples become precise last, so that before its end, samples
        beside the data are no finding.

    Returns
    -------
    list of Finding
        The most fundamental first; empty for a healthy run, or one that has only just begun.

    Raises
    ------
    ValueError
        If there is no column "step".
    """
    if "step" not in table:
        raise ValueError("The table has no column 'step'; it needs the steps of its rows.")
    chart = _Chart(table, objective, smoothing)
    if len(chart.step) == 0 or chart.step[-1] < EARLIEST:
        return []
    signs = [_explosion, _dead_generator, _discriminator_won, _collapse, _oscillation]
    signs += [_imprecision] if finished else []
    found = [finding for sign in signs if (finding := sign(chart)) is not None]
    # An explosion or a dead G is the cause of everything else: report it alone.
    return found[:1] if found and found[0].name in ("explosion", "dead-g") else found


class _Chart:
    """A table, with the queries that the checks need."""

    def __init__(self, table: Table, objective: str, smoothing: float) -> None:
        self.table = {name: numpy.asarray(values, "float64") for name, values in table.items()}
        self.step = self.table["step"]
        self.objective = objective
        self.undecided = UNDECIDED.get(objective)
        s = smoothing
        smoothed = s > 0 and objective in ("non-saturating", "saturating")
        # With smoothed labels, the loss of even a perfect D is their entropy.
        self.least = -(1 - s) * math.log(1 - s) - s * math.log(s) if smoothed else 0.0

    def late(self, name: str, part: float = LATE) -> Any:
        """Return the measurements of the last part of the run."""
        values = self.table.get(name, numpy.array([]))
        known = values[-max(int(len(values) * part), 1) :] if len(values) else values
        return known[numpy.isfinite(known)]

    def early(self, name: str, part: float = LATE) -> Any:
        """Return the measurements of the first part of the run."""
        values = self.table.get(name, numpy.array([]))
        known = values[: max(int(len(values) * part), 1)] if len(values) else values
        return known[numpy.isfinite(known)]

    def median(self, name: str) -> float:
        """Return the median over the last part, NaN if nothing was measured."""
        values = self.late(name)
        return float(numpy.median(values)) if len(values) else math.nan

    def rises(self, name: str) -> bool:
        """Return whether the last part is clearly above the equally long part before it."""
        both = self.table.get(name, numpy.array([]))
        both = both[-max(int(2 * len(both) * LATE), 1) :]
        before = both[: len(both) // 2]
        before = before[numpy.isfinite(before)]
        return len(before) > 0 and self.median(name) > RISING * float(numpy.median(before))

    @property
    def losses(self) -> list[str]:
        """Names of the columns of losses, which are measured in every row."""
        return [name for name in self.table if name.partition("_")[0] == "loss"]

    def ended(self, name: str) -> str:
        """Say from which step on a column has no finite number, if the last row has none."""
        values = self.table[name]
        known = numpy.flatnonzero(numpy.isfinite(values))
        if not len(known) or known[-1] == len(values) - 1:
            return ""
        return f"From step {self.step[known[-1] + 1]:,.0f} on, {name} is {values[-1]}"

    @property
    def players(self) -> list[str]:
        """Short names of the players that have columns of their own."""
        return [name.removeprefix("moved_") for name in self.table if name.startswith("moved_")]

    @property
    def since(self) -> str:
        """The steps of the last part, in words."""
        rows = max(int(len(self.step) * LATE), 1)
        return f"From step {self.step[-rows]:,.0f} to {self.step[-1]:,.0f}"


def _explosion(chart: _Chart) -> Finding | None:
    for name in chart.losses:
        if chart.ended(name):
            return _exploded("The numbers explode", f"{chart.ended(name)}.")
    for player in chart.players:
        who = player[0].upper() + player[1:]
        moved, now = chart.median(f"moved_{player}"), chart.median(f"grad_norm_{player}")
        before = chart.early(f"grad_norm_{player}")
        if moved > RUNAWAY:
            evidence = f"{who}'s weights have moved by {moved:.0f} times their initial norm."
        elif len(before) and now > STEEP * max(1.0, float(numpy.median(before))):
            evidence = (
                f"{chart.since}, the norm of {who}'s gradient was {now:.3g}; early in the run it "
                f"was {numpy.median(before):.3g}."
            )
        else:
            continue
        return _exploded(f"{who}'s numbers explode", evidence)
    return None


def _exploded(title: str, evidence: str) -> Finding:
    advice = (
        "Try a learning rate (--lr) ten times smaller, or clip the gradients (--penalty "
        "clip-gradient); a Wasserstein critic needs --penalty gradient-penalty or clip-weights."
    )
    return Finding("explosion", title, evidence, advice)


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
            f"{chart.since}, the norm of its gradient was {gradient:.1g}.",
            "Look for units in G and D that are always zero (ReLU) or saturated (tanh); try "
            "LeakyReLU, smaller initial weights or normalisation; in place of --objective "
            "saturating, try non-saturating.",
        )
    if moved < STUCK:
        return Finding(
            "dead-g",
            f"{who} hasn't begun to learn",
            f"After {chart.step[-1]:,.0f} steps, its weights have moved by {moved:.1g} times their "
            "initial norm.",
            "Try a larger --lr-generator: 2e-4 is usual for images, 1e-3 for small nets.",
        )
    return None


def _discriminator_won(chart: _Chart) -> Finding | None:
    loss = chart.median("loss_d")
    if chart.undecided is None or not loss - chart.least < WON * chart.undecided:
        return None
    evidence = (
        f"{chart.since}, D's loss was {loss:.3g}; a D that cannot tell reals from fakes has "
        f"{chart.undecided:.3g}"
    )
    if chart.objective in ("non-saturating", "saturating"):
        evidence += (
            f"; its mean output was {chart.median('d_real'):.3f} on reals and "
            f"{chart.median('d_fake'):.3f} on fakes"
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
            "Try --objective non-saturating first: the saturating one gives a losing G no "
            "gradient. " + advice
        )
    return Finding("d-won", "D has won", evidence + ".", advice)


def _collapse(chart: _Chart) -> Finding | None:
    diversity, reach, distinct = (chart.median(name) for name in ("diversity", "reach", "distinct"))
    if chart.rises("reach") or chart.rises("diversity"):
        return None
    if reach < REACHED:
        few = "one place" if diversity < 0.1 else "a part of the data"
        evidence = (
            f"{chart.since}, only {100 * reach:.0f} % of the real points had a sample near them; "
            f"the mean distance between samples was {diversity:.2f} times that between real points."
        )
    elif diversity < VARIED or distinct < ALIKE:
        few = "a few images"
        evidence = (
            f"{chart.since}, the mean distance between samples was {diversity:.2f} times that "
            "between real images"
            + (
                "."
                if math.isnan(distinct)
                else f", and the distance to the nearest other sample {distinct:.2f} times."
            )
        )
    else:
        return None
    advice = (
        "Try a D that sees several samples at once (--penalty packing or minibatch-stddev), a "
        "smaller --lr-generator, or less momentum in Adam (--beta1 0.5 or less)."
    )
    if "loss_d" not in chart.table:
        advice = "There is no D here: try more steps, a larger G, or more latent dimensions."
    return Finding("collapse", f"G has collapsed to {few}", evidence, advice)


def _imprecision(chart: _Chart) -> Finding | None:
    precision = chart.median("precision")
    if not precision < PRECISE:
        return None
    evidence = (
        f"{chart.since}, only {100 * precision:.0f} % of the samples lay among the real points; of "
        "samples that cannot be told from them, about 95 % do."
    )
    advice = (
        "The share was still rising: try more steps (--steps)."
        if chart.rises("precision")
        else "Try learning rates that fade (--schedule linear), an average of G's weights "
        "(--average 0.99), or more steps; if that doesn't help, a deeper G."
    )
    return Finding("imprecision", "Many samples lie beside the data", evidence, advice)


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
            f"In the second half of the run, the centre of the samples turned back {turns} times, "
            f"by more than {SWAY:g} standard deviation of the data each time: G and D go round in "
            "circles."
        )
    elif lost > SWINGS:
        evidence = (
            "In the second half of the run, D's loss was above "
            f"{LOST * (chart.undecided or 0):.2g} at {100 * lost:.0f} % of the steps, worse than "
            "guessing: G has moved on before D has learnt where it was."
        )
    else:
        return None
    return Finding(
        "oscillation",
        "The players chase each other",
        evidence,
        "Try smaller learning rates for both, --beta1 0.5 or 0, sampling from an average of G's "
        "weights (--average 0.999), or a gradient penalty (--penalty r1 or gradient-penalty).",
    )


def _turns(values: Any, amplitude: float) -> int:
    """Count how often a series turns back by at least `amplitude`; smaller jitter is ignored."""
    if len(values) == 0:
        return 0
    turns, direction, extreme = 0, 0, values[0]
    low = high = values[0]
    for value in values[1:]:
        if direction == 0:
            low, high, extreme = min(low, value), max(high, value), value
            if high - low >= amplitude:
                direction = 1 if value == high else -1
        elif (value - extreme) * direction > 0:
            extreme = value
        elif direction and abs(value - extreme) >= amplitude:
            turns, direction, extreme = turns + 1, -direction, value
    return turns

"""Is this normal? What a run's numbers say about its health, in words, with the evidence and what to try.

`Gauges` measures what the losses don't show, as further columns of ``metrics.csv``; `diagnose` reads such a table,
of a finished run or of one under way, and returns what it finds; `Watcher` does so during a run.

The signs are those of the literature: D's belief near 1 on reals and 0 on fakes, and G's gradient vanishing with it
(Goodfellow et al. 2014, section 3; Arjovsky and Bottou 2017); samples that are all alike (Goodfellow 2016, section
5.1.1) or that G cycles through (Metz et al. 2017, figure 2). Where a sign begins is a number, and no theorem gives
it: each is a named constant here, set between what healthy and sick runs of the recipes show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from minigan import backend, nn
from minigan.backend import Array
from minigan.gan.callbacks import Measure
from minigan.gan.trainer import Callback, Report, Trainer

# ---------------------------------------------------------------- what is measured


class Gauges:
    """What the doctor needs beside the losses. It draws nothing at random and changes nothing.

    =============  ==============================================================================================
    column         meaning
    =============  ==============================================================================================
    diversity      mean distance between two samples of the fixed latents, over that between two real samples
    reach          in the plane: share of real points that have a sample within `NEAR` mean real distances
    distinct       images: median distance of a sample to the nearest other one, over that of real samples
    moved          root mean square distance of the fixed latents' samples from the untrained G's, in standard
                   deviations of the data
    grad_norm_d    norm of D's gradient in the step, and of G's likewise
    weight_norm_d  norm of D's weights, and of G's likewise
    =============  ==============================================================================================

    Parameters
    ----------
    generator
        Before its first step: the one that `moved` is measured from.
    real
        Real samples on the host, shape (M, ...).
    sample
        ``generator -> samples`` (N, ...) on the host, of always the same latents.
    """

    NEAR = 0.15

    def __init__(self, generator: nn.Layer, real: Array, sample: Callable[[nn.Layer], Array]) -> None:
        self.sample = sample
        self._untrained = _rows(sample(generator))
        self._real = _rows(real)
        self._scale = float(self._real.std(axis=0).mean())
        self._spread = _mean_distance(self._real)
        self._nearest = float(numpy.median(_nearest_others(self._real)))

    def __call__(self, trainer: Trainer) -> dict[str, float]:
        """Measure now."""
        fake = _rows(self.sample(trainer.game.generator))
        numbers = {"diversity": _mean_distance(fake) / self._spread}
        if fake.shape[1] == 2:
            nearest = _distances(self._real, fake).min(axis=1)
            numbers["reach"] = float((nearest < self.NEAR * self._spread).mean())
        else:
            numbers["distinct"] = float(numpy.median(_nearest_others(fake))) / self._nearest
        numbers["moved"] = float(numpy.sqrt(((fake - self._untrained) ** 2).mean())) / self._scale
        for player, net in (("d", trainer.game.discriminator), ("g", trainer.game.generator)):
            numbers[f"grad_norm_{player}"] = _norm(net.flat().grad)
            numbers[f"weight_norm_{player}"] = _norm(net.flat().value)
        return numbers


def _rows(samples: Array) -> Any:
    return backend.to_numpy(samples).reshape(len(samples), -1).astype("float64")


def _norm(vector: Array) -> float:
    return float(backend.of(vector).xp.linalg.norm(vector))


def _distances(a: Any, b: Any) -> Any:
    """Euclidean distances of the rows of a (N, d) and b (M, d): (N, M)."""
    squared = (a * a).sum(axis=1)[:, None] + (b * b).sum(axis=1)[None, :] - 2 * a @ b.T
    return numpy.sqrt(numpy.maximum(squared, 0))


def _mean_distance(a: Any) -> float:
    n = len(a)
    return float(_distances(a, a).sum() / (n * (n - 1)))


def _nearest_others(a: Any) -> Any:
    d = _distances(a, a)
    numpy.fill_diagonal(d, numpy.inf)
    return d.min(axis=1)



@dataclass(frozen=True)
class Finding:
    name: str


def diagnose(table, *, probabilistic: bool = True) -> list[Finding]:
    return []


class Watcher(Callback):
    def __init__(self, path, *, every, probabilistic, say):
        pass

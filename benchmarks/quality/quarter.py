"""MNIST in a quarter of an hour: the recipe `mnist` beside `mnist-dcgan` and the DCGAN of PyTorch's
own examples.

The recipes have their own length; PyTorch's example, of 64x64 pixels, has `STEPS`. All compute on
as many threads as the environment says, and the table has their seconds. Scored are 10,000 samples
against the test images: by the Frechet distance of a classifier's features (LeNet-FD; it isn't
FID), by the share that it names with a probability above 0.9, and by precision and recall.
``MINIGAN_DATA`` is the folder of MNIST.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy
from numpy.typing import NDArray

from benchmarks.quality.jobs import Job, Row, rows
from benchmarks.quality.pictures import dots
from minigan import data, metrics
from minigan.metrics.naming import SURE, probabilities
from minigan.recipes import get
from minigan.runs.assembly import assemble

SAMPLES, COMPARED = 10_000, 5_000
"""Samples for the distance, and for precision and recall."""
EXAMPLE = "PyTorch's DCGAN example"
STEPS = 900
"""Of PyTorch's example."""
PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "lenet_fd": ("LeNet-FD (not FID)", {}),
    "named": (f"named at over {SURE}", {}),
    "shares": ("class shares, total variation", {}),
    "precision": ("precision (k=5)", {}),
    "recall": ("recall (k=5)", {}),
    "wall_seconds": ("seconds", {}),
}
"""Column -> label, and published means: there are none."""


@cache
def _images(split: str, side: int = 28) -> data.Dataset:
    folder = os.environ.get("MINIGAN_DATA")
    return data.load("mnist", image_shape=(side, side, 1), data_dir=folder, split=split)


@cache
def _judge() -> tuple[Any, Any]:
    """The classifier, and its features of the test images."""
    classifier = metrics.classifier_for(_images("train"), _images("test"))
    return classifier, classifier.features(_images("test"))


def build(seed: int, *, name: str) -> Any:
    """A trainer of minigan's, or PyTorch's example."""
    if name != EXAMPLE:
        return assemble(get(name), get(name).settings, _images("train"), seed=seed).trainer
    from benchmarks.rivals.torch_dcgan import Example

    return Example(_images("train", 64), seed=seed)


def measure(trainer: Any, seed: int, *, name: str) -> Row:
    """The scores of samples, whose labels are spread evenly."""
    classifier, reference = _judge()
    samples = _samples(trainer, numpy.arange(SAMPLES) % 10, seed, name)
    features, p = classifier.features(samples), probabilities(classifier, samples)
    shares = numpy.bincount(p.argmax(axis=1), minlength=10) / SAMPLES
    real = numpy.bincount(_images("test").labels, minlength=10) / len(_images("test"))
    quality = metrics.prdc(features[:COMPARED], reference[:COMPARED], k=5)
    return {
        "lenet_fd": round(metrics.frechet_distance(features, reference), 2),
        "named": round(float((p.max(axis=1) > SURE).mean()), 4),
        "shares": round(float(abs(shares - real).sum() / 2), 4),
        "precision": round(quality.precision, 3),
        "recall": round(quality.recall, 3),
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
    }


def _samples(trainer: Any, labels: NDArray[Any], seed: int, name: str) -> NDArray[Any]:
    if name == EXAMPLE:
        found: NDArray[Any] = trainer.sample(labels)
        return found
    game = trainer.game
    z = game.inputs(len(labels), numpy.random.default_rng([seed, 1]))
    samples: NDArray[Any] = game.sample(z, labels if get(name).classes else None)
    return samples


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """Each of the three."""
    lengths = {n: get(n).settings.steps for n in ("mnist", "mnist-dcgan")} | {EXAMPLE: STEPS}
    return [
        Job(name, seed, steps or own, partial(build, name=name), partial(measure, name=name))
        for seed in seeds
        for name, own in lengths.items()
    ]


def draw() -> Any:
    """Every seed a dot."""
    return dots(rows("quarter"), PUBLISHED, "MNIST in a quarter of an hour")

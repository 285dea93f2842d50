"""The recipes of CIFAR-10 beside their twins in PyTorch: same nets, same number of steps.

Scored is the Frechet distance between a classifier's features of samples (from the average of G's
weights) and of CIFAR-10's test images; that of as many training images is the floor. It isn't FID,
and can't be compared with published values. ``MINIGAN_DATA`` is the folder of the binary version.
The recipes' whole lengths take hours on two cores, so ``STEPS`` are fewer unless ``--steps`` says
otherwise.
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
from minigan.recipes import get
from minigan.runs.assembly import assemble

SAMPLES = 5_000
STEPS = {"dcgan-cifar": 1_000, "sngan-cifar": 300, "cgan-cifar": 300}
ENGINES = ("minigan", "PyTorch")
PUBLISHED: dict[str, tuple[str, dict[str, float]]] = {
    "lenet_fd": ("Frechet classifier distance (LeNet-FD, not FID)", {}),
    "floor": ("of training images", {}),
}
"""Column -> label, and published means: there are none."""


@cache
def _images(split: str) -> data.Dataset:
    return data.load("cifar10", data_dir=os.environ.get("MINIGAN_DATA"), split=split)


@cache
def _judge() -> tuple[Any, Any, float]:
    """The classifier, its features of the test images, and the floor."""
    train, test = _images("train"), _images("test")
    classifier = metrics.classifier_for(train, test)
    reference = classifier.features(test)
    chosen = numpy.random.default_rng(0).choice(len(train), SAMPLES, replace=False)
    floor = metrics.frechet_distance(classifier.features(train.batch(chosen)), reference)
    return classifier, reference, floor


def build(seed: int, *, name: str, engine: str, steps: int) -> Any:
    """A trainer of minigan's, or the twin."""
    recipe = get(name)
    settings, images = recipe.settings.changed(steps=steps), _images("train")
    if engine == "minigan":
        return assemble(recipe, settings, images, seed=seed).trainer
    import torch

    from benchmarks.rivals.torch_cifar import Twin

    torch.set_num_threads(1)  # as minigan, so that seconds can be compared
    return Twin(name, settings, images, seed=seed)


def measure(trainer: Any, seed: int, *, name: str) -> Row:
    """The distance of samples, whose labels are spread evenly, and the floor."""
    classifier, reference, floor = _judge()
    samples = _samples(trainer, numpy.arange(SAMPLES) % 10, seed, conditional=name == "cgan-cifar")
    distance = metrics.frechet_distance(classifier.features(samples), reference)
    return {"lenet_fd": round(distance, 2), "floor": round(floor, 2)}


def _samples(trainer: Any, labels: NDArray[Any], seed: int, *, conditional: bool) -> NDArray[Any]:
    if hasattr(trainer, "averaged"):
        found: NDArray[Any] = trainer.sample(labels)
        return found
    game = trainer.game
    z = game.inputs(len(labels), numpy.random.default_rng([seed, 1]))
    samples: NDArray[Any] = game.sample(z, labels if conditional else None)
    return samples


def jobs(seeds: Sequence[int], steps: int | None = None) -> list[Job]:
    """Each recipe in both."""
    return [
        Job(
            f"{name}, {engine}", seed, steps or number,
            partial(build, name=name, engine=engine, steps=steps or number),
            partial(measure, name=name),
        )
        for seed in seeds
        for name, number in STEPS.items()
        for engine in ENGINES
    ]  # fmt: skip


def draw() -> Any:
    """Every seed a dot."""
    return dots(rows("cifar"), PUBLISHED, "CIFAR-10, equal nets and steps")

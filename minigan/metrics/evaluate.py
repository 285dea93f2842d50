"""All metrics of one set of samples, each beside its floor.

With finitely many samples, no metric reaches its ideal value exactly, even for a perfect generator.
The floor is the value for real data in place of the samples, with the same number of them and the
same reference: training against test images, or new points of the distribution. A value at its
floor is indistinguishable from perfect; one below it is due to chance, or to copies of the training
data.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Protocol

import numpy

from minigan import backend, randomness
from minigan.backend import Array
from minigan.metrics import blocks
from minigan.metrics.blocks import ImageSet
from minigan.metrics.classifier import VERSION, Classifier
from minigan.metrics.copying import copying
from minigan.metrics.frechet import frechet_distance
from minigan.metrics.kid import kernel_distance
from minigan.metrics.modes import mode_report
from minigan.metrics.prdc import prdc
from minigan.metrics.swd import SMALLEST_SIDE, patch_distance, sliced_wasserstein
from minigan.metrics.table import Row, Table

Say = Callable[[str], None]


class Law(Protocol):
    """The interface of a 2-D distribution, such as `minigan.data.Distribution`."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def centres(self) -> Any:
        """The modes of a mixture, shape (K, 2), or None."""

    @property
    def std(self) -> float | None:
        """The standard deviation of each mode, or None."""

    def sample(self, n: int, rng: numpy.random.Generator) -> Any:
        """Draw n points, shape (n, 2)."""


# ---------------------------------------------------------------- images


def evaluate_images(
    samples: Array,
    train: ImageSet,
    test: ImageSet,
    classifier: Classifier | None,
    *,
    rng: numpy.random.Generator,
    count: int = 10_000,
    patch_images: int = 2_000,
    neighbour_images: int = 1_000,
    k: int = 5,
    say: Say | None = None,
) -> Table:
    """Score images against a data set.

    Parameters
    ----------
    samples
        Generated images, shape (N, H, W, C) in [-1, 1].
    train, test
        The two splits. Samples and, for the floor, training images are compared with test images;
        nearest neighbours are searched in all training images.
    classifier
        The classifier whose features are compared; None (no labels) skips the metrics that need
        one.
    rng
        Draws the images to use, subsets, patches and directions.
    count
        Largest number of samples and of test images; fewer if there aren't as many (the facts give
        the numbers).
    patch_images, neighbour_images
        The same for the sliced Wasserstein distance and for the nearest neighbours, which cost more
        per image.
    k
        The rank of the neighbour in precision, recall, density and coverage.
    say
        Called with a few words before each part.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or there are too few images.
    TypeError
        If `samples` isn't a floating-point array.
    """
    samples = blocks.images(samples, "samples")
    if tuple(samples.shape[1:]) != tuple(train.images.shape[1:]):
        raise ValueError(
            f"The samples have shape {tuple(samples.shape[1:])}, but the images of {train.name!r} "
            f"{tuple(train.images.shape[1:])}; convert the data to the samples' shape."
        )
    if min(count, patch_images, neighbour_images) < 1:
        raise ValueError(
            "The numbers of images to evaluate must be positive; leave them out for the defaults."
        )
    say = say or (lambda words: None)
    if classifier is not None and min(count, len(samples), len(train), len(test)) < 2:
        raise ValueError(
            "Distances between features need at least 2 samples, 2 training images and 2 test "
            f"images, got {len(samples)}, {len(train)} and {len(test)} and count={count}; give "
            "more, or None for the classifier."
        )
    drawn = _Drawn(samples, train, test, count, rng)
    facts: dict[str, Any] = {
        "samples": len(drawn.samples),
        f"training images of {train.name} (floor)": len(drawn.train),
        f"test images of {test.name} (reference)": len(drawn.test),
        "classifier": str(classifier or "none"),
    }
    rows: list[Row] = []
    if classifier is not None:
        rows += _feature_rows(drawn, classifier, rng, k, say)
    if min(samples.shape[1:3]) >= SMALLEST_SIDE:
        rows += _patch_rows(drawn.fewer(patch_images), rng, say)
        facts["images for the sliced Wasserstein distance"] = len(drawn.fewer(patch_images).samples)
    say("nearest training neighbours")
    rows += _neighbour_rows(drawn.fewer(neighbour_images))
    facts["images for the nearest training neighbours"] = len(drawn.fewer(neighbour_images).samples)
    return Table(facts, tuple(rows))


class _Drawn:
    """The chosen images: for the floor, as many training images as samples."""

    def __init__(
        self,
        images: Array,
        train_set: ImageSet,
        test_set: ImageSet,
        count: int,
        rng: numpy.random.Generator,
    ) -> None:
        rng = randomness.generator(rng)
        self.images, self.train_set, self.test_set = images, train_set, test_set
        n = min(count, len(images), len(train_set))
        self.samples = rng.choice(len(images), n, replace=False)
        self.train = rng.choice(len(train_set), n, replace=False)
        self.test = rng.choice(len(test_set), min(count, len(test_set)), replace=False)

    def fewer(self, count: int) -> _Drawn:
        """Return the first `count` of each, already in random order."""
        other = object.__new__(_Drawn)
        other.images, other.train_set, other.test_set = self.images, self.train_set, self.test_set
        other.samples, other.train, other.test = (
            self.samples[:count],
            self.train[:count],
            self.test[:count],
        )
        return other

    def pixels(self) -> tuple[Array, Array, Array]:
        """Return samples, training and test images, on the samples' device."""
        ops = backend.of(self.images)
        real = [
            ops.asarray(data.batch(chosen), dtype=self.images.dtype)
            for data, chosen in ((self.train_set, self.train), (self.test_set, self.test))
        ]
        return self.images[ops.asarray(self.samples)], real[0], real[1]


def _feature_rows(drawn: _Drawn, classifier: Classifier, rng: Any, k: int, say: Say) -> list[Row]:
    say("features of the classifier")
    fake = classifier.features(drawn.images, drawn.samples)
    floor = classifier.features(drawn.train_set, drawn.train)
    real = classifier.features(drawn.test_set, drawn.test)
    say("Fréchet classifier distance")
    rows = [
        Row(
            f"LeNet-FD (version {VERSION}; not FID)",
            frechet_distance(fake, real),
            frechet_distance(floor, real),
            "lower",
        )
    ]
    say("kernel distance")
    kernel = [kernel_distance(x, real, rng=rng) for x in (fake, floor)]
    rows.append(Row("kernel distance of LeNet features", kernel[0].mean, kernel[1].mean, "lower"))
    rows.append(
        Row("kernel distance, std over subsets", kernel[0].std, kernel[1].std, "as the floor")
    )
    say("precision, recall, density, coverage")
    rows += _prdc_rows(fake, floor, real, k)
    shares = [_class_shares(classifier, x) for x in (fake, floor, real)]
    rows.append(
        Row(
            "class shares, total variation",
            _variation(shares[0], shares[2]),
            _variation(shares[1], shares[2]),
            "lower",
        )
    )
    return rows


def _prdc_rows(fake: Array, floor: Array, real: Array, k: int) -> list[Row]:
    k = min(k, *(len(x) - 1 for x in (fake, floor, real)))
    ours, theirs = prdc(fake, real, k=k), prdc(floor, real, k=k)
    return [
        Row(f"precision (k={k})", ours.precision, theirs.precision, "higher"),
        Row(f"recall (k={k})", ours.recall, theirs.recall, "higher"),
        Row(f"density (k={k})", ours.density, theirs.density, "higher"),
        Row(f"coverage (k={k})", ours.coverage, theirs.coverage, "higher"),
    ]


def _class_shares(classifier: Classifier, features: Array) -> Any:
    """Share of each class among the classifier's predictions, on the host, shape (classes,)."""
    likeliest = backend.to_numpy(classifier.net[1](features).argmax(axis=1))
    return numpy.bincount(likeliest, minlength=classifier.classes) / len(likeliest)


def _variation(p: Any, q: Any) -> float:
    return float(abs(p - q).sum()) / 2


def _patch_rows(drawn: _Drawn, rng: Any, say: Say) -> list[Row]:
    say("sliced Wasserstein distance")
    fake, floor, real = drawn.pixels()
    ours, theirs = patch_distance(fake, real, rng=rng), patch_distance(floor, real, rng=rng)
    rows = [
        Row(f"sliced Wasserstein x1000, {size} px", mine, its, "lower")
        for (size, mine), (_, its) in zip(ours.levels, theirs.levels, strict=True)
    ]
    if len(rows) > 1:
        rows.append(Row("sliced Wasserstein x1000, average", ours.average, theirs.average, "lower"))
    return rows


def _neighbour_rows(drawn: _Drawn) -> list[Row]:
    """Distances to the nearest training image; test images, never copies, give the floor."""
    fake, _, real = drawn.pixels()
    found = copying(fake, drawn.train_set, real)
    ours, theirs = (float(numpy.median(d)) for d in (found.distance, found.unseen_distance))
    closer = "samples closer to a training image than test images are"
    return [
        Row("distance to nearest training image, median", ours, theirs, "as the floor"),
        Row(closer, found.share, 0.5, "as the floor"),
    ]


# ---------------------------------------------------------------- points


def evaluate_points(
    samples: Array,
    law: Law,
    *,
    rng: numpy.random.Generator,
    count: int = 2_500,
    k: int = 5,
    say: Say | None = None,
) -> Table:
    """Score 2-D points against the distribution that they should follow.

    Parameters
    ----------
    samples
        Generated points, shape (N, 2).
    law
        The distribution, such as ``minigan.data.distribution("ring")``. Of one that draws from
        given points (it has an attribute `points`), one half is the reference, and the other half
        gives the floor.
    rng
        Draws the points to use, new real points, and directions.
    count
        Largest number of points of each kind. The default is PacGAN's; the reverse KL depends on
        it.
    k
        The rank of the neighbour in precision, recall, density and coverage.
    say
        Called with a few words before each part.

    Returns
    -------
    Table
        First the modes, for a mixture; then, for any distribution, distances from new real points.

    Raises
    ------
    ValueError
        If the shape is wrong, values aren't finite, or there are fewer than two points, or four of
        the distribution's own.
    """
    samples = blocks.points(samples, "samples", at_least=2)
    rng, say, ops = randomness.generator(rng), say or (lambda words: None), backend.of(samples)
    if count < 2:
        raise ValueError(f"At least two points are needed, got count={count}; increase it.")
    n = int(min(count, len(samples), _drawable(law)))
    fake = samples[ops.asarray(rng.choice(len(samples), n, replace=False))]
    real, floor = (ops.asarray(x, dtype=samples.dtype) for x in _twice(law, n, rng))
    rows: list[Row] = []
    if law.centres is not None and law.std:
        say("modes")
        rows += _mode_rows(fake, floor, ops.asarray(law.centres, dtype=samples.dtype), law.std)
    say("sliced Wasserstein distance")
    distances = [sliced_wasserstein(x, real, rng=rng) for x in (fake, floor)]
    rows.append(Row("sliced Wasserstein", distances[0], distances[1], "lower"))
    say("precision, recall, density, coverage")
    rows += _prdc_rows(fake, floor, real, k)
    return Table(
        {"distribution": law.name, "samples": n, "real points (floor and reference each)": n},
        tuple(rows),
    )


def _drawable(law: Any) -> float:
    """How many points may be drawn twice without meeting one again."""
    given = getattr(law, "points", None)
    if given is None:
        return math.inf
    if len(given) < 4:
        raise ValueError(
            f"{law.name} has {len(given)} points, but at least 4 are needed: half of them for the "
            "reference, half for the floor; add points."
        )
    return len(given) // 2


def _twice(law: Any, n: int, rng: numpy.random.Generator) -> tuple[Any, Any]:
    """Draw n points twice, none of given ones in both: else the floor would be a comparison of
    points with themselves.
    """
    given = getattr(law, "points", None)
    if given is None:
        return law.sample(n, rng), law.sample(n, rng)
    order = rng.permutation(len(given))
    return given[order[:n]], given[order[n : 2 * n]]


def _mode_rows(fake: Array, floor: Array, centres: Array, std: float) -> list[Row]:
    ours, theirs = mode_report(fake, centres, std), mode_report(floor, centres, std)
    often = [mode_report(x, centres, std, min_share=0.01).covered for x in (fake, floor)]
    return [
        Row(f"modes covered, of {ours.modes} (one sample)", ours.covered, theirs.covered, "higher"),
        Row(f"modes covered, of {ours.modes} (1 % of samples)", often[0], often[1], "higher"),
        Row(
            "high-quality samples, %", 100 * ours.high_quality, 100 * theirs.high_quality, "higher"
        ),
        Row("reverse KL of modes, nats", ours.reverse_kl, theirs.reverse_kl, "lower"),
        Row("total variation of modes", ours.total_variation, theirs.total_variation, "lower"),
    ]

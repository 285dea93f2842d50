r"""A classifier whose features describe the content of images, trained here on the data set itself.

Distances between pixels say little about similarity, so image metrics compare features of a
network. The published Fréchet inception distance (FID) uses those of Inception, trained on
photographs. Here they come from a small convolutional net in the style of LeNet (LeCun et al.
1998), trained on the labels of the data set in question: strided convolutions until no side exceeds
7 pixels, then 64 features, then the classes.

The resulting Fréchet classifier distance is therefore called **LeNet-FD**, never FID. The number
depends on the classifier: if all features are scaled by two, the distance is four times as large;
if the classifier is trained with another seed, other directions matter. So numbers from two
classifiers, two versions of the training (`VERSION`) or two data sets can't be compared, nor can
any of them with a published FID. What can be compared are samples of several generators under the
same classifier and with the same number of samples, and each with the floor, real against real.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy

from minigan import backend, checkpoint, losses, nn, optim
from minigan.backend import Array
from minigan.files import written_whole
from minigan.metrics import blocks
from minigan.metrics.blocks import ImageSet
from minigan.metrics.frechet import frechet_distance

VERSION = 1
"""Increased whenever the net or its training changes, so that older cached weights aren't used."""

FEATURES = 64
"""Number of features of an image."""

_SMALLEST, _CHANNELS = 7, 32
_SEED, _EPOCHS, _FEWEST_STEPS, _BATCH = 0, 7, 600, 128
_RATE, _SHIFT, _DROPOUT = 2e-3, 2, 0.3
MOST_CLASSES = 10_000
"""More labels are numbers of another kind, such as years, and would make a huge net."""
_AT_ONCE = 256

Progress = Callable[[int, int, float], None]
_Set = TypeVar("_Set", bound=ImageSet)


class Classifier:
    """A trained classifier, and its accuracy.

    Attributes
    ----------
    name
        The data set that it was trained on.
    key
        Identifies the data set, its contents and the version: the name of the cached file.
    accuracy
        Share of the test images that it classifies correctly, 0 to 1.
    tested
        Number of test images.
    image_shape
        (H, W, C).
    classes
        Number of classes.
    net
        A sequence of two nets: images to features, features to logits.
    """

    def __init__(
        self, net: nn.Sequential, *, name: str, key: str, image_shape: tuple[int, ...], classes: int
    ) -> None:
        self.net, self.name, self.key = net, name, key
        self.image_shape, self.classes = image_shape, classes
        self.accuracy, self.tested = float("nan"), 0

    def __str__(self) -> str:
        return (
            f"LeNet classifier of {self.name}, version {VERSION}: {100 * self.accuracy:.2f} % of "
            f"{self.tested:,} test images correct"
        )

    def to(self, device: str) -> Self:
        """Move to ``"cpu"``, ``"cuda"`` or ``"auto"`` in place; return the classifier."""
        self.net.to(device)
        return self

    def features(self, images: Array | ImageSet, indices: Any = None) -> Array:
        """Return the features of images, computed a block at a time.

        Parameters
        ----------
        images
            Shape (N, H, W, C) in [-1, 1], or a data set. Moved to the classifier's device.
        indices
            Which images to use, integers of shape (n,); None for all.

        Returns
        -------
        array, shape (n, FEATURES), float32
            The outputs of the last hidden layer, after its activation, on the classifier's device.

        Raises
        ------
        ValueError
            If the images have another shape, or hold NaN or infinity.
        TypeError
            If they aren't floating-point numbers.
        """
        return self._map(self.net[0], images, indices)

    def classify(self, images: Array | ImageSet, indices: Any = None) -> Array:
        """Return the most likely class of each image, integers (n,); otherwise as `features`."""
        return self._map(self.net, images, indices).argmax(axis=1)

    def _map(self, net: nn.Layer, images: Any, indices: Any) -> Array:
        ops = backend.of(self.net.flat().value)
        chosen = numpy.arange(len(images)) if indices is None else numpy.asarray(indices)
        parts = []
        for start in range(0, len(chosen), _AT_ONCE):
            some = _take(images, chosen[start : start + _AT_ONCE])
            if tuple(some.shape[1:]) != self.image_shape:
                raise ValueError(
                    f"The images have shape {tuple(some.shape[1:])}, but the classifier of "
                    f"{self.name} was trained on {self.image_shape}; give images of that shape."
                )
            on_device = some if backend.of(some) is ops else ops.asarray(backend.to_numpy(some))
            parts.append(net(blocks.images(on_device, "images")))
        if not parts:
            raise ValueError("There are no images to classify; give at least one.")
        return ops.xp.concatenate(parts)


def frechet_classifier_distance(
    samples: Array | ImageSet, reference: Array | ImageSet, classifier: Classifier
) -> float:
    """LeNet-FD: the Fréchet distance between a classifier's features of samples and real images.

    This isn't FID. It depends on `classifier`, so only compare numbers with the same classifier
    (the same `Classifier.key`) and the same number of samples, and look at the floor: the distance
    between two sets of real images.

    Parameters
    ----------
    samples
        Shape (N, H, W, C) in [-1, 1], or a data set, N >= 2.
    reference
        Real images, preferably those of a test split.
    classifier
        From `classifier_for` or `train_classifier`.

    Returns
    -------
    float
        d² >= 0; see `minigan.metrics.frechet`.

    Raises
    ------
    ValueError
        If the shapes don't match or the values aren't finite.
    """
    return frechet_distance(classifier.features(samples), classifier.features(reference))


# ---------------------------------------------------------------- trained once, then cached


def classifier_for(
    train: ImageSet,
    test: ImageSet,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Read the classifier of a data set from the cache, or train and cache it.

    Parameters
    ----------
    train, test
        Images with labels; `test` is only used to measure the accuracy.
    cache_dir
        Folder for the weights, created if necessary; None for the platform's cache folder.
    progress
        Called as ``progress(step, steps, loss)`` during training, if the cache is empty.

    Returns
    -------
    Classifier
        On the CPU.

    Raises
    ------
    ValueError
        If the data sets have no labels, or don't fit each other.
    OSError
        If the folder can't be written to; this is checked before the training.

    Notes
    -----
    The file is named after the data set, a hash of both splits and `VERSION`, so a change of any of
    them trains a new classifier. It is written atomically, and replaced if it can't be read.
    """
    test = alike(train, test)
    folder = _cache_folder(cache_dir)
    path = folder / f"{_key(train, test)}.safetensors"
    try:
        return _read(path, train)
    except ValueError:  # CheckpointError among them: not there yet, or damaged
        _require_writable(folder)
    classifier = train_classifier(train, test, progress=progress)
    description = {
        "accuracy": classifier.accuracy,
        "tested": classifier.tested,
        "classes": classifier.classes,
    }
    checkpoint.save(path, classifier.net.state_dict(), description)
    return classifier


def train_classifier(
    train: ImageSet, test: ImageSet, *, steps: int | None = None, progress: Progress | None = None
) -> Classifier:
    """Train the classifier of a data set, from a fixed seed.

    Parameters
    ----------
    train, test
        Images with labels; `test` is only used to measure the accuracy.
    steps
        Minibatches of 128 images; None for seven epochs, but at least 600 minibatches.
    progress
        Called as ``progress(step, steps, loss)`` after each step.

    Returns
    -------
    Classifier
        On the CPU.

    Raises
    ------
    ValueError
        If the data sets have no labels, or don't fit each other.
    """
    test = alike(train, test)
    labels = _checked_labels(train, test)
    classifier = _untrained(train, key=_key(train, test), classes=int(labels.max()) + 1)
    _fit(classifier.net, train, labels, steps or _default_steps(len(train)), progress)
    right = backend.to_numpy(classifier.classify(test)) == numpy.asarray(test.labels)
    classifier.accuracy, classifier.tested = float(right.mean()), len(test)
    return classifier


def split(data: _Set, *, test_share: float = 0.2, seed: int = 0) -> tuple[_Set, _Set]:
    """Split a data set that has no test split (such as the digits), always in the same way.

    Parameters
    ----------
    data
        A dataclass with `images`, `labels` and `name`, such as `minigan.data.Dataset`.
    test_share
        Share of the images for the test split, between 0 and 1.
    seed
        Seed of the permutation.

    Returns
    -------
    train, test
        Data sets of the type of `data`; each image is in exactly one of them.

    Raises
    ------
    ValueError
        If one part would be empty.
    """
    held_out = round(len(data) * test_share)
    if not 0 < held_out < len(data):
        raise ValueError(
            f"A test share of {test_share} of {len(data)} images leaves one split empty; choose "
            "another between 0 and 1."
        )
    order = numpy.random.default_rng(seed).permutation(len(data))
    return _part(data, numpy.sort(order[held_out:])), _part(data, numpy.sort(order[:held_out]))


def _part(data: Any, indices: Any) -> Any:
    parts = ("images", "labels", "whole")  # the whole pictures, of which crops are taken
    held = {name: getattr(data, name, None) for name in parts}
    return dataclasses.replace(data, **{n: a[indices] for n, a in held.items() if a is not None})


# ---------------------------------------------------------------- the net and its training


def build_net(
    image_shape: tuple[int, ...], classes: int, *, rng: numpy.random.Generator
) -> nn.Sequential:
    """Return the untrained net: images to `FEATURES` features, features to logits.

    Parameters
    ----------
    image_shape
        (H, W, C).
    classes
        Number of classes.
    rng
        Draws the initial weights and the dropout masks.

    Returns
    -------
    Sequential
        Of two Sequentials.
    """
    height, width, channels = image_shape
    layers: list[nn.Layer] = []
    wide = _CHANNELS
    while max(height, width) > _SMALLEST and min(height, width) > 1:
        convolution = nn.Conv2d(
            channels, wide, kernel_size=4, stride=2, padding=1, bias=False, rng=rng
        )
        layers += [convolution, nn.BatchNorm(wide), nn.LeakyReLU(0.1)]
        height, width, channels = height // 2, width // 2, wide
        wide = min(2 * wide, 4 * _CHANNELS)
    hidden = nn.Linear(height * width * channels, FEATURES, rng=rng)
    body = nn.Sequential(*layers, nn.Flatten(), hidden, nn.LeakyReLU(0.1))
    return nn.Sequential(
        body, nn.Sequential(nn.Dropout(_DROPOUT, rng=rng), nn.Linear(FEATURES, classes, rng=rng))
    )


def _fit(
    net: nn.Sequential, train: ImageSet, labels: Any, steps: int, progress: Progress | None
) -> None:
    rng = numpy.random.default_rng([_SEED, VERSION])
    optimizer = optim.Adam(net, lr=_RATE, betas=(0.9, 0.999))
    for step, indices in enumerate(_minibatches(len(train), steps, rng)):
        optimizer.lr = _RATE * (1 - step / steps)
        logits, cache = net.forward(_shifted(train.batch(indices), rng), train=True)
        loss, dlogits = losses.cross_entropy(logits, labels[indices])
        optimizer.zero_grad()
        net.backward(dlogits, cache, input_grad=False)
        optimizer.step()
        if progress is not None:
            progress(step + 1, steps, float(loss))


def _minibatches(n: int, steps: int, rng: numpy.random.Generator) -> Any:
    """Yield `steps` arrays of indices; each epoch is a permutation without its incomplete batch."""
    size = min(_BATCH, n)
    done = 0
    while done < steps:
        order = rng.permutation(n)
        for start in range(0, n - size + 1, size)[: steps - done]:
            yield order[start : start + size]
            done += 1


def _shifted(images: Any, rng: numpy.random.Generator) -> Any:
    """Shift each image by up to two pixels, repeating the border: its class stays the same."""
    n, height, width, _ = images.shape
    padded = numpy.pad(images, ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)), mode="edge")
    top, left = rng.integers(0, 2 * _SHIFT + 1, (2, n, 1, 1))
    rows, columns = numpy.arange(height)[None, :, None], numpy.arange(width)[None, None, :]
    return padded[numpy.arange(n)[:, None, None], top + rows, left + columns]


def _default_steps(n: int) -> int:
    return max(_FEWEST_STEPS, _EPOCHS * n // _BATCH)


def _untrained(train: ImageSet, *, key: str, classes: int) -> Classifier:
    shape = tuple(int(size) for size in train.images.shape[1:])
    net = build_net(shape, classes, rng=numpy.random.default_rng(_SEED))
    return Classifier(net, name=train.name, key=key, image_shape=shape, classes=classes)


def alike(train: Any, test: Any) -> Any:
    """Number the classes of test images as those of the training images of the same names are.

    Raises
    ------
    ValueError
        If there is a class that the training images don't have.
    """
    known, own = (getattr(part, "class_names", None) for part in (train, test))
    if known == own or known is None or own is None or test.labels is None:
        return test
    if not set(own) <= set(known):
        other = next(name for name in own if name not in known)
        raise ValueError(
            f"The test images of {test.name!r} have a class {other!r}, which the training images "
            "don't have; leave it out, or evaluate without a classifier (classifier=None)."
        )
    number = numpy.array([known.index(name) for name in own])
    return dataclasses.replace(test, labels=number[test.labels], class_names=known)


def _checked_labels(train: ImageSet, test: ImageSet) -> Any:
    for what, data in (("training", train), ("test", test)):
        if data.labels is None:
            raise ValueError(
                f"The {what} images of {data.name!r} have no labels, so no classifier can be "
                "trained; evaluate without one (classifier=None)."
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"The training images have shape {train.images.shape[1:]}, the test images "
            f"{test.images.shape[1:]}; both need the same shape."
        )
    why = obstacle(train)
    if why:
        raise ValueError(why)
    return numpy.asarray(train.labels)


def obstacle(train: ImageSet) -> str | None:
    """Say why labels can't be learnt by a classifier; None if they can."""
    labels = numpy.asarray(train.labels)
    if labels.min() == labels.max():
        return (
            f"All training images of {train.name!r} have one label; a classifier needs two or more."
        )
    if labels.max() >= MOST_CLASSES:
        return (
            f"{train.name!r} has a label {labels.max():,}, but a classifier learns the labels 0 to "
            f"{MOST_CLASSES - 1:,}; number the classes from 0."
        )
    return None


# ---------------------------------------------------------------- the cache


def _key(train: ImageSet, test: ImageSet) -> str:
    digest = hashlib.sha256()
    for data in (train, test):
        for array in (data.images, data.labels):
            plain = numpy.ascontiguousarray(array if array is not None else 0)
            digest.update(f"{plain.dtype.str}{plain.shape}".encode())
            digest.update(plain.data)
    name = re.sub(r"[^a-z0-9]+", "-", train.name.lower()).strip("-") or "images"
    return f"lenet-{name[:40]}-{digest.hexdigest()[:16]}-v{VERSION}"


def _cache_folder(cache_dir: str | os.PathLike[str] | None) -> Path:
    if cache_dir is not None:
        return Path(cache_dir)
    import pooch

    return Path(pooch.os_cache("minigan")) / "classifiers"


def _read(path: Path, train: ImageSet) -> Classifier:
    arrays, description = checkpoint.load(path)
    try:
        classes, accuracy, tested = (
            description[name] for name in ("classes", "accuracy", "tested")
        )
        classifier = _untrained(train, key=path.stem, classes=int(classes))
        classifier.accuracy, classifier.tested = float(accuracy), int(tested)
    except (KeyError, TypeError) as error:
        raise checkpoint.CheckpointError(f"{path} isn't a classifier; delete it.") from error
    classifier.net.load_state_dict(arrays)
    return classifier


def _require_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with written_whole(folder / ".writable") as trial:
            trial.write_bytes(b"")
        (folder / ".writable").unlink(missing_ok=True)
    except OSError as error:
        raise OSError(
            f"The classifier's weights can't be written to {folder} ({error.strerror or error}); "
            "give another folder as cache_dir."
        ) from None


def _take(images: Any, indices: Any) -> Array:
    if hasattr(images, "batch"):
        return images.batch(indices)
    return images[backend.of(images).asarray(indices)]

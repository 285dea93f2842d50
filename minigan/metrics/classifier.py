r"""The classifier whose features stand for "what an image shows", trained by this library on the
data set itself.

Distances between pixels say little about likeness, so image metrics compare features of a network.
The published Fréchet inception distance (FID) takes those of Inception, trained on photographs.
Ours come from a small convolutional net in the style of LeNet (LeCun et al. 1998), trained on the
labels of the very data set in question: strided convolutions until no side exceeds 7 pixels, then
64 features, then the classes.

Hence the name **LeNet-FD**, Fréchet classifier distance, and never FID. The number depends on the
classifier: scale all its features by two and the distance grows fourfold; train it anew and other
directions matter. So numbers of two classifiers, of two versions of the recipe (`VERSION`) or of
two data sets can't be compared, nor can any of them with a published FID. What can be compared:
samples of several generators under one classifier at one number of samples, and each with the
floor, real against real.
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
"""Raised whenever the net or its training changes: older cached weights are then left alone."""

FEATURES = 64
"""Features of an image."""

_SMALLEST, _CHANNELS = 7, 32
_SEED, _EPOCHS, _FEWEST_STEPS, _BATCH = 0, 7, 600, 128
_RATE, _SHIFT, _DROPOUT = 2e-3, 2, 0.3
_AT_ONCE = 256

Progress = Callable[[int, int, float], None]
_Set = TypeVar("_Set", bound=ImageSet)


class Classifier:
    """A trained classifier, and how good it is.

    Attributes
    ----------
    name
        The data set that it was trained on.
    key
        Names data set, its contents and the recipe: the name of the cached file.
    accuracy
        Share of the test images that it classifies rightly, 0 to 1.
    tested
        How many test images.
    image_shape
        (H, W, C).
    classes
        How many classes.
    net
        Two nets in a row: images to features, features to logits.
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
            f"{self.tested:,} "
            f"test images right"
        )

    def to(self, device: str) -> Self:
        """Move to ``"cpu"``, ``"cuda"`` or ``"auto"`` in place; return the classifier."""
        self.net.to(device)
        return self

    def features(self, images: Array | ImageSet, indices: Any = None) -> Array:
        """Features of images, a block at a time.

        Parameters
        ----------
        images
            Shape (N, H, W, C) in [-1, 1], or a data set. Brought to the classifier's device.
        indices
            Which of them, integers of shape (n,); None: all.

        Returns
        -------
        array, shape (n, FEATURES), float32
            The outputs of the last hidden layer, after its activation, on the classifier's device.

        Raises
        ------
        ValueError
            If the images have another shape, or hold NaN or infinity.
        TypeError
            If they are no floating-point numbers.
        """
        return self._map(self.net[0], images, indices)

    def classify(self, images: Array | ImageSet, indices: Any = None) -> Array:
        """The likeliest class of each image, integers of shape (n,); otherwise as `features`."""
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
                    f"{self.name} was "
                    f"trained on {self.image_shape}; give images of that shape."
                )
            on_device = some if backend.of(some) is ops else ops.asarray(backend.to_numpy(some))
            parts.append(net(blocks.images(on_device, "images")))
        if not parts:
            raise ValueError("There are no images to look at; give at least one.")
        return ops.xp.concatenate(parts)


def frechet_classifier_distance(
    samples: Array | ImageSet, reference: Array | ImageSet, classifier: Classifier
) -> float:
    """LeNet-FD: the Fréchet distance between the classifier's features of samples and of real
    images.

    This is not FID. It depends on `classifier`, so compare it only under one classifier (one
    `Classifier.key`) and one number of samples, and look at the floor: the same distance of real
    images from other real images.

    Parameters
    ----------
    samples
        Shape (N, H, W, C) in [-1, 1], or a data set, N >= 2.
    reference
        Real images, best those of a test split.
    classifier
        From `classifier_for` or `train_classifier`.

    Returns
    -------
    float
        d² >= 0; see `minigan.metrics.frechet`.

    Raises
    ------
    ValueError
        If the shapes don't fit or numbers are not finite.
    """
    return frechet_distance(classifier.features(samples), classifier.features(reference))


# ---------------------------------------------------------------- made once, then read


def classifier_for(
    train: ImageSet,
    test: ImageSet,
    *,
    cache_dir: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Classifier:
    """Read the classifier of a data set from the cache, or train it and put it there.

    Parameters
    ----------
    train, test
        Images with labels; `test` only measures the accuracy.
    cache_dir
        Where the weights are kept, created if need be; None: the platform's cache folder for
        minigan.
    progress
        Called as ``progress(step, steps, loss)`` while it trains; not at all where it is read.

    Returns
    -------
    Classifier
        On the CPU.

    Raises
    ------
    ValueError
        If the data sets have no labels, or don't fit each other.
    OSError
        If the folder can't be written (said before the training, not after it).

    Notes
    -----
    The file is named after the data set, a hash of both splits and the recipe's version, so a
    change of any of them trains anew. It is written whole or not at all; one that can't be read is
    replaced.
    """
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
        Images with labels; `test` only measures the accuracy.
    steps
        Minibatches of 128 images; None: seven epochs, and at least 600.
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
    labels = _checked_labels(train, test)
    classifier = _untrained(train, key=_key(train, test), classes=int(labels.max()) + 1)
    _fit(classifier.net, train, labels, steps or _default_steps(len(train)), progress)
    right = backend.to_numpy(classifier.classify(test)) == numpy.asarray(test.labels)
    classifier.accuracy, classifier.tested = float(right.mean()), len(test)
    return classifier


def split(data: _Set, *, test_share: float = 0.2, seed: int = 0) -> tuple[_Set, _Set]:
    """Split a data set that comes in one piece (the digits) into a training and a test part, always
    the same way.

    Parameters
    ----------
    data
        A dataclass with `images`, `labels` and `name`, such as `minigan.data.Dataset`.
    test_share
        Share of the images that goes into the test part, between 0 and 1.
    seed
        Of the permutation.

    Returns
    -------
    train, test
        Of the type of `data`; each image is in exactly one of them.

    Raises
    ------
    ValueError
        If one part would be empty.
    """
    held_out = round(len(data) * test_share)
    if not 0 < held_out < len(data):
        raise ValueError(
            f"A test share of {test_share} of {len(data)} images leaves a part empty; choose one "
            "between 0 and 1."
        )
    order = numpy.random.default_rng(seed).permutation(len(data))
    return _part(data, numpy.sort(order[held_out:])), _part(data, numpy.sort(order[:held_out]))


def _part(data: Any, indices: Any) -> Any:
    labels = None if data.labels is None else data.labels[indices]
    return dataclasses.replace(data, images=data.images[indices], labels=labels)


# ---------------------------------------------------------------- the net and its training


def build_net(
    image_shape: tuple[int, ...], classes: int, *, rng: numpy.random.Generator
) -> nn.Sequential:
    """The untrained net: images to `FEATURES` features, features to logits.

    Parameters
    ----------
    image_shape
        (H, W, C).
    classes
        How many.
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
    """Yield `steps` arrays of indices, epoch after epoch, each a permutation; the rest of an epoch
    is dropped.
    """
    size = min(_BATCH, n)
    done = 0
    while done < steps:
        order = rng.permutation(n)
        for start in range(0, n - size + 1, size)[: steps - done]:
            yield order[start : start + size]
            done += 1


def _shifted(images: Any, rng: numpy.random.Generator) -> Any:
    """Shift each image by up to two pixels, repeating the border: what is shown doesn't depend on
    where it is.
    """
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


def _checked_labels(train: ImageSet, test: ImageSet) -> Any:
    for what, data in (("training", train), ("test", test)):
        if data.labels is None:
            raise ValueError(
                f"The {what} images of {data.name!r} have no labels, so no classifier can be "
                "trained; evaluate "
                f"without one (classifier=None)."
            )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"The training images have shape {train.images.shape[1:]}, the test images "
            f"{test.images.shape[1:]}; "
            f"both need the same."
        )
    labels = numpy.asarray(train.labels)
    if labels.min() == labels.max():
        raise ValueError(
            f"All training images of {train.name!r} have one label; a classifier needs two or more."
        )
    return labels


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
        raise checkpoint.CheckpointError(f"{path} holds no classifier; delete it.") from error
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
            f"The classifier's weights can't be kept in {folder} ({error.strerror or error}); "
            "give another folder "
            f"as cache_dir."
        ) from None


def _take(images: Any, indices: Any) -> Array:
    if hasattr(images, "batch"):
        return images.batch(indices)
    return images[backend.of(images).asarray(indices)]

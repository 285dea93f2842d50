"""Does a classifier recognise the samples: how surely, and all classes alike?"""

from __future__ import annotations

from typing import Any

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.metrics.classifier import Classifier
from minigan.metrics.table import Row

SURE = 0.9
"""Probability above which a sample counts as recognised."""


def probabilities(classifier: Classifier, images: Any) -> NDArray[Any]:
    """Return the classifier's probabilities of each class, shape (N, classes)."""
    logits = backend.to_numpy(classifier.net[1](classifier.features(images)))
    raised = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def naming_rows(samples: Any, real: Any, classifier: Classifier) -> tuple[Row, ...]:
    """Score how a classifier names samples, beside how it names real ones.

    Parameters
    ----------
    samples, real
        Images of the classifier's shape, or data sets.
    classifier
        From `minigan.metrics.classifier_for`.

    Returns
    -------
    tuple of Row
        The share of the samples that it names with a probability above 0.9, and the share of the
        class that it names most rarely, both in per cent.
    """
    ours, theirs = (probabilities(classifier, x) for x in (samples, real))
    return (
        Row(f"named at over {SURE}, %", _sure(ours), _sure(theirs), "higher"),
        Row("share of the rarest class, %", _rarest(ours), _rarest(theirs), "higher"),
    )


def _sure(p: NDArray[Any]) -> float:
    return 100 * float((p.max(axis=1) > SURE).mean())


def _rarest(p: NDArray[Any]) -> float:
    shares = numpy.bincount(p.argmax(axis=1), minlength=p.shape[1]) / len(p)
    return 100 * float(shares.min())

r"""Memorising told apart: are samples closer to the training images than unseen images are?

Let :math:`d(x)` be the distance of an image to its nearest training image. Samples x and test
images t are two sets of numbers then, and the measure is the probability that a sample is closer,

.. math:: s = P(d(x) < d(t)) + \tfrac12 P(d(x) = d(t)),

the Mann-Whitney statistic divided by the number of pairs (Meehan, Chaudhuri and Dasgupta, "A
non-parametric test to detect data-copying in generative models", AISTATS 2020, section 3, without
its cells). Copies of the training images give 1, fresh draws from the distribution of the data
about 1/2, with a standard error of :math:`\sqrt{(n + m + 1) / (12 nm)}` for n samples and m test
images, and samples far from the data 0. As blurred images are close to everything, s > 1/2 suspects
the pairs, and the eye judges them: `Copying.suspects` finds those to look at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from minigan import backend
from minigan.backend import Array
from minigan.metrics.blocks import ImageSet
from minigan.metrics.neighbours import nearest_neighbours


@dataclass(frozen=True, eq=False)
class Copying:
    """Distances to the nearest training image, on the host.

    Attributes
    ----------
    distance
        Of each sample, float64, shape (n,).
    index
        The training image that it is closest to, int64, shape (n,).
    unseen_distance, unseen_index
        The same for the test images, shape (m,).
    """

    distance: NDArray[numpy.float64]
    index: NDArray[numpy.int64]
    unseen_distance: NDArray[numpy.float64]
    unseen_index: NDArray[numpy.int64]

    @property
    def share(self) -> float:
        """The probability s that a sample is closer than a test image; a tie counts half."""
        unseen = numpy.sort(self.unseen_distance)
        farther = len(unseen) - numpy.searchsorted(unseen, self.distance, side="right")
        as_far = len(unseen) - numpy.searchsorted(unseen, self.distance, side="left") - farther
        return float((farther + as_far / 2).mean() / len(unseen))

    @property
    def standard_error(self) -> float:
        """The standard error of `share` for fresh draws."""
        n, m = len(self.distance), len(self.unseen_distance)
        return math.sqrt((n + m + 1) / (12 * n * m))

    def suspects(self, count: int) -> NDArray[numpy.intp]:
        """Return the indices of the samples that are closest, the closest first."""
        return numpy.argsort(self.distance, kind="stable")[:count]

    def closest_unseen(self, count: int) -> NDArray[numpy.intp]:
        """Return the indices of the test images that are closest, to compare `suspects` with."""
        return numpy.argsort(self.unseen_distance, kind="stable")[:count]


def copying(samples: Array, training: Array | ImageSet, unseen: Array) -> Copying:
    """Compare samples with unseen data by their distances to the nearest training examples.

    Parameters
    ----------
    samples, unseen
        Generated images and test images, or features of either, shapes (n, ...) and (m, ...).
    training
        An array of shape (M, ...), or a data set, as for `minigan.metrics.nearest_neighbours`.

    Returns
    -------
    Copying

    Raises
    ------
    ValueError
        If the shapes don't match, values aren't finite, or a set is empty.
    TypeError
        If the arrays aren't on one device.
    """
    found = [nearest_neighbours(x, training) for x in (samples, unseen)]
    distances, indices = (
        [backend.to_numpy(getattr(near, name))[:, 0] for near in found]
        for name in ("distance", "index")
    )
    return Copying(distances[0], indices[0], distances[1], indices[1])

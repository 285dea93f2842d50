"""Data: 2-D distributions, digits, faces, MNIST, CIFAR-10, pairs, text, and your own images.

>>> from minigan import data
>>> digits = data.load("digits")
>>> len(digits), digits.image_shape
(1797, (16, 16, 1))

Randomness comes only from the generator that is passed in; importing this package reads no files.
"""

from minigan.data.cifar import cifar10
from minigan.data.dataset import Batches, Dataset
from minigan.data.digits import cubic_matrix, digits
from minigan.data.errors import DataError
from minigan.data.folder import fit, image_folder
from minigan.data.grammar import ENGLISH, MOTIFS, Grammar
from minigan.data.idx import read_idx, write_idx
from minigan.data.loading import DATASETS, load
from minigan.data.mnist import fashion_mnist, mnist
from minigan.data.pairs import PAIRS, Pair, PairBatches, Pairs, edges, holes, pairs
from minigan.data.partly import PartlyLabelled
from minigan.data.points import PointSet, point_set, points
from minigan.data.stacked import stack, stacked_mnist
from minigan.data.stream import Stream
from minigan.data.text import TEXTS, Text, text
from minigan.data.toys import (
    DISTRIBUTIONS,
    Distribution,
    distribution,
    gaussian_curve,
    grid,
    grid_centres,
    moons,
    parabola,
    ring,
    ring_centres,
    spiral,
)
from minigan.data.varied import Roomy, VariedBatches, roomy
from minigan.data.zoo import avatars, cartoons, emoji, glyphs, kana

__all__ = [
    "DATASETS",
    "DISTRIBUTIONS",
    "ENGLISH",
    "MOTIFS",
    "PAIRS",
    "TEXTS",
    "Batches",
    "DataError",
    "Dataset",
    "Distribution",
    "Grammar",
    "Pair",
    "PairBatches",
    "Pairs",
    "PartlyLabelled",
    "PointSet",
    "Roomy",
    "Stream",
    "Text",
    "VariedBatches",
    "avatars",
    "cartoons",
    "cifar10",
    "cubic_matrix",
    "digits",
    "distribution",
    "edges",
    "emoji",
    "fashion_mnist",
    "fit",
    "gaussian_curve",
    "glyphs",
    "grid",
    "grid_centres",
    "holes",
    "image_folder",
    "kana",
    "load",
    "mnist",
    "moons",
    "pairs",
    "parabola",
    "point_set",
    "points",
    "read_idx",
    "ring",
    "ring_centres",
    "roomy",
    "spiral",
    "stack",
    "stacked_mnist",
    "text",
    "write_idx",
]

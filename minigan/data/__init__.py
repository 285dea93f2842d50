"""Data: 2-D points, digits, MNIST, CIFAR-10, pairs, sounds, films, text, and your own files.

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
from minigan.data.films import FILMS, Films, bounced, moving_digits
from minigan.data.folder import fit, image_folder
from minigan.data.grammar import ENGLISH, MOTIFS, Grammar
from minigan.data.idx import read_idx, write_idx
from minigan.data.loading import DATASETS, has_sounds, has_test_split, load
from minigan.data.mnist import fashion_mnist, mnist
from minigan.data.pairs import PAIRS, Pair, PairBatches, Pairs, edges, holes, pairs
from minigan.data.partly import PartlyLabelled
from minigan.data.points import PointSet, point_set, points
from minigan.data.sounds import SOUNDS, Sounds, sound_folder, spoken_digits, tones
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
from minigan.data.waves import GAP, player, read_wav, resampled, spectrogram, write_wav
from minigan.data.zoo import avatars, cartoons, emoji, glyphs, kana

__all__ = [
    "DATASETS",
    "DISTRIBUTIONS",
    "ENGLISH",
    "FILMS",
    "GAP",
    "MOTIFS",
    "PAIRS",
    "SOUNDS",
    "TEXTS",
    "Batches",
    "DataError",
    "Dataset",
    "Distribution",
    "Films",
    "Grammar",
    "Pair",
    "PairBatches",
    "Pairs",
    "PartlyLabelled",
    "PointSet",
    "Roomy",
    "Sounds",
    "Stream",
    "Text",
    "VariedBatches",
    "avatars",
    "bounced",
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
    "has_sounds",
    "has_test_split",
    "holes",
    "image_folder",
    "kana",
    "load",
    "mnist",
    "moons",
    "moving_digits",
    "pairs",
    "parabola",
    "player",
    "point_set",
    "points",
    "read_idx",
    "read_wav",
    "resampled",
    "ring",
    "ring_centres",
    "roomy",
    "sound_folder",
    "spectrogram",
    "spiral",
    "spoken_digits",
    "stack",
    "stacked_mnist",
    "text",
    "tones",
    "write_idx",
    "write_wav",
]

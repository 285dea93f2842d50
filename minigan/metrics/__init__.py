"""Metrics of sample quality: distances, modes and neighbours, to be compared with their floors.

=====================  =============================================================================
`mode_report`          modes covered, high-quality samples and reverse KL, for 2-D mixtures
`frechet_distance`     Fréchet distance between Gaussians fitted to features
`kernel_distance`      squared maximum mean discrepancy with a cubic kernel (the estimator of KID)
`prdc`                 precision, recall, density and coverage
`sliced_wasserstein`   for points; `patch_distance` is the same for patches of images, by scale
`matched_accuracy`     do clusters found without labels agree with the labels?
`nearest_neighbours`   the nearest training data: does the generator copy?
`copying`              are samples closer to the training data than unseen data are?
`classifier_for`       the small classifier whose features are compared, trained here and cached
`js_divergence`        between the n-grams of two texts
`tone_rows`            are tones in tune?  `pitches` are measured by the Fourier transform
`naming_rows`          how surely does the classifier name the samples, and all classes alike?
`film_rows`            does what moves keep to a straight path, and to its class?
`evaluate_images`      all metrics for images; `evaluate_points` for points
`evaluate_text`        all metrics for lines of text
=====================  =============================================================================
"""

from minigan.metrics.classifier import (
    Classifier,
    classifier_for,
    frechet_classifier_distance,
    split,
    train_classifier,
)
from minigan.metrics.clusters import matched_accuracy
from minigan.metrics.copying import Copying, copying
from minigan.metrics.evaluate import evaluate_images, evaluate_points
from minigan.metrics.films import centres, film_rows, off_path, same_class, straight
from minigan.metrics.frechet import frechet_distance, frechet_gaussian
from minigan.metrics.kid import KernelDistance, kernel_distance, mmd2
from minigan.metrics.modes import ModeReport, ideal_modes, mode_report, reverse_kl
from minigan.metrics.naming import naming_rows, probabilities
from minigan.metrics.neighbours import Neighbours, nearest_neighbours
from minigan.metrics.pairs import evaluate_pairs, sharpness
from minigan.metrics.prdc import PRDC, expected_coverage, prdc
from minigan.metrics.sounds import cents, pitches, tone_rows
from minigan.metrics.swd import PatchDistance, patch_distance, sliced_wasserstein
from minigan.metrics.table import Row, Table
from minigan.metrics.text import evaluate_text, js_divergence, ngrams

__all__ = [
    "PRDC",
    "Classifier",
    "Copying",
    "KernelDistance",
    "ModeReport",
    "Neighbours",
    "PatchDistance",
    "Row",
    "Table",
    "centres",
    "cents",
    "classifier_for",
    "copying",
    "evaluate_images",
    "evaluate_pairs",
    "evaluate_points",
    "evaluate_text",
    "expected_coverage",
    "film_rows",
    "frechet_classifier_distance",
    "frechet_distance",
    "frechet_gaussian",
    "ideal_modes",
    "js_divergence",
    "kernel_distance",
    "matched_accuracy",
    "mmd2",
    "mode_report",
    "naming_rows",
    "nearest_neighbours",
    "ngrams",
    "off_path",
    "patch_distance",
    "pitches",
    "prdc",
    "probabilities",
    "reverse_kl",
    "same_class",
    "sharpness",
    "sliced_wasserstein",
    "split",
    "straight",
    "tone_rows",
    "train_classifier",
]

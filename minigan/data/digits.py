r"""The handwritten digits that come with the library: 1,797 real images, no download.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning
Repository, https://doi.org/10.24432/C50P49, CC BY 4.0 (``DIGITS-LICENSE.txt`` beside this file).
Each pixel counts the inked cells of a block of 4 x 4 bitmap cells, 0 to 16; there are 8 x 8 blocks.

At their native size, the strokes touch the border, and neighbouring digits in a grid run together.
By default, the images are therefore enlarged one and a half times and padded with two pixels of
background on each side.

Enlarging by a matrix
---------------------
Resampling a row of pixels is linear, so it is multiplication by a matrix R of shape (new, old), and
an image X is resampled along both axes as R X Rᵀ. With pixels as equal cells of the unit interval,
the centre of new pixel i is at

    s(i) = (i + 1/2) old / new - 1/2

in the coordinates of the old pixels. The weight of old pixel j is k(s(i) - j), where k is Keys'
cubic convolution kernel (R. Keys, "Cubic convolution interpolation for digital image processing",
IEEE Trans. ASSP 29, 1981) with a = -1/2, the only value for which quadratics are reproduced
exactly:

    k(t) = (a + 2)|t|³ - (a + 3)|t|² + 1          for |t| <= 1
    k(t) = a|t|³ - 5a|t|² + 8a|t| - 4a            for 1 < |t| < 2.

k is 1 at 0 and 0 at every other integer, so it interpolates, and the four weights at any s add up
to 1. Beyond the border, the outermost pixel is repeated: its column of R collects the weights that
fall outside.
"""

from __future__ import annotations

from importlib import resources

import numpy
import numpy.typing as npt

from minigan.data.dataset import Dataset

__all__ = ["cubic_matrix", "digits"]

_SOURCE = (
    "Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), "
    "UCI Machine Learning Repository, doi:10.24432/C50P49, CC BY 4.0"
)
_SIDE, _ENLARGED, _MARGIN, _INK = 8, 12, 2, 16


def digits(*, enlarge: bool = True) -> Dataset:
    """Load the embedded handwritten digits.

    Parameters
    ----------
    enlarge : bool
        True: 16x16, enlarged 1.5 times by cubic interpolation with a margin of two pixels. False:
        the native 8x8.

    Returns
    -------
    Dataset
        1,797 float32 images of one channel in [-1, 1] (-1 is background), with labels 0 to 9.
    """
    counts, labels = _embedded()
    images = counts.astype(numpy.float64) / (_INK / 2) - 1
    if enlarge:
        resize = cubic_matrix(_SIDE, _ENLARGED)
        # The kernel overshoots by a few per cent beside sharp edges.
        images = numpy.clip(resize @ images @ resize.T, -1, 1)
        images = numpy.pad(
            images, ((0, 0), (_MARGIN, _MARGIN), (_MARGIN, _MARGIN)), constant_values=-1
        )
    return Dataset(
        name="digits", images=images[..., None].astype(numpy.float32),
        labels=labels.astype(numpy.int64), source=_SOURCE, class_names=tuple("0123456789"),
    )  # fmt: skip


def cubic_matrix(old: int, new: int) -> npt.NDArray[numpy.float64]:
    """Return the matrix that resamples a row of `old` pixels to `new` ones by cubic convolution.

    It is meant for enlarging: it doesn't smooth, as would be necessary for fewer pixels.

    Parameters
    ----------
    old, new : int
        Pixels before and after.

    Returns
    -------
    ndarray of float64, shape (new, old)
        Its rows add up to 1.
    """
    centres = (numpy.arange(new) + 0.5) * old / new - 0.5
    neighbours = numpy.floor(centres).astype(numpy.intp)[:, None] + numpy.arange(-1, 3)
    weights = _keys(centres[:, None] - neighbours)
    matrix = numpy.zeros((new, old))
    # add.at instead of assignment: at the border, several neighbours are the same pixel.
    numpy.add.at(matrix, (numpy.arange(new)[:, None], neighbours.clip(0, old - 1)), weights)
    return matrix


def _keys(t: npt.NDArray[numpy.float64], a: float = -0.5) -> npt.NDArray[numpy.float64]:
    t = numpy.abs(t)
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return numpy.where(t <= 1, near, numpy.where(t < 2, far, 0.0))


def _embedded() -> tuple[npt.NDArray[numpy.uint8], npt.NDArray[numpy.uint8]]:
    """Pixel counts (1797, 8, 8), 0 to 16, and labels (1797,), as published."""
    packed = resources.files("minigan.data") / "digits.npz"
    with packed.open("rb") as file, numpy.load(file, allow_pickle=False) as archive:
        return archive["images"], archive["labels"]

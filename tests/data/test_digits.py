import hashlib
from importlib import resources

import numpy
import pytest

from minigan import data


def test_the_native_digits_are_the_published_ones():
    digits = data.digits(enlarge=False)
    counts = (digits.images + 1) * 8
    assert digits.image_shape == (8, 8, 1)
    numpy.testing.assert_array_equal(counts, numpy.rint(counts))
    # Of the pixels that scikit-learn 1.x ships, as unsigned bytes, and of its labels.
    pixels = hashlib.sha256(counts.astype(numpy.uint8).tobytes()).hexdigest()
    labels = hashlib.sha256(digits.labels.astype(numpy.uint8).tobytes()).hexdigest()
    assert pixels == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    assert labels == "8ba4f891220f5e4c9c819638d1602d74b83618f167043c6da52a2a247841ddf0"
    assert numpy.bincount(digits.labels).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]


def test_the_enlarged_digits_have_a_margin_and_keep_the_picture():
    digits, native = data.digits(), data.digits(enlarge=False)
    images = digits.images
    assert images.shape == (1797, 16, 16, 1)
    assert images.dtype == numpy.float32
    assert images.min() == -1
    assert images.max() == 1
    inner = images[:, 2:-2, 2:-2, 0]
    margin = images.copy()
    margin[:, 2:-2, 2:-2] = -1
    assert numpy.all(margin == -1)
    # Mean ink over 3x3 new pixels is mean ink over the 2x2 old ones they cover, but for the
    # overshoot.
    fine = inner.reshape(-1, 4, 3, 4, 3).mean(axis=(2, 4))
    coarse = native.images[..., 0].reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4))
    assert numpy.abs(fine - coarse).mean() < 0.06
    numpy.testing.assert_array_equal(digits.labels, native.labels)
    assert digits.labels.dtype == numpy.int64
    assert "CC BY 4.0" in digits.source
    assert digits.class_names == tuple("0123456789")


def test_cubic_resampling_is_exact_for_quadratics_and_keeps_constants():
    matrix = data.cubic_matrix(20, 30)
    numpy.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    old, new = numpy.arange(20) + 0.5, (numpy.arange(30) + 0.5) * 20 / 30
    inside = slice(3, -3)
    for power in (1, 2):
        numpy.testing.assert_allclose(
            (matrix @ old**power)[inside], new[inside] ** power, atol=1e-10
        )
    numpy.testing.assert_allclose(data.cubic_matrix(5, 5), numpy.eye(5), atol=1e-12)


def test_cubic_resampling_agrees_with_pillow_away_from_the_border():
    image = pytest.importorskip("PIL.Image")
    pixels = numpy.random.default_rng(0).uniform(size=(8, 8)).astype(numpy.float32)
    theirs = numpy.asarray(image.fromarray(pixels).resize((12, 12), image.Resampling.BICUBIC))
    matrix = data.cubic_matrix(8, 12)
    numpy.testing.assert_allclose(
        (matrix @ pixels @ matrix.T)[3:-3, 3:-3], theirs[3:-3, 3:-3], atol=1e-5
    )


def test_the_border_pixel_is_repeated_beyond_the_border():
    padded = data.cubic_matrix(12, 18)[3:-3]
    folded = padded[:, 2:10].copy()
    folded[:, 0] += padded[:, :2].sum(axis=1)
    folded[:, -1] += padded[:, 10:].sum(axis=1)
    numpy.testing.assert_allclose(data.cubic_matrix(8, 12), folded, atol=1e-12)


def test_the_embedded_file_is_small_and_attributed():
    package = resources.files("minigan.data")
    assert len((package / "digits.npz").read_bytes()) < 100_000
    notice = (package / "DIGITS-LICENSE.txt").read_text(encoding="utf-8")
    for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "What was changed"):
        assert part in notice
